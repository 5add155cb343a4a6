//! `credgate.Allow` and `credgate.Deny`.

use credgate_core::Source;
use pyo3::prelude::*;
use std::borrow::Cow;

/// The request goes upstream, with the token.
#[pyclass(frozen, module = "credgate")]
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
    fn headers(&self) -> Vec<(String, Option<String>)> {
        let headers = self.0.headers();
        headers
            .map(|(name, value)| (name.to_owned(), value.map(Cow::into_owned)))
            .collect()
    }

    /// Without the token.
    fn __repr__(&self) -> String {
        format!(
            "<credgate.Allow {} client_id={}>",
            self.how(),
            self.client_id()
                .map_or("None".to_owned(), |id| format!("{id:?}"))
        )
    }
}

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
}
