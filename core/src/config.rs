//! The configuration as it is written: JSON in the vocabulary of Kong's `openid-connect` plugin.

use crate::error::{Error, ErrorKind};
use crate::request::Source;
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use std::fmt;
use std::path::PathBuf;

/// What a gate is made of. Field names and meanings are Kong's where Kong has the field.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// How clients authenticate: `client_credentials`.
    #[serde(default = "default_auth_methods", deserialize_with = "strings")]
    pub(crate) auth_methods: Vec<String>,
    /// The issuer, or its full well-known URL. Required.
    #[serde(default)]
    pub(crate) issuer: String,
    /// Names of further arguments to the token endpoint, such as `audience`.
    #[serde(default, deserialize_with = "strings")]
    pub(crate) token_post_args_names: Vec<String>,
    /// Their values, in the same order.
    #[serde(default, deserialize_with = "strings")]
    pub(crate) token_post_args_values: Vec<String>,
    /// Scopes to ask for; an empty list sends no `scope`. Left out, `openid` is asked for, and no longer where the
    /// provider refuses it.
    #[serde(default, deserialize_with = "some_strings")]
    pub(crate) scopes: Option<Vec<String>>,
    /// Where credentials are looked for.
    #[serde(default = "default_places")]
    pub(crate) client_credentials_param_type: Vec<Source>,
    /// Deadline of a whole exchange, discovery included, in milliseconds.
    #[serde(default = "default_timeout")]
    pub(crate) timeout: u32,
    /// The largest body that is looked at for credentials, in bytes. (Not Kong's.)
    #[serde(default = "default_max_body_bytes")]
    pub(crate) max_body_bytes: usize,
    /// Accept `http://` for loopback addresses, for development. (Not Kong's.)
    #[serde(default)]
    pub(crate) allow_loopback_http: bool,
    /// A file of PEM certificates to trust instead of the system's. (Not Kong's; there it is
    /// `lua_ssl_trusted_certificate`.)
    #[serde(default)]
    pub(crate) ssl_trusted_certificate: Option<PathBuf>,
}

/// The fields of [`Config`], for the nearest name.
const FIELDS: &[&str] = &[
    "allow_loopback_http",
    "auth_methods",
    "client_credentials_param_type",
    "issuer",
    "max_body_bytes",
    "scopes",
    "ssl_trusted_certificate",
    "timeout",
    "token_post_args_names",
    "token_post_args_values",
];

/// What surrounds `config` in Kong's plugin object. Only `name` and `config` mean something here.
const KONG_FIELDS: &[&str] = &[
    "config",
    "consumer",
    "consumer_group",
    "created_at",
    "enabled",
    "id",
    "instance_name",
    "name",
    "ordering",
    "partials",
    "protocols",
    "route",
    "service",
    "tags",
    "updated_at",
];

impl Config {
    /// Reads a configuration object, or Kong's plugin object around one.
    pub(crate) fn from_json(json: &str) -> Result<Config, Error> {
        let value: serde_json::Value = serde_json::from_str(json).map_err(|error| {
            Error::with_source(
                ErrorKind::ConfigSyntax,
                format!("the configuration is not JSON: {error}"),
                error,
            )
        })?;
        let Some(object) = value.as_object() else {
            return Err(Error::new(
                ErrorKind::ConfigSyntax,
                "the configuration must be a JSON object",
            ));
        };
        let Some(config) = object.get("config") else {
            known_fields(object, FIELDS)?;
            return read(json);
        };
        known_fields(object, KONG_FIELDS)?;
        if object.get("name").and_then(|name| name.as_str()) != Some("openid-connect") {
            return Err(value_error(
                "name: a plugin object must be named \"openid-connect\"",
            ));
        }
        let Some(config) = config.as_object() else {
            return Err(value_error("config: must be an object"));
        };
        known_fields(config, FIELDS)?;
        // From the text again, not from the tree: a member that stands twice is an error, not the last one's win.
        let plugin: Plugin = read(json)?;
        Ok(plugin.config)
    }
}

#[derive(Deserialize)]
struct Plugin {
    config: Config,
}

fn read<'de, T: Deserialize<'de>>(json: &'de str) -> Result<T, Error> {
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(json)).map_err(
        |error| {
            let path = error.path().to_string();
            let error = error.into_inner();
            // Only the configuration's author sees this; it holds no client's secret.
            let message = if path == "." {
                error.to_string()
            } else {
                format!("{path}: {error}")
            };
            Error::with_source(ErrorKind::ConfigValue, message, error)
        },
    )
}

