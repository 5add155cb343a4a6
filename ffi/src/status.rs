//! The numbers of the C ABI. Those of error kinds and causes are the `code()` of the core's types.

use credgate_core::{CacheStatus, Cause, Source};
use std::ffi::{CStr, c_char};

/// Success.
pub const CREDGATE_OK: i32 = 0;
/// The outcome will arrive in the queue.
pub const CREDGATE_PENDING: i32 = 1;
/// There is nothing to return: no outcome, no further element, no such value.
pub const CREDGATE_EMPTY: i32 = 2;
/// A required pointer is NULL.
pub const CREDGATE_NULL_ARGUMENT: i32 = 1001;
/// An argument is invalid: a size below the minimum, a NULL string with a
/// length, text that is not UTF-8, an unknown code.
pub const CREDGATE_INVALID_ARGUMENT: i32 = 1002;
/// The handle was made in another process, before a fork.
pub const CREDGATE_WRONG_PROCESS: i32 = 1003;
/// The library caught a panic: a defect of the library.
pub const CREDGATE_PANIC: i32 = 1004;
/// The output does not fit into the capacity.
pub const CREDGATE_BUFFER_TOO_SMALL: i32 = 1005;
/// The operating system returned an error.
pub const CREDGATE_SYSTEM: i32 = 1006;
/// The configuration is not a JSON object.
pub const CREDGATE_CONFIG_SYNTAX: i32 = 2001;
/// The configuration has an unknown field.
pub const CREDGATE_CONFIG_UNKNOWN_FIELD: i32 = 2002;
/// A field of the configuration has an invalid value.
pub const CREDGATE_CONFIG_VALUE: i32 = 2003;
/// A file that the configuration names is unusable.
pub const CREDGATE_CONFIG_FILE: i32 = 2004;

/// The request has no credentials in any place that the gate searches.
pub const CREDGATE_NO_CREDENTIALS: i32 = 3001;
/// The id or the secret is empty, or the Basic credentials have no colon.
pub const CREDGATE_EMPTY_CREDENTIAL: i32 = 3002;
/// The value after "Authorization: Basic" is not base64.
pub const CREDGATE_MALFORMED_BASIC: i32 = 3003;
/// client_id, client_secret or a caller's argument does not decode, or is not a
/// string.
pub const CREDGATE_MALFORMED_PARAMETER: i32 = 3004;
/// The request has only one of client_id and client_secret.
pub const CREDGATE_INCOMPLETE_PAIR: i32 = 3005;
/// client_id or client_secret is repeated, in any spelling.
pub const CREDGATE_REPEATED_PARAMETER: i32 = 3006;
/// The request has credentials in two places.
pub const CREDGATE_TWO_PLACES: i32 = 3007;
/// The id or the secret contains a byte that is not printable ASCII.
pub const CREDGATE_INVALID_CHARACTERS: i32 = 3008;
/// The id, the secret and the request's arguments together exceed 2,048 bytes.
pub const CREDGATE_TOO_LONG: i32 = 3009;
/// The client id is not in clients_allowed.
pub const CREDGATE_CLIENT_NOT_ALLOWED: i32 = 3010;
/// A token endpoint got something else than a form with grant_type, or
/// credentials in the query.
pub const CREDGATE_TOKEN_REQUEST_INVALID: i32 = 3101;
/// A token endpoint got another grant_type than client_credentials.
pub const CREDGATE_UNSUPPORTED_GRANT_TYPE: i32 = 3102;
/// A token endpoint got another scope than the gate requests.
pub const CREDGATE_SCOPE_NOT_ALLOWED: i32 = 3103;
/// A token endpoint got another audience or resource than the gate requests.
pub const CREDGATE_TARGET_NOT_ALLOWED: i32 = 3104;
/// The provider refused these credentials.
pub const CREDGATE_CREDENTIALS_REFUSED: i32 = 4001;
/// The provider knows the client, but does not grant what the gate requests.
pub const CREDGATE_CLIENT_FORBIDDEN: i32 = 4002;
/// The provider rejected the token request itself, or the gateway's own client:
/// the gate's configuration or the provider is at fault.
pub const CREDGATE_REQUEST_REFUSED: i32 = 4003;
/// The provider refused too many exchanges of this client, this source address
/// or this gate; it is not contacted.
pub const CREDGATE_TOO_MANY_REFUSALS: i32 = 4004;
/// The client's own token is invalid.
pub const CREDGATE_TOKEN_INVALID: i32 = 4005;
/// The token lacks a claim that the gate requires.
pub const CREDGATE_TOKEN_INSUFFICIENT: i32 = 4006;
/// The provider is unreachable, or its certificate is not trusted.
pub const CREDGATE_PROVIDER_UNREACHABLE: i32 = 4101;
/// The provider responded with 5xx, or closed the connection.
pub const CREDGATE_PROVIDER_FAILED: i32 = 4102;
/// The provider's response is invalid or must not be used.
pub const CREDGATE_PROVIDER_RESPONSE_INVALID: i32 = 4103;
/// The provider responded with 429.
pub const CREDGATE_PROVIDER_BUSY: i32 = 4104;
/// The provider did not respond before the deadline.
pub const CREDGATE_PROVIDER_TIMEOUT: i32 = 4105;
/// The provider's token does not verify: its signature, issuer or times.
pub const CREDGATE_TOKEN_UNVERIFIABLE: i32 = 4106;
/// The provider's circuit breaker is open after repeated failures.
pub const CREDGATE_PROVIDER_PAUSED: i32 = 4107;
/// A defect of the library.
pub const CREDGATE_INTERNAL: i32 = 5001;
/// The engine is closing or could not be started, or the secret of the
/// gateway's own client is unreadable.
pub const CREDGATE_ENGINE_UNAVAILABLE: i32 = 5002;
/// More requests are waiting than max_waiting allows.
pub const CREDGATE_OVERLOADED: i32 = 5003;

