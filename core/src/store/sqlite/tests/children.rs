//! Tests that could kill their process or need their own file system, each in a child process.

use crate::key::FingerprintBuilder;
use crate::request::credentials::Credentials;
use crate::store::file::with_suffix;
use crate::store::pepper::Pepper;
use crate::store::sqlite::*;
use crate::store::tests::conformance::{TempDir, block_on, owner};
use crate::store::{LEASE_LIFE, Lease};
use crate::sys::clock::manual::ManualClock;
use crate::sys::secret::Secret;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{ExitStatusExt, parent_id};
use std::process::{Child, Command, Stdio};

/// Marks a test as the child, with its seed.
const CHILD: &str = "CREDGATE_CHILD";
/// The file of a child's test.
const FILE: &str = "CREDGATE_CHILD_FILE";
const MINUTE: Duration = Duration::from_secs(60);

/// A test of this module as a child, started by `wrapped` if given.
fn command(test: &str, wrapped: &[&str], seed: u64) -> Command {
    let mut words: Vec<_> = wrapped.iter().map(OsString::from).collect();
    words.push(std::env::current_exe().unwrap().into());
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .args([
            "--exact",
            &format!("store::sqlite::tests::children::{test}"),
        ])
        .args(["--nocapture", "--test-threads=1"])
        .env(CHILD, seed.to_string());
    command
}

/// Runs a test of this module in a child; whether it passed.
fn passes(test: &str, wrapped: &[&str]) -> Result<(), String> {
    let seed = fastrand::u64(..);
    let output = command(test, wrapped, seed)
        .output()
        .map_err(|error| error.to_string())?;
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert_eq!(output.status.signal(), None, "seed {seed}: {text:?}");
    // A child that ran no test has not passed.
    if output.status.success() && text[0].contains("1 passed") {
        Ok(())
    } else {
        Err(format!("seed {seed}: {}", text.join("\n")))
    }
}

