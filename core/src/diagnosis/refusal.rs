//! A token endpoint that grants no token: the reason and the remedy.

use super::Check;
use super::finding::{Finding, Verdict};
use super::recorder::{Asked, Page, Seen};
use super::says;
use super::token_request::STEP;
use crate::cause::Cause;
use crate::config::{Encoding, TokenAuth};
use crate::provider::{lacks_service_account, oauth_error};
use std::borrow::Cow;

const GRANT: &str = "Allow the grant to the application at the provider. Auth0: Applications, Advanced Settings, Grant Types, \
     and authorize it for the API; Okta: an application of the type API Services; Keycloak: Client authentication and \
     Service account roles; Cognito: an app client with a secret and the grant.";
const SERVICE_ACCOUNT: &str = "At Keycloak, open the client's settings, and enable Client authentication and Service account \
     roles (Capability config).";
const CLIENT: &str = "At the provider, authorize the application for the API (Auth0: Applications, APIs, the API's Machine to \
     Machine tab). The audience must be the API's identifier letter by letter, a trailing slash included.";
const SCOPES: &str = "Set scopes to scopes that are defined at the provider and allowed to this client. Okta wants one of the \
     authorization server's own scopes, or a default scope there; Entra ID wants exactly one, \
     APPLICATION-ID-URI/.default; Cognito writes RESOURCE-SERVER/SCOPE. scopes: [] asks for none.";
const AUDIENCE: &str = "Set audience (or token_post_args, where the provider calls it resource) to the API's identifier as it \
     is registered at the provider, letter by letter, a trailing slash included; and let the client have it.";
const REQUEST: &str = "Check the parameters that the provider requires for this grant: an audience (Auth0), one or more \
     scopes (Okta, Entra ID v2), a resource (Entra ID v1: token_post_args). Set them in the configuration.";
const ENDPOINT: &str = "Is it the provider's token endpoint? It comes from the metadata, or from token_endpoint where that is \
     set; a path that has been left out is the usual reason.";
const REDIRECT: &str = "Set issuer or token_endpoint to the address of the token endpoint.";
const UNSUPPORTED: &str =
    "Enable the grant at the provider, or check that issuer is the right one.";
const BLOCKED: &str = "Send the same request with curl from this machine. A firewall's log names the rule: have it let this machine's \
     address, and requests of programs, through to the token endpoint. If there is none on the way, check that the \
     address is the token endpoint's.";
const FAILED: &str = "Wait and try again; check the provider's status page or log.";
const OWN: &str = "Look up this error in the provider's documentation or log.";

