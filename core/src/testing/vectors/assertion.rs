use super::{config, expect_eq, keys, run_file};
use crate::Gate;
use crate::config::engine::EngineOptions;
use crate::engine::Engine;
use crate::http::scripted::{ScriptedTransport, reply};
use crate::outcome::Outcome;
use crate::request::Request;
use crate::sys::clock::manual::ManualClock;
use crate::token::{Jws, KeySet};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use std::sync::Arc;

#[test]
fn assertions() {
    run_file("assertion.json", 20, run);
}

const ISSUER: &str = "https://idp.example";
const METADATA: &str =
    r#"{"issuer":"https://idp.example","token_endpoint":"https://idp.example/token"}"#;
const TOKEN: &str = r#"{"access_token":"t","token_type":"Bearer","expires_in":60}"#;

/// A request without credentials passes a gate with a client of its own.
fn run(input: &Map<String, Value>, expect: &Value) -> Result<(), String> {
    let transport = Arc::new(ScriptedTransport::new(|seen| match &seen.form {
        None => reply(200, METADATA),
        Some(_) => reply(200, TOKEN),
    }));
    let clock = Arc::new(ManualClock::new());
    let engine = Engine::with_parts(EngineOptions::default(), transport.clone(), clock).unwrap();
    let gate = Gate::from_json(&config(input)).map_err(|error| error.to_string())?;
    let outcome = engine
        .authenticate_blocking(&gate, &Request::default())
        .unwrap();
    if let Outcome::Deny(deny) = &outcome {
        let came = json!({ "cause": deny.cause().name(), "http_status": deny.http_status() });
        return expect_eq(&came, &expect["deny"]);
    }
    let seen = transport.seen.lock().unwrap();
    let form = seen.iter().find_map(|seen| seen.form.as_deref()).unwrap();
    let pairs = form_urlencoded::parse(form.as_bytes()).into_owned();
    let (assertion, mut pairs): (Vec<_>, Vec<_>) =
        pairs.partition(|(name, _)| name == "client_assertion");
    pairs.sort();
    expect_eq(&json!(pairs), &expect["form"])?;
    match &assertion[..] {
        [] => expect_eq(&Value::Null, &expect["header"]),
        [(_, assertion)] => check(assertion, expect),
        _ => Err("several assertions".to_owned()),
    }
}

fn check(assertion: &str, expect: &Value) -> Result<(), String> {
    let part = |at: usize| -> Map<String, Value> {
        let part = assertion.split('.').nth(at).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let issued = expect["claims"].to_string().replace("$ISSUER", ISSUER);
    let issued: Value = serde_json::from_str(&issued).unwrap();
    let mut claims = part(1);
    for name in ["iat", "exp", "jti"] {
        claims.remove(name);
    }
    expect_eq(&Value::Object(part(0)), &expect["header"])?;
    expect_eq(&Value::Object(claims), &issued)?;
    let Some(key) = expect["key"].as_str() else {
        return Ok(());
    };
    let jws = Jws::parse(assertion).map_err(|error| error.why().to_owned())?;
    let verified = jws.verify(&registered(key, &expect["header"]["kid"]));
    verified.map_err(|error| error.why().to_owned())
}

/// The keys of a provider that knows the public half of this JWK by this id.
fn registered(jwk: &str, kid: &Value) -> KeySet {
    let jwk = std::fs::read(format!("{}/{jwk}", keys())).unwrap();
    let mut jwk: Map<String, Value> = serde_json::from_slice(&jwk).unwrap();
    jwk.retain(|name, _| ["kty", "crv", "n", "e", "x", "y"].contains(&name.as_str()));
    jwk.insert("kid".to_owned(), kid.clone());
    KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap()
}
