//! The provider's metadata: fetched when first needed, one fetch at a time, kept when a later fetch fails.

use super::{Issuer, endpoint};
use crate::cause::{Cause, Denial};
use crate::clock::Clock;
use crate::key::Fingerprint;
use crate::token::json_object;
use crate::transport::{Call, Fault, Transport};
use serde::Deserialize;
use std::collections::HashSet;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use url::Url;

/// How the client authenticates at the token endpoint (RFC 6749 section 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuthMethod {
    /// `client_secret_basic`
    Basic,
    /// `client_secret_post`
    Post,
}

/// What is needed of the provider's metadata.
#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) token_endpoint: Url,
    pub(crate) auth_method: AuthMethod,
}

/// One provider of an engine.
pub(crate) struct Provider {
    pub(crate) issuer: Issuer,
    state: Arc<Mutex<State>>,
    /// The gates for which the scope that is asked for where none is configured has been refused.
    without_default_scope: std::sync::Mutex<HashSet<Fingerprint>>,
}

#[derive(Default)]
struct State {
    /// The last good metadata, and until when it is fresh.
    metadata: Option<(Arc<Metadata>, Instant)>,
    /// The last failure, and until when nothing is tried.
    failure: Option<(Denial, Instant)>,
}

/// How long metadata is fresh.
const FRESH: Duration = Duration::from_secs(3600);
/// How long nothing is tried after a failure.
const BACK_OFF: Duration = Duration::from_secs(5);
/// The largest document that is read.
const MAX_DOCUMENT: usize = 1024 * 1024;

/// OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2. A member that stands twice is an error.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    token_endpoint: String,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

impl Provider {
    pub(crate) fn new(issuer: Issuer) -> Provider {
        Provider {
            issuer,
            state: Arc::default(),
            without_default_scope: std::sync::Mutex::default(),
        }
    }

    /// Whether the default scope is to be left out for this gate.
    pub(crate) fn leaves_out_default_scope(&self, gate: &Fingerprint) -> bool {
        let gates = self.without_default_scope.lock();
        gates.unwrap_or_else(PoisonError::into_inner).contains(gate)
    }

    /// Remembers that the provider has refused the default scope to this gate.
    pub(crate) fn leave_out_default_scope(&self, gate: Fingerprint) {
        let gates = self.without_default_scope.lock();
        gates.unwrap_or_else(PoisonError::into_inner).insert(gate);
    }

    /// The metadata, at once where it is fresh. Whoever comes while it is being fetched waits for that fetch, which
    /// goes on when the one who started it is gone.
    pub(crate) async fn metadata(
        &self,
        transport: &Arc<dyn Transport>,
        clock: &Arc<dyn Clock>,
        timeout: Duration,
    ) -> Result<Arc<Metadata>, Denial> {
        let mut state = Arc::clone(&self.state).lock_owned().await;
        let now = clock.now();
        if let Some((metadata, until)) = &state.metadata
            && now < *until
        {
            return Ok(Arc::clone(metadata));
        }
        if let Some((denial, until)) = &state.failure
            && now < *until
        {
            let seconds = (*until - now).as_secs_f64().ceil() as u32;
            return state
                .last_good()
                .ok_or_else(|| denial.clone().retry_after(seconds));
        }
        let (issuer, transport, clock) = (
            self.issuer.clone(),
            Arc::clone(transport),
            Arc::clone(clock),
        );
        let fetch = tokio::spawn(async move {
            let fetched = tokio::time::timeout(timeout, fetch(&issuer, &*transport)).await;
            match fetched.unwrap_or_else(|_| {
                Err(unavailable(
                    &issuer,
                    Cause::ProviderTimeout,
                    "no answer in time",
                ))
            }) {
                Ok(metadata) => {
                    let metadata = Arc::new(metadata);
                    *state = State {
                        metadata: Some((Arc::clone(&metadata), clock.now() + FRESH)),
                        failure: None,
                    };
                    Ok(metadata)
                }
                Err(denial) => {
                    state.failure = Some((denial.clone(), clock.now() + BACK_OFF));
                    state.last_good().ok_or(denial)
                }
            }
        });
        fetch.await.unwrap_or_else(|_| {
            Err(Denial::new(
                Cause::Internal,
                "the discovery task ended unexpectedly",
            ))
        })
    }
}

