//! Breaker, bulkhead, budgets and bounds.

use super::*;
use crate::journal::Level;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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
    lab.pair("known", "right");
    down.store(true, Ordering::SeqCst);
    for number in 0..5 {
        assert_eq!(
            lab.pair(&format!("c{number}"), "right"),
            "MISS 502 ProviderFailed"
        );
    }
    let requests = lab.transport.token_requests();
    let Outcome::Deny(deny) = lab.blocking("client_id=c9&client_secret=right") else {
        panic!("allowed")
    };
    assert_eq!(
        (deny.http_status(), deny.cause(), deny.retry_after()),
        (503, Cause::ProviderPaused, Some(5))
    );
    assert_eq!(
        lab.transport.token_requests(),
        requests,
        "the provider is not contacted"
    );
    assert!(lab.pair("known", "right").starts_with("HIT"));
    assert!(lab.engine.metrics().unwrap().providers["https://a.example"].is_paused);
    let record = lab.engine.next_record().unwrap().unwrap();
    assert_eq!(record.level, Level::Warning);
    assert!(
        record
            .message
            .starts_with("https://a.example: circuit breaker open")
    );
    assert_eq!(lab.engine.next_record().unwrap(), None, "logged once");

    down.store(false, Ordering::SeqCst);
    lab.advance(5);
    assert!(lab.pair("c9", "right").starts_with("MISS c9"));
    assert!(!lab.engine.metrics().unwrap().providers["https://a.example"].is_paused);
    let record = lab.engine.next_record().unwrap().unwrap();
    assert_eq!(
        record.message,
        "https://a.example: circuit breaker closed: the provider works again"
    );
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
    assert_eq!(lab.pair("a", "wrong10"), "NONE 429 TooManyRefusals");
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
    assert_eq!(lab.pair("a", "wrong2"), "NONE 429 TooManyRefusals");
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
            match lab.ask(&queue, &query, number) {
                Authentication::Pending(_) => {}
                Authentication::Ready(outcome) => return (number, show(&outcome)),
            }
        }
        (200, String::new())
    };
    assert_eq!(guess(1).0, 200, "no exchange has been refused yet");
    lab.transport.gate.add_permits(1000);
    let refused = drain(&queue, 200)
        .into_iter()
        .filter(|(_, outcome)| outcome == "MISS 401 CredentialsRefused");
    let refused = refused.count();
    assert_eq!(lab.transport.token_requests(), refused);
    assert!((10..10 + 4).contains(&refused), "{refused}");
    assert_eq!(guess(2), (0, "NONE 429 TooManyRefusals".to_owned()));
    // The excess over the budget is owed: one more refusal every six seconds.
    lab.advance(6 * (refused as u64 - 10));
    assert_eq!(guess(3).0, 0);
    lab.advance(6);
    assert!(guess(4).0 > 0);
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
    assert_eq!(lab.pair("busy", "right"), "MISS 503 ProviderBusy");
    lab.advance(12);
    let Outcome::Deny(deny) = lab.blocking("client_id=busy&client_secret=right") else {
        panic!("allowed")
    };
    assert_eq!(
        (deny.cache_status(), deny.cause(), deny.retry_after()),
        (CacheStatus::Negative, Cause::ProviderBusy, Some(18))
    );
    assert!(
        lab.pair("other", "right").starts_with("MISS other"),
        "a rate limit is per client"
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
    while lab.transport.token_requests() < 2 {
        std::thread::yield_now();
    }
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
        assert!(lab.pair(client, "right").starts_with("MISS"));
    }
    assert_eq!(lab.transport.token_requests(), 4);
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
