use super::context::Exchange;
use super::exchange::Work;
use super::health::Parties;
use super::*;
use crate::gate::connection::Connection;
use crate::gate::{Gate, Rules};
use crate::http::scripted::{ScriptedTransport, Seen, reply};
use crate::http::{Call, Fault, LIMIT_HEADERS, Obstacle, Response, ResponseFuture, Transport};
use crate::key::Key;
use crate::request::credentials::Credentials;
use crate::sys::clock::manual::ManualClock;
use crate::sys::secret::Secret;
use crate::token::Grant;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const GATE: &str = r#"{"issuer":"https://a.example","token_post_args_names":"audience","token_post_args_values":"https://example.com/"}"#;

fn document(methods: &str) -> String {
    format!(
        r#"{{"issuer":"https://a.example","token_endpoint":"https://a.example/token?tenant=x","token_endpoint_auth_methods_supported":{methods}}}"#
    )
}

/// A gate and a scripted provider, without an engine.
struct Bench {
    rules: Arc<Rules>,
    provider: Provider,
    env: Arc<Env>,
    clock: Arc<ManualClock>,
}

impl Bench {
    fn new(gate: &str, transport: Arc<dyn Transport>) -> Bench {
        let rules = Gate::from_json(gate).unwrap().rules;
        let clock = Arc::new(ManualClock::new());
        Bench {
            provider: Provider::for_test(rules.issuer.clone()),
            rules,
            env: Arc::new(Env::new(transport, clock.clone())),
            clock,
        }
    }

    async fn exchange(&self, id: &str, secret: &str) -> Result<Grant, Denial> {
        self.run(&Work::Exchange(Credentials {
            client_id: id.to_owned(),
            client_secret: Secret::new(secret),
            signer: None,
            args: Vec::new(),
        }))
        .await
    }

    async fn run(&self, work: &Work) -> Result<Grant, Denial> {
        let exchange = Exchange {
            provider: &self.provider,
            rules: &self.rules,
            env: &self.env,
            key: Key::for_test(1),
            parties: Parties::for_test(1),
            patience: &|| None,
            traceparent: None,
        };
        exchange.run(work).await
    }
}

/// Exchanges `id`/`secret` with a provider that lists `methods` and responds with `answer`; returns the request that
/// the token endpoint saw.
async fn run(
    gate: &str,
    methods: &'static str,
    id: &str,
    secret: &str,
    answer: impl Fn() -> Result<Response, Fault> + Send + Sync + 'static,
) -> (Result<Grant, Denial>, Option<Seen>) {
    let scripted = Arc::new(ScriptedTransport::new(move |seen| match seen.form {
        None => reply(200, &document(methods)),
        Some(_) => answer(),
    }));
    let granted = Bench::new(gate, scripted.clone())
        .exchange(id, secret)
        .await;
    let seen = scripted
        .seen
        .lock()
        .unwrap()
        .iter()
        .find(|seen| seen.form.is_some())
        .cloned();
    (granted, seen)
}

fn ok() -> Result<Response, Fault> {
    reply(
        200,
        r#"{"access_token":"t0ken","token_type":"Bearer","expires_in":3600}"#,
    )
}

async fn denial(answer: impl Fn() -> Result<Response, Fault> + Send + Sync + 'static) -> Denial {
    run(GATE, "[\"client_secret_post\"]", "id", "s3cret", answer)
        .await
        .0
        .unwrap_err()
}

#[tokio::test]
async fn the_token_request_is_the_grant_with_scope_and_arguments() {
    let (granted, seen) = run(GATE, "[\"client_secret_post\"]", "id", "s&c=r+t", ok).await;
    assert_eq!(granted.unwrap().authorization(), "Bearer t0ken");
    let seen = seen.unwrap();
    assert_eq!(
        seen.url, "https://a.example/token?tenant=x",
        "the endpoint's own query stays (RFC 6749 3.2)"
    );
    assert_eq!(
        seen.form.as_deref(),
        Some(
            "grant_type=client_credentials&scope=openid&audience=https%3A%2F%2Fexample.com%2F\
             &client_id=id&client_secret=s%26c%3Dr%2Bt"
        )
    );
    assert_eq!(seen.authorization, None);
}

#[tokio::test]
async fn an_empty_scope_list_sends_no_scope() {
    let gate = GATE.replace("{\"issuer", "{\"scopes\":[],\"issuer");
    let (_, seen) = run(&gate, "[\"client_secret_post\"]", "id", "s", ok).await;
    assert!(!seen.unwrap().form.unwrap().contains("scope"));
}

