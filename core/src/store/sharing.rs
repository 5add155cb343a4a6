//! An engine's side of the store: it stores tokens, purges and metrics, and reads those of other processes.

use super::guard::{Guard, jittered};
use super::lead::{Lead, wait_deadline};
use super::pepper::Pepper;
use super::peppers::Peppers;
use super::purged::{Pending, Purged, target_ids};
use super::tallies::Tallies;
use super::{MAX_PURGES, Store, StoreConfig, TargetId};
use crate::cache::purges::PurgeTarget;
use crate::cache::{Landed, Purpose, Shared};
use crate::cache_status::CacheStatus;
use crate::config::engine::EngineOptions;
use crate::error::Error;
use crate::key::{KeyCache, key_cache};
use crate::metrics::{Snapshot, add};
use crate::provider::context::Exchange;
use crate::provider::exchange::Work;
use crate::sys::clock::SystemClock;
use crate::token::Grant;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout_at};

/// An engine's side of the store.
pub(crate) struct Sharing {
    pub(super) shared: Arc<Shared>,
    pub(super) store: Guard,
    pub(super) peppers: Peppers,
    pub(super) purged: Purged,
    /// Locked while purges are written or read, so that a purge of this process is not taken for another's.
    purging: Mutex<()>,
    /// Hashes of tokens that an upstream rejected, by cache key: not accepted from the store again.
    distrusted: KeyCache<[u8; 32]>,
    /// The number of flights that wait for other processes.
    pub(super) waiting: AtomicU32,
    /// The exchange of metrics between processes, if enabled.
    tallies: Option<Tallies>,
}

/// The maximum number of rejected tokens that are remembered.
const MAX_DISTRUSTED: usize = 1000;
/// The interval between two reads of purges.
const POLL: Duration = Duration::from_secs(1);
/// The maximum number of reads, and the pause after each, while another process stores a purge that it announced.
const ANNOUNCED_TRIES: u32 = 25;
const ANNOUNCED_PAUSE: Duration = Duration::from_millis(2);

