//! `credgate.Gate`.

use crate::errors::raise;
use crate::outcome::{outcome, token};
use crate::queue::Request;
use crate::request::{Parts, args, client, credentials, headers};
use crate::text::{Text, from_json, to_json};
use crate::{engine, log, signals, strings};
use credgate_core::Outcome;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PyString};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// A compiled configuration. Creating one starts no thread and opens no connection.
///
/// The configuration is a mapping, JSON text, or keyword arguments: the settings that
/// `python -m credgate settings` prints. Kong's plugin object and another gate are accepted too.
/// Raises ConfigError, which names the field, if it is invalid.
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
                    "pass a configuration or settings, not both",
                ));
            }
            (None, settings) => to_json(settings.unwrap_or(&PyDict::new(py)))?,
            (Some(config), None) if config.is_instance_of::<Gate>() => {
                return Ok(Gate(config.cast::<Gate>()?.get().0.clone()));
            }
            (Some(config), None) => configuration(config)?,
        };
        let gate = credgate_core::Gate::from_json(&json).map_err(|error| raise(py, &error))?;
        log::warn(py, gate.warnings());
        Ok(Gate(gate))
    }

    /// Authenticate a request; on a miss, wait for the exchange.
    ///
    /// Pass the parts of the request unchanged: `query` is without "?" and not decoded. Reject a
    /// request with several Authorization headers before calling this. `args` are values for the
    /// gate's token_post_args_host. If `client_id` and `client_secret` are given, the request is
    /// not searched for credentials; an empty one is a denial. `peer` is the IP address of the
    /// client: exchanges without a token are counted for it (refusals_per_source). `traceparent` is
    /// the header of that name, which the token request gets if the gate forwards it
    /// (`wants_traceparent`). `headers` are names and values, as received; the gate reads only
    /// those that it names (client_id_header, client_secret_header).
    #[expect(
        clippy::too_many_arguments,
        reason = "they are the arguments of the Python method"
    )]
    #[pyo3(
        signature = (
            *, method=None, authorization=None, query=None, content_type=None, body=None, args=None, client_id=None,
            client_secret=None, peer=None, traceparent=None, headers=None
        ),
        text_signature = "($self, *, method='GET', authorization=None, query=None, content_type=None, body=None, \
                          args=None, client_id=None, client_secret=None, peer=None, traceparent=None, headers=None)"
    )]
    fn authenticate<'py>(
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
        peer: Option<Text>,
        traceparent: Option<Text>,
        headers: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let result = self._authenticate(
            py,
            method,
            authorization,
            query,
            content_type,
            body,
            args,
            client_id,
            client_secret,
            peer,
            traceparent,
            headers,
        )?;
        waited(result, outcome)
    }

    /// Returns the outcome, or a `Request` if it has to wait. For `credgate.Gate.authenticate_async`.
    #[expect(
        clippy::too_many_arguments,
        reason = "they are the arguments of the Python method"
    )]
    fn _authenticate<'py>(
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
        peer: Option<Text>,
        traceparent: Option<Text>,
        headers: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let parts = Parts {
            method,
            authorization,
            query,
            content_type,
            body,
            credentials: credentials(client_id, client_secret)?,
            args: self::args(&self.0, args)?,
            peer,
            traceparent,
            headers: self::headers(&self.0, headers)?,
        };
        self.decide(py, parts, outcome)
    }

    /// Return the token of a client; on a miss, wait for the exchange.
    ///
    /// Raises DeniedError if there is no token. Without an id and a secret, the client is the
    /// gate's own (client_id in the configuration); ValueError if it has none. `args` are values
    /// for the gate's token_post_args_host.
    #[pyo3(signature = (client_id=None, client_secret=None, args=None))]
    fn token<'py>(
        &self,
        py: Python<'py>,
        client_id: Option<Text>,
        client_secret: Option<Text>,
        args: Option<&Bound<'py, PyMapping>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let result = self._token(py, client_id, client_secret, args)?;
        waited(result, token)
    }

    /// Returns the token, or a `Request` if it has to wait. For `credgate.Gate.token_async`.
    fn _token<'py>(
        &self,
        py: Python<'py>,
        client_id: Option<Text>,
        client_secret: Option<Text>,
        args: Option<&Bound<'py, PyMapping>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let parts = Parts {
            credentials: client(&self.0, client_id, client_secret)?,
            args: self::args(&self.0, args)?,
            ..Parts::default()
        };
        self.decide(py, parts, token)
    }

    /// Drop the cached tokens and refusals of one client, or of all clients.
    ///
    /// It returns at once, for any number of tokens.
    #[pyo3(signature = (client_id=None))]
    fn purge(&self, py: Python<'_>, client_id: Option<&str>) -> PyResult<()> {
        let purged = engine::current(py)?.purge(&self.0, client_id);
        strings::clear(py);
        purged.map_err(|error| raise(py, &error))
    }

    /// Return whether the body can contain credentials for this gate and must be passed to it.
    ///
    /// `content_length` is in bytes, None if unknown. Call it again once the length is known. A
    /// body of unknown length is not wanted beside an `authorization`, or `headers`, that the gate
    /// searches.
    #[pyo3(signature = (*, method, content_type, content_length=None, authorization=None, headers=None))]
    fn wants_body(
        &self,
        method: Text,
        content_type: Option<Text>,
        content_length: Option<u64>,
        authorization: Option<Text>,
        headers: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let parts = Parts {
            method: Some(method),
            authorization,
            content_type,
            headers: self::headers(&self.0, headers)?,
            ..Parts::default()
        };
        Ok(parts.with(&self.0, |request| {
            self.0.wants_body(request, content_length)
        }))
    }

    /// Return a query string for the upstream: without credentials.
    ///
    /// It is unchanged if the gate does not search the query or `hide_credentials` is off. All
    /// other bytes stay unchanged.
    fn hide_query<'py>(&self, py: Python<'py>, query: Text) -> PyResult<Bound<'py, PyAny>> {
        let mut hidden = vec![0; query.bytes().len()];
        let len = self.0.hide_query(query.bytes(), &mut hidden);
        query.like(py, &hidden[..len])
    }

    /// Return a body for the upstream: without credentials.
    ///
    /// It is unchanged if the gate does not search bodies or `hide_credentials` is off. All other
    /// bytes stay unchanged.
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

    /// Request a token as a first request would, and explain each step.
    ///
    /// Neither reads nor fills the cache. Blocks until the provider has responded. The diagnosis
    /// contains neither the secret nor the token. Without an id and a secret, the client is the
    /// gate's own (client_id); ValueError if it has none. `args` are values for the arguments of
    /// token_post_args_host and token_post_args_client.
    #[pyo3(signature = (client_id=None, client_secret=None, args=None))]
    fn check<'py>(
        &self,
        py: Python<'py>,
        client_id: Option<Text>,
        client_secret: Option<Text>,
        args: Option<&Bound<'py, PyMapping>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (id, secret) = match client(&self.0, client_id, client_secret)? {
            Some((id, secret)) => (id.to_text()?, secret.to_text()?),
            None => Default::default(),
        };
        let args = args.map(texts).transpose()?.unwrap_or_default();
        let (sender, receiver) = mpsc::channel();
        let (gate, receiver) = (self.0.clone(), Mutex::new(receiver));
        // On a separate thread, so that Ctrl-C can end the wait.
        thread::spawn(move || {
            let args: Vec<_> = args
                .iter()
                .map(|(name, value)| (&**name, &**value))
                .collect();
            sender.send(gate.check(&id, &secret, &args))
        });
        let checked = signals::wait(py, |timeout| {
            let receiver = receiver.lock().unwrap_or_else(PoisonError::into_inner);
            match receiver.recv_timeout(timeout) {
                Err(RecvTimeoutError::Timeout) => None,
                received => Some(received),
            }
        })?;
        let diagnosis = checked
            .map_err(|_| PyRuntimeError::new_err("the check panicked; this is a bug in credgate"))?
            .map_err(|error| raise(py, &error))?;
        from_json(py, &diagnosis.to_json())
    }

    /// For `credgate.Gate.optional`.
    fn _optional(&self) -> Gate {
        Gate(self.0.optional())
    }

    /// For `credgate.Gate.token_endpoint`.
    fn _token_endpoint(&self, py: Python<'_>) -> PyResult<Gate> {
        let gate = self.0.token_endpoint();
        gate.map(Gate).map_err(|error| raise(py, &error))
    }

    /// For `credgate.Gate.external`.
    fn _external(&self, py: Python<'_>) -> PyResult<Gate> {
        let gate = self.0.external();
        gate.map(Gate).map_err(|error| raise(py, &error))
    }

    /// The effective configuration: includes defaults, masks the operator's secrets.
    #[getter]
    fn config<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        from_json(py, self.0.effective_config())
    }

    /// Warnings about dangerous settings. They are logged when the gate is created.
    #[getter]
    fn warnings(&self) -> Vec<&'static str> {
        self.0.warnings().to_vec()
    }

    /// The names in token_post_args_host: arguments that each request may set.
    #[getter]
    fn args(&self) -> Vec<&str> {
        self.0.args().iter().map(String::as_str).collect()
    }

    /// Whether the gate forwards `traceparent`, so that it must be passed to `authenticate`.
    #[getter]
    fn wants_traceparent(&self) -> bool {
        self.0.wants_traceparent()
    }

    /// The names of the headers with the client's id and secret, in lower case.
    ///
    /// Empty if the gate names none (client_id_header, client_secret_header).
    #[getter]
    fn credential_headers(&self) -> Vec<&str> {
        let names = self.0.credential_headers();
        names.iter().map(String::as_str).collect()
    }

    /// The maximum time that a request waits for its token, in seconds.
    ///
    /// The setting of this name is in milliseconds.
    #[getter]
    fn timeout(&self) -> f64 {
        self.0.timeout().as_secs_f64()
    }

    /// Contains no secret.
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let issuer = self.config(py)?.get_item("issuer")?.repr()?;
        Ok(format!("<credgate.Gate issuer={issuer}>"))
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "a Gate cannot be pickled: create one in each process, from its configuration",
        ))
    }
}

