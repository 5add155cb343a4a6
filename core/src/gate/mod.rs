//! A gate: one compiled configuration.

mod challenge;
pub(crate) mod client_certificate;
mod client_key;
mod clients;
pub(crate) mod connection;
pub(crate) mod endpoint;
mod header_name;
pub(crate) mod introspection;
pub(crate) mod issuer;
pub(crate) mod own;
pub(crate) mod policy;
pub(crate) mod reach;
pub(crate) mod retention;
mod rules;
pub(crate) mod secret_values;
mod token_request;
mod upstream;

pub use rules::Rules;
pub(crate) use token_request::{TRACEPARENT, TokenRequest, headers};

use crate::config::Config;
use crate::error::{Error, Problems};
use crate::request::extract::{Presented, ascii, body_kind, extract, header_decides};
use crate::request::hide;
use crate::request::named;
use crate::request::scratch::{Scratch, ScratchBuffer};
use crate::request::{CredentialHeaders, Request};
use std::sync::Arc;
use std::time::Duration;

/// One compiled configuration: the issuer, the places to search, the token request, and the requirements on tokens.
///
/// A gate starts no thread and opens no connection, so it may be created before a fork and while the provider is down.
/// Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Gate {
    pub(crate) rules: Arc<Rules>,
}

impl Gate {
    /// Compiles a configuration: a JSON object, or Kong's plugin object
    /// (`{"name": "openid-connect", "config": {…}}`).
    ///
    /// # Errors
    ///
    /// Every error [`is_config_fault`](Error::is_config_fault) and names the field to change; with several problems, it
    /// has a line for each.
    pub fn from_json(json: &str) -> Result<Gate, Error> {
        let mut problems = Problems::default();
        let config = Config::read(json, &mut problems)?;
        let rules = Rules::compile(&config, problems)?;
        Ok(Gate {
            rules: Arc::new(rules),
        })
    }

    /// The same gate with optional credentials (`anonymous`): requests that would be denied with 401 pass without a
    /// token. Both gates share their tokens.
    #[must_use]
    pub fn optional(&self) -> Gate {
        Gate {
            rules: Arc::new(self.rules.optional()),
        }
    }

    /// The gate of a token endpoint that answers from the cache ([RFC 6749 section 3.2]). It takes only requests for the
    /// client credentials grant: `POST` of a form, with the credentials in `Authorization: Basic` or in the form. Its
    /// denials are error responses ([section 5.2]), and [`Allow::token_response`](crate::Allow::token_response) is the
    /// body of a success. Every response needs `Cache-Control: no-store`. Both gates share their tokens.
    ///
    /// # Errors
    ///
    /// [`is_config_fault`](Error::is_config_fault): the gate exchanges no credentials of clients.
    ///
    /// [RFC 6749 section 3.2]: https://www.rfc-editor.org/rfc/rfc6749#section-3.2
    /// [section 5.2]: https://www.rfc-editor.org/rfc/rfc6749#section-5.2
    pub fn token_endpoint(&self) -> Result<Gate, Error> {
        let rules = self.rules.as_token_endpoint()?;
        Ok(Gate {
            rules: Arc::new(rules),
        })
    }

    /// The gate of a service that other proxies ask about their requests: it searches headers only, because such a
    /// service can remove nothing from a query or a body. Both gates share their tokens.
    ///
    /// # Errors
    ///
    /// [`is_config_fault`](Error::is_config_fault): the gate searches no header.
    pub fn external(&self) -> Result<Gate, Error> {
        let rules = self.rules.as_external()?;
        Ok(Gate {
            rules: Arc::new(rules),
        })
    }

    /// The effective configuration as JSON, with defaults included and secrets of the operator masked.
    pub fn effective_config(&self) -> &str {
        &self.rules.effective
    }

    /// Warnings about dangerous settings, one log-safe line each.
    pub fn warnings(&self) -> &[&'static str] {
        &self.rules.warnings
    }

