//! The I/O thread: everything except hits runs here.

use crate::cache::{Landed, Purpose, Shared};
use crate::cache_status::CacheStatus;
use crate::cause::{Cause, Denial};
use crate::error::{Error, ErrorKind};
use crate::gate::Rules;
use crate::gate::issuer::Issuer;
use crate::key::Key;
use crate::provider::Provider;
use crate::provider::context::Exchange;
use crate::provider::exchange::Work;
use crate::provider::patience::Patience;
use crate::store::Sharing;
use crate::sys::thread::Thread;
use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A command for the thread.
#[expect(
    clippy::large_enum_variant,
    reason = "a box would be one more allocation on the host's thread for each miss"
)]
pub(crate) enum Command {
    Fly(Job),
    /// Watch the deadlines of a flight's waiters.
    Watch(Key),
    /// Write pending purges to the store.
    WritePurges,
}

/// The work of a flight.
pub(crate) struct Job {
    pub(crate) work: Work,
    pub(crate) landing: Landing,
}

/// The guarantee that a flight lands: dropped without a result, it denies.
pub(crate) struct Landing {
    shared: Arc<Shared>,
    purpose: Option<Purpose>,
}

/// A running thread. Dropping it ends the thread, and abandons exchanges in progress.
pub(crate) struct Runtime {
    /// Dropped first; that ends the thread.
    commands: UnboundedSender<Command>,
    _thread: Thread,
}

/// The limits of exchanges at each provider.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// The maximum number of concurrent exchanges.
    pub(crate) max_exchanges: usize,
    /// The longest pause of the circuit breaker.
    pub(crate) longest_pause: Duration,
}

/// The shortest time from one look for purged tokens to the next.
const SWEEP_INTERVAL: Duration = Duration::from_millis(100);

/// The maximum number of threads that resolve names.
const MAX_RESOLVERS: usize = 4;

impl Landing {
    pub(crate) fn new(shared: Arc<Shared>, purpose: Purpose) -> Landing {
        Landing {
            shared,
            purpose: Some(purpose),
        }
    }

    pub(crate) fn land(mut self, landed: Landed) {
        self.end(landed);
    }

    pub(crate) fn deny(mut self, denial: Denial) {
        self.end(Landed::exchanged(Err(denial)));
    }

    fn end(&mut self, landed: Landed) {
        if let Some(purpose) = self.purpose.take() {
            self.shared.land(&purpose, landed);
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
            Denial::new(Cause::EngineUnavailable, "")
        };
        self.end(Landed::exchanged(Err(denial)));
    }
}

impl Runtime {
    /// Starts the thread. The rest of the setup runs on it, so that the host does not wait.
    pub(crate) fn start(
        shared: Arc<Shared>,
        sharing: Option<Arc<Sharing>>,
        limits: Limits,
    ) -> Result<Runtime, Error> {
        let (commands, received) = unbounded_channel();
        let io = Io {
            shared,
            sharing,
            limits,
            providers: HashMap::new(),
        };
        let thread =
            Thread::start("credgate-io", move || serve(io, received)).map_err(|error| {
                let message = format!("cannot start a thread: {error}");
                Error::with_source(ErrorKind::System, message, error)
            })?;
        Ok(Runtime {
            commands,
            _thread: thread,
        })
    }

    /// Submits a command. If the thread is gone, the job is dropped, which lands its flight.
    pub(crate) fn submit(&self, command: Command) {
        drop(self.commands.send(command));
    }
}

/// The main function of the thread: runs until all senders are gone.
fn serve(io: Io, mut commands: UnboundedReceiver<Command>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(MAX_RESOLVERS)
        .thread_name("credgate-dns")
        .build();
    match runtime {
        Ok(runtime) => {
            runtime.block_on(io.run(commands));
            // Ends exchanges in progress: each lands as a denial.
            runtime.shutdown_timeout(Duration::from_millis(100));
        }
        Err(error) => {
            let detail: Arc<str> = format!("cannot start the runtime: {error}").into();
            while let Some(command) = commands.blocking_recv() {
                if let Command::Fly(job) = command {
                    job.landing
                        .deny(Denial::new(Cause::Internal, Arc::clone(&detail)));
                }
            }
        }
    }
}

/// The state of the thread.
struct Io {
    shared: Arc<Shared>,
    sharing: Option<Arc<Sharing>>,
    limits: Limits,
    providers: HashMap<Issuer, Tenancy>,
}

/// A provider and the gates that use it.
struct Tenancy {
    provider: Arc<Provider>,
    gates: Vec<Weak<Rules>>,
}

impl Io {
    async fn run(mut self, mut commands: UnboundedReceiver<Command>) {
        if let Some(sharing) = &self.sharing {
            tokio::spawn(Arc::clone(sharing).follow());
        }
        tokio::spawn(sweep(Arc::clone(&self.shared)));
        while let Some(command) = commands.recv().await {
            match (command, &self.sharing) {
                (Command::Fly(job), _) => self.fly(job),
                (Command::Watch(key), _) => {
                    let shared = Arc::clone(&self.shared);
                    tokio::spawn(async move { watch(&shared, &key).await });
                }
                (Command::WritePurges, Some(sharing)) => {
                    let sharing = Arc::clone(sharing);
                    tokio::spawn(async move { sharing.write_purges().await });
                }
                (Command::WritePurges, None) => {}
            }
        }
        if let Some(sharing) = &self.sharing {
            sharing.finish().await;
        }
    }

