//! The purges of a process. A purge costs its caller no look at the cache: a hit compares the age of its token with the
//! latest purge, and the I/O thread drops the purged tokens later.

use crate::key::Fingerprint;
use crate::sys::sync::atomic::{AtomicU64, Ordering};
use crate::sys::sync::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::PoisonError;

/// The target of a purge: the tokens of one gate or of all, and of one client or of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PurgeTarget {
    pub(crate) gate: Option<Fingerprint>,
    pub(crate) client_id: Option<Box<str>>,
}

/// The purges since the start, by their number.
#[derive(Default)]
pub(crate) struct Purges {
    /// The number of the latest purge.
    latest: AtomicU64,
    targets: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    all: Targets,
    /// Those after the last sweep.
    unswept: Targets,
}

/// The purges since the last sweep. The sweep compares tokens with it without the lock that purges take, which keeps
/// the caller of a purge from waiting for the I/O thread.
pub(crate) struct Unswept {
    targets: Targets,
    latest: u64,
}

/// The latest purge of each target.
#[derive(Default)]
struct Targets {
    everything: u64,
    gates: HashMap<Fingerprint, u64>,
    clients: HashMap<Box<str>, Client>,
    /// The number of targets since everything was purged.
    count: usize,
}

/// The purges of one client id.
#[derive(Default)]
struct Client {
    everywhere: u64,
    gates: HashMap<Fingerprint, u64>,
}

/// The purge up to which a cached value is known not to be purged.
#[derive(Debug, Default)]
pub(crate) struct Checked(AtomicU64);

/// The maximum number of purges that are remembered; beyond it, one purge of everything replaces them.
const MAX_TARGETS: usize = if cfg!(test) { 100 } else { 10_000 };

impl PurgeTarget {
    pub(crate) fn covers(&self, gate: &Fingerprint, client_id: &str) -> bool {
        self.gate.is_none_or(|purged| purged == *gate)
            && self.client_id.as_deref().is_none_or(|id| id == client_id)
    }
}

impl Purges {
    /// The number of the latest purge. A flight takes it at its start.
    pub(crate) fn latest(&self) -> u64 {
        self.latest.load(Ordering::SeqCst)
    }

    /// Purges a target. Values of flights that have begun are covered too.
    pub(crate) fn purge(&self, target: &PurgeTarget) {
        let mut targets = self.targets();
        let number = self.latest() + 1;
        targets.all.note(target, number);
        targets.unswept.note(target, number);
        // After the target: a thread that sees the number finds the target.
        self.latest.store(number, Ordering::SeqCst);
    }

    /// Whether a value of this gate and client has been purged. Allocates nothing; costs one comparison unless there was
    /// a purge since the last check.
    pub(crate) fn covers(&self, checked: &Checked, gate: &Fingerprint, client_id: &str) -> bool {
        let (latest, since) = (self.latest(), checked.0.load(Ordering::Relaxed));
        if latest == since {
            return false;
        }
        if self.targets().all.covers(since, gate, client_id) {
            return true;
        }
        checked.0.store(latest, Ordering::Relaxed);
        false
    }

    /// The purges since the last sweep, for the next one.
    pub(crate) fn take_unswept(&self) -> Unswept {
        let mut targets = self.targets();
        Unswept {
            targets: std::mem::take(&mut targets.unswept),
            latest: self.latest(),
        }
    }

    fn targets(&self) -> MutexGuard<'_, Remembered> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unswept {
    /// Whether a value of this gate and client has been purged since the last sweep.
    pub(crate) fn covers(&self, checked: &Checked, gate: &Fingerprint, client_id: &str) -> bool {
        let since = checked.0.load(Ordering::Relaxed);
        if self.targets.covers(since, gate, client_id) {
            return true;
        }
        checked.0.fetch_max(self.latest, Ordering::Relaxed);
        false
    }
}

