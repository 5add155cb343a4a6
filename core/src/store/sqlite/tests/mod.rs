//! Tests of the file, and of faults of the file.

mod children;

use crate::store::file::with_suffix;
use crate::store::sqlite::*;
use crate::store::tests::conformance::{self, TempDir, index, owner};
use crate::store::{LEASE_LIFE, MAX_VALUE};
use crate::sys::clock::manual::ManualClock;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

const MINUTE: Duration = Duration::from_secs(60);
const MANY: u64 = 64 << 20;

struct Lab {
    scratch: TempDir,
    clock: Arc<ManualClock>,
}

impl Lab {
    fn new() -> Lab {
        Lab::at(TempDir::new())
    }

    fn at(scratch: TempDir) -> Lab {
        Lab {
            scratch,
            clock: Arc::new(ManualClock::new()),
        }
    }

    /// In the default directory (perhaps on a disk), and on a tmpfs.
    fn both() -> [Lab; 2] {
        [TempDir::new(), TempDir::in_memory()].map(Lab::at)
    }

    fn store(&self) -> Sqlite {
        self.bounded(MANY)
    }

    fn bounded(&self, max_bytes: u64) -> Sqlite {
        // No test here depends on time.
        let patient = Some(Duration::from_secs(60));
        Sqlite::new(&self.scratch.file(), max_bytes, patient, self.clock.clone())
    }

    fn with_suffix(&self, suffix: &str) -> PathBuf {
        with_suffix(&self.scratch.file(), suffix)
    }
}

async fn put(store: &Sqlite, number: u8) -> Result<(), StoreFault> {
    store.put(index(number), vec![number; 100], MINUTE).await
}

async fn has(store: &Sqlite, number: u8) -> Result<bool, StoreFault> {
    let found = store.look(index(number)).await?;
    Ok(found.value == Some(vec![number; 100]))
}

/// The kind of the fault, which must have a detail.
fn kind<T: std::fmt::Debug>(result: Result<T, StoreFault>) -> StoreFaultKind {
    let fault = result.unwrap_err();
    assert!(!fault.detail.is_empty());
    fault.kind
}

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    for lab in Lab::both() {
        let (one, other) = (lab.store(), lab.store());
        let pass = async |time| lab.clock.advance(time);
        conformance::check_contract(&one, &other, pass).await;
    }
}

#[tokio::test]
async fn values_survive_the_last_process() {
    let lab = Lab::new();
    put(&lab.store(), 1).await.unwrap();
    assert!(has(&lab.store(), 1).await.unwrap());
}

#[tokio::test]
async fn files_are_private_and_the_directory_is_created() {
    let mut lab = Lab::new();
    let directory = lab.scratch.path().join("made");
    let file = directory.join("tokens.db");
    let store = Sqlite::new(&file, MANY, None, lab.clock.clone());
    store.put(index(1), vec![1], MINUTE).await.unwrap();
    for (path, mode) in [
        (directory.clone(), 0o40_700),
        (file.clone(), 0o100_600),
        (with_suffix(&file, "-wal"), 0o100_600),
        (with_suffix(&file, "-shm"), 0o100_600),
        (with_suffix(&file, ".lock"), 0o100_600),
    ] {
        let found = fs::metadata(&path).unwrap().mode();
        assert_eq!(found, mode, "{}: {found:o}", path.display());
    }
    lab.scratch = TempDir::new();
    let nowhere = lab.scratch.path().join("not/made/tokens.db");
    let store = Sqlite::new(&nowhere, MANY, None, lab.clock.clone());
    assert_eq!(
        kind(store.look(index(1)).await),
        StoreFaultKind::Unreachable
    );
}

#[tokio::test]
async fn concurrent_lease_requests_have_one_winner() {
    let lab = Arc::new(Lab::new());
    let stores: Vec<_> = (0..4).map(|_| lab.store()).collect();
    for round in 0..50 {
        let asked: Vec<_> = stores
            .iter()
            .zip(0..)
            .map(|(store, number)| store.lease(index(round), owner(number), LEASE_LIFE))
            .collect();
        let mut taken = 0;
        for asked in asked {
            taken += u32::from(asked.await.unwrap() == Lease::Taken);
        }
        assert_eq!(taken, 1);
    }
}