/// Starts a child that uses the file of `scratch`, passed as [`FILE`].
fn start(test: &str, scratch: &TempDir) -> Child {
    command(test, &[], fastrand::u64(..))
        .env(FILE, scratch.file())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The file of the children, if this process is one.
fn shared_file() -> Option<PathBuf> {
    Some(std::env::var_os(FILE)?.into())
}

/// The child's seed, if this process is one.
fn child() -> Option<u64> {
    std::env::var(CHILD).ok()?.parse().ok()
}

fn open(path: &Path) -> Sqlite {
    let clock = Arc::new(ManualClock::new());
    Sqlite::new(path, 64 << 20, Some(MINUTE), clock)
}

/// Retries while other processes, descheduled perhaps, keep the file busy.
fn retry_while_busy<T>(mut call: impl FnMut() -> Result<T, StoreFault>) -> T {
    loop {
        match call() {
            Err(fault) if fault.kind == StoreFaultKind::Busy => {}
            result => return result.unwrap(),
        }
    }
}

/// Sealed entries: the text of each is specific to its index.
struct Entries {
    pepper: Pepper,
    secret: Secret,
    indexes: Vec<Index>,
}

impl Entries {
    fn new(scratch: &TempDir) -> Entries {
        let pepper = Pepper::read_or_make(&with_suffix(&scratch.file(), ".pepper")).unwrap();
        let secret = Secret::new("s3cret");
        let gate = FingerprintBuilder::new().finish();
        let index = |number: u32| {
            let credentials = Credentials {
                client_id: format!("client-{number}"),
                client_secret: secret.clone(),
                signer: None,
                args: Vec::new(),
            };
            pepper.index(&gate, &credentials)
        };
        Entries {
            indexes: (0..100).map(index).collect(),
            pepper,
            secret,
        }
    }

    fn text(index: &Index) -> Vec<u8> {
        index.0.repeat(30)
    }

    async fn put(&self, store: &Sqlite) {
        for index in &self.indexes {
            let text = Entries::text(index);
            let value = self.pepper.seal(index, &self.secret, &text).unwrap();
            store.put(*index, value, MINUTE).await.unwrap();
        }
    }

    /// The number of values that decrypt to their original text.
    async fn count(&self, store: &Sqlite) -> usize {
        let mut opened = 0;
        for index in &self.indexes {
            let Ok(Lookup {
                value: Some(value), ..
            }) = store.look(*index).await
            else {
                continue;
            };
            if let Some(text) = self.pepper.open(index, &self.secret, &value) {
                assert_eq!(*text, Entries::text(index));
                opened += 1;
            }
        }
        opened
    }
}

/// With `CREDGATE_LONG=1`, a thousand times.
#[test]
fn random_damage_neither_crashes_nor_yields_wrong_values() {
    const NAME: &str = "random_damage_neither_crashes_nor_yields_wrong_values";
    let Some(seed) = child() else {
        return passes(NAME, &[]).unwrap();
    };
    let trials = if std::env::var_os("CREDGATE_LONG").is_some() {
        1000
    } else {
        100
    };
    let mut random = fastrand::Rng::with_seed(seed);
    let scratch = TempDir::new();
    let entries = Entries::new(&scratch);
    let store = open(&scratch.file());
    block_on(entries.put(&store));
    let read = |suffix| fs::read(with_suffix(&scratch.file(), suffix)).unwrap();
    let with_log = [read(""), read("-wal")];
    drop(store);
    let whole = [read(""), Vec::new()];
    let (mut opened, mut lost) = (0, 0);
    for trial in 0..trials {
        let spoiled = TempDir::new();
        let [mut file, mut log] = if trial % 2 == 0 {
            whole.clone()
        } else {
            with_log.clone()
        };
        for _ in 0..random.usize(1..100) {
            let bytes = match log.is_empty() || random.bool() {
                true => &mut file,
                false => &mut log,
            };
            let position = random.usize(..bytes.len());
            bytes[position] ^= random.u8(1..);
        }
        for (suffix, content) in [("", file), ("-wal", log)] {
            let path = with_suffix(&spoiled.file(), suffix);
            crate::store::file::prepare_file(&path).unwrap();
            fs::write(path, content).unwrap();
        }
        let store = open(&spoiled.file());
        let count = block_on(entries.count(&store));
        (opened, lost) = (opened + count, lost + entries.indexes.len() - count);
        // Every call on the remains must return.
        let index = entries.indexes[0];
        block_on(async {
            let _ = store.put(index, vec![1; 1000], MINUTE).await;
            let _ = store.lease(index, owner(1), LEASE_LIFE).await;
            let _ = store.release(index, owner(1)).await;
            let _ = store.purge(TargetId([1; 32]), MINUTE).await;
            let _ = store.purges(0).await;
            let _ = store.sum([1; 16]).await;
        });
    }
    assert!(opened > 0 && lost > 0, "{opened} opened, {lost} lost");
}

#[test]
fn concurrent_processes_have_one_lease_holder() {
    const LEASES: u8 = 200;
    if let Some(file) = shared_file() {
        let store = open(&file);
        let me = Owner(std::array::from_fn(|_| fastrand::u8(..)));
        let mut taken = String::new();
        for number in 0..LEASES {
            let at = Index([number; 32]);
            if retry_while_busy(|| block_on(store.lease(at, me, LEASE_LIFE))) == Lease::Taken {
                taken.push_str(&format!("<{number}>"));
            }
        }
        return std::io::stdout().write_all(taken.as_bytes()).unwrap();
    }
    let scratch = TempDir::new();
    let name = "concurrent_processes_have_one_lease_holder";
    let children: Vec<_> = (0..4).map(|_| start(name, &scratch)).collect();
    let texts: Vec<_> = children
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success());
            String::from_utf8(output.stdout).unwrap()
        })
        .collect();
    for number in 0..LEASES {
        let word = format!("<{number}>");
        let taken = texts.iter().filter(|text| text.contains(&word)).count();
        assert_eq!(taken, 1, "lease {number}");
    }
}

