//! How a flight makes use of the store: what others have is taken, and what it brings is told to them.

use super::entry::{Entry, Refusal, Token};
use super::guard::jittered;
use super::pepper::Pepper;
use super::{Index, LEASE_LIFE, Lease, MAX_VALUE, Owner, Sharing};
use crate::cache::{Landed, Purpose};
use crate::cause::Cause;
use crate::gate::policy::Breach;
use crate::gate::retention::Age;
use crate::metrics::add;
use crate::provider::exchange::{Exchange, Work};
use crate::request::credentials::Credentials;
use crate::token::{Grant, Origin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

/// One flight's way.
pub(super) struct Lead<'f> {
    sharing: &'f Arc<Sharing>,
    exchange: &'f Exchange<'f>,
    purpose: &'f Purpose,
    credentials: &'f Credentials,
    pepper: &'f Pepper,
    index: Index,
}

/// Others are waited for until a quarter of the time is left: who holds a lease and brings nothing keeps nobody from the
/// provider.
const IMPATIENCE: u32 = 4;
/// All who wait in a process look this often at most, together.
const LEAST_PAUSE_EACH: Duration = Duration::from_micros(100);
/// By how much a token must be newer to be another one's successor: times that were converted are not exact.
const NEWER: Duration = Duration::from_secs(1);

/// How long others are asked.
pub(super) fn patience(exchange: &Exchange<'_>, deadline: Instant) -> Instant {
    deadline - exchange.rules.timeout / IMPATIENCE
}

/// What asking others came to.
enum Turn {
    Lookup(Box<Landed>),
    /// The exchange is this process's, under a lease or because the store fails.
    Ours(Option<Owner>),
}

/// What a look came to.
enum Look {
    Lookup(Box<Landed>),
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

    /// From the store, or from the provider and then into the store.
    pub(super) async fn run(&self, work: &Work, deadline: Instant) -> Landed {
        let turn = timeout_at(patience(self.exchange, deadline), self.turn()).await;
        match turn.unwrap_or(Turn::Ours(None)) {
            Turn::Lookup(landed) => *landed,
            Turn::Ours(owner) => self.exchange(work, owner, deadline).await,
        }
    }

    /// Whose turn it is to bring the token.
    async fn turn(&self) -> Turn {
        // What comes after a purge must be seen to.
        self.sharing.tell_purges().await;
        let is_leased = match self.look(self.pepper, self.index).await {
            Look::Lookup(landed) => return Turn::Lookup(landed),
            Look::Failed => return Turn::Ours(None),
            Look::Nothing { is_leased } => is_leased,
        };
        if let Some(landed) = self.look_under_previous_peppers().await {
            return Turn::Lookup(landed);
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
                    Look::Lookup(landed) => {
                        let _is_released = self.release(owner).await;
                        return Turn::Lookup(landed);
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
        add(&sharing.shared.env.metrics.store_waits);
        let waiting = Waiting::begin(&sharing.waiting);
        let (mut pause, longest) = sharing.store.pauses();
        loop {
            sleep(jittered(pause.max(LEAST_PAUSE_EACH * waiting.count()))).await;
            match self.look(self.pepper, self.index).await {
                Look::Lookup(landed) => return Some(Turn::Lookup(landed)),
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
            |landed| Look::Lookup(Box::new(landed)),
        )
    }

    /// What was sealed under a pepper of before is sealed anew when it is found.
    async fn look_under_previous_peppers(&self) -> Option<Box<Landed>> {
        for pepper in self.sharing.peppers.old() {
            let index = pepper.index(&self.exchange.rules.fingerprint, self.credentials);
            let Look::Lookup(landed) = self.look(pepper, index).await else {
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

    /// A token, where it is of use to this flight.
    fn grant(&self, token: &Token<'_>) -> Option<Grant> {
        let (rules, clock) = (self.exchange.rules, &*self.exchange.env.clock);
        let origin = Origin {
            key: self.purpose.key,
            fingerprint: rules.fingerprint,
            received: clock.now(),
            is_brought: false,
        };
        let grant = token.grant(&self.credentials.client_id, origin, rules, clock)?;
        let verdict = rules.policy.check(grant.claims.as_ref(), clock.wall());
        if self.sharing.distrusts(&grant) || verdict == Err(Breach::Expired) {
            return None;
        }
        let is_of_use = match (rules.retention.age(&grant, clock.now()), self.old()) {
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
        // Without the lease, somebody else may have put a token there meanwhile.
        if owner.is_some() || landed.result.is_ok() {
            let _is_told = timeout_at(deadline, self.tell(&landed, purges)).await;
        }
        drop(renewal);
        if let Some(owner) = owner {
            let _is_released = timeout_at(deadline, self.release(owner)).await;
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
            .tell(|store| store.put(index, value, life))
            .await
            .is_some()
        {
            add(&self.sharing.shared.env.metrics.store_puts);
        }
    }

    /// What others are told, and how long it lives.
    fn sealed(&self, landed: &Landed, purges: u64) -> Option<(Vec<u8>, Duration)> {
        let (rules, clock) = (self.exchange.rules, &*self.exchange.env.clock);
        let old = self.old();
        let mut entry = Entry {
            purges,
            ..Entry::default()
        };
        match &landed.result {
            Ok(grant) => entry.token = Some(Token::of(grant, rules, clock)?),
            Err(denial) => {
                let kept = landed.kept(rules);
                // That a token is of no use here may be this host's fault.
                if kept.is_zero() || denial.is_spent {
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
            .tell(|store| store.lease(index, owner, LEASE_LIFE))
            .await
    }

    /// Goes on where nobody waits for it any more.
    fn release(&self, owner: Owner) -> JoinHandle<()> {
        let (sharing, index) = (Arc::clone(self.sharing), self.index);
        tokio::spawn(async move {
            let store = &sharing.store;
            store.tell(|store| store.release(index, owner)).await;
        })
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
                    .tell(|store| store.lease(index, owner, LEASE_LIFE))
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
