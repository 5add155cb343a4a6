//! The numbers of processes that have no zone in common: each adds its own to the store's, and shows those of all.

use super::Tally;
use crate::metrics::Snapshot;
use nix::unistd::gethostname;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An engine's numbers among those of its host.
pub(super) struct Tallies {
    /// Processes of this host whose numbers mean the same.
    pub(super) group: [u8; 16],
    pub(super) process: [u8; 16],
    state: Mutex<State>,
}

struct State {
    /// What the store has been told of this engine's.
    told: Numbers,
    /// What others have, as of the last time that the store was asked.
    others: Numbers,
}

type Numbers = [u64; Snapshot::COUNTERS];

impl Tallies {
    pub(super) fn new() -> Tallies {
        let mut group = blake3::Hasher::new_derive_key("credgate 2026 tally group v1");
        let host = gethostname().unwrap_or_default();
        group.update(host.as_encoded_bytes());
        group.update(env!("CARGO_PKG_VERSION").as_bytes());
        group.update(&(Snapshot::COUNTERS as u64).to_le_bytes());
        let mut process = [0; 16];
        // Where there is no randomness, gauges of others are replaced: nothing worse.
        let _ = getrandom::fill(&mut process);
        Tallies {
            group: group.finalize().as_bytes()[..16]
                .try_into()
                .unwrap_or_default(),
            process,
            state: Mutex::new(State {
                told: [0; Snapshot::COUNTERS],
                others: [0; Snapshot::COUNTERS],
            }),
        }
    }

    /// What the store is to be told when these are the engine's own numbers.
    pub(super) fn growth(&self, own: &Numbers) -> Tally {
        let told = self.state().told;
        let (counters, gauges) = own.split_at(Snapshot::CUMULATIVE);
        let growth = counters.iter().zip(told);
        Tally {
            counters: growth.map(|(own, told)| own.saturating_sub(told)).collect(),
            gauges: gauges.to_vec(),
        }
    }

    /// The store has been told these.
    pub(super) fn tell(&self, own: &Numbers) {
        self.state().told = *own;
    }

    /// The store has been told these, and has that in all.
    pub(super) fn learn(&self, own: &Numbers, sum: &Tally) {
        let (counters, gauges) = (sum.counters.iter(), sum.gauges.iter());
        let missing = Snapshot::CUMULATIVE.saturating_sub(sum.counters.len());
        let counters = counters.take(Snapshot::CUMULATIVE).copied();
        let all = counters
            .chain(std::iter::repeat_n(0, missing))
            .chain(gauges.copied())
            .chain(std::iter::repeat(0));
        let mut state = self.state();
        let mut is_lost = false;
        for ((others, all), own) in state.others.iter_mut().zip(all).zip(own) {
            is_lost |= all < *own;
            *others = all.saturating_sub(*own);
        }
        // A store that has begun anew is told everything.
        if is_lost {
            state.told = [0; Snapshot::COUNTERS];
        }
    }

    /// The numbers of all.
    pub(super) fn total(&self, own: &Numbers) -> Numbers {
        let others = self.state().others;
        std::array::from_fn(|position| own[position].saturating_add(others[position]))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: usize = Snapshot::COUNTERS - 1;

    fn numbers(first: u64, last: u64) -> Numbers {
        let mut numbers = [0; Snapshot::COUNTERS];
        numbers[0] = first;
        numbers[LAST] = last;
        numbers
    }

    fn tally(first: u64, last: u64) -> Tally {
        let numbers = numbers(first, last);
        let (counters, gauges) = numbers.split_at(Snapshot::CUMULATIVE);
        Tally {
            counters: counters.to_vec(),
            gauges: gauges.to_vec(),
        }
    }

    #[test]
    fn what_is_told_once_is_counted_once() {
        let tallies = Tallies::new();
        let own = numbers(5, 2);
        assert_eq!(tallies.total(&own), own);
        assert_eq!(tallies.growth(&own), tally(5, 2));
        tallies.tell(&own);
        // Others have counted 10, and have a gauge of 1.
        tallies.learn(&own, &tally(15, 3));
        assert_eq!(tallies.total(&own), numbers(15, 3));
        let own = numbers(7, 0);
        assert_eq!(tallies.growth(&own), tally(2, 0));
        assert_eq!(tallies.total(&own), numbers(17, 1));
    }

    #[test]
    fn a_store_that_was_wiped_is_told_everything_again() {
        let tallies = Tallies::new();
        let own = numbers(5, 0);
        tallies.tell(&own);
        tallies.learn(&own, &tally(5, 0));
        assert_eq!(tallies.growth(&own), tally(0, 0));
        tallies.learn(&own, &Tally::default());
        assert_eq!(tallies.growth(&own), tally(5, 0));
        assert_eq!(tallies.total(&own), own);
    }
}
