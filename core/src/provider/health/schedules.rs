//! Permits and circuit breaker under many thread schedules.

use super::breaker::{Breaker, BreakerState, Evidence, Subject};
use super::permits::Permits;
use crate::key::Key;
use shuttle::future::block_on;
use shuttle::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The number of schedules per model.
const ORDERS: usize = 20_000;

fn client(number: u8) -> Subject {
    Subject {
        client: Key::for_test(number.into()),
        is_known: true,
    }
}

#[test]
fn permits_are_never_exceeded_and_never_lost_under_any_schedule() {
    crate::testing::under_schedules(
        || {
            let permits = Permits::new(2);
            let (held, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let threads: Vec<_> = (0..4)
                .map(|number| {
                    let (permits, held, most) =
                        (permits.clone(), Arc::clone(&held), Arc::clone(&most));
                    thread::spawn(move || {
                        let (permit, _) = block_on(permits.acquire(number % 2 == 0));
                        most.fetch_max(held.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        thread::yield_now();
                        held.fetch_sub(1, Ordering::SeqCst);
                        drop(permit);
                    })
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
            assert!(most.load(Ordering::SeqCst) <= 2);
            // Both are free again.
            let (_one, waited) = block_on(permits.acquire(false));
            let (_other, also_waited) = block_on(permits.acquire(false));
            assert!(!waited && !also_waited);
        },
        ORDERS,
    );
}

#[test]
fn an_open_breaker_admits_one_probe_under_any_schedule() {
    crate::testing::under_schedules(
        || {
            let breaker = Arc::new(Breaker::new(Duration::from_secs(10)));
            let start = Instant::now();
            let failing: Vec<_> = (0..6)
                .map(|number| {
                    let breaker = Arc::clone(&breaker);
                    thread::spawn(move || {
                        breaker.report(Evidence::Failed, &client(number), false, start);
                    })
                })
                .collect();
            for thread in failing {
                thread.join().unwrap();
            }
            assert!(breaker.admit(&client(1), true, start).is_err());
            let later = start + Duration::from_secs(1);
            let probing: Vec<_> = (0..3)
                .map(|number| {
                    let breaker = Arc::clone(&breaker);
                    thread::spawn(move || breaker.admit(&client(number), true, later))
                })
                .collect();
            let probes = probing
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .filter(|admitted| *admitted == Ok(true));
            assert_eq!(probes.count(), 1);
            // The probe's success and late failures, in any order: the breaker closes, and one failure is none too many.
            let late = {
                let breaker = Arc::clone(&breaker);
                thread::spawn(move || {
                    breaker.report(Evidence::Failed, &client(9), false, later);
                })
            };
            breaker.report(Evidence::Granted, &client(1), true, later);
            late.join().unwrap();
            assert_eq!(breaker.state_now(), BreakerState::Closed);
        },
        ORDERS,
    );
}
