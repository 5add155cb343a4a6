//! The leader and waiter logic of a flight with a store: take the lease and exchange, or wait for the holder's token.

use super::entry::{Entry, RefusalEntry, TokenEntry};
use super::guard::jittered;
use super::pepper::Pepper;
use super::{Index, LEASE_LIFE, Lease, MAX_VALUE, Owner, Sharing};
use crate::cache::{Landed, Purpose};
use crate::cause::Cause;
use crate::gate::retention::Age;
use crate::metrics::add;
use crate::provider::context::Exchange;
use crate::provider::exchange::Work;
use crate::request::credentials::Credentials;
use crate::token::{Grant, Origin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

/// One flight's use of the store.
pub(super) struct Lead<'f> {
    sharing: &'f Arc<Sharing>,
    exchange: &'f Exchange<'f>,
    purpose: &'f Purpose,
    credentials: &'f Credentials,
    pepper: &'f Pepper,
    index: Index,
}

/// The divisor of the gate's timeout that gives the time reserved for an exchange: a lease holder that stores nothing
/// cannot keep others from the provider.
const EXCHANGE_SHARE: u32 = 4;
/// The minimum interval between two reads of all waiters of a process together.
const MIN_PAUSE_PER_WAITER: Duration = Duration::from_micros(100);
/// A token must be newer by this much to count as another one's successor: converted times are not exact.
const NEWER: Duration = Duration::from_secs(1);

/// The moment at which waiting for other processes ends, for a flight that begins now.
pub(super) fn wait_deadline(exchange: &Exchange<'_>) -> Instant {
    let timeout = exchange.rules.timeout;
    Instant::now() + timeout - timeout / EXCHANGE_SHARE
}

/// The result of consulting the store.
enum Turn {
    Known(Box<Landed>),
    /// This process exchanges, with a lease or because the store fails.
    Ours(Option<Owner>),
}

/// The result of one read.
enum Look {
    Known(Box<Landed>),
    Nothing { is_leased: bool },
    Failed,
}

