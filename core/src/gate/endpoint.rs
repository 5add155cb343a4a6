//! Gates that do not search every request as it comes: those that ignore preflights, token endpoints, and services that
//! other proxies ask.

use super::Rules;
use crate::cause::{Cause, Denial};
use crate::config::value_error;
use crate::error::Error;
use crate::request::extract::{Places, Presented, extract};
use crate::request::scratch::{Scratch, ScratchBuffer};
use crate::request::token_form::{TokenForm, has_credential};
use crate::request::{BodyKind, Request, Source};
use serde_json::json;

/// The treatment of a request before it is searched.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    /// Every request is searched.
    Open,
    /// `OPTIONS` passes without a token.
    IgnoresPreflights,
    /// Only headers are searched.
    External { ignores_preflights: bool },
    /// The request must be a token request.
    TokenEndpoint(Box<TokenEndpoint>),
}

/// The verdict on a request before it is searched.
pub(crate) enum Admission<'r> {
    /// These places of this request are searched.
    Search(&'r Places, Request<'r>),
    /// The request passes without a token.
    Preflight,
    /// The gate denies the request.
    Refused(Denial),
}

/// A token endpoint that answers from the cache.
#[derive(Debug, Clone)]
pub(crate) struct TokenEndpoint {
    /// The places beside an `Authorization` header. Without one, the gate's own places: the form.
    pub(crate) by_header: Places,
    challenge: String,
}

impl Entry {
    pub(super) fn new(run_on_preflight: bool) -> Entry {
        if run_on_preflight {
            Entry::Open
        } else {
            Entry::IgnoresPreflights
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Entry::Open)
    }

    pub(crate) fn admit<'r>(&'r self, rules: &'r Rules, request: &Request<'r>) -> Admission<'r> {
        let is_preflight = request.method == b"OPTIONS";
        match self {
            Entry::IgnoresPreflights if is_preflight => Admission::Preflight,
            Entry::External {
                ignores_preflights: true,
            } if is_preflight => Admission::Preflight,
            Entry::Open | Entry::IgnoresPreflights => Admission::Search(&rules.places, *request),
            Entry::External { .. } => Admission::Search(&rules.places, self.visible(request)),
            Entry::TokenEndpoint(endpoint) => match endpoint.check(rules, request) {
                Ok(()) => {
                    // The host's own credentials would pass the client's by.
                    let (query, credentials) = (None, None);
                    let request = Request {
                        query,
                        credentials,
                        ..*request
                    };
                    Admission::Search(rules.places(&request), request)
                }
                Err(denial) => Admission::Refused(denial),
            },
        }
    }

    /// The part of a request that is searched.
    pub(crate) fn visible<'r>(&self, request: &Request<'r>) -> Request<'r> {
        let (query, body) = match self {
            Entry::External { .. } => (None, None),
            _ => (request.query, request.body),
        };
        Request {
            query,
            body,
            ..*request
        }
    }
}

impl Rules {
    pub(crate) fn as_token_endpoint(&self) -> Result<Rules, Error> {
        let unfit = if self.own.is_some() {
            Some("client_id: must not be set")
        } else if self.places.host {
            Some("client_credentials_param_type: must not be \"host\"")
        } else if !self.places.exchanges() {
            Some("auth_methods: must contain \"client_credentials\"")
        } else {
            None
        };
        if let Some(unfit) = unfit {
            return Err(value_error(format!(
                "{unfit} for a token endpoint, which exchanges the credentials of clients"
            )));
        }
        let places = Places {
            header: false,
            // A token request is not searched there, but what a client sends there is hidden from logs.
            query: true,
            body: true,
            bearer: false,
            headers: None,
            is_rare: false,
            ..self.places.clone()
        };
        let by_header = Places {
            header: true,
            query: false,
            body: false,
            ..places.clone()
        };
        let endpoint = TokenEndpoint {
            by_header,
            challenge: format!("Basic realm=\"{}\", charset=\"UTF-8\"", self.issuer.host()),
        };
        Ok(Rules {
            places,
            hide: true,
            anonymous: false,
            entry: Entry::TokenEndpoint(Box::new(endpoint)),
            effective: self.effective_but([
                (
                    "client_credentials_param_type",
                    json!([Source::Header, Source::Body]),
                ),
                ("hide_credentials", true.into()),
                ("anonymous", false.into()),
            ]),
            ..self.clone()
        })
    }

