//! One client credentials grant at a token endpoint ([RFC 6749 section 4.4]).
//!
//! [RFC 6749 section 4.4]: https://www.rfc-editor.org/rfc/rfc6749#section-4.4

use crate::cause::{Cause, Denial};
use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::gate::Rules;
use crate::provider::{AuthMethod, Metadata, Provider};
use crate::token::{Grant, grant, json_object};
use crate::transport::{Call, Fault, Form, Reply, Transport};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::byte_serialize;
use serde::Deserialize;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The longest answer of a token endpoint that is read.
const MAX_ANSWER: usize = 64 * 1024;
/// No provider makes a client wait longer than this.
const MAX_RETRY_AFTER: u32 = 3600;

/// Discovers the provider where that is needed, and exchanges the credentials, within the gate's deadline.
pub(crate) async fn exchange(
    provider: &Provider,
    rules: &Rules,
    credentials: &Credentials,
    transport: &Arc<dyn Transport>,
    clock: &Arc<dyn Clock>,
) -> Result<Grant, Denial> {
    let whole = async {
        let metadata = provider.metadata(transport, clock, rules.timeout).await?;
        let ask = |scope| request(provider, &metadata, rules, credentials, scope, transport);
        let scope = rules.scope.as_deref().filter(|_| {
            !(rules.scope_is_default && provider.leaves_out_default_scope(&rules.fingerprint))
        });
        let mut reply = ask(scope).await?;
        // Several providers refuse `openid` for this grant. Nobody asked for it: once more without, and never again.
        if rules.scope_is_default && scope.is_some() && is_invalid_scope(&reply) {
            reply = ask(None).await?;
            if !is_invalid_scope(&reply) {
                provider.leave_out_default_scope(rules.fingerprint);
            }
        }
        if reply.status == 200 {
            let (now, wall) = (clock.now(), clock.wall());
            return grant(&credentials.client_id, &reply.body, now, wall);
        }
        Err(refusal(&metadata, &reply))
    };
    tokio::time::timeout(rules.timeout, whole)
        .await
        .unwrap_or_else(|_| {
            let detail = format!(
                "{} did not answer within {:?}",
                provider.issuer.id, rules.timeout
            );
            Err(Denial::new(Cause::ProviderTimeout, detail))
        })
}

/// One request to the token endpoint.
async fn request(
    provider: &Provider,
    metadata: &Metadata,
    rules: &Rules,
    credentials: &Credentials,
    scope: Option<&str>,
    transport: &Arc<dyn Transport>,
) -> Result<Reply, Denial> {
    let call = Call {
        url: metadata.token_endpoint.clone(),
        form: Some(form(metadata, rules, credentials, scope)),
        max_answer: MAX_ANSWER,
    };
    let sent = transport.send(&provider.issuer.trust, call).await;
    sent.map_err(|fault| match fault {
        Fault::Unreachable(why) => failed(metadata, Cause::ProviderUnreachable, &why),
        Fault::Broken(why) => failed(metadata, Cause::ProviderFailed, &why),
        Fault::TooLong => {
            let why = "an answer longer than 64 KiB";
            failed(metadata, Cause::ProviderAnswerInvalid, why)
        }
    })
}

fn is_invalid_scope(reply: &Reply) -> bool {
    reply.status == 400 && oauth_error(&reply.body) == Some("invalid_scope")
}

fn form(
    metadata: &Metadata,
    rules: &Rules,
    credentials: &Credentials,
    scope: Option<&str>,
) -> Form {
    let (id, secret) = (
        credentials.client_id.as_str(),
        credentials.client_secret.expose(),
    );
    let args = rules
        .token_args
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let mut pairs = vec![("grant_type", "client_credentials")];
    pairs.extend(scope.map(|scope| ("scope", scope)));
    pairs.extend(args);
    let authorization = match metadata.auth_method {
        AuthMethod::Post => {
            pairs.extend([("client_id", id), ("client_secret", secret)]);
            None
        }
        AuthMethod::Basic => Some(basic(id, secret)),
    };
    // Room for every byte percent-encoded, so that no reallocation leaves a copy behind that nobody wipes.
    let room = pairs
        .iter()
        .map(|(name, value)| 3 * (name.len() + value.len()) + 2)
        .sum();
    let mut body = form_urlencoded::Serializer::new(String::with_capacity(room));
    body.extend_pairs(pairs);
    Form {
        body: Zeroizing::new(body.finish()),
        authorization,
    }
}

/// RFC 6749 section 2.3.1: id and secret are form-urlencoded first, then they are user name and password.
fn basic(id: &str, secret: &str) -> Zeroizing<String> {
    let mut pair = Zeroizing::new(String::with_capacity(3 * (id.len() + secret.len()) + 1));
    pair.extend(byte_serialize(id.as_bytes()));
    pair.push(':');
    pair.extend(byte_serialize(secret.as_bytes()));
    let mut header = Zeroizing::new(String::with_capacity(6 + pair.len().div_ceil(3) * 4));
    header.push_str("Basic ");
    STANDARD.encode_string(pair.as_bytes(), &mut header);
    header
}

/// What an answer other than 200 means: by status first, by the OAuth error second. Providers disagree about the
/// error of a wrong secret (`invalid_client`, `access_denied`, `unauthorized_client`, none), not about the status.
fn refusal(metadata: &Metadata, reply: &Reply) -> Denial {
    let error = oauth_error(&reply.body);
    let cause = match (reply.status, error) {
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
    let answer = format!("HTTP {} {}", reply.status, error.unwrap_or_default());
    let denial = failed(metadata, cause, answer.trim_end());
    match (cause, reply.retry_after) {
        (Cause::ProviderBusy | Cause::ProviderFailed, Some(seconds)) => {
            denial.retry_after(seconds.clamp(1, MAX_RETRY_AFTER))
        }
        _ => denial,
    }
}

/// The `error` of an OAuth error response (RFC 6749 section 5.2) where it is a known one: only known words are logged.
fn oauth_error(body: &[u8]) -> Option<&'static str> {
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

fn failed(metadata: &Metadata, cause: Cause, why: &str) -> Denial {
    Denial::new(
        cause,
        format!("token endpoint {}: {why}", metadata.token_endpoint),
    )
}

#[cfg(test)]
mod tests;
