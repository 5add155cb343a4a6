//! The engine of a process: it looks requests up on the host's thread and runs everything else on its I/O thread.

pub(crate) mod decide;
mod io_thread;
pub(crate) mod queue;

use decide::{Inner, Look};

use crate::cache::flight::Recipient;
use crate::cache::purges::PurgeTarget;
use crate::cache_status::CacheStatus;
use crate::cause::{Cause, Denial};
use crate::config::engine::EngineOptions;
use crate::env::Env;
use crate::error::{Error, ErrorKind};
use crate::gate::{Gate, Rules};
use crate::http::{HttpTransport, Transport};
use crate::journal::Record;
use crate::key::ProcessKey;
use crate::metrics::clients::{ClientRequests, Clients};
use crate::metrics::{ProviderState, Snapshot};
use crate::outcome::Outcome;
use crate::request::Request;
use crate::store::Sharing;
use crate::sys::clock::{Clock, SystemClock};
use crate::sys::process::Process;
use crate::token::Grant;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::time::Duration;

/// The engine of a process. It belongs to the process that created it; its thread starts with the first miss, and ends
/// with the last handle. A clone is another handle.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

/// The engines of this process, for [`Engine::shared`].
static ENGINES: Mutex<Vec<(EngineOptions, Process, Weak<Inner>)>> = Mutex::new(Vec::new());

impl Engine {
    /// Creates an engine that shares nothing with any other.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::System`] if the system has no randomness; [`ErrorKind::ConfigFile`] if a file named in the options
    /// is unusable.
    pub fn new(options: EngineOptions) -> Result<Engine, Error> {
        let transport = Arc::new(HttpTransport::new(options.max_exchanges));
        Engine::with_parts(options, transport, Arc::new(SystemClock))
    }

    /// Returns the engine of this process with these options, and creates it if needed: all hosts in one process share
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

    /// Checks the options and the files that they name, without creating an engine: makes no file, contacts no host.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ConfigValue`], naming the option; [`ErrorKind::ConfigFile`] if a file is unusable.
    pub fn check(options: &EngineOptions) -> Result<(), Error> {
        Sharing::check(options)
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
        let mut env = Env::new(transport, clock);
        env.metrics.clients = Clients::new(options.metrics_clients);
        Ok(Engine {
            inner: Arc::new(Inner::new(&options, process_key, env)?),
        })
    }

    /// Authenticates a request if that needs no exchange. `None`: an exchange is needed, and has not begun. For hosts
    /// that prepare a wait only on a miss.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork.
    pub fn authenticate_at_once(
        &self,
        gate: &Gate,
        request: &Request<'_>,
    ) -> Result<Option<Outcome>, Error> {
        self.inner.authenticate_at_once(gate, request)
    }

    /// Authenticates a request and blocks the calling thread during an exchange, until the gate's deadline at most. For
    /// hosts without an event loop.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork. A denial is an [`Outcome`], not an error.
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

    /// Purges the tokens and cached refusals of a gate, and of gates that share them; with `client_id` only those of that
    /// client. Tokens of exchanges in progress go to their waiters and are not served again. Costs the caller the same
    /// for any number of tokens. With a store, every process that shares it does the same within about a second.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork.
    pub fn purge(&self, gate: &Gate, client_id: Option<&str>) -> Result<(), Error> {
        self.inner.check_process()?;
        self.inner.purge(&PurgeTarget {
            gate: Some(gate.rules.fingerprint),
            client_id: client_id.map(Box::from),
        });
        Ok(())
    }

    /// Purges the tokens and cached refusals of all gates; otherwise as [`Engine::purge`]. Without `client_id`, it also
    /// forgets the metadata and keys of all providers.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork.
    pub fn purge_all(&self, client_id: Option<&str>) -> Result<(), Error> {
        self.inner.check_process()?;
        self.inner.purge(&PurgeTarget {
            gate: None,
            client_id: client_id.map(Box::from),
        });
        Ok(())
    }

    /// Follows a purge that another process of this host made with [`Engine::purge_all`] at most two seconds ago: purges
    /// this engine, and leaves the shared store to the other process.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork.
    pub fn follow_purge(&self, client_id: Option<&str>) -> Result<(), Error> {
        self.inner.check_process()?;
        self.inner.follow_purge(&PurgeTarget {
            gate: None,
            client_id: client_id.map(Box::from),
        });
        Ok(())
    }

    /// Reports the upstream's status for an allowed request. If the gate's `purge_token_on_upstream_status_codes`
    /// contains it, drops the token and returns true, unless another token has replaced it or it is too new for its age
    /// to be the reason.
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

    /// The metrics of this engine; with [`EngineOptions::store_metrics`] the sum over all engines of this host, up to a
    /// second old. Its `Display` is Prometheus's text format.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork.
    pub fn metrics(&self) -> Result<Snapshot, Error> {
        self.inner.check_process()?;
        Ok(self.inner.snapshot())
    }

    /// At most `count` clients with counters, from the position `first`, of this engine alone: `other`, which has all
    /// further requests, then the clients in the order of their first token. None without
    /// [`EngineOptions::metrics_clients`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork.
    pub fn clients(&self, first: usize, count: usize) -> Result<Vec<ClientRequests>, Error> {
        self.inner.check_process()?;
        Ok(self.inner.shared.env.metrics.clients.list(first, count))
    }

    /// The states of the providers of this engine alone, by issuer.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork.
    pub fn providers(&self) -> Result<BTreeMap<String, ProviderState>, Error> {
        self.inner.check_process()?;
        Ok(self.inner.shared.env.metrics.providers())
    }

    /// The next record for the operator's log, if any.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongProcess`] after a fork.
    pub fn next_record(&self) -> Result<Option<Record>, Error> {
        self.inner.check_process()?;
        Ok(self.inner.shared.env.journal.next())
    }

    /// Whether [`Engine::next_record`] has a record. Costs one memory read.
    pub fn has_records(&self) -> bool {
        self.inner.shared.env.journal.has_records()
    }

    /// Whether this engine belongs to the calling process.
    pub fn is_usable(&self) -> bool {
        self.inner.check_process().is_ok()
    }
}

/// An upstream does not refuse a younger token for its age: another exchange would return the same, on every request.
const BRAND_NEW: Duration = Duration::from_secs(10);
#[cfg(test)]
mod tests;
