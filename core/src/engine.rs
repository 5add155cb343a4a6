//! The per-process machinery: token cache, flights, and the thread for everything that takes time.

use crate::cause::{Cause, Denial};
use crate::clock::{Clock, SystemClock};
use crate::completions::Ticket;
use crate::error::{Error, ErrorKind};
use crate::extract::{Scratch, extract};
use crate::flight::{Joined, Recipient, Waiter};
use crate::gate::Gate;
use crate::key::ProcessKey;
use crate::outcome::{Allow, Deny, How, Outcome};
use crate::process::Process;
use crate::request::Request;
use crate::runtime::{Job, Landing, Runtime};
use crate::shared::Shared;
use crate::transport::{HttpTransport, Transport};
use once_cell::sync::OnceCell;
use serde::Deserialize;
use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};

/// How an engine is made. The default suits a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct EngineOptions {
    /// The bound of the token cache, in bytes. 67,108,864 (64 MiB: some 50,000 tokens) by default.
    pub cache_max_bytes: u64,
}

impl Default for EngineOptions {
    fn default() -> EngineOptions {
        EngineOptions {
            cache_max_bytes: 64 * 1024 * 1024,
        }
    }
}

impl EngineOptions {
    /// From a JSON object; members that are left out have their defaults.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ConfigValue`], naming the member.
    pub fn from_json(json: &str) -> Result<EngineOptions, Error> {
        if !json.trim_start().starts_with('{') {
            return Err(Error::new(
                ErrorKind::ConfigValue,
                "engine options: must be a JSON object",
            ));
        }
        let options: EngineOptions = serde_json::from_str(json).map_err(|error| {
            Error::with_source(
                ErrorKind::ConfigValue,
                format!("engine options: {error}"),
                error,
            )
        })?;
        if options.cache_max_bytes == 0 {
            return Err(Error::new(
                ErrorKind::ConfigValue,
                "engine options: cache_max_bytes must be at least 1",
            ));
        }
        Ok(options)
    }
}

/// What an authentication came to.
#[derive(Debug)]
pub enum Answer {
    /// The outcome is known.
    Ready(Outcome),
    /// The outcome will come through the queue.
    Pending(Ticket),
}

/// The machinery of this process. Belongs to the process that made it; its thread starts with the first miss, and ends
/// with the last handle. Cloning makes another handle.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

/// The engines of this process, for [`Engine::shared`].
static ENGINES: Mutex<Vec<(EngineOptions, Process, Weak<Inner>)>> = Mutex::new(Vec::new());

impl Engine {
    /// A new engine, which shares nothing with any other.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::System`] when the system has no randomness to give.
    pub fn new(options: EngineOptions) -> Result<Engine, Error> {
        Engine::with_parts(
            options,
            Arc::new(HttpTransport::default()),
            Arc::new(SystemClock),
        )
    }

    /// The engine of this process that has these options, made where there is none: all hosts in one process share
    /// its cache and its thread.
    ///
    /// # Errors
    ///
    /// As [`Engine::new`].
    pub fn shared(options: EngineOptions) -> Result<Engine, Error> {
        let mut engines = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
        engines.retain(|(_, process, engine)| process.is_current() && engine.strong_count() > 0);
        let existing = engines
            .iter()
            .find(|(with, _, _)| *with == options)
            .and_then(|(_, _, engine)| engine.upgrade());
        if let Some(inner) = existing {
            return Ok(Engine { inner });
        }
        let engine = Engine::new(options.clone())?;
        engines.push((options, Process::current(), Arc::downgrade(&engine.inner)));
        Ok(engine)
    }

    pub(crate) fn with_parts(
        options: EngineOptions,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
    ) -> Result<Engine, Error> {
        let process_key = ProcessKey::random().map_err(|error| {
            Error::with_source(
                ErrorKind::System,
                format!("the system has no randomness: {error}"),
                error,
            )
        })?;
        let shared = Shared::new(options.cache_max_bytes);
        Ok(Engine {
            inner: Arc::new(Inner {
                process: Process::current(),
                process_key,
                shared: Arc::new(shared),
                transport,
                clock,
                runtime: ManuallyDrop::new(OnceCell::new()),
            }),
        })
    }

