//! One client credentials grant at a token endpoint ([RFC 6749 section 4.4]), and the verification of a token.
//!
//! [RFC 6749 section 4.4]: https://www.rfc-editor.org/rfc/rfc6749#section-4.4

use super::refusal::{is_invalid_scope, refusal, unanswered};
use super::{Metadata, Provider, token_request};
use crate::cache::quota::Quota;
use crate::cause::{Cause, Denial};
use crate::env::Env;
use crate::gate::Rules;
use crate::gate::policy::Breach;
use crate::http::{Call, Fault, Response};
use crate::key::Key;
use crate::request::credentials::Credentials;
use crate::sys::secret::Secret;
use crate::token::claims::Claims;
use crate::token::{Grant, Origin, TokenResponse, remaining, unverified_claims};
use crate::token::{Jws, JwsError, is_jws};
use std::sync::Arc;
use url::Url;

/// The maximum size of a token response, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// The work of a flight.
pub(crate) enum Work {
    /// Exchange a pair for a token.
    Exchange(Credentials),
    /// Verify a client's own token.
    Verify(Secret),
}

/// The context of an exchange.
pub(crate) struct Exchange<'e> {
    pub(crate) provider: &'e Provider,
    pub(crate) rules: &'e Rules,
    pub(crate) env: &'e Arc<Env>,
    pub(crate) key: Key,
    /// `None`: refusals are not counted.
    pub(crate) quota: Option<Quota<'e>>,
}

