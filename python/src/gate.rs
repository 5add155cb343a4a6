//! `credgate.Gate`.

use crate::errors::raise;
use crate::outcome::{outcome, token};
use crate::request::{Request, Shown, args, credentials, from_json, json};
use crate::text::Text;
use crate::{engine, log, signals};
use credgate_core::Outcome;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PyString};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// One compiled configuration. Starts no thread and opens no connection.
///
/// It is a mapping, its JSON text, or settings by their names in core/CONFIGURATION.md; also Kong's
/// plugin object; or another gate. Raises ConfigError, naming the field.
#[pyclass(frozen, subclass, module = "credgate._credgate")]
pub(crate) struct Gate(credgate_core::Gate);

#[pymethods]
impl Gate {
    #[new]
    #[pyo3(signature = (config=None, **settings))]
    fn new(
        py: Python<'_>,
        config: Option<&Bound<'_, PyAny>>,
        settings: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Gate> {
        let json = match (config, settings) {
            (Some(_), Some(_)) => {
                return Err(PyTypeError::new_err(
                    "either a configuration or settings, not both",
                ));
            }
            (None, settings) => json(settings.unwrap_or(&PyDict::new(py)))?,
            (Some(config), None) if config.is_instance_of::<Gate>() => {
                return Ok(Gate(config.cast::<Gate>()?.get().0.clone()));
            }
            (Some(config), None) => configuration(config)?,
        };
        let gate = credgate_core::Gate::from_json(&json).map_err(|error| raise(py, &error))?;
        log::warn(py, gate.warnings());
        Ok(Gate(gate))
    }

    /// What becomes of a request; the request itself, where it has to wait. For `credgate.Gate.authenticate`.
    #[expect(clippy::too_many_arguments, reason = "they are what Python shows")]
    fn _ask<'py>(
        &self,
        py: Python<'py>,
        method: Option<Text>,
        authorization: Option<Text>,
        query: Option<Text>,
        content_type: Option<Text>,
        body: Option<Text>,
        args: Option<&Bound<'py, PyMapping>>,
        client_id: Option<Text>,
        client_secret: Option<Text>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let shown = Shown {
            method,
            authorization,
            query,
            content_type,
            body,
            credentials: credentials(client_id, client_secret)?,
            args: self::args(&self.0, args)?,
        };
        self.decide(py, shown, outcome)
    }

