//! Credgate authenticates headless clients at a gateway.
//!
//! A machine client sends its `client_id` and `client_secret` with an ordinary request (HTTP Basic, query string or
//! body). Credgate, inside the gateway process, exchanges them at the OpenID provider's token endpoint with the OAuth
//! 2.0 client credentials grant ([RFC 6749 section 4.4]), caches the token, and returns the header that the gateway
//! forwards upstream: `Authorization: Bearer …`. The secret goes no further.
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
//! A hit returns within the call. A miss returns [`Authentication::Pending`], and the outcome arrives through the queue.
//! The library never calls the host back.
//!
//! # Layout
//!
//! Each room answers one question.
//!
//! | room | question |
//! |---|---|
//! | `config` | What does an operator write? |
//! | `request` | What does a client send? `extract` finds the credentials, `hide` removes them. |
//! | `gate` | What is compiled from one configuration? |
//! | `token` | What is a token, and does it verify? |
//! | `cache` | What does this process know, and what is in flight? |
//! | `http` | How does a call reach a server? |
//! | `provider` | What does the provider say? `refusal` reads its errors, `health` decides whether it is contacted. |
//! | `engine` | What happens to a request? `decide` looks it up and joins a flight, `io_thread` runs the rest. |
//! | `store` | What do processes and hosts share? `lead` elects the one that exchanges. |
//! | `diagnosis` | Why does a configuration not work? |
//! | `metrics` | How much has happened? |
//! | `sys` | What does the ground provide? Clocks, processes, threads, locks, secrets, the circuit breaker. |
//! | `testing` | Does it hold as a whole? Vectors, properties, thread schedules. |
//!
//! At the root are the types that all rooms share: `cause` (every denial with its HTTP status), `outcome`, `key` (the
//! cache key), `error`, `journal` (log records) and `env` (transport, clock, metrics and journal of an engine).
//!
//! # The way of a request
//!
//! On the host's thread, without a lock held across calls, an allocation or a system call on a hit:
//!
//! 1. [`Queue::authenticate`] calls `engine::decide::Inner::look`.
//! 2. `request::extract::extract` finds the pair in the header, query or body, or a client's own token, and decodes it
//!    into a buffer of the thread, which is wiped afterwards. A malformed request is denied here.
//! 3. `key::MacKey::pair` computes the cache key: a MAC over gate, id, secret and arguments.
//! 4. `cache::tokens` has the token: `gate::policy` judges it, and the call returns. That is a **hit**. Past
//!    `refresh_ahead` of its lifetime, the hit also submits a refresh to the I/O thread.
//! 5. `cache::refusals` has a refusal, or the attack budget (`cache::quota`) is spent: the call returns a denial.
//! 6. Otherwise it is a **miss**: `engine::decide::Inner::join` joins the flight of this key, or opens it and submits a job.
//!    The call returns [`Authentication::Pending`]. Here the thread changes.
//!
//! On the I/O thread (`engine::io_thread`), which the first job starts:
//!
//! 7. With a shared store, `store::lead` looks for the token there and takes the lease of the key; processes without the
//!    lease wait for the holder's result.
//! 8. `provider::exchange` checks the provider's health, fetches the metadata if it is stale, posts the token request, and
//!    verifies the token against the provider's keys.
//! 9. `cache::Shared::land` puts the token into the cache, or remembers the refusal, then ends the flight: each waiter's
//!    own policy judges the result, and `cache::completions` queues its outcome and signals its descriptor. Here the
//!    thread changes back.
//!
//! On the host's thread, [`Queue::next`] returns the outcome.
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
