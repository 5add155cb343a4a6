//! Engines of several processes that share a store, which is a real SQLite file.

mod faults;
mod purges;

use super::tokens::{Signing, fetches};
use super::*;
use crate::store::tests::conformance::{TempDir, block_on, owner};
use crate::store::{Index, LEASE_LIFE, Lease, Sqlite, Store};
use rusqlite::Connection;
use serde_json::json;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The parts that all engines share; each engine represents a process.
struct Fleet {
    scratch: TempDir,
    transport: Arc<ScriptedTransport>,
    clock: Arc<ManualClock>,
    options: EngineOptions,
}

impl Fleet {
    fn new(transport: ScriptedTransport) -> Fleet {
        let scratch = TempDir::new();
        let url = format!("sqlite:{}", scratch.file().display());
        Fleet {
            scratch,
            transport: Arc::new(transport),
            clock: Arc::new(ManualClock::new()),
            options: EngineOptions {
                store: Some(url.as_str().into()),
                // These tests are not about the timeout.
                store_timeout: Some(60_000),
                ..EngineOptions::default()
            },
        }
    }

    /// Creates a pepper file.
    fn pepper(&self, name: &str) -> String {
        let path = self.scratch.path().join(name);
        fs::write(&path, name.repeat(32)).unwrap();
        path.display().to_string()
    }

    /// Another process.
    fn lab(&self) -> Lab {
        self.lab_with("{}")
    }

    fn lab_with(&self, config: &str) -> Lab {
        let mut config: serde_json::Value = serde_json::from_str(config).unwrap();
        config["timeout"] = 60_000.into();
        let (transport, clock) = (self.transport.clone(), self.clock.clone());
        Lab {
            engine: Engine::with_parts(self.options.clone(), transport, clock).unwrap(),
            transport: self.transport.clone(),
            clock: self.clock.clone(),
            gate: gate(&config.to_string()),
        }
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// A connection to the store's file, as an attacker has it.
    fn file(&self) -> Connection {
        let file = Connection::open(self.scratch.file()).unwrap();
        file.busy_timeout(Duration::from_secs(60)).unwrap();
        file
    }

    /// The indexes and values in the store.
    fn entries(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let file = self.file();
        let mut entries = file
            .prepare("SELECT id, value FROM entry ORDER BY rowid")
            .unwrap();
        let entries = entries.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        entries.unwrap().map(Result::unwrap).collect()
    }

    fn set_entry(&self, id: &[u8], value: &[u8]) {
        let changed = self.file().execute(
            "INSERT OR REPLACE INTO entry(id, value, expires) VALUES(?1, ?2, ?3)",
            (id, value, i64::MAX),
        );
        assert_eq!(changed, Ok(1));
    }
}

/// A provider that numbers its tokens, each valid for a thousand seconds, and that can be told to refuse or to
/// rate-limit.
#[derive(Default)]
struct Numbering {
    given: AtomicU64,
    refuses: AtomicBool,
    is_busy: AtomicBool,
}

impl Numbering {
    fn fleet() -> (Arc<Numbering>, Fleet) {
        let numbering = Arc::new(Numbering::default());
        let of_fleet = Arc::clone(&numbering);
        let transport = ScriptedTransport::new(move |seen| of_fleet.answer(seen));
        (numbering, Fleet::new(transport))
    }

