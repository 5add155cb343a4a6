//! One connection to a server, shared by all callers, and reconnected in the background.
//!
//! The crate's `ConnectionManager` makes requests wait while it reconnects. Here they wait for the first connection
//! only: after a failure they fail at once until a background task has a working connection.

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

/// The connection, in any state.
pub(super) struct Link(Arc<Inner>);

struct Inner {
    address: Address,
    tls: Option<Arc<ClientConfig>>,
    /// The timeout of connecting.
    connect_timeout: Duration,
    /// A command like the usual ones: a connection counts as working once it has replied to it.
    probe: Cmd,
    state: watch::Sender<State>,
    /// Consecutive connections that failed or did not last.
    failures: AtomicU32,
    connections: AtomicU64,
}

#[derive(Clone)]
enum State {
    /// Before the first call, or after the server has closed an idle connection.
    Idle,
    Connecting,
    Up(Line),
    /// There is no connection; the next attempt is scheduled.
    Down(StoreFault),
}

#[derive(Clone)]
struct Line {
    connection: MultiplexedConnection,
    number: u64,
    since: Instant,
    /// The start of the period without replies, if there are unanswered commands.
    silence: Arc<Mutex<Option<Instant>>>,
    _driver: Arc<Driver>,
}

/// The task that moves the bytes. It is aborted, as it would never end with a server that hangs.
struct Driver(AbortHandle);

/// The reason why there is no connection.
enum ConnectError {
    Fault(StoreFault),
    /// The keys are on another node.
    Moved(Place),
}

/// The minimum timeout of connecting.
const MIN_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The silence after which a server counts as hanging.
const MAX_SILENCE: Duration = Duration::from_millis(500);
/// A connection that lasts less counts as failed.
const MIN_LIFE: Duration = Duration::from_secs(5);
/// The pause between attempts: the first, and the maximum.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The maximum number of Cluster nodes to ask for the keys' location.
const MAX_HOPS: usize = 3;

impl Link {
    pub(super) fn new(
        address: Address,
        tls: Option<Arc<ClientConfig>>,
        connect_timeout: Duration,
        probe: Cmd,
    ) -> Link {
        Link(Arc::new(Inner {
            address,
            tls,
            connect_timeout: connect_timeout.max(MIN_CONNECT_TIMEOUT),
            probe,
            state: watch::Sender::new(State::Idle),
            failures: AtomicU32::new(0),
            connections: AtomicU64::new(0),
        }))
    }

    /// Sends one command. A caller may give up and drop the future; a late reply is then dropped too.
    pub(super) async fn call(&self, command: &Cmd) -> Result<Value, StoreFault> {
        let mut attempt = Attempt::on(&self.0).await?;
        let reply = attempt.line.connection.send_packed_command(command).await;
        attempt.settle(reply, std::slice::from_ref)
    }

    /// Sends several commands at once.
    pub(super) async fn call_all(&self, commands: &Pipeline) -> Result<Vec<Value>, StoreFault> {
        let mut attempt = Attempt::on(&self.0).await?;
        let connection = &mut attempt.line.connection;
        let replies = connection.send_packed_commands(commands, 0, commands.len());
        let replies = replies.await;
        attempt.settle(replies, Vec::as_slice)
    }
}

/// A command in progress. If it is dropped without a reply, the link counts as silent.
struct Attempt<'l> {
    link: &'l Arc<Inner>,
    line: Line,
    is_waiting: bool,
}

