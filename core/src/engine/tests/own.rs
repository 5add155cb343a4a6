//! Gates with credentials of their own, and gates whose host supplies them.

use super::*;
use std::path::PathBuf;
use std::sync::RwLock;

/// A provider that accepts one secret, which the operator rotates, and a file with the gateway's.
struct Rotating {
    accepted: RwLock<String>,
    file: PathBuf,
}

impl Rotating {
    fn lab(name: &str, config: &str) -> (Arc<Rotating>, Lab) {
        let name = format!("credgate-own-{name}-{}", std::process::id());
        let rotating = Arc::new(Rotating {
            accepted: RwLock::new("right".to_owned()),
            file: std::env::temp_dir().join(name),
        });
        rotating.write("right\n");
        let mut config: serde_json::Value = serde_json::from_str(config).unwrap();
        config["client_id"] = "me".into();
        config["client_secret_file"] = rotating.file.to_str().into();
        let of_lab = Arc::clone(&rotating);
        let transport = ScriptedTransport::new(move |seen| of_lab.answer(seen));
        let lab = Lab::with(&config.to_string(), transport);
        (rotating, lab)
    }

    fn write(&self, secret: &str) {
        std::fs::write(&self.file, secret).unwrap();
    }

    fn rotate(&self, secret: &str) {
        secret.clone_into(&mut self.accepted.write().unwrap());
    }

