//! A gate: one compiled configuration.

use crate::config::{Config, value_error};
use crate::error::{Error, ErrorKind};
use crate::extract::{Places, body_kind};
use crate::hide;
use crate::key::{Fingerprint, FingerprintBuilder};
use crate::provider::Issuer;
use crate::request::{Request, Source};
use crate::transport::Trust;
use std::sync::Arc;
use std::time::Duration;

/// One compiled configuration: an issuer, how credentials are found, what is asked for.
///
/// Making one starts no thread and opens no connection, so that it may be made before a fork and while the provider is
/// down. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Gate {
    pub(crate) rules: Arc<Rules>,
}

/// What a configuration means.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) issuer: Issuer,
    pub(crate) places: Places,
    pub(crate) token_args: Vec<(String, String)>,
    pub(crate) scope: Option<String>,
    /// Nobody configured the scope: it may be left out where the provider refuses it.
    pub(crate) scope_is_default: bool,
    pub(crate) timeout: Duration,
    pub(crate) fingerprint: Fingerprint,
    /// The value of `WWW-Authenticate` on a 401.
    pub(crate) challenge: String,
}

impl Gate {
    /// Compiles a configuration: a JSON object, or Kong's plugin object
    /// (`{"name": "openid-connect", "config": {…}}`).
    ///
    /// # Errors
    ///
    /// Every error [`is_config_fault`](Error::is_config_fault) and says which field to change.
    pub fn from_json(json: &str) -> Result<Gate, Error> {
        Rules::compile(Config::from_json(json)?).map(|rules| Gate {
            rules: Arc::new(rules),
        })
    }

    /// Whether the body of this request can hold credentials and should be read and shown: by place, method, media
    /// type and length (`None`: not known in advance). Ask again when a length has become known.
    pub fn wants_body(&self, request: &Request<'_>, content_length: Option<u64>) -> bool {
        let places = &self.rules.places;
        body_kind(places, request).is_some()
            && content_length
                .is_none_or(|length| length > 0 && length <= places.max_body_bytes as u64)
    }

    /// Copies a query string to `out` as it goes upstream: without its `client_id` and `client_secret` parameters where
    /// the query is a place of this gate, and else as it is. Everything else stays byte for byte.
    ///
    /// Answers how many bytes were written, at most as many as the query has.
    ///
    /// # Panics
    ///
    /// When `out` is shorter than the query.
    pub fn hide_query(&self, query: &[u8], out: &mut [u8]) -> usize {
        if self.rules.places.query {
            hide::hide_query(query, out)
        } else {
            hide::copy(query, out)
        }
    }

    /// Copies a body to `out` as it goes upstream: without its credentials (parameters of a form, members of a JSON
    /// object) where the body is a place of this gate, and else as it is. Everything else stays byte for byte.
    ///
    /// Answers how many bytes were written, at most as many as the body has.
    ///
    /// # Panics
    ///
    /// When `out` is shorter than the body.
    pub fn hide_body(&self, content_type: Option<&[u8]>, body: &[u8], out: &mut [u8]) -> usize {
        if self.rules.places.body {
            hide::hide_body(content_type, body, out)
        } else {
            hide::copy(body, out)
        }
    }

    /// The deadline of a whole exchange, discovery included.
    pub fn timeout(&self) -> Duration {
        self.rules.timeout
    }
}

impl Rules {
    fn compile(config: Config) -> Result<Rules, Error> {
        for method in &config.auth_methods {
            if method != "client_credentials" {
                return Err(value_error(format!(
                    "auth_methods: \"{method}\" is not supported; the one method is \"client_credentials\""
                )));
            }
        }
        if config.auth_methods.is_empty() {
            return Err(value_error(
                "auth_methods: must hold \"client_credentials\"",
            ));
        }
        if config.timeout == 0 {
            return Err(value_error("timeout: must be at least 1 (milliseconds)"));
        }
        if config.client_credentials_param_type.is_empty() {
            return Err(value_error(
                "client_credentials_param_type: name at least one of header, query, body",
            ));
        }
        if config.issuer.is_empty() {
            return Err(value_error(
                "issuer: is missing; set it to the provider's issuer, or to its well-known URL",
            ));
        }
        let trust = trust(&config)?;
        let issuer = Issuer::parse(&config.issuer, config.allow_loopback_http, trust)?;
        let token_args = token_args(&config)?;
        let scope = match &config.scopes {
            Some(scopes) => scope(scopes)?,
            None => Some(DEFAULT_SCOPE.to_owned()),
        };
        let within = |place| config.client_credentials_param_type.contains(&place);
        Ok(Rules {
            places: Places {
                header: within(Source::Header),
                query: within(Source::Query),
                body: within(Source::Body),
                max_body_bytes: config.max_body_bytes,
            },
            fingerprint: fingerprint(
                &issuer,
                scope.as_deref(),
                config.scopes.is_none(),
                &token_args,
            ),
            challenge: format!("Bearer realm=\"{}\"", issuer.host()),
            timeout: Duration::from_millis(config.timeout.into()),
            issuer,
            token_args,
            scope,
            scope_is_default: config.scopes.is_none(),
        })
    }
}

