//! How a flight makes use of the store: what others have is taken, and what it brings is told to them.

use super::entry::{Entry, Refusal, Token};
use super::guard::{Guard, jittered};
use super::pepper::Pepper;
use super::peppers::Peppers;
use super::purged::{Purged, Purging, scopes};
use super::tallies::Tallies;
use super::{Index, LEASE_LIFE, Lease, MAX_VALUE, Owner, Scope, Store, StoreConfig};
use crate::cause::Cause;
use crate::credentials::Credentials;
use crate::engine::EngineOptions;
use crate::error::Error;
use crate::exchange::{Exchange, Work};
use crate::keeping::Age;
use crate::key::{Key, KeyHash};
use crate::metrics::{Snapshot, add};
use crate::policy::Breach;
use crate::shared::{Landed, Purpose, Shared};
use crate::token::{Grant, Origin};
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

/// An engine's part in the store.
pub(crate) struct Sharing {
    shared: Arc<Shared>,
    store: Guard,
    peppers: Peppers,
    purged: Purged,
    /// Hashes of tokens that an upstream has refused, by where they were in the cache: not taken from the store again.
    distrusted: Cache<Key, [u8; 32], UnitWeighter, KeyHash>,
    /// Flights that wait for other processes.
    waiting: AtomicU32,
    /// Where processes tell each other their numbers.
    tallies: Option<Tallies>,
}

/// Others are waited for until a quarter of the time is left: who holds a lease and brings nothing keeps nobody from the
/// provider.
const IMPATIENCE: u32 = 4;
/// How many refused tokens are remembered.
const MAX_DISTRUSTED: usize = 1000;
/// All who wait in a process look this often at most, together.
const LEAST_PAUSE_EACH: Duration = Duration::from_micros(100);
/// How often purges of others are asked for.
const POLL: Duration = Duration::from_secs(1);
/// By how much a token must be newer to be another one's successor: times that were converted are not exact.
const NEWER: Duration = Duration::from_secs(1);

/// What asking others came to.
enum Turn {
    Found(Box<Landed>),
    /// The exchange is this process's, under a lease or because the store fails.
    Ours(Option<Owner>),
}

enum Look {
    Found(Box<Landed>),
    Nothing { is_leased: bool },
    Failed,
}

impl Sharing {
    /// `None` where the options name no store.
    ///
    /// # Errors
    ///
    /// As [`StoreConfig::compile`]; [`crate::ErrorKind::ConfigFile`] for a file that cannot be used.
    pub(crate) fn of(
        options: &EngineOptions,
        shared: &Arc<Shared>,
    ) -> Result<Option<Arc<Sharing>>, Error> {
        let Some(config) = StoreConfig::compile(options)? else {
            return Ok(None);
        };
        let store = super::open(&config, Arc::clone(&shared.world.clock))?;
        Sharing::with_store(&config, store, shared).map(Some)
    }

    pub(super) fn with_store(
        config: &StoreConfig,
        store: Arc<dyn Store>,
        shared: &Arc<Shared>,
    ) -> Result<Arc<Sharing>, Error> {
        Ok(Arc::new(Sharing {
            store: Guard::new(store, Arc::clone(&shared.world)),
            shared: Arc::clone(shared),
            peppers: Peppers::new(config)?,
            purged: Purged::new(shared.world.clock.wall()),
            distrusted: Cache::with(
                MAX_DISTRUSTED,
                MAX_DISTRUSTED as u64,
                UnitWeighter,
                KeyHash::default(),
                DefaultLifecycle::default(),
            ),
            waiting: AtomicU32::new(0),
            tallies: config.metrics.then(Tallies::new),
        }))
    }

