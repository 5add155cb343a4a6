//! The outcome of a request: allow or deny.

use crate::cache_status::CacheStatus;
use crate::cause::{Cause, Denial};
use crate::gate::endpoint::TokenEndpoint;
use crate::gate::policy::{Breach, SCOPES};
use crate::gate::{Gate, Rules};
use crate::metrics::Metrics;
use crate::metrics::clients::Requests;
use crate::request::Source;
use crate::token::Grant;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The verdict on a request. A client of the gateway always gets one of these.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The request goes upstream, with the token.
    Allow(Allow),
    /// The gateway denies the request.
    Deny(Deny),
}

impl Outcome {
    /// The denial of a cause, as a gate words it: for a host that must deny a request without an engine's outcome.
    pub fn deny(gate: &Gate, cause: Cause) -> Outcome {
        Outcome::of_denial(&gate.rules, Denial::new(cause, ""), CacheStatus::None)
    }

    /// The outcome of a request that a host lets in without this gate's decision: an allow without a token. Its headers
    /// only remove those of the client.
    pub fn bypass(gate: &Gate) -> Outcome {
        Outcome::without_token(&gate.rules, CacheStatus::None)
    }

    /// The outcome of a gate's policy on a token, counted. `wall`: the time since the Unix epoch.
    pub(crate) fn of_grant(
        rules: &Arc<Rules>,
        grant: Arc<Grant>,
        cache_status: CacheStatus,
        source: Source,
        wall: Duration,
        metrics: &Metrics,
    ) -> Outcome {
        let verdict = rules.policy.check(&grant, wall);
        Outcome::of_verdict(rules, grant, verdict, cache_status, source, metrics)
    }

    /// The outcome of a policy's verdict on a token, counted.
    pub(crate) fn of_verdict(
        rules: &Arc<Rules>,
        grant: Arc<Grant>,
        verdict: Result<(), Breach>,
        cache_status: CacheStatus,
        source: Source,
        metrics: &Metrics,
    ) -> Outcome {
        let denial = match verdict {
            // The id of a pair was checked before its token was looked up.
            Ok(()) if !grant.is_client_supplied || rules.allows_client_of(&grant) => {
                grant.requests.allow(cache_status);
                return Outcome::Allow(Allow {
                    rules: Arc::clone(rules),
                    grant: Some(grant),
                    cache_status,
                    source: Some(source),
                });
            }
            Ok(()) => Denial::new(Cause::ClientNotAllowed, ""),
            Err(breach) => breach.denial(grant.is_client_supplied),
        };
        let outcome = Outcome::of_denial(rules, denial, cache_status);
        outcome.count(metrics, &grant.requests);
        outcome
    }

    /// A denial; if the gate allows anonymous requests, a 401 becomes an anonymous allow.
    pub(crate) fn of_denial(
        rules: &Arc<Rules>,
        denial: Denial,
        cache_status: CacheStatus,
    ) -> Outcome {
        if rules.anonymous && denial.cause.response().0 == 401 {
            return Outcome::without_token(rules, CacheStatus::Anonymous);
        }
        Outcome::Deny(Deny {
            rules: Arc::clone(rules),
            denial,
            cache_status,
        })
    }

    /// Counts the outcome among the requests of its client.
    pub(crate) fn count(&self, metrics: &Metrics, requests: &Requests) {
        match self {
            Outcome::Allow(allow) => requests.allow(allow.cache_status),
            Outcome::Deny(deny) => metrics.deny(deny.cause(), deny.cache_status, requests),
        }
    }

    /// An allow without an authenticated client.
    pub(crate) fn without_token(rules: &Arc<Rules>, cache_status: CacheStatus) -> Outcome {
        Outcome::Allow(Allow {
            rules: Arc::clone(rules),
            grant: None,
            cache_status,
            source: None,
        })
    }
}

impl Breach {
    /// `is_client_supplied`: the token is the client's own. Otherwise it came from the provider, and the client is at
    /// fault only for insufficient claims.
    fn denial(self, is_client_supplied: bool) -> Denial {
        match (self, is_client_supplied) {
            (Breach::Insufficient(field), _) => Denial {
                lacks_scope: field == SCOPES,
                ..Denial::new(
                    Cause::TokenInsufficient,
                    format!("the token does not meet {field}"),
                )
            },
            (Breach::Expired, true) => Denial::new(Cause::TokenInvalid, ""),
            (Breach::Untrusted(_) | Breach::OtherIssuer, true) => {
                Denial::new(Cause::TokenInvalid, self.why())
            }
            (Breach::Expired, false) => Denial::new(
                Cause::TokenUnverifiable,
                "the provider's token had already expired on arrival; compare the clocks of the provider and this host",
            ),
            (Breach::Untrusted(_) | Breach::OtherIssuer, false) => Denial::new(
                Cause::TokenUnverifiable,
                format!("the provider's token is not trusted: {}", self.why()),
            ),
        }
    }
}

