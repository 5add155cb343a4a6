//! Claims of a token, and paths into them.

use crate::config::value_error;
use crate::error::Error;
use serde_json::{Map, Value};
use std::fmt;
use zeroize::Zeroize;

/// The claims of a JWT (RFC 7519 section 4). Their strings are wiped when dropped.
pub(crate) struct Claims {
    members: Map<String, Value>,
    /// The approximate size, in bytes.
    pub(crate) size: usize,
    /// Whether `iss` equals the issuer of the provider's metadata.
    pub(crate) is_providers: bool,
    pub(crate) times: Times,
}

/// The times of a token, in seconds since the Unix epoch: read once, compared on every hit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) expires: Option<f64>,
    pub(crate) not_before: Option<f64>,
    /// The first time that is present but not a number; it does not count as absent.
    pub(crate) wrong: Option<&'static str>,
}

impl Times {
    fn read(members: &Map<String, Value>) -> Times {
        let mut wrong = None;
        let mut time = |name, why| {
            let value = members.get(name)?;
            if value.as_f64().is_none() {
                wrong.get_or_insert(why);
            }
            value.as_f64()
        };
        time("iat", "its iat is not a number");
        Times {
            not_before: time("nbf", "its nbf is not a number"),
            expires: time("exp", "its exp is not a number"),
            wrong,
        }
    }
}

impl Claims {
    pub(crate) fn new(members: Map<String, Value>, issuer: Option<&str>) -> Claims {
        let is_providers =
            issuer.is_some_and(|issuer| members.get("iss").and_then(Value::as_str) == Some(issuer));
        Claims::with(members, is_providers)
    }

    /// Claims with a known verdict on `iss`.
    pub(crate) fn with(members: Map<String, Value>, is_providers: bool) -> Claims {
        let size = members
            .iter()
            .map(|(name, value)| 64 + name.len() + size(value));
        Claims {
            size: size.sum(),
            is_providers,
            times: Times::read(&members),
            members,
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string(&self.members).unwrap_or_default()
    }

    /// Whether the claims are recognizably those of an ID token (OpenID Connect Core 1.0 sections 2 and 3.3.2.11). An
    /// ID token without these claims looks like an access token; only its audience, the client, differs.
    pub(crate) fn are_of_id_token(&self) -> bool {
        let is = |name, value| self.text(name) == Some(value);
        let has = |name| self.get(name).is_some();
        // Keycloak and Cognito name the kind of a token. Keycloak before 25 repeats the nonce in access tokens.
        is("typ", "ID")
            || is("token_use", "id")
            || ["at_hash", "c_hash", "s_hash"].into_iter().any(has)
            || (has("nonce") && !is("typ", "Bearer"))
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.members.keys().map(String::as_str).collect()
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims(…)")
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        self.members.values_mut().for_each(wipe);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn size(value: &Value) -> usize {
    32 + match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(size).sum(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| 64 + name.len() + size(value))
            .sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
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

    pub(crate) fn find<'c>(&self, claims: &'c Claims) -> Option<&'c Value> {
        let (first, rest) = self.0.split_first()?;
        walk(claims.get(first)?, rest.iter().map(String::as_str))
    }
}

/// Follows names of members, and positions in arrays from 1.
pub(crate) fn walk<'v, 'n>(
    value: &'v Value,
    mut path: impl Iterator<Item = &'n str>,
) -> Option<&'v Value> {
    path.try_fold(value, |value, part| match value {
        Value::Object(members) => members.get(part),
        Value::Array(values) => values.get(part.parse::<usize>().ok()?.checked_sub(1)?),
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
    fn all_claims_are_a_json_object() {
        let members = json!({"sub": "a", "roles": ["x", {"y": 1.5}], "exp": 1700000000});
        let claims = claims(members.clone());
        assert_eq!(
            serde_json::from_str::<Value>(&claims.json()).ok(),
            Some(members)
        );
    }

    #[test]
    fn a_path_leads_through_members_and_positions_from_one() {
        let claims = claims(json!({"realm": {"roles": ["a", {"name": "b"}]}, "x": "y"}));
        let find = |path: &[&str]| {
            let path: Vec<_> = path.iter().map(|part| (*part).to_owned()).collect();
            Path::new("x", &path).unwrap().find(&claims).cloned()
        };
        assert_eq!(find(&["x"]), Some(json!("y")));
        assert_eq!(find(&["realm", "roles", "1"]), Some(json!("a")));
        assert_eq!(find(&["realm", "roles", "2", "name"]), Some(json!("b")));
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