    fn answer(&self, seen: &Seen) -> Result<Response, Fault> {
        let accepted = self.accepted.read().unwrap();
        match &seen.form {
            None => reply(200, DOCUMENT),
            Some(form) if form.ends_with(&format!("client_id=me&client_secret={accepted}")) => {
                let token = format!(
                    r#"{{"access_token":"token-by-{accepted}","token_type":"Bearer","expires_in":3600}}"#
                );
                reply(200, &token)
            }
            Some(_) => reply(401, r#"{"error":"invalid_client"}"#),
        }
    }
}

impl Drop for Rotating {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

/// The outcome of a request without any credentials, in short.
fn plain(lab: &Lab) -> String {
    show(&lab.blocking(""))
}

const OWN: &str = r#"{"client_id":"me","client_secret":"right"}"#;

#[test]
fn a_gate_with_its_own_client_searches_no_request() {
    let lab = Lab::with(OWN, ScriptedTransport::new(provider));
    assert_eq!(plain(&lab), "MISS me Bearer token-of-me");
    let request = Request {
        method: b"POST",
        authorization: Some(b"Basic YTpyaWdodA=="),
        query: Some(b"client_id=a&client_secret=right"),
        content_type: Some(b"application/json"),
        body: Some(b"{\"client_id\":\"a\",\"client_secret\":\"right\"}"),
        ..Request::default()
    };
    assert!(!lab.gate.wants_body(&request, Some(40)));
    let outcome = lab.engine.authenticate_blocking(&lab.gate, &request);
    let outcome = outcome.unwrap();
    assert_eq!(show(&outcome), "HIT me Bearer token-of-me");
    let Outcome::Allow(allow) = outcome else {
        unreachable!()
    };
    assert_eq!(allow.source(), Some(crate::Source::Host));
    assert_eq!(lab.transport.token_requests(), 1);
    let mut out = [0; 31];
    let query = b"client_id=a&client_secret=right";
    assert_eq!(
        lab.gate.hide_query(query, &mut out),
        query.len(),
        "nothing is hidden"
    );
    assert_eq!(&out, query);
}

#[test]
fn credentials_of_the_host_take_precedence() {
    let lab = Lab::with(OWN, ScriptedTransport::new(provider));
    let host = |secret: &'static [u8]| {
        let request = Request {
            credentials: Some((b"a", secret)),
            ..Request::default()
        };
        show(
            &lab.engine
                .authenticate_blocking(&lab.gate, &request)
                .unwrap(),
        )
    };
    assert_eq!(host(b"right"), "MISS a Bearer token-of-a");
    assert_eq!(host(b""), "NONE 401 EmptyCredential");
    assert_eq!(plain(&lab), "MISS me Bearer token-of-me");
}

#[test]
fn the_place_host_needs_credentials_of_the_host() {
    let config = r#"{"client_credentials_param_type":"host"}"#;
    let lab = Lab::with(config, ScriptedTransport::new(provider));
    assert_eq!(lab.pair("a", "right"), "NONE 401 NoCredentials");
    for (id, secret, expect) in [
        ("a", "right", "MISS a Bearer token-of-a"),
        ("", "right", "NONE 401 EmptyCredential"),
        ("a", "", "NONE 401 EmptyCredential"),
        ("", "", "NONE 401 EmptyCredential"),
        ("a", "wrong", "MISS 401 CredentialsRefused"),
    ] {
        let request = Request {
            credentials: Some((id.as_bytes(), secret.as_bytes())),
            ..Request::default()
        };
        let outcome = lab.engine.authenticate_blocking(&lab.gate, &request);
        assert_eq!(show(&outcome.unwrap()), expect, "{id} {secret}");
    }
}

#[test]
fn a_secret_that_changes_during_the_exchange_is_tried_once() {
    let (rotating, lab) = Rotating::lab("during", "{}");
    rotating.rotate("new");
    // The provider refuses the old secret, and the file has the new one by then.
    let of_script = Arc::clone(&rotating);
    let transport = ScriptedTransport::new(move |seen| {
        let response = of_script.answer(seen);
        if seen.form.is_some() {
            of_script.write("new");
        }
        response
    });
    let lab = Lab {
        gate: lab.gate,
        ..Lab::with("{}", transport)
    };
    assert_eq!(plain(&lab), "MISS me Bearer token-by-new");
    assert_eq!(lab.transport.token_requests(), 2);
}

#[test]
fn a_refusal_of_the_own_client_is_no_401_and_soon_forgotten() {
    let (rotating, lab) = Rotating::lab("refusal", r#"{"cache_ttl_neg":60}"#);
    rotating.rotate("new");
    assert_eq!(plain(&lab), "MISS 502 RequestRefused");
    assert_eq!(plain(&lab), "NEGATIVE 502 RequestRefused");
    assert_eq!(
        lab.transport.token_requests(),
        1,
        "the file has not changed"
    );
    rotating.write("new");
    lab.advance(5);
    assert_eq!(plain(&lab), "MISS me Bearer token-by-new");
}

#[test]
fn the_token_is_refreshed_without_a_client_and_outlives_a_refused_refresh() {
    let (rotating, lab) = Rotating::lab("refresh", "{}");
    assert_eq!(plain(&lab), "MISS me Bearer token-by-right");
    rotating.rotate("new");
    lab.advance(3400);
    assert_eq!(plain(&lab), "HIT me Bearer token-by-right");
    lab.settle();
    assert_eq!(
        plain(&lab),
        "STALE me Bearer token-by-right",
        "the old token is still valid"
    );
    rotating.write("new");
    lab.advance(60);
    assert_eq!(plain(&lab), "STALE me Bearer token-by-right");
    lab.settle();
    assert_eq!(plain(&lab), "HIT me Bearer token-by-new");
}

#[test]
fn an_unreadable_secret_is_the_gateways_fault() {
    let (rotating, lab) = Rotating::lab("unreadable", "{}");
    rotating.write("not ascii: \u{e9}");
    let Outcome::Deny(deny) = lab.blocking("") else {
        panic!("allowed")
    };
    assert_eq!(
        (deny.http_status(), deny.cause()),
        (503, Cause::EngineUnavailable)
    );
    let detail = deny.detail().to_owned();
    assert!(detail.starts_with("client_secret_file: /"), "{detail}");
    assert!(!detail.contains("not ascii"), "{detail}");
    rotating.write("right");
    assert_eq!(plain(&lab), "MISS me Bearer token-by-right", "not cached");
}

#[test]
fn the_own_client_draws_from_no_budget_unless_clients_choose_arguments() {
    let limits = r#"{"refusals_per_client":1,"token_post_args_client":["scope"]}"#;
    let (rotating, lab) = Rotating::lab("budget", limits);
    rotating.rotate("new");
    for _ in 0..5 {
        assert_eq!(plain(&lab), "MISS 502 RequestRefused");
        lab.advance(5);
    }
    assert_eq!(show(&lab.blocking("scope=a")), "MISS 502 RequestRefused");
    assert_eq!(show(&lab.blocking("scope=b")), "MISS 429 TooManyRefusals");
}

#[test]
fn debug_shows_no_own_secret() {
    let shown = format!(
        "{:?}",
        gate(r#"{"client_id":"me","client_secret":"s3cret"}"#)
    );
    assert!(
        shown.contains("\"me\"") && !shown.contains("s3cret"),
        "{shown}"
    );
}
