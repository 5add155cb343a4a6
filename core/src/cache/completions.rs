//! The completions of an event loop: outcomes to collect, and the descriptor that signals them.

use crate::cache::doorbell::Doorbell;
use crate::error::{Error, ErrorKind};
use crate::key::Key;
use crate::outcome::Outcome;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Identifies a waiting request: a number that does not repeat at once for the same slot, and below 2^52, so that a
/// double can hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// An outcome that has arrived.
#[derive(Debug)]
pub struct Completion {
    /// The ticket that [`Queue::authenticate`](crate::Queue::authenticate) returned.
    pub ticket: Ticket,
    /// The host's argument of [`Queue::authenticate`](crate::Queue::authenticate).
    pub user_data: usize,
    /// The outcome of the request.
    pub outcome: Outcome,
}

/// The part of a queue that flights use.
pub(crate) struct Completions {
    state: Mutex<State>,
    bell: EventFd,
}

#[derive(Default)]
struct State {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Slots whose outcome has arrived, oldest first. Cancelled ones are skipped by their ticket.
    arrived: VecDeque<Ticket>,
    /// The number of those that were not cancelled.
    ready: usize,
    /// Signalled beside the eventfd, if the host has created one.
    doorbell: Option<Doorbell>,
}

struct Slot {
    generation: u32,
    waiting: Option<Waiting>,
}

struct Waiting {
    user_data: usize,
    /// The key of the flight that it waits for.
    key: Key,
    outcome: Option<Outcome>,
}

/// Generations fit between the slot's 32 bits and a double's 53.
const GENERATIONS: u32 = 1 << 20;

