//! The connection to the file, and the handling of problems with the file.

use super::statements::{self, At};
use crate::store::file::{self, Opening, with_suffix};
use crate::store::{Index, Lookup, StoreFault, StoreFaultKind};
use crate::sys::clock::Clock;
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use rusqlite::ffi::ErrorCode;
use rusqlite::{Connection, FileControl, OpenFlags};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

/// The file, on the store's thread.
pub(super) struct Disk {
    path: PathBuf,
    max_bytes: u64,
    clock: Arc<dyn Clock>,
    open: Option<Open>,
    /// Whether to wait for other processes: read by SQLite's busy handler.
    is_patient: Arc<AtomicBool>,
    /// The last time a damaged file was set aside.
    set_aside: Option<Duration>,
}

struct Open {
    connection: Connection,
    /// Device and inode of the file.
    inode: (u64, u64),
    /// It is on a tmpfs, where no call waits for a disk.
    is_memory: bool,
}

/// The minimum interval between two files set aside: sooner damage has a persistent cause.
const SET_ASIDE_EVERY: Duration = Duration::from_secs(3600);
const SET_ASIDE: &str = "; it was set aside (.corrupt), and a new file is created";
/// SQLite's default page size, and the block size of the usual file systems.
const PAGE: u64 = 4096;

impl Disk {
    pub(super) fn new(path: &Path, max_bytes: u64, clock: Arc<dyn Clock>) -> Disk {
        Disk {
            path: path.to_owned(),
            max_bytes,
            clock,
            open: None,
            is_patient: Arc::new(AtomicBool::new(true)),
            set_aside: None,
        }
    }

    /// Runs work on the file, and opens it first if necessary.
    pub(super) fn with<T>(
        &mut self,
        work: impl FnOnce(&At<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreFault> {
        if self.open.as_ref().is_some_and(Open::has_moved) {
            self.open = None;
        }
        let open = match self.open.take() {
            Some(open) => open,
            None => self.open()?,
        };
        match work(&self.at(&open)) {
            Ok(done) => {
                self.open = Some(open);
                Ok(done)
            }
            Err(error) => Err(self.failed(open, &error)),
        }
    }

    /// Reads an index at once if the file is open, in memory and in place, without waiting. `None` otherwise.
    pub(super) fn look_at_once(&self, index: &Index) -> Option<Lookup> {
        let open = self.open.as_ref()?;
        if !open.is_memory || open.has_moved() {
            return None;
        }
        self.is_patient.store(false, Ordering::Relaxed);
        let found = self.at(open).look(index);
        self.is_patient.store(true, Ordering::Relaxed);
        found.ok()
    }

    pub(super) fn close(&mut self) {
        self.open = None;
    }

    fn at<'c>(&self, open: &'c Open) -> At<'c> {
        At {
            connection: &open.connection,
            wall: self.clock.wall(),
        }
    }

    /// The fault for an error; the file stays open if it is still usable.
    fn failed(&mut self, open: Open, error: &rusqlite::Error) -> StoreFault {
        let mut fault = fault(error);
        let inode = open.inode;
        match fault.kind {
            StoreFaultKind::Busy | StoreFaultKind::Full => self.open = Some(open),
            StoreFaultKind::Corrupt => {
                drop(open);
                match self.set_aside(inode) {
                    Ok(true) => fault.detail.push_str(SET_ASIDE),
                    Ok(false) => {}
                    Err(also) => fault.detail = format!("{fault}, and {also}"),
                }
            }
            _ => drop(open),
        }
        fault
    }

    fn open(&mut self) -> Result<Open, StoreFault> {
        file::prepare_directory(&self.path)?;
        let path = self.path.clone();
        file::patiently(&path, || {
            if let Some(open) = self.open_complete()? {
                return Ok(Some(open));
            }
            match Opening::exclusive(&path)? {
                Some(_opening) => self.open_or_create().map(Some),
                None => Ok(None),
            }
        })
    }

    /// Opens a complete file, as many processes may at the same time. `None` if it is missing or incomplete.
    fn open_complete(&self) -> Result<Option<Open>, StoreFault> {
        let Some(_opening) = Opening::shared(&self.path)? else {
            return Ok(None);
        };
        if !file::check_existing(&self.path)? {
            return Ok(None);
        }
        let inode = self.inode()?;
        // The exclusive attempt reports its faults.
        let connection = self.connect_to_ours(statements::is_complete);
        Ok(connection.ok().flatten().and_then(|connection| {
            let open = self.opened(connection, inode);
            (!open.has_moved()).then_some(open)
        }))
    }

    fn open_or_create(&mut self) -> Result<Open, StoreFault> {
        if file::prepare_file(&self.path)? {
            // SQLite would read the remains of a deleted file as this one's.
            self.remove_logs();
        }
        let inode = self.inode()?;
        let connection = match self.connect() {
            Err(mut fault)
                if fault.kind == StoreFaultKind::Corrupt && self.set_aside_now(inode)? =>
            {
                fault.detail.push_str(SET_ASIDE);
                return Err(fault);
            }
            connected => connected?,
        };
        let open = self.opened(connection, inode);
        if open.has_moved() {
            return Err(StoreFault::new(
                StoreFaultKind::Busy,
                "its file was replaced while being opened",
            ));
        }
        Ok(open)
    }

