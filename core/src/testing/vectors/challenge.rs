use super::{config, expect_eq, optional_bytes, run_file};
use crate::Gate;
use crate::config::engine::EngineOptions;
use crate::engine::Engine;
use crate::http::scripted::{ScriptedTransport, reply};
use crate::outcome::Outcome;
use crate::request::Request;
use crate::sys::clock::manual::ManualClock;
use serde_json::{Map, Value, json};
use std::sync::Arc;

#[test]
fn challenges() {
    run_file("challenges.json", 30, run);
}

/// A request with this `authorization`, if any, to a gate whose provider responds with `answer` to a token request.
fn run(input: &Map<String, Value>, expect: &Value) -> Result<(), String> {
    let metadata = json!({
        "issuer": "https://idp.example/",
        "token_endpoint": "https://idp.example/token",
        "jwks_uri": "https://idp.example/jwks",
    })
    .to_string();
    let answer = input.get("answer").cloned().unwrap_or_default();
    let transport = Arc::new(ScriptedTransport::new(move |seen| match seen.form {
        Some(_) => reply(
            answer["status"].as_u64().unwrap_or(200) as u16,
            &answer["json"].to_string(),
        ),
        None => reply(200, &metadata),
    }));
    let clock = Arc::new(ManualClock::new());
    let engine = Engine::with_parts(EngineOptions::default(), transport, clock).unwrap();
    let gate = Gate::from_json(&config(input)).map_err(|error| error.to_string())?;
    let authorization = optional_bytes(input, "authorization");
    let request = Request {
        authorization: authorization.as_deref(),
        ..Request::default()
    };
    let came = match engine.authenticate_blocking(&gate, &request).unwrap() {
        Outcome::Allow(_) => json!("allow"),
        Outcome::Deny(deny) => json!({
            "cause": deny.cause().name(), "http_status": deny.http_status(), "challenge": deny.challenge(),
        }),
    };
    let mut expect = expect.clone();
    if let Some(Value::String(challenge)) = expect.get_mut("challenge") {
        *challenge = challenge.replace("{realm}", "idp.example");
    }
    expect_eq(&came, &expect)
}
