//! The configuration of a gate: JSON in the vocabulary of Kong's `openid-connect` plugin.

mod choices;
mod defaults;
pub(crate) mod engine;
mod fields;
mod kong;
mod masked;
mod shapes;
mod typed;
mod unique;

pub use fields::config_fields;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) use masked::SECRET as SECRET_FIELDS;

pub(crate) use choices::{AuthMethods, Challenge, ClaimHeader, Encoding, TokenAuth};

use crate::error::{Error, ErrorKind, Problems, is_plain};
use crate::request::Source;
use crate::token::SigningAlgorithm;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shapes::{list, some_list};
use std::collections::BTreeMap;
use std::path::PathBuf;
use unique::Unique;

/// The configuration of a gate. Names and meanings are those of Kong's `openid-connect` plugin, except for fields that
/// are not in Kong. A null field counts as unset, except `scopes`, where null is the empty list. A list of strings may
/// be written as one string, and an empty one as an empty object.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(title = "Configuration of a Credgate gate"))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    // The client's request.
    /// Methods by which clients authenticate: `client_credentials` (id and secret, exchanged for a token at the
    /// provider), `bearer` (a JWT that the client already has, verified and forwarded), and `introspection` (an opaque
    /// token that the client already has, introspected at the provider (RFC 7662) and forwarded). With `introspection`,
    /// opaque tokens from exchanges are introspected too, once each, so that requirements apply to their claims.
    #[serde(deserialize_with = "list")]
    pub(crate) auth_methods: Vec<AuthMethods>,
    /// Places to search for id and secret: `header` (`Authorization: Basic`), `query` and `body` (`client_id` and
    /// `client_secret`; in a body, of a form or a JSON object), and `headers` (`client_id_header` and
    /// `client_secret_header`, which add it by default). Credentials in more than one place are denied with 400. Or `host`
    /// alone: the host supplies id and secret with each request, and the request is not searched. In nginx,
    /// `credgate_client_id` and `credgate_client_secret` with variables. `host` is not in Kong.
    #[serde(deserialize_with = "list")]
    pub(crate) client_credentials_param_type: Vec<Source>,
    /// Id of the gateway's own client: the gate exchanges its credentials for every request, and searches no request.
    /// Something else must decide which requests may pass. Requires `client_secret`, `client_secret_file`, or the key or
    /// certificate that `token_endpoint_auth_method` names. In Kong, clients still send credentials of their own.
    #[serde(deserialize_with = "shapes::one")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub(crate) client_id: Option<String>,
    /// Secret of `client_id`.
    #[serde(deserialize_with = "shapes::one")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub(crate) client_secret: Option<String>,
    /// File with the secret of `client_id`, without one line end at its end. Each exchange reads it, so a new secret
    /// needs no reload. Not in Kong.
    pub(crate) client_secret_file: Option<PathBuf>,
    /// File with the private key of `client_id`, for `private_key_jwt`: PEM (PKCS#8, PKCS#1, SEC 1), or one private JWK.
    /// RSA of at least 2048 bits, the curves P-256, P-384 and P-521, or Ed25519. Each exchange reads it, so a new key
    /// needs no reload. While the file has no usable key, the last one stays in use, and a warning is logged. Not in
    /// Kong.
    pub(crate) client_assertion_key_file: Option<PathBuf>,
    /// Algorithm of assertions that `client_assertion_key_file` signs: `RS256` to `RS512`, `PS256` to `PS512`, `ES256`
    /// to `ES512`, or `EdDSA`. If unset, the one that the JWK names, or `RS256` for RSA, that of the curve, or `EdDSA`.
    #[serde(deserialize_with = "shapes::one")]
    #[cfg_attr(test, schemars(with = "Option<SigningAlgorithm>"))]
    pub(crate) client_alg: Option<SigningAlgorithm>,
    /// Key id in the header of these assertions (`kid`). If unset, the JWK's. Not in Kong.
    pub(crate) client_assertion_kid: Option<String>,
    /// File with the PEM certificate of `client_assertion_key_file`. The header of assertions then has its digests,
    /// `x5t` and `x5t#S256`, and the token request has `client_id` too, as Entra ID requires. Read together with the
    /// key. Not in Kong.
    pub(crate) client_assertion_cert_file: Option<PathBuf>,
    /// The `aud` of assertions that the gateway signs, for `private_key_jwt` and `client_secret_jwt`. If unset, the
    /// issuer, exactly as its metadata writes it. Entra ID wants the URL of its token endpoint. Not in Kong.
    pub(crate) client_assertion_audience: Option<String>,
    /// File with a finished assertion (JWT) for `private_key_jwt`, which another program issues and renews: a Kubernetes
    /// service account token, a SPIFFE JWT-SVID. Each exchange reads it. The token request has `client_id` too. Not in
    /// Kong.
    pub(crate) client_assertion_file: Option<PathBuf>,
    /// Header with the client's id, such as `X-Client-Id`. Requires `client_secret_header`. Both values are printable
    /// ASCII, without any encoding. Not in Kong.
    pub(crate) client_id_header: Option<String>,
    /// Header with the client's secret, such as `X-Client-Secret`. Requires `client_id_header`. Not in Kong.
    pub(crate) client_secret_header: Option<String>,
    /// Encoding of id and secret inside the client's `Authorization: Basic`: `raw`, or `form` for clients that follow
    /// RFC 6749 section 2.3.1. Not in Kong.
    pub(crate) basic_encoding: Encoding,
    /// Maximum size of a body to search for credentials, in bytes. A larger body is forwarded unchanged. Not in Kong.
    pub(crate) max_body_bytes: usize,
    /// Client ids that may use the gate; `*` matches any characters. Other clients are denied with 403. If unset, all
    /// clients may use it. Not in Kong.
    #[serde(deserialize_with = "some_list")]
    pub(crate) clients_allowed: Option<Vec<String>>,
    /// Remove the client's credentials from the headers, the query and the body before the request goes upstream. A token
    /// in `Authorization` replaces the client's header even with false.
    pub(crate) hide_credentials: bool,
    /// Authenticate `OPTIONS` requests. With false, they pass without a token and without the client's credentials.
    pub(crate) run_on_preflight: bool,
    /// Let requests that would be denied with 401 pass without a token. The name of a consumer, as in Kong, means true.
    #[serde(deserialize_with = "shapes::anonymous")]
    #[cfg_attr(test, schemars(with = "bool"))]
    pub(crate) anonymous: bool,

    /// Whether the configuration contains `client_credentials_param_type`.
    #[serde(skip)]
    pub(crate) places_are_written: bool,
    /// Whether the configuration contains Kong's default of `auth_methods`, with methods that Credgate does not have.
    #[serde(skip)]
    pub(crate) methods_are_kongs: bool,

    // The provider.
    /// The provider: its issuer, or the full URL of its metadata (`…/.well-known/openid-configuration`). Required.
    pub(crate) issuer: String,
    /// Disable discovery. Requires `token_endpoint` for client credentials, and `jwks_endpoint` or `extra_jwks_uris` to
    /// verify signatures.
    pub(crate) using_pseudo_issuer: bool,
    /// URL of the token endpoint. If unset, the one in the provider's metadata. With `jwks_endpoint` too, the gate works while
    /// the metadata is unavailable, as that of a public issuer that the gateway does not reach: a first request then waits
    /// one second for it at most, and tokens must have `issuer` in `iss`.
    pub(crate) token_endpoint: Option<String>,
    /// URL of the provider's keys. If unset, `jwks_uri` in the provider's metadata.
    pub(crate) jwks_endpoint: Option<String>,
    /// URLs of further keys of the provider.
    #[serde(deserialize_with = "list")]
    pub(crate) extra_jwks_uris: Vec<String>,
    /// Issuers whose keys `extra_jwks_uris` contain, in the same order, each of them as its tokens have it in `iss`. A
    /// token is verified with the keys of its own issuer only. Default: all are further keys of `issuer`. Required if
    /// `issuers_allowed` names another issuer. Not in Kong.
    #[serde(deserialize_with = "list")]
    pub(crate) extra_jwks_issuers: Vec<String>,
    /// Minimum interval between two fetches of the metadata, and between two fetches of the keys for clients' own tokens,
    /// in seconds; 5 seconds after a failure. For tokens from the token endpoint, the interval is one second.
    pub(crate) rediscovery_lifetime: u32,
    /// Additional headers of requests for metadata and keys.
    pub(crate) discovery_headers: BTreeMap<String, String>,
    /// Names of additional headers of requests for metadata and keys; `discovery_headers_values` has their values.
    #[serde(deserialize_with = "list")]
    pub(crate) discovery_headers_names: Vec<String>,
    /// Values of `discovery_headers_names`, in the same order.
    #[serde(deserialize_with = "list")]
    pub(crate) discovery_headers_values: Vec<String>,

    /// Files with the values of additional headers of requests for metadata and keys, by name. Each request reads them.
    /// Not in Kong.
    pub(crate) discovery_headers_files: BTreeMap<String, PathBuf>,

    // The introspection of tokens.
    /// Introspect JWTs too, which finds revoked ones: a token that a client brings, after its signature is verified if
    /// `auth_methods` contains `bearer`, and a token from an exchange. Requires `introspection` in `auth_methods`.
    pub(crate) introspect_jwt_tokens: bool,
    /// URL of the introspection endpoint. If unset, the one in the provider's metadata.
    pub(crate) introspection_endpoint: Option<String>,
    /// Client authentication at the introspection endpoint: `client_secret_basic`, `client_secret_post` or
    /// `client_secret_jwt`.
    pub(crate) introspection_endpoint_auth_method: TokenAuth,
    /// The gateway's own client id at the introspection endpoint. Required for `introspection`. Not in Kong, which uses
    /// `client_id`.
    pub(crate) introspection_client_id: Option<String>,
    /// Secret of `introspection_client_id`. Not in Kong, which uses `client_secret`.
    pub(crate) introspection_client_secret: Option<String>,
    /// File with the secret of `introspection_client_id`, read at each introspection. Not in Kong.
    pub(crate) introspection_client_secret_file: Option<PathBuf>,

    // The token request.
    /// Client authentication at the token endpoint: `client_secret_post`, `client_secret_basic` or `client_secret_jwt`.
    /// If unset, `client_secret_post` if the provider's metadata lists it, else `client_secret_basic`; if it lists both
    /// and responds with `invalid_client`, the other one is tried once, and the accepted one is remembered for the
    /// client. With `client_id`, also `private_key_jwt` (requires `client_assertion_key_file` or
    /// `client_assertion_file`), `tls_client_auth` and `self_signed_tls_client_auth` (require `tls_client_auth_cert`).
    /// Kong's `client_auth` is an alias.
    #[serde(alias = "client_auth", deserialize_with = "shapes::one")]
    #[cfg_attr(test, schemars(with = "Option<TokenAuth>"))]
    pub(crate) token_endpoint_auth_method: Option<TokenAuth>,
    /// Encoding of id and secret inside the `Authorization: Basic` sent to the provider: `form` (RFC 6749 section
    /// 2.3.1), or `raw` for providers that do not decode it. Not in Kong.
    pub(crate) token_endpoint_basic_encoding: Encoding,
    /// Scopes to request; an empty list sends no `scope`. If unset, `openid`, and no `scope` for a client to which the
    /// provider has refused it with `invalid_scope`.
    #[serde(deserialize_with = "some_list")]
    pub(crate) scopes: Option<Vec<String>>,
    /// The `audience` argument of the token request; several values are joined with spaces.
    #[serde(deserialize_with = "list")]
    pub(crate) audience: Vec<String>,
    /// Additional arguments of the token request.
    pub(crate) token_post_args: BTreeMap<String, String>,
    /// Names of additional arguments of the token request, such as `audience`; `token_post_args_values` has their
    /// values.
    #[serde(deserialize_with = "list")]
    pub(crate) token_post_args_names: Vec<String>,
    /// Values of `token_post_args_names`, in the same order.
    #[serde(deserialize_with = "list")]
    pub(crate) token_post_args_values: Vec<String>,
    /// Arguments of the token request that the client may set in the query or the body of its own request, at most 16.
    /// A `scope` replaces the configured scopes.
    #[serde(deserialize_with = "list")]
    pub(crate) token_post_args_client: Vec<String>,
    /// Arguments of the token request that the host sets for each request, at most 16. A `scope` replaces the
    /// configured scopes. In nginx, `credgate_token_post_arg` with a variable. Not in Kong.
    #[serde(deserialize_with = "list")]
    pub(crate) token_post_args_host: Vec<String>,
    /// Additional headers of the token request.
    pub(crate) token_headers: BTreeMap<String, String>,
    /// Names of additional headers of the token request; `token_headers_values` has their values.
    #[serde(deserialize_with = "list")]
    pub(crate) token_headers_names: Vec<String>,
    /// Values of `token_headers_names`, in the same order.
    #[serde(deserialize_with = "list")]
    pub(crate) token_headers_values: Vec<String>,
    /// Files with the values of additional arguments of the token request, by name. Each request reads them. Not in Kong.
    pub(crate) token_post_args_files: BTreeMap<String, PathBuf>,
    /// Files with the values of additional headers of the token request, by name. Each request reads them. Not in Kong.
    pub(crate) token_headers_files: BTreeMap<String, PathBuf>,

    /// Send the `traceparent` header of the client's request (W3C Trace Context) with the token request that it causes, so
    /// that the provider's spans join the client's trace. A malformed value is not sent, and `tracestate` never: it
    /// holds data of the client's tracing systems, and the provider belongs to another party. Not in Kong.
    pub(crate) traceparent: bool,

    // The connection to the provider.
    /// Maximum time that a request waits for its token, in milliseconds. A token request that has begun continues.
    pub(crate) timeout: u32,
    /// Keep connections to the provider open between requests: over HTTP/2 for 60 seconds, over HTTP/1.1 for 4.
    pub(crate) keepalive: bool,
    /// Accept `http://` URLs of loopback addresses and of `localhost`, for development. Not in Kong.
    pub(crate) allow_loopback_http: bool,
    /// IP addresses, and blocks of them in CIDR notation, that the provider or its proxy may have although they are
    /// refused by default: loopback addresses that the configuration itself does not name, link-local addresses, and
    /// those of cloud metadata services. Not in Kong.
    #[serde(deserialize_with = "list")]
    pub(crate) allow_addresses: Vec<String>,
    /// Verify the provider's certificate. With false, anyone on the network path can read every secret.
    pub(crate) ssl_verify: bool,
    /// File of PEM certificates to trust. If unset, the system's. In Kong, `lua_ssl_trusted_certificate` of
    /// `kong.conf`.
    pub(crate) ssl_trusted_certificate: Option<PathBuf>,
    /// File with the PEM certificate that the gateway presents to the provider (mutual TLS, RFC 8705). Token requests
    /// then go to the token endpoint in `mtls_endpoint_aliases` of the metadata, if it has one and `token_endpoint` is
    /// unset. Requires `tls_client_auth_key`. Not in Kong.
    pub(crate) tls_client_auth_cert: Option<PathBuf>,
    /// File with the PEM key of `tls_client_auth_cert`. Not in Kong.
    pub(crate) tls_client_auth_key: Option<PathBuf>,
    /// URL of the proxy for `http://` URLs of the provider. If unset, none; environment variables have no effect.
    pub(crate) http_proxy: Option<String>,
    /// Value of the `Proxy-Authorization` header for `http_proxy`.
    pub(crate) http_proxy_authorization: Option<String>,
    /// File with the value of the `Proxy-Authorization` header for `http_proxy`, read at each request. Not in Kong.
    pub(crate) http_proxy_authorization_file: Option<PathBuf>,
    /// URL of the proxy for `https://` URLs of the provider. If unset, none; environment variables have no effect.
    pub(crate) https_proxy: Option<String>,
    /// Value of the `Proxy-Authorization` header for `https_proxy`.
    pub(crate) https_proxy_authorization: Option<String>,
    /// File with the value of the `Proxy-Authorization` header for `https_proxy`, read at each request. Not in Kong.
    pub(crate) https_proxy_authorization_file: Option<PathBuf>,
    /// Hosts to connect to without a proxy, separated by commas.
    pub(crate) no_proxy: Option<String>,

    // The token.
    /// Verify the signatures of tokens that are JWTs. Must be true for `bearer`.
    pub(crate) verify_signature: bool,
    /// Methods whose tokens are accepted without verifying their signatures. Only `client_credentials` is allowed.
    #[serde(deserialize_with = "list")]
    pub(crate) ignore_signature: Vec<AuthMethods>,
    /// Verify `iss`, `exp` and `nbf` of tokens that are JWTs, and of introspection responses. Must be true for `bearer`
    /// and `introspection`.
    pub(crate) verify_claims: bool,
    /// Tolerated difference between the clocks of the provider and the gateway, in seconds. Tokens are cached for that
    /// much less.
    pub(crate) leeway: u32,
    /// Accepted values of `iss`. If empty, only the issuer in the provider's metadata.
    #[serde(deserialize_with = "list")]
    pub(crate) issuers_allowed: Vec<String>,
    /// Scopes that the token must have, as an OR of ANDs: an element matches if the token has all of its
    /// space-separated values.
    #[serde(deserialize_with = "list")]
    pub(crate) scopes_required: Vec<String>,
    /// Path of the claim with the token's scopes: names of members, and positions in arrays from 1. If unset, `scope`,
    /// or `scp` if the token has no `scope`. An opaque token that is not introspected has the scope of the token
    /// response, or the requested scope if the response has none; with a path other than `scope`, it has no scopes.
    #[serde(deserialize_with = "some_list")]
    pub(crate) scopes_claim: Option<Vec<String>>,
    /// Audiences that the token must have, as an OR of ANDs (see `scopes_required`).
    #[serde(deserialize_with = "list")]
    pub(crate) audience_required: Vec<String>,
    /// Path of the claim with the token's audiences (see `scopes_claim`).
    #[serde(deserialize_with = "list")]
    pub(crate) audience_claim: Vec<String>,
    /// Roles that the token must have, as an OR of ANDs (see `scopes_required`).
    #[serde(deserialize_with = "list")]
    pub(crate) roles_required: Vec<String>,
    /// Path of the claim with the token's roles (see `scopes_claim`).
    #[serde(deserialize_with = "list")]
    pub(crate) roles_claim: Vec<String>,
    /// Groups that the token must have, as an OR of ANDs (see `scopes_required`).
    #[serde(deserialize_with = "list")]
    pub(crate) groups_required: Vec<String>,
    /// Path of the claim with the token's groups (see `scopes_claim`).
    #[serde(deserialize_with = "list")]
    pub(crate) groups_claim: Vec<String>,
    /// Top-level claims that the token must not have. Opaque tokens that are not introspected are denied too, because
    /// their claims are unknown.
    #[serde(deserialize_with = "list")]
    pub(crate) claims_forbidden: Vec<String>,

    // The cache.
    /// Cache tokens. With false, only requests that wait at the same time share an exchange.
    pub(crate) cache_tokens: bool,
    /// Separates caches: gates with different salts share no token.
    pub(crate) cache_tokens_salt: Option<String>,
    /// Lifetime of a token that has neither `expires_in` nor `exp`, in seconds; at least 1. An introspected token is
    /// introspected again after that time, or after `cache_ttl_max`; until then, its revocation has no effect.
    pub(crate) cache_ttl: u32,
    /// Maximum time to cache a token, in seconds; at least 1. If unset, no maximum.
    pub(crate) cache_ttl_max: Option<u32>,
    /// How long to cache a refusal, in seconds, and the verdict that a token is not active. 0 caches none.
    pub(crate) cache_ttl_neg: u32,
    /// Margin before a token's expiry, in seconds. A token is not served within it, so that it is still valid when it
    /// reaches the upstream. Not in Kong.
    pub(crate) eagerly_expire: u32,
    /// Fraction of a token's time in the cache, from 0.1 to 1, after which a cache hit starts a refresh in the
    /// background. 1 disables refreshes. Not in Kong.
    pub(crate) refresh_ahead: f64,
    /// Statuses of the upstream, from 400 to 599, that drop the token from the cache. A token younger than 10 seconds
    /// is kept. In OpenResty, it needs the option `ctx` and `gate:log`. In Kong, not a field of this plugin.
    pub(crate) purge_token_on_upstream_status_codes: Vec<u16>,

    // Limits.
    /// Maximum number of exchanges of one client id per minute that end without a token; 0 sets no maximum. Clients to
    /// which the provider has issued a token do not count. Not in Kong.
    pub(crate) refusals_per_client: u32,
    /// The same maximum for the whole gate. Not in Kong.
    pub(crate) refusals_per_gate: u32,
    /// The same maximum for one source: an IPv4 address, or the /64 prefix of an IPv6 address. It needs a host that
    /// passes the address of its peer. Not in Kong.
    pub(crate) refusals_per_source: u32,

    // Headers for the upstream, and responses to denied requests.
    /// Header that carries the token upstream: `name:scheme`, or `name` for the token alone. An empty string, or `nil`
    /// as in Kong, sends no token.
    #[serde(deserialize_with = "shapes::unless_nil")]
    pub(crate) upstream_access_token_header: String,
    /// Headers that carry claims upstream.
    pub(crate) upstream_headers: Vec<ClaimHeader>,
    /// Top-level claims to send upstream; `upstream_headers_names` has their headers.
    #[serde(deserialize_with = "list")]
    pub(crate) upstream_headers_claims: Vec<String>,
    /// Names of the headers for `upstream_headers_claims`, in the same order.
    #[serde(deserialize_with = "list")]
    pub(crate) upstream_headers_names: Vec<String>,
    /// Challenges in `WWW-Authenticate`, of `basic` and `bearer`. If unset, `basic` if `header` is a place; and `bearer`
    /// if it is not, if clients may bring tokens, or with `resource_metadata`. A browser asks its user for a password
    /// if it gets `basic`. Not in Kong.
    #[serde(deserialize_with = "some_list")]
    pub(crate) challenges: Option<Vec<Challenge>>,
    /// URL of the protected resource's metadata, for clients that find their provider by it (RFC 9728 section 5.1). A
    /// parameter of the `bearer` challenge. Not in Kong.
    pub(crate) resource_metadata: Option<String>,
    /// Add the error code to the `bearer` challenge, and the scopes to request if the token lacks one (RFC 6750 section
    /// 3).
    pub(crate) expose_error_code: bool,
    /// The `message` in the body of a 401.
    pub(crate) unauthorized_error_message: String,
    /// The `message` in the body of a 403.
    pub(crate) forbidden_error_message: String,
}

