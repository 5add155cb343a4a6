//! The decision on a request: `look` (credentials, key, token cache, refusals), then `join` (the flight).

#[cfg(feature = "bench")]
pub(crate) mod bench;

use crate::cache::completions::{Completions, Ticket};
use crate::cache::flight::{Joined, Recipient, Waiter};
use crate::cache::purges::PurgeTarget;
use crate::cache::{Purpose, Shared};
use crate::cache_status::CacheStatus;
use crate::cause::{Cause, Denial};
use crate::config::engine::EngineOptions;
use crate::engine::io_thread::{Command, Job, Landing, Limits, Runtime};
use crate::env::Env;
use crate::error::Error;
use crate::gate::endpoint::Admission;
use crate::gate::retention::Age;
use crate::gate::{Gate, Rules};
use crate::key::{Key, ProcessKey};
use crate::metrics::{Snapshot, add};
use crate::outcome::Outcome;
use crate::provider::exchange::Work;
use crate::provider::health::Parties;
use crate::request::extract::{Places, Presented, PresentedPair, basic_alone, extract};
use crate::request::scratch::{Scratch, ScratchBuffer};
use crate::request::traceparent::traceparent;
use crate::request::{Request, Source};
use crate::store::Sharing;
use crate::sys::clock::Moment;
use crate::sys::process::Process;
use crate::sys::secret::{Secret, bleach};
use crate::token::Grant;
use once_cell::sync::OnceCell;
use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::Duration;

thread_local! {
    /// One per thread: zeroing a buffer for every request costs more than wiping the bytes that were written.
    static SCRATCH: RefCell<ScratchBuffer> = const { RefCell::new(ScratchBuffer::new()) };
}

/// The result of looking a request up.
pub(super) enum Look<'r> {
    /// The outcome, known without another thread.
    Known(Outcome),
    /// [`Inner::join`] turns it into a wait.
    Miss(Miss<'r>),
}

/// A request that neither the token cache nor the refusals can answer.
pub(super) struct Miss<'r> {
    rules: &'r Arc<Rules>,
    pub(super) key: Key,
    source: Source,
    presented: Presented<'r>,
    caller: Caller<'r>,
    moment: Moment,
}

/// The circumstances of a request that an exchange needs beside its credentials.
#[derive(Clone, Copy)]
struct Caller<'r> {
    /// See [`Request::peer`].
    peer: Option<&'r [u8]>,
    /// See [`Request::traceparent`].
    traceparent: Option<&'r [u8]>,
}

impl<'r> Caller<'r> {
    fn of(request: &Request<'r>) -> Caller<'r> {
        Caller {
            peer: request.peer,
            traceparent: request.traceparent,
        }
    }
}

/// The maximum that a semaphore accepts.
const MAX_EXCHANGES: usize = 1_000_000;

/// The state that the handles of an engine share.
pub(crate) struct Inner {
    process: Process,
    process_key: ProcessKey,
    pub(super) shared: Arc<Shared>,
    limits: Limits,
    /// Started by the first miss. Dropped by hand, because a forked child must not drop it.
    runtime: ManuallyDrop<OnceCell<Runtime>>,
    /// Used on that thread only, and dropped in the same way.
    sharing: ManuallyDrop<Option<Arc<Sharing>>>,
}

impl Inner {
    pub(super) fn new(
        options: &EngineOptions,
        process_key: ProcessKey,
        env: Env,
    ) -> Result<Inner, Error> {
        let shared = Arc::new(Shared::new(options, Arc::new(env)));
        Ok(Inner {
            process: Process::current(),
            process_key,
            sharing: ManuallyDrop::new(Sharing::of(options, &shared)?),
            shared,
            limits: Limits {
                max_exchanges: options.max_exchanges.min(MAX_EXCHANGES),
                longest_pause: Duration::from_secs(options.provider_pause_max.into()),
            },
            runtime: ManuallyDrop::new(OnceCell::new()),
        })
    }

    pub(crate) fn check_process(&self) -> Result<(), Error> {
        if self.process.is_current() {
            Ok(())
        } else {
            Err(Error::wrong_process())
        }
    }

