//! Breaker, bulkhead, budgets and bounds.

use super::*;
use crate::journal::Level;
use crate::metrics::clients::Requests;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Clients that the provider knows, and whose tokens are not cached.
fn known(lab: &Lab, count: usize) -> Vec<String> {
    let clients: Vec<_> = (0..count).map(|number| format!("known{number}")).collect();
    for client in &clients {
        assert!(lab.pair(client, "right").starts_with("MISS known"));
    }
    lab.engine.purge_all(None).unwrap();
    clients
}

#[test]
fn results_of_token_requests_are_counted_for_each_provider() {
    let lab = Lab::new(ScriptedTransport::new(|seen| {
        match seen
            .form
            .as_deref()
            .map(|form| form.contains("client_id=busy"))
        {
            Some(true) => reply(429, ""),
            _ => provider(seen),
        }
    }));
    for (client, secret) in [("a", "right"), ("b", "wrong"), ("busy", "right")] {
        lab.pair(client, secret);
    }
    let state = &lab.engine.providers().unwrap()["https://a.example"];
    let counts = (state.granted, state.refused, state.limited, state.failed);
    assert_eq!(counts, (1, 1, 1, 0));
    assert_eq!((state.last_failed, state.is_paused), (0, false));
}

#[test]
fn an_unusable_response_for_metadata_is_a_failure_of_the_provider() {
    let lab = Lab::new(ScriptedTransport::new(|_| reply(500, "")));
    assert!(lab.pair("a", "right").starts_with("MISS 502"));
    let state = &lab.engine.providers().unwrap()["https://a.example"];
    assert_eq!((state.granted, state.failed), (0, 1));
    assert!(state.last_failed > 0);
}

#[test]
fn an_open_circuit_breaker_still_serves_cached_clients() {
    let down = Arc::new(AtomicBool::new(false));
    let is_down = Arc::clone(&down);
    let lab = Lab::new(ScriptedTransport::new(move |seen| {
        if seen.form.is_some() && is_down.load(Ordering::SeqCst) {
            return reply(503, "");
        }
        provider(seen)
    }));
    let clients = known(&lab, 5);
    lab.pair("cached", "right");
    down.store(true, Ordering::SeqCst);
    for client in &clients {
        assert_eq!(lab.pair(client, "right"), "MISS 502 ProviderFailed");
    }
    let requests = lab.transport.token_requests();
    let Outcome::Deny(deny) = lab.blocking("client_id=c9&client_secret=right") else {
        panic!("allowed")
    };
    assert_eq!(
        (deny.http_status(), deny.cause(), deny.retry_after()),
        (503, Cause::ProviderPaused, Some(2))
    );
    assert_eq!(
        lab.transport.token_requests(),
        requests,
        "the provider is not contacted"
    );
    assert!(lab.pair("cached", "right").starts_with("HIT"));
    let state = &lab.engine.providers().unwrap()["https://a.example"];
    assert!(state.is_paused);
    assert_eq!((state.granted, state.refused, state.failed), (6, 0, 5));
    assert!(state.last_failed >= state.last_granted && state.last_granted > 0);
    for expected in ["request failed: token endpoint", "circuit breaker open"] {
        let record = lab.engine.next_record().unwrap().unwrap();
        assert_eq!(record.level, Level::Warning);
        let expected = format!("https://a.example: {expected}");
        assert!(record.message.starts_with(&expected), "{}", record.message);
    }
    assert_eq!(lab.engine.next_record().unwrap(), None, "logged once");

    down.store(false, Ordering::SeqCst);
    lab.advance(1);
    assert!(lab.pair("known1", "right").starts_with("MISS known1"));
    assert!(!lab.engine.metrics().unwrap().providers["https://a.example"].is_paused);
    let record = lab.engine.next_record().unwrap().unwrap();
    assert_eq!(
        record.message,
        "https://a.example: circuit breaker closed: the provider works again"
    );
}

