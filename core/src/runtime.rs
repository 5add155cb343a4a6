//! The one thread on which everything happens that is not a hit.

use crate::cause::{Cause, Denial};
use crate::error::{Error, ErrorKind};
use crate::exchange::{Exchange, Work};
use crate::provider::{Issuer, Provider};
use crate::shared::{Purpose, Shared};
use crate::token::Grant;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Work to be done for a flight.
pub(crate) struct Job {
    pub(crate) work: Work,
    pub(crate) landing: Landing,
}

/// The promise that a flight lands, whatever happens to its exchange: dropped without a result, it denies.
pub(crate) struct Landing {
    shared: Arc<Shared>,
    purpose: Option<Purpose>,
}

/// A running thread. Dropping it ends the thread, and abandons exchanges under way.
pub(crate) struct Runtime {
    jobs: Option<UnboundedSender<Job>>,
    ended: Arc<Ended>,
    thread: Option<JoinHandle<()>>,
}

/// Tells that the thread is about to end. (A channel would do, but leaves an allocation on the host's thread.)
#[derive(Default)]
struct Ended(Mutex<bool>, Condvar);

/// How long a host waits for the thread to end.
const JOIN_TIMEOUT: Duration = Duration::from_secs(2);
/// Names are resolved on threads of their own, never more than this many.
const MAX_RESOLVERS: usize = 4;

impl Landing {
    pub(crate) fn new(shared: Arc<Shared>, purpose: Purpose) -> Landing {
        Landing {
            shared,
            purpose: Some(purpose),
        }
    }

    pub(crate) fn land(mut self, result: Result<Grant, Denial>) {
        self.end(result);
    }

    fn end(&mut self, result: Result<Grant, Denial>) {
        if let Some(purpose) = self.purpose.take() {
            self.shared.land(&purpose, result);
        }
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        let denial = if std::thread::panicking() {
            Denial::new(
                Cause::Internal,
                "an exchange panicked; this is a defect of credgate",
            )
        } else {
            Denial::new(Cause::ShuttingDown, "")
        };
        self.end(Err(denial));
    }
}

impl Runtime {
    /// Starts the thread; all else happens on it, so that the host is not kept.
    pub(crate) fn start(shared: Arc<Shared>, max_exchanges: usize) -> Result<Runtime, Error> {
        let (jobs, received) = unbounded_channel();
        let ended = Arc::new(Ended::default());
        let end = Arc::clone(&ended);
        let io = Io {
            shared,
            max_exchanges,
            providers: HashMap::new(),
        };
        let thread = without_signals(|| {
            std::thread::Builder::new()
                .name("credgate-io".to_owned())
                .spawn(move || {
                    serve(io, received);
                    end.tell();
                })
        })
        .map_err(|error| {
            let message = format!("cannot start a thread: {error}");
            Error::with_source(ErrorKind::System, message, error)
        })?;
        Ok(Runtime {
            jobs: Some(jobs),
            ended,
            thread: Some(thread),
        })
    }

    /// Hands over an exchange. Where the thread is gone, the job is dropped and so its flight lands.
    pub(crate) fn submit(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            drop(jobs.send(job));
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.jobs = None;
        // Bounded: a thread that hangs in the system's resolver must not hang the host. It is left behind then.
        if self.ended.wait(JOIN_TIMEOUT)
            && let Some(thread) = self.thread.take()
        {
            drop(thread.join());
        }
    }
}

impl Ended {
    fn tell(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.1.notify_all();
    }

    fn wait(&self, timeout: Duration) -> bool {
        let ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.1.wait_timeout_while(ended, timeout, |ended| !*ended);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The thread's life: until nobody can submit any more.
fn serve(io: Io, mut jobs: UnboundedReceiver<Job>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(MAX_RESOLVERS)
        .thread_name("credgate-dns")
        .build();
    match runtime {
        Ok(runtime) => {
            runtime.block_on(io.run(jobs));
            // Ends what is under way: each abandoned exchange lands as a denial.
            runtime.shutdown_timeout(Duration::from_millis(100));
        }
        Err(error) => {
            let detail: Arc<str> = format!("cannot start the runtime: {error}").into();
            while let Some(job) = jobs.blocking_recv() {
                job.landing
                    .land(Err(Denial::new(Cause::Internal, Arc::clone(&detail))));
            }
        }
    }
}

/// What the thread owns.
struct Io {
    shared: Arc<Shared>,
    max_exchanges: usize,
    providers: HashMap<Issuer, Arc<Provider>>,
}

impl Io {
    async fn run(mut self, mut jobs: UnboundedReceiver<Job>) {
        while let Some(Job { work, landing }) = jobs.recv().await {
            let Some(purpose) = &landing.purpose else {
                continue;
            };
            let (rules, key) = (Arc::clone(&purpose.rules), purpose.key);
            let provider = self.provider(&rules.issuer);
            let world = Arc::clone(&self.shared.world);
            tokio::spawn(async move {
                let exchange = Exchange {
                    provider: &provider,
                    rules: &rules,
                    world: &world,
                    key,
                };
                let result = exchange.run(&work).await;
                landing.land(result);
            });
        }
    }

    fn provider(&mut self, issuer: &Issuer) -> Arc<Provider> {
        if let Some(provider) = self.providers.get(issuer) {
            return Arc::clone(provider);
        }
        let provider = Arc::new(Provider::new(issuer.clone(), self.max_exchanges));
        self.providers.insert(issuer.clone(), Arc::clone(&provider));
        provider
    }
}

/// Runs `start` with all signals blocked, as threads inherit it: a signal is the host's, and would not wake its loop
/// if this thread took it. Those that a fault of the thread itself raises stay.
fn without_signals<T>(start: impl FnOnce() -> T) -> T {
    let mut blocked = SigSet::all();
    for own in [
        Signal::SIGBUS,
        Signal::SIGFPE,
        Signal::SIGILL,
        Signal::SIGSEGV,
    ] {
        blocked.remove(own);
    }
    let before = blocked.thread_swap_mask(SigmaskHow::SIG_SETMASK);
    let started = start();
    if let Ok(before) = before {
        let _ = before.thread_set_mask();
    }
    started
}