    /// The token of a client, or the request that has to wait. For `credgate.Gate.token`.
    fn _token<'py>(
        &self,
        py: Python<'py>,
        client_id: Text,
        client_secret: Text,
        args: Option<&Bound<'py, PyMapping>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let shown = Shown {
            credentials: Some((client_id, client_secret)),
            args: self::args(&self.0, args)?,
            ..Shown::default()
        };
        self.decide(py, shown, token)
    }

    /// Drop the tokens of a client, or of all, and what is remembered of refusals.
    ///
    /// Answers how many tokens that were.
    #[pyo3(signature = (client_id=None))]
    fn purge(&self, py: Python<'_>, client_id: Option<&str>) -> PyResult<u64> {
        let engine = engine::current(py)?;
        engine
            .purge(&self.0, client_id)
            .map_err(|error| raise(py, &error))
    }

    /// Tell whether the body of such a request should be read and shown.
    ///
    /// It can hold something for this gate. Ask again when a length has become known.
    #[pyo3(signature = (*, method, content_type, content_length=None))]
    fn wants_body(
        &self,
        method: Text,
        content_type: Option<Text>,
        content_length: Option<u64>,
    ) -> bool {
        let shown = Shown {
            method: Some(method),
            content_type,
            ..Shown::default()
        };
        shown.to(|request| self.0.wants_body(request, content_length))
    }

    /// Answer a query string as it goes upstream: without credentials.
    ///
    /// Where the query is no place of this gate, as it is. All else stays byte for byte.
    fn hide_query<'py>(&self, py: Python<'py>, query: Text) -> PyResult<Bound<'py, PyAny>> {
        let mut hidden = vec![0; query.bytes().len()];
        let len = self.0.hide_query(query.bytes(), &mut hidden);
        query.like(py, &hidden[..len])
    }

    /// Answer a body as it goes upstream: without credentials.
    ///
    /// Where the body is no place of this gate, as it is. All else stays byte for byte.
    fn hide_body<'py>(
        &self,
        py: Python<'py>,
        content_type: Option<Text>,
        body: Text,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut hidden = vec![0; body.bytes().len()];
        let content_type = content_type.as_ref().map(Text::bytes);
        let len = self.0.hide_body(content_type, body.bytes(), &mut hidden);
        body.like(py, &hidden[..len])
    }

    /// Ask the provider for a token as a first request would; tell what happened at each step.
    ///
    /// Nothing is kept, and nothing taken from the cache. It waits for the provider, and is for
    /// a terminal. What it answers holds neither the secret nor the token. `args` are values for
    /// arguments of the token request that come with each request.
    #[pyo3(signature = (client_id, client_secret, args=None))]
    fn check<'py>(
        &self,
        py: Python<'py>,
        client_id: Text,
        client_secret: Text,
        args: Option<&Bound<'py, PyMapping>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (id, secret) = (client_id.to_text()?, client_secret.to_text()?);
        let args = args.map(texts).transpose()?.unwrap_or_default();
        let (sender, receiver) = mpsc::channel();
        let (gate, receiver) = (self.0.clone(), Mutex::new(receiver));
        // On a thread of its own: who waits at a terminal may not want to wait any longer.
        thread::spawn(move || {
            let args: Vec<_> = args
                .iter()
                .map(|(name, value)| (&**name, &**value))
                .collect();
            sender.send(gate.check(&id, &secret, &args))
        });
        let checked = signals::wait(py, |no_longer| {
            let receiver = receiver.lock().unwrap_or_else(PoisonError::into_inner);
            match receiver.recv_timeout(no_longer) {
                Err(RecvTimeoutError::Timeout) => None,
                received => Some(received),
            }
        })?;
        let diagnosis = checked
            .map_err(|_| {
                PyRuntimeError::new_err("the check panicked; this is a defect of credgate")
            })?
            .map_err(|error| raise(py, &error))?;
        from_json(py, &diagnosis.to_json())
    }

    /// The same gate where credentials are optional: for `credgate.Gate.optional`.
    fn _optional(&self) -> Gate {
        Gate(self.0.optional())
    }

    /// The configuration in effect: defaults included, the operator's secrets masked.
    #[getter]
    fn config<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        from_json(py, self.0.effective_config())
    }

    /// What in the configuration is allowed and yet dangerous; logged when the gate is made.
    #[getter]
    fn warnings(&self) -> Vec<&'static str> {
        self.0.warnings().to_vec()
    }

    /// The names of the arguments for which each request may bring values.
    #[getter]
    fn args(&self) -> Vec<&str> {
        self.0.args().iter().map(String::as_str).collect()
    }

    /// The deadline of a whole exchange, discovery included, in seconds.
    #[getter]
    fn timeout(&self) -> f64 {
        self.0.timeout().as_secs_f64()
    }

    /// Without secrets.
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let issuer = self.config(py)?.get_item("issuer")?.repr()?;
        Ok(format!("<credgate.Gate issuer={issuer}>"))
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "a Gate cannot be pickled: make one in each process, from its configuration",
        ))
    }
}

impl Gate {
    fn decide<'py>(
        &self,
        py: Python<'py>,
        shown: Shown,
        told: impl FnOnce(Python<'py>, Outcome) -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let engine = engine::current(py)?;
        let known = shown
            .to(|request| engine.authenticate_at_once(&self.0, request))
            .map_err(|error| raise(py, &error))?;
        log::collect(py, &engine);
        match known {
            Some(known) => told(py, known),
            None => {
                let gate = self.0.clone();
                Ok(Bound::new(py, Request { gate, shown })?.into_any())
            }
        }
    }
}

/// Names and values; None is an empty one.
fn texts(args: &Bound<'_, PyMapping>) -> PyResult<Vec<(String, String)>> {
    let text = |item: Bound<'_, PyAny>| {
        let (name, value): (String, Option<Text>) = item.extract()?;
        let value = value.map(|value| value.to_text()).transpose()?;
        Ok((name, value.unwrap_or_default()))
    };
    args.items()?.iter().map(text).collect()
}

/// A mapping, or its JSON text.
fn configuration(config: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(text) = config.cast::<PyString>() {
        return text.extract();
    }
    let Ok(mapping) = config.cast::<PyMapping>() else {
        return Err(PyTypeError::new_err(format!(
            "a configuration is a mapping or its JSON text, not {}",
            config.get_type().name()?
        )));
    };
    let copied = config.py().get_type::<PyDict>().call1((mapping,))?;
    json(copied.cast::<PyDict>()?)
}
