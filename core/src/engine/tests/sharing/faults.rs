//! A store that fails, or that holds foreign values, is a miss.

use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

#[test]
fn swapped_and_unsealed_values_are_misses() {
    let (_, fleet) = Numbering::fleet();
    let lab = fleet.lab();
    lab.pair("a", "s");
    lab.pair("b", "s");
    let entries = fleet.entries();
    let [(a, of_a), (b, of_b)] = &entries[..] else {
        panic!("expected two entries")
    };
    fleet.set_entry(a, of_b);
    fleet.set_entry(b, of_a);
    let lab = fleet.lab();
    assert_eq!(lab.pair("a", "s"), "MISS a Bearer t3");
    assert_eq!(lab.pair("b", "s"), "MISS b Bearer t4");
    for value in [vec![], vec![1], vec![1; 100], vec![1; 1 << 20]] {
        fleet.set_entry(a, &value);
        assert!(fleet.lab().pair("a", "s").starts_with("MISS a"));
    }
    assert_eq!(lab.engine.metrics().unwrap().store_failures, 0);
}

#[test]
fn replayed_expired_and_purged_values_are_misses() {
    let (_, fleet) = Numbering::fleet();
    fleet.lab().pair("a", "s");
    let (id, old) = fleet.entries().remove(0);
    let lab = fleet.lab();
    assert_eq!(lab.pair("a", "s"), "SHARED a Bearer t1");
    lab.engine.purge_all(None).unwrap();
    assert_eq!(lab.pair("a", "s"), "MISS a Bearer t2");
    fleet.set_entry(&id, &old);
    assert_eq!(
        fleet.lab().pair("a", "s"),
        "MISS a Bearer t3",
        "the replayed token was purged"
    );
    let (_, newer) = fleet.entries().remove(0);
    fleet.advance(1000);
    fleet.set_entry(&id, &newer);
    assert_eq!(
        fleet.lab().pair("a", "s"),
        "MISS a Bearer t4",
        "the token has expired"
    );
}

#[test]
fn a_token_from_a_clock_too_far_ahead_is_a_miss() {
    let (_, fleet) = Numbering::fleet();
    fleet.clock.step(5);
    fleet.lab().pair("a", "s");
    fleet.clock.step(-5);
    assert_eq!(fleet.lab().pair("a", "s"), "SHARED a Bearer t1");
    fleet.clock.step(-1);
    assert_eq!(fleet.lab().pair("a", "s"), "MISS a Bearer t2");
}

#[test]
fn a_refusal_from_a_clock_too_far_ahead_is_a_miss() {
    let (provider, fleet) = Numbering::fleet();
    provider.refuses.store(true, Ordering::SeqCst);
    fleet.clock.step(3600);
    assert_eq!(fleet.lab().pair("a", "s"), "MISS 401 CredentialsRefused");
    fleet.clock.step(-3600);
    provider.refuses.store(false, Ordering::SeqCst);
    assert_eq!(fleet.lab().pair("a", "s"), "MISS a Bearer t1");
}

#[test]
fn an_unreadable_pepper_is_a_clear_error() {
    let (_, mut fleet) = Numbering::fleet();
    let path = fleet.scratch.path().join("pepper");
    for content in [None, Some("too short")] {
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        fleet.options.store_pepper_file = Some(path.display().to_string());
        let error = Engine::new(fleet.options.clone()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::ConfigFile);
        assert!(error.to_string().contains("store_pepper_file"), "{error}");
    }
}

/// A fault of a store: its name, the way to cause it, and a part of the expected log line.
type FaultCase = (&'static str, fn(&Fleet), &'static str);

const FAULTS: [FaultCase; 9] = [
    (
        "an impossible directory",
        |fleet| {
            fs::remove_dir_all(fleet.scratch.path()).unwrap();
            fs::write(fleet.scratch.path(), "").unwrap();
        },
        "Not a directory",
    ),
    (
        "a directory in its place",
        |fleet| fs::create_dir(fleet.scratch.file()).unwrap(),
        "is not a regular file",
    ),
    (
        "a link in its place",
        |fleet| symlink("/nowhere", fleet.scratch.file()).unwrap(),
        "is not a regular file",
    ),
    (
        "a database of another program",
        |fleet| {
            fleet.file().execute_batch("CREATE TABLE a(b)").unwrap();
            set_mode(&fleet.scratch.file(), 0o600);
        },
        "it is a database of another program",
    ),
    (
        "a damaged file",
        |fleet| {
            fs::write(fleet.scratch.file(), [0x55; 4096]).unwrap();
            set_mode(&fleet.scratch.file(), 0o600);
        },
        "was set aside",
    ),
    (
        "a file that others may use",
        |fleet| {
            fs::write(fleet.scratch.file(), "").unwrap();
            set_mode(&fleet.scratch.file(), 0o666);
        },
        "is accessible to others",
    ),
    (
        "a directory that others may write to",
        |fleet| set_mode(fleet.scratch.path(), 0o777),
        "is writable by others",
    ),
    (
        "a file that is locked",
        |fleet| {
            fleet.lab().pair("x", "s");
            let file = fleet.file();
            file.execute_batch("BEGIN EXCLUSIVE").unwrap();
            // Keep the lock until the end of the test.
            std::mem::forget(file);
        },
        "locked",
    ),
    (
        "an unreadable pepper",
        |fleet| {
            let path = format!("{}.pepper", fleet.scratch.file().display());
            fs::create_dir(path).unwrap();
        },
        ".pepper: ",
    ),
];

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_store_failure_is_a_miss_counted_and_logged_once() {
    for (what, cause, says) in FAULTS {
        let (_, fleet) = Numbering::fleet();
        cause(&fleet);
        let lab = fleet.lab();
        for client in ["a", "b", "c"] {
            let outcome = lab.pair(client, "s");
            assert!(
                outcome.starts_with(&format!("MISS {client} Bearer t")),
                "{what}: {outcome}"
            );
        }
        let metrics = lab.engine.metrics().unwrap();
        assert_eq!(metrics.store_misses, 3, "{what}");
        assert!(metrics.store_failures > 0, "{what}");
        let records: Vec<_> = std::iter::from_fn(|| lab.engine.next_record().unwrap())
            .map(|record| record.message)
            .filter(|message| message.contains("not shared"))
            .collect();
        assert_eq!(records.len(), 1, "{what}: {records:?}");
        assert!(records[0].contains(says), "{what}: {}", records[0]);
    }
}
