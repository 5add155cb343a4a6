//! The health of a provider: whether it may be contacted now, and by how many exchanges at a time.

use crate::cause::{Cause, Denial};
use crate::env::Env;
use crate::journal::Level;
use crate::sys::breaker::{Attempt, Breaker, BreakerState};
use std::time::Instant;
use tokio::sync::{Semaphore, SemaphorePermit};

/// A circuit breaker and a bound on concurrent exchanges.
pub(crate) struct Health {
    issuer: String,
    breaker: Breaker,
    exchanges: Semaphore,
}

impl Health {
    pub(super) fn new(issuer: &str, max_exchanges: usize) -> Health {
        Health {
            issuer: issuer.to_owned(),
            breaker: Breaker::default(),
            exchanges: Semaphore::new(max_exchanges),
        }
    }

    /// Waits for one of the `max_exchanges` permits. The semaphore is never closed.
    pub(super) async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        self.exchanges.acquire().await.ok()
    }

    /// Lets an attempt through, or denies it while the circuit breaker is open.
    pub(super) fn admit<'h>(
        &'h self,
        env: &Env,
        now: &'h (dyn Fn() -> Instant + Sync),
    ) -> Result<Attempt<'h>, Denial> {
        self.breaker.admit(now).map_err(|wait| {
            // An exchange that was abandoned may have opened it.
            self.note(env);
            let detail = format!(
                "{}: circuit breaker open after repeated failures; not contacting the provider",
                self.issuer
            );
            Denial::new(Cause::ProviderPaused, detail).retry_in(wait)
        })
    }

    /// Reports the state of the circuit breaker to the metrics, and each change of it to the log.
    pub(super) fn note(&self, env: &Env) {
        env.metrics
            .note_breaker(&self.issuer, self.breaker.state_now());
        let Some(state) = self.breaker.turn() else {
            return;
        };
        let (level, message) = match state {
            BreakerState::Open => (
                Level::Warning,
                "circuit breaker open: not contacting the provider for a while; cached tokens are still served",
            ),
            BreakerState::Closed => (
                Level::Notice,
                "circuit breaker closed: the provider works again",
            ),
        };
        env.journal
            .note(level, format!("{}: {message}", self.issuer));
    }
}
