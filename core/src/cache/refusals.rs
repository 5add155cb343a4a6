//! The cached refusals of a process: bounded in time and number, and separate from the tokens.

use super::purges::{Checked, Purges};
use crate::cause::Denial;
use crate::key::{Fingerprint, Key, KeyCache, key_cache};
use std::sync::Arc;
use std::time::Instant;

/// Refusals by key. A space of their own keeps a flood of wrong secrets from evicting tokens.
pub(crate) struct Refusals(KeyCache<Arc<Refusal>>);

/// A refusal, and the client that it refuses.
pub(crate) struct Refusal {
    pub(crate) denial: Denial,
    /// Its expiry.
    pub(crate) until: Instant,
    pub(crate) gate: Fingerprint,
    pub(crate) client_id: Box<str>,
    pub(crate) checked: Checked,
}

/// The maximum number of cached refusals.
const MAX_REFUSALS: usize = 10_000;

impl Refusals {
    pub(crate) fn new() -> Refusals {
        Refusals(key_cache(MAX_REFUSALS))
    }

    /// The cached denial, unless it has expired or is purged.
    pub(crate) fn get(&self, key: &Key, now: Instant, purges: &Purges) -> Option<Denial> {
        let refusal = self.0.get(key)?;
        let left = refusal
            .until
            .checked_duration_since(now)
            .filter(|left| !left.is_zero())?;
        if purges.covers(&refusal.checked, &refusal.gate, &refusal.client_id) {
            return None;
        }
        let denial = refusal.denial.clone();
        Some(match denial.retry_after {
            None => denial,
            Some(_) => denial.retry_in(left),
        })
    }

    pub(crate) fn insert(&self, key: Key, refusal: Refusal) {
        self.0.insert(key, Arc::new(refusal));
    }

    pub(crate) fn remove(&self, key: &Key) {
        self.0.remove(key);
    }

    /// Drops the refusals that `which` selects by gate and client.
    pub(crate) fn purge(&self, which: impl Fn(&Fingerprint, &str) -> bool) {
        self.0
            .retain(|_, refusal| !which(&refusal.gate, &refusal.client_id));
    }
}
