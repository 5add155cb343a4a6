//! Opaque tokens, brought and exchanged, that are introspected.

use super::tokens::{Signing, ask, fetches, status_and_cause};
use super::*;
use serde_json::{Value, json};
use std::sync::RwLock;

const META: &str = r#"{"issuer":"https://a.example/","token_endpoint":"https://a.example/token","jwks_uri":"https://a.example/jwks","introspection_endpoint":"https://a.example/introspect"}"#;
const ENDPOINT: &str = "https://a.example/introspect";
/// The start of the clock, in seconds since the Unix epoch.
const NOW: u64 = 1_700_000_000;
const OPAQUE: &str = "Bearer 0paque";
const ALICE: &str = "Basic YWxpY2U6czNjcmV0";

/// The status and the body of introspection responses, which a test may change.
type Answer = Arc<RwLock<(u16, Value)>>;

fn settings(more: &str) -> String {
    let own = r#"{"introspection_client_id":"gateway","introspection_client_secret":"g4teway","auth_methods":["client_credentials","introspection"]"#;
    match more {
        "" => format!("{own}}}"),
        more => format!("{own},{more}}}"),
    }
}

fn transport(answer: &Answer) -> impl Fn(&Seen) -> Result<Response, Fault> + Send + Sync + 'static {
    let answer = Arc::clone(answer);
    move |seen| match seen.url.as_str() {
        ENDPOINT => {
            let (status, body) = &*answer.read().unwrap();
            reply(*status, &body.to_string())
        }
        "https://a.example/token" => reply(
            200,
            r#"{"access_token":"exchanged","token_type":"Bearer","expires_in":3600,"scope":"granted"}"#,
        ),
        _ => reply(200, META),
    }
}

/// A lab whose introspection endpoint responds with this.
fn lab(more: &str, body: Value) -> (Answer, Lab) {
    let answer = Answer::new(RwLock::new((200, body)));
    let transport = ScriptedTransport::new(transport(&answer));
    (answer, Lab::with(&settings(more), transport))
}

fn active() -> Value {
    json!({"active": true, "client_id": "machine", "exp": NOW + 600})
}

fn outcome(lab: &Lab, authorization: &str) -> String {
    show(&ask(lab, &lab.gate, authorization))
}

fn calls(lab: &Lab) -> usize {
    fetches(lab, ENDPOINT)
}

#[test]
fn an_active_token_is_cached_until_its_exp() {
    let (_, lab) = lab("", active());
    assert_eq!(outcome(&lab, OPAQUE), "MISS machine Bearer 0paque");
    lab.advance(594);
    assert_eq!(outcome(&lab, OPAQUE), "HIT machine Bearer 0paque");
    assert_eq!(calls(&lab), 1);
    lab.advance(1);
    assert_eq!(outcome(&lab, OPAQUE), "MISS machine Bearer 0paque");
    assert_eq!(calls(&lab), 2);
}

