//! The requirements on tokens. They hold on every request, on hits too: a cached token is never a cached permission. Its
//! times are compared each time. The rest is a function of a token and a gate that both never change, so a token
//! remembers the policy that it met last.

use crate::config::{Config, value_error};
use crate::error::{Error, Problems};
use crate::gate::retention::SPENT_PAUSE;
use crate::token::Grant;
use crate::token::claims::{ClaimsSet, Path};
use crate::token::packed::Packed;
use crate::token::passed::CheckId;
use serde_json::Value;
use std::time::Duration;

/// The requirements of a gate.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    id: CheckId,
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
    /// The claims that may state it: the first that is present counts.
    claims: Vec<Path>,
    /// Whether the scope of the token response counts for an opaque token.
    is_granted_scope: bool,
    any: Vec<Vec<String>>,
}

/// A requirement beside the token's value.
pub(crate) struct Comparison<'g> {
    /// An OR of ANDs.
    pub(crate) required: &'g [Vec<String>],
    /// `None`: the token has none that is known.
    pub(crate) held: Option<Value>,
}

/// The field with the required scopes.
pub(crate) const SCOPES: &str = "scopes_required";
/// The claims with a token's scopes: of RFC 9068, and of Okta, Entra ID and Hydra.
const SCOPE_CLAIMS: [&str; 2] = ["scope", "scp"];

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
    /// Whether another token may be better: one of this age has expired, or is not trusted and a pause has passed. The
    /// provider may have been repaired meanwhile; a token that lacks a claim is as the provider wants it.
    pub(crate) fn wants_another(self, age: Duration) -> bool {
        match self {
            Breach::Expired => true,
            Breach::Untrusted(_) | Breach::OtherIssuer => age >= SPENT_PAUSE,
            Breach::Insufficient(_) => false,
        }
    }

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
        let one = |field, path: &[String]| Path::new(field, path).map(|path| vec![path]);
        let scopes = match &config.scopes_claim {
            Some(path) => one("scopes_claim", path),
            None => Ok(SCOPE_CLAIMS.map(Path::member).into()),
        };
        let mut required = Vec::new();
        for (field, words, claims) in [
            (SCOPES, &config.scopes_required, scopes),
            (
                "audience_required",
                &config.audience_required,
                one("audience_claim", &config.audience_claim),
            ),
            (
                "roles_required",
                &config.roles_required,
                one("roles_claim", &config.roles_claim),
            ),
            (
                "groups_required",
                &config.groups_required,
                one("groups_claim", &config.groups_claim),
            ),
        ] {
            let any = problems.check(any_of(field, words));
            let claims: Option<Vec<Path>> = problems.check(claims);
            if let (Some(any), Some(claims)) = (any, claims)
                && !any.is_empty()
            {
                let is_scope = |claim: &Path| claim.is_member(SCOPE_CLAIMS[0]);
                required.push(Requirement {
                    field,
                    is_granted_scope: field == SCOPES && claims.iter().any(is_scope),
                    claims,
                    any,
                });
            }
        }
        problems.finish()?;
        Ok(Policy {
            id: CheckId::new(),
            verify_claims: config.verify_claims,
            leeway: Duration::from_secs(config.leeway.into()),
            issuers_allowed: config.issuers_allowed.clone(),
            required,
            forbidden: config.claims_forbidden.clone(),
        })
    }

    /// Checks a token. `wall`: the time since the Unix epoch. Allocates nothing. Only the times are compared again if the
    /// token met this policy before.
    pub(crate) fn check(&self, grant: &Grant, wall: Duration) -> Result<(), Breach> {
        let claims = grant.claims_set();
        if let Some(claims) = claims {
            self.check_time(claims, wall)?;
        }
        grant.met.unless(self.id, || match claims {
            Some(claims) => self.check_contents(claims),
            None => self.check_opaque(grant.scope()),
        })
    }

    /// An opaque token meets no requirement but that of its scope.
    fn check_opaque(&self, scope: Option<&str>) -> Result<(), Breach> {
        let is_met = |requirement: &&Requirement| {
            requirement.is_granted_scope
                && scope.is_some_and(|scope| requirement.is_met(|word| has_word(scope, word)))
        };
        if let Some(unmet) = self.required.iter().find(|one| !is_met(one)) {
            return Err(Breach::Insufficient(unmet.field));
        }
        if !self.forbidden.is_empty() {
            return Err(Breach::Insufficient("claims_forbidden"));
        }
        Ok(())
    }

    /// Checks the claims of a JWT.
    pub(crate) fn check_claims(&self, claims: ClaimsSet<'_>, wall: Duration) -> Result<(), Breach> {
        self.check_time(claims, wall)?;
        self.check_contents(claims)
    }

    /// The part that never changes for a token.
    fn check_contents(&self, claims: ClaimsSet<'_>) -> Result<(), Breach> {
        if self.verify_claims {
            self.check_issuer(claims)?;
        }
        for requirement in &self.required {
            let Some(value) = requirement.find(claims) else {
                return Err(Breach::Insufficient(requirement.field));
            };
            if !requirement.is_met(|word| contains_word(value, word)) {
                return Err(Breach::Insufficient(requirement.field));
            }
        }
        if self.forbidden.iter().any(|name| claims.get(name).is_some()) {
            return Err(Breach::Insufficient("claims_forbidden"));
        }
        Ok(())
    }

    /// RFC 7519 sections 4.1.4 to 4.1.6. A time that is not a number does not count as absent.
    fn check_time(&self, claims: ClaimsSet<'_>, wall: Duration) -> Result<(), Breach> {
        if !self.verify_claims {
            return Ok(());
        }
        let wall = wall.as_secs_f64();
        let leeway = self.leeway.as_secs_f64();
        let times = claims.facts();
        if let Some(wrong) = times.wrong {
            return Err(Breach::Untrusted(wrong.why()));
        }
        if times.not_before > wall + leeway {
            return Err(Breach::Untrusted("it is not valid yet (nbf)"));
        }
        if wall >= times.expires + leeway {
            return Err(Breach::Expired);
        }
        Ok(())
    }

    /// Whether there are no requirements: any valid token passes.
    pub(crate) fn is_empty(&self) -> bool {
        self.required.is_empty() && self.forbidden.is_empty()
    }

    /// The requirement in a field such as `audience_required`, and the token's value for it.
    pub(crate) fn compare<'g>(&'g self, field: &str, grant: &'g Grant) -> Option<Comparison<'g>> {
        let requirement = self.required.iter().find(|one| one.field == field)?;
        let held = match grant.claims_set() {
            Some(claims) => requirement.find(claims).map(Packed::to_value),
            None => {
                let scope = grant.scope().filter(|_| requirement.is_granted_scope);
                scope.map(Value::from)
            }
        };
        Some(Comparison {
            required: &requirement.any,
            held,
        })
    }

    fn check_issuer(&self, claims: ClaimsSet<'_>) -> Result<(), Breach> {
        let is_allowed = if self.issuers_allowed.is_empty() {
            claims.facts().are_providers
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
            "{field}: has an empty element; remove the field to require nothing"
        )));
    }
    Ok(any)
}