#[tokio::test]
async fn a_lease_from_a_clock_set_back_is_ignored() {
    let lab = Lab::new();
    let store = lab.store();
    lab.clock.step(3600);
    store.lease(index(1), owner(1), LEASE_LIFE).await.unwrap();
    lab.clock.step(-3600);
    assert!(!store.look(index(1)).await.unwrap().is_leased);
    let lease = store.lease(index(1), owner(2), LEASE_LIFE).await;
    assert_eq!(lease, Ok(Lease::Taken));
}

#[tokio::test]
async fn expired_entries_are_deleted_on_writes() {
    let lab = Lab::new();
    let store = lab.store();
    for number in 0..10 {
        put(&store, number).await.unwrap();
        store
            .lease(index(number), owner(1), LEASE_LIFE)
            .await
            .unwrap();
    }
    lab.clock.advance(MINUTE);
    put(&store, 100).await.unwrap();
    drop(store);
    let file = rusqlite::Connection::open(lab.scratch.file()).unwrap();
    for (table, left) in [("entry", 1), ("lease", 0)] {
        let count = format!("SELECT count(*) FROM {table}");
        let count: i64 = file.query_row(&count, [], |row| row.get(0)).unwrap();
        assert_eq!(count, left, "{table}");
    }
}

#[tokio::test]
async fn a_full_file_evicts_the_entries_that_expire_first() {
    let lab = Lab::new();
    let store = lab.bounded(1 << 20);
    let put = async |number: u8, life| {
        let value = vec![number; MAX_VALUE];
        store.put(index(number), value, life).await.unwrap();
    };
    put(255, 60 * MINUTE).await;
    for number in 0..100 {
        put(number, MINUTE + Duration::from_secs(number.into())).await;
    }
    let has = async |number| store.look(index(number)).await.unwrap().value.is_some();
    assert!(has(255).await && has(99).await);
    assert!(
        !has(0).await,
        "a megabyte does not hold a hundred of 24 KiB"
    );
    let size = fs::metadata(lab.scratch.file()).unwrap().len();
    assert!(size <= 1 << 20, "{size}");
}

#[tokio::test]
async fn a_file_too_small_for_an_entry_is_full() {
    let lab = Lab::new();
    // Little more than the schema's pages.
    let store = lab.bounded(12 * 4096);
    let filled = store.put(index(1), vec![0; MAX_VALUE], MINUTE).await;
    assert_eq!(kind(filled), StoreFaultKind::Full);
    assert!(store.look(index(1)).await.is_ok(), "it can be read still");
}

#[tokio::test]
async fn a_deleted_or_replaced_file_is_reopened() {
    for lab in Lab::both() {
        is_made_or_opened_anew(&lab).await;
    }
}

async fn is_made_or_opened_anew(lab: &Lab) {
    let (one, other) = (lab.store(), lab.store());
    put(&one, 1).await.unwrap();
    fs::remove_file(lab.scratch.file()).unwrap();
    assert!(!has(&one, 1).await.unwrap());
    // No process continues with the deleted file: both compete for one lease.
    let lease = one.lease(index(1), owner(1), LEASE_LIFE).await;
    assert_eq!(lease, Ok(Lease::Taken));
    let lease = other.lease(index(1), owner(2), LEASE_LIFE).await;
    assert_eq!(lease, Ok(Lease::Held));

    // On the same file system.
    let elsewhere = lab.scratch.path().join("elsewhere/tokens.db");
    let theirs = Sqlite::new(&elsewhere, MANY, None, lab.clock.clone());
    put(&theirs, 2).await.unwrap();
    drop(theirs);
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(lab.with_suffix(suffix));
    }
    fs::rename(elsewhere, lab.scratch.file()).unwrap();
    assert!(has(&one, 2).await.unwrap() && has(&other, 2).await.unwrap());
}