impl Targets {
    fn note(&mut self, target: &PurgeTarget, number: u64) {
        let is_new = match (target.gate, &target.client_id) {
            (None, None) => return self.forget_before(number),
            (Some(gate), None) => self.gates.insert(gate, number).is_none(),
            (gate, Some(client_id)) => {
                let client = self.clients.entry(client_id.clone()).or_default();
                match gate {
                    None => std::mem::replace(&mut client.everywhere, number) == 0,
                    Some(gate) => client.gates.insert(gate, number).is_none(),
                }
            }
        };
        self.count += usize::from(is_new);
        if self.count > MAX_TARGETS {
            self.forget_before(number);
        }
    }

    /// A purge of everything includes all earlier ones.
    fn forget_before(&mut self, number: u64) {
        *self = Targets {
            everything: number,
            ..Targets::default()
        };
    }

    /// Whether a purge after the number `since` covers this gate and client.
    fn covers(&self, since: u64, gate: &Fingerprint, client_id: &str) -> bool {
        let of = |gates: &HashMap<Fingerprint, u64>| gates.get(gate).copied().unwrap_or(0);
        let client = self.clients.get(client_id);
        let latest = self
            .everything
            .max(of(&self.gates))
            .max(client.map_or(0, |client| client.everywhere.max(of(&client.gates))));
        latest > since
    }
}

impl Checked {
    /// Of a value whose flight began when `number` was the latest purge.
    pub(crate) fn at(number: u64) -> Checked {
        Checked(AtomicU64::new(number))
    }

    /// Sets the number at which the value's flight began.
    pub(crate) fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(number: u8) -> Fingerprint {
        Fingerprint::for_test(number)
    }

    fn target(gate: Option<Fingerprint>, client_id: Option<&str>) -> PurgeTarget {
        PurgeTarget {
            gate,
            client_id: client_id.map(Box::from),
        }
    }

    #[test]
    fn a_purge_covers_its_target_only() {
        for (purged, covered) in [
            (target(None, None), [true, true, true]),
            (target(Some(gate(1)), None), [true, true, false]),
            (target(None, Some("a")), [true, false, true]),
            (target(Some(gate(1)), Some("a")), [true, false, false]),
        ] {
            let purges = Purges::default();
            let values = [(1, "a"), (1, "b"), (2, "a")]
                .map(|(number, client)| (Checked::at(purges.latest()), gate(number), client));
            purges.purge(&purged);
            for _ in 0..2 {
                let seen = values
                    .each_ref()
                    .map(|(checked, gate, client)| purges.covers(checked, gate, client));
                assert_eq!(seen, covered, "{purged:?}");
            }
            // A flight that begins now is not concerned.
            let newer = Checked::at(purges.latest());
            assert!(!purges.covers(&newer, &gate(1), "a"));
        }
    }

    #[test]
    fn a_sweep_sees_the_purges_since_the_last_one() {
        let purges = Purges::default();
        let [a, b] = [0, 0].map(Checked::at);
        purges.purge(&target(None, Some("a")));
        let first = purges.take_unswept();
        purges.purge(&target(None, Some("b")));
        assert!(first.covers(&a, &gate(1), "a"));
        assert!(!first.covers(&b, &gate(1), "b"), "purged later");
        let second = purges.take_unswept();
        assert!(second.covers(&b, &gate(1), "b"));
        assert!(!second.covers(&Checked::at(2), &gate(1), "b"));
        let third = purges.take_unswept();
        assert!(!third.covers(&b, &gate(1), "b"));
    }

    #[test]
    fn the_number_of_targets_is_bounded() {
        let purges = Purges::default();
        let early = Checked::at(0);
        for number in 0..250 {
            purges.purge(&target(None, Some(&format!("c{number}"))));
        }
        let targets = purges.targets();
        assert!(targets.all.clients.len() <= MAX_TARGETS);
        assert!(targets.unswept.clients.len() <= MAX_TARGETS);
        drop(targets);
        for _ in 0..250 {
            purges.purge(&target(None, Some("c249")));
        }
        let later = Checked::at(purges.latest());
        purges.purge(&target(None, Some("c249")));
        assert!(
            !purges.covers(&later, &gate(1), "c0"),
            "the same target again is not one more"
        );
        assert!(purges.covers(&early, &gate(1), "c0"));
        assert!(
            purges.covers(&early, &gate(1), "another"),
            "everything was purged"
        );
    }
}
