use super::{config, expect_eq, run_file};
use crate::Gate;
use crate::cache_status::CacheStatus;
use crate::cause::{Cause, Denial};
use crate::gate::Rules;
use crate::key::{Fingerprint, Key};
use crate::metrics::Metrics;
use crate::outcome::Outcome;
use crate::request::Source;
use crate::token::claims::Claims;
use crate::token::{Contents, Grant, Lifetime, Origin};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[test]
fn policy() {
    run_file("policy.json", 30, run);
}

/// A token with these `claims` (null: opaque, of the granted `scope`) of the provider `https://idp.example/`, at the time `now`, and the gate's
/// verdict on it.
fn run(input: &Map<String, Value>, expect: &Value) -> Result<(), String> {
    let gate = Gate::from_json(&config(input)).map_err(|error| error.to_string())?;
    let rules: &Arc<Rules> = &gate.rules;
    let contents = match &input["claims"] {
        Value::Object(members) => {
            Contents::Claims(Claims::new(members.clone(), Some("https://idp.example/")))
        }
        _ => Contents::Opaque(input.get("scope").and_then(Value::as_str)),
    };
    let wall = Duration::from_secs(input["now"].as_u64().unwrap());
    let is_client_supplied = input.get("bearer") == Some(&Value::Bool(true));
    let origin = Origin {
        key: Key::for_test(1),
        fingerprint: Fingerprint::for_test(1),
        received: Instant::now(),
        received_wall: wall,
        is_client_supplied,
    };
    let client_id = input
        .get("client_id")
        .and_then(Value::as_str)
        .unwrap_or("alice");
    let grant = Grant::new(origin, client_id, "t0ken", Lifetime::Unknown, &contents);
    // As the engine does it: the id of a pair is judged before its token is looked up.
    let outcome = if !is_client_supplied && !rules.allows_client(client_id.as_bytes()) {
        let denial = Denial::new(Cause::ClientNotAllowed, "");
        Outcome::of_denial(rules, denial, CacheStatus::None)
    } else {
        let grant = Arc::new(grant);
        Outcome::of_grant(
            rules,
            grant,
            CacheStatus::Hit,
            Source::Header,
            wall,
            &Metrics::default(),
        )
    };
    let came = match &outcome {
        Outcome::Allow(allow) => {
            let headers: Vec<_> = allow
                .headers()
                .map(|(name, value)| json!([name, value]))
                .collect();
            let only = [json!(["authorization", allow.authorization()])];
            assert_eq!(allow.is_authorization_only(), headers == only);
            json!({ "allow": headers })
        }
        Outcome::Deny(deny) => json!({
            "cause": deny.cause().name(), "http_status": deny.http_status(), "challenge": deny.challenge(),
        }),
    };
    expect_eq(&came, expect)
}
