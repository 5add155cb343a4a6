//! A gate's headers for the upstream, and its responses to denied requests.

use super::challenge::Challenges;
use super::header_name::{header_name, is_token};
use crate::cause::{Cause, Denial};
use crate::config::{Config, value_error};
use crate::error::{Error, Problems};
use crate::request::named::{HeaderNames, is_same};
use crate::token::Grant;
use crate::token::claims::{ClaimsSet, Path};
use crate::token::packed::Packed;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::borrow::Cow;

/// The headers of allowed requests, and the responses to denied ones.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    pub(crate) token_header: Option<TokenHeader>,
    pub(crate) claim_headers: Vec<(String, Path)>,
    /// The headers of the client's credentials, unless others replace them. Empty without `hide_credentials`.
    pub(crate) hidden: Vec<String>,
    /// The only header is `Authorization: Bearer …`.
    pub(crate) authorization_only: bool,
    challenges: Challenges,
    unauthorized_body: String,
    forbidden_body: String,
}

/// The header that carries the token.
#[derive(Debug, Clone)]
pub(crate) struct TokenHeader {
    pub(crate) name: String,
    /// `None`: the token without a scheme.
    scheme: Option<String>,
}

impl Upstream {
    /// `realm`: the provider's host. `credentials`: the headers of the client's id and secret.
    pub(crate) fn compile(
        config: &Config,
        realm: &str,
        credentials: Option<&HeaderNames>,
    ) -> Result<Upstream, Error> {
        let mut problems = Problems::default();
        let token_header = problems.check(TokenHeader::parse(&config.upstream_access_token_header));
        let taken = token_header.as_ref().and_then(Option::as_ref);
        let claim_headers = problems.check(claim_headers(config, taken));
        let challenges = problems.check(Challenges::compile(config, realm));
        let (Some(token_header), Some(claim_headers), Some(challenges)) =
            (token_header, claim_headers, challenges)
        else {
            return Err(problems.into_error());
        };
        let is_set = |name: &str| {
            let is_name = |other: &str| is_same(other.as_bytes(), name.as_bytes());
            token_header
                .as_ref()
                .is_some_and(|token| is_name(&token.name))
                || claim_headers.iter().any(|(claim, _)| is_name(claim))
        };
        let named = credentials.into_iter().flatten().map(String::as_str);
        let hidden: Vec<String> = std::iter::once("authorization")
            .chain(named)
            .filter(|name| config.hide_credentials && !is_set(name))
            .map(str::to_owned)
            .collect();
        let body = |message: &str| json!({ "message": message }).to_string();
        let is_bearer = token_header
            .as_ref()
            .is_some_and(TokenHeader::is_authorization_bearer);
        Ok(Upstream {
            authorization_only: is_bearer && claim_headers.is_empty() && hidden.is_empty(),
            token_header,
            claim_headers,
            hidden,
            challenges,
            unauthorized_body: body(&config.unauthorized_error_message),
            forbidden_body: body(&config.forbidden_error_message),
        })
    }

    /// The value of `WWW-Authenticate`: on a 401, and for insufficient tokens.
    pub(crate) fn challenge(&self, denial: &Denial) -> Option<&str> {
        self.challenges.of(denial)
    }

    /// The body, JSON.
    pub(crate) fn body(&self, cause: Cause) -> &str {
        match cause.response() {
            (401, _) => &self.unauthorized_body,
            (403, _) => &self.forbidden_body,
            (_, body) => body,
        }
    }
}

impl TokenHeader {
    fn is_authorization_bearer(&self) -> bool {
        let scheme = self.scheme.as_deref();
        self.name == "authorization" && scheme.is_some_and(is_bearer)
    }

    /// Parses `name:scheme`, `name:` or `name`; `None` for an empty string.
    fn parse(text: &str) -> Result<Option<TokenHeader>, Error> {
        const FIELD: &str = "upstream_access_token_header";
        if text.is_empty() {
            return Ok(None);
        }
        let (name, scheme) = text.split_once(':').unwrap_or((text, ""));
        let name = header_name(FIELD, name)?;
        if !scheme.is_empty() && !is_token(scheme) {
            // Not repeated: it may be a token.
            return Err(value_error(format!("{FIELD}: has an invalid scheme")));
        }
        Ok(Some(TokenHeader {
            name,
            scheme: (!scheme.is_empty()).then(|| scheme.to_owned()),
        }))
    }

