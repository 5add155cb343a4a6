//! Records the calls to the provider and their responses.

use crate::config::TokenAuth;
use crate::gate::connection::Connection;
use crate::http::{Call, Fault, Form, Response, ResponseFuture, Transport};
use crate::provider::is_markup;
use crate::token::json_object;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use url::Url;
use zeroize::Zeroizing;

/// A transport that remembers.
pub(super) struct Recorder {
    transport: Arc<dyn Transport>,
    /// The configured client authentication.
    auth: Option<TokenAuth>,
    seen: Mutex<Vec<Seen>>,
}

/// A call and its response.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) url: Url,
    /// Of a token request, and of no other call.
    pub(super) asked: Option<Asked>,
    /// It is an introspection request.
    pub(super) introspects: bool,
    /// `None`: no response before the deadline.
    pub(super) answer: Option<Result<Page, Fault>>,
    pub(super) took: Duration,
}

/// The parameters and the client of a token request.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) auth: TokenAuth,
    pub(super) scope: Option<String>,
    pub(super) audience: Option<String>,
    /// RFC 8707's word for it.
    pub(super) resource: Option<String>,
    pub(super) assertion: Option<Stated>,
}

/// The statements of a client's assertion: header and claims, without its signature.
#[derive(Clone)]
pub(super) struct Stated {
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

/// An answer.
#[derive(Clone)]
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) body: Zeroizing<Vec<u8>>,
}

impl Recorder {
    pub(super) fn new(transport: Arc<dyn Transport>, auth: Option<TokenAuth>) -> Recorder {
        Recorder {
            transport,
            auth,
            seen: Mutex::default(),
        }
    }

    pub(super) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for Recorder {
    fn send<'t>(&'t self, connection: &'t Connection, call: Call) -> ResponseFuture<'t> {
        Box::pin(async move {
            let number = {
                let mut seen = self.lock();
                seen.push(Seen {
                    url: call.url.clone(),
                    asked: call
                        .form
                        .as_ref()
                        .and_then(|form| Asked::of(form, self.auth)),
                    introspects: call.form.as_ref().is_some_and(introspects),
                    answer: None,
                    took: Duration::ZERO,
                });
                seen.len() - 1
            };
            let started = Instant::now();
            let answer = self.transport.send(connection, call).await;
            if let Some(seen) = self.lock().get_mut(number) {
                seen.answer = Some(answer.as_ref().map(Page::of).map_err(Fault::clone));
                seen.took = started.elapsed();
            }
            answer
        })
    }
}

/// Whether the form is an introspection request (RFC 7662 section 2.1).
fn introspects(form: &Form) -> bool {
    member(form, "grant_type").is_none()
}

fn member(form: &Form, wanted: &str) -> Option<String> {
    form_urlencoded::parse(form.body.as_bytes())
        .find(|(name, _)| name == wanted)
        .map(|(_, value)| value.into_owned())
}

impl Asked {
    /// `None` for an introspection request.
    fn of(form: &Form, configured: Option<TokenAuth>) -> Option<Asked> {
        if introspects(form) {
            return None;
        }
        let member = |wanted: &str| member(form, wanted);
        let auth = configured.unwrap_or(match form.authorization {
            Some(_) => TokenAuth::ClientSecretBasic,
            None => TokenAuth::ClientSecretPost,
        });
        Some(Asked {
            auth,
            scope: member("scope"),
            audience: member("audience"),
            resource: member("resource"),
            assertion: member("client_assertion")
                .and_then(|text| Stated::read(&Zeroizing::new(text))),
        })
    }

    /// Whether it named an audience, under either name.
    pub(super) fn has_audience(&self) -> bool {
        self.audience.is_some() || self.resource.is_some()
    }
}

impl Stated {
    fn read(assertion: &str) -> Option<Stated> {
        let mut parts = assertion.split('.');
        let mut part = || json_object(&URL_SAFE_NO_PAD.decode(parts.next()?).ok()?);
        Some(Stated {
            header: part()?,
            claims: part()?,
        })
    }

    pub(super) fn header(&self, name: &str) -> Option<&Value> {
        self.header.get(name)
    }

    pub(super) fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.get(name)
    }
}

impl Page {
    fn of(reply: &Response) -> Page {
        Page {
            status: reply.status,
            body: reply.body.clone(),
        }
    }

    /// HTML or XML.
    pub(super) fn is_markup(&self) -> bool {
        is_markup(&self.body)
    }
}
