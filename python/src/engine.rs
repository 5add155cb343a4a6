//! The engine of this process.

use crate::errors::{ConfigError, raise};
use crate::log;
use credgate_core::{Engine, EngineOptions, Error, ErrorKind, process};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locked by threads that are attached to the interpreter, and never across a call of Python: so neither a fork nor a
/// finaliser finds it locked.
static STATE: Mutex<State> = Mutex::new(State {
    engine: None,
    options: None,
});

struct State {
    /// Made by the first request.
    engine: Option<Engine>,
    options: Option<EngineOptions>,
}

impl State {
    fn engine(&self) -> Option<&Engine> {
        self.engine.as_ref().filter(|engine| engine.is_usable())
    }

    fn engine_or_new(&mut self) -> Result<Engine, Error> {
        if let Some(engine) = self.engine() {
            return Ok(engine.clone());
        }
        let options = self.options.clone().unwrap_or_default();
        let engine = Engine::shared(options)?;
        self.engine = Some(engine.clone());
        Ok(engine)
    }

    /// False where the engine runs with others already.
    fn configure(&mut self, options: EngineOptions) -> bool {
        let is_same = self.options.clone().unwrap_or_default() == options;
        let is_possible = is_same || self.engine().is_none();
        if is_possible {
            self.options = Some(options);
        }
        is_possible
    }
}

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    for function in [
        wrap_pyfunction!(configure, module)?,
        wrap_pyfunction!(metrics, module)?,
        wrap_pyfunction!(report, module)?,
        wrap_pyfunction!(purge, module)?,
        wrap_pyfunction!(close, module)?,
        wrap_pyfunction!(note_fork, module)?,
        wrap_pyfunction!(notice_fork, module)?,
    ] {
        module.add_function(function)?;
    }
    Ok(())
}

/// The engine of this process; in a forked child, a new one.
pub(crate) fn current(py: Python<'_>) -> PyResult<Engine> {
    let engine = state().engine_or_new();
    engine.map_err(|error| raise(py, &error))
}

/// Set options of this process's engine, and of those of its children.
///
/// cache_max_bytes, cache_max_entries, max_waiting, max_exchanges. To be called before the first
/// request. Raises ConfigError where an option cannot be, and where the engine runs with others.
#[pyfunction]
#[pyo3(signature = (**options))]
fn configure(py: Python<'_>, options: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let json = match options {
        Some(options) => crate::request::json(options)?,
        None => "{}".to_owned(),
    };
    let options = EngineOptions::from_json(&json).map_err(|error| raise(py, &error))?;
    Engine::check(&options).map_err(|error| raise(py, &error))?;
    if state().configure(options) {
        return Ok(());
    }
    let raised = ConfigError::new_err(
        "engine options: the engine of this process runs with others already; call configure before the first \
         request, or close before",
    );
    raised
        .value(py)
        .setattr("code", ErrorKind::ConfigValue.code())?;
    Err(raised)
}

/// Answer what this process has done, in Prometheus's text format.
#[pyfunction]
fn metrics(py: Python<'_>) -> PyResult<String> {
    let engine = current(py)?;
    log::collect(py, &engine);
    let snapshot = engine.metrics().map_err(|error| raise(py, &error))?;
    Ok(snapshot.to_string())
}

/// Answer the same in short.
#[pyfunction]
fn report(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let engine = current(py)?;
    log::collect(py, &engine);
    let snapshot = engine.metrics().map_err(|error| raise(py, &error))?;
    crate::request::from_json(py, &snapshot.report())
}

/// Drop the tokens of a client, or of all, in all gates, and what is remembered of refusals.
///
/// Answers how many tokens that were.
#[pyfunction]
#[pyo3(signature = (client_id=None))]
fn purge(py: Python<'_>, client_id: Option<&str>) -> PyResult<u64> {
    let engine = current(py)?;
    engine
        .purge_all(client_id)
        .map_err(|error| raise(py, &error))
}

/// Lets go of the engine. Its thread ends once nobody waits any more.
#[pyfunction]
fn close(py: Python<'_>) {
    let engine = state().engine.take();
    if let Some(engine) = &engine {
        log::collect(py, engine);
    }
    py.detach(|| drop(engine));
}

/// To be called in every forked child, before anything else.
#[pyfunction]
fn note_fork() {
    process::note_fork();
}

/// To be called before a wait: a fork that nobody has told of would make it last for ever.
#[pyfunction]
pub(crate) fn notice_fork() -> bool {
    process::notice_fork()
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}
