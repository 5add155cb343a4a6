//! What an engine has done, in numbers: counters and histograms, no label of which is a client's.

mod text;

use crate::cause::Cause;
use crate::outcome::{CacheStatus, Outcome};
use crate::sys::breaker::BreakerState;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// An engine's counters. Counting allocates nothing and locks nothing.
#[derive(Default)]
pub(crate) struct Metrics {
    allowed: [AtomicU64; CacheStatus::ALL.len()],
    denied: [AtomicU64; CacheStatus::ALL.len()],
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

/// A latency, in the buckets of Prometheus: each counts what took no longer.
#[derive(Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BOUNDS.len()],
    count: AtomicU64,
    microseconds: AtomicU64,
}

/// In seconds.
const BOUNDS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// What is known of a provider.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProviderState {
    /// It has failed so often that it is left alone for a while.
    pub is_paused: bool,
    /// The numbers in the last answer that told about limits, by header: `x-ratelimit-remaining`, and for Auth0's
    /// quotas the bucket behind it (`auth0-client-quota-limit/per_hour`: what remains).
    pub limits: BTreeMap<String, u64>,
}

/// A latency at one moment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Latency {
    /// Upper bound in seconds, and how many took no longer.
    pub buckets: Vec<(f64, u64)>,
    /// How many there were.
    pub count: u64,
    /// All of them together, in seconds.
    pub sum: f64,
}

/// An engine's numbers at one moment. Its `Display` is Prometheus's text format, version 0.0.4.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Requests that were allowed, by how.
    pub allowed: Vec<(CacheStatus, u64)>,
    /// Requests that were denied, by how.
    pub denied: Vec<(CacheStatus, u64)>,
    /// Requests that were denied, by cause.
    pub causes: Vec<(Cause, u64)>,
    /// Exchanges at token endpoints.
    pub exchange: Latency,
    /// Fetches of metadata.
    pub discovery: Latency,
    /// Exchanges ahead of a token's end that were begun.
    pub refreshes: u64,
    /// Those that failed.
    pub refresh_failures: u64,
    /// Tokens that were dropped before their end.
    pub purged: u64,
    /// Tokens and refusals that the shared store had.
    pub store_hits: u64,
    /// Those that it did not have, or could not be asked for.
    pub store_misses: u64,
    /// What the store was asked to do and did not.
    pub store_failures: u64,
    /// How often another process had gone for a token already, and was waited for.
    pub store_waits: u64,
    /// Tokens and refusals that were put into the store.
    pub store_puts: u64,
    /// Tokens in the cache.
    pub entries: u64,
    /// Bytes that they occupy.
    pub bytes: u64,
    /// Requests that wait for an exchange.
    pub waiting: u64,
    /// What is known of providers, by issuer.
    pub providers: BTreeMap<String, ProviderState>,
}

impl Snapshot {
    /// How many numbers [`counters`](Snapshot::counters) answers.
    pub const COUNTERS: usize = Snapshot::CUMULATIVE + 3;
    /// How many of them, the first ones, only grow: those outlive the process that counted them.
    pub const CUMULATIVE: usize =
        2 * CacheStatus::ALL.len() + Cause::ALL.len() + 2 * (BOUNDS.len() + 2) + 8;

    /// All numbers but those of providers, in an order that [`from_counters`](Snapshot::from_counters) knows. The
    /// numbers of several processes may be added up one by one.
    pub fn counters(&self) -> [u64; Snapshot::COUNTERS] {
        let by_cache_status = self.allowed.iter().chain(&self.denied);
        let numbers = by_cache_status
            .map(|(_, count)| *count)
            .chain(self.causes.iter().map(|(_, count)| *count))
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
                self.entries,
                self.bytes,
                self.waiting,
            ]);
        let mut counters = [0; Snapshot::COUNTERS];
        for (counter, number) in counters.iter_mut().zip(numbers) {
            *counter = number;
        }
        counters
    }

    /// The same numbers as JSON, for people and scripts.
    pub fn report(&self) -> String {
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
        let status = serde_json::json!({
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
        });
        status.to_string()
    }

    /// What such numbers mean.
    pub fn from_counters(counters: &[u64; Snapshot::COUNTERS]) -> Snapshot {
        let mut rest = counters.iter().copied();
        let mut next = || rest.next().unwrap_or_default();
        let mut by_cache_status = || {
            CacheStatus::ALL
                .map(|cache_status| (cache_status, next()))
                .to_vec()
        };
        Snapshot {
            allowed: by_cache_status(),
            denied: by_cache_status(),
            causes: Cause::ALL.map(|cause| (cause, next())).to_vec(),
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
            entries: next(),
            bytes: next(),
            waiting: next(),
            providers: BTreeMap::new(),
        }
    }
}

impl Metrics {
    pub(crate) fn count(&self, outcome: &Outcome) {
        let (counters, cache_status) = match outcome {
            Outcome::Allow(allow) => (&self.allowed, allow.cache_status()),
            Outcome::Deny(deny) => {
                add(&self.causes[position(&Cause::ALL, deny.cause())]);
                (&self.denied, deny.cache_status())
            }
        };
        add(&counters[position(&CacheStatus::ALL, cache_status)]);
    }

    pub(crate) fn note_breaker(&self, issuer: &str, state: BreakerState) {
        self.provider(issuer, |provider| {
            provider.is_paused = state == BreakerState::Open;
        });
    }

    pub(crate) fn note_limits(&self, issuer: &str, limits: &[(&'static str, String)]) {
        if limits.is_empty() {
            return;
        }
        self.provider(issuer, |provider| {
            for (header, value) in limits {
                read_limits(header, value, &mut provider.limits);
            }
        });
    }

    /// The engine adds what is in its cache.
    pub(crate) fn snapshot(&self, entries: u64, bytes: u64, waiting: u64) -> Snapshot {
        let read = |counters: &[AtomicU64]| -> Vec<u64> { counters.iter().map(load).collect() };
        let by_cache_status = |counters| CacheStatus::ALL.into_iter().zip(read(counters)).collect();
        let providers = self.providers.lock();
        Snapshot {
            allowed: by_cache_status(&self.allowed),
            denied: by_cache_status(&self.denied),
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
            providers: providers.unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    fn provider(&self, issuer: &str, change: impl FnOnce(&mut ProviderState)) {
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

    fn latency(&self) -> Latency {
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

fn position<T: PartialEq>(all: &[T], one: T) -> usize {
    all.iter().position(|other| *other == one).unwrap_or(0)
}

/// A number, or Auth0's `b=per_hour;q=10;r=7;t=3540,b=per_day;…`.
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
        // Only known names become labels: the provider does not choose them.
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
        add(&metrics.denied[1]);
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
        assert_eq!(one.counters()[Snapshot::CUMULATIVE..], [5, 600, 2]);
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
