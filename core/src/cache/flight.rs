//! Flights: exchanges in progress, with their waiters. One exchange per key at a time.

use crate::cache::completions::{Completions, Ticket};
use crate::cache_status::CacheStatus;
use crate::cause::{Cause, Denial};
use crate::env::Env;
use crate::gate::Rules;
use crate::key::{Key, KeyHash};
use crate::metrics::clients::Requests;
use crate::outcome::Outcome;
use crate::provider::patience::Patience;
use crate::request::Source;
use crate::sys::sync::{Mutex, MutexGuard};
use crate::token::Grant;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::iter::{once, repeat};
use std::sync::{Arc, PoisonError, mpsc};
use std::time::Instant;

/// The flights of an engine, by the key of their token.
pub(crate) struct Flights {
    table: Mutex<Table>,
    /// The maximum number of waiting requests, in all flights. As many flights without waiters may exist besides: a
    /// cancelled waiter does not end its flight.
    max_waiting: usize,
}

#[derive(Default)]
struct Table {
    flights: HashMap<Key, Flight, KeyHash>,
    waiting: usize,
    /// Those of `waiting` that wait for the verification of their own token.
    verifying: usize,
    /// The size of the tokens to be verified, in bytes.
    verifying_bytes: usize,
}

#[derive(Default)]
struct Flight {
    /// The first opened the flight, unless it is a refresh.
    waiters: Vec<Waiter>,
    is_refresh: bool,
    /// The size of the client's own token, if the flight verifies one.
    token_bytes: usize,
    /// The deadline that the I/O thread waits for.
    watched: Option<Instant>,
}

/// The maximum size of the tokens to be verified, in bytes: clients make them up for free.
const MAX_VERIFYING_BYTES: usize = 1024 * 1024;
/// The divisor of `max_waiting` that gives the maximum number of requests that wait for a verification.
const VERIFYING_SHARE: usize = 4;

const TOO_MANY: &str = "more requests are waiting than max_waiting allows";
const TOO_MANY_VERIFYING: &str =
    "more clients' own tokens are waiting for verification than a quarter of max_waiting";
const TOO_MANY_BYTES: &str = "clients' own tokens that wait for verification exceed 1 MiB together";

/// A request that waits for a flight. Waiters share only the result: cancelling one does not affect the others.
pub(crate) struct Waiter {
    pub(crate) rules: Arc<Rules>,
    pub(crate) source: Source,
    pub(crate) recipient: Recipient,
    /// Its own deadline: gates that share a flight may have different timeouts.
    pub(crate) deadline: Instant,
    /// The counters of its client, if it is known before the flight lands.
    pub(crate) requests: Arc<Requests>,
}

/// The recipient of a waiter's outcome.
pub(crate) enum Recipient {
    /// An event loop.
    Queue(Arc<Completions>, Ticket),
    /// A blocked thread.
    Call(mpsc::Sender<Outcome>),
}

impl Recipient {
    fn is(&self, completions: &Completions, ticket: Ticket) -> bool {
        match self {
            Recipient::Queue(to, with) => *with == ticket && std::ptr::eq(&**to, completions),
            Recipient::Call(_) => false,
        }
    }
}

/// The result of joining a flight.
pub(crate) enum Joined {
    /// The flight has landed in the meantime.
    Landed(Box<Outcome>),
    /// Another request's exchange is in progress. Not watched: the caller must have [`Flights::expire`] called.
    Waiting { is_watched: bool },
    /// The caller must start the exchange.
    Opened,
    /// A limit is reached, which this text names.
    Full(&'static str),
}

impl Flights {
    pub(crate) fn new(max_waiting: usize) -> Flights {
        Flights {
            table: Mutex::default(),
            max_waiting,
        }
    }

    /// Joins the flight of a key, or opens one. Calls `known` under the table's lock: a flight fills the cache before
    /// it leaves the table, so that no second exchange can start in between. `token_bytes`: the size of the client's own
    /// token, 0 for a pair.
    pub(crate) fn join(
        &self,
        key: Key,
        known: impl FnOnce() -> Option<Outcome>,
        waiter: Waiter,
        token_bytes: usize,
    ) -> Joined {
        let mut table = self.table();
        let table = &mut *table;
        let is_verification = token_bytes > 0;
        if table.waiting >= self.max_waiting {
            return Joined::Full(TOO_MANY);
        }
        if is_verification && table.verifying > self.max_waiting / VERIFYING_SHARE {
            return Joined::Full(TOO_MANY_VERIFYING);
        }
        let is_crowded = table.flights.len() / 2 >= self.max_waiting;
        let is_heavy = table.verifying_bytes + token_bytes > MAX_VERIFYING_BYTES;
        let joined = match table.flights.entry(key) {
            Entry::Occupied(mut entry) => {
                let flight = entry.get_mut();
                let is_watched = flight.watched.is_some_and(|at| at <= waiter.deadline);
                if !is_watched {
                    flight.watched = Some(waiter.deadline);
                }
                flight.waiters.push(waiter);
                Joined::Waiting { is_watched }
            }
            Entry::Vacant(vacant) => match known() {
                Some(outcome) => return Joined::Landed(Box::new(outcome)),
                None if is_crowded => return Joined::Full(TOO_MANY),
                None if is_verification && is_heavy => return Joined::Full(TOO_MANY_BYTES),
                None => {
                    vacant.insert(Flight {
                        watched: Some(waiter.deadline),
                        waiters: vec![waiter],
                        is_refresh: false,
                        token_bytes,
                    });
                    table.verifying_bytes += token_bytes;
                    Joined::Opened
                }
            },
        };
        table.waiting += 1;
        table.verifying += usize::from(is_verification);
        joined
    }

