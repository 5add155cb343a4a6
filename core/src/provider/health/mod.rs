//! The health of a provider: whether an exchange may begin now, and whose turn it is.
//!
//! Clients that the provider has granted a token are known, by their credentials. Known clients come first: for permits,
//! for the probes of the circuit breaker, and after a 429. Unknown clients, among them all guesses, share what is left:
//! each exchange without a token draws from the budgets of its client, its gate and its source. The gateway's own client
//! is known from the start.

mod breaker;
mod budget;
mod permits;
#[cfg(all(test, feature = "model"))]
mod schedules;

use super::patience::Patience;
use crate::cause::{Cause, Denial};
use crate::env::Env;
use crate::gate::Rules;
use crate::journal::Level;
use crate::key::{Key, KeyCache, key_cache};
use breaker::{Breaker, BreakerState, Evidence, Subject};
use budget::Budgets;
use permits::{Permit, Permits};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

pub(crate) struct Health {
    issuer: String,
    known: KeyCache<()>,
    budgets: Budgets,
    breaker: Breaker,
    permits: Permits,
    /// The 429 for which unknown clients wait.
    busy: Mutex<Option<Busy>>,
    /// The smoothed duration of a granted exchange, in microseconds; 0: none yet.
    usual: AtomicU64,
    /// The time of the last log record about a failed exchange.
    noted: Mutex<Option<Instant>>,
}

/// A provider that is busy for all its clients.
#[derive(Clone, Copy)]
struct Busy {
    since: Instant,
    until: Instant,
}

/// The client of an exchange, and the budgets that it draws from.
#[derive(Clone, Copy)]
pub(crate) struct Parties {
    /// A client id at a gate, with any secret.
    pub(crate) client: Key,
    pub(crate) gate: Key,
    /// A source address at a gate, if the host passes it.
    pub(crate) source: Option<Key>,
}

/// A request for an exchange.
pub(crate) struct Candidate<'c> {
    pub(crate) rules: &'c Rules,
    /// The key of the credentials.
    pub(crate) key: &'c Key,
    /// The credentials are the gateway's own, and no part of the token request is a client's: it is no guess.
    pub(crate) is_own: bool,
    pub(crate) parties: &'c Parties,
    /// `None`: nobody waits for the exchange any longer.
    pub(crate) patience: &'c (dyn Fn() -> Option<Patience> + Send + Sync),
}

/// An admitted exchange. It holds its permit, and owes a report; dropping it reports nothing.
pub(crate) struct Attempt<'h> {
    health: &'h Health,
    env: &'h Env,
    /// See [`Rules::refusals`].
    limits: [u32; 3],
    key: Key,
    parties: Parties,
    subject: Subject,
    is_probe: bool,
    began: Instant,
    is_reported: bool,
    _permit: Permit,
}

/// The result of an exchange, as its provider's health sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Verdict {
    /// A token.
    Granted,
    /// The client is refused.
    Refused,
    /// The request is refused, whatever the client.
    Rejected,
    /// 429. `retry_after`: of the provider for all its clients.
    Busy { retry_after: Option<Duration> },
    /// A 5xx, or no complete response.
    Failed,
    /// No connection.
    Unreachable,
}

/// The maximum number of known clients.
const MAX_KNOWN: usize = 65_536;
/// The maximum time for which a 429 keeps unknown clients away: a client could provoke one on purpose.
const LONGEST_BUSY: Duration = Duration::from_secs(60);
/// The minimum interval between two log records about failed exchanges.
const NOTED: Duration = Duration::from_secs(60);

impl Health {
    pub(super) fn new(issuer: &str, max_exchanges: usize, longest_pause: Duration) -> Health {
        Health {
            issuer: issuer.to_owned(),
            known: key_cache(MAX_KNOWN),
            budgets: Budgets::new(),
            breaker: Breaker::new(longest_pause),
            permits: Permits::new(max_exchanges),
            busy: Mutex::default(),
            usual: AtomicU64::new(0),
            noted: Mutex::default(),
        }
    }

