//! The shared store: which tokens and refusals do other processes of this host, or other hosts of the fleet, already
//! have?
//!
//! A [`Store`] moves bytes and knows nothing of tokens. Values are sealed before they enter it ([`seal`]); values that
//! do not decrypt are ignored. When it fails, the provider is called as if there were no store: it saves exchanges, and
//! nothing depends on it.
//!
//! All of this runs on the engine's I/O thread or on the store's own thread, never in the host's event loop.

#![cfg_attr(
    not(all(feature = "redis", feature = "sqlite")),
    allow(
        dead_code,
        reason = "each store uses parts of it that the other does not"
    )
)]

#[cfg(feature = "bench")]
pub(crate) mod bench;
mod config;
mod entry;
mod file;
mod guard;
mod lead;
mod mac;
mod pepper;
mod peppers;
mod purged;
#[cfg(feature = "redis")]
mod redis;
mod seal;
mod sharing;
#[cfg(feature = "sqlite")]
mod sqlite;
mod tallies;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod targets;

pub(crate) use config::{Location, StoreConfig};
pub(crate) use sharing::Sharing;
#[cfg(all(test, feature = "sqlite"))]
pub(crate) use sqlite::Sqlite;

use crate::error::Error;
use crate::sys::clock::Clock;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// The position of a value: a MAC, under a key derived from the pepper, of everything that can change a token. Clients
/// cannot choose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Index(pub(crate) [u8; 32]);

/// The holder of a lease: random, new for each flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner(pub(crate) [u8; 16]);

/// A purge's target (a client, a gate, both, everything) as the store sees it: a MAC under a key derived from the
/// pepper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TargetId(pub(crate) [u8; 32]);

/// The state of an index at one moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Lookup {
    /// The value, unless it is missing or expired. At most [`MAX_VALUE`] bytes: a longer one is treated as missing and
    /// is not transferred.
    pub(crate) value: Option<Vec<u8>>,
    /// The lease is taken.
    pub(crate) is_leased: bool,
    /// The number of the latest purge; 0 if there was none.
    pub(crate) purges: u64,
}

/// The result of requesting a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lease {
    /// The caller holds it.
    Taken,
    /// Another owner holds it.
    Held,
}

/// A purge in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Purge {
    pub(crate) target: TargetId,
    /// Later purges have larger numbers.
    pub(crate) number: u64,
}

/// Metrics of processes that share no memory zone.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Values that only grow.
    pub(crate) counters: Vec<u64>,
    /// Current values.
    pub(crate) gauges: Vec<u64>,
}

/// The maximum length of a value: a token of 16 KiB, its client and its issuer, sealed.
pub(crate) const MAX_VALUE: usize = 24 * 1024;

/// The contract of a store. Creating one does no I/O; it connects, or opens its file, on the first call in the calling
/// process, and again after a failure. No call is retried internally: callers apply their own deadline
/// ([`Store::timeout`]), circuit breaker and counters.
///
/// Indexes, owners, targets and values are bytes and must be passed as such (bound parameters, binary-safe arguments),
/// never as part of a command's text. A value of another index does not decrypt, so replies that get mixed up on the
/// way do no harm.
///
/// Callers may drop a call's future at any time. Several calls may be in progress at once.
pub(crate) trait Store: Send + Sync {
    /// Reads an index. The only call for every request that is not a cache hit; waiters for a lease repeat it. One
    /// round trip.
    fn look(&self, index: Index) -> StoreFuture<'_, Lookup>;

    /// Sets the value of an index and replaces the present one. It expires after `life`, at least one millisecond.
    fn put(&self, index: Index, value: Vec<u8>, life: Duration) -> StoreFuture<'_, ()>;

    /// Takes the lease of an index if it is free or expired, or extends it if `owner` holds it already. Atomic among
    /// all users of the store. It expires after `life` even if its owner has died.
    fn lease(&self, index: Index, owner: Owner, life: Duration) -> StoreFuture<'_, Lease>;

    /// Releases a lease if this owner still holds it.
    fn release(&self, index: Index, owner: Owner) -> StoreFuture<'_, ()>;

    /// Records a purge, replaces an earlier one of the same target, and returns its number: the larger of `now` in
    /// milliseconds and the largest existing number plus one. Atomic. Kept for at least [`PURGE_LIFE`], which is longer
    /// than the life of any value.
    fn purge(&self, target: TargetId, now: Duration) -> StoreFuture<'_, u64>;

    /// The purges with numbers larger than `after`: the [`MAX_PURGES`] smallest of them, in any order.
    fn purges(&self, after: u64) -> StoreFuture<'_, Vec<Purge>>;

    /// Adds a process's growth since its last call to the counters of its `group`, and replaces its gauges, which
    /// expire after [`GAUGE_LIFE`]. Atomic. The growth of a `round` is added once, even if the call is repeated within
    /// [`ROUND_LIFE`], so that a call without a reply can be retried; rounds count upwards from 1.
    fn add(
        &self,
        group: [u8; 16],
        process: [u8; 16],
        round: u64,
        growth: Tally,
    ) -> StoreFuture<'_, ()>;

