//! The circuit breaker of a provider. It judges by distinct clients, so that no client alone can open it.

use crate::key::Key;
use crate::sys::sync::{Mutex, MutexGuard};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// The number of distinct clients, or of failed connections in a row, that opens the breaker.
const FAILURES: usize = 5;
/// The first pause; it doubles with each probe that fails.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The time after a pause in which only known clients probe.
const KNOWN_FIRST: Duration = Duration::from_secs(1);

pub(super) struct Breaker {
    state: Mutex<State>,
    longest_pause: Duration,
}

#[derive(Default)]
struct State {
    /// The distinct clients that failed since the last success.
    failing: Vec<Key>,
    /// One of them is known to the provider, so the failures are not its own.
    is_known_failing: bool,
    /// Failed connections in a row.
    unreachable: usize,
    open: Option<Open>,
    /// Whether [`Breaker::turn`] has reported it as open.
    is_reported: bool,
}

struct Open {
    until: Instant,
    pause: Duration,
    /// Connections failed, not responses.
    by_connections: bool,
    is_probing: bool,
}

/// The client of an exchange.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject {
    pub(super) client: Key,
    /// The provider has granted it a token before.
    pub(super) is_known: bool,
}

/// The evidence that an exchange gives of its provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Evidence {
    /// A token.
    Granted,
    /// A complete response without a token, for a reason of the client's or its own.
    Responded,
    /// A 5xx, or no complete response: the provider's trouble or this client's.
    Failed,
    /// No connection: the provider's trouble.
    Unreachable,
}

/// The visible state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BreakerState {
    Closed,
    Open,
}

impl Breaker {
    pub(super) fn new(longest_pause: Duration) -> Breaker {
        Breaker {
            state: Mutex::default(),
            longest_pause,
        }
    }

    /// Whether an exchange would be admitted; otherwise the time until the next attempt is worthwhile. `has_known`:
    /// there are known clients, who probe first.
    pub(super) fn check(
        &self,
        subject: &Subject,
        has_known: bool,
        now: Instant,
    ) -> Result<(), Duration> {
        self.state()
            .wait(subject, has_known, now)
            .map_or(Ok(()), Err)
    }

    /// Admits an exchange as [`check`](Breaker::check) does. True: it is the probe, which must report, or be given up
    /// with [`abandon`](Breaker::abandon).
    pub(super) fn admit(
        &self,
        subject: &Subject,
        has_known: bool,
        now: Instant,
    ) -> Result<bool, Duration> {
        let mut state = self.state();
        if let Some(wait) = state.wait(subject, has_known, now) {
            return Err(wait);
        }
        let Some(open) = &mut state.open else {
            return Ok(false);
        };
        open.is_probing = true;
        Ok(true)
    }

    /// Gives a probe up without evidence.
    pub(super) fn abandon(&self) {
        if let Some(open) = &mut self.state().open {
            open.is_probing = false;
        }
    }

    pub(super) fn report(
        &self,
        evidence: Evidence,
        subject: &Subject,
        is_probe: bool,
        now: Instant,
    ) {
        let mut state = self.state();
        if evidence == Evidence::Granted || evidence == Evidence::Responded && subject.is_known {
            *state = State {
                is_reported: state.is_reported,
                ..State::default()
            };
            return;
        }
        let longest_pause = self.longest_pause;
        if let Some(open) = &mut state.open {
            if !is_probe {
                // It began before the breaker opened, and carries no new information.
                return;
            }
            open.is_probing = false;
            match evidence {
                // Connections work again. The failures that follow count anew.
                Evidence::Responded | Evidence::Failed if open.by_connections => state.open = None,
                Evidence::Unreachable => open.lengthen(longest_pause, now),
                Evidence::Failed if subject.is_known => open.lengthen(longest_pause, now),
                // The trouble may be this client's own: the next client probes at once.
                _ => return,
            }
            if state.open.is_some() {
                return;
            }
        }
        match evidence {
            Evidence::Unreachable => state.unreachable += 1,
            Evidence::Failed => {
                state.unreachable = 0;
                state.is_known_failing |= subject.is_known;
                if state.failing.len() < FAILURES && !state.failing.contains(&subject.client) {
                    state.failing.push(subject.client);
                }
            }
            Evidence::Granted | Evidence::Responded => state.unreachable = 0,
        }
        let by_connections = state.unreachable >= FAILURES;
        if by_connections || state.failing.len() >= FAILURES && state.is_known_failing {
            let pause = FIRST_PAUSE.min(longest_pause);
            state.open = Some(Open {
                until: now + pause,
                pause,
                by_connections,
                is_probing: false,
            });
        }
    }

