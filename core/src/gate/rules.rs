//! The rules compiled from a configuration.

use super::TokenRequest;
use super::clients::Clients;
use super::endpoint::{Entry, TokenEndpoint};
use super::header_name::credential_headers;
use super::own::OwnClient;
use super::token_request::arg_names;
use super::upstream::{Upstream, header_value};
use crate::config::{AuthMethods, Config, value_error};
use crate::error::{Error, Problems};
use crate::gate::introspection::Introspection;
use crate::gate::issuer::Issuer;
use crate::gate::policy::Policy;
use crate::gate::retention::Retention;
use crate::key::{Fingerprint, FingerprintBuilder};
use crate::request::extract::Places;
use crate::request::{Request, Source};
use crate::sys::clock::{Clock, SystemClock};
use crate::token::{Grant, is_jws};
use std::borrow::Cow;
use std::time::Duration;

/// The rules compiled from a configuration. Opaque: keeps the strings of an [`Allow`](crate::Allow) alive.
#[derive(Debug, Clone)]
pub struct Rules {
    pub(crate) places: Places,
    /// Credentials may be in two named headers, or `traceparent` is forwarded.
    pub(crate) reads_headers: bool,
    /// The gateway's own client, for which every request gets a token.
    pub(crate) own: Option<OwnClient>,
    pub(crate) clients_allowed: Option<Clients>,
    pub(crate) hide: bool,
    pub(crate) entry: Entry,
    pub(crate) anonymous: bool,
    pub(crate) issuer: Issuer,
    pub(crate) request: TokenRequest,
    /// `None`: the gate introspects no tokens.
    pub(crate) introspection: Option<Introspection>,
    pub(crate) timeout: Duration,
    /// Whether the signatures of tokens from exchanges are verified.
    pub(crate) verify_signature: bool,
    pub(crate) policy: Policy,
    pub(crate) retention: Retention,
    pub(crate) purge_on: Vec<u16>,
    /// The maximum number of exchanges without a token per minute, of one client, of the gate, and of one source address;
    /// 0: no maximum.
    pub(crate) refusals: [u32; 3],
    pub(crate) upstream: Upstream,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) effective: String,
    pub(crate) warnings: Vec<&'static str>,
}

