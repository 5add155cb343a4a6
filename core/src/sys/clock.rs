//! Time, behind a trait, so that no test sleeps.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of time. Lifetimes in the process follow the monotonic clock; a token's age follows the clock that shows
/// more, because the monotonic clock stops while a virtual machine is suspended.
pub(crate) trait Clock: Send + Sync {
    fn now(&self) -> Instant;

    /// Time since the Unix epoch.
    fn wall(&self) -> Duration;
}

/// The system's clocks. Both are read without a system call (vDSO).
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wall(&self) -> Duration {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
    }
}

#[cfg(test)]
pub(crate) mod manual {
    use super::{Clock, Duration, Instant};
    use std::sync::Mutex;

    /// A clock that moves only on command.
    pub(crate) struct ManualClock {
        start: Instant,
        elapsed: Mutex<Duration>,
        /// The offset of the wall clock, in seconds.
        step: Mutex<i64>,
    }

    /// The wall clock's reading when a [`ManualClock`] starts: 2023-11-14T22:13:20Z.
    pub(crate) const START: Duration = Duration::from_secs(1_700_000_000);

    impl ManualClock {
        pub(crate) fn new() -> ManualClock {
            ManualClock {
                start: Instant::now(),
                elapsed: Mutex::new(Duration::ZERO),
                step: Mutex::new(0),
            }
        }

        pub(crate) fn advance(&self, by: Duration) {
            *self.elapsed.lock().unwrap() += by;
        }

        /// Sets the wall clock; the monotonic one is unaffected.
        pub(crate) fn step(&self, seconds: i64) {
            *self.step.lock().unwrap() += seconds;
        }
    }

    impl Clock for ManualClock {
        fn now(&self) -> Instant {
            self.start + *self.elapsed.lock().unwrap()
        }

        fn wall(&self) -> Duration {
            let step = *self.step.lock().unwrap();
            let wall = START + *self.elapsed.lock().unwrap();
            if step < 0 {
                wall - Duration::from_secs(step.unsigned_abs())
            } else {
                wall + Duration::from_secs(step.unsigned_abs())
            }
        }
    }
}
