//! One client credentials grant at a token endpoint ([RFC 6749 section 4.4]), and the verification of a token.
//!
//! [RFC 6749 section 4.4]: https://www.rfc-editor.org/rfc/rfc6749#section-4.4

use super::health::{Attempt, Candidate, Parties, Verdict};
use super::refusal::{busy_for_all, is_invalid_client, is_invalid_scope, refusal, unanswered};
use super::{Metadata, Provider, quote, token_request};
use crate::cache::flight::Patience;
use crate::cause::{Cause, Denial};
use crate::config::TokenAuth;
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
use std::time::Duration;
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
    pub(crate) parties: Parties,
    /// `None`: nobody waits for it any longer.
    pub(crate) patience: &'e (dyn Fn() -> Option<Patience> + Send + Sync),
}

/// A token request without a response.
struct Unanswered {
    verdict: Verdict,
    denial: Denial,
}

/// A token request as the provider accepts it of a client.
#[derive(Clone, Copy)]
struct Form<'f> {
    credentials: &'f Credentials,
    auth: TokenAuth,
    scope: Option<&'f str>,
}

impl Exchange<'_> {
    /// Does the work. Once a token request has begun, the work ends on its own, though its waiters have left.
    pub(crate) async fn run(&self, work: &Work) -> Result<Grant, Denial> {
        match work {
            Work::Exchange(credentials) => self.exchange(credentials).await,
            Work::Verify(token) => self.verify_client_supplied(token.expose()).await,
        }
    }

    async fn exchange(&self, credentials: &Credentials) -> Result<Grant, Denial> {
        let mut metadata = self.provider.metadata(self.env).await?;
        token_endpoint(&metadata)?;
        let candidate = Candidate {
            rules: self.rules,
            key: &self.key,
            parties: &self.parties,
            patience: self.patience,
        };
        let attempt = self.provider.health.admit(self.env, &candidate).await?;
        let mut sent = self.negotiate(&attempt, &metadata, credentials).await;
        if let Ok((
            Response {
                status: 404 | 405 | 410,
                ..
            },
            _,
        )) = sent
            && let Some(newer) = self.moved(&metadata).await
            && attempt.may_retry()
        {
            metadata = newer;
            sent = self.negotiate(&attempt, &metadata, credentials).await;
        }
        let (reply, requested) = match sent {
            Ok(answered) => answered,
            Err(Unanswered { verdict, denial }) => {
                attempt.report(verdict);
                return Err(denial);
            }
        };
        self.env
            .metrics
            .note_limits(&self.provider.issuer.id, &reply.limits);
        if reply.status == 200 {
            attempt.report(Verdict::Granted);
            let response = TokenResponse::read(&reply.body)?;
            let grant = self
                .grant(&metadata, credentials, requested, &response)
                .await;
            return grant.map_err(Denial::spent);
        }
        let wall = self.env.clock.wall();
        let denial = refusal(&metadata, credentials, &reply, wall);
        attempt.report(match denial.cause {
            Cause::CredentialsRefused | Cause::ClientForbidden => Verdict::Refused,
            Cause::RequestRefused => Verdict::Rejected,
            Cause::ProviderBusy => Verdict::Busy {
                retry_after: busy_for_all(&reply, wall),
            },
            _ => Verdict::Failed,
        });
        Err(denial)
    }

    /// Newer metadata, if the token endpoint has moved.
    async fn moved(&self, metadata: &Arc<Metadata>) -> Option<Arc<Metadata>> {
        let newer = self.provider.newer_metadata(self.env, metadata).await;
        newer
            .ok()
            .filter(|newer| newer.token_endpoint != metadata.token_endpoint)
    }

    /// The response to the token request, and the scope that it requested, in the way in which the provider accepts it of
    /// this client: without the default scope, or with the other authentication method. The exchange remembers the
    /// accepted way.
    async fn negotiate<'c>(
        &'c self,
        attempt: &Attempt<'_>,
        metadata: &Metadata,
        credentials: &'c Credentials,
    ) -> Result<(Response, Option<&'c str>), Unanswered> {
        let (provider, request, client) = (self.provider, &self.rules.request, self.parties.client);
        let known = provider.habits(&client);
        let mut habits = known;
        let callers = self.requests_scope(credentials);
        let has_default = request.scope_is_default && callers.is_none();
        let configured = request.scope.as_deref();
        let mut form = Form {
            credentials,
            auth: request.auth.or(habits.auth).unwrap_or(metadata.auth),
            scope: callers.or(configured.filter(|_| !(has_default && habits.omits_default_scope))),
        };
        let mut reply = self.ask(metadata, form).await?;
        if has_default && form.scope.is_some() && is_invalid_scope(&reply) && attempt.may_retry() {
            form.scope = None;
            reply = self.ask(metadata, form).await?;
            if !is_invalid_scope(&reply) {
                habits.omits_default_scope = true;
                provider.note_default_scope(self.env);
            }
        }
        if let (None, None, Some(other)) = (request.auth, habits.auth, metadata.other_auth)
            && is_invalid_client(&reply)
            && attempt.may_retry()
        {
            form.auth = other;
            let second = self.ask(metadata, form).await?;
            // If both are refused, the credentials are wrong, and the first response says so.
            if !is_invalid_client(&second) {
                reply = second;
            }
        }
        if reply.status == 200 {
            habits.auth = Some(form.auth);
        }
        if habits != known {
            provider.note_habits(client, habits);
        }
        Ok((reply, form.scope))
    }

    /// The caller's scope, if the gate accepts one.
    fn requests_scope<'c>(&self, credentials: &'c Credentials) -> Option<&'c str> {
        let names = &self.rules.places.args;
        credentials
            .args
            .iter()
            .find_map(|(number, value)| (names.get(*number)? == "scope").then_some(value.as_str()))
    }

    /// One request to the token endpoint. It may take as long as the longest timeout of the gates whose requests wait.
    async fn ask(&self, metadata: &Metadata, form: Form<'_>) -> Result<Response, Unanswered> {
        let (provider, rules, env) = (self.provider, self.rules, self.env);
        let unsent = |denial| Unanswered {
            verdict: Verdict::Failed,
            denial,
        };
        let url = token_endpoint(metadata).map_err(unsent)?;
        let Form {
            credentials,
            auth,
            scope,
        } = form;
        let form = token_request::form(rules, metadata, credentials, auth, scope, env.clock.wall());
        let call = Call {
            url: url.clone(),
            form: Some(form.map_err(unsent)?),
            headers: rules.request.headers.clone(),
            max_answer: MAX_ANSWER,
        };
        let began = env.clock.now();
        let mut sending = env.transport.send(&provider.issuer.connection, call);
        let deadline = || {
            let longest = (self.patience)().map(|patience| patience.timeout);
            began + rules.timeout.max(longest.unwrap_or_default())
        };
        let mut until = deadline();
        let sent = loop {
            let sent = env.within(until, &mut sending).await;
            // A request with a longer timeout may have joined meanwhile.
            let later = deadline();
            if sent.is_some() || later <= until {
                break sent;
            }
            until = later;
        };
        env.metrics
            .exchange
            .observe(env.clock.now().saturating_duration_since(began));
        match sent {
            Some(Ok(reply)) => Ok(reply),
            Some(Err(fault)) => Err(Unanswered {
                verdict: match fault {
                    Fault::Unreachable(..) => Verdict::Unreachable,
                    Fault::Broken(_) | Fault::TooLong => Verdict::Failed,
                },
                denial: unanswered(url, fault),
            }),
            None => Err(Unanswered {
                verdict: Verdict::Failed,
                denial: late(&provider.issuer.id, rules.timeout),
            }),
        }
    }

    /// Verifies a token response.
    async fn grant(
        &self,
        metadata: &Arc<Metadata>,
        credentials: &Credentials,
        requested: Option<&str>,
        answer: &TokenResponse,
    ) -> Result<Grant, Denial> {
        let origin = self.origin(false);
        let token = answer.access_token.as_str();
        let members = if self.rules.verify_signature && is_jws(token) {
            let jws = self
                .verify(metadata, token, false)
                .await
                .map_err(|denial| match denial {
                    Unverified::Fault(fault) => {
                        let signer = quote::signer(token, Some(credentials));
                        self.unverifiable(&format!("{}{signer}", fault.why()))
                    }
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
            answer.scope(requested)
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
        let metadata = self.provider.metadata(self.env).await?;
        let jws = self
            .verify(&metadata, token, true)
            .await
            .map_err(|denial| match denial {
                Unverified::Fault(fault) => {
                    let signer = quote::signer(token, None);
                    invalid(&format!("{}{signer}", fault.why()))
                }
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

    /// Verifies a token with the provider's keys, and with newer ones if these do not suffice. A key may also be replaced
    /// under the same id; a client's own token is no reason to suspect that.
    async fn verify<'t>(
        &self,
        metadata: &Metadata,
        token: &'t str,
        is_client_supplied: bool,
    ) -> Result<Jws<'t>, Unverified> {
        let (provider, env) = (self.provider, self.env);
        let jws = Jws::parse(token).map_err(Unverified::Fault)?;
        let issuer = jws.issuer();
        let keys = provider.keys(env, metadata, issuer).await;
        let keys = keys.map_err(Unverified::Denial)?;
        let verified = match jws.verify(&keys) {
            Err(fault) if fault.suggests_newer_keys(is_client_supplied) => {
                let newer = provider.newer_keys(env, metadata, issuer, &keys, is_client_supplied);
                let newer = newer.await.map_err(Unverified::Denial)?;
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

/// The denial of those who wait longer than a gate's timeout.
pub(crate) fn late(issuer: &str, timeout: Duration) -> Denial {
    let detail = format!("{issuer} did not respond within {timeout:?}");
    Denial::new(Cause::ProviderTimeout, detail)
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
