//! The cost of `clients_allowed`: requests of allowed clients whose tokens are not cached, which begin nothing.
//!
//! `cargo bench -p credgate-core --bench clients`
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark may panic")]

use credgate_core::{Engine, EngineOptions, Gate, Request};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::time::Duration;

criterion_group! {
    name = clients;
    config = Criterion::default()
        .measurement_time(Duration::from_secs(4))
        .warm_up_time(Duration::from_secs(1));
    targets = allowed
}
criterion_main!(clients);

fn allowed(criterion: &mut Criterion) {
    let engine = Engine::new(EngineOptions::default()).unwrap();
    let mut group = criterion.benchmark_group("clients_allowed");
    for count in [0, 1, 1_000, 10_000] {
        let gate = gate(count);
        let query = "client_id=client-0123456789&client_secret=s3cret";
        let request = Request {
            query: Some(query.as_bytes()),
            ..Request::default()
        };
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                let known = engine.authenticate_at_once(&gate, &request).unwrap();
                assert!(known.is_none());
            });
        });
    }
    group.finish();
}

/// A gate that allows this many clients, the last of which is the benchmark's; 0: all clients.
fn gate(count: usize) -> Gate {
    let others = (1..count).map(|number| format!("\"client-{number:010}\","));
    let allowed = match count {
        0 => "null".to_owned(),
        _ => format!("[{}\"client-0123456789\"]", others.collect::<String>()),
    };
    let json = format!(r#"{{"issuer":"https://a.example","clients_allowed":{allowed}}}"#);
    Gate::from_json(&json).unwrap()
}
