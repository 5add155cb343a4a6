use super::{bytes, config, expect_eq, run_file};
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
    run_file("traceparent.json", 25, run);
}

/// The request has the headers `traceparent`, which a host joins with ", ".
fn run(input: &Map<String, Value>, expect: &Value) -> Result<(), String> {
    let transport = Arc::new(ScriptedTransport::new(|_| {
        reply(
            200,
            r#"{"access_token":"t","token_type":"Bearer","expires_in":60}"#,
        )
    }));
    let clock = Arc::new(ManualClock::new());
    let engine = Engine::with_parts(EngineOptions::default(), transport.clone(), clock).unwrap();
    let gate = Gate::from_json(&config(input)).map_err(|error| error.to_string())?;
    let headers: Vec<_> = input["traceparent"]
        .as_array()
        .unwrap()
        .iter()
        .map(bytes)
        .collect();
    let joined = headers.join(&b", "[..]);
    let request = Request {
        credentials: Some((b"alice", b"s3cret")),
        traceparent: (!headers.is_empty()).then_some(&joined),
        ..Request::default()
    };
    drop(engine.authenticate_blocking(&gate, &request));
    let seen = transport.seen.lock().unwrap();
    let came = Value::from(seen[0].headers.clone());
    let expected = match expect["sent"].as_str() {
        Some(value) => Value::from([format!("traceparent: {value}")]),
        None => Value::Array(Vec::new()),
    };
    expect_eq(&came, &expected)
}
