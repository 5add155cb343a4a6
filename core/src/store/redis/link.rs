//! One connection to a server, shared by all who ask; lost, and made anew behind their backs.
//!
//! The crate's `ConnectionManager` has requests wait while it reconnects. Here they wait for the first connection only:
//! once there has been a failure they are told so at once, until a task in the background has a connection that works.

use super::address::{Address, Place};
use super::wire::{self, MAX_PENDING};
use super::{StoreFault, StoreFaultKind};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, Pipeline, RedisConnectionInfo, RedisError, ServerError,
    Value,
};
use std::future::Future;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::rustls::ClientConfig;

/// The connection, whatever its state.
pub(super) struct Link(Arc<Inner>);

struct Inner {
    address: Address,
    tls: Option<Arc<ClientConfig>>,
    /// How long connecting may take.
    patience: Duration,
    /// A question like those that come: a connection counts when it has been answered.
    probe: Cmd,
    state: watch::Sender<State>,
    /// Connections in a row that failed or did not last.
    failures: AtomicU32,
    connections: AtomicU64,
}

#[derive(Clone)]
enum State {
    /// Nobody has asked yet, or the server has closed a connection that was idle.
    Apart,
    Dialling,
    Up(Line),
    /// There is no connection; another attempt is coming.
    Down(StoreFault),
}

#[derive(Clone)]
struct Line {
    connection: MultiplexedConnection,
    number: u64,
    since: Instant,
    /// Since when nothing has been answered that was asked.
    silence: Arc<Mutex<Option<Instant>>>,
    _driver: Arc<Driver>,
}

/// The task that moves the bytes. With a server that hangs it would never end by itself.
struct Driver(AbortHandle);

/// Why there is no connection.
enum Miss {
    StoreFault(StoreFault),
    /// What is asked for is on another node.
    Moved(Place),
}

/// How long connecting may take, at least.
const CONNECT: Duration = Duration::from_secs(1);
/// How long a server may be silent before it is taken to hang.
const HANGS: Duration = Duration::from_millis(500);
/// A connection that lasts less is as good as none.
const LASTING: Duration = Duration::from_secs(5);
/// Between attempts: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How many nodes of a Cluster are asked where something is.
const MAX_HOPS: usize = 3;

impl Link {
    pub(super) fn new(
        address: Address,
        tls: Option<Arc<ClientConfig>>,
        patience: Duration,
        probe: Cmd,
    ) -> Link {
        Link(Arc::new(Inner {
            address,
            tls,
            patience: patience.max(CONNECT),
            probe,
            state: watch::Sender::new(State::Apart),
            failures: AtomicU32::new(0),
            connections: AtomicU64::new(0),
        }))
    }

    /// Asks once. Whoever gives up waiting drops the future; a late answer is dropped too.
    pub(super) async fn ask(&self, question: &Cmd) -> Result<Value, StoreFault> {
        let mut asking = Asking::on(&self.0).await?;
        let answer = asking.line.connection.send_packed_command(question).await;
        asking.answered(answer, std::slice::from_ref)
    }

    /// Asks several questions in one go.
    pub(super) async fn ask_all(&self, questions: &Pipeline) -> Result<Vec<Value>, StoreFault> {
        let mut asking = Asking::on(&self.0).await?;
        let connection = &mut asking.line.connection;
        let answers = connection.send_packed_commands(questions, 0, questions.len());
        let answers = answers.await;
        asking.answered(answers, Vec::as_slice)
    }
}

/// Somebody who has asked, and is told when there was no answer.
struct Asking<'l> {
    link: &'l Arc<Inner>,
    line: Line,
    is_waiting: bool,
}

impl<'l> Asking<'l> {
    async fn on(link: &'l Arc<Inner>) -> Result<Asking<'l>, StoreFault> {
        Ok(Asking {
            line: link.line().await?,
            link,
            is_waiting: true,
        })
    }

    /// An error that the server reports is a fault as well.
    fn answered<T>(
        mut self,
        answer: Result<T, RedisError>,
        values: impl FnOnce(&T) -> &[Value],
    ) -> Result<T, StoreFault> {
        self.is_waiting = false;
        let answer = answer.map_err(|error| {
            self.link.lose(self.line.number, Loss::StoreFault);
            broken(&error)
        })?;
        *self.line.silence() = None;
        let error = values(&answer).iter().find_map(|value| match value {
            Value::ServerError(error) => Some(error),
            _ => None,
        });
        let Some(error) = error else {
            return Ok(answer);
        };
        // One that starts, a replica, a node that has given something away, or a password that has been changed: a new
        // connection may lead elsewhere.
        if matches!(
            error.code(),
            "LOADING" | "MASTERDOWN" | "MOVED" | "NOAUTH" | "READONLY"
        ) {
            self.link.lose(self.line.number, Loss::StoreFault);
        }
        Err(refusal(error))
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.is_waiting {
            return;
        }
        let since = *self.line.silence().get_or_insert_with(Instant::now);
        if since.elapsed() >= HANGS {
            self.link.lose(self.line.number, Loss::StoreFault);
        }
    }
}

impl Line {
    fn silence(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The connection; waits for the first.
    async fn line(self: &Arc<Inner>) -> Result<Line, StoreFault> {
        let is_first = self.state.send_if_modified(|state| {
            let is_apart = matches!(state, State::Apart);
            if is_apart {
                *state = State::Dialling;
            }
            is_apart
        });
        if is_first {
            self.dial(Duration::ZERO);
        }
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| matches!(state, State::Up(_) | State::Down(_)));
        match settled.await.as_deref() {
            Ok(State::Up(line)) => Ok(line.clone()),
            Ok(State::Down(fault)) => Err(fault.clone()),
            _ => Err(StoreFault::new(
                StoreFaultKind::Unreachable,
                "it is being shut down",
            )),
        }
    }