    /// Brings a token for a flight, within the gate's deadline: from the store, or from the provider and then into the
    /// store.
    pub(crate) async fn run(
        self: &Arc<Self>,
        exchange: &Exchange<'_>,
        work: &Work,
        purpose: &Purpose,
    ) -> Landed {
        let deadline = exchange.deadline();
        let credentials = match work {
            Work::Exchange(credentials) if exchange.rules.keeping.tokens => credentials,
            _ => return Landed::exchanged(exchange.run(work, deadline).await),
        };
        let Some(pepper) = self.pepper().await else {
            add(&self.shared.world.metrics.store_misses);
            return Landed::exchanged(exchange.run(work, deadline).await);
        };
        let flight = Flight {
            sharing: self,
            exchange,
            purpose,
            credentials,
            pepper,
            index: pepper.index(&exchange.rules.fingerprint, credentials),
        };
        let patience = deadline - exchange.rules.timeout / IMPATIENCE;
        let turn = timeout_at(patience, flight.turn()).await;
        match turn.unwrap_or(Turn::Ours(None)) {
            Turn::Found(landed) => {
                add(&self.shared.world.metrics.store_hits);
                *landed
            }
            Turn::Ours(owner) => {
                add(&self.shared.world.metrics.store_misses);
                flight.exchange(work, owner, deadline).await
            }
        }
    }

    /// A purge that is made in this process. It counts at once here; [`Sharing::tell_purges`] tells the others.
    pub(crate) fn begin_purge(&self, purging: Purging) {
        self.purged.begin(purging);
    }

    /// Tells the store of the purges that were made here.
    pub(crate) async fn tell_purges(&self) {
        while let Some(purging) = self.purged.pending() {
            let Some(pepper) = self.pepper().await else {
                return;
            };
            let scope = purging.scope(pepper);
            let wall = self.shared.world.clock.wall();
            let Some(number) = self.store.ask(|store| store.purge(scope, wall)).await else {
                return;
            };
            self.purged.end(&purging, number, pepper);
        }
    }

    /// An upstream has refused this token: it is not taken again.
    pub(crate) fn distrust(&self, grant: &Grant) {
        self.distrusted.insert(grant.key, hash(grant));
    }

    /// Whether the numbers of this engine are shown together with those of others.
    pub(crate) fn counts_for_all(&self) -> bool {
        self.tallies.is_some()
    }

    /// An engine's own numbers, and those that others have told within the last second or so.
    pub(crate) fn with_others(&self, own: Snapshot) -> Snapshot {
        let Some(tallies) = &self.tallies else {
            return own;
        };
        Snapshot {
            providers: own.providers.clone(),
            ..Snapshot::from_counters(&tallies.total(&own.counters()))
        }
    }

    /// Tells others this engine's numbers, and asks for theirs.
    async fn tally(&self) {
        let Some(tallies) = &self.tallies else {
            return;
        };
        let own = self.shared.snapshot().counters();
        let (group, process) = (tallies.group, tallies.process);
        let growth = tallies.growth(&own);
        let told = self.store.ask(|store| store.add(group, process, growth));
        if told.await.is_none() {
            return;
        }
        if let Some(sum) = self.store.ask(|store| store.sum(group)).await {
            tallies.learn(&own, &sum);
        }
    }

    /// Follows what others purge and count, as long as the engine's thread runs.
    pub(crate) async fn follow(self: Arc<Self>) {
        loop {
            self.tally().await;
            sleep(jittered(POLL)).await;
            self.tell_purges().await;
            if let Some(pepper) = self.peppers.known() {
                self.learn_purges(pepper).await;
            }
        }
    }

    async fn pepper(&self) -> Option<&Pepper> {
        match self.peppers.known() {
            Some(pepper) => Some(pepper),
            None => self.store.ask(|_| self.peppers.current()).await,
        }
    }

    /// `None` where the store does not tell.
    async fn learn_purges(&self, pepper: &Pepper) -> Option<()> {
        let after = self.purged.latest();
        let purges = self.store.ask(|store| store.purges(after)).await?;
        let new = self.purged.learn(&purges, pepper);
        if !new.is_empty() {
            self.forget(&new, pepper);
        }
        Some(())
    }

    fn forget(&self, purged: &HashSet<Scope>, pepper: &Pepper) {
        self.shared.negative.clear();
        self.shared.purge(|grant| {
            scopes(pepper, &grant.fingerprint, grant.client_id())
                .iter()
                .any(|scope| purged.contains(scope))
        });
    }
}

/// One flight's way.
struct Flight<'f> {
    sharing: &'f Arc<Sharing>,
    exchange: &'f Exchange<'f>,
    purpose: &'f Purpose,
    credentials: &'f Credentials,
    pepper: &'f Pepper,
    index: Index,
}

