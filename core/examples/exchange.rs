//! Exchanges the credentials of one client at its provider, and prints the outcome without the token:
//!
//! `CLIENT_ID=… CLIENT_SECRET=… cargo run -p credgate-core --example exchange -- CONFIG.json`
//!
//! Its log is stderr. Exits with 0 if the client is allowed, with 1 if it is denied, and with 2 on an error. A gateway
//! takes id and secret from requests, and has more duties: see the documentation of the crate.
#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "its output is for people"
)]

use credgate_core::{Engine, EngineOptions, Gate, Outcome, Request};
use std::error::Error;
use std::process::ExitCode;
use std::{env, fs};

const USAGE: &str = "usage: CLIENT_ID=… CLIENT_SECRET=… exchange CONFIG.json";

fn main() -> ExitCode {
    match exchange() {
        Ok(Outcome::Allow(allow)) => {
            let token = allow.grant().map_or("", |grant| grant.token());
            let client = allow.client_id().unwrap_or_default();
            let cache_status = allow.cache_status().name();
            println!("{cache_status}: {client}, a token of {} bytes", token.len());
            ExitCode::SUCCESS
        }
        Ok(Outcome::Deny(deny)) => {
            let (status, cause) = (deny.http_status(), deny.cause().name());
            println!("{status} {cause}: {}", deny.detail());
            ExitCode::from(1)
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn exchange() -> Result<Outcome, Box<dyn Error>> {
    let path = env::args().nth(1).ok_or(USAGE)?;
    let client_id = env::var("CLIENT_ID").map_err(|_| USAGE)?;
    let client_secret = env::var("CLIENT_SECRET").map_err(|_| USAGE)?;

    let json = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let gate = Gate::from_json(&json).map_err(|error| format!("{path}: {error}"))?;
    for warning in gate.warnings() {
        eprintln!("warning: {warning}");
    }

    let engine = Engine::new(EngineOptions::default())?;
    let request = Request {
        method: b"GET",
        credentials: Some((client_id.as_bytes(), client_secret.as_bytes())),
        ..Request::default()
    };
    let outcome = engine.authenticate_blocking(&gate, &request)?;
    while let Some(record) = engine.next_record()? {
        eprintln!("{}: {}", record.level.name(), record.message);
    }
    Ok(outcome)
}
