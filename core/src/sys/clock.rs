//! Time, behind a trait, so that no test sleeps.

use nix::time::ClockId;
use std::pin::Pin;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of time. Lifetimes in the process follow the monotonic clock; a token's age follows the clock that shows
/// more, because the monotonic clock stops while a virtual machine is suspended.
pub(crate) trait Clock: Send + Sync {
    fn now(&self) -> Instant;

    /// Time since the Unix epoch.
    fn wall(&self) -> Duration;

    /// Both clocks, behind by at most one tick of the kernel (10 milliseconds): for hits.
    fn coarse(&self) -> Moment {
        Moment {
            now: self.now(),
            wall: self.wall(),
        }
    }

    /// Completes at the deadline. On the I/O thread only.
    fn sleep_until(&self, deadline: Instant) -> Sleep<'_>;
}

/// The readings of both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) now: Instant,
    /// Time since the Unix epoch.
    pub(crate) wall: Duration,
}

pub(crate) type Sleep<'c> = Pin<Box<dyn Future<Output = ()> + Send + 'c>>;

/// The system's clocks. They are read without a system call (vDSO).
pub(crate) struct SystemClock;

/// The same moment as the standard library and as the kernel shows it.
static START: LazyLock<(Instant, Duration)> =
    LazyLock::new(|| (Instant::now(), read(ClockId::CLOCK_MONOTONIC)));

fn read(clock: ClockId) -> Duration {
    // Linux has these clocks since 2.6.32.
    clock.now().map(Duration::from).unwrap_or_default()
}

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wall(&self) -> Duration {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
    }

    /// Takes 18 ns, where the precise clocks take 58: they ask the processor for its counter.
    fn coarse(&self) -> Moment {
        let (start, at_start) = *START;
        Moment {
            now: start + read(ClockId::CLOCK_MONOTONIC_COARSE).saturating_sub(at_start),
            wall: read(ClockId::CLOCK_REALTIME_COARSE),
        }
    }

    fn sleep_until(&self, deadline: Instant) -> Sleep<'_> {
        Box::pin(tokio::time::sleep_until(deadline.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coarse_clocks_are_close_behind_the_precise_ones() {
        // Not by the tick: a busy machine may be late.
        let late = Duration::from_secs(1);
        for _ in 0..1000 {
            let (now, wall) = (SystemClock.now(), SystemClock.wall());
            let coarse = SystemClock.coarse();
            assert!(coarse.now + late >= now && coarse.wall + late >= wall);
            assert!(coarse.now <= SystemClock.now() && coarse.wall <= SystemClock.wall());
        }
    }
}

#[cfg(test)]
pub(crate) mod manual {
    use super::{Clock, Duration, Instant, Sleep};
    use std::sync::Mutex;
    use tokio::sync::watch;

    /// A clock that moves only on command.
    pub(crate) struct ManualClock {
        start: Instant,
        elapsed: watch::Sender<Duration>,
        /// The offset of the wall clock, in seconds.
        step: Mutex<i64>,
        /// The deadlines of sleeping tasks, since the start.
        sleeping: Mutex<Vec<Duration>>,
    }

    /// A sleeping task.
    struct Sleeper<'c> {
        clock: &'c ManualClock,
        until: Duration,
    }

    impl Drop for Sleeper<'_> {
        fn drop(&mut self) {
            let mut sleeping = self.clock.sleeping.lock().unwrap();
            let index = sleeping.iter().position(|until| *until == self.until);
            sleeping.swap_remove(index.unwrap());
        }
    }

    /// The wall clock's reading when a [`ManualClock`] starts: 2023-11-14T22:13:20Z.
    pub(crate) const START: Duration = Duration::from_secs(1_700_000_000);

    impl ManualClock {
        pub(crate) fn new() -> ManualClock {
            ManualClock {
                start: Instant::now(),
                elapsed: watch::Sender::new(Duration::ZERO),
                step: Mutex::new(0),
                sleeping: Mutex::default(),
            }
        }

        /// Waits until a task sleeps that `by` would wake, and advances.
        pub(crate) fn wake(&self, by: Duration) {
            let until = *self.elapsed.borrow() + by;
            crate::testing::until("a task sleeps", || {
                self.sleeping.lock().unwrap().iter().any(|at| *at <= until)
            });
            self.advance(by);
        }

        pub(crate) fn advance(&self, by: Duration) {
            self.elapsed.send_modify(|elapsed| *elapsed += by);
        }

        /// Sets the wall clock; the monotonic one is unaffected.
        pub(crate) fn step(&self, seconds: i64) {
            *self.step.lock().unwrap() += seconds;
        }
    }

    impl Clock for ManualClock {
        fn now(&self) -> Instant {
            self.start + *self.elapsed.borrow()
        }

        fn wall(&self) -> Duration {
            let step = *self.step.lock().unwrap();
            let wall = START + *self.elapsed.borrow();
            if step < 0 {
                wall - Duration::from_secs(step.unsigned_abs())
            } else {
                wall + Duration::from_secs(step.unsigned_abs())
            }
        }

        fn sleep_until(&self, deadline: Instant) -> Sleep<'_> {
            let mut elapsed = self.elapsed.subscribe();
            let after = deadline.saturating_duration_since(self.start);
            self.sleeping.lock().unwrap().push(after);
            let sleeper = Sleeper {
                clock: self,
                until: after,
            };
            Box::pin(async move {
                let _sleeper = sleeper;
                // The sender outlives this future.
                let _ = elapsed.wait_for(|elapsed| *elapsed >= after).await;
            })
        }
    }
}
