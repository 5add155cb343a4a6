//! One client credentials grant at a token endpoint ([RFC 6749 section 4.4]), and the verification of a token.
//!
//! [RFC 6749 section 4.4]: https://www.rfc-editor.org/rfc/rfc6749#section-4.4

mod answer;
mod form;

use crate::cause::{Cause, Denial};
use crate::claims::Claims;
use crate::credentials::Credentials;
use crate::gate::Rules;
use crate::journal::Level;
use crate::key::Key;
use crate::limits::{Attempt, Breaker, BreakerState};
use crate::policy::Breach;
use crate::provider::{Metadata, Provider};
use crate::secret::Secret;
use crate::shared::Quota;
use crate::token::{Answer, Grant, Origin, remaining, unverified_claims};
use crate::transport::{Call, Fault, Reply};
use crate::verify::{self, Jws, is_jws};
use crate::world::World;
use answer::{is_invalid_scope, refusal, unanswered};
pub(crate) use answer::{is_markup, oauth_error};
use std::sync::Arc;
use std::time::Instant;
use url::Url;

/// The longest answer of a token endpoint that is read.
const MAX_ANSWER: usize = 64 * 1024;

/// What is to be done for a flight.
pub(crate) enum Work {
    /// Exchange a pair for a token.
    Exchange(Credentials),
    /// Verify a token that the client brought.
    Verify(Secret),
}

/// Who an exchange is for, and with what.
pub(crate) struct Exchange<'e> {
    pub(crate) provider: &'e Provider,
    pub(crate) rules: &'e Rules,
    pub(crate) world: &'e Arc<World>,
    pub(crate) key: Key,
    /// `None`: refusals are not counted.
    pub(crate) quota: Option<Quota<'e>>,
}