    fn answer(&self, seen: &Seen) -> Result<Response, Fault> {
        if seen.form.is_none() {
            return reply(200, DOCUMENT);
        }
        if self.refuses.load(Ordering::SeqCst) {
            return reply(401, r#"{"error":"invalid_client"}"#);
        }
        if self.is_busy.load(Ordering::SeqCst) {
            let busy = reply(429, "")?;
            return Ok(Response {
                retry_after: Some("60".to_owned()),
                ..busy
            });
        }
        let number = self.given.fetch_add(1, Ordering::SeqCst) + 1;
        let token =
            format!(r#"{{"access_token":"t{number}","token_type":"Bearer","expires_in":1005}}"#);
        reply(200, &token)
    }
}

#[test]
fn sharing_engines_cause_one_exchange() {
    let fleet = Fleet::new(ScriptedTransport::holding(provider));
    let labs = [(); 4].map(|()| fleet.lab());
    let queues = labs.each_ref().map(Lab::queue);
    for (lab, queue) in labs.iter().zip(&queues) {
        for user_data in 0..50 {
            pending(lab.ask(queue, "client_id=a&client_secret=right", user_data));
        }
    }
    let waits = || -> u64 {
        let waits = labs
            .iter()
            .map(|lab| lab.engine.metrics().unwrap().store_waits);
        waits.sum()
    };
    until("three engines wait for the fourth", || {
        waits() == 3 && fleet.transport.token_requests() == 1
    });
    fleet.transport.gate.add_permits(1);
    let mut outcomes: Vec<_> = queues.iter().flat_map(|queue| drain(queue, 50)).collect();
    outcomes.retain(|(_, outcome)| outcome != "JOINED a Bearer token-of-a");
    let mut outcomes: Vec<_> = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
    outcomes.sort();
    let shared = "SHARED a Bearer token-of-a";
    assert_eq!(
        outcomes,
        ["MISS a Bearer token-of-a", shared, shared, shared]
    );
    assert_eq!(fleet.transport.token_requests(), 1);
    for lab in &labs {
        assert_eq!(lab.pair("a", "right"), "HIT a Bearer token-of-a");
    }
}

#[test]
fn shared_tokens_survive_their_process_and_keep_their_age() {
    let (_, fleet) = Numbering::fleet();
    assert_eq!(fleet.lab().pair("a", "s"), "MISS a Bearer t1");
    fleet.advance(500);
    let lab = fleet.lab_with(r#"{"refresh_ahead":1}"#);
    assert_eq!(lab.pair("a", "s"), "SHARED a Bearer t1");
    fleet.advance(499);
    assert_eq!(lab.pair("a", "s"), "HIT a Bearer t1");
    fleet.advance(1);
    assert_eq!(
        lab.pair("a", "s"),
        "MISS a Bearer t2",
        "its age counts from its receipt"
    );
    let metrics = lab.engine.metrics().unwrap();
    let store = (metrics.store_hits, metrics.store_misses, metrics.store_puts);
    assert_eq!((store, metrics.store_failures), ((1, 1, 1), 0));
}

#[test]
fn the_token_of_the_own_client_is_shared_by_gates_with_the_same_secret() {
    let (numbering, fleet) = Numbering::fleet();
    let own = |secret: &str| {
        let config =
            format!(r#"{{"client_id":"me","client_secret":"{secret}","refresh_ahead":1}}"#);
        show(&fleet.lab_with(&config).blocking(""))
    };
    assert_eq!(own("one"), "MISS me Bearer t1");
    assert_eq!(own("one"), "SHARED me Bearer t1");
    assert_eq!(own("other"), "MISS me Bearer t2");
    assert_eq!(
        fleet.lab().pair("me", "one"),
        "MISS me Bearer t3",
        "a client with the same pair"
    );
    for (_, value) in fleet.entries() {
        let text = String::from_utf8_lossy(&value);
        assert!(!text.contains("t1") && !text.contains("one"), "sealed");
    }
    numbering.refuses.store(true, Ordering::SeqCst);
    assert_eq!(own("third"), "MISS 502 RequestRefused");
    assert_eq!(own("third"), "NEGATIVE 502 RequestRefused");
}

#[test]
fn a_wiped_store_costs_one_exchange_per_token() {
    let (_, fleet) = Numbering::fleet();
    let labs = [fleet.lab(), fleet.lab()];
    assert_eq!(labs[0].pair("a", "s"), "MISS a Bearer t1");
    for suffix in ["", "-wal", "-shm", ".pepper"] {
        fs::remove_file(format!("{}{suffix}", fleet.scratch.file().display())).unwrap();
    }
    assert_eq!(labs[0].pair("b", "s"), "MISS b Bearer t2");
    assert_eq!(labs[0].pair("a", "s"), "HIT a Bearer t1");
    // It starts after the pepper was lost, and creates its own.
    assert_eq!(labs[1].pair("a", "s"), "MISS a Bearer t3");
}

#[test]
fn a_wrong_secret_finds_nothing_in_the_store() {
    let fleet = Fleet::new(ScriptedTransport::new(provider));
    fleet.lab().pair("a", "right");
    let lab = fleet.lab();
    assert_eq!(lab.pair("a", "wrong"), "MISS 401 CredentialsRefused");
    assert_eq!(lab.pair("b", "right"), "MISS b Bearer token-of-b");
    let lab = fleet.lab_with(r#"{"audience":"https://api.example"}"#);
    assert_eq!(lab.pair("a", "right"), "MISS a Bearer token-of-a");
}

#[test]
fn tokens_from_the_store_are_judged_by_each_gate() {
    use base64::Engine as _;
    let claims = r#"{"iss":"https://a.example","scope":"read"}"#;
    let encode = |part| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(part);
    let token = format!("{}.{}.c2ln", encode(r#"{"alg":"RS256"}"#), encode(claims));
    let fleet = Fleet::new(ScriptedTransport::new(move |seen| match seen.form {
        None => reply(200, DOCUMENT),
        Some(_) => reply(
            200,
            &format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":1000}}"#),
        ),
    }));
    let of = |config: &str| {
        let mut config: serde_json::Value = serde_json::from_str(config).unwrap();
        config["verify_signature"] = false.into();
        let lab = fleet.lab_with(&config.to_string());
        let answer = lab.pair("a", "s");
        answer.split(" Bearer").next().unwrap().to_owned()
    };
    assert_eq!(of(r#"{"scopes_required":"read"}"#), "MISS a");
    assert_eq!(of(r#"{"scopes_required":"read"}"#), "SHARED a");
    let denied = of(r#"{"scopes_required":"write"}"#);
    assert_eq!(denied, "SHARED 403 TokenInsufficient");
    let denied = of(r#"{"issuers_allowed":"https://b.example"}"#);
    assert_eq!(denied, "SHARED 502 TokenUnverifiable");
    assert_eq!(
        of(r#"{"clients_allowed":"b"}"#),
        "NONE 403 ClientNotAllowed"
    );
    // This gate would not cache the token for a second, so it does not take it.
    assert_eq!(of(r#"{"eagerly_expire":1000}"#), "MISS a");
    assert_eq!(fleet.transport.token_requests(), 2);
}

#[test]
fn a_verified_token_is_shared_with_its_claims() {
    let (_, transport) = Signing::transport();
    let fleet = Fleet::new(transport);
    let config = r#"{"scopes_required":"read","audience_required":"api"}"#;
    let (one, other) = (fleet.lab_with(config), fleet.lab_with(config));
    let cache_status = |lab: &Lab| {
        let Outcome::Allow(allow) = lab.blocking("client_id=a&client_secret=s") else {
            panic!("denied")
        };
        assert_eq!(allow.claim("azp").as_deref(), Some("alice"));
        allow.cache_status()
    };
    assert_eq!(
        (cache_status(&one), cache_status(&other)),
        (CacheStatus::Miss, CacheStatus::Shared)
    );
    assert_eq!(fetches(&one, "https://a.example/jwks"), 1);
    let mut unverified = fleet.lab_with(r#"{"verify_signature":false}"#);
    assert_eq!(
        cache_status(&unverified),
        CacheStatus::Miss,
        "gates without verification do not share it"
    );
    unverified.gate = other.gate.clone();
    assert_eq!(cache_status(&unverified), CacheStatus::Shared);
    fleet.clock.step(3600);
    assert!(
        show(
            &fleet
                .lab_with(config)
                .blocking("client_id=a&client_secret=s")
        )
        .contains("502")
    );
}

#[test]
fn shared_refusals_expire_and_draw_from_one_budget() {
    let (provider, fleet) = Numbering::fleet();
    let one = r#"{"refusals_per_client":1}"#;
    provider.refuses.store(true, Ordering::SeqCst);
    let first = fleet.lab_with(one);
    assert_eq!(first.pair("a", "s"), "MISS 401 CredentialsRefused");
    fleet.advance(3);
    let second = fleet.lab_with(one);
    assert_eq!(second.pair("a", "s"), "NEGATIVE 401 CredentialsRefused");
    provider.refuses.store(false, Ordering::SeqCst);
    assert_eq!(second.pair("a", "s"), "NEGATIVE 401 CredentialsRefused");
    fleet.advance(2);
    assert_eq!(
        second.pair("a", "s"),
        "MISS a Bearer t1",
        "five seconds after the refusal"
    );
    assert_eq!(fleet.transport.token_requests(), 2);
}

#[test]
fn failures_are_not_shared() {
    let fails = Arc::new(AtomicBool::new(true));
    let failing = Arc::clone(&fails);
    let fleet = Fleet::new(ScriptedTransport::new(move |seen| {
        if seen.form.is_some() && failing.load(Ordering::SeqCst) {
            return reply(503, "");
        }
        provider(seen)
    }));
    assert_eq!(fleet.lab().pair("a", "right"), "MISS 502 ProviderFailed");
    fails.store(false, Ordering::SeqCst);
    assert_eq!(fleet.lab().pair("a", "right"), "MISS a Bearer token-of-a");
}

#[test]
fn a_verification_failure_is_not_shared_as_a_refusal() {
    let (provider, transport) = Signing::transport();
    let fleet = Fleet::new(transport);
    provider.rotate("k1");
    let (one, other) = (fleet.lab(), fleet.lab());
    let unverifiable = |lab: &Lab| lab.waking(&[1000], || lab.pair("a", "s"));
    assert_eq!(unverifiable(&one), "MISS 502 TokenUnverifiable");
    assert_eq!(one.pair("a", "s"), "NEGATIVE 502 TokenUnverifiable");
    assert_eq!(unverifiable(&other), "MISS 502 TokenUnverifiable");
    assert_eq!(fleet.entries(), []);
}

#[test]
fn an_untrusted_token_in_the_store_is_replaced_after_a_pause() {
    let (provider, transport) = Signing::transport();
    let fleet = Fleet::new(transport);
    let (one, other) = (fleet.lab(), fleet.lab());
    provider.claim("iss", json!("https://b.example/"));
    assert_eq!(one.pair("a", "s"), "MISS 502 TokenUnverifiable");
    assert_eq!(other.pair("a", "s"), "SHARED 502 TokenUnverifiable");
    provider.claim("iss", json!("https://a.example/"));
    fleet.advance(5);
    assert!(other.pair("a", "s").starts_with("MISS"));
    assert!(one.pair("a", "s").starts_with("SHARED"));
    assert_eq!(one.transport.token_requests(), 2);
}

#[test]
fn retry_after_pauses_all_sharing_engines() {
    let (provider, fleet) = Numbering::fleet();
    provider.is_busy.store(true, Ordering::SeqCst);
    assert_eq!(fleet.lab().pair("a", "s"), "MISS 503 ProviderBusy");
    fleet.advance(20);
    let lab = fleet.lab();
    let Outcome::Deny(deny) = lab.blocking("client_id=a&client_secret=s") else {
        panic!("allowed")
    };
    assert_eq!(
        (deny.cache_status(), deny.retry_after()),
        (CacheStatus::Negative, Some(40))
    );
    provider.is_busy.store(false, Ordering::SeqCst);
    fleet.advance(39);
    assert_eq!(lab.pair("a", "s"), "NEGATIVE 503 ProviderBusy");
    fleet.advance(1);
    assert_eq!(lab.pair("a", "s"), "MISS a Bearer t1");
}

#[test]
fn retry_after_evicts_no_token() {
    let (provider, fleet) = Numbering::fleet();
    let (one, other) = (fleet.lab(), fleet.lab());
    assert_eq!(one.pair("a", "s"), "MISS a Bearer t1");
    assert_eq!(other.pair("a", "s"), "SHARED a Bearer t1");
    provider.is_busy.store(true, Ordering::SeqCst);
    fleet.advance(820);
    for lab in [&one, &other] {
        assert_eq!(lab.pair("a", "s"), "HIT a Bearer t1");
        lab.settle();
        assert_eq!(lab.pair("a", "s"), "STALE a Bearer t1");
    }
    assert_eq!(fleet.lab().pair("a", "s"), "SHARED a Bearer t1");
    assert_eq!(fleet.transport.token_requests(), 2);
    fleet.advance(30);
    assert_eq!(one.pair("a", "s"), "STALE a Bearer t1");
    one.settle();
    assert_eq!(
        fleet.transport.token_requests(),
        2,
        "Retry-After is a minute"
    );
}

#[test]
fn one_engine_refreshes_and_the_others_take_the_new_token() {
    let (_, fleet) = Numbering::fleet();
    let labs = [(); 3].map(|()| fleet.lab());
    for lab in &labs {
        lab.pair("a", "s");
    }
    fleet.advance(820);
    for lab in &labs {
        assert_eq!(lab.pair("a", "s"), "HIT a Bearer t1");
        lab.settle();
        assert_eq!(lab.pair("a", "s"), "HIT a Bearer t2");
    }
    assert_eq!(fleet.transport.token_requests(), 2);
    fleet.advance(700);
    assert_eq!(
        labs[2].pair("a", "s"),
        "HIT a Bearer t2",
        "its age counts from its receipt"
    );
}

#[test]
fn a_dead_lease_holder_is_replaced_after_the_lease() {
    let (_, fleet) = Numbering::fleet();
    let lab = fleet.lab();
    lab.pair("a", "s");
    let (id, _) = fleet.entries().remove(0);
    fleet.file().execute("DELETE FROM entry", []).unwrap();
    let clock = fleet.clock.clone();
    let dead = Sqlite::new(&fleet.scratch.file(), 1 << 20, None, clock);
    let taken = block_on(dead.lease(Index(id.try_into().unwrap()), owner(1), LEASE_LIFE));
    assert_eq!(taken, Ok(Lease::Taken));
    let lab = fleet.lab();
    let queue = lab.queue();
    pending(lab.ask(&queue, "client_id=a&client_secret=s", 1));
    until("the engine waits for the lease", || {
        lab.engine.metrics().unwrap().store_waits == 1
    });
    assert_eq!(fleet.transport.token_requests(), 1);
    fleet.clock.advance(LEASE_LIFE);
    assert_eq!(drain(&queue, 1), [(1, "MISS a Bearer t2".to_owned())]);
}

#[test]
fn a_failed_exchange_is_retried_by_the_next_waiter() {
    let fails = Arc::new(AtomicBool::new(true));
    let failing = Arc::clone(&fails);
    let fleet = Fleet::new(ScriptedTransport::holding(move |seen| {
        if seen.form.is_some() && failing.swap(false, Ordering::SeqCst) {
            return Err(crate::http::Fault::Broken("reset".to_owned()));
        }
        provider(seen)
    }));
    let labs = [fleet.lab(), fleet.lab()];
    let queues = labs.each_ref().map(Lab::queue);
    for (lab, queue) in labs.iter().zip(&queues) {
        pending(lab.ask(queue, "client_id=a&client_secret=right", 1));
        until("the request waits or is at the provider", || {
            let waits = lab.engine.metrics().unwrap().store_waits;
            waits == 1 || fleet.transport.token_requests() == 1
        });
    }
    fleet.transport.gate.add_permits(1);
    assert_eq!(drain(&queues[0], 1)[0].1, "MISS 502 ProviderFailed");
    fleet.transport.gate.add_permits(1);
    assert_eq!(drain(&queues[1], 1)[0].1, "MISS a Bearer token-of-a");
}

#[test]
fn uncached_gates_and_client_tokens_do_not_use_the_store() {
    let fleet = Fleet::new(ScriptedTransport::new(provider));
    let lab = fleet.lab_with(r#"{"cache_tokens":false}"#);
    assert_eq!(lab.pair("a", "right"), "MISS a Bearer token-of-a");
    assert_eq!(lab.pair("a", "right"), "MISS a Bearer token-of-a");
    let lab = fleet.lab_with(r#"{"auth_methods":"bearer"}"#);
    let request = Request {
        authorization: Some(b"Bearer a.b.c"),
        ..Request::default()
    };
    let answer = lab.engine.authenticate_blocking(&lab.gate, &request);
    assert!(matches!(answer, Ok(Outcome::Deny(_))));
    assert!(!fleet.scratch.file().exists());
}

#[test]
fn values_sealed_under_a_previous_pepper_are_found() {
    let (_, mut fleet) = Numbering::fleet();
    let (first, second) = (fleet.pepper("first"), fleet.pepper("second"));
    fleet.options.store_pepper_file = Some(first.clone());
    fleet.lab().pair("a", "s");
    fleet.options.store_pepper_file = Some(second);
    assert_eq!(fleet.lab().pair("a", "s"), "MISS a Bearer t2");
    fleet
        .file()
        .execute("DELETE FROM entry WHERE rowid = 2", [])
        .unwrap();
    fleet.options.store_previous_pepper_files = vec![first];
    assert_eq!(fleet.lab().pair("a", "s"), "SHARED a Bearer t1");
    fleet.options.store_previous_pepper_files = Vec::new();
    assert_eq!(
        fleet.lab().pair("a", "s"),
        "SHARED a Bearer t1",
        "sealed again with the new pepper"
    );
}

#[test]
fn a_dump_of_the_store_reveals_no_token_secret_or_client() {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    const CANARIES: [&str; 3] = ["canary-client%7", "c@nary/s3cret+", "token-of-canary"];

    let fleet = Fleet::new(ScriptedTransport::new(|seen| match &seen.form {
        None => reply(200, DOCUMENT),
        Some(form) if form.contains("wrong") => reply(401, r#"{"error":"invalid_client"}"#),
        Some(_) => reply(
            200,
            r#"{"access_token":"token-of-canary","token_type":"Bearer","expires_in":1000}"#,
        ),
    }));
    let lab = fleet.lab();
    let query = "client_id=canary-client%257&client_secret=c@nary/s3cret%2B";
    assert!(show(&lab.blocking(query)).starts_with("MISS canary-client%7 Bearer token"));
    lab.blocking(&format!("{query}wrong"));
    lab.engine
        .purge(&lab.gate, Some("canary-client%7"))
        .unwrap();
    lab.blocking(query);
    let found = |dump: &[u8]| {
        let hex =
            |text: &str| -> String { text.bytes().map(|byte| format!("{byte:02x}")).collect() };
        let url = |text| form_urlencoded::byte_serialize(text).collect::<String>();
        CANARIES.iter().any(|canary| {
            let bytes = canary.as_bytes();
            // Base64 of an inner part depends on its offset.
            let base64 = (0..3).flat_map(|shift| {
                let shifted = [&b"xx"[..shift], bytes].concat();
                [
                    STANDARD_NO_PAD.encode(&shifted),
                    URL_SAFE_NO_PAD.encode(&shifted),
                ]
                .map(|text| text[4..text.len() - 4].to_owned())
            });
            let texts = [
                (*canary).to_owned(),
                hex(canary),
                hex(canary).to_uppercase(),
                url(bytes),
                bytes.iter().rev().map(|byte| char::from(*byte)).collect(),
            ];
            texts.into_iter().chain(base64).any(|text| {
                dump.windows(text.len())
                    .any(|window| window == text.as_bytes())
            })
        })
    };
    let mut files = 0;
    for file in fs::read_dir(fleet.scratch.path()).unwrap() {
        let path = file.unwrap().path();
        let dump = fs::read(&path).unwrap();
        assert!(!found(&dump), "{}", path.display());
        files += 1;
    }
    assert_eq!(files, 5, "database, log, shared memory, pepper, lock");
    // The search does find planted values.
    for planted in [
        "..canary-client%7..",
        "746f6b656e2d6f662d63616e617279",
        &STANDARD_NO_PAD.encode("..c@nary/s3cret+.."),
        "c%40nary%2Fs3cret%2B",
    ] {
        assert!(found(planted.as_bytes()), "{planted}");
    }
}

#[test]
fn store_metrics_sums_all_processes() {
    let (_, mut fleet) = Numbering::fleet();
    let alone = fleet.lab();
    alone.pair("x", "s");
    fleet.options.store_metrics = true;
    let labs = [fleet.lab(), fleet.lab(), fleet.lab()];
    labs[0].pair("a", "s");
    labs[1].pair("a", "s");
    labs[1].pair("b", "s");
    let numbers = |lab: &Lab| {
        let metrics = lab.engine.metrics().unwrap();
        let allowed = |cache_status| {
            metrics
                .allowed
                .iter()
                .find(|(other, _)| *other == cache_status)
        };
        let [miss, shared] = [CacheStatus::Miss, CacheStatus::Shared]
            .map(|cache_status| allowed(cache_status).unwrap().1);
        (miss, shared, metrics.store_puts, metrics.entries)
    };
    for lab in &labs {
        // The third engine has served no request.
        until("all have the sum", || numbers(lab) == (2, 1, 2, 3));
    }
    assert_eq!(numbers(&alone), (1, 0, 1, 1));
    // Provider states are per process.
    let providers = |lab: &Lab| lab.engine.metrics().unwrap().providers.len();
    assert_eq!((providers(&labs[1]), providers(&labs[2])), (1, 0));
    // Counters survive their process; gauges do not.
    let [first, second, third] = labs;
    drop((first, second));
    fleet.clock.advance(crate::store::GAUGE_LIFE);
    until("their gauges are gone", || numbers(&third) == (2, 1, 2, 0));
    assert_eq!(third.pair("a", "s"), "SHARED a Bearer t2");
    until("the sum grows", || numbers(&third) == (2, 2, 2, 1));
}
