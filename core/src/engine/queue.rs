//! Where an event loop finds its outcomes, with a descriptor to watch.

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

/// What an authentication came to.
#[derive(Debug)]
pub enum Authentication {
    /// The outcome is known.
    Ready(Outcome),
    /// The outcome will come through the queue.
    Pending(Ticket),
}

/// One event loop's view of an engine. Drained by one thread at a time.
pub struct Queue {
    engine: Arc<Inner>,
    completions: Arc<Completions>,
    listening: Mutex<Option<Listening>>,
}

impl Queue {
    /// A queue of this engine.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::System`] when there is no descriptor to be had, [`ErrorKind::WrongProcess`] after a fork.
    pub fn new(engine: &Engine) -> Result<Queue, Error> {
        engine.inner.check_process()?;
        Ok(Queue {
            engine: Arc::clone(&engine.inner),
            completions: Arc::new(Completions::new()?),
            listening: Mutex::default(),
        })
    }

    /// Authenticates a request: now, where the token cache has the answer or no credentials are to be had; else the
    /// outcome comes through this queue, with `user_data`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork. What the client is told is always an [`Outcome`].
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

    /// The next outcome that has arrived, if any. Never blocks.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork.
    pub fn next(&self) -> Result<Option<Completion>, Error> {
        self.engine.check_process()?;
        Ok(self.completions.next())
    }

    /// The next outcome, for which the calling thread waits no longer than `timeout`, nor beyond a signal that the thread
    /// takes. For hosts without an event loop that have something to look after meanwhile.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork.
    pub fn wait(&self, timeout: Duration) -> Result<Option<Completion>, Error> {
        self.engine.check_process()?;
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        // What the system says is not needed: whether something has arrived is asked next.
        let _ = poll(&mut [PollFd::new(self.as_fd(), PollFlags::POLLIN)], timeout);
        self.next()
    }

    /// Forgets a request: its outcome never surfaces, also where it has arrived already. Its exchange goes on for
    /// others. A ticket that is no longer known is no error.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork.
    pub fn cancel(&self, ticket: Ticket) -> Result<(), Error> {
        self.engine.check_process()?;
        self.forget(ticket);
        Ok(())
    }

    /// Makes a Unix socket (of type stream) and answers its path: for a host that can only watch connections that it has
    /// made itself. It connects there, and calls [`Queue::accept`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::System`] when no socket can be made, [`ErrorKind::WrongProcess`] after a fork.
    pub fn listen(&self) -> Result<PathBuf, Error> {
        self.engine.check_process()?;
        let listening = Listening::new()?;
        let path = listening.path();
        *self.listening() = Some(listening);
        Ok(path)
    }

    /// Takes the connection that the host has made to the socket of [`Queue::listen`], and removes that socket. From now
    /// on a byte comes through the connection when outcomes arrive: then [`Queue::next`] is to be called until it answers
    /// nothing. A connection that was taken before is closed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::System`] where nobody of this process has connected, [`ErrorKind::WrongProcess`] after a fork.
    pub fn accept(&self) -> Result<(), Error> {
        self.engine.check_process()?;
        let listening = self.listening().take();
        let listening = listening.ok_or_else(|| {
            Error::new(
                ErrorKind::System,
                "nothing was made to connect to: call listen before",
            )
        })?;
        self.completions.connect(listening.accept()?);
        Ok(())
    }

    /// Closes that connection, which wakes who reads it.
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

    /// Whether this queue belongs to the process that asks.
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
        // In a forked child, somebody who is not there may hold the locks.
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