impl Requirement {
    fn find<'c>(&self, claims: ClaimsSet<'c>) -> Option<Packed<'c>> {
        self.claims.iter().find_map(|path| path.find(claims))
    }

    fn is_met(&self, has: impl Fn(&str) -> bool) -> bool {
        self.any
            .iter()
            .any(|words| words.iter().all(|word| has(word)))
    }
}

/// Whether a claim contains a word: as an element of an array, or in a space-separated string (RFC 8693 section 4.2).
fn contains_word(value: Packed<'_>, word: &str) -> bool {
    match value {
        Packed::Text(text) => has_word(text, word),
        Packed::Array(body) => body.values().any(|value| value == Packed::Text(word)),
        _ => false,
    }
}

fn has_word(text: &str, word: &str) -> bool {
    text.split_ascii_whitespace().any(|part| part == word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock::manual::ManualClock;
    use crate::token::claims::tests::claims;
    use crate::token::{Contents, Lifetime, grant_for_test_with};
    use serde_json::json;
    use std::collections::HashSet;

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn check(config: &str, members: Value) -> Result<(), Breach> {
        let config = Config::from_json(&config.replace('{', r#"{"issuer":"https://a","#)).unwrap();
        Policy::compile(&config)
            .unwrap()
            .check_claims(claims(members).set(), NOW)
    }

    #[test]
    fn an_opaque_token_meets_no_requirement_but_that_of_its_scope() {
        for (config, scope, unmet) in [
            ("{ }", None, None),
            (
                r#"{ "scopes_required":"a" }"#,
                None,
                Some("scopes_required"),
            ),
            (r#"{ "scopes_required":"a" }"#, Some("b a"), None),
            (
                r#"{ "scopes_required":"a" }"#,
                Some("ab"),
                Some("scopes_required"),
            ),
            (
                r#"{ "scopes_required":"a" }"#,
                Some(""),
                Some("scopes_required"),
            ),
            (r#"{ "scopes_required":["c","a b"] }"#, Some("b a"), None),
            (
                r#"{ "scopes_required":"a","audience_required":"a" }"#,
                Some("a"),
                Some("audience_required"),
            ),
            (
                r#"{ "roles_required":"a" }"#,
                Some("a"),
                Some("roles_required"),
            ),
            (
                r#"{ "claims_forbidden":"a" }"#,
                Some("b"),
                Some("claims_forbidden"),
            ),
            (
                r#"{ "scopes_required":"a","scopes_claim":"scope" }"#,
                Some("a"),
                None,
            ),
            (
                r#"{ "scopes_required":"a","scopes_claim":"scp" }"#,
                Some("a"),
                Some("scopes_required"),
            ),
            (
                r#"{ "scopes_required":"a","scopes_claim":["scope","1"] }"#,
                Some("a"),
                Some("scopes_required"),
            ),
            (
                r#"{ "audience_required":"a","audience_claim":"scope" }"#,
                Some("a"),
                Some("audience_required"),
            ),
        ] {
            let json = config.replacen('{', r#"{"issuer":"https://a","#, 1);
            let json = json.replace(", }", "}");
            let policy = Policy::compile(&Config::from_json(&json).unwrap()).unwrap();
            let contents = Contents::Opaque(scope);
            let clock = ManualClock::new();
            let grant = grant_for_test_with(&contents, "t", Lifetime::Unknown, &clock);
            let expected = unmet.map_or(Ok(()), |field| Err(Breach::Insufficient(field)));
            assert_eq!(policy.check(&grant, NOW), expected, "{config} {scope:?}");
        }
    }

    #[test]
    fn every_breach_has_a_phrase_of_its_own() {
        let breaches = [
            Breach::Expired,
            Breach::Untrusted("its exp is no number"),
            Breach::OtherIssuer,
            Breach::Insufficient(SCOPES),
        ];
        let phrases: HashSet<_> = breaches.iter().map(|breach| breach.why()).collect();
        assert_eq!(phrases.len(), breaches.len());
        assert!(phrases.contains(SCOPES));
    }

    #[test]
    fn a_time_counts_from_its_second_on_with_the_leeway_on_both_sides() {
        let now = NOW.as_secs();
        let at = |leeway, name: &str, time: u64| {
            let config = format!(r#"{{"leeway":{leeway}}}"#);
            check(&config, json!({"iss": "https://a.example/", name: time}))
        };
        let early = Err(Breach::Untrusted("it is not valid yet (nbf)"));
        for leeway in [0, 60] {
            assert_eq!(at(leeway, "nbf", now + leeway), Ok(()));
            assert_eq!(at(leeway, "nbf", now + leeway + 1), early);
            assert_eq!(at(leeway, "exp", now - leeway + 1), Ok(()));
            assert_eq!(at(leeway, "exp", now - leeway), Err(Breach::Expired));
        }
    }

    #[test]
    fn a_policy_is_empty_only_without_requirement_and_prohibition() {
        for (config, expected) in [
            (r#"{"issuer":"https://a"}"#, true),
            (r#"{"issuer":"https://a","roles_required":"a"}"#, false),
            (r#"{"issuer":"https://a","claims_forbidden":"a"}"#, false),
        ] {
            let policy = Policy::compile(&Config::from_json(config).unwrap()).unwrap();
            assert_eq!(policy.is_empty(), expected, "{config}");
        }
    }

    #[test]
    fn scopes_are_in_scope_or_else_in_scp() {
        let iss = "https://a.example/";
        let unmet = Err(Breach::Insufficient("scopes_required"));
        let required = r#"{ "scopes_required":"a" }"#;
        let only_scope = r#"{ "scopes_required":"a","scopes_claim":"scope" }"#;
        for (config, members, expected) in [
            (required, json!({"iss": iss, "scope": "a"}), Ok(())),
            (required, json!({"iss": iss, "scp": "b a"}), Ok(())),
            (required, json!({"iss": iss, "scp": ["b", "a"]}), Ok(())),
            (required, json!({"iss": iss, "scp": "b"}), unmet),
            (
                required,
                json!({"iss": iss, "scope": "b", "scp": "a"}),
                unmet,
            ),
            (
                required,
                json!({"iss": iss, "scope": "a", "scp": "b"}),
                Ok(()),
            ),
            (required, json!({"iss": iss}), unmet),
            (only_scope, json!({"iss": iss, "scp": "a"}), unmet),
            (only_scope, json!({"iss": iss, "scope": "a"}), Ok(())),
        ] {
            assert_eq!(
                check(config, members.clone()),
                expected,
                "{config} {members}"
            );
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
