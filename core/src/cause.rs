//! The causes of denials: the one table that maps each cause to its code, name, HTTP status, body and Retry-After.

use crate::error::Error;
use std::ffi::CStr;
use std::sync::Arc;
use std::time::Duration;

/// A cause with its circumstances. A failed flight delivers it to all its waiters.
#[derive(Debug, Clone)]
pub(crate) struct Denial {
    pub(crate) cause: Cause,
    pub(crate) retry_after: Option<u32>,
    pub(crate) detail: Arc<str>,
    /// The provider has issued, and counted, a token nevertheless.
    pub(crate) is_spent: bool,
    /// The provider will refuse the same request again.
    pub(crate) is_permanent: bool,
    /// The token lacks a scope that the gate requires.
    pub(crate) lacks_scope: bool,
}

impl Denial {
    pub(crate) fn new(cause: Cause, detail: impl Into<Arc<str>>) -> Denial {
        Denial {
            cause,
            retry_after: cause.default_retry_after(),
            detail: detail.into(),
            is_spent: false,
            is_permanent: false,
            lacks_scope: false,
        }
    }

    /// The denial while a secret or a key of the operator is unreadable.
    pub(crate) fn unreadable(error: Error) -> Denial {
        Denial::new(Cause::EngineUnavailable, error.to_string())
    }

    pub(crate) fn spent(mut self) -> Denial {
        self.is_spent = true;
        self
    }

    /// Whether this is a refusal to cache: an immediate retry would get the same response.
    pub(crate) fn is_refusal(&self) -> bool {
        self.is_permanent
            || matches!(
                self.cause,
                Cause::CredentialsRefused | Cause::ClientForbidden | Cause::TokenInvalid
            )
    }

    /// The denial of the gateway's own client. The request is not at fault, so it gets no 401 and no 403.
    pub(crate) fn of_own_client(self) -> Denial {
        match self.cause {
            Cause::CredentialsRefused | Cause::ClientForbidden => Denial {
                cause: Cause::RequestRefused,
                retry_after: Cause::RequestRefused.default_retry_after(),
                is_permanent: true,
                ..self
            },
            _ => self,
        }
    }

    pub(crate) fn retry_after(mut self, seconds: u32) -> Denial {
        self.retry_after = Some(seconds);
        self
    }

    /// Sets Retry-After from a duration, rounded up, at least one second.
    pub(crate) fn retry_in(self, wait: Duration) -> Denial {
        let seconds = wait.as_secs_f64().ceil() as u32;
        self.retry_after(seconds.max(1))
    }
}

/// The cause of a denial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The request has no credentials in any place that the gate searches.
    NoCredentials,
    /// The id or the secret is empty, or the Basic credentials have no colon.
    EmptyCredential,
    /// The value after `Authorization: Basic` is not base64.
    MalformedBasic,
    /// `client_id`, `client_secret` or a caller's argument does not decode, or is not a string.
    MalformedParameter,
    /// The request has only one of `client_id` and `client_secret`.
    IncompletePair,
    /// `client_id` or `client_secret` is repeated, in any spelling.
    RepeatedParameter,
    /// The request has credentials in two places.
    TwoPlaces,
    /// The id or the secret contains a byte that is not printable ASCII.
    InvalidCharacters,
    /// The id, the secret and the request's arguments together exceed 2,048 bytes.
    TooLong,
    /// The client id is not in `clients_allowed`.
    ClientNotAllowed,
    /// The provider refused these credentials.
    CredentialsRefused,
    /// The provider knows the client, but does not grant what the gate requests.
    ClientForbidden,
    /// The provider rejected the token request itself, or the gateway's own client: the gate's configuration or the
    /// provider is at fault.
    RequestRefused,
    /// The provider refused too many exchanges of this client, this source address or this gate; it is not contacted.
    TooManyRefusals,
    /// The client's own token is invalid.
    TokenInvalid,
    /// The token lacks a claim that the gate requires.
    TokenInsufficient,
    /// The provider is unreachable, or its certificate is not trusted.
    ProviderUnreachable,
    /// The provider responded with 5xx, or closed the connection.
    ProviderFailed,
    /// The provider's response is invalid or must not be used.
    ProviderResponseInvalid,
    /// The provider responded with 429.
    ProviderBusy,
    /// The provider did not respond before the deadline.
    ProviderTimeout,
    /// The provider's token does not verify: its signature, issuer or times.
    TokenUnverifiable,
    /// The provider's circuit breaker is open after repeated failures.
    ProviderPaused,
    /// A defect of the library.
    Internal,
    /// The engine is closing or could not be started, or the secret of the gateway's own client is unreadable.
    EngineUnavailable,
    /// More requests are waiting than `max_waiting` allows.
    Overloaded,
    /// A token endpoint got something else than a form with `grant_type`, or credentials in the query.
    TokenRequestInvalid,
    /// A token endpoint got another `grant_type` than `client_credentials`.
    UnsupportedGrantType,
    /// A token endpoint got another scope than the gate requests.
    ScopeNotAllowed,
    /// A token endpoint got another `audience` or `resource` than the gate requests.
    TargetNotAllowed,
}