impl Check<'_> {
    pub(super) fn refused(&self, seen: &Seen, asked: &Asked, page: &Page) -> (Verdict, Finding) {
        let denial = self.result.as_ref().err();
        let error = oauth_error(&page.body);
        let said = match says::error(&page.body).map(|error| self.hidden.but(error)) {
            Some(error) => format!("HTTP {} {error}", page.status),
            None => format!("HTTP {}", page.status),
        };
        let was_asked = self.was_asked(asked);
        let is_redirect = (300..=399).contains(&page.status);
        let (verdict, code, message, remedy) = match (denial.map(|denial| denial.cause), error) {
            // A token endpoint that checks secrets does not respond like this.
            (Some(Cause::ProviderFailed), _) if page.status == 403 => (
                Verdict::Unreachable,
                "blocked",
                format!(
                    "{} responded {said} without an OAuth error, unlike a token endpoint: most likely a firewall, a CDN \
                     or an API gateway in front of the provider blocked the request.",
                    seen.url
                ),
                BLOCKED.into(),
            ),
            // Beside the status of a wrong secret.
            (Some(Cause::CredentialsRefused), _) if lacks_service_account(&page.body) => (
                Verdict::Refused,
                "no_service_account",
                format!(
                    "The client has no service account at the provider, which the client credentials grant requires ({said})."
                ),
                SERVICE_ACCOUNT.into(),
            ),
            (Some(Cause::CredentialsRefused), _) if !asked.auth.has_secret() => (
                Verdict::Refused,
                "proof_refused",
                self.proof_refused(asked, &said),
                self.proof_remedy(asked, page).into(),
            ),
            (Some(Cause::CredentialsRefused), _) => (
                Verdict::Refused,
                "credentials_refused",
                format!("The provider does not accept this client id with this secret ({said}). {was_asked}"),
                self.credentials_remedy(asked).into(),
            ),
            (_, Some("invalid_scope")) => (
                Verdict::Misconfigured,
                "scope_refused",
                format!("The provider does not grant the requested scope ({said}). {was_asked}"),
                SCOPES.into(),
            ),
            (_, Some("invalid_target")) => (
                Verdict::Misconfigured,
                "audience_refused",
                if asked.has_audience() {
                    format!("The provider does not issue tokens for the requested audience ({said}). {was_asked}")
                } else {
                    format!("The provider requires an audience ({said}). {was_asked}")
                },
                AUDIENCE.into(),
            ),
            (Some(Cause::ClientForbidden), Some("unauthorized_client")) => (
                Verdict::Refused,
                "grant_not_allowed",
                format!(
                    "The provider knows this client, but does not allow it the client credentials grant ({said})."
                ),
                GRANT.into(),
            ),
            (Some(Cause::ClientForbidden), _) => (
                Verdict::Refused,
                "client_forbidden",
                format!("The provider knows this client, but does not grant the request ({said}). {was_asked}"),
                CLIENT.into(),
            ),
            (Some(Cause::ProviderBusy), _) => (
                Verdict::Unreachable,
                "busy",
                "The rate limit of the provider is exceeded (HTTP 429): this client's, or the whole account's."
                    .to_owned(),
                busy_remedy(denial.and_then(|denial| denial.retry_after)),
            ),
            (Some(Cause::ProviderFailed), _) => (
                Verdict::Unreachable,
                "provider_failed",
                format!("The provider's token endpoint fails ({said})."),
                FAILED.into(),
            ),
            (Some(Cause::RequestRefused), Some("invalid_request")) => (
                Verdict::Misconfigured,
                "request_incomplete",
                format!(
                    "The provider finds a parameter missing or unexpected in the request ({said}). {was_asked}"
                ),
                REQUEST.into(),
            ),
            (Some(Cause::RequestRefused), Some("unsupported_grant_type")) => (
                Verdict::Misconfigured,
                "grant_unsupported",
                format!("The provider does not offer the client credentials grant at this token endpoint ({said})."),
                UNSUPPORTED.into(),
            ),
            (Some(Cause::RequestRefused), None) => (
                Verdict::Misconfigured,
                "no_token_endpoint",
                format!("{} responded {said}, which is not a token endpoint's response.", seen.url),
                ENDPOINT.into(),
            ),
            _ if is_redirect => (
                Verdict::Misconfigured,
                "redirect",
                format!(
                    "{} responded {said}, a redirect. Redirects are not followed: one could send the secret to an \
                     address that is not configured.",
                    seen.url
                ),
                REDIRECT.into(),
            ),
            _ => (
                Verdict::Misconfigured,
                "request_refused",
                format!("The provider rejects the request itself ({said}). {was_asked}"),
                OWN.into(),
            ),
        };
        let finding = Finding::error(STEP, code, message).remedy(remedy);
        (verdict, finding)
    }

    fn credentials_remedy(&self, asked: &Asked) -> String {
        let is_plain = self.secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let mut remedy = String::from(
            "Compare id and secret with the provider's: the same tenant and environment, a secret that is not expired or \
             replaced.",
        );
        if self.first_auth(asked).is_none() {
            remedy.push_str(&format!(
                " If both are right, the application may be registered for another way to authenticate than {}: set \
                 token_endpoint_auth_method.",
                asked.auth.name()
            ));
        }
        if asked.auth == TokenAuth::ClientSecretBasic && !is_plain {
            let (other, why) = match self.rules.request.basic_encoding {
                Encoding::Form => (
                    "raw",
                    "some providers do not decode special characters in a secret as the standard requires",
                ),
                Encoding::Raw => (
                    "form",
                    "the standard requires special characters in a secret to be encoded",
                ),
            };
            remedy.push_str(&format!(
                " If the application is registered for client_secret_basic, set \
                 token_endpoint_basic_encoding to {other}: {why}."
            ));
        }
        remedy
    }
}

fn busy_remedy(retry_after: Option<u32>) -> Cow<'static, str> {
    format!(
        "Try again in {} seconds. The gateway caches tokens, so it makes few requests; check which other clients use \
         this account, and the limits of its plan.",
        retry_after.unwrap_or_default()
    )
    .into()
}
