//! Exchanges a client's credentials at a provider, and prints the outcome:
//!
//! `CLIENT_SECRET=… cargo run --example exchange -- ISSUER CLIENT_ID [AUDIENCE]`
#![allow(clippy::print_stdout, reason = "its output is for people")]

use credgate_core::{Engine, EngineOptions, Gate, Outcome, Request};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let issuer = args
        .next()
        .ok_or("usage: exchange ISSUER CLIENT_ID [AUDIENCE]")?;
    let client_id = args.next().ok_or("CLIENT_ID is missing")?;
    let client_secret = std::env::var("CLIENT_SECRET").map_err(|_| "set CLIENT_SECRET")?;
    let config = serde_json::json!({
        "issuer": issuer, "audience": args.next().unwrap_or_default(), "allow_loopback_http": true,
    });

    let gate = Gate::from_json(&config.to_string())?;
    let engine = Engine::new(EngineOptions::default())?;
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("client_id", client_id), ("client_secret", client_secret)])
        .finish();
    let request = Request {
        query: Some(query.as_bytes()),
        ..Request::default()
    };
    match engine.authenticate_blocking(&gate, &request)? {
        Outcome::Allow(allow) => println!(
            "{}: {}, a token of {} bytes",
            allow.cache_status().name(),
            allow.client_id().unwrap_or_default(),
            allow
                .authorization()
                .map_or(0, |value| value.len() - "Bearer ".len())
        ),
        Outcome::Deny(deny) => {
            println!(
                "{} {}: {}",
                deny.http_status(),
                deny.cause().name(),
                deny.detail()
            );
            std::process::exit(1);
        }
    }
    Ok(())
}