impl Rules {
    /// `problems`: those of reading the configuration.
    pub(crate) fn compile(config: &Config, mut problems: Problems) -> Result<Rules, Error> {
        check(config, &mut problems);
        let own = problems.check(OwnClient::of_gate(config));
        let issuer = problems.check(Issuer::compile(config));
        let request = problems.check(TokenRequest::compile(config));
        let fixed_args = request.as_ref().map_or(&[][..], |request| &request.args);
        let args = problems.check(arg_names(config, fixed_args));
        let clients_allowed = config.clients_allowed.as_deref().map(Clients::compile);
        let clients_allowed = problems.check(clients_allowed.transpose());
        let realm = issuer.as_ref().map_or("", Issuer::host);
        let headers = problems.check(credential_headers(config));
        let named = headers.as_ref().and_then(Option::as_ref);
        let upstream = problems.check(Upstream::compile(config, realm, named));
        let policy = problems.check(Policy::compile(config));
        let retention = problems.check(Retention::compile(config));
        let verify_signature = config.verify_signature
            && !config
                .ignore_signature
                .contains(&AuthMethods::ClientCredentials);
        let introspection = problems.check(Introspection::compile(config));
        let pairs = uses(config, AuthMethods::ClientCredentials);
        let may_have_keys = issuer.as_ref().is_none_or(Issuer::may_have_keys);
        let verifies = (verify_signature && pairs) || uses(config, AuthMethods::Bearer);
        if !may_have_keys && verifies {
            problems.add(value_error(
                "jwks_endpoint: is required to verify signatures, because using_pseudo_issuer disables discovery; set \
                 it, or set verify_signature to false",
            ));
        }
        let (
            Some(own),
            Some(issuer),
            Some(request),
            Some(args),
            Some(clients_allowed),
            Some(headers),
        ) = (own, issuer, request, args, clients_allowed, headers)
        else {
            return Err(problems.into_error());
        };
        let (Some(mut upstream), Some(policy), Some(mut retention), Some(introspection)) =
            (upstream, policy, retention, introspection)
        else {
            return Err(problems.into_error());
        };
        problems.finish()?;
        let within = |place| pairs && config.client_credentials_param_type.contains(&place);
        let bearer = uses(config, AuthMethods::Bearer) || uses(config, AuthMethods::Introspection);
        let places = Places {
            header: within(Source::Header),
            query: within(Source::Query),
            body: within(Source::Body),
            host: within(Source::Host),
            own: own.as_ref().map(|own| own.id.clone()),
            bearer,
            is_rare: bearer || headers.is_some(),
            headers,
            basic_encoding: config.basic_encoding,
            args,
            max_body_bytes: config.max_body_bytes,
        };
        if !places.are_searched() {
            upstream.hidden.clear();
        }
        if own.is_some() {
            // All requests depend on one client, whose secret the operator may be replacing.
            retention.refusals = retention.refusals.min(OWN_REFUSAL);
        }
        Ok(Rules {
            // A request that is not searched has no credentials to hide.
            hide: config.hide_credentials && places.are_searched(),
            reads_headers: places.headers.is_some() || request.traceparent,
            places,
            clients_allowed,
            entry: Entry::new(config.run_on_preflight),
            anonymous: config.anonymous,
            fingerprint: fingerprint(
                config,
                &issuer,
                &request,
                own.as_ref(),
                introspection.as_ref(),
                verify_signature,
            ),
            own,
            upstream,
            timeout: Duration::from_millis(config.timeout.into()),
            verify_signature,
            policy,
            retention,
            purge_on: config.purge_token_on_upstream_status_codes.clone(),
            refusals: [
                config.refusals_per_client,
                config.refusals_per_gate,
                config.refusals_per_source,
            ],
            effective: config.effective(),
            warnings: warnings(config, verify_signature),
            issuer,
            request,
            introspection,
        })
    }

    /// The same rules with `anonymous`.
    pub(super) fn optional(&self) -> Rules {
        Rules {
            anonymous: true,
            effective: self.effective_but([("anonymous", true.into())]),
            ..self.clone()
        }
    }

    /// The effective configuration with other values of these fields.
    pub(super) fn effective_but<const N: usize>(
        &self,
        changes: [(&str, serde_json::Value); N],
    ) -> String {
        let mut effective: serde_json::Value =
            serde_json::from_str(&self.effective).unwrap_or_default();
        for (field, value) in changes {
            effective[field] = value;
        }
        effective.to_string()
    }

    pub(crate) fn token_endpoint(&self) -> Option<&TokenEndpoint> {
        match &self.entry {
            Entry::TokenEndpoint(endpoint) => Some(endpoint),
            _ => None,
        }
    }

    /// The places that are searched in this request.
    pub(crate) fn places(&self, request: &Request<'_>) -> &Places {
        match self.token_endpoint() {
            Some(endpoint) if request.authorization.is_some() => &endpoint.by_header,
            _ => &self.places,
        }
    }