    /// Makes a connection, however often it must be tried; unless the store is gone before.
    fn dial(self: &Arc<Inner>, mut pause: Duration) {
        let inner = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                if !pause.is_zero() {
                    sleep(pause).await;
                }
                let Some(inner) = inner.upgrade() else {
                    return;
                };
                match inner.connect().await {
                    Ok(line) => {
                        inner.state.send_replace(State::Up(line));
                        return;
                    }
                    Err(fault) => {
                        inner.state.send_replace(State::Down(fault));
                        pause = inner.next_pause();
                    }
                }
            }
        });
    }

    async fn connect(self: &Arc<Inner>) -> Result<Line, StoreFault> {
        let mut place = self.primary().await?;
        for _ in 0..=MAX_HOPS {
            let connected = timeout(self.patience, self.connect_to(&place)).await;
            match connected {
                Ok(Ok(line)) => return Ok(line),
                Ok(Err(Miss::StoreFault(fault))) => return Err(fault),
                Ok(Err(Miss::Moved(elsewhere))) => place = elsewhere,
                Err(_) => {
                    return Err(StoreFault::new(
                        StoreFaultKind::Unreachable,
                        format!("no connection within {:?}", self.patience),
                    ));
                }
            }
        }
        Err(StoreFault::new(
            StoreFaultKind::Busy,
            "the nodes of its cluster do not agree where its keys are",
        ))
    }

    /// Where the server is: what the address says, or what the first of its sentinels does that answers.
    async fn primary(&self) -> Result<Place, StoreFault> {
        let mut fault = StoreFault::new(StoreFaultKind::Unreachable, "it has no address");
        for place in &self.address.places {
            let Some(name) = &self.address.name else {
                return Ok(place.clone());
            };
            match timeout(self.patience, self.ask_sentinel(place, name)).await {
                Ok(Ok(primary)) => return Ok(primary),
                Ok(Err(why)) => fault = why,
                Err(_) => {
                    fault =
                        StoreFault::new(StoreFaultKind::Unreachable, "its sentinels do not answer")
                }
            }
        }
        Err(fault)
    }

    /// Sentinels are asked without user and password.
    async fn ask_sentinel(&self, sentinel: &Place, name: &str) -> Result<Place, StoreFault> {
        let login = RedisConnectionInfo::default().set_skip_set_lib_name();
        let (mut connection, driver) = self.open(sentinel, &login).await?;
        let _driver = Driver(tokio::spawn(driver).abort_handle());
        let mut question = redis::cmd("SENTINEL");
        question.arg("get-master-addr-by-name").arg(name);
        let answer = connection.send_packed_command(&question).await;
        let answer = answer.map_err(|error| broken(&error))?;
        if let Value::ServerError(error) = &answer {
            return Err(refusal(error));
        }
        let unknown = "its sentinels know no primary of that name: look at the store's URL";
        let (host, port) = redis::from_redis_value::<(String, u16)>(answer)
            .map_err(|_| StoreFault::new(StoreFaultKind::Refused, unknown))?;
        Ok(match sentinel {
            Place::Tls { .. } => Place::Tls { host, port },
            _ => Place::Tcp { host, port },
        })
    }

    async fn open(
        &self,
        place: &Place,
        login: &RedisConnectionInfo,
    ) -> Result<(MultiplexedConnection, impl Future<Output = ()> + 'static), StoreFault> {
        let stream = wire::open(place, self.tls.as_ref())
            .await
            .map_err(|error| wire::fault(&error))?;
        // Who asks has a deadline.
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_concurrency_limit(MAX_PENDING);
        MultiplexedConnection::new_with_config(login, stream, config)
            .await
            .map_err(|error| login_fault(&error))
    }

    async fn connect_to(self: &Arc<Inner>, place: &Place) -> Result<Line, Miss> {
        let opened = self.open(place, &self.address.login).await;
        let (mut connection, driver) = opened.map_err(Miss::StoreFault)?;
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        let inner = Arc::downgrade(self);
        let driver = tokio::spawn(async move {
            driver.await;
            if let Some(inner) = inner.upgrade() {
                inner.lose(number, Loss::End);
            }
        });
        let driver = Arc::new(Driver(driver.abort_handle()));
        match connection.send_packed_command(&self.probe).await {
            Ok(Value::ServerError(error)) => Err(match elsewhere(&error, place) {
                Some(place) => Miss::Moved(place),
                None => Miss::StoreFault(refusal(&error)),
            }),
            Ok(_) => Ok(Line {
                connection,
                number,
                since: Instant::now(),
                silence: Arc::default(),
                _driver: driver,
            }),
            Err(error) => Err(Miss::StoreFault(broken(&error))),
        }
    }

    /// Gives up a connection, if it is the one in use.
    fn lose(self: &Arc<Inner>, number: u64, loss: Loss) {
        let mut pause = None;
        self.state.send_if_modified(|state| {
            let State::Up(line) = state else {
                return false;
            };
            if line.number != number {
                return false;
            }
            let has_lasted = line.since.elapsed() >= LASTING;
            if has_lasted {
                self.failures.store(0, Ordering::Relaxed);
            }
            *state = match loss {
                // Servers close connections that are idle: whoever asks next makes another.
                Loss::End if has_lasted => State::Apart,
                Loss::End | Loss::StoreFault => {
                    pause = Some(if has_lasted {
                        Duration::ZERO
                    } else {
                        self.next_pause()
                    });
                    State::Down(StoreFault::new(
                        StoreFaultKind::Unreachable,
                        "the connection was lost and is being made anew",
                    ))
                }
            };
            true
        });
        if let Some(pause) = pause {
            self.dial(pause);
        }
    }

    /// Twice as long after each failure, and never the same for two: a server that comes back is not stormed.
    fn next_pause(&self) -> Duration {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed);
        let longest = FIRST_PAUSE * (1 << failures.min(7));
        let random = getrandom::u32().unwrap_or_default();
        let part = 0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX);
        longest.min(LONGEST_PAUSE).mul_f64(part)
    }
}