    /// Waits for a permit, and admits the exchange or denies it. After a wait, no exchange begins that cannot end before
    /// the last of its waiters leaves.
    pub(super) async fn admit<'h>(
        &'h self,
        env: &'h Env,
        candidate: &Candidate<'_>,
    ) -> Result<Attempt<'h>, Denial> {
        let Candidate {
            rules,
            key,
            is_own,
            parties,
            patience,
        } = *candidate;
        let subject = || Subject {
            client: parties.client,
            is_known: is_own || self.is_known(key),
        };
        self.check(env, candidate, &subject())?;
        let (permit, has_waited) = self.permits.acquire(subject().is_known).await;
        let (now, subject) = (env.clock.now(), subject());
        // An exchange that need not wait begins in any case: its token is cached.
        let can_end = || patience().is_some_and(|patience| now + self.usual() <= patience.until);
        if has_waited && !can_end() {
            return Err(Denial::new(
                Cause::Overloaded,
                "max_exchanges exchanges are in progress, and none of them ended early enough for another one",
            ));
        }
        // Others may have failed meanwhile.
        self.check(env, candidate, &subject)?;
        let is_probe = self
            .breaker
            .admit(&subject, self.has_known(), now)
            .map_err(|wait| self.paused(env, wait))?;
        Ok(Attempt {
            health: self,
            env,
            limits: rules.refusals,
            key: *key,
            parties: *parties,
            subject,
            is_probe,
            began: now,
            is_reported: false,
            _permit: permit,
        })
    }

    /// Records that the provider has granted a token for these credentials.
    pub(crate) fn recognize(&self, key: Key) {
        self.known.insert(key, ());
    }

    fn is_known(&self, key: &Key) -> bool {
        self.known.contains_key(key)
    }

    fn has_known(&self) -> bool {
        !self.known.is_empty()
    }

    fn check(&self, env: &Env, candidate: &Candidate<'_>, subject: &Subject) -> Result<(), Denial> {
        let now = env.clock.now();
        if !subject.is_known {
            candidate
                .parties
                .buckets(candidate.rules.refusals)
                .try_for_each(|(key, per_minute)| self.budgets.check(&key, per_minute, now))
                .map_err(|(cause, wait)| self.spent(cause, wait))?;
            if let Some(left) = self.busy_for(now) {
                let detail = format!("{} has sent 429 to others", self.issuer);
                return Err(Denial::new(Cause::ProviderBusy, detail).retry_in(left));
            }
        }
        self.breaker
            .check(subject, self.has_known(), now)
            .map_err(|wait| self.paused(env, wait))
    }

    fn spent(&self, cause: Cause, wait: Duration) -> Denial {
        let detail = match cause {
            Cause::TooManyRefusals => String::new(),
            _ => format!(
                "{}: too many exchanges of unknown clients failed; not contacting the provider for this one",
                self.issuer
            ),
        };
        Denial::new(cause, detail).retry_in(wait)
    }

    fn paused(&self, env: &Env, wait: Duration) -> Denial {
        self.note(env);
        let detail = format!(
            "{}: circuit breaker open after repeated failures; not contacting the provider",
            self.issuer
        );
        Denial::new(Cause::ProviderPaused, detail).retry_in(wait)
    }

    fn busy_for(&self, now: Instant) -> Option<Duration> {
        let left = (*self.busy())?.until.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    fn busy(&self) -> std::sync::MutexGuard<'_, Option<Busy>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The usual duration of an exchange.
    fn usual(&self) -> Duration {
        Duration::from_micros(self.usual.load(Ordering::Relaxed))
    }

    fn note_duration(&self, duration: Duration) {
        let new = u64::try_from(duration.as_micros())
            .unwrap_or(u64::MAX)
            .max(1);
        let smoothed = match self.usual.load(Ordering::Relaxed) {
            0 => new,
            old => old - old / 8 + new / 8,
        };
        self.usual.store(smoothed, Ordering::Relaxed);
    }

    /// Counts the result of an exchange among those of its provider.
    fn count(&self, env: &Env, verdict: Verdict) {
        let (usual, now) = (self.usual(), env.clock.wall());
        let metrics = &env.metrics;
        match verdict {
            Verdict::Granted => metrics.note_provider(&self.issuer, |state| {
                state.granted += 1;
                state.usual = u64::try_from(usual.as_micros()).unwrap_or(u64::MAX);
                state.last_granted = now.as_secs();
            }),
            Verdict::Refused | Verdict::Rejected => {
                metrics.note_provider(&self.issuer, |state| state.refused += 1);
            }
            Verdict::Busy { .. } => {
                metrics.note_provider(&self.issuer, |state| state.limited += 1);
            }
            Verdict::Failed | Verdict::Unreachable => count_failure(&self.issuer, env),
        }
    }

    /// Logs the reason of a failure, at times: the requests of clients have lines of their own, but refreshes have none.
    fn note_failure(&self, env: &Env, denial: &Denial) {
        let now = env.clock.now();
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.is_some_and(|at| now.saturating_duration_since(at) < NOTED) {
            return;
        }
        *noted = Some(now);
        let message = format!("{}: request failed: {}", self.issuer, denial.detail);
        env.journal.note(Level::Warning, message);
    }

    /// Reports the state of the circuit breaker to the metrics, and each change of it to the log.
    fn note(&self, env: &Env) {
        env.metrics
            .note_breaker(&self.issuer, self.breaker.state_now() == BreakerState::Open);
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

/// Counts a request without a usable response.
pub(super) fn count_failure(issuer: &str, env: &Env) {
    let now = env.clock.wall();
    env.metrics.note_provider(issuer, |state| {
        state.failed += 1;
        state.last_failed = now.as_secs();
    });
}

impl Parties {
    #[cfg(test)]
    pub(crate) fn for_test(number: u8) -> Parties {
        Parties {
            client: Key::for_test(number.into()),
            gate: Key::for_test(255),
            source: None,
        }
    }

    /// The budgets, with their size per minute: the client's own first.
    fn buckets(&self, [client, gate, source]: [u32; 3]) -> impl Iterator<Item = (Key, u32)> {
        [
            Some((self.client, client)),
            self.source.map(|key| (key, source)),
            Some((self.gate, gate)),
        ]
        .into_iter()
        .flatten()
    }
}

impl Attempt<'_> {
    /// Whether the exchange may make another request after one without a token. An unknown client draws for each of
    /// them, except from its own budget: they are one refusal to it.
    pub(super) fn may_retry(&self) -> bool {
        if self.subject.is_known {
            return true;
        }
        let (budgets, now) = (&self.health.budgets, self.env.clock.now());
        let mut shared = self.parties.buckets(self.limits).skip(1);
        shared.all(|(key, per_minute)| {
            budgets.draw(key, per_minute, Cause::TooManyRefusals, now);
            budgets.check(&key, per_minute, now).is_ok()
        })
    }

    /// Reports a verdict other than a grant, with its reason. A refused client is no matter for the log here.
    pub(super) fn report_denial(self, verdict: Verdict, denial: &Denial) {
        if !matches!(verdict, Verdict::Refused) {
            self.health.note_failure(self.env, denial);
        }
        self.report(verdict);
    }

    pub(super) fn report(mut self, verdict: Verdict) {
        self.is_reported = true;
        let (health, now) = (self.health, self.env.clock.now());
        let (evidence, drawn) = match verdict {
            Verdict::Granted => (Evidence::Granted, None),
            Verdict::Refused | Verdict::Rejected => {
                (Evidence::Responded, Some(Cause::TooManyRefusals))
            }
            Verdict::Busy { .. } => (Evidence::Responded, Some(Cause::ProviderBusy)),
            Verdict::Failed => (Evidence::Failed, Some(Cause::ProviderPaused)),
            Verdict::Unreachable => (Evidence::Unreachable, None),
        };
        match verdict {
            Verdict::Granted => {
                health.recognize(self.key);
                health.note_duration(now.saturating_duration_since(self.began));
                let mut busy = health.busy();
                // The provider serves again, before its Retry-After.
                if busy.is_some_and(|busy| busy.since <= self.began) {
                    *busy = None;
                }
            }
            Verdict::Busy {
                retry_after: Some(retry_after),
            } => {
                *health.busy() = Some(Busy {
                    since: now,
                    until: now + retry_after.min(LONGEST_BUSY),
                });
            }
            // The secret was revoked, or the client's permission.
            Verdict::Refused => drop(health.known.remove(&self.key)),
            Verdict::Busy { retry_after: None }
            | Verdict::Rejected
            | Verdict::Failed
            | Verdict::Unreachable => {}
        }
        health.count(self.env, verdict);
        if let Some(cause) = drawn.filter(|_| !self.subject.is_known) {
            for (key, per_minute) in self.parties.buckets(self.limits) {
                health.budgets.draw(key, per_minute, cause, now);
            }
        }
        health
            .breaker
            .report(evidence, &self.subject, self.is_probe, now);
        health.note(self.env);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.is_probe && !self.is_reported {
            self.health.breaker.abandon();
        }
    }
}

#[cfg(test)]
mod tests;
