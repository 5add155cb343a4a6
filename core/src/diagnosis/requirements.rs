//! Whether the gate would let the token pass.

use super::Check;
use super::finding::{Diagnosis, Finding, Step, Verdict, sentence};
use super::says;
use crate::gate::policy::{Breach, Comparison};
use crate::token::Grant;
use crate::token::packed::Packed;
use serde_json::Value;

const STEP: Step = Step::Requirements;

/// The members of the response of a token endpoint.
fn token_endpoint(grant: &Grant) -> Finding {
    let members = grant.token_response_members().join(", ");
    let message = format!("A token endpoint of this gate responds with {members}.");
    Finding::notice(STEP, "token_endpoint", message)
}

impl Check<'_> {
    pub(super) fn requirements(&self, report: &mut Diagnosis) -> bool {
        let Ok(grant) = &self.result else {
            return false;
        };
        let claims = grant.claims_set();
        let claim = |name: &str| claims.and_then(|claims| claims.get(name).map(Packed::to_value));
        let finding = match self.rules.policy.check(grant, self.wall) {
            Ok(()) if let Some(denial) = &self.brought => Finding::error(
                STEP,
                "bearer_refused",
                format!("The gate only verifies tokens that clients bring, and denies this one. {}", sentence(&denial.detail)),
            )
            .remedy(
                "Have the provider issue signed JWTs as access tokens (RFC 9068), or add \"client_credentials\" to \
                 auth_methods.",
            ),
            Ok(()) => {
                let message = if self.rules.policy.is_empty() {
                    "The gate has no further requirements: it allows the client."
                } else {
                    "The token meets the gate's requirements: it allows the client."
                };
                report.add(Finding::notice(STEP, "met", message));
                if self.rules.as_token_endpoint().is_ok() {
                    report.add(token_endpoint(grant));
                }
                return true;
            }
            Err(Breach::Expired) => Finding::error(
                STEP,
                "expired",
                "The token was already expired on arrival (exp).",
            )
            .remedy(CLOCKS),
            Err(Breach::Untrusted(why)) => Finding::error(
                STEP,
                "time_wrong",
                format!("The token's times are invalid: {why}."),
            )
            .remedy(CLOCKS),
            Err(Breach::OtherIssuer) => self.other_issuer(claim("iss").as_ref()),
            Err(Breach::Insufficient(field)) => self.insufficient(grant, field),
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
                "The token names the issuer {iss} (iss), but the metadata says {}.",
                says::shown(expected)
            ),
        )
        .remedy(format!(
            "If that is right for this provider, set issuers_allowed to {iss}. Entra ID issues v1 tokens unless \
             the application's manifest says requestedAccessTokenVersion 2."
        ))
        .fact("iss", iss)
    }

    fn insufficient(&self, grant: &Grant, field: &'static str) -> Finding {
        let compared = self.rules.policy.compare(field, grant);
        let is_known = compared.as_ref().is_some_and(|one| one.held.is_some());
        if grant.claims_set().is_none() && !is_known {
            return Finding::error(
                STEP,
                "opaque_token",
                format!("The gate has a requirement ({field}), but the token is opaque: its claims cannot be read."),
            )
            .remedy(
                "Have the provider issue JWTs. Several do so only if an audience is requested (Auth0: the API's \
                 identifier). Or leave the requirement to the API.",
            );
        }
        let Some(Comparison { required, held }) = compared else {
            return Finding::error(
                STEP,
                "claim_forbidden",
                format!("The token contains a claim that {field} excludes."),
            )
            .remedy(
                "Configure the provider to omit the claim for this client, or allow it in the gate.",
            );
        };
        let wanted: Vec<_> = required.iter().map(|words| words.join(" and ")).collect();
        let wanted = wanted.join(", or ");
        let held = held.map_or("no such claim".to_owned(), |held| self.said(&held));
        Finding::error(
            STEP,
            "requirement_unmet",
            format!("The gate requires {wanted} ({field}), but the token has {held}."),
        )
        .remedy(match field {
            "audience_required" => {
                "Request that audience (audience), or set audience_required to the provider's actual aud; \
                 Keycloak needs an audience mapper."
            }
            "scopes_required" => {
                "Request these scopes (scopes) and allow them to the client at the provider. If the provider puts them into \
                 a claim other than scope and scp, set scopes_claim."
            }
            _ => {
                "Assign it to the client at the provider, and check that the claim has the configured name."
            }
        })
        .fact("required", wanted)
        .fact("held", held)
    }
}

const CLOCKS: &str = "Compare this machine's clock with the right time (timedatectl): it is the usual reason. For differences \
                      of seconds, set leeway.";