/// An allowed request and its upstream headers. Owns its strings; cloning is cheap.
#[derive(Clone)]
pub struct Allow {
    rules: Arc<Rules>,
    grant: Option<Arc<Grant>>,
    cache_status: CacheStatus,
    source: Option<Source>,
}

impl Allow {
    /// The value of the token's `Authorization` header: `Bearer …`, with only the characters of an RFC 6750 token.
    /// `None` if the request passes without a token.
    pub fn authorization(&self) -> Option<&str> {
        self.grant.as_deref().map(Grant::authorization)
    }

    /// The client of the token; `None` without an authenticated client.
    pub fn client_id(&self) -> Option<&str> {
        self.grant.as_deref().map(Grant::client_id)
    }

    /// The headers for the upstream, by lower-case name. `None` removes the header in any spelling: a client must not
    /// set a header that the token does not.
    ///
    /// The value of a list or object is allocated.
    pub fn headers(&self) -> impl Iterator<Item = (&str, Option<Cow<'_, str>>)> {
        self.rules.headers(self.grant.as_deref())
    }

    /// Whether [`headers`](Allow::headers) contains only [`authorization`](Allow::authorization), in the header of that
    /// name.
    pub fn is_authorization_only(&self) -> bool {
        self.rules.upstream.authorization_only && self.grant.is_some()
    }

    /// A claim of the token: see [`Grant::claim`].
    pub fn claim(&self, name: &str) -> Option<Cow<'_, str>> {
        self.grant.as_deref()?.claim(name)
    }

    /// The success response of a token endpoint: see [`Grant::token_response`]. `None` without a token.
    pub fn token_response(&self) -> Option<String> {
        self.grant.as_deref().map(Grant::token_response)
    }

    /// The owners of the strings: the gate's rules, and the token.
    pub fn into_parts(self) -> (Arc<Rules>, Option<Arc<Grant>>) {
        (self.rules, self.grant)
    }

    /// The token, if there is one.
    pub fn grant(&self) -> Option<&Grant> {
        self.grant.as_deref()
    }

    /// The rules that allowed the request.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The cache status.
    pub fn cache_status(&self) -> CacheStatus {
        self.cache_status
    }

    /// The place of the credentials, which the host hides from the upstream.
    pub fn source(&self) -> Option<Source> {
        self.source
    }
}

impl fmt::Debug for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Allow")
            .field("client_id", &self.client_id())
            .field("cache_status", &self.cache_status)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// A denied request and its response.
#[derive(Debug, Clone)]
pub struct Deny {
    rules: Arc<Rules>,
    denial: Denial,
    cache_status: CacheStatus,
}

impl Deny {
    /// The cause.
    pub fn cause(&self) -> Cause {
        self.denial.cause
    }

    /// The HTTP status.
    pub fn http_status(&self) -> u16 {
        match self.rules.token_endpoint() {
            Some(_) => TokenEndpoint::response(self.denial.cause).0,
            None => self.denial.cause.response().0,
        }
    }

    /// The value of `WWW-Authenticate`, on a 401 and for insufficient tokens: one challenge, or two with a comma between
    /// them ([RFC 9110 section 11.6.1]).
    ///
    /// [RFC 9110 section 11.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1
    pub fn challenge(&self) -> Option<&str> {
        match self.rules.token_endpoint() {
            Some(endpoint) => endpoint.challenge(self.denial.cause),
            None => self.rules.upstream.challenge(&self.denial),
        }
    }

    /// The body, JSON: `{"message": …}`, as Kong sends it. Of a token endpoint: `{"error": …, "error_description": …}`
    /// ([RFC 6749 section 5.2]).
    ///
    /// [RFC 6749 section 5.2]: https://www.rfc-editor.org/rfc/rfc6749#section-5.2
    pub fn body(&self) -> &str {
        match self.rules.token_endpoint() {
            Some(_) => TokenEndpoint::response(self.denial.cause).1,
            None => self.rules.upstream.body(self.denial.cause),
        }
    }

    /// The media type of the body.
    pub fn content_type(&self) -> &'static str {
        "application/json; charset=utf-8"
    }

    /// Seconds for `Retry-After`, if a later retry can succeed.
    pub fn retry_after(&self) -> Option<u32> {
        self.denial.retry_after
    }

    /// One line for the operator's log. It contains no secret. It quotes words of a provider or a token, such as an error
    /// code, only if they are short and of harmless characters.
    pub fn detail(&self) -> &str {
        &self.denial.detail
    }

    /// The cache status.
    pub fn cache_status(&self) -> CacheStatus {
        self.cache_status
    }
}