    fn fly(&mut self, Job { work, landing }: Job) {
        let Some(purpose) = &landing.purpose else {
            return;
        };
        let provider = self.provider(&purpose.rules);
        let shared = Arc::clone(&self.shared);
        let sharing = self.sharing.clone();
        // In a box of its own, because tokio aligns its tasks: a refusal that is cached behind an aligned block of this size
        // keeps glibc from using the block for the next task, and each cached refusal would cost one.
        tokio::spawn(Box::pin(async move {
            let Some(purpose) = &landing.purpose else {
                return;
            };
            let (env, key) = (&shared.env, purpose.key);
            let timeout = purpose.rules.timeout;
            let refresh = purpose.is_refresh.then(|| Patience {
                until: env.clock.now() + timeout,
                timeout,
            });
            let patience = || match (shared.flights.patience(&key), refresh) {
                (Some(waiters), Some(refresh)) => Some(waiters.max(refresh)),
                (waiters, refresh) => waiters.or(refresh),
            };
            let exchange = Exchange {
                provider: &provider,
                rules: &purpose.rules,
                env,
                key,
                parties: purpose.parties,
                patience: &patience,
                traceparent: purpose.traceparent.as_ref(),
            };
            let work = async {
                match &sharing {
                    Some(sharing) => sharing.run(&exchange, &work, purpose).await,
                    None => Landed::exchanged(exchange.run(&work).await),
                }
            };
            let landed = alongside(work, watch(&shared, &key)).await;
            if landed.cache_status == CacheStatus::Shared {
                // The provider has granted it to another process.
                provider.health.recognize(key);
            }
            landing.land(landed);
        }));
    }

    fn provider(&mut self, rules: &Arc<Rules>) -> Arc<Provider> {
        let issuer = &rules.issuer;
        if !self.providers.contains_key(issuer) {
            self.forget_unused();
        }
        let limits = self.limits;
        let tenancy = self
            .providers
            .entry(issuer.clone())
            .or_insert_with(|| Tenancy {
                provider: Arc::new(Provider::new(
                    issuer.clone(),
                    limits.max_exchanges,
                    limits.longest_pause,
                )),
                gates: Vec::new(),
            });
        let is_it = |gate: &Weak<Rules>| std::ptr::eq(gate.as_ptr(), Arc::as_ptr(rules));
        if !tenancy.gates.iter().any(is_it) {
            tenancy.gates.retain(|gate| gate.strong_count() > 0);
            tenancy.gates.push(Arc::downgrade(rules));
        }
        Arc::clone(&tenancy.provider)
    }

    /// Drops the providers whose gates are gone, before another one is added: a host may make gates for ever new issuers.
    fn forget_unused(&mut self) {
        let unused = self
            .providers
            .extract_if(|_, tenancy| !tenancy.is_used())
            .map(|(issuer, _)| issuer);
        let unused: Vec<_> = unused.collect();
        let env = &self.shared.env;
        for issuer in unused {
            let mut others = self.providers.keys();
            if !others.any(|other| other.connection == issuer.connection) {
                env.transport.forget(&issuer.connection);
            }
            let mut others = self.providers.keys();
            if !others.any(|other| other.id == issuer.id) {
                env.metrics.forget_provider(&issuer.id);
            }
        }
    }
}

impl Tenancy {
    /// A gate exists, or an exchange is in progress.
    fn is_used(&self) -> bool {
        Arc::strong_count(&self.provider) > 1
            || self.gates.iter().any(|gate| gate.strong_count() > 0)
    }
}

/// Drops purged tokens after purges. Purges of many clients one by one share a look at the whole cache.
async fn sweep(shared: Arc<Shared>) {
    loop {
        shared.purged.notified().await;
        shared.sweep().await;
        tokio::time::sleep(SWEEP_INTERVAL).await;
    }
}

/// Denies a flight's waiters when their deadlines come, until it has landed.
async fn watch(shared: &Shared, key: &Key) {
    let mut next = shared.flights.watched(key);
    while let Some(at) = next {
        shared.env.clock.sleep_until(at).await;
        next = shared.flights.expire(key, at, &shared.env);
    }
}

/// Runs another future as long as the first one takes.
async fn alongside<T>(first: impl Future<Output = T>, other: impl Future<Output = ()>) -> T {
    let (mut first, mut other) = (pin!(first), pin!(other));
    let mut is_over = false;
    poll_fn(|context| {
        let output = first.as_mut().poll(context);
        if output.is_pending() && !is_over {
            is_over = other.as_mut().poll(context).is_ready();
        }
        output
    })
    .await
}
