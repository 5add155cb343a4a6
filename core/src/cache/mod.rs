//! The knowledge of a process: tokens, refusals and flights, shared by the hosts' threads and the I/O thread.

pub(crate) mod completions;
pub(crate) mod doorbell;
pub(crate) mod flight;
pub(crate) mod purges;
pub(crate) mod refusals;
pub(crate) mod tokens;

use crate::cache::flight::Flights;
use crate::cache_status::CacheStatus;
use crate::cause::{Cause, Denial};
use crate::config::engine::EngineOptions;
use crate::env::Env;
use crate::gate::Rules;
use crate::gate::retention::SPENT_PAUSE;
use crate::key::{Fingerprint, Key};
use crate::metrics::{Snapshot, add};
use crate::provider::health::Parties;
use crate::sys::sync::atomic::{AtomicU64, Ordering};
use crate::token::Grant;
use purges::{Checked, PurgeTarget, Purges};
use refusals::{Refusal, Refusals};
use reqwest::header::HeaderValue;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokens::TokenCache;
use tokio::sync::Notify;

/// The state that flights fill and hits read.
pub(crate) struct Shared {
    pub(crate) cache: TokenCache,
    pub(crate) refusals: Refusals,
    pub(crate) flights: Flights,
    pub(crate) env: Arc<Env>,
    purges: Purges,
    /// Wakes the I/O thread after a purge, to drop the purged tokens.
    pub(crate) purged: Notify,
    /// Counts purges that other processes made: a value whose flight began before one is not cached.
    foreign_purges: AtomicU64,
}

/// The result of a flight.
pub(crate) struct Landed {
    pub(crate) result: Result<Grant, Denial>,
    /// For the waiter that opened it: `Miss`; `Shared` or `Negative` if another process knew.
    pub(crate) cache_status: CacheStatus,
    /// The remaining lifetime of the other process's refusal.
    left: Option<Duration>,
}

impl Landed {
    /// The result of an exchange.
    pub(crate) fn exchanged(result: Result<Grant, Denial>) -> Landed {
        Landed {
            result,
            cache_status: CacheStatus::Miss,
            left: None,
        }
    }

    /// A token of another process.
    pub(crate) fn shared(grant: Grant) -> Landed {
        Landed {
            result: Ok(grant),
            cache_status: CacheStatus::Shared,
            left: None,
        }
    }

    /// A refusal of another process.
    pub(crate) fn refused(denial: Denial, left: Duration) -> Landed {
        Landed {
            result: Err(denial),
            cache_status: CacheStatus::Negative,
            left: Some(left),
        }
    }

    /// The time for which a gate caches a denial.
    pub(crate) fn kept(&self, rules: &Rules) -> Duration {
        let kept = match &self.result {
            Err(denial) if denial.is_refusal() => rules.retention.refusals,
            // Each further exchange would cost a token, and fail likewise until the keys or the provider change.
            Err(denial) if denial.is_spent => SPENT_PAUSE,
            // The provider's Retry-After.
            Err(denial) if denial.cause == Cause::ProviderBusy => {
                Duration::from_secs(denial.retry_after.unwrap_or(0).into())
            }
            _ => Duration::ZERO,
        };
        self.left.map_or(kept, |left| left.min(kept))
    }
}

/// The tokens that a sweep looks at between two looks for other work.
const SWEEP_BATCH: usize = 256;

/// The purpose of a flight.
pub(crate) struct Purpose {
    pub(crate) rules: Arc<Rules>,
    pub(crate) key: Key,
    pub(crate) parties: Parties,
    /// The flight replaces a cached token before it expires.
    pub(crate) is_refresh: bool,
    /// The id of its client; empty for a client's own token.
    pub(crate) client_id: Box<str>,
    pub(crate) start: Start,
    /// The header of the request that caused it, for the token request.
    pub(crate) traceparent: Option<HeaderValue>,
}

/// The purges before the start of a flight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    purges: u64,
    foreign_purges: u64,
}

impl Shared {
    pub(crate) fn new(options: &EngineOptions, env: Arc<Env>) -> Shared {
        Shared {
            cache: TokenCache::new(options.cache_max_bytes, options.cache_max_entries),
            refusals: Refusals::new(),
            flights: Flights::new(options.max_waiting),
            env,
            purges: Purges::default(),
            purged: Notify::new(),
            foreign_purges: AtomicU64::new(0),
        }
    }