impl Config {
    /// Reads a configuration object, or Kong's plugin object around one. Fields with a problem have their defaults.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ConfigSyntax`], or a plugin object without a configuration.
    pub(crate) fn read(json: &str, problems: &mut Problems) -> Result<Config, Error> {
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
        let Some(mut config) = kong::unwrap_plugin(object, problems) else {
            return Err(std::mem::take(problems).into_error());
        };
        let known = fields();
        let methods_are_kongs = kong::drop_unset(&mut config, &known, problems);
        drop_unknown(&mut config, &known, problems);
        // As in Kong, null scopes request none.
        if let Some(scopes @ Value::Null) = config.get_mut("scopes") {
            *scopes = Value::Array(Vec::new());
        }
        config.retain(|_, value| !value.is_null());
        let places_are_written = config.contains_key("client_credentials_param_type");
        let mut config: Config = typed::read(config, "", problems);
        config.places_are_written = places_are_written;
        config.methods_are_kongs = methods_are_kongs;
        if config.client_id.is_some() && !places_are_written {
            config.client_credentials_param_type = Vec::new();
        }
        let is_named = config.client_id_header.is_some() && config.client_secret_header.is_some();
        if is_named && !places_are_written {
            config.client_credentials_param_type.push(Source::Headers);
        }
        Ok(config)
    }

