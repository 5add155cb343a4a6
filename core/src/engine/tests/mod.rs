mod caching;
mod clients;
mod endpoints;
mod introspection;
mod limits;
mod own;
mod own_key;
mod secret_files;
#[cfg(feature = "sqlite")]
mod sharing;
mod tokens;
mod traceparent;

use super::*;
use crate::cache::completions::Ticket;
use crate::engine::queue::{Authentication, Queue};
use crate::http::scripted::{ScriptedTransport, Seen, reply};
use crate::http::{Fault, Obstacle, Response};
use crate::sys::clock::manual::ManualClock;
use crate::testing::until;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;
use std::time::Duration;

const DOCUMENT: &str = r#"{"issuer":"https://a.example","token_endpoint":"https://a.example/token","token_endpoint_auth_methods_supported":["client_secret_post"]}"#;

/// A provider that accepts the secret `right`, and issues a token per client, valid for an hour.
fn provider(seen: &Seen) -> Result<Response, Fault> {
    match &seen.form {
        None => reply(200, DOCUMENT),
        Some(form) if form.contains("client_secret=right") => {
            let id = form
                .split("client_id=")
                .nth(1)
                .unwrap()
                .split('&')
                .next()
                .unwrap();
            reply(
                200,
                &format!(
                    r#"{{"access_token":"token-of-{id}","token_type":"Bearer","expires_in":3600}}"#
                ),
            )
        }
        Some(_) => reply(401, r#"{"error":"invalid_client"}"#),
    }
}

struct Lab {
    transport: Arc<ScriptedTransport>,
    clock: Arc<ManualClock>,
    engine: Engine,
    gate: Gate,
}

impl Lab {
    /// A lab with this configuration.
    fn with(config: &str, transport: ScriptedTransport) -> Lab {
        Lab::with_options(EngineOptions::default(), config, transport)
    }

    /// A lab with these options and this configuration.
    fn with_options(options: EngineOptions, config: &str, transport: ScriptedTransport) -> Lab {
        let (transport, clock) = (Arc::new(transport), Arc::new(ManualClock::new()));
        Lab {
            engine: Engine::with_parts(options, transport.clone(), clock.clone()).unwrap(),
            transport,
            clock,
            gate: gate(config),
        }
    }

    /// Waits until no flight is in progress.
    fn settle(&self) {
        until("no flight is in progress", || {
            self.engine.inner.shared.flights.count() == 0
        });
    }

    /// Runs a call that waits for the clock, and wakes it after these times, one after the other.
    fn waking<T: Send>(&self, milliseconds: &[u64], call: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let called = scope.spawn(call);
            for by in milliseconds {
                self.clock.wake(Duration::from_millis(*by));
            }
            called.join().unwrap()
        })
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// The outcome of a pair, in short: `HIT a Bearer t`.
    fn pair(&self, id: &str, secret: &str) -> String {
        show(&self.blocking(&format!("client_id={id}&client_secret={secret}")))
    }

    fn new(transport: ScriptedTransport) -> Lab {
        Lab::with("{}", transport)
    }

    fn queue(&self) -> Queue {
        Queue::new(&self.engine).unwrap()
    }

    fn ask(&self, queue: &Queue, query: &str, user_data: usize) -> Authentication {
        let request = Request {
            query: Some(query.as_bytes()),
            ..Request::default()
        };
        queue.authenticate(&self.gate, &request, user_data).unwrap()
    }

    fn blocking(&self, query: &str) -> Outcome {
        let request = Request {
            query: Some(query.as_bytes()),
            ..Request::default()
        };
        self.engine
            .authenticate_blocking(&self.gate, &request)
            .unwrap()
    }
}

/// A gate of `https://a.example` with these additional settings.
fn gate(config: &str) -> Gate {
    let mut json: serde_json::Value = serde_json::from_str(config).unwrap();
    json["issuer"] = "https://a.example".into();
    Gate::from_json(&json.to_string()).unwrap()
}

fn pending(authentication: Authentication) -> Ticket {
    match authentication {
        Authentication::Pending(ticket) => ticket,
        Authentication::Ready(outcome) => panic!("not pending: {outcome:?}"),
    }
}

/// Waits for `count` completions, as an event loop does.
fn drain(queue: &Queue, count: usize) -> Vec<(usize, String)> {
    let mut drained = Vec::new();
    while drained.len() < count {
        let mut fds = [PollFd::new(queue.as_fd(), PollFlags::POLLIN)];
        assert_eq!(
            poll(&mut fds, PollTimeout::from(20_000u16)).unwrap(),
            1,
            "no completion; so far {drained:?}"
        );
        while let Some(completion) = queue.next().unwrap() {
            drained.push((completion.user_data, show(&completion.outcome)));
        }
    }
    drained.sort();
    drained
}

