//! What the hosts' threads and the library's own have in common.

use crate::cache::TokenCache;
use crate::cause::Denial;
use crate::flight::Flights;
use crate::key::Key;
use crate::token::Grant;
use std::sync::Arc;

/// What flights fill and hits read.
pub(crate) struct Shared {
    pub(crate) cache: TokenCache,
    pub(crate) flights: Flights,
}

impl Shared {
    pub(crate) fn new(cache_max_bytes: u64) -> Shared {
        Shared {
            cache: TokenCache::new(cache_max_bytes),
            flights: Flights::default(),
        }
    }

    /// Ends a flight: into the cache first, then off the table and to everybody who waits.
    pub(crate) fn land(&self, key: Key, result: Result<Grant, Denial>) {
        let result = result.map(Arc::new);
        if let Ok(grant) = &result
            && grant.is_cacheable()
        {
            self.cache.insert(key, Arc::clone(grant));
        }
        self.flights.land(&key, &result);
    }
}
