//! Flight table and token cache under many thread schedules: the order of arrival must not change the verdict.

use crate::Gate;
use crate::cache::completions::Completions;
use crate::cache::flight::{Joined, Recipient, Waiter};
use crate::cache::purges::PurgeTarget;
use crate::cache::{Landed, Purpose, Shared, Start};
use crate::cache_status::CacheStatus;
use crate::cause::{Cause, Denial};
use crate::config::engine::EngineOptions;
use crate::env::Env;
use crate::http::scripted::{ScriptedTransport, reply};
use crate::key::{Fingerprint, Key};
use crate::metrics::clients::Requests;
use crate::outcome::Outcome;
use crate::provider::health::Parties;
use crate::request::Source;
use crate::sys::clock::SystemClock;
use crate::token::{Contents, Grant, Lifetime, Origin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// The number of schedules per model.
const ORDERS: usize = 20_000;

/// The keys of the right secret and of a wrong one of the same client.
const RIGHT: u8 = 1;
const WRONG: u8 = 2;

struct Model {
    shared: Shared,
    gate: Gate,
    exchanges: [AtomicUsize; 3],
}

impl Model {
    fn new() -> Arc<Model> {
        let transport = Arc::new(ScriptedTransport::new(|_| reply(500, "")));
        let env = Arc::new(Env::new(transport, Arc::new(SystemClock)));
        let gate = Gate::from_json(r#"{"issuer":"https://a.example","refusals_per_client":0}"#);
        Arc::new(Model {
            shared: Shared::new(&EngineOptions::default(), env),
            gate: gate.unwrap(),
            exchanges: Default::default(),
        })
    }

    /// As the engine does it: the cache, the refusals, the flight; and where one is opened, the exchange, here by the
    /// one who opened it.
    fn ask(&self, number: u8) -> Asked {
        let key = Key::for_test(number.into());
        let hit = || {
            let grant = self.shared.token(&key)?;
            Some(Outcome::of_grant(
                &self.gate.rules,
                grant,
                CacheStatus::Hit,
                Source::Header,
                Duration::ZERO,
                &self.shared.env.metrics,
            ))
        };
        if let Some(outcome) = hit() {
            return Asked::Ready(outcome);
        }
        if let Some(denial) = self.shared.refusal(&key, Instant::now()) {
            return Asked::Ready(Outcome::of_denial(
                &self.gate.rules,
                denial,
                CacheStatus::Negative,
            ));
        }
        let start = self.shared.start();
        let (sender, receiver) = mpsc::channel();
        let waiter = Waiter {
            rules: Arc::clone(&self.gate.rules),
            source: Source::Header,
            recipient: Recipient::Call(sender),
            deadline: far(),
            requests: Requests::unseen(),
        };
        match self.shared.flights.join(key, hit, waiter, 0) {
            Joined::Landed(outcome) => return Asked::Ready(*outcome),
            Joined::Waiting { .. } => {}
            Joined::Full(_) => unreachable!("few wait"),
            Joined::Opened => {
                self.exchanges[usize::from(number)].fetch_add(1, Ordering::SeqCst);
                shuttle::thread::yield_now();
                self.land(number, start, false);
            }
        }
        Asked::Waits(receiver)
    }

    fn land(&self, number: u8, start: Start, is_refresh: bool) {
        let key = Key::for_test(number.into());
        let purpose = Purpose {
            rules: Arc::clone(&self.gate.rules),
            key,
            parties: Parties::for_test(1),
            is_refresh,
            client_id: "alice".into(),
            start,
            traceparent: None,
        };
        let result = match number {
            RIGHT => {
                let origin = Origin {
                    key,
                    fingerprint: Fingerprint::for_test(1),
                    received: Instant::now(),
                    received_wall: Duration::ZERO,
                    is_client_supplied: false,
                };
                let lifetime = Lifetime::Stated(Duration::from_secs(3600));
                let contents = Contents::Opaque(None);
                Ok(Grant::new(origin, "alice", "t0ken", lifetime, &contents))
            }
            _ => Err(Denial::new(Cause::CredentialsRefused, "")),
        };
        self.shared.land(&purpose, Landed::exchanged(result));
    }
}

/// The deadline of requests that do not expire.
fn far() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

fn everything() -> PurgeTarget {
    PurgeTarget {
        gate: None,
        client_id: None,
    }
}

enum Asked {
    Ready(Outcome),
    Waits(mpsc::Receiver<Outcome>),
}

impl Asked {
    /// After all threads have ended, each waiter has exactly one outcome.
    fn into_allowed(self) -> bool {
        let outcome = match self {
            Asked::Ready(outcome) => outcome,
            Asked::Waits(receiver) => {
                let outcome = receiver.try_recv().expect("nobody waits for ever");
                assert!(receiver.try_recv().is_err(), "one outcome per waiter");
                outcome
            }
        };
        matches!(outcome, Outcome::Allow(_))
    }
}

/// After all threads have ended: exactly the requests with the right secret are allowed.
fn judge(threads: Vec<(u8, shuttle::thread::JoinHandle<Asked>)>) {
    let asked: Vec<_> = threads
        .into_iter()
        .map(|(number, thread)| (number, thread.join().unwrap()))
        .collect();
    for (number, asked) in asked {
        assert_eq!(asked.into_allowed(), number == RIGHT);
    }
}

#[test]
fn a_wrong_secret_is_never_served_under_any_schedule() {
    crate::testing::under_schedules(
        || {
            let model = Model::new();
            let threads: Vec<_> = [RIGHT, WRONG, RIGHT, WRONG]
                .map(|number| {
                    let model = Arc::clone(&model);
                    (number, shuttle::thread::spawn(move || model.ask(number)))
                })
                .into();
            judge(threads);
            assert!(!model.ask(WRONG).into_allowed(), "on a warm cache");
            assert!(model.ask(RIGHT).into_allowed());
            assert_eq!(model.shared.flights.waiting(), 0);
        },
        ORDERS,
    );
}

#[test]
fn a_token_is_exchanged_once_under_any_schedule() {
    crate::testing::under_schedules(
        || {
            let model = Model::new();
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let model = Arc::clone(&model);
                    (RIGHT, shuttle::thread::spawn(move || model.ask(RIGHT)))
                })
                .collect();
            judge(threads);
            assert_eq!(
                model.exchanges[usize::from(RIGHT)].load(Ordering::SeqCst),
                1
            );
        },
        ORDERS,
    );
}

