//! The way of a request: credentials, key, cache, refusals, budgets, flight.

use crate::cause::{Cause, Denial};
use crate::completions::{Completions, Ticket};
use crate::error::Error;
use crate::exchange::Work;
use crate::extract::{Presented, PresentedPair, Room, Scratch, extract};
use crate::flight::{Joined, Recipient, Waiter};
use crate::gate::{Gate, Rules};
use crate::keeping::Age;
use crate::key::{Key, MacKey, Message};
use crate::metrics::{Snapshot, add};
use crate::options::EngineOptions;
use crate::outcome::{How, Outcome};
use crate::policy::Breach;
use crate::process::Process;
use crate::request::{Request, Source};
use crate::runtime::{Command, Job, Landing, Runtime};
use crate::secret::Secret;
use crate::shared::{Purpose, Shared};
use crate::store::{Purging, Sharing};
use crate::token::Grant;
use crate::world::World;
use once_cell::sync::OnceCell;
use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::Instant;

thread_local! {
    /// A thread's own: to zero one for every request costs more than to wipe what was written.
    static ROOM: RefCell<(Room, Message)> = const { RefCell::new((Room::new(), Message::new())) };
}

/// More would not fit a semaphore.
const MAX_EXCHANGES: usize = 1_000_000;

/// What the handles of an engine share.
pub(crate) struct Inner {
    process: Process,
    process_key: MacKey,
    pub(super) shared: Arc<Shared>,
    max_exchanges: usize,
    /// Started by the first miss. Dropped by hand, because in a forked child it must not be.
    runtime: ManuallyDrop<OnceCell<Runtime>>,
    /// Used on that thread only; dropped as it is.
    sharing: ManuallyDrop<Option<Arc<Sharing>>>,
}