/// What Kong asks for where nothing is configured.
const DEFAULT_SCOPE: &str = "openid";

/// Covers all of a configuration that can change which token a client gets, and nothing else.
fn fingerprint(
    issuer: &Issuer,
    scope: Option<&str>,
    scope_is_default: bool,
    token_args: &[(String, String)],
) -> Fingerprint {
    let mut fingerprint = FingerprintBuilder::new();
    issuer.fingerprint(&mut fingerprint);
    fingerprint.list(scope.iter().map(|scope| scope.as_bytes()));
    // A default may come to be left out, a configured scope never.
    fingerprint.part(&[u8::from(scope_is_default)]);
    fingerprint.list(token_args.iter().map(|(name, _)| name.as_bytes()));
    fingerprint.list(token_args.iter().map(|(_, value)| value.as_bytes()));
    fingerprint.finish()
}

fn trust(config: &Config) -> Result<Trust, Error> {
    let Some(path) = &config.ssl_trusted_certificate else {
        return Ok(Trust::System);
    };
    let pem = std::fs::read(path).map_err(|error| {
        let message = format!(
            "ssl_trusted_certificate: cannot read {}: {error}",
            path.display()
        );
        Error::with_source(ErrorKind::ConfigFile, message, error)
    })?;
    Trust::from_pem(pem).map_err(|error| {
        let message = format!(
            "ssl_trusted_certificate: {} holds no PEM certificate",
            path.display()
        );
        match error {
            Some(error) => Error::with_source(ErrorKind::ConfigFile, message, error),
            None => Error::new(ErrorKind::ConfigFile, message),
        }
    })
}

fn token_args(config: &Config) -> Result<Vec<(String, String)>, Error> {
    /// What the exchange itself sends.
    const OURS: [&str; 6] = [
        "grant_type",
        "client_id",
        "client_secret",
        "scope",
        "client_assertion",
        "client_assertion_type",
    ];

    let (names, values) = (
        &config.token_post_args_names,
        &config.token_post_args_values,
    );
    if names.len() != values.len() {
        return Err(value_error(format!(
            "token_post_args_values: {} values for {} token_post_args_names; give each name one value",
            values.len(),
            names.len()
        )));
    }
    for name in names {
        if name.is_empty() {
            return Err(value_error("token_post_args_names: a name is empty"));
        }
        if OURS.contains(&name.as_str()) {
            let remedy = if name == "scope" {
                "; use scopes"
            } else {
                "; it is set by the exchange itself"
            };
            return Err(value_error(format!(
                "token_post_args_names: \"{name}\" cannot be set here{remedy}"
            )));
        }
    }
    Ok(names.iter().cloned().zip(values.iter().cloned()).collect())
}

