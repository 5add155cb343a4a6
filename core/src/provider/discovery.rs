//! The provider's metadata: OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2.

use super::document::Fetched;
use super::quote;
use super::refusal::{late, with_retry_after};
use crate::cause::{Cause, Denial};
use crate::config::TokenAuth;
use crate::env::Env;
use crate::gate::issuer::{Issuer, endpoint};
use crate::http::{Call, Fault, Response};
use crate::journal::Level;
use crate::token::json_object;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::time::{Duration, Instant};
use url::Url;

/// The parts of the provider's metadata that the library uses.
#[derive(Debug)]
pub(crate) struct Metadata {
    /// Exactly as the provider writes it, and as its tokens have it in `iss`.
    pub(crate) issuer: String,
    /// `None` if the metadata has none, which is valid for gates that do not exchange.
    pub(crate) token_endpoint: Option<Url>,
    /// The error is a URL that must not be used, which concerns only gates that introspect.
    pub(crate) introspection_endpoint: Option<Result<Url, String>>,
    pub(crate) auth: TokenAuth,
    /// The method to try if the provider does not accept a client with `auth`: it lists both, and binds each client to one.
    pub(crate) other_auth: Option<TokenAuth>,
    /// The addresses of the keys.
    pub(crate) jwks: Vec<Url>,
}

/// The maximum size of a document, in bytes.
const MAX_DOCUMENT: usize = 1024 * 1024;
/// The maximum duration of a fetch. Nobody waits for it who has a document.
pub(super) const FETCH_TIMEOUT: Duration = Duration::from_secs(3);
/// The time for which a first request waits for metadata that it does not need.
const PATIENCE: Duration = Duration::from_secs(1);

/// A repeated member is an error.
#[derive(Deserialize)]
struct Document<'d> {
    issuer: String,
    token_endpoint: Option<String>,
    introspection_endpoint: Option<Value>,
    jwks_uri: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Read for connections with a certificate only.
    #[serde(borrow)]
    mtls_endpoint_aliases: Option<&'d RawValue>,
}

/// Endpoints for connections with a certificate (RFC 8705 section 5).
#[derive(Default, Deserialize)]
struct Aliases {
    token_endpoint: Option<String>,
}

impl Document<'_> {
    fn aliases(&self) -> Result<Aliases, Flaw> {
        match self.mtls_endpoint_aliases {
            Some(raw) => json_object(raw.get().as_bytes()).ok_or(Flaw::NoMetadata),
            None => Ok(Aliases::default()),
        }
    }
}

impl Metadata {
    /// The metadata of an issuer without discovery.
    pub(super) fn of_pseudo_issuer(issuer: &Issuer) -> Metadata {
        Metadata {
            issuer: issuer.configured.clone(),
            token_endpoint: issuer.token_endpoint.clone(),
            introspection_endpoint: issuer.introspection_endpoint.clone().map(Ok),
            auth: TokenAuth::ClientSecretBasic,
            other_auth: None,
            jwks: places_of_keys(issuer, None),
        }
    }

    /// In place of metadata that is unavailable: the configured endpoints, and both ways to authenticate with a secret.
    fn of_configured_endpoints(issuer: &Issuer) -> Metadata {
        let is_identifier = issuer.configured.trim_end_matches('/') == issuer.id;
        let named = if is_identifier {
            &issuer.configured
        } else {
            &issuer.id
        };
        Metadata {
            issuer: named.clone(),
            other_auth: Some(TokenAuth::ClientSecretPost),
            ..Metadata::of_pseudo_issuer(issuer)
        }
    }
}

pub(super) async fn fetch(issuer: &Issuer, env: &Env) -> Result<Fetched<Metadata>, Denial> {
    fetch_within(FETCH_TIMEOUT, issuer, env).await
}

async fn fetch_within(
    timeout: Duration,
    issuer: &Issuer,
    env: &Env,
) -> Result<Fetched<Metadata>, Denial> {
    let what = format!("discovery at {}", issuer.discovery);
    let read = |body: &[u8]| read(issuer, body).map_err(|flaw| flaw.why(issuer).to_string());
    let started = env.clock.now();
    let deadline = started + timeout;
    let fetched = fetch_document(issuer, &issuer.discovery, &what, env, deadline, read).await;
    env.metrics.discovery.observe(env.clock.now() - started);
    fetched
}

