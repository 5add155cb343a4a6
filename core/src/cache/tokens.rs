//! The token cache of a process: bounded, and read without allocating.

use crate::key::{Key, KeyHash};
use crate::sys::sync::interleave;
use crate::token::Grant;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use std::sync::Arc;

/// Tokens by key. Only successes enter; what enters is evicted by use.
pub(crate) struct TokenCache(Cache<Key, Arc<Grant>, Weight, KeyHash>);

/// What an entry costs besides the token: key, map slot, allocations.
const ENTRY_OVERHEAD: u64 = 256;
/// What a token usually weighs; sizes the cache's internals, not its bound.
const USUAL_WEIGHT: u64 = 4096;

#[derive(Clone)]
struct Weight {
    /// An entry weighs at least this, and so there are never more than the bound divided by it.
    least: u64,
}

impl Weighter<Key, Arc<Grant>> for Weight {
    fn weight(&self, _key: &Key, grant: &Arc<Grant>) -> u64 {
        (grant.size() as u64 + ENTRY_OVERHEAD).max(self.least)
    }
}

impl TokenCache {
    pub(crate) fn new(max_bytes: u64, max_entries: u64) -> TokenCache {
        let items = (max_bytes / USUAL_WEIGHT).clamp(1, max_entries) as usize;
        TokenCache(Cache::with(
            items,
            max_bytes,
            Weight {
                least: max_bytes.div_ceil(max_entries),
            },
            KeyHash::default(),
            DefaultLifecycle::default(),
        ))
    }

    /// A token, whatever its age.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Grant>> {
        interleave();
        self.0.get(key)
    }

    /// A token, without taking it for used.
    pub(crate) fn peek(&self, key: &Key) -> Option<Arc<Grant>> {
        self.0.peek(key)
    }

    pub(crate) fn insert(&self, key: Key, grant: Arc<Grant>) {
        interleave();
        self.0.insert(key, grant);
    }

    pub(crate) fn remove(&self, key: &Key) {
        interleave();
        self.0.remove(key);
    }

    /// Drops a token if it is still that one.
    pub(crate) fn remove_exactly(&self, grant: &Grant) -> bool {
        self.0
            .remove_if(&grant.key, |kept| std::ptr::eq(&**kept, grant))
            .is_some()
    }

    /// Drops what `which` picks, and answers how many that were. Hits go on meanwhile: no lock is held while it picks.
    pub(crate) fn purge(&self, which: impl Fn(&Grant) -> bool) -> u64 {
        interleave();
        let picked = self.0.iter().filter(|(_, grant)| which(grant));
        picked.fold(0, |purged, (_, grant)| {
            purged + u64::from(self.remove_exactly(&grant))
        })
    }

    pub(crate) fn entries(&self) -> u64 {
        self.0.len() as u64
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.0.weight()
    }
}
