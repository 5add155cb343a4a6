//! A token endpoint that grants no token: why, and what to do about it.

use super::Check;
use super::discovery::auth_name;
use super::finding::{Finding, Verdict};
use super::recorder::{Asked, Page, Seen};
use super::says;
use super::token_request::STEP;
use crate::cause::Cause;
use crate::config::TokenAuth;
use crate::provider::oauth_error;
use std::borrow::Cow;

const GRANT: &str = "Allow the grant to the application at the provider. Auth0: Applications, Advanced Settings, Grant Types, \
     and authorize it for the API; Okta: an application of the type API Services; Keycloak: Client authentication and \
     Service account roles; Cognito: an app client with a secret and the grant.";
const CLIENT: &str = "At the provider, authorize the application for the API (Auth0: Applications, APIs, the API's Machine to \
     Machine tab). The audience must be the API's identifier letter by letter, a trailing slash included.";
const SCOPES: &str = "Set scopes to scopes that are defined at the provider and allowed to this client. Okta wants one of the \
     authorization server's own scopes, or a default scope there; Entra ID wants exactly one, \
     APPLICATION-ID-URI/.default; Cognito writes RESOURCE-SERVER/SCOPE. scopes: [] asks for none.";
const AUDIENCE: &str = "Set audience (or token_post_args, where the provider calls it resource) to the API's identifier as it \
     is registered at the provider, letter by letter, a trailing slash included; and let the client have it.";
const REQUEST: &str = "Look what the provider wants with this grant: an audience (Auth0), one or more scopes (Okta, Entra ID \
     v2), a resource (Entra ID v1: token_post_args). Whatever it is, it is set in the configuration.";
const ENDPOINT: &str = "Is it the provider's token endpoint? It comes from the metadata, or from token_endpoint where that is \
     set; a path that has been left out is the usual reason.";
const REDIRECT: &str =
    "Set issuer or token_endpoint to the address where the token endpoint really is.";
const UNSUPPORTED: &str =
    "Switch the grant on at the provider, or look whether issuer is the right one of several.";
const BLOCKED: &str = "Send the same request with curl from this machine. A firewall's log names the rule: have it let this machine's \
     address, and requests of programs, through to the token endpoint. If there is none on the way, look whether the \
     address is the token endpoint's.";
const FAILED: &str = "Wait, and try again; look at the provider's status page or its log.";
const OWN: &str = "Look up what the provider means by this error in its documentation or its log.";

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
            // Nobody who looks at secrets answers like that.
            _ if page.status == 403 && page.is_markup() => (
                Verdict::Unreachable,
                "blocked",
                format!(
                    "{} answered {said} with a page for people (HTML), as no token endpoint does: a firewall or a CDN \
                     before the provider, most likely, which has let neither id nor secret through.",
                    seen.url
                ),
                BLOCKED.into(),
            ),
            (Some(Cause::CredentialsRefused), _) => (
                Verdict::Refused,
                "credentials_refused",
                format!("The provider does not accept this client id with this secret ({said}). {was_asked}"),
                self.credentials_remedy(asked, error).into(),
            ),
            (_, Some("invalid_scope")) => (
                Verdict::Misconfigured,
                "scope_refused",
                format!("The provider does not grant the scope that it is asked for ({said}). {was_asked}"),
                SCOPES.into(),
            ),
            (_, Some("invalid_target")) => (
                Verdict::Misconfigured,
                "audience_refused",
                if asked.has_audience() {
                    format!("The provider does not issue tokens for what was asked for ({said}). {was_asked}")
                } else {
                    format!("The provider wants to be told what the token is for ({said}). {was_asked}")
                },
                AUDIENCE.into(),
            ),
            (Some(Cause::ClientForbidden), Some("unauthorized_client")) => (
                Verdict::Refused,
                "grant_not_allowed",
                format!(
                    "The provider knows this client, and does not let it use the client credentials grant ({said})."
                ),
                GRANT.into(),
            ),
            (Some(Cause::ClientForbidden), _) => (
                Verdict::Refused,
                "client_forbidden",
                format!("The provider knows this client, and does not grant it what it asks for ({said}). {was_asked}"),
                CLIENT.into(),
            ),
            (Some(Cause::ProviderBusy), _) => (
                Verdict::Unreachable,
                "busy",
                "The provider has been asked for too many tokens (HTTP 429): by this client, or by the whole account."
                    .to_owned(),
                busy_remedy(denial.and_then(|denial| denial.retry_after)),
            ),
            (Some(Cause::ProviderFailed), _) => (
                Verdict::Unreachable,
                "provider_failed",
                format!("The provider has a failure of its own at its token endpoint ({said})."),
                FAILED.into(),
            ),
            (Some(Cause::RequestRefused), Some("invalid_request")) => (
                Verdict::Misconfigured,
                "request_incomplete",
                format!(
                    "The provider misses something in the request, or finds something too much in it ({said}). {was_asked}"
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
                format!("{} answered {said}, as no token endpoint does.", seen.url),
                ENDPOINT.into(),
            ),
            _ if is_redirect => (
                Verdict::Misconfigured,
                "redirect",
                format!(
                    "{} answered {said}, a redirect. None is followed: it would carry the secret to where nobody meant it \
                     to go.",
                    seen.url
                ),
                REDIRECT.into(),
            ),
            _ => (
                Verdict::Misconfigured,
                "request_refused",
                format!("The provider does not like the request as such ({said}). {was_asked}"),
                OWN.into(),
            ),
        };
        let finding = Finding::error(STEP, code, message).remedy(remedy);
        (verdict, finding)
    }

    fn credentials_remedy(&self, asked: &Asked, error: Option<&str>) -> String {
        let is_plain = self.secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let mut remedy = format!(
            "Compare id and secret with the provider's: the same tenant and environment, a secret that is not expired or \
             replaced. If both are right, the application may be registered for another way to authenticate than {}: set \
             token_endpoint_auth_method.",
            auth_name(asked.auth)
        );
        if asked.auth == TokenAuth::ClientSecretBasic && !is_plain {
            remedy.push_str(
                " Some providers do not decode a secret with special characters as the standard says: try \
                 token_endpoint_basic_encoding raw.",
            );
        }
        if error == Some("unauthorized_client") {
            remedy.push_str(
                " Keycloak answers the same where the client has no service account: switch on Client authentication and \
                 Service account roles.",
            );
        }
        remedy
    }
}

fn busy_remedy(retry_after: Option<u32>) -> Cow<'static, str> {
    format!(
        "Try again in {} seconds. The gateway keeps tokens and asks seldom; look who else asks with this account, and what \
         its plan allows.",
        retry_after.unwrap_or_default()
    )
    .into()
}