impl Cause {
    /// All causes, in the order of their counters. New causes go to the end.
    pub const ALL: [Cause; 30] = [
        Cause::NoCredentials,
        Cause::EmptyCredential,
        Cause::MalformedBasic,
        Cause::MalformedParameter,
        Cause::IncompletePair,
        Cause::RepeatedParameter,
        Cause::TwoPlaces,
        Cause::InvalidCharacters,
        Cause::TooLong,
        Cause::ClientNotAllowed,
        Cause::CredentialsRefused,
        Cause::ClientForbidden,
        Cause::RequestRefused,
        Cause::TooManyRefusals,
        Cause::TokenInvalid,
        Cause::TokenInsufficient,
        Cause::ProviderUnreachable,
        Cause::ProviderFailed,
        Cause::ProviderResponseInvalid,
        Cause::ProviderBusy,
        Cause::ProviderTimeout,
        Cause::TokenUnverifiable,
        Cause::ProviderPaused,
        Cause::Internal,
        Cause::EngineUnavailable,
        Cause::Overloaded,
        Cause::TokenRequestInvalid,
        Cause::UnsupportedGrantType,
        Cause::ScopeNotAllowed,
        Cause::TargetNotAllowed,
    ];

    /// The cause with this code, if there is one.
    pub fn from_code(code: i32) -> Option<Cause> {
        Cause::ALL.into_iter().find(|cause| cause.code() == code)
    }