impl<'l> Attempt<'l> {
    async fn on(link: &'l Arc<Inner>) -> Result<Attempt<'l>, StoreFault> {
        Ok(Attempt {
            line: link.line().await?,
            link,
            is_waiting: true,
        })
    }

    /// An error reply is a fault as well.
    fn settle<T>(
        mut self,
        reply: Result<T, RedisError>,
        values: impl FnOnce(&T) -> &[Value],
    ) -> Result<T, StoreFault> {
        self.is_waiting = false;
        let reply = reply.map_err(|error| {
            self.link.lose(self.line.number, Loss::Fault);
            broken(&error)
        })?;
        *self.line.silence() = None;
        let error = values(&reply).iter().find_map(|value| match value {
            Value::ServerError(error) => Some(error),
            _ => None,
        });
        let Some(error) = error else {
            return Ok(reply);
        };
        // Starting, a replica, a node that no longer has the keys, or a changed password: a new connection may
        // reach another server.
        if matches!(
            error.code(),
            "LOADING" | "MASTERDOWN" | "MOVED" | "NOAUTH" | "READONLY"
        ) {
            self.link.lose(self.line.number, Loss::Fault);
        }
        Err(refusal(error))
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.is_waiting {
            return;
        }
        let since = *self.line.silence().get_or_insert_with(Instant::now);
        if since.elapsed() >= MAX_SILENCE {
            self.link.lose(self.line.number, Loss::Fault);
        }
    }
}

impl Line {
    fn silence(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The connection; waits for the first one.
    async fn line(self: &Arc<Inner>) -> Result<Line, StoreFault> {
        let is_first = self.state.send_if_modified(|state| {
            let is_idle = matches!(state, State::Idle);
            if is_idle {
                *state = State::Connecting;
            }
            is_idle
        });
        if is_first {
            self.connect_in_background(Duration::ZERO);
        }
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| matches!(state, State::Up(_) | State::Down(_)));
        match settled.await.as_deref() {
            Ok(State::Up(line)) => Ok(line.clone()),
            Ok(State::Down(fault)) => Err(fault.clone()),
            _ => Err(StoreFault::new(
                StoreFaultKind::Unreachable,
                "it is shutting down",
            )),
        }
    }

    /// Connects, with as many attempts as needed; stops if the store was dropped.
    fn connect_in_background(self: &Arc<Inner>, mut pause: Duration) {
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
            let connected = timeout(self.connect_timeout, self.connect_to(&place)).await;
            match connected {
                Ok(Ok(line)) => return Ok(line),
                Ok(Err(ConnectError::Fault(fault))) => return Err(fault),
                Ok(Err(ConnectError::Moved(moved_to))) => place = moved_to,
                Err(_) => {
                    return Err(StoreFault::new(
                        StoreFaultKind::Unreachable,
                        format!("no connection within {:?}", self.connect_timeout),
                    ));
                }
            }
        }
        Err(StoreFault::new(
            StoreFaultKind::Busy,
            "the nodes of its Cluster disagree about the location of its keys",
        ))
    }

    /// The server's address: the configured one, or the reply of the first sentinel that gives one.
    async fn primary(&self) -> Result<Place, StoreFault> {
        let mut fault = StoreFault::new(StoreFaultKind::Unreachable, "it has no address");
        for place in &self.address.places {
            let Some(name) = &self.address.name else {
                return Ok(place.clone());
            };
            match timeout(self.connect_timeout, self.query_sentinel(place, name)).await {
                Ok(Ok(primary)) => return Ok(primary),
                Ok(Err(why)) => fault = why,
                Err(_) => {
                    fault =
                        StoreFault::new(StoreFaultKind::Unreachable, "its sentinels do not respond")
                }
            }
        }
        Err(fault)
    }

    /// Sentinels are asked without user and password.
    async fn query_sentinel(&self, sentinel: &Place, name: &str) -> Result<Place, StoreFault> {
        let login = RedisConnectionInfo::default().set_skip_set_lib_name();
        let (mut connection, driver) = self.open(sentinel, &login).await?;
        let _driver = Driver(tokio::spawn(driver).abort_handle());
        let mut command = redis::cmd("SENTINEL");
        command.arg("get-master-addr-by-name").arg(name);
        let reply = connection.send_packed_command(&command).await;
        let reply = reply.map_err(|error| broken(&error))?;
        if let Value::ServerError(error) = &reply {
            return Err(refusal(error));
        }
        let unknown = "its sentinels know no primary of that name: check the store's URL";
        let (host, port) = redis::from_redis_value::<(String, u16)>(reply)
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
        // The caller has a deadline.
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_concurrency_limit(MAX_PENDING);
        MultiplexedConnection::new_with_config(login, stream, config)
            .await
            .map_err(|error| login_fault(&error))
    }

