//! The client credentials grant at the token endpoint.

use super::Check;
use super::finding::{Diagnosis, Finding, Step};
use super::reach::{place, took, unanswered};
use super::recorder::{Asked, Page, Seen};
use super::says;
use crate::config::TokenAuth;

pub(super) const STEP: Step = Step::TokenRequest;

impl Check<'_> {
    pub(super) fn token_request(&self, report: &mut Diagnosis) -> bool {
        let requests: Vec<_> = self.token_requests().collect();
        let Some((seen, asked)) = requests.last() else {
            // Not even sent: the metadata may name no token endpoint.
            return false;
        };
        let is_granted = matches!(&seen.answer, Some(Ok(page)) if page.status == 200);
        if let Some(first) = self.first_auth(asked).filter(|_| is_granted) {
            let [first, other] = [first.name(), asked.auth.name()];
            let message = format!(
                "The provider lists two authentication methods, and accepts this client with {other} only ({first}: \
                 invalid_client). The gateway tries both, and remembers the accepted one of each client."
            );
            let remedy = format!(
                "If all clients of the gate use it, set token_endpoint_auth_method to {other}: that saves a request at \
                 each start."
            );
            report.add(Finding::warning(STEP, "other_auth_method", message).remedy(remedy));
        }
        if requests.iter().any(|(_, one)| one.scope != asked.scope) {
            report.add(
                Finding::warning(
                    STEP,
                    "openid_refused",
                    "The provider refuses the scope openid, which is requested if no scopes are set. The gateway \
                     leaves it out from then on, and so does this check.",
                )
                .remedy("Set scopes to what the API needs, or to [] to request none: that saves a request at each start."),
            );
        }
        match &seen.answer {
            Some(Ok(page)) if page.status == 200 => {
                let message = format!(
                    "{} responded {} and granted a token. {}",
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
            .fact("auth_method", asked.auth.name());
        for (name, value) in [
            ("scope", asked.scope.as_deref()),
            ("audience", asked.audience.as_deref()),
            ("resource", asked.resource.as_deref()),
        ] {
            if let Some(value) = value {
                finding = finding.fact(name, value);
            }
        }
        if page.status == 200 {
            return finding;
        }
        for (name, said) in [
            ("error", says::error(&page.body)),
            ("provider_says", says::reason(&page.body)),
        ] {
            if let Some(said) = said {
                finding = finding.fact(name, self.hidden.but(said));
            }
        }
        finding
    }

    /// The authentication method of the first request, if that of this one is another.
    pub(super) fn first_auth(&self, asked: &Asked) -> Option<TokenAuth> {
        let (_, first) = self.token_requests().next()?;
        (first.auth != asked.auth).then_some(first.auth)
    }

    /// The requested parameters, and the client's authentication.
    pub(super) fn was_asked(&self, asked: &Asked) -> String {
        let named = |what: &str, value: &str| format!("the {what} {value}");
        let wishes = [
            asked
                .audience
                .as_deref()
                .map(|value| named("audience", value)),
            asked
                .resource
                .as_deref()
                .map(|value| named("resource", value)),
            asked.scope.as_deref().map(|value| named("scope", value)),
        ];
        let wishes: Vec<_> = wishes.into_iter().flatten().collect();
        // A granted request needs no word about the one before.
        let first = match self.first_auth(asked) {
            Some(first) if self.granted().is_none() => format!("{}, then ", first.name()),
            _ => String::new(),
        };
        format!(
            "Requested: {}; client authentication: {first}{}.",
            if wishes.is_empty() {
                "no audience".to_owned()
            } else {
                wishes.join(" and ")
            },
            asked.auth.name()
        )
    }
}
