//! The engine of this process.

use crate::raise;
use credgate_core::{Engine, EngineOptions, process};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::{Mutex, PoisonError};

/// Made by the first request. Locked with the interpreter held and never across a call that releases it, so that a
/// fork cannot find it locked by another thread.
static ENGINE: Mutex<Option<Engine>> = Mutex::new(None);

/// The engine of this process; in a forked child, a new one.
pub(crate) fn current(py: Python<'_>) -> PyResult<Engine> {
    let mut current = ENGINE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(engine) = current.as_ref().filter(|engine| engine.is_usable()) {
        return Ok(engine.clone());
    }
    let engine = Engine::shared(EngineOptions::default()).map_err(|error| raise(py, &error))?;
    *current = Some(engine.clone());
    Ok(engine)
}

/// Has every forked child noted.
pub(crate) fn watch_forks(py: Python<'_>) -> PyResult<()> {
    let options = PyDict::new(py);
    options.set_item("after_in_child", wrap_pyfunction!(note_fork, py)?)?;
    py.import("os")?
        .call_method("register_at_fork", (), Some(&options))?;
    Ok(())
}

#[pyfunction]
fn note_fork() {
    process::note_fork();
}