impl Exchange<'_> {
    /// The deadline of requests that start waiting now.
    pub(crate) fn deadline(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + self.rules.timeout
    }

    /// Does the work, or denies at the deadline.
    pub(crate) async fn run(
        &self,
        work: &Work,
        deadline: tokio::time::Instant,
    ) -> Result<Grant, Denial> {
        let whole = async {
            match work {
                Work::Exchange(credentials) => self.exchange_within_quota(credentials).await,
                Work::Verify(token) => self.verify_client_supplied(token.expose()).await,
            }
        };
        tokio::time::timeout_at(deadline, whole)
            .await
            .unwrap_or_else(|_| {
                let detail = format!(
                    "{} did not respond within {:?}",
                    self.provider.issuer.id, self.rules.timeout
                );
                Err(Denial::new(Cause::ProviderTimeout, detail))
            })
    }

    async fn exchange_within_quota(&self, credentials: &Credentials) -> Result<Grant, Denial> {
        let result = self.exchange(credentials).await;
        // At once, before the next exchange on this thread checks the budget.
        if let (Some(quota), Err(denial)) = (&self.quota, &result)
            && denial.is_refusal()
        {
            quota.draw();
        }
        result
    }

    async fn exchange(&self, credentials: &Credentials) -> Result<Grant, Denial> {
        let (provider, rules) = (self.provider, self.rules);
        let permit = provider.health.permit().await;
        // Other exchanges may have been refused meanwhile.
        if let Some(quota) = &self.quota {
            quota.check()?;
        }
        let metadata = provider.metadata(self.env, rules).await?;
        let configured = rules.request.scope.as_deref().filter(|_| {
            !(rules.request.scope_is_default
                && provider.leaves_out_default_scope(&rules.fingerprint))
        });
        let callers = self.requests_scope(credentials);
        let mut reply = self
            .ask(&metadata, credentials, callers.or(configured))
            .await?;
        // Several providers refuse `openid` for this grant. It was not configured: retry once without it, and omit it
        // from now on.
        if rules.request.scope_is_default
            && callers.is_none()
            && configured.is_some()
            && is_invalid_scope(&reply)
        {
            reply = self.ask(&metadata, credentials, None).await?;
            if !is_invalid_scope(&reply) {
                provider.leave_out_default_scope(rules.fingerprint, self.env);
            }
        }
        drop(permit);
        if reply.status == 200 {
            let answer = TokenResponse::read(&reply.body)?;
            let grant = self.grant(&metadata, credentials, &answer).await;
            return grant.map_err(Denial::spent);
        }
        if matches!(reply.status, 404 | 405 | 410) {
            // The token endpoint may have moved.
            provider.doubt_metadata().await;
        }
        Err(refusal(&metadata, &reply, self.env.clock.wall()))
    }

    /// The caller's scope, if the gate accepts one.
    fn requests_scope<'c>(&self, credentials: &'c Credentials) -> Option<&'c str> {
        let names = &self.rules.places.args;
        credentials
            .args
            .iter()
            .find_map(|(number, value)| (names.get(*number)? == "scope").then_some(value.as_str()))
    }

    /// The scope of a token request: the caller's or the gate's, without a default that the provider refuses.
    fn requested_scope<'c>(&'c self, credentials: &'c Credentials) -> Option<&'c str> {
        let (provider, rules) = (self.provider, self.rules);
        let is_left_out = || {
            rules.request.scope_is_default && provider.leaves_out_default_scope(&rules.fingerprint)
        };
        let configured = rules.request.scope.as_deref();
        self.requests_scope(credentials)
            .or_else(|| configured.filter(|_| !is_left_out()))
    }

    /// One request to the token endpoint.
    async fn ask(
        &self,
        metadata: &Metadata,
        credentials: &Credentials,
        scope: Option<&str>,
    ) -> Result<Response, Denial> {
        let (provider, env) = (self.provider, self.env);
        let url = token_endpoint(metadata)?;
        let now = || env.clock.now();
        let attempt = provider.health.admit(env, &now)?;
        let form = token_request::form(self.rules, metadata, credentials, scope, env.clock.wall())?;
        let call = Call {
            url: url.clone(),
            form: Some(form),
            headers: self.rules.request.headers.clone(),
            max_answer: MAX_ANSWER,
        };
        let started = now();
        let sent = env.transport.send(&provider.issuer.connection, call).await;
        env.metrics
            .exchange
            .observe(now().saturating_duration_since(started));
        let is_well = match &sent {
            Ok(reply) => !(500..=599).contains(&reply.status),
            Err(Fault::TooLong) => true,
            Err(_) => false,
        };
        attempt.report(is_well);
        provider.health.note(env);
        let reply = sent.map_err(|fault| unanswered(url, fault))?;
        env.metrics.note_limits(&provider.issuer.id, &reply.limits);
        Ok(reply)
    }

    /// Verifies a token response.
    async fn grant(
        &self,
        metadata: &Arc<Metadata>,
        credentials: &Credentials,
        answer: &TokenResponse,
    ) -> Result<Grant, Denial> {
        let origin = self.origin(false);
        let token = answer.access_token.as_str();
        let members = if self.rules.verify_signature && is_jws(token) {
            let jws = self
                .verify(metadata, token)
                .await
                .map_err(|denial| match denial {
                    Unverified::Fault(fault) => self.unverifiable(fault.why()),
                    Unverified::Denial(denial) => denial,
                })?;
            Some(jws.into_claims())
        } else if self.rules.verify_signature {
            // Not a verifiable JWT: its claims are ignored.
            None
        } else {
            unverified_claims(token)
        };
        let claims = members.map(|members| Claims::new(members, Some(&metadata.issuer)));
        let lifetime = answer.lifetime(claims.as_ref(), self.env.clock.wall());
        // The claims of a JWT state its scope, also if they cannot be read.
        let scope = if is_jws(token) {
            None
        } else {
            answer.scope(self.requested_scope(credentials))
        };
        let client_id = &credentials.client_id;
        Ok(Grant::new(origin, client_id, token, lifetime, claims).with_scope(scope))
    }

    /// Verifies a client's own token: signature, type, issuer and times (RFC 9068 section 4).
    async fn verify_client_supplied(&self, token: &str) -> Result<Grant, Denial> {
        let invalid = |why: &str| Denial::new(Cause::TokenInvalid, why);
        if !is_jws(token) {
            return Err(invalid("it is no JWT"));
        }
        let origin = self.origin(true);
        let metadata = self.provider.metadata(self.env, self.rules).await?;
        let jws = self
            .verify(&metadata, token)
            .await
            .map_err(|denial| match denial {
                Unverified::Fault(fault) => invalid(fault.why()),
                Unverified::Denial(denial) => denial,
            })?;
        if !jws.may_be_access_token() {
            return Err(invalid("its typ is not an access token's"));
        }
        let claims = Claims::new(jws.into_claims(), Some(&metadata.issuer));
        if claims.are_of_id_token() {
            return Err(invalid("it is an ID token"));
        }
        // Its client must prove possession of the key (RFC 7800 section 3.1).
        if claims.get("cnf").is_some() {
            return Err(invalid(
                "it is bound to a key (cnf), which the gate does not verify",
            ));
        }
        let wall = self.env.clock.wall();
        if claims.get("exp").is_none() {
            return Err(invalid("it has no exp"));
        }
        match self.rules.policy.check_claims(&claims, wall) {
            Err(Breach::Insufficient(_)) | Ok(()) => {}
            Err(breach) => return Err(invalid(breach.why())),
        }
        let client_id = ["client_id", "azp", "appid", "cid", "sub"]
            .into_iter()
            .filter_map(|name| claims.text(name))
            .find(|id| !id.is_empty())
            .filter(|id| !id.chars().any(char::is_control))
            .ok_or_else(|| invalid("it names no client"))?
            .to_owned();
        let lifetime = remaining(&claims, wall);
        Ok(Grant::new(
            origin,
            &client_id,
            token,
            lifetime,
            Some(claims),
        ))
    }

    /// An unknown key may be new, and an unusable one replaced: fetches the keys again, unless they were fetched
    /// recently.
    async fn verify<'t>(
        &self,
        metadata: &Arc<Metadata>,
        token: &'t str,
    ) -> Result<Jws<'t>, Unverified> {
        let jws = Jws::parse(token).map_err(Unverified::Fault)?;
        let ask = |unlike| self.provider.keys(self.env, self.rules, metadata, unlike);
        let keys = ask(None).await.map_err(Unverified::Denial)?;
        let verified = match jws.verify(&keys) {
            Err(JwsError::UnknownKey | JwsError::UnusableKey(_)) => {
                let newer = ask(Some(&keys)).await.map_err(Unverified::Denial)?;
                jws.verify(&newer)
            }
            verified => verified,
        };
        verified.map(|()| jws).map_err(Unverified::Fault)
    }

    fn unverifiable(&self, why: &str) -> Denial {
        let detail = format!("the token of {}: {why}", self.provider.issuer.id);
        Denial::new(Cause::TokenUnverifiable, detail)
    }

    /// The origin of a token that is received now.
    fn origin(&self, is_client_supplied: bool) -> Origin {
        Origin {
            key: self.key,
            fingerprint: self.rules.fingerprint,
            received: self.env.clock.now(),
            received_wall: self.env.clock.wall(),
            is_client_supplied,
        }
    }
}

/// The reason why a token does not verify: its own fault, or unavailable keys.
enum Unverified {
    Fault(JwsError),
    Denial(Denial),
}

fn token_endpoint(metadata: &Metadata) -> Result<&Url, Denial> {
    metadata.token_endpoint.as_ref().ok_or_else(|| {
        Denial::new(
            Cause::ProviderResponseInvalid,
            format!(
                "the metadata of {} names no token_endpoint: set token_endpoint",
                metadata.issuer
            ),
        )
    })
}
