//! Flights: exchanges in progress, with their waiters. One exchange per key at a time.

use crate::cache::completions::{Completions, Ticket};
use crate::cause::Denial;
use crate::env::Env;
use crate::gate::Rules;
use crate::key::{Key, KeyHash};
use crate::outcome::{CacheStatus, Outcome};
use crate::request::Source;
use crate::sys::sync::{Mutex, MutexGuard};
use crate::token::Grant;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, PoisonError, mpsc};

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
}

#[derive(Default)]
struct Flight {
    /// The first opened the flight, unless it is a refresh.
    waiters: Vec<Waiter>,
    is_refresh: bool,
}

/// A request that waits for a flight. Waiters share only the result: cancelling one does not affect the others.
pub(crate) struct Waiter {
    pub(crate) rules: Arc<Rules>,
    pub(crate) source: Source,
    pub(crate) recipient: Recipient,
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
    /// Another request's exchange is in progress.
    Waiting,
    /// The caller must start the exchange.
    Opened,
    /// The maximum number of waiters is reached.
    Full,
}

impl Flights {
    pub(crate) fn new(max_waiting: usize) -> Flights {
        Flights {
            table: Mutex::default(),
            max_waiting,
        }
    }

    /// Joins the flight of a key, or opens one. Calls `known` under the table's lock: a flight fills the cache before
    /// it leaves the table, so that no second exchange can start in between.
    pub(crate) fn join(
        &self,
        key: Key,
        known: impl FnOnce() -> Option<Outcome>,
        waiter: Waiter,
    ) -> Joined {
        let mut table = self.table();
        let is_full = table.waiting >= self.max_waiting;
        let is_crowded = table.flights.len() / 2 >= self.max_waiting;
        let joined = match table.flights.entry(key) {
            Entry::Occupied(_) | Entry::Vacant(_) if is_full => return Joined::Full,
            Entry::Occupied(mut flight) => {
                flight.get_mut().waiters.push(waiter);
                Joined::Waiting
            }
            Entry::Vacant(vacant) => match known() {
                Some(outcome) => return Joined::Landed(Box::new(outcome)),
                None if is_crowded => return Joined::Full,
                None => {
                    vacant.insert(Flight::default()).waiters.push(waiter);
                    Joined::Opened
                }
            },
        };
        table.waiting += 1;
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
        table.waiting -= 1;
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
            table.waiting -= flight.waiters.len();
            flight
        };
        let first = if flight.is_refresh {
            CacheStatus::Joined
        } else {
            cache_status
        };
        let statuses = std::iter::once(first).chain(std::iter::repeat(CacheStatus::Joined));
        for (waiter, cache_status) in flight.waiters.into_iter().zip(statuses) {
            waiter.deliver(result, cache_status, env);
        }
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

impl Waiter {
    fn deliver(self, result: &Result<Arc<Grant>, Denial>, cache_status: CacheStatus, env: &Env) {
        let outcome = match result {
            Ok(grant) => {
                let wall = env.clock.wall();
                Outcome::of_grant(
                    &self.rules,
                    Arc::clone(grant),
                    cache_status,
                    self.source,
                    wall,
                )
            }
            Err(denial) => Outcome::of_denial(&self.rules, denial.clone(), cache_status),
        };
        env.metrics.count(&outcome);
        match self.recipient {
            Recipient::Queue(completions, ticket) => completions.complete(ticket, outcome),
            // The thread that waited may have ended.
            Recipient::Call(sender) => drop(sender.send(outcome)),
        }
    }
}
