//! An HTTP request, as a host presents it to the library.

pub(crate) mod args;
mod basic;
pub(crate) mod credentials;
pub(crate) mod extract;
pub(crate) mod form;
pub(crate) mod hide;
pub(crate) mod json;
pub(crate) mod named;
mod names;
mod pair;
pub(crate) mod redact;
pub(crate) mod scratch;
mod span;
#[cfg(test)]
mod tests;
pub(crate) mod token_form;
pub(crate) mod traceparent;

use std::fmt;

/// An HTTP request as the host received it, borrowed for the call.
#[derive(Clone, Copy, Default)]
pub struct Request<'a> {
    /// The method, as sent (`POST`).
    pub method: &'a [u8],
    /// The value of the `Authorization` header. A host that receives several must refuse the request itself.
    pub authorization: Option<&'a [u8]>,
    /// The query string, without `?`, as sent (not decoded).
    pub query: Option<&'a [u8]>,
    /// The value of the `Content-Type` header.
    pub content_type: Option<&'a [u8]>,
    /// The whole body, if [`Gate::wants_body`](crate::Gate::wants_body) wants it.
    pub body: Option<&'a [u8]>,
    /// An id and a secret that the host supplies. The request is not searched then, and nothing needs hiding from the
    /// upstream. They take precedence over the gate's own (`client_id`).
    pub credentials: Option<(&'a [u8], &'a [u8])>,
    /// Values for the gate's `token_post_args_host`, in their order (UTF-8); an empty one is omitted.
    pub args: &'a [&'a [u8]],
    /// The IP address of the client, as text. Refused exchanges are counted for it (`refusals_per_source`); other text,
    /// and none, are not counted.
    pub peer: Option<&'a [u8]>,
    /// The value of the `traceparent` header, if [`Gate::wants_traceparent`](crate::Gate::wants_traceparent). A malformed
    /// one is ignored.
    pub traceparent: Option<&'a [u8]>,
    /// The headers that the gate names ([`Gate::credential_headers`](crate::Gate::credential_headers)).
    pub headers: CredentialHeaders<'a>,
}

impl fmt::Debug for Request<'_> {
    /// Shows the presence of parts only; their content may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &String::from_utf8_lossy(self.method))
            .field("authorization", &self.authorization.is_some())
            .field("query", &self.query.is_some())
            .field(
                "content_type",
                &self.content_type.map(String::from_utf8_lossy),
            )
            .field("body", &self.body.map(<[u8]>::len))
            .field("credentials", &self.credentials.is_some())
            .field("headers", &self.headers)
            .finish()
    }
}

/// The values of the two headers that a gate names (`client_id_header`, `client_secret_header`). A host may let
/// [`Gate::select_headers`](crate::Gate::select_headers) find them.
#[derive(Clone, Copy, Default)]
pub struct CredentialHeaders<'a> {
    /// The client's id.
    pub client_id: Option<&'a [u8]>,
    /// The client's secret.
    pub client_secret: Option<&'a [u8]>,
    /// The request has one of them more than once, also with `_` in place of `-` or the reverse. It is denied.
    pub repeated: bool,
}

impl fmt::Debug for CredentialHeaders<'_> {
    /// Shows the presence of values only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialHeaders")
            .field("client_id", &self.client_id.is_some())
            .field("client_secret", &self.client_secret.is_some())
            .field("repeated", &self.repeated)
            .finish()
    }
}

/// A place that is searched for credentials (`client_credentials_param_type`), and the place of found ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Source {
    /// `Authorization: Basic` ([RFC 7617](https://www.rfc-editor.org/rfc/rfc7617)).
    Header,
    /// `client_id` and `client_secret` in the query string.
    Query,
    /// `client_id` and `client_secret` in a form or a JSON object.
    Body,
    /// The two headers that the gate names (`client_id_header`, `client_secret_header`).
    Headers,
    /// The host supplies them ([`Request::credentials`]); or they are the gate's own (`client_id`).
    Host,
}

/// The kinds of bodies that can hold credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyKind {
    Form,
    Json,
}

impl BodyKind {
    /// Classifies a media type; parameters such as `charset` do not matter.
    pub(crate) fn of(content_type: Option<&[u8]>) -> Option<BodyKind> {
        let value = content_type?;
        let media_type = value
            .split(|&b| b == b';')
            .next()
            .unwrap_or(value)
            .trim_ascii();
        if media_type.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
            Some(BodyKind::Form)
        } else if media_type.eq_ignore_ascii_case(b"application/json") {
            Some(BodyKind::Json)
        } else {
            None
        }
    }
}

/// Whether the method defines a meaning for content (RFC 9110 section 9.3); other bodies are ignored.
pub(crate) fn carries_body(method: &[u8]) -> bool {
    matches!(method, b"POST" | b"PUT" | b"PATCH")
}