impl<'f> Lead<'f> {
    pub(super) fn new(
        sharing: &'f Arc<Sharing>,
        pepper: &'f Pepper,
        exchange: &'f Exchange<'f>,
        purpose: &'f Purpose,
        credentials: &'f Credentials,
    ) -> Lead<'f> {
        Lead {
            sharing,
            exchange,
            purpose,
            credentials,
            pepper,
            index: pepper.index(&exchange.rules.fingerprint, credentials),
        }
    }

    /// Returns the store's token or refusal, or exchanges and stores the result. Other processes are waited for until the
    /// deadline.
    pub(super) async fn run(&self, work: &Work, deadline: Instant) -> Landed {
        let turn = timeout_at(deadline, self.turn()).await;
        match turn.unwrap_or(Turn::Ours(None)) {
            Turn::Known(landed) => *landed,
            Turn::Ours(owner) => self.exchange(work, owner).await,
        }
    }

    /// Decides which process exchanges.
    async fn turn(&self) -> Turn {
        // A flight after a purge must not find the entry from before it.
        self.sharing.write_purges().await;
        let is_leased = match self.look(self.pepper, self.index).await {
            Look::Known(landed) => return Turn::Known(landed),
            Look::Failed => return Turn::Ours(None),
            Look::Nothing { is_leased } => is_leased,
        };
        if let Some(landed) = self.look_under_previous_peppers().await {
            return Turn::Known(landed);
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
                // Another process may have stored an entry and released the lease meanwhile.
                Some(Lease::Taken) => match self.look(self.pepper, self.index).await {
                    Look::Known(landed) => {
                        let _is_released = self.release(owner).await;
                        return Turn::Known(landed);
                    }
                    Look::Nothing { .. } | Look::Failed => return Turn::Ours(Some(owner)),
                },
            }
            if let Some(turn) = self.wait().await {
                return turn;
            }
        }
    }

    /// Waits while another owner holds the lease. `None`: the lease has ended without a value.
    async fn wait(&self) -> Option<Turn> {
        let sharing = self.sharing;
        add(&sharing.shared.env.metrics.store_waits);
        let waiting = Waiting::begin(&sharing.waiting);
        let (mut pause, longest) = sharing.store.pauses();
        loop {
            sleep(jittered(pause.max(MIN_PAUSE_PER_WAITER * waiting.count()))).await;
            match self.look(self.pepper, self.index).await {
                Look::Known(landed) => return Some(Turn::Known(landed)),
                Look::Failed => return Some(Turn::Ours(None)),
                Look::Nothing { is_leased: false } => return None,
                Look::Nothing { is_leased: true } => {}
            }
            pause = (pause * 2).min(longest);
        }
    }

    async fn look(&self, pepper: &Pepper, index: Index) -> Look {
        let sharing = self.sharing;
        let Some(found) = sharing.store.read(|store| store.look(index)).await else {
            return Look::Failed;
        };
        // Purges first: the value may be older than one.
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
            |landed| Look::Known(Box::new(landed)),
        )
    }

    /// Looks under the previous peppers, and stores a found value under the current one too.
    async fn look_under_previous_peppers(&self) -> Option<Box<Landed>> {
        for pepper in self.sharing.peppers.previous() {
            let index = pepper.index(&self.exchange.rules.fingerprint, self.credentials);
            let Look::Known(landed) = self.look(pepper, index).await else {
                continue;
            };
            let purges = self.sharing.purged.latest();
            self.write(&landed, purges).await;
            return Some(landed);
        }
        None
    }

    /// The result in a value, if it is useful for this flight.
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
        let Sharing {
            purged, peppers, ..
        } = &**self.sharing;
        if purged.covers(peppers.all(), gate, client_id, entry.purges) {
            return None;
        }
        if let Some(grant) = entry.token.and_then(|token| self.grant(&token)) {
            return Some(Landed::shared(grant));
        }
        let (denial, left) = entry.refusal?.denial(&*self.exchange.env.clock)?;
        Some(Landed::refused(denial, left))
    }

    /// The token of an entry, if it is useful for this flight.
    fn grant(&self, token: &TokenEntry<'_>) -> Option<Grant> {
        let (rules, clock) = (self.exchange.rules, &*self.exchange.env.clock);
        let origin = Origin {
            key: self.purpose.key,
            fingerprint: rules.fingerprint,
            received: clock.now(),
            received_wall: clock.wall(),
            is_client_supplied: false,
        };
        let grant = token.grant(&self.credentials.client_id, origin, rules, clock)?;
        let (now, wall) = (clock.now(), clock.wall());
        let verdict = rules.policy.check(&grant, wall);
        let is_breached = verdict.is_err_and(|breach| breach.wants_another(grant.age(now, wall)));
        if self.sharing.distrusts(&grant) || is_breached {
            return None;
        }
        let is_useful = match (rules.retention.age(&grant, now, wall), self.replaced()) {
            (Age::Over, _) => false,
            (_, None) => true,
            (age, Some(old)) => {
                age == Age::Fresh && grant.age(now, wall) + NEWER < old.age(now, wall)
            }
        };
        is_useful.then_some(grant)
    }

    /// The cached token that this flight replaces before its expiry.
    fn replaced(&self) -> Option<Arc<Grant>> {
        let shared = &self.sharing.shared;
        self.purpose
            .is_refresh
            .then(|| shared.peek(&self.purpose.key))
            .flatten()
    }

    /// Exchanges, extending the lease if there is one, and stores the result before any waiter gets it, so that other
    /// processes know of every token in use even if this process dies.
    async fn exchange(&self, work: &Work, owner: Option<Owner>) -> Landed {
        let purges = self.sharing.purged.latest();
        let renewal = owner.map(|owner| Renewal::begin(self.sharing, self.index, owner));
        let landed = Landed::exchanged(self.exchange.run(work).await);
        // Without the lease, another process may have stored a token meanwhile.
        if owner.is_some() || landed.result.is_ok() {
            self.write(&landed, purges).await;
        }
        drop(renewal);
        if let Some(owner) = owner {
            let _is_released = self.release(owner).await;
        }
        landed
    }

    async fn write(&self, landed: &Landed, purges: u64) {
        let Some((value, life)) = self.sealed(landed, purges) else {
            return;
        };
        let index = self.index;
        let store = &self.sharing.store;
        if store
            .write(|store| store.put(index, value, life))
            .await
            .is_some()
        {
            add(&self.sharing.shared.env.metrics.store_puts);
        }
    }

    /// The sealed entry for other processes, and its life.
    fn sealed(&self, landed: &Landed, purges: u64) -> Option<(Vec<u8>, Duration)> {
        let (rules, clock) = (self.exchange.rules, &*self.exchange.env.clock);
        let old = self.replaced();
        let mut entry = Entry {
            purges,
            ..Entry::default()
        };
        match &landed.result {
            Ok(grant) => entry.token = Some(TokenEntry::of(grant, rules, clock)?),
            Err(denial) => {
                let kept = landed.kept(rules);
                // The cause of an unusable token may be on this host.
                if kept.is_zero() || denial.is_spent {
                    return None;
                }
                entry.refusal = Some(RefusalEntry::of(denial, kept, clock));
                // The token that could not be refreshed stays valid unless its secret was refused.
                if denial.cause != Cause::CredentialsRefused {
                    entry.token = old
                        .as_ref()
                        .and_then(|old| TokenEntry::of(old, rules, clock));
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
            .write(|store| store.lease(index, owner, LEASE_LIFE))
            .await
    }

    /// Completes even if the flight is dropped.
    fn release(&self, owner: Owner) -> JoinHandle<()> {
        let (sharing, index) = (Arc::clone(self.sharing), self.index);
        tokio::spawn(async move {
            let store = &sharing.store;
            store.write(|store| store.release(index, owner)).await;
        })
    }
}

/// Extends a lease until dropped.
struct Renewal(JoinHandle<()>);

impl Renewal {
    fn begin(sharing: &Arc<Sharing>, index: Index, owner: Owner) -> Renewal {
        let sharing = Arc::clone(sharing);
        Renewal(tokio::spawn(async move {
            let store = &sharing.store;
            loop {
                sleep(LEASE_LIFE / 4).await;
                store
                    .write(|store| store.lease(index, owner, LEASE_LIFE))
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

/// Counts a flight among the waiters.
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