    /// Looks a request up and hands the result to `next`. Nothing has begun for a miss.
    pub(super) fn look<R>(
        &self,
        gate: &Gate,
        request: &Request<'_>,
        next: impl FnOnce(Look<'_>) -> R,
    ) -> R {
        SCRATCH.with_borrow_mut(|buffer| {
            let mut scratch = Scratch::new(buffer);
            let result = next(self.look_up(&gate.rules, request, &mut scratch));
            // Nothing was decoded or copied for a hit by Basic, or with credentials from the host.
            if scratch.is_written() {
                bleach();
            }
            result
        })
    }

    pub(super) fn authenticate_at_once(
        &self,
        gate: &Gate,
        request: &Request<'_>,
    ) -> Result<Option<Outcome>, Error> {
        self.check_process()?;
        Ok(self.look(gate, request, |look| match look {
            Look::Known(outcome) => Some(outcome),
            Look::Miss(_) => None,
        }))
    }

    /// Admits a request, then looks it up. The lookup is inlined twice, so that a gate that searches every request as it
    /// comes pays for no other.
    fn look_up<'r>(
        &self,
        rules: &'r Arc<Rules>,
        request: &Request<'r>,
        scratch: &'r mut Scratch<'_>,
    ) -> Look<'r> {
        if rules.entry.is_open() {
            return self.look_up_in(rules, &rules.places, request, scratch);
        }
        match rules.entry.admit(rules, request) {
            Admission::Search(places, request) => self.look_up_in(rules, places, &request, scratch),
            Admission::Preflight => {
                self.known(Outcome::without_token(rules, CacheStatus::Preflight), b"")
            }
            Admission::Refused(denial) => {
                self.known(Outcome::of_denial(rules, denial, CacheStatus::None), b"")
            }
        }
    }

