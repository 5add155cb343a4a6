//! The token cache of a process: bounded, and read without allocating.

use crate::key::{Key, KeyHash};
use crate::token::Grant;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use std::sync::Arc;
use std::time::Instant;

/// Tokens by key. Only successes enter; what enters is evicted by use.
pub(crate) struct TokenCache(Cache<Key, Arc<Grant>, Weight, KeyHash>);

/// What an entry costs besides its strings: key, map slot, allocations.
const ENTRY_OVERHEAD: usize = 256;
/// What a token usually weighs; sizes the cache's internals, not its bound.
const USUAL_WEIGHT: u64 = 1280;

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Arc<Grant>> for Weight {
    fn weight(&self, _key: &Key, grant: &Arc<Grant>) -> u64 {
        (grant.len() + ENTRY_OVERHEAD) as u64
    }
}

impl TokenCache {
    pub(crate) fn new(max_bytes: u64) -> TokenCache {
        let items = (max_bytes / USUAL_WEIGHT).max(1) as usize;
        TokenCache(Cache::with(
            items,
            max_bytes,
            Weight,
            KeyHash::default(),
            DefaultLifecycle::default(),
        ))
    }

    /// A token that is still fresh.
    pub(crate) fn get(&self, key: &Key, now: Instant) -> Option<Arc<Grant>> {
        self.0.get(key).filter(|grant| grant.is_fresh(now))
    }

    pub(crate) fn insert(&self, key: Key, grant: Arc<Grant>) {
        self.0.insert(key, grant);
    }
}
