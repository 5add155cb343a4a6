//! Tests of flights with a scripted store, on a clock that jumps to the next timer.

use super::conformance::{TempDir, owner};
use crate::cache::{Landed, Purpose, Shared};
use crate::cache_status::CacheStatus;
use crate::config::engine::EngineOptions;
use crate::env::Env;
use crate::gate::Gate;
use crate::http::scripted::{ScriptedTransport, reply};
use crate::key::Key;
use crate::provider::Provider;
use crate::provider::context::Exchange;
use crate::provider::exchange::Work;
use crate::provider::health::Parties;
use crate::request::credentials::Credentials;
use crate::store::config::StoreConfig;
use crate::store::*;
use crate::sys::clock::manual::ManualClock;
use crate::sys::secret::Secret;
use std::collections::HashMap;
use std::future::pending;
use std::sync::Mutex;
use tokio::time::Instant;

/// The behaviour of the store.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Works,
    Fails(StoreFaultKind),
    Hangs,
    NoLeases,
    /// Reads work and writes fail.
    IsFull,
    /// Every read returns the same value, for any index.
    MixesUp,
}

#[derive(Default)]
struct State {
    values: HashMap<Index, Vec<u8>>,
    leases: HashMap<Index, (Owner, Instant)>,
}

struct Scripted {
    mode: Mutex<Mode>,
    state: Mutex<State>,
    calls: Mutex<Vec<&'static str>>,
}

impl Scripted {
    fn reply_with<T: Send + 'static>(
        &self,
        call: &'static str,
        result: impl FnOnce(&mut State) -> T,
    ) -> StoreFuture<'_, T> {
        self.calls.lock().unwrap().push(call);
        match *self.mode.lock().unwrap() {
            Mode::Hangs => Box::pin(pending()),
            Mode::Fails(kind) => Box::pin(async move { Err(StoreFault::new(kind, "as scripted")) }),
            Mode::NoLeases if call == "lease" => {
                let busy = StoreFault::new(StoreFaultKind::Busy, "as scripted");
                Box::pin(async move { Err(busy) })
            }
            Mode::IsFull if !["look", "purges"].contains(&call) => {
                let full = StoreFault::new(StoreFaultKind::Full, "as scripted");
                Box::pin(async move { Err(full) })
            }
            Mode::Works | Mode::IsFull | Mode::MixesUp | Mode::NoLeases => {
                let result = result(&mut self.state.lock().unwrap());
                Box::pin(async move { Ok(result) })
            }
        }
    }

    fn calls(&self, which: &str) -> usize {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|call| **call == which).count()
    }
}

impl Store for Scripted {
    fn look(&self, index: Index) -> StoreFuture<'_, Lookup> {
        let mixes_up = *self.mode.lock().unwrap() == Mode::MixesUp;
        self.reply_with("look", |state| {
            let value = if mixes_up {
                state.values.values().next()
            } else {
                state.values.get(&index)
            };
            let lease = state.leases.get(&index);
            Lookup {
                value: value.cloned(),
                is_leased: lease.is_some_and(|(_, until)| *until > Instant::now()),
                purges: 0,
            }
        })
    }

    fn put(&self, index: Index, value: Vec<u8>, _life: Duration) -> StoreFuture<'_, ()> {
        self.reply_with("put", |state| drop(state.values.insert(index, value)))
    }

    fn lease(&self, index: Index, owner: Owner, life: Duration) -> StoreFuture<'_, Lease> {
        self.reply_with("lease", |state| {
            let now = Instant::now();
            let held = state.leases.get(&index);
            if held.is_some_and(|(other, until)| *until > now && *other != owner) {
                return Lease::Held;
            }
            state.leases.insert(index, (owner, now + life));
            Lease::Taken
        })
    }

    fn release(&self, index: Index, owner: Owner) -> StoreFuture<'_, ()> {
        self.reply_with("release", |state| {
            if state.leases.get(&index).is_some_and(|(of, _)| *of == owner) {
                state.leases.remove(&index);
            }
        })
    }

    fn purge(&self, _target: TargetId, _now: Duration) -> StoreFuture<'_, u64> {
        self.reply_with("purge", |_| 1)
    }

    fn purges(&self, _after: u64) -> StoreFuture<'_, Vec<Purge>> {
        self.reply_with("purges", |_| Vec::new())
    }

    fn add(
        &self,
        _group: [u8; 16],
        _process: [u8; 16],
        _round: u64,
        _growth: Tally,
    ) -> StoreFuture<'_, ()> {
        self.reply_with("add", |_| ())
    }

    fn sum(&self, _group: [u8; 16]) -> StoreFuture<'_, Tally> {
        self.reply_with("sum", |_| Tally::default())
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(20)
    }

    fn pauses(&self) -> (Duration, Duration) {
        (Duration::from_millis(10), Duration::from_millis(50))
    }

    fn name(&self) -> String {
        "scripted".to_owned()
    }
}