/// At any moment: its stored values are complete, and other processes continue at once.
#[test]
fn a_process_killed_while_writing_harms_no_other() {
    if let Some(file) = shared_file() {
        let store = open(&file);
        let parent = parent_id();
        while parent_id() == parent {
            let number = fastrand::u8(..);
            let (at, life) = (Index([number; 32]), LEASE_LIFE);
            block_on(async {
                let _ = store.put(at, vec![number; 4000], MINUTE).await;
                let _ = store.lease(at, owner(1), life).await;
                let _ = store.purge(TargetId([number; 32]), MINUTE).await;
            });
        }
        return;
    }
    let scratch = TempDir::new();
    let store = open(&scratch.file());
    let count = || {
        let value = |number: u8| {
            let value = retry_while_busy(|| block_on(store.look(Index([number; 32])))).value?;
            assert!(value.len() == 4000 && value.iter().all(|byte| *byte == number));
            Some(value)
        };
        (0..=255).filter_map(value).count()
    };
    for _ in 0..10 {
        let mut child = start("a_process_killed_while_writing_harms_no_other", &scratch);
        let purges = || retry_while_busy(|| block_on(store.look(Index([0; 32])))).purges;
        let before = purges();
        while purges() == before {
            assert!(child.try_wait().unwrap().is_none(), "it writes on");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(count() > 0);
        let at = Index([7; 32]);
        retry_while_busy(|| block_on(store.put(at, vec![7; 4000], MINUTE)));
    }
}

/// Runs a test with its files on a tmpfs of one megabyte, or otherwise as `otherwise` arranges.
fn passes_on_a_small_tmpfs(test: &str, otherwise: &str) {
    let mount = r#"mount -t tmpfs -o size=1m none /mnt && TMPDIR=/mnt exec "$@""#;
    let ways = [
        &["unshare", "-m", "sh", "-c", mount, "sh"][..],
        &["unshare", "-Urm", "sh", "-c", mount, "sh"],
        &["bash", "-c", otherwise, "bash"],
    ];
    let failures: Vec<_> = ways
        .iter()
        .map_while(|way| passes(test, way).err())
        .collect();
    assert!(failures.len() < ways.len(), "{failures:?}");
}

/// Without mount permissions, modes make the directory read-only, which does not bind root.
#[test]
fn a_read_only_file_system_is_a_fault() {
    if child().is_none() {
        let name = "a_read_only_file_system_is_a_fault";
        return passes_on_a_small_tmpfs(name, r#"exec "$@""#);
    }
    let scratch = TempDir::new();
    let store = open(&scratch.file());
    let at = Index([1; 32]);
    block_on(store.put(at, vec![1], MINUTE)).unwrap();
    let remount = ["-o", "remount,ro", "/mnt"];
    let is_mounted = std::env::temp_dir() == Path::new("/mnt");
    // A file open for writing would keep the file system from becoming read-only.
    drop(store);
    if is_mounted {
        assert!(
            Command::new("mount")
                .args(remount)
                .status()
                .unwrap()
                .success()
        );
    } else {
        for (path, mode) in [(scratch.file(), 0o400), (scratch.path().to_owned(), 0o500)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    }
    block_on(async {
        let store = open(&scratch.file());
        for fault in [
            store.put(at, vec![2], MINUTE).await.unwrap_err(),
            store.look(at).await.unwrap_err(),
            store.lease(at, owner(1), LEASE_LIFE).await.unwrap_err(),
        ] {
            assert!(
                matches!(
                    fault.kind,
                    StoreFaultKind::ReadOnly
                        | StoreFaultKind::Refused
                        | StoreFaultKind::Unreachable
                ),
                "{fault:?}"
            );
        }
    });
}

/// Without mount permissions, a file size limit stands in for the full tmpfs.
#[test]
fn a_full_tmpfs_is_a_fault_without_a_signal() {
    if child().is_none() {
        let name = "a_full_tmpfs_is_a_fault_without_a_signal";
        return passes_on_a_small_tmpfs(name, r#"trap '' XFSZ; ulimit -f 300; exec "$@""#);
    }
    let scratch = TempDir::new();
    let store = open(&scratch.file());
    let at = |number: u32| Index(std::array::from_fn(|i| number.to_le_bytes()[i % 4]));
    block_on(async {
        let mut put = 0;
        let fault = loop {
            match store.put(at(put), vec![7; 4000], MINUTE).await {
                Ok(()) => put += 1,
                Err(fault) => break fault,
            }
            assert!(put < 10_000, "there is no bound");
        };
        assert!(
            matches!(
                fault.kind,
                StoreFaultKind::Full | StoreFaultKind::Unreachable
            ),
            "{fault:?}"
        );
        // Entries stay readable, by other processes too, and no process dies.
        for store in [&store, &open(&scratch.file())] {
            let found = store.look(at(0)).await;
            assert!(found.is_ok() || found.is_err_and(|fault| !fault.detail.is_empty()));
            let _ = store.lease(at(0), owner(1), LEASE_LIFE).await;
        }
        // With free space again, writing works again.
        fs::remove_file(scratch.file()).unwrap();
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(with_suffix(&scratch.file(), suffix));
        }
        let store = open(&scratch.file());
        let lease = store.lease(at(0), owner(2), LEASE_LIFE).await;
        drop(store);
        assert_eq!(lease, Ok(Lease::Taken));
    });
}