impl Exchange<'_> {
    /// When whoever waits from now on is told at last.
    pub(crate) fn deadline(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + self.rules.timeout
    }

    /// Does the work before the deadline.
    pub(crate) async fn run(
        &self,
        work: &Work,
        deadline: tokio::time::Instant,
    ) -> Result<Grant, Denial> {
        let whole = async {
            match work {
                Work::Exchange(credentials) => self.exchange_within_quota(credentials).await,
                Work::Verify(token) => self.verify_brought(token.expose()).await,
            }
        };
        tokio::time::timeout_at(deadline, whole)
            .await
            .unwrap_or_else(|_| {
                let detail = format!(
                    "{} did not answer within {:?}",
                    self.provider.issuer.id, self.rules.timeout
                );
                Err(Denial::new(Cause::ProviderTimeout, detail))
            })
    }

    async fn exchange_within_quota(&self, credentials: &Credentials) -> Result<Grant, Denial> {
        let result = self.exchange(credentials).await;
        // Before anything else happens on this thread: the next exchange looks at it.
        if let (Some(quota), Err(denial)) = (&self.quota, &result)
            && denial.is_refusal()
        {
            quota.draw();
        }
        result
    }

    async fn exchange(&self, credentials: &Credentials) -> Result<Grant, Denial> {
        let (provider, rules) = (self.provider, self.rules);
        let permit = provider.exchanges.acquire().await;
        // Others may have been refused meanwhile.
        if let Some(quota) = &self.quota {
            quota.check()?;
        }
        let metadata = provider.metadata(self.world, rules).await?;
        let configured = rules.request.scope.as_deref().filter(|_| {
            !(rules.request.scope_is_default
                && provider.leaves_out_default_scope(&rules.fingerprint))
        });
        let callers = self.requests_scope(credentials);
        let mut reply = self
            .ask(&metadata, credentials, callers.or(configured))
            .await?;
        // Several providers refuse `openid` for this grant. Nobody asked for it: once more without, and never again.
        if rules.request.scope_is_default
            && callers.is_none()
            && configured.is_some()
            && is_invalid_scope(&reply)
        {
            reply = self.ask(&metadata, credentials, None).await?;
            if !is_invalid_scope(&reply) {
                provider.leave_out_default_scope(rules.fingerprint, self.world);
            }
        }
        drop(permit);
        if reply.status == 200 {
            let answer = Answer::read(&reply.body)?;
            let grant = self.grant(&metadata, credentials, &answer).await;
            return grant.map_err(Denial::spent);
        }
        if matches!(reply.status, 404 | 405 | 410) {
            // The token endpoint may have moved.
            provider.doubt_metadata().await;
        }
        Err(refusal(&metadata, &reply, self.world.clock.wall()))
    }

    /// The scope that came with the request, where the gate lets it.
    fn requests_scope<'c>(&self, credentials: &'c Credentials) -> Option<&'c str> {
        let names = &self.rules.places.args;
        credentials
            .args
            .iter()
            .find_map(|(number, value)| (names.get(*number)? == "scope").then_some(value.as_str()))
    }

    /// One request to the token endpoint.
    async fn ask(
        &self,
        metadata: &Metadata,
        credentials: &Credentials,
        scope: Option<&str>,
    ) -> Result<Reply, Denial> {
        let (provider, world) = (self.provider, self.world);
        let url = token_endpoint(metadata)?;
        let now = || world.clock.now();
        let attempt = self.admit(&provider.breaker, &now)?;
        let form = form::form(self.rules, metadata, credentials, scope, world.clock.wall())?;
        let call = Call {
            url: url.clone(),
            form: Some(form),
            headers: self.rules.request.headers.clone(),
            max_answer: MAX_ANSWER,
        };
        let started = now();
        let sent = world
            .transport
            .send(&provider.issuer.connection, call)
            .await;
        world
            .metrics
            .exchange
            .observe(now().saturating_duration_since(started));
        let is_well = match &sent {
            Ok(reply) => !(500..=599).contains(&reply.status),
            Err(Fault::TooLong) => true,
            Err(_) => false,
        };
        attempt.report(is_well);
        self.note_breaker();
        let reply = sent.map_err(|fault| unanswered(url, fault))?;
        world
            .metrics
            .note_limits(&provider.issuer.id, &reply.limits);
        Ok(reply)
    }

    fn admit<'b>(
        &self,
        breaker: &'b Breaker,
        now: &'b (dyn Fn() -> Instant + Sync),
    ) -> Result<Attempt<'b>, Denial> {
        breaker.admit(now).map_err(|wait| {
            // It may have opened when an exchange was given up.
            self.note_breaker();
            let issuer = &self.provider.issuer.id;
            let detail =
                format!("{issuer} has failed too often in a row, and is left alone for a while");
            Denial::new(Cause::ProviderPaused, detail).retry_in(wait)
        })
    }

    /// Tells those who operate it, once, when the provider is left alone and when it works again.
    fn note_breaker(&self) {
        let (issuer, breaker) = (&self.provider.issuer.id, &self.provider.breaker);
        self.world.metrics.note_breaker(issuer, breaker.state_now());
        let Some(state) = breaker.turn() else {
            return;
        };
        let (level, what) = match state {
            BreakerState::Open => (
                Level::Warning,
                "fails, and is left alone for a while: clients whose token is cached go on",
            ),
            BreakerState::Closed => (Level::Notice, "works again"),
        };
        self.world.journal.note(level, format!("{issuer} {what}"));
    }

    /// Verifies what a token endpoint answered.
    async fn grant(
        &self,
        metadata: &Arc<Metadata>,
        credentials: &Credentials,
        answer: &Answer,
    ) -> Result<Grant, Denial> {
        let received = self.world.clock.now();
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
            // No JWT that anybody could verify: nothing that it says is believed.
            None
        } else {
            unverified_claims(token)
        };
        let claims = members.map(|members| Claims::new(members, Some(&metadata.issuer)));
        let lifetime = answer.lifetime(claims.as_ref(), self.world.clock.wall());
        Ok(Grant::new(
            self.origin(received, false),
            &credentials.client_id,
            token,
            lifetime,
            claims,
        ))
    }

    /// A token that the client brought is good where its signature, its issuer and its times are (RFC 9068 section 4).
    async fn verify_brought(&self, token: &str) -> Result<Grant, Denial> {
        let invalid = |why: &str| Denial::new(Cause::TokenInvalid, why);
        if !is_jws(token) {
            return Err(invalid("it is no JWT"));
        }
        let received = self.world.clock.now();
        let metadata = self.provider.metadata(self.world, self.rules).await?;
        let jws = self
            .verify(&metadata, token)
            .await
            .map_err(|denial| match denial {
                Unverified::Fault(fault) => invalid(fault.why()),
                Unverified::Denial(denial) => denial,
            })?;
        let claims = Claims::new(jws.into_claims(), Some(&metadata.issuer));
        let wall = self.world.clock.wall();
        if claims.get("exp").is_none() {
            return Err(invalid("it has no exp"));
        }
        match self.rules.policy.check(Some(&claims), wall) {
            Err(Breach::Insufficient(_)) | Ok(()) => {}
            Err(breach) => return Err(invalid(breach.why())),
        }
        let client_id = ["client_id", "azp", "appid", "cid", "sub"]
            .into_iter()
            .find_map(|name| claims.text(name))
            .filter(|id| !id.chars().any(char::is_control))
            .ok_or_else(|| invalid("it names no client"))?
            .to_owned();
        let lifetime = remaining(&claims, wall);
        let origin = self.origin(received, true);
        Ok(Grant::new(
            origin,
            &client_id,
            token,
            lifetime,
            Some(claims),
        ))
    }

    /// A key that is not known may be new: the provider is asked for its keys once more, if it has not just been.
    async fn verify<'t>(
        &self,
        metadata: &Arc<Metadata>,
        token: &'t str,
    ) -> Result<Jws<'t>, Unverified> {
        let jws = Jws::parse(token).map_err(Unverified::Fault)?;
        let ask = |unlike| self.provider.keys(self.world, self.rules, metadata, unlike);
        let keys = ask(None).await.map_err(Unverified::Denial)?;
        let verified = match jws.verify(&keys) {
            Err(verify::Fault::UnknownKey) => {
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

    fn origin(&self, received: Instant, is_brought: bool) -> Origin {
        Origin {
            key: self.key,
            fingerprint: self.rules.fingerprint,
            received,
            is_brought,
        }
    }
}

/// Why a token does not verify: by its own fault, or because the keys are not to be had.
enum Unverified {
    Fault(verify::Fault),
    Denial(Denial),
}

fn token_endpoint(metadata: &Metadata) -> Result<&Url, Denial> {
    metadata.token_endpoint.as_ref().ok_or_else(|| {
        Denial::new(
            Cause::ProviderAnswerInvalid,
            format!(
                "the metadata of {} names no token_endpoint: set token_endpoint",
                metadata.issuer
            ),
        )
    })
}

#[cfg(test)]
mod tests;
