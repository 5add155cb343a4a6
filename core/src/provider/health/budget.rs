//! The budgets for exchanges of unknown clients without a token: per client id, per gate and per source address. While
//! one is empty, unknown clients are denied without an exchange.

use crate::cause::Cause;
use crate::key::{Key, KeyCache, key_cache};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Token buckets by client, gate or source. The number is bounded: a gate's own bucket limits its refusals, so a flood of
/// client ids does not evict the buckets that matter.
pub(super) struct Budgets(KeyCache<Arc<Bucket>>);

/// The maximum number of buckets.
const BUCKETS: usize = 10_000;

struct Bucket(Mutex<Level>);

#[derive(Clone, Copy)]
struct Level {
    left: f64,
    at: Instant,
    /// The cause of the last draw, for those denied meanwhile.
    cause: Cause,
}

impl Budgets {
    pub(super) fn new() -> Budgets {
        Budgets(key_cache(BUCKETS))
    }

    /// Whether another exchange may be risked; otherwise the cause of the last draw, and the time until then.
    /// `per_minute` 0: always.
    pub(super) fn check(
        &self,
        key: &Key,
        per_minute: u32,
        now: Instant,
    ) -> Result<(), (Cause, Duration)> {
        if per_minute == 0 {
            return Ok(());
        }
        // Without a bucket, nothing has been drawn.
        let Some(bucket) = self.0.get(key) else {
            return Ok(());
        };
        let mut level = bucket.level();
        level.refill(per_minute, now);
        if level.left >= 1.0 {
            return Ok(());
        }
        let wait = (1.0 - level.left) * 60.0 / f64::from(per_minute);
        Err((level.cause, Duration::from_secs_f64(wait)))
    }

    /// Draws for an exchange without a token.
    pub(super) fn draw(&self, key: Key, per_minute: u32, cause: Cause, now: Instant) {
        if per_minute == 0 {
            return;
        }
        let most = f64::from(per_minute);
        let full = || {
            Ok::<_, Infallible>(Arc::new(Bucket(Mutex::new(Level {
                left: most,
                at: now,
                cause,
            }))))
        };
        let Ok(bucket) = self.0.get_or_insert_with(&key, full);
        let mut level = bucket.level();
        level.refill(per_minute, now);
        // Exchanges in progress can overdraw it. Refusals owe the excess, a minute's budget at most: otherwise concurrent
        // guesses would cost less than sequential ones. Failures owe nothing: the provider may work again at any time.
        let least = if cause == Cause::TooManyRefusals {
            -most
        } else {
            0.0
        };
        level.left = (level.left - 1.0).max(least.min(level.left));
        level.cause = cause;
    }
}

impl Bucket {
    fn level(&self) -> MutexGuard<'_, Level> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Level {
    fn refill(&mut self, per_minute: u32, now: Instant) {
        let most = f64::from(per_minute);
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + elapsed * most / 60.0).min(most);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: Cause = Cause::TooManyRefusals;

    #[test]
    fn refusals_draw_a_budget_that_refills_over_time() {
        let budgets = Budgets::new();
        let (key, other) = (Key::for_test(1), Key::for_test(2));
        let start = Instant::now();
        for _ in 0..6 {
            assert!(budgets.check(&key, 6, start).is_ok());
            budgets.draw(key, 6, REFUSED, start);
        }
        let wait = |seconds| Err((REFUSED, Duration::from_secs(seconds)));
        assert_eq!(budgets.check(&key, 6, start), wait(10));
        assert!(budgets.check(&other, 6, start).is_ok());
        assert!(budgets.check(&key, 0, start).is_ok(), "0 is no limit");
        let later = start + Duration::from_secs(10);
        assert!(budgets.check(&key, 6, later).is_ok());
        budgets.draw(key, 6, REFUSED, later);
        assert!(budgets.check(&key, 6, later).is_err());
        for _ in 0..100 {
            budgets.draw(key, 6, REFUSED, later);
        }
        assert_eq!(budgets.check(&key, 6, later), wait(70));
        assert!(
            budgets
                .check(&key, 6, start + Duration::from_secs(3600))
                .is_ok()
        );
    }

    #[test]
    fn failures_owe_no_more_than_the_budget() {
        let budgets = Budgets::new();
        let (key, now) = (Key::for_test(1), Instant::now());
        for _ in 0..100 {
            budgets.draw(key, 6, Cause::ProviderPaused, now);
        }
        let expected = (Cause::ProviderPaused, Duration::from_secs(10));
        assert_eq!(budgets.check(&key, 6, now), Err(expected));
        // A debt of refusals stays.
        for _ in 0..3 {
            budgets.draw(key, 6, REFUSED, now);
        }
        budgets.draw(key, 6, Cause::ProviderPaused, now);
        let expected = (Cause::ProviderPaused, Duration::from_secs(40));
        assert_eq!(budgets.check(&key, 6, now), Err(expected));
    }
}
