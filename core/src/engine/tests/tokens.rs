//! Tokens that are JWTs: their signatures, their claims, and gates that share them.

use super::*;
use crate::token::tests::{Signer, es256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::sync::RwLock;

/// A provider that signs its tokens, with changeable keys and claims.
pub(super) struct Signing {
    signer: RwLock<(String, Signer)>,
    /// The keys at `jwks_uri`.
    published: RwLock<Value>,
    /// The keys at an address for `extra_jwks_uris`.
    further: RwLock<Value>,
    claims: RwLock<Value>,
}

const META: &str = r#"{"issuer":"https://a.example/","token_endpoint":"https://a.example/token","jwks_uri":"https://a.example/jwks"}"#;
/// The start of the clock, in seconds since the Unix epoch.
const NOW: u64 = 1_700_000_000;

impl Signing {
    fn lab(config: &str) -> (Arc<Signing>, Lab) {
        let (signing, transport) = Signing::transport();
        (signing, Lab::with(config, transport))
    }

    pub(super) fn transport() -> (Arc<Signing>, ScriptedTransport) {
        let signing = Arc::new(Signing {
            signer: RwLock::new(("k1".to_owned(), es256())),
            published: RwLock::new(Value::Null),
            further: RwLock::new(json!({ "keys": [] })),
            claims: RwLock::new(json!({
                "iss": "https://a.example/", "exp": NOW + 3600, "azp": "alice", "aud": "api", "scope": "read",
            })),
        });
        signing.publish();
        let of_lab = Arc::clone(&signing);
        let transport = ScriptedTransport::new(move |seen| of_lab.answer(seen));
        (signing, transport)
    }

    pub(super) fn answer(&self, seen: &Seen) -> Result<Response, Fault> {
        match seen.url.as_str() {
            "https://a.example/jwks" => reply(200, &self.published.read().unwrap().to_string()),
            "https://b.example/jwks" => reply(200, &self.further.read().unwrap().to_string()),
            "https://a.example/token" => {
                let answer = json!({"access_token": self.token(), "token_type": "Bearer", "expires_in": 3600});
                reply(200, &answer.to_string())
            }
            _ => reply(200, META),
        }
    }

    /// A token signed with the present key.
    pub(super) fn token(&self) -> String {
        let (kid, signer) = &*self.signer.read().unwrap();
        signer.token(
            &json!({"alg": "ES256", "kid": kid}),
            &self.claims.read().unwrap(),
        )
    }

    pub(super) fn claim(&self, name: &str, value: Value) {
        self.claims.write().unwrap()[name] = value;
    }

    /// Signs with another key from now on.
    pub(super) fn rotate(&self, kid: &str) {
        *self.signer.write().unwrap() = (kid.to_owned(), es256());
    }

    fn publish(&self) {
        *self.published.write().unwrap() = self.keys();
    }

    /// The present key, as a key set.
    fn keys(&self) -> Value {
        let (kid, signer) = &*self.signer.read().unwrap();
        json!({ "keys": [signer.jwk(kid)] })
    }
}

pub(super) fn fetches(lab: &Lab, url: &str) -> usize {
    let seen = lab.transport.seen.lock().unwrap();
    seen.iter().filter(|seen| seen.url == url).count()
}

pub(super) fn ask(lab: &Lab, gate: &Gate, authorization: &str) -> Outcome {
    let request = Request {
        authorization: Some(authorization.as_bytes()),
        ..Request::default()
    };
    lab.engine.authenticate_blocking(gate, &request).unwrap()
}

pub(super) fn status_and_cause(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Allow(allow) => allow.cache_status().name().to_owned(),
        Outcome::Deny(deny) => format!("{} {:?}", deny.cache_status().name(), deny.cause()),
    }
}

const ALICE: &str = "Basic YWxpY2U6czNjcmV0";

#[test]
fn a_verified_token_is_served_and_its_verdict_cached() {
    let (_, lab) = Signing::lab("{}");
    assert_eq!(status_and_cause(&ask(&lab, &lab.gate, ALICE)), "MISS");
    for _ in 0..10 {
        assert_eq!(status_and_cause(&ask(&lab, &lab.gate, ALICE)), "HIT");
    }
    assert_eq!(fetches(&lab, "https://a.example/jwks"), 1);
}

