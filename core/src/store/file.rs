//! The files of a host's store: private to this user, and on a local disk.

use super::{StoreFault, StoreFaultKind};
use nix::sys::statfs::statfs;
use nix::unistd::geteuid;
use std::borrow::Cow;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// For the user of this process only.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// The maximum number of attempts, a millisecond apart, while another process creates or opens the file.
const OPENING_TRIES: u32 = 500;

/// Creates a file's directory if it is missing (its parent must exist), and checks it.
pub(super) fn prepare_directory(file: &Path) -> Result<(), StoreFault> {
    let directory = file.parent().unwrap_or(Path::new("/"));
    match DirBuilder::new().mode(DIRECTORY_MODE).create(directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(fault(directory, &error));
        }
        _ => {}
    }
    let found = fs::metadata(directory).map_err(|error| fault(directory, &error))?;
    let user = geteuid().as_raw();
    check_directory(found.uid(), found.mode(), user)?;
    let kind = statfs(directory).map_err(|error| fault(directory, &error.into()))?;
    check_file_system(kind.filesystem_type().0 as u64)
}

/// A user who can write to the directory could place a file beside ours or replace ours.
fn check_directory(owner: u32, mode: u32, user: u32) -> Result<(), StoreFault> {
    if owner != user && owner != 0 {
        return Err(StoreFault::new(
            StoreFaultKind::Refused,
            format!(
                "its directory belongs to user {owner}, but this process runs as user {user}: chown it"
            ),
        ));
    }
    if mode & 0o022 != 0 {
        return Err(StoreFault::new(
            StoreFaultKind::Refused,
            format!(
                "its directory is writable by others (mode {:o}): use a separate directory with mode 700",
                mode & 0o7777
            ),
        ));
    }
    Ok(())
}

/// Locks and shared memory do not work across a network, or cannot be verified to.
fn check_file_system(kind: u64) -> Result<(), StoreFault> {
    const NETWORKS: [(u64, &str); 13] = [
        (0x6969, "NFS"),
        (0x517b, "SMB"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB"),
        (0x6573_5546, "FUSE"),
        (0x0102_1997, "9P"),
        (0x00c3_6400, "Ceph"),
        (0x0bd0_0bd0, "Lustre"),
        (0x4750_4653, "GPFS"),
        (0x0116_1970, "GFS2"),
        (0x7461_636f, "OCFS2"),
        (0x5346_414f, "AFS"),
        (0x7375_7245, "Coda"),
    ];

    // On systems with a signed 32-bit type, it has been sign-extended.
    let kind = kind & 0xffff_ffff;
    match NETWORKS.iter().find(|(network, _)| *network == kind) {
        None => Ok(()),
        Some((_, name)) => Err(StoreFault::new(
            StoreFaultKind::Refused,
            format!(
                "its directory is on {name}, where SQLite's locks do not work: use a local directory, \
                 such as /run/credgate; to share between hosts, use Redis"
            ),
        )),
    }
}

/// Checks a file of ours, and creates it if it is missing; returns whether it did.
pub(super) fn prepare_file(path: &Path) -> Result<bool, StoreFault> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path);
    match &made {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(fault(path, error)),
        _ => {}
    }
    check_existing(path)?;
    Ok(made.is_ok())
}

/// Checks a file of ours; returns whether it exists.
pub(super) fn check_existing(path: &Path) -> Result<bool, StoreFault> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        found => found.map_err(|error| fault(path, &error))?,
    };
    let user = geteuid().as_raw();
    check_file(path, found.is_file(), found.uid(), found.mode(), user)?;
    Ok(true)
}

fn check_file(
    path: &Path,
    is_file: bool,
    owner: u32,
    mode: u32,
    user: u32,
) -> Result<(), StoreFault> {
    let refuse = |why: String| {
        Err(StoreFault::new(
            StoreFaultKind::Refused,
            format!("{} {why}", name(path)),
        ))
    };
    if !is_file {
        return refuse("is not a regular file: use another path".to_owned());
    }
    if owner != user {
        return refuse(format!(
            "belongs to user {owner}, but this process runs as user {user}: chown it, or remove it"
        ));
    }
    if mode & 0o077 != 0 {
        return refuse(format!(
            "is accessible to others (mode {:o}): chmod 600",
            mode & 0o7777
        ));
    }
    Ok(())
}

