//! Claims of a token, and paths into them.

use super::packed::{Body, Packed, pack};
use crate::config::value_error;
use crate::error::Error;
use serde_json::{Map, Value};
use std::fmt;
use zeroize::Zeroizing;

/// The claims of a JWT (RFC 7519 section 4), before its grant owns them. Wiped when dropped.
pub(crate) struct Claims {
    pub(super) packed: Zeroizing<String>,
    pub(super) facts: Facts,
}

/// The same, borrowed.
#[derive(Clone, Copy)]
pub(crate) struct ClaimsSet<'c> {
    body: Body<'c>,
    facts: Facts,
}

/// The part of the claims that hits compare, read once. Times are in seconds since the Unix epoch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// Infinite if absent.
    pub(crate) expires: f64,
    pub(crate) not_before: f64,
    /// The first time that is present but not a number; it does not count as absent.
    pub(crate) wrong: Option<Time>,
    /// `iss` equals the issuer of the provider's metadata.
    pub(crate) are_providers: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Time {
    IssuedAt,
    NotBefore,
    Expires,
}

impl Time {
    /// Of a time that is not a number: one log-safe phrase.
    pub(crate) fn why(self) -> &'static str {
        match self {
            Time::IssuedAt => "its iat is not a number",
            Time::NotBefore => "its nbf is not a number",
            Time::Expires => "its exp is not a number",
        }
    }
}

impl Default for Facts {
    /// Of a token without claims.
    fn default() -> Facts {
        Facts {
            expires: f64::INFINITY,
            not_before: f64::NEG_INFINITY,
            wrong: None,
            are_providers: false,
        }
    }
}

impl Facts {
    fn read(members: &Map<String, Value>, are_providers: bool) -> Facts {
        let mut wrong = None;
        let mut time = |name, which| {
            let value = members.get(name)?;
            if value.as_f64().is_none() {
                wrong.get_or_insert(which);
            }
            value.as_f64()
        };
        time("iat", Time::IssuedAt);
        Facts {
            not_before: time("nbf", Time::NotBefore).unwrap_or(f64::NEG_INFINITY),
            expires: time("exp", Time::Expires).unwrap_or(f64::INFINITY),
            wrong,
            are_providers,
        }
    }
}

impl Claims {
    pub(crate) fn new(members: Map<String, Value>, issuer: Option<&str>) -> Claims {
        let are_providers =
            issuer.is_some_and(|issuer| members.get("iss").and_then(Value::as_str) == Some(issuer));
        Claims::with(members, are_providers)
    }

    /// Claims with a known verdict on `iss`.
    pub(crate) fn with(members: Map<String, Value>, are_providers: bool) -> Claims {
        Claims {
            facts: Facts::read(&members, are_providers),
            packed: pack(members),
        }
    }

    pub(crate) fn set(&self) -> ClaimsSet<'_> {
        ClaimsSet::of(&self.packed, self.facts)
    }
}

impl<'c> ClaimsSet<'c> {
    /// `packed`: see [`pack`].
    pub(super) fn of(packed: &'c str, facts: Facts) -> ClaimsSet<'c> {
        ClaimsSet {
            body: Body::packed(packed),
            facts,
        }
    }

    pub(crate) fn get(self, name: &str) -> Option<Packed<'c>> {
        self.body.get(name)
    }

    pub(crate) fn text(self, name: &str) -> Option<&'c str> {
        self.get(name)?.text()
    }

    pub(crate) fn names(self) -> Vec<&'c str> {
        self.body.members().map(|(name, _)| name).collect()
    }

    pub(crate) fn json(self) -> String {
        Packed::Object(self.body).to_string()
    }

    pub(crate) fn facts(self) -> Facts {
        self.facts
    }

    /// Whether the claims are recognizably those of an ID token (OpenID Connect Core 1.0 sections 2 and 3.3.2.11). An
    /// ID token without these claims looks like an access token; only its audience, the client, differs.
    pub(crate) fn are_of_id_token(self) -> bool {
        let is = |name, value| self.text(name) == Some(value);
        let has = |name| self.get(name).is_some();
        // Keycloak and Cognito name the kind of a token. Keycloak before 25 repeats the nonce in access tokens.
        is("typ", "ID")
            || is("token_use", "id")
            || ["at_hash", "c_hash", "s_hash"].into_iter().any(has)
            || (has("nonce") && !is("typ", "Bearer"))
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims(…)")
    }
}

/// The path to a claim: names of members, and positions in arrays from 1, as Kong counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path(Vec<String>);

impl Path {
    pub(crate) fn new(field: &str, path: &[String]) -> Result<Path, Error> {
        if path.is_empty() || path.iter().any(String::is_empty) {
            return Err(value_error(format!(
                "{field}: must name a claim, and no part of the path may be empty"
            )));
        }
        Ok(Path(path.to_vec()))
    }

    /// The path to a top-level claim.
    pub(crate) fn member(name: &str) -> Path {
        Path(vec![name.to_owned()])
    }

    /// Whether the path leads to this top-level claim.
    pub(crate) fn is_member(&self, name: &str) -> bool {
        self.0 == [name]
    }