fn show(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Allow(allow) => format!(
            "{} {} {}",
            allow.cache_status().name(),
            allow.client_id().unwrap_or_default(),
            allow.authorization().unwrap_or_default()
        ),
        Outcome::Deny(deny) => {
            format!(
                "{} {} {:?}",
                deny.cache_status().name(),
                deny.http_status(),
                deny.cause()
            )
        }
    }
}

#[test]
fn a_miss_is_exchanged_once_and_then_a_hit() {
    let lab = Lab::new(ScriptedTransport::new(provider));
    let query = "client_id=a&client_secret=right";
    assert_eq!(show(&lab.blocking(query)), "MISS a Bearer token-of-a");
    assert_eq!(show(&lab.blocking(query)), "HIT a Bearer token-of-a");
    assert_eq!(
        show(&lab.blocking("client_secret=right&client_id=b")),
        "MISS b Bearer token-of-b"
    );
    assert_eq!(lab.transport.token_requests(), 2);
}

#[test]
fn a_wrong_secret_never_hits_the_cache() {
    let lab = Lab::new(ScriptedTransport::new(provider));
    lab.blocking("client_id=a&client_secret=right");
    assert_eq!(
        show(&lab.blocking("client_id=a&client_secret=wrong")),
        "MISS 401 CredentialsRefused"
    );
    assert_eq!(
        show(&lab.blocking("client_id=a")),
        "NONE 400 IncompletePair"
    );
    assert_eq!(show(&lab.blocking("x=1")), "NONE 401 NoCredentials");
    assert_eq!(
        show(&lab.blocking("client_id=a&client_secret=right")),
        "HIT a Bearer token-of-a"
    );
}

#[test]
fn concurrent_misses_for_one_token_cause_one_exchange() {
    let lab = Lab::new(ScriptedTransport::holding(provider));
    let queue = lab.queue();
    for user_data in 0..100 {
        let id = if user_data % 2 == 0 { "even" } else { "odd" };
        pending(lab.ask(
            &queue,
            &format!("client_id={id}&client_secret=right"),
            user_data,
        ));
    }
    lab.transport.gate.add_permits(2);
    let outcomes = drain(&queue, 100);
    assert_eq!(outcomes[0].1, "MISS even Bearer token-of-even");
    assert_eq!(outcomes[1].1, "MISS odd Bearer token-of-odd");
    assert_eq!(outcomes[98].1, "JOINED even Bearer token-of-even");
    assert_eq!(outcomes[99].1, "JOINED odd Bearer token-of-odd");
    assert_eq!(lab.transport.token_requests(), 2);
    assert!(matches!(
        lab.ask(&queue, "client_id=odd&client_secret=right", 0),
        Authentication::Ready(Outcome::Allow(_))
    ));
}

#[test]
fn authenticate_at_once_starts_no_exchange() {
    let lab = Lab::new(ScriptedTransport::new(provider));
    let at_once = |query: &str| {
        let request = Request {
            query: Some(query.as_bytes()),
            ..Request::default()
        };
        let known = lab.engine.authenticate_at_once(&lab.gate, &request);
        known.unwrap().as_ref().map(show)
    };
    let query = "client_id=a&client_secret=right";
    assert_eq!(at_once(query), None);
    assert_eq!(lab.engine.inner.shared.flights.count(), 0);
    lab.blocking(query);
    assert_eq!(at_once(query), Some("HIT a Bearer token-of-a".to_owned()));
    assert_eq!(at_once("x=1"), Some("NONE 401 NoCredentials".to_owned()));
    lab.blocking("client_id=a&client_secret=wrong");
    assert_eq!(
        at_once("client_id=a&client_secret=wrong"),
        Some("NEGATIVE 401 CredentialsRefused".to_owned())
    );
    assert_eq!(lab.transport.token_requests(), 2);
}

#[test]
fn a_thread_can_wait_in_slices() {
    let lab = Lab::new(ScriptedTransport::holding(provider));
    let queue = lab.queue();
    let ticket = pending(lab.ask(&queue, "client_id=a&client_secret=right", 7));
    assert!(queue.wait(Duration::ZERO).unwrap().is_none());
    assert!(queue.wait(Duration::from_millis(1)).unwrap().is_none());
    lab.transport.gate.add_permits(1);
    let completion = queue.wait(Duration::MAX).unwrap().unwrap();
    assert_eq!((completion.ticket, completion.user_data), (ticket, 7));
    assert_eq!(show(&completion.outcome), "MISS a Bearer token-of-a");
    assert!(queue.wait(Duration::ZERO).unwrap().is_none());
}

#[test]
fn waiters_survive_their_leader() {
    let lab = Lab::new(ScriptedTransport::holding(provider));
    let (leading, following) = (lab.queue(), lab.queue());
    let query = "client_id=a&client_secret=right";
    let leader = pending(lab.ask(&leading, query, 1));
    pending(lab.ask(&following, query, 2));
    leading.cancel(leader).unwrap();
    drop(leading);
    lab.transport.gate.add_permits(1);
    assert_eq!(
        drain(&following, 1),
        [(2, "MISS a Bearer token-of-a".to_owned())]
    );
}