/// The same, for an issuer whose endpoints are configured ([`Issuer::has_endpoints`]): while its metadata is unavailable, it
/// needs none. The usual reason is a public issuer that this host does not reach.
pub(super) async fn fetch_unless_unavailable(
    issuer: &Issuer,
    env: &Env,
) -> Result<Fetched<Metadata>, Denial> {
    let denial = match fetch_within(PATIENCE, issuer, env).await {
        Err(denial) if is_unavailability(denial.cause) => denial,
        fetched => return fetched,
    };
    let message = format!(
        "{}: metadata unavailable: {}; token_endpoint and jwks_endpoint are used without it",
        issuer.id, denial.detail
    );
    env.journal.note(Level::Warning, message);
    Ok(Fetched {
        value: Metadata::of_configured_endpoints(issuer),
        max_age: Some(Duration::ZERO),
        is_substitute: true,
    })
}

/// Whether the provider may have valid metadata, which did not arrive.
fn is_unavailability(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::ProviderUnreachable
            | Cause::ProviderTimeout
            | Cause::ProviderFailed
            | Cause::ProviderBusy
    )
}

/// Fetches a document until a deadline. `what`: its name for log lines. `read` returns a log-safe phrase if the document is invalid.
pub(super) async fn fetch_document<T>(
    issuer: &Issuer,
    url: &Url,
    what: &str,
    env: &Env,
    deadline: Instant,
    read: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<Fetched<T>, Denial> {
    let headers = issuer.secret_headers.headers(&issuer.headers);
    let call = Call {
        url: url.clone(),
        form: None,
        headers: headers.map_err(Denial::unreadable)?,
        max_answer: MAX_DOCUMENT,
    };
    let began = env.clock.now();
    let sending = env.transport.send(&issuer.connection, call);
    let sent = env.within(deadline, sending).await;
    let sent = sent.ok_or_else(|| late(what, deadline.saturating_duration_since(began)))?;
    let reply = sent.map_err(|fault| unavailable(what, &fault))?;
    if reply.status != 200 {
        return Err(refused(what, &reply, env.clock.wall()));
    }
    let value = read(&reply.body)
        .map_err(|why| Denial::new(Cause::ProviderResponseInvalid, format!("{what}: {why}")))?;
    Ok(Fetched {
        value,
        max_age: reply.max_age,
        is_substitute: false,
    })
}

/// The denial for a call without a response.
fn unavailable(what: &str, fault: &Fault) -> Denial {
    let (cause, why) = match fault {
        Fault::Unreachable(_, why) => (Cause::ProviderUnreachable, why.as_str()),
        Fault::Broken(why) => (Cause::ProviderFailed, why.as_str()),
        Fault::TooLong => (Cause::ProviderResponseInvalid, "longer than 1 MiB"),
    };
    Denial::new(cause, format!("{what}: {why}"))
}

/// The denial for a status other than 200.
fn refused(what: &str, reply: &Response, wall: Duration) -> Denial {
    let cause = match reply.status {
        429 => Cause::ProviderBusy,
        500..=599 => Cause::ProviderFailed,
        _ => Cause::ProviderResponseInvalid,
    };
    let denial = Denial::new(cause, format!("{what}: HTTP {}", reply.status));
    with_retry_after(denial, reply, wall)
}

/// The reason why a document must not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flaw {
    NoMetadata,
    /// It names this issuer.
    OtherIssuer(String),
    /// It names this URL.
    TokenEndpoint(String),
    /// It names this URL.
    JwksUri(String),
}

impl Flaw {
    /// One log-safe phrase.
    pub(crate) fn why(&self, issuer: &Issuer) -> String {
        match self {
            Flaw::NoMetadata => {
                "not a JSON object with issuer and token_endpoint, each once".to_owned()
            }
            Flaw::OtherIssuer(named) => match quote::url(named) {
                Some(named) => format!("it names the issuer {named}, not {}", issuer.id),
                None => format!("it names another issuer than {}", issuer.id),
            },
            Flaw::TokenEndpoint(named) => insecure("token_endpoint", named),
            Flaw::JwksUri(named) => insecure("jwks_uri", named),
        }
    }
}

