//! The cost of each step of a hit by Basic, beside the least that such a step can cost.
//!
//! `cargo bench -p credgate-core --features bench --bench hit`; `tests/bench.sh core` prints the table.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark may panic")]

mod provider;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use credgate_core::bench::BenchHit;
use credgate_core::{Authentication, Engine, EngineOptions, Gate, Outcome, Queue, Request};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use siphasher::sip128::SipHasher24;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Id and secret as long as those of Auth0.
const PAIR: &str = "x7Qm2LbTz9RkW4vPc8NdYs3HgFj6AeUo:\
                    kkkkkkkkkkkkkkkkkkkkkkkkQ9Q9Q9Q9Q9Q9Q9Q9Q9Q9Q9Q9Q9Q9Q9Q9Q9Q9Q9Q9Q9";

fn main() {
    let authorization = format!("Basic {}", STANDARD.encode(PAIR));
    let request = Request {
        authorization: Some(authorization.as_bytes()),
        ..Request::default()
    };
    let engine = Engine::new(EngineOptions::default()).unwrap();
    let gate = gate();
    fill(&engine, &gate, &request);
    let mut criterion = Criterion::default()
        .measurement_time(Duration::from_secs(2))
        .warm_up_time(Duration::from_millis(500))
        .configure_from_args();
    steps(&mut criterion, &engine, &gate, request);
    criterion.final_summary();
}

/// A gate that requires an audience and a scope.
fn gate() -> Gate {
    let claims = r#"{"aud":"orders","scope":"orders:read orders:write","exp":4000000000}"#;
    let encode = |part: &str| URL_SAFE_NO_PAD.encode(part);
    let token = format!("{}.{}.c2ln", encode(r#"{"alg":"RS256"}"#), encode(claims));
    let port = provider::start(token.leak());
    let issuer = format!("http://127.0.0.1:{port}");
    let json = format!(
        r#"{{"issuer":"{issuer}","allow_loopback_http":true,"verify_signature":false,
            "issuers_allowed":[],"audience_required":["orders"],"scopes_required":["orders:read"]}}"#
    );
    Gate::from_json(&json).unwrap()
}

/// Exchanges the credentials of the request.
fn fill(engine: &Engine, gate: &Gate, request: &Request<'_>) {
    let queue = Queue::new(engine).unwrap();
    let started = queue.authenticate(gate, request, 0).unwrap();
    assert!(matches!(started, Authentication::Pending(_)));
    let completion = queue.wait(Duration::from_secs(10)).unwrap().unwrap();
    let outcome = completion.outcome;
    assert!(matches!(outcome, Outcome::Allow(_)), "{outcome:?}");
}

/// One group for each step, with its floor first.
fn steps(criterion: &mut Criterion, engine: &Engine, gate: &Gate, request: Request<'_>) {
    let hit = BenchHit::new(engine, gate, request);
    let value = request.authorization.unwrap();
    let text = &value[b"Basic ".len()..];
    assert_eq!(text.len(), hit.key_len());

    let mut group = criterion.benchmark_group("clock");
    let zero = AtomicU64::new(0);
    measure(&mut group, "floor", || zero.load(Ordering::Relaxed));
    measure(&mut group, "step", || hit.clock());
    group.finish();

    let mut group = criterion.benchmark_group("extract");
    let scheme = u64::from_le_bytes(*b"Basic \0\0");
    measure(&mut group, "floor", || {
        let first = black_box(value).first_chunk().unwrap();
        u64::from_le_bytes(*first) & 0xffff_ffff_ffff == scheme
    });
    measure(&mut group, "step", || hit.extract());
    group.finish();

    let mut group = criterion.benchmark_group("decode");
    let (table, mut room) = (digits(), [0; 256]);
    measure(&mut group, "floor", || {
        decode(black_box(text), &table, &mut room)
    });
    measure(&mut group, "step", || hit.decode());
    group.finish();

    let mut group = criterion.benchmark_group("key");
    let mac = SipHasher24::new_with_key(&[7; 16]);
    measure(&mut group, "floor", || mac.hash(black_box(text)));
    measure(&mut group, "step", || hit.key());
    group.finish();

    let mut group = criterion.benchmark_group("look");
    let line = Arc::new(AtomicU64::new(0));
    measure(&mut group, "floor", || {
        black_box(&line).load(Ordering::Acquire)
    });
    measure(&mut group, "step", || hit.look());
    group.finish();

    let mut group = criterion.benchmark_group("judge");
    let (now, end) = (Duration::from_secs(1), Duration::from_secs(2));
    measure(&mut group, "floor", || black_box(now) < black_box(end));
    measure(&mut group, "step", || hit.judge());
    group.finish();

    let mut group = criterion.benchmark_group("outcome");
    measure(&mut group, "floor", || {
        // Two handles and a counter.
        line.fetch_add(1, Ordering::Relaxed);
        black_box((Arc::clone(&line), Arc::clone(&line)))
    });
    measure(&mut group, "step", || hit.outcome());
    group.finish();

    let mut group = criterion.benchmark_group("hit");
    measure(&mut group, "floor", || mac.hash(black_box(text)));
    measure(&mut group, "step", || {
        engine.authenticate_at_once(gate, &request).unwrap()
    });
    group.finish();
}

fn measure<R>(group: &mut BenchmarkGroup<'_, WallTime>, case: &str, mut call: impl FnMut() -> R) {
    group.bench_function(case, |bencher| bencher.iter(&mut call));
}

/// The values of the digits of base64, zero for padding, and 255 for all other bytes.
fn digits() -> [u8; 256] {
    let alphabet = (b'A'..=b'Z')
        .chain(b'a'..=b'z')
        .chain(b'0'..=b'9')
        .chain(*b"+/");
    let mut table = [255; 256];
    for (value, digit) in (0..).zip(alphabet) {
        table[usize::from(digit)] = value;
    }
    table[usize::from(b'=')] = 0;
    table
}

/// Decodes base64 in the plainest way, with a zero byte for each padding, or fails.
fn decode(text: &[u8], table: &[u8; 256], room: &mut [u8; 256]) -> Option<usize> {
    let (mut bits, mut invalid, mut end) = (0u32, 0, 0);
    for (quad, room) in text.chunks_exact(4).zip(room.chunks_exact_mut(3)) {
        for &digit in quad {
            let value = table[usize::from(digit)];
            invalid |= value & 192;
            bits = bits << 6 | u32::from(value);
        }
        room.copy_from_slice(&bits.to_be_bytes()[1..]);
        end += 3;
    }
    (invalid == 0).then_some(end)
}
