//! The provider's metadata.

use super::Check;
use super::finding::{Diagnosis, Finding, Step, Verdict};
use super::reach::{no_document, place, took, unanswered};
use super::recorder::{Page, Seen};
use super::says;
use crate::gate::issuer::endpoint;
use crate::provider::{Flaw, Metadata, read_metadata};
use serde_json::{Map, Value};
use url::Url;

const STEP: Step = Step::Discovery;

/// The names of the issuer at some providers.
const ISSUERS: &str = "The issuer is the provider's identifier in its metadata: https://TENANT.auth0.com/ (Auth0), \
     https://HOST/realms/REALM (Keycloak), https://ORG.okta.com/oauth2/default (Okta), \
     https://login.microsoftonline.com/TENANT/v2.0 (Entra ID). The full well-known URL will do as well. For a provider \
     that publishes no metadata, set using_pseudo_issuer and token_endpoint.";

/// For a provider behind a proxy that terminates TLS.
const PUBLIC_URL: &str = "Tell the provider its public https URL. Keycloak: KC_HOSTNAME=https://HOST, and \
     KC_PROXY_HEADERS=xforwarded behind a proxy that sends X-Forwarded headers. Other providers have a setting for their \
     public URL or issuer.";

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
                return self.unavailable(report, verdict, finding);
            }
        };
        let remedy = format!(
            "Open {} in a browser: it must show a JSON document. {ISSUERS}",
            seen.url
        );
        if let Some((verdict, finding)) = no_document(STEP, "metadata", &remedy, seen, page) {
            return self.unavailable(report, verdict, finding);
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

    /// Reports metadata that did not arrive: an error, unless the gate works without it.
    fn unavailable(&self, report: &mut Diagnosis, verdict: Verdict, finding: Finding) -> bool {
        if verdict != Verdict::Unreachable || self.metadata.is_none() {
            report.fail(verdict, finding);
            return false;
        }
        let message = format!(
            "{} The settings name both endpoints, which serve without the metadata.",
            finding.message
        );
        let remedy = "If this machine cannot reach the public address, that is as expected; set \
                      token_endpoint_auth_method, and the gate need not find it out for each client.";
        report.add(Finding::warning(STEP, "unavailable", message).remedy(remedy));
        true
    }

    fn flawed(&self, flaw: Flaw, seen: &Seen, page: &Page, remedy: &str) -> Finding {
        let url = &seen.url;
        let document = members(page);
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
            Flaw::OtherIssuer(named) if self.is_plain_http(&named) => {
                let other = says::shown(&named);
                Finding::error(
                    STEP,
                    "insecure_issuer",
                    format!(
                        "The metadata at {url} names the issuer {other}, which is http, but the settings say {configured}. \
                         The usual reason is a proxy that terminates TLS: the provider does not know its public URL."
                    ),
                )
                .remedy(format!(
                    "{PUBLIC_URL} The gateway accepts no http issuer. If the provider cannot be changed, set \
                     using_pseudo_issuer to true, token_endpoint and jwks_endpoint to its https addresses, and \
                     issuers_allowed to {other}, which its tokens name."
                ))
                .fact("issuer", other)
            }
            Flaw::OtherIssuer(named) => {
                let other = says::shown(&named);
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
            Flaw::TokenEndpoint(_) | Flaw::JwksUri(_) => self.insecure_endpoints(url, &document),
        };
        finding
            .fact("url", url.as_str())
            .fact("status", page.status)
    }

    /// All at once: to mend one would only reveal the next.
    fn insecure_endpoints(&self, url: &Url, document: &Map<String, Value>) -> Finding {
        let issuer = &self.rules.issuer;
        let insecure: Vec<_> = [
            ("token_endpoint", "token_endpoint", &issuer.token_endpoint),
            ("jwks_uri", "jwks_endpoint", &issuer.jwks_endpoint),
        ]
        .into_iter()
        .filter(|(_, _, configured)| configured.is_none())
        .filter_map(|(name, setting, _)| Some((name, setting, document.get(name)?.as_str()?)))
        .filter(|(_, _, named)| endpoint(named, issuer.allow_loopback_http).is_err())
        .collect();
        let named: Vec<_> = insecure
            .iter()
            .map(|(name, _, named)| format!("{} as its {name}", says::shown(named)))
            .collect();
        let settings: Vec<_> = insecure.iter().map(|(_, setting, _)| *setting).collect();
        let is_http = insecure
            .iter()
            .all(|(_, _, named)| self.is_plain_http(named));
        let (why, remedy) = if is_http {
            (
                "http, but secrets are sent and keys are fetched over https only. The usual reason is a proxy that terminates \
                 TLS: the provider does not know its public URL.",
                PUBLIC_URL,
            )
        } else {
            (
                "not an https URL without user name and fragment, and secrets are sent to no other.",
                "Have the provider publish an https URL without user name and fragment.",
            )
        };
        let address = if settings.len() == 1 {
            "address"
        } else {
            "addresses"
        };
        let finding = Finding::error(
            STEP,
            "insecure_endpoint",
            format!("The metadata at {url} names {}: {why}", named.join(" and ")),
        )
        .remedy(format!(
            "{remedy} Or set {} to the https {address}, if the provider responds there.",
            settings.join(" and ")
        ));
        insecure.iter().fold(finding, |finding, (name, _, named)| {
            finding.fact(name, says::shown(named))
        })
    }

    /// Whether this is an http URL that the gate does not accept.
    fn is_plain_http(&self, url: &str) -> bool {
        let scheme = url.get(..7).unwrap_or_default();
        scheme.eq_ignore_ascii_case("http://")
            && endpoint(url, self.rules.issuer.allow_loopback_http).is_err()
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
            && !holds(methods, &[auth.name()])
        {
            let listed = says::value(&Value::from(methods.clone()));
            report.add(
                Finding::warning(
                    STEP,
                    "auth_method_not_listed",
                    format!(
                        "The metadata lists these ways to authenticate at the token endpoint: {listed}. Credgate will \
                         use {}, which is not among them.",
                        auth.name()
                    ),
                )
                .remedy(
                    "Set token_endpoint_auth_method to client_secret_post, client_secret_basic or client_secret_jwt, \
                     whichever the client is registered for; private_key_jwt and tls_client_auth are for the gateway's own \
                     client (client_id).",
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