/// The reason why a URL of the metadata must not be used: one log-safe phrase.
pub(super) fn insecure(name: &str, named: &str) -> String {
    let quoted = quote::url(named).map(|url| format!(" {url}"));
    let quoted = quoted.unwrap_or_default();
    format!("its {name}{quoted} is not an https URL without user name and fragment")
}

pub(crate) fn read(issuer: &Issuer, body: &[u8]) -> Result<Metadata, Flaw> {
    let document: Document<'_> = json_object(body).ok_or(Flaw::NoMetadata)?;
    // RFC 8414 section 3.3: identical, up to the trailing slash, which a well-known URL does not show.
    if document.issuer.trim_end_matches('/') != issuer.id {
        return Err(Flaw::OtherIssuer(document.issuer));
    }
    let url = |text: &str, flaw: fn(String) -> Flaw| {
        endpoint(text, issuer.allow_loopback_http).map_err(|_| flaw(text.to_owned()))
    };
    let aliases = match issuer.connection.identity {
        Some(_) => document.aliases()?,
        None => Aliases::default(),
    };
    let discovered = aliases.token_endpoint.or(document.token_endpoint);
    let token_endpoint = match (&issuer.token_endpoint, &discovered) {
        (Some(configured), _) => Some(configured.clone()),
        (None, Some(text)) => Some(url(text, Flaw::TokenEndpoint)?),
        (None, None) => None,
    };
    let introspection_endpoint = match &issuer.introspection_endpoint {
        Some(configured) => Some(Ok(configured.clone())),
        None => document.introspection_endpoint.map(|named| {
            let named = named.as_str().unwrap_or_default();
            endpoint(named, issuer.allow_loopback_http).map_err(|_| named.to_owned())
        }),
    };
    let jwks_uri = document
        .jwks_uri
        .as_deref()
        .filter(|_| issuer.jwks_endpoint.is_none())
        .map(|text| url(text, Flaw::JwksUri))
        .transpose()?;
    // Post has no encoding ambiguity; Basic is the default of both standards if nothing is listed.
    let methods = document
        .token_endpoint_auth_methods_supported
        .unwrap_or_default();
    let lists = |wanted: &str| methods.iter().any(|method| method == wanted);
    let (auth, other_auth) = match (lists("client_secret_post"), lists("client_secret_basic")) {
        (true, true) => (
            TokenAuth::ClientSecretPost,
            Some(TokenAuth::ClientSecretBasic),
        ),
        (true, false) => (TokenAuth::ClientSecretPost, None),
        (false, _) => (TokenAuth::ClientSecretBasic, None),
    };
    Ok(Metadata {
        issuer: document.issuer,
        token_endpoint,
        introspection_endpoint,
        auth,
        other_auth,
        jwks: places_of_keys(issuer, jwks_uri),
    })
}