    /// Allocates only for schemes other than `bearer`.
    pub(crate) fn value<'g>(&self, grant: &'g Grant) -> Cow<'g, str> {
        match &self.scheme {
            None => grant.token().into(),
            Some(scheme) if is_bearer(scheme) => grant.authorization().into(),
            Some(scheme) => format!("{scheme} {}", grant.token()).into(),
        }
    }
}

fn is_bearer(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("bearer")
}

fn claim_headers(
    config: &Config,
    token_header: Option<&TokenHeader>,
) -> Result<Vec<(String, Path)>, Error> {
    let (claims, names) = (
        &config.upstream_headers_claims,
        &config.upstream_headers_names,
    );
    if claims.len() != names.len() {
        return Err(value_error(format!(
            "upstream_headers_names: {} names for {} upstream_headers_claims; give each claim one name",
            names.len(),
            claims.len()
        )));
    }
    let mut problems = Problems::default();
    let mut headers: Vec<(String, Path)> = Vec::new();
    let nested = config.upstream_headers.iter().enumerate().map(|(at, one)| {
        let field = format!("upstream_headers[{at}]");
        (
            format!("{field}.header"),
            &one.header,
            format!("{field}.path"),
            &one.path[..],
        )
    });
    let flat = names
        .iter()
        .zip(claims)
        .enumerate()
        .map(|(at, (name, claim))| {
            let claim_field = format!("upstream_headers_claims[{at}]");
            (
                format!("upstream_headers_names[{at}]"),
                name,
                claim_field,
                std::slice::from_ref(claim),
            )
        });
    for (field, name, path_field, path) in nested.chain(flat) {
        let path = problems.check(Path::new(&path_field, path));
        let Some(name) = problems.check(header_name(&field, name)) else {
            continue;
        };
        let is_taken = token_header
            .is_some_and(|token| is_same(token.name.as_bytes(), name.as_bytes()))
            || headers
                .iter()
                .any(|(other, _)| is_same(other.as_bytes(), name.as_bytes()));
        if is_taken {
            problems.add(value_error(format!(
                "{field}: repeats the header \"{name}\""
            )));
        }
        headers.extend(path.map(|path| (name, path)));
    }
    problems.finish().map(|()| headers)
}

/// The value of a header for a claim: text unchanged, objects and arrays as base64 of their JSON, as in Kong. `None`
/// without such a claim, and for text with control characters, which could end the header line.
pub(crate) fn header_value<'c>(claims: Option<ClaimsSet<'c>>, path: &Path) -> Option<Cow<'c, str>> {
    match path.find(claims?)? {
        Packed::Null => None,
        Packed::Text(text) if text.chars().any(char::is_control) => None,
        Packed::Text(text) | Packed::Number(text) => Some(text.into()),
        Packed::Bool(value) => Some(if value { "true" } else { "false" }.into()),
        nested => Some(STANDARD.encode(nested.to_string()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::claims::tests::claims;

    #[test]
    fn a_claim_cannot_end_its_header_line() {
        let claims = claims(json!({
            "text": "a b", "utf8": "é", "number": 7, "bool": true, "null": null, "empty": "",
            "crlf": "a\r\nx: y", "nul": "a\u{0}", "c1": "\u{85}", "list": ["a"], "object": {"a": 1},
        }));
        for (claim, expect) in [
            ("text", Some("a b")),
            ("utf8", Some("é")),
            ("number", Some("7")),
            ("bool", Some("true")),
            ("null", None),
            ("empty", Some("")),
            ("crlf", None),
            ("nul", None),
            ("c1", None),
            ("absent", None),
            ("list", Some("WyJhIl0=")),
            ("object", Some("eyJhIjoxfQ==")),
        ] {
            let path = Path::new("x", &[claim.to_owned()]).unwrap();
            assert_eq!(
                header_value(Some(claims.set()), &path).as_deref(),
                expect,
                "{claim}"
            );
        }
    }
}
