//! Credgate authenticates headless clients at a gateway.
//!
//! A machine client sends its `client_id` and `client_secret` with an ordinary request (HTTP Basic, query string or
//! body). Credgate, inside the gateway process, exchanges them at the OpenID provider's token endpoint with the OAuth
//! 2.0 client credentials grant ([RFC 6749 section 4.4]), keeps the token, and hands the gateway what it forwards
//! upstream: `Authorization: Bearer …`. The secret travels no further.
//!
//! | word | meaning |
//! |---|---|
//! | [`Gate`] | one compiled configuration; made before or after a fork, no thread, no I/O |
//! | [`Engine`] | the per-process machinery: token cache, flights, HTTP client, one thread |
//! | [`Queue`] | where an event loop finds its completions, with a descriptor to watch |
//! | [`Request`] | what the host shows the library |
//! | [`Outcome`] | allow (what to send upstream) or deny (what to answer), and how it came about |
//! | [`Diagnosis`] | what a provider does with a gate's configuration, step by step and in words |
//!
//! A hit is answered in the call. A miss answers [`Authentication::Pending`], and the outcome comes through the queue: nothing
//! is ever called back on the library's thread.
//!
//! [RFC 6749 section 4.4]: https://www.rfc-editor.org/rfc/rfc6749#section-4.4
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod cache;
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
mod store;
mod sys;
#[cfg(test)]
mod testing;
mod token;

pub use cache::completions::{Completion, Ticket};
pub use cache::doorbell::doorbells;
pub use cause::Cause;
pub use config::engine::{EngineOptions, StoreUrl};
pub use diagnosis::{Diagnosis, Finding, Step, Verdict};
pub use engine::Engine;
pub use engine::queue::{Authentication, Queue};
pub use error::{Error, ErrorKind};
pub use gate::{Gate, Rules};
pub use journal::{Level, Record};
pub use metrics::{Latency, ProviderState, Snapshot};
pub use outcome::{Allow, CacheStatus, Deny, Outcome};
pub use request::hide::redact_query;
pub use request::{Request, Source};
pub use sys::process;
pub use token::Grant;

#[cfg(feature = "bench")]
#[doc(hidden)]
pub use store::bench;
