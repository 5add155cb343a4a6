//! The per-process machinery: token cache, flights, and the thread for everything that takes time.

pub(crate) mod decide;
mod io_thread;
pub(crate) mod queue;

use decide::{Inner, Look};

use crate::cache::flight::Recipient;
use crate::cause::{Cause, Denial};
use crate::config::engine::EngineOptions;
use crate::env::Env;
use crate::error::{Error, ErrorKind};
use crate::gate::{Gate, Rules};
use crate::http::{HttpTransport, Transport};
use crate::journal::Record;
use crate::key::MacKey;
use crate::metrics::Snapshot;
use crate::outcome::{CacheStatus, Outcome};
use crate::request::Request;
use crate::store::{PurgeTarget, StoreConfig};
use crate::sys::clock::{Clock, SystemClock};
use crate::sys::process::Process;
use crate::token::Grant;
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::time::Duration;

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
    /// [`ErrorKind::System`] when the system has no randomness to give; [`ErrorKind::ConfigFile`] when a file that the
    /// options name cannot be used.
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

    /// Checks that an engine can be made with these options, and makes none: no file is opened, no host contacted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ConfigValue`], naming the option.
    pub fn check(options: &EngineOptions) -> Result<(), Error> {
        StoreConfig::compile(options).map(drop)
    }

    pub(crate) fn with_parts(
        options: EngineOptions,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
    ) -> Result<Engine, Error> {
        let process_key = MacKey::random().map_err(|error| {
            Error::with_source(
                ErrorKind::System,
                format!("the system has no randomness: {error}"),
                error,
            )
        })?;
        let env = Env::new(transport, clock);
        Ok(Engine {
            inner: Arc::new(Inner::new(&options, process_key, env)?),
        })
    }

    /// Authenticates a request where that takes no exchange: the token cache has the answer, or no credentials are to be
    /// had. `None`: one is needed, and has not been begun. For hosts that prepare to wait only when they have to.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork.
    pub fn authenticate_at_once(
        &self,
        gate: &Gate,
        request: &Request<'_>,
    ) -> Result<Option<Outcome>, Error> {
        self.inner.check_process()?;
        Ok(self.inner.look(gate, request, |look| match look {
            Look::Known(outcome) => Some(outcome),
            Look::Miss(_) => None,
        }))
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
        let ready = self.inner.look(gate, request, |look| match look {
            Look::Known(outcome) => Some(outcome),
            Look::Miss(miss) => self.inner.join(&miss, Recipient::Call(sender)),
        });
        Ok(ready.or_else(|| receiver.recv().ok()).unwrap_or_else(|| {
            let denial = Denial::new(
                Cause::Internal,
                "a flight ended without a result; this is a defect of credgate",
            );
            Outcome::of_denial(&gate.rules, denial, CacheStatus::Miss)
        }))
    }

    /// Drops all tokens and remembered refusals of a gate, and of those that share its tokens; of one client where
    /// `client_id` says so. What is being exchanged meanwhile is served to those who wait and not kept. Where there is a
    /// store, everybody who shares does the same within about a second. Answers how many tokens were dropped here.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork.
    pub fn purge(&self, gate: &Gate, client_id: Option<&str>) -> Result<u64, Error> {
        self.inner.check_process()?;
        Ok(self.inner.purge(&PurgeTarget {
            gate: Some(gate.rules.fingerprint),
            client_id: client_id.map(Box::from),
        }))
    }

    /// Drops all tokens and remembered refusals of all gates; of one client where `client_id` says so. Else as
    /// [`Engine::purge`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork.
    pub fn purge_all(&self, client_id: Option<&str>) -> Result<u64, Error> {
        self.inner.check_process()?;
        Ok(self.inner.purge(&PurgeTarget {
            gate: None,
            client_id: client_id.map(Box::from),
        }))
    }

    /// Follows a purge of all gates that another process has made with [`Engine::purge_all`] and told of: drops what is in
    /// this engine alone, and leaves the shared store to who began it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork.
    pub fn follow_purge(&self, client_id: Option<&str>) -> Result<u64, Error> {
        self.inner.check_process()?;
        Ok(self.inner.drop_purged(&PurgeTarget {
            gate: None,
            client_id: client_id.map(Box::from),
        }))
    }

    /// Tells what the upstream answered to a request that was allowed. Where the status is one of the gate's
    /// `purge_token_on_upstream_status_codes`, the token is dropped, and true answered: unless another one has taken
    /// its place, or it is so new that its refusal cannot be a matter of age.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork.
    pub fn note_upstream_status(
        &self,
        rules: &Rules,
        grant: &Grant,
        status: u16,
    ) -> Result<bool, Error> {
        self.inner.check_process()?;
        if !rules.purge_on.contains(&status) {
            return Ok(false);
        }
        let now = self.inner.shared.env.clock.now();
        if now.saturating_duration_since(grant.received) < BRAND_NEW {
            return Ok(false);
        }
        Ok(self.inner.drop_refused(grant))
    }

    /// What this engine has done, in numbers; with [`EngineOptions::store_metrics`] together with what all others of this
    /// host have told, within the last second or so. Its `Display` is Prometheus's text format.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork.
    pub fn metrics(&self) -> Result<Snapshot, Error> {
        self.inner.check_process()?;
        Ok(self.inner.snapshot())
    }

    /// The next line for the operator's log, if any.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork.
    pub fn next_record(&self) -> Result<Option<Record>, Error> {
        self.inner.check_process()?;
        Ok(self.inner.shared.env.journal.next())
    }

    /// Whether [`Engine::next_record`] has something to tell. Costs a read of memory.
    pub fn has_records(&self) -> bool {
        self.inner.shared.env.journal.has_records()
    }

    /// Whether this engine belongs to the process that asks.
    pub fn is_usable(&self) -> bool {
        self.inner.check_process().is_ok()
    }
}

/// An upstream that refuses a token younger than this does not refuse it for its age: to exchange again would bring
/// the same, with every request.
const BRAND_NEW: Duration = Duration::from_secs(10);
#[cfg(test)]
mod tests;
