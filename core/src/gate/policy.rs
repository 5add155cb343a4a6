//! The requirements on tokens. They are checked on every request, on hits too: a cached token is never a cached
//! permission.

use crate::config::{Config, value_error};
use crate::error::{Error, Problems};
use crate::token::claims::{Claims, Path};
use serde_json::Value;
use std::time::Duration;

/// The requirements of a gate.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    verify_claims: bool,
    leeway: Duration,
    /// Empty: the issuer that the provider's metadata names.
    issuers_allowed: Vec<String>,
    required: Vec<Requirement>,
    forbidden: Vec<String>,
}

/// An OR of ANDs: one element of `any` with all of its words.
#[derive(Debug, Clone)]
struct Requirement {
    field: &'static str,
    path: Path,
    any: Vec<Vec<String>>,
}

/// The first requirement that a token fails. The texts are log-safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breach {
    /// The token has expired.
    Expired,
    /// The token's times are invalid, or it is not valid yet.
    Untrusted(&'static str),
    /// The token is from another issuer.
    OtherIssuer,
    /// The token does not meet the requirement in this field.
    Insufficient(&'static str),
}

impl Breach {
    /// One log-safe phrase.
    pub(crate) fn why(self) -> &'static str {
        match self {
            Breach::Expired => "it has expired",
            Breach::Untrusted(why) => why,
            Breach::OtherIssuer => "its iss is not the provider's issuer",
            Breach::Insufficient(field) => field,
        }
    }
}

impl Policy {
    pub(crate) fn compile(config: &Config) -> Result<Policy, Error> {
        let mut problems = Problems::default();
        let mut required = Vec::new();
        for (field, words, claim_field, claim) in [
            (
                "scopes_required",
                &config.scopes_required,
                "scopes_claim",
                &config.scopes_claim,
            ),
            (
                "audience_required",
                &config.audience_required,
                "audience_claim",
                &config.audience_claim,
            ),
            (
                "roles_required",
                &config.roles_required,
                "roles_claim",
                &config.roles_claim,
            ),
            (
                "groups_required",
                &config.groups_required,
                "groups_claim",
                &config.groups_claim,
            ),
        ] {
            let any = problems.check(any_of(field, words));
            let path = problems.check(Path::new(claim_field, claim));
            if let (Some(any), Some(path)) = (any, path)
                && !any.is_empty()
            {
                required.push(Requirement { field, path, any });
            }
        }
        problems.finish()?;
        Ok(Policy {
            verify_claims: config.verify_claims,
            leeway: Duration::from_secs(config.leeway.into()),
            issuers_allowed: config.issuers_allowed.clone(),
            required,
            forbidden: config.claims_forbidden.clone(),
        })
    }

    /// Checks a token. `claims`: `None` for an opaque token, which passes only without requirements. `wall`: the time
    /// since the Unix epoch. Allocates nothing.
    pub(crate) fn check(&self, claims: Option<&Claims>, wall: Duration) -> Result<(), Breach> {
        let Some(claims) = claims else {
            return match self.required.first() {
                Some(requirement) => Err(Breach::Insufficient(requirement.field)),
                None if !self.forbidden.is_empty() => Err(Breach::Insufficient("claims_forbidden")),
                None => Ok(()),
            };
        };
        if self.verify_claims {
            self.check_time(claims, wall.as_secs_f64())?;
            self.check_issuer(claims)?;
        }
        for requirement in &self.required {
            if !requirement.is_met(claims) {
                return Err(Breach::Insufficient(requirement.field));
            }
        }
        if self.forbidden.iter().any(|name| claims.get(name).is_some()) {
            return Err(Breach::Insufficient("claims_forbidden"));
        }
        Ok(())
    }

    /// RFC 7519 sections 4.1.4 to 4.1.6. A time that is not a number does not count as absent.
    fn check_time(&self, claims: &Claims, wall: f64) -> Result<(), Breach> {
        let leeway = self.leeway.as_secs_f64();
        let times = claims.times;
        if let Some(why) = times.wrong {
            return Err(Breach::Untrusted(why));
        }
        if times.not_before.is_some_and(|nbf| nbf > wall + leeway) {
            return Err(Breach::Untrusted("it is not valid yet (nbf)"));
        }
        if times.expires.is_some_and(|exp| wall >= exp + leeway) {
            return Err(Breach::Expired);
        }
        Ok(())
    }

