use super::*;
use crate::Gate;
use crate::http::scripted::{ScriptedTransport, reply};
use crate::sys::clock::manual::ManualClock;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The health of a provider with one permit, and a gate.
struct Bench {
    health: Health,
    env: Env,
    clock: Arc<ManualClock>,
    rules: Arc<Rules>,
}

impl Bench {
    fn new(config: &str) -> Bench {
        let mut json: serde_json::Value = serde_json::from_str(config).unwrap();
        json["issuer"] = "https://a.example".into();
        let clock = Arc::new(ManualClock::new());
        let transport = Arc::new(ScriptedTransport::new(|_| reply(500, "")));
        Bench {
            health: Health::new("https://a.example", 1, LONGEST_PAUSE),
            env: Env::new(transport, clock.clone()),
            clock,
            rules: Gate::from_json(&json.to_string()).unwrap().rules,
        }
    }

    /// Admits an exchange that need not wait, or denies it.
    fn admit(&self, client: u8) -> Result<Attempt<'_>, Denial> {
        self.admit_from(&Parties::for_test(client))
    }

    fn admit_from(&self, parties: &Parties) -> Result<Attempt<'_>, Denial> {
        self.admit_as(parties, false)
    }

    fn admit_as(&self, parties: &Parties, is_own: bool) -> Result<Attempt<'_>, Denial> {
        let (key, rules) = (parties.client, &*self.rules);
        let candidate = Candidate {
            rules,
            key: &key,
            is_own,
            parties,
            patience: &|| None,
        };
        let attempt = pin!(self.health.admit(&self.env, &candidate));
        poll(attempt).expect("a permit is free")
    }

    fn exchange(&self, client: u8, verdict: Verdict) {
        self.admit(client)
            .unwrap_or_else(|denial| panic!("{client}: {denial:?}"))
            .report(verdict);
    }

    fn denial(&self, client: u8) -> (Cause, Option<u32>) {
        let denial = self.admit(client).err().expect("denied");
        (denial.cause, denial.retry_after)
    }
}

fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

const REFUSED: Verdict = Verdict::Refused;
const BUSY: Verdict = Verdict::Busy {
    retry_after: Some(Duration::from_secs(30)),
};

