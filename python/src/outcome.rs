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
    /// Tell it from a denial.
    #[getter]
    fn allowed(&self) -> bool {
        true
    }

    /// What it was: "HIT", "MISS", "JOINED", "SHARED", "STALE", "ANONYMOUS" or "PREFLIGHT".
    #[getter]
    fn cache_status(&self) -> &'static str {
        self.0.cache_status().name()
    }

    /// Where the credentials were: "header", "query", "body" or "host". None without a token.
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

    /// Whose token it is. None where the request passes without a token.
    #[getter]
    fn client_id(&self) -> Option<&str> {
        self.0.client_id()
    }

    /// The token as an Authorization header has it: "Bearer ...". See `headers`.
    #[getter]
    fn authorization(&self) -> Option<&str> {
        self.0.authorization()
    }

    /// The token alone.
    #[getter]
    fn access_token(&self) -> Option<&str> {
        Some(self.0.grant()?.token())
    }

    /// The headers to send upstream, by lower-case name; None takes the client's away.
    #[getter]
    fn headers(&self) -> Vec<(String, Option<String>)> {
        let headers = self.0.headers();
        headers
            .map(|(name, value)| (name.to_owned(), value.map(Cow::into_owned)))
            .collect()
    }

    /// For how many seconds the token is served still. None where it is not kept.
    #[getter]
    fn expires_in(&self) -> Option<u64> {
        let left = self.0.rules().expires_in(self.0.grant()?, Instant::now())?;
        Some(left.as_secs())
    }

    /// What the token says. None where it is no JWT.
    #[getter]
    fn claims<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let claims = self.0.grant().and_then(|grant| grant.claims());
        claims
            .map(|claims| request::from_json(py, &claims))
            .transpose()
    }

    /// Answer a claim by its name, or by a path joined by "__", with positions from 1.
    ///
    /// Text as it is, anything else as JSON.
    fn claim(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.claim(name)
    }

    /// Tell what the upstream answered. True where the token is not used again.
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
            allow.cache_status(),
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
    /// Tell it from what is allowed.
    #[getter]
    fn allowed(&self) -> bool {
        false
    }

    /// What it was: "NONE", "MISS", "JOINED" or "NEGATIVE".
    #[getter]
    fn cache_status(&self) -> &'static str {
        self.0.cache_status().name()
    }

    /// The cause, by its number in the C ABI.
    #[getter]
    fn code(&self) -> i32 {
        self.0.cause().code()
    }

    /// The cause by its name in metrics, such as "credentials_refused".
    #[getter]
    fn cause(&self) -> &'static str {
        self.0.cause().name()
    }

    /// The HTTP status to answer.
    #[getter]
    fn http_status(&self) -> u16 {
        self.0.http_status()
    }

    /// The value of WWW-Authenticate.
    #[getter]
    fn challenge(&self) -> Option<&str> {
        self.0.challenge()
    }

    /// Seconds for Retry-After.
    #[getter]
    fn retry_after(&self) -> Option<u32> {
        self.0.retry_after()
    }

    /// The media type of the body.
    #[getter]
    fn content_type(&self) -> &'static str {
        self.0.content_type()
    }

    /// The headers to answer: content-type, www-authenticate, retry-after.
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

    /// The body to answer, JSON.
    #[getter]
    fn body(&self) -> &str {
        self.0.body()
    }

    /// One line for the operator's log, or nothing.
    #[getter]
    fn detail(&self) -> &str {
        self.0.detail()
    }

    fn __repr__(&self) -> String {
        format!(
            "<credgate.Deny {} {} {:?}>",
            self.http_status(),
            self.cache_status(),
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
