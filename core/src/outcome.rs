//! What becomes of a request.

use crate::cause::{Cause, Denial};
use crate::gate::policy::Breach;
use crate::gate::{Gate, Rules};
use crate::request::Source;
use crate::token::Grant;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Allow, or deny. What a client of the gateway gets is always one of these.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The request goes upstream, with the token.
    Allow(Allow),
    /// The request is answered here.
    Deny(Deny),
}

impl Outcome {
    /// The denial of a cause, as a gate words it: for a host that must deny a request without an engine's outcome.
    pub fn deny(gate: &Gate, cause: Cause) -> Outcome {
        Outcome::of_denial(&gate.rules, Denial::new(cause, ""), CacheStatus::None)
    }

    /// What a gate makes of a token: each its own. `wall`: the time since the Unix epoch.
    pub(crate) fn of_grant(
        rules: &Arc<Rules>,
        grant: Arc<Grant>,
        cache_status: CacheStatus,
        source: Source,
        wall: Duration,
    ) -> Outcome {
        let verdict = rules.policy.check(grant.claims.as_ref(), wall);
        Outcome::of_verdict(rules, grant, verdict, cache_status, source)
    }

    /// What a gate makes of a token that its policy has judged.
    pub(crate) fn of_verdict(
        rules: &Arc<Rules>,
        grant: Arc<Grant>,
        verdict: Result<(), Breach>,
        cache_status: CacheStatus,
        source: Source,
    ) -> Outcome {
        let denial = match verdict {
            // The id of a pair has been judged before its token was looked up.
            Ok(()) if !grant.is_brought || rules.allows_client(grant.client_id().as_bytes()) => {
                return Outcome::Allow(Allow {
                    rules: Arc::clone(rules),
                    grant: Some(grant),
                    cache_status,
                    source: Some(source),
                });
            }
            Ok(()) => Denial::new(Cause::ClientNotAllowed, ""),
            Err(breach) => breach.denial(grant.is_brought),
        };
        Outcome::of_denial(rules, denial, cache_status)
    }

    /// A denial; where the gate lets unauthenticated requests pass, a 401 is none.
    pub(crate) fn of_denial(
        rules: &Arc<Rules>,
        denial: Denial,
        cache_status: CacheStatus,
    ) -> Outcome {
        if rules.anonymous && denial.cause.answer().0 == 401 {
            return Outcome::without_token(rules, CacheStatus::Anonymous);
        }
        Outcome::Deny(Deny {
            rules: Arc::clone(rules),
            denial,
            cache_status,
        })
    }

    /// The request passes, and nobody has been authenticated.
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
    /// `is_brought`: the client brought the token itself. Else it is the provider's, and the client's fault is only
    /// what it may do.
    fn denial(self, is_brought: bool) -> Denial {
        match (self, is_brought) {
            (Breach::Insufficient(field), _) => Denial::new(
                Cause::TokenInsufficient,
                format!("the token does not fulfil {field}"),
            ),
            (Breach::Expired, true) => Denial::new(Cause::TokenInvalid, ""),
            (Breach::Untrusted(_) | Breach::OtherIssuer, true) => {
                Denial::new(Cause::TokenInvalid, self.why())
            }
            (Breach::Expired, false) => Denial::new(
                Cause::TokenUnverifiable,
                "the provider's token has expired when it comes; do the clocks agree?",
            ),
            (Breach::Untrusted(_) | Breach::OtherIssuer, false) => Denial::new(
                Cause::TokenUnverifiable,
                format!("the provider's token cannot be trusted: {}", self.why()),
            ),
        }
    }
}

/// How an outcome came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheStatus {
    /// Nothing was looked up: the request holds no usable credentials.
    None,
    /// The token cache had it.
    Hit,
    /// An exchange was made for this request.
    Miss,
    /// An exchange was under way for another request with the same credentials, and this one waited for it.
    Joined,
    /// The token cache had it, and its renewal has failed: it is served to its end.
    Stale,
    /// The same credentials have just been refused, here or in a process that shares what it knows.
    Negative,
    /// The request passes without a token, as the gate allows what cannot be authenticated.
    Anonymous,
    /// The request passes without a token, as the gate does not look at `OPTIONS`.
    Preflight,
    /// Another process had it: it comes from the shared store.
    Shared,
}

