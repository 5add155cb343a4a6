//! The token cache of a process: bounded, and read without allocating.

use crate::key::{Key, KeyHash};
use crate::sys::sync::interleave;
use crate::token::Grant;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use std::sync::Arc;

/// Tokens by key. Only successes enter; eviction follows use.
pub(crate) struct TokenCache(Cache<Key, Arc<Grant>, Weight, KeyHash>);

/// The size of an entry besides the token: key, slots of maps, and the overhead of two allocations. With it, the size of
/// 100,000 JWTs is their resident memory.
const ENTRY_OVERHEAD: u64 = 256;
/// The typical weight of a token; sizes the cache's internals, not its bound.
const USUAL_WEIGHT: u64 = 1280;

#[derive(Clone)]
struct Weight {
    /// The minimum weight of an entry, which bounds the number of entries.
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

    /// The token, of any age.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Grant>> {
        interleave();
        self.0.get(key)
    }

    /// The token, without marking it as used.
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

    /// Drops a token unless another one has replaced it.
    pub(crate) fn remove_exactly(&self, grant: &Grant) -> bool {
        self.0
            .remove_if(&grant.key, |kept| std::ptr::eq(&**kept, grant))
            .is_some()
    }

    /// Drops the tokens that `which` selects and returns their number. No lock is held during the selection, so hits
    /// continue.
    pub(crate) fn purge(&self, which: impl Fn(&Grant) -> bool) -> u64 {
        interleave();
        let picked = self.iter().filter(|grant| which(grant));
        picked.fold(0, |purged, grant| {
            purged + u64::from(self.remove_exactly(&grant))
        })
    }

    /// The tokens. No lock is held between two of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Arc<Grant>> {
        self.0.iter().map(|(_, grant)| grant)
    }

    pub(crate) fn entries(&self) -> u64 {
        self.0.len() as u64
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.0.weight()
    }
}
