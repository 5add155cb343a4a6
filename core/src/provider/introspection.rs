//! The introspection of a token ([RFC 7662]).
//!
//! [RFC 7662]: https://www.rfc-editor.org/rfc/rfc7662

use super::Metadata;
use super::context::{Exchange, MAX_ANSWER, Unanswered};
use super::discovery::insecure;
use super::health::{Candidate, Verdict};
use super::refusal::{busy_for_all, oauth_error, with_retry_after};
use super::token_request::Client;
use crate::cause::{Cause, Denial};
use crate::gate::introspection::Introspection;
use crate::http::{Call, Form, Response};
use crate::token::claims::{Claims, ClaimsSet};
use crate::token::{UniqueObject, json_object};
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::time::Duration;
use url::Url;

/// The fault of a token that is not active.
pub(super) const INACTIVE: &str = "the introspection endpoint says that it is not active";
/// A signed response (RFC 9701), and the type that some providers give it.
const SIGNED: [&str; 2] = ["application/token-introspection+jwt", "application/jwt"];
/// The name of the endpoint in details.
const ENDPOINT: &str = "introspection endpoint";

impl Exchange<'_> {
    /// The provider's claims about a token; `None` if the token is not active.
    pub(super) async fn introspect(
        &self,
        metadata: &Metadata,
        introspection: &Introspection,
        token: &str,
    ) -> Result<Option<Claims>, Denial> {
        let url = self.introspection_endpoint(metadata)?;
        let candidate = Candidate {
            rules: self.rules,
            key: &self.key,
            is_own: false,
            parties: &self.parties,
            patience: self.patience,
        };
        let attempt = self.provider.health.admit(self.env, &candidate).await?;
        let wall = self.env.clock.wall();
        let form = self.introspection_form(metadata, introspection, token, wall)?;
        let call = Call {
            url: url.clone(),
            form: Some(form),
            headers: HeaderMap::new(),
            max_answer: MAX_ANSWER,
        };
        let sent = self.send(ENDPOINT, call).await;
        let reply = match sent {
            Ok(reply) => reply,
            Err(Unanswered { verdict, denial }) => {
                if let Some(verdict) = verdict {
                    attempt.report_denial(verdict, &denial);
                }
                return Err(denial);
            }
        };
        let read = if reply.status == 200 {
            read(&reply, metadata).map_err(|why| {
                let detail = format!("{ENDPOINT} {url}: {why}");
                Denial::new(Cause::ProviderResponseInvalid, detail)
            })
        } else {
            Err(refusal(url, &reply, self.env.clock.wall()))
        };
        match &read {
            Ok(Some(_)) => attempt.report(Verdict::Granted),
            Ok(None) => attempt.report(Verdict::Refused),
            Err(denial) => {
                let verdict = match denial.cause {
                    Cause::ProviderBusy => Verdict::Busy {
                        retry_after: busy_for_all(&reply, wall),
                    },
                    Cause::ProviderFailed => Verdict::Failed,
                    _ => Verdict::Rejected,
                };
                attempt.report_denial(verdict, denial);
            }
        }
        read
    }

    /// The request of RFC 7662 section 2.1.
    fn introspection_form(
        &self,
        metadata: &Metadata,
        introspection: &Introspection,
        token: &str,
        wall: Duration,
    ) -> Result<Form, Denial> {
        let own = &introspection.client;
        let secret = own.read().map_err(Denial::unreadable)?;
        let client = Client {
            id: &own.id,
            secret: secret.expose(),
            auth: introspection.auth,
            basic_encoding: self.rules.request.basic_encoding,
            signer: None,
            audience: None,
        };
        let pairs = [("token", token), ("token_type_hint", "access_token")];
        client.form(&pairs, metadata, wall)
    }

    fn introspection_endpoint<'m>(&self, metadata: &'m Metadata) -> Result<&'m Url, Denial> {
        let issuer = &self.provider.issuer;
        let why = match &metadata.introspection_endpoint {
            Some(Ok(url)) => return Ok(url),
            Some(Err(named)) => format!(
                "discovery at {}: {}",
                issuer.discovery,
                insecure("introspection_endpoint", named)
            ),
            None => format!(
                "the metadata of {} names no introspection_endpoint: set introspection_endpoint",
                metadata.issuer
            ),
        };
        Err(Denial::new(Cause::ProviderResponseInvalid, why))
    }
}

/// Whether claims of an introspection response are those of an access token that any bearer may use. The hint in the
/// request does not exclude other tokens (RFC 7662 section 2.1).
pub(crate) fn are_of_access_token(claims: ClaimsSet<'_>) -> bool {
    let is_one_of = |name, expected: [&str; 2]| {
        claims.get(name).is_none_or(|value| {
            let is = |text: &str| expected.iter().any(|one| text.eq_ignore_ascii_case(one));
            value.text().is_some_and(is)
        })
    };
    // Hydra and Cognito have token_use; Keycloak has typ.
    is_one_of("token_type", ["bearer", "access_token"])
        && is_one_of("token_use", ["access", "access_token"])
        && !matches!(claims.text("typ"), Some("Refresh" | "Offline"))
}

/// Reads the body of a 200. The error is a log-safe phrase.
pub(crate) fn read(reply: &Response, metadata: &Metadata) -> Result<Option<Claims>, &'static str> {
    if reply
        .media_type
        .as_deref()
        .is_some_and(|media_type| SIGNED.contains(&media_type))
    {
        return Err(
            "a signed response (RFC 9701), which is not supported; have the provider respond with JSON to this client",
        );
    }
    let UniqueObject(mut members) =
        json_object(&reply.body).ok_or("not a JSON object with each member once")?;
    match members.remove("active") {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) => return Ok(None),
        _ => return Err("active is not true or false"),
    }
    // The endpoint of an issuer knows that issuer's tokens.
    members
        .entry("iss")
        .or_insert_with(|| metadata.issuer.as_str().into());
    Ok(Some(Claims::new(members, Some(&metadata.issuer))))
}

/// The denial for a status other than 200. The gateway itself is the client, so the client of the request is never at
/// fault. `wall`: the time since the Unix epoch.
fn refusal(url: &Url, reply: &Response, wall: Duration) -> Denial {
    let error = oauth_error(&reply.body);
    let cause = match (reply.status, error) {
        (429, _) => Cause::ProviderBusy,
        // A firewall or an API gateway.
        (403, None) | (500..=599, _) => Cause::ProviderFailed,
        (400..=499, _) => Cause::RequestRefused,
        _ => Cause::ProviderResponseInvalid,
    };
    let mut detail = format!("{ENDPOINT} {url}: HTTP {}", reply.status);
    if let Some(error) = error {
        detail.push(' ');
        detail.push_str(error);
    }
    if matches!(reply.status, 401 | 403) && cause == Cause::RequestRefused {
        detail.push_str(" (the gateway's own introspection_client_id is refused)");
    }
    with_retry_after(Denial::new(cause, detail), reply, wall)
}