    /// The name in every language, in metrics and in logs, such as `no_credentials`.
    pub fn name(self) -> &'static str {
        self.c_name().to_str().unwrap_or_default()
    }

    /// The name, NUL-terminated.
    pub fn c_name(self) -> &'static CStr {
        match self {
            Cause::NoCredentials => c"no_credentials",
            Cause::EmptyCredential => c"empty_credential",
            Cause::MalformedBasic => c"malformed_basic",
            Cause::MalformedParameter => c"malformed_parameter",
            Cause::IncompletePair => c"incomplete_pair",
            Cause::RepeatedParameter => c"repeated_parameter",
            Cause::TwoPlaces => c"two_places",
            Cause::InvalidCharacters => c"invalid_characters",
            Cause::TooLong => c"too_long",
            Cause::ClientNotAllowed => c"client_not_allowed",
            Cause::CredentialsRefused => c"credentials_refused",
            Cause::ClientForbidden => c"client_forbidden",
            Cause::RequestRefused => c"request_refused",
            Cause::TooManyRefusals => c"too_many_refusals",
            Cause::TokenInvalid => c"token_invalid",
            Cause::TokenInsufficient => c"token_insufficient",
            Cause::ProviderUnreachable => c"provider_unreachable",
            Cause::ProviderFailed => c"provider_failed",
            Cause::ProviderResponseInvalid => c"provider_response_invalid",
            Cause::ProviderBusy => c"provider_busy",
            Cause::ProviderTimeout => c"provider_timeout",
            Cause::TokenUnverifiable => c"token_unverifiable",
            Cause::ProviderPaused => c"provider_paused",
            Cause::Internal => c"internal",
            Cause::EngineUnavailable => c"engine_unavailable",
            Cause::Overloaded => c"overloaded",
            Cause::TokenRequestInvalid => c"token_request_invalid",
            Cause::UnsupportedGrantType => c"unsupported_grant_type",
            Cause::ScopeNotAllowed => c"scope_not_allowed",
            Cause::TargetNotAllowed => c"target_not_allowed",
        }
    }

    /// The number in the C ABI, never reused. 3000: the request; 3100: the request to a token endpoint; 4000: a refusal
    /// by the provider; 4100: a failure of the provider; 5000: the library.
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
            Cause::ClientNotAllowed => 3010,
            Cause::CredentialsRefused => 4001,
            Cause::ClientForbidden => 4002,
            Cause::RequestRefused => 4003,
            Cause::TooManyRefusals => 4004,
            Cause::TokenInvalid => 4005,
            Cause::TokenInsufficient => 4006,
            Cause::ProviderUnreachable => 4101,
            Cause::ProviderFailed => 4102,
            Cause::ProviderResponseInvalid => 4103,
            Cause::ProviderBusy => 4104,
            Cause::ProviderTimeout => 4105,
            Cause::TokenUnverifiable => 4106,
            Cause::ProviderPaused => 4107,
            Cause::Internal => 5001,
            Cause::EngineUnavailable => 5002,
            Cause::Overloaded => 5003,
            Cause::TokenRequestInvalid => 3101,
            Cause::UnsupportedGrantType => 3102,
            Cause::ScopeNotAllowed => 3103,
            Cause::TargetNotAllowed => 3104,
        }
    }

    /// HTTP status and body. 401 and 403 read as Kong's do; 400 says what to change. A provider's failure is never a
    /// 401, which would make clients discard good credentials.
    pub(crate) fn response(self) -> (u16, &'static str) {
        match self {
            Cause::NoCredentials
            | Cause::EmptyCredential
            | Cause::CredentialsRefused
            | Cause::TokenInvalid => (401, r#"{"message":"Unauthorized"}"#),
            Cause::ClientForbidden | Cause::ClientNotAllowed | Cause::TokenInsufficient => {
                (403, r#"{"message":"Forbidden"}"#)
            }
            Cause::TooManyRefusals => (
                429,
                r#"{"message":"Too many credentials were refused; try again later"}"#,
            ),
            Cause::MalformedBasic => (
                400,
                r#"{"message":"Authorization: Basic must be followed by base64 of client_id:client_secret"}"#,
            ),
            Cause::MalformedParameter => (
                400,
                r#"{"message":"client_id, client_secret and token arguments must be well-formed strings"}"#,
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
            Cause::TokenRequestInvalid => (400, r#"{"message":"The token request is invalid"}"#),
            Cause::UnsupportedGrantType => (
                400,
                r#"{"message":"grant_type must be client_credentials"}"#,
            ),
            Cause::ScopeNotAllowed => (400, r#"{"message":"This scope cannot be requested"}"#),
            Cause::TargetNotAllowed => (
                400,
                r#"{"message":"This audience or resource cannot be requested"}"#,
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
            Cause::ProviderResponseInvalid => (
                502,
                r#"{"message":"The identity provider's response is invalid"}"#,
            ),
            Cause::TokenUnverifiable => (
                502,
                r#"{"message":"The identity provider's token cannot be verified"}"#,
            ),
            Cause::ProviderPaused => (
                503,
                r#"{"message":"The identity provider has failed too often"}"#,
            ),
            Cause::Overloaded => (503, r#"{"message":"The gateway is overloaded"}"#),
            Cause::ProviderBusy => (503, r#"{"message":"The identity provider is busy"}"#),
            Cause::ProviderTimeout => (
                504,
                r#"{"message":"The identity provider did not respond in time"}"#,
            ),
            Cause::Internal => (500, r#"{"message":"An unexpected error occurred"}"#),
            Cause::EngineUnavailable => (
                503,
                r#"{"message":"The gateway cannot authenticate requests at the moment"}"#,
            ),
        }
    }

    /// Retry-After in seconds, if a later retry can succeed.
    fn default_retry_after(self) -> Option<u32> {
        match self {
            Cause::ProviderUnreachable
            | Cause::ProviderFailed
            | Cause::ProviderResponseInvalid
            | Cause::ProviderBusy
            | Cause::ProviderTimeout
            | Cause::ProviderPaused
            | Cause::RequestRefused
            | Cause::TokenUnverifiable => Some(5),
            Cause::TooManyRefusals => Some(60),
            Cause::EngineUnavailable | Cause::Overloaded => Some(1),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_own_code_and_a_json_body() {
        let codes: std::collections::BTreeSet<_> =
            Cause::ALL.iter().map(|cause| cause.code()).collect();
        assert_eq!(codes.len(), Cause::ALL.len());
        for cause in Cause::ALL {
            let (status, body) = cause.response();
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert!(body["message"].is_string(), "{cause:?}");
            assert!((400..=599).contains(&status), "{cause:?}");
        }
    }

    #[test]
    fn a_provider_failure_is_never_a_401_and_has_retry_after() {
        let is_providers =
            |cause: &Cause| *cause == Cause::RequestRefused || cause.code() / 100 == 41;
        for cause in Cause::ALL.into_iter().filter(is_providers) {
            assert!((502..=504).contains(&cause.response().0), "{cause:?}");
            assert!(cause.default_retry_after().is_some(), "{cause:?}");
        }
    }
}
