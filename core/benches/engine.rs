//! The cost of calls into an engine whose cache is full, and of `clients_allowed`.
//!
//! `cargo bench -p credgate-core --bench engine`
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark may panic")]

mod provider;

use credgate_core::{Authentication, Engine, EngineOptions, Gate, Outcome, Queue, Request};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::time::Duration;

criterion_group! {
    name = engine;
    config = Criterion::default()
        .measurement_time(Duration::from_secs(4))
        .warm_up_time(Duration::from_secs(1));
    targets = allowed, purge
}
criterion_main!(engine);

/// Requests of allowed clients whose tokens are not cached, which begin nothing.
fn allowed(criterion: &mut Criterion) {
    let engine = Engine::new(EngineOptions::default()).unwrap();
    let mut group = criterion.benchmark_group("clients_allowed");
    for count in [0, 1, 1_000, 10_000] {
        let others = (1..count).map(|number| format!("\"client-{number:010}\","));
        let allowed = match count {
            0 => "null".to_owned(),
            _ => format!("[{}\"client-0123456789\"]", others.collect::<String>()),
        };
        let json = format!(r#"{{"issuer":"https://a.example","clients_allowed":{allowed}}}"#);
        let gate = Gate::from_json(&json).unwrap();
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            let query = query("client-0123456789");
            let request = request(&query);
            bencher.iter(|| {
                let known = engine.authenticate_at_once(&gate, &request).unwrap();
                assert!(known.is_none());
            });
        });
    }
    group.finish();
}

/// Purges of one client after another, in caches of these numbers of tokens.
fn purge(criterion: &mut Criterion) {
    let port = provider::start("an-opaque-token");
    let mut group = criterion.benchmark_group("purge");
    for tokens in [100, 100_000] {
        let mut options = EngineOptions::default();
        options.cache_max_bytes = 1 << 30;
        options.cache_max_entries = 200_000;
        let engine = Engine::new(options).unwrap();
        fill(&engine, port, tokens);
        let mut ids = (0..100).map(|number| format!("client-{number}")).cycle();
        group.bench_function(BenchmarkId::from_parameter(tokens), |bencher| {
            bencher.iter_batched(
                || ids.next().unwrap(),
                |id| engine.purge_all(Some(&id)).unwrap(),
                criterion::BatchSize::SmallInput,
            );
        });
        // The I/O thread has dropped the purged tokens, and no others.
        while engine.metrics().unwrap().entries > tokens - 100 {
            std::thread::yield_now();
        }
        assert_eq!(engine.metrics().unwrap().entries, tokens - 100);
    }
    group.finish();
}

/// Fills the cache with the tokens of as many clients.
fn fill(engine: &Engine, port: u16, tokens: u64) {
    let provider = format!("http://127.0.0.1:{port}");
    let json = format!(r#"{{"issuer":"{provider}","allow_loopback_http":true}}"#);
    let gate = Gate::from_json(&json).unwrap();
    let queue = Queue::new(engine).unwrap();
    let (mut asked, mut served) = (0, 0);
    while served < tokens {
        while asked < tokens && asked - served < 1_000 {
            let query = query(&format!("client-{asked}"));
            let started = queue.authenticate(&gate, &request(&query), 0).unwrap();
            assert!(matches!(started, Authentication::Pending(_)));
            asked += 1;
        }
        while let Some(completion) = queue.wait(Duration::from_millis(100)).unwrap() {
            let outcome = completion.outcome;
            assert!(matches!(outcome, Outcome::Allow(_)), "{outcome:?}");
            served += 1;
        }
    }
}

fn query(client_id: &str) -> String {
    format!("client_id={client_id}&client_secret=s3cret")
}

fn request(query: &str) -> Request<'_> {
    Request {
        query: Some(query.as_bytes()),
        ..Request::default()
    }
}
