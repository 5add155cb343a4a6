//! A gate: one compiled configuration.

mod clients;
pub(crate) mod connection;
pub(crate) mod issuer;
pub(crate) mod policy;
pub(crate) mod retention;
mod rules;
mod token_request;
mod upstream;

pub use rules::Rules;
pub(crate) use token_request::{TokenRequest, headers};

use crate::config::Config;
use crate::error::Error;
use crate::request::Request;
use crate::request::extract::body_kind;
use crate::request::hide;
use std::sync::Arc;
use std::time::Duration;

/// One compiled configuration: an issuer, how credentials are found, what is asked for, what a token must hold.
///
/// Making one starts no thread and opens no connection, so that it may be made before a fork and while the provider is
/// down. Cloning is cheap.
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
    /// Every error [`is_config_fault`](Error::is_config_fault) and says which field to change.
    pub fn from_json(json: &str) -> Result<Gate, Error> {
        Rules::compile(&Config::from_json(json)?).map(|rules| Gate {
            rules: Arc::new(rules),
        })
    }

    /// The same gate where credentials are optional (`anonymous`): what would be answered with 401 passes without a
    /// token. The two share their tokens.
    #[must_use]
    pub fn optional(&self) -> Gate {
        Gate {
            rules: Arc::new(self.rules.optional()),
        }
    }

    /// The configuration in effect, JSON: defaults included, secrets of the operator's masked.
    pub fn effective_config(&self) -> &str {
        &self.rules.effective
    }

    /// What in the configuration is allowed and yet dangerous: one log-safe line each.
    pub fn warnings(&self) -> &[&'static str] {
        &self.rules.warnings
    }

    /// The arguments of the token request for which [`Request::args`] gives values (`token_post_args_host`), in their
    /// order.
    pub fn args(&self) -> &[String] {
        self.rules.places.args.host()
    }

    /// Whether the body of this request can hold something for this gate and should be read and shown: by place,
    /// method, media type and length (`None`: not known in advance). Ask again when a length has become known.
    pub fn wants_body(&self, request: &Request<'_>, content_length: Option<u64>) -> bool {
        let places = &self.rules.places;
        body_kind(places, request).is_some()
            && content_length
                .is_none_or(|length| length > 0 && length <= places.max_body_bytes as u64)
    }

    /// Copies a query string to `out` as it goes upstream: without its `client_id` and `client_secret` parameters where
    /// the query is a place of this gate, and else as it is. Everything else stays byte for byte.
    ///
    /// Answers how many bytes were written, at most as many as the query has.
    ///
    /// # Panics
    ///
    /// When `out` is shorter than the query.
    pub fn hide_query(&self, query: &[u8], out: &mut [u8]) -> usize {
        if self.rules.hide && self.rules.places.query {
            hide::hide_query(query, out)
        } else {
            hide::copy(query, out)
        }
    }

    /// Copies a body to `out` as it goes upstream: without its credentials (parameters of a form, members of a JSON
    /// object) where the body is a place of this gate, and else as it is. Everything else stays byte for byte.
    ///
    /// Answers how many bytes were written, at most as many as the body has.
    ///
    /// # Panics
    ///
    /// When `out` is shorter than the body.
    pub fn hide_body(&self, content_type: Option<&[u8]>, body: &[u8], out: &mut [u8]) -> usize {
        if self.rules.hide && self.rules.places.body {
            hide::hide_body(content_type, body, out)
        } else {
            hide::copy(body, out)
        }
    }

    /// The deadline of a whole exchange, discovery included.
    pub fn timeout(&self) -> Duration {
        self.rules.timeout
    }
}

#[cfg(test)]
mod tests;