    /// The headers of an allowed request: see [`Allow::headers`](crate::Allow::headers).
    pub fn headers<'r>(
        &'r self,
        grant: Option<&'r Grant>,
    ) -> impl Iterator<Item = (&'r str, Option<Cow<'r, str>>)> {
        let upstream = &self.upstream;
        let hidden = upstream.hidden.iter().map(|name| (name.as_str(), None));
        let token = upstream.token_header.as_ref();
        let token =
            token.map(move |header| (header.name.as_str(), grant.map(|grant| header.value(grant))));
        let claims = grant.and_then(Grant::claims_set);
        let named = upstream
            .claim_headers
            .iter()
            .map(move |(name, path)| (name.as_str(), header_value(claims, path)));
        hidden.chain(token).chain(named)
    }

    /// The remaining time for which this gate serves a token; `None` if it does not cache it.
    pub fn expires_in(&self, grant: &Grant) -> Option<Duration> {
        let age = grant.age(SystemClock.now(), SystemClock.wall());
        Some(self.retention.kept(grant)?.saturating_sub(age))
    }

    /// The introspection of a token, if the gate introspects tokens of its kind.
    pub(crate) fn introspects(&self, token: &str) -> Option<&Introspection> {
        let introspection = self.introspection.as_ref()?;
        (introspection.jwts || !is_jws(token)).then_some(introspection)
    }

    /// Whether the client of a token may use the gate.
    pub(crate) fn allows_client_of(&self, grant: &Grant) -> bool {
        self.clients_allowed
            .as_ref()
            .is_none_or(|clients| clients.allow_client_of(grant))
    }

    pub(crate) fn allows_client(&self, client_id: &[u8]) -> bool {
        self.clients_allowed
            .as_ref()
            .is_none_or(|clients| clients.allow(client_id))
    }
}

/// The maximum time for which a refusal of the gateway's own client is cached.
const OWN_REFUSAL: Duration = Duration::from_secs(5);

fn uses(config: &Config, method: AuthMethods) -> bool {
    config.auth_methods.contains(&method)
}

fn check(config: &Config, problems: &mut Problems) {
    let mut wrong = |message: &str| problems.add(value_error(message));
    if config.auth_methods.is_empty() {
        wrong("auth_methods: must contain \"client_credentials\", \"bearer\" or \"introspection\"");
    }
    if config.timeout == 0 {
        wrong("timeout: must be at least 1 (milliseconds)");
    }
    check_places(config, &mut wrong);
    if config.ignore_signature.contains(&AuthMethods::Bearer)
        || (!config.verify_signature && uses(config, AuthMethods::Bearer))
    {
        wrong(
            "verify_signature: must be true with bearer, because only the signature proves a client's own token; set it \
             to true, without bearer in ignore_signature, or remove bearer from auth_methods",
        );
    }
    if !config.verify_claims && uses(config, AuthMethods::Bearer) {
        wrong(
            "verify_claims: must be true with bearer, because a client's own token may have expired; set it to true, or \
             remove bearer from auth_methods",
        );
    }
    if config
        .ignore_signature
        .contains(&AuthMethods::Introspection)
    {
        wrong(
            "ignore_signature: must not contain introspection, which verifies no signature; remove it",
        );
    }
    if !config.verify_claims && uses(config, AuthMethods::Introspection) {
        wrong(
            "verify_claims: must be true with introspection, because the response may be about another issuer's token; \
             set it to true, or remove introspection from auth_methods",
        );
    }
    if !config.verify_claims && !config.issuers_allowed.is_empty() {
        wrong("issuers_allowed: has no effect while verify_claims is false; remove one of them");
    }
    let statuses = &config.purge_token_on_upstream_status_codes;
    if statuses.iter().any(|status| !(400..=599).contains(status)) {
        wrong("purge_token_on_upstream_status_codes: must be between 400 and 599");
    }
}

/// The places of credentials, and the gateway's own.
fn check_places(config: &Config, wrong: &mut impl FnMut(&str)) {
    let places = &config.client_credentials_param_type;
    let is_own = config.client_id.is_some();
    let exchanges_only = config.auth_methods == [AuthMethods::ClientCredentials];
    if is_own && config.places_are_written {
        wrong(
            "client_credentials_param_type: has no effect with client_id, whose credentials the gate exchanges for \
             every request; remove one of them",
        );
    } else if places.is_empty() && !is_own {
        wrong("client_credentials_param_type: must contain header, query, body, headers or host");
    }
    if places.contains(&Source::Host) && places.len() > 1 {
        wrong(
            "client_credentials_param_type: host cannot be combined with other places, because the host supplies the \
             credentials of every request; remove the others, or host",
        );
    }
    if !exchanges_only && !config.auth_methods.is_empty() {
        if is_own {
            wrong(
                "auth_methods: must be client_credentials alone with client_id; remove the others",
            );
        } else if places.contains(&Source::Host) {
            wrong(
                "auth_methods: must be client_credentials alone with the place host, because no request is searched; \
                 remove the others",
            );
        }
    }
    if is_own && config.clients_allowed.is_some() {
        wrong(
            "clients_allowed: has no effect with client_id, because all requests use this client; remove one of them",
        );
    }
}