#[test]
fn exchanges_without_a_token_draw_from_the_budgets_of_unknown_clients() {
    for (verdict, cause) in [
        (Verdict::Refused, Cause::TooManyRefusals),
        (Verdict::Rejected, Cause::TooManyRefusals),
        (Verdict::Failed, Cause::ProviderPaused),
        (Verdict::Busy { retry_after: None }, Cause::ProviderBusy),
    ] {
        let bench = Bench::new(r#"{"refusals_per_gate":6}"#);
        bench.exchange(100, Verdict::Granted);
        for client in 0..6 {
            bench.exchange(client, verdict);
        }
        assert_eq!(bench.denial(7), (cause, Some(10)), "{verdict:?}");
        // A client's refusals are nothing for the operator's log; the provider's failures are.
        let detail = bench.admit(7).err().unwrap().detail;
        assert_eq!(detail.is_empty(), cause == Cause::TooManyRefusals);
        // A known client draws nothing, and is not concerned.
        for _ in 0..10 {
            bench.exchange(100, Verdict::Rejected);
        }
        bench.exchange(100, Verdict::Granted);
    }
}

#[test]
fn further_requests_of_an_unknown_client_draw_from_shared_budgets() {
    let bench = Bench::new(r#"{"refusals_per_gate":2,"refusals_per_client":1}"#);
    bench.exchange(100, Verdict::Granted);
    let attempt = bench.admit(1).ok().unwrap();
    assert!(attempt.may_retry(), "its own budget is not concerned");
    assert!(!attempt.may_retry());
    drop(attempt);
    let known = bench.admit(100).ok().unwrap();
    assert!((0..3).all(|_| known.may_retry()));
}

#[test]
fn connection_failures_draw_from_no_budget() {
    let bench = Bench::new(r#"{"refusals_per_gate":2,"refusals_per_client":2}"#);
    for _ in 0..4 {
        bench.exchange(1, Verdict::Unreachable);
    }
    bench.exchange(1, Verdict::Granted);
}

#[test]
fn a_source_draws_from_its_own_budget_first() {
    let bench = Bench::new(r#"{"refusals_per_source":3,"refusals_per_gate":10}"#);
    let from = |client, source| Parties {
        source: Some(Key::for_test(source)),
        ..Parties::for_test(client)
    };
    for client in 0..3 {
        let attempt = bench.admit_from(&from(client, 200)).ok().unwrap();
        attempt.report(REFUSED);
    }
    let denial = bench.admit_from(&from(9, 200)).err().unwrap();
    assert_eq!(denial.cause, Cause::TooManyRefusals);
    let other = bench.admit_from(&from(9, 201)).ok().unwrap();
    other.report(Verdict::Granted);
}

#[test]
fn a_revoked_client_is_no_longer_known() {
    let bench = Bench::new(r#"{"refusals_per_client":2}"#);
    bench.exchange(1, Verdict::Granted);
    bench.exchange(1, REFUSED);
    for _ in 0..2 {
        bench.exchange(1, REFUSED);
    }
    assert_eq!(bench.denial(1), (Cause::TooManyRefusals, Some(30)));
}

#[test]
fn a_429_keeps_unknown_clients_away_and_known_ones_go_on() {
    let bench = Bench::new("{}");
    bench.exchange(1, Verdict::Granted);
    bench.exchange(2, BUSY);
    assert_eq!(bench.denial(3), (Cause::ProviderBusy, Some(30)));
    bench.exchange(1, Verdict::Failed);
    bench.clock.advance(Duration::from_secs(12));
    assert_eq!(bench.denial(3), (Cause::ProviderBusy, Some(18)));
    bench.exchange(1, Verdict::Granted);
    bench.exchange(3, Verdict::Granted);
}

#[test]
fn a_429_keeps_unknown_clients_away_for_a_minute_at_most() {
    let bench = Bench::new("{}");
    let hour = Some(Duration::from_secs(3600));
    bench.exchange(2, Verdict::Busy { retry_after: hour });
    assert_eq!(bench.denial(3), (Cause::ProviderBusy, Some(60)));
    bench.clock.advance(LONGEST_BUSY);
    bench.exchange(3, Verdict::Granted);
}

#[test]
fn a_success_that_began_before_a_429_does_not_lift_it() {
    let mut bench = Bench::new("{}");
    bench.health = Health::new("https://a.example", 2, LONGEST_PAUSE);
    let early = bench.admit(1).ok().unwrap();
    bench.clock.advance(Duration::from_millis(1));
    bench.exchange(2, BUSY);
    early.report(Verdict::Granted);
    assert_eq!(bench.denial(3), (Cause::ProviderBusy, Some(30)));
}

#[test]
fn an_exchange_that_had_to_wait_begins_only_if_it_can_end_in_time() {
    let bench = Bench::new("{}");
    let seconds = |seconds| Duration::from_secs(seconds);
    let begins_at = |deadline: Option<Instant>| {
        let held = bench.admit(1).ok().unwrap();
        let parties = Parties::for_test(2);
        let key = parties.client;
        let patience = move || {
            deadline.map(|until| Patience {
                until,
                timeout: Duration::ZERO,
            })
        };
        let candidate = Candidate {
            rules: &bench.rules,
            key: &key,
            is_own: false,
            parties: &parties,
            patience: &patience,
        };
        let mut waiting = pin!(bench.health.admit(&bench.env, &candidate));
        assert!(poll(waiting.as_mut()).is_none());
        bench.clock.advance(seconds(4));
        held.report(Verdict::Granted);
        let admitted = poll(waiting).expect("a permit is free");
        admitted.map(drop).map_err(|denial| denial.cause)
    };
    // Every exchange takes four seconds.
    let now = || bench.env.clock.now();
    assert_eq!(begins_at(Some(now() + seconds(8))), Ok(()));
    let overloaded = Err(Cause::Overloaded);
    assert_eq!(begins_at(Some(now() + seconds(7))), overloaded);
    assert_eq!(begins_at(None), overloaded, "nobody waits any longer");
    // Without a wait, it begins in any case.
    bench.exchange(3, Verdict::Granted);
}

#[test]
fn an_abandoned_exchange_is_no_failure() {
    let bench = Bench::new("{}");
    bench.exchange(1, Verdict::Granted);
    for client in 0..100 {
        drop(bench.admit(client).ok().unwrap());
    }
    for client in 0..5 {
        bench.exchange(client, Verdict::Unreachable);
    }
    assert_eq!(bench.denial(9), (Cause::ProviderPaused, Some(1)));
    bench.clock.advance(Duration::from_secs(1));
    drop(bench.admit(1).ok().unwrap());
    bench.exchange(1, Verdict::Granted);
}

#[test]
fn an_exchange_that_is_no_probe_gives_no_probe_up() {
    let mut bench = Bench::new("{}");
    bench.health = Health::new("https://a.example", 2, LONGEST_PAUSE);
    let late = bench.admit(9).ok().unwrap();
    for client in 0..5 {
        bench.exchange(client, Verdict::Unreachable);
    }
    bench.clock.advance(Duration::from_secs(1));
    let probe = bench.admit(1).ok().unwrap();
    drop(late);
    assert_eq!(bench.denial(2), (Cause::ProviderPaused, Some(1)));
    drop(probe);
    bench.exchange(2, Verdict::Granted);
}

#[test]
fn the_usual_duration_follows_by_an_eighth() {
    let bench = Bench::new("{}");
    bench.health.note_duration(Duration::from_millis(8));
    assert_eq!(bench.health.usual(), Duration::from_millis(8));
    bench.health.note_duration(Duration::from_millis(16));
    assert_eq!(bench.health.usual(), Duration::from_millis(9));
}

#[test]
fn an_open_breaker_denies_without_waiting_for_a_permit() {
    let bench = Bench::new("{}");
    for client in 0..5 {
        bench.exchange(client, Verdict::Unreachable);
    }
    bench.clock.advance(Duration::from_secs(1));
    let probe = bench.admit(1).ok().unwrap();
    // The only permit is the probe's.
    assert_eq!(bench.denial(2), (Cause::ProviderPaused, Some(1)));
    drop(probe);
}

#[test]
fn unknown_clients_probe_at_once_if_no_client_has_had_a_token() {
    for (has_known, expected) in [(true, Err(Cause::ProviderPaused)), (false, Ok(()))] {
        let bench = Bench::new("{}");
        if has_known {
            bench.exchange(100, Verdict::Granted);
        }
        // The gateway's own client counts as known, with or without a token.
        let parties = Parties::for_test(0);
        let attempt = bench.admit_as(&parties, true).ok().unwrap();
        attempt.report(Verdict::Failed);
        for client in 1..5 {
            bench.exchange(client, Verdict::Failed);
        }
        bench.clock.advance(Duration::from_secs(1));
        let admitted = bench.admit(7).map(drop).map_err(|denial| denial.cause);
        assert_eq!(admitted, expected);
    }
}