#[test]
fn a_token_without_exp_is_cached_for_cache_ttl_and_no_longer_than_cache_ttl_max() {
    for (more, seconds, claims) in [
        (r#""cache_ttl":65"#, 60, json!({"active": true, "sub": "m"})),
        (
            r#""cache_ttl":65,"cache_ttl_max":30"#,
            30,
            json!({"active": true, "sub": "m"}),
        ),
        (r#""cache_ttl_max":30"#, 30, active()),
    ] {
        let (_, lab) = lab(more, claims);
        outcome(&lab, OPAQUE);
        lab.advance(seconds - 1);
        assert!(outcome(&lab, OPAQUE).starts_with("HIT"), "{more}");
        lab.advance(1);
        assert!(outcome(&lab, OPAQUE).starts_with("MISS"), "{more}");
    }
}

#[test]
fn a_revoked_token_is_refused_at_the_next_introspection() {
    let (answer, lab) = lab(r#""cache_ttl_max":30"#, active());
    outcome(&lab, OPAQUE);
    answer.write().unwrap().1 = json!({"active": false});
    lab.advance(29);
    assert_eq!(outcome(&lab, OPAQUE), "HIT machine Bearer 0paque");
    lab.advance(1);
    assert_eq!(outcome(&lab, OPAQUE), "MISS 401 TokenInvalid");
}

#[test]
fn an_inactive_token_is_refused_from_the_cache_for_cache_ttl_neg() {
    let (_, lab) = lab(r#""cache_ttl_neg":20"#, json!({"active": false}));
    assert_eq!(outcome(&lab, OPAQUE), "MISS 401 TokenInvalid");
    lab.advance(19);
    assert_eq!(outcome(&lab, OPAQUE), "NEGATIVE 401 TokenInvalid");
    assert_eq!(calls(&lab), 1);
    lab.advance(1);
    assert_eq!(outcome(&lab, OPAQUE), "MISS 401 TokenInvalid");
}

#[test]
fn concurrent_requests_with_one_token_cause_one_introspection() {
    let answer = Answer::new(RwLock::new((200, active())));
    let transport = ScriptedTransport::holding(transport(&answer));
    let lab = Lab::with(&settings(""), transport);
    let queue = lab.queue();
    for number in 0..100 {
        let authorization = format!("Bearer token{}", number % 2);
        let request = Request {
            authorization: Some(authorization.as_bytes()),
            ..Request::default()
        };
        pending(queue.authenticate(&lab.gate, &request, number).unwrap());
    }
    lab.transport.gate.add_permits(100);
    assert_eq!(drain(&queue, 100).len(), 100);
    assert_eq!(calls(&lab), 2);
}

#[test]
fn made_up_tokens_draw_from_the_budgets_of_gate_and_source() {
    for (more, peer) in [
        (r#""refusals_per_gate":5"#, None),
        (r#""refusals_per_source":5"#, Some(&b"192.0.2.1"[..])),
    ] {
        let (answer, lab) = lab(more, active());
        let known = outcome(&lab, OPAQUE);
        assert_eq!(known, "MISS machine Bearer 0paque");
        answer.write().unwrap().1 = json!({"active": false});
        let outcomes: Vec<_> = (0..20)
            .map(|number| {
                let authorization = format!("Bearer guess{number}");
                let request = Request {
                    authorization: Some(authorization.as_bytes()),
                    peer,
                    ..Request::default()
                };
                show(
                    &lab.engine
                        .authenticate_blocking(&lab.gate, &request)
                        .unwrap(),
                )
            })
            .collect();
        assert_eq!(outcomes[4], "MISS 401 TokenInvalid", "{more}");
        assert_eq!(outcomes[5], "MISS 429 TooManyRefusals", "{more}");
        assert_eq!(calls(&lab), 6, "{more}");
        assert_eq!(outcome(&lab, OPAQUE), "HIT machine Bearer 0paque");
    }
}

#[test]
fn a_failing_endpoint_is_never_a_401_and_opens_the_circuit_breaker() {
    let (answer, lab) = lab("", active());
    let all = || -> Vec<String> {
        let tokens = (0..10).map(|number| format!("Bearer token{number}"));
        tokens.map(|token| outcome(&lab, &token)).collect()
    };
    assert!(
        all()
            .iter()
            .all(|outcome| outcome.starts_with("MISS machine"))
    );
    lab.engine.purge_all(None).unwrap();
    answer.write().unwrap().0 = 503;
    let outcomes = all();
    assert_eq!(outcomes[0], "MISS 502 ProviderFailed");
    assert_eq!(outcomes[9], "MISS 503 ProviderPaused");
    assert_eq!(calls(&lab), 15);
}

#[test]
fn a_slow_endpoint_is_a_provider_timeout() {
    let answer = Answer::new(RwLock::new((200, active())));
    let transport = ScriptedTransport::holding(transport(&answer));
    let lab = Lab::with(&settings(r#""timeout":500"#), transport);
    let outcome = lab.waking(&[500], || outcome(&lab, OPAQUE));
    assert_eq!(outcome, "MISS 504 ProviderTimeout");
}

#[test]
fn an_exchanged_token_is_introspected_once_and_its_claims_count() {
    let more = r#""roles_required":"reader","scopes_required":"read""#;
    let (_, lab) = lab(
        more,
        json!({"active": true, "client_id": "alice", "exp": NOW + 600, "roles": ["reader"], "scope": "read"}),
    );
    assert_eq!(outcome(&lab, ALICE), "MISS alice Bearer exchanged");
    for _ in 0..10 {
        assert_eq!(outcome(&lab, ALICE), "HIT alice Bearer exchanged");
    }
    assert_eq!(
        (calls(&lab), fetches(&lab, "https://a.example/token")),
        (1, 1)
    );
    // The earlier of both lifetimes counts.
    lab.advance(595);
    assert_eq!(outcome(&lab, ALICE), "MISS alice Bearer exchanged");
}

#[test]
fn the_claims_of_an_exchanged_token_replace_the_granted_scope() {
    let (_, lab) = lab(r#""scopes_required":"granted""#, active());
    assert_eq!(outcome(&lab, ALICE), "MISS 403 TokenInsufficient");
}

#[test]
fn an_exchanged_token_that_is_not_active_is_the_providers_fault() {
    let (answer, lab) = lab("", json!({"active": false}));
    assert_eq!(outcome(&lab, ALICE), "MISS 502 TokenUnverifiable");
    // Each exchange costs a token.
    assert_eq!(outcome(&lab, ALICE), "NEGATIVE 502 TokenUnverifiable");
    answer.write().unwrap().1 = active();
    lab.advance(5);
    assert_eq!(outcome(&lab, ALICE), "MISS alice Bearer exchanged");
}

#[test]
fn a_signed_token_is_introspected_beside_its_verification_only_if_configured() {
    let methods = r#""auth_methods":["client_credentials","bearer","introspection"]"#;
    for (more, expected) in [("", 0), (r#","introspect_jwt_tokens":true"#, 2)] {
        let (signing, _) = Signing::transport();
        let answer = Answer::new(RwLock::new((200, active())));
        let (other, of_lab) = (transport(&answer), Arc::clone(&signing));
        let lab = Lab::with(
            &settings(&format!("{methods}{more}")).replacen(
                r#""auth_methods":["client_credentials","introspection"],"#,
                "",
                1,
            ),
            ScriptedTransport::new(move |seen| match seen.url.as_str() {
                "https://a.example/jwks" | "https://a.example/token" => of_lab.answer(seen),
                _ => other(seen),
            }),
        );
        let brought = format!("Bearer {}", signing.token());
        assert!(outcome(&lab, &brought).starts_with("MISS alice"));
        assert_eq!(status_and_cause(&ask(&lab, &lab.gate, ALICE)), "MISS");
        assert_eq!(calls(&lab), expected, "{more}");
        signing.rotate("k2");
        let forged = format!("Bearer {}", signing.token());
        assert_eq!(outcome(&lab, &forged), "MISS 401 TokenInvalid");
        assert_eq!(calls(&lab), expected, "a forged token is not introspected");
    }
}

#[test]
fn metadata_without_a_usable_introspection_endpoint_fail_introspecting_gates_only() {
    for (endpoint, says) in [
        (Value::Null, "names no introspection_endpoint"),
        (json!("http://a.example/introspect"), "is not an https URL"),
        (json!(7), "is not an https URL"),
    ] {
        let mut metadata: Value = serde_json::from_str(META).unwrap();
        metadata["introspection_endpoint"] = endpoint;
        let metadata = metadata.to_string();
        let lab = Lab::with(
            &settings(""),
            ScriptedTransport::new(move |seen| match &seen.form {
                None => reply(200, &metadata),
                Some(_) => reply(200, r#"{"access_token":"t","token_type":"Bearer"}"#),
            }),
        );
        let Outcome::Deny(deny) = ask(&lab, &lab.gate, OPAQUE) else {
            panic!("not denied")
        };
        assert_eq!(deny.cause(), Cause::ProviderResponseInvalid);
        assert!(deny.detail().contains(says), "{}", deny.detail());
        assert!(show(&ask(&lab, &gate("{}"), ALICE)).starts_with("MISS alice"));
    }
}
