//! An engine with many clients: fill, memory of each client, hits, evictions and purges; and the hit rate of its cache.
//!
//! `cargo bench -p credgate-core --bench scale -- clients 100000` prints one line of JSON for that number of clients, and
//! `-- zipf` one for the hit rate. `tests/bench.sh scale` runs both.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark may panic, and prints its result"
)]

mod provider;
mod zipf;

use credgate_core::{Authentication, Engine, EngineOptions, Gate, Outcome, Queue, Request};
use provider::{Provider, TOKEN_LEN};
use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["clients", count, "--bench"] => clients(count.parse().unwrap(), HITS),
        ["clients", count, hits, "--bench"] => {
            clients(count.parse().unwrap(), hits.parse().unwrap());
        }
        ["zipf", "--bench"] => zipf::run(),
        _ => panic!("arguments: clients COUNT [HITS], or zipf"),
    }
}

const HITS: u64 = 1_000_000;
/// The purges of one client each, and those of a gate.
const PURGES: u64 = 100;
/// The largest number of bytes of a cached token, so that only the number of entries bounds the cache.
const ROOM: u64 = 4096;

/// Prints the figures of an engine with this number of clients.
fn clients(count: u64, hits: u64) {
    // The shards of the cache are not equally full.
    let engine = engine(count + count / 10 + 1_000);
    let provider = Provider::start();
    let gate = provider.gate();
    // Connections, keys and buffers of the first exchanges are not memory of a client.
    fill(&engine, &gate, u64::MAX - 1_000..u64::MAX);
    engine.purge_all(None).unwrap();
    wait_for(&engine, 0);
    fill(&engine, &gate, u64::MAX - 100..u64::MAX);

    let memory = resident();
    let (began, cpu) = (Instant::now(), cpu_of_process());
    fill(&engine, &gate, 0..count);
    let fill_seconds = began.elapsed().as_secs_f64();
    let fill_cpu = cpu_of_process() - cpu;
    let memory = resident().saturating_sub(memory);
    let snapshot = engine.metrics().unwrap();

    let one = hit_seconds(&engine, &gate, count, hits, 1);
    let two = hit_seconds(&engine, &gate, count, hits, 2);

    let cpu = cpu_of_process();
    let more = count / 5 + 1_000;
    fill(&engine, &gate, count..count + more);
    let evicting_cpu = cpu_of_process() - cpu;

    let entries = engine.metrics().unwrap().entries;
    let mut one_client = Vec::new();
    for number in 0..PURGES {
        let id = format!("client-{:010}", count + number);
        one_client.push(seconds(|| engine.purge_all(Some(&id)).unwrap()));
    }
    let other = provider.other_gate();
    let mut one_gate: Vec<f64> = (0..PURGES)
        .map(|_| seconds(|| engine.purge(&other, None).unwrap()))
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    let entries_kept = engine.metrics().unwrap().entries;
    assert!(entries_kept <= entries);
    let began = Instant::now();
    let all = seconds(|| engine.purge_all(None).unwrap());
    fill(&engine, &gate, 0..1);
    let miss_after_purge = began.elapsed().as_secs_f64();
    wait_for(&engine, 1);
    let sweep = began.elapsed().as_secs_f64();

    one_client.sort_by(f64::total_cmp);
    one_gate.sort_by(f64::total_cmp);
    let middle = PURGES as usize / 2;
    let us = 1e6;
    let per = |total: f64, calls: u64| total * us / calls as f64;
    println!(
        r#"{{"clients":{count},"token_bytes":{TOKEN_LEN},"resident_bytes_per_client":{},"accounted_bytes_per_client":{},"fill_us":{:.2},"fill_cpu_us":{:.2},"evicting_fill_cpu_us":{:.2},"hit_cpu_ns":{:.1},"hit_cpu_ns_two_threads":{:.1},"purge_client_us":{:.2},"purge_client_longest_us":{:.2},"purge_gate_us":{:.2},"purge_all_us":{:.2},"miss_after_purge_ms":{:.2},"sweep_ms":{:.1}}}"#,
        memory / count,
        snapshot.bytes / snapshot.entries.max(1),
        per(fill_seconds, count),
        per(fill_cpu, count),
        per(evicting_cpu, more),
        one * 1e9,
        two * 1e9,
        one_client[middle] * us,
        one_client[one_client.len() - 1] * us,
        one_gate[middle] * us,
        all * us,
        miss_after_purge * 1e3,
        sweep * 1e3,
    );
}

