//! A diagnosis of a configuration: the exchange of a first request, explained step by step for an operator.
//!
//! A check makes the exchange of a first request with the same code, over a [`Recorder`]; the findings explain the
//! recorded responses.

mod client_key;
mod configuration;
mod discovery;
mod finding;
mod introspection;
mod reach;
mod recorder;
mod refusal;
mod requirements;
mod says;
mod signature;
#[cfg(test)]
mod tests;
mod token;
mod token_request;

pub use finding::{Diagnosis, Finding, Step, Verdict};

use crate::cause::Denial;
use crate::env::Env;
use crate::error::{Error, ErrorKind};
use crate::gate::own::OwnClient;
use crate::gate::{Gate, Rules};
use crate::http::{HttpTransport, Transport};
use crate::key::ProcessKey;
use crate::provider::context::Exchange;
use crate::provider::exchange::Work;
use crate::provider::health::Parties;
use crate::provider::{Metadata, Provider};
use crate::sys::clock::SystemClock;
use crate::sys::secret::Secret;
use crate::token::Grant;
use configuration::configuration;
use recorder::{Asked, Page, Recorder, Seen};
use says::Hidden;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Names are resolved on a thread of its own.
const RESOLVERS: usize = 1;

impl Gate {
    /// Requests a token for this client, as a first request would, and explains each step. Uses no cache and keeps
    /// nothing. Blocks for at most about twice the gate's deadline: for a terminal, not for an event loop.
    ///
    /// A gate with a client of its own (`client_id`) is checked with that one if `client_id` and `client_secret` are empty.
    ///
    /// `args`: names and values of the arguments that come with each request (`token_post_args_host`,
    /// `token_post_args_client`); an empty value is omitted.
    ///
    /// The diagnosis contains neither the secret nor the token. The provider's own error text is among the facts:
    /// without control characters, bounded, and withheld if it contains a part of the secret.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::System`] if the system lacks a resource. A provider's failure is a finding, never an error.
    pub fn check(
        &self,
        client_id: &str,
        client_secret: &str,
        args: &[(&str, &str)],
    ) -> Result<Diagnosis, Error> {
        let transport = Arc::new(HttpTransport::new(1));
        self.check_over(transport, client_id, client_secret, args)
    }

    fn check_over(
        &self,
        transport: Arc<dyn Transport>,
        client_id: &str,
        client_secret: &str,
        args: &[(&str, &str)],
    ) -> Result<Diagnosis, Error> {
        let system = |message: String| Error::new(ErrorKind::System, message);
        let is_own = client_id.is_empty() && client_secret.is_empty();
        let own = self.rules.own.as_ref().filter(|_| is_own);
        // An unreadable secret is a finding of the token request.
        let own_secret = own.and_then(OwnClient::hidden);
        let client_id = own.map_or(client_id, |own| &own.id);
        let secret = own_secret.as_ref().map_or(client_secret, Secret::expose);
        let key = ProcessKey::random()
            .map_err(|error| system(format!("the system has no randomness: {error}")))?
            .client(&self.rules.fingerprint, client_id.as_bytes());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(RESOLVERS)
            .build()
            .map_err(|error| system(format!("cannot start the runtime: {error}")))?;
        let mut report = Diagnosis::default();
        let pair = own.is_none().then_some((client_id, client_secret));
        if let Some(work) = configuration(&mut report, &self.rules, pair, args) {
            let recorder = Arc::new(Recorder::new(transport, self.rules.request.auth));
            let env = Arc::new(Env::new(recorder.clone(), Arc::new(SystemClock)));
            let provider = Provider::new(self.rules.issuer.clone(), 1, Duration::ZERO);
            let exchange = Exchange {
                provider: &provider,
                rules: &self.rules,
                env: &env,
                key,
                parties: Parties {
                    client: key,
                    gate: key,
                    source: None,
                },
                patience: &|| None,
                traceparent: None,
            };
            let (result, brought, metadata) = runtime.block_on(async {
                let result = exchange.result(&work).await;
                let brought = match &result {
                    Ok(grant) if !self.rules.places.exchanges() => {
                        let token = Secret::new(grant.token());
                        exchange.run(&Work::Verify(token)).await.err()
                    }
                    _ => None,
                };
                // Known by now, or unavailable.
                let metadata = provider.metadata(&env).await;
                (result, brought, metadata.ok())
            });
            let token = result.as_ref().ok().map(Grant::token);
            let check = Check {
                rules: &self.rules,
                seen: recorder.take(),
                metadata,
                hidden: Hidden::new(client_id, secret, token),
                result,
                brought,
                secret,
                wall: env.clock.wall(),
            };
            check.explain(&mut report);
        }
        runtime.shutdown_timeout(Duration::from_millis(100));
        Ok(report)
    }
}

/// The recorded calls, to be explained.
struct Check<'c> {
    rules: &'c Rules,
    seen: Vec<Seen>,
    metadata: Option<Arc<Metadata>>,
    result: Result<Grant, Denial>,
    /// The denial of the same token, if the gate only verifies tokens that clients bring.
    brought: Option<Denial>,
    secret: &'c str,
    hidden: Hidden,
    /// The time since the Unix epoch.
    wall: Duration,
}

impl Check<'_> {
    /// Each step explains itself, and says whether there is a next one.
    fn explain(&self, report: &mut Diagnosis) {
        let _ = self.discovery(report)
            && self.token_request(report)
            && self.token(report)
            && self.introspection(report)
            && self.signature(report)
            && self.requirements(report);
        if let (Verdict::Ok, Err(denial)) = (report.verdict(), &self.result) {
            // No step explains it: its log line does.
            let message = finding::sentence(&denial.detail);
            let finding = Finding::error(Step::TokenRequest, denial.cause.name(), message).remedy(
                "Compare the settings with what the provider's documentation says of this grant.",
            );
            report.fail(Verdict::Misconfigured, finding);
        }
    }

    /// Requests for the metadata, or for keys.
    fn documents(&self, metadata: bool) -> impl Iterator<Item = &Seen> {
        let discovery = &self.rules.issuer.discovery;
        self.seen
            .iter()
            .filter(|seen| seen.asked.is_none() && !seen.introspects)
            .filter(move |seen| (seen.url == *discovery) == metadata)
    }

    fn token_requests(&self) -> impl Iterator<Item = (&Seen, &Asked)> {
        self.seen
            .iter()
            .filter_map(|seen| Some((seen, seen.asked.as_ref()?)))
    }

    /// The answer that holds a token.
    fn granted(&self) -> Option<(&Page, &Asked)> {
        let (seen, asked) = self.token_requests().last()?;
        match &seen.answer {
            Some(Ok(page)) if page.status == 200 => Some((page, asked)),
            _ => None,
        }
    }

    /// A claim or a member of an answer that knows the secret, fit to be shown.
    fn said(&self, value: &Value) -> String {
        self.hidden.but(says::value(value))
    }
}