    /// Credentials, key, token cache and refusals: the part that needs no other thread.
    #[inline(always)]
    fn look_up_in<'r>(
        &self,
        rules: &'r Arc<Rules>,
        places: &'r Places,
        request: &Request<'r>,
        scratch: &'r mut Scratch<'_>,
    ) -> Look<'r> {
        let deny = |denial| self.known(Outcome::of_denial(rules, denial, CacheStatus::None), b"");
        let [given, expected] = [request.args.len(), places.args.host().len()];
        if given != expected {
            let detail =
                format!("the host passed {given} values for {expected} token_post_args_host");
            return deny(Denial::new(Cause::Internal, detail));
        }
        let moment = self.shared.env.clock.coarse();
        // Most hits: nothing is decoded, and the credentials are not looked at.
        if let Some(text) = basic_alone(places, request, scratch) {
            let key = self.process_key.basic(&rules.fingerprint, text);
            let may_serve = |grant: &Grant| rules.allows_client_of(grant);
            match self.hit(rules, &key, Source::Header, moment, may_serve) {
                Some((outcome, None)) => return Look::Known(outcome),
                Some((outcome, Some(grant))) => {
                    if let Ok(presented) = extract(places, request, scratch) {
                        self.refresh(rules, key, &presented, Caller::of(request), &grant);
                    }
                    return Look::Known(outcome);
                }
                None => {}
            }
        }
        let presented = match extract(places, request, scratch) {
            Ok(presented) => presented,
            Err(cause) => return deny(Denial::new(cause, "")),
        };
        let (key, source) = match &presented {
            Presented::Pair(pair) if !rules.allows_client(pair.client_id) => {
                let denial = Denial::new(Cause::ClientNotAllowed, "");
                let outcome = Outcome::of_denial(rules, denial, CacheStatus::None);
                return self.known(outcome, pair.client_id);
            }
            Presented::Pair(pair) => (self.key(rules, pair), pair.source),
            Presented::Token(token) => {
                let key = self.process_key.token(&rules.fingerprint, token.as_bytes());
                (key, Source::Header)
            }
        };
        if let Some((outcome, refresh_due)) = self.hit(rules, &key, source, moment, |_| true) {
            if let Some(grant) = refresh_due {
                self.refresh(rules, key, &presented, Caller::of(request), &grant);
            }
            return Look::Known(outcome);
        }
        if let Some(denial) = self.shared.refusal(&key, moment.now) {
            let outcome = Outcome::of_denial(rules, denial, CacheStatus::Negative);
            return self.known(outcome, presented.client_id());
        }
        Look::Miss(Miss {
            rules,
            key,
            source,
            presented,
            caller: Caller::of(request),
            moment,
        })
    }

    /// Counts an outcome other than a hit's. `client_id`: of the presented credentials, if the gate finds any.
    fn known<'r>(&self, outcome: Outcome, client_id: &[u8]) -> Look<'r> {
        let metrics = &self.shared.env.metrics;
        outcome.count(metrics, &metrics.clients.of(client_id));
        Look::Known(outcome)
    }

    /// Joins the flight of a miss, or opens it. `None`: the recipient waits. Otherwise the outcome, and the recipient
    /// gets nothing.
    pub(super) fn join(&self, miss: &Miss<'_>, recipient: Recipient) -> Option<Outcome> {
        let Miss {
            rules, key, source, ..
        } = *miss;
        let metrics = &self.shared.env.metrics;
        let waiter = Waiter {
            rules: Arc::clone(rules),
            source,
            recipient,
            deadline: miss.moment.now + rules.timeout,
            requests: metrics.clients.of(miss.presented.client_id()),
        };
        let token_bytes = match &miss.presented {
            Presented::Pair(_) => 0,
            Presented::Token(token) => token.len(),
        };
        // Ignores a due refresh: the next hit starts it. This runs under the lock of the flight table, where no flight
        // can be opened.
        let landed = || {
            let hit = self.hit(rules, &key, source, miss.moment, |_| true);
            hit.map(|(outcome, _)| outcome)
        };
        match self.shared.flights.join(key, landed, waiter, token_bytes) {
            Joined::Landed(outcome) => Some(*outcome),
            Joined::Full(limit) => {
                let denial = Denial::new(Cause::Overloaded, limit);
                let outcome = Outcome::of_denial(rules, denial, CacheStatus::None);
                let client_id = miss.presented.client_id();
                outcome.count(metrics, &metrics.clients.of(client_id));
                Some(outcome)
            }
            Joined::Waiting { is_watched } => {
                if !is_watched && let Ok(runtime) = self.runtime() {
                    runtime.submit(Command::Watch(key));
                }
                None
            }
            Joined::Opened => {
                self.start(rules, key, &miss.presented, miss.caller, false);
                None
            }
        }
    }

    /// The outcome of a cache hit, counted, and the token if its refresh is due. `may_serve` may refuse the token.
    fn hit(
        &self,
        rules: &Arc<Rules>,
        key: &Key,
        source: Source,
        Moment { now, wall }: Moment,
        may_serve: impl FnOnce(&Grant) -> bool,
    ) -> Option<(Outcome, Option<Arc<Grant>>)> {
        if !rules.retention.tokens {
            return None;
        }
        let grant = self.shared.token(key).filter(|grant| may_serve(grant))?;
        let age = rules.retention.age(&grant, now, wall);
        if age == Age::Over {
            return None;
        }
        // A token is never served past its `exp`, whatever its age.
        let verdict = rules.policy.check(&grant, wall);
        if verdict.is_err_and(|breach| breach.wants_another(grant.age(now, wall))) {
            return None;
        }
        let cache_status = if grant.refresh.has_failed() {
            CacheStatus::Stale
        } else {
            CacheStatus::Hit
        };
        let refresh_due = (age == Age::RefreshDue).then(|| Arc::clone(&grant));
        let metrics = &self.shared.env.metrics;
        let outcome = Outcome::of_verdict(rules, grant, verdict, cache_status, source, metrics);
        Some((outcome, refresh_due))
    }

    /// Starts a refresh, if no other request has claimed it.
    fn refresh(
        &self,
        rules: &Arc<Rules>,
        key: Key,
        presented: &Presented<'_>,
        caller: Caller<'_>,
        grant: &Grant,
    ) {
        let now = self.shared.env.clock.now();
        let age = now.saturating_duration_since(grant.received);
        // The provider's Retry-After has not passed.
        let is_paused = || self.shared.refusal(&key, now).is_some();
        if grant.is_client_supplied
            || !grant.refresh.claim(age)
            || is_paused()
            || !self.shared.flights.open_refresh(key)
        {
            return;
        }
        add(&self.shared.env.metrics.refreshes);
        self.start(rules, key, presented, caller, true);
    }

    fn key(&self, rules: &Rules, pair: &PresentedPair<'_>) -> Key {
        self.process_key.pair(
            &rules.fingerprint,
            pair.client_id,
            pair.client_secret,
            pair.args(),
        )
    }

    fn parties(
        &self,
        rules: &Rules,
        key: Key,
        presented: &Presented<'_>,
        peer: Option<&[u8]>,
    ) -> Parties {
        let (mac, gate) = (&self.process_key, &rules.fingerprint);
        let client = match presented {
            Presented::Pair(pair) => mac.client(gate, pair.client_id),
            // Verifying a token makes no exchange.
            Presented::Token(_) => key,
        };
        let address = peer.and_then(|text| str::from_utf8(text).ok()?.parse().ok());
        Parties {
            client,
            // No client id is empty.
            gate: mac.client(gate, b""),
            source: address.map(|address| mac.source(gate, address)),
        }
    }

    /// Removes a cancelled waiter from its flight.
    pub(crate) fn leave(&self, key: &Key, completions: &Completions, ticket: Ticket) {
        self.shared.flights.leave(key, completions, ticket);
    }

    /// Submits work to the I/O thread, which the first job starts.
    fn start(
        &self,
        rules: &Arc<Rules>,
        key: Key,
        presented: &Presented<'_>,
        caller: Caller<'_>,
        is_refresh: bool,
    ) {
        let purpose = Purpose {
            rules: Arc::clone(rules),
            key,
            parties: self.parties(rules, key, presented, caller.peer),
            is_refresh,
            // Printable ASCII.
            client_id: String::from_utf8_lossy(presented.client_id()).into(),
            start: self.shared.start(),
            traceparent: match caller.traceparent {
                Some(value) if rules.request.traceparent => traceparent(value),
                _ => None,
            },
        };
        let job = Job {
            work: match presented {
                Presented::Pair(pair) => Work::Exchange(pair.credentials()),
                Presented::Token(token) => Work::Verify(Secret::new(token)),
            },
            landing: Landing::new(Arc::clone(&self.shared), purpose),
        };
        match self.runtime() {
            Ok(runtime) => runtime.submit(Command::Fly(job)),
            Err(error) => job
                .landing
                .deny(Denial::new(Cause::Internal, error.to_string())),
        }
    }

    fn runtime(&self) -> Result<&Runtime, Error> {
        self.runtime.get_or_try_init(|| {
            let (shared, sharing) = (Arc::clone(&self.shared), Option::clone(&self.sharing));
            Runtime::start(shared, sharing, self.limits)
        })
    }

    /// The metrics, of this engine or of all that share theirs.
    pub(super) fn snapshot(&self) -> Snapshot {
        let own = self.shared.snapshot();
        match self.sharing.as_ref() {
            Some(sharing) if sharing.counts_for_all() => {
                // The I/O thread follows the others, even in an idle process.
                let _ = self.runtime();
                sharing.with_others(own)
            }
            _ => own,
        }
    }

    /// Purges this engine, and every engine that shares its store.
    pub(super) fn purge(&self, target: &PurgeTarget) {
        // The store comes first: a purged token must not return from it.
        if let Some(sharing) = self.sharing.as_ref() {
            sharing.begin_purge(target.clone());
            // Without the thread nothing can use the store either.
            if let Ok(runtime) = self.runtime() {
                runtime.submit(Command::WritePurges);
            }
        }
        self.purge_here(target);
    }

    /// Follows a purge that another process of this host has made.
    pub(super) fn follow_purge(&self, target: &PurgeTarget) {
        // The store comes first here too: the other process may not have stored the purge yet.
        if let Some(sharing) = self.sharing.as_ref() {
            sharing.follow_purge(target.clone());
        }
        self.purge_here(target);
    }

    /// Applies a purge to this process.
    fn purge_here(&self, target: &PurgeTarget) {
        if target.client_id.is_none() {
            self.shared.env.forget_documents();
        }
        self.shared.purge(target);
    }

    /// Drops a token that an upstream refused, unless another one has replaced it.
    pub(super) fn drop_refused(&self, grant: &Grant) -> bool {
        if let Some(sharing) = self.sharing.as_ref() {
            sharing.distrust(grant);
        }
        self.shared.drop_exactly(grant)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A forked child has the runtime's memory, but neither its thread nor a right to its descriptors: leak it.
        if self.process.is_current() {
            drop(self.runtime.take());
            drop(self.sharing.take());
        }
    }
}
