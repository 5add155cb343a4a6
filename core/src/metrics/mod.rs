//! The metrics of an engine: counters and histograms. No label names a client, except with `metrics_clients`.

pub(crate) mod clients;
pub(crate) mod text;

use crate::cache_status::CacheStatus;
use crate::cause::Cause;
use clients::{ClientRequests, Clients, Requests};
use std::collections::BTreeMap;
use std::iter::repeat;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The counters of an engine. Counting neither allocates nor locks.
#[derive(Default)]
pub(crate) struct Metrics {
    pub(crate) clients: Clients,
    causes: [AtomicU64; Cause::ALL.len()],
    pub(crate) exchange: Histogram,
    pub(crate) discovery: Histogram,
    pub(crate) refreshes: AtomicU64,
    pub(crate) refresh_failures: AtomicU64,
    pub(crate) purged: AtomicU64,
    pub(crate) store_hits: AtomicU64,
    pub(crate) store_misses: AtomicU64,
    pub(crate) store_failures: AtomicU64,
    pub(crate) store_waits: AtomicU64,
    pub(crate) store_puts: AtomicU64,
    providers: Mutex<BTreeMap<String, ProviderState>>,
}

/// A latency histogram, with Prometheus's cumulative buckets.
#[derive(Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BOUNDS.len()],
    count: AtomicU64,
    microseconds: AtomicU64,
}

/// The upper bounds of the buckets, in seconds.
const BOUNDS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The state of a provider.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProviderState {
    /// Its circuit breaker is open.
    pub is_paused: bool,
    /// Token requests that it granted.
    pub granted: u64,
    /// Token requests that it refused.
    pub refused: u64,
    /// Token requests that it rate-limited (429).
    pub limited: u64,
    /// Token requests, and requests for metadata, without a usable response: 5xx, none, or no connection.
    pub failed: u64,
    /// The smoothed duration of a granted token request, in microseconds; 0 before the first.
    pub usual: u64,
    /// The time of the last grant, in seconds since the Unix epoch; 0 before the first.
    pub last_granted: u64,
    /// The time of the last failure, likewise.
    pub last_failed: u64,
    /// The numbers of its last rate-limit headers, by header: `x-ratelimit-remaining`, and for Auth0's quotas the
    /// remainder of each bucket (`auth0-client-quota-limit/per_hour`).
    pub limits: BTreeMap<String, u64>,
}

/// A latency at one moment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Latency {
    /// The upper bound in seconds, and the number of values up to it.
    pub buckets: Vec<(f64, u64)>,
    /// The number of values.
    pub count: u64,
    /// Their sum, in seconds.
    pub sum: f64,
}

/// The metrics at one moment. Its `Display` is Prometheus's text format, version 0.0.4.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Allowed requests, by cache status.
    pub allowed: Vec<(CacheStatus, u64)>,
    /// Denied requests, by cache status.
    pub denied: Vec<(CacheStatus, u64)>,
    /// Denied requests, by cause.
    pub causes: Vec<(Cause, u64)>,
    /// Exchanges at token endpoints.
    pub exchange: Latency,
    /// Fetches of metadata.
    pub discovery: Latency,
    /// Refreshes that were started.
    pub refreshes: u64,
    /// Refreshes that failed.
    pub refresh_failures: u64,
    /// Tokens dropped before they expired.
    pub purged: u64,
    /// Lookups in the shared store that found a token or a refusal.
    pub store_hits: u64,
    /// Lookups in the shared store that found nothing or failed.
    pub store_misses: u64,
    /// Failed operations of the shared store.
    pub store_failures: u64,
    /// Waits for the exchange of another process.
    pub store_waits: u64,
    /// Tokens and refusals written to the shared store.
    pub store_puts: u64,
    /// Tokens in the cache.
    pub entries: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Requests waiting for an exchange.
    pub waiting: u64,
    /// The states of the providers, by issuer.
    pub providers: BTreeMap<String, ProviderState>,
    /// The requests of each client that has counters, of this engine alone; empty without
    /// [`EngineOptions::metrics_clients`](crate::EngineOptions::metrics_clients).
    pub clients: Vec<ClientRequests>,
}

/// The numbers of cache statuses and of causes in [`Snapshot::counters`], some of them reserved.
const CACHE_STATUSES: usize = 16;
const CAUSES: usize = 64;
const _: () = assert!(CacheStatus::ALL.len() <= CACHE_STATUSES && Cause::ALL.len() <= CAUSES);

