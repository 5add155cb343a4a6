//! The values of `WWW-Authenticate` in responses to denied requests.

use crate::cause::{Cause, Denial};
use crate::config::{AuthMethods, Challenge, Config, value_error};
use crate::error::{Error, Problems};
use crate::gate::issuer::endpoint;
use crate::request::Source;
use std::fmt::Write as _;
use url::Url;

/// The challenges of a gate ([RFC 9110 section 11.6.1]): `Basic` ([RFC 7617 section 2.1]), and `Bearer` ([RFC 6750
/// section 3]) with `resource_metadata` ([RFC 9728 section 5.1]).
///
/// [RFC 9110 section 11.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1
/// [RFC 7617 section 2.1]: https://www.rfc-editor.org/rfc/rfc7617#section-2.1
/// [RFC 6750 section 3]: https://www.rfc-editor.org/rfc/rfc6750#section-3
/// [RFC 9728 section 5.1]: https://www.rfc-editor.org/rfc/rfc9728#section-5.1
#[derive(Debug, Clone)]
pub(super) struct Challenges {
    unauthorized: String,
    invalid_token: String,
    /// `None`: `challenges` excludes `bearer`, and `Basic` has no error.
    insufficient: Option<String>,
    /// The same with the scopes that the gate requires.
    insufficient_scope: Option<String>,
}

impl Challenges {
    /// `realm`: the provider's host.
    pub(super) fn compile(config: &Config, realm: &str) -> Result<Challenges, Error> {
        let mut problems = Problems::default();
        let metadata = config.resource_metadata.as_deref().map(|url| {
            endpoint(url, config.allow_loopback_http)
                .map_err(|why| value_error(format!("resource_metadata: {why}")))
        });
        let metadata = problems.check(metadata.transpose()).flatten();
        let has = |challenge| match &config.challenges {
            Some(challenges) => challenges.contains(&challenge),
            None => is_default(config, challenge),
        };
        let (basic, bearer) = (has(Challenge::Basic), has(Challenge::Bearer));
        if !basic && !bearer {
            problems.add(value_error(
                "challenges: must contain basic or bearer, because a 401 needs a challenge (RFC 9110 section 15.5.2)",
            ));
        }
        if !bearer && config.resource_metadata.is_some() {
            problems.add(value_error(
                "resource_metadata: has no effect, because it is a parameter of Bearer; add bearer to challenges, or \
                 remove it",
            ));
        }
        problems.finish()?;
        let realm = quoted(realm);
        let bearer_with = |error: Option<&str>, scope: Option<&str>| {
            let error = error.filter(|_| config.expose_error_code);
            let mut value = format!("Bearer realm={realm}");
            for (name, text) in [
                ("error", error),
                ("scope", scope.filter(|_| error.is_some())),
                ("resource_metadata", metadata.as_ref().map(Url::as_str)),
            ] {
                if let Some(text) = text {
                    let _ = write!(value, ", {name}={}", quoted(text));
                }
            }
            value
        };
        let unauthorized = |error| {
            let basic = basic.then(|| format!("Basic realm={realm}, charset=\"UTF-8\""));
            let bearer = bearer.then(|| bearer_with(error, None));
            let challenges: Vec<String> = basic.into_iter().chain(bearer).collect();
            challenges.join(", ")
        };
        // A client whose token is insufficient is authenticated, so 403 does not ask it for other credentials.
        let insufficient = |scope| {
            let may_tell = bearer || config.challenges.is_none();
            may_tell.then(|| bearer_with(Some("insufficient_scope"), scope))
        };
        Ok(Challenges {
            unauthorized: unauthorized(None),
            invalid_token: unauthorized(Some("invalid_token")),
            insufficient: insufficient(None),
            insufficient_scope: insufficient(scope(config).as_deref()),
        })
    }

    /// The value: on a 401, and for insufficient tokens.
    pub(super) fn of(&self, denial: &Denial) -> Option<&str> {
        match denial.cause {
            Cause::TokenInvalid => Some(&self.invalid_token),
            Cause::TokenInsufficient if denial.lacks_scope => self.insufficient_scope.as_deref(),
            Cause::TokenInsufficient => self.insufficient.as_deref(),
            cause if cause.response().0 == 401 => Some(&self.unauthorized),
            _ => None,
        }
    }
}

/// Whether a gate that does not choose sends this challenge: clients that wait for one learn how to authenticate.
fn is_default(config: &Config, challenge: Challenge) -> bool {
    let uses = |method| config.auth_methods.contains(&method);
    let is_basic = uses(AuthMethods::ClientCredentials)
        && config
            .client_credentials_param_type
            .contains(&Source::Header);
    match challenge {
        Challenge::Basic => is_basic,
        Challenge::Bearer => {
            !is_basic
                || uses(AuthMethods::Bearer)
                || uses(AuthMethods::Introspection)
                || config.resource_metadata.is_some()
        }
    }
}

/// The scopes of the first alternative of `scopes_required`, unless they contain characters that RFC 6750 section 3
/// does not permit.
fn scope(config: &Config) -> Option<String> {
    let first = config.scopes_required.first()?;
    let is_permitted = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    let words: Vec<&str> = first.split_whitespace().collect();
    let all = words.iter().all(|word| word.bytes().all(is_permitted));
    all.then(|| words.join(" "))
}

/// A quoted string (RFC 9110 section 5.6.4).
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}
