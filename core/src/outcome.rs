//! What becomes of a request.

use crate::cause::{Cause, Denial};
use crate::gate::Rules;
use crate::request::Source;
use crate::token::Grant;
use std::fmt;
use std::sync::Arc;

/// Allow, or deny. What a client of the gateway gets is always one of these.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The request goes upstream, with the token.
    Allow(Allow),
    /// The request is answered here.
    Deny(Deny),
}

/// How an outcome came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum How {
    /// Nothing was looked up: the request holds no usable credentials.
    None,
    /// The token cache had it.
    Hit,
    /// An exchange was made for this request.
    Miss,
    /// An exchange was under way for another request with the same credentials, and this one waited for it.
    Joined,
}

impl How {
    /// `NONE`, `HIT`, `MISS`, `JOINED`.
    pub fn name(self) -> &'static str {
        match self {
            How::None => "NONE",
            How::Hit => "HIT",
            How::Miss => "MISS",
            How::Joined => "JOINED",
        }
    }
}

/// What goes upstream. Holds its strings alive; cloning is cheap.
#[derive(Clone)]
pub struct Allow {
    grant: Arc<Grant>,
    how: How,
    source: Source,
}

impl Allow {
    pub(crate) fn new(grant: Arc<Grant>, how: How, source: Source) -> Allow {
        Allow { grant, how, source }
    }

    /// The value of the `Authorization` header to send upstream: `Bearer …`. Only characters of an RFC 6750 token.
    pub fn authorization(&self) -> &str {
        self.grant.authorization()
    }

    /// Whose token it is.
    pub fn client_id(&self) -> &str {
        self.grant.client_id()
    }

    /// The token itself, which holds the strings alive.
    pub fn into_grant(self) -> Arc<Grant> {
        self.grant
    }

    /// How it came about.
    pub fn how(&self) -> How {
        self.how
    }

    /// Where the credentials were, and so what the host hides.
    pub fn source(&self) -> Source {
        self.source
    }
}

impl fmt::Debug for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Allow")
            .field("client_id", &self.client_id())
            .field("how", &self.how)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// What the client is told instead.
#[derive(Debug, Clone)]
pub struct Deny {
    rules: Arc<Rules>,
    denial: Denial,
    how: How,
}

impl Deny {
    pub(crate) fn new(rules: Arc<Rules>, denial: Denial, how: How) -> Deny {
        Deny { rules, denial, how }
    }

    /// Why.
    pub fn cause(&self) -> Cause {
        self.denial.cause
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.denial.cause.answer().0
    }

    /// The value of `WWW-Authenticate`, on a 401 ([RFC 9110 section 11.6.1]).
    ///
    /// [RFC 9110 section 11.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1
    pub fn challenge(&self) -> Option<&str> {
        (self.status() == 401).then_some(self.rules.challenge.as_str())
    }

    /// The body, JSON: `{"message": …}`, as Kong answers.
    pub fn body(&self) -> &'static str {
        self.denial.cause.answer().1
    }

    /// The media type of the body.
    pub fn content_type(&self) -> &'static str {
        "application/json; charset=utf-8"
    }

    /// Seconds for `Retry-After`, where it is a matter of time.
    pub fn retry_after(&self) -> Option<u32> {
        self.denial.retry_after
    }

    /// One line for the operator's log. No secret, nothing that a provider or a client worded.
    pub fn detail(&self) -> &str {
        &self.denial.detail
    }

    /// How it came about.
    pub fn how(&self) -> How {
        self.how
    }
}