/// No lookup: the request has no usable credentials.
pub const CREDGATE_CACHE_STATUS_NONE: u32 = 0;
/// The token was in the token cache.
pub const CREDGATE_CACHE_STATUS_HIT: u32 = 1;
/// This request caused an exchange.
pub const CREDGATE_CACHE_STATUS_MISS: u32 = 2;
/// This request waited for the exchange of another request with the same
/// credentials.
pub const CREDGATE_CACHE_STATUS_JOINED: u32 = 3;
/// The token was in the token cache, and its refresh has failed: it is served
/// until it expires.
pub const CREDGATE_CACHE_STATUS_STALE: u32 = 4;
/// The same credentials were refused recently, in this process or in one that
/// shares its store.
pub const CREDGATE_CACHE_STATUS_NEGATIVE: u32 = 5;
/// The request passes without a token, because the gate allows anonymous
/// requests.
pub const CREDGATE_CACHE_STATUS_ANONYMOUS: u32 = 6;
/// The request passes without a token, because the gate ignores OPTIONS.
pub const CREDGATE_CACHE_STATUS_PREFLIGHT: u32 = 7;
/// The token was in the shared store.
pub const CREDGATE_CACHE_STATUS_SHARED: u32 = 8;

/// The request is denied, or passes without a token.
pub const CREDGATE_SOURCE_NONE: u32 = 0;
/// The Authorization header.
pub const CREDGATE_SOURCE_HEADER: u32 = 1;
/// The query string.
pub const CREDGATE_SOURCE_QUERY: u32 = 2;
/// The body: a form or a JSON object.
pub const CREDGATE_SOURCE_BODY: u32 = 3;
/// The host supplied the credentials; there is nothing to hide.
pub const CREDGATE_SOURCE_HOST: u32 = 4;
/// The two headers that the gate names.
pub const CREDGATE_SOURCE_HEADERS: u32 = 5;

/// Returns the name of a status of a function, such as "WRONG_PROCESS", or
/// "UNKNOWN". NUL-terminated, static.
#[unsafe(no_mangle)]
pub extern "C" fn credgate_status_name(status: i32) -> *const c_char {
    name(status).as_ptr()
}

/// Returns the name of a cause by its code, such as "credentials_refused", or
/// "unknown". NUL-terminated, static.
#[unsafe(no_mangle)]
pub extern "C" fn credgate_cause_name(code: i32) -> *const c_char {
    Cause::from_code(code)
        .map_or(c"unknown", Cause::c_name)
        .as_ptr()
}