    fn opened(&self, connection: Connection, inode: (u64, u64)) -> Open {
        Open {
            connection,
            inode,
            is_memory: self.is_memory(),
        }
    }

    fn inode(&self) -> Result<(u64, u64), StoreFault> {
        inode(&self.path).map_err(|error| file::fault(&self.path, &error))
    }

    fn connect(&self) -> Result<Connection, StoreFault> {
        let connection = self
            .connect_to_ours(statements::is_ours)
            .map_err(|error| fault(&error))?;
        connection.ok_or_else(|| {
            StoreFault::new(
                StoreFaultKind::Foreign,
                "it is a database of another program or version: configure another file, or remove it",
            )
        })
    }

    fn connect_to_ours(
        &self,
        is_usable: impl Fn(&Connection) -> rusqlite::Result<bool>,
    ) -> rusqlite::Result<Option<Connection>> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&self.path, flags)?;
        let is_patient = Arc::clone(&self.is_patient);
        let wait = move |times| is_patient.load(Ordering::Relaxed) && wait_for_others(times);
        connection.busy_handler(Some(wait))?;
        if !is_usable(&connection)? {
            return Ok(None);
        }
        // An empty file needs no sync.
        connection.execute_batch("PRAGMA synchronous=OFF; PRAGMA journal_mode=WAL")?;
        statements::create_tables(&connection)?;
        // Nothing on a tmpfs outlives the machine, and elsewhere nothing has to survive a power failure. A log of half
        // a megabyte fits on a small tmpfs.
        connection.execute_batch(&format!(
            "PRAGMA synchronous={}; PRAGMA wal_autocheckpoint=128; PRAGMA journal_size_limit=1048576;
             PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;
             PRAGMA max_page_count={};",
            if self.is_memory() { "OFF" } else { "NORMAL" },
            self.max_bytes / PAGE
        ))?;
        connection.set_prepared_statement_cache_capacity(statements::COUNT);
        Ok(Some(connection))
    }

    fn is_memory(&self) -> bool {
        statfs(&self.path).is_ok_and(|kind| kind.filesystem_type() == TMPFS_MAGIC)
    }

    fn set_aside(&mut self, inode: (u64, u64)) -> Result<bool, StoreFault> {
        let path = self.path.clone();
        let _opening = file::patiently(&path, || Opening::exclusive(&path))?;
        self.set_aside_now(inode)
    }

    /// Renames a damaged file if it is still the opened one; false if another file was set aside recently. Other
    /// processes notice the move.
    fn set_aside_now(&mut self, damaged: (u64, u64)) -> Result<bool, StoreFault> {
        let wall = self.clock.wall();
        let is_again = self
            .set_aside
            .is_some_and(|last| wall.saturating_sub(last) < SET_ASIDE_EVERY);
        if is_again || inode(&self.path).ok() != Some(damaged) {
            return Ok(false);
        }
        self.set_aside = Some(wall);
        let aside = with_suffix(&self.path, ".corrupt");
        fs::rename(&self.path, aside).map_err(|error| file::fault(&self.path, &error))?;
        self.remove_logs();
        Ok(true)
    }

    /// Deletes by name, so open descriptors stay valid. Never truncates: that would kill processes that have the file
    /// mapped.
    fn remove_logs(&self) {
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(with_suffix(&self.path, suffix));
        }
    }
}

impl Open {
    /// Whether the path now refers to another file.
    fn has_moved(&self) -> bool {
        let mut has_moved = 0;
        let asked = self
            .connection
            .file_control(None::<&str>, FileControl::HasMoved(&mut has_moved));
        asked.is_err() || has_moved != 0
    }
}

fn inode(path: &Path) -> std::io::Result<(u64, u64)> {
    let found = fs::metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// Other processes lock the file for microseconds unless they are descheduled; SQLite's own handler starts with a
/// millisecond. Waits about half a second in all, for a host with many more workers than processors.
fn wait_for_others(times: i32) -> bool {
    if times < 20 {
        sleep(Duration::from_micros(50));
    } else {
        sleep(Duration::from_micros(500));
    }
    times < 1000
}

fn fault(error: &rusqlite::Error) -> StoreFault {
    let code = error.sqlite_error();
    let kind = match code.map(|code| code.code) {
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::FileLockingProtocolFailed,
        ) => StoreFaultKind::Busy,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreFaultKind::Corrupt,
        Some(ErrorCode::DiskFull) => StoreFaultKind::Full,
        Some(ErrorCode::ReadOnly) => StoreFaultKind::ReadOnly,
        Some(ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => {
            StoreFaultKind::Refused
        }
        // A missing table or a value of another type: another program has changed the file.
        Some(ErrorCode::Unknown | ErrorCode::TypeMismatch | ErrorCode::ConstraintViolation)
        | None => StoreFaultKind::Foreign,
        Some(_) => StoreFaultKind::Unreachable,
    };
    let detail = match code {
        // Without SQLite's own words, which may quote the file's content.
        Some(code) => format!(
            "{} (SQLite's error {})",
            rusqlite::ffi::code_to_str(code.extended_code),
            code.extended_code
        ),
        None => "its file contains unexpected data".to_owned(),
    };
    StoreFault::new(kind, detail)
}