impl State {
    fn last_good(&self) -> Option<Arc<Metadata>> {
        self.metadata
            .as_ref()
            .map(|(metadata, _)| Arc::clone(metadata))
    }
}

async fn fetch(issuer: &Issuer, transport: &dyn Transport) -> Result<Metadata, Denial> {
    let call = Call {
        url: issuer.discovery.clone(),
        form: None,
        max_answer: MAX_DOCUMENT,
    };
    let reply = transport
        .send(&issuer.trust, call)
        .await
        .map_err(|fault| match fault {
            Fault::Unreachable(why) => unavailable(issuer, Cause::ProviderUnreachable, &why),
            Fault::Broken(why) => unavailable(issuer, Cause::ProviderFailed, &why),
            Fault::TooLong => {
                unavailable(issuer, Cause::ProviderAnswerInvalid, "longer than 1 MiB")
            }
        })?;
    match reply.status {
        200 => metadata(issuer, &reply.body),
        429 => Err(unavailable(issuer, Cause::ProviderBusy, "HTTP 429")),
        status @ 500..=599 => Err(unavailable(
            issuer,
            Cause::ProviderFailed,
            &format!("HTTP {status}"),
        )),
        status => Err(unavailable(
            issuer,
            Cause::ProviderAnswerInvalid,
            &format!("HTTP {status}"),
        )),
    }
}

fn metadata(issuer: &Issuer, body: &[u8]) -> Result<Metadata, Denial> {
    let invalid = |why: &str| unavailable(issuer, Cause::ProviderAnswerInvalid, why);
    let document: Document = json_object(body)
        .ok_or_else(|| invalid("not a JSON object with issuer and token_endpoint, each once"))?;
    // RFC 8414 section 3.3: identical, up to the trailing slash that a well-known URL does not tell.
    if document.issuer.trim_end_matches('/') != issuer.id {
        return Err(invalid("it names another issuer than the one configured"));
    }
    let token_endpoint =
        endpoint(&document.token_endpoint, issuer.allow_loopback_http).map_err(|_| {
            invalid("its token_endpoint is not an https URL without user name and fragment")
        })?;
    // Post has no encoding ambiguity; Basic is the default of both standards where nothing is listed.
    let auth_method = match document.token_endpoint_auth_methods_supported {
        Some(methods) if methods.iter().any(|method| method == "client_secret_post") => {
            AuthMethod::Post
        }
        _ => AuthMethod::Basic,
    };
    Ok(Metadata {
        token_endpoint,
        auth_method,
    })
}