/// Returns the name of a CREDGATE_CACHE_STATUS_* number, such as "HIT", or
/// "UNKNOWN". NUL-terminated, static.
#[unsafe(no_mangle)]
pub extern "C" fn credgate_cache_status_name(cache_status: u32) -> *const c_char {
    let name = match cache_status {
        CREDGATE_CACHE_STATUS_NONE => c"NONE",
        CREDGATE_CACHE_STATUS_HIT => c"HIT",
        CREDGATE_CACHE_STATUS_MISS => c"MISS",
        CREDGATE_CACHE_STATUS_JOINED => c"JOINED",
        CREDGATE_CACHE_STATUS_STALE => c"STALE",
        CREDGATE_CACHE_STATUS_NEGATIVE => c"NEGATIVE",
        CREDGATE_CACHE_STATUS_ANONYMOUS => c"ANONYMOUS",
        CREDGATE_CACHE_STATUS_PREFLIGHT => c"PREFLIGHT",
        CREDGATE_CACHE_STATUS_SHARED => c"SHARED",
        _ => c"UNKNOWN",
    };
    name.as_ptr()
}

fn name(status: i32) -> &'static CStr {
    match status {
        CREDGATE_OK => c"OK",
        CREDGATE_PENDING => c"PENDING",
        CREDGATE_EMPTY => c"EMPTY",
        CREDGATE_NULL_ARGUMENT => c"NULL_ARGUMENT",
        CREDGATE_INVALID_ARGUMENT => c"INVALID_ARGUMENT",
        CREDGATE_WRONG_PROCESS => c"WRONG_PROCESS",
        CREDGATE_PANIC => c"PANIC",
        CREDGATE_BUFFER_TOO_SMALL => c"BUFFER_TOO_SMALL",
        CREDGATE_SYSTEM => c"SYSTEM",
        CREDGATE_CONFIG_SYNTAX => c"CONFIG_SYNTAX",
        CREDGATE_CONFIG_UNKNOWN_FIELD => c"CONFIG_UNKNOWN_FIELD",
        CREDGATE_CONFIG_VALUE => c"CONFIG_VALUE",
        CREDGATE_CONFIG_FILE => c"CONFIG_FILE",
        _ => c"UNKNOWN",
    }
}

pub(crate) fn cache_status_number(cache_status: CacheStatus) -> u32 {
    match cache_status {
        CacheStatus::None => CREDGATE_CACHE_STATUS_NONE,
        CacheStatus::Hit => CREDGATE_CACHE_STATUS_HIT,
        CacheStatus::Miss => CREDGATE_CACHE_STATUS_MISS,
        CacheStatus::Joined => CREDGATE_CACHE_STATUS_JOINED,
        CacheStatus::Stale => CREDGATE_CACHE_STATUS_STALE,
        CacheStatus::Negative => CREDGATE_CACHE_STATUS_NEGATIVE,
        CacheStatus::Anonymous => CREDGATE_CACHE_STATUS_ANONYMOUS,
        CacheStatus::Preflight => CREDGATE_CACHE_STATUS_PREFLIGHT,
        CacheStatus::Shared => CREDGATE_CACHE_STATUS_SHARED,
        // The core's enum is non-exhaustive; a test covers all its values.
        _ => u32::MAX,
    }
}