/// The `scope` parameter (RFC 6749 section 3.3); none for an empty list.
fn scope(scopes: &[String]) -> Result<Option<String>, Error> {
    let is_scope_char = |byte: u8| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    for scope in scopes {
        if !scope.bytes().all(is_scope_char) {
            return Err(value_error(format!(
                "scopes: {scope:?} has a character that a scope cannot have"
            )));
        }
    }
    let scope = scopes
        .iter()
        .flat_map(|scope| scope.split_ascii_whitespace())
        .collect::<Vec<_>>()
        .join(" ");
    Ok((!scope.is_empty()).then_some(scope))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(json: &str) -> Gate {
        Gate::from_json(json).unwrap()
    }

    fn error(json: &str) -> String {
        Gate::from_json(json).unwrap_err().to_string()
    }

    const SEED: &str = r#"{
        "auth_methods": ["client_credentials"],
        "issuer": "https://tenant.auth0.com/.well-known/openid-configuration",
        "token_post_args_names": ["audience"],
        "token_post_args_values": ["https://example.com/"]
    }"#;

    #[test]
    fn the_seed_compiles() {
        let rules = gate(SEED).rules;
        assert_eq!(
            rules.token_args,
            [("audience".to_owned(), "https://example.com/".to_owned())]
        );
        assert_eq!(rules.scope.as_deref(), Some("openid"));
        assert_eq!(rules.challenge, "Bearer realm=\"tenant.auth0.com\"");
        assert_eq!(rules.timeout, Duration::from_secs(10));
    }

    #[test]
    fn kongs_plugin_object_and_the_bare_issuer_mean_the_same_token() {
        let plugin = gate(&format!(
            r#"{{"name":"openid-connect","enabled":true,"config":{SEED}}}"#
        ));
        let bare = gate(&SEED.replace("/.well-known/openid-configuration", ""));
        let slash = gate(&SEED.replace(".well-known/openid-configuration", ""));
        let seed = gate(SEED);
        assert_eq!(seed.rules.fingerprint, plugin.rules.fingerprint);
        assert_eq!(seed.rules.fingerprint, bare.rules.fingerprint);
        assert_eq!(seed.rules.fingerprint, slash.rules.fingerprint);
    }

    #[test]
    fn kong05_gates_that_ask_for_other_tokens_do_not_share() {
        let seed = gate(SEED).rules.fingerprint;
        for (from, to) in [
            ("https://example.com/", "https://example.com"),
            ("\"audience\"", "\"resource\""),
            ("tenant", "tenant2"),
            ("\"auth_methods\"", "\"scopes\": \"a\", \"auth_methods\""),
            (
                "\"auth_methods\"",
                "\"scopes\": \"openid\", \"auth_methods\"",
            ),
            ("\"auth_methods\"", "\"scopes\": [], \"auth_methods\""),
        ] {
            assert_ne!(
                seed,
                gate(&SEED.replace(from, to)).rules.fingerprint,
                "{from} -> {to}"
            );
        }
        let timeout = gate(&SEED.replace("\"auth_methods\"", "\"timeout\": 5, \"auth_methods\""));
        assert_eq!(
            seed, timeout.rules.fingerprint,
            "a time-out changes no token"
        );
    }

    #[test]
    fn values_that_cannot_be_are_refused_with_their_field() {
        for (config, starts) in [
            (
                r#"{"issuer":"https://a","auth_methods":["session"]}"#,
                "auth_methods: \"session\"",
            ),
            (
                r#"{"issuer":"https://a","auth_methods":[]}"#,
                "auth_methods",
            ),
            ("{}", "issuer: is missing"),
            (r#"{"issuer":""}"#, "issuer: is missing"),
            (r#"{"issuer":"https://a","timeout":0}"#, "timeout"),
            (
                r#"{"issuer":"https://a","client_credentials_param_type":[]}"#,
                "client_credentials_param_type",
            ),
            (
                r#"{"issuer":"https://a","client_credentials_param_type":["cookie"]}"#,
                "client_credentials_param_type[0]",
            ),
            (
                r#"{"issuer":"https://a","token_post_args_names":"a"}"#,
                "token_post_args_values: 0 values for 1",
            ),
            (
                r#"{"issuer":"https://a","token_post_args_names":"scope","token_post_args_values":"x"}"#,
                "token_post_args_names: \"scope\"",
            ),
            (
                r#"{"issuer":"https://a","token_post_args_names":"client_secret","token_post_args_values":"x"}"#,
                "token_post_args_names: \"client_secret\"",
            ),
            (r#"{"issuer":"https://a","scopes":["a\"b"]}"#, "scopes"),
            (
                r#"{"issuer":"https://a","ssl_trusted_certificate":"/nonexistent.pem"}"#,
                "ssl_trusted_certificate: cannot read",
            ),
            (
                r#"{"issuer":"https://a","ssl_trusted_certificate":"/dev/null"}"#,
                "ssl_trusted_certificate: /dev/null holds no",
            ),
            (r#"{"issuer":"http://a"}"#, "issuer"),
        ] {
            let message = error(config);
            assert!(message.starts_with(starts), "{config}: {message}");
        }
    }

    #[test]
    fn what_is_not_a_place_of_the_gate_is_left_alone() {
        let gate = gate(r#"{"issuer":"https://a","client_credentials_param_type":["header"]}"#);
        let query = b"client_id=application".as_slice();
        let mut out = [0; 32];
        let len = gate.hide_query(query, &mut out);
        assert_eq!(&out[..len], query);
        let len = gate.hide_body(Some(b"application/x-www-form-urlencoded"), query, &mut out);
        assert_eq!(&out[..len], query);
    }

    #[test]
    fn a_body_is_wanted_only_when_it_can_hold_credentials() {
        let gate = gate(r#"{"issuer":"https://a","max_body_bytes":100}"#);
        let form = Request {
            method: b"POST",
            content_type: Some(b"application/x-www-form-urlencoded"),
            ..Request::default()
        };
        assert!(gate.wants_body(&form, None));
        assert!(gate.wants_body(&form, Some(100)));
        assert!(!gate.wants_body(&form, Some(101)));
        assert!(!gate.wants_body(&form, Some(0)));
        assert!(!gate.wants_body(
            &Request {
                method: b"GET",
                ..form
            },
            None
        ));
        assert!(!gate.wants_body(
            &Request {
                content_type: Some(b"image/png"),
                ..form
            },
            None
        ));
    }
}
