//! A circuit breaker: after repeated failures of a store, calls pause.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The number of consecutive failures that open the breaker.
const FAILURES: u32 = 5;

/// The breaker of one kind of calls.
pub(crate) struct Breaker {
    state: Mutex<State>,
    first_pause: Duration,
    longest_pause: Duration,
}

#[derive(Default)]
struct State {
    /// Consecutive failures.
    failures: u32,
    pause: Duration,
    /// The end of the pause; `None`: closed.
    open_until: Option<Instant>,
}

/// An admitted attempt, which owes a report. Dropping it unreported counts as a failure.
pub(crate) struct Attempt<'b> {
    breaker: &'b Breaker,
    now: &'b (dyn Fn() -> Instant + Sync),
    /// The attempt that probes after a pause.
    is_probe: bool,
    reported: bool,
}

impl Breaker {
    pub(crate) fn new(first_pause: Duration, longest_pause: Duration) -> Breaker {
        Breaker {
            state: Mutex::default(),
            first_pause,
            longest_pause,
        }
    }

    /// Admits the caller, or returns the rest of the pause. After a pause one probe is admitted; the pause restarts for
    /// all others until the probe reports.
    pub(crate) fn admit<'b>(
        &'b self,
        now: &'b (dyn Fn() -> Instant + Sync),
    ) -> Result<Attempt<'b>, Duration> {
        let moment = now();
        let mut state = self.state();
        if let Some(until) = state.open_until {
            if moment < until {
                return Err(until - moment);
            }
            state.open_until = Some(moment + state.pause);
        }
        Ok(Attempt {
            breaker: self,
            now,
            is_probe: state.open_until.is_some(),
            reported: false,
        })
    }

    fn report(&self, is_well: bool, is_probe: bool, now: Instant) {
        let mut state = self.state();
        if is_well {
            *state = State::default();
            return;
        }
        // Attempts from before it opened carry no new information.
        if state.open_until.is_some() && !is_probe {
            return;
        }
        state.failures += 1;
        if state.failures >= FAILURES {
            state.pause = (state.pause * 2).clamp(self.first_pause, self.longest_pause);
            state.open_until = Some(now + state.pause);
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// The store responded, or failed.
    pub(crate) fn report(mut self, is_well: bool) {
        self.reported = true;
        self.breaker.report(is_well, self.is_probe, (self.now)());
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.reported {
            self.breaker.report(false, self.is_probe, (self.now)());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST_PAUSE: Duration = Duration::from_secs(5);
    const LONGEST_PAUSE: Duration = Duration::from_secs(60);

    use crate::sys::clock::Clock;
    use crate::sys::clock::manual::ManualClock;

    #[test]
    fn five_consecutive_failures_open_the_breaker_and_one_success_closes_it() {
        let clock = ManualClock::new();
        let now = || clock.now();
        let breaker = Breaker::new(FIRST_PAUSE, LONGEST_PAUSE);
        let fail = || breaker.admit(&now).ok().unwrap().report(false);
        for _ in 0..4 {
            fail();
        }
        breaker.admit(&now).ok().unwrap().report(true);
        for _ in 0..4 {
            fail();
        }
        drop(breaker.admit(&now).ok().unwrap());
        assert_eq!(
            breaker.admit(&now).err(),
            Some(FIRST_PAUSE),
            "an abandoned attempt has failed"
        );

        clock.advance(FIRST_PAUSE);
        let probe = breaker.admit(&now).ok().unwrap();
        assert!(breaker.admit(&now).is_err(), "one probe at a time");
        probe.report(false);
        assert_eq!(breaker.admit(&now).err(), Some(2 * FIRST_PAUSE));

        clock.advance(2 * FIRST_PAUSE);
        breaker.admit(&now).ok().unwrap().report(true);
        assert!(breaker.admit(&now).is_ok());
    }

    #[test]
    fn concurrent_failures_cause_one_pause() {
        let clock = ManualClock::new();
        let now = || clock.now();
        let breaker = Breaker::new(FIRST_PAUSE, LONGEST_PAUSE);
        let attempts: Vec<_> = (0..100)
            .map(|_| breaker.admit(&now).ok().unwrap())
            .collect();
        for attempt in attempts {
            attempt.report(false);
        }
        assert_eq!(breaker.admit(&now).err(), Some(FIRST_PAUSE));
    }

    #[test]
    fn the_pause_is_at_most_a_minute() {
        let clock = ManualClock::new();
        let now = || clock.now();
        let breaker = Breaker::new(FIRST_PAUSE, LONGEST_PAUSE);
        for _ in 0..30 {
            while let Err(wait) = breaker.admit(&now).map(drop) {
                assert!(wait <= LONGEST_PAUSE);
                clock.advance(wait);
            }
        }
        assert_eq!(breaker.admit(&now).err(), Some(LONGEST_PAUSE));
    }
}