#[test]
fn an_expired_token_is_not_served() {
    let mut lab = Lab::new(ScriptedTransport::new(provider));
    lab.gate = Gate::from_json(r#"{"issuer":"https://a.example","refresh_ahead":1}"#).unwrap();
    let query = "client_id=a&client_secret=right";
    lab.blocking(query);
    lab.clock.advance(Duration::from_secs(3594));
    assert!(show(&lab.blocking(query)).starts_with("HIT"));
    lab.clock.advance(Duration::from_secs(1));
    assert!(show(&lab.blocking(query)).starts_with("MISS"));
}

#[test]
fn an_uncacheable_token_serves_its_waiters_only() {
    let lab = Lab::new(ScriptedTransport::holding(|seen| match seen.form {
        None => reply(200, DOCUMENT),
        Some(_) => reply(
            200,
            r#"{"access_token":"t","token_type":"Bearer","expires_in":0}"#,
        ),
    }));
    let queue = lab.queue();
    let query = "client_id=a&client_secret=right";
    pending(lab.ask(&queue, query, 1));
    pending(lab.ask(&queue, query, 2));
    lab.transport.gate.add_permits(1);
    assert_eq!(
        drain(&queue, 2),
        [
            (1, "MISS a Bearer t".to_owned()),
            (2, "JOINED a Bearer t".to_owned())
        ]
    );
    pending(lab.ask(&queue, query, 3));
    lab.transport.gate.add_permits(1);
    assert_eq!(drain(&queue, 1), [(3, "MISS a Bearer t".to_owned())]);
    assert_eq!(lab.transport.token_requests(), 2);
}

#[test]
fn a_panic_in_an_exchange_denies_its_waiters_and_the_engine_survives() {
    let lab = Lab::new(ScriptedTransport::new(|seen| match &seen.form {
        Some(form) if form.contains("client_id=bad") => panic!("planted"),
        _ => provider(seen),
    }));
    assert_eq!(
        show(&lab.blocking("client_id=bad&client_secret=right")),
        "MISS 500 Internal"
    );
    assert_eq!(
        show(&lab.blocking("client_id=a&client_secret=right")),
        "MISS a Bearer token-of-a"
    );
}

#[test]
fn dropping_an_engine_with_an_open_flight_returns() {
    let lab = Lab::new(ScriptedTransport::holding(provider));
    let queue = lab.queue();
    pending(lab.ask(&queue, "client_id=a&client_secret=right", 1));
    drop(queue);
    drop(lab);
}

#[test]
fn the_cache_is_bounded_in_bytes() {
    let options = EngineOptions {
        cache_max_bytes: 64 * 1024,
        ..EngineOptions::default()
    };
    let (transport, clock) = (
        Arc::new(ScriptedTransport::new(provider)),
        Arc::new(ManualClock::new()),
    );
    let engine = Engine::with_parts(options, transport.clone(), clock).unwrap();
    let gate = Gate::from_json(r#"{"issuer":"https://a.example"}"#).unwrap();
    let ask = |client: usize| {
        let query = format!("client_id=client{client}&client_secret=right");
        let request = Request {
            query: Some(query.as_bytes()),
            ..Request::default()
        };
        engine.authenticate_blocking(&gate, &request).unwrap()
    };
    (0..1000).for_each(|client| drop(ask(client)));
    let hits = (0..1000)
        .filter(|client| show(&ask(*client)).starts_with("HIT"))
        .count();
    assert!(
        hits < 64 * 1024 / 256,
        "{hits} tokens of at least 256 bytes in 64 KiB"
    );
    assert_eq!(transport.token_requests(), 2000 - hits);
    let bytes = engine.metrics().unwrap().bytes;
    assert!((32 * 1024..=64 * 1024).contains(&bytes), "{bytes}");
}

#[test]
fn engines_with_equal_options_are_shared() {
    let options = EngineOptions {
        cache_max_bytes: 12_345,
        ..EngineOptions::default()
    };
    let (one, two) = (
        Engine::shared(options.clone()).unwrap(),
        Engine::shared(options).unwrap(),
    );
    assert!(Arc::ptr_eq(&one.inner, &two.inner));
    let other = Engine::shared(EngineOptions::default()).unwrap();
    assert!(!Arc::ptr_eq(&one.inner, &other.inner));
}

#[test]
fn invalid_engine_options_are_errors() {
    for json in [
        "[]",
        "{",
        r#"{"cache_max_byte":1}"#,
        r#"{"cache_max_bytes":0}"#,
        r#"{"cache_max_bytes":"1"}"#,
    ] {
        assert_eq!(
            EngineOptions::from_json(json).unwrap_err().kind(),
            ErrorKind::ConfigValue,
            "{json}"
        );
    }
    assert_eq!(
        EngineOptions::from_json("{}").unwrap(),
        EngineOptions::default()
    );
}
