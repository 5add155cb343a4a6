//! The queue of an event loop: its outcomes, and a descriptor to watch.

use super::Engine;
use super::decide::{Inner, Look};
use crate::cache::completions::{Completion, Completions, Ticket};
use crate::cache::doorbell::Listening;
use crate::cache::flight::Recipient;
use crate::error::{Error, ErrorKind};
use crate::gate::Gate;
use crate::outcome::Outcome;
use crate::request::Request;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The result of starting an authentication.
#[derive(Debug)]
pub enum Authentication {
    /// The outcome is known already.
    Ready(Outcome),
    /// The outcome will come through the queue.
    Pending(Ticket),
}

/// The queue of one event loop. One thread at a time drains it.
pub struct Queue {
    engine: Arc<Inner>,
    completions: Arc<Completions>,
    listening: Mutex<Option<Listening>>,
}

impl Queue {
    /// Creates a queue of this engine.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::System`] if no descriptor is available, [`ErrorKind::WrongProcess`] after a fork.
    pub fn new(engine: &Engine) -> Result<Queue, Error> {
        engine.inner.check_process()?;
        Ok(Queue {
            engine: Arc::clone(&engine.inner),
            completions: Arc::new(Completions::new()?),
            listening: Mutex::default(),
        })
    }

    /// Authenticates a request: at once if that needs no exchange; otherwise the outcome arrives in this queue, with
    /// `user_data`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork. A denial is an [`Outcome`], not an error.
    pub fn authenticate(
        &self,
        gate: &Gate,
        request: &Request<'_>,
        user_data: usize,
    ) -> Result<Authentication, Error> {
        self.engine.check_process()?;
        Ok(self.engine.look(gate, request, |look| {
            let miss = match look {
                Look::Known(outcome) => return Authentication::Ready(outcome),
                Look::Miss(miss) => miss,
            };
            let ticket = self.completions.open(user_data, miss.key);
            let recipient = Recipient::Queue(Arc::clone(&self.completions), ticket);
            match self.engine.join(&miss, recipient) {
                None => Authentication::Pending(ticket),
                Some(outcome) => {
                    self.completions.cancel(ticket);
                    Authentication::Ready(outcome)
                }
            }
        }))
    }

    /// Authenticates a request if that needs no exchange, as [`Engine::authenticate_at_once`](crate::Engine::authenticate_at_once).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork.
    pub fn authenticate_at_once(
        &self,
        gate: &Gate,
        request: &Request<'_>,
    ) -> Result<Option<Outcome>, Error> {
        self.engine.authenticate_at_once(gate, request)
    }

    /// The next outcome that has arrived, if any. Never blocks.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork.
    pub fn next(&self) -> Result<Option<Completion>, Error> {
        self.engine.check_process()?;
        Ok(self.completions.next())
    }

    /// The next outcome. Blocks until it arrives, `timeout` passes, or the thread handles a signal. For hosts without
    /// an event loop that have other work meanwhile.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork.
    pub fn wait(&self, timeout: Duration) -> Result<Option<Completion>, Error> {
        self.engine.check_process()?;
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        // The result does not matter: `next` checks for an outcome.
        let _ = poll(&mut [PollFd::new(self.as_fd(), PollFlags::POLLIN)], timeout);
        self.next()
    }

    /// Cancels a request: its outcome never surfaces, even if it has arrived already. Its exchange continues for other
    /// waiters. An unknown ticket is not an error.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork.
    pub fn cancel(&self, ticket: Ticket) -> Result<(), Error> {
        self.engine.check_process()?;
        self.forget(ticket);
        Ok(())
    }

    /// Creates a Unix stream socket and returns its path: for a host that can watch only its own connections. The host
    /// connects to it, then calls [`Queue::accept`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::System`] if no socket can be created, [`ErrorKind::WrongProcess`] after a fork.
    pub fn listen(&self) -> Result<PathBuf, Error> {
        self.engine.check_process()?;
        let listening = Listening::new()?;
        let path = listening.path();
        *self.listening() = Some(listening);
        Ok(path)
    }

    /// Accepts the host's connection to the socket of [`Queue::listen`], and removes the socket. From then on a byte
    /// arrives on the connection for new outcomes; the host calls [`Queue::next`] until it returns `None`. Closes a
    /// connection that was accepted before.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::System`] if this process has not connected, [`ErrorKind::WrongProcess`] after a fork.
    pub fn accept(&self) -> Result<(), Error> {
        self.engine.check_process()?;
        let listening = self.listening().take();
        let listening = listening.ok_or_else(|| {
            Error::new(
                ErrorKind::System,
                "there is no socket to accept from; call listen first",
            )
        })?;
        self.completions.connect(listening.accept()?);
        Ok(())
    }

    /// Closes that connection, which wakes its reader.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork.
    pub fn hang_up(&self) -> Result<(), Error> {
        self.engine.check_process()?;
        self.completions.hang_up();
        Ok(())
    }

    fn forget(&self, ticket: Ticket) {
        if let Some(key) = self.completions.cancel(ticket) {
            self.engine.leave(&key, &self.completions, ticket);
        }
    }

    fn listening(&self) -> MutexGuard<'_, Option<Listening>> {
        self.listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks that this queue belongs to the calling process.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork.
    pub fn check_process(&self) -> Result<(), Error> {
        self.engine.check_process()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // In a forked child, a thread that no longer exists may hold the locks.
        if self.engine.check_process().is_ok() {
            for ticket in self.completions.waiting() {
                self.forget(ticket);
            }
        }
    }
}

impl AsFd for Queue {
    /// Readable while outcomes wait. Watch it; do not read it.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.completions.as_fd()
    }
}