    /// Whether the gate searches requests for credentials. If not (`client_id`, or the place `host`), the first warning
    /// says so: a host that knows of another guard may leave it out.
    pub fn searches_requests(&self) -> bool {
        self.rules.places.are_searched()
    }

    /// The names of the arguments whose values are in [`Request::args`] (`token_post_args_host`), in the same order.
    pub fn args(&self) -> &[String] {
        self.rules.places.args.host()
    }

    /// Whether this gate reads [`Request::headers`] or [`Request::traceparent`]; otherwise it ignores both.
    pub fn reads_headers(&self) -> bool {
        self.rules.reads_headers
    }

    /// Whether this gate forwards [`Request::traceparent`] (`traceparent`), so that the host should look it up.
    pub fn wants_traceparent(&self) -> bool {
        self.rules.request.traceparent
    }

    /// The names of the headers with the client's id and secret (`client_id_header`, `client_secret_header`), in lower
    /// case; empty if the gate names none.
    pub fn credential_headers(&self) -> &[String] {
        self.rules
            .places
            .headers
            .as_ref()
            .map_or(&[], |names| names)
    }

    /// Selects the values for [`Request::headers`] from all headers of a request. A name counts in any case. Another
    /// header whose name differs only in `_` and `-` makes it repeated.
    pub fn select_headers<'h>(
        &self,
        headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    ) -> CredentialHeaders<'h> {
        match &self.rules.places.headers {
            Some(names) => named::select(names, headers),
            None => CredentialHeaders::default(),
        }
    }

    /// Whether this gate searches the body of this request, so that the host should read it into [`Request::body`].
    /// Decides by place, method, media type and length (`None`: not known in advance). Call it again once the length is
    /// known. A body of unknown length is not wanted beside a header that the gate searches, unless clients may set
    /// arguments of the token request.
    pub fn wants_body(&self, request: &Request<'_>, content_length: Option<u64>) -> bool {
        let places = &self.rules.places;
        body_kind(places, request).is_some()
            && match content_length {
                Some(length) => length > 0 && length <= places.max_body_bytes as u64,
                None => !header_decides(places, request),
            }
    }

    /// The client id that the request presents, with any secret: for log lines. `None` if the gate finds no credentials,
    /// or finds malformed ones.
    pub fn presented_client_id(&self, request: &Request<'_>) -> Option<String> {
        let mut buffer = ScratchBuffer::new();
        let scratch = &mut Scratch::new(&mut buffer);
        let request = &self.rules.entry.visible(request);
        match extract(self.rules.places(request), request, scratch) {
            Ok(Presented::Pair(pair)) => Some(ascii(pair.client_id).to_owned()),
            _ => None,
        }
    }

    /// Copies a query string to `out` for the upstream. If the gate hides credentials and searches the query, omits the
    /// parameters `client_id` and `client_secret`. Everything else stays byte for byte.
    ///
    /// Returns the number of bytes written, at most the length of the query.
    ///
    /// # Panics
    ///
    /// If `out` is shorter than the query.
    pub fn hide_query(&self, query: &[u8], out: &mut [u8]) -> usize {
        if self.rules.hide && self.rules.places.query {
            hide::hide_query(query, out)
        } else {
            hide::copy(query, out)
        }
    }

    /// Copies a body to `out` for the upstream. If the gate hides credentials and searches the body, omits the
    /// credentials (parameters of a form, members of a JSON object). Everything else stays byte for byte.
    ///
    /// Returns the number of bytes written, at most the length of the body.
    ///
    /// # Panics
    ///
    /// If `out` is shorter than the body.
    pub fn hide_body(&self, content_type: Option<&[u8]>, body: &[u8], out: &mut [u8]) -> usize {
        if self.rules.hide && self.rules.places.body {
            hide::hide_body(content_type, body, out)
        } else {
            hide::copy(body, out)
        }
    }

    /// The deadline of an exchange, discovery included.
    pub fn timeout(&self) -> Duration {
        self.rules.timeout
    }
}

#[cfg(test)]
mod tests;
