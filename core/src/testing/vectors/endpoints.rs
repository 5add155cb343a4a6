use super::{bytes, config, expect_eq, optional_bytes, pairs, run_file};
use crate::Gate;
use crate::config::engine::EngineOptions;
use crate::engine::Engine;
use crate::error::Error;
use crate::http::scripted::{ScriptedTransport, reply};
use crate::outcome::Outcome;
use crate::request::Request;
use crate::sys::clock::manual::ManualClock;
use serde_json::{Map, Value, json};
use std::sync::Arc;

#[test]
fn token_requests() {
    run_file("token_endpoint.json", 75, |input, expect| {
        run(Gate::token_endpoint, input, expect)
    });
}

#[test]
fn external_checks() {
    run_file("check.json", 15, |input, expect| {
        run(Gate::external, input, expect)
    });
}

fn run(
    derive: impl Fn(&Gate) -> Result<Gate, Error>,
    input: &Map<String, Value>,
    expect: &Value,
) -> Result<(), String> {
    let metadata = json!({
        "issuer": "https://idp.example/",
        "token_endpoint": "https://idp.example/token",
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
    });
    let transport = Arc::new(ScriptedTransport::new(move |seen| match &seen.form {
        None => reply(200, &metadata.to_string()),
        Some(_) => reply(
            200,
            r#"{"access_token":"t","token_type":"Bearer","expires_in":3600}"#,
        ),
    }));
    let clock = Arc::new(ManualClock::new());
    let engine = Engine::with_parts(EngineOptions::default(), transport.clone(), clock).unwrap();
    let gate = Gate::from_json(&config(input)).map_err(|error| error.to_string())?;
    let gate = derive(&gate).map_err(|error| error.to_string())?;
    let [method, authorization, query, content_type, body] =
        ["method", "authorization", "query", "content_type", "body"]
            .map(|name| optional_bytes(input, name));
    let headers: Vec<(Vec<u8>, Vec<u8>)> = pairs(input, "headers");
    let headers = headers.iter().map(|(name, value)| (&**name, &**value));
    let mut request = Request {
        headers: gate.select_headers(headers),
        method: method.as_deref().unwrap_or_default(),
        authorization: authorization.as_deref(),
        query: query.as_deref(),
        content_type: content_type.as_deref(),
        ..Request::default()
    };
    let length = body.as_ref().map(|body| body.len() as u64);
    if length.is_some() && gate.wants_body(&request, length) {
        request.body = body.as_deref();
    }
    match engine.authenticate_blocking(&gate, &request).unwrap() {
        Outcome::Allow(allow) => {
            if allow.grant().is_none() {
                return Err(format!("it passes without a token: {allow:?}"));
            }
            let seen = transport.seen.lock().unwrap();
            let form = seen.iter().find_map(|seen| seen.form.clone());
            let form = form.unwrap_or_default();
            let sent: Vec<_> = form_urlencoded::parse(form.as_bytes()).collect();
            for name in ["client_id", "client_secret"] {
                let wanted = String::from_utf8(bytes(&expect[name])).unwrap();
                if !sent.contains(&(name.into(), wanted.into())) {
                    return Err(format!("expected {expect}, sent {sent:?}"));
                }
            }
            let args = sent.iter().filter(|(name, _)| !is_ours(name, &gate));
            let args: Vec<_> = args.map(|(name, value)| json!([name, value])).collect();
            expect_eq(&json!(args), expect.get("args").unwrap_or(&json!([])))
        }
        Outcome::Deny(deny) => {
            let mut came =
                json!({ "http_status": deny.http_status(), "cause": deny.cause().name() });
            let body: Value = serde_json::from_str(deny.body()).unwrap();
            if let Some(error) = body.get("error") {
                came["error"] = error.clone();
                let is_challenged =
                    deny.challenge() == Some("Basic realm=\"idp.example\", charset=\"UTF-8\"");
                expect_eq(&is_challenged, &(deny.http_status() == 401))?;
                expect_eq(&body["error_description"].is_string(), &true)?;
            }
            expect_eq(&came, expect)
        }
    }
}

/// Whether the gate sends this argument for every client.
fn is_ours(name: &str, gate: &Gate) -> bool {
    let is_callers = |name: &str| {
        gate.rules
            .places
            .args
            .callers()
            .iter()
            .any(|own| own == name)
    };
    ["client_id", "client_secret", "grant_type"].contains(&name)
        || (!is_callers(name)
            && (name == "scope" || gate.rules.request.args.iter().any(|(own, _)| own == name)))
}
