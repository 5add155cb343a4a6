//! `credgate.Allow`, `credgate.Token` and `credgate.Deny`.

use crate::errors::{denied, raise, without_token};
use crate::text::from_json;
use crate::{engine, strings};
use credgate_core::{Outcome, Source};
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};
use std::borrow::Cow;

/// Converts an outcome to `credgate.Allow` or `credgate.Deny`.
pub(crate) fn outcome(py: Python<'_>, outcome: Outcome) -> PyResult<Bound<'_, PyAny>> {
    Ok(match outcome {
        Outcome::Allow(allow) => Bound::new(py, Allow(allow))?.into_any(),
        Outcome::Deny(deny) => Bound::new(py, Deny(deny))?.into_any(),
    })
}

/// Converts an outcome to `credgate.Token`, or raises `DeniedError`.
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

/// Converts a `credgate.Allow` or `credgate.Deny` to `credgate.Token`, or raises `DeniedError`.
#[pyfunction]
pub(crate) fn to_token<'py>(outcome: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = outcome.py();
    match outcome.cast::<Allow>() {
        Ok(allow) => token(py, Outcome::Allow(allow.get().0.clone())),
        Err(_) => Err(denied(py, &outcome.cast::<Deny>()?.get().0)),
    }
}

/// The request may go upstream: forward it with `headers`.
#[pyclass(frozen, subclass, module = "credgate")]
pub(crate) struct Allow(pub(crate) credgate_core::Allow);

#[pymethods]
impl Allow {
    /// True. On `Deny`, False.
    #[getter]
    fn allowed(&self) -> bool {
        true
    }

    /// One of "HIT", "STALE", "MISS", "JOINED", "SHARED", "ANONYMOUS" or "PREFLIGHT".
    #[getter]
    fn cache_status(&self) -> &'static str {
        self.0.cache_status().name()
    }

    /// The place: "header", "query", "body", "headers" or "host". None without a token.
    #[getter]
    fn source(&self) -> Option<&'static str> {
        Some(match self.0.source()? {
            Source::Header => "header",
            Source::Query => "query",
            Source::Body => "body",
            Source::Headers => "headers",
            Source::Host => "host",
            _ => "other",
        })
    }

    /// The id of the client. None if the request passes without a token.
    #[getter]
    fn client_id(&self) -> Option<&str> {
        self.0.client_id()
    }

    /// The token with its scheme: "Bearer ...". To forward a request, use `headers`.
    #[getter]
    fn authorization<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyString>> {
        strings::authorization(py, &self.0)
    }

    /// The token without a scheme.
    #[getter]
    fn access_token(&self) -> Option<&str> {
        Some(self.0.grant()?.token())
    }

    /// The headers to set upstream, by lower-case name. None: remove the client's header.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        if self.0.is_authorization_only() {
            let name = intern!(py, "authorization");
            return PyList::new(py, [(name, strings::authorization(py, &self.0))]);
        }
        PyList::new(py, self.0.headers().collect::<Vec<_>>())
    }

    /// The seconds for which the token is still served. None if it is not cached.
    #[getter]
    fn expires_in(&self) -> Option<u64> {
        let left = self.0.rules().expires_in(self.0.grant()?)?;
        Some(left.as_secs())
    }

    /// The body of a token endpoint's success response, JSON. None without token.
    #[getter]
    fn token_response(&self) -> Option<String> {
        self.0.token_response()
    }

    /// The claims of the token. None if it is not a JWT.
    #[getter]
    fn claims<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let claims = self.0.grant().and_then(|grant| grant.claims());
        claims.map(|claims| from_json(py, &claims)).transpose()
    }

    /// Return a claim by its name or path; None if it is absent.
    ///
    /// A path joins names with "__"; array positions start at 1: "realm_access__roles__1". Strings
    /// are returned unchanged, other values as JSON. None also for a string with control
    /// characters.
    fn claim(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.claim(name)
    }

    /// Report the status code of the upstream's response; return whether the token was dropped.
    ///
    /// It is dropped if the gate's purge_token_on_upstream_status_codes has this status, unless
    /// the token was received within the last ten seconds or has already been replaced.
    fn note_upstream_status(&self, py: Python<'_>, http_status: u16) -> PyResult<bool> {
        let Some(grant) = self.0.grant() else {
            return Ok(false);
        };
        engine::current(py)?
            .note_upstream_status(self.0.rules(), grant, http_status)
            .map_err(|error| raise(py, &error))
    }

    /// Contains no token.
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

/// The token of a client: an `Allow` that always has a token.
#[pyclass(frozen, extends = Allow, module = "credgate")]
pub(crate) struct Token;

/// The request is denied: respond with `http_status`, `headers` and `body`.
#[pyclass(frozen, module = "credgate")]
pub(crate) struct Deny(pub(crate) credgate_core::Deny);

#[pymethods]
impl Deny {
    /// False. On `Allow`, True.
    #[getter]
    fn allowed(&self) -> bool {
        false
    }

    /// One of "NONE", "MISS", "JOINED" or "NEGATIVE".
    #[getter]
    fn cache_status(&self) -> &'static str {
        self.0.cache_status().name()
    }

    /// The reason, such as "credentials_refused"; the same as in metrics.
    #[getter]
    fn cause(&self) -> &'static str {
        self.0.cause().name()
    }

    /// The HTTP status to respond with.
    #[getter]
    fn http_status(&self) -> u16 {
        self.0.http_status()
    }

    /// The value of WWW-Authenticate; None if the denial has no challenge.
    #[getter]
    fn challenge(&self) -> Option<&str> {
        self.0.challenge()
    }

    /// The seconds of Retry-After; None if the denial has none.
    #[getter]
    fn retry_after(&self) -> Option<u32> {
        self.0.retry_after()
    }

    /// The media type of the body.
    #[getter]
    fn content_type(&self) -> &'static str {
        self.0.content_type()
    }

    /// The headers to respond with: content-type, www-authenticate, retry-after.
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

    /// The JSON body to respond with.
    #[getter]
    fn body(&self) -> &str {
        self.0.body()
    }

    /// One line for the operator's log; may be empty. Contains no secret.
    #[getter]
    fn detail(&self) -> &str {
        self.0.detail()
    }

    fn __repr__(&self) -> String {
        format!(
            "<credgate.Deny {} {} {}>",
            self.http_status(),
            self.cache_status(),
            self.cause()
        )
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_pickled("Deny"))
    }
}

fn not_pickled(what: &str) -> PyErr {
    PyTypeError::new_err(format!(
        "a {what} cannot be pickled: it belongs to the process that created it"
    ))
}
