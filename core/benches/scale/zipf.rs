//! The hit rate of the cache at half capacity beside that of an ideal LRU, on the same requests.

use crate::provider::Provider;
use crate::{Query, engine};
use credgate_core::{Engine, Gate, Outcome};
use std::collections::{BTreeMap, HashMap};

/// The clients, twice as many as the cache holds.
const CLIENTS: u64 = 10_000;
/// The requests before the measurement, and those of it.
const REQUESTS: usize = 200_000;

pub(crate) fn run() {
    let provider = Provider::start();
    let gate = provider.gate();
    let mut figures = Vec::new();
    for (name, requests) in [
        ("zipf_0.8", zipf(0.8)),
        ("zipf_1.0", zipf(1.0)),
        ("zipf_1.2", zipf(1.2)),
        ("zipf_1.0_one_timers", with_one_timers(zipf(1.0))),
        ("zipf_1.0_shift", shifted(zipf(1.0))),
        ("round_robin", round_robin()),
    ] {
        let cache = of_engine(&engine(CLIENTS / 2), &gate, &requests);
        let lru = of_lru(&requests);
        figures.push(format!(
            r#""{name}":{{"hit_rate":{cache:.4},"hit_rate_of_lru":{lru:.4}}}"#
        ));
    }
    println!("{{{}}}", figures.join(","));
}

/// Clients by a Zipf law: the client of rank `n` comes with a probability proportional to `1 / n^exponent`.
fn zipf(exponent: f64) -> Vec<u64> {
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=CLIENTS)
        .map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        })
        .collect();
    let mut random = fastrand::Rng::with_seed(7);
    let mut next = || {
        let drawn = random.f64() * sum;
        sums.partition_point(|at| *at < drawn) as u64
    };
    (0..2 * REQUESTS).map(|_| next()).collect()
}

/// One request in ten is of a client that never returns.
fn with_one_timers(mut requests: Vec<u64>) -> Vec<u64> {
    for (number, client) in requests.iter_mut().enumerate() {
        if number % 10 == 0 {
            *client = CLIENTS + number as u64;
        }
    }
    requests
}

/// Other clients are frequent in the measured part than before.
fn shifted(mut requests: Vec<u64>) -> Vec<u64> {
    for client in &mut requests[REQUESTS..] {
        *client = (*client + CLIENTS / 2) % CLIENTS;
    }
    requests
}

fn round_robin() -> Vec<u64> {
    (0..2 * REQUESTS as u64)
        .map(|number| number % CLIENTS)
        .collect()
}

/// The share of hits in the second half.
fn of_engine(engine: &Engine, gate: &Gate, requests: &[u64]) -> f64 {
    let mut query = Query::new();
    share(requests, |client| {
        let request = query.of(client);
        if let Some(known) = engine.authenticate_at_once(gate, &request).unwrap() {
            assert!(matches!(known, Outcome::Allow(_)));
            return true;
        }
        let outcome = engine.authenticate_blocking(gate, &request).unwrap();
        assert!(matches!(outcome, Outcome::Allow(_)), "{outcome:?}");
        false
    })
}

fn of_lru(requests: &[u64]) -> f64 {
    let (mut used, mut by_use) = (HashMap::new(), BTreeMap::new());
    let mut now = 0u64;
    share(requests, |client| {
        now += 1;
        let before = used.insert(client, now);
        if let Some(before) = before {
            by_use.remove(&before);
        }
        by_use.insert(now, client);
        if by_use.len() as u64 > CLIENTS / 2 {
            let (_, oldest) = by_use.pop_first().unwrap();
            used.remove(&oldest);
        }
        before.is_some()
    })
}

fn share(requests: &[u64], mut is_hit: impl FnMut(u64) -> bool) -> f64 {
    let hits: Vec<bool> = requests.iter().map(|client| is_hit(*client)).collect();
    let hits = hits[REQUESTS..].iter().filter(|is_hit| **is_hit).count();
    hits as f64 / REQUESTS as f64
}