fn unavailable(issuer: &Issuer, cause: Cause, why: &str) -> Denial {
    Denial::new(cause, format!("discovery at {}: {why}", issuer.discovery))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::manual::ManualClock;
    use crate::transport::Trust;
    use crate::transport::scripted::{ScriptedTransport, reply};
    use std::sync::atomic::{AtomicBool, Ordering};

    const DOCUMENT: &str =
        r#"{"issuer":"https://a.example/","token_endpoint":"https://a.example/token"}"#;

    fn issuer() -> Issuer {
        Issuer::parse("https://a.example", false, Trust::System).unwrap()
    }

    fn read(document: &str) -> Result<Metadata, Denial> {
        metadata(&issuer(), document.as_bytes())
    }

    #[test]
    fn the_auth_method_is_post_where_listed_and_else_basic() {
        assert_eq!(read(DOCUMENT).unwrap().auth_method, AuthMethod::Basic);
        for (methods, expect) in [
            (
                r#"["client_secret_basic","client_secret_post"]"#,
                AuthMethod::Post,
            ),
            (r#"["client_secret_basic"]"#, AuthMethod::Basic),
            (r#"["private_key_jwt"]"#, AuthMethod::Basic),
            ("null", AuthMethod::Basic),
        ] {
            let document = DOCUMENT.replace(
                "{\"issuer",
                &format!("{{\"token_endpoint_auth_methods_supported\":{methods},\"issuer"),
            );
            assert_eq!(read(&document).unwrap().auth_method, expect, "{methods}");
        }
    }

    #[test]
    fn a35_a_document_of_another_issuer_is_refused() {
        for other in [
            "https://b.example/",
            "http://a.example",
            "https://a.example/t",
            "https://a.example:443",
            "https://A.example",
            "",
        ] {
            let denial =
                read(&DOCUMENT.replace("https://a.example/\"", &format!("{other}\""))).unwrap_err();
            assert_eq!(denial.cause, Cause::ProviderAnswerInvalid, "{other}");
        }
    }

    #[test]
    fn a33_a34_a_document_that_must_not_be_used_is_refused() {
        for document in [
            "null",
            "[]",
            r#"["https://a.example/","https://a.example/token",null]"#,
            "{}",
            r#"{"issuer":"https://a.example"}"#,
            r#"{"issuer":"https://a.example","issuer":"https://a.example","token_endpoint":"https://a.example/token"}"#,
            r#"{"issuer":"https://a.example","token_endpoint":"http://a.example/token"}"#,
            r#"{"issuer":"https://a.example","token_endpoint":"http://127.0.0.1/token"}"#,
            r#"{"issuer":"https://a.example","token_endpoint":"https://u@a.example/token"}"#,
            r#"{"issuer":"https://a.example","token_endpoint":"https://a.example/token#f"}"#,
        ] {
            assert_eq!(
                read(document).unwrap_err().cause,
                Cause::ProviderAnswerInvalid,
                "{document}"
            );
        }
    }

    #[tokio::test]
    async fn kong10_a_provider_that_was_down_is_found_again_and_a_later_failure_does_no_harm() {
        static UP: AtomicBool = AtomicBool::new(false);
        let scripted = Arc::new(ScriptedTransport::new(|_| {
            match UP.load(Ordering::Relaxed) {
                true => reply(200, DOCUMENT),
                false => Err(Fault::Unreachable("refused".to_owned())),
            }
        }));
        let manual = Arc::new(ManualClock::new());
        let (transport, clock): (Arc<dyn Transport>, Arc<dyn Clock>) =
            (scripted.clone(), manual.clone());
        let provider = Provider::new(issuer());
        let ask = || provider.metadata(&transport, &clock, Duration::from_secs(10));
        let fetches = || scripted.seen.lock().unwrap().len();

        assert_eq!(ask().await.unwrap_err().cause, Cause::ProviderUnreachable);
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

        UP.store(false, Ordering::Relaxed);
        manual.advance(FRESH);
        assert!(ask().await.is_ok(), "the last good document serves on");
        assert!(ask().await.is_ok());
        assert_eq!(fetches(), 3);
    }

    #[tokio::test]
    async fn concurrent_askers_share_one_fetch() {
        let scripted = Arc::new(ScriptedTransport::new(|_| reply(200, DOCUMENT)));
        let (transport, clock): (Arc<dyn Transport>, Arc<dyn Clock>) =
            (scripted.clone(), Arc::new(ManualClock::new()));
        let provider = Provider::new(issuer());
        let ask = || provider.metadata(&transport, &clock, Duration::from_secs(10));
        let (one, two, three) = tokio::join!(ask(), ask(), ask());
        assert!(one.is_ok() && two.is_ok() && three.is_ok());
        assert_eq!(scripted.seen.lock().unwrap().len(), 1);
    }
}
