//! The cost of a read from each shared store, compared with the bare database query.
//!
//! `cargo bench -p credgate-core --features bench` needs `redis-server`. `tests/bench.sh core` prints the table.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark may panic")]

use credgate_core::EngineOptions;
use credgate_core::bench::{BenchStore, id};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use rusqlite::{Connection, params};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};

/// The length of a value in bytes, typical of a sealed token.
const LENGTH: usize = 1024;
/// The number of values in the store.
const VALUES: usize = 10_000;
/// The number of concurrent calls in throughput benchmarks.
const CONCURRENT: usize = 64;

criterion_group! {
    name = stores;
    config = Criterion::default()
        .measurement_time(Duration::from_secs(4))
        .warm_up_time(Duration::from_secs(1));
    targets = sqlite, redis
}
criterion_main!(stores);

/// A directory on a tmpfs, removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        let path = PathBuf::from(format!("/dev/shm/credgate-bench-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn open(runtime: &Runtime, options: &str) -> BenchStore {
    let store = BenchStore::open(&EngineOptions::from_json(options).unwrap()).unwrap();
    runtime.block_on(async {
        for number in 0..VALUES {
            store.put(number, vec![7; LENGTH]).await;
        }
    });
    store
}

fn any() -> usize {
    fastrand::usize(..VALUES)
}

fn sqlite(criterion: &mut Criterion) {
    let (runtime, scratch) = (runtime(), Scratch::new());
    let file = scratch.0.join("tokens.db");
    let options = format!(
        r#"{{"store": "sqlite:{}", "store_max_bytes": 1073741824, "store_timeout": 60000}}"#,
        file.display()
    );
    let store = open(&runtime, &options);
    let connection = Connection::open(&file).unwrap();
    let mut read = connection
        .prepare("SELECT value FROM entry WHERE id = ?1 AND expires > ?2")
        .unwrap();

    let mut group = criterion.benchmark_group("sqlite");
    group.bench_function("prepared_read", |bencher| {
        bencher.iter(|| {
            let value: Vec<u8> = read
                .query_row(params![id(any()), 1], |row| row.get(0))
                .unwrap();
            assert_eq!(value.len(), LENGTH);
        });
    });
    group.bench_function("look", |bencher| {
        bencher.to_async(&runtime).iter(|| store.look(any()));
    });
    group.finish();
    concurrent(criterion, &runtime, "sqlite", &store);
}

fn redis(criterion: &mut Criterion) {
    let (runtime, scratch) = (runtime(), Scratch::new());
    let socket = scratch.0.join("redis.sock");
    let mut server = start_redis(&scratch.0, &socket);
    let pepper = scratch.0.join("pepper");
    std::fs::write(&pepper, [7; 32]).unwrap();
    let options = format!(
        r#"{{"store": "redis+unix://{}", "store_pepper_file": "{}"}}"#,
        socket.display(),
        pepper.display()
    );
    let store = open(&runtime, &options);
    let login = redis::RedisConnectionInfo::default();
    let (connection, driver) = runtime.block_on(async {
        let stream = UnixStream::connect(&socket).await.unwrap();
        let config = AsyncConnectionConfig::new();
        let connected = MultiplexedConnection::new_with_config(&login, stream, config).await;
        connected.unwrap()
    });
    let driver = runtime.spawn(driver);

    let mut group = criterion.benchmark_group("redis");
    group.bench_function("get", |bencher| {
        bencher.to_async(&runtime).iter(|| {
            let mut connection = connection.clone();
            async move {
                let mut key = b"{credgate:}v".to_vec();
                key.extend_from_slice(&id(any()));
                let value: Vec<u8> = redis::cmd("GET")
                    .arg(key)
                    .query_async(&mut connection)
                    .await
                    .unwrap();
                assert_eq!(value.len(), LENGTH);
            }
        });
    });
    group.bench_function("look", |bencher| {
        bencher.to_async(&runtime).iter(|| store.look(any()));
    });
    group.finish();
    concurrent(criterion, &runtime, "redis", &store);
    driver.abort();
    server.kill().unwrap();
    server.wait().unwrap();
}

/// Benchmarks concurrent reads and writes.
fn concurrent(criterion: &mut Criterion, runtime: &Runtime, name: &str, store: &BenchStore) {
    let mut group = criterion.benchmark_group(format!("{name}_concurrent"));
    group.throughput(Throughput::Elements(CONCURRENT as u64));
    group.bench_function(BenchmarkId::from_parameter("look"), |bencher| {
        bencher.to_async(runtime).iter(|| async {
            at_once(|| {
                let store = store.clone();
                async move { assert_eq!(store.look(any()).await.len(), LENGTH) }
            })
            .await;
        });
    });
    group.bench_function(BenchmarkId::from_parameter("put"), |bencher| {
        bencher.to_async(runtime).iter(|| async {
            at_once(|| {
                let store = store.clone();
                async move { store.put(any(), vec![8; LENGTH]).await }
            })
            .await;
        });
    });
    group.finish();
}

async fn at_once<F>(call: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let calls: Vec<_> = (0..CONCURRENT).map(|_| tokio::spawn(call())).collect();
    for call in calls {
        call.await.unwrap();
    }
}

fn start_redis(directory: &Path, socket: &Path) -> Child {
    let server = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--unixsocket", "redis.sock"])
        .current_dir(directory)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed");
    while std::os::unix::net::UnixStream::connect(socket).is_err() {
        std::thread::sleep(Duration::from_millis(10));
    }
    server
}
