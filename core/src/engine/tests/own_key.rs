//! Gates whose own client has a key, an assertion or a certificate instead of a secret.

use super::*;
use crate::journal::Level;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::RwLock;

/// A provider that accepts one `kid`, and a directory with the gateway's files.
struct Registered {
    kid: RwLock<String>,
    directory: PathBuf,
}

impl Registered {
    fn lab(name: &str, config: Value) -> (Arc<Registered>, Lab) {
        let name = format!("credgate-own-key-{name}-{}", std::process::id());
        let registered = Arc::new(Registered {
            kid: RwLock::new("p256-1".to_owned()),
            directory: std::env::temp_dir().join(name),
        });
        std::fs::create_dir_all(&registered.directory).unwrap();
        let mut settings =
            json!({"client_id": "me", "token_endpoint_auth_method": "private_key_jwt"});
        for (field, source) in config.as_object().unwrap() {
            settings[field] = match source.as_str() {
                Some(file) if field.ends_with("_file") => {
                    registered.copy(file, field);
                    registered.directory.join(field).to_str().into()
                }
                _ => source.clone(),
            };
        }
        let of_lab = Arc::clone(&registered);
        let transport = ScriptedTransport::new(move |seen| of_lab.answer(seen));
        let lab = Lab::with(&settings.to_string(), transport);
        (registered, lab)
    }

    /// Writes one of the vectors' keys to the file of a field.
    fn copy(&self, key: &str, field: &str) {
        let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/keys/");
        std::fs::copy(format!("{keys}{key}"), self.directory.join(field)).unwrap();
    }

    fn write(&self, field: &str, content: &str) {
        std::fs::write(self.directory.join(field), content).unwrap();
    }

    fn register(&self, kid: &str) {
        kid.clone_into(&mut self.kid.write().unwrap());
    }

