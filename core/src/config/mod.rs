//! The configuration as it is written: JSON in the vocabulary of Kong's `openid-connect` plugin.

pub(crate) mod engine;
mod kong;
mod masked;
mod shapes;
mod unique;

use crate::error::{Error, ErrorKind};
use crate::request::Source;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shapes::{list, some_list};
use std::collections::BTreeMap;
use std::path::PathBuf;
use unique::Unique;

/// What a gate is made of. Names and meanings are those of Kong's `openid-connect` plugin where it has the field. A
/// field that is null is as if left out, but for `scopes`, where it is the empty list. A list of strings may be
/// written as one string.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(title = "Configuration of a Credgate gate"))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    // How clients authenticate.
    /// How clients authenticate: `client_credentials` (id and secret, which are exchanged for a token), `bearer` (a
    /// JWT that they hold already, which is verified), or both.
    #[serde(deserialize_with = "list")]
    pub(crate) auth_methods: Vec<AuthMethods>,
    /// Where ids and secrets are looked for.
    #[serde(deserialize_with = "list")]
    pub(crate) client_credentials_param_type: Vec<Source>,
    /// How id and secret are encoded inside of `Authorization: Basic`: `raw`, or `form` for clients that follow RFC
    /// 6749 section 2.3.1 to the letter. (Not Kong's.)
    pub(crate) basic_encoding: Encoding,
    /// The largest body that is looked at for credentials, in bytes. (Not Kong's.)
    pub(crate) max_body_bytes: usize,
    /// Client ids that may try at all; `*` stands for any characters. Left out, all may. (Not Kong's.)
    #[serde(deserialize_with = "some_list")]
    pub(crate) clients_allowed: Option<Vec<String>>,
    /// Take credentials out of the query and the body before the request goes upstream. The header is replaced anyway.
    pub(crate) hide_credentials: bool,
    /// Authenticate `OPTIONS` requests too. False lets them pass without a token, and without what the client brought.
    pub(crate) run_on_preflight: bool,
    /// Let requests that would be answered with 401 pass without a token.
    #[serde(deserialize_with = "shapes::anonymous")]
    #[cfg_attr(test, schemars(with = "bool"))]
    pub(crate) anonymous: bool,

    // The provider.
    /// The issuer, or its full well-known URL. Required.
    pub(crate) issuer: String,
    /// Do not ask the issuer for its metadata: `token_endpoint` says where tokens are had.
    pub(crate) using_pseudo_issuer: bool,
    /// The token endpoint, instead of the one in the metadata.
    pub(crate) token_endpoint: Option<String>,
    /// Where the provider's keys are, instead of what the metadata says.
    pub(crate) jwks_endpoint: Option<String>,
    /// Further places with keys of the provider.
    #[serde(deserialize_with = "list")]
    pub(crate) extra_jwks_uris: Vec<String>,
    /// Seconds that pass between two attempts to fetch metadata or keys anew; five after a failure.
    pub(crate) rediscovery_lifetime: u32,
    /// Further headers of discovery requests.
    pub(crate) discovery_headers: BTreeMap<String, String>,
    /// Names of further headers of discovery requests.
    #[serde(deserialize_with = "list")]
    pub(crate) discovery_headers_names: Vec<String>,
    /// Their values, in the same order.
    #[serde(deserialize_with = "list")]
    pub(crate) discovery_headers_values: Vec<String>,

    // The token request.
    /// How the client authenticates at the token endpoint: `client_secret_post`, `client_secret_basic` or
    /// `client_secret_jwt`. Left out, post where the metadata lists it, else basic.
    #[serde(alias = "client_auth", deserialize_with = "shapes::one")]
    #[cfg_attr(test, schemars(with = "Option<TokenAuth>"))]
    pub(crate) token_endpoint_auth_method: Option<TokenAuth>,
    /// How id and secret are encoded inside of the provider's `Authorization: Basic`: `form` (RFC 6749 section 2.3.1)
    /// or `raw`. (Not Kong's.)
    pub(crate) token_endpoint_basic_encoding: Encoding,
    /// Scopes to ask for; an empty list sends no `scope`. Left out, `openid` is asked for, and no longer where the
    /// provider refuses it.
    #[serde(deserialize_with = "some_list")]
    pub(crate) scopes: Option<Vec<String>>,
    /// The audience to ask for: the `audience` argument of the token request.
    #[serde(deserialize_with = "list")]
    pub(crate) audience: Vec<String>,
    /// Further arguments of the token request.
    pub(crate) token_post_args: BTreeMap<String, String>,
    /// Names of further arguments of the token request, such as `audience`.
    #[serde(deserialize_with = "list")]
    pub(crate) token_post_args_names: Vec<String>,
    /// Their values, in the same order.
    #[serde(deserialize_with = "list")]
    pub(crate) token_post_args_values: Vec<String>,
    /// Arguments of the token request that the caller may give in the query or the body of its own request. `scope`
    /// replaces the configured scopes.
    #[serde(deserialize_with = "list")]
    pub(crate) token_post_args_client: Vec<String>,
    /// Arguments of the token request whose values the host gives with each request; `scope` replaces the configured
    /// scopes. In nginx, `credgate_token_post_arg` with a variable. (Not Kong's.)
    #[serde(deserialize_with = "list")]
    pub(crate) token_post_args_host: Vec<String>,
    /// Further headers of the token request.
    pub(crate) token_headers: BTreeMap<String, String>,
    /// Names of further headers of the token request.
    #[serde(deserialize_with = "list")]
    pub(crate) token_headers_names: Vec<String>,
    /// Their values, in the same order.
    #[serde(deserialize_with = "list")]
    pub(crate) token_headers_values: Vec<String>,

    // The connection to the provider.
    /// Deadline of a whole exchange, discovery included, in milliseconds.
    pub(crate) timeout: u32,
    /// Keep connections open between exchanges.
    pub(crate) keepalive: bool,
    /// Accept `http://` for loopback addresses, for development. (Not Kong's.)
    pub(crate) allow_loopback_http: bool,
    /// Verify the provider's certificate. False gives every secret to whoever is in between.
    pub(crate) ssl_verify: bool,
    /// A file of PEM certificates to trust instead of the system's. (Not Kong's; there it is
    /// `lua_ssl_trusted_certificate`.)
    pub(crate) ssl_trusted_certificate: Option<PathBuf>,
    /// A file with the PEM certificate that is shown to the provider (mutual TLS). (Not Kong's.)
    pub(crate) tls_client_auth_cert: Option<PathBuf>,
    /// A file with its PEM key. (Not Kong's.)
    pub(crate) tls_client_auth_key: Option<PathBuf>,
    /// A proxy for `http://` addresses.
    pub(crate) http_proxy: Option<String>,
    /// The value of `Proxy-Authorization` for it.
    pub(crate) http_proxy_authorization: Option<String>,
    /// A proxy for `https://` addresses.
    pub(crate) https_proxy: Option<String>,
    /// The value of `Proxy-Authorization` for it.
    pub(crate) https_proxy_authorization: Option<String>,
    /// Hosts that are reached without a proxy, separated by commas.
    pub(crate) no_proxy: Option<String>,

    // The token.
    /// Verify the signature of tokens that are JWTs.
    pub(crate) verify_signature: bool,
    /// Methods for which the signature is not verified: `client_credentials`.
    #[serde(deserialize_with = "list")]
    pub(crate) ignore_signature: Vec<AuthMethods>,
    /// Verify `iss`, `exp` and `nbf` of tokens that are JWTs.
    pub(crate) verify_claims: bool,
    /// Seconds by which the clocks of provider and gateway may differ.
    pub(crate) leeway: u32,
    /// Issuers that a token may name in `iss`. Left out, the one that the metadata names.
    #[serde(deserialize_with = "list")]
    pub(crate) issuers_allowed: Vec<String>,
    /// Scopes that the token must hold: all words of one element, for any element.
    #[serde(deserialize_with = "list")]
    pub(crate) scopes_required: Vec<String>,
    /// Where the token's scopes are: a path of claims, array positions from 1.
    #[serde(deserialize_with = "list")]
    pub(crate) scopes_claim: Vec<String>,
    /// Audiences that the token must be for: all words of one element, for any element.
    #[serde(deserialize_with = "list")]
    pub(crate) audience_required: Vec<String>,
    /// Where the token's audiences are.
    #[serde(deserialize_with = "list")]
    pub(crate) audience_claim: Vec<String>,
    /// Roles that the token must hold: all words of one element, for any element.
    #[serde(deserialize_with = "list")]
    pub(crate) roles_required: Vec<String>,
    /// Where the token's roles are.
    #[serde(deserialize_with = "list")]
    pub(crate) roles_claim: Vec<String>,
    /// Groups that the token must hold: all words of one element, for any element.
    #[serde(deserialize_with = "list")]
    pub(crate) groups_required: Vec<String>,
    /// Where the token's groups are.
    #[serde(deserialize_with = "list")]
    pub(crate) groups_claim: Vec<String>,
    /// Claims that the token must not have.
    #[serde(deserialize_with = "list")]
    pub(crate) claims_forbidden: Vec<String>,

    // The cache.
    /// Keep tokens. False makes an exchange for every request.
    pub(crate) cache_tokens: bool,
    /// Gates with different salts share no token.
    pub(crate) cache_tokens_salt: Option<String>,
    /// Seconds that a token is kept of which neither `expires_in` nor `exp` says how long it lives.
    pub(crate) cache_ttl: u32,
    /// Seconds that a token is kept at most.
    pub(crate) cache_ttl_max: Option<u32>,
    /// Seconds that a refusal is kept; 0 keeps none.
    pub(crate) cache_ttl_neg: u32,
    /// Seconds before its end in which a token is served no longer: it has to reach the upstream alive. (Not Kong's.)
    pub(crate) eagerly_expire: u32,
    /// The part of a token's life after which a hit fetches the next one in the background; 1 never does. (Not
    /// Kong's.)
    pub(crate) refresh_ahead: f64,
    /// Answers of the upstream after which a token is dropped. (Not Kong's here.)
    pub(crate) purge_token_on_upstream_status_codes: Vec<u16>,

    // Limits.
    /// Exchanges of one client id that may end in a refusal, a minute; 0: no limit. (Not Kong's.)
    pub(crate) refusals_per_client: u32,
    /// Exchanges of the whole gate that may end in a refusal, a minute; 0: no limit. (Not Kong's.)
    pub(crate) refusals_per_gate: u32,

    // What goes upstream, and what is answered.
    /// The header that carries the token upstream, `name:scheme` or `name`. An empty string sends none.
    #[serde(deserialize_with = "shapes::unless_nil")]
    pub(crate) upstream_access_token_header: String,
    /// Headers that carry claims upstream.
    pub(crate) upstream_headers: Vec<ClaimHeader>,
    /// Claims that go upstream, and in `upstream_headers_names` the headers that carry them.
    #[serde(deserialize_with = "list")]
    pub(crate) upstream_headers_claims: Vec<String>,
    /// The headers of `upstream_headers_claims`, in the same order.
    #[serde(deserialize_with = "list")]
    pub(crate) upstream_headers_names: Vec<String>,
    /// Tell the error's code in `WWW-Authenticate` (RFC 6750 section 3.1).
    pub(crate) expose_error_code: bool,
    /// The message of a 401.
    pub(crate) unauthorized_error_message: String,
    /// The message of a 403.
    pub(crate) forbidden_error_message: String,
}