    /// Whether there are no requirements: any valid token passes.
    pub(crate) fn is_empty(&self) -> bool {
        self.required.is_empty() && self.forbidden.is_empty()
    }

    /// The requirement in a field such as `audience_required`, and the token's value of its claim.
    pub(crate) fn compare<'c>(
        &self,
        field: &str,
        claims: Option<&'c Claims>,
    ) -> Option<(&[Vec<String>], Option<&'c Value>)> {
        let requirement = self.required.iter().find(|one| one.field == field)?;
        let held = claims.and_then(|claims| requirement.path.find(claims));
        Some((&requirement.any, held))
    }

    fn check_issuer(&self, claims: &Claims) -> Result<(), Breach> {
        let is_allowed = if self.issuers_allowed.is_empty() {
            claims.is_providers
        } else {
            let issuer = claims.text("iss");
            self.issuers_allowed
                .iter()
                .any(|allowed| issuer == Some(allowed))
        };
        if is_allowed {
            Ok(())
        } else {
            Err(Breach::OtherIssuer)
        }
    }
}

/// The words of each element.
fn any_of(field: &str, elements: &[String]) -> Result<Vec<Vec<String>>, Error> {
    let words = |element: &String| -> Vec<String> {
        element.split_whitespace().map(str::to_owned).collect()
    };
    let any: Vec<_> = elements.iter().map(words).collect();
    if any.iter().any(Vec::is_empty) {
        return Err(value_error(format!(
            "{field}: an element is empty; remove the field to require nothing"
        )));
    }
    Ok(any)
}

impl Requirement {
    fn is_met(&self, claims: &Claims) -> bool {
        let Some(value) = self.path.find(claims) else {
            return false;
        };
        self.any
            .iter()
            .any(|words| words.iter().all(|word| contains_word(value, word)))
    }
}

/// Whether a claim contains a word: as an element of an array, or in a space-separated string (RFC 8693 section 4.2).
fn contains_word(value: &Value, word: &str) -> bool {
    match value {
        Value::String(text) => text.split_ascii_whitespace().any(|part| part == word),
        Value::Array(values) => values.iter().any(|value| value.as_str() == Some(word)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::claims::tests::claims;
    use serde_json::json;

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn check(config: &str, members: Value) -> Result<(), Breach> {
        let config = Config::from_json(&config.replace('{', r#"{"issuer":"https://a","#)).unwrap();
        Policy::compile(&config)
            .unwrap()
            .check(Some(&claims(members)), NOW)
    }

    #[test]
    fn an_opaque_token_passes_only_without_requirements() {
        let policy = |json: &str| Policy::compile(&Config::from_json(json).unwrap()).unwrap();
        assert_eq!(policy(r#"{"issuer":"x"}"#).check(None, NOW), Ok(()));
        for config in [
            r#"{"issuer":"x","scopes_required":"a"}"#,
            r#"{"issuer":"x","claims_forbidden":"a"}"#,
        ] {
            assert!(matches!(
                policy(config).check(None, NOW),
                Err(Breach::Insufficient(_))
            ));
        }
    }

    #[test]
    fn every_required_claim_is_checked() {
        let config = r#"{ "scopes_required":"a", "audience_required":"b" }"#;
        let iss = "https://a.example/";
        assert_eq!(
            check(config, json!({"iss": iss, "scope": "a", "aud": "b"})),
            Ok(())
        );
        assert_eq!(
            check(config, json!({"iss": iss, "scope": "a", "aud": "c"})),
            Err(Breach::Insufficient("audience_required"))
        );
        assert_eq!(
            check(config, json!({"iss": iss, "scope": "c", "aud": "b"})),
            Err(Breach::Insufficient("scopes_required"))
        );
    }
}
