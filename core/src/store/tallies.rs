//! Metrics of processes that share no memory zone: each adds its own to the store and shows the sum.

use super::Tally;
use crate::metrics::Snapshot;
use nix::unistd::gethostname;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An engine's metrics among those of its host.
pub(super) struct Tallies {
    /// Processes of this host whose metrics have the same layout.
    pub(super) group: [u8; 16],
    pub(super) process: [u8; 16],
    state: Mutex<State>,
}

struct State {
    /// The numbers of this engine that are in the store.
    written: Numbers,
    /// The numbers being written, until the write is confirmed.
    writing: Option<Numbers>,
    /// The number of the current write.
    round: u64,
    /// The numbers of other processes at the last read.
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
        // Without randomness, several processes count as one: nothing worse.
        let _ = getrandom::fill(&mut process);
        Tallies {
            group: group.finalize().as_bytes()[..16]
                .try_into()
                .unwrap_or_default(),
            process,
            state: Mutex::new(State {
                written: [0; Snapshot::COUNTERS],
                writing: None,
                round: 0,
                others: [0; Snapshot::COUNTERS],
            }),
        }
    }

    /// Returns the round and the growth to write when `own` are the engine's numbers. If the last write was not
    /// confirmed, repeats its growth in the same round.
    pub(super) fn growth(&self, own: &Numbers) -> (u64, Tally) {
        let mut state = self.state();
        let mut writing = *own;
        match &state.writing {
            Some(before) => {
                writing[Snapshot::GAUGES..].copy_from_slice(&before[Snapshot::GAUGES..]);
            }
            None => state.round += 1,
        }
        state.writing = Some(writing);
        let (gauges, counters) = writing.split_at(Snapshot::GAUGES);
        let growth = counters.iter().zip(&state.written[Snapshot::GAUGES..]);
        let tally = Tally {
            counters: growth
                .map(|(now, written)| now.saturating_sub(*written))
                .collect(),
            gauges: gauges.to_vec(),
        };
        (state.round, tally)
    }

    /// The write is confirmed.
    pub(super) fn confirm(&self) {
        let mut state = self.state();
        if let Some(written) = state.writing.take() {
            state.written = written;
        }
    }

    /// Takes the group's sum, which includes this engine's numbers.
    pub(super) fn learn(&self, sum: &Tally) {
        let (counters, gauges) = (sum.counters.iter(), sum.gauges.iter());
        let missing = Snapshot::GAUGES.saturating_sub(sum.gauges.len());
        let gauges = gauges.take(Snapshot::GAUGES).copied();
        let all = gauges
            .chain(std::iter::repeat_n(0, missing))
            .chain(counters.copied())
            .chain(std::iter::repeat(0));
        let mut state = self.state();
        let written = state.written;
        let mut is_lost = false;
        for ((others, all), own) in state.others.iter_mut().zip(all).zip(&written) {
            is_lost |= all < *own;
            *others = all.saturating_sub(*own);
        }
        // A store that was wiped gets all numbers again.
        if is_lost {
            state.written = [0; Snapshot::COUNTERS];
        }
    }

    /// The numbers of all processes.
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

    fn numbers(counter: u64, gauge: u64) -> Numbers {
        let mut numbers = [0; Snapshot::COUNTERS];
        numbers[Snapshot::GAUGES] = counter;
        numbers[0] = gauge;
        numbers
    }

    fn tally(counter: u64, gauge: u64) -> Tally {
        let numbers = numbers(counter, gauge);
        let (gauges, counters) = numbers.split_at(Snapshot::GAUGES);
        Tally {
            counters: counters.to_vec(),
            gauges: gauges.to_vec(),
        }
    }

    #[test]
    fn growth_is_counted_once() {
        let tallies = Tallies::new();
        let own = numbers(5, 2);
        assert_eq!(tallies.total(&own), own);
        assert_eq!(tallies.growth(&own), (1, tally(5, 2)));
        tallies.confirm();
        // Other processes have counted 10, and have a gauge of 1.
        tallies.learn(&tally(15, 3));
        assert_eq!(tallies.total(&own), numbers(15, 3));
        let own = numbers(7, 0);
        assert_eq!(tallies.growth(&own), (2, tally(2, 0)));
        assert_eq!(tallies.total(&own), numbers(17, 1));
    }

    #[test]
    fn an_unconfirmed_write_is_repeated_in_the_same_round() {
        let tallies = Tallies::new();
        assert_eq!(tallies.growth(&numbers(5, 2)), (1, tally(5, 2)));
        assert_eq!(tallies.growth(&numbers(8, 1)), (1, tally(5, 1)));
        tallies.confirm();
        tallies.learn(&tally(5, 1));
        assert_eq!(tallies.total(&numbers(8, 1)), numbers(8, 1));
        assert_eq!(tallies.growth(&numbers(8, 1)), (2, tally(3, 1)));
    }

    #[test]
    fn a_wiped_store_gets_all_numbers_again() {
        let tallies = Tallies::new();
        let own = numbers(5, 0);
        tallies.growth(&own);
        tallies.confirm();
        tallies.learn(&tally(5, 0));
        assert_eq!(tallies.growth(&own), (2, tally(0, 0)));
        tallies.confirm();
        tallies.learn(&Tally::default());
        assert_eq!(tallies.growth(&own), (3, tally(5, 0)));
        assert_eq!(tallies.total(&own), own);
    }
}