/// Covers exactly the settings that can change a client's token, or its verification.
fn fingerprint(
    config: &Config,
    issuer: &Issuer,
    request: &TokenRequest,
    own: Option<&OwnClient>,
    introspection: Option<&Introspection>,
    verify_signature: bool,
) -> Fingerprint {
    let mut fingerprint = FingerprintBuilder::new();
    issuer.fingerprint(&mut fingerprint);
    request.fingerprint(&mut fingerprint);
    for names in [&config.token_post_args_client, &config.token_post_args_host] {
        fingerprint.list(names.iter().map(|name| name.as_bytes()));
    }
    // A gate that verifies signatures must not get a token from one that does not.
    fingerprint.part(&[u8::from(verify_signature)]);
    fingerprint.list(config.cache_tokens_salt.iter().map(|salt| salt.as_bytes()));
    fingerprint.part(&[u8::from(own.is_some()), u8::from(introspection.is_some())]);
    if let Some(own) = own {
        own.fingerprint(&mut fingerprint);
    }
    if let Some(introspection) = introspection {
        introspection.fingerprint(issuer, &mut fingerprint);
    }
    fingerprint.finish()
}

fn warnings(config: &Config, verify_signature: bool) -> Vec<&'static str> {
    [
        // The first: see [`Gate::searches_requests`](crate::Gate::searches_requests).
        (
            config.client_id.is_some(),
            "client_id is set: every request gets a token of the gateway's own client, so something else must decide \
             which requests may pass",
        ),
        (
            config.client_credentials_param_type == [Source::Host],
            "client_credentials_param_type is host: the host decides which client's token a request gets, so something \
             else must prove that the request may have it",
        ),
        (
            config.methods_are_kongs,
            "auth_methods has Kong's default, of which client_credentials is enabled: list bearer and introspection if \
             clients bring tokens; authorization_code, kong_oauth2, password, refresh_token, session and userinfo are not \
             served",
        ),
        (
            !config.ssl_verify,
            "ssl_verify is false: anyone on the network path to the provider can read every secret",
        ),
        (
            !verify_signature && requires_claims(config),
            "signatures are not verified, but the gate's requirements depend on claims",
        ),
        (
            uses(config, AuthMethods::Bearer) && config.audience_required.is_empty(),
            "auth_methods contains bearer, and audience_required is empty: any access token of the issuer is accepted, \
             including tokens for other APIs, and ID tokens that look like access tokens",
        ),
        (
            uses(config, AuthMethods::Introspection)
                && !uses(config, AuthMethods::Bearer)
                && config.audience_required.is_empty(),
            "auth_methods contains introspection, and audience_required is empty: any active token of the issuer is \
             accepted, including tokens for other APIs",
        ),
        (
            !config.hide_credentials,
            "hide_credentials is false: clients' secrets go upstream",
        ),
        (
            config.allow_loopback_http,
            "allow_loopback_http is true: use it for development only",
        ),
    ]
    .into_iter()
    .filter_map(|(is_so, warning)| is_so.then_some(warning))
    .collect()
}

fn requires_claims(config: &Config) -> bool {
    [
        &config.scopes_required,
        &config.audience_required,
        &config.roles_required,
        &config.groups_required,
        &config.claims_forbidden,
    ]
    .into_iter()
    .any(|required| !required.is_empty())
}
