//! Whether the gate would let the token pass.

use super::Check;
use super::finding::{Diagnosis, Finding, Step, Verdict};
use super::says;
use crate::gate::policy::Breach;
use serde_json::Value;

const STEP: Step = Step::Requirements;

impl Check<'_> {
    pub(super) fn requirements(&self, report: &mut Diagnosis) -> bool {
        let Ok(grant) = &self.result else {
            return false;
        };
        let claims = grant.claims.as_ref();
        let claim = |name: &str| claims.and_then(|claims| claims.get(name));
        let finding = match self.rules.policy.check(claims, self.wall) {
            Ok(()) => {
                let message = if self.rules.policy.asks_nothing() {
                    "The gate requires nothing of a token beyond that: it lets the client in."
                } else {
                    "The token holds what the gate requires: it lets the client in."
                };
                report.add(Finding::notice(STEP, "met", message));
                return true;
            }
            Err(Breach::Expired) => Finding::error(
                STEP,
                "expired",
                "The token has expired before it came (exp).",
            )
            .remedy(CLOCKS),
            Err(Breach::Untrusted(why)) => Finding::error(
                STEP,
                "time_wrong",
                format!("The token's times are not good: {why}."),
            )
            .remedy(CLOCKS),
            Err(Breach::OtherIssuer) => self.other_issuer(claim("iss")),
            Err(Breach::Insufficient(field)) => self.insufficient(field),
        };
        report.fail(Verdict::Misconfigured, finding);
        true
    }

    fn other_issuer(&self, iss: Option<&Value>) -> Finding {
        let iss = iss.map_or("nobody".to_owned(), |iss| self.said(iss));
        let expected = self
            .metadata
            .as_ref()
            .map_or("", |metadata| metadata.issuer.as_str());
        Finding::error(
            STEP,
            "other_issuer",
            format!(
                "The token says that {iss} has issued it (iss), and the metadata says {}.",
                says::shown(expected)
            ),
        )
        .remedy(format!(
            "If tokens of this provider are meant to say so, set issuers_allowed to {iss}. Entra ID issues v1 tokens unless \
             the application's manifest says requestedAccessTokenVersion 2."
        ))
        .fact("iss", iss)
    }

    fn insufficient(&self, field: &'static str) -> Finding {
        let claims = self
            .result
            .as_ref()
            .ok()
            .and_then(|grant| grant.claims.as_ref());
        if claims.is_none() {
            return Finding::error(
                STEP,
                "opaque_token",
                format!("The gate requires something of the token ({field}), and it is opaque: nothing can be read in it."),
            )
            .remedy(
                "Have the provider issue JWTs. Several do so only when they are asked for an audience (Auth0: the API's \
                 identifier). Or leave the requirement to the API.",
            );
        }
        let Some((wanted, held)) = self.rules.policy.compare(field, claims) else {
            return Finding::error(
                STEP,
                "claim_forbidden",
                format!("The token holds a claim that {field} excludes."),
            )
            .remedy(
                "Have the provider leave the claim out for this client, or the gate allow it.",
            );
        };
        let wanted: Vec<_> = wanted.iter().map(|words| words.join(" and ")).collect();
        let wanted = wanted.join(", or ");
        let held = held.map_or("nothing of the kind".to_owned(), |held| self.said(held));
        Finding::error(
            STEP,
            "requirement_unmet",
            format!("The gate requires {wanted} ({field}), and the token holds {held}."),
        )
        .remedy(match field {
            "audience_required" => {
                "Ask for that audience (audience), or set audience_required to what the provider really puts into aud; \
                 Keycloak needs an audience mapper."
            }
            "scopes_required" => {
                "Ask for these scopes (scopes) and allow them to the client at the provider. Okta and Entra ID put them into \
                 another claim: scopes_claim scp."
            }
            _ => {
                "Assign it to the client at the provider, and look whether the claim has the name that the settings say."
            }
        })
        .fact("required", wanted)
        .fact("held", held)
    }
}

const CLOCKS: &str = "Compare this machine's clock with the right time (timedatectl): it is the usual reason. For differences \
                      of seconds, set leeway.";
