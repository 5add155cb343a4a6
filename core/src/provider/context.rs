//! The context of an exchange, and its requests to the provider's endpoints.

use super::Provider;
use super::health::{Parties, Verdict};
use super::patience::Patience;
use super::refusal::{late, unanswered};
use crate::cause::Denial;
use crate::env::Env;
use crate::gate::Rules;
use crate::http::{Call, Fault, Response};
use crate::key::Key;
use crate::token::Origin;
use reqwest::header::HeaderValue;
use std::sync::Arc;

/// The maximum size of a token response or an introspection response, in bytes.
pub(super) const MAX_ANSWER: usize = 64 * 1024;

/// The context of an exchange.
pub(crate) struct Exchange<'e> {
    pub(crate) provider: &'e Provider,
    pub(crate) rules: &'e Rules,
    pub(crate) env: &'e Arc<Env>,
    pub(crate) key: Key,
    pub(crate) parties: Parties,
    /// `None`: nobody waits for it any longer.
    pub(crate) patience: &'e (dyn Fn() -> Option<Patience> + Send + Sync),
    /// A header of the token request.
    pub(crate) traceparent: Option<&'e HeaderValue>,
}

/// A request without a response.
pub(super) struct Unanswered {
    /// `None`: nothing was sent.
    pub(super) verdict: Option<Verdict>,
    pub(super) denial: Denial,
}

impl Unanswered {
    /// The denial of a request that could not be sent.
    pub(super) fn unsent(denial: Denial) -> Unanswered {
        Unanswered {
            verdict: None,
            denial,
        }
    }
}

impl Exchange<'_> {
    /// Sends a request to an endpoint. It may take as long as the longest timeout of the gates whose requests wait.
    pub(super) async fn send(&self, endpoint: &str, call: Call) -> Result<Response, Unanswered> {
        let (provider, rules, env) = (self.provider, self.rules, self.env);
        let url = call.url.clone();
        let began = env.clock.now();
        let mut sending = env.transport.send(&provider.issuer.connection, call);
        let deadline = || {
            let longest = (self.patience)().map(|patience| patience.timeout);
            began + rules.timeout.max(longest.unwrap_or_default())
        };
        let mut until = deadline();
        let sent = loop {
            let sent = env.within(until, &mut sending).await;
            // A request with a longer timeout may have joined meanwhile.
            let later = deadline();
            if sent.is_some() || later <= until {
                break sent;
            }
            until = later;
        };
        match sent {
            Some(Ok(reply)) => Ok(reply),
            Some(Err(fault)) => Err(Unanswered {
                verdict: Some(match fault {
                    Fault::Unreachable(..) => Verdict::Unreachable,
                    Fault::Broken(_) | Fault::TooLong => Verdict::Failed,
                }),
                denial: unanswered(endpoint, &url, fault),
            }),
            None => Err(Unanswered {
                verdict: Some(Verdict::Failed),
                denial: late(
                    &format!("{endpoint} {url}"),
                    until.saturating_duration_since(began),
                ),
            }),
        }
    }

    /// The origin of a token that is received now.
    pub(super) fn origin(&self, is_client_supplied: bool) -> Origin {
        Origin {
            key: self.key,
            fingerprint: self.rules.fingerprint,
            received: self.env.clock.now(),
            received_wall: self.env.clock.wall(),
            is_client_supplied,
        }
    }
}