impl Sharing {
    /// `None` if the options name no store.
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
        let store = super::open(&config, Arc::clone(&shared.env.clock))?;
        Sharing::with_store(&config, store, shared).map(Some)
    }

    /// Checks the options and the files that they name; opens no store.
    ///
    /// # Errors
    ///
    /// As [`Sharing::of`].
    pub(crate) fn check(options: &EngineOptions) -> Result<(), Error> {
        let Some(config) = StoreConfig::compile(options)? else {
            return Ok(());
        };
        super::open(&config, Arc::new(SystemClock))?;
        Peppers::new(&config).map(drop)
    }

    pub(super) fn with_store(
        config: &StoreConfig,
        store: Arc<dyn Store>,
        shared: &Arc<Shared>,
    ) -> Result<Arc<Sharing>, Error> {
        Ok(Arc::new(Sharing {
            store: Guard::new(store, Arc::clone(&shared.env)),
            shared: Arc::clone(shared),
            peppers: Peppers::new(config)?,
            purged: Purged::new(shared.env.clock.wall()),
            purging: Mutex::default(),
            distrusted: key_cache(MAX_DISTRUSTED),
            waiting: AtomicU32::new(0),
            tallies: config.metrics.then(Tallies::new),
        }))
    }

    /// Runs a flight: returns the store's token, or exchanges and stores the result.
    pub(crate) async fn run(
        self: &Arc<Self>,
        exchange: &Exchange<'_>,
        work: &Work,
        purpose: &Purpose,
    ) -> Landed {
        let credentials = match work {
            Work::Exchange(credentials) if exchange.rules.retention.tokens => credentials,
            _ => return Landed::exchanged(exchange.run(work).await),
        };
        let deadline = wait_deadline(exchange);
        let pepper = timeout_at(deadline, self.pepper()).await;
        let landed = match pepper.ok().flatten() {
            Some(pepper) => {
                Lead::new(self, pepper, exchange, purpose, credentials)
                    .run(work, deadline)
                    .await
            }
            None => Landed::exchanged(exchange.run(work).await),
        };
        let metrics = &self.shared.env.metrics;
        add(if landed.cache_status == CacheStatus::Miss {
            &metrics.store_misses
        } else {
            &metrics.store_hits
        });
        landed
    }

    /// Begins a purge. It applies at once here; [`Sharing::write_purges`] stores it for other processes.
    pub(crate) fn begin_purge(&self, target: PurgeTarget) {
        self.purged.begin(target);
    }

    /// Follows a purge that another process of this host has made and stores.
    pub(crate) fn follow_purge(&self, target: PurgeTarget) {
        self.purged.follow(target, self.shared.env.clock.wall());
    }

    /// Stores the purges made by this process, and those of other processes that did not store them.
    pub(crate) async fn write_purges(&self) {
        if self.purged.pending().is_none() {
            return;
        }
        let _one = self.purging.lock().await;
        while let Some(pending) = self.purged.pending() {
            let Some(pepper) = self.pepper().await else {
                return;
            };
            if pending.announced.is_some() && self.is_stored(&pending, pepper).await {
                self.purged.end(&pending, Vec::new());
                continue;
            }
            // Under each pepper: another process may know only a previous one.
            let mut numbers = Vec::new();
            for pepper in self.peppers.all() {
                let id = pending.target.id(pepper);
                let wall = self.shared.env.clock.wall();
                let Some(number) = self.store.write(|store| store.purge(id, wall)).await else {
                    return;
                };
                numbers.push((id, number));
            }
            self.purged.end(&pending, numbers);
        }
    }

    /// Waits for the process that announced a purge to store it. False if it does not.
    async fn is_stored(&self, pending: &Pending, pepper: &Pepper) -> bool {
        for _ in 0..ANNOUNCED_TRIES {
            if self.read_purges(pepper).await.is_none() {
                return false;
            }
            if self.purged.is_stored(pending, pepper) {
                return true;
            }
            sleep(ANNOUNCED_PAUSE).await;
        }
        false
    }

    /// Records that an upstream rejected this token: it is not accepted from the store again.
    pub(crate) fn distrust(&self, grant: &Grant) {
        self.distrusted.insert(grant.key, hash(grant));
    }

    /// Whether this engine's metrics include those of other processes.
    pub(crate) fn counts_for_all(&self) -> bool {
        self.tallies.is_some()
    }

    /// This engine's metrics plus those that other processes stored within the last second or so.
    pub(crate) fn with_others(&self, own: Snapshot) -> Snapshot {
        let Some(tallies) = &self.tallies else {
            return own;
        };
        Snapshot {
            providers: own.providers.clone(),
            clients: own.clients.clone(),
            ..Snapshot::from_counters(&tallies.total(&own.counters()))
        }
    }

    /// Stores this engine's metrics, and reads those of other processes.
    async fn tally(&self) {
        let Some(tallies) = &self.tallies else {
            return;
        };
        let own = self.shared.snapshot().counters();
        let (group, process) = (tallies.group, tallies.process);
        let (round, growth) = tallies.growth(&own);
        let written = self
            .store
            .write(|store| store.add(group, process, round, growth));
        if written.await.is_none() {
            return;
        }
        tallies.confirm();
        if let Some(sum) = self.store.read(|store| store.sum(group)).await {
            tallies.learn(&sum);
        }
    }

    /// Follows the purges and metrics of other processes while the engine's thread runs.
    pub(crate) async fn follow(self: Arc<Self>) {
        loop {
            self.tally().await;
            sleep(jittered(POLL)).await;
            self.write_purges().await;
            if let Some(pepper) = self.peppers.known() {
                self.learn_purges(pepper).await;
            }
        }
    }

    /// Stores the remaining purges and metrics when the engine's thread ends.
    pub(crate) async fn finish(&self) {
        self.write_purges().await;
        self.tally().await;
    }

    async fn pepper(&self) -> Option<&Pepper> {
        match self.peppers.known() {
            Some(pepper) => Some(pepper),
            None => self.store.read(|_| self.peppers.current()).await,
        }
    }

    /// `None` if the store fails.
    pub(super) async fn learn_purges(&self, pepper: &Pepper) -> Option<()> {
        let _one = self.purging.lock().await;
        self.read_purges(pepper).await
    }

    /// As [`Sharing::learn_purges`], for callers that hold the lock.
    async fn read_purges(&self, pepper: &Pepper) -> Option<()> {
        loop {
            let after = self.purged.latest();
            let purges = self.store.read(|store| store.purges(after)).await?;
            let is_last = purges.len() < MAX_PURGES;
            let new = self.purged.learn(&purges, pepper, is_last);
            if !new.is_empty() {
                self.drop_purged(&new);
            }
            // A store that repeats purges is not read again, or this would not end.
            if is_last || self.purged.latest() == after {
                return Some(());
            }
        }
    }

    fn drop_purged(&self, new: &HashSet<TargetId>) {
        let is_everything = |pepper: &Pepper| new.contains(&pepper.target_id(None, None));
        if self.peppers.all().any(is_everything) {
            self.shared.env.forget_documents();
        }
        self.shared.purge_foreign(|gate, client_id| {
            self.peppers
                .all()
                .flat_map(|pepper| target_ids(pepper, gate, client_id))
                .any(|id| new.contains(&id))
        });
    }

    /// Whether an upstream rejected this very token.
    pub(super) fn distrusts(&self, grant: &Grant) -> bool {
        self.distrusted.get(&grant.key) == Some(hash(grant))
    }
}

fn hash(grant: &Grant) -> [u8; 32] {
    *blake3::hash(grant.authorization().as_bytes()).as_bytes()
}
