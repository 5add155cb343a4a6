//! The shared store: what processes of one host, or hosts of one fleet, know of each other's tokens.
//!
//! A [`Store`] moves bytes and knows nothing of tokens. What goes into it is sealed before ([`seal`]), what comes out is
//! believed by nobody who cannot open it, and when it fails the provider is asked as if there were none: a store makes
//! exchanges rarer, and nothing depends on it.
//!
//! Everything here runs on the engine's own thread, or on one that a store has for itself: never in the host's loop.

#![cfg_attr(
    not(all(feature = "redis", feature = "sqlite")),
    allow(
        dead_code,
        reason = "each store uses parts of it that the other does not"
    )
)]

#[cfg(feature = "bench")]
pub mod bench;
mod config;
#[cfg(test)]
pub(crate) mod conformance;
mod entry;
mod file;
mod guard;
mod lead;
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

pub(crate) use config::{Location, StoreConfig};
pub(crate) use purged::PurgeTarget;
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

/// Where a value is: the MAC, under a key of the pepper's, of everything that can change a token. Nobody chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Index(pub(crate) [u8; 32]);

/// Who holds a lease: random, for each flight anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner(pub(crate) [u8; 16]);

/// What a purge is of (a client, a gate, both, everything): a MAC under a key of the pepper's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TargetId(pub(crate) [u8; 32]);

/// What is known at an index, at one moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Lookup {
    /// The value, where there is one whose life is not over. At most [`MAX_VALUE`] bytes: what is longer is left where
    /// it is, and not there for the caller.
    pub(crate) value: Option<Vec<u8>>,
    /// Somebody holds the lease.
    pub(crate) is_leased: bool,
    /// The number of the latest purge; 0 where there has been none.
    pub(crate) purges: u64,
}

/// What asking for a lease came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lease {
    /// It is the caller's.
    Taken,
    /// It is somebody else's.
    Held,
}

/// A purge that somebody has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Purge {
    pub(crate) scope: TargetId,
    /// Later purges have larger numbers.
    pub(crate) number: u64,
}

/// The numbers of processes that have no zone in common.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    /// What only grows.
    pub(crate) counters: Vec<u64>,
    /// What is so at one moment.
    pub(crate) gauges: Vec<u64>,
}

/// The longest value that is put or taken: a token of 16 KiB, its client and its issuer, sealed.
pub(crate) const MAX_VALUE: usize = 24 * 1024;

/// What a store promises. Made without I/O; it connects, or opens its file, when first asked, in the process that asks,
/// and again after a failure. Each call does what it can at once and answers: nothing is tried again by itself, and
/// whoever calls has a deadline, breaker and counters of its own ([`Store::timeout`]).
///
/// Indexes, owners, scopes and values are bytes, to be handed over as they are (bound parameters, binary-safe
/// arguments), never as part of a command's text. A value that comes back for another index than was asked for does not
/// open, so that replies may be mixed up by whatever is in between and no harm is done.
///
/// Calls may be abandoned (their future dropped) at any time, and several may be under way at once.
pub(crate) trait Store: Send + Sync {
    /// What is known at an index. The one call on the way of every request that is no hit, and what those who wait for a
    /// lease repeat: one round trip.
    fn look(&self, index: Index) -> StoreFuture<'_, Lookup>;

    /// Puts a value at an index, in the place of what is there. It is gone after `life`, of at least a millisecond.
    fn put(&self, index: Index, value: Vec<u8>, life: Duration) -> StoreFuture<'_, ()>;

    /// Takes the lease of an index, where nobody holds it, where its time is over, or where `owner` holds it already: then
    /// its time begins anew. Atomic among everybody who uses the store. Its time is over after `life`, whatever becomes
    /// of its owner.
    fn lease(&self, index: Index, owner: Owner, life: Duration) -> StoreFuture<'_, Lease>;

    /// Gives a lease back, if it still is this owner's.
    fn release(&self, index: Index, owner: Owner) -> StoreFuture<'_, ()>;

    /// Notes a purge of a scope, in the place of an earlier one of the same scope, and answers its number: the larger of
    /// `now` in milliseconds and the successor of the largest number that there is. Atomic. Kept for
    /// [`PURGE_LIFE`] at least, which is longer than any value lives.
    fn purge(&self, scope: TargetId, now: Duration) -> StoreFuture<'_, u64>;

