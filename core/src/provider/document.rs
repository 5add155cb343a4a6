//! A document of the provider, kept as stale-while-revalidate: reads never wait for a fetch while there is a document.

use crate::cause::{Cause, Denial};
use crate::env::Env;
use crate::journal::Level;
use crate::sys::sync::{Mutex, MutexGuard};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The time for which a document is fresh if its response does not say.
pub(super) const FRESH: Duration = Duration::from_secs(3600);
/// The bounds of a response's own `max-age`.
const FRESHNESS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(24 * 3600);
/// The age at which a document is forgotten if every fetch since has failed.
pub(super) const MAX_AGE: Duration = Duration::from_secs(24 * 3600);
/// The interval between two fetches after a failure, unless the provider's Retry-After asks for more.
const BACK_OFF: Duration = Duration::from_secs(5);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(60);

/// The last good document, and its fetch.
pub(super) struct Document<T> {
    /// The start of log records: the issuer, and the kind of document.
    name: Arc<str>,
    state: Arc<Mutex<State<T>>>,
}

struct State<T> {
    good: Option<Good<T>>,
    /// The fetch in progress. Its sender is dropped when it ends.
    fetch: Option<watch::Receiver<()>>,
    /// The start of the last fetch.
    tried: Option<Instant>,
    failure: Option<Failure>,
}

struct Good<T> {
    value: Arc<T>,
    received: Instant,
    fresh_until: Instant,
    is_substitute: bool,
    /// See [`Env::documents`].
    generation: u64,
}

struct Failure {
    denial: Denial,
    /// The next fetch.
    until: Instant,
}

/// A fetched document.
pub(super) struct Fetched<T> {
    pub(super) value: T,
    /// The response's `max-age`.
    pub(super) max_age: Option<Duration>,
    /// It stands in for a document that is unavailable, and the log says so.
    pub(super) is_substitute: bool,
}

/// The document that a caller needs.
pub(super) enum Need<'n, T> {
    Any,
    /// Another document than this one, which did not suffice, if there is a newer one.
    Newer {
        than: &'n Arc<T>,
        /// The minimum interval between two fetches.
        interval: Duration,
        /// Wait until the interval has passed. Otherwise the last document has to do.
        waits: bool,
    },
}

/// The next step of a caller.
enum Step<T> {
    Done(Result<Arc<T>, Denial>),
    /// Wait for the fetch in progress.
    Wait(watch::Receiver<()>),
    /// Fetch, and wait.
    Fetch(watch::Sender<()>),
    /// Wait until the minimum interval has passed.
    Sleep(Instant),
}