#[test]
fn a_token_of_another_key_is_a_provider_fault_and_not_cached() {
    let (provider, lab) = Signing::lab("{}");
    provider.rotate("k1");
    let outcome = lab.waking(&[1000], || ask(&lab, &lab.gate, ALICE));
    assert_eq!(status_and_cause(&outcome), "MISS TokenUnverifiable");
    assert_eq!(lab.engine.metrics().unwrap().entries, 0);
}

#[test]
fn a_rotated_key_is_fetched_when_first_seen() {
    let (provider, lab) = Signing::lab(r#"{"cache_tokens":false}"#);
    assert_eq!(status_and_cause(&ask(&lab, &lab.gate, ALICE)), "MISS");
    provider.rotate("k2");
    provider.publish();
    lab.advance(30);
    assert_eq!(status_and_cause(&ask(&lab, &lab.gate, ALICE)), "MISS");
    assert_eq!(fetches(&lab, "https://a.example/jwks"), 2);
}

#[test]
fn extra_jwks_uris_are_keys_of_the_provider() {
    let (provider, lab) = Signing::lab(r#"{"extra_jwks_uris":["https://b.example/jwks"]}"#);
    assert_eq!(status_and_cause(&ask(&lab, &lab.gate, ALICE)), "MISS");
    provider.rotate("k2");
    provider.publish();
    std::mem::swap(
        &mut *provider.published.write().unwrap(),
        &mut *provider.further.write().unwrap(),
    );
    lab.engine.purge_all(None).unwrap();
    lab.advance(30);
    assert_eq!(status_and_cause(&ask(&lab, &lab.gate, ALICE)), "MISS");
    assert_eq!(fetches(&lab, "https://b.example/jwks"), 2);
    // If one address fails, the known keys stay.
    *provider.further.write().unwrap() = json!("<html>");
    provider.claim("exp", json!(NOW + 9000));
    lab.engine.purge(&lab.gate, Some("alice")).unwrap();
    lab.advance(3601);
    assert_eq!(status_and_cause(&ask(&lab, &lab.gate, ALICE)), "MISS");
    until("the keys are fetched again", || {
        fetches(&lab, "https://b.example/jwks") >= 3
    });
    lab.engine.purge(&lab.gate, Some("alice")).unwrap();
    assert_eq!(status_and_cause(&ask(&lab, &lab.gate, ALICE)), "MISS");
}

#[test]
fn a_key_of_one_issuer_does_not_sign_for_another() {
    let (provider, lab) = Signing::lab(
        r#"{"auth_methods":["bearer"],"issuers_allowed":["https://a.example/","https://b.example/"],
            "extra_jwks_uris":["https://b.example/jwks"],"extra_jwks_issuers":["https://b.example/"]}"#,
    );
    let ask_as = |issuer: &str| {
        provider.claim("iss", json!(issuer));
        let token = format!("Bearer {}", provider.token());
        status_and_cause(&ask(&lab, &lab.gate, &token))
    };
    assert_eq!(ask_as("https://a.example/"), "MISS");
    assert_eq!(ask_as("https://b.example/"), "MISS TokenInvalid");
    // The key of the other issuer.
    provider.rotate("k2");
    *provider.further.write().unwrap() = provider.keys();
    assert_eq!(ask_as("https://a.example/"), "MISS TokenInvalid");
    lab.advance(30);
    assert_eq!(ask_as("https://b.example/"), "MISS");
    assert_eq!(ask_as("https://a.example/"), "MISS TokenInvalid");
}

#[test]
fn keys_without_an_issuer_are_an_error_where_there_are_several() {
    let error = |config: &str| {
        let config = config.replacen('{', r#"{"issuer":"https://a.example","#, 1);
        Gate::from_json(&config)
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    let several = r#"{"issuers_allowed":["https://a.example/","https://b.example/"],"#;
    let keys = r#""extra_jwks_uris":["https://b.example/jwks"]"#;
    assert!(error(&format!("{several}{keys}}}")).starts_with("extra_jwks_issuers: is required"));
    for issuers in ["[\"https://b.example/\",\"x\"]", "[\"https://c.example/\"]"] {
        let config = format!(r#"{several}{keys},"extra_jwks_issuers":{issuers}}}"#);
        assert!(
            error(&config).starts_with("extra_jwks_issuers: "),
            "{config}"
        );
    }
}

#[test]
fn unknown_keys_cause_one_fetch_per_window() {
    let (provider, lab) = Signing::lab(r#"{"auth_methods":["bearer"]}"#);
    let good = format!("Bearer {}", provider.token());
    assert_eq!(status_and_cause(&ask(&lab, &lab.gate, &good)), "MISS");
    assert_eq!(fetches(&lab, "https://a.example/jwks"), 1);
    for number in 0..1000 {
        if number == 500 {
            lab.advance(30);
        }
        provider.rotate(&format!("unknown{number}"));
        let token = format!("Bearer {}", provider.token());
        assert_eq!(
            status_and_cause(&ask(&lab, &lab.gate, &token)),
            "MISS TokenInvalid"
        );
    }
    assert_eq!(
        fetches(&lab, "https://a.example/jwks"),
        2,
        "one fetch per window"
    );
}

#[test]
fn forged_tokens_of_clients_cause_no_fetch_of_keys() {
    let (provider, lab) = Signing::lab(r#"{"auth_methods":["bearer"]}"#);
    let good = format!("Bearer {}", provider.token());
    assert_eq!(status_and_cause(&ask(&lab, &lab.gate, &good)), "MISS");
    // Another key under the same id.
    provider.rotate("k1");
    for _ in 0..3 {
        lab.advance(30);
        let token = format!("Bearer {}", provider.token());
        let outcome = ask(&lab, &lab.gate, &token);
        assert_eq!(status_and_cause(&outcome), "MISS TokenInvalid");
        lab.settle();
    }
    assert_eq!(fetches(&lab, "https://a.example/jwks"), 1);
}

#[test]
fn unavailable_keys_are_fetched_again() {
    let (provider, lab) = Signing::lab("{}");
    *provider.published.write().unwrap() = json!("<html>");
    assert_eq!(
        status_and_cause(&ask(&lab, &lab.gate, ALICE)),
        "MISS ProviderResponseInvalid"
    );
    provider.publish();
    lab.advance(4);
    // The provider counts issued tokens, usable or not: another exchange must wait.
    assert_eq!(
        status_and_cause(&ask(&lab, &lab.gate, ALICE)),
        "NEGATIVE ProviderResponseInvalid"
    );
    assert_eq!(fetches(&lab, "https://a.example/jwks"), 1);
    assert_eq!(lab.transport.token_requests(), 1);
    lab.advance(1);
    assert_eq!(status_and_cause(&ask(&lab, &lab.gate, ALICE)), "MISS");
    assert_eq!(lab.transport.token_requests(), 2);
}

#[test]
fn claims_of_an_unverifiable_token_are_ignored() {
    let claims =
        json!({"iss": "https://a.example/", "exp": NOW + 3600, "azp": "alice", "scope": "read"});
    // The first part is no JSON object.
    let token = format!("W10.{}.x", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let lab = Lab::new(ScriptedTransport::new(move |seen| match seen.form {
        None => reply(200, META),
        Some(_) => reply(
            200,
            &json!({"access_token": token, "token_type": "Bearer", "expires_in": 3600}).to_string(),
        ),
    }));
    let required = gate(r#"{"scopes_required":["read"]}"#);
    let with_header = gate(r#"{"upstream_headers":[{"header":"x-client","path":["azp"]}]}"#);
    assert_eq!(
        status_and_cause(&ask(&lab, &required, ALICE)),
        "MISS TokenInsufficient"
    );
    let Outcome::Allow(allow) = ask(&lab, &with_header, ALICE) else {
        panic!("nothing is required")
    };
    assert_eq!(allow.headers().nth(1), Some(("x-client", None)));
    assert_eq!(allow.claim("azp"), None);
}

#[test]
fn claims_with_line_breaks_are_not_forwarded() {
    let (provider, lab) = Signing::lab(r#"{"auth_methods":["client_credentials","bearer"]}"#);
    let name = "alice\r\nX-Admin: 1";
    provider.claim("azp", json!(name));
    provider.claim("name", json!(name));
    provider.claim("groups", json!([name]));
    for credentials in [ALICE.to_owned(), format!("Bearer {}", provider.token())] {
        let outcome = ask(&lab, &lab.gate, &credentials);
        let Outcome::Allow(allow) = &outcome else {
            assert_eq!(
                status_and_cause(&outcome),
                "MISS TokenInvalid",
                "the token names no client"
            );
            continue;
        };
        assert_eq!(allow.claim("name"), None);
        let groups = allow.claim("groups").unwrap();
        assert_eq!(groups, r#"["alice\r\nX-Admin: 1"]"#);
    }
}

#[test]
fn gates_that_share_a_token_apply_their_own_policy_on_every_hit() {
    let (_, lab) = Signing::lab("{}");
    let strict = gate(r#"{"scopes_required":["write"]}"#);
    let lenient = gate(
        r#"{"scopes_required":["read"],"upstream_headers":[{"header":"x-client","path":["azp"]}]}"#,
    );
    assert_eq!(status_and_cause(&ask(&lab, &lab.gate, ALICE)), "MISS");
    for _ in 0..3 {
        assert_eq!(
            status_and_cause(&ask(&lab, &strict, ALICE)),
            "HIT TokenInsufficient"
        );
        let outcome = ask(&lab, &lenient, ALICE);
        let Outcome::Allow(allow) = &outcome else {
            panic!("{outcome:?}")
        };
        assert!(
            allow
                .headers()
                .any(|(name, value)| name == "x-client" && value.as_deref() == Some("alice"))
        );
        assert_eq!(allow.cache_status(), CacheStatus::Hit);
    }
    assert_eq!(
        lab.transport.token_requests(),
        1,
        "one token for all three gates"
    );
}

#[test]
fn gates_that_share_a_token_apply_their_own_retention() {
    let (_, lab) = Signing::lab("{}");
    let short = gate(r#"{"cache_ttl_max":10}"#);
    assert_eq!(status_and_cause(&ask(&lab, &lab.gate, ALICE)), "MISS");
    lab.advance(10);
    assert_eq!(status_and_cause(&ask(&lab, &lab.gate, ALICE)), "HIT");
    assert_eq!(status_and_cause(&ask(&lab, &short, ALICE)), "MISS");
}

#[test]
fn gates_with_and_without_verification_do_not_share() {
    let (provider, lab) = Signing::lab("{}");
    let blind = gate(r#"{"verify_signature":false}"#);
    provider.rotate("k1");
    assert_eq!(status_and_cause(&ask(&lab, &blind, ALICE)), "MISS");
    let outcome = lab.waking(&[1000], || ask(&lab, &lab.gate, ALICE));
    assert_eq!(status_and_cause(&outcome), "MISS TokenUnverifiable");
}

#[test]
fn exp_is_checked_on_every_hit() {
    let (provider, lab) = Signing::lab(r#"{"eagerly_expire":0,"refresh_ahead":1}"#);
    provider.claim("exp", json!(NOW + 100));
    assert_eq!(status_and_cause(&ask(&lab, &lab.gate, ALICE)), "MISS");
    lab.advance(50);
    assert_eq!(status_and_cause(&ask(&lab, &lab.gate, ALICE)), "HIT");
    // The wall clock is corrected, and the token has expired.
    lab.clock.step(3600);
    assert_eq!(
        status_and_cause(&ask(&lab, &lab.gate, ALICE)),
        "MISS TokenUnverifiable",
        "not served again"
    );
    lab.clock.step(-3600 - 86_400);
    lab.advance(50);
    provider.claim("exp", json!(NOW + 7200));
    assert_eq!(
        status_and_cause(&ask(&lab, &lab.gate, ALICE)),
        "MISS",
        "not served after a step back either: its lifetime is over"
    );
}

#[test]
fn a_client_can_present_its_own_token() {
    let (provider, lab) =
        Signing::lab(r#"{"auth_methods":["bearer"],"audience_required":["api"]}"#);
    let token = provider.token();
    let authorization = format!("Bearer {token}");
    let outcome = ask(&lab, &lab.gate, &authorization);
    let Outcome::Allow(allow) = &outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(allow.client_id(), Some("alice"));
    assert_eq!(allow.authorization(), Some(authorization.as_str()));
    assert_eq!(
        status_and_cause(&ask(&lab, &lab.gate, &authorization)),
        "HIT"
    );
    assert_eq!(lab.transport.token_requests(), 0);

    provider.claim("aud", json!("other"));
    let other = format!("Bearer {}", provider.token());
    assert_eq!(
        status_and_cause(&ask(&lab, &lab.gate, &other)),
        "MISS TokenInsufficient"
    );
    provider.claim("aud", json!("api"));
    for (claim, value, why) in [
        ("exp", json!(NOW - 1), "it has expired"),
        ("exp", json!("soon"), "exp"),
        ("nbf", json!(NOW + 60), "it is not valid yet (nbf)"),
        (
            "iss",
            json!("https://b.example/"),
            "its iss is not the provider's issuer",
        ),
    ] {
        let before = provider.claims.read().unwrap().clone();
        provider.claim(claim, value.clone());
        let token = format!("Bearer {}", provider.token());
        let outcome = ask(&lab, &lab.gate, &token);
        assert_eq!(
            status_and_cause(&outcome),
            "MISS TokenInvalid",
            "{claim} {value}"
        );
        let Outcome::Deny(deny) = &outcome else {
            panic!("{outcome:?}")
        };
        assert!(
            deny.detail().contains(why),
            "{claim} {value}: {}",
            deny.detail()
        );
        assert_eq!(
            status_and_cause(&ask(&lab, &lab.gate, &token)),
            "NEGATIVE TokenInvalid",
            "{claim} {value}"
        );
        *provider.claims.write().unwrap() = before;
    }
    provider
        .claims
        .write()
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove("exp");
    let endless = format!("Bearer {}", provider.token());
    assert_eq!(
        status_and_cause(&ask(&lab, &lab.gate, &endless)),
        "MISS TokenInvalid",
        "without exp"
    );
    assert_eq!(
        status_and_cause(&ask(&lab, &lab.gate, "Bearer opaque")),
        "MISS TokenInvalid"
    );
}

#[test]
fn a_clients_own_token_ends_at_its_exp_and_is_not_refreshed() {
    let (provider, lab) = Signing::lab(r#"{"auth_methods":["bearer"]}"#);
    provider.claim("exp", json!(NOW + 100));
    let token = format!("Bearer {}", provider.token());
    assert_eq!(status_and_cause(&ask(&lab, &lab.gate, &token)), "MISS");
    lab.advance(94);
    assert_eq!(status_and_cause(&ask(&lab, &lab.gate, &token)), "HIT");
    lab.advance(3);
    assert_eq!(
        status_and_cause(&ask(&lab, &lab.gate, &token)),
        "MISS",
        "verified again in its last seconds"
    );
    lab.advance(3);
    assert_eq!(
        status_and_cause(&ask(&lab, &lab.gate, &token)),
        "MISS TokenInvalid"
    );
    lab.settle();
    assert_eq!(lab.transport.token_requests(), 0);
}

#[test]
fn an_hmac_with_the_public_key_is_refused() {
    let (provider, lab) = Signing::lab(r#"{"auth_methods":["bearer"]}"#);
    let forged = {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let claims = provider.claims.read().unwrap().to_string();
        let header = json!({"alg": "HS256", "kid": "k1"}).to_string();
        let message = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let secret = provider.published.read().unwrap()["keys"][0]["x"]
            .as_str()
            .unwrap()
            .to_owned();
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
        let signature = aws_lc_rs::hmac::sign(&key, message.as_bytes());
        format!("Bearer {message}.{}", URL_SAFE_NO_PAD.encode(signature))
    };
    assert_eq!(
        status_and_cause(&ask(&lab, &lab.gate, &forged)),
        "MISS TokenInvalid"
    );
}

#[test]
fn preflight_and_anonymous_requests_pass_without_a_token() {
    let (_, lab) = Signing::lab(r#"{"run_on_preflight":false}"#);
    let request = Request {
        method: b"OPTIONS",
        authorization: Some(ALICE.as_bytes()),
        ..Request::default()
    };
    let outcome = lab
        .engine
        .authenticate_blocking(&lab.gate, &request)
        .unwrap();
    let Outcome::Allow(allow) = &outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        (allow.cache_status(), allow.authorization()),
        (CacheStatus::Preflight, None)
    );
    // The client's own credentials do not go upstream either.
    let headers: Vec<_> = allow.headers().collect();
    assert_eq!(headers, [("authorization", None)]);

    let anonymous =
        gate(r#"{"anonymous":true,"upstream_headers":[{"header":"x-client","path":["azp"]}]}"#);
    let request = Request {
        query: Some(b"x=1"),
        ..Request::default()
    };
    let outcome = lab
        .engine
        .authenticate_blocking(&anonymous, &request)
        .unwrap();
    let Outcome::Allow(allow) = &outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        (allow.cache_status(), allow.client_id()),
        (CacheStatus::Anonymous, None)
    );
    let headers: Vec<_> = allow.headers().collect();
    assert_eq!(
        headers,
        [("authorization", None), ("x-client", None)],
        "an anonymous client sets no header"
    );
    let malformed = Request {
        query: Some(b"client_id=a"),
        ..Request::default()
    };
    let outcome = lab
        .engine
        .authenticate_blocking(&anonymous, &malformed)
        .unwrap();
    assert_eq!(status_and_cause(&outcome), "NONE IncompletePair");
}

#[test]
fn a_client_outside_clients_allowed_causes_no_exchange() {
    let (_, lab) = Signing::lab(
        r#"{"clients_allowed":["bob"],"auth_methods":["client_credentials","bearer"]}"#,
    );
    assert_eq!(
        status_and_cause(&ask(&lab, &lab.gate, ALICE)),
        "NONE ClientNotAllowed"
    );
    assert_eq!(lab.transport.seen.lock().unwrap().len(), 0);
}

#[test]
fn metadata_is_fetched_again_after_the_token_endpoint_moved() {
    let moved = std::sync::atomic::AtomicBool::new(false);
    let moved = Arc::new(moved);
    let has_moved = Arc::clone(&moved);
    let lab = Lab::with(
        r#"{"cache_tokens":false}"#,
        ScriptedTransport::new(move |seen| {
            let is_moved = has_moved.load(std::sync::atomic::Ordering::SeqCst);
            match (seen.form.is_some(), seen.url.as_str(), is_moved) {
                (false, _, false) => reply(200, DOCUMENT),
                (false, _, true) => reply(200, &DOCUMENT.replace("/token\"", "/new\"")),
                (true, "https://a.example/new", _) | (true, _, false) => provider_token(),
                (true, _, true) => reply(404, ""),
            }
        }),
    );
    assert!(lab.pair("a", "s").starts_with("MISS a"));
    moved.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(
        lab.pair("a", "s"),
        "MISS 502 RequestRefused",
        "the metadata was fetched just now"
    );
    lab.advance(30);
    assert!(
        lab.pair("a", "s").starts_with("MISS a"),
        "the same request finds the new endpoint"
    );
}

fn provider_token() -> Result<Response, Fault> {
    reply(
        200,
        r#"{"access_token":"t","token_type":"Bearer","expires_in":60}"#,
    )
}

#[test]
fn an_untrusted_token_is_replaced_after_a_pause() {
    for (name, wrong, right) in [
        (
            "iss",
            json!("https://b.example/"),
            json!("https://a.example/"),
        ),
        ("nbf", json!(NOW + 3000), json!(NOW)),
        ("exp", json!("tomorrow"), json!(NOW + 3600)),
    ] {
        let (provider, lab) = Signing::lab("{}");
        let status = || status_and_cause(&ask(&lab, &lab.gate, ALICE));
        provider.claim(name, wrong);
        assert_eq!(status(), "MISS TokenUnverifiable", "{name}");
        provider.claim(name, right);
        lab.advance(4);
        assert_eq!(status(), "HIT TokenUnverifiable", "{name}");
        lab.advance(1);
        assert_eq!(status(), "MISS", "{name}");
        assert_eq!(lab.transport.token_requests(), 2);
    }
}

#[test]
fn a_token_without_a_required_claim_is_not_replaced() {
    let (provider, lab) = Signing::lab(r#"{"scopes_required":"write"}"#);
    for _ in 0..2 {
        ask(&lab, &lab.gate, ALICE);
        lab.advance(60);
    }
    provider.claim("scope", json!("write"));
    let outcome = ask(&lab, &lab.gate, ALICE);
    assert_eq!(status_and_cause(&outcome), "HIT TokenInsufficient");
    assert_eq!(lab.transport.token_requests(), 1);
}

#[test]
fn metadata_is_fetched_again_if_an_endpoint_is_missing_or_unreachable() {
    let old = DOCUMENT.replace("https://a.example/token", "https://old.example/token");
    for before in [old, r#"{"issuer":"https://a.example"}"#.to_owned()] {
        let is_mended = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let mended = Arc::clone(&is_mended);
        let lab = Lab::new(ScriptedTransport::new(move |seen| {
            if seen.url.starts_with("https://old.example") {
                return Err(Fault::Unreachable(Obstacle::Refused, "refused".to_owned()));
            }
            match &seen.form {
                None if !mended.load(std::sync::atomic::Ordering::SeqCst) => reply(200, &before),
                _ => provider(seen),
            }
        }));
        let metadata = || fetches(&lab, "https://a.example/.well-known/openid-configuration");
        assert!(lab.pair("a", "right").contains("502"));
        is_mended.store(true, std::sync::atomic::Ordering::SeqCst);
        lab.advance(29);
        assert!(lab.pair("a", "right").contains("502"));
        assert_eq!(metadata(), 1, "rediscovery_lifetime has not passed");
        lab.advance(1);
        assert!(lab.pair("a", "right").contains("502"));
        until("the metadata is fetched again", || metadata() > 1);
        until("the exchange succeeds", || {
            !lab.pair("a", "right").contains("502")
        });
        assert_eq!(metadata(), 2);
    }
}
