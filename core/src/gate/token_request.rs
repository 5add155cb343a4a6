//! The token request of a gate.

use crate::config::{Config, Encoding, TokenAuth, value_error};
use crate::error::{Error, Problems};
use crate::gate::header_name::request_header_name;
use crate::gate::secret_values::SecretValues;
use crate::key::FingerprintBuilder;
use crate::request::args::ArgNames;
use reqwest::header::{HeaderMap, HeaderValue};
use std::collections::BTreeMap;

/// The parts of a token request that come from the gate.
#[derive(Clone)]
pub(crate) struct TokenRequest {
    pub(crate) args: Vec<(String, String)>,
    /// Arguments whose values are in files.
    pub(crate) secret_args: SecretValues,
    pub(crate) headers: HeaderMap,
    /// Headers whose values are in files.
    pub(crate) secret_headers: SecretValues,
    pub(crate) scope: Option<String>,
    /// No scope is configured: the default is omitted once the provider has refused it.
    pub(crate) scope_is_default: bool,
    /// `None`: chosen by the provider's metadata.
    pub(crate) auth: Option<TokenAuth>,
    pub(crate) basic_encoding: Encoding,
    /// The audience of assertions; `None`: the issuer.
    pub(crate) assertion_audience: Option<String>,
    /// Not a part of the fingerprint: a token is the same with and without.
    pub(crate) traceparent: bool,
}

/// The header of W3C Trace Context.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// The scope that Kong requests by default.
const DEFAULT_SCOPE: &str = "openid";

/// Arguments set by the exchange.
const OURS: [&str; 6] = [
    "grant_type",
    "client_id",
    "client_secret",
    "scope",
    "client_assertion",
    "client_assertion_type",
];

impl TokenRequest {
    pub(crate) fn compile(config: &Config) -> Result<TokenRequest, Error> {
        let mut problems = Problems::default();
        let args = problems.check(args(config));
        let headers = problems.check(headers(
            [
                "token_headers",
                "token_headers_names",
                "token_headers_values",
            ],
            &config.token_headers,
            &config.token_headers_names,
            &config.token_headers_values,
        ));
        let no_headers = HeaderMap::new();
        let secret_headers = problems.check(SecretValues::open_headers(
            "token_headers_files",
            &config.token_headers_files,
            headers.as_ref().unwrap_or(&no_headers),
        ));
        let fixed = args.as_deref().unwrap_or_default();
        let secret_args = problems.check(secret_args(config, fixed));
        let is_traceparent = |name: &String| name.eq_ignore_ascii_case(TRACEPARENT);
        if config.traceparent
            && (config.token_headers_files.keys().any(is_traceparent)
                || headers
                    .as_ref()
                    .is_some_and(|headers| headers.contains_key(TRACEPARENT)))
        {
            problems.add(value_error(
                "traceparent: is also in token_headers with a fixed value; remove one of them",
            ));
        }
        let scope = problems.check(match &config.scopes {
            Some(scopes) => scope(scopes),
            None => Ok(Some(DEFAULT_SCOPE.to_owned())),
        });
        problems.check(check_assertion_audience(config));
        let (Some(args), Some(headers), Some(scope)) = (args, headers, scope) else {
            return Err(problems.into_error());
        };
        let (Some(secret_args), Some(secret_headers)) = (secret_args, secret_headers) else {
            return Err(problems.into_error());
        };
        problems.finish()?;
        Ok(TokenRequest {
            args,
            secret_args,
            headers,
            secret_headers,
            scope,
            scope_is_default: config.scopes.is_none(),
            auth: config.token_endpoint_auth_method,
            basic_encoding: config.token_endpoint_basic_encoding,
            assertion_audience: config.client_assertion_audience.clone(),
            traceparent: config.traceparent,
        })
    }

