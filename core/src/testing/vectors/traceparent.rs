use super::{bytes, config, expect_eq, optional_bytes, run_file};
use crate::Gate;
use crate::config::engine::EngineOptions;
use crate::engine::Engine;
use crate::http::scripted::{ScriptedTransport, reply};
use crate::request::Request;
use crate::sys::clock::manual::ManualClock;
use serde_json::{Map, Value};
use std::sync::Arc;

#[test]
fn traceparent() {
    run_file("traceparent.json", 30, run);
}

fn run(input: &Map<String, Value>, expect: &Value) -> Result<(), String> {
    let transport = Arc::new(ScriptedTransport::new(|seen| {
        let body = match &seen.form {
            None => {
                r#"{"issuer":"https://idp.example","token_endpoint":"https://idp.example/token"}"#
            }
            Some(_) => r#"{"access_token":"t","token_type":"Bearer","expires_in":60}"#,
        };
        reply(200, body)
    }));
    let clock = Arc::new(ManualClock::new());
    let engine = Engine::with_parts(EngineOptions::default(), transport.clone(), clock).unwrap();
    let gate = Gate::from_json(&config(input)).map_err(|error| error.to_string())?;
    let headers = input["traceparent"].as_array().unwrap().iter();
    let headers: Vec<_> = headers.map(bytes).collect();
    // As a host joins several headers (RFC 9110 section 5.3).
    let joined = headers.join(&b", "[..]);
    let authorization = optional_bytes(input, "authorization");
    let request = Request {
        authorization: authorization.as_deref(),
        traceparent: (!headers.is_empty()).then_some(&joined),
        ..Request::default()
    };
    engine
        .authenticate_blocking(&gate, &request)
        .map_err(|error| error.to_string())?;
    let seen = transport.seen.lock().unwrap();
    let came: Vec<_> = seen.iter().flat_map(|seen| &seen.headers).collect();
    let expected = expect["sent"].as_str();
    let expected: Vec<_> = expected
        .map(|value| format!("traceparent: {value}"))
        .into_iter()
        .collect();
    expect_eq(&came, &expected.iter().collect())
}
