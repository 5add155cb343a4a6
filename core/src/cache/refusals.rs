//! The cached refusals of a process: bounded in time and number, and separate from the tokens.

use crate::cause::Denial;
use crate::key::{Key, KeyHash};
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use std::sync::Arc;
use std::time::Instant;

/// Refusals by key, each with its expiry. A space of their own keeps a flood of wrong secrets from evicting tokens.
pub(crate) struct Refusals(Cache<Key, Arc<(Denial, Instant)>, UnitWeighter, KeyHash>);

/// The maximum number of cached refusals.
const MAX_REFUSALS: usize = 10_000;

impl Refusals {
    pub(crate) fn new() -> Refusals {
        Refusals(Cache::with(
            MAX_REFUSALS,
            MAX_REFUSALS as u64,
            UnitWeighter,
            KeyHash::default(),
            DefaultLifecycle::default(),
        ))
    }

    /// The cached denial, unless it has expired.
    pub(crate) fn get(&self, key: &Key, now: Instant) -> Option<Denial> {
        let kept = self.0.get(key)?;
        let (denial, until) = &*kept;
        let left = until
            .checked_duration_since(now)
            .filter(|left| !left.is_zero())?;
        Some(match denial.retry_after {
            None => denial.clone(),
            Some(_) => denial.clone().retry_in(left),
        })
    }

    pub(crate) fn insert(&self, key: Key, denial: Denial, until: Instant) {
        self.0.insert(key, Arc::new((denial, until)));
    }

    pub(crate) fn remove(&self, key: &Key) {
        self.0.remove(key);
    }

    pub(crate) fn clear(&self) {
        self.0.clear();
    }
}