    /// The purges with numbers larger than `after`: of those the [`MAX_PURGES`] with the smallest, in any order.
    fn purges(&self, after: u64) -> StoreFuture<'_, Vec<Purge>>;

    /// Adds a process's growth since the last time to the counters of all in its `group`, and puts its gauges in the
    /// place of its earlier ones; those are gone [`GAUGE_LIFE`] later. Atomic. The growth of a `round` is added once,
    /// however often it is told (within [`ROUND_LIFE`]), so that one whose answer was lost can be told again; rounds count
    /// upwards from 1.
    fn add(
        &self,
        group: [u8; 16],
        process: [u8; 16],
        round: u64,
        growth: Tally,
    ) -> StoreFuture<'_, ()>;

    /// The counters of a group, and the sums of its processes' gauges.
    fn sum(&self, group: [u8; 16]) -> StoreFuture<'_, Tally>;

    /// After how long a call is given up.
    fn timeout(&self) -> Duration;

    /// How long one who waits for a lease pauses between two looks: at first, and at most.
    fn pauses(&self) -> (Duration, Duration);

    /// What it is called in the log: `SQLite /run/credgate/tokens.db`, `Redis at cache:6379`. No password.
    fn name(&self) -> String;
}

/// The store of a configuration: made with the engine, on the host's thread, and so without I/O but for the files that
/// the configuration names.
///
/// How the engine's thread uses it, for a flight that is to bring a token (not one that verifies a brought one, and not
/// of a gate that keeps none):
///
/// 1. [`look`](Store::look): a token or a refusal that opens, and is not older than a purge of it, ends the flight.
/// 2. [`lease`](Store::lease), for [`LEASE_LIFE`]. `Taken`: [`look`](Store::look) once more, as somebody may have come
///    first; exchange, taking the lease anew every [`LEASE_LIFE`] / 4; [`put`](Store::put);
///    [`release`](Store::release). So whoever dies with a lease is replaced within two seconds, however long exchanges
///    may take.
/// 3. `Held`: [`look`](Store::look) again after a pause ([`Store::pauses`], doubling, jittered). Once it is not leased
///    any more and there is still nothing, on to 2. The gate's deadline ends it.
/// 4. A fault anywhere: the exchange, without the store.
///
/// Beside that, once a second, [`purges`](Store::purges) after the latest one known.
///
/// # Errors
///
/// [`crate::ErrorKind::ConfigFile`] where a file that the configuration names cannot be used.
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

/// How long a lease is good for; its owner takes it anew long before.
pub(crate) const LEASE_LIFE: Duration = Duration::from_secs(2);
/// By how much the clocks of those who share may disagree. Less than tokens are given up before their end (`leeway` and
/// `eagerly_expire`), so that nobody serves one past it; what comes from further ahead is not taken.
const MAX_SKEW: Duration = Duration::from_secs(5);
/// How many purges are told at once; the next question goes on where the answer ends.
pub(crate) const MAX_PURGES: usize = if cfg!(test) { 4 } else { 4096 };
/// How long a purge is remembered, at least.
pub(crate) const PURGE_LIFE: Duration = Duration::from_secs(32 * 86_400);
/// How long a process that says nothing counts.
pub(crate) const GAUGE_LIFE: Duration = Duration::from_secs(10);
/// How long it is remembered which round of a process was the last.
pub(crate) const ROUND_LIFE: Duration = Duration::from_secs(3600);

/// What a store answers, later.
pub(crate) type StoreFuture<'s, T> =
    Pin<Box<dyn Future<Output = Result<T, StoreFault>> + Send + 's>>;

/// Why a store did not do what it was asked. For the log: one line for each kind, once in a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreFault {
    pub(crate) kind: StoreFaultKind,
    /// What has been seen and what to do about it, log-safe: no password, nothing that came out of the store.
    pub(crate) detail: String,
}

/// The kinds of [`StoreFault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StoreFaultKind {
    /// Others keep it from being used just now: locked, loading, out of connections.
    Busy,
    /// It is damaged.
    Corrupt,
    /// It holds what is not ours: another schema, a value of another type.
    Foreign,
    /// There is no room.
    Full,
    /// It may not be used: password, certificate, owner, mode, file system.
    Refused,
    /// It can be read and not written.
    ReadOnly,
    /// It did not answer in time.
    Slow,
    /// It is not there.
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

#[cfg(all(test, feature = "sqlite"))]
mod tests;