    pub(super) fn state_now(&self) -> BreakerState {
        self.state().visible()
    }

    /// The change of state since the last call.
    pub(super) fn turn(&self) -> Option<BreakerState> {
        let mut state = self.state();
        let is_open = state.open.is_some();
        if std::mem::replace(&mut state.is_reported, is_open) == is_open {
            return None;
        }
        Some(state.visible())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wait(&self, subject: &Subject, has_known: bool, now: Instant) -> Option<Duration> {
        let open = self.open.as_ref()?;
        let from = if subject.is_known || !has_known || open.by_connections {
            open.until
        } else {
            open.until + KNOWN_FIRST
        };
        let left = from.saturating_duration_since(now);
        if !left.is_zero() {
            return Some(left);
        }
        open.is_probing.then_some(open.pause)
    }

    fn visible(&self) -> BreakerState {
        match self.open {
            None => BreakerState::Closed,
            Some(_) => BreakerState::Open,
        }
    }
}

impl Open {
    fn lengthen(&mut self, longest_pause: Duration, now: Instant) {
        self.pause = (self.pause * 2).min(longest_pause);
        self.until = now + self.pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(10);

    fn client(number: u8, is_known: bool) -> Subject {
        Subject {
            client: Key::for_test(number.into()),
            is_known,
        }
    }

    /// An admitted exchange with this evidence.
    #[track_caller]
    fn exchange(breaker: &Breaker, subject: Subject, evidence: Evidence, now: Instant) {
        let is_probe = breaker.admit(&subject, true, now).unwrap();
        breaker.report(evidence, &subject, is_probe, now);
    }

    fn is_open(breaker: &Breaker) -> bool {
        breaker.state_now() == BreakerState::Open
    }

    #[test]
    fn one_client_never_opens_the_breaker() {
        let (breaker, now) = (Breaker::new(LONGEST), Instant::now());
        for _ in 0..1000 {
            exchange(&breaker, client(1, true), Evidence::Failed, now);
        }
        assert!(!is_open(&breaker));
    }

    #[test]
    fn unknown_clients_never_open_the_breaker() {
        let (breaker, now) = (Breaker::new(LONGEST), Instant::now());
        for number in 0..200 {
            exchange(&breaker, client(number, false), Evidence::Failed, now);
        }
        assert!(!is_open(&breaker));
        exchange(&breaker, client(200, true), Evidence::Failed, now);
        assert!(is_open(&breaker), "a known client fails as well");
    }

    #[test]
    fn a_success_starts_the_count_again() {
        let (breaker, now) = (Breaker::new(LONGEST), Instant::now());
        for _ in 0..10 {
            for number in 0..4 {
                exchange(&breaker, client(number, true), Evidence::Failed, now);
            }
            exchange(&breaker, client(9, false), Evidence::Granted, now);
        }
        assert!(!is_open(&breaker));
    }

    #[test]
    fn refusals_of_unknown_clients_do_not_hide_failures_of_known_ones() {
        let (breaker, now) = (Breaker::new(LONGEST), Instant::now());
        for number in 0..5 {
            exchange(&breaker, client(number, true), Evidence::Failed, now);
            if number < 4 {
                exchange(&breaker, client(9, false), Evidence::Responded, now);
            }
        }
        assert!(is_open(&breaker));
    }

    #[test]
    fn failed_connections_of_any_client_open_the_breaker() {
        let (breaker, now) = (Breaker::new(LONGEST), Instant::now());
        for _ in 0..5 {
            exchange(&breaker, client(1, false), Evidence::Unreachable, now);
        }
        assert!(is_open(&breaker));
        let later = now + FIRST_PAUSE;
        exchange(&breaker, client(1, false), Evidence::Responded, later);
        assert!(!is_open(&breaker), "a refusal shows that connections work");
    }

    #[test]
    fn one_client_probes_after_each_pause_and_the_pause_is_bounded() {
        let (breaker, mut now) = (Breaker::new(LONGEST), Instant::now());
        let known = client(1, true);
        for number in 0..5 {
            exchange(&breaker, client(number, true), Evidence::Failed, now);
        }
        for pause in [1, 2, 4, 8, 10, 10] {
            let pause = Duration::from_secs(pause);
            assert_eq!(breaker.admit(&known, true, now), Err(pause));
            now += pause;
            assert_eq!(breaker.admit(&known, true, now), Ok(true));
            assert_eq!(
                breaker.admit(&known, true, now),
                Err(pause),
                "one at a time"
            );
            breaker.report(Evidence::Failed, &known, true, now);
        }
        now += LONGEST;
        exchange(&breaker, known, Evidence::Granted, now);
        assert!(!is_open(&breaker));
    }

    #[test]
    fn known_clients_probe_first() {
        let (breaker, now) = (Breaker::new(LONGEST), Instant::now());
        for number in 0..5 {
            exchange(&breaker, client(number, true), Evidence::Failed, now);
        }
        let after = now + FIRST_PAUSE;
        assert_eq!(
            breaker.admit(&client(8, false), true, after),
            Err(KNOWN_FIRST)
        );
        assert_eq!(
            breaker.check(&client(8, false), false, after),
            Ok(()),
            "there are none"
        );
        assert_eq!(breaker.admit(&client(1, true), true, after), Ok(true));
    }

    #[test]
    fn a_failing_probe_of_an_unknown_client_does_not_lengthen_the_pause() {
        let (breaker, now) = (Breaker::new(LONGEST), Instant::now());
        for number in 0..5 {
            exchange(&breaker, client(number, true), Evidence::Failed, now);
        }
        let after = now + FIRST_PAUSE + KNOWN_FIRST;
        for number in 0..100 {
            exchange(&breaker, client(number, false), Evidence::Failed, after);
        }
        assert_eq!(breaker.admit(&client(1, true), true, after), Ok(true));
        breaker.abandon();
        exchange(&breaker, client(7, false), Evidence::Granted, after);
        assert!(!is_open(&breaker));
    }

    #[test]
    fn a_probe_without_a_connection_lengthens_the_pause() {
        let (breaker, now) = (Breaker::new(LONGEST), Instant::now());
        for _ in 0..5 {
            exchange(&breaker, client(1, false), Evidence::Unreachable, now);
        }
        let later = now + FIRST_PAUSE;
        exchange(&breaker, client(1, false), Evidence::Unreachable, later);
        assert_eq!(
            breaker.check(&client(1, false), true, later),
            Err(2 * FIRST_PAUSE)
        );
    }

    #[test]
    fn late_failures_do_not_lengthen_the_pause() {
        let (breaker, now) = (Breaker::new(LONGEST), Instant::now());
        let attempts: Vec<_> = (0..100).map(|number| client(number, true)).collect();
        for subject in &attempts {
            assert_eq!(breaker.admit(subject, true, now), Ok(false));
        }
        for subject in &attempts {
            breaker.report(Evidence::Failed, subject, false, now);
        }
        assert_eq!(breaker.admit(&client(1, true), true, now), Err(FIRST_PAUSE));
    }

    #[test]
    fn each_change_of_state_is_reported_once() {
        let (breaker, now) = (Breaker::new(LONGEST), Instant::now());
        assert_eq!(breaker.turn(), None);
        for _ in 0..5 {
            exchange(&breaker, client(1, false), Evidence::Unreachable, now);
        }
        assert_eq!(breaker.turn(), Some(BreakerState::Open));
        assert_eq!(breaker.turn(), None);
        exchange(
            &breaker,
            client(1, false),
            Evidence::Granted,
            now + FIRST_PAUSE,
        );
        assert_eq!(breaker.turn(), Some(BreakerState::Closed));
    }
}
