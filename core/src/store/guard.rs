//! The guard of a store: a deadline, two circuit breakers, counters and log lines for a store that may fail.

use super::{Store, StoreFault, StoreFaultKind, StoreFuture};
use crate::env::Env;
use crate::journal::Level;
use crate::metrics::add;
use crate::sys::breaker::Breaker;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// See the module.
pub(super) struct Guard {
    store: Arc<dyn Store>,
    env: Arc<Env>,
    reads: Breaker,
    writes: Breaker,
    logged: Mutex<Logged>,
}

#[derive(Default)]
struct Logged {
    /// The last time that each kind of failure was logged.
    faults: BTreeMap<StoreFaultKind, Instant>,
    /// A failure was logged, and its end was not.
    is_open: bool,
}

/// The approximate pause of the circuit breaker, the first and the maximum. Jittered, so that processes do not return
/// at the same moment.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The minimum interval between two log lines about one kind of failure.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

impl Guard {
    pub(super) fn new(store: Arc<dyn Store>, env: Arc<Env>) -> Guard {
        Guard {
            store,
            env,
            reads: Breaker::new(jittered(FIRST_PAUSE), LONGEST_PAUSE),
            writes: Breaker::new(jittered(FIRST_PAUSE), LONGEST_PAUSE),
            logged: Mutex::default(),
        }
    }

    /// Calls the store for reading. `None` if it fails or its circuit breaker is open.
    pub(super) async fn read<'s, T>(
        &'s self,
        call: impl FnOnce(&'s dyn Store) -> StoreFuture<'s, T>,
    ) -> Option<T> {
        self.call(&self.reads, call).await
    }

    /// Calls the store for writing, with a circuit breaker of its own: a full, locked or read-only store may still be
    /// readable.
    pub(super) async fn write<'s, T>(
        &'s self,
        call: impl FnOnce(&'s dyn Store) -> StoreFuture<'s, T>,
    ) -> Option<T> {
        let reply = self.call(&self.writes, call).await?;
        self.note_recovery();
        Some(reply)
    }

    async fn call<'s, T>(
        &'s self,
        breaker: &Breaker,
        call: impl FnOnce(&'s dyn Store) -> StoreFuture<'s, T>,
    ) -> Option<T> {
        let now = || self.env.clock.now();
        let attempt = breaker.admit(&now).ok()?;
        let deadline = self.store.timeout();
        let reply = tokio::time::timeout(deadline, call(&*self.store)).await;
        let reply = reply.unwrap_or_else(|_| {
            let detail = format!("no reply within {deadline:?}");
            Err(StoreFault::new(StoreFaultKind::Slow, detail))
        });
        attempt.report(reply.is_ok());
        reply.map_err(|fault| self.note(&fault)).ok()
    }

    /// The pause of a waiter: the first, and the maximum.
    pub(super) fn pauses(&self) -> (Duration, Duration) {
        self.store.pauses()
    }

    /// Counts a failure and logs it.
    pub(super) fn note(&self, fault: &StoreFault) {
        add(&self.env.metrics.store_failures);
        let now = self.env.clock.now();
        {
            let mut logged = self.logged();
            let last = logged.faults.get(&fault.kind);
            if last.is_some_and(|last| now.saturating_duration_since(*last) < LOG_INTERVAL) {
                return;
            }
            logged.faults.insert(fault.kind, now);
            logged.is_open = true;
        }
        let message = format!(
            "store {}: {fault}; tokens are not shared until it works again",
            self.store.name()
        );
        self.env.journal.note(Level::Warning, message);
    }

    fn note_recovery(&self) {
        if std::mem::take(&mut self.logged().is_open) {
            let message = format!("store {}: works again", self.store.name());
            self.env.journal.note(Level::Notice, message);
        }
    }

    fn logged(&self) -> MutexGuard<'_, Logged> {
        self.logged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between half and one and a half of the pause.
pub(super) fn jittered(pause: Duration) -> Duration {
    let fraction = f64::from(getrandom::u32().unwrap_or_default()) / f64::from(u32::MAX);
    pause.mul_f64(0.5 + fraction)
}