impl Inner {
    pub(super) fn new(
        options: &EngineOptions,
        process_key: MacKey,
        world: World,
    ) -> Result<Inner, Error> {
        let shared = Arc::new(Shared::new(options, Arc::new(world)));
        Ok(Inner {
            process: Process::current(),
            process_key,
            sharing: ManuallyDrop::new(Sharing::of(options, &shared)?),
            shared,
            max_exchanges: options.max_exchanges.min(MAX_EXCHANGES),
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

    /// The outcome where it is known at once. Else the request waits, and what `recipient` makes is told; without a
    /// `recipient` nothing is begun.
    pub(crate) fn authenticate(
        &self,
        gate: &Gate,
        request: &Request<'_>,
        recipient: Option<impl FnOnce(Key) -> Recipient>,
    ) -> Option<Outcome> {
        let outcome = ROOM.with_borrow_mut(|(room, message)| {
            let scratch = &mut Scratch::new(room);
            self.decide(&gate.rules, request, scratch, message, recipient)
        })?;
        self.shared.world.metrics.count(&outcome);
        Some(outcome)
    }

    fn decide(
        &self,
        rules: &Arc<Rules>,
        request: &Request<'_>,
        scratch: &mut Scratch<'_>,
        message: &mut Message,
        recipient: Option<impl FnOnce(Key) -> Recipient>,
    ) -> Option<Outcome> {
        if !rules.run_on_preflight && request.method == b"OPTIONS" {
            return Some(Outcome::without_token(rules, How::Preflight));
        }
        let deny = |cause| Some(Outcome::of_denial(rules, Denial::new(cause, ""), How::None));
        let [given, wanted] = [request.args.len(), rules.places.args.host().len()];
        if given != wanted {
            let detail = format!("{given} values were given for {wanted} token_post_args_host");
            let denial = Denial::new(Cause::Internal, detail);
            return Some(Outcome::of_denial(rules, denial, How::None));
        }
        let presented = match extract(&rules.places, request, scratch) {
            Ok(presented) => presented,
            Err(cause) => return deny(cause),
        };
        let (key, source) = match &presented {
            Presented::Pair(pair) if !rules.allows_client(pair.client_id) => {
                return deny(Cause::ClientNotAllowed);
            }
            Presented::Pair(pair) => (self.key(rules, pair, message), pair.source),
            Presented::Token(token) => {
                let key = self.process_key.token(&rules.fingerprint, token.as_bytes());
                (key, Source::Header)
            }
        };
        let now = self.shared.world.clock.now();
        if let Some((outcome, ripe)) = self.known(rules, &key, source, now) {
            if let Some(grant) = ripe {
                self.refresh(rules, key, &presented, &grant, now);
            }
            return Some(outcome);
        }
        if let Some(denial) = self.shared.negative.get(&key, now) {
            return Some(Outcome::of_denial(rules, denial, How::Negative));
        }
        let budgets = match &presented {
            Presented::Pair(pair) => Some(self.budgets(rules, pair)),
            // Verifying a token asks the provider for nothing.
            Presented::Token(_) => None,
        };
        if let Some(budgets) = budgets
            && let Err(denial) = self.shared.quota(rules, &key, budgets).check()
        {
            return Some(Outcome::of_denial(rules, denial, How::None));
        }
        let recipient = recipient?;
        let waiter = || Waiter {
            rules: Arc::clone(rules),
            source,
            recipient: recipient(key),
        };
        // Under the table's lock, in which no flight can be opened: the next hit sends for the successor.
        let known = || {
            self.known(rules, &key, source, now)
                .map(|(outcome, _)| outcome)
        };
        match self.shared.flights.join(key, known, waiter) {
            Joined::Landed(outcome) => return Some(*outcome),
            Joined::Full => {
                let denial = Denial::new(
                    Cause::Overloaded,
                    "more requests wait for the provider than max_waiting allows",
                );
                return Some(Outcome::of_denial(rules, denial, How::None));
            }
            Joined::Waiting => {}
            Joined::Opened => self.start(rules, key, &presented, budgets, false),
        }
        None
    }

    /// What the cache knows; and the token, where it is past its best and its successor is to be sent for.
    fn known(
        &self,
        rules: &Arc<Rules>,
        key: &Key,
        source: Source,
        now: Instant,
    ) -> Option<(Outcome, Option<Arc<Grant>>)> {
        if !rules.keeping.tokens {
            return None;
        }
        let grant = self.shared.cache.get(key)?;
        let age = rules.keeping.age(&grant, now);
        if age == Age::Over {
            return None;
        }
        // The clock on the wall may know better than the one that measures: a token is not served past its `exp`.
        let wall = self.shared.world.clock.wall();
        let verdict = rules.policy.check(grant.claims.as_ref(), wall);
        if verdict == Err(Breach::Expired) {
            return None;
        }
        let how = if grant.refresh.has_failed() {
            How::Stale
        } else {
            How::Hit
        };
        let ripe = (age == Age::Ripe).then(|| Arc::clone(&grant));
        let outcome = Outcome::of_verdict(rules, grant, verdict, how, source);
        Some((outcome, ripe))
    }

    /// Sends for the next token, if it is this request's turn.
    fn refresh(
        &self,
        rules: &Arc<Rules>,
        key: Key,
        presented: &Presented<'_>,
        grant: &Grant,
        now: Instant,
    ) {
        let age = now.saturating_duration_since(grant.received);
        let is_waited_for = || self.shared.negative.get(&key, now).is_some();
        if grant.is_brought
            || !grant.refresh.claim(age)
            // The provider has said when to come again.
            || is_waited_for()
            || !self.shared.flights.open_refresh(key)
        {
            return;
        }
        add(&self.shared.world.metrics.refreshes);
        self.start(rules, key, presented, None, true);
    }

    fn key(&self, rules: &Rules, pair: &PresentedPair<'_>, message: &mut Message) -> Key {
        self.process_key.pair(
            &rules.fingerprint,
            pair.client_id,
            pair.client_secret,
            pair.args(),
            message,
        )
    }

    /// What refusals are counted under: the client, and the gate. No client id is empty.
    fn budgets(&self, rules: &Rules, pair: &PresentedPair<'_>) -> [Key; 2] {
        [pair.client_id, b""].map(|id| self.process_key.client(&rules.fingerprint, id))
    }

    /// One who waits in a queue does not any more.
    pub(crate) fn leave(&self, key: &Key, completions: &Completions, ticket: Ticket) {
        self.shared.flights.leave(key, completions, ticket);
    }

    /// Hands work to the thread, which the first one starts.
    fn start(
        &self,
        rules: &Arc<Rules>,
        key: Key,
        presented: &Presented<'_>,
        budgets: Option<[Key; 2]>,
        is_refresh: bool,
    ) {
        let purpose = Purpose {
            rules: Arc::clone(rules),
            key,
            budgets,
            is_refresh,
            purges: self.shared.purges(),
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
            Runtime::start(shared, sharing, self.max_exchanges)
        })
    }

    /// What has been done, by all who tell each other.
    pub(super) fn snapshot(&self) -> Snapshot {
        let own = self.shared.snapshot();
        match self.sharing.as_ref() {
            Some(sharing) if sharing.counts_for_all() => {
                // Whoever is asked follows the others, even if nothing else ever happens here.
                let _ = self.runtime();
                sharing.with_others(own)
            }
            _ => own,
        }
    }

    /// Drops tokens here, and has them dropped by everybody who shares.
    pub(super) fn purge(&self, purging: &Purging) -> u64 {
        // The store first: what is dropped must not come back from there.
        if let Some(sharing) = self.sharing.as_ref() {
            sharing.begin_purge(purging.clone());
            // Without a thread there is nobody who could use the store either.
            if let Ok(runtime) = self.runtime() {
                runtime.submit(Command::TellPurges);
            }
        }
        self.drop_purged(purging)
    }

    /// What of a purge is in this process.
    pub(super) fn drop_purged(&self, purging: &Purging) -> u64 {
        // Refusals are kept for seconds, and do not say whose they are.
        self.shared.negative.clear();
        self.shared
            .purge(|grant| purging.covers(&grant.fingerprint, grant.client_id()))
    }

    /// Drops a token that an upstream refuses, unless another one has taken its place.
    pub(super) fn drop_refused(&self, grant: &Grant) -> bool {
        if let Some(sharing) = self.sharing.as_ref() {
            sharing.distrust(grant);
        }
        let is_dropped = self.shared.cache.remove_exactly(grant);
        if is_dropped {
            add(&self.shared.world.metrics.purged);
        }
        is_dropped
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A forked child has the runtime's memory, and neither its thread nor a right to its descriptors: it is left.
        if self.process.is_current() {
            drop(self.runtime.take());
            drop(self.sharing.take());
        }
    }
}