/// For a minute, 25 requests of bad clients and 10 of new good ones each second, of a provider that resets the bad ones.
/// Returns the numbers of good clients served and of bad exchanges.
fn poisoned_minute(bad_client: impl Fn(usize) -> String) -> (usize, usize) {
    let bad = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&bad);
    let lab = Lab::new(ScriptedTransport::new(move |seen| {
        let form = seen.form.as_deref().unwrap_or_default();
        if form.contains("client_id=bad") {
            count.fetch_add(1, Ordering::SeqCst);
            return Err(Fault::Broken("reset".to_owned()));
        }
        provider(seen)
    }));
    let ask = |client: &str, peer: &str| {
        let query = format!("client_id={client}&client_secret=right");
        let request = Request {
            query: Some(query.as_bytes()),
            peer: Some(peer.as_bytes()),
            ..Request::default()
        };
        lab.engine
            .authenticate_blocking(&lab.gate, &request)
            .unwrap()
    };
    let (mut served, mut number) = (0, 0);
    for tick in 0..600 {
        lab.clock.advance(Duration::from_millis(100));
        for _ in 0..[2, 3][tick % 2] {
            // The attacker has a /64.
            ask(&bad_client(number), &format!("2001:db8::{number:x}"));
            number += 1;
        }
        let outcome = ask(
            &format!("good{tick}"),
            &format!("198.51.100.{}", tick % 200),
        );
        served += usize::from(matches!(outcome, Outcome::Allow(_)));
    }
    (served, bad.load(Ordering::SeqCst))
}

#[test]
fn clients_for_which_the_provider_fails_take_it_from_no_other() {
    // A few ids draw their own budgets: 10 a minute, and as much again that refills.
    let (served, bad) = poisoned_minute(|number| format!("bad{}", number % 5));
    assert_eq!(served, 600);
    assert!(bad <= 5 * 20, "{bad}");
    // Ever new ids of one source draw its budget: 60 a minute.
    let (served, bad) = poisoned_minute(|number| format!("bad{number}"));
    assert_eq!(served, 600);
    assert!(bad <= 120, "{bad}");
}

#[test]
fn one_poisoned_client_pauses_nobody() {
    let lab = Lab::new(ScriptedTransport::new(|seen| {
        let form = seen.form.as_deref().unwrap_or_default();
        if form.contains("client_id=poisoned") {
            return reply(500, "");
        }
        provider(seen)
    }));
    for number in 0..10 {
        lab.pair("poisoned", "right");
        let client = format!("c{number}");
        assert!(lab.pair(&client, "right").starts_with("MISS c"));
    }
    assert_eq!(lab.pair("poisoned", "right"), "MISS 503 ProviderPaused");
}

