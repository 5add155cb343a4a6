//! Lifetimes, refresh, refusals and purges, on a manual clock.

use super::*;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A provider that numbers its tokens, each valid for a hundred seconds, and that can be told to fail.
#[derive(Default)]
struct Numbering {
    given: AtomicU64,
    fails: AtomicBool,
    refuses: AtomicBool,
    repeats: AtomicBool,
}

impl Numbering {
    fn lab(config: &str) -> (Arc<Numbering>, Lab) {
        let numbering = Arc::new(Numbering::default());
        let of_lab = Arc::clone(&numbering);
        let lab = Lab::with(
            config,
            ScriptedTransport::new(move |seen| of_lab.answer(seen)),
        );
        (numbering, lab)
    }

    fn answer(&self, seen: &Seen) -> Result<Response, Fault> {
        if seen.form.is_none() {
            return reply(200, DOCUMENT);
        }
        if self.fails.load(Ordering::SeqCst) {
            return Err(Fault::Unreachable(Obstacle::Refused, "refused".to_owned()));
        }
        if self.refuses.load(Ordering::SeqCst) {
            return reply(401, r#"{"error":"invalid_client"}"#);
        }
        let number = if self.repeats.load(Ordering::SeqCst) {
            self.given.load(Ordering::SeqCst)
        } else {
            self.given.fetch_add(1, Ordering::SeqCst) + 1
        };
        let token =
            format!(r#"{{"access_token":"t{number}","token_type":"Bearer","expires_in":105}}"#);
        reply(200, &token)
    }
}

#[test]
fn a_due_token_is_served_and_refreshed_in_the_background() {
    let (_, lab) = Numbering::lab("{}");
    assert_eq!(lab.pair("a", "s"), "MISS a Bearer t1");
    lab.advance(71);
    assert_eq!(lab.pair("a", "s"), "HIT a Bearer t1");
    lab.settle();
    assert_eq!(
        lab.transport.token_requests(),
        1,
        "0.8, less a tenth at most"
    );
    lab.advance(10);
    assert_eq!(lab.pair("a", "s"), "HIT a Bearer t1", "served at once");
    lab.settle();
    assert_eq!(lab.transport.token_requests(), 2);
    assert_eq!(lab.pair("a", "s"), "HIT a Bearer t2");
    lab.advance(99);
    assert_eq!(
        lab.pair("a", "s"),
        "HIT a Bearer t2",
        "its age counts from its receipt"
    );
}

#[test]
fn concurrent_hits_start_one_refresh() {
    let (_, lab) = Numbering::lab("{}");
    lab.pair("a", "s");
    lab.advance(85);
    for _ in 0..50 {
        lab.pair("a", "s");
    }
    lab.settle();
    assert_eq!(lab.transport.token_requests(), 2);
}

#[test]
fn refresh_ahead_can_be_disabled() {
    let (_, lab) = Numbering::lab(r#"{"refresh_ahead":1}"#);
    lab.pair("a", "s");
    lab.advance(99);
    assert_eq!(lab.pair("a", "s"), "HIT a Bearer t1");
    lab.settle();
    assert_eq!(lab.transport.token_requests(), 1);
}

#[test]
fn a_failed_refresh_is_retried_later_and_the_token_served_until_expiry() {
    let (provider, lab) = Numbering::lab("{}");
    lab.pair("a", "s");
    provider.fails.store(true, Ordering::SeqCst);
    lab.advance(82);
    assert_eq!(lab.pair("a", "s"), "HIT a Bearer t1");
    lab.settle();
    assert_eq!(lab.pair("a", "s"), "STALE a Bearer t1");
    lab.settle();
    assert_eq!(
        lab.transport.token_requests(),
        2,
        "one refresh, not one per hit"
    );
    lab.advance(10);
    assert_eq!(lab.pair("a", "s"), "STALE a Bearer t1");
    lab.settle();
    assert_eq!(lab.transport.token_requests(), 3);
    lab.advance(8);
    assert_eq!(
        lab.pair("a", "s"),
        "MISS 502 ProviderUnreachable",
        "not served past its end"
    );
    provider.fails.store(false, Ordering::SeqCst);
    assert_eq!(lab.pair("a", "s"), "MISS a Bearer t2");
    let metrics = lab.engine.metrics().unwrap();
    assert_eq!((metrics.refreshes, metrics.refresh_failures), (2, 2));
}

#[test]
fn a_provider_that_repeats_its_token_causes_no_refresh_loop() {
    let (provider, lab) = Numbering::lab("{}");
    lab.pair("a", "s");
    provider.repeats.store(true, Ordering::SeqCst);
    lab.advance(82);
    lab.pair("a", "s");
    lab.settle();
    assert_eq!(lab.transport.token_requests(), 2);
    for _ in 0..9 {
        lab.advance(10);
        assert_eq!(lab.pair("a", "s"), "HIT a Bearer t1");
        lab.settle();
    }
    assert_eq!(lab.transport.token_requests(), 2);
}

#[test]
fn a_revoked_secret_ends_with_the_first_refresh() {
    let (provider, lab) = Numbering::lab("{}");
    lab.pair("a", "s");
    provider.refuses.store(true, Ordering::SeqCst);
    lab.advance(82);
    assert_eq!(lab.pair("a", "s"), "HIT a Bearer t1");
    lab.settle();
    assert_eq!(lab.pair("a", "s"), "NEGATIVE 401 CredentialsRefused");
}

#[test]
fn a_refusal_is_cached_for_these_credentials_only() {
    let (provider, lab) = Numbering::lab("{}");
    provider.refuses.store(true, Ordering::SeqCst);
    assert_eq!(lab.pair("a", "s"), "MISS 401 CredentialsRefused");
    assert_eq!(lab.pair("a", "s"), "NEGATIVE 401 CredentialsRefused");
    provider.refuses.store(false, Ordering::SeqCst);
    assert_eq!(
        lab.pair("a", "t"),
        "MISS a Bearer t1",
        "another secret of the same client"
    );
    assert_eq!(lab.pair("b", "s"), "MISS b Bearer t2");
    lab.advance(4);
    assert_eq!(lab.pair("a", "s"), "NEGATIVE 401 CredentialsRefused");
    lab.advance(1);
    assert_eq!(lab.pair("a", "s"), "MISS a Bearer t3");
    assert_eq!(lab.pair("a", "s"), "HIT a Bearer t3");
}

#[test]
fn failures_are_not_cached_as_refusals() {
    let (provider, lab) = Numbering::lab("{}");
    provider.fails.store(true, Ordering::SeqCst);
    assert_eq!(lab.pair("a", "s"), "MISS 502 ProviderUnreachable");
    provider.fails.store(false, Ordering::SeqCst);
    assert_eq!(lab.pair("a", "s"), "MISS a Bearer t1");
}

#[test]
fn caching_refusals_can_be_disabled() {
    let (provider, lab) = Numbering::lab(r#"{"cache_ttl_neg":0}"#);
    provider.refuses.store(true, Ordering::SeqCst);
    assert_eq!(lab.pair("a", "s"), "MISS 401 CredentialsRefused");
    assert_eq!(lab.pair("a", "s"), "MISS 401 CredentialsRefused");
}

#[test]
fn refusals_do_not_evict_tokens() {
    let options = EngineOptions {
        cache_max_entries: 16,
        ..EngineOptions::default()
    };
    let lab = Lab::with_options(
        options,
        r#"{"refusals_per_client":0,"refusals_per_gate":0}"#,
        ScriptedTransport::new(provider),
    );
    lab.pair("a", "right");
    for number in 0..2000 {
        lab.pair("a", &format!("wrong{number}"));
    }
    assert_eq!(lab.pair("a", "right"), "HIT a Bearer token-of-a");
}

#[test]
fn the_cache_is_bounded_in_tokens() {
    let options = EngineOptions {
        cache_max_entries: 10,
        ..EngineOptions::default()
    };
    let lab = Lab::with_options(options, "{}", ScriptedTransport::new(provider));
    for number in 0..100 {
        lab.pair(&format!("client{number}"), "right");
    }
    let metrics = lab.engine.metrics().unwrap();
    assert!((1..=10).contains(&metrics.entries), "{}", metrics.entries);
}

#[test]
fn a_purge_drops_one_client_one_gate_or_all() {
    let (_, lab) = Numbering::lab("{}");
    let other = gate(r#"{"audience":"other"}"#);
    let ask_other = || {
        let request = Request {
            query: Some(b"client_id=a&client_secret=s"),
            ..Request::default()
        };
        show(&lab.engine.authenticate_blocking(&other, &request).unwrap())
    };
    let fill = || {
        lab.pair("a", "s");
        lab.pair("b", "s");
        ask_other();
    };
    let are_kept = || {
        [lab.pair("a", "s"), lab.pair("b", "s"), ask_other()].map(|shown| shown.starts_with("HIT"))
    };
    fill();
    assert_eq!(are_kept(), [true; 3]);
    lab.engine.purge(&lab.gate, Some("a")).unwrap();
    assert_eq!(are_kept(), [false, true, true]);
    fill();
    lab.engine.purge(&lab.gate, None).unwrap();
    assert_eq!(are_kept(), [false, false, true]);
    fill();
    lab.engine.purge_all(Some("a")).unwrap();
    assert_eq!(are_kept(), [false, true, false]);
    fill();
    lab.engine.purge_all(None).unwrap();
    assert_eq!(are_kept(), [false; 3]);
    until("all are purged", || {
        lab.engine.metrics().unwrap().purged >= 8
    });
}

#[test]
fn a_purge_drops_refusals() {
    let (provider, lab) = Numbering::lab("{}");
    provider.refuses.store(true, Ordering::SeqCst);
    assert_eq!(lab.pair("a", "s"), "MISS 401 CredentialsRefused");
    provider.refuses.store(false, Ordering::SeqCst);
    assert_eq!(lab.pair("a", "s"), "NEGATIVE 401 CredentialsRefused");
    lab.engine.purge(&lab.gate, Some("a")).unwrap();
    assert_eq!(lab.pair("a", "s"), "MISS a Bearer t1");
}

#[test]
fn an_exchange_in_progress_during_a_purge_is_served_and_not_cached() {
    let lab = Lab::new(ScriptedTransport::holding(provider));
    let queue = lab.queue();
    pending(lab.ask(&queue, "client_id=a&client_secret=right", 1));
    until("the exchange begins", || lab.transport.token_requests() > 0);
    lab.engine.purge_all(None).unwrap();
    lab.transport.gate.add_permits(10);
    assert_eq!(
        drain(&queue, 1),
        [(1, "MISS a Bearer token-of-a".to_owned())]
    );
    assert_eq!(lab.pair("a", "right"), "MISS a Bearer token-of-a");
    assert_eq!(lab.pair("a", "right"), "HIT a Bearer token-of-a");
}

#[test]
fn a_token_refused_upstream_is_dropped_once_unless_brand_new() {
    let (_, lab) = Numbering::lab("{}");
    let allow = |query: &str| match lab.blocking(query) {
        Outcome::Allow(allow) => allow,
        Outcome::Deny(deny) => panic!("{deny:?}"),
    };
    let query = "client_id=a&client_secret=s";
    let first = allow(query);
    let noted = |status| {
        let grant = first.grant().unwrap();
        lab.engine
            .note_upstream_status(first.rules(), grant, status)
    };
    assert!(!noted(401).unwrap(), "brand new");
    lab.advance(10);
    assert!(!noted(403).unwrap(), "another status");
    assert!(!noted(200).unwrap());
    assert!(noted(401).unwrap());
    assert!(!noted(401).unwrap(), "dropped already");
    assert_eq!(lab.pair("a", "s"), "MISS a Bearer t2");
    lab.advance(10);
    assert!(!noted(401).unwrap(), "another token has replaced it");
    assert_eq!(lab.pair("a", "s"), "HIT a Bearer t2");
}

#[test]
fn no_step_of_the_wall_clock_serves_an_expired_token() {
    for step in [-1, -3600, -86_400] {
        let (_, lab) = Numbering::lab(r#"{"refresh_ahead":1}"#);
        lab.pair("a", "s");
        lab.clock.step(step);
        assert_eq!(
            lab.pair("a", "s"),
            "HIT a Bearer t1",
            "{step}: the life is measured, not read"
        );
        lab.advance(99);
        assert_eq!(lab.pair("a", "s"), "HIT a Bearer t1", "{step}");
        lab.advance(1);
        assert_eq!(lab.pair("a", "s"), "MISS a Bearer t2", "{step}");
    }
}

#[test]
fn a_token_expires_while_the_machine_is_suspended() {
    let (_, lab) = Numbering::lab(r#"{"refresh_ahead":1}"#);
    lab.pair("a", "s");
    // The monotonic clock stands still.
    lab.clock.step(99);
    assert_eq!(lab.pair("a", "s"), "HIT a Bearer t1");
    lab.clock.step(1);
    assert_eq!(lab.pair("a", "s"), "MISS a Bearer t2");
    lab.clock.step(-3600);
    assert_eq!(lab.pair("a", "s"), "HIT a Bearer t2");
}

#[test]
fn every_request_with_a_cached_token_is_a_hit() {
    let (_, lab) = Numbering::lab(
        r#"{"auth_methods":["client_credentials","bearer"],"verify_signature":true}"#,
    );
    lab.pair("a", "s");
    for _ in 0..100 {
        assert_eq!(lab.pair("a", "s"), "HIT a Bearer t1");
    }
    assert_eq!(lab.transport.token_requests(), 1);
}

#[test]
fn without_a_cache_every_request_is_an_exchange() {
    let (_, lab) = Numbering::lab(r#"{"cache_tokens":false}"#);
    assert_eq!(lab.pair("a", "s"), "MISS a Bearer t1");
    assert_eq!(lab.pair("a", "s"), "MISS a Bearer t2");
    assert_eq!(lab.engine.metrics().unwrap().entries, 0);
}

#[test]
fn host_arguments_are_part_of_the_key() {
    let (_, lab) = Numbering::lab(r#"{"token_post_args_host":["audience","scope"]}"#);
    let ask = |args: &[&[u8]]| {
        let request = Request {
            query: Some(b"client_id=a&client_secret=s"),
            args,
            ..Request::default()
        };
        show(
            &lab.engine
                .authenticate_blocking(&lab.gate, &request)
                .unwrap(),
        )
    };
    assert_eq!(ask(&[b"x", b""]), "MISS a Bearer t1");
    assert_eq!(ask(&[b"y", b""]), "MISS a Bearer t2");
    assert_eq!(ask(&[b"", b"x"]), "MISS a Bearer t3", "another argument");
    assert_eq!(ask(&[b"x", b"x"]), "MISS a Bearer t4");
    assert_eq!(ask(&[b"x", b""]), "HIT a Bearer t1");
    for wrong in [0, 1, 3] {
        let answer = ask(&[b"".as_slice(); 3][..wrong]);
        assert!(answer.contains("500"), "{answer}");
    }
    let seen = lab.transport.seen.lock().unwrap();
    let forms: Vec<_> = seen
        .iter()
        .filter_map(|seen| seen.form.as_deref())
        .collect();
    assert!(forms[0].contains("audience=x") && forms[0].contains("scope=openid"));
    assert!(forms[2].contains("scope=x") && !forms[2].contains("audience"));
}

#[test]
fn caller_arguments_are_part_of_the_key() {
    let (_, lab) = Numbering::lab(r#"{"token_post_args_client":["scope","resource"]}"#);
    let ask = |extra: &str| show(&lab.blocking(&format!("client_id=a&client_secret=s{extra}")));
    assert_eq!(ask(""), "MISS a Bearer t1");
    assert_eq!(ask("&scope=x"), "MISS a Bearer t2");
    assert_eq!(ask("&resource=x"), "MISS a Bearer t3");
    assert_eq!(ask("&scope=x&resource=x"), "MISS a Bearer t4");
    assert_eq!(ask("&resource=x&resource=y"), "MISS a Bearer t5");
    assert_eq!(ask("&resource=xy"), "MISS a Bearer t6");
    assert_eq!(
        ask("&resource=x&scope=x"),
        "HIT a Bearer t4",
        "the order of names does not matter"
    );
    assert_eq!(
        ask("&audience=y"),
        "HIT a Bearer t1",
        "other arguments are ignored"
    );
    let seen = lab.transport.seen.lock().unwrap();
    let forms: Vec<_> = seen
        .iter()
        .filter_map(|seen| seen.form.as_deref())
        .collect();
    assert!(forms[0].contains("scope=openid"));
    assert!(forms[1].contains("scope=x") && !forms[1].contains("openid"));
    assert!(forms[4].contains("resource=x&resource=y"));
    assert!(forms.iter().all(|form| !form.contains("audience")));
}
