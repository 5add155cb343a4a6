//! The purges that this process knows: those of other processes, and its own that have not reached the store yet.

use super::pepper::Pepper;
use super::{MAX_SKEW, Purge, TargetId};
use crate::cache::purges::PurgeTarget;
use crate::key::Fingerprint;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

impl PurgeTarget {
    pub(super) fn id(&self, pepper: &Pepper) -> TargetId {
        pepper.target_id(self.gate.as_ref(), self.client_id.as_deref())
    }
}

/// See the module.
pub(super) struct Purged {
    /// The start of this process, less the clocks' maximum difference: none of its tokens is older.
    began: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The number up to which all purges are known.
    latest: u64,
    /// All existing purges have been read once: any further one is new, regardless of clocks.
    is_settled: bool,
    known: HashMap<TargetId, u64>,
    /// Made on this host, and perhaps not in the store yet.
    pending: Vec<Pending>,
}

/// A purge made by this process, or announced by another one of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pending {
    pub(super) target: PurgeTarget,
    /// The number of times it was made before it reached the store.
    times: u64,
    /// The time since the Unix epoch when this process heard of it. The other process stores it, unless it dies first.
    pub(super) announced: Option<Duration>,
}

/// The maximum number of targets; beyond it, one purge of everything replaces them. Purges are remembered for a month,
/// at some fifty bytes each.
const MAX_KNOWN: usize = if cfg!(test) { 1000 } else { 50_000 };
/// The maximum time between a purge and its announcement in another process.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(2);

/// The targets that cover a token.
pub(super) fn target_ids(pepper: &Pepper, gate: &Fingerprint, client_id: &str) -> [TargetId; 4] {
    [
        (None, None),
        (Some(gate), None),
        (None, Some(client_id)),
        (Some(gate), Some(client_id)),
    ]
    .map(|(gate, client_id)| pepper.target_id(gate, client_id))
}

impl Purged {
    /// `wall`: the time since the Unix epoch.
    pub(super) fn new(wall: Duration) -> Purged {
        Purged {
            began: wall.saturating_sub(MAX_SKEW),
            state: Mutex::default(),
        }
    }

    pub(super) fn latest(&self) -> u64 {
        self.state().latest
    }

    /// Begins a purge in this process. It applies from now on.
    pub(super) fn begin(&self, target: PurgeTarget) {
        self.add(target, None);
    }

    /// Applies a purge that another process of this host has made, whether it is in the store yet or not.
    pub(super) fn follow(&self, target: PurgeTarget, wall: Duration) {
        self.add(target, Some(wall));
    }

    fn add(&self, target: PurgeTarget, announced: Option<Duration>) {
        let mut state = self.state();
        // The store may be about to number the previous one, and this one is later.
        if let Some(pending) = state.pending.iter_mut().find(|one| one.target == target) {
            pending.times += 1;
            pending.announced = pending.announced.and(announced);
            return;
        }
        let target = if state.pending.len() + state.known.len() < MAX_KNOWN {
            target
        } else {
            state.pending.clear();
            PurgeTarget {
                gate: None,
                client_id: None,
            }
        };
        state.pending.push(Pending {
            target,
            times: 1,
            announced,
        });
    }

    /// Whether an announced purge is among the known ones of the store.
    pub(super) fn is_stored(&self, pending: &Pending, pepper: &Pepper) -> bool {
        let Some(announced) = pending.announced else {
            return false;
        };
        let made = announced.saturating_sub(ANNOUNCED_WITHIN);
        let state = self.state();
        [pending.target.id(pepper), pepper.target_id(None, None)]
            .iter()
            .filter_map(|id| state.known.get(id))
            .any(|number| Duration::from_millis(*number) >= made)
    }

    /// The oldest purge that is not in the store.
    pub(super) fn pending(&self) -> Option<Pending> {
        self.state().pending.first().cloned()
    }

    /// Ends a purge: it is in the store, with a number for its target under each pepper.
    pub(super) fn end(&self, done: &Pending, numbers: Vec<(TargetId, u64)>) {
        let mut state = self.state();
        state.known.extend(numbers);
        state.pending.retain(|pending| pending != done);
    }

    /// Records purges of the store; returns those that are new here and may cover tokens of this process. `is_last`:
    /// there are no more.
    pub(super) fn learn(
        &self,
        purges: &[Purge],
        pepper: &Pepper,
        is_last: bool,
    ) -> HashSet<TargetId> {
        let everything = pepper.target_id(None, None);
        let mut state = self.state();
        let mut new = HashSet::new();
        for Purge { target: id, number } in purges {
            state.latest = state.latest.max(*number);
            let is_settled = state.is_settled;
            let known = state.known.entry(*id).or_default();
            if *known < *number {
                *known = *number;
                if is_settled || Duration::from_millis(*number) >= self.began {
                    new.insert(*id);
                }
            }
        }
        state.is_settled |= is_last;
        if state.known.len() > MAX_KNOWN {
            let latest = state.latest;
            state.known.insert(everything, latest);
            new.insert(everything);
        }
        // A purge of everything includes all earlier ones.
        if let Some(all) = state.known.get(&everything).copied() {
            state.known.retain(|_, number| *number >= all);
        }
        new
    }

