//! The client credentials grant at the token endpoint.

use super::Check;
use super::discovery::auth_name;
use super::finding::{Diagnosis, Finding, Step, Verdict};
use super::reach::{place, took, unanswered};
use super::recorder::{Asked, Page, Seen};
use super::says;
use crate::cause::Cause;
use crate::exchange::oauth_error;

const STEP: Step = Step::TokenRequest;

impl Check<'_> {
    pub(super) fn token_request(&self, report: &mut Diagnosis) -> bool {
        let requests: Vec<_> = self.token_requests().collect();
        let Some((seen, asked)) = requests.last() else {
            // Not even sent: the metadata may name no token endpoint.
            return false;
        };
        if requests.len() > 1 {
            report.add(
                Finding::warning(
                    STEP,
                    "openid_refused",
                    "The provider refuses the scope openid, which is asked for where no scopes are set. The gateway \
                     leaves it out from then on, and so does this check.",
                )
                .remedy("Set scopes to what the API needs, or to [] to ask for none: that saves a request at each start."),
            );
        }
        match &seen.answer {
            Some(Ok(page)) if page.status == 200 => {
                let message = format!(
                    "{} answered {} and granted a token. {}",
                    place(&seen.url),
                    took(seen),
                    self.was_asked(asked)
                );
                report.add(self.facts(
                    Finding::notice(STEP, "granted", message),
                    seen,
                    asked,
                    page,
                ));
                true
            }
            Some(Ok(page)) => {
                let (verdict, finding) = self.refused(seen, asked, page);
                report.fail(verdict, self.facts(finding, seen, asked, page));
                false
            }
            answer => {
                let fault = answer.as_ref().and_then(|answer| answer.as_ref().err());
                let (verdict, finding) = unanswered(STEP, &seen.url, fault, self.rules.timeout);
                report.fail(verdict, finding);
                false
            }
        }
    }

    fn facts(&self, finding: Finding, seen: &Seen, asked: &Asked, page: &Page) -> Finding {
        let mut finding = finding
            .fact("url", seen.url.as_str())
            .fact("status", page.status)
            .fact("milliseconds", seen.took.as_millis() as u64)
            .fact("auth_method", auth_name(asked.auth));
        for (name, value) in [
            ("scope", asked.scope.as_deref()),
            ("audience", self.argument("audience")),
            ("resource", self.argument("resource")),
        ] {
            if let Some(value) = value {
                finding = finding.fact(name, value);
            }
        }
        if page.status == 200 {
            return finding;
        }
        let (id, secret) = (self.client_id, self.secret);
        if let Some(error) = says::error(&page.body, id, secret) {
            finding = finding.fact("error", error);
        }
        if let Some(reason) = says::reason(&page.body, id, secret) {
            finding = finding.fact("provider_says", reason);
        }
        finding
    }

    /// What was asked for, and how the client has shown who it is.
    fn was_asked(&self, asked: &Asked) -> String {
        let named = |what: &str, value: &str| format!("the {what} {value}");
        let wishes = [
            self.argument("audience")
                .map(|value| named("audience", value)),
            self.argument("resource")
                .map(|value| named("resource", value)),
            asked.scope.as_deref().map(|value| named("scope", value)),
        ];
        let wishes: Vec<_> = wishes.into_iter().flatten().collect();
        format!(
            "It was asked for {}; the client authenticated with {}.",
            if wishes.is_empty() {
                "nothing in particular".to_owned()
            } else {
                wishes.join(" and ")
            },
            auth_name(asked.auth)
        )
    }

    fn refused(&self, seen: &Seen, asked: &Asked, page: &Page) -> (Verdict, Finding) {
        let error = oauth_error(&page.body);
        let cause = self.result.as_ref().err().map(|denial| denial.cause);
        let said = match says::error(&page.body, self.client_id, self.secret) {
            Some(error) => format!("HTTP {} {error}", page.status),
            None => format!("HTTP {}", page.status),
        };
        let was_asked = self.was_asked(asked);
        match (cause, error) {
            (Some(Cause::CredentialsRefused), _) => (
                Verdict::Refused,
                Finding::error(
                    STEP,
                    "credentials_refused",
                    format!("The provider does not accept this client id with this secret ({said}). {was_asked}"),
                )
                .remedy(self.credentials_remedy(asked, error)),
            ),
            (_, Some("invalid_scope")) => (
                Verdict::Misconfigured,
                Finding::error(
                    STEP,
                    "scope_refused",
                    format!("The provider does not grant the scope that it is asked for ({said}). {was_asked}"),
                )
                .remedy(
                    "Set scopes to scopes that are defined at the provider and allowed to this client. Okta wants one of \
                     the authorization server's own scopes, or a default scope there; Entra ID wants exactly one, \
                     APPLICATION-ID-URI/.default; Cognito writes RESOURCE-SERVER/SCOPE. scopes: [] asks for none.",
                ),
            ),
            (_, Some("invalid_target")) => (Verdict::Misconfigured, self.audience_refused(&said, &was_asked)),
            (Some(Cause::ClientForbidden), Some("unauthorized_client")) => (
                Verdict::Refused,
                Finding::error(
                    STEP,
                    "grant_not_allowed",
                    format!("The provider knows this client, and does not let it use the client credentials grant ({said})."),
                )
                .remedy(
                    "Allow the grant to the application at the provider. Auth0: Applications, Advanced Settings, Grant \
                     Types, and authorize it for the API; Okta: an application of the type API Services; Keycloak: Client \
                     authentication and Service account roles; Cognito: an app client with a secret and the grant.",
                ),
            ),
            (Some(Cause::ClientForbidden), _) => (
                Verdict::Refused,
                Finding::error(
                    STEP,
                    "client_forbidden",
                    format!("The provider knows this client, and does not grant it what it asks for ({said}). {was_asked}"),
                )
                .remedy(
                    "At the provider, authorize the application for the API (Auth0: Applications, APIs, the API's Machine \
                     to Machine tab). The audience must be the API's identifier letter by letter, a trailing slash \
                     included.",
                ),
            ),
            (Some(Cause::ProviderBusy), _) => {
                let retry_after = self.result.as_ref().err().and_then(|denial| denial.retry_after);
                let finding = Finding::error(
                    STEP,
                    "busy",
                    "The provider has been asked for too many tokens (HTTP 429): by this client, or by the whole account.",
                )
                .remedy(format!(
                    "Try again in {} seconds. The gateway keeps tokens and asks seldom; look who else asks with this \
                     account, and what its plan allows.",
                    retry_after.unwrap_or_default()
                ));
                (Verdict::Unreachable, finding)
            }
            (Some(Cause::ProviderFailed), _) => (
                Verdict::Unreachable,
                Finding::error(
                    STEP,
                    "provider_failed",
                    format!("The provider has a failure of its own at its token endpoint ({said})."),
                )
                .remedy("Wait, and try again; look at the provider's status page or its log."),
            ),
            (Some(Cause::RequestRefused), Some("invalid_request")) => (
                Verdict::Misconfigured,
                Finding::error(
                    STEP,
                    "request_incomplete",
                    format!("The provider misses something in the request, or finds something too much in it ({said}). {was_asked}"),
                )
                .remedy(
                    "Look what the provider wants with this grant: an audience (Auth0), one or more scopes (Okta, Entra \
                     ID v2), a resource (Entra ID v1: token_post_args). Whatever it is, it is set in the configuration.",
                ),
            ),
            (Some(Cause::RequestRefused), Some("unsupported_grant_type")) => (
                Verdict::Misconfigured,
                Finding::error(
                    STEP,
                    "grant_unsupported",
                    format!("The provider does not offer the client credentials grant at this token endpoint ({said})."),
                )
                .remedy("Switch the grant on at the provider, or look whether issuer is the right one of several."),
            ),
            (Some(Cause::RequestRefused), None) => (
                Verdict::Misconfigured,
                Finding::error(
                    STEP,
                    "no_token_endpoint",
                    format!("{} answered {said}, as no token endpoint does.", seen.url),
                )
                .remedy(
                    "Is it the provider's token endpoint? It comes from the metadata, or from token_endpoint where that \
                     is set; a path that has been left out is the usual reason.",
                ),
            ),
            _ if (300..=399).contains(&page.status) => (
                Verdict::Misconfigured,
                Finding::error(
                    STEP,
                    "redirect",
                    format!(
                        "{} answered {said}, a redirect. None is followed: it would carry the secret to where nobody \
                         meant it to go.",
                        seen.url
                    ),
                )
                .remedy("Set issuer or token_endpoint to the address where the token endpoint really is."),
            ),
            _ => (
                Verdict::Misconfigured,
                Finding::error(
                    STEP,
                    "request_refused",
                    format!("The provider does not like the request as such ({said}). {was_asked}"),
                )
                .remedy("Look up what the provider means by this error in its documentation or its log."),
            ),
        }
    }

    fn audience_refused(&self, said: &str, was_asked: &str) -> Finding {
        let message = if self
            .argument("audience")
            .or(self.argument("resource"))
            .is_some()
        {
            format!(
                "The provider does not issue tokens for what was asked for ({said}). {was_asked}"
            )
        } else {
            format!("The provider wants to be told what the token is for ({said}). {was_asked}")
        };
        Finding::error(STEP, "audience_refused", message).remedy(
            "Set audience (or token_post_args, where the provider calls it resource) to the API's identifier as it is \
             registered at the provider, letter by letter, a trailing slash included; and let the client have it.",
        )
    }

    fn credentials_remedy(&self, asked: &Asked, error: Option<&str>) -> String {
        let mut remedy = format!(
            "Compare id and secret with the provider's: the same tenant and environment, a secret that is not expired or \
             replaced. If both are right, the application may be registered for another way to authenticate than {}: \
             set token_endpoint_auth_method.",
            auth_name(asked.auth)
        );
        if asked.auth == crate::config::TokenAuth::ClientSecretBasic
            && self
                .secret
                .bytes()
                .any(|byte| !byte.is_ascii_alphanumeric())
        {
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