struct Lab {
    store: Arc<Scripted>,
    shared: Arc<Shared>,
    sharing: Arc<Sharing>,
    clock: Arc<ManualClock>,
    transport: Arc<ScriptedTransport>,
    gate: Gate,
    _scratch: TempDir,
}

const DOCUMENT: &str =
    r#"{"issuer":"https://a.example","token_endpoint":"https://a.example/token"}"#;

impl Lab {
    /// A provider that issues a token; `transport` may hold token requests back or refuse them.
    fn new(mode: Mode, transport: fn(Script) -> ScriptedTransport) -> Lab {
        let scratch = TempDir::new();
        let pepper = scratch.path().join("pepper");
        std::fs::write(&pepper, [7; 32]).unwrap();
        let options = EngineOptions {
            store: Some("sqlite:/nowhere".into()),
            store_pepper_file: Some(pepper.display().to_string()),
            ..EngineOptions::default()
        };
        let transport = Arc::new(transport(|seen| match seen.form {
            None => reply(200, DOCUMENT),
            Some(_) => reply(
                200,
                r#"{"access_token":"t","token_type":"Bearer","expires_in":1000}"#,
            ),
        }));
        let clock = Arc::new(ManualClock::new());
        let env = Arc::new(Env::new(transport.clone(), clock.clone()));
        let shared = Arc::new(Shared::new(&options, env));
        let store = Arc::new(Scripted {
            mode: Mutex::new(mode),
            state: Mutex::default(),
            calls: Mutex::default(),
        });
        let config = StoreConfig::compile(&options).unwrap().unwrap();
        let sharing = Sharing::with_store(&config, store.clone(), &shared);
        Lab {
            store,
            sharing: sharing.unwrap(),
            shared,
            clock,
            transport,
            gate: Gate::from_json(r#"{"issuer":"https://a.example"}"#).unwrap(),
            _scratch: scratch,
        }
    }

    fn switch_to(&self, mode: Mode) {
        *self.store.mode.lock().unwrap() = mode;
    }

    async fn run(&self, client_id: &str) -> Landed {
        let rules = &self.gate.rules;
        let key = Key::for_test(client_id.len() as u64);
        let exchange = Exchange {
            provider: &Provider::for_test(rules.issuer.clone()),
            rules,
            env: &self.shared.env,
            key,
            parties: Parties::for_test(1),
            patience: &|| None,
            traceparent: None,
        };
        let purpose = Purpose {
            rules: Arc::clone(rules),
            key,
            parties: Parties::for_test(1),
            is_refresh: false,
            client_id: client_id.into(),
            start: self.shared.start(),
            traceparent: None,
        };
        let work = Work::Exchange(Credentials {
            client_id: client_id.to_owned(),
            client_secret: Secret::new("s3cret"),
            signer: None,
            args: Vec::new(),
        });
        self.sharing.run(&exchange, &work, &purpose).await
    }

    async fn cache_status(&self, client_id: &str) -> CacheStatus {
        let landed = self.run(client_id).await;
        assert!(landed.result.is_ok());
        landed.cache_status
    }

    fn records(&self) -> Vec<String> {
        std::iter::from_fn(|| self.shared.env.journal.next())
            .map(|record| record.message)
            .collect()
    }

    /// Replaces all values by leases of another owner that last for an hour.
    fn lease_to_another(&self) {
        let mut state = self.store.state.lock().unwrap();
        let indexes: Vec<_> = state.values.drain().map(|(index, _)| index).collect();
        let until = Instant::now() + Duration::from_secs(3600);
        let held = indexes.into_iter().map(|index| (index, (owner(9), until)));
        state.leases.extend(held);
    }
}

type Script = fn(&crate::http::scripted::Seen) -> Result<crate::http::Response, crate::http::Fault>;

fn at_once(script: Script) -> ScriptedTransport {
    ScriptedTransport::new(script)
}

fn holding(script: Script) -> ScriptedTransport {
    ScriptedTransport::holding(script)
}

fn refusing(_: Script) -> ScriptedTransport {
    ScriptedTransport::new(|seen| match seen.form {
        None => reply(200, DOCUMENT),
        Some(_) => reply(401, r#"{"error":"invalid_client"}"#),
    })
}

#[tokio::test(start_paused = true)]
async fn only_the_lease_holder_stores_a_refusal() {
    for (mode, puts) in [(Mode::Works, 1), (Mode::NoLeases, 0)] {
        let lab = Lab::new(mode, refusing);
        assert!(lab.run("a").await.result.is_err());
        assert_eq!(lab.store.calls("put"), puts);
    }
    let lab = Lab::new(Mode::NoLeases, at_once);
    lab.cache_status("a").await;
    assert_eq!(
        lab.store.calls("put"),
        1,
        "a token is stored without a lease too"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stored_token_is_a_shared_hit() {
    let lab = Lab::new(Mode::Works, at_once);
    assert_eq!(lab.cache_status("a").await, CacheStatus::Miss);
    assert_eq!(lab.cache_status("a").await, CacheStatus::Shared);
    assert_eq!(lab.transport.token_requests(), 1);
    assert!(lab.store.state.lock().unwrap().leases.is_empty());
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_lease_leaves_time_for_an_exchange() {
    let lab = Lab::new(Mode::Works, at_once);
    lab.cache_status("a").await;
    lab.lease_to_another();
    let start = Instant::now();
    assert_eq!(lab.cache_status("a").await, CacheStatus::Miss);
    let waited = start.elapsed();
    let deadline = lab.gate.timeout();
    assert!(waited >= deadline * 3 / 4 && waited < deadline);
    // The pause doubles up to 50 ms, with jitter of half of it.
    let looks = lab.store.calls("look");
    assert!((100..1000).contains(&looks), "{looks}");
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_extended_during_the_exchange() {
    let lab = Lab::new(Mode::Works, holding);
    let exchange = async {
        assert_eq!(lab.cache_status("a").await, CacheStatus::Miss);
    };
    let other = async {
        tokio::time::sleep(4 * LEASE_LIFE).await;
        let leases = lab.store.calls("lease");
        assert!(leases > 10, "{leases}");
        let state = |state: &State| {
            let (_, (_, until)) = state.leases.iter().next().unwrap();
            *until > Instant::now()
        };
        assert!(state(&lab.store.state.lock().unwrap()), "still held");
        lab.transport.gate.add_permits(1);
    };
    tokio::join!(exchange, other);
    let leases = lab.store.calls("lease");
    tokio::time::sleep(4 * LEASE_LIFE).await;
    assert_eq!(lab.store.calls("lease"), leases, "not extended afterwards");
}

#[tokio::test(start_paused = true)]
async fn a_hanging_store_costs_only_its_timeout() {
    let lab = Lab::new(Mode::Hangs, at_once);
    let start = Instant::now();
    assert_eq!(lab.cache_status("a").await, CacheStatus::Miss);
    // One read and one write; a failed read skips the lease.
    assert_eq!(start.elapsed(), 2 * lab.store.timeout());
    assert_eq!(lab.shared.env.metrics.snapshot(0, 0, 0).store_failures, 2);
    let records = lab.records();
    assert_eq!(records.len(), 1);
    assert!(records[0].contains("no reply within 20ms"), "{records:?}");
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_fault_is_a_miss_and_logged_once_a_minute() {
    for kind in [
        StoreFaultKind::Busy,
        StoreFaultKind::Corrupt,
        StoreFaultKind::Foreign,
        StoreFaultKind::Full,
        StoreFaultKind::Refused,
        StoreFaultKind::ReadOnly,
        StoreFaultKind::Slow,
        StoreFaultKind::Unreachable,
    ] {
        let lab = Lab::new(Mode::Fails(kind), at_once);
        for _ in 0..2 {
            assert_eq!(lab.cache_status("a").await, CacheStatus::Miss, "{kind:?}");
        }
        assert_eq!(lab.records().len(), 1, "{kind:?}");
        for (milliseconds, lines) in [(59_999, 0), (1, 1)] {
            lab.clock.advance(Duration::from_millis(milliseconds));
            lab.cache_status("a").await;
            assert_eq!(lab.records().len(), lines, "{kind:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_circuit_breaker_opens_for_a_failing_store() {
    let lab = Lab::new(Mode::Fails(StoreFaultKind::Unreachable), at_once);
    for _ in 0..10 {
        assert_eq!(lab.cache_status("a").await, CacheStatus::Miss);
    }
    let calls = || lab.store.calls.lock().unwrap().len();
    assert_eq!(calls(), 5 + 5, "then both circuit breakers are open");
    // The pause is jittered: half a second to one and a half.
    lab.clock.advance(Duration::from_millis(499));
    lab.cache_status("a").await;
    assert_eq!(calls(), 10);
    lab.clock.advance(Duration::from_millis(1001));
    lab.cache_status("a").await;
    assert_eq!(calls(), 10 + 2, "one attempt each");
    lab.switch_to(Mode::Works);
    lab.clock.advance(Duration::from_secs(20));
    lab.cache_status("a").await;
    assert_eq!(lab.cache_status("a").await, CacheStatus::Shared);
    let records = lab.records();
    assert_eq!(records.len(), 2, "{records:?}");
    assert!(records[1].ends_with("works again"), "{records:?}");
}

#[tokio::test(start_paused = true)]
async fn successful_reads_do_not_close_the_write_breaker() {
    let lab = Lab::new(Mode::IsFull, at_once);
    for _ in 0..20 {
        assert_eq!(lab.cache_status("a").await, CacheStatus::Miss);
    }
    assert!(lab.store.calls("look") >= 20);
    let writes = lab.store.calls("lease") + lab.store.calls("put");
    assert_eq!(writes, 5, "then the circuit breaker is open");
    let records = lab.records();
    assert_eq!(records.len(), 1, "{records:?}");
    lab.switch_to(Mode::Works);
    lab.clock.advance(Duration::from_secs(20));
    assert_eq!(lab.cache_status("a").await, CacheStatus::Miss);
    assert_eq!(lab.cache_status("a").await, CacheStatus::Shared);
    assert!(lab.records()[0].ends_with("works again"));
}

#[tokio::test(start_paused = true)]
async fn values_of_another_index_do_not_decrypt() {
    let lab = Lab::new(Mode::Works, at_once);
    lab.cache_status("a").await;
    lab.switch_to(Mode::MixesUp);
    assert_eq!(lab.cache_status("bb").await, CacheStatus::Miss);
    assert_eq!(lab.transport.token_requests(), 2);
}
