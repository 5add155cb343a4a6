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

/// RFC 6749 section 5.2: also "unsupported authentication method".
pub(super) fn is_invalid_client(reply: &Response) -> bool {
    matches!(reply.status, 400 | 401) && oauth_error(&reply.body) == Some("invalid_client")
}

/// An OAuth error, its meaning with a 400 and a 403, and the provider that sends it.
type Row = (&'static str, Cause, &'static str);

/// The error words that are evidence. Providers disagree about the word for a wrong secret, but not about the status:
/// with a 401, no word matters.
const EVIDENCE: [Row; 15] = {
    use Cause::{ClientForbidden, CredentialsRefused, RequestRefused};
    [
        ("access_denied", ClientForbidden, "Auth0: no client grant"),
        ("authorization_type_invalid", ClientForbidden, "glewlwyd"),
        ("inactive_org", CredentialsRefused, "Salesforce"),
        ("inactive_user", CredentialsRefused, "Salesforce"),
        ("invalid_client", CredentialsRefused, "RFC 6749, Cognito"),
        (
            "invalid_client_credentials",
            CredentialsRefused,
            "Salesforce",
        ),
        ("invalid_client_id", CredentialsRefused, "Salesforce"),
        ("invalid_grant", RequestRefused, "RFC 6749"),
        ("invalid_request", RequestRefused, "RFC 6749"),
        ("invalid_scope", ClientForbidden, "Keycloak, Hydra, Entra"),
        ("invalid_target", ClientForbidden, "RFC 8707"),
        ("scope_invalid", ClientForbidden, "glewlwyd"),
        (
            "unauthorized_client",
            ClientForbidden,
            "Hydra, Auth0: grant not enabled",
        ),
        ("unsupported_grant_type", RequestRefused, "RFC 6749"),
        ("unsupported_response_type", RequestRefused, "RFC 6749"),
    ]
};

/// Words that are evidence of nothing but a busy or failing provider.
const OTHER_WORDS: [&str; 3] = [
    "server_error",
    "temporarily_unavailable",
    "too_many_requests",
];

/// The denial for a status other than 200. A refusal is a 401 of the token endpoint, or an OAuth error about the client.
/// All else is the provider's or the configuration's trouble. `wall`: the time since the Unix epoch.
pub(super) fn refusal(metadata: &Metadata, reply: &Response, wall: Duration) -> Denial {
    let error = OAuthError::read(&reply.body);
    let evidence = error.as_ref().and_then(OAuthError::cause);
    let cause = match (reply.status, evidence) {
        (401, _) => Cause::CredentialsRefused,
        (400, Some(cause)) => cause,
        // The client is known, and not allowed.
        (403, Some(_)) => Cause::ClientForbidden,
        // A firewall or an API gateway, which says nothing about the credentials.
        (403, None) => Cause::ProviderFailed,
        (429, _) => Cause::ProviderBusy,
        (500..=599, _) => Cause::ProviderFailed,
        (400..=499, _) => Cause::RequestRefused,
        _ => Cause::ProviderResponseInvalid,
    };
    let endpoint = metadata.token_endpoint.as_ref().map_or("", Url::as_str);
    let word = error.as_ref().map_or("", OAuthError::shown);
    let response = format!("HTTP {} {word}", reply.status);
    let mut denial = Denial::new(
        cause,
        format!("token endpoint {endpoint}: {}", response.trim_end()),
    );
    denial.is_permanent = reply.status == 400 && evidence.is_some();
    with_retry_after(denial, reply, wall)
}

/// The denial with the provider's own Retry-After, if the provider is the cause.
pub(super) fn with_retry_after(denial: Denial, reply: &Response, wall: Duration) -> Denial {
    let retry_after = reply
        .retry_after
        .as_deref()
        .and_then(|value| retry_after(value, wall));
    match (denial.cause, retry_after) {
        (Cause::ProviderBusy | Cause::ProviderFailed, Some(seconds)) => {
            denial.retry_after(seconds.clamp(1, MAX_RETRY_AFTER))
        }
        _ => denial,
    }
}

/// The Retry-After of a 429 that concerns all clients. `None` if it is one client's: Auth0 counts the tokens of each
/// client, and says so in a header.
pub(super) fn busy_for_all(reply: &Response, wall: Duration) -> Option<Duration> {
    let is_of_client = |(name, value): &(&str, String)| {
        name.starts_with("auth0-") && value.split([',', ';']).any(|part| part.trim() == "r=0")
    };
    if reply.limits.iter().any(is_of_client) {
        return None;
    }
    let seconds = retry_after(reply.retry_after.as_deref()?, wall)?;
    Some(Duration::from_secs(seconds.max(1).into()))
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

/// An OAuth error response (RFC 6749 section 5.2).
struct OAuthError {
    /// If it is a known one.
    word: Option<&'static str>,
    /// The description mentions an audience.
    is_about_audience: bool,
}

impl OAuthError {
    fn read(body: &[u8]) -> Option<OAuthError> {
        #[derive(Deserialize)]
        struct ErrorResponse {
            error: String,
            error_description: Option<serde_json::Value>,
        }

        let response: ErrorResponse = json_object(body)?;
        let mut known = EVIDENCE.iter().map(|(word, ..)| *word).chain(OTHER_WORDS);
        let description = response.error_description.as_ref();
        Some(OAuthError {
            word: known.find(|word| *word == response.error),
            is_about_audience: description
                .and_then(|text| text.as_str())
                .is_some_and(|text| text.to_ascii_lowercase().contains("audience")),
        })
    }

    fn cause(&self) -> Option<Cause> {
        let word = self.word?;
        // Hydra: the audience is not whitelisted for this client.
        if word == "invalid_request" && self.is_about_audience {
            return Some(Cause::ClientForbidden);
        }
        let (_, cause, _) = EVIDENCE.iter().find(|(known, ..)| *known == word)?;
        Some(*cause)
    }

    /// Only known words are shown: the provider chooses the others.
    fn shown(&self) -> &'static str {
        self.word.unwrap_or("(an error of its own)")
    }
}

/// The `error` of an OAuth error response, fit to be shown.
pub(crate) fn oauth_error(body: &[u8]) -> Option<&'static str> {
    OAuthError::read(body).map(|error| error.shown())
}
