//! Token endpoints and external checks.

use super::*;

const FORM: &[u8] = b"application/x-www-form-urlencoded";

fn token_request(body: &[u8]) -> Request<'_> {
    Request {
        method: b"POST",
        content_type: Some(FORM),
        body: Some(body),
        ..Request::default()
    }
}

fn allowed(outcome: Outcome) -> crate::Allow {
    match outcome {
        Outcome::Allow(allow) => allow,
        Outcome::Deny(deny) => panic!("denied: {deny:?}"),
    }
}

#[test]
fn a_token_endpoint_answers_from_the_cache_of_its_gate() {
    let lab = Lab::new(ScriptedTransport::new(provider));
    let endpoint = lab.gate.token_endpoint().unwrap();
    let body = b"grant_type=client_credentials&client_id=a&client_secret=right";
    let ask = || {
        lab.engine
            .authenticate_blocking(&endpoint, &token_request(body))
    };
    for _ in 0..1000 {
        let response = allowed(ask().unwrap()).token_response().unwrap();
        let response: serde_json::Value = serde_json::from_str(&response).unwrap();
        assert_eq!(response["access_token"], "token-of-a");
        assert_eq!(response["token_type"], "Bearer");
    }
    assert_eq!(lab.pair("a", "right"), "HIT a Bearer token-of-a");
    let check = lab.gate.external().unwrap();
    let request = Request {
        authorization: Some(b"Basic YTpyaWdodA=="),
        ..Request::default()
    };
    let outcome = lab.engine.authenticate_blocking(&check, &request).unwrap();
    assert_eq!(show(&outcome), "HIT a Bearer token-of-a");
    assert_eq!(lab.transport.token_requests(), 1);
}

#[test]
fn a_wrong_secret_gets_the_error_of_the_standard() {
    let lab = Lab::new(ScriptedTransport::new(provider));
    let endpoint = lab.gate.token_endpoint().unwrap();
    let body = b"grant_type=client_credentials&client_id=a&client_secret=wrong";
    for _ in 0..2 {
        let outcome = lab
            .engine
            .authenticate_blocking(&endpoint, &token_request(body))
            .unwrap();
        let Outcome::Deny(deny) = outcome else {
            panic!("allowed");
        };
        assert_eq!(deny.http_status(), 401);
        assert!(deny.body().starts_with(r#"{"error":"invalid_client","#));
        assert!(deny.challenge().unwrap().starts_with("Basic "));
    }
    assert_eq!(lab.transport.token_requests(), 1);
}

#[test]
fn a_token_endpoint_ignores_credentials_of_the_host() {
    let lab = Lab::new(ScriptedTransport::new(provider));
    let endpoint = lab.gate.token_endpoint().unwrap();
    let request = Request {
        credentials: Some((b"a", b"right")),
        ..token_request(b"grant_type=client_credentials")
    };
    let outcome = lab
        .engine
        .authenticate_blocking(&endpoint, &request)
        .unwrap();
    assert_eq!(show(&outcome), "NONE 401 NoCredentials");
}

#[test]
fn an_external_check_ignores_preflights_as_its_gate_does() {
    let lab = Lab::with(
        r#"{"run_on_preflight":false}"#,
        ScriptedTransport::new(provider),
    );
    let check = lab.gate.external().unwrap();
    let ask = |method: &'static [u8]| {
        let request = Request {
            method,
            ..Request::default()
        };
        show(&lab.engine.authenticate_blocking(&check, &request).unwrap())
    };
    assert_eq!(ask(b"OPTIONS"), "PREFLIGHT  ");
    assert_eq!(ask(b"GET"), "NONE 401 NoCredentials");
}