/// An engine whose cache holds this number of tokens.
fn engine(tokens: u64) -> Engine {
    let mut options = EngineOptions::default();
    options.cache_max_entries = tokens;
    options.cache_max_bytes = tokens * ROOM;
    options.metrics_clients = 100;
    Engine::new(options).unwrap()
}

/// The CPU time of a hit, in random order: each thread looks a client up and copies its header, as a host does.
fn hit_seconds(engine: &Engine, gate: &Gate, clients: u64, hits: u64, threads: u64) -> f64 {
    let times: Vec<f64> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(thread);
                    let mut query = Query::new();
                    let mut header = [0; 1024];
                    let began = cpu_of_thread();
                    for _ in 0..hits {
                        let request = query.of(random.u64(0..clients));
                        let outcome = engine.authenticate_at_once(gate, &request).unwrap();
                        let Some(Outcome::Allow(allow)) = outcome else {
                            panic!("{outcome:?}")
                        };
                        let value = allow.authorization().unwrap();
                        header[..value.len()].copy_from_slice(value.as_bytes());
                        black_box(&header);
                    }
                    let cpu = cpu_of_thread() - began;
                    let began = cpu_of_thread();
                    for _ in 0..hits {
                        black_box(query.of(random.u64(0..clients)));
                    }
                    (cpu - (cpu_of_thread() - began)) / hits as f64
                })
            })
            .collect();
        running.into_iter().map(|run| run.join().unwrap()).collect()
    });
    times.iter().sum::<f64>() / threads as f64
}

/// Has the tokens of these clients exchanged.
fn fill(engine: &Engine, gate: &Gate, clients: std::ops::Range<u64>) {
    let queue = Queue::new(engine).unwrap();
    let (mut next, mut waiting) = (clients.start, 0);
    let mut query = Query::new();
    while next < clients.end || waiting > 0 {
        while next < clients.end && waiting < 256 {
            let request = query.of(next);
            match queue.authenticate(gate, &request, 0).unwrap() {
                Authentication::Pending(_) => waiting += 1,
                Authentication::Ready(outcome) => assert_allowed(&outcome),
            }
            next += 1;
        }
        while let Some(completion) = queue.wait(Duration::from_millis(100)).unwrap() {
            assert_allowed(&completion.outcome);
            waiting -= 1;
            if waiting < 128 && next < clients.end {
                break;
            }
        }
    }
}

fn assert_allowed(outcome: &Outcome) {
    assert!(matches!(outcome, Outcome::Allow(_)), "{outcome:?}");
}

/// The credentials of a client, written into one buffer.
struct Query(Vec<u8>);

impl Query {
    fn new() -> Query {
        let secret = "s".repeat(64);
        Query(format!("client_id=client-0000000000&client_secret={secret}").into_bytes())
    }

    fn of(&mut self, client: u64) -> Request<'_> {
        let mut rest = client;
        for digit in self.0[17..27].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        Request {
            query: Some(&self.0),
            ..Request::default()
        }
    }
}

/// Waits until the I/O thread has dropped the purged tokens.
fn wait_for(engine: &Engine, entries: u64) {
    while engine.metrics().unwrap().entries > entries {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn seconds(run: impl FnOnce()) -> f64 {
    let began = Instant::now();
    run();
    began.elapsed().as_secs_f64()
}

/// Of this process, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib * 1024
}

/// In seconds.
fn cpu_of_process() -> f64 {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    // The provider's threads are those without the prefix.
    tasks
        .filter_map(|task| {
            let task = task.ok()?.path();
            let name = fs::read_to_string(task.join("comm")).ok()?;
            if name.trim() == provider::THREAD {
                return None;
            }
            cpu(&fs::read_to_string(task.join("schedstat")).ok()?)
        })
        .sum()
}

fn cpu_of_thread() -> f64 {
    cpu(&fs::read_to_string("/proc/thread-self/schedstat").unwrap()).unwrap()
}

/// The first field: nanoseconds on a processor.
fn cpu(schedstat: &str) -> Option<f64> {
    let nanoseconds: f64 = schedstat.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds / 1e9)
}