/// How a client authenticates to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum AuthMethods {
    /// Id and secret, exchanged for a token.
    ClientCredentials,
    /// A JWT that the client holds already.
    Bearer,
}

/// How the client authenticates at the token endpoint (RFC 6749 section 2.3.1, OpenID Connect Core 1.0 section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[expect(clippy::enum_variant_names, reason = "the standard's own names")]
#[serde(rename_all = "snake_case")]
pub(crate) enum TokenAuth {
    /// Id and secret in `Authorization: Basic`.
    ClientSecretBasic,
    /// Id and secret in the form.
    ClientSecretPost,
    /// A JWT that is signed with the secret.
    ClientSecretJwt,
}

/// How an id and a secret stand inside of Basic credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encoding {
    /// As they are (RFC 7617).
    Raw,
    /// Form-urlencoded (RFC 6749 section 2.3.1).
    Form,
}

/// A header that carries a claim upstream.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct ClaimHeader {
    /// The header's name.
    pub(crate) header: String,
    /// Where the claim is: a path of claims, array positions from 1.
    #[serde(deserialize_with = "list")]
    pub(crate) path: Vec<String>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            auth_methods: vec![AuthMethods::ClientCredentials],
            client_credentials_param_type: vec![Source::Header, Source::Query, Source::Body],
            basic_encoding: Encoding::Raw,
            max_body_bytes: 64 * 1024,
            clients_allowed: None,
            hide_credentials: true,
            run_on_preflight: true,
            anonymous: false,
            issuer: String::new(),
            using_pseudo_issuer: false,
            token_endpoint: None,
            jwks_endpoint: None,
            extra_jwks_uris: Vec::new(),
            rediscovery_lifetime: 30,
            discovery_headers: BTreeMap::new(),
            discovery_headers_names: Vec::new(),
            discovery_headers_values: Vec::new(),
            token_endpoint_auth_method: None,
            token_endpoint_basic_encoding: Encoding::Form,
            scopes: None,
            audience: Vec::new(),
            token_post_args: BTreeMap::new(),
            token_post_args_names: Vec::new(),
            token_post_args_values: Vec::new(),
            token_post_args_client: Vec::new(),
            token_post_args_host: Vec::new(),
            token_headers: BTreeMap::new(),
            token_headers_names: Vec::new(),
            token_headers_values: Vec::new(),
            timeout: 10_000,
            keepalive: true,
            allow_loopback_http: false,
            ssl_verify: true,
            ssl_trusted_certificate: None,
            tls_client_auth_cert: None,
            tls_client_auth_key: None,
            http_proxy: None,
            http_proxy_authorization: None,
            https_proxy: None,
            https_proxy_authorization: None,
            no_proxy: None,
            verify_signature: true,
            ignore_signature: Vec::new(),
            verify_claims: true,
            leeway: 0,
            issuers_allowed: Vec::new(),
            scopes_required: Vec::new(),
            scopes_claim: vec!["scope".to_owned()],
            audience_required: Vec::new(),
            audience_claim: vec!["aud".to_owned()],
            roles_required: Vec::new(),
            roles_claim: vec!["roles".to_owned()],
            groups_required: Vec::new(),
            groups_claim: vec!["groups".to_owned()],
            claims_forbidden: Vec::new(),
            cache_tokens: true,
            cache_tokens_salt: None,
            cache_ttl: 3600,
            cache_ttl_max: None,
            cache_ttl_neg: 5,
            eagerly_expire: 5,
            refresh_ahead: 0.8,
            purge_token_on_upstream_status_codes: vec![401],
            refusals_per_client: 10,
            refusals_per_gate: 300,
            upstream_access_token_header: "authorization:bearer".to_owned(),
            upstream_headers: Vec::new(),
            upstream_headers_claims: Vec::new(),
            upstream_headers_names: Vec::new(),
            expose_error_code: true,
            unauthorized_error_message: "Unauthorized".to_owned(),
            forbidden_error_message: "Forbidden".to_owned(),
        }
    }
}

