//! Requests that wait for an exchange: on a thread or in an event loop.

use crate::errors::raise;
use crate::outcome::outcome;
use crate::request::Parts;
use crate::{engine, log, signals};
use credgate_core::{Authentication, Engine, Error, Gate, Outcome, Ticket};
use pyo3::prelude::*;
use std::os::fd::{AsFd, AsRawFd, RawFd};

/// A request to a gate that is not served from the cache.
#[pyclass(frozen, module = "credgate._credgate")]
pub(crate) struct Request {
    pub(crate) gate: Gate,
    pub(crate) parts: Parts,
}

impl Request {
    /// Waits for the outcome on the calling thread, detached from the interpreter.
    pub(crate) fn wait(&self, py: Python<'_>) -> PyResult<Outcome> {
        engine::notice_fork();
        let engine = engine::current(py)?;
        let queue = credgate_core::Queue::new(&engine).map_err(|error| raise(py, &error))?;
        let known = self.outcome(py, &queue)?;
        log::collect(py, &engine);
        // Dropping the last reference to the engine joins its thread.
        py.detach(|| drop((queue, engine)));
        Ok(known)
    }

    fn outcome(&self, py: Python<'_>, queue: &credgate_core::Queue) -> PyResult<Outcome> {
        match self.begin(queue).map_err(|error| raise(py, &error))? {
            Authentication::Ready(outcome) => Ok(outcome),
            Authentication::Pending(_) => {
                let completion = signals::wait(py, |timeout| queue.wait(timeout).transpose())?;
                Ok(completion.map_err(|error| raise(py, &error))?.outcome)
            }
        }
    }

    fn begin(&self, queue: &credgate_core::Queue) -> Result<Authentication, Error> {
        self.parts.with(&self.gate, |request| {
            queue.authenticate(&self.gate, request, 0)
        })
    }
}

/// The completion queue of one event loop.
#[pyclass(frozen, module = "credgate._credgate")]
pub(crate) struct Queue {
    engine: Engine,
    queue: credgate_core::Queue,
}

#[pymethods]
impl Queue {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Queue> {
        let engine = engine::current(py)?;
        let queue = credgate_core::Queue::new(&engine).map_err(|error| raise(py, &error))?;
        Ok(Queue { engine, queue })
    }

    /// Whether the queue was created in this process.
    fn is_usable(&self) -> bool {
        self.queue.check_process().is_ok()
    }

    /// A descriptor that is readable while the queue has outcomes.
    fn fileno(&self) -> RawFd {
        self.queue.as_fd().as_raw_fd()
    }

    /// Returns the outcome, or a ticket that `collect` will return with it.
    fn begin<'py>(&self, py: Python<'py>, request: &Request) -> PyResult<Bound<'py, PyAny>> {
        let begun = request
            .begin(&self.queue)
            .map_err(|error| raise(py, &error))?;
        match begun {
            Authentication::Ready(known) => outcome(py, known),
            Authentication::Pending(ticket) => Ok(ticket.0.into_pyobject(py)?.into_any()),
        }
    }

    /// Returns the outcomes that have arrived, each with its ticket.
    fn collect<'py>(&self, py: Python<'py>) -> PyResult<Vec<(u64, Bound<'py, PyAny>)>> {
        let mut arrived = Vec::new();
        while let Some(completion) = self.queue.next().map_err(|error| raise(py, &error))? {
            arrived.push((completion.ticket.0, outcome(py, completion.outcome)?));
        }
        log::collect(py, &self.engine);
        Ok(arrived)
    }

    /// Cancels a request. In a forked child, there is nothing to cancel.
    fn cancel(&self, ticket: u64) {
        let _ = self.queue.cancel(Ticket(ticket));
    }
}