impl CacheStatus {
    /// All of them.
    pub const ALL: [CacheStatus; 9] = [
        CacheStatus::None,
        CacheStatus::Hit,
        CacheStatus::Miss,
        CacheStatus::Joined,
        CacheStatus::Stale,
        CacheStatus::Negative,
        CacheStatus::Anonymous,
        CacheStatus::Preflight,
        CacheStatus::Shared,
    ];

    /// `NONE`, `HIT`, `MISS`, `JOINED`, `STALE`, `NEGATIVE`, `ANONYMOUS`, `PREFLIGHT`, `SHARED`.
    pub fn name(self) -> &'static str {
        match self {
            CacheStatus::None => "NONE",
            CacheStatus::Hit => "HIT",
            CacheStatus::Miss => "MISS",
            CacheStatus::Joined => "JOINED",
            CacheStatus::Stale => "STALE",
            CacheStatus::Negative => "NEGATIVE",
            CacheStatus::Anonymous => "ANONYMOUS",
            CacheStatus::Preflight => "PREFLIGHT",
            CacheStatus::Shared => "SHARED",
        }
    }
}

/// What goes upstream. Holds its strings alive; cloning is cheap.
#[derive(Clone)]
pub struct Allow {
    rules: Arc<Rules>,
    grant: Option<Arc<Grant>>,
    cache_status: CacheStatus,
    source: Option<Source>,
}

impl Allow {
    /// The value of the `Authorization` header of the token: `Bearer …`. Only characters of an RFC 6750 token. `None`
    /// where the request passes without one.
    pub fn authorization(&self) -> Option<&str> {
        self.grant.as_deref().map(Grant::authorization)
    }

    /// Whose token it is; `None` where nobody has been authenticated.
    pub fn client_id(&self) -> Option<&str> {
        self.grant.as_deref().map(Grant::client_id)
    }

    /// The headers of the request that goes upstream, by lower-case name. `None` takes the header away, in whatever
    /// spelling the client sent it: what is not said by the token must not be said by the client.
    ///
    /// A header that carries a number, a list or an object allocates its value.
    pub fn headers(&self) -> impl Iterator<Item = (&str, Option<Cow<'_, str>>)> {
        self.rules.headers(self.grant.as_deref())
    }

    /// Is [`authorization`](Allow::authorization), in the header of that name, all that [`headers`](Allow::headers) has?
    pub fn is_authorization_only(&self) -> bool {
        self.rules.upstream.authorization_only && self.grant.is_some()
    }

    /// What the token says: see [`Grant::claim`].
    pub fn claim(&self, name: &str) -> Option<Cow<'_, str>> {
        self.grant.as_deref()?.claim(name)
    }

    /// What holds the strings alive: the gate's rules, and the token.
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

    /// How it came about.
    pub fn cache_status(&self) -> CacheStatus {
        self.cache_status
    }

    /// Where the credentials were, and so what the host hides.
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

/// What the client is told instead.
#[derive(Debug, Clone)]
pub struct Deny {
    rules: Arc<Rules>,
    denial: Denial,
    cache_status: CacheStatus,
}

impl Deny {
    /// Why.
    pub fn cause(&self) -> Cause {
        self.denial.cause
    }

    /// The HTTP status.
    pub fn http_status(&self) -> u16 {
        self.denial.cause.answer().0
    }

    /// The value of `WWW-Authenticate`, on a 401 and where a token lacks something ([RFC 6750 section 3]).
    ///
    /// [RFC 6750 section 3]: https://www.rfc-editor.org/rfc/rfc6750#section-3
    pub fn challenge(&self) -> Option<&str> {
        self.rules.upstream.challenge(self.denial.cause)
    }

    /// The body, JSON: `{"message": …}`, as Kong answers.
    pub fn body(&self) -> &str {
        self.rules.upstream.body(self.denial.cause)
    }

    /// The media type of the body.
    pub fn content_type(&self) -> &'static str {
        "application/json; charset=utf-8"
    }

    /// Seconds for `Retry-After`, where it is a matter of time.
    pub fn retry_after(&self) -> Option<u32> {
        self.denial.retry_after
    }

    /// One line for the operator's log. No secret, nothing that a provider or a client worded.
    pub fn detail(&self) -> &str {
        &self.denial.detail
    }

    /// How it came about.
    pub fn cache_status(&self) -> CacheStatus {
        self.cache_status
    }
}