    /// Whether a flight that began when `purges` was the latest number has been purged since.
    pub(super) fn covers<'p>(
        &self,
        mut peppers: impl Iterator<Item = &'p Pepper>,
        gate: &Fingerprint,
        client_id: &str,
        purges: u64,
    ) -> bool {
        let state = self.state();
        if state.known.is_empty() && state.pending.is_empty() {
            return false;
        }
        let is_known = |id| state.known.get(&id).is_some_and(|number| *number > purges);
        peppers.any(|pepper| {
            target_ids(pepper, gate, client_id)
                .into_iter()
                .any(is_known)
        }) || state
            .pending
            .iter()
            .any(|pending| pending.target.covers(gate, client_id))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The start of the process, in milliseconds.
    const BEGAN: u64 = 1_000_000;

    struct Lab {
        purged: Purged,
        pepper: Pepper,
    }

    impl Lab {
        fn new() -> Lab {
            Lab {
                purged: Purged::new(Duration::from_millis(BEGAN)),
                pepper: Pepper::of(&[7; 32]).unwrap(),
            }
        }

        /// Learns another process's purge; returns whether it is new.
        fn learn(&self, target: &PurgeTarget, number: u64) -> bool {
            let id = target.id(&self.pepper);
            let purge = Purge { target: id, number };
            !self.purged.learn(&[purge], &self.pepper, false).is_empty()
        }

        /// Stores the pending purge.
        fn write(&self, number: u64) {
            let pending = self.purged.pending().unwrap();
            let id = pending.target.id(&self.pepper);
            self.purged.end(&pending, vec![(id, number)]);
        }

        fn pending(&self) -> Option<PurgeTarget> {
            self.purged.pending().map(|pending| pending.target)
        }

        /// Whether a token of gate 1 has been purged since.
        fn covers(&self, client_id: &str, since: u64) -> bool {
            let peppers = [&self.pepper].into_iter();
            self.purged
                .covers(peppers, &Fingerprint::for_test(1), client_id, since)
        }
    }

    fn target(gate: Option<u8>, client_id: Option<&str>) -> PurgeTarget {
        PurgeTarget {
            gate: gate.map(Fingerprint::for_test),
            client_id: client_id.map(Box::from),
        }
    }

    #[test]
    fn a_purge_covers_earlier_flights_of_its_target() {
        let all = [
            (target(None, None), [true, true]),
            (target(Some(1), None), [true, true]),
            (target(Some(2), None), [false, false]),
            (target(None, Some("a")), [true, false]),
            (target(Some(1), Some("a")), [true, false]),
            (target(Some(2), Some("a")), [false, false]),
        ];
        for (target, [a, b]) in all {
            let (learnt, begun) = (Lab::new(), Lab::new());
            assert!(learnt.learn(&target, BEGAN));
            begun.purged.begin(target.clone());
            for lab in [&learnt, &begun] {
                let covered = ["a", "b"].map(|id| lab.covers(id, BEGAN - 1));
                assert_eq!(covered, [a, b], "{target:?}");
            }
            assert!(!learnt.covers("a", BEGAN), "it was begun afterwards");
        }
    }

    #[test]
    fn a_purge_is_new_once_and_not_in_its_own_process() {
        let lab = Lab::new();
        let (a, b) = (target(None, Some("a")), target(None, Some("b")));
        assert!(lab.learn(&a, BEGAN + 1));
        assert!(!lab.learn(&a, BEGAN + 1));
        assert!(lab.learn(&a, BEGAN + 2), "once more");
        assert_eq!(lab.purged.latest(), BEGAN + 2);
        lab.purged.begin(b.clone());
        assert_eq!(lab.pending().as_ref(), Some(&b));
        lab.write(BEGAN + 3);
        assert_eq!(lab.pending(), None);
        assert!(!lab.learn(&b, BEGAN + 3));
        let long_ago = BEGAN - 1 - MAX_SKEW.as_millis() as u64;
        assert!(!lab.learn(&target(None, Some("c")), long_ago));
        assert!(lab.covers("c", long_ago - 1), "and yet it counts");
        // Once all have been learnt, any other is new, even if a clock was set back.
        lab.purged.learn(&[], &lab.pepper, true);
        assert!(lab.learn(&target(None, Some("d")), long_ago));
    }

    #[test]
    fn a_purge_repeated_while_pending_is_written_again() {
        let lab = Lab::new();
        lab.purged.begin(target(None, Some("a")));
        let first = lab.purged.pending().unwrap();
        lab.purged.begin(target(None, Some("a")));
        let id = first.target.id(&lab.pepper);
        lab.purged.end(&first, vec![(id, BEGAN)]);
        assert_eq!(lab.pending(), Some(target(None, Some("a"))));
        lab.write(BEGAN + 1);
        assert_eq!(lab.pending(), None);
    }

    #[test]
    fn too_many_purges_become_a_purge_of_everything() {
        let (made, learnt) = (Lab::new(), Lab::new());
        for number in 0..MAX_KNOWN as u64 {
            for lab in [&made, &learnt] {
                lab.learn(&target(None, Some(&number.to_string())), BEGAN + number);
            }
        }
        let (last, everything) = (BEGAN + MAX_KNOWN as u64, target(None, None));
        made.purged.begin(target(None, Some("a")));
        assert_eq!(made.pending().as_ref(), Some(&everything));
        made.write(last);
        made.learn(&everything, last);
        learnt.learn(&target(None, Some("a")), last);
        for lab in [made, learnt] {
            assert!(lab.purged.state().known.len() <= 2);
            assert!(lab.covers("anybody", last - 1));
            assert!(!lab.covers("anybody", last));
        }
    }
}