    async fn connect_to(self: &Arc<Inner>, place: &Place) -> Result<Line, ConnectError> {
        let login = self.address.login().map_err(|error| {
            ConnectError::Fault(StoreFault::new(StoreFaultKind::Refused, error.to_string()))
        })?;
        let opened = self.open(place, &login).await;
        let (mut connection, driver) = opened.map_err(ConnectError::Fault)?;
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
            Ok(Value::ServerError(error)) => Err(match moved_to(&error, place) {
                Some(place) => ConnectError::Moved(place),
                None => ConnectError::Fault(refusal(&error)),
            }),
            Ok(_) => Ok(Line {
                connection,
                number,
                since: Instant::now(),
                silence: Arc::default(),
                _driver: driver,
            }),
            Err(error) => Err(ConnectError::Fault(broken(&error))),
        }
    }

    /// Drops a connection if it is the current one.
    fn lose(self: &Arc<Inner>, number: u64, loss: Loss) {
        let mut pause = None;
        self.state.send_if_modified(|state| {
            let State::Up(line) = state else {
                return false;
            };
            if line.number != number {
                return false;
            }
            let has_lasted = line.since.elapsed() >= MIN_LIFE;
            if has_lasted {
                self.failures.store(0, Ordering::Relaxed);
            }
            *state = match loss {
                // Servers close idle connections: the next caller connects again.
                Loss::End if has_lasted => State::Idle,
                Loss::End | Loss::Fault => {
                    pause = Some(if has_lasted {
                        Duration::ZERO
                    } else {
                        self.next_pause()
                    });
                    State::Down(StoreFault::new(
                        StoreFaultKind::Unreachable,
                        "the connection was lost; reconnecting",
                    ))
                }
            };
            true
        });
        if let Some(pause) = pause {
            self.connect_in_background(pause);
        }
    }

    /// Doubles after each failure, with jitter, so that clients do not storm a server that comes back.
    fn next_pause(&self) -> Duration {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed);
        let longest = FIRST_PAUSE * (1 << failures.min(7));
        let random = getrandom::u32().unwrap_or_default();
        let part = 0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX);
        longest.min(LONGEST_PAUSE).mul_f64(part)
    }
}

/// The way in which a connection was lost.
enum Loss {
    /// It closed.
    End,
    /// It is no longer usable.
    Fault,
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The node that has the keys, from `MOVED slot host:port`; an empty host means the same one.
pub(super) fn moved_to(error: &ServerError, here: &Place) -> Option<Place> {
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
        let why = "its reply is not in Redis's protocol: check the address";
        return StoreFault::new(StoreFaultKind::Foreign, why);
    }
    StoreFault::new(StoreFaultKind::Unreachable, "the connection broke")
}

fn login_fault(error: &RedisError) -> StoreFault {
    match error.kind() {
        ErrorKind::AuthenticationFailed => StoreFault::new(
            StoreFaultKind::Refused,
            "user and password were refused: check the store's URL",
        ),
        ErrorKind::Server(_) | ErrorKind::Extension => StoreFault::new(
            StoreFaultKind::Refused,
            "the database was refused: check the number in the store's URL, and whether the URL lacks a password",
        ),
        _ => broken(error),
    }
}

/// The fault for an error reply. The server's own words stay out of the log.
pub(super) fn refusal(error: &ServerError) -> StoreFault {
    let code = error.code();
    let (kind, why) = match code {
        "LOADING" => (StoreFaultKind::Busy, "it is starting"),
        "BUSY" | "TRYAGAIN" | "ASK" | "MOVED" | "CLUSTERDOWN" | "MASTERDOWN" => (
            StoreFaultKind::Busy,
            "it is busy, or its Cluster is being reconfigured",
        ),
        "OOM" => (
            StoreFaultKind::Full,
            "it is out of memory: raise maxmemory, or set an eviction policy",
        ),
        "MISCONF" => (
            StoreFaultKind::Full,
            "it refuses writes because it cannot save: check its disk",
        ),
        "NOAUTH" | "WRONGPASS" => (
            StoreFaultKind::Refused,
            "it requires a user and a password: set them in the store's URL",
        ),
        "NOPERM" => (
            StoreFaultKind::Refused,
            "its user lacks a permission: see the store's documentation for the required ones",
        ),
        "READONLY" | "NOREPLICAS" => (
            StoreFaultKind::ReadOnly,
            "it is a replica, or has too few replicas: configure the primary",
        ),
        "WRONGTYPE" => return super::unexpected(),
        _ => (StoreFaultKind::Busy, "it replies with an error"),
    };
    StoreFault::new(kind, why)
}