impl<T: Send + Sync + 'static> Document<T> {
    pub(super) fn new(name: String) -> Document<T> {
        Document {
            name: name.into(),
            state: Arc::new(Mutex::new(State {
                good: None,
                fetch: None,
                tried: None,
                failure: None,
            })),
        }
    }

    /// Returns the document. A stale one is returned as it is, and fetched again in the background. A caller waits only
    /// if there is no document, or none that it needs. The fetch ends even if its callers leave.
    pub(super) async fn get<F>(
        &self,
        env: &Arc<Env>,
        need: Need<'_, T>,
        fetch: impl Fn(Arc<Env>) -> F,
    ) -> Result<Arc<T>, Denial>
    where
        F: Future<Output = Result<Fetched<T>, Denial>> + Send + 'static,
    {
        let mut has_waited = false;
        loop {
            let step = self.state().step(env, &need, has_waited);
            match step {
                Step::Done(result) => {
                    if result.is_ok() && matches!(need, Need::Any) {
                        self.renew(env, &fetch, State::is_stale);
                    }
                    return result;
                }
                Step::Wait(mut ended) => {
                    // An error: the sender was dropped, so the fetch has ended.
                    let _ = ended.changed().await;
                    has_waited = true;
                }
                Step::Fetch(end) => self.spawn(env, end, fetch(Arc::clone(env))),
                Step::Sleep(until) => env.clock.sleep_until(until).await,
            }
        }
    }

    /// Fetches a document that may be wrong again in the background, at most once per interval.
    pub(super) fn suspect<F>(
        &self,
        env: &Arc<Env>,
        interval: Duration,
        fetch: impl Fn(Arc<Env>) -> F,
    ) where
        F: Future<Output = Result<Fetched<T>, Denial>> + Send + 'static,
    {
        self.renew(env, fetch, |state, now| {
            let last = state
                .tried
                .map(|tried| now.saturating_duration_since(tried));
            last.is_some_and(|last| last >= interval)
        });
    }

    /// Fetches a document in the background if it is due.
    fn renew<F>(
        &self,
        env: &Arc<Env>,
        fetch: impl Fn(Arc<Env>) -> F,
        is_due: impl FnOnce(&State<T>, Instant) -> bool,
    ) where
        F: Future<Output = Result<Fetched<T>, Denial>> + Send + 'static,
    {
        let end = {
            let mut state = self.state();
            let now = env.clock.now();
            if !is_due(&state, now) || state.fetch.is_some() || state.backs_off(now).is_some() {
                return;
            }
            state.begin(now)
        };
        self.spawn(env, end, fetch(Arc::clone(env)));
    }

    fn spawn<F>(&self, env: &Arc<Env>, end: watch::Sender<()>, fetch: F)
    where
        F: Future<Output = Result<Fetched<T>, Denial>> + Send + 'static,
    {
        let fetching = self.fetching(env, end);
        tokio::spawn(async move {
            fetching.finish(fetch.await);
            // Here, or by a panic, the fetch ends.
            drop(fetching);
        });
    }

    fn fetching(&self, env: &Arc<Env>, end: watch::Sender<()>) -> Fetching<T> {
        Fetching {
            document: Document {
                name: Arc::clone(&self.name),
                state: Arc::clone(&self.state),
            },
            env: Arc::clone(env),
            generation: env.documents(),
            end,
        }
    }

    /// Whether there is a document, fresh or stale.
    pub(super) fn is_held(&self) -> bool {
        self.state().good.is_some()
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fetch in progress. Dropping it ends the fetch.
struct Fetching<T> {
    document: Document<T>,
    env: Arc<Env>,
    generation: u64,
    end: watch::Sender<()>,
}

impl<T> Fetching<T> {
    fn finish(&self, fetched: Result<Fetched<T>, Denial>) {
        let now = self.env.clock.now();
        let mut state = self.state();
        state.fetch = None;
        match fetched {
            Ok(Fetched {
                value,
                max_age,
                is_substitute,
            }) => {
                let fresh =
                    max_age.map_or(FRESH, |age| age.clamp(*FRESHNESS.start(), *FRESHNESS.end()));
                if state.failure.take().is_some() {
                    self.note(Level::Notice, "available again");
                }
                state.good = Some(Good {
                    value: Arc::new(value),
                    received: now,
                    fresh_until: now + fresh,
                    is_substitute,
                    generation: self.generation,
                });
            }
            Err(denial) => {
                let held = match &state.good {
                    Some(good) if good.is_substitute => None,
                    Some(_) => Some("; the last response is used for 24 hours at most"),
                    None => Some(""),
                };
                if let (None, Some(held)) = (&state.failure, held) {
                    let what = format!("unavailable: {}{held}", denial.detail);
                    self.note(Level::Warning, &what);
                }
                let asked = Duration::from_secs(match denial.cause {
                    // The provider's own Retry-After.
                    Cause::ProviderBusy => denial.retry_after.unwrap_or(0).into(),
                    _ => 0,
                });
                state.failure = Some(Failure {
                    denial,
                    until: now + asked.clamp(BACK_OFF, LONGEST_BACK_OFF),
                });
            }
        }
    }

    fn note(&self, level: Level, what: &str) {
        let message = format!("{} {what}", self.document.name);
        self.env.journal.note(level, message);
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.document
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Fetching<T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.finish(Err(Denial::new(
                Cause::Internal,
                "a fetch panicked; this is a defect of credgate",
            )));
        }
        // Wakes those who wait.
        self.end.send_replace(());
    }
}

impl<T> State<T> {
    fn step(&mut self, env: &Env, need: &Need<'_, T>, has_waited: bool) -> Step<T> {
        let now = env.clock.now();
        let is_over = |good: &Good<T>| {
            good.generation != env.documents()
                || now.saturating_duration_since(good.received) >= MAX_AGE
        };
        if self.good.as_ref().is_some_and(is_over) {
            self.good = None;
            // The last failure belongs to the time before.
            self.tried = None;
        }
        let good = self.good.as_ref().map(|good| Arc::clone(&good.value));
        match (good, need) {
            (Some(good), Need::Any) => return Step::Done(Ok(good)),
            (Some(good), Need::Newer { than, .. }) if has_waited || !Arc::ptr_eq(&good, than) => {
                return Step::Done(Ok(good));
            }
            _ => {}
        }
        if let Some(ended) = &self.fetch {
            return Step::Wait(ended.clone());
        }
        if let Some(wait) = self.backs_off(now) {
            return Step::Done(self.last(wait));
        }
        if let Need::Newer {
            interval, waits, ..
        } = need
            && let Some(next) = self.tried.and_then(|tried| tried.checked_add(*interval))
            && now < next
        {
            return if *waits {
                Step::Sleep(next)
            } else {
                Step::Done(self.last(next - now))
            };
        }
        Step::Fetch(self.begin(now))
    }