    pub(crate) fn fingerprint(&self, fingerprint: &mut FingerprintBuilder) {
        fingerprint.list(self.scope.iter().map(|scope| scope.as_bytes()));
        // The default may be omitted after a refusal, a configured scope never.
        fingerprint.part(&[u8::from(self.scope_is_default)]);
        fingerprint.list(self.args.iter().map(|(name, _)| name.as_bytes()));
        fingerprint.list(self.args.iter().map(|(_, value)| value.as_bytes()));
        let (names, values): (Vec<_>, Vec<_>) = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
            .unzip();
        fingerprint.list(names.into_iter()).list(values.into_iter());
        fingerprint.part(self.auth.map_or("", TokenAuth::name).as_bytes());
        fingerprint.part(&[u8::from(self.basic_encoding == Encoding::Raw)]);
        fingerprint.list(self.assertion_audience.iter().map(|aud| aud.as_bytes()));
        for (kind, values) in [
            ("args", &self.secret_args),
            ("headers", &self.secret_headers),
        ] {
            if !values.is_empty() {
                values.fingerprint(fingerprint.part(kind.as_bytes()));
            }
        }
    }
}

impl std::fmt::Debug for TokenRequest {
    /// Leaves out arguments and headers, which may contain secrets of the operator.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenRequest")
            .field("scope", &self.scope)
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}

/// The names of arguments that come with a request (`token_post_args_client`, `token_post_args_host`).
pub(crate) fn arg_names(config: &Config, args: &[(String, String)]) -> Result<ArgNames, Error> {
    /// An argument is identified by one byte, and each costs a search of the request.
    const MAX_NAMES: usize = 16;

    let callers = ("token_post_args_client", &config.token_post_args_client);
    let host = ("token_post_args_host", &config.token_post_args_host);
    let mut problems = Problems::default();
    for (field, names) in [callers, host] {
        let mut wrong = |message: String| problems.add(value_error(format!("{field}{message}")));
        if names.len() > MAX_NAMES {
            wrong(format!(": must not contain more than {MAX_NAMES} names"));
        }
        for (at, name) in names.iter().enumerate() {
            if name.is_empty() || names[..at].contains(name) {
                wrong(format!("[{at}]: is empty or appears twice"));
            } else if name != "scope" && OURS.contains(&name.as_str()) {
                wrong(format!(
                    ": \"{name}\" cannot come with a request; the exchange sets it"
                ));
            } else if args.iter().any(|(fixed, _)| fixed == name) {
                wrong(format!(
                    ": \"{name}\" is also configured with a fixed value; remove one of them"
                ));
            }
        }
    }
    if let Some(name) = host.1.iter().find(|name| callers.1.contains(name)) {
        problems.add(value_error(format!(
            "{}: \"{name}\" is also in {}; either the host or the client sets it",
            host.0, callers.0
        )));
    }
    problems.finish()?;
    Ok(ArgNames::new(callers.1, host.1))
}

/// Reads pairs from a map or from two lists.
pub(crate) fn pairs(
    [map_field, names_field, values_field]: [&str; 3],
    map: &BTreeMap<String, String>,
    names: &[String],
    values: &[String],
) -> Result<Vec<(String, String)>, Error> {
    if names.len() != values.len() {
        return Err(value_error(format!(
            "{values_field}: {} values for {} {names_field}; give each name one value",
            values.len(),
            names.len()
        )));
    }
    if !map.is_empty() && !names.is_empty() {
        return Err(value_error(format!(
            "{map_field}: cannot be combined with {names_field}; use one of them"
        )));
    }
    let listed = names.iter().cloned().zip(values.iter().cloned());
    let mapped = map
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    Ok(mapped.chain(listed).collect())
}

/// Reads headers from a map or from two lists.
pub(crate) fn headers(
    fields: [&str; 3],
    map: &BTreeMap<String, String>,
    names: &[String],
    values: &[String],
) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    let mut problems = Problems::default();
    for (name, value) in pairs(fields, map, names, values)? {
        let Some(header) = problems.check(request_header_name(fields[0], &name)) else {
            continue;
        };
        let mut wrong =
            |why: &str| problems.add(value_error(format!("{}: \"{name}\" {why}", fields[0])));
        match HeaderValue::try_from(value) {
            Ok(mut value) => {
                value.set_sensitive(true);
                if headers.insert(header, value).is_some() {
                    wrong("appears twice");
                }
            }
            Err(_) => wrong("has an invalid value"),
        }
    }
    problems.finish().map(|()| headers)
}

