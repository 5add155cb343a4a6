//! Flights: exchanges in progress, with everybody who waits for them. One exchange for each key at a time.

use crate::cause::Denial;
use crate::completions::{Completions, Ticket};
use crate::gate::Rules;
use crate::key::{Key, KeyHash};
use crate::outcome::{Allow, Deny, How, Outcome};
use crate::request::Source;
use crate::token::Grant;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

/// The flights of an engine, by the key of the token that they will bring.
#[derive(Default)]
pub(crate) struct Flights(Mutex<HashMap<Key, Vec<Waiter>, KeyHash>>);

/// One request that waits for a flight. Waiters share nothing but the result: one that goes away changes nothing for
/// the others.
pub(crate) struct Waiter {
    pub(crate) rules: Arc<Rules>,
    pub(crate) source: Source,
    pub(crate) recipient: Recipient,
}

/// Where a waiter's outcome goes.
pub(crate) enum Recipient {
    /// To an event loop.
    Queue(Arc<Completions>, Ticket),
    /// To a thread that blocks for it.
    Call(mpsc::Sender<Outcome>),
}

/// What joining a flight came to.
pub(crate) enum Joined {
    /// The token has arrived in the meantime.
    Landed(Arc<Grant>, Waiter),
    /// Somebody else's exchange is under way.
    Waiting,
    /// The caller must start the exchange.
    Opened,
}

impl Flights {
    /// Joins the flight of a key, or opens one. `cached` is asked under the table's lock: a flight fills the cache
    /// before it leaves the table, so that between the two no second exchange can slip in.
    pub(crate) fn join(
        &self,
        key: Key,
        waiter: Waiter,
        cached: impl FnOnce() -> Option<Arc<Grant>>,
    ) -> Joined {
        match self.table().entry(key) {
            Entry::Occupied(mut flight) => {
                flight.get_mut().push(waiter);
                Joined::Waiting
            }
            Entry::Vacant(vacant) => match cached() {
                Some(grant) => Joined::Landed(grant, waiter),
                None => {
                    vacant.insert(vec![waiter]);
                    Joined::Opened
                }
            },
        }
    }

    /// Ends a flight: everybody gets the result. The first to wait is the one who opened it.
    pub(crate) fn land(&self, key: &Key, result: &Result<Arc<Grant>, Denial>) {
        let waiters = self.table().remove(key).unwrap_or_default();
        let hows = std::iter::once(How::Miss).chain(std::iter::repeat(How::Joined));
        for (waiter, how) in waiters.into_iter().zip(hows) {
            waiter.tell(result, how);
        }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<Key, Vec<Waiter>, KeyHash>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    fn tell(self, result: &Result<Arc<Grant>, Denial>, how: How) {
        let outcome = match result {
            Ok(grant) => Outcome::Allow(Allow::new(Arc::clone(grant), how, self.source)),
            Err(denial) => Outcome::Deny(Deny::new(self.rules, denial.clone(), how)),
        };
        match self.recipient {
            Recipient::Queue(completions, ticket) => completions.complete(ticket, outcome),
            // The caller is gone where its thread has been.
            Recipient::Call(sender) => drop(sender.send(outcome)),
        }
    }
}
