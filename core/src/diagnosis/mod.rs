//! What a provider does with a configuration, step by step, in words: for whoever sets a gate up, or wonders why it
//! denies.
//!
//! A check makes the exchange that a first request would make, by the same code, over a [`Recorder`]: nothing is judged
//! twice, what has been seen is explained.

mod discovery;
mod finding;
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

use crate::cause::{Cause, Denial};
use crate::clock::SystemClock;
use crate::error::{Error, ErrorKind};
use crate::exchange::{Exchange, Work};
use crate::extract::{Presented, Room, Scratch, extract};
use crate::gate::{Gate, Rules};
use crate::key::MacKey;
use crate::provider::{Metadata, Provider};
use crate::request::Request;
use crate::token::Grant;
use crate::transport::{HttpTransport, Transport};
use crate::world::World;
use recorder::{Asked, Page, Recorder, Seen};
use says::Hidden;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Names are resolved on a thread of its own.
const RESOLVERS: usize = 1;

impl Gate {
    /// Asks the provider for a token of this client, as a first request would, and tells what happened at each step.
    /// Nothing is kept, and nothing is taken from a cache. Blocks, for no longer than about twice the gate's deadline:
    /// it is for a terminal, not for an event loop.
    ///
    /// What it answers holds neither the secret nor the token. Where the provider says something of a failure in its
    /// own words, they are among the facts: without control characters, in bounds, and not where they hold a part of
    /// the secret.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::System`] where the system refuses what is needed. What the provider does is never an error.
    pub fn check(&self, client_id: &str, client_secret: &str) -> Result<Diagnosis, Error> {
        self.check_over(Arc::new(HttpTransport::default()), client_id, client_secret)
    }

    fn check_over(
        &self,
        transport: Arc<dyn Transport>,
        client_id: &str,
        client_secret: &str,
    ) -> Result<Diagnosis, Error> {
        let system = |message: String| Error::new(ErrorKind::System, message);
        let key = MacKey::random()
            .map_err(|error| system(format!("the system has no randomness: {error}")))?
            .client(&self.rules.fingerprint, client_id.as_bytes());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(RESOLVERS)
            .build()
            .map_err(|error| system(format!("cannot start the runtime: {error}")))?;
        let mut report = Diagnosis::default();
        if let Some(work) = configuration(&mut report, &self.rules, client_id, client_secret) {
            let recorder = Arc::new(Recorder::new(transport));
            let world = Arc::new(World::new(recorder.clone(), Arc::new(SystemClock)));
            let provider = Provider::new(self.rules.issuer.clone(), 1);
            let exchange = Exchange {
                provider: &provider,
                rules: &self.rules,
                world: &world,
                key,
                quota: None,
            };
            let (result, metadata) = runtime.block_on(async {
                let result = exchange.run(&work, exchange.deadline()).await;
                // Known by now, or not to be had.
                let metadata = provider.metadata(&world, &self.rules).await;
                (result, metadata.ok())
            });
            let token = result.as_ref().ok().map(Grant::token);
            let check = Check {
                rules: &self.rules,
                seen: recorder.take(),
                metadata,
                hidden: Hidden::new(client_id, client_secret, token),
                result,
                secret: client_secret,
                wall: world.clock.wall(),
            };
            check.explain(&mut report);
        }
        runtime.shutdown_timeout(Duration::from_millis(100));
        Ok(report)
    }
}

/// What has happened, to be explained.
struct Check<'c> {
    rules: &'c Rules,
    seen: Vec<Seen>,
    metadata: Option<Arc<Metadata>>,
    result: Result<Grant, Denial>,
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
            && self.signature(report)
            && self.requirements(report);
        if let (Verdict::Ok, Err(denial)) = (report.verdict(), &self.result) {
            // No step has words of its own for it: its line for the log has.
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
            .filter(move |seen| seen.asked.is_none() && (seen.url == *discovery) == metadata)
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

    /// What the token is asked to be for, under either of its names.
    fn audience(&self) -> Option<&str> {
        self.argument("audience").or(self.argument("resource"))
    }

    /// A claim or a member of an answer that knows the secret, fit to be shown.
    fn said(&self, value: &Value) -> String {
        self.hidden.but(says::value(value))
    }

    /// An argument of the token request that is no secret of the operator's.
    fn argument(&self, wanted: &str) -> Option<&str> {
        let mut args = self.rules.request.args.iter();
        args.find_map(|(name, value)| (name == wanted).then_some(value.as_str()))
    }
}

/// What can be said before anybody is asked; `None` where nobody is to be asked.
fn configuration(
    report: &mut Diagnosis,
    rules: &Rules,
    client_id: &str,
    client_secret: &str,
) -> Option<Work> {
    const STEP: Step = Step::Configuration;
    let request = Request {
        credentials: Some((client_id.as_bytes(), client_secret.as_bytes())),
        args: &[],
        ..Request::default()
    };
    let mut room = Room::new();
    let mut scratch = Scratch::new(&mut room);
    let pair = match extract(&rules.places, &request, &mut scratch) {
        Ok(Presented::Pair(pair)) => pair,
        Ok(Presented::Token(_)) => return None,
        Err(cause) => {
            report.fail(Verdict::Misconfigured, no_credentials(cause));
            return None;
        }
    };
    for warning in &rules.warnings {
        let message = finding::sentence(warning);
        report.add(
            Finding::warning(STEP, "dangerous_setting", message)
                .remedy("Leave the setting out, unless you know that you need it."),
        );
    }
    if !(rules.places.header || rules.places.query || rules.places.body) {
        report.add(
            Finding::warning(
                STEP,
                "no_exchange",
                "auth_methods does not hold client_credentials: this gate exchanges no credentials, it only verifies \
                 tokens that clients bring. They are exchanged here all the same.",
            )
            .remedy("To have credentials exchanged, add \"client_credentials\" to auth_methods."),
        );
    }
    if !rules.allows_client(client_id.as_bytes()) {
        report.fail(
            Verdict::Misconfigured,
            Finding::error(
                STEP,
                "client_not_allowed",
                format!(
                    "clients_allowed lets no client {client_id} in: the provider is not even asked."
                ),
            )
            .remedy(
                "Add the client to clients_allowed, or leave that out to let every client try.",
            ),
        );
        return None;
    }
    if report.findings().is_empty() {
        let message = "The settings are well-formed, and none of them is dangerous.";
        report.add(Finding::notice(STEP, "well_formed", message));
    }
    Some(Work::Exchange(pair.credentials()))
}

fn no_credentials(cause: Cause) -> Finding {
    let message = match cause {
        Cause::EmptyCredential => "The client id or the secret is empty.",
        Cause::TooLong => "The client id and the secret are longer than 2,048 bytes together.",
        _ => {
            "The client id or the secret holds characters that none can have: they are printable ASCII (RFC 6749, \
             appendix A)."
        }
    };
    Finding::error(Step::Configuration, cause.name(), message).remedy(
        "Copy both from the provider's own page again; a quotation mark, a line end or a space that came along is the \
         usual reason.",
    )
}