/// The arguments in files, beside the fixed ones.
fn secret_args(config: &Config, fixed: &[(String, String)]) -> Result<SecretValues, Error> {
    const FIELD: &str = "token_post_args_files";

    let mut problems = Problems::default();
    for name in config.token_post_args_files.keys() {
        if name.is_empty() || OURS.contains(&name.as_str()) {
            problems.add(value_error(format!(
                "{FIELD}: \"{name}\" cannot be set here; the exchange sets it"
            )));
        }
        let come_with_requests = [&config.token_post_args_client, &config.token_post_args_host];
        if fixed.iter().any(|(other, _)| other == name)
            || come_with_requests.iter().any(|names| names.contains(name))
        {
            problems.add(value_error(format!(
                "{FIELD}: \"{name}\" is also configured in another way; remove one of them"
            )));
        }
    }
    let opened = SecretValues::open(FIELD, &config.token_post_args_files);
    let opened = problems.check(opened).unwrap_or_default();
    problems.finish().map(|()| opened)
}

fn args(config: &Config) -> Result<Vec<(String, String)>, Error> {
    let mut args = pairs(
        [
            "token_post_args",
            "token_post_args_names",
            "token_post_args_values",
        ],
        &config.token_post_args,
        &config.token_post_args_names,
        &config.token_post_args_values,
    )?;
    let mut problems = Problems::default();
    for (name, _) in &args {
        if name.is_empty() {
            problems.add(value_error("token_post_args_names: has an empty name"));
        }
        if OURS.contains(&name.as_str()) {
            let remedy = if name == "scope" {
                "; use scopes"
            } else {
                "; the exchange sets it"
            };
            problems.add(value_error(format!(
                "token_post_args_names: \"{name}\" cannot be set here{remedy}"
            )));
        }
    }
    let audience = config.audience.join(" ");
    if !audience.is_empty() {
        if args.iter().any(|(name, _)| name == "audience") {
            problems.add(value_error(
                "audience: is also in token_post_args; use one of them",
            ));
        }
        args.insert(0, ("audience".to_owned(), audience));
    }
    problems.finish().map(|()| args)
}

fn check_assertion_audience(config: &Config) -> Result<(), Error> {
    const FIELD: &str = "client_assertion_audience";
    let Some(audience) = &config.client_assertion_audience else {
        return Ok(());
    };
    let signs = match config.token_endpoint_auth_method {
        Some(TokenAuth::ClientSecretJwt) => true,
        Some(TokenAuth::PrivateKeyJwt) => config.client_assertion_file.is_none(),
        _ => false,
    };
    if !signs {
        return Err(value_error(format!(
            "{FIELD}: has no effect unless the gateway signs assertions: with token_endpoint_auth_method \
             client_secret_jwt, or private_key_jwt and client_assertion_key_file"
        )));
    }
    if audience.is_empty() || audience.chars().any(char::is_control) {
        return Err(value_error(format!(
            "{FIELD}: must not be empty or contain control characters"
        )));
    }
    Ok(())
}

/// The value of `scope` (RFC 6749 section 3.3); `None` for an empty list.
fn scope(scopes: &[String]) -> Result<Option<String>, Error> {
    let is_scope_char = |byte: u8| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    let is_wrong = |scope: &String| !scope.bytes().all(is_scope_char);
    if let Some(at) = scopes.iter().position(is_wrong) {
        return Err(value_error(format!(
            "scopes[{at}]: contains a character that is not allowed in a scope"
        )));
    }
    let scope = scopes
        .iter()
        .flat_map(|scope| scope.split_ascii_whitespace())
        .collect::<Vec<_>>()
        .join(" ");
    Ok((!scope.is_empty()).then_some(scope))
}
