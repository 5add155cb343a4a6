//! Tests of the store contract, for every kind of store.

use crate::store::*;
use crate::sys::clock::manual::START;
use std::path::{Path, PathBuf};

/// A temporary directory, removed when dropped.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> TempDir {
        TempDir::within(&std::env::temp_dir())
    }

    /// On a tmpfs.
    pub(crate) fn in_memory() -> TempDir {
        TempDir::within(Path::new("/dev/shm"))
    }

    fn within(directory: &Path) -> TempDir {
        use std::os::unix::fs::DirBuilderExt;

        let path = directory.join(format!("credgate-{:016x}", fastrand::u64(..)));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .unwrap();
        TempDir(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("tokens.db")
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // Some tests replace it by a file.
        if std::fs::remove_dir_all(&self.0).is_err() {
            let _ = std::fs::remove_file(&self.0);
        }
    }
}

pub(crate) fn index(number: u8) -> Index {
    Index([number; 32])
}

pub(crate) fn owner(number: u8) -> Owner {
    Owner([number; 16])
}

fn target(number: u8) -> TargetId {
    TargetId([number; 32])
}

const MINUTE: Duration = Duration::from_secs(60);

/// `one` and `other` are two connections to the same empty store; `pass` advances time for both.
pub(crate) async fn check_contract(
    one: &dyn Store,
    other: &dyn Store,
    pass: impl AsyncFn(Duration),
) {
    assert_eq!(one.look(index(1)).await, Ok(Lookup::default()));
    values(one, other, &pass).await;
    leases(one, other, &pass).await;
    purges(one, other).await;
    sums(one, other, &pass).await;
}

async fn values(one: &dyn Store, other: &dyn Store, pass: &impl AsyncFn(Duration)) {
    let value = |found: Result<Lookup, StoreFault>| found.unwrap().value;
    let anything: Vec<u8> = (0..=255).collect();
    one.put(index(1), anything.clone(), MINUTE).await.unwrap();
    assert_eq!(value(other.look(index(1)).await), Some(anything));
    assert_eq!(value(other.look(index(2)).await), None);
    other
        .put(index(1), b"b".to_vec(), MINUTE / 60)
        .await
        .unwrap();
    assert_eq!(value(one.look(index(1)).await), Some(b"b".to_vec()));
    pass(MINUTE / 60).await;
    assert_eq!(value(one.look(index(1)).await), None, "expired");

    one.put(index(1), vec![0; MAX_VALUE], MINUTE).await.unwrap();
    assert_eq!(value(one.look(index(1)).await).unwrap().len(), MAX_VALUE);
    one.put(index(1), vec![0; MAX_VALUE + 1], MINUTE)
        .await
        .unwrap();
    assert_eq!(value(one.look(index(1)).await), None, "too long");
    one.put(index(1), Vec::new(), MINUTE).await.unwrap();
}

async fn leases(one: &dyn Store, other: &dyn Store, pass: &impl AsyncFn(Duration)) {
    let is_leased = async |store: &dyn Store| store.look(index(3)).await.unwrap().is_leased;
    let (mine, yours) = (owner(1), owner(2));
    let take = async |store: &dyn Store, owner| store.lease(index(3), owner, LEASE_LIFE).await;
    assert_eq!(take(one, mine).await, Ok(Lease::Taken));
    assert_eq!(take(other, yours).await, Ok(Lease::Held));
    assert!(is_leased(other).await);
    assert_eq!(take(one, mine).await, Ok(Lease::Taken), "extended");
    other.release(index(3), yours).await.unwrap();
    assert_eq!(take(other, yours).await, Ok(Lease::Held), "not theirs");
    one.release(index(3), mine).await.unwrap();
    assert!(!is_leased(one).await);
    assert_eq!(take(other, yours).await, Ok(Lease::Taken));
    pass(LEASE_LIFE).await;
    assert!(!is_leased(one).await);
    assert_eq!(take(one, mine).await, Ok(Lease::Taken), "expired");
    assert_eq!(take(other, yours).await, Ok(Lease::Held));
}

async fn purges(one: &dyn Store, other: &dyn Store) {
    assert_eq!(one.purges(0).await, Ok(Vec::new()));
    let now = START;
    let first = one.purge(target(1), now).await.unwrap();
    assert_eq!(Duration::from_millis(first), now);
    let second = other.purge(target(2), now).await.unwrap();
    assert_eq!(second, first + 1, "numbers grow without the clock");
    let third = other.purge(target(1), Duration::ZERO).await.unwrap();
    assert_eq!(third, second + 1, "also if the clock goes back");
    let mut all = one.purges(0).await.unwrap();
    all.sort_by_key(|purge| purge.number);
    let numbers = all.iter().map(|purge| (purge.target, purge.number));
    assert!(numbers.eq([(target(2), second), (target(1), third)]));
    assert_eq!(one.purges(second).await.unwrap().len(), 1);
    assert_eq!(other.look(index(9)).await.unwrap().purges, third);
    for number in 0..2 * MAX_PURGES as u8 {
        one.purge(target(10 + number), now).await.unwrap();
    }
    let mut read = Vec::new();
    while read.len() < 2 + 2 * MAX_PURGES {
        let after = read.last().map_or(0, |purge: &Purge| purge.number);
        let mut page = other.purges(after).await.unwrap();
        assert_eq!(page.len(), MAX_PURGES.min(2 + 2 * MAX_PURGES - read.len()));
        page.sort_by_key(|purge| purge.number);
        assert!(page.iter().all(|purge| purge.number > after));
        read.extend(page);
    }
}

async fn sums(one: &dyn Store, other: &dyn Store, pass: &impl AsyncFn(Duration)) {
    let tally = |counters: &[u64], gauges: &[u64]| Tally {
        counters: counters.to_vec(),
        gauges: gauges.to_vec(),
    };
    let (ours, others) = ([1; 16], [2; 16]);
    assert_eq!(one.sum(ours).await, Ok(Tally::default()));
    one.add(ours, [1; 16], 1, tally(&[1, 0, 3], &[5]))
        .await
        .unwrap();
    other
        .add(ours, [2; 16], 1, tally(&[1, 0, 0], &[6]))
        .await
        .unwrap();
    // A repeated round, and one after the next round.
    for (round, gauge) in [(2, 8), (2, 9), (1, 7)] {
        other
            .add(ours, [2; 16], round, tally(&[1, 0, 0], &[gauge]))
            .await
            .unwrap();
    }
    one.add(others, [1; 16], 1, tally(&[9], &[9]))
        .await
        .unwrap();
    assert_eq!(one.sum(ours).await, Ok(tally(&[3, 0, 3], &[12])));
    pass(GAUGE_LIFE).await;
    let sum = other.sum(ours).await.unwrap();
    assert_eq!(sum.counters, [3, 0, 3]);
    assert_eq!(sum.gauges.iter().sum::<u64>(), 0, "gauges expire");
}

/// Runs a call to completion.
pub(crate) fn block_on<T>(call: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(call)
}