impl Flight<'_> {
    async fn turn(&self) -> Turn {
        // What comes after a purge must be seen to.
        self.sharing.tell_purges().await;
        let is_leased = match self.look(self.pepper, self.index).await {
            Look::Found(landed) => return Turn::Found(landed),
            Look::Failed => return Turn::Ours(None),
            Look::Nothing { is_leased } => is_leased,
        };
        if let Some(landed) = self.look_under_old_peppers().await {
            return Turn::Found(landed);
        }
        let mut random = [0; 16];
        if getrandom::fill(&mut random).is_err() {
            return Turn::Ours(None);
        }
        let owner = Owner(random);
        if is_leased && let Some(turn) = self.wait().await {
            return turn;
        }
        loop {
            match self.lease(owner).await {
                None => return Turn::Ours(None),
                Some(Lease::Held) => {}
                // Somebody may have come first, and given the lease back.
                Some(Lease::Taken) => match self.look(self.pepper, self.index).await {
                    Look::Found(landed) => {
                        self.release(owner).await;
                        return Turn::Found(landed);
                    }
                    Look::Nothing { .. } | Look::Failed => return Turn::Ours(Some(owner)),
                },
            }
            if let Some(turn) = self.wait().await {
                return turn;
            }
        }
    }

    /// Waits as long as somebody else holds the lease. `None`: nobody does any more, and nothing has come of it.
    async fn wait(&self) -> Option<Turn> {
        let sharing = self.sharing;
        add(&sharing.shared.world.metrics.store_waits);
        let waiting = Waiting::begin(&sharing.waiting);
        let (mut pause, longest) = sharing.store.pauses();
        loop {
            sleep(jittered(pause.max(LEAST_PAUSE_EACH * waiting.count()))).await;
            match self.look(self.pepper, self.index).await {
                Look::Found(landed) => return Some(Turn::Found(landed)),
                Look::Failed => return Some(Turn::Ours(None)),
                Look::Nothing { is_leased: false } => return None,
                Look::Nothing { is_leased: true } => {}
            }
            pause = (pause * 2).min(longest);
        }
    }

    async fn look(&self, pepper: &Pepper, index: Index) -> Look {
        let sharing = self.sharing;
        let Some(found) = sharing.store.ask(|store| store.look(index)).await else {
            return Look::Failed;
        };
        // Purges first: what is there may be older than one.
        if found.purges > sharing.purged.latest()
            && sharing.learn_purges(self.pepper).await.is_none()
        {
            return Look::Failed;
        }
        let landed = found
            .value
            .and_then(|value| self.open(pepper, &index, &value));
        landed.map_or(
            Look::Nothing {
                is_leased: found.is_leased,
            },
            |landed| Look::Found(Box::new(landed)),
        )
    }

    /// What was sealed under a pepper of before is sealed anew when it is found.
    async fn look_under_old_peppers(&self) -> Option<Box<Landed>> {
        for pepper in self.sharing.peppers.old() {
            let index = pepper.index(&self.exchange.rules.fingerprint, self.credentials);
            let Look::Found(landed) = self.look(pepper, index).await else {
                continue;
            };
            let purges = self.sharing.purged.latest();
            self.tell(&landed, purges).await;
            return Some(landed);
        }
        None
    }

    /// What a value says, where it says something of use to this flight.
    fn open(&self, pepper: &Pepper, index: &Index, value: &[u8]) -> Option<Landed> {
        if value.len() > MAX_VALUE {
            return None;
        }
        let text = pepper.open(index, &self.credentials.client_secret, value)?;
        let entry = Entry::read(&text)?;
        let (gate, client_id) = (
            &self.exchange.rules.fingerprint,
            &self.credentials.client_id,
        );
        let purged = &self.sharing.purged;
        if purged.covers(self.pepper, gate, client_id, entry.purges) {
            return None;
        }
        if let Some(grant) = entry.token.and_then(|token| self.grant(&token)) {
            return Some(Landed::shared(grant));
        }
        let (denial, left) = entry.refusal?.denial(&*self.exchange.world.clock)?;
        Some(Landed::refused(denial, left))
    }

    fn grant(&self, token: &Token<'_>) -> Option<Grant> {
        let (rules, clock) = (self.exchange.rules, &*self.exchange.world.clock);
        let origin = Origin {
            key: self.purpose.key,
            fingerprint: rules.fingerprint,
            received: clock.now(),
            is_brought: false,
        };
        let grant = token.grant(&self.credentials.client_id, origin, rules, clock)?;
        let is_distrusted = self.sharing.distrusted.get(&grant.key) == Some(hash(&grant));
        let verdict = rules.policy.check(grant.claims.as_ref(), clock.wall());
        if is_distrusted || verdict == Err(Breach::Expired) {
            return None;
        }
        let is_of_use = match (rules.keeping.age(&grant, clock.now()), self.old()) {
            (Age::Over, _) => false,
            (_, None) => true,
            (age, Some(old)) => age == Age::Fresh && grant.received > old.received + NEWER,
        };
        is_of_use.then_some(grant)
    }

    /// The token that is to be replaced before its end.
    fn old(&self) -> Option<Arc<Grant>> {
        let cache = &self.sharing.shared.cache;
        self.purpose
            .is_refresh
            .then(|| cache.peek(&self.purpose.key))
            .flatten()
    }

    /// Exchanges, holding the lease where there is one, and tells the others: before anybody is answered, so that whoever
    /// has been answered by this process is known to the others, whatever becomes of it.
    async fn exchange(&self, work: &Work, owner: Option<Owner>, deadline: Instant) -> Landed {
        let purges = self.sharing.purged.latest();
        let renewal = owner.map(|owner| Renewal::begin(self.sharing, self.index, owner));
        let landed = Landed::exchanged(self.exchange.run(work, deadline).await);
        self.tell(&landed, purges).await;
        drop(renewal);
        if let Some(owner) = owner {
            self.release(owner).await;
        }
        landed
    }

    async fn tell(&self, landed: &Landed, purges: u64) {
        let Some((value, life)) = self.sealed(landed, purges) else {
            return;
        };
        let index = self.index;
        let store = &self.sharing.store;
        if store
            .ask(|store| store.put(index, value, life))
            .await
            .is_some()
        {
            add(&self.sharing.shared.world.metrics.store_puts);
        }
    }

    /// What others are told, and how long it lives.
    fn sealed(&self, landed: &Landed, purges: u64) -> Option<(Vec<u8>, Duration)> {
        let (rules, clock) = (self.exchange.rules, &*self.exchange.world.clock);
        let old = self.old();
        let mut entry = Entry {
            purges,
            ..Entry::default()
        };
        match &landed.result {
            Ok(grant) => entry.token = Some(Token::of(grant, rules, clock)?),
            Err(denial) => {
                let kept = landed.kept(rules);
                if kept.is_zero() {
                    return None;
                }
                entry.refusal = Some(Refusal::of(denial, kept, clock));
                // The token that could not be replaced is good still, unless its secret is not.
                if denial.cause != Cause::CredentialsRefused {
                    entry.token = old.as_ref().and_then(|old| Token::of(old, rules, clock));
                }
            }
        }
        let life = entry.life(clock.wall())?;
        let text = entry.write()?;
        let secret = &self.credentials.client_secret;
        Some((self.pepper.seal(&self.index, secret, &text)?, life))
    }

    async fn lease(&self, owner: Owner) -> Option<Lease> {
        let (store, index) = (&self.sharing.store, self.index);
        store
            .ask(|store| store.lease(index, owner, LEASE_LIFE))
            .await
    }

    async fn release(&self, owner: Owner) {
        let (store, index) = (&self.sharing.store, self.index);
        store.ask(|store| store.release(index, owner)).await;
    }
}

/// Takes a lease anew until dropped.
struct Renewal(JoinHandle<()>);

impl Renewal {
    fn begin(sharing: &Arc<Sharing>, index: Index, owner: Owner) -> Renewal {
        let sharing = Arc::clone(sharing);
        Renewal(tokio::spawn(async move {
            let store = &sharing.store;
            loop {
                sleep(LEASE_LIFE / 4).await;
                store
                    .ask(|store| store.lease(index, owner, LEASE_LIFE))
                    .await;
            }
        }))
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Counts a flight among those who wait.
struct Waiting<'w>(&'w AtomicU32);

impl Waiting<'_> {
    fn begin(waiting: &AtomicU32) -> Waiting<'_> {
        waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(waiting)
    }

    fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn hash(grant: &Grant) -> [u8; 32] {
    *blake3::hash(grant.authorization().as_bytes()).as_bytes()
}
