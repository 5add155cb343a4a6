//! `credgate.Allow`, `credgate.Token` and `credgate.Deny`.

use crate::errors::{denied, raise, without_token};
use crate::{engine, request};
use credgate_core::{Outcome, Source};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use std::borrow::Cow;
use std::time::Instant;

/// An outcome as Python has it.
pub(crate) fn outcome(py: Python<'_>, outcome: Outcome) -> PyResult<Bound<'_, PyAny>> {
    Ok(match outcome {
        Outcome::Allow(allow) => Bound::new(py, Allow(allow))?.into_any(),
        Outcome::Deny(deny) => Bound::new(py, Deny(deny))?.into_any(),
    })
}

/// The token of an outcome, or why there is none.
pub(crate) fn token(py: Python<'_>, outcome: Outcome) -> PyResult<Bound<'_, PyAny>> {
    match outcome {
        Outcome::Allow(allow) if allow.grant().is_none() => Err(without_token(py)),
        Outcome::Allow(allow) => {
            let token = PyClassInitializer::from(Allow(allow)).add_subclass(Token);
            Ok(Bound::new(py, token)?.into_any())
        }
        Outcome::Deny(deny) => Err(denied(py, &deny)),
    }
}

/// The same of an outcome that Python has already.
#[pyfunction]
pub(crate) fn to_token<'py>(outcome: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = outcome.py();
    match outcome.cast::<Allow>() {
        Ok(allow) => token(py, Outcome::Allow(allow.get().0.clone())),
        Err(_) => Err(denied(py, &outcome.cast::<Deny>()?.get().0)),
    }
}

/// The request goes upstream, with the token.
#[pyclass(frozen, subclass, module = "credgate")]
pub(crate) struct Allow(pub(crate) credgate_core::Allow);

#[pymethods]
impl Allow {
    #[getter]
    fn allowed(&self) -> bool {
        true
    }

    #[getter]
    fn how(&self) -> &'static str {
        self.0.how().name()
    }

    #[getter]
    fn source(&self) -> Option<&'static str> {
        Some(match self.0.source()? {
            Source::Header => "header",
            Source::Query => "query",
            Source::Body => "body",
            Source::Host => "host",
            _ => "other",
        })
    }

    #[getter]
    fn client_id(&self) -> Option<&str> {
        self.0.client_id()
    }

    #[getter]
    fn authorization(&self) -> Option<&str> {
        self.0.authorization()
    }

    #[getter]
    fn access_token(&self) -> Option<&str> {
        Some(self.0.grant()?.token())
    }

    #[getter]
    fn headers(&self) -> Vec<(String, Option<String>)> {
        let headers = self.0.headers();
        headers
            .map(|(name, value)| (name.to_owned(), value.map(Cow::into_owned)))
            .collect()
    }

    #[getter]
    fn expires_in(&self) -> Option<u64> {
        let left = self.0.rules().expires_in(self.0.grant()?, Instant::now())?;
        Some(left.as_secs())
    }

    #[getter]
    fn claims<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let claims = self.0.grant().and_then(|grant| grant.claims());
        claims
            .map(|claims| request::from_json(py, &claims))
            .transpose()
    }

    fn claim(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.claim(name)
    }

    fn note_upstream_status(&self, py: Python<'_>, status: u16) -> PyResult<bool> {
        let Some(grant) = self.0.grant() else {
            return Ok(false);
        };
        engine::current(py)?
            .note_upstream_status(self.0.rules(), grant, status)
            .map_err(|error| raise(py, &error))
    }

    /// Without the token.
    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let allow = slf.get();
        Ok(format!(
            "<credgate.{} {} client_id={}>",
            slf.get_type().name()?,
            allow.how(),
            allow
                .client_id()
                .map_or("None".to_owned(), |id| format!("{id:?}"))
        ))
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_pickled("Allow"))
    }
}

/// The token of a client: an `Allow` that has one for certain.
#[pyclass(frozen, extends = Allow, module = "credgate")]
pub(crate) struct Token;

/// The request is answered here.
#[pyclass(frozen, module = "credgate")]
pub(crate) struct Deny(pub(crate) credgate_core::Deny);

#[pymethods]
impl Deny {
    #[getter]
    fn allowed(&self) -> bool {
        false
    }

    #[getter]
    fn how(&self) -> &'static str {
        self.0.how().name()
    }

    #[getter]
    fn code(&self) -> i32 {
        self.0.cause().code()
    }

    #[getter]
    fn cause(&self) -> &'static str {
        self.0.cause().name()
    }

    #[getter]
    fn status(&self) -> u16 {
        self.0.status()
    }

    #[getter]
    fn challenge(&self) -> Option<&str> {
        self.0.challenge()
    }

    #[getter]
    fn retry_after(&self) -> Option<u32> {
        self.0.retry_after()
    }

    #[getter]
    fn content_type(&self) -> &'static str {
        self.0.content_type()
    }

    #[getter]
    fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![("content-type", self.content_type().to_owned())];
        if let Some(challenge) = self.challenge() {
            headers.push(("www-authenticate", challenge.to_owned()));
        }
        if let Some(seconds) = self.retry_after() {
            headers.push(("retry-after", seconds.to_string()));
        }
        headers
    }

    #[getter]
    fn body(&self) -> &str {
        self.0.body()
    }

    #[getter]
    fn detail(&self) -> &str {
        self.0.detail()
    }

    fn __repr__(&self) -> String {
        format!(
            "<credgate.Deny {} {} {:?}>",
            self.status(),
            self.how(),
            self.0.cause()
        )
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_pickled("Deny"))
    }
}

fn not_pickled(what: &str) -> PyErr {
    PyTypeError::new_err(format!(
        "a {what} cannot be pickled: it belongs to the process that it was made in"
    ))
}