/// Creates a file with its whole content at once; an existing one stays.
pub(super) fn create_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let aside = with_suffix(path, &format!(".{:016x}", getrandom::u64()?));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(&aside)?;
    let linked = file
        .write_all(content)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&aside, path));
    fs::remove_file(&aside)?;
    match linked {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    }
}

/// A lock for creating, opening or replacing a store's file; released when dropped. Never on the store's file itself:
/// closing a descriptor of that ends SQLite's locks (POSIX).
pub(super) struct Opening(#[expect(dead_code, reason = "the open descriptor keeps the lock")] File);

impl Opening {
    /// To open a complete file. `None` if another process creates or replaces it.
    pub(super) fn shared(store: &Path) -> Result<Option<Opening>, StoreFault> {
        Opening::begin(store, File::try_lock_shared)
    }

    /// To create or replace the file. `None` if another process opens, creates or replaces it.
    pub(super) fn exclusive(store: &Path) -> Result<Option<Opening>, StoreFault> {
        Opening::begin(store, File::try_lock)
    }

    fn begin(
        store: &Path,
        lock: impl FnOnce(&File) -> Result<(), fs::TryLockError>,
    ) -> Result<Option<Opening>, StoreFault> {
        let path = with_suffix(store, ".lock");
        prepare_file(&path)?;
        let file = OpenOptions::new()
            .write(true)
            .open(&path)
            .map_err(|error| fault(&path, &error))?;
        match lock(&file) {
            Ok(()) => Ok(Some(Opening(file))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(fault(&path, &error)),
        }
    }
}

/// Repeats an attempt that is `None` while another process has the lock.
pub(super) fn patiently<T>(
    store: &Path,
    mut attempt: impl FnMut() -> Result<Option<T>, StoreFault>,
) -> Result<T, StoreFault> {
    for _ in 0..OPENING_TRIES {
        if let Some(done) = attempt()? {
            return Ok(done);
        }
        sleep(Duration::from_millis(1));
    }
    let path = with_suffix(store, ".lock");
    let detail = format!("another process has locked {} for too long", path.display());
    Err(StoreFault::new(StoreFaultKind::Busy, detail))
}

/// The path with a suffix.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut extended = path.as_os_str().to_owned();
    extended.push(suffix);
    extended.into()
}

/// A store's fault for a system error.
pub(super) fn fault(path: &Path, error: &io::Error) -> StoreFault {
    let (kind, advice) = match error.kind() {
        ErrorKind::PermissionDenied => (
            StoreFaultKind::Refused,
            ": the user of this process needs write permission",
        ),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => (StoreFaultKind::Full, ""),
        ErrorKind::ReadOnlyFilesystem => (StoreFaultKind::ReadOnly, ""),
        ErrorKind::NotFound => (StoreFaultKind::Unreachable, ": create its directory"),
        _ => (StoreFaultKind::Unreachable, ""),
    };
    StoreFault::new(kind, format!("{}: {error}{advice}", name(path)))
}

/// The file name alone: the store's name has the path.
fn name(path: &Path) -> Cow<'_, str> {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_users_or_accessible_to_them_are_refused() {
        let path = Path::new("/run/credgate/tokens.db");
        let file = |is_file, owner, mode| check_file(path, is_file, owner, mode, 33);
        assert_eq!(file(true, 33, 0o100_600), Ok(()));
        for (fault, what) in [
            (file(true, 0, 0o100_600), "belongs to user 0"),
            (file(true, 33, 0o100_640), "chmod 600"),
            (file(false, 33, 0o120_777), "not a regular file"),
        ] {
            let fault = fault.unwrap_err();
            assert_eq!(fault.kind, StoreFaultKind::Refused);
            assert!(fault.detail.contains(what), "{fault}");
        }
        let directory = |owner, mode| check_directory(owner, mode, 33);
        assert_eq!(directory(33, 0o40_700), Ok(()));
        assert_eq!(directory(0, 0o40_755), Ok(()));
        assert!(directory(34, 0o40_700).is_err());
        assert!(directory(33, 0o40_770).is_err());
        assert!(directory(0, 0o41_777).is_err(), "/tmp");
    }

    #[test]
    fn a_network_file_system_is_refused_by_name() {
        for (kind, name) in [(0x6969, "NFS"), (0xffff_ffff_ff53_4d42, "CIFS")] {
            let fault = check_file_system(kind).unwrap_err();
            assert!(fault.detail.contains(name), "{fault}");
        }
        for kind in [0xef53, 0x0102_1994, 0x794c_7630, 0x5846_5342] {
            assert_eq!(check_file_system(kind), Ok(()));
        }
    }
}
