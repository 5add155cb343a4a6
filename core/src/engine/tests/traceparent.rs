//! The `traceparent` header of token requests.

use super::*;

const ONE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TWO: &str = "00-4bf92f3577b34da6a3ce929d0e0e4737-00f067aa0ba902b8-00";

fn request<'r>(query: &'r str, traceparent: &'r str) -> Request<'r> {
    Request {
        query: Some(query.as_bytes()),
        traceparent: Some(traceparent.as_bytes()),
        ..Request::default()
    }
}

/// The headers of each call: of discovery, then of the token requests.
fn headers(lab: &Lab) -> Vec<Vec<String>> {
    let seen = lab.transport.seen.lock().unwrap();
    seen.iter().map(|seen| seen.headers.clone()).collect()
}

#[test]
fn the_request_that_opens_a_flight_gives_the_traceparent() {
    let lab = Lab::with(
        r#"{"traceparent":true,"token_headers":{"x-tenant":"a"}}"#,
        ScriptedTransport::holding(provider),
    );
    let queue = lab.queue();
    for (user_data, value) in [ONE, TWO].into_iter().enumerate() {
        let request = request("client_id=a&client_secret=right", value);
        pending(queue.authenticate(&lab.gate, &request, user_data).unwrap());
    }
    lab.transport.gate.add_permits(1);
    drain(&queue, 2);
    let sent = vec!["x-tenant: a".to_owned(), format!("traceparent: {ONE}")];
    assert_eq!(headers(&lab), [vec![], sent], "not to the metadata");
}

#[test]
fn a_hit_that_starts_a_refresh_gives_the_traceparent() {
    let lab = Lab::with(r#"{"traceparent":true}"#, ScriptedTransport::new(provider));
    let ask = |value| {
        let request = request("client_id=a&client_secret=right", value);
        show(
            &lab.engine
                .authenticate_blocking(&lab.gate, &request)
                .unwrap(),
        )
    };
    assert!(ask(ONE).starts_with("MISS"));
    assert!(ask(TWO).starts_with("HIT"), "not a part of the key");
    lab.advance(3000);
    assert!(ask(TWO).starts_with("HIT"));
    lab.settle();
    let sent = [ONE, TWO].map(|value| vec![format!("traceparent: {value}")]);
    assert_eq!(headers(&lab)[1..], sent);
}

#[test]
fn gates_with_and_without_traceparent_share_tokens() {
    let mut lab = Lab::with(r#"{"traceparent":true}"#, ScriptedTransport::new(provider));
    assert_eq!(lab.pair("a", "right"), "MISS a Bearer token-of-a");
    assert!(lab.gate.wants_traceparent());
    lab.gate = gate("{}");
    assert!(!lab.gate.wants_traceparent());
    assert_eq!(lab.pair("a", "right"), "HIT a Bearer token-of-a");
}
