//! The introspection of the token.

use super::Check;
use super::finding::{Diagnosis, Finding, Step, Verdict, sentence};
use super::reach::{place, took, unanswered};
use super::says;
use crate::cause::Cause;

const STEP: Step = Step::Token;
const CLIENT: &str = "Compare introspection_client_id and its secret with the provider's. The client must be allowed to introspect \
     tokens of other clients, and be registered for introspection_endpoint_auth_method.";
const ENDPOINT: &str = "Compare introspection_endpoint with the provider's documentation: RFC 7662 describes its responses.";
const INACTIVE: &str = "The provider has just issued this token. Is the introspection endpoint of the same provider and \
     tenant as the token endpoint, and does it introspect tokens of this kind?";

impl Check<'_> {
    pub(super) fn introspection(&self, report: &mut Diagnosis) -> bool {
        let Some(seen) = self.seen.iter().find(|seen| seen.introspects) else {
            return true;
        };
        let denial = match (&seen.answer, &self.result) {
            (Some(Ok(_)), Ok(grant)) => {
                let claims = grant.claims_set();
                let names = claims.map_or(String::new(), |claims| claims.names().join(" "));
                let message = format!(
                    "{} responded {}: the token is active.",
                    place(&seen.url),
                    took(seen)
                );
                let claims = self.hidden.but(says::shown(&names));
                report.add(Finding::notice(STEP, "introspected", message).fact("claims", claims));
                return true;
            }
            (Some(Ok(_)), Err(denial)) => denial,
            (answer, _) => {
                let fault = answer.as_ref().and_then(|answer| answer.as_ref().err());
                let (verdict, finding) = unanswered(STEP, &seen.url, fault, self.rules.timeout);
                report.fail(verdict, finding);
                return false;
            }
        };
        let (verdict, code, remedy) = match denial.cause {
            Cause::RequestRefused => (Verdict::Misconfigured, "introspection_refused", CLIENT),
            Cause::TokenUnverifiable => (Verdict::Misconfigured, "token_inactive", INACTIVE),
            Cause::ProviderBusy | Cause::ProviderFailed => (
                Verdict::Unreachable,
                "introspection_failed",
                "Wait and try again; check the provider's status page or log.",
            ),
            _ => (Verdict::Misconfigured, "introspection_invalid", ENDPOINT),
        };
        let finding = Finding::error(STEP, code, sentence(&denial.detail)).remedy(remedy);
        report.fail(verdict, finding.fact("url", seen.url.as_str()));
        false
    }
}
