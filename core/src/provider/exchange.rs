//! One client credentials grant at a token endpoint ([RFC 6749 section 4.4]).
//!
//! [RFC 6749 section 4.4]: https://www.rfc-editor.org/rfc/rfc6749#section-4.4

use super::context::{Exchange, MAX_ANSWER, Unanswered};
use super::health::{Attempt, Candidate, Verdict};
use super::introspection::INACTIVE;
use super::refusal::{
    busy_for_all, is_client_refused, is_invalid_client, is_invalid_scope, refusal,
};
use super::verify::Unverified;
use super::{Metadata, quote, token_request};
use crate::cause::{Cause, Denial};
use crate::config::TokenAuth;
use crate::gate::TRACEPARENT;
use crate::http::{Call, Response};
use crate::request::credentials::Credentials;
use crate::sys::secret::Secret;
use crate::token::claims::Claims;
use crate::token::{Contents, Grant, TokenResponse, is_jws, unverified_claims};
use reqwest::header::HeaderName;
use std::sync::Arc;
use url::Url;

/// The work of a flight.
pub(crate) enum Work {
    /// Exchange a pair for a token.
    Exchange(Credentials),
    /// Verify or introspect a client's own token.
    Verify(Secret),
}

/// A response of the token endpoint, and the scope that was requested.
struct Answered<'a> {
    reply: Response,
    scope: Option<&'a str>,
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
        let result = self.result(work).await;
        match work {
            Work::Exchange(credentials) if credentials.are_own() => {
                result.map_err(Denial::of_own_client)
            }
            _ => result,
        }
    }

    /// The same, with the provider's verdict on the gateway's own client.
    pub(crate) async fn result(&self, work: &Work) -> Result<Grant, Denial> {
        match work {
            Work::Exchange(credentials) => self.exchange(credentials).await,
            Work::Verify(token) => self.verify_client_supplied(token.expose()).await,
        }
    }

    async fn exchange(&self, credentials: &Credentials) -> Result<Grant, Denial> {
        let mut metadata = self.provider.metadata(self.env).await?;
        if let Err(denial) = token_endpoint(&metadata) {
            self.provider.suspect_metadata(self.env);
            return Err(denial);
        }
        let own = self.rules.own.as_ref().filter(|_| credentials.are_own());
        let auth = self.rules.request.auth;
        if own.is_none() && auth.is_some_and(|auth| !auth.has_secret()) {
            // The gateway's own key proves no other client.
            let why = "the host supplies credentials to a gate whose client has no secret";
            return Err(Denial::new(Cause::RequestRefused, why));
        }
        let candidate = Candidate {
            rules: self.rules,
            key: &self.key,
            is_own: own.is_some() && self.sets_all_args(credentials),
            parties: &self.parties,
            patience: self.patience,
        };
        let attempt = self.provider.health.admit(self.env, &candidate).await?;
        let (wall, journal) = (self.env.clock.wall(), &self.env.journal);
        let (proven, renewed);
        let mut credentials = credentials;
        if let Some(own) = own {
            proven = own
                .prove(credentials, wall, journal)
                .map_err(Denial::unreadable)?;
            credentials = &proven;
        }
        let mut sent = self.negotiate(&attempt, &metadata, credentials).await;
        if let Ok(answered) = &sent
            && is_client_refused(&answered.reply)
            && let Some(changed) = own.and_then(|own| own.prove_anew(credentials, wall, journal))
            && attempt.may_retry()
        {
            renewed = changed;
            credentials = &renewed;
            sent = self.negotiate(&attempt, &metadata, credentials).await;
        }
        if let Ok(answered) = &sent
            && matches!(answered.reply.status, 404 | 405 | 410)
            && let Some(newer) = self.moved(&metadata).await
            && attempt.may_retry()
        {
            metadata = newer;
            sent = self.negotiate(&attempt, &metadata, credentials).await;
        }
        let Answered { reply, scope } = match sent {
            Ok(answered) => answered,
            Err(Unanswered { verdict, denial }) => {
                if matches!(verdict, Some(Verdict::Unreachable)) {
                    self.provider.suspect_metadata(self.env);
                }
                if let Some(verdict) = verdict {
                    attempt.report_denial(verdict, &denial);
                }
                return Err(denial);
            }
        };
        self.env
            .metrics
            .note_limits(&self.provider.issuer.id, &reply.limits);
        if reply.status == 200 {
            attempt.report(Verdict::Granted);
            let response = TokenResponse::read(&reply.body)?;
            let grant = self.grant(&metadata, credentials, scope, &response).await;
            return grant.map_err(Denial::spent);
        }
        let wall = self.env.clock.wall();
        let denial = refusal(&metadata, credentials, &reply, wall);
        let verdict = match denial.cause {
            Cause::CredentialsRefused | Cause::ClientForbidden => Verdict::Refused,
            Cause::RequestRefused => Verdict::Rejected,
            Cause::ProviderBusy => Verdict::Busy {
                retry_after: busy_for_all(&reply, wall),
            },
            _ => Verdict::Failed,
        };
        attempt.report_denial(verdict, &denial);
        Err(denial)
    }

    /// Whether all arguments that come with the request are the host's.
    fn sets_all_args(&self, credentials: &Credentials) -> bool {
        let callers = self.rules.places.args.callers().len();
        let mut numbers = credentials.args.iter().map(|(number, _)| *number);
        numbers.all(|number| usize::from(number) >= callers)
    }

    /// Newer metadata, if the token endpoint has moved.
    async fn moved(&self, metadata: &Arc<Metadata>) -> Option<Arc<Metadata>> {
        let newer = self.provider.newer_metadata(self.env, metadata).await;
        newer
            .ok()
            .filter(|newer| newer.token_endpoint != metadata.token_endpoint)
    }

    /// The response to the token request in the way in which the provider accepts it of this client: without the default
    /// scope, or with the other authentication method. The exchange remembers the accepted way.
    async fn negotiate<'c>(
        &'c self,
        attempt: &Attempt<'_>,
        metadata: &Metadata,
        credentials: &'c Credentials,
    ) -> Result<Answered<'c>, Unanswered> {
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
        let scope = form.scope;
        Ok(Answered { reply, scope })
    }

    /// The caller's scope, if the gate accepts one.
    fn requests_scope<'c>(&self, credentials: &'c Credentials) -> Option<&'c str> {
        let names = &self.rules.places.args;
        credentials
            .args
            .iter()
            .find_map(|(number, value)| (names.get(*number)? == "scope").then_some(value.as_str()))
    }

    /// One request to the token endpoint.
    async fn ask(&self, metadata: &Metadata, form: Form<'_>) -> Result<Response, Unanswered> {
        let (rules, env) = (self.rules, self.env);
        let url = token_endpoint(metadata).map_err(Unanswered::unsent)?;
        let Form {
            credentials,
            auth,
            scope,
        } = form;
        let form = token_request::form(rules, metadata, credentials, auth, scope, env.clock.wall());
        let headers = rules.request.secret_headers.headers(&rules.request.headers);
        let mut headers = headers.map_err(|error| Unanswered::unsent(Denial::unreadable(error)))?;
        headers.extend(
            self.traceparent
                .map(|value| (HeaderName::from_static(TRACEPARENT), value.clone())),
        );
        let call = Call {
            url: url.clone(),
            form: Some(form.map_err(Unanswered::unsent)?),
            headers,
            max_answer: MAX_ANSWER,
        };
        let began = env.clock.now();
        let sent = self.send("token endpoint", call).await;
        env.metrics
            .exchange
            .observe(env.clock.now().saturating_duration_since(began));
        sent
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
        let mut claims = members.map(|members| Claims::new(members, Some(&metadata.issuer)));
        if let Some(introspection) = self.rules.introspects(token) {
            let introspected = self.introspect(metadata, introspection, token).await?;
            let introspected = introspected.ok_or_else(|| self.unverifiable(INACTIVE))?;
            // Verified claims are the token's own.
            claims = claims
                .filter(|_| self.rules.verify_signature)
                .or(Some(introspected));
        }
        let lifetime = answer.lifetime(claims.as_ref().map(Claims::set), self.env.clock.wall());
        // The claims of a JWT state its scope, also if they cannot be read.
        let contents = match claims {
            Some(claims) => Contents::Claims(claims),
            None if is_jws(token) => Contents::Opaque(None),
            None => Contents::Opaque(answer.scope(requested)),
        };
        let client_id = &credentials.client_id;
        Ok(Grant::new(origin, client_id, token, lifetime, &contents))
    }

    fn unverifiable(&self, why: &str) -> Denial {
        let detail = format!("the token of {}: {why}", self.provider.issuer.id);
        Denial::new(Cause::TokenUnverifiable, detail)
    }
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
