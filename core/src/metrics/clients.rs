//! The requests of each client, with a bounded number of clients.

use super::{add, load};
use crate::cache_status::CacheStatus;
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

/// The counters of clients: the first `max` clients to which the provider grants a token have counters of their own
/// until the engine ends. All other requests count as [`OTHER`]: a guess cannot take a place, and no counter decreases.
pub(crate) struct Clients {
    max: usize,
    other: Arc<Requests>,
    named: RwLock<Named>,
}

#[derive(Default)]
struct Named {
    by_id: HashMap<Arc<str>, Arc<Requests>>,
    in_order: Vec<Arc<Requests>>,
}

/// The counters of one client, or of all others. A token has those of its client, so that a hit looks nothing up.
pub(crate) struct Requests {
    client_id: Arc<str>,
    pub(super) allowed: [AtomicU64; CacheStatus::ALL.len()],
    pub(super) denied: [AtomicU64; CacheStatus::ALL.len()],
}

/// The requests of one client, or of all others, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientRequests {
    /// Its id, of at most 255 printable ASCII characters. The engine keeps it until it ends. `other`: all requests
    /// without counters of their own.
    pub client_id: Arc<str>,
    /// Its allowed requests.
    pub allowed: u64,
    /// Its denied requests.
    pub denied: u64,
}

/// The id of all other requests. A client of this name counts among them.
const OTHER: &str = "other";

/// The maximum length of an id with counters of its own.
const MAX_LEN: usize = 255;

impl Default for Clients {
    fn default() -> Clients {
        Clients::new(0)
    }
}

impl Clients {
    pub(crate) fn new(max: usize) -> Clients {
        Clients {
            max,
            other: Arc::new(Requests::of(OTHER.into())),
            named: RwLock::default(),
        }
    }

    /// The counters of a client, which may not exist.
    pub(crate) fn of(&self, client_id: &[u8]) -> Arc<Requests> {
        self.known(client_id).unwrap_or_else(|| self.other.clone())
    }

    /// The counters of a client to which the provider has granted a token.
    pub(crate) fn granted(&self, client_id: &str) -> Arc<Requests> {
        if let Some(requests) = self.known(client_id.as_bytes()) {
            return requests;
        }
        let is_label = |id: &str| {
            id != OTHER && id.len() <= MAX_LEN && id.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        };
        if self.max == 0 || !is_label(client_id) {
            return self.other.clone();
        }
        let mut named = self.named.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(requests) = named.by_id.get(client_id) {
            return requests.clone();
        }
        if named.in_order.len() >= self.max {
            return self.other.clone();
        }
        let id: Arc<str> = client_id.into();
        let requests = Arc::new(Requests::of(id.clone()));
        named.by_id.insert(id, requests.clone());
        named.in_order.push(requests.clone());
        requests
    }

    fn known(&self, client_id: &[u8]) -> Option<Arc<Requests>> {
        if self.max == 0 {
            return None;
        }
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        named.by_id.get(str::from_utf8(client_id).ok()?).cloned()
    }

    /// At most `count` clients from the position `first`: `other`, then those with counters, in the order of their first
    /// token. Positions do not change. None without `metrics_clients`.
    pub(crate) fn list(&self, first: usize, count: usize) -> Vec<ClientRequests> {
        if self.max == 0 {
            return Vec::new();
        }
        let mut list = Vec::new();
        self.each(|requests| list.push(requests.now()), first, count);
        list
    }

    /// The sums over all clients.
    pub(super) fn total(
        &self,
        counters: impl Fn(&Requests) -> &[AtomicU64; CacheStatus::ALL.len()],
    ) -> [u64; CacheStatus::ALL.len()] {
        let mut total = [0; CacheStatus::ALL.len()];
        let add_up = |requests: &Requests| {
            for (sum, counter) in total.iter_mut().zip(counters(requests)) {
                *sum += load(counter);
            }
        };
        self.each(add_up, 0, usize::MAX);
        total
    }

    fn each(&self, run: impl FnMut(&Requests), first: usize, count: usize) {
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        let all = std::iter::once(&self.other).chain(&named.in_order);
        all.skip(first)
            .take(count)
            .map(|requests| &**requests)
            .for_each(run);
    }
}

impl Requests {
    fn of(client_id: Arc<str>) -> Requests {
        Requests {
            client_id,
            allowed: Default::default(),
            denied: Default::default(),
        }
    }

    /// Counters that no metrics show.
    pub(crate) fn unseen() -> Arc<Requests> {
        static UNSEEN: LazyLock<Arc<Requests>> =
            LazyLock::new(|| Arc::new(Requests::of(OTHER.into())));
        Arc::clone(&UNSEEN)
    }

    /// Counts an allowed request.
    pub(crate) fn allow(&self, cache_status: CacheStatus) {
        add(&self.allowed[cache_status as usize]);
    }

    /// Counts a denied request.
    pub(super) fn deny(&self, cache_status: CacheStatus) {
        add(&self.denied[cache_status as usize]);
    }

    fn now(&self) -> ClientRequests {
        let sum = |counters: &[AtomicU64]| counters.iter().map(load).sum();
        ClientRequests {
            client_id: self.client_id.clone(),
            allowed: sum(&self.allowed),
            denied: sum(&self.denied),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(clients: &Clients) -> Vec<String> {
        let list = clients.list(0, usize::MAX);
        list.iter()
            .map(|client| format!("{} {} {}", client.client_id, client.allowed, client.denied))
            .collect()
    }

    #[test]
    fn the_first_clients_have_counters_and_the_others_share_one() {
        let clients = Clients::new(2);
        for id in ["a", "b", "c", "a"] {
            clients.granted(id).allow(CacheStatus::Hit);
        }
        add(&clients.of(b"b").denied[0]);
        add(&clients.of(b"d").denied[0]);
        assert_eq!(shown(&clients), ["other 1 1", "a 2 0", "b 1 1"]);
        assert_eq!(&*clients.list(1, 1)[0].client_id, "a");
        assert_eq!(clients.total(|requests| &requests.allowed)[1], 4);
    }

    #[test]
    fn a_client_without_a_token_gets_no_counters() {
        let clients = Clients::new(2);
        add(&clients.of(b"guess").denied[0]);
        assert_eq!(shown(&clients), ["other 0 1"]);
    }

    #[test]
    fn an_id_that_is_no_label_counts_as_other() {
        let clients = Clients::new(10);
        let long = "x".repeat(256);
        for id in ["other", "é", "a\nb", "\u{7f}", &long] {
            clients.granted(id).allow(CacheStatus::Hit);
        }
        clients.granted(&long[1..]).allow(CacheStatus::Hit);
        clients.granted("a \"b\\").allow(CacheStatus::Hit);
        let long = format!("{} 1 0", &long[1..]);
        assert_eq!(shown(&clients), ["other 5 0", &long, "a \"b\\ 1 0"]);
    }

    #[test]
    fn without_the_option_no_client_is_kept() {
        let clients = Clients::new(0);
        clients.granted("a").allow(CacheStatus::Hit);
        assert!(shown(&clients).is_empty());
        assert_eq!(clients.total(|requests| &requests.allowed)[1], 1);
    }
}
