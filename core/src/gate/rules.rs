//! The rules compiled from a configuration.

use super::TokenRequest;
use super::clients::Clients;
use super::header_name::credential_headers;
use super::token_request::arg_names;
use super::upstream::{Upstream, header_value};
use crate::config::{AuthMethods, Config, value_error};
use crate::error::{Error, Problems};
use crate::gate::issuer::Issuer;
use crate::gate::policy::Policy;
use crate::gate::retention::Retention;
use crate::key::{Fingerprint, FingerprintBuilder};
use crate::request::Source;
use crate::request::extract::Places;
use crate::sys::clock::{Clock, SystemClock};
use crate::token::Grant;
use std::borrow::Cow;
use std::time::Duration;

/// The rules compiled from a configuration. Opaque: keeps the strings of an [`Allow`](crate::Allow) alive.
#[derive(Debug, Clone)]
pub struct Rules {
    pub(crate) places: Places,
    pub(crate) clients_allowed: Option<Clients>,
    pub(crate) hide: bool,
    pub(crate) run_on_preflight: bool,
    pub(crate) anonymous: bool,
    pub(crate) issuer: Issuer,
    pub(crate) request: TokenRequest,
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
        let may_have_keys = issuer.as_ref().is_none_or(Issuer::may_have_keys);
        if !may_have_keys && (verify_signature || uses(config, AuthMethods::Bearer)) {
            problems.add(value_error(
                "jwks_endpoint: is required to verify signatures, because using_pseudo_issuer disables discovery; set \
                 it, or set verify_signature to false",
            ));
        }
        let (Some(issuer), Some(request), Some(args), Some(clients_allowed), Some(headers)) =
            (issuer, request, args, clients_allowed, headers)
        else {
            return Err(problems.into_error());
        };
        let (Some(upstream), Some(policy), Some(retention)) = (upstream, policy, retention) else {
            return Err(problems.into_error());
        };
        problems.finish()?;
        let pairs = uses(config, AuthMethods::ClientCredentials);
        let within = |place| pairs && config.client_credentials_param_type.contains(&place);
        Ok(Rules {
            places: Places {
                header: within(Source::Header),
                query: within(Source::Query),
                body: within(Source::Body),
                bearer: uses(config, AuthMethods::Bearer),
                is_rare: uses(config, AuthMethods::Bearer) || headers.is_some(),
                headers,
                basic_encoding: config.basic_encoding,
                args,
                max_body_bytes: config.max_body_bytes,
            },
            clients_allowed,
            hide: config.hide_credentials,
            run_on_preflight: config.run_on_preflight,
            anonymous: config.anonymous,
            fingerprint: fingerprint(config, &issuer, &request, verify_signature),
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
        })
    }

    /// The same rules with `anonymous`.
    pub(super) fn optional(&self) -> Rules {
        let mut effective: serde_json::Value =
            serde_json::from_str(&self.effective).unwrap_or_default();
        effective["anonymous"] = true.into();
        Rules {
            anonymous: true,
            effective: effective.to_string(),
            ..self.clone()
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
        let claims = grant.and_then(|grant| grant.claims.as_ref());
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

    pub(crate) fn allows_client(&self, client_id: &[u8]) -> bool {
        self.clients_allowed
            .as_ref()
            .is_none_or(|clients| clients.allow(client_id))
    }
}

fn uses(config: &Config, method: AuthMethods) -> bool {
    config.auth_methods.contains(&method)
}

fn check(config: &Config, problems: &mut Problems) {
    let mut wrong = |message: &str| problems.add(value_error(message));
    if config.auth_methods.is_empty() {
        wrong("auth_methods: must contain \"client_credentials\" or \"bearer\"");
    }
    if config.timeout == 0 {
        wrong("timeout: must be at least 1 (milliseconds)");
    }
    if config.client_credentials_param_type.is_empty() {
        wrong("client_credentials_param_type: must contain header, query, body or headers");
    }
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
    if !config.verify_claims && !config.issuers_allowed.is_empty() {
        wrong("issuers_allowed: has no effect while verify_claims is false; remove one of them");
    }
    let statuses = &config.purge_token_on_upstream_status_codes;
    if statuses.iter().any(|status| !(400..=599).contains(status)) {
        wrong("purge_token_on_upstream_status_codes: must be between 400 and 599");
    }
}

/// Covers exactly the settings that can change a client's token, or its verification.
fn fingerprint(
    config: &Config,
    issuer: &Issuer,
    request: &TokenRequest,
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
    fingerprint.finish()
}

fn warnings(config: &Config, verify_signature: bool) -> Vec<&'static str> {
    [
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