    #[cfg(test)]
    pub(crate) fn from_json(json: &str) -> Result<Config, Error> {
        let mut problems = Problems::default();
        let config = Config::read(json, &mut problems)?;
        problems.finish().map(|()| config)
    }

    /// The effective configuration as JSON, with defaults included and secrets masked.
    pub(crate) fn effective(&self) -> String {
        masked::masked(self)
    }
}

/// The names of all fields, `client_auth` included.
fn fields() -> Vec<&'static str> {
    /// Records the field names that serde passes to a deserializer.
    struct Names(Vec<&'static str>);

    impl<'de> serde::Deserializer<'de> for &mut Names {
        type Error = serde::de::value::Error;

        fn deserialize_any<V: serde::de::Visitor<'de>>(
            self,
            _: V,
        ) -> Result<V::Value, Self::Error> {
            Err(serde::de::Error::custom("only records names"))
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

/// Removes members that are no fields. Each is a problem.
fn drop_unknown(object: &mut Map<String, Value>, known: &[&str], problems: &mut Problems) {
    object.retain(|unknown, _| {
        if known.contains(&unknown.as_str()) {
            return true;
        }
        let nearest = nearest(unknown, known);
        let shown = if is_plain(unknown) {
            unknown.clone()
        } else {
            format!("{unknown:?}")
        };
        let error = Error::new(
            ErrorKind::ConfigUnknownField,
            format!("{shown}: unknown field; {}", hint(nearest, known)),
        );
        problems.add_for(nearest.unwrap_or(unknown), error);
        false
    });
}

/// The remedy for an unknown name: the nearest known one, or all.
fn hint(nearest: Option<&str>, known: &[&str]) -> String {
    match nearest {
        Some(name) => format!("did you mean \"{name}\"?"),
        None => format!("the fields are {}", known.join(", ")),
    }
}

/// The name that was probably meant.
fn nearest<'n>(unknown: &str, known: &[&'n str]) -> Option<&'n str> {
    known
        .iter()
        .map(|name| (strsim::jaro_winkler(unknown, name), name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.8)
        .map(|(_, name)| *name)
}

pub(crate) fn value_error(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::ConfigValue, message)
}

#[cfg(test)]
mod tests;
