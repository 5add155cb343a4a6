use super::{bytes, config, expect_eq, run_file};
use crate::Gate;
use crate::config::engine::EngineOptions;
use crate::engine::Engine;
use crate::http::scripted::{ScriptedTransport, reply};
use crate::outcome::Outcome;
use crate::request::Request;
use crate::sys::clock::manual::ManualClock;
use crate::token::tests::es256;
use serde_json::{Map, Value, json};
use std::sync::Arc;

#[test]
fn client_tokens() {
    run_file("bearer.json", 30, run);
}

/// A client presents a token of `header` and `claims`, signed with the provider's only key.
fn run(input: &Map<String, Value>, expect: &Value) -> Result<(), String> {
    let signer = es256();
    let mut key = signer.jwk("k1");
    for (name, value) in input
        .get("key")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        key[name] = value.clone();
    }
    let keys = json!({ "keys": [key] }).to_string();
    let metadata = json!({
        "issuer": "https://idp.example/",
        "token_endpoint": "https://idp.example/token",
        "jwks_uri": "https://idp.example/jwks",
    })
    .to_string();
    let transport = Arc::new(ScriptedTransport::new(move |seen| {
        assert!(seen.form.is_none(), "no exchange for a client's own token");
        let is_keys = seen.url.ends_with("/jwks");
        reply(200, if is_keys { &keys } else { &metadata })
    }));
    let clock = Arc::new(ManualClock::new());
    let engine = Engine::with_parts(EngineOptions::default(), transport, clock).unwrap();
    let gate = Gate::from_json(&config(input)).map_err(|error| error.to_string())?;
    let token = signer.sign_token(&part(&input["header"]), &part(&input["claims"]));
    let authorization = format!("Bearer {token}");
    let request = Request {
        authorization: Some(authorization.as_bytes()),
        ..Request::default()
    };
    match engine.authenticate_blocking(&gate, &request).unwrap() {
        Outcome::Allow(allow) => {
            expect_eq(&allow.authorization(), &Some(authorization.as_str()))?;
            let came = json!({ "allow": { "client_id": allow.client_id() } });
            expect_eq(&came, expect)
        }
        Outcome::Deny(deny) => {
            let came = json!({
                "cause": deny.cause().name(), "http_status": deny.http_status(), "detail": deny.detail(),
            });
            expect_eq(&came, expect)
        }
    }
}

/// The JSON of an object, or the bytes that a vector states.
fn part(value: &Value) -> Vec<u8> {
    match value {
        Value::Object(members) if !members.contains_key("hex") => value.to_string().into_bytes(),
        stated => bytes(stated),
    }
}
