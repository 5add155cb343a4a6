"""The settings of a gate, from core/config.schema.json (`tests/run.sh header --update`)."""

# ruff: noqa: ERA001, RUF100 - the description of a setting may look like code.

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from typing import Literal

    _AuthMethods = Literal["client_credentials", "bearer", "introspection"]
    _Challenge = Literal["basic", "bearer"]
    _Encoding = Literal["raw", "form"]
    _SigningAlgorithm = Literal[
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
    ]
    _Source = Literal["header", "query", "body", "headers", "host"]
    _TokenAuth = Literal[
        "client_secret_basic",
        "client_secret_post",
        "client_secret_jwt",
        "private_key_jwt",
        "tls_client_auth",
        "self_signed_tls_client_auth",
    ]


class ClaimHeader(TypedDict):
    """A header that carries a claim upstream."""

    # The header's name.
    header: str
    # The path of the claim: names of members, and positions in arrays from 1.
    path: Sequence[str]


class Settings(TypedDict, total=False):
    """The configuration of a gate."""

    # IP addresses, and blocks of them in CIDR notation, that the provider or its proxy may have
    # although they are refused by default: loopback addresses that the configuration itself does
    # not name, link-local addresses, and those of cloud metadata services. Not in Kong.
    allow_addresses: Sequence[str]
    # Accept "http://" URLs of loopback addresses and of "localhost", for development. Not in Kong.
    allow_loopback_http: bool
    # Let requests that would be denied with 401 pass without a token. The name of a consumer, as in
    # Kong, means true.
    anonymous: bool
    # The "audience" argument of the token request; several values are joined with spaces.
    audience: Sequence[str]
    # Path of the claim with the token's audiences (see "scopes_claim"). Default: ["aud"].
    audience_claim: Sequence[str]
    # Audiences that the token must have, as an OR of ANDs (see "scopes_required").
    audience_required: Sequence[str]
    # Methods by which clients authenticate: "client_credentials" (id and secret, exchanged for a
    # token at the provider), "bearer" (a JWT that the client already has, verified and forwarded),
    # and "introspection" (an opaque token that the client already has, introspected at the provider
    # (RFC 7662) and forwarded). With "introspection", opaque tokens from exchanges are introspected
    # too, once each, so that requirements apply to their claims. Default: ["client_credentials"].
    auth_methods: _AuthMethods | Sequence[_AuthMethods]
    # Encoding of id and secret inside the client's "Authorization: Basic": "raw", or "form" for
    # clients that follow RFC 6749 section 2.3.1. Not in Kong. Default: "raw".
    basic_encoding: _Encoding
    # Cache tokens. With false, only requests that wait at the same time share an exchange. Default:
    # True.
    cache_tokens: bool
    # Separates caches: gates with different salts share no token.
    cache_tokens_salt: str | None
    # Lifetime of a token that has neither "expires_in" nor "exp", in seconds; at least 1. An
    # introspected token is introspected again after that time, or after "cache_ttl_max"; until
    # then, its revocation has no effect. Default: 3600.
    cache_ttl: int
    # Maximum time to cache a token, in seconds; at least 1. If unset, no maximum.
    cache_ttl_max: int | None
    # How long to cache a refusal, in seconds, and the verdict that a token is not active. 0 caches
    # none. Default: 5.
    cache_ttl_neg: int
    # Challenges in "WWW-Authenticate", of "basic" and "bearer". If unset, "basic" if "header" is a
    # place; and "bearer" if it is not, if clients may bring tokens, or with "resource_metadata". A
    # browser asks its user for a password if it gets "basic". Not in Kong.
    challenges: _Challenge | Sequence[_Challenge] | None
    # Top-level claims that the token must not have. Opaque tokens that are not introspected are
    # denied too, because their claims are unknown.
    claims_forbidden: Sequence[str]
    # Algorithm of assertions that "client_assertion_key_file" signs: "RS256" to "RS512", "PS256" to
    # "PS512", "ES256" to "ES512", or "EdDSA". If unset, the one that the JWK names, or "RS256" for
    # RSA, that of the curve, or "EdDSA".
    client_alg: _SigningAlgorithm | None
    # The "aud" of assertions that the gateway signs, for "private_key_jwt" and "client_secret_jwt".
    # If unset, the issuer, exactly as its metadata writes it. Entra ID wants the URL of its token
    # endpoint. Not in Kong.
    client_assertion_audience: str | None
    # File with the PEM certificate of "client_assertion_key_file". The header of assertions then
    # has its digests, "x5t" and "x5t#S256", and the token request has "client_id" too, as Entra ID
    # requires. Read together with the key. Not in Kong.
    client_assertion_cert_file: str | os.PathLike[str] | None
    # File with a finished assertion (JWT) for "private_key_jwt", which another program issues and
    # renews: a Kubernetes service account token, a SPIFFE JWT-SVID. Each exchange reads it. The
    # token request has "client_id" too. Not in Kong.
    client_assertion_file: str | os.PathLike[str] | None
    # File with the private key of "client_id", for "private_key_jwt": PEM (PKCS#8, PKCS#1, SEC 1),
    # or one private JWK. RSA of at least 2048 bits, the curves P-256, P-384 and P-521, or Ed25519.
    # Each exchange reads it, so a new key needs no reload. While the file has no usable key, the
    # last one stays in use, and a warning is logged. Not in Kong.
    client_assertion_key_file: str | os.PathLike[str] | None
    # Key id in the header of these assertions ("kid"). If unset, the JWK's. Not in Kong.
    client_assertion_kid: str | None
    # Places to search for id and secret: "header" ("Authorization: Basic"), "query" and "body"
    # ("client_id" and "client_secret"; in a body, of a form or a JSON object), and "headers"
    # ("client_id_header" and "client_secret_header", which add it by default). Credentials in more
    # than one place are denied with 400. Or "host" alone: the host supplies id and secret with each
    # request, and the request is not searched. In nginx, "credgate_client_id" and
    # "credgate_client_secret" with variables. "host" is not in Kong. Default: ["header", "query",
    # "body"].
    client_credentials_param_type: _Source | Sequence[_Source]
    # Id of the gateway's own client: the gate exchanges its credentials for every request, and
    # searches no request. Something else must decide which requests may pass. Requires
    # "client_secret", "client_secret_file", or the key or certificate that
    # "token_endpoint_auth_method" names. In Kong, clients still send credentials of their own.
    client_id: str | None
    # Header with the client's id, such as "X-Client-Id". Requires "client_secret_header". Both
    # values are printable ASCII, without any encoding. Not in Kong.
    client_id_header: str | None
    # Secret of "client_id".
    client_secret: str | None
    # File with the secret of "client_id", without one line end at its end. Each exchange reads it,
    # so a new secret needs no reload. Not in Kong.
    client_secret_file: str | os.PathLike[str] | None
    # Header with the client's secret, such as "X-Client-Secret". Requires "client_id_header". Not
    # in Kong.
    client_secret_header: str | None
    # Client ids that may use the gate; "*" matches any characters. Other clients are denied with
    # 403. If unset, all clients may use it. Not in Kong.
    clients_allowed: Sequence[str] | None
    # Additional headers of requests for metadata and keys.
    discovery_headers: Mapping[str, str]
    # Files with the values of additional headers of requests for metadata and keys, by name. Each
    # request reads them. Not in Kong.
    discovery_headers_files: Mapping[str, str | os.PathLike[str]]
    # Names of additional headers of requests for metadata and keys; "discovery_headers_values" has
    # their values.
    discovery_headers_names: Sequence[str]
    # Values of "discovery_headers_names", in the same order.
    discovery_headers_values: Sequence[str]
    # Margin before a token's expiry, in seconds. A token is not served within it, so that it is
    # still valid when it reaches the upstream. Not in Kong. Default: 5.
    eagerly_expire: int
    # Add the error code to the "bearer" challenge, and the scopes to request if the token lacks one
    # (RFC 6750 section 3). Default: True.
    expose_error_code: bool
    # Issuers whose keys "extra_jwks_uris" contain, in the same order, each of them as its tokens
    # have it in "iss". A token is verified with the keys of its own issuer only. Default: all are
    # further keys of "issuer". Required if "issuers_allowed" names another issuer. Not in Kong.
    extra_jwks_issuers: Sequence[str]
    # URLs of further keys of the provider.
    extra_jwks_uris: Sequence[str]
    # The "message" in the body of a 403. Default: "Forbidden".
    forbidden_error_message: str
    # Path of the claim with the token's groups (see "scopes_claim"). Default: ["groups"].
    groups_claim: Sequence[str]
    # Groups that the token must have, as an OR of ANDs (see "scopes_required").
    groups_required: Sequence[str]
    # Remove the client's credentials from the headers, the query and the body before the request
    # goes upstream. A token in "Authorization" replaces the client's header even with false.
    # Default: True.
    hide_credentials: bool
    # URL of the proxy for "http://" URLs of the provider. If unset, none; environment variables
    # have no effect.
    http_proxy: str | None
    # Value of the "Proxy-Authorization" header for "http_proxy".
    http_proxy_authorization: str | None
    # File with the value of the "Proxy-Authorization" header for "http_proxy", read at each
    # request. Not in Kong.
    http_proxy_authorization_file: str | os.PathLike[str] | None
    # URL of the proxy for "https://" URLs of the provider. If unset, none; environment variables
    # have no effect.
    https_proxy: str | None
    # Value of the "Proxy-Authorization" header for "https_proxy".
    https_proxy_authorization: str | None
    # File with the value of the "Proxy-Authorization" header for "https_proxy", read at each
    # request. Not in Kong.
    https_proxy_authorization_file: str | os.PathLike[str] | None
    # Methods whose tokens are accepted without verifying their signatures. Only
    # "client_credentials" is allowed.
    ignore_signature: _AuthMethods | Sequence[_AuthMethods]
    # Introspect JWTs too, which finds revoked ones: a token that a client brings, after its
    # signature is verified if "auth_methods" contains "bearer", and a token from an exchange.
    # Requires "introspection" in "auth_methods".
    introspect_jwt_tokens: bool
    # The gateway's own client id at the introspection endpoint. Required for "introspection". Not
    # in Kong, which uses "client_id".
    introspection_client_id: str | None
    # Secret of "introspection_client_id". Not in Kong, which uses "client_secret".
    introspection_client_secret: str | None
    # File with the secret of "introspection_client_id", read at each introspection. Not in Kong.
    introspection_client_secret_file: str | os.PathLike[str] | None
    # URL of the introspection endpoint. If unset, the one in the provider's metadata.
    introspection_endpoint: str | None
    # Client authentication at the introspection endpoint: "client_secret_basic",
    # "client_secret_post" or "client_secret_jwt". Default: "client_secret_basic".
    introspection_endpoint_auth_method: _TokenAuth
    # The provider: its issuer, or the full URL of its metadata ("…/.well-known/openid-
    # configuration"). Required.
    issuer: str
    # Accepted values of "iss". If empty, only the issuer in the provider's metadata.
    issuers_allowed: Sequence[str]
    # URL of the provider's keys. If unset, "jwks_uri" in the provider's metadata.
    jwks_endpoint: str | None
    # Keep connections to the provider open between requests: over HTTP/2 for 60 seconds, over
    # HTTP/1.1 for 4. Default: True.
    keepalive: bool
    # Tolerated difference between the clocks of the provider and the gateway, in seconds. Tokens
    # are cached for that much less.
    leeway: int
    # Maximum size of a body to search for credentials, in bytes. A larger body is forwarded
    # unchanged. Not in Kong. Default: 65536.
    max_body_bytes: int
    # Hosts to connect to without a proxy, separated by commas.
    no_proxy: str | None
    # Statuses of the upstream, from 400 to 599, that drop the token from the cache. A token younger
    # than 10 seconds is kept. In OpenResty, it needs the option "ctx" and "gate:log". In Kong, not
    # a field of this plugin. Default: [401].
    purge_token_on_upstream_status_codes: Sequence[int]
    # Minimum interval between two fetches of the metadata, and between two fetches of the keys for
    # clients' own tokens, in seconds; 5 seconds after a failure. For tokens from the token
    # endpoint, the interval is one second. Default: 30.
    rediscovery_lifetime: int
    # Fraction of a token's time in the cache, from 0.1 to 1, after which a cache hit starts a
    # refresh in the background. 1 disables refreshes. Not in Kong. Default: 0.8.
    refresh_ahead: float
    # Maximum number of exchanges of one client id per minute that end without a token; 0 sets no
    # maximum. Clients to which the provider has issued a token do not count. Not in Kong. Default:
    # 10.
    refusals_per_client: int
    # The same maximum for the whole gate. Not in Kong. Default: 300.
    refusals_per_gate: int
    # The same maximum for one source: an IPv4 address, or the /64 prefix of an IPv6 address. It
    # needs a host that passes the address of its peer. Not in Kong. Default: 60.
    refusals_per_source: int
    # URL of the protected resource's metadata, for clients that find their provider by it (RFC 9728
    # section 5.1). A parameter of the "bearer" challenge. Not in Kong.
    resource_metadata: str | None
    # Path of the claim with the token's roles (see "scopes_claim"). Default: ["roles"].
    roles_claim: Sequence[str]
    # Roles that the token must have, as an OR of ANDs (see "scopes_required").
    roles_required: Sequence[str]
    # Authenticate "OPTIONS" requests. With false, they pass without a token and without the
    # client's credentials. Default: True.
    run_on_preflight: bool
    # Scopes to request; an empty list sends no "scope". If unset, "openid", and no "scope" for a
    # client to which the provider has refused it with "invalid_scope".
    scopes: Sequence[str] | None
    # Path of the claim with the token's scopes: names of members, and positions in arrays from 1.
    # If unset, "scope", or "scp" if the token has no "scope". An opaque token that is not
    # introspected has the scope of the token response, or the requested scope if the response has
    # none; with a path other than "scope", it has no scopes.
    scopes_claim: Sequence[str] | None
    # Scopes that the token must have, as an OR of ANDs: an element matches if the token has all of
    # its space-separated values.
    scopes_required: Sequence[str]
    # File of PEM certificates to trust. If unset, the system's. In Kong,
    # "lua_ssl_trusted_certificate" of "kong.conf".
    ssl_trusted_certificate: str | os.PathLike[str] | None
    # Verify the provider's certificate. With false, anyone on the network path can read every
    # secret. Default: True.
    ssl_verify: bool
    # Maximum time that a request waits for its token, in milliseconds. A token request that has
    # begun continues. Default: 10000.
    timeout: int
    # File with the PEM certificate that the gateway presents to the provider (mutual TLS, RFC
    # 8705). Token requests then go to the token endpoint in "mtls_endpoint_aliases" of the
    # metadata, if it has one and "token_endpoint" is unset. Requires "tls_client_auth_key". Not in
    # Kong.
    tls_client_auth_cert: str | os.PathLike[str] | None
    # File with the PEM key of "tls_client_auth_cert". Not in Kong.
    tls_client_auth_key: str | os.PathLike[str] | None
    # URL of the token endpoint. If unset, the one in the provider's metadata. With "jwks_endpoint"
    # too, the gate works while the metadata is unavailable, as that of a public issuer that the
    # gateway does not reach: a first request then waits one second for it at most, and tokens must
    # have "issuer" in "iss".
    token_endpoint: str | None
    # Client authentication at the token endpoint: "client_secret_post", "client_secret_basic" or
    # "client_secret_jwt". If unset, "client_secret_post" if the provider's metadata lists it, else
    # "client_secret_basic"; if it lists both and responds with "invalid_client", the other one is
    # tried once, and the accepted one is remembered for the client. With "client_id", also
    # "private_key_jwt" (requires "client_assertion_key_file" or "client_assertion_file"),
    # "tls_client_auth" and "self_signed_tls_client_auth" (require "tls_client_auth_cert"). Kong's
    # "client_auth" is an alias.
    token_endpoint_auth_method: _TokenAuth | None
    # Encoding of id and secret inside the "Authorization: Basic" sent to the provider: "form" (RFC
    # 6749 section 2.3.1), or "raw" for providers that do not decode it. Not in Kong. Default:
    # "form".
    token_endpoint_basic_encoding: _Encoding
    # Additional headers of the token request.
    token_headers: Mapping[str, str]
    # Files with the values of additional headers of the token request, by name. Each request reads
    # them. Not in Kong.
    token_headers_files: Mapping[str, str | os.PathLike[str]]
    # Names of additional headers of the token request; "token_headers_values" has their values.
    token_headers_names: Sequence[str]
    # Values of "token_headers_names", in the same order.
    token_headers_values: Sequence[str]
    # Additional arguments of the token request.
    token_post_args: Mapping[str, str]
    # Arguments of the token request that the client may set in the query or the body of its own
    # request, at most 16. A "scope" replaces the configured scopes.
    token_post_args_client: Sequence[str]
    # Files with the values of additional arguments of the token request, by name. Each request
    # reads them. Not in Kong.
    token_post_args_files: Mapping[str, str | os.PathLike[str]]
    # Arguments of the token request that the host sets for each request, at most 16. A "scope"
    # replaces the configured scopes. In nginx, "credgate_token_post_arg" with a variable. Not in
    # Kong.
    token_post_args_host: Sequence[str]
    # Names of additional arguments of the token request, such as "audience";
    # "token_post_args_values" has their values.
    token_post_args_names: Sequence[str]
    # Values of "token_post_args_names", in the same order.
    token_post_args_values: Sequence[str]
    # Send the "traceparent" header of the client's request (W3C Trace Context) with the token
    # request that it causes, so that the provider's spans join the client's trace. A malformed
    # value is not sent, and "tracestate" never: it holds data of the client's tracing systems, and
    # the provider belongs to another party. Not in Kong.
    traceparent: bool
    # The "message" in the body of a 401. Default: "Unauthorized".
    unauthorized_error_message: str
    # Header that carries the token upstream: "name:scheme", or "name" for the token alone. An empty
    # string, or "nil" as in Kong, sends no token. Default: "authorization:bearer".
    upstream_access_token_header: str
    # Headers that carry claims upstream.
    upstream_headers: Sequence[ClaimHeader]
    # Top-level claims to send upstream; "upstream_headers_names" has their headers.
    upstream_headers_claims: Sequence[str]
    # Names of the headers for "upstream_headers_claims", in the same order.
    upstream_headers_names: Sequence[str]
    # Disable discovery. Requires "token_endpoint" for client credentials, and "jwks_endpoint" or
    # "extra_jwks_uris" to verify signatures.
    using_pseudo_issuer: bool
    # Verify "iss", "exp" and "nbf" of tokens that are JWTs, and of introspection responses. Must be
    # true for "bearer" and "introspection". Default: True.
    verify_claims: bool
    # Verify the signatures of tokens that are JWTs. Must be true for "bearer". Default: True.
    verify_signature: bool