    /// Opens a flight without waiters; false if one exists, or if the number of flights leaves room only for those with
    /// waiters.
    pub(crate) fn open_refresh(&self, key: Key) -> bool {
        let mut table = self.table();
        let is_crowded = table.flights.len() >= self.max_waiting;
        match table.flights.entry(key) {
            Entry::Occupied(_) => false,
            Entry::Vacant(_) if is_crowded => false,
            Entry::Vacant(vacant) => {
                vacant.insert(Flight::default()).is_refresh = true;
                true
            }
        }
    }

    /// Removes a cancelled waiter from its flight, if it is still there. The waiter that moves to the first place
    /// counts as the one that opened it.
    pub(crate) fn leave(&self, key: &Key, completions: &Completions, ticket: Ticket) {
        let mut table = self.table();
        let Some(flight) = table.flights.get_mut(key) else {
            return;
        };
        let is_it = |waiter: &Waiter| waiter.recipient.is(completions, ticket);
        let Some(place) = flight.waiters.iter().rposition(is_it) else {
            return;
        };
        let left = flight.waiters.swap_remove(place);
        let is_verification = flight.token_bytes > 0;
        table.subtract(1, is_verification);
        drop(table);
        // After the lock: it may own the last reference to its gate's rules.
        drop(left);
    }

    /// Ends a flight: each waiter's own gate judges the result. `cache_status`: of the waiter that opened it.
    pub(crate) fn land(
        &self,
        key: &Key,
        result: &Result<Arc<Grant>, Denial>,
        cache_status: CacheStatus,
        env: &Env,
    ) {
        let flight = {
            let mut table = self.table();
            let flight = table.flights.remove(key).unwrap_or_default();
            table.subtract(flight.waiters.len(), flight.token_bytes > 0);
            table.verifying_bytes -= flight.token_bytes;
            flight
        };
        let first = if flight.is_refresh {
            CacheStatus::Joined
        } else {
            cache_status
        };
        let statuses = once(first).chain(repeat(CacheStatus::Joined));
        for (waiter, cache_status) in flight.waiters.into_iter().zip(statuses) {
            waiter.deliver(result, cache_status, env);
        }
    }

    /// The deadline that a flight's waiters are watched for.
    pub(crate) fn watched(&self, key: &Key) -> Option<Instant> {
        self.table().flights.get(key)?.watched
    }

    /// Denies the waiters of a flight whose deadline has come. Their exchange continues. Returns the next deadline to
    /// watch; `None` if there is none, or if another caller watches an earlier one than `at`.
    pub(crate) fn expire(&self, key: &Key, at: Instant, env: &Env) -> Option<Instant> {
        let (due, next) = {
            let mut table = self.table();
            let flight = table.flights.get_mut(key)?;
            if flight.watched != Some(at) {
                return None;
            }
            let opener = if flight.is_refresh {
                CacheStatus::Joined
            } else {
                CacheStatus::Miss
            };
            let statuses = once(opener).chain(repeat(CacheStatus::Joined));
            let waiters = std::mem::take(&mut flight.waiters)
                .into_iter()
                .zip(statuses);
            let (due, left): (Vec<_>, Vec<_>) =
                waiters.partition(|(waiter, _)| waiter.deadline <= at);
            flight.waiters = left.into_iter().map(|(waiter, _)| waiter).collect();
            flight.watched = flight.waiters.iter().map(|waiter| waiter.deadline).min();
            let (next, is_verification) = (flight.watched, flight.token_bytes > 0);
            table.subtract(due.len(), is_verification);
            (due, next)
        };
        for (waiter, cache_status) in due {
            let denial = late(&waiter.rules);
            waiter.deliver(&Err(denial), cache_status, env);
        }
        next
    }

    /// The patience of a flight's waiters, if there are any.
    pub(crate) fn patience(&self, key: &Key) -> Option<Patience> {
        let table = self.table();
        let waiters = table.flights.get(key)?.waiters.iter();
        waiters
            .map(|waiter| Patience {
                until: waiter.deadline,
                timeout: waiter.rules.timeout,
            })
            .reduce(Patience::max)
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.table().flights.len()
    }

    pub(crate) fn waiting(&self) -> u64 {
        self.table().waiting as u64
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn subtract(&mut self, waiters: usize, is_verification: bool) {
        self.waiting -= waiters;
        if is_verification {
            self.verifying -= waiters;
        }
    }
}

impl Waiter {
    fn deliver(self, result: &Result<Arc<Grant>, Denial>, cache_status: CacheStatus, env: &Env) {
        let outcome = match result {
            Ok(grant) => Outcome::of_grant(
                &self.rules,
                Arc::clone(grant),
                cache_status,
                self.source,
                env.clock.wall(),
                &env.metrics,
            ),
            Err(denial) => {
                let outcome = Outcome::of_denial(&self.rules, denial.clone(), cache_status);
                outcome.count(&env.metrics, &self.requests);
                outcome
            }
        };
        match self.recipient {
            Recipient::Queue(completions, ticket) => completions.complete(ticket, outcome),
            // The thread that waited may have ended.
            Recipient::Call(sender) => drop(sender.send(outcome)),
        }
    }
}

/// The denial of a waiter whose deadline has passed.
fn late(rules: &Rules) -> Denial {
    Denial::new(
        Cause::ProviderTimeout,
        format!("{}: no token within {:?}", rules.issuer.id, rules.timeout),
    )
}