    pub(super) fn as_external(&self) -> Result<Rules, Error> {
        let has_place = self.places.header || self.places.bearer || self.places.headers.is_some();
        if !has_place && self.places.are_searched() {
            return Err(value_error(
                "client_credentials_param_type: must contain \"header\" or \"headers\" for an external check, which searches neither query \
                 nor body",
            ));
        }
        let mut searched = vec![json!(Source::Header)];
        if self.places.headers.is_some() {
            searched.push(json!(Source::Headers));
        }
        Ok(Rules {
            places: Places {
                query: false,
                body: false,
                max_body_bytes: 0,
                ..self.places.clone()
            },
            entry: Entry::External {
                ignores_preflights: !self.entry.is_open(),
            },
            effective: self.effective_but([("client_credentials_param_type", searched.into())]),
            ..self.clone()
        })
    }

    /// Whether the gate itself sets this argument of the token request.
    fn sets(&self, name: &str, value: &[u8]) -> bool {
        let mut args = self.request.args.iter();
        args.any(|(fixed, stated)| fixed == name && stated.as_bytes() == value)
    }

    /// Whether the gate requests exactly these scopes, in any order.
    fn requests_scope(&self, scope: &[u8]) -> bool {
        let words = |scope: &'_ [u8]| -> std::collections::BTreeSet<Vec<u8>> {
            let words = scope.split(|&byte| byte == b' ');
            words
                .filter(|word| !word.is_empty())
                .map(<[u8]>::to_vec)
                .collect()
        };
        let own = self.request.scope.as_deref().unwrap_or_default();
        words(scope) == words(own.as_bytes())
    }
}

impl TokenEndpoint {
    /// Checks everything but the credentials.
    fn check(&self, rules: &Rules, request: &Request<'_>) -> Result<(), Denial> {
        let invalid = |why: &str| Denial::new(Cause::TokenRequestInvalid, why);
        let denied = |cause| Denial::new(cause, "");
        if request.method != b"POST" {
            return Err(invalid("a token request must be a POST"));
        }
        if request.query.is_some_and(has_credential) {
            return Err(invalid("a token request has credentials in its query"));
        }
        let is_form = BodyKind::of(request.content_type) == Some(BodyKind::Form);
        let body = request
            .body
            .filter(|body| is_form && body.len() <= rules.places.max_body_bytes)
            .ok_or_else(|| {
                invalid("a token request has no form, or a longer one than max_body_bytes")
            })?;
        let form = TokenForm(body);
        match form.value("grant_type").map_err(denied)?.as_deref() {
            Some(b"client_credentials") => {}
            Some(_) => return Err(denied(Cause::UnsupportedGrantType)),
            None => return Err(invalid("a token request has no grant_type")),
        }
        let is_callers = |name: &str| rules.places.args.callers().iter().any(|own| own == name);
        if !is_callers("scope")
            && let Some(scope) = form.value("scope").map_err(denied)?
            && !rules.requests_scope(&scope)
        {
            return Err(denied(Cause::ScopeNotAllowed));
        }
        for name in ["audience", "resource"] {
            for value in form.values(name).filter(|_| !is_callers(name)) {
                if !rules.sets(name, &value.map_err(denied)?) {
                    return Err(denied(Cause::TargetNotAllowed));
                }
            }
        }
        if request.authorization.is_some() {
            self.check_repeated(form, request).map_err(denied)?;
        }
        Ok(())
    }