/// A provider that refuses `openid` for this grant, and two exchanges. Returns the scopes that the token endpoint saw,
/// and whether the second exchange was granted.
async fn scopes_seen(gate: &str) -> (Vec<bool>, bool) {
    let scripted = Arc::new(ScriptedTransport::new(|seen| match &seen.form {
        None => reply(200, &document("[\"client_secret_post\"]")),
        Some(form) if form.contains("scope=openid") => reply(400, r#"{"error":"invalid_scope"}"#),
        Some(_) => ok(),
    }));
    let bench = Bench::new(gate, scripted.clone());
    let first = bench.exchange("id", "s").await;
    let second = bench.exchange("id", "s").await;
    assert_eq!(first.is_ok(), second.is_ok());
    let seen = scripted.seen.lock().unwrap();
    let scopes = seen
        .iter()
        .filter_map(|seen| seen.form.as_ref())
        .map(|form| form.contains("scope="))
        .collect();
    (scopes, second.is_ok())
}

#[tokio::test]
async fn a_refused_default_scope_is_omitted_from_then_on() {
    assert_eq!(scopes_seen(GATE).await, (vec![true, false, false], true));
}

#[tokio::test]
async fn a_refused_configured_scope_is_still_sent() {
    let gate = GATE.replace("{\"issuer", "{\"scopes\":[\"openid\"],\"issuer");
    assert_eq!(scopes_seen(&gate).await, (vec![true, true], false));
}

#[tokio::test]
async fn basic_form_encodes_both_halves() {
    for (id, secret, expect) in [
        ("id", "secret", "id:secret"),
        ("a b", "%&+", "a+b:%25%26%2B"),
        ("a:b", "c:d", "a%3Ab:c%3Ad"),
        ("", "", ":"),
        // RFC 6749 appendix B
        (" %&+\u{a3}\u{20ac}", "x", "+%25%26%2B%C2%A3%E2%82%AC:x"),
    ] {
        let (_, seen) = run(GATE, "[\"client_secret_basic\"]", id, secret, ok).await;
        let seen = seen.unwrap();
        let header = seen.authorization.unwrap();
        let decoded = STANDARD
            .decode(header.strip_prefix("Basic ").unwrap())
            .unwrap();
        assert_eq!(String::from_utf8(decoded).unwrap(), expect);
        let form = seen.form.unwrap();
        assert!(
            !form.contains("client_id") && !form.contains("client_secret"),
            "{form}"
        );
    }
}

#[tokio::test]
async fn refusals_are_classified_by_status_then_by_error() {
    let body = |error: &str| format!(r#"{{"error":"{error}","error_description":"s3cret"}}"#);
    for (status, answer, cause) in [
        (401, body("invalid_client"), Cause::CredentialsRefused),
        (401, body("access_denied"), Cause::CredentialsRefused),
        (401, body("unauthorized_client"), Cause::CredentialsRefused),
        (401, "Unauthorized".to_owned(), Cause::CredentialsRefused),
        (403, String::new(), Cause::ProviderFailed),
        (403, " <!doctype html>".to_owned(), Cause::ProviderFailed),
        (403, body("Forbidden"), Cause::ProviderFailed),
        (400, body("invalid_client_id"), Cause::CredentialsRefused),
        (400, body("scope_invalid"), Cause::ClientForbidden),
        (403, body("access_denied"), Cause::ClientForbidden),
        (400, body("invalid_client"), Cause::CredentialsRefused),
        (400, body("unauthorized_client"), Cause::ClientForbidden),
        (400, body("invalid_scope"), Cause::ClientForbidden),
        (400, body("invalid_target"), Cause::ClientForbidden),
        (400, body("invalid_request"), Cause::RequestRefused),
        (400, body("unsupported_grant_type"), Cause::RequestRefused),
        (400, body("s3cret"), Cause::RequestRefused),
        (404, String::new(), Cause::RequestRefused),
        (429, body("too_many_requests"), Cause::ProviderBusy),
        (500, String::new(), Cause::ProviderFailed),
        (503, body("invalid_client"), Cause::ProviderFailed),
        (302, String::new(), Cause::ProviderResponseInvalid),
        (204, String::new(), Cause::ProviderResponseInvalid),
        (200, "s3cret".to_owned(), Cause::ProviderResponseInvalid),
    ] {
        let text = answer.clone();
        let denial = denial(move || reply(status, &text)).await;
        assert_eq!(denial.cause, cause, "{status} {answer}");
        assert!(!denial.detail.contains("s3cret"), "{}", denial.detail);
    }
}

#[tokio::test]
async fn a_refusal_shows_the_providers_own_word_unless_it_repeats_credentials() {
    let refused = |id: &'static str, secret: &'static str, error: &str| {
        let body = serde_json::json!({ "error": error }).to_string();
        async move {
            let methods = "[\"client_secret_post\"]";
            let (result, _) = run(GATE, methods, id, secret, move || reply(400, &body)).await;
            result.unwrap_err().detail.to_string()
        }
    };
    for word in ["tenant_disabled", "quirk"] {
        let detail = refused("alice", "Kanarie7Qz", word).await;
        assert!(detail.ends_with(&format!("HTTP 400 {word}")), "{detail}");
    }
    for (id, secret, word) in [
        // Not a word.
        ("alice", "Kanarie7Qz", "Out of cheese"),
        ("alice", "Kanarie7Qz", "UPPER"),
        ("alice", "Kanarie7Qz", "line\nfeed"),
        ("alice", "Kanarie7Qz", "digits_7"),
        ("alice", "Kanarie7Qz", ""),
        ("alice", "Kanarie7Qz", "_"),
        (
            "alice",
            "Kanarie7Qz",
            "a_word_of_more_than_forty_letters_is_not_a_word",
        ),
        // A part of the id or the secret, or one of them in it.
        ("alice", "kanarie", "kanarie"),
        ("alice", "KANARIE", "no_kanarie_here"),
        ("alice", "kanarie_vogel_wellensittich", "kanarie_vogel"),
        (
            "alice",
            "kanarie_vogel_wellensittich",
            "no_kanarie_vogel_here",
        ),
        ("alice", "Kanarie7Qz", "unknown_alice"),
        ("unknown_alice", "Kanarie7Qz", "alice"),
    ] {
        let detail = refused(id, secret, word).await;
        assert!(
            detail.ends_with("HTTP 400 (an error of its own)"),
            "{detail}"
        );
    }
}

#[tokio::test]
async fn a_refusal_names_a_missing_service_account() {
    let body = r#"{"error":"unauthorized_client","error_description":"Client not enabled to retrieve service account"}"#;
    let denial = denial(move || reply(401, body)).await;
    assert_eq!(denial.cause, Cause::CredentialsRefused);
    let expected = "HTTP 401 unauthorized_client (the client has no service account)";
    assert!(denial.detail.ends_with(expected), "{}", denial.detail);
}

/// The detail of a token that no key of the provider verifies, with this header.
async fn unverified(header: serde_json::Value) -> String {
    let signer = crate::token::tests::es256();
    let token = signer.token(&header, &serde_json::json!({"iss": "https://a.example"}));
    let answer = serde_json::json!({"access_token": token, "token_type": "Bearer"}).to_string();
    let document = document("null").replacen('{', r#"{"jwks_uri":"https://a.example/keys","#, 1);
    let scripted = ScriptedTransport::new(move |seen| match seen.form {
        None if seen.url.ends_with("/keys") => reply(200, r#"{"keys":[]}"#),
        None => reply(200, &document),
        Some(_) => reply(200, &answer),
    });
    let bench = Bench::new(GATE, Arc::new(scripted));
    // Newer keys are not fetched at once.
    let passing = async {
        loop {
            bench.clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    };
    let denial = tokio::select! {
        result = bench.exchange("alice", "Kanarie7Qz") => result.unwrap_err(),
        () = passing => unreachable!(),
    };
    assert_eq!(denial.cause, Cause::TokenUnverifiable);
    denial.detail.to_string()
}

#[tokio::test]
async fn an_unverified_token_is_named_by_key_id_and_algorithm() {
    use serde_json::json;
    for (header, expected) in [
        (
            json!({"alg": "ES256", "kid": "k1_-.A"}),
            "its key is not among the provider's keys; kid k1_-.A, alg ES256",
        ),
        (
            json!({"alg": "HS256"}),
            "its algorithm is not allowed; no kid, alg HS256",
        ),
        (
            json!({"alg": "ES256", "kid": "k\n[emerg] forged"}),
            "; kid not shown, alg ES256",
        ),
        (
            json!({"alg": "ES256", "kid": "k".repeat(200)}),
            "; kid not shown, alg ES256",
        ),
        (
            json!({"alg": "ES256", "kid": "Kanarie7Qz"}),
            "; kid not shown, alg ES256",
        ),
        (json!({"alg": 7, "kid": 7}), "it is malformed"),
    ] {
        let detail = unverified(header).await;
        assert!(detail.ends_with(expected), "{detail}");
    }
}

#[tokio::test]
async fn retry_after_is_passed_on_within_bounds() {
    for (retry_after, expect) in [
        (Some("30"), 30),
        (Some("0"), 1),
        (Some("4000000"), 3600),
        (Some("99999999999999999999"), 3600),
        // The clock stands at 2023-11-14T22:13:20Z.
        (Some("Tue, 14 Nov 2023 22:14:00 GMT"), 40),
        (Some("Tue, 14 Nov 2023 22:00:00 GMT"), 1),
        (Some("soon"), 5),
        (Some("-1"), 5),
        (None, 5),
    ] {
        let answer = move || {
            let busy = reply(429, "");
            busy.map(|busy| Response {
                retry_after: retry_after.map(str::to_owned),
                ..busy
            })
        };
        assert_eq!(denial(answer).await.retry_after, Some(expect));
    }
}

#[tokio::test]
async fn end_of_an_exhausted_rate_limit_is_a_retry_after() {
    // The clock stands at 1700000000.
    for (status, retry_after, remaining, reset, expect) in [
        (429, None, "0", "1700000042", Some(42)),
        (429, Some("7"), "0", "1700000042", Some(7)),
        (429, None, "1", "1700000042", Some(5)),
        (429, None, "0", "1600000000", Some(5)),
        (429, None, "0", "1800000000", Some(3600)),
        (429, None, "0", "soon", Some(5)),
        (500, None, "0", "1700000042", Some(5)),
    ] {
        for prefix in ["x-rate-limit", "x-ratelimit"] {
            let limit = |name: &str, value: &str| {
                let name = format!("{prefix}-{name}");
                let known = LIMIT_HEADERS.into_iter().find(|known| *known == name);
                (known.unwrap(), value.to_owned())
            };
            let limits = vec![limit("remaining", remaining), limit("reset", reset)];
            let answer = move || {
                let limits = limits.clone();
                reply(status, "").map(|busy| Response {
                    retry_after: retry_after.map(str::to_owned),
                    limits,
                    ..busy
                })
            };
            assert_eq!(denial(answer).await.retry_after, expect, "{prefix} {reset}");
        }
    }
}

#[tokio::test]
async fn transport_faults_are_never_refusals() {
    for (fault, cause) in [
        (
            Fault::Unreachable(Obstacle::Refused, "refused".to_owned()),
            Cause::ProviderUnreachable,
        ),
        (Fault::Broken("closed".to_owned()), Cause::ProviderFailed),
        (Fault::TooLong, Cause::ProviderResponseInvalid),
    ] {
        assert_eq!(denial(move || Err(fault.clone())).await.cause, cause);
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_provider_meets_the_deadline() {
    let scripted = Arc::new(ScriptedTransport::holding(|_| {
        reply(200, &document("null"))
    }));
    let bench = Bench::new(GATE, scripted.clone());
    let passing = async {
        while scripted.token_requests() == 0 {
            tokio::task::yield_now().await;
        }
        bench.clock.advance(bench.rules.timeout);
    };
    let (exchanged, ()) = tokio::join!(bench.exchange("id", "s"), passing);
    assert_eq!(exchanged.unwrap_err().cause, Cause::ProviderTimeout);
}

#[tokio::test]
async fn client_secret_jwt_sends_no_secret() {
    let gate = GATE.replace(
        "{\"issuer",
        "{\"token_endpoint_auth_method\":\"client_secret_jwt\",\"issuer",
    );
    let (granted, seen) = run(&gate, "null", "id", "s3cret", ok).await;
    assert!(granted.is_ok());
    let seen = seen.unwrap();
    let form = seen.form.unwrap();
    assert!(
        !form.contains("s3cret") && seen.authorization.is_none(),
        "{form}"
    );
    assert!(!form.contains("client_id="), "{form}");
    let jwt_bearer = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
    assert!(
        form.contains(&format!("client_assertion_type={jwt_bearer}")),
        "{form}"
    );
    assert!(form.contains("client_assertion=eyJ"), "{form}");
}

#[tokio::test]
async fn endpoints_and_headers_of_the_configuration_are_used() {
    let gate = r#"{"issuer":"https://a.example","using_pseudo_issuer":true,"token_endpoint":"https://b.example/t",
        "verify_signature":false,"token_headers":{"X-Key":"k"},"scopes":[]}"#;
    let (granted, seen) = run(gate, "null", "id", "s", ok).await;
    assert!(granted.is_ok());
    let seen = seen.unwrap();
    assert_eq!(
        (seen.url.as_str(), seen.headers),
        ("https://b.example/t", vec!["x-key: k".to_owned()])
    );
    assert!(
        seen.authorization.is_some(),
        "Basic is the default of the standards"
    );
}

const ENDPOINTS: &str = r#"{"issuer":"https://a.example","token_endpoint":"https://b.example/t","jwks_endpoint":"https://b.example/k"}"#;

/// A provider whose metadata is unavailable, and whose endpoints the gate names.
fn bench_of_endpoints(
    metadata: impl Fn() -> Result<Response, Fault> + Send + Sync + 'static,
) -> (Arc<ScriptedTransport>, Bench) {
    let scripted = Arc::new(ScriptedTransport::new(move |seen| match seen.form {
        None => metadata(),
        Some(_) => ok(),
    }));
    let bench = Bench::new(ENDPOINTS, scripted.clone());
    (scripted, bench)
}

fn unreachable() -> Result<Response, Fault> {
    Err(Fault::Unreachable(Obstacle::Refused, "refused".to_owned()))
}

fn urls(scripted: &ScriptedTransport) -> Vec<String> {
    let seen = scripted.seen.lock().unwrap();
    seen.iter().map(|seen| seen.url.clone()).collect()
}

#[tokio::test]
async fn configured_endpoints_serve_while_the_metadata_is_unavailable() {
    for metadata in [unreachable, || reply(503, ""), || reply(429, "")] {
        let (scripted, bench) = bench_of_endpoints(metadata);
        for id in ["alice", "bob"] {
            let granted = bench.exchange(id, "s3cret").await;
            assert_eq!(granted.unwrap().authorization(), "Bearer t0ken");
        }
        let discovery = "https://a.example/.well-known/openid-configuration";
        let token = "https://b.example/t";
        assert_eq!(urls(&scripted), [discovery, token, token], "fetched once");
        let record = bench.env.journal.next().unwrap().message;
        assert!(
            record.starts_with("https://a.example: metadata unavailable: discovery at "),
            "{record}"
        );
        assert!(bench.env.journal.next().is_none());
    }
}

/// Metadata never arrives; tokens do.
struct Silent;

impl Transport for Silent {
    fn send<'t>(&'t self, _: &'t Connection, call: Call) -> ResponseFuture<'t> {
        Box::pin(async move {
            match call.form {
                None => std::future::pending().await,
                Some(_) => ok(),
            }
        })
    }
}

#[tokio::test]
async fn configured_endpoints_serve_after_a_second_without_a_response_to_discovery() {
    let bench = Bench::new(ENDPOINTS, Arc::new(Silent));
    let clock = Arc::clone(&bench.clock);
    let waker = std::thread::spawn(move || clock.wake(Duration::from_secs(1)));
    let granted = bench.exchange("alice", "s3cret").await;
    assert_eq!(granted.unwrap().authorization(), "Bearer t0ken");
    waker.join().unwrap();
    assert!(
        bench.exchange("bob", "s3cret").await.is_ok(),
        "without a further wait"
    );
}

#[tokio::test]
async fn metadata_that_does_not_arrive_is_a_failure_with_its_address() {
    let bench = Bench::new(GATE, Arc::new(Silent));
    let clock = Arc::clone(&bench.clock);
    let waker = std::thread::spawn(move || clock.wake(Duration::from_secs(3)));
    let denial = bench.exchange("alice", "s3cret").await.unwrap_err();
    waker.join().unwrap();
    assert_eq!(denial.cause, Cause::ProviderTimeout);
    assert_eq!(
        &*denial.detail,
        "discovery at https://a.example/.well-known/openid-configuration: no response within 3s"
    );
    assert_eq!(bench.env.metrics.discovery.latency().count, 1);
    assert_eq!(bench.env.metrics.providers()["https://a.example"].failed, 1);
}

#[tokio::test]
async fn metadata_of_another_issuer_is_an_error_with_configured_endpoints_too() {
    let (_, bench) = bench_of_endpoints(|| reply(200, r#"{"issuer":"https://c.example"}"#));
    let denial = bench.exchange("alice", "s3cret").await.unwrap_err();
    assert_eq!(denial.cause, Cause::ProviderResponseInvalid);
}

#[tokio::test]
async fn one_configured_endpoint_does_not_replace_the_metadata() {
    for field in ["token_endpoint", "jwks_endpoint"] {
        let gate = format!(r#"{{"issuer":"https://a.example","{field}":"https://b.example/t"}}"#);
        let bench = Bench::new(&gate, Arc::new(ScriptedTransport::new(|_| unreachable())));
        let denial = bench.exchange("alice", "s3cret").await.unwrap_err();
        assert_eq!(denial.cause, Cause::ProviderUnreachable, "{field}");
    }
}