pub(crate) fn source_number(source: Option<Source>) -> u32 {
    match source {
        Some(Source::Header) => CREDGATE_SOURCE_HEADER,
        Some(Source::Query) => CREDGATE_SOURCE_QUERY,
        Some(Source::Body) => CREDGATE_SOURCE_BODY,
        Some(Source::Host) => CREDGATE_SOURCE_HOST,
        Some(Source::Headers) => CREDGATE_SOURCE_HEADERS,
        _ => CREDGATE_SOURCE_NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use credgate_core::ErrorKind;

    #[test]
    fn numbers_and_names_agree_with_the_core() {
        let numbers = [
            (Cause::NoCredentials, CREDGATE_NO_CREDENTIALS),
            (Cause::EmptyCredential, CREDGATE_EMPTY_CREDENTIAL),
            (Cause::MalformedBasic, CREDGATE_MALFORMED_BASIC),
            (Cause::MalformedParameter, CREDGATE_MALFORMED_PARAMETER),
            (Cause::IncompletePair, CREDGATE_INCOMPLETE_PAIR),
            (Cause::RepeatedParameter, CREDGATE_REPEATED_PARAMETER),
            (Cause::TwoPlaces, CREDGATE_TWO_PLACES),
            (Cause::InvalidCharacters, CREDGATE_INVALID_CHARACTERS),
            (Cause::TooLong, CREDGATE_TOO_LONG),
            (Cause::ClientNotAllowed, CREDGATE_CLIENT_NOT_ALLOWED),
            (Cause::CredentialsRefused, CREDGATE_CREDENTIALS_REFUSED),
            (Cause::ClientForbidden, CREDGATE_CLIENT_FORBIDDEN),
            (Cause::RequestRefused, CREDGATE_REQUEST_REFUSED),
            (Cause::TooManyRefusals, CREDGATE_TOO_MANY_REFUSALS),
            (Cause::TokenInvalid, CREDGATE_TOKEN_INVALID),
            (Cause::TokenInsufficient, CREDGATE_TOKEN_INSUFFICIENT),
            (Cause::ProviderUnreachable, CREDGATE_PROVIDER_UNREACHABLE),
            (Cause::ProviderFailed, CREDGATE_PROVIDER_FAILED),
            (
                Cause::ProviderResponseInvalid,
                CREDGATE_PROVIDER_RESPONSE_INVALID,
            ),
            (Cause::ProviderBusy, CREDGATE_PROVIDER_BUSY),
            (Cause::ProviderTimeout, CREDGATE_PROVIDER_TIMEOUT),
            (Cause::TokenUnverifiable, CREDGATE_TOKEN_UNVERIFIABLE),
            (Cause::ProviderPaused, CREDGATE_PROVIDER_PAUSED),
            (Cause::Internal, CREDGATE_INTERNAL),
            (Cause::EngineUnavailable, CREDGATE_ENGINE_UNAVAILABLE),
            (Cause::Overloaded, CREDGATE_OVERLOADED),
            (Cause::TokenRequestInvalid, CREDGATE_TOKEN_REQUEST_INVALID),
            (Cause::UnsupportedGrantType, CREDGATE_UNSUPPORTED_GRANT_TYPE),
            (Cause::ScopeNotAllowed, CREDGATE_SCOPE_NOT_ALLOWED),
            (Cause::TargetNotAllowed, CREDGATE_TARGET_NOT_ALLOWED),
        ];
        assert_eq!(numbers.map(|(cause, _)| cause), Cause::ALL);
        for (cause, number) in numbers {
            assert_eq!(cause.code(), number, "{cause:?}");
            // SAFETY: the function returns a static C string.
            let name = unsafe { CStr::from_ptr(credgate_cause_name(number)) };
            assert_eq!(name.to_str(), Ok(cause.name()));
        }
        for (kind, number) in [
            (ErrorKind::ConfigFile, CREDGATE_CONFIG_FILE),
            (ErrorKind::ConfigSyntax, CREDGATE_CONFIG_SYNTAX),
            (ErrorKind::ConfigUnknownField, CREDGATE_CONFIG_UNKNOWN_FIELD),
            (ErrorKind::ConfigValue, CREDGATE_CONFIG_VALUE),
            (ErrorKind::System, CREDGATE_SYSTEM),
            (ErrorKind::WrongProcess, CREDGATE_WRONG_PROCESS),
        ] {
            assert_eq!(kind.code(), number, "{kind:?}");
            assert_ne!(name(number), c"UNKNOWN", "{kind:?}");
        }
    }

    #[test]
    fn cache_status_names_agree_with_the_core() {
        for cache_status in CacheStatus::ALL {
            // SAFETY: the function returns a static C string.
            let name = unsafe {
                CStr::from_ptr(credgate_cache_status_name(cache_status_number(
                    cache_status,
                )))
            };
            assert_eq!(name.to_str(), Ok(cache_status.name()));
        }
    }
}