impl Completions {
    pub(crate) fn new() -> Result<Completions, Error> {
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).map_err(
            |errno| {
                Error::with_source(
                    ErrorKind::System,
                    format!("cannot make an eventfd: {errno}"),
                    errno,
                )
            },
        )?;
        Ok(Completions {
            state: Mutex::default(),
            bell,
        })
    }

    /// Issues a ticket for a waiter of the flight of this key.
    pub(crate) fn open(&self, user_data: usize, key: Key) -> Ticket {
        let mut state = self.state();
        let waiting = Some(Waiting {
            user_data,
            key,
            outcome: None,
        });
        let index = match state.free.pop() {
            Some(index) => {
                let slot = &mut state.slots[index as usize];
                slot.generation = slot.generation % (GENERATIONS - 1) + 1;
                slot.waiting = waiting;
                index
            }
            None => {
                state.slots.push(Slot {
                    generation: 1,
                    waiting,
                });
                state.slots.len() as u32 - 1
            }
        };
        state.slots[index as usize].ticket(index)
    }

    /// Delivers an outcome, and signals the loop if it may be asleep. A cancelled ticket gets nothing.
    pub(crate) fn complete(&self, ticket: Ticket, outcome: Outcome) {
        let mut state = self.state();
        let Some(slot) = state.slot(ticket) else {
            return;
        };
        let Some(waiting) = &mut slot.waiting else {
            return;
        };
        if waiting.outcome.replace(outcome).is_some() {
            return;
        }
        state.arrived.push_back(ticket);
        state.ready += 1;
        if state.ready == 1 {
            // Under the lock, so that the descriptor is readable exactly while an outcome waits. The write fails only
            // if the counter overflows, and then the descriptor is readable anyway.
            let _ = self.bell.write(1);
            if let Some(doorbell) = &state.doorbell {
                doorbell.ring();
            }
        }
    }

    /// Signals this doorbell too, from now on and for outcomes that have arrived already.
    pub(crate) fn connect(&self, doorbell: Doorbell) {
        let mut state = self.state();
        if state.ready > 0 {
            doorbell.ring();
        }
        state.doorbell = Some(doorbell);
    }

    pub(crate) fn hang_up(&self) {
        self.state().doorbell = None;
    }

    pub(crate) fn next(&self) -> Option<Completion> {
        let mut state = self.state();
        while let Some(ticket) = state.arrived.pop_front() {
            if let Some(Waiting {
                user_data,
                outcome: Some(outcome),
                ..
            }) = state.close(ticket)
            {
                self.take_one(&mut state);
                return Some(Completion {
                    ticket,
                    user_data,
                    outcome,
                });
            }
        }
        None
    }

    /// Removes an outcome that had arrived; without another one, the descriptor is no longer readable.
    fn take_one(&self, state: &mut State) {
        state.ready -= 1;
        if state.ready == 0 {
            state.arrived.clear();
            let _ = self.bell.read();
        }
    }

    /// Cancels a ticket. Returns the key of the flight if it was still waiting.
    pub(crate) fn cancel(&self, ticket: Ticket) -> Option<Key> {
        // Dropped after the lock: an outcome may own the last reference to a token.
        let waiting = {
            let mut state = self.state();
            let waiting = state.close(ticket)?;
            if waiting.outcome.is_some() {
                self.take_one(&mut state);
            }
            waiting
        };
        waiting.outcome.is_none().then_some(waiting.key)
    }

    /// The tickets that still wait.
    pub(crate) fn waiting(&self) -> Vec<Ticket> {
        let state = self.state();
        let slots = state.slots.iter().enumerate();
        slots
            .filter(|(_, slot)| slot.waiting.is_some())
            .map(|(index, slot)| slot.ticket(index as u32))
            .collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Completions {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

impl Slot {
    fn ticket(&self, index: u32) -> Ticket {
        Ticket(u64::from(self.generation) << 32 | u64::from(index))
    }
}

impl State {
    fn slot(&mut self, ticket: Ticket) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(ticket.0 as u32 as usize)?;
        (u64::from(slot.generation) == ticket.0 >> 32).then_some(slot)
    }

    fn close(&mut self, ticket: Ticket) -> Option<Waiting> {
        let waiting = self.slot(ticket)?.waiting.take()?;
        self.free.push(ticket.0 as u32);
        Some(waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gate;
    use crate::cache_status::CacheStatus;
    use crate::cause::{Cause, Denial};
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    fn outcome() -> Outcome {
        let gate = Gate::from_json(r#"{"issuer":"https://a.example"}"#).unwrap();
        Outcome::of_denial(
            &gate.rules,
            Denial::new(Cause::NoCredentials, ""),
            CacheStatus::None,
        )
    }

    fn open(completions: &Completions, user_data: usize) -> Ticket {
        completions.open(user_data, Key::for_test(1))
    }

    fn is_readable(completions: &Completions) -> bool {
        let mut fds = [PollFd::new(completions.bell.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).unwrap() == 1
    }

    fn user_data(completion: Option<Completion>) -> Option<usize> {
        completion.map(|completion| completion.user_data)
    }

    #[test]
    fn the_descriptor_is_readable_exactly_while_an_outcome_waits() {
        let completions = Completions::new().unwrap();
        let (one, two) = (open(&completions, 1), open(&completions, 2));
        assert!(!is_readable(&completions));
        completions.complete(two, outcome());
        completions.complete(one, outcome());
        assert!(is_readable(&completions));
        assert_eq!(user_data(completions.next()), Some(2));
        assert!(is_readable(&completions));
        assert_eq!(user_data(completions.next()), Some(1));
        assert!(!is_readable(&completions));
        assert_eq!(user_data(completions.next()), None);
    }

    #[test]
    fn a_cancelled_ticket_never_surfaces() {
        let completions = Completions::new().unwrap();
        let (before, after, kept) = (
            open(&completions, 1),
            open(&completions, 2),
            open(&completions, 3),
        );
        completions.cancel(before);
        completions.complete(before, outcome());
        completions.complete(after, outcome());
        assert!(is_readable(&completions));
        completions.cancel(after);
        assert!(!is_readable(&completions), "nothing waits any more");
        completions.complete(kept, outcome());
        assert!(is_readable(&completions));
        assert_eq!(user_data(completions.next()), Some(3));
        assert_eq!(user_data(completions.next()), None);
        assert!(!is_readable(&completions));
        completions.cancel(kept);
    }

    #[test]
    fn a_reused_slot_does_not_match_its_old_ticket() {
        let completions = Completions::new().unwrap();
        let old = open(&completions, 1);
        completions.cancel(old);
        let new = open(&completions, 2);
        assert_eq!(old.0 as u32, new.0 as u32, "the slot is used again");
        completions.complete(old, outcome());
        completions.cancel(old);
        assert_eq!(user_data(completions.next()), None);
        completions.complete(new, outcome());
        assert_eq!(user_data(completions.next()), Some(2));
    }

    #[test]
    fn tickets_survive_in_a_double_and_generations_wrap() {
        let completions = Completions::new().unwrap();
        let first = open(&completions, 0);
        completions.cancel(first);
        completions.state().slots[0].generation = GENERATIONS - 1;
        let wrapped = open(&completions, 0);
        assert_eq!(wrapped.0 >> 32, 1);
        assert!(u64::from(GENERATIONS) << 32 <= 1 << 52);
    }
}
