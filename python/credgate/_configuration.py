"""The settings of a gate, from core/config.schema.json (`tests/run.sh header --update`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from typing import Literal

    _AuthMethods = Literal["client_credentials", "bearer"]
    _Encoding = Literal["raw", "form"]
    _Source = Literal["header", "query", "body"]
    _TokenAuth = Literal["client_secret_basic", "client_secret_post", "client_secret_jwt"]


class ClaimHeader(TypedDict):
    """A header that carries a claim upstream."""

    # The header's name.
    header: str
    # Where the claim is: a path of claims, array positions from 1.
    path: Sequence[str]


class Settings(TypedDict, total=False):
    """What a gate is made of."""

    # Accept "http://" for loopback addresses, for development. (Not Kong's.)
    allow_loopback_http: bool
    # Let requests that would be answered with 401 pass without a token.
    anonymous: bool
    # The audience to ask for: the "audience" argument of the token request.
    audience: Sequence[str]
    # Where the token's audiences are.
    audience_claim: Sequence[str]
    # Audiences that the token must be for: all words of one element, for any element.
    audience_required: Sequence[str]
    # How clients authenticate: "client_credentials" (id and secret, which are exchanged for a
    # token), "bearer" (a JWT that they hold already, which is verified), or both.
    auth_methods: _AuthMethods | Sequence[_AuthMethods]
    # How id and secret are encoded inside of "Authorization: Basic": "raw", or "form" for clients
    # that follow RFC 6749 section 2.3.1 to the letter. (Not Kong's.)
    basic_encoding: _Encoding
    # Keep tokens. False makes an exchange for every request.
    cache_tokens: bool
    # Gates with different salts share no token.
    cache_tokens_salt: str | None
    # Seconds that a token is kept of which neither "expires_in" nor "exp" says how long it lives.
    cache_ttl: int
    # Seconds that a token is kept at most.
    cache_ttl_max: int | None
    # Seconds that a refusal is kept; 0 keeps none.
    cache_ttl_neg: int
    # Claims that the token must not have.
    claims_forbidden: Sequence[str]
    # Where ids and secrets are looked for.
    client_credentials_param_type: _Source | Sequence[_Source]
    # Client ids that may try at all; "*" stands for any characters. Left out, all may. (Not
    # Kong's.)
    clients_allowed: Sequence[str] | None
    # Further headers of discovery requests.
    discovery_headers: Mapping[str, str]
    # Names of further headers of discovery requests.
    discovery_headers_names: Sequence[str]
    # Their values, in the same order.
    discovery_headers_values: Sequence[str]
    # Seconds before its end in which a token is served no longer: it has to reach the upstream
    # alive. (Not Kong's.)
    eagerly_expire: int
    # Tell the error's code in "WWW-Authenticate" (RFC 6750 section 3.1).
    expose_error_code: bool
    # Further places with keys of the provider.
    extra_jwks_uris: Sequence[str]
    # The message of a 403.
    forbidden_error_message: str
    # Where the token's groups are.
    groups_claim: Sequence[str]
    # Groups that the token must hold: all words of one element, for any element.
    groups_required: Sequence[str]
    # Take credentials out of the query and the body before the request goes upstream. The header is
    # replaced anyway.
    hide_credentials: bool
    # A proxy for "http://" addresses.
    http_proxy: str | None
    # The value of "Proxy-Authorization" for it.
    http_proxy_authorization: str | None
    # A proxy for "https://" addresses.
    https_proxy: str | None
    # The value of "Proxy-Authorization" for it.
    https_proxy_authorization: str | None
    # Methods for which the signature is not verified: "client_credentials".
    ignore_signature: _AuthMethods | Sequence[_AuthMethods]
    # The issuer, or its full well-known URL. Required.
    issuer: str
    # Issuers that a token may name in "iss". Left out, the one that the metadata names.
    issuers_allowed: Sequence[str]
    # Where the provider's keys are, instead of what the metadata says.
    jwks_endpoint: str | None
    # Keep connections open between exchanges.
    keepalive: bool
    # Seconds by which the clocks of provider and gateway may differ.
    leeway: int
    # The largest body that is looked at for credentials, in bytes. (Not Kong's.)
    max_body_bytes: int
    # Hosts that are reached without a proxy, separated by commas.
    no_proxy: str | None
    # Answers of the upstream after which a token is dropped. (Not Kong's here.)
    purge_token_on_upstream_status_codes: Sequence[int]
    # Seconds that pass between two attempts to fetch metadata or keys anew; five after a failure.
    rediscovery_lifetime: int
    # The part of a token's life after which a hit fetches the next one in the background; 1 never
    # does. (Not Kong's.)
    refresh_ahead: float
    # Exchanges of one client id that may end in a refusal, a minute; 0: no limit. (Not Kong's.)
    refusals_per_client: int
    # Exchanges of the whole gate that may end in a refusal, a minute; 0: no limit. (Not Kong's.)
    refusals_per_gate: int
    # Where the token's roles are.
    roles_claim: Sequence[str]
    # Roles that the token must hold: all words of one element, for any element.
    roles_required: Sequence[str]
    # Authenticate "OPTIONS" requests too. False lets them pass without a token, and without what
    # the client brought.
    run_on_preflight: bool
    # Scopes to ask for; an empty list sends no "scope". Left out, "openid" is asked for, and no
    # longer where the provider refuses it.
    scopes: Sequence[str] | None
    # Where the token's scopes are: a path of claims, array positions from 1.
    scopes_claim: Sequence[str]
    # Scopes that the token must hold: all words of one element, for any element.
    scopes_required: Sequence[str]
    # A file of PEM certificates to trust instead of the system's. (Not Kong's; there it is
    # "lua_ssl_trusted_certificate".)
    ssl_trusted_certificate: str | os.PathLike[str] | None
    # Verify the provider's certificate. False gives every secret to whoever is in between.
    ssl_verify: bool
    # Deadline of a whole exchange, discovery included, in milliseconds.
    timeout: int
    # A file with the PEM certificate that is shown to the provider (mutual TLS). (Not Kong's.)
    tls_client_auth_cert: str | os.PathLike[str] | None
    # A file with its PEM key. (Not Kong's.)
    tls_client_auth_key: str | os.PathLike[str] | None
    # The token endpoint, instead of the one in the metadata.
    token_endpoint: str | None
    # How the client authenticates at the token endpoint: "client_secret_post",
    # "client_secret_basic" or "client_secret_jwt". Left out, post where the metadata lists it, else
    # basic.
    token_endpoint_auth_method: _TokenAuth | None
    # How id and secret are encoded inside of the provider's "Authorization: Basic": "form" (RFC
    # 6749 section 2.3.1) or "raw". (Not Kong's.)
    token_endpoint_basic_encoding: _Encoding
    # Further headers of the token request.
    token_headers: Mapping[str, str]
    # Names of further headers of the token request.
    token_headers_names: Sequence[str]
    # Their values, in the same order.
    token_headers_values: Sequence[str]
    # Further arguments of the token request.
    token_post_args: Mapping[str, str]
    # Arguments of the token request that the caller may give in the query or the body of its own
    # request. "scope" replaces the configured scopes.
    token_post_args_client: Sequence[str]
    # Arguments of the token request whose values the host gives with each request; "scope" replaces
    # the configured scopes. In nginx, "credgate_token_post_arg" with a variable. (Not Kong's.)
    token_post_args_host: Sequence[str]
    # Names of further arguments of the token request, such as "audience".
    token_post_args_names: Sequence[str]
    # Their values, in the same order.
    token_post_args_values: Sequence[str]
    # The message of a 401.
    unauthorized_error_message: str
    # The header that carries the token upstream, "name:scheme" or "name". An empty string sends
    # none.
    upstream_access_token_header: str
    # Headers that carry claims upstream.
    upstream_headers: Sequence[ClaimHeader]
    # Claims that go upstream, and in "upstream_headers_names" the headers that carry them.
    upstream_headers_claims: Sequence[str]
    # The headers of "upstream_headers_claims", in the same order.
    upstream_headers_names: Sequence[str]
    # Do not ask the issuer for its metadata: "token_endpoint" says where tokens are had.
    using_pseudo_issuer: bool
    # Verify "iss", "exp" and "nbf" of tokens that are JWTs.
    verify_claims: bool
    # Verify the signature of tokens that are JWTs.
    verify_signature: bool