#[test]
fn an_exchange_during_a_purge_is_never_served_again_under_any_schedule() {
    crate::testing::under_schedules(
        || {
            let model = Model::new();
            let before = model.shared.start();
            let purging = {
                let model = Arc::clone(&model);
                shuttle::thread::spawn(move || model.shared.purge(&everything()))
            };
            let landing = {
                let model = Arc::clone(&model);
                shuttle::thread::spawn(move || model.land(RIGHT, before, false))
            };
            purging.join().unwrap();
            landing.join().unwrap();
            assert!(model.shared.token(&Key::for_test(RIGHT.into())).is_none());
        },
        ORDERS,
    );
}

#[test]
fn a_refresh_and_its_readers_agree_under_any_schedule() {
    crate::testing::under_schedules(
        || {
            let model = Model::new();
            assert!(model.ask(RIGHT).into_allowed());
            let renewing = {
                let model = Arc::clone(&model);
                shuttle::thread::spawn(move || {
                    if model
                        .shared
                        .flights
                        .open_refresh(Key::for_test(RIGHT.into()))
                    {
                        shuttle::thread::yield_now();
                        model.land(RIGHT, model.shared.start(), true);
                    }
                })
            };
            let threads: Vec<_> = [RIGHT, WRONG, RIGHT]
                .map(|number| {
                    let model = Arc::clone(&model);
                    (number, shuttle::thread::spawn(move || model.ask(number)))
                })
                .into();
            renewing.join().unwrap();
            judge(threads);
            assert_eq!(model.shared.flights.count(), 0);
        },
        ORDERS,
    );
}

#[test]
fn cancelling_during_landing_affects_no_other_waiter_under_any_schedule() {
    crate::testing::under_schedules(
        || {
            let model = Model::new();
            let (key, start) = (Key::for_test(RIGHT.into()), model.shared.start());
            let completions = Arc::new(Completions::new().unwrap());
            let [leaver, _] = [1, 2].map(|user_data| {
                let ticket = completions.open(user_data, key);
                let waiter = Waiter {
                    rules: Arc::clone(&model.gate.rules),
                    source: Source::Header,
                    recipient: Recipient::Queue(Arc::clone(&completions), ticket),
                    deadline: far(),
                    requests: Requests::unseen(),
                };
                model.shared.flights.join(key, || None, waiter, 0);
                ticket
            });
            let leaving = {
                let (model, completions) = (Arc::clone(&model), Arc::clone(&completions));
                shuttle::thread::spawn(move || {
                    if let Some(key) = completions.cancel(leaver) {
                        model.shared.flights.leave(&key, &completions, leaver);
                    }
                })
            };
            let landing = {
                let model = Arc::clone(&model);
                shuttle::thread::spawn(move || model.land(RIGHT, start, false))
            };
            leaving.join().unwrap();
            landing.join().unwrap();
            assert_eq!(model.shared.flights.waiting(), 0);
            let told: Vec<_> = std::iter::from_fn(|| completions.next()).collect();
            let told: Vec<_> = told.iter().map(|completion| completion.user_data).collect();
            assert_eq!(told, [2]);
        },
        ORDERS,
    );
}