/// How a connection was lost.
enum Loss {
    /// It ended by itself.
    End,
    /// It is not to be trusted any more.
    StoreFault,
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Where the node is that has what was asked for: `MOVED slot host:port`, the host empty where it is the same.
fn elsewhere(error: &ServerError, here: &Place) -> Option<Place> {
    if error.code() != "MOVED" {
        return None;
    }
    let (host, port) = error.details()?.split(' ').nth(1)?.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let same = match here {
        Place::Tcp { host, .. } | Place::Tls { host, .. } => host,
        Place::Unix(_) => return None,
    };
    let host = if host.is_empty() { same } else { host }.to_owned();
    Some(match here {
        Place::Tls { .. } => Place::Tls { host, port },
        _ => Place::Tcp { host, port },
    })
}

fn broken(error: &RedisError) -> StoreFault {
    if error.kind() == ErrorKind::Parse {
        let why = "what it says is not Redis's protocol: look at the address";
        return StoreFault::new(StoreFaultKind::Foreign, why);
    }
    StoreFault::new(StoreFaultKind::Unreachable, "the connection broke")
}

fn login_fault(error: &RedisError) -> StoreFault {
    match error.kind() {
        ErrorKind::AuthenticationFailed => StoreFault::new(
            StoreFaultKind::Refused,
            "user and password were refused: look at the store's URL",
        ),
        ErrorKind::Server(_) | ErrorKind::Extension => StoreFault::new(
            StoreFaultKind::Refused,
            "the database was refused: look at the number in the store's URL, and whether a password is missing there",
        ),
        _ => broken(error),
    }
}

/// What a server says that does not do as it is asked. Its own words stay out of the log.
fn refusal(error: &ServerError) -> StoreFault {
    let code = error.code();
    let (kind, why) = match code {
        "LOADING" => (StoreFaultKind::Busy, "it is starting"),
        "BUSY" | "TRYAGAIN" | "ASK" | "MOVED" | "CLUSTERDOWN" | "MASTERDOWN" => (
            StoreFaultKind::Busy,
            "it is busy, or its cluster is being changed",
        ),
        "OOM" => (
            StoreFaultKind::Full,
            "it has no memory left: raise maxmemory, or let it evict",
        ),
        "MISCONF" => (
            StoreFaultKind::Full,
            "it takes nothing as it cannot save: look at its disk",
        ),
        "NOAUTH" | "WRONGPASS" => (
            StoreFaultKind::Refused,
            "it wants a user and a password: set them in the store's URL",
        ),
        "NOPERM" => (
            StoreFaultKind::Refused,
            "its user may not do this: see the permissions in the documentation of the store",
        ),
        "READONLY" | "NOREPLICAS" => (
            StoreFaultKind::ReadOnly,
            "it is a replica, or has too few: name the primary",
        ),
        "WRONGTYPE" => return super::unexpected(),
        _ => (StoreFaultKind::Busy, "it answers with an error"),
    };
    StoreFault::new(kind, why)
}
