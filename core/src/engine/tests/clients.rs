//! The counters of each client.

use super::*;

fn lab(config: &str, transport: ScriptedTransport) -> Lab {
    let options = EngineOptions {
        metrics_clients: 2,
        ..EngineOptions::default()
    };
    Lab::with_options(options, config, transport)
}

/// The lines of clients in the metrics: `client_id result count`.
fn counted(lab: &Lab) -> Vec<String> {
    let text = lab.engine.metrics().unwrap().to_string();
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("credgate_client_requests_total{client_id=\""));
    lines
        .map(|line| line.replace("\",result=\"", " ").replace("\"}", ""))
        .filter(|line| !line.ends_with(" 0"))
        .collect()
}

#[test]
fn requests_count_for_the_client_that_has_a_token() {
    let lab = lab("{}", ScriptedTransport::new(provider));
    lab.pair("alice", "right");
    lab.pair("alice", "right");
    lab.pair("bob", "right");
    assert_eq!(counted(&lab), ["alice allowed 2", "bob allowed 1"]);
    // Any further client is one of the others.
    lab.pair("carol", "right");
    lab.pair("carol", "right");
    lab.blocking("x=1");
    assert_eq!(
        counted(&lab),
        [
            "other allowed 2",
            "other denied 1",
            "alice allowed 2",
            "bob allowed 1"
        ]
    );
}

#[test]
fn a_guess_gets_no_counters_and_counts_for_a_known_client() {
    let lab = lab("{}", ScriptedTransport::new(provider));
    for number in 0..10 {
        lab.pair(&format!("guess{number}"), "wr0ng");
    }
    lab.pair("alice", "right");
    // An exchange, and then the cached refusal.
    lab.pair("alice", "wr0ng");
    lab.pair("alice", "wr0ng");
    assert_eq!(
        counted(&lab),
        ["other denied 10", "alice allowed 1", "alice denied 2"]
    );
}

#[test]
fn denials_by_the_gate_count_for_their_client() {
    let mut lab = lab("{}", ScriptedTransport::new(provider));
    lab.pair("alice", "right");
    lab.gate = gate(r#"{"clients_allowed":["bob"]}"#);
    assert_eq!(lab.pair("alice", "right"), "NONE 403 ClientNotAllowed");
    lab.gate = gate(r#"{"scopes_required":["read"],"scopes":["write"]}"#);
    assert_eq!(lab.pair("alice", "right"), "MISS 403 TokenInsufficient");
    assert_eq!(lab.pair("alice", "right"), "HIT 403 TokenInsufficient");
    assert_eq!(counted(&lab), ["alice allowed 1", "alice denied 3"]);
}

#[test]
fn counters_of_clients_add_up_to_all_requests() {
    let lab = lab(
        r#"{"anonymous":true,"run_on_preflight":false}"#,
        ScriptedTransport::new(provider),
    );
    for (id, secret) in [
        ("alice", "right"),
        ("alice", "wr0ng"),
        ("bob", "right"),
        ("carol", "right"),
        ("carol", "wr0ng"),
    ] {
        lab.pair(id, secret);
    }
    lab.blocking("client_id=alice");
    lab.blocking("x=1");
    let preflight = Request {
        method: b"OPTIONS",
        ..Request::default()
    };
    lab.engine
        .authenticate_blocking(&lab.gate, &preflight)
        .unwrap();
    let metrics = lab.engine.metrics().unwrap();
    let sum = |counts: &[(CacheStatus, u64)]| counts.iter().map(|(_, count)| count).sum();
    let by_client = metrics
        .clients
        .iter()
        .fold((0, 0), |(allowed, denied), client| {
            (allowed + client.allowed, denied + client.denied)
        });
    assert_eq!(by_client, (sum(&metrics.allowed), sum(&metrics.denied)));
    assert_eq!(by_client, (7, 1));
}

#[test]
fn counters_outlive_the_token_and_a_purge() {
    let lab = lab("{}", ScriptedTransport::new(provider));
    lab.pair("alice", "right");
    lab.engine.purge_all(None).unwrap();
    lab.pair("alice", "right");
    lab.advance(7200);
    lab.pair("alice", "right");
    assert_eq!(counted(&lab), ["alice allowed 3"]);
    assert_eq!(lab.transport.token_requests(), 3);
}

#[test]
fn a_waiter_past_its_deadline_counts_for_its_client() {
    let lab = lab(
        r#"{"cache_tokens":false,"timeout":1000}"#,
        ScriptedTransport::holding(provider),
    );
    lab.transport.gate.add_permits(1);
    lab.pair("alice", "right");
    let late = lab.waking(&[1000], || lab.pair("alice", "right"));
    assert_eq!(late, "MISS 504 ProviderTimeout");
    assert_eq!(counted(&lab), ["alice allowed 1", "alice denied 1"]);
}

#[test]
fn labels_are_escaped() {
    let lab = lab(
        "{}",
        ScriptedTransport::new(|seen| match &seen.form {
            None => reply(200, DOCUMENT),
            Some(_) => reply(
                200,
                r#"{"access_token":"t","token_type":"Bearer","expires_in":60}"#,
            ),
        }),
    );
    lab.pair("a%22b%5Cc", "right");
    let text = lab.engine.metrics().unwrap().to_string();
    let line = r#"credgate_client_requests_total{client_id="a\"b\\c",result="allowed"} 1"#;
    assert!(text.lines().any(|one| one == line), "{text}");
}

#[test]
fn too_many_clients_are_a_configuration_error() {
    let read = |json: &str| EngineOptions::from_json(json);
    assert_eq!(
        read(r#"{"metrics_clients":10000}"#)
            .unwrap()
            .metrics_clients,
        10_000
    );
    let error = read(r#"{"metrics_clients":10001}"#).unwrap_err();
    assert_eq!(
        error.to_string(),
        "engine options: metrics_clients: must be at most 10000"
    );
}