    /// The counters of a group, and the sums of its processes' gauges.
    fn sum(&self, group: [u8; 16]) -> StoreFuture<'_, Tally>;

    /// The deadline of one call.
    fn timeout(&self) -> Duration;

    /// The pause between two reads while waiting for a lease: the first, and the maximum.
    fn pauses(&self) -> (Duration, Duration);

    /// The name in log lines: `SQLite /run/credgate/tokens.db`, `Redis at cache:6379`. Contains no password.
    fn name(&self) -> String;
}

/// Creates the configured store, together with the engine and on the host's thread, hence without I/O except for the
/// files that the configuration names.
///
/// The engine's thread uses it like this, for a flight that obtains a token (not for one that verifies a client's own
/// token, and not for a gate that caches no tokens):
///
/// 1. [`look`](Store::look): a token or a refusal that decrypts and is newer than any purge of it ends the flight.
/// 2. [`lease`](Store::lease), for [`LEASE_LIFE`]. `Taken`: [`look`](Store::look) again, as another process may have
///    been faster; exchange, extending the lease every [`LEASE_LIFE`] / 4; [`put`](Store::put);
///    [`release`](Store::release). So a process that dies with a lease is replaced within two seconds, however long
///    exchanges take.
/// 3. `Held`: [`look`](Store::look) again after a pause ([`Store::pauses`], doubling, jittered). If the lease ends
///    without a value, continue with 2. The gate's deadline ends the wait.
/// 4. A fault in any step: exchange without the store.
///
/// Besides, once a second: [`purges`](Store::purges) after the latest known number.
///
/// # Errors
///
/// [`crate::ErrorKind::ConfigFile`] if a file that the configuration names cannot be used.
#[cfg_attr(
    not(feature = "sqlite"),
    expect(unused_variables, reason = "SQLite alone needs the clock")
)]
fn open(config: &StoreConfig, clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>, Error> {
    match &config.location {
        #[cfg(feature = "sqlite")]
        Location::Sqlite(path) => Ok(Arc::new(sqlite::Sqlite::new(
            path,
            config.max_bytes,
            config.timeout,
            clock,
        ))),
        #[cfg(not(feature = "sqlite"))]
        Location::Sqlite(_) => Err(config::without_sqlite()),
        #[cfg(feature = "redis")]
        Location::Redis(address) => Ok(Arc::new(redis::RedisStore::new(address, config)?)),
        #[cfg(not(feature = "redis"))]
        Location::Redis(never) => match *never {},
    }
}

/// The life of a lease; its owner extends it long before.
pub(crate) const LEASE_LIFE: Duration = Duration::from_secs(2);
/// The maximum clock difference between processes that share. Less than the margin by which tokens are dropped before
/// their expiry (`leeway` and `eagerly_expire`), so that no process serves an expired one; entries from further in the
/// future are ignored.
const MAX_SKEW: Duration = Duration::from_secs(5);
/// The maximum number of purges in one reply; the next call continues after the last of them.
pub(crate) const MAX_PURGES: usize = if cfg!(test) { 4 } else { 4096 };
/// The minimum time for which a purge is remembered.
pub(crate) const PURGE_LIFE: Duration = Duration::from_secs(32 * 86_400);
/// The time after which a silent process no longer counts.
pub(crate) const GAUGE_LIFE: Duration = Duration::from_secs(10);
/// The time for which the last round of a process is remembered.
pub(crate) const ROUND_LIFE: Duration = Duration::from_secs(3600);

/// The pending result of a store's call.
pub(crate) type StoreFuture<'s, T> =
    Pin<Box<dyn Future<Output = Result<T, StoreFault>> + Send + 's>>;

/// A store's failure. Logged as one line per kind and minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreFault {
    pub(crate) kind: StoreFaultKind,
    /// The observation and the remedy, log-safe: contains no password and no data from the store.
    pub(crate) detail: String,
}

/// The kinds of [`StoreFault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StoreFaultKind {
    /// Others keep it from being used at the moment: locked, loading, out of connections.
    Busy,
    /// It is damaged.
    Corrupt,
    /// It contains foreign data: another schema, or a value of another type.
    Foreign,
    /// It is full.
    Full,
    /// Access is denied: password, certificate, owner, mode, file system.
    Refused,
    /// It is readable but not writable.
    ReadOnly,
    /// It did not respond in time.
    Slow,
    /// It cannot be reached.
    Unreachable,
}

impl StoreFault {
    pub(crate) fn new(kind: StoreFaultKind, detail: impl Into<String>) -> StoreFault {
        StoreFault {
            kind,
            detail: detail.into(),
        }
    }
}

impl fmt::Display for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

#[cfg(test)]
pub(crate) mod tests;
