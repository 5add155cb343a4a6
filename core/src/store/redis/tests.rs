//! Tests with a real server, on its own Unix socket.

use super::*;
use crate::store::tests::conformance::{TempDir, check_contract, index};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

/// A `redis-server` in a temporary directory, stopped and removed when dropped.
pub(super) struct Server {
    scratch: TempDir,
    process: Child,
}

impl Server {
    pub(super) async fn start() -> Server {
        let scratch = TempDir::new();
        let process = Server::run(&scratch);
        let server = Server { scratch, process };
        server.is_ready().await;
        server
    }

    fn run(scratch: &TempDir) -> Child {
        Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket", "redis.sock"])
            .current_dir(scratch.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed")
    }

    async fn is_ready(&self) {
        let socket = self.socket();
        until("the server", async || UnixStream::connect(&socket).is_ok()).await;
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.scratch.path().join("redis.sock")
    }

    pub(super) fn store(&self) -> RedisStore {
        let url = format!("redis+unix://{}", self.socket().display());
        let json = format!(r#"{{"store":"{url}","store_pepper_file":"/unused"}}"#);
        let options = crate::EngineOptions::from_json(&json).unwrap();
        let config = StoreConfig::compile(&options).unwrap().unwrap();
        RedisStore::new(&Address::parse(&url).unwrap(), &config).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id() as i32), signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Polls until the condition is true.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "waited for {what}"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// Reduces the remaining life of every key.
const PASS: &str = "for _, key in ipairs(redis.call('KEYS', '*')) do \
    local left = redis.call('PTTL', key) - ARGV[1] \
    if left <= 0 then redis.call('DEL', key) else redis.call('PEXPIRE', key, left) end end return 0";

#[tokio::test]
async fn redis_keeps_the_contract() {
    let server = Server::start().await;
    let (one, other) = (server.store(), server.store());
    let pass = async |time: Duration| {
        let mut command = script(PASS, &[]);
        one.call::<i64>(command.arg(milliseconds(time)))
            .await
            .unwrap();
    };
    check_contract(&one, &other, pass).await;
}

#[tokio::test]
async fn purges_expire_after_any_token() {
    let server = Server::start().await;
    let store = server.store();
    let now = Duration::from_millis(1_795_000_000_123);
    store.purge(TargetId([1; 32]), now).await.unwrap();
    let later = now + PURGE_LIFE + MINUTE;
    store.purge(TargetId([2; 32]), later).await.unwrap();
    assert_eq!(store.purges(0).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_invalid_purge_number_does_not_stop_purges() {
    let server = Server::start().await;
    let store = server.store();
    let mut command = cmd("SET");
    command.arg(store.key(b'n', &[])).arg("1e300");
    store.call::<()>(&command).await.unwrap();
    let mut command = cmd("ZADD");
    command
        .arg(store.key(b'p', &[]))
        .arg("1e300")
        .arg(vec![9_u8; 32]);
    store.call::<i64>(&command).await.unwrap();
    assert_eq!(
        store.look(index(1)).await.unwrap_err().kind,
        StoreFaultKind::Foreign
    );
    let now = Duration::from_millis(1_795_000_000_123);
    let number = store.purge(TargetId([1; 32]), now).await.unwrap();
    assert_eq!(Duration::from_millis(number), now);
    let target = TargetId([1; 32]);
    assert_eq!(store.purges(0).await, Ok(vec![Purge { target, number }]));
    assert_eq!(store.look(index(1)).await.unwrap().purges, number);
}

#[tokio::test]
async fn foreign_data_is_not_a_value() {
    let server = Server::start().await;
    let store = server.store();
    let key = store.key(b'v', &[&index(7).0]);
    let put = |command: &'static str| {
        let mut command = cmd(command);
        command.arg(&key);
        command
    };
    store.call::<i64>(put("LPUSH").arg("x")).await.unwrap();
    assert_eq!(
        store.look(index(7)).await.unwrap_err().kind,
        StoreFaultKind::Foreign
    );
    store.call::<i64>(&put("DEL")).await.unwrap();
    store
        .call::<()>(put("SET").arg(vec![0_u8; MAX_VALUE]))
        .await
        .unwrap();
    assert_eq!(
        store.look(index(7)).await.unwrap().value.unwrap().len(),
        MAX_VALUE
    );
    store
        .call::<()>(put("SET").arg(vec![0_u8; 1 << 20]))
        .await
        .unwrap();
    assert_eq!(store.look(index(7)).await.unwrap().value, None, "too long");
}

#[tokio::test]
async fn a_killed_server_fails_at_once_and_is_reconnected() {
    let mut server = Server::start().await;
    let store = server.store();
    store.look(index(7)).await.unwrap();
    server.process.kill().unwrap();
    server.process.wait().unwrap();
    let kind = |reply: Result<Lookup, StoreFault>| reply.map_err(|fault| fault.kind);
    assert_eq!(
        kind(store.look(index(7)).await),
        Err(StoreFaultKind::Unreachable)
    );
    assert_eq!(
        kind(store.look(index(7)).await),
        Err(StoreFaultKind::Unreachable)
    );
    server.process = Server::run(&server.scratch);
    server.is_ready().await;
    until("the server", async || store.look(index(7)).await.is_ok()).await;
}

#[tokio::test]
async fn a_hanging_server_is_dropped_and_reconnected() {
    let server = Server::start().await;
    let store = server.store();
    store.look(index(7)).await.unwrap();
    server.signal(Signal::SIGSTOP);
    // Callers time out; then the link gives up and fails the next call at once.
    until("the link to give up", async || {
        let looked = tokio::time::timeout(store.timeout(), store.look(index(7))).await;
        looked.is_ok_and(|looked| looked.unwrap_err().kind == StoreFaultKind::Unreachable)
    })
    .await;
    server.signal(Signal::SIGCONT);
    until("the server", async || store.look(index(7)).await.is_ok()).await;
}

#[tokio::test]
async fn cancelled_commands_do_not_shift_other_replies() {
    let server = Server::start().await;
    let store = server.store();
    for byte in 0..100 {
        let value = vec![byte; 100];
        store.put(index(byte), value, MINUTE).await.unwrap();
    }
    for byte in 0..100 {
        let abandoned = Duration::from_micros(u64::from(byte) * 3);
        let _ = tokio::time::timeout(abandoned, store.look(index(byte))).await;
        let next = (byte + 1) % 100;
        let found = store.look(index(next)).await.unwrap();
        assert_eq!(found.value, Some(vec![next; 100]));
    }
}

#[tokio::test]
async fn a_thousand_concurrent_commands_all_get_replies() {
    let server = Server::start().await;
    let store = Arc::new(server.store());
    let asked: Vec<_> = (0..1000)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.look(index(7)).await })
        })
        .collect();
    for one in asked {
        assert_eq!(one.await.unwrap(), Ok(Lookup::default()));
    }
}