fn known_fields(
    object: &serde_json::Map<String, serde_json::Value>,
    known: &[&str],
) -> Result<(), Error> {
    let Some(unknown) = object.keys().find(|name| !known.contains(&name.as_str())) else {
        return Ok(());
    };
    let nearest = known
        .iter()
        .map(|name| (strsim::jaro_winkler(unknown, name), name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.8);
    let hint = match nearest {
        Some((_, name)) => format!("did you mean \"{name}\"?"),
        None => format!("the fields are {}", known.join(", ")),
    };
    Err(Error::new(
        ErrorKind::ConfigUnknownField,
        format!("unknown field \"{unknown}\": {hint}"),
    ))
}

pub(crate) fn value_error(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::ConfigValue, message)
}

fn default_auth_methods() -> Vec<String> {
    vec!["client_credentials".to_owned()]
}

fn default_places() -> Vec<Source> {
    vec![Source::Header, Source::Query, Source::Body]
}

fn default_timeout() -> u32 {
    10_000
}

fn default_max_body_bytes() -> usize {
    64 * 1024
}

fn some_strings<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<String>>, D::Error> {
    strings(deserializer).map(Some)
}

/// A list of strings, one string, or null for none: people write all three.
fn strings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Strings;

    impl<'de> Visitor<'de> for Strings {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string or a list of strings")
        }

        fn visit_str<E: de::Error>(self, one: &str) -> Result<Vec<String>, E> {
            Ok(vec![one.to_owned()])
        }

        fn visit_unit<E: de::Error>(self) -> Result<Vec<String>, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<String>, A::Error> {
            let mut strings = Vec::new();
            while let Some(string) = list.next_element()? {
                strings.push(string);
            }
            Ok(strings)
        }
    }

    deserializer.deserialize_any(Strings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(json: &str) -> String {
        Config::from_json(json).unwrap_err().to_string()
    }

    #[test]
    fn the_list_of_fields_is_complete() {
        let message = serde_json::from_str::<Config>(r#"{"no_such_field":1}"#)
            .unwrap_err()
            .to_string();
        let mut fields: Vec<_> = message.split('`').skip(3).step_by(2).collect();
        fields.sort_unstable();
        assert_eq!(fields, FIELDS);
    }

    #[test]
    fn a_typo_names_the_nearest_field() {
        assert_eq!(
            error(r#"{"isuer":"https://a"}"#),
            r#"unknown field "isuer": did you mean "issuer"?"#
        );
        assert_eq!(
            error(r#"{"name":"openid-connect","config":{"token_post_arg_names":"a"}}"#),
            r#"unknown field "token_post_arg_names": did you mean "token_post_args_names"?"#
        );
        assert!(error(r#"{"zzz":1}"#).contains("the fields are allow_loopback_http, auth_methods"));
    }

    #[test]
    fn an_error_names_the_field() {
        assert!(
            error(r#"{"issuer":"https://a","timeout":"1s"}"#)
                .starts_with("timeout: invalid type: string")
        );
        assert!(
            error(r#"{"name":"openid-connect","config":{"issuer":5}}"#)
                .starts_with("config.issuer: invalid type")
        );
        assert!(error("[]").contains("must be a JSON object"));
        assert!(error("{").contains("not JSON"));
        assert!(error(r#"{"name":"jwt","config":{}}"#).contains("openid-connect"));
    }

    #[test]
    fn a_field_that_stands_twice_is_an_error() {
        assert!(
            error(r#"{"issuer":"https://a","issuer":"https://b"}"#).contains("duplicate field")
        );
        assert!(
            error(
                r#"{"name":"openid-connect","config":{"issuer":"https://a","issuer":"https://b"}}"#
            )
            .contains("duplicate field")
        );
    }

    #[test]
    fn a_list_may_be_written_as_one_string_or_null() {
        let config = Config::from_json(
            r#"{"issuer":"https://a","scopes":null,"token_post_args_names":"audience"}"#,
        )
        .unwrap();
        assert_eq!(config.scopes, Some(Vec::new()));
        assert_eq!(config.token_post_args_names, ["audience"]);
        assert_eq!(config.auth_methods, ["client_credentials"]);
    }
}
