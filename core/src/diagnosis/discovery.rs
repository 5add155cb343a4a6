//! The provider's metadata.

use super::Check;
use super::finding::{Diagnosis, Finding, Step, Verdict};
use super::reach::{no_document, place, took, unanswered};
use super::recorder::{Page, Seen};
use super::says;
use crate::config::TokenAuth;
use crate::provider::{Flaw, Metadata, read_metadata};
use serde_json::{Map, Value};

const STEP: Step = Step::Discovery;

/// The names of the issuer at some providers.
const ISSUERS: &str = "The issuer is the provider's identifier in its metadata: https://TENANT.auth0.com/ (Auth0), \
     https://HOST/realms/REALM (Keycloak), https://ORG.okta.com/oauth2/default (Okta), \
     https://login.microsoftonline.com/TENANT/v2.0 (Entra ID). The full well-known URL will do as well. For a provider \
     that publishes no metadata, set using_pseudo_issuer and token_endpoint.";

impl Check<'_> {
    pub(super) fn discovery(&self, report: &mut Diagnosis) -> bool {
        let issuer = &self.rules.issuer;
        if issuer.is_pseudo {
            let message = "The metadata is not fetched (using_pseudo_issuer): the settings name its \
                           token endpoint.";
            report.add(Finding::notice(STEP, "skipped", message));
            return true;
        }
        let Some(seen) = self.documents(true).last() else {
            return true;
        };
        let page = match &seen.answer {
            Some(Ok(page)) => page,
            answer => {
                let fault = answer.as_ref().and_then(|answer| answer.as_ref().err());
                let (verdict, finding) = unanswered(STEP, &seen.url, fault, self.rules.timeout);
                report.fail(verdict, finding);
                return false;
            }
        };
        let remedy = format!(
            "Open {} in a browser: it must show a JSON document. {ISSUERS}",
            seen.url
        );
        if let Some((verdict, finding)) = no_document(STEP, "metadata", &remedy, seen, page) {
            report.fail(verdict, finding);
            return false;
        }
        match read_metadata(issuer, &page.body) {
            Err(flaw) => {
                let finding = self.flawed(flaw, seen, page, &remedy);
                report.fail(Verdict::Misconfigured, finding);
                false
            }
            Ok(metadata) => {
                self.good(report, &metadata, seen, page);
                true
            }
        }
    }

    fn flawed(&self, flaw: Flaw, seen: &Seen, page: &Page, remedy: &str) -> Finding {
        let url = &seen.url;
        let document = members(page);
        let member = |name: &str| document.get(name).map(says::value).unwrap_or_default();
        let configured = &self.rules.issuer.id;
        let finding = match flaw {
            Flaw::NoMetadata => Finding::error(
                STEP,
                "no_metadata",
                format!(
                    "The response of {url} is not OpenID metadata: a JSON object with one issuer."
                ),
            )
            .remedy(remedy),
            Flaw::OtherIssuer => {
                let other = member("issuer");
                Finding::error(
                    STEP,
                    "other_issuer",
                    format!(
                        "The metadata at {url} names the issuer {other}, but the settings say {configured}. Nothing is \
                         sent to a provider that calls itself something else (RFC 8414, section 3.3)."
                    ),
                )
                .remedy(format!(
                    "If {other} is your provider, set issuer to exactly that; a trailing slash makes no difference, \
                     anything else does: scheme, port, path, upper case."
                ))
                .fact("issuer", other)
            }
            Flaw::TokenEndpoint | Flaw::JwksUri => {
                let name = if flaw == Flaw::JwksUri {
                    "jwks_uri"
                } else {
                    "token_endpoint"
                };
                let named = member(name);
                let instead = if flaw == Flaw::JwksUri {
                    "jwks_endpoint"
                } else {
                    name
                };
                Finding::error(
                    STEP,
                    "insecure_endpoint",
                    format!(
                        "The metadata at {url} names {named} as its {name}: that is not an https URL without user name and \
                         fragment, and secrets are sent to no other."
                    ),
                )
                .remedy(format!(
                    "Have the provider publish its https address (behind a proxy it must often be configured), or \
                     set {instead} to it."
                ))
                .fact(name, named)
            }
        };
        finding
            .fact("url", url.as_str())
            .fact("status", page.status)
    }

    fn good(&self, report: &mut Diagnosis, metadata: &Metadata, seen: &Seen, page: &Page) {
        let document = members(page);
        let list = |name: &str| document.get(name).and_then(Value::as_array);
        let mut finding = Finding::notice(
            STEP,
            "found",
            format!(
                "{} responded {}: the issuer is {}.",
                place(&seen.url),
                took(seen),
                says::shown(&metadata.issuer)
            ),
        )
        .fact("url", seen.url.as_str())
        .fact("status", page.status)
        .fact("milliseconds", seen.took.as_millis() as u64)
        .fact("issuer", says::shown(&metadata.issuer));
        for name in [
            "token_endpoint",
            "jwks_uri",
            "token_endpoint_auth_methods_supported",
            "grant_types_supported",
        ] {
            if let Some(value) = document.get(name) {
                finding = finding.fact(name, says::value(value));
            }
        }
        report.add(finding);

        if list("grant_types_supported")
            .is_some_and(|grants| !holds(grants, &["client_credentials"]))
        {
            report.add(
                Finding::warning(
                    STEP,
                    "grant_not_listed",
                    "The metadata does not list the client credentials grant (grant_types_supported). Some providers have \
                     it without listing it; Credgate tries it.",
                )
                .remedy("If the next step fails, check whether this grant must be enabled at the provider."),
            );
        }
        let auth = self.rules.request.auth.unwrap_or(metadata.auth);
        if let Some(methods) = list("token_endpoint_auth_methods_supported")
            && !holds(methods, &[auth_name(auth)])
        {
            let listed = says::value(&Value::from(methods.clone()));
            report.add(
                Finding::warning(
                    STEP,
                    "auth_method_not_listed",
                    format!(
                        "The metadata lists these ways to authenticate at the token endpoint: {listed}. Credgate will \
                         use {}, which is not among them.",
                        auth_name(auth)
                    ),
                )
                .remedy(
                    "Set token_endpoint_auth_method to client_secret_post, client_secret_basic or client_secret_jwt, \
                     whichever the client is registered for; others need more than an id and a secret.",
                ),
            );
        }
    }
}

fn members(page: &Page) -> Map<String, Value> {
    crate::token::json_object(&page.body).unwrap_or_default()
}

fn holds(list: &[Value], wanted: &[&str]) -> bool {
    list.iter()
        .any(|value| value.as_str().is_some_and(|text| wanted.contains(&text)))
}

/// The standards' name for it.
pub(super) fn auth_name(auth: TokenAuth) -> &'static str {
    match auth {
        TokenAuth::ClientSecretBasic => "client_secret_basic",
        TokenAuth::ClientSecretPost => "client_secret_post",
        TokenAuth::ClientSecretJwt => "client_secret_jwt",
    }
}