    /// Authenticates a request on the calling thread, which waits for an exchange where one is needed: no longer than
    /// the gate's deadline. For hosts without an event loop.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork. What the client is told is always an [`Outcome`].
    pub fn authenticate_blocking(
        &self,
        gate: &Gate,
        request: &Request<'_>,
    ) -> Result<Outcome, Error> {
        self.inner.check_process()?;
        let (sender, receiver) = mpsc::channel();
        let ready = self
            .inner
            .authenticate(gate, request, || Recipient::Call(sender));
        Ok(ready.or_else(|| receiver.recv().ok()).unwrap_or_else(|| {
            let denial = Denial::new(
                Cause::Internal,
                "a flight ended without a result; this is a defect of credgate",
            );
            Outcome::Deny(Deny::new(Arc::clone(&gate.rules), denial, How::Miss))
        }))
    }

    /// Whether this engine belongs to the process that asks.
    pub fn is_usable(&self) -> bool {
        self.inner.check_process().is_ok()
    }
}

pub(crate) struct Inner {
    process: Process,
    process_key: ProcessKey,
    shared: Arc<Shared>,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    /// Started by the first miss. Dropped by hand, because in a forked child it must not be.
    runtime: ManuallyDrop<OnceCell<Runtime>>,
}

impl Inner {
    pub(crate) fn check_process(&self) -> Result<(), Error> {
        if self.process.is_current() {
            Ok(())
        } else {
            Err(Error::wrong_process())
        }
    }

    /// The outcome where it is known at once. Else the request waits, and what `recipient` makes is told.
    pub(crate) fn authenticate(
        &self,
        gate: &Gate,
        request: &Request<'_>,
        recipient: impl FnOnce() -> Recipient,
    ) -> Option<Outcome> {
        let rules = &gate.rules;
        let mut scratch = Scratch::new();
        let presented = match extract(&rules.places, request, &mut scratch) {
            Ok(presented) => presented,
            Err(cause) => {
                let denial = Denial::new(cause, "");
                return Some(Outcome::Deny(Deny::new(
                    Arc::clone(rules),
                    denial,
                    How::None,
                )));
            }
        };
        let key = self.process_key.key(
            &rules.fingerprint,
            presented.client_id.as_bytes(),
            presented.client_secret.as_bytes(),
        );
        let cached = || self.shared.cache.get(&key, self.clock.now());
        let hit = |grant| {
            Some(Outcome::Allow(Allow::new(
                grant,
                How::Hit,
                presented.source,
            )))
        };
        if let Some(grant) = cached() {
            return hit(grant);
        }
        let waiter = Waiter {
            rules: Arc::clone(rules),
            source: presented.source,
            recipient: recipient(),
        };
        match self.shared.flights.join(key, waiter, cached) {
            Joined::Landed(grant, _waiter) => return hit(grant),
            Joined::Waiting => {}
            Joined::Opened => self.start(Job {
                rules: Arc::clone(rules),
                credentials: presented.to_owned(),
                landing: Landing::new(Arc::clone(&self.shared), key),
            }),
        }
        None
    }

    /// Hands an exchange to the thread, which the first one starts.
    fn start(&self, job: Job) {
        let start = || Runtime::start(Arc::clone(&self.transport), Arc::clone(&self.clock));
        match self.runtime.get_or_try_init(start) {
            Ok(runtime) => runtime.submit(job),
            Err(error) => job
                .landing
                .land(Err(Denial::new(Cause::Internal, error.to_string()))),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A forked child has the runtime's memory, and neither its thread nor a right to its descriptors: it is left.
        if self.process.is_current() {
            drop(self.runtime.take());
        }
    }
}

#[cfg(test)]
mod tests;