impl Config {
    /// Reads a configuration object, or Kong's plugin object around one.
    pub(crate) fn from_json(json: &str) -> Result<Config, Error> {
        let Unique(value) = serde_json::from_str(json).map_err(|error| {
            Error::with_source(
                ErrorKind::ConfigSyntax,
                format!("the configuration is not JSON: {error}"),
                error,
            )
        })?;
        let Value::Object(object) = value else {
            return Err(Error::new(
                ErrorKind::ConfigSyntax,
                "the configuration must be a JSON object",
            ));
        };
        let mut config = kong::unwrap_plugin(object)?;
        let known = fields();
        kong::drop_unset(&mut config, &known)?;
        known_fields(&config, &known)?;
        // For Kong, null scopes ask for nothing.
        if let Some(scopes @ Value::Null) = config.get_mut("scopes") {
            *scopes = Value::Array(Vec::new());
        }
        config.retain(|_, value| !value.is_null());
        serde_path_to_error::deserialize(Value::Object(config)).map_err(|error| {
            let path = error.path().to_string();
            let error = error.into_inner();
            // Only the configuration's author sees this; it holds no client's secret.
            Error::with_source(ErrorKind::ConfigValue, format!("{path}: {error}"), error)
        })
    }

    /// The configuration in effect, defaults included and secrets masked: JSON.
    pub(crate) fn effective(&self) -> String {
        masked::masked(self)
    }
}

/// The names of all fields, `client_auth` included.
fn fields() -> Vec<&'static str> {
    /// Answers the names that serde has for a structure.
    struct Names(Vec<&'static str>);

    impl<'de> serde::Deserializer<'de> for &mut Names {
        type Error = serde::de::value::Error;

        fn deserialize_any<V: serde::de::Visitor<'de>>(
            self,
            _: V,
        ) -> Result<V::Value, Self::Error> {
            Err(serde::de::Error::custom("only the names are asked for"))
        }

        fn deserialize_struct<V: serde::de::Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            self.0 = fields.to_vec();
            self.deserialize_any(visitor)
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    let mut names = Names(Vec::new());
    drop(Config::deserialize(&mut names));
    names.0
}

fn known_fields(object: &Map<String, Value>, known: &[&str]) -> Result<(), Error> {
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

#[cfg(test)]
mod tests;