#[tokio::test]
async fn a_deleted_directory_is_recreated() {
    let lab = Lab::new();
    let file = lab.scratch.path().join("made/tokens.db");
    let store = Sqlite::new(&file, MANY, None, lab.clock.clone());
    put(&store, 1).await.unwrap();
    fs::remove_dir_all(file.parent().unwrap()).unwrap();
    put(&store, 2).await.unwrap();
    assert!(!has(&store, 1).await.unwrap() && has(&store, 2).await.unwrap());
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_once_an_hour() {
    let lab = Lab::new();
    let damage = || fs::write(lab.scratch.file(), vec![0x55; 8192]).unwrap();
    put(&lab.store(), 1).await.unwrap();
    damage();
    let store = lab.store();
    let found = store.look(index(1)).await;
    assert!(found.as_ref().unwrap_err().detail.contains("set aside"));
    assert_eq!(kind(found), StoreFaultKind::Corrupt);
    put(&store, 2).await.unwrap();
    assert!(has(&store, 2).await.unwrap());
    assert_eq!(fs::read(lab.with_suffix(".corrupt")).unwrap()[0], 0x55);

    for gone in [
        lab.scratch.file(),
        lab.with_suffix("-wal"),
        lab.with_suffix("-shm"),
    ] {
        fs::remove_file(gone).unwrap();
    }
    fs::write(lab.scratch.file(), vec![0x66; 8192]).unwrap();
    fs::set_permissions(lab.scratch.file(), fs::Permissions::from_mode(0o600)).unwrap();
    for _ in 0..2 {
        assert_eq!(kind(store.look(index(2)).await), StoreFaultKind::Corrupt);
    }
    assert_eq!(fs::read(lab.with_suffix(".corrupt")).unwrap()[0], 0x55);
    lab.clock.advance(60 * MINUTE);
    assert_eq!(kind(store.look(index(2)).await), StoreFaultKind::Corrupt);
    put(&store, 3).await.unwrap();
}

#[tokio::test]
async fn a_damaged_file_replaced_by_another_process_is_not_set_aside() {
    let lab = Lab::new();
    put(&lab.store(), 1).await.unwrap();
    fs::write(lab.scratch.file(), vec![0x55; 8192]).unwrap();
    let (one, other) = (lab.store(), lab.store());
    let faults = [one.look(index(1)).await, other.look(index(1)).await];
    let [first, second] = faults.map(|fault| fault.is_err());
    assert!(first, "it finds the damage");
    assert!(!second, "and the other one a new file");
    put(&one, 2).await.unwrap();
    assert!(has(&other, 2).await.unwrap());
}

#[tokio::test]
async fn a_truncated_file_is_recreated() {
    let lab = Lab::new();
    put(&lab.store(), 1).await.unwrap();
    for left in [0, 1, 100, 4096, 8192] {
        let file = fs::OpenOptions::new()
            .write(true)
            .open(lab.scratch.file())
            .unwrap();
        file.set_len(left).unwrap();
        lab.clock.advance(60 * MINUTE);
        let store = lab.store();
        // At worst the first one reports the damage.
        let _ = put(&store, 2).await;
        put(&store, 2).await.unwrap();
        assert!(has(&store, 2).await.unwrap(), "cut to {left}");
    }
}

#[tokio::test]
async fn a_database_of_another_program_is_not_changed() {
    for sql in [
        "CREATE TABLE users(name TEXT)",
        "PRAGMA application_id=7",
        "PRAGMA application_id=0x43524754; PRAGMA user_version=99",
    ] {
        let lab = Lab::new();
        let theirs = rusqlite::Connection::open(lab.scratch.file()).unwrap();
        theirs.execute_batch(sql).unwrap();
        drop(theirs);
        fs::set_permissions(lab.scratch.file(), fs::Permissions::from_mode(0o600)).unwrap();
        let before = fs::read(lab.scratch.file()).unwrap();
        let store = lab.store();
        assert_eq!(
            kind(store.look(index(1)).await),
            StoreFaultKind::Foreign,
            "{sql}"
        );
        assert_eq!(kind(put(&store, 1).await), StoreFaultKind::Foreign);
        assert_eq!(fs::read(lab.scratch.file()).unwrap(), before);
    }
}

#[tokio::test]
async fn changed_tables_are_foreign() {
    let lab = Lab::new();
    put(&lab.store(), 1).await.unwrap();
    let other = rusqlite::Connection::open(lab.scratch.file()).unwrap();
    other.execute_batch("DROP TABLE lease").unwrap();
    drop(other);
    assert_eq!(
        kind(lab.store().look(index(1)).await),
        StoreFaultKind::Foreign
    );
}

#[tokio::test]
async fn a_locked_file_is_busy_but_readable() {
    let lab = Lab::new();
    let store = lab.store();
    put(&store, 1).await.unwrap();
    let other = rusqlite::Connection::open(lab.scratch.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(kind(put(&store, 2).await), StoreFaultKind::Busy);
    assert!(has(&store, 1).await.unwrap());
    other.execute_batch("COMMIT").unwrap();
    put(&store, 2).await.unwrap();
}

#[tokio::test]
async fn a_long_opening_lock_is_busy() {
    let lab = Lab::new();
    let opening = crate::store::file::Opening::exclusive(&lab.scratch.file());
    let opening = opening.unwrap().unwrap();
    let store = lab.store();
    assert_eq!(kind(store.look(index(1)).await), StoreFaultKind::Busy);
    drop(opening);
    store.look(index(1)).await.unwrap();
}

#[tokio::test]
async fn a_complete_file_is_opened_beside_other_processes() {
    let lab = Lab::new();
    put(&lab.store(), 1).await.unwrap();
    let other = crate::store::file::Opening::shared(&lab.scratch.file());
    let _opening = other.unwrap().unwrap();
    assert!(has(&lab.store(), 1).await.unwrap());
}

#[tokio::test]
async fn files_of_another_user_are_refused() {
    let lab = Lab::new();
    let file = lab.scratch.file();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    put(&lab.store(), 1).await.unwrap();
    mode(&file, 0o644);
    assert_eq!(
        kind(lab.store().look(index(1)).await),
        StoreFaultKind::Refused
    );
    mode(&file, 0o600);
    // Only root can change a file's owner; the check has a unit test of its own.
    let nobody = nix::unistd::Uid::from_raw(65534);
    if nix::unistd::chown(&file, Some(nobody), None).is_ok() {
        assert_eq!(
            kind(lab.store().look(index(1)).await),
            StoreFaultKind::Refused
        );
        let user = nix::unistd::geteuid();
        nix::unistd::chown(&file, Some(user), None).unwrap();
    }
    mode(lab.scratch.path(), 0o777);
    assert_eq!(
        kind(lab.store().look(index(1)).await),
        StoreFaultKind::Refused
    );
    mode(lab.scratch.path(), 0o700);
    assert!(has(&lab.store(), 1).await.unwrap());

    let elsewhere = Lab::new();
    std::os::unix::fs::symlink(&file, elsewhere.scratch.file()).unwrap();
    let refused = elsewhere.store().look(index(1)).await;
    assert_eq!(kind(refused), StoreFaultKind::Refused);
}

#[tokio::test]
async fn the_thread_ends_with_its_store() {
    let count = || {
        let tasks = fs::read_dir("/proc/self/task").unwrap();
        let name = |task: std::io::Result<fs::DirEntry>| {
            fs::read_to_string(task.ok()?.path().join("comm")).ok()
        };
        let names = tasks.filter_map(name);
        names.filter(|name| name.trim() == "credgate-store").count()
    };
    let lab = Lab::new();
    let before = count();
    for _ in 0..20 {
        put(&lab.store(), 1).await.unwrap();
    }
    // Threads of the same name belong to concurrent tests.
    assert!(count() < before + 20);
}