fn places_of_keys(issuer: &Issuer, discovered: Option<Url>) -> Vec<Url> {
    let first = issuer.jwks_endpoint.clone().or(discovered);
    first.into_iter().chain(issuer.extra_jwks.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gate;
    use crate::http::Obstacle;
    use crate::http::scripted::{ScriptedTransport, reply};
    use crate::provider::Provider;
    use crate::provider::document::{FRESH, MAX_AGE};
    use crate::sys::clock::manual::ManualClock;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    const DOCUMENT: &str =
        r#"{"issuer":"https://a.example/","token_endpoint":"https://a.example/token"}"#;

    fn gate() -> Gate {
        Gate::from_json(r#"{"issuer":"https://a.example"}"#).unwrap()
    }

    fn issuer() -> Issuer {
        gate().rules.issuer.clone()
    }

    fn read(document: &str) -> Result<Metadata, Flaw> {
        super::read(&issuer(), document.as_bytes())
    }

    #[test]
    fn a_connection_with_a_certificate_uses_the_endpoint_for_it() {
        let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/keys/");
        let issuer = |own: &str| {
            let gate = format!(
                r#"{{"issuer":"https://a.example","tls_client_auth_cert":"{keys}rsa.cert.pem",
                    "tls_client_auth_key":"{keys}rsa.pem"{own}}}"#
            );
            Gate::from_json(&gate).unwrap().rules.issuer.clone()
        };
        let document = |aliases: &str| {
            DOCUMENT.replace('}', &format!(r#","mtls_endpoint_aliases":{aliases}}}"#))
        };
        let endpoint = |issuer: &Issuer, aliases: &str| {
            let metadata = super::read(issuer, document(aliases).as_bytes())?;
            Ok(metadata.token_endpoint.unwrap().to_string())
        };
        let own = |url: &str| Ok(url.to_owned());
        let aliases = r#"{"token_endpoint":"https://mtls.a.example/token"}"#;
        let plain = self::issuer();
        for (issuer, aliases, expect) in [
            (&issuer(""), aliases, own("https://mtls.a.example/token")),
            (&issuer(""), "{}", own("https://a.example/token")),
            (&plain, aliases, own("https://a.example/token")),
            (&plain, "7", own("https://a.example/token")),
            (
                &issuer(r#","token_endpoint":"https://b.example/token""#),
                aliases,
                own("https://b.example/token"),
            ),
            (
                &issuer(""),
                r#"{"token_endpoint":"http://mtls.a.example/"}"#,
                Err(Flaw::TokenEndpoint("http://mtls.a.example/".to_owned())),
            ),
            (&issuer(""), "7", Err(Flaw::NoMetadata)),
        ] {
            assert_eq!(endpoint(issuer, aliases), expect, "{aliases}");
        }
    }

    #[test]
    fn the_auth_method_is_post_if_listed_otherwise_basic() {
        assert_eq!(read(DOCUMENT).unwrap().auth, TokenAuth::ClientSecretBasic);
        for (methods, expect) in [
            (
                r#"["client_secret_basic","client_secret_post"]"#,
                TokenAuth::ClientSecretPost,
            ),
            (r#"["client_secret_basic"]"#, TokenAuth::ClientSecretBasic),
            (r#"["private_key_jwt"]"#, TokenAuth::ClientSecretBasic),
            ("null", TokenAuth::ClientSecretBasic),
        ] {
            let document = DOCUMENT.replace(
                "{\"issuer",
                &format!("{{\"token_endpoint_auth_methods_supported\":{methods},\"issuer"),
            );
            assert_eq!(read(&document).unwrap().auth, expect, "{methods}");
        }
    }

    #[test]
    fn metadata_of_another_issuer_is_refused() {
        for other in [
            "https://b.example/",
            "http://a.example",
            "https://a.example/t",
            "https://a.example:443",
            "https://A.example",
            "",
        ] {
            let document = DOCUMENT.replace("https://a.example/\"", &format!("{other}\""));
            assert!(read(&document).is_err(), "{other}");
        }
    }

    #[tokio::test]
    async fn the_log_line_names_the_issuer_and_the_endpoint_that_the_metadata_names() {
        let detail = |name: &str, value: &str| {
            let mut document: serde_json::Value = serde_json::from_str(DOCUMENT).unwrap();
            document[name] = value.into();
            let scripted = ScriptedTransport::new(move |_| reply(200, &document.to_string()));
            let env = Env::new(Arc::new(scripted), Arc::new(ManualClock::new()));
            async move { fetch(&issuer(), &env).await.err().unwrap().detail }
        };
        for (name, value, expected) in [
            (
                "issuer",
                "http://a.example:8080/realms/r",
                "it names the issuer http://a.example:8080/realms/r, not https://a.example",
            ),
            (
                "token_endpoint",
                "http://a.example/token",
                "its token_endpoint http://a.example/token is not an https URL without user name and fragment",
            ),
            (
                "jwks_uri",
                "http://a.example/keys",
                "its jwks_uri http://a.example/keys is not an https URL without user name and fragment",
            ),
        ] {
            let detail = detail(name, value).await;
            assert!(detail.ends_with(expected), "{detail}");
        }
        let long = format!("https://{}", "a".repeat(300));
        for other in [
            "",
            "nobody",
            "https://user:pass@b.example",
            "https://b.example/?token=x",
            "https://b.example/\n[emerg] forged",
            "https://b.example/\u{1b}[2J",
            "javascript:alert(1)",
            &long,
        ] {
            let detail = detail("issuer", other).await;
            assert!(
                detail.ends_with(": it names another issuer than https://a.example"),
                "{detail}"
            );
        }
    }

    #[test]
    fn invalid_metadata_is_refused() {
        for document in [
            "null",
            "[]",
            r#"["https://a.example/","https://a.example/token",null]"#,
            "{}",
            r#"{"issuer":"https://a.example","issuer":"https://a.example","token_endpoint":"https://a.example/token"}"#,
            r#"{"issuer":"https://a.example","token_endpoint":"http://a.example/token"}"#,
            r#"{"issuer":"https://a.example","token_endpoint":"http://127.0.0.1/token"}"#,
            r#"{"issuer":"https://a.example","token_endpoint":"https://u@a.example/token"}"#,
            r#"{"issuer":"https://a.example","token_endpoint":"https://a.example/token#f"}"#,
        ] {
            assert!(read(document).is_err(), "{document}");
        }
    }

    #[tokio::test]
    async fn metadata_recovers_after_an_outage_and_survives_later_failures() {
        static UP: AtomicBool = AtomicBool::new(false);
        let scripted = Arc::new(ScriptedTransport::new(|_| {
            match UP.load(Ordering::Relaxed) {
                true => reply(200, DOCUMENT),
                false => Err(Fault::Unreachable(Obstacle::Refused, "refused".to_owned())),
            }
        }));
        let manual = Arc::new(ManualClock::new());
        let env = Arc::new(Env::new(scripted.clone(), manual.clone()));
        let provider = Provider::for_test(issuer());
        let ask = || provider.metadata(&env);
        let fetches = || scripted.seen.lock().unwrap().len();

        let record = || env.journal.next().map(|record| record.message);
        assert_eq!(ask().await.unwrap_err().cause, Cause::ProviderUnreachable);
        assert_eq!(
            record().unwrap(),
            "https://a.example: metadata unavailable: discovery at \
             https://a.example/.well-known/openid-configuration: refused"
        );
        manual.advance(Duration::from_millis(1500));
        let denial = ask().await.unwrap_err();
        assert_eq!(
            (denial.retry_after, fetches()),
            (Some(4), 1),
            "within the window nothing is tried"
        );

        UP.store(true, Ordering::Relaxed);
        manual.advance(Duration::from_millis(3500));
        assert!(ask().await.is_ok());
        assert!(ask().await.is_ok());
        assert_eq!(fetches(), 2);
        assert_eq!(
            record().unwrap(),
            "https://a.example: metadata available again"
        );

        UP.store(false, Ordering::Relaxed);
        manual.advance(FRESH);
        assert!(ask().await.is_ok(), "the last good document serves on");
        while fetches() < 3 {
            tokio::task::yield_now().await;
        }
        assert!(ask().await.is_ok());
        assert!(
            record()
                .unwrap()
                .ends_with(": refused; the last response is used for 24 hours at most")
        );
        manual.advance(MAX_AGE);
        assert!(ask().await.is_err(), "no longer than a day");
        assert_eq!(record(), None, "an outage is logged once");
    }

    #[tokio::test]
    async fn concurrent_callers_share_one_fetch() {
        let scripted = Arc::new(ScriptedTransport::new(|_| reply(200, DOCUMENT)));
        let env = Arc::new(Env::new(scripted.clone(), Arc::new(ManualClock::new())));
        let provider = Provider::for_test(issuer());
        let ask = || provider.metadata(&env);
        let (one, two, three) = tokio::join!(ask(), ask(), ask());
        assert!(one.is_ok() && two.is_ok() && three.is_ok());
        assert_eq!(scripted.seen.lock().unwrap().len(), 1);
    }
}
