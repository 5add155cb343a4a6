//! The meaning of a token endpoint's response without a token: the causes of 400, 401, 403, 429 and 5xx.

use crate::cause::{Cause, Denial};
use crate::http::{Fault, Response};
use crate::provider::{Metadata, quote};
use crate::request::credentials::Credentials;
use crate::token::json_object;
use serde::Deserialize;
use std::time::Duration;
use url::Url;

/// The maximum Retry-After that is passed on, in seconds.
const MAX_RETRY_AFTER: u32 = 3600;

/// The denial for a call without a response. `endpoint`: its name.
pub(super) fn unanswered(endpoint: &str, url: &Url, fault: Fault) -> Denial {
    let (cause, why) = match fault {
        Fault::Unreachable(_, why) => (Cause::ProviderUnreachable, why),
        Fault::Broken(why) => (Cause::ProviderFailed, why),
        Fault::TooLong => (
            Cause::ProviderResponseInvalid,
            "a response longer than 64 KiB".to_owned(),
        ),
    };
    Denial::new(cause, format!("{endpoint} {url}: {why}"))
}

/// The denial for a response that does not arrive in time. `what`: the request, with its address.
pub(super) fn late(what: &str, timeout: Duration) -> Denial {
    Denial::new(
        Cause::ProviderTimeout,
        format!("{what}: no response within {timeout:?}"),
    )
}

pub(super) fn is_invalid_scope(reply: &Response) -> bool {
    reply.status == 400 && oauth_error(&reply.body) == Some("invalid_scope")
}

/// RFC 6749 section 5.2: also "unsupported authentication method".
pub(super) fn is_invalid_client(reply: &Response) -> bool {
    matches!(reply.status, 400 | 401) && oauth_error(&reply.body) == Some("invalid_client")
}

/// Whether the secret may be the reason: providers disagree about the word beside a 401.
pub(super) fn is_client_refused(reply: &Response) -> bool {
    reply.status == 401 || is_invalid_client(reply)
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

/// An error that is neither known nor fit to be quoted.
const OWN: &str = "(an error of its own)";

/// The denial for a status other than 200. A refusal is a 401 of the token endpoint, or an OAuth error about the client.
/// All else is the provider's or the configuration's trouble. `wall`: the time since the Unix epoch.
pub(super) fn refusal(
    metadata: &Metadata,
    credentials: &Credentials,
    reply: &Response,
    wall: Duration,
) -> Denial {
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
    let mut detail = format!("token endpoint {endpoint}: HTTP {}", reply.status);
    if let Some(error) = &error {
        detail.push(' ');
        detail.push_str(error.quoted(credentials));
        if error.lacks_service_account() {
            detail.push_str(" (the client has no service account)");
        }
    }
    let mut denial = Denial::new(cause, detail);
    denial.is_permanent = reply.status == 400 && evidence.is_some();
    with_retry_after(denial, reply, wall)
}

/// The denial with the provider's own Retry-After, if the provider is the cause.
pub(super) fn with_retry_after(denial: Denial, reply: &Response, wall: Duration) -> Denial {
    match (denial.cause, retry_after(reply, wall)) {
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
    let seconds = retry_after(reply, wall)?;
    Some(Duration::from_secs(seconds.max(1).into()))
}

/// The seconds after which the provider wants to be asked again: its Retry-After, or the end of an exhausted rate limit
/// (Auth0 and Okta: seconds since the epoch), which Okta sends without a Retry-After.
fn retry_after(reply: &Response, wall: Duration) -> Option<u32> {
    if let Some(value) = &reply.retry_after {
        return parse_retry_after(value, wall);
    }
    let limit = |name: String| {
        let (_, value) = reply.limits.iter().find(|(other, _)| *other == name)?;
        value.trim().parse::<u64>().ok()
    };
    let is_exhausted = |prefix: &&str| limit(format!("{prefix}-remaining")) == Some(0);
    let prefix = ["x-rate-limit", "x-ratelimit"]
        .into_iter()
        .find(is_exhausted);
    let reset = limit(format!("{}-reset", prefix.filter(|_| reply.status == 429)?))?;
    let left = reset.checked_sub(wall.as_secs())?;
    u32::try_from(left).ok()
}

pub(crate) fn is_markup(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'<')
}

/// Parses seconds, or a date (RFC 9110 section 10.2.3).
fn parse_retry_after(value: &str, wall: Duration) -> Option<u32> {
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
    error: String,
    /// The same, if it is a known one.
    word: Option<&'static str>,
    /// The description mentions an audience.
    is_about_audience: bool,
    /// The description mentions a service account.
    is_about_service_account: bool,
    /// Entra ID's code for an application that the tenant does not have.
    is_unknown_application: bool,
}

/// Entra ID's AADSTS700016, beside a 400 with `unauthorized_client`.
const UNKNOWN_APPLICATION: u64 = 700_016;

impl OAuthError {
    fn read(body: &[u8]) -> Option<OAuthError> {
        #[derive(Deserialize)]
        struct ErrorResponse {
            error: String,
            error_description: Option<serde_json::Value>,
            error_codes: Option<serde_json::Value>,
        }

        let response: ErrorResponse = json_object(body)?;
        let mut known = EVIDENCE.iter().map(|(word, ..)| *word).chain(OTHER_WORDS);
        let word = known.find(|word| *word == response.error);
        let description = response.error_description.as_ref();
        let description = description.and_then(|text| text.as_str());
        let description = description.unwrap_or_default().to_ascii_lowercase();
        let codes = response.error_codes.as_ref();
        let codes = codes.and_then(|codes| codes.as_array());
        let mut codes = codes.into_iter().flatten().filter_map(|code| code.as_u64());
        Some(OAuthError {
            is_unknown_application: codes.any(|code| code == UNKNOWN_APPLICATION),
            error: response.error,
            word,
            is_about_audience: description.contains("audience"),
            is_about_service_account: description.contains("service account"),
        })
    }

    fn cause(&self) -> Option<Cause> {
        let word = self.word?;
        // Hydra: the audience is not whitelisted for this client.
        if word == "invalid_request" && self.is_about_audience {
            return Some(Cause::ClientForbidden);
        }
        if word == "unauthorized_client" && self.is_unknown_application {
            return Some(Cause::CredentialsRefused);
        }
        let (_, cause, _) = EVIDENCE.iter().find(|(known, ..)| *known == word)?;
        Some(*cause)
    }

    /// Keycloak: a client that must not use this grant, beside a 401 as for a wrong secret.
    fn lacks_service_account(&self) -> bool {
        self.word == Some("unauthorized_client") && self.is_about_service_account
    }

    /// A known word, or one that may be quoted: the provider chooses it.
    fn quoted(&self, credentials: &Credentials) -> &str {
        self.word
            .or_else(|| quote::error_word(&self.error, credentials))
            .unwrap_or(OWN)
    }
}

/// The `error` of an OAuth error response, fit to be shown.
pub(crate) fn oauth_error(body: &[u8]) -> Option<&'static str> {
    OAuthError::read(body).map(|error| error.word.unwrap_or(OWN))
}

/// Whether the provider refuses the client because it has no service account.
pub(crate) fn lacks_service_account(body: &[u8]) -> bool {
    OAuthError::read(body).is_some_and(|error| error.lacks_service_account())
}