#[test]
fn wrong_ids_cost_the_gates_budget_whatever_the_refusal() {
    let refusals = [
        (401, r#"{"error":"invalid_client"}"#),
        (400, r#"{"error":"invalid_client_id"}"#),
        (400, r#"{"error":"invalid_request"}"#),
        (400, r#"{"error":"invalid_grant"}"#),
        (400, r#"{"error":"of_its_own"}"#),
        (403, ""),
        (404, ""),
        (429, ""),
        (500, ""),
        (302, ""),
    ];
    for (status, body) in refusals {
        let lab = Lab::with(
            r#"{"refusals_per_gate":50}"#,
            ScriptedTransport::new(move |seen| match &seen.form {
                Some(form) if !form.contains("client_secret=right") => reply(status, body),
                _ => provider(seen),
            }),
        );
        let known = known(&lab, 1).remove(0);
        lab.pair("cached", "right");
        let before = lab.transport.token_requests();
        for number in 0..1000 {
            lab.pair(&format!("client{number}"), "wrong");
        }
        let asked = lab.transport.token_requests() - before;
        assert_eq!(asked, 50, "{status} {body}");
        assert!(lab.pair("cached", "right").starts_with("HIT"));
        assert!(lab.pair(&known, "right").starts_with("MISS known"));
    }
}

#[test]
fn permanent_refusals_are_cached() {
    let lab = Lab::new(ScriptedTransport::new(|seen| match &seen.form {
        None => reply(200, DOCUMENT),
        Some(_) => reply(
            400,
            r#"{"error":"invalid_request","error_description":"Requested audience has not been whitelisted"}"#,
        ),
    }));
    assert_eq!(lab.pair("a", "right"), "MISS 403 ClientForbidden");
    for _ in 0..50 {
        assert_eq!(lab.pair("a", "right"), "NEGATIVE 403 ClientForbidden");
    }
    assert_eq!(lab.transport.token_requests(), 1);
}

#[test]
fn a_cold_start_throws_no_token_away() {
    // More clients than the provider can serve within the timeout: 1 s each, 64 at a time, 10 s.
    let lab = Lab::new(ScriptedTransport::holding(provider));
    let queue = lab.queue();
    for number in 0..1500 {
        let query = format!("client_id=c{number}&client_secret=right");
        pending(lab.ask(&queue, &query, number));
    }
    let mut drained = Vec::new();
    for second in 1..=9 {
        until("64 more exchanges begin", || {
            lab.transport.token_requests() >= 64 * second
        });
        lab.clock.advance(Duration::from_secs(1));
        lab.transport.gate.add_permits(64);
        drained.extend(drain(&queue, 64));
    }
    assert!(
        drained
            .iter()
            .all(|(_, outcome)| outcome.starts_with("MISS c")),
        "{drained:?}"
    );
    // The tenth round ends with the timeout of those who have waited since the start.
    until("64 more exchanges begin", || {
        lab.transport.token_requests() >= 640
    });
    lab.clock.advance(Duration::from_secs(1));
    let late = drain(&queue, 1500 - 576);
    assert!(
        late.iter()
            .all(|(_, outcome)| outcome == "MISS 504 ProviderTimeout"),
        "{late:?}"
    );
    // Their exchanges end nevertheless, and no other begins.
    lab.transport.gate.add_permits(1000);
    lab.settle();
    assert_eq!(lab.transport.token_requests(), 640);
    assert_eq!(lab.engine.metrics().unwrap().entries, 640);
    assert!(!lab.engine.metrics().unwrap().providers["https://a.example"].is_paused);
}

#[test]
fn each_waiter_has_its_own_deadline() {
    let lab = Lab::with(r#"{"timeout":10000}"#, ScriptedTransport::holding(provider));
    let hasty = gate(r#"{"timeout":500}"#);
    let queue = lab.queue();
    let query = "client_id=a&client_secret=right";
    pending(lab.ask(&queue, query, 1));
    let request = Request {
        query: Some(query.as_bytes()),
        ..Request::default()
    };
    pending(queue.authenticate(&hasty, &request, 2).unwrap());
    lab.clock.wake(Duration::from_millis(500));
    assert_eq!(
        drain(&queue, 1),
        [(2, "JOINED 504 ProviderTimeout".to_owned())]
    );
    lab.clock.wake(Duration::from_millis(9500));
    assert_eq!(
        drain(&queue, 1),
        [(1, "MISS 504 ProviderTimeout".to_owned())]
    );
}

#[test]
fn an_exchange_that_has_begun_is_kept_though_its_opener_has_left() {
    let lab = Lab::with(r#"{"timeout":10000}"#, ScriptedTransport::holding(provider));
    let hasty = gate(r#"{"timeout":500}"#);
    let queue = lab.queue();
    let query = "client_id=a&client_secret=right";
    let request = Request {
        query: Some(query.as_bytes()),
        ..Request::default()
    };
    pending(queue.authenticate(&hasty, &request, 1).unwrap());
    pending(lab.ask(&queue, query, 2));
    lab.clock.wake(Duration::from_millis(500));
    assert_eq!(
        drain(&queue, 1),
        [(1, "MISS 504 ProviderTimeout".to_owned())]
    );
    lab.clock.advance(Duration::from_secs(9));
    lab.transport.gate.add_permits(1);
    assert_eq!(
        drain(&queue, 1),
        [(2, "MISS a Bearer token-of-a".to_owned())]
    );
    assert_eq!(lab.transport.token_requests(), 1);
}

#[test]
fn tokens_to_be_verified_are_bounded_in_bytes() {
    // The keys never come.
    let lab = Lab::with(
        r#"{"auth_methods":["client_credentials","bearer"]}"#,
        ScriptedTransport::new(|seen| match seen.form {
            None => Err(Fault::Broken("reset".to_owned())),
            Some(_) => provider(seen),
        }),
    );
    let flights = &lab.engine.inner.shared.flights;
    let queue = lab.queue();
    let join = |number: usize, token_bytes| {
        let waiter = crate::cache::flight::Waiter {
            rules: Arc::clone(&lab.gate.rules),
            source: crate::Source::Header,
            recipient: Recipient::Call(mpsc::channel().0),
            deadline: std::time::Instant::now(),
            requests: Requests::unseen(),
        };
        let key = crate::key::Key::for_test(number as u64);
        flights.join(key, || None, waiter, token_bytes)
    };
    let opened = (0..10_000)
        .map(|number| join(number, 16 * 1024))
        .filter(|joined| matches!(joined, crate::cache::flight::Joined::Opened));
    assert_eq!(opened.count(), 64);
    let crate::cache::flight::Joined::Full(limit) = join(10_001, 16 * 1024) else {
        panic!("one more token was taken")
    };
    assert!(limit.contains("exceed 1 MiB"), "{limit}");
    assert!(matches!(
        join(10_000, 0),
        crate::cache::flight::Joined::Opened
    ));
    drop(queue);
}

#[test]
fn refusals_do_not_open_the_circuit_breaker() {
    let lab = Lab::with(
        r#"{"refusals_per_client":0,"refusals_per_gate":0}"#,
        ScriptedTransport::new(provider),
    );
    for number in 0..20 {
        assert_eq!(
            lab.pair("a", &format!("wrong{number}")),
            "MISS 401 CredentialsRefused"
        );
    }
    assert!(lab.pair("a", "right").starts_with("MISS a"));
}

#[test]
fn a_guessed_client_is_rate_limited_unless_its_token_is_cached() {
    let lab = Lab::with(
        r#"{"refusals_per_client":3}"#,
        ScriptedTransport::new(provider),
    );
    assert!(lab.pair("a", "right").starts_with("MISS"));
    for number in 0..3 {
        assert_eq!(
            lab.pair("a", &format!("wrong{number}")),
            "MISS 401 CredentialsRefused"
        );
    }
    let requests = lab.transport.token_requests();
    let Outcome::Deny(deny) = lab.blocking("client_id=a&client_secret=wrong9") else {
        panic!("allowed")
    };
    assert_eq!(
        (deny.http_status(), deny.cause(), deny.retry_after()),
        (429, Cause::TooManyRefusals, Some(20))
    );
    assert_eq!(lab.transport.token_requests(), requests);
    assert!(
        lab.pair("a", "right").starts_with("HIT"),
        "a cached client is still served"
    );
    assert!(
        lab.pair("b", "right").starts_with("MISS b"),
        "so are other clients"
    );
    lab.advance(20);
    assert_eq!(lab.pair("a", "wrong9"), "MISS 401 CredentialsRefused");
    assert_eq!(lab.pair("a", "wrong10"), "MISS 429 TooManyRefusals");
    lab.advance(3600);
    assert!(lab.pair("a", "right").starts_with("MISS a"));
}

#[test]
fn a_known_client_is_exempt_from_budgets_after_its_token_expired() {
    let lab = Lab::with(
        r#"{"refusals_per_client":1,"cache_ttl_max":10,"refresh_ahead":1}"#,
        ScriptedTransport::new(provider),
    );
    assert!(lab.pair("a", "right").starts_with("MISS a"));
    lab.advance(10);
    assert_eq!(lab.pair("a", "wrong"), "MISS 401 CredentialsRefused");
    assert_eq!(lab.pair("a", "wrong2"), "MISS 429 TooManyRefusals");
    assert!(lab.pair("a", "right").starts_with("MISS a"));
}

#[test]
fn refused_exchanges_stay_within_the_gates_budget() {
    let lab = Lab::with(
        r#"{"refusals_per_gate":50}"#,
        ScriptedTransport::new(provider),
    );
    for number in 0..1000 {
        lab.pair(&format!("client{number}"), "wrong");
    }
    assert_eq!(lab.transport.token_requests(), 50);
    lab.advance(60);
    for number in 0..1000 {
        lab.pair(&format!("other{number}"), "wrong");
    }
    assert_eq!(lab.transport.token_requests(), 100);
}

#[test]
fn concurrent_guesses_stay_within_the_budget() {
    let options = EngineOptions {
        max_exchanges: 4,
        ..EngineOptions::default()
    };
    let config = r#"{"refusals_per_client":10}"#;
    let lab = Lab::with_options(options, config, ScriptedTransport::holding(provider));
    let queue = lab.queue();
    let guess = |round: usize| {
        for number in 0..200 {
            let query = format!("client_id=victim&client_secret=wrong{round}-{number}");
            pending(lab.ask(&queue, &query, number));
        }
        let outcomes = drain(&queue, 200).into_iter();
        outcomes
            .filter(|(_, outcome)| outcome == "MISS 401 CredentialsRefused")
            .count()
    };
    lab.transport.gate.add_permits(1000);
    let refused = guess(1);
    assert_eq!(lab.transport.token_requests(), refused);
    assert!((10..10 + 4).contains(&refused), "{refused}");
    assert_eq!(guess(2), 0);
    // The excess over the budget is owed: one more refusal every six seconds.
    lab.advance(6 * (refused as u64 - 10));
    assert_eq!(guess(3), 0);
    lab.advance(6);
    assert!(guess(4) > 0);
}

#[test]
fn no_exchange_happens_before_retry_after() {
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    let lab = Lab::new(ScriptedTransport::new(move |seen| {
        if seen
            .form
            .as_ref()
            .is_some_and(|form| form.contains("client_id=busy"))
            && count.fetch_add(1, Ordering::SeqCst) == 0
        {
            return reply(429, "").map(|busy| Response {
                retry_after: Some("30".to_owned()),
                ..busy
            });
        }
        provider(seen)
    }));
    let known = known(&lab, 1).remove(0);
    assert_eq!(lab.pair("busy", "right"), "MISS 503 ProviderBusy");
    assert_eq!(lab.pair("new", "right"), "MISS 503 ProviderBusy");
    lab.advance(12);
    let Outcome::Deny(deny) = lab.blocking("client_id=busy&client_secret=right") else {
        panic!("allowed")
    };
    assert_eq!(
        (deny.cache_status(), deny.cause(), deny.retry_after()),
        (CacheStatus::Negative, Cause::ProviderBusy, Some(18))
    );
    assert!(
        lab.pair(&known, "right").starts_with("MISS known"),
        "known clients come first"
    );
    lab.advance(18);
    assert!(lab.pair("busy", "right").starts_with("MISS busy"));
}

#[test]
fn requests_beyond_max_waiting_are_denied() {
    let options = EngineOptions {
        max_waiting: 3,
        ..EngineOptions::default()
    };
    let lab = Lab::with_options(options, "{}", ScriptedTransport::holding(provider));
    let queue = lab.queue();
    let query = "client_id=a&client_secret=right";
    for number in 0..3 {
        pending(lab.ask(&queue, query, number));
    }
    assert_eq!(lab.engine.metrics().unwrap().waiting, 3);
    for query in [query, "client_id=b&client_secret=right"] {
        match lab.ask(&queue, query, 9) {
            Authentication::Ready(outcome) => assert_eq!(show(&outcome), "NONE 503 Overloaded"),
            Authentication::Pending(_) => panic!("waits"),
        }
    }
    lab.transport.gate.add_permits(10);
    assert_eq!(drain(&queue, 3).len(), 3);
    assert_eq!(lab.engine.metrics().unwrap().waiting, 0);
}

#[test]
fn a_cancelled_waiter_frees_its_slot() {
    let options = EngineOptions {
        max_waiting: 3,
        ..EngineOptions::default()
    };
    let lab = Lab::with_options(options, "{}", ScriptedTransport::holding(provider));
    let (queue, leaving) = (lab.queue(), lab.queue());
    let ask =
        |queue: &Queue, number| pending(lab.ask(queue, "client_id=a&client_secret=right", number));
    let waiting = || lab.engine.metrics().unwrap().waiting;
    let opened = ask(&queue, 0);
    ask(&leaving, 1);
    ask(&queue, 2);
    assert_eq!(waiting(), 3);
    queue.cancel(opened).unwrap();
    queue.cancel(opened).unwrap();
    assert_eq!(waiting(), 2);
    ask(&queue, 3);
    drop(leaving);
    assert_eq!(waiting(), 2);
    ask(&queue, 4);
    lab.transport.gate.add_permits(10);
    let arrived = drain(&queue, 3);
    let numbers: Vec<_> = arrived.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [2, 3, 4]);
    let misses = arrived
        .iter()
        .filter(|(_, cache_status)| cache_status.starts_with("MISS"));
    assert_eq!(misses.count(), 1, "{arrived:?}");
    assert_eq!(waiting(), 0);
    queue.cancel(opened).unwrap();
    assert_eq!(waiting(), 0);
}

#[test]
fn abandoned_flights_are_bounded() {
    let options = EngineOptions {
        max_waiting: 3,
        ..EngineOptions::default()
    };
    let lab = Lab::with_options(options, "{}", ScriptedTransport::holding(provider));
    let queue = lab.queue();
    let ask = |number: usize| {
        lab.ask(
            &queue,
            &format!("client_id=c{number}&client_secret=right"),
            number,
        )
    };
    for number in 0..6 {
        queue.cancel(pending(ask(number))).unwrap();
    }
    let Authentication::Ready(outcome) = ask(6) else {
        panic!("one more flight was opened")
    };
    assert_eq!(show(&outcome), "NONE 503 Overloaded");
    let Outcome::Deny(deny) = outcome else {
        panic!("allowed")
    };
    assert!(deny.detail().contains("max_waiting"), "{}", deny.detail());
    // A request for a flight in progress may still wait for it.
    pending(ask(0));
    lab.transport.gate.add_permits(10);
    assert_eq!(
        drain(&queue, 1),
        [(0, "MISS c0 Bearer token-of-c0".to_owned())]
    );
    lab.settle();
    pending(ask(6));
}

#[test]
fn concurrent_exchanges_stay_within_max_exchanges() {
    let options = EngineOptions {
        max_exchanges: 2,
        ..EngineOptions::default()
    };
    let lab = Lab::with_options(options, "{}", ScriptedTransport::holding(provider));
    let queue = lab.queue();
    for number in 0..6 {
        pending(lab.ask(
            &queue,
            &format!("client_id=c{number}&client_secret=right"),
            number,
        ));
    }
    until("two exchanges begin", || {
        lab.transport.token_requests() >= 2
    });
    for _ in 0..1000 {
        std::thread::yield_now();
    }
    assert_eq!(lab.transport.token_requests(), 2);
    lab.transport.gate.add_permits(10);
    assert_eq!(drain(&queue, 6).len(), 6);
    assert_eq!(lab.transport.token_requests(), 6);
}

#[test]
fn omitting_openid_is_logged_once() {
    let lab = Lab::new(ScriptedTransport::new(|seen| match &seen.form {
        None => reply(200, DOCUMENT),
        Some(form) if form.contains("openid") => reply(400, r#"{"error":"invalid_scope"}"#),
        Some(_) => provider(seen),
    }));
    for client in ["a", "b", "c"] {
        for _ in 0..2 {
            assert!(lab.pair(client, "right").starts_with("MISS"));
            lab.engine.purge_all(None).unwrap();
        }
    }
    assert_eq!(
        lab.transport.token_requests(),
        9,
        "twice for each new client"
    );
    let record = lab.engine.next_record().unwrap().unwrap();
    assert_eq!(record.level, Level::Warning);
    assert!(record.message.contains("\"openid\""), "{}", record.message);
    assert_eq!(lab.engine.next_record().unwrap(), None);
}

#[test]
fn metrics_count_every_outcome_and_name_no_client() {
    let lab = Lab::new(ScriptedTransport::new(provider));
    lab.pair("alice", "right");
    lab.pair("alice", "right");
    lab.pair("alice", "wr0ng");
    lab.pair("alice", "wr0ng");
    lab.blocking("x=1");
    let text = lab.engine.metrics().unwrap().to_string();
    for line in [
        "credgate_requests_total{outcome=\"allow\",cache_status=\"miss\"} 1",
        "credgate_requests_total{outcome=\"allow\",cache_status=\"hit\"} 1",
        "credgate_requests_total{outcome=\"deny\",cache_status=\"miss\"} 1",
        "credgate_requests_total{outcome=\"deny\",cache_status=\"negative\"} 1",
        "credgate_requests_total{outcome=\"deny\",cache_status=\"none\"} 1",
        "credgate_denied_total{cause=\"credentials_refused\"} 2",
        "credgate_denied_total{cause=\"no_credentials\"} 1",
        "credgate_exchange_seconds_count 2",
        "credgate_discovery_seconds_count 1",
        "credgate_cache_entries 1",
        "credgate_provider_paused{issuer=\"https://a.example\"} 0",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
    }
    for secret in ["alice", "right", "wr0ng", "token-of"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[test]
fn host_credentials_count_towards_the_length_limit() {
    let mut lab = Lab::new(ScriptedTransport::new(provider));
    lab.gate =
        gate(r#"{"token_post_args_client":["audience"],"token_post_args_host":["resource"]}"#);
    let secret = b"right".repeat(14);
    let ask = |audience: usize, resource: usize| {
        let query = format!("audience={}", "a".repeat(audience));
        let resource = "r".repeat(resource);
        let request = Request {
            query: Some(query.as_bytes()),
            credentials: Some((b"client", &secret)),
            args: &[resource.as_bytes()],
            ..Request::default()
        };
        show(
            &lab.engine
                .authenticate_blocking(&lab.gate, &request)
                .unwrap(),
        )
    };
    assert!(ask(900, 2048 - 76 - 900).starts_with("MISS client"));
    assert_eq!(ask(900, 2048 - 75 - 900), "NONE 400 TooLong");
    assert_eq!(ask(2048, 1), "NONE 400 TooLong");
    assert_eq!(ask(1, 2045), "NONE 400 TooLong");
}

#[test]
fn providers_end_with_their_last_gate() {
    let lab = Lab::new(ScriptedTransport::new(|seen| match &seen.form {
        None => {
            let issuer = seen
                .url
                .trim_end_matches("/.well-known/openid-configuration");
            let document = format!(r#"{{"issuer":"{issuer}","token_endpoint":"{issuer}/token"}}"#);
            reply(200, &document)
        }
        Some(_) => reply(
            200,
            r#"{"access_token":"t","token_type":"Bearer","expires_in":60}"#,
        ),
    }));
    let ask = |number: usize| {
        let config =
            format!(r#"{{"issuer":"https://tenant{number}.example","verify_signature":false}}"#);
        let tenant = Gate::from_json(&config).unwrap();
        let request = Request {
            query: Some(b"client_id=a&client_secret=b"),
            ..Request::default()
        };
        let outcome = lab.engine.authenticate_blocking(&tenant, &request).unwrap();
        assert!(matches!(outcome, Outcome::Allow(_)));
        tenant
    };
    let kept = ask(0);
    for number in 1..100 {
        ask(number);
        lab.settle();
    }
    let issuers: Vec<_> = lab
        .engine
        .metrics()
        .unwrap()
        .providers
        .into_keys()
        .collect();
    assert!(
        issuers.contains(&"https://tenant0.example".to_owned()),
        "its gate exists"
    );
    // The last ones go when the next provider comes.
    assert!(issuers.len() <= 4, "{issuers:?}");
    drop(kept);
}