impl Gate {
    fn decide<'py>(
        &self,
        py: Python<'py>,
        parts: Parts,
        convert: Convert<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (known, has_records) = engine::with(py, |engine| {
            let known = parts.with(&self.0, |request| {
                engine.authenticate_at_once(&self.0, request)
            });
            (known, engine.has_records())
        })?;
        if has_records {
            log::collect(py, &engine::current(py)?);
        }
        match known.map_err(|error| raise(py, &error))? {
            Some(known) => convert(py, known),
            None => {
                let gate = self.0.clone();
                Ok(Bound::new(py, Request { gate, parts })?.into_any())
            }
        }
    }
}

/// Makes the Python object of an outcome, or an exception.
type Convert<'py> = fn(Python<'py>, Outcome) -> PyResult<Bound<'py, PyAny>>;

/// Returns a result as it is, unless it is a `Request`: then it waits for the outcome.
fn waited<'py>(result: Bound<'py, PyAny>, convert: Convert<'py>) -> PyResult<Bound<'py, PyAny>> {
    match result.cast_exact::<Request>() {
        Ok(request) => {
            let py = result.py();
            convert(py, request.get().wait(py)?)
        }
        Err(_) => Ok(result),
    }
}

/// Names and values. The value of None is empty.
fn texts(args: &Bound<'_, PyMapping>) -> PyResult<Vec<(String, String)>> {
    let text = |item: Bound<'_, PyAny>| {
        let (name, value): (String, Option<Text>) = item.extract()?;
        let value = value.map(|value| value.to_text()).transpose()?;
        Ok((name, value.unwrap_or_default()))
    };
    args.items()?.iter().map(text).collect()
}

/// The JSON of a mapping, or the JSON text itself.
fn configuration(config: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(text) = config.cast::<PyString>() {
        return text.extract();
    }
    let Ok(mapping) = config.cast::<PyMapping>() else {
        return Err(PyTypeError::new_err(format!(
            "a configuration must be a mapping or JSON text, not {}",
            config.get_type().name()?
        )));
    };
    let copied = config.py().get_type::<PyDict>().call1((mapping,))?;
    to_json(copied.cast::<PyDict>()?)
}
