//! Credgate authenticates headless clients at a gateway.
//!
//! A machine client sends its `client_id` and `client_secret` with an ordinary request (HTTP Basic, query string,
//! body, or two headers). Credgate, inside the gateway process, exchanges them at the OpenID provider's token endpoint
//! with the OAuth 2.0 client credentials grant ([RFC 6749 section 4.4]), caches the token, and returns the header that
//! the gateway forwards upstream: `Authorization: Bearer …`. The secret goes no further.
//!
//! | type | meaning |
//! |---|---|
//! | [`Gate`] | One compiled configuration. Made before or after a fork; no thread, no I/O. |
//! | [`Engine`] | The state of a process: token cache, flights, HTTP client, one thread. |
//! | [`Queue`] | The outcomes of one event loop, with a descriptor to watch. |
//! | [`Request`] | An HTTP request, as the host presents it. |
//! | [`Outcome`] | Allow, with headers for the upstream, or deny, with a response; and the cache status. |
//! | [`Diagnosis`] | A report on a provider's response to a gate's configuration, step by step. |
//!
//! A hit returns within the call. A miss returns [`Authentication::Pending`]; the outcome arrives through the queue.
//! The library never calls the host back.
//!
//! # A host
//!
//! A gateway has one engine in each process, and one queue for each event loop. Its duties, with tokio as the event loop:
//!
//! ```no_run
//! use credgate_core::{Authentication, Engine, EngineOptions, Error, Gate, Outcome, Queue, Request, Ticket};
//! use std::borrow::Cow;
//! use std::collections::HashMap;
//! use std::os::fd::AsFd;
//! use tokio::io::{Interest, unix::AsyncFd};
//! use tokio::sync::mpsc::Receiver;
//!
//! /// A request as the gateway's HTTP server received it. The server denies one with several `Authorization` headers.
//! struct Incoming {
//!     method: Vec<u8>,
//!     authorization: Option<Vec<u8>>,
//!     query: Vec<u8>,
//!     content_type: Option<Vec<u8>>,
//!     body: Vec<u8>,
//!     peer: String,
//! }
//!
//! impl Incoming {
//!     fn authenticate(&self, gate: &Gate, queue: &Queue) -> Result<Authentication, Error> {
//!         let mut request = Request {
//!             method: &self.method,
//!             authorization: self.authorization.as_deref(),
//!             query: Some(&self.query),
//!             content_type: self.content_type.as_deref(),
//!             peer: Some(self.peer.as_bytes()),
//!             ..Request::default()
//!         };
//!         // A server that streams bodies reads this one only now.
//!         if gate.wants_body(&request, Some(self.body.len() as u64)) {
//!             request.body = Some(&self.body);
//!         }
//!         queue.authenticate(gate, &request, 0)
//!     }
//!
//!     fn settle(&self, outcome: &Outcome, gate: &Gate, engine: &Engine) -> Result<(), Error> {
//!         match outcome {
//!             Outcome::Allow(allow) => {
//!                 let mut query = self.query.clone();
//!                 let len = gate.hide_query(&self.query, &mut query);
//!                 query.truncate(len);
//!                 let mut body = self.body.clone();
//!                 let len = gate.hide_body(self.content_type.as_deref(), &self.body, &mut body);
//!                 body.truncate(len);
//!                 let status = self.forward(&query, &body, allow.headers());
//!                 if let Some(grant) = allow.grant() {
//!                     engine.note_upstream_status(allow.rules(), grant, status)?;
//!                 }
//!             }
//!             Outcome::Deny(deny) => {
//!                 eprintln!("{} denied: {}", self.peer, deny.detail());
//!                 let retry_after = deny.retry_after().map(|seconds| seconds.to_string());
//!                 let headers = [
//!                     ("WWW-Authenticate", deny.challenge()),
//!                     ("Retry-After", retry_after.as_deref()),
//!                     ("Content-Type", Some(deny.content_type())),
//!                 ];
//!                 self.respond(deny.http_status(), &headers, deny.body());
//!             }
//!         }
//!         Ok(())
//!     }
//!
//!     /// Sends the request to the upstream, with this query and body, and with each of these headers in place of the
//!     /// client's of that name, in any spelling. Returns the status of the response, which goes to the client.
//!     fn forward<'a>(
//!         &self,
//!         query: &[u8],
//!         body: &[u8],
//!         headers: impl Iterator<Item = (&'a str, Option<Cow<'a, str>>)>,
//!     ) -> u16 {
//!         todo!("the gateway's own")
//!     }
//!
//!     /// Responds to the client.
//!     fn respond(&self, status: u16, headers: &[(&str, Option<&str>)], body: &str) {
//!         todo!("the gateway's own")
//!     }
//! }
//!
//! async fn serve(json: &str, mut clients: Receiver<Incoming>) -> Result<(), Box<dyn std::error::Error>> {
//!     let gate = Gate::from_json(json)?;
//!     for warning in gate.warnings() {
//!         eprintln!("warning: {warning}");
//!     }
//!     let engine = Engine::shared(EngineOptions::default())?;
//!     let queue = Queue::new(&engine)?;
//!     // SAFETY: the descriptor is the queue's, which outlives `arrived`.
//!     let arrived = unsafe { AsyncFd::register_with_interest(queue.as_fd(), Interest::READABLE) };
//!     let arrived = arrived.map_err(std::io::Error::from)?;
//!     // If a client disconnects: `Queue::cancel`.
//!     let mut waiting: HashMap<Ticket, Incoming> = HashMap::new();
//!     loop {
//!         tokio::select! {
//!             Some(request) = clients.recv() => match request.authenticate(&gate, &queue)? {
//!                 Authentication::Ready(outcome) => request.settle(&outcome, &gate, &engine)?,
//!                 Authentication::Pending(ticket) => drop(waiting.insert(ticket, request)),
//!             },
//!             ready = arrived.readable() => {
//!                 ready?.clear_ready();
//!                 while let Some(completion) = queue.next()? {
//!                     if let Some(request) = waiting.remove(&completion.ticket) {
//!                         request.settle(&completion.outcome, &gate, &engine)?;
//!                     }
//!                 }
//!             }
//!         }
//!         while let Some(record) = engine.next_record()? {
//!             eprintln!("{}: {}", record.level.name(), record.message);
//!         }
//!     }
//! }
//! ```
//!
//! Some settings need more of a host: see [`Gate::select_headers`], [`Gate::args`] and [`Gate::wants_traceparent`]. A host
//! without an event loop calls [`Engine::authenticate_blocking`], as `examples/exchange.rs` does.
//!
//! # For contributors
//!
//! ## Layout
//!
//! Each module answers one question.
//!
//! | module | question |
//! |---|---|
//! | [`config`] | What does an operator write? |
//! | [`request`] | What does a client send? `extract` finds the credentials, `hide` removes them. |
//! | [`gate`] | What is compiled from one configuration? |
//! | [`token`] | What is a token, and does it verify? |
//! | [`cache`] | What does this process know, and what is in flight? |
//! | [`http`] | How does a request reach a server? |
//! | [`provider`] | What does the provider say? `refusal` reads its errors, `health` decides whether to contact it. |
//! | [`engine`] | What happens to a request? `decide` looks it up and joins a flight, `io_thread` runs the rest. |
//! | [`store`] | What do processes and hosts share? `lead` elects the process that exchanges. |
//! | [`diagnosis`] | Why does a configuration not work? |
//! | [`metrics`] | How much has happened? |
//! | [`status_page`] | How does an operator see all of this? |
//! | [`sys`] | What do all others build on? Clocks, processes, threads, locks, secrets, a circuit breaker. |
//! | `testing` | Does it work as a whole? Vectors, properties, fuzz targets, thread schedules. |
//!
//! The root has the types that they share: [`cause`] (every denial with its HTTP status), [`outcome`],
//! [`cache_status`], [`key`] (the cache key), [`error`], [`journal`] (log records) and [`env`](mod@env) (transport,
//! clock, metrics and journal).
//!
//! ## The way of a request
//!
//! On the host's thread, which makes no allocation and no system call on a hit:
//!
//! 1. [`Queue::authenticate`] calls [`Inner::look`]. A gate that does not search every request admits this one first
//!    ([`Entry::admit`]): it checks the form of a token endpoint, for example.
//! 2. [`extract`] finds the pair in a header, query or body, or the client's own token. It decodes into a buffer of
//!    the thread, which is wiped afterwards. A malformed request is denied here. A gate with a client of its own has its
//!    id without a search, and needs no secret before step 8.
//!    A request with `Authorization: Basic` alone skips this step ([`basic_alone`]): its base64 is looked up as it is, and
//!    only if that finds nothing, the search begins.
//! 3. [`ProcessKey::pair`] computes the cache key: a MAC over gate, id, secret and arguments.
//! 4. If the [`TokenCache`] has the token, [`Policy::check`] judges it, and the call returns: a **hit**. Past
//!    `refresh_ahead` of the token's time in the cache, the hit also submits a refresh to the I/O thread.
//! 5. If [`Refusals`] has a refusal, the call returns a denial.
//! 6. Otherwise the request is a **miss**: [`Inner::join`] joins the flight of this key, or opens one and submits its
//!    job. The call returns [`Authentication::Pending`]. Here the thread changes.
//!
//! On the I/O thread (`engine::io_thread`), which the first job starts:
//!
//! 7. With a shared store, [`Sharing::run`] looks for the token there and takes the lease of the key. Processes without
//!    the lease wait for the result of its holder.
//! 8. [`Exchange::run`] has the metadata, and asks [`Health::admit`] for a permit: the budgets of unknown clients, the
//!    circuit breaker and `max_exchanges` decide. Then it sends the token request, and verifies the token with the
//!    provider's keys, or introspects it ([`Exchange::introspect`]). An exchange that has begun ends on its own; each
//!    waiter leaves at its own deadline.
//! 9. [`Shared::land`] caches the token or the refusal, then ends the flight. Each waiter's own policy judges the
//!    token, and [`Completions::complete`] queues the outcome and signals the descriptor. Here the thread changes back.
//!
//! On the host's thread, [`Queue::next`] returns the outcome.
//!
//! [`Completions::complete`]: cache::completions::Completions::complete
//! [`Entry::admit`]: gate::endpoint::Entry::admit
//! [`Exchange::introspect`]: provider::context::Exchange::introspect
//! [`Exchange::run`]: provider::context::Exchange::run
//! [`Health::admit`]: provider::health::Health::admit
//! [`Inner::join`]: engine::decide::Inner::join
//! [`Inner::look`]: engine::decide::Inner::look
//! [`ProcessKey::pair`]: key::ProcessKey::pair
//! [`Policy::check`]: gate::policy::Policy::check
//! [`Refusals`]: cache::refusals::Refusals
//! [`Shared::land`]: cache::Shared::land
//! [`Sharing::run`]: store::Sharing::run
//! [`TokenCache`]: cache::tokens::TokenCache
//! [`basic_alone`]: request::extract::basic_alone
//! [`extract`]: request::extract::extract
//! [RFC 6749 section 4.4]: https://www.rfc-editor.org/rfc/rfc6749#section-4.4
#![forbid(unsafe_code)]
#![allow(
    rustdoc::private_intra_doc_links,
    reason = "the chapters for contributors name private items"
)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod cache;
mod cache_status;
mod cause;
mod config;
mod diagnosis;
mod engine;
mod env;
mod error;
mod gate;
mod http;
mod journal;
mod key;
mod metrics;
mod outcome;
mod provider;
mod request;
mod status_page;
mod store;
mod sys;
#[cfg(any(test, feature = "fuzz"))]
mod testing;
mod token;

pub use cache::completions::{Completion, Ticket};
pub use cache::doorbell::doorbells;
pub use cache_status::CacheStatus;
pub use cause::Cause;
pub use config::config_fields;
pub use config::engine::{EngineOptions, StoreUrl};
pub use diagnosis::{Diagnosis, Finding, Step, Verdict};
pub use engine::Engine;
pub use engine::queue::{Authentication, Queue};
pub use error::{Error, ErrorKind, Problem};
pub use gate::{Gate, Rules};
pub use journal::{Level, Record};
pub use metrics::clients::ClientRequests;
pub use metrics::{Latency, ProviderState, Snapshot};
pub use outcome::{Allow, Deny, Outcome};
pub use request::redact::{redact_query, redact_text, text_contains_secret};
pub use request::{CredentialHeaders, Request, Source};
pub use status_page::{StatusPage, StatusRecord};
pub use sys::process;
pub use token::Grant;

/// The parts that `benches` measure.
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench {
    pub use crate::engine::decide::bench::BenchHit;
    pub use crate::store::bench::*;
}

/// The bodies of the fuzz targets in `fuzz`.
#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub mod fuzz {
    pub use crate::testing::targets::*;
}