    fn answer(&self, seen: &Seen) -> Result<Response, Fault> {
        let Some(form) = &seen.form else {
            return reply(200, DOCUMENT);
        };
        let accepted = self.kid.read().unwrap();
        if header(form)["kid"] != **accepted {
            return reply(401, r#"{"error":"invalid_client"}"#);
        }
        let token = format!(
            r#"{{"access_token":"by-{accepted}","token_type":"Bearer","expires_in":3600}}"#
        );
        reply(200, &token)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn parameter(form: &str, wanted: &str) -> Option<String> {
    form_urlencoded::parse(form.as_bytes())
        .find(|(name, _)| name == wanted)
        .map(|(_, value)| value.into_owned())
}

fn part(form: &str, at: usize) -> Value {
    let assertion = parameter(form, "client_assertion").unwrap();
    let part = assertion.split('.').nth(at).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn header(form: &str) -> Value {
    part(form, 0)
}

/// The last token request; a refresh of the metadata may have followed.
fn last_form(lab: &Lab) -> String {
    let seen = lab.transport.seen.lock().unwrap();
    seen.iter()
        .rev()
        .find_map(|seen| seen.form.clone())
        .unwrap()
}

fn plain(lab: &Lab) -> String {
    show(&lab.blocking(""))
}

const KEY: &str = "client_assertion_key_file";
const CERTIFICATE: &str = "client_assertion_cert_file";

#[test]
fn a_hit_signs_nothing_and_each_attempt_has_an_assertion_of_its_own() {
    let (registered, lab) = Registered::lab("attempts", json!({KEY: "p256.jwk"}));
    assert_eq!(plain(&lab), "MISS me Bearer by-p256-1");
    assert_eq!(plain(&lab), "HIT me Bearer by-p256-1");
    assert_eq!(lab.transport.token_requests(), 1);
    registered.register("other");
    for _ in 0..2 {
        lab.advance(4000);
        assert_eq!(plain(&lab), "MISS 502 RequestRefused");
    }
    let seen = lab.transport.seen.lock().unwrap();
    let forms = seen.iter().filter_map(|seen| seen.form.as_deref());
    let mut ids: Vec<_> = forms.map(|form| part(form, 1)["jti"].to_string()).collect();
    assert_eq!(ids.len(), 3);
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[test]
fn a_new_key_in_the_file_signs_the_next_assertion() {
    let (registered, lab) = Registered::lab("new-key", json!({KEY: "p256.jwk"}));
    assert_eq!(plain(&lab), "MISS me Bearer by-p256-1");
    registered.copy("p384.jwk", KEY);
    registered.register("p384-1");
    lab.advance(4000);
    assert_eq!(plain(&lab), "MISS me Bearer by-p384-1");
    assert_eq!(lab.transport.token_requests(), 2, "no failed request");
}

#[test]
fn a_key_that_changes_during_the_exchange_is_tried_once() {
    let (registered, lab) = Registered::lab("during", json!({KEY: "p256.jwk"}));
    registered.register("p384-1");
    let of_script = Arc::clone(&registered);
    let transport = ScriptedTransport::new(move |seen| {
        let response = of_script.answer(seen);
        if seen.form.is_some() {
            of_script.copy("p384.jwk", KEY);
        }
        response
    });
    let lab = Lab {
        gate: lab.gate,
        ..Lab::with("{}", transport)
    };
    assert_eq!(plain(&lab), "MISS me Bearer by-p384-1");
    assert_eq!(lab.transport.token_requests(), 2);
}

#[test]
fn the_last_usable_key_stays_in_use_while_its_files_are_being_replaced() {
    let config =
        json!({KEY: "rsa.pem", CERTIFICATE: "rsa.cert.pem", "client_assertion_kid": "p256-1"});
    let (registered, lab) = Registered::lab("replaced", config);
    for (key, certificate, algorithm, warning) in [
        (None, None, "RS256", None),
        (Some("p256.pem"), None, "RS256", Some("another key than")),
        (None, Some("p256.cert.pem"), "ES256", None),
        (Some("ed25519.pem"), Some("ed25519.cert.pem"), "EdDSA", None),
    ] {
        if let Some(key) = key {
            registered.copy(key, KEY);
        }
        if let Some(certificate) = certificate {
            registered.copy(certificate, CERTIFICATE);
        }
        lab.advance(4000);
        assert_eq!(plain(&lab), "MISS me Bearer by-p256-1");
        assert_eq!(header(&last_form(&lab))["alg"], algorithm);
        let record = lab
            .engine
            .next_record()
            .unwrap()
            .map(|record| (record.level, record.message));
        match warning {
            None => assert_eq!(record, None),
            Some(words) => {
                let (level, message) = record.unwrap();
                assert_eq!(level, Level::Warning);
                assert!(
                    message.starts_with("client_assertion_cert_file: /"),
                    "{message}"
                );
                assert!(
                    message.contains(words) && message.contains("stays in use"),
                    "{message}"
                );
            }
        }
    }
    registered.write(KEY, "s3cret");
    lab.advance(4000);
    assert_eq!(plain(&lab), "MISS me Bearer by-p256-1");
    let message = lab.engine.next_record().unwrap().unwrap().message;
    assert!(
        message.contains("neither a PEM private key") && !message.contains("s3cret"),
        "{message}"
    );
}

#[test]
fn an_expired_assertion_is_denied_with_a_clear_reason_until_it_is_renewed() {
    const FILE: &str = "client_assertion_file";
    let (registered, lab) = Registered::lab("expired", json!({FILE: "assertion.jwt"}));
    let jwt = |expires: u64| {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = part(json!({"alg": "ES256", "kid": "p256-1"}));
        format!("{header}.{}.c2lnbmF0dXJl\n", part(json!({"exp": expires})))
    };
    let now = lab.clock.wall().as_secs();
    registered.write(FILE, &jwt(now - 90));
    let Outcome::Deny(deny) = lab.blocking("") else {
        panic!("allowed")
    };
    assert_eq!(
        (deny.http_status(), deny.cause()),
        (503, Cause::EngineUnavailable)
    );
    let detail = deny.detail();
    assert!(detail.starts_with("client_assertion_file: /"), "{detail}");
    assert!(detail.contains("expired 90 s ago"), "{detail}");
    assert_eq!(lab.transport.token_requests(), 0);
    registered.write(FILE, &jwt(now + 60));
    assert_eq!(plain(&lab), "MISS me Bearer by-p256-1");
    let form = &last_form(&lab);
    assert_eq!(parameter(form, "client_id").as_deref(), Some("me"));
    assert_eq!(
        parameter(form, "client_assertion").as_deref(),
        Some(jwt(now + 60).trim_end())
    );
}

#[test]
fn the_own_key_proves_no_client_of_the_host() {
    let (_registered, lab) = Registered::lab("host", json!({KEY: "p256.jwk"}));
    let request = Request {
        credentials: Some((b"a", b"anything")),
        ..Request::default()
    };
    let outcome = lab
        .engine
        .authenticate_blocking(&lab.gate, &request)
        .unwrap();
    assert_eq!(show(&outcome), "MISS 502 RequestRefused");
    assert_eq!(lab.transport.token_requests(), 0);
}
