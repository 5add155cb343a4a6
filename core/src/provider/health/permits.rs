//! The permits of concurrent exchanges: known clients come before others.

use crate::sys::sync::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use tokio::sync::oneshot;

/// A bounded number of permits, with a queue of known clients and one of others.
#[derive(Clone)]
pub(super) struct Permits(Arc<Mutex<State>>);

struct State {
    free: usize,
    known: VecDeque<oneshot::Sender<Permit>>,
    others: VecDeque<oneshot::Sender<Permit>>,
}

/// The permission for one exchange. Dropping it passes it to the next in the queue.
pub(super) struct Permit {
    permits: Option<Permits>,
}

impl Permits {
    pub(super) fn new(count: usize) -> Permits {
        Permits(Arc::new(Mutex::new(State {
            free: count,
            known: VecDeque::new(),
            others: VecDeque::new(),
        })))
    }

    /// Waits for a permit, and says whether it had to. Dropping the future leaves the queue.
    pub(super) async fn acquire(&self, is_known: bool) -> (Permit, bool) {
        let mut has_waited = false;
        loop {
            let next = {
                let mut state = self.state();
                if state.free > 0 {
                    state.free -= 1;
                    return (self.permit(), has_waited);
                }
                has_waited = true;
                let (sender, next) = oneshot::channel();
                let queue = if is_known {
                    &mut state.known
                } else {
                    &mut state.others
                };
                queue.push_back(sender);
                next
            };
            // A sender is dropped only with its permit delivered.
            if let Ok(permit) = next.await {
                return (permit, true);
            }
        }
    }

    fn permit(&self) -> Permit {
        Permit {
            permits: Some(self.clone()),
        }
    }

    fn pass_on(&self) {
        let mut permit = self.permit();
        loop {
            let next = {
                let mut state = self.state();
                let next = state.known.pop_front().or_else(|| state.others.pop_front());
                if next.is_none() {
                    state.free += 1;
                }
                next
            };
            let Some(next) = next else {
                // It is free again.
                permit.permits = None;
                return;
            };
            match next.send(permit) {
                Ok(()) => return,
                // This one has left the queue.
                Err(returned) => permit = returned,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(permits) = self.permits.take() {
            permits.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn poll(future: std::pin::Pin<&mut impl Future<Output = (Permit, bool)>>) -> Option<Permit> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready((permit, _)) => Some(permit),
            Poll::Pending => None,
        }
    }

    #[test]
    fn known_clients_come_first_and_each_queue_keeps_its_order() {
        let permits = Permits::new(1);
        let held = poll(pin!(permits.acquire(false)));
        assert!(held.is_some());
        let mut first = pin!(permits.acquire(false));
        let mut second = pin!(permits.acquire(false));
        let mut known = pin!(permits.acquire(true));
        for waiting in [first.as_mut(), second.as_mut()] {
            assert!(poll(waiting).is_none());
        }
        assert!(poll(known.as_mut()).is_none());
        drop(held);
        assert!(poll(first.as_mut()).is_none());
        let held = poll(known.as_mut());
        assert!(held.is_some());
        drop(held);
        assert!(poll(second.as_mut()).is_none());
        assert!(poll(first.as_mut()).is_some(), "dropped at once");
        assert!(poll(second.as_mut()).is_some());
    }

    #[test]
    fn a_permit_returns_when_its_waiter_has_left() {
        let permits = Permits::new(1);
        let held = poll(pin!(permits.acquire(false)));
        {
            let mut leaving = pin!(permits.acquire(true));
            assert!(poll(leaving.as_mut()).is_none());
        }
        {
            let mut leaving = pin!(permits.acquire(false));
            assert!(poll(leaving.as_mut()).is_none());
            drop(held);
            // The permit is delivered, but the waiter leaves before it takes it.
        }
        assert!(poll(pin!(permits.acquire(false))).is_some());
        assert_eq!(permits.state().free, 1);
    }
}
