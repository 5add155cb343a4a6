use super::{config, expect_eq, run_file};
use crate::Gate;
use crate::config::engine::EngineOptions;
use crate::engine::Engine;
use crate::http::scripted::{ScriptedTransport, reply};
use crate::outcome::Outcome;
use crate::request::Request;
use crate::sys::clock::manual::{ManualClock, START};
use serde_json::{Map, Value, json};
use std::sync::Arc;

const ISSUER: &str = "https://idp.example/";

#[test]
fn introspection_responses() {
    run_file("introspection.json", 40, run);
}

/// A client presents `token`, and the introspection endpoint gives `response`.
fn run(input: &Map<String, Value>, expect: &Value) -> Result<(), String> {
    let metadata = json!({
        "issuer": ISSUER,
        "introspection_endpoint": "https://idp.example/introspect",
        "jwks_uri": "https://idp.example/jwks",
    })
    .to_string();
    let response = input["response"].clone();
    let transport = Arc::new(ScriptedTransport::new(move |seen| {
        match seen.url.as_str() {
            "https://idp.example/introspect" => {}
            "https://idp.example/jwks" => return reply(200, r#"{"keys":[]}"#),
            _ => return reply(200, &metadata),
        }
        let header = |name: &str| Some(response["headers"].get(name)?.as_str()?.to_owned());
        let body = match response.get("text") {
            Some(text) => text.as_str().unwrap().to_owned(),
            None => filled(&response["body"]).to_string(),
        };
        let status = response["status"].as_u64().unwrap() as u16;
        reply(status, &body).map(|reply| crate::http::Response {
            media_type: header("content-type").map(|value| crate::http::media_type(&value)),
            retry_after: header("retry-after"),
            ..reply
        })
    }));
    let (clock, options) = (Arc::new(ManualClock::new()), EngineOptions::default());
    let engine = Engine::with_parts(options, transport.clone(), clock).unwrap();
    let gate = Gate::from_json(&config(input)).map_err(|error| error.to_string())?;
    let token = input["token"].as_str().unwrap();
    let authorization = format!("Bearer {token}");
    let request = Request {
        authorization: Some(authorization.as_bytes()),
        ..Request::default()
    };
    let outcome = engine.authenticate_blocking(&gate, &request).unwrap();
    for seen in transport.seen.lock().unwrap().iter() {
        if let Some(form) = &seen.form {
            expect_eq(form, &format!("token={token}&token_type_hint=access_token"))?;
            expect_eq(
                &seen.authorization.as_deref(),
                &Some("Basic Z2F0ZXdheTpnNHRld2F5"),
            )?;
        }
    }
    match outcome {
        Outcome::Allow(allow) => {
            expect_eq(&allow.authorization(), &Some(authorization.as_str()))?;
            let came = json!({ "allow": { "client_id": allow.client_id() } });
            expect_eq(&came, expect)
        }
        Outcome::Deny(deny) => {
            let says = expect["says"].as_str().unwrap_or_default();
            let detail = deny.detail();
            if !detail.contains(says) || detail.contains(token) || detail.contains("s3cret") {
                return Err(format!("expected a detail with {says:?}, came {detail:?}"));
            }
            let came = json!({
                "cause": deny.cause().name(), "http_status": deny.http_status(), "says": says,
            });
            expect_eq(&came, expect)
        }
    }
}

/// The body with the issuer and the times that it refers to.
fn filled(body: &Value) -> Value {
    match body {
        Value::String(text) => text.replace("{issuer}", ISSUER).into(),
        Value::Array(values) => values.iter().map(filled).collect(),
        Value::Object(members) => match members.get("now").and_then(Value::as_i64) {
            Some(seconds) => (START.as_secs() as i64 + seconds).into(),
            None => members
                .iter()
                .map(|(name, value)| (name.clone(), filled(value)))
                .collect(),
        },
        other => other.clone(),
    }
}
