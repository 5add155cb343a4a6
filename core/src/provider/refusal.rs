//! The meaning of a token endpoint's response without a token: the causes of 400, 401, 403, 429 and 5xx.

use crate::cause::{Cause, Denial};
use crate::http::{Fault, Response};
use crate::provider::Metadata;
use crate::token::json_object;
use serde::Deserialize;
use std::time::Duration;
use url::Url;

/// The maximum Retry-After that is passed on, in seconds.
const MAX_RETRY_AFTER: u32 = 3600;

/// The denial for a call without a response.
pub(super) fn unanswered(url: &Url, fault: Fault) -> Denial {
    let (cause, why) = match fault {
        Fault::Unreachable(_, why) => (Cause::ProviderUnreachable, why),
        Fault::Broken(why) => (Cause::ProviderFailed, why),
        Fault::TooLong => (
            Cause::ProviderResponseInvalid,
            "a response longer than 64 KiB".to_owned(),
        ),
    };
    Denial::new(cause, format!("token endpoint {url}: {why}"))
}

pub(super) fn is_invalid_scope(reply: &Response) -> bool {
    reply.status == 400 && oauth_error(&reply.body) == Some("invalid_scope")
}

/// The denial for a status other than 200: by status first, by the OAuth error second. Providers disagree about the
/// error for a wrong secret (`invalid_client`, `access_denied`, `unauthorized_client`, none), but not about the status.
/// `wall`: the time since the Unix epoch.
pub(super) fn refusal(metadata: &Metadata, reply: &Response, wall: Duration) -> Denial {
    let error = oauth_error(&reply.body);
    let cause = match (reply.status, error) {
        // An HTML page comes from a firewall or a CDN, and says nothing about the credentials.
        (403, None) if is_markup(&reply.body) => Cause::ProviderFailed,
        (401, _) | (400, Some("invalid_client")) | (403, None) => Cause::CredentialsRefused,
        (403, Some(_))
        | (
            400,
            Some("access_denied" | "unauthorized_client" | "invalid_scope" | "invalid_target"),
        ) => Cause::ClientForbidden,
        (429, _) => Cause::ProviderBusy,
        (500..=599, _) => Cause::ProviderFailed,
        (400..=499, _) => Cause::RequestRefused,
        _ => Cause::ProviderResponseInvalid,
    };
    let endpoint = metadata.token_endpoint.as_ref().map_or("", Url::as_str);
    let answer = format!("HTTP {} {}", reply.status, error.unwrap_or_default());
    let denial = Denial::new(
        cause,
        format!("token endpoint {endpoint}: {}", answer.trim_end()),
    );
    let retry_after = reply
        .retry_after
        .as_deref()
        .and_then(|value| retry_after(value, wall));
    match (cause, retry_after) {
        (Cause::ProviderBusy | Cause::ProviderFailed, Some(seconds)) => {
            denial.retry_after(seconds.clamp(1, MAX_RETRY_AFTER))
        }
        _ => denial,
    }
}

pub(crate) fn is_markup(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'<')
}

/// Parses seconds, or a date (RFC 9110 section 10.2.3).
fn retry_after(value: &str, wall: Duration) -> Option<u32> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit is a long time.
        return Some(value.parse().unwrap_or(u32::MAX));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let date = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    let left = date.saturating_sub(wall).as_secs_f64().ceil();
    Some(left as u32)
}

/// The `error` of an OAuth error response (RFC 6749 section 5.2), if it is a known one: only known words are logged.
pub(crate) fn oauth_error(body: &[u8]) -> Option<&'static str> {
    const KNOWN: [&str; 11] = [
        "access_denied",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "invalid_target",
        "server_error",
        "temporarily_unavailable",
        "too_many_requests",
        "unauthorized_client",
        "unsupported_grant_type",
    ];

    #[derive(Deserialize)]
    struct ErrorResponse {
        error: String,
    }

    let response: ErrorResponse = json_object(body)?;
    Some(
        KNOWN
            .into_iter()
            .find(|known| *known == response.error)
            .unwrap_or("(an error of its own)"),
    )
}
