//! What becomes of a request: the one table that maps every cause to what the client is told.

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

/// A cause with its circumstances; what a failed flight hands to everybody who waits.
#[derive(Debug, Clone)]
pub(crate) struct Denial {
    pub(crate) cause: Cause,
    pub(crate) retry_after: Option<u32>,
    pub(crate) detail: Arc<str>,
}

impl Denial {
    pub(crate) fn new(cause: Cause, detail: impl Into<Arc<str>>) -> Denial {
        Denial {
            cause,
            retry_after: cause.default_retry_after(),
            detail: detail.into(),
        }
    }

    pub(crate) fn retry_after(mut self, seconds: u32) -> Denial {
        self.retry_after = Some(seconds);
        self
    }
}

/// Why a request was denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// There are no credentials in any place that is looked at.
    NoCredentials,
    /// An id or a secret is empty, or Basic holds no colon.
    EmptyCredential,
    /// `Authorization: Basic` is not followed by base64.
    MalformedBasic,
    /// `client_id` or `client_secret` does not decode, or is no string.
    MalformedParameter,
    /// One of `client_id` and `client_secret` stands without the other.
    IncompletePair,
    /// `client_id` or `client_secret` stands twice, under whatever spelling.
    RepeatedParameter,
    /// There are credentials in two places.
    TwoPlaces,
    /// An id or a secret holds something other than printable ASCII.
    InvalidCharacters,
    /// Id and secret together are longer than 2,048 bytes.
    TooLong,
    /// The provider refused these credentials.
    CredentialsRefused,
    /// The provider knows the client, and does not grant it what the gate asks for.
    ClientForbidden,
    /// The provider found the request itself wrong: the gate's configuration is at fault, or the provider.
    RequestRefused,
    /// The provider cannot be reached, or its certificate is not trusted.
    ProviderUnreachable,
    /// The provider answered 5xx.
    ProviderFailed,
    /// The provider's answer cannot be understood or must not be used.
    ProviderAnswerInvalid,
    /// The provider answered 429.
    ProviderBusy,
    /// The provider did not answer in time.
    ProviderTimeout,
    /// Something that should not happen, inside the library.
    Internal,
    /// The engine is being shut down.
    ShuttingDown,
}

impl Cause {
    /// The number in the C ABI: never reused. 3000: the request; 4000: the provider's refusal; 4100: its failure;
    /// 5000: the library.
    pub fn code(self) -> i32 {
        match self {
            Cause::NoCredentials => 3001,
            Cause::EmptyCredential => 3002,
            Cause::MalformedBasic => 3003,
            Cause::MalformedParameter => 3004,
            Cause::IncompletePair => 3005,
            Cause::RepeatedParameter => 3006,
            Cause::TwoPlaces => 3007,
            Cause::InvalidCharacters => 3008,
            Cause::TooLong => 3009,
            Cause::CredentialsRefused => 4001,
            Cause::ClientForbidden => 4002,
            Cause::RequestRefused => 4003,
            Cause::ProviderUnreachable => 4101,
            Cause::ProviderFailed => 4102,
            Cause::ProviderAnswerInvalid => 4103,
            Cause::ProviderBusy => 4104,
            Cause::ProviderTimeout => 4105,
            Cause::Internal => 5001,
            Cause::ShuttingDown => 5002,
        }
    }

    /// Status and body. 401 and 403 read as Kong's do; 400 says what to change; a provider's failure is never a 401,
    /// which would make clients throw good credentials away.
    fn answer(self) -> (u16, &'static str) {
        match self {
            Cause::NoCredentials | Cause::EmptyCredential | Cause::CredentialsRefused => {
                (401, r#"{"message":"Unauthorized"}"#)
            }
            Cause::ClientForbidden => (403, r#"{"message":"Forbidden"}"#),
            Cause::MalformedBasic => (
                400,
                r#"{"message":"Authorization: Basic must be followed by base64 of client_id:client_secret"}"#,
            ),
            Cause::MalformedParameter => (
                400,
                r#"{"message":"client_id and client_secret must be well-formed strings"}"#,
            ),
            Cause::IncompletePair => (
                400,
                r#"{"message":"client_id and client_secret must be sent together"}"#,
            ),
            Cause::RepeatedParameter => (
                400,
                r#"{"message":"client_id and client_secret must be sent once"}"#,
            ),
            Cause::TwoPlaces => (
                400,
                r#"{"message":"Credentials must be sent in one place only"}"#,
            ),
            Cause::InvalidCharacters => (
                400,
                r#"{"message":"client_id and client_secret must be printable ASCII"}"#,
            ),
            Cause::TooLong => (
                400,
                r#"{"message":"client_id and client_secret are too long"}"#,
            ),
            Cause::RequestRefused => (
                502,
                r#"{"message":"The identity provider refused the gateway's request"}"#,
            ),
            Cause::ProviderUnreachable => (
                502,
                r#"{"message":"The identity provider cannot be reached"}"#,
            ),
            Cause::ProviderFailed => (502, r#"{"message":"The identity provider failed"}"#),
            Cause::ProviderAnswerInvalid => (
                502,
                r#"{"message":"The identity provider's answer is invalid"}"#,
            ),
            Cause::ProviderBusy => (503, r#"{"message":"The identity provider is busy"}"#),
            Cause::ProviderTimeout => (
                504,
                r#"{"message":"The identity provider did not answer in time"}"#,
            ),
            Cause::Internal => (500, r#"{"message":"An unexpected error occurred"}"#),
            Cause::ShuttingDown => (503, r#"{"message":"The gateway is shutting down"}"#),
        }
    }

    /// Where trying again later makes sense, when: in seconds.
    fn default_retry_after(self) -> Option<u32> {
        match self {
            Cause::ProviderUnreachable
            | Cause::ProviderFailed
            | Cause::ProviderAnswerInvalid
            | Cause::ProviderBusy
            | Cause::ProviderTimeout
            | Cause::RequestRefused => Some(5),
            Cause::ShuttingDown => Some(1),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Cause; 19] = [
        Cause::NoCredentials,
        Cause::EmptyCredential,
        Cause::MalformedBasic,
        Cause::MalformedParameter,
        Cause::IncompletePair,
        Cause::RepeatedParameter,
        Cause::TwoPlaces,
        Cause::InvalidCharacters,
        Cause::TooLong,
        Cause::CredentialsRefused,
        Cause::ClientForbidden,
        Cause::RequestRefused,
        Cause::ProviderUnreachable,
        Cause::ProviderFailed,
        Cause::ProviderAnswerInvalid,
        Cause::ProviderBusy,
        Cause::ProviderTimeout,
        Cause::Internal,
        Cause::ShuttingDown,
    ];

    #[test]
    fn every_cause_has_its_own_code_and_a_json_body() {
        let codes: std::collections::BTreeSet<_> = ALL.iter().map(|cause| cause.code()).collect();
        assert_eq!(codes.len(), ALL.len());
        for cause in ALL {
            let (status, body) = cause.answer();
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert!(body["message"].is_string(), "{cause:?}");
            assert!((400..=599).contains(&status), "{cause:?}");
        }
    }

    #[test]
    fn a_providers_failure_is_never_a_401_and_says_when_to_retry() {
        for cause in ALL
            .into_iter()
            .filter(|cause| (4003..5000).contains(&cause.code()))
        {
            assert!((502..=504).contains(&cause.answer().0), "{cause:?}");
            assert!(cause.default_retry_after().is_some(), "{cause:?}");
        }
    }
}
