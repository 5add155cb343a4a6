//! The attack budget: refused exchanges draw from it, per client id and per gate. While it is empty, unknown
//! credentials are denied without an exchange.

use crate::key::{Key, KeyHash};
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Token buckets by client or gate. The number is bounded: a gate's own bucket limits its refusals, so a flood of
/// client ids does not evict the buckets that matter.
pub(crate) struct Budgets(Cache<Key, Arc<Bucket>, UnitWeighter, KeyHash>);

/// The maximum number of buckets.
const BUCKETS: usize = 10_000;

struct Bucket(Mutex<Level>);

#[derive(Clone, Copy)]
struct Level {
    left: f64,
    at: Instant,
}

impl Budgets {
    pub(crate) fn new() -> Budgets {
        Budgets(Cache::with(
            BUCKETS,
            BUCKETS as u64,
            UnitWeighter,
            KeyHash::default(),
            DefaultLifecycle::default(),
        ))
    }

    /// Whether another exchange may be risked; otherwise the time until then. `per_minute` 0: always.
    pub(crate) fn check(&self, key: &Key, per_minute: u32, now: Instant) -> Result<(), Duration> {
        if per_minute == 0 {
            return Ok(());
        }
        // A client or gate without a bucket has had no refusal.
        let Some(bucket) = self.0.get(key) else {
            return Ok(());
        };
        let left = bucket.level(per_minute, now, 0.0);
        if left >= 1.0 {
            return Ok(());
        }
        Err(Duration::from_secs_f64(
            (1.0 - left) * 60.0 / f64::from(per_minute),
        ))
    }

    /// Records a refusal.
    pub(crate) fn draw(&self, key: Key, per_minute: u32, now: Instant) {
        if per_minute == 0 {
            return;
        }
        let full = || {
            Ok::<_, std::convert::Infallible>(Arc::new(Bucket(Mutex::new(Level {
                left: f64::from(per_minute),
                at: now,
            }))))
        };
        let Ok(bucket) = self.0.get_or_insert_with(&key, full);
        bucket.level(per_minute, now, 1.0);
    }
}

impl Bucket {
    /// The balance after `draw`. Exchanges in progress can overdraw it, by a minute's budget at most: otherwise
    /// concurrent guesses would cost less than sequential ones.
    fn level(&self, per_minute: u32, now: Instant, draw: f64) -> f64 {
        let most = f64::from(per_minute);
        let mut level = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = now.saturating_duration_since(level.at).as_secs_f64();
        *level = Level {
            left: ((level.left + elapsed * most / 60.0).min(most) - draw).max(-most),
            at: level.at.max(now),
        };
        level.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_draw_a_budget_that_refills_over_time() {
        let budgets = Budgets::new();
        let (key, other) = (Key::for_test(1), Key::for_test(2));
        let start = Instant::now();
        for _ in 0..6 {
            assert!(budgets.check(&key, 6, start).is_ok());
            budgets.draw(key, 6, start);
        }
        assert_eq!(budgets.check(&key, 6, start), Err(Duration::from_secs(10)));
        assert!(budgets.check(&other, 6, start).is_ok());
        assert!(budgets.check(&key, 0, start).is_ok(), "0 is no limit");
        let later = start + Duration::from_secs(10);
        assert!(budgets.check(&key, 6, later).is_ok());
        budgets.draw(key, 6, later);
        assert!(budgets.check(&key, 6, later).is_err());
        for _ in 0..100 {
            budgets.draw(key, 6, later);
        }
        assert_eq!(budgets.check(&key, 6, later), Err(Duration::from_secs(70)));
        assert!(
            budgets
                .check(&key, 6, start + Duration::from_secs(3600))
                .is_ok()
        );
    }
}