impl Snapshot {
    /// The length of [`counters`](Snapshot::counters).
    pub const COUNTERS: usize =
        Snapshot::GAUGES + 2 * CACHE_STATUSES + CAUSES + 2 * (BOUNDS.len() + 2) + 8;
    /// The first numbers are gauges, three in use and the others reserved. The numbers behind them only grow, and outlive
    /// the process that counted them.
    pub const GAUGES: usize = 8;

    /// All numbers except those of providers and clients, for [`from_counters`](Snapshot::from_counters). The numbers of several
    /// processes may be added up one by one. Their order is part of the C ABI: a new cache status or cause takes a
    /// reserved position of its group, any other new number goes to the end.
    pub fn counters(&self) -> [u64; Snapshot::COUNTERS] {
        let numbers = group([self.entries, self.bytes, self.waiting], Snapshot::GAUGES)
            .chain(group(counts(&self.allowed), CACHE_STATUSES))
            .chain(group(counts(&self.denied), CACHE_STATUSES))
            .chain(group(counts(&self.causes), CAUSES))
            .chain(self.exchange.counters())
            .chain(self.discovery.counters())
            .chain([
                self.refreshes,
                self.refresh_failures,
                self.purged,
                self.store_hits,
                self.store_misses,
                self.store_failures,
                self.store_waits,
                self.store_puts,
            ]);
        let mut counters = [0; Snapshot::COUNTERS];
        for (counter, number) in counters.iter_mut().zip(numbers) {
            *counter = number;
        }
        counters
    }

    /// Adds a denial that no engine counts, because a host has made it, to the numbers of [`counters`](Snapshot::counters).
    pub fn deny(counters: &mut [u64; Snapshot::COUNTERS], cause: Cause) {
        const DENIED: usize = Snapshot::GAUGES + CACHE_STATUSES;
        for counter in [
            DENIED + CacheStatus::None as usize,
            DENIED + CACHE_STATUSES + cause as usize,
        ] {
            counters[counter] = counters[counter].saturating_add(1);
        }
    }

    /// The short report, as JSON.
    pub fn report(&self) -> String {
        self.report_value().to_string()
    }

    pub(crate) fn report_value(&self) -> serde_json::Value {
        let by_cache_status = |counts: &[(CacheStatus, u64)]| -> serde_json::Value {
            let counts = counts.iter().filter(|(_, count)| *count > 0);
            counts
                .map(|(cache_status, count)| {
                    (cache_status.name().to_ascii_lowercase(), (*count).into())
                })
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let causes = self.causes.iter().filter(|(_, count)| *count > 0);
        let causes: serde_json::Map<_, _> = causes
            .map(|(cause, count)| (cause.name().to_owned(), (*count).into()))
            .collect();
        serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "allowed": by_cache_status(&self.allowed),
            "denied": by_cache_status(&self.denied),
            "causes": causes,
            "exchanges": self.exchange.count,
            "refreshes": self.refreshes,
            "refresh_failures": self.refresh_failures,
            "purged": self.purged,
            "store": {
                "hits": self.store_hits,
                "misses": self.store_misses,
                "failures": self.store_failures,
                "waits": self.store_waits,
                "puts": self.store_puts,
            },
            "cache": { "entries": self.entries, "bytes": self.bytes },
            "waiting": self.waiting,
        })
    }

    /// The snapshot of these numbers.
    pub fn from_counters(counters: &[u64; Snapshot::COUNTERS]) -> Snapshot {
        let (gauges, rest) = counters.split_at(Snapshot::GAUGES);
        let (allowed, rest) = rest.split_at(CACHE_STATUSES);
        let (denied, rest) = rest.split_at(CACHE_STATUSES);
        let (causes, rest) = rest.split_at(CAUSES);
        let mut rest = rest.iter().copied();
        let mut next = || rest.next().unwrap_or_default();
        Snapshot {
            allowed: labelled(CacheStatus::ALL, allowed),
            denied: labelled(CacheStatus::ALL, denied),
            causes: labelled(Cause::ALL, causes),
            exchange: Latency::from_counters(&mut next),
            discovery: Latency::from_counters(&mut next),
            refreshes: next(),
            refresh_failures: next(),
            purged: next(),
            store_hits: next(),
            store_misses: next(),
            store_failures: next(),
            store_waits: next(),
            store_puts: next(),
            entries: gauges[0],
            bytes: gauges[1],
            waiting: gauges[2],
            providers: BTreeMap::new(),
            clients: Vec::new(),
        }
    }
}

