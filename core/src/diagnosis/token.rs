//! The token: its kind, lifetime, scope and audience.

use super::Check;
use super::finding::{Diagnosis, Finding, Step, Verdict, sentence};
use super::recorder::Asked;
use super::says;
use crate::token::claims::{Claims, ClaimsSet};
use crate::token::packed::Packed;
use crate::token::{Lifetime, TokenResponse, json_object, unverified_claims};
use serde_json::{Map, Value};

const STEP: Step = Step::Token;

/// Upstreams rarely take headers beyond 8 KiB.
const LARGE: usize = 7 * 1024;
/// Tokens cached for fewer seconds cause constant exchanges.
const SHORT: u64 = 60;

impl Check<'_> {
    pub(super) fn token(&self, report: &mut Diagnosis) -> bool {
        let Some((page, asked)) = self.granted() else {
            return false;
        };
        let answer = match TokenResponse::read(&page.body) {
            Ok(answer) => answer,
            Err(_) if page.is_markup() => {
                let message = "The token endpoint responded with HTTP 200 and an HTML page instead of a token.";
                let finding = Finding::error(STEP, "html_page", message).remedy(
                    "Something else listens at this address, such as a login page or a proxy: look at it with a browser, \
                     and set issuer or token_endpoint to the provider's.",
                );
                report.fail(Verdict::Misconfigured, finding);
                return false;
            }
            Err(denial) => {
                let finding = Finding::error(STEP, "response_invalid", sentence(&denial.detail))
                    .remedy(
                        "RFC 6749, section 5.1, does not allow this response. Is the token endpoint the right \
                         one? A provider that binds tokens to keys (DPoP) has to issue plain Bearer tokens here.",
                    );
                report.fail(Verdict::Misconfigured, finding);
                return false;
            }
        };
        let members: Map<String, Value> = json_object(&page.body).unwrap_or_default();
        let claims =
            unverified_claims(&answer.access_token).map(|claims| Claims::new(claims, None));
        let claims = claims.as_ref().map(Claims::set);
        report.add(self.came(&answer, claims, &members));
        self.lifetime(report, &answer, claims);
        self.wishes(report, asked, claims, &members);
        if answer.access_token.len() > LARGE {
            let message = format!(
                "The token has {} bytes. Many servers refuse headers of more than 8 KiB.",
                answer.access_token.len()
            );
            report.add(Finding::warning(STEP, "token_large", message).remedy(
                "Have the provider put less into it, or let the upstream accept larger headers (nginx: \
                 large_client_header_buffers).",
            ));
        }
        true
    }

    fn came(
        &self,
        answer: &TokenResponse,
        claims: Option<ClaimsSet<'_>>,
        members: &Map<String, Value>,
    ) -> Finding {
        let kind = match claims {
            Some(_) => "The token is a JWT",
            None if self.rules.introspects(&answer.access_token).is_some() => {
                "The token is opaque: the provider's introspection endpoint has its claims"
            }
            None => {
                "The token is opaque: only the provider can read it, so its claims can be neither verified nor \
                 required here"
            }
        };
        let lifetime = answer.lifetime(claims, self.wall);
        let lives = match lifetime {
            Lifetime::Stated(lifetime) => format!("It is valid for {} seconds", lifetime.as_secs()),
            Lifetime::Unknown => "Its lifetime is unknown".to_owned(),
            Lifetime::Unusable => {
                "Its lifetime is unusable: zero, in the past, or not a number".to_owned()
            }
        };
        let kept = match self.kept() {
            Some(kept) => format!(", and the gateway caches it for {kept}."),
            None => ".".to_owned(),
        };
        let mut finding = Finding::notice(STEP, "came", format!("{kind}. {lives}{kept}"))
            .fact("kind", if claims.is_some() { "jwt" } else { "opaque" });
        if let Lifetime::Stated(lifetime) = lifetime {
            finding = finding.fact("lifetime", lifetime.as_secs());
        }
        if let Some(kept) = self.kept() {
            finding = finding.fact("kept", kept);
        }
        if let Some(scope) = members.get("scope") {
            finding = finding.fact("scope", self.said(scope));
        }
        if let Some(claims) = claims {
            for name in ["iss", "aud", "sub", "azp", "scope", "scp"] {
                if let Some(value) = claims.get(name) {
                    finding = finding.fact(&format!("claim_{name}"), self.said(&value.to_value()));
                }
            }
            finding = finding.fact(
                "claims",
                self.hidden.but(says::shown(&claims.names().join(" "))),
            );
        }
        finding
    }

    /// Seconds for which a gateway serves the token.
    fn kept(&self) -> Option<u64> {
        let grant = self.result.as_ref().ok()?;
        Some(self.rules.retention.kept(grant)?.as_secs())
    }

    fn lifetime(
        &self,
        report: &mut Diagnosis,
        answer: &TokenResponse,
        claims: Option<ClaimsSet<'_>>,
    ) {
        // A token that is refused anyway needs no warning beside.
        let Ok(grant) = &self.result else {
            return;
        };
        let verdict = self.rules.policy.check(grant, self.wall);
        if verdict.is_err() || !self.rules.retention.tokens {
            return;
        }
        let warning = match (answer.lifetime(claims, self.wall), self.kept()) {
            (Lifetime::Unknown, Some(kept)) => Finding::warning(
                STEP,
                "lifetime_unknown",
                format!("The provider states no lifetime: the token is cached for cache_ttl less a margin, {kept} seconds."),
            )
            .remedy("Set cache_ttl to at most the lifetime configured at the provider."),
            (_, None) => Finding::warning(
                STEP,
                "token_not_kept",
                "The token expires too soon to be cached: every request will cause an exchange, which is slow, and may be \
                 billed.",
            )
            .remedy("Raise the lifetime of access tokens at the provider, or check this machine's clock."),
            (_, Some(kept)) if kept < SHORT => Finding::warning(
                STEP,
                "token_short_lived",
                format!("The token is cached for only {kept} seconds: each client will cause an exchange that often."),
            )
            .remedy("Raise the lifetime of access tokens at the provider (or cache_ttl_max, if set)."),
            _ => return,
        };
        report.add(warning);
    }

    /// Compares the token with the request.
    fn wishes(
        &self,
        report: &mut Diagnosis,
        asked: &Asked,
        claims: Option<ClaimsSet<'_>>,
        members: &Map<String, Value>,
    ) {
        if claims.is_none() && !asked.has_audience() {
            report.add(
                Finding::warning(
                    STEP,
                    "opaque_without_audience",
                    "The token is opaque, and no audience was requested: several providers issue JWTs for an \
                     audience only.",
                )
                .remedy("If the API wants a JWT, set audience to the API's identifier."),
            );
        }
        if let (Some(claims), Some(audience)) = (claims, asked.audience.as_deref())
            && !audience
                .split(' ')
                .all(|one| claims.get("aud").is_some_and(|aud| is_for(aud, one)))
        {
            let aud = claims
                .get("aud")
                .map_or("no audience".to_owned(), |aud| self.said(&aud.to_value()));
            report.add(
                Finding::warning(
                    STEP,
                    "other_audience",
                    format!("A token for {audience} was requested, but it is for {aud}."),
                )
                .remedy(
                    "The provider ignores audience: Keycloak takes it from an audience mapper of a client scope, \
                     Okta from the authorization server's settings, Entra ID from the scope.",
                ),
            );
        }
        let granted = members.get("scope").and_then(Value::as_str);
        if let (Some(wanted), Some(granted)) = (asked.scope.as_deref(), granted) {
            let is_granted = |scope: &&str| granted.split(' ').any(|one| one == *scope);
            let missing: Vec<_> = wanted
                .split(' ')
                .filter(|scope| !is_granted(scope))
                .collect();
            if !missing.is_empty() && !(self.rules.request.scope_is_default) {
                report.add(
                    Finding::warning(
                        STEP,
                        "scope_reduced",
                        format!(
                            "The provider omitted these requested scopes: {}.",
                            missing.join(" ")
                        ),
                    )
                    .remedy("Define them at the provider and allow them to this client, or do not request them."),
                );
            }
        }
    }
}

fn is_for(aud: Packed<'_>, audience: &str) -> bool {
    match aud {
        Packed::Text(one) => one == audience,
        Packed::Array(all) => all.values().any(|one| one == Packed::Text(audience)),
        _ => false,
    }
}
