//! Waiting: of a thread, and of an event loop.

use crate::errors::raise;
use crate::outcome::outcome;
use crate::request::Request;
use crate::{engine, log, signals};
use credgate_core::{Authentication, Engine, Outcome, Ticket};
use pyo3::prelude::*;
use std::os::fd::{AsFd, AsRawFd, RawFd};

/// Waits for an exchange, detached from the interpreter.
pub(crate) fn wait(py: Python<'_>, request: &Request) -> PyResult<Outcome> {
    engine::notice_fork();
    let engine = engine::current(py)?;
    let queue = credgate_core::Queue::new(&engine).map_err(|error| raise(py, &error))?;
    let begun = request.begin(&queue).map_err(|error| raise(py, &error))?;
    let outcome = match begun {
        Authentication::Ready(outcome) => outcome,
        Authentication::Pending(_) => {
            signals::wait(py, |no_longer| queue.wait(no_longer).transpose())?
                .map_err(|error| raise(py, &error))?
                .outcome
        }
    };
    log::collect(py, &engine);
    // Who is the last to hold the engine waits for its thread.
    py.detach(|| drop((queue, engine)));
    Ok(outcome)
}

/// Where one event loop finds its outcomes.
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

    /// Whether it is this process's.
    fn is_usable(&self) -> bool {
        self.queue.check_process().is_ok()
    }

    /// Readable while outcomes wait.
    fn fileno(&self) -> RawFd {
        self.queue.as_fd().as_raw_fd()
    }

    /// The outcome, or a ticket by which it will be collected.
    fn begin<'py>(&self, py: Python<'py>, request: &Request) -> PyResult<Bound<'py, PyAny>> {
        let begun = request
            .begin(&self.queue)
            .map_err(|error| raise(py, &error))?;
        match begun {
            Authentication::Ready(known) => outcome(py, known),
            Authentication::Pending(ticket) => Ok(ticket.0.into_pyobject(py)?.into_any()),
        }
    }

    /// What has arrived, by ticket.
    fn collect<'py>(&self, py: Python<'py>) -> PyResult<Vec<(u64, Bound<'py, PyAny>)>> {
        let mut arrived = Vec::new();
        while let Some(completion) = self.queue.next().map_err(|error| raise(py, &error))? {
            arrived.push((completion.ticket.0, outcome(py, completion.outcome)?));
        }
        log::collect(py, &self.engine);
        Ok(arrived)
    }

    /// Forgets a request. In a forked child there is nothing to forget.
    fn cancel(&self, ticket: u64) {
        let _ = self.queue.cancel(Ticket(ticket));
    }
}
