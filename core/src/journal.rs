//! Log records other than denials: a bounded queue that the host collects.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The severity of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Level {
    /// A recovery, or a settled matter.
    Notice,
    /// A condition that needs attention.
    Warning,
    /// A failure that clients notice.
    Error,
}

impl Level {
    /// `notice`, `warning`, `error`.
    pub fn name(self) -> &'static str {
        match self {
            Level::Notice => "notice",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// One line for the operator's log. It contains no secret and no text from a provider or a client.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The severity.
    pub level: Level,
    /// The line.
    pub message: String,
}

/// The maximum number of uncollected records. New records evict old ones, because the latest events explain the present
/// state.
const CAPACITY: usize = 256;

#[derive(Default)]
pub(crate) struct Journal {
    state: Mutex<State>,
    /// Lets a hit check for records without taking the lock.
    has_records: AtomicBool,
}

#[derive(Default)]
struct State {
    records: VecDeque<Record>,
    lost: u64,
}

impl Journal {
    pub(crate) fn note(&self, level: Level, message: impl Into<String>) {
        let record = Record {
            level,
            message: message.into(),
        };
        let mut state = self.state();
        if state.records.back() == Some(&record) {
            return;
        }
        if state.records.len() == CAPACITY {
            state.records.pop_front();
            state.lost += 1;
        }
        state.records.push_back(record);
        self.has_records.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_records(&self) -> bool {
        self.has_records.load(Ordering::Relaxed)
    }

    /// The oldest record, preceded by one with the number of lost records.
    pub(crate) fn next(&self) -> Option<Record> {
        let mut state = self.state();
        if state.lost > 0 {
            let lost = std::mem::take(&mut state.lost);
            return Some(Record {
                level: Level::Warning,
                message: format!(
                    "{lost} log records were lost, because the host did not collect them in time"
                ),
            });
        }
        let record = state.records.pop_front();
        self.has_records
            .store(!state.records.is_empty(), Ordering::Relaxed);
        record
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_is_bounded_and_counts_lost_records() {
        let journal = Journal::default();
        for number in 0..CAPACITY + 3 {
            journal.note(Level::Notice, format!("{number}"));
        }
        assert!(
            journal
                .next()
                .unwrap()
                .message
                .starts_with("3 log records were lost")
        );
        assert_eq!(journal.next().unwrap().message, "3");
        let rest = std::iter::from_fn(|| journal.next()).count();
        assert_eq!(rest, CAPACITY - 1);
    }

    #[test]
    fn a_record_equal_to_the_last_is_dropped() {
        let journal = Journal::default();
        for _ in 0..3 {
            journal.note(Level::Error, "the same");
        }
        assert!(journal.has_records());
        assert!(journal.next().is_some());
        assert!(!journal.has_records());
        assert!(journal.next().is_none());
    }
}