/// The first `length` numbers, with zeros for the reserved positions.
fn group(numbers: impl IntoIterator<Item = u64>, length: usize) -> impl Iterator<Item = u64> {
    numbers.into_iter().chain(repeat(0)).take(length)
}

fn counts<T>(counts: &[(T, u64)]) -> impl Iterator<Item = u64> {
    counts.iter().map(|(_, count)| *count)
}

fn labelled<T>(all: impl IntoIterator<Item = T>, counts: &[u64]) -> Vec<(T, u64)> {
    all.into_iter().zip(counts.iter().copied()).collect()
}

impl Metrics {
    /// Counts a denial among the requests of its client.
    pub(crate) fn deny(&self, cause: Cause, cache_status: CacheStatus, requests: &Requests) {
        add(&self.causes[cause as usize]);
        requests.deny(cache_status);
    }

    pub(crate) fn note_breaker(&self, issuer: &str, is_open: bool) {
        self.note_provider(issuer, |provider| provider.is_paused = is_open);
    }

    /// The states of the providers, by issuer.
    pub(crate) fn providers(&self) -> BTreeMap<String, ProviderState> {
        let providers = self.providers.lock();
        providers.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Drops the labels of an issuer that no provider has any longer.
    pub(crate) fn forget_provider(&self, issuer: &str) {
        let mut providers = self
            .providers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        providers.remove(issuer);
    }

    pub(crate) fn note_limits(&self, issuer: &str, limits: &[(&'static str, String)]) {
        if limits.is_empty() {
            return;
        }
        self.note_provider(issuer, |provider| {
            for (header, value) in limits {
                read_limits(header, value, &mut provider.limits);
            }
        });
    }

    /// The engine adds the figures of its cache.
    pub(crate) fn snapshot(&self, entries: u64, bytes: u64, waiting: u64) -> Snapshot {
        let read = |counters: &[AtomicU64]| -> Vec<u64> { counters.iter().map(load).collect() };
        let by_cache_status = |counters| CacheStatus::ALL.into_iter().zip(counters).collect();
        Snapshot {
            allowed: by_cache_status(self.clients.total(|requests| &requests.allowed)),
            denied: by_cache_status(self.clients.total(|requests| &requests.denied)),
            causes: Cause::ALL.into_iter().zip(read(&self.causes)).collect(),
            exchange: self.exchange.latency(),
            discovery: self.discovery.latency(),
            refreshes: load(&self.refreshes),
            refresh_failures: load(&self.refresh_failures),
            purged: load(&self.purged),
            store_hits: load(&self.store_hits),
            store_misses: load(&self.store_misses),
            store_failures: load(&self.store_failures),
            store_waits: load(&self.store_waits),
            store_puts: load(&self.store_puts),
            entries,
            bytes,
            waiting,
            providers: self.providers(),
            clients: self.clients.list(0, usize::MAX),
        }
    }

    /// Changes the state of a provider.
    pub(crate) fn note_provider(&self, issuer: &str, change: impl FnOnce(&mut ProviderState)) {
        let mut providers = self
            .providers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !providers.contains_key(issuer) {
            providers.insert(issuer.to_owned(), ProviderState::default());
        }
        if let Some(provider) = providers.get_mut(issuer) {
            change(provider);
        }
    }
}

impl Histogram {
    pub(crate) fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        if let Some(bucket) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            add(&self.buckets[bucket]);
        }
        add(&self.count);
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }

    pub(crate) fn latency(&self) -> Latency {
        let mut so_far = 0;
        Latency {
            buckets: BOUNDS
                .into_iter()
                .zip(&self.buckets)
                .map(|(bound, bucket)| {
                    so_far += load(bucket);
                    (bound, so_far)
                })
                .collect(),
            count: load(&self.count),
            sum: load(&self.microseconds) as f64 / 1e6,
        }
    }
}

pub(crate) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Reads a number, or Auth0's `b=per_hour;q=10;r=7;t=3540,b=per_day;…`.
fn read_limits(header: &str, value: &str, limits: &mut BTreeMap<String, u64>) {
    if let Ok(number) = value.trim().parse() {
        limits.insert(header.to_owned(), number);
        return;
    }
    for bucket in value.split(',') {
        let part = |wanted: &str| {
            bucket.split(';').find_map(|part| {
                let (name, value) = part.trim().split_once('=')?;
                (name == wanted).then_some(value)
            })
        };
        // Only known names become labels, because the provider must not choose them.
        let known = ["per_hour", "per_day", "per_minute", "per_month"];
        if let (Some(name), Some(Ok(remaining))) = (part("b"), part("r").map(str::parse))
            && known.contains(&name)
        {
            limits.insert(format!("{header}/{name}"), remaining);
        }
    }
}

impl Latency {
    fn counters(&self) -> impl Iterator<Item = u64> {
        let buckets = self.buckets.iter().map(|(_, count)| *count);
        buckets.chain([self.count, (self.sum * 1e6).round() as u64])
    }

