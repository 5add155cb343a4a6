//! The knowledge of a process: tokens, refusals and flights, shared by the hosts' threads and the I/O thread.

pub(crate) mod completions;
pub(crate) mod doorbell;
pub(crate) mod flight;
pub(crate) mod refusals;
pub(crate) mod tokens;

use crate::cache::flight::Flights;
use crate::cause::{Cause, Denial};
use crate::config::engine::EngineOptions;
use crate::env::Env;
use crate::gate::Rules;
use crate::key::Key;
use crate::metrics::{Snapshot, add};
use crate::outcome::CacheStatus;
use crate::provider::health::Parties;
use crate::sys::sync::atomic::{AtomicU64, Ordering};
use crate::token::Grant;
use refusals::Refusals;
use std::sync::Arc;
use std::time::Duration;
use tokens::TokenCache;

/// The state that flights fill and hits read.
pub(crate) struct Shared {
    pub(crate) cache: TokenCache,
    pub(crate) refusals: Refusals,
    pub(crate) flights: Flights,
    pub(crate) env: Arc<Env>,
    /// Counts purges: a token whose exchange began before a purge is not cached.
    purges: AtomicU64,
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

/// The pause after an unusable token.
const SPENT_PAUSE: Duration = Duration::from_secs(5);

/// The purpose of a flight.
pub(crate) struct Purpose {
    pub(crate) rules: Arc<Rules>,
    pub(crate) key: Key,
    pub(crate) parties: Parties,
    /// The flight replaces a cached token before it expires.
    pub(crate) is_refresh: bool,
    /// [`Shared::purges`] at its start.
    pub(crate) purges: u64,
}

impl Shared {
    pub(crate) fn new(options: &EngineOptions, env: Arc<Env>) -> Shared {
        Shared {
            cache: TokenCache::new(options.cache_max_bytes, options.cache_max_entries),
            refusals: Refusals::new(),
            flights: Flights::new(options.max_waiting),
            env,
            purges: AtomicU64::new(0),
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

    pub(crate) fn purges(&self) -> u64 {
        self.purges.load(Ordering::SeqCst)
    }

    /// Drops the tokens that `which` selects, and keeps the results of exchanges in progress out of the cache.
    pub(crate) fn purge(&self, which: impl Fn(&Grant) -> bool) -> u64 {
        self.purges.fetch_add(1, Ordering::SeqCst);
        let purged = self.cache.purge(which);
        self.env.metrics.purged.fetch_add(purged, Ordering::Relaxed);
        purged
    }

    /// Ends a flight: fills the cache, removes the flight from the table, then delivers to the waiters.
    pub(crate) fn land(&self, purpose: &Purpose, landed: Landed) {
        let kept = landed.kept(&purpose.rules);
        let result = landed.result.map(Arc::new);
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
            && let Some(old) = self.cache.peek(&purpose.key)
            && old.authorization() == grant.authorization()
        {
            // The provider repeats its token until it expires: one attempt is enough.
            grant.refresh.give_up();
        }
        if purpose.purges == self.purges() && purpose.rules.retention.kept(grant).is_some() {
            self.cache.insert(purpose.key, Arc::clone(grant));
            // A purge may have happened between the check and the insertion.
            if purpose.purges != self.purges() {
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
            } else if let Some(old) = self.cache.peek(&purpose.key) {
                old.refresh.note_failure();
            }
        }
        // A refusal from before a purge is not cached either.
        if let Some(until) = now.checked_add(kept)
            && !kept.is_zero()
            && purpose.purges == self.purges()
        {
            self.refusals.insert(purpose.key, denial.clone(), until);
        }
    }
}
