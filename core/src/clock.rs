//! Time, as a seam: no test sleeps.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where time comes from. Lifetimes in the process follow the monotonic clock; the wall clock is only compared with
/// what providers write into tokens.
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

    /// A clock that stands still until told to move.
    pub(crate) struct ManualClock {
        start: Instant,
        elapsed: Mutex<Duration>,
    }

    /// The wall clock's reading when a [`ManualClock`] starts: 2023-11-14T22:13:20Z.
    pub(crate) const START: Duration = Duration::from_secs(1_700_000_000);

    impl ManualClock {
        pub(crate) fn new() -> ManualClock {
            ManualClock {
                start: Instant::now(),
                elapsed: Mutex::new(Duration::ZERO),
            }
        }

        pub(crate) fn advance(&self, by: Duration) {
            *self.elapsed.lock().unwrap() += by;
        }
    }

    impl Clock for ManualClock {
        fn now(&self) -> Instant {
            self.start + *self.elapsed.lock().unwrap()
        }

        fn wall(&self) -> Duration {
            START + *self.elapsed.lock().unwrap()
        }
    }
}
