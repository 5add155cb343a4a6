use super::{config, expect_eq, run_file};
use crate::Gate;
use crate::cache_status::CacheStatus;
use crate::config::engine::EngineOptions;
use crate::engine::Engine;
use crate::http::scripted::{ScriptedTransport, Seen, reply};
use crate::http::{Fault, LIMIT_HEADERS, Obstacle, Response};
use crate::outcome::Outcome;
use crate::request::Request;
use crate::sys::clock::manual::ManualClock;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn token_responses() {
    run_file("token.json", 50, run);
}

#[test]
fn dialects() {
    for (dialect, least) in [
        ("auth0", 10),
        ("okta", 4),
        ("entra_v1", 3),
        ("entra_v2", 8),
        ("keycloak", 4),
        ("cognito", 3),
        ("pingone", 3),
        ("hydra", 3),
        ("duende", 3),
    ] {
        run_file(&format!("dialects/{dialect}.json"), least, run);
    }
}

/// A client asks a gate whose provider publishes `metadata`, and gives `answers` in order and then the last one again.
fn run(input: &Map<String, Value>, expect: &Value) -> Result<(), String> {
    let answers = input["answers"].as_array().unwrap().clone();
    let metadata = input["metadata"].to_string();
    let next = AtomicUsize::new(0);
    let transport = Arc::new(ScriptedTransport::new(move |seen| match &seen.form {
        None => reply(200, &metadata),
        Some(_) => {
            let number = next.fetch_add(1, Ordering::Relaxed);
            scripted(&answers[number.min(answers.len() - 1)])
        }
    }));
    let clock = Arc::new(ManualClock::new());
    let options = EngineOptions::default();
    let engine = Engine::with_parts(options, transport.clone(), clock.clone()).unwrap();
    let gate = Gate::from_json(&config(input)).map_err(|error| error.to_string())?;
    let text = |name: &str| input[name].as_str().unwrap();
    let pair = format!("{}:{}", text("client_id"), text("client_secret"));
    let authorization = format!("Basic {}", STANDARD.encode(&pair));
    let request = Request {
        authorization: Some(authorization.as_bytes()),
        ..Request::default()
    };
    let ask = || engine.authenticate_blocking(&gate, &request).unwrap();

    let outcome = ask();
    if let Some(requests) = expect.get("requests") {
        let seen = transport.seen.lock().unwrap();
        let came: Vec<_> = seen
            .iter()
            .filter(|seen| seen.form.is_some())
            .map(show)
            .collect();
        expect_eq(&Value::from(came), requests)?;
    }
    match &outcome {
        Outcome::Allow(allow) => {
            let authorization = allow.authorization().unwrap_or_default();
            let came = json!({ "token": authorization.strip_prefix("Bearer ") });
            let mut expected = expect["allow"].clone();
            let kept = expected
                .as_object_mut()
                .and_then(|expected| expected.remove("kept"));
            expect_eq(&came, &expected)?;
            match kept {
                None => Ok(()),
                Some(kept) => check_kept(kept.as_u64(), &clock, ask),
            }
        }
        Outcome::Deny(deny) => {
            if deny.detail().contains(text("client_secret")) || deny.detail().contains("hostile") {
                return Err(format!("the detail shows too much: {}", deny.detail()));
            }
            let came = json!({
                "cause": deny.cause().name(), "http_status": deny.http_status(), "retry_after": deny.retry_after(),
            });
            expect_eq(&came, &expect["deny"])
        }
    }
}

/// Seconds for which the token is served again; none where it is not.
fn check_kept(
    kept: Option<u64>,
    clock: &ManualClock,
    ask: impl Fn() -> Outcome,
) -> Result<(), String> {
    let is_hit =
        || matches!(ask(), Outcome::Allow(allow) if allow.cache_status() == CacheStatus::Hit);
    let Some(seconds) = kept else {
        return expect_eq(&is_hit(), &false).map_err(|_| "it is kept".to_owned());
    };
    clock.advance(Duration::from_secs(seconds - 1));
    if !is_hit() {
        return Err(format!("it is not kept for {} s", seconds - 1));
    }
    clock.advance(Duration::from_secs(1));
    if is_hit() {
        return Err(format!("it is kept for {seconds} s"));
    }
    Ok(())
}

fn scripted(answer: &Value) -> Result<Response, Fault> {
    match answer.get("fault").and_then(Value::as_str) {
        Some("unreachable") => {
            return Err(Fault::Unreachable(Obstacle::Refused, "refused".to_owned()));
        }
        Some("broken") => return Err(Fault::Broken("closed".to_owned())),
        Some("too_long") => return Err(Fault::TooLong),
        Some(other) => panic!("no fault: {other}"),
        None => {}
    }
    let body = match &answer["body"] {
        Value::Null => Vec::new(),
        Value::Object(object) if object.contains_key("hex") || object.contains_key("repeat") => {
            super::bytes(&answer["body"])
        }
        Value::String(text) => text.as_bytes().to_vec(),
        json => json.to_string().into_bytes(),
    };
    let header = |name: &str| Some(answer.get("headers")?.get(name)?.as_str()?.to_owned());
    Ok(Response {
        status: answer["status"].as_u64().unwrap() as u16,
        media_type: None,
        max_age: None,
        retry_after: header("retry-after"),
        limits: LIMIT_HEADERS
            .into_iter()
            .filter_map(|name| Some((name, header(name)?)))
            .collect(),
        body: body.into(),
    })
}

/// A token request: its form, sorted by name, and how the client authenticates.
fn show(seen: &Seen) -> Value {
    let form = seen.form.as_deref().unwrap_or_default();
    let mut pairs: Vec<_> = form_urlencoded::parse(form.as_bytes())
        .into_owned()
        .collect();
    pairs.sort();
    json!({ "url": seen.url, "form": pairs, "authorization": seen.authorization })
}