    /// The last document, or the last failure.
    fn last(&self, wait: Duration) -> Result<Arc<T>, Denial> {
        if let Some(good) = &self.good {
            return Ok(Arc::clone(&good.value));
        }
        let denial = self.failure.as_ref().map(|failure| failure.denial.clone());
        Err(denial.unwrap_or_else(unfetched).retry_in(wait))
    }

    fn is_stale(&self, now: Instant) -> bool {
        self.good
            .as_ref()
            .is_some_and(|good| now >= good.fresh_until)
    }

    fn backs_off(&self, now: Instant) -> Option<Duration> {
        let left = self.failure.as_ref()?.until.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    fn begin(&mut self, now: Instant) -> watch::Sender<()> {
        let (end, ended) = watch::channel(());
        self.fetch = Some(ended);
        self.tried = Some(now);
        end
    }
}

/// The denial while a document without a failure is not fetched yet again.
fn unfetched() -> Denial {
    Denial::new(
        Cause::ProviderFailed,
        "the provider's metadata or keys are fetched again soon",
    )
}

#[cfg(all(test, feature = "model"))]
mod schedules {
    use super::*;
    use crate::http::scripted::{ScriptedTransport, reply};
    use crate::sys::clock::manual::ManualClock;
    use shuttle::future::block_on;
    use shuttle::thread;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Model {
        document: Document<usize>,
        env: Arc<Env>,
        fetches: AtomicUsize,
    }

    impl Model {
        fn new() -> Arc<Model> {
            let transport = Arc::new(ScriptedTransport::new(|_| reply(500, "")));
            Arc::new(Model {
                document: Document::new("https://a.example: document".to_owned()),
                env: Arc::new(Env::new(transport, Arc::new(ManualClock::new()))),
                fetches: AtomicUsize::new(0),
            })
        }

        /// As `get` does it; the caller fetches itself, the number of its fetch.
        fn get(&self, need: &Need<'_, usize>) -> usize {
            let mut has_waited = false;
            loop {
                let step = self.document.state().step(&self.env, need, has_waited);
                match step {
                    Step::Done(result) => return *result.unwrap(),
                    Step::Wait(mut ended) => {
                        let _ = block_on(ended.changed());
                        has_waited = true;
                    }
                    Step::Fetch(end) => {
                        let fetching = self.document.fetching(&self.env, end);
                        thread::yield_now();
                        let value = self.fetches.fetch_add(1, Ordering::SeqCst) + 1;
                        fetching.finish(Ok(Fetched {
                            value,
                            max_age: None,
                            is_substitute: false,
                        }));
                    }
                    Step::Sleep(_) => unreachable!("no interval"),
                }
            }
        }
    }

    #[test]
    fn concurrent_first_reads_share_one_fetch_under_any_schedule() {
        crate::testing::under_schedules(
            || {
                let model = Model::new();
                let readers: Vec<_> = (0..4)
                    .map(|_| {
                        let model = Arc::clone(&model);
                        thread::spawn(move || model.get(&Need::Any))
                    })
                    .collect();
                for reader in readers {
                    assert_eq!(reader.join().unwrap(), 1);
                }
            },
            20_000,
        );
    }

    #[test]
    fn a_newer_document_is_never_the_insufficient_one_under_any_schedule() {
        crate::testing::under_schedules(
            || {
                let model = Model::new();
                assert_eq!(model.get(&Need::Any), 1);
                let old = Arc::clone(&model.document.state().good.as_ref().unwrap().value);
                let readers: Vec<_> = (0..3)
                    .map(|_| {
                        let (model, old) = (Arc::clone(&model), Arc::clone(&old));
                        thread::spawn(move || {
                            model.get(&Need::Newer {
                                than: &old,
                                interval: Duration::ZERO,
                                waits: true,
                            })
                        })
                    })
                    .collect();
                for reader in readers {
                    assert_eq!(reader.join().unwrap(), 2);
                }
            },
            20_000,
        );
    }

    #[test]
    fn a_purge_during_a_fetch_forgets_its_document_under_any_schedule() {
        crate::testing::under_schedules(
            || {
                let model = Model::new();
                let reader = {
                    let model = Arc::clone(&model);
                    thread::spawn(move || model.get(&Need::Any))
                };
                let before = model.fetches.load(Ordering::SeqCst);
                model.env.forget_documents();
                reader.join().unwrap();
                // A document whose fetch began before the purge is not used after it.
                assert!(model.get(&Need::Any) > before);
            },
            20_000,
        );
    }
}