    /// Beside the header, the form may repeat the id (RFC 6749 section 3.2.1), but not the secret.
    fn check_repeated(&self, form: TokenForm<'_>, request: &Request<'_>) -> Result<(), Cause> {
        if form.value("client_secret")?.is_some() {
            return Err(Cause::TwoPlaces);
        }
        let Some(repeated) = form.value("client_id")? else {
            return Ok(());
        };
        let mut buffer = ScratchBuffer::new();
        let mut scratch = Scratch::new(&mut buffer);
        match extract(&self.by_header, request, &mut scratch)? {
            Presented::Pair(pair) if pair.client_id == repeated => Ok(()),
            _ => Err(Cause::TwoPlaces),
        }
    }

    /// The value of `WWW-Authenticate`.
    pub(crate) fn challenge(&self, cause: Cause) -> Option<&str> {
        (TokenEndpoint::response(cause).0 == 401).then_some(&self.challenge)
    }

    /// HTTP status and body of an error response (RFC 6749 section 5.2). The standard has no code for a failure of the
    /// server: those of its section 4.1.2.1 serve.
    pub(crate) fn response(cause: Cause) -> (u16, &'static str) {
        macro_rules! error {
            ($error:literal, $description:literal) => {
                concat!(
                    r#"{"error":""#,
                    $error,
                    r#"","error_description":""#,
                    $description,
                    r#""}"#
                )
            };
        }
        let status = cause.response().0;
        match cause {
            Cause::NoCredentials | Cause::EmptyCredential | Cause::IncompletePair => (
                401,
                error!(
                    "invalid_client",
                    "client_id and client_secret must be sent, in Authorization: Basic or in the form"
                ),
            ),
            Cause::CredentialsRefused | Cause::TokenInvalid => (
                401,
                error!("invalid_client", "The client id or the secret is wrong"),
            ),
            Cause::ClientNotAllowed | Cause::ClientForbidden | Cause::TokenInsufficient => (
                400,
                error!("unauthorized_client", "This client gets no token here"),
            ),
            Cause::MalformedBasic => (
                400,
                error!(
                    "invalid_request",
                    "Authorization: Basic must be followed by base64 of client_id:client_secret"
                ),
            ),
            Cause::MalformedParameter => (
                400,
                error!(
                    "invalid_request",
                    "A parameter is not form-urlencoded UTF-8"
                ),
            ),
            Cause::RepeatedParameter => (
                400,
                error!("invalid_request", "A parameter must not be repeated"),
            ),
            Cause::TwoPlaces => (
                400,
                error!(
                    "invalid_request",
                    "Credentials must be sent in one place only"
                ),
            ),
            Cause::InvalidCharacters => (
                400,
                error!(
                    "invalid_request",
                    "client_id and client_secret must be printable ASCII"
                ),
            ),
            Cause::TooLong => (
                400,
                error!(
                    "invalid_request",
                    "client_id and client_secret are too long"
                ),
            ),
            Cause::TokenRequestInvalid => (
                400,
                error!(
                    "invalid_request",
                    "A token request is a POST of a form with grant_type, without credentials in the query"
                ),
            ),
            Cause::UnsupportedGrantType => (
                400,
                error!(
                    "unsupported_grant_type",
                    "grant_type must be client_credentials"
                ),
            ),
            Cause::ScopeNotAllowed => (
                400,
                error!("invalid_scope", "This scope cannot be requested"),
            ),
            Cause::TargetNotAllowed => (
                400,
                error!(
                    "invalid_target",
                    "This audience or resource cannot be requested"
                ),
            ),
            Cause::TooManyRefusals => (
                status,
                error!(
                    "temporarily_unavailable",
                    "Too many credentials were refused; try again later"
                ),
            ),
            Cause::ProviderPaused
            | Cause::ProviderBusy
            | Cause::ProviderTimeout
            | Cause::EngineUnavailable
            | Cause::Overloaded => (status, error!("temporarily_unavailable", "Try again later")),
            Cause::RequestRefused
            | Cause::ProviderUnreachable
            | Cause::ProviderFailed
            | Cause::ProviderResponseInvalid
            | Cause::TokenUnverifiable
            | Cause::Internal => (
                status,
                error!("server_error", "The token cannot be issued at the moment"),
            ),
        }
    }
}