    pub(crate) fn find<'c>(&self, claims: ClaimsSet<'c>) -> Option<Packed<'c>> {
        let (first, rest) = self.0.split_first()?;
        walk(claims.get(first)?, rest.iter().map(String::as_str))
    }
}

/// Follows names of members, and positions in arrays from 1.
pub(crate) fn walk<'c, 'n>(
    value: Packed<'c>,
    mut path: impl Iterator<Item = &'n str>,
) -> Option<Packed<'c>> {
    path.try_fold(value, |value, part| match value {
        Packed::Object(body) => body.get(part),
        Packed::Array(body) => body
            .values()
            .nth(part.parse::<usize>().ok()?.checked_sub(1)?),
        _ => None,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn claims(members: Value) -> Claims {
        let Value::Object(members) = members else {
            panic!("claims are an object")
        };
        Claims::new(members, Some("https://a.example/"))
    }

    #[test]
    fn all_claims_are_a_json_object_and_have_names() {
        let members = json!({"sub": "a", "roles": ["x", {"y": 1.5}], "exp": 1700000000});
        let claims = claims(members.clone());
        assert_eq!(
            serde_json::from_str::<Value>(&claims.set().json()).ok(),
            Some(members)
        );
        assert_eq!(claims.set().names(), ["exp", "roles", "sub"]);
    }

    #[test]
    fn a_number_is_the_same_in_the_token_and_in_the_json_object() {
        let text = r#"{"x":184467540737.9551615}"#;
        let members: Value = serde_json::from_str(text).expect("an object");
        assert_eq!(claims(members).set().json(), r#"{"x":184467540737.95517}"#);
    }

    #[test]
    fn tokens_that_look_like_id_tokens_are_told_from_access_tokens() {
        for members in [
            json!({"typ": "ID"}),
            json!({"token_use": "id"}),
            json!({"at_hash": "x"}),
            json!({"c_hash": "x"}),
            json!({"s_hash": "x"}),
            json!({"nonce": "x"}),
            json!({"nonce": "x", "typ": "JWT"}),
            json!({"at_hash": "x", "nonce": "x", "typ": "Bearer"}),
        ] {
            assert!(claims(members.clone()).set().are_of_id_token(), "{members}");
        }
        for members in [
            json!({}),
            json!({"typ": "Bearer", "nonce": "x"}),
            json!({"typ": "Bearer", "token_use": "access", "sub": "id"}),
        ] {
            assert!(
                !claims(members.clone()).set().are_of_id_token(),
                "{members}"
            );
        }
    }

    #[test]
    fn the_first_time_that_is_no_number_is_named() {
        let wrong = |members| claims(members).facts.wrong.map(Time::why);
        assert_eq!(wrong(json!({"exp": 1, "nbf": 0.5})), None);
        for (members, why) in [
            (json!({"iat": "1", "exp": null}), "its iat is not a number"),
            (json!({"nbf": "1", "exp": "1"}), "its nbf is not a number"),
            (json!({"exp": true}), "its exp is not a number"),
        ] {
            assert_eq!(wrong(members), Some(why));
        }
        let facts = claims(json!({"exp": 7, "nbf": 3})).facts;
        assert_eq!((facts.not_before, facts.expires), (3.0, 7.0));
        let facts = claims(json!({})).facts;
        assert_eq!(
            (facts.not_before, facts.expires),
            (f64::NEG_INFINITY, f64::INFINITY)
        );
    }

    #[test]
    fn an_issuer_other_than_the_providers_is_noticed() {
        let are_providers = |members| claims(members).facts.are_providers;
        assert!(are_providers(json!({"iss": "https://a.example/"})));
        for other in [
            json!({}),
            json!({"iss": "https://a.example"}),
            json!({"iss": 1}),
        ] {
            assert!(!are_providers(other));
        }
        assert!(!Claims::new(Map::new(), None).facts.are_providers);
    }

    #[test]
    fn debug_output_has_no_claim() {
        let claims = claims(json!({"sub": "a"}));
        assert_eq!(format!("{claims:?}"), "Claims(…)");
    }

    #[test]
    fn a_path_leads_through_members_and_positions_from_one() {
        let claims = claims(json!({"realm": {"roles": ["a", {"name": "b"}]}, "x": "y"}));
        let find = |path: &[&str]| {
            let path: Vec<_> = path.iter().map(|part| (*part).to_owned()).collect();
            let found = Path::new("x", &path).unwrap().find(claims.set());
            found.map(|found| found.to_string())
        };
        assert_eq!(find(&["x"]).as_deref(), Some(r#""y""#));
        assert_eq!(find(&["realm", "roles", "1"]).as_deref(), Some(r#""a""#));
        assert_eq!(
            find(&["realm", "roles", "2", "name"]).as_deref(),
            Some(r#""b""#)
        );
        for nowhere in [
            &["y"][..],
            &["x", "y"],
            &["realm", "roles", "0"],
            &["realm", "roles", "3"],
            &["realm", "roles", "one"],
        ] {
            assert_eq!(find(nowhere), None, "{nowhere:?}");
        }
        assert!(Path::new("x", &[]).is_err());
        assert!(Path::new("x", &[String::new()]).is_err());
    }
}
