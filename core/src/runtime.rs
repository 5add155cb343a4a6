//! The one thread on which everything happens that is not a hit.

use crate::cause::{Cause, Denial};
use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind};
use crate::exchange::exchange;
use crate::gate::Rules;
use crate::key::Key;
use crate::provider::{Issuer, Provider, ProviderId};
use crate::shared::Shared;
use crate::token::Grant;
use crate::transport::Transport;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// An exchange to be made.
pub(crate) struct Job {
    pub(crate) rules: Arc<Rules>,
    pub(crate) credentials: Credentials,
    pub(crate) landing: Landing,
}

/// The promise that a flight lands, whatever happens to its exchange: dropped without a result, it denies.
pub(crate) struct Landing {
    shared: Arc<Shared>,
    key: Option<Key>,
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
    pub(crate) fn new(shared: Arc<Shared>, key: Key) -> Landing {
        Landing {
            shared,
            key: Some(key),
        }
    }

    pub(crate) fn land(mut self, result: Result<Grant, Denial>) {
        if let Some(key) = self.key.take() {
            self.shared.land(key, result);
        }
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            let denial = if std::thread::panicking() {
                Denial::new(
                    Cause::Internal,
                    "an exchange panicked; this is a defect of credgate",
                )
            } else {
                Denial::new(Cause::ShuttingDown, "")
            };
            self.shared.land(key, Err(denial));
        }
    }
}

impl Runtime {
    /// Starts the thread; all else happens on it, so that the host is not kept.
    pub(crate) fn start(
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
    ) -> Result<Runtime, Error> {
        let (jobs, received) = unbounded_channel();
        let ended = Arc::new(Ended::default());
        let end = Arc::clone(&ended);
        let io = Io {
            transport,
            clock,
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
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    providers: HashMap<ProviderId, Arc<Provider>>,
}

impl Io {
    async fn run(mut self, mut jobs: UnboundedReceiver<Job>) {
        while let Some(Job {
            rules,
            credentials,
            landing,
        }) = jobs.recv().await
        {
            let provider = self.provider(&rules.issuer);
            let (transport, clock) = (Arc::clone(&self.transport), Arc::clone(&self.clock));
            tokio::spawn(async move {
                let result = exchange(&provider, &rules, &credentials, &transport, &clock).await;
                landing.land(result);
            });
        }
    }

    fn provider(&mut self, issuer: &Issuer) -> Arc<Provider> {
        let provider = self
            .providers
            .entry(issuer.provider_id())
            .or_insert_with(|| Arc::new(Provider::new(issuer.clone())));
        Arc::clone(provider)
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