    fn from_counters(next: &mut impl FnMut() -> u64) -> Latency {
        Latency {
            buckets: BOUNDS.map(|bound| (bound, next())).to_vec(),
            count: next(),
            sum: next() as f64 / 1e6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_bucket_counts_durations_up_to_its_bound() {
        let metrics = Metrics::default();
        for milliseconds in [1, 7, 300, 60_000] {
            metrics
                .exchange
                .observe(Duration::from_millis(milliseconds));
        }
        let text = metrics.snapshot(3, 4096, 0).to_string();
        for line in [
            "credgate_exchange_seconds_bucket{le=\"0.005\"} 1",
            "credgate_exchange_seconds_bucket{le=\"0.01\"} 2",
            "credgate_exchange_seconds_bucket{le=\"0.25\"} 2",
            "credgate_exchange_seconds_bucket{le=\"0.5\"} 3",
            "credgate_exchange_seconds_bucket{le=\"10\"} 3",
            "credgate_exchange_seconds_bucket{le=\"+Inf\"} 4",
            "credgate_exchange_seconds_count 4",
            "credgate_exchange_seconds_sum 60.308",
            "credgate_cache_entries 3",
            "credgate_cache_bytes 4096",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn counters_of_several_processes_add_up() {
        let metrics = Metrics::default();
        metrics.exchange.observe(Duration::from_millis(7));
        add(&metrics.causes[3]);
        add(&metrics.clients.of(b"").denied[1]);
        let one = metrics.snapshot(5, 600, 2);
        assert_eq!(Snapshot::from_counters(&one.counters()), one);
        let sum = one.counters().map(|number| 2 * number);
        let text = Snapshot::from_counters(&sum).to_string();
        for line in [
            "credgate_denied_total{cause=\"malformed_parameter\"} 2",
            "credgate_exchange_seconds_bucket{le=\"0.01\"} 2",
            "credgate_exchange_seconds_sum 0.014",
            "credgate_cache_bytes 1200",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
        }
        assert_eq!(
            one.counters()[..Snapshot::GAUGES],
            [5, 600, 2, 0, 0, 0, 0, 0]
        );
    }

    #[test]
    fn a_denial_of_a_host_counts_by_cause_and_without_a_lookup() {
        let mut counters = [0; Snapshot::COUNTERS];
        for cause in Cause::ALL {
            Snapshot::deny(&mut counters, cause);
        }
        Snapshot::deny(&mut counters, Cause::Internal);
        let sum = Snapshot::from_counters(&counters);
        for (cause, count) in sum.causes {
            assert_eq!(count, 1 + u64::from(cause == Cause::Internal), "{cause:?}");
        }
        let denials = Cause::ALL.len() as u64 + 1;
        assert_eq!(sum.denied[0], (CacheStatus::None, denials));
        assert_eq!(counters.iter().sum::<u64>(), 2 * denials);
    }

    #[test]
    fn every_cause_and_cache_status_has_its_own_counter() {
        for (index, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, index, "{cause:?}");
        }
        for (index, cache_status) in CacheStatus::ALL.into_iter().enumerate() {
            assert_eq!(cache_status as usize, index, "{cache_status:?}");
        }
    }

    #[test]
    fn rate_limit_headers_become_gauges_with_known_names() {
        let metrics = Metrics::default();
        metrics.note_limits(
            "https://a.example",
            &[
                ("x-ratelimit-remaining", "29".to_owned()),
                ("x-ratelimit-limit", "s3cret".to_owned()),
                (
                    "auth0-client-quota-limit",
                    "b=per_hour;q=10;r=7;t=3540,b=per_day;q=100;r=97;t=1,b=s3cret;r=1".to_owned(),
                ),
            ],
        );
        let text = metrics.snapshot(0, 0, 0).to_string();
        assert!(!text.contains("s3cret"), "{text}");
        for line in [
            "{issuer=\"https://a.example\",header=\"x-ratelimit-remaining\"} 29",
            "{issuer=\"https://a.example\",header=\"auth0-client-quota-limit/per_hour\"} 7",
            "{issuer=\"https://a.example\",header=\"auth0-client-quota-limit/per_day\"} 97",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