    /// The engine's own metrics.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.env.metrics.snapshot(
            self.cache.entries(),
            self.cache.bytes(),
            self.flights.waiting(),
        )
    }

    /// The state of purges, for a flight that starts now.
    pub(crate) fn start(&self) -> Start {
        Start {
            purges: self.purges.latest(),
            foreign_purges: self.foreign_purges.load(Ordering::SeqCst),
        }
    }

    /// The cached token, of any age, unless it is purged.
    pub(crate) fn token(&self, key: &Key) -> Option<Arc<Grant>> {
        self.cache.get(key).filter(|grant| !self.drop_purged(grant))
    }

    /// The same, without marking it as used.
    pub(crate) fn peek(&self, key: &Key) -> Option<Arc<Grant>> {
        self.cache
            .peek(key)
            .filter(|grant| !self.drop_purged(grant))
    }

    /// The cached refusal, unless it has expired or is purged.
    pub(crate) fn refusal(&self, key: &Key, now: Instant) -> Option<Denial> {
        self.refusals.get(key, now, &self.purges)
    }

    /// Drops a token if it is purged, and returns whether it is.
    fn drop_purged(&self, grant: &Grant) -> bool {
        let is_purged = self.is_purged(grant);
        if is_purged {
            self.drop_exactly(grant);
        }
        is_purged
    }

    /// Drops a token unless another one has replaced it.
    pub(crate) fn drop_exactly(&self, grant: &Grant) -> bool {
        let is_dropped = self.cache.remove_exactly(grant);
        if is_dropped {
            add(&self.env.metrics.purged);
        }
        is_dropped
    }

    fn is_purged(&self, grant: &Grant) -> bool {
        self.purges
            .covers(&grant.checked, &grant.fingerprint, grant.client_id())
    }

    /// Purges a target: hits no longer see its tokens; the I/O thread drops them.
    pub(crate) fn purge(&self, target: &PurgeTarget) {
        self.purges.purge(target);
        self.purged.notify_one();
    }

    /// Drops the tokens that were purged since the last sweep. Exchanges go on between batches: a sweep of a million
    /// tokens takes a second.
    pub(crate) async fn sweep(&self) {
        let unswept = self.purges.take_unswept();
        for (number, grant) in self.cache.iter().enumerate() {
            if unswept.covers(&grant.checked, &grant.fingerprint, grant.client_id()) {
                self.drop_exactly(&grant);
            }
            if number % SWEEP_BATCH == SWEEP_BATCH - 1 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Applies a purge that another process made, which only `which` can tell.
    pub(crate) fn purge_foreign(&self, which: impl Fn(&Fingerprint, &str) -> bool) {
        self.foreign_purges.fetch_add(1, Ordering::SeqCst);
        self.drop_tokens(|grant| which(&grant.fingerprint, grant.client_id()));
        self.refusals.purge(which);
    }

    fn drop_tokens(&self, which: impl Fn(&Grant) -> bool) {
        let purged = self.cache.purge(which);
        self.env.metrics.purged.fetch_add(purged, Ordering::Relaxed);
    }

    /// Ends a flight: fills the cache, removes the flight from the table, then delivers to the waiters.
    pub(crate) fn land(&self, purpose: &Purpose, landed: Landed) {
        let kept = landed.kept(&purpose.rules);
        let result = landed.result.map(|mut grant| {
            grant.requests = self.env.metrics.clients.granted(grant.client_id());
            Arc::new(grant)
        });
        match &result {
            Ok(grant) => self.keep(purpose, grant),
            Err(denial) => self.note_failure(purpose, denial, kept),
        }
        self.flights
            .land(&purpose.key, &result, landed.cache_status, &self.env);
    }

    fn keep(&self, purpose: &Purpose, grant: &Arc<Grant>) {
        self.refusals.remove(&purpose.key);
        if purpose.is_refresh
            && let Some(old) = self.peek(&purpose.key)
            && old.authorization() == grant.authorization()
        {
            // The provider repeats its token until it expires: one attempt is enough.
            grant.refresh.give_up();
        }
        let is_purged =
            || self.foreign_purges.load(Ordering::SeqCst) != purpose.start.foreign_purges;
        if !is_purged() && purpose.rules.retention.kept(grant).is_some() {
            grant.checked.set(purpose.start.purges);
            self.cache.insert(purpose.key, Arc::clone(grant));
            // The sweep after a purge during the flight may be over.
            self.drop_purged(grant);
            // Another process's purge may have been applied between the check and the insertion.
            if is_purged() {
                self.cache.remove(&purpose.key);
            }
        }
    }

    fn note_failure(&self, purpose: &Purpose, denial: &Denial, kept: Duration) {
        let now = self.env.clock.now();
        if purpose.is_refresh {
            add(&self.env.metrics.refresh_failures);
            if denial.cause == Cause::CredentialsRefused {
                // The secret was revoked: drop the token obtained with it.
                self.cache.remove(&purpose.key);
            } else if let Some(old) = self.peek(&purpose.key) {
                old.refresh.note_failure();
            }
        }
        if let Some(until) = now.checked_add(kept)
            && !kept.is_zero()
            && purpose.start.foreign_purges == self.foreign_purges.load(Ordering::SeqCst)
        {
            let refusal = Refusal {
                denial: denial.clone(),
                until,
                gate: purpose.rules.fingerprint,
                client_id: purpose.client_id.clone(),
                checked: Checked::at(purpose.start.purges),
            };
            self.refusals.insert(purpose.key, refusal);
        }
    }
}
