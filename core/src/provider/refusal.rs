//! What a token endpoint's answer means, where it is no token.

use crate::cause::{Cause, Denial};
use crate::http::{Fault, Response};
use crate::provider::Metadata;
use crate::token::json_object;
use serde::Deserialize;
use std::time::Duration;
use url::Url;

/// No provider makes a client wait longer than this.
const MAX_RETRY_AFTER: u32 = 3600;

/// What it means that there is no answer.
pub(super) fn unanswered(url: &Url, fault: Fault) -> Denial {
    let (cause, why) = match fault {
        Fault::Unreachable(_, why) => (Cause::ProviderUnreachable, why),
        Fault::Broken(why) => (Cause::ProviderFailed, why),
        Fault::TooLong => (
            Cause::ProviderAnswerInvalid,
            "an answer longer than 64 KiB".to_owned(),
        ),
    };
    Denial::new(cause, format!("token endpoint {url}: {why}"))
}

pub(super) fn is_invalid_scope(reply: &Response) -> bool {
    reply.status == 400 && oauth_error(&reply.body) == Some("invalid_scope")
}

/// What an answer other than 200 means: by status first, by the OAuth error second. Providers disagree about the
/// error of a wrong secret (`invalid_client`, `access_denied`, `unauthorized_client`, none), not about the status.
/// `wall`: the time since the Unix epoch.
pub(super) fn refusal(metadata: &Metadata, reply: &Response, wall: Duration) -> Denial {
    let error = oauth_error(&reply.body);
    let cause = match (reply.status, error) {
        // A page for people is a firewall's or a CDN's: whether the provider would have refused, nobody knows.
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
        _ => Cause::ProviderAnswerInvalid,
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

/// Seconds, or a date (RFC 9110 section 10.2.3).
fn retry_after(value: &str, wall: Duration) -> Option<u32> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are a long time.
        return Some(value.parse().unwrap_or(u32::MAX));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let date = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    let left = date.saturating_sub(wall).as_secs_f64().ceil();
    Some(left as u32)
}

/// The `error` of an OAuth error response (RFC 6749 section 5.2) where it is a known one: only known words are logged.
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
    struct Refusal {
        error: String,
    }

    let refusal: Refusal = json_object(body)?;
    Some(
        KNOWN
            .into_iter()
            .find(|known| *known == refusal.error)
            .unwrap_or("(an error of its own)"),
    )
}
