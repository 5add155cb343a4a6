//! The connection to the file, and what is done when something is wrong with the file.

use super::statements::{self, At};
use crate::store::file::{self, Opening, beside};
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

/// The file, on the thread that has it.
pub(super) struct Disk {
    path: PathBuf,
    max_bytes: u64,
    clock: Arc<dyn Clock>,
    open: Option<Open>,
    /// Whether others are waited for: read by SQLite's busy handler.
    is_patient: Arc<AtomicBool>,
    /// When a damaged file was last set aside.
    set_aside: Option<Duration>,
}

struct Open {
    connection: Connection,
    /// Device and number of the file.
    inode: (u64, u64),
    /// It is on a tmpfs: nothing there has to be waited for.
    is_memory: bool,
}

/// A file that is damaged again so soon is damaged by something that goes on: it is not set aside a second time.
const SET_ASIDE_EVERY: Duration = Duration::from_secs(3600);
const SET_ASIDE: &str = "; it has been set aside (.corrupt), and a new one is made";
/// SQLite's own, and that of every file system it is used on.
const PAGE: u64 = 4096;
/// How often another process that is making or opening the file is waited for, a millisecond each time.
const OPENING_TRIES: u32 = 150;

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

    /// Does something at the file, which is opened where it is not.
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

    /// A look at a file that is open, in memory, and in order: without waiting for anything. `None` where it is not so.
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

    /// What an error means; the file stays open where it may be used again.
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
        let _opening = self.opening()?;
        if file::prepare_file(&self.path)? {
            // What a file that was deleted has left behind would be read as this one's.
            self.remove_logs();
        }
        let inode = inode(&self.path).map_err(|error| file::fault(&self.path, &error))?;
        let connection = match self.connect() {
            Err(mut fault)
                if fault.kind == StoreFaultKind::Corrupt && self.set_aside_now(inode)? =>
            {
                fault.detail.push_str(SET_ASIDE);
                return Err(fault);
            }
            connected => connected?,
        };
        let open = Open {
            connection,
            inode,
            is_memory: self.is_memory(),
        };
        if open.has_moved() {
            return Err(StoreFault::new(
                StoreFaultKind::Busy,
                "its file was replaced while it was opened",
            ));
        }
        Ok(open)
    }

    fn opening(&self) -> Result<Opening, StoreFault> {
        for _ in 0..OPENING_TRIES {
            if let Some(opening) = Opening::begin(&self.path)? {
                return Ok(opening);
            }
            sleep(Duration::from_millis(1));
        }
        let path = beside(&self.path, ".lock");
        let detail = format!("another process holds {} for too long", path.display());
        Err(StoreFault::new(StoreFaultKind::Busy, detail))
    }

    fn connect(&self) -> Result<Connection, StoreFault> {
        let connection = self.connect_to_ours().map_err(|error| fault(&error))?;
        connection.ok_or_else(|| {
            StoreFault::new(
                StoreFaultKind::Foreign,
                "it is a database of something else, or of another version: name another file, or remove it",
            )
        })
    }

    fn connect_to_ours(&self) -> rusqlite::Result<Option<Connection>> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&self.path, flags)?;
        let is_patient = Arc::clone(&self.is_patient);
        let wait = move |times| is_patient.load(Ordering::Relaxed) && wait_for_others(times);
        connection.busy_handler(Some(wait))?;
        if !statements::is_ours(&connection)? {
            return Ok(None);
        }
        // While there is nothing in it, there is nothing to wait for a disk for.
        connection.execute_batch("PRAGMA synchronous=OFF; PRAGMA journal_mode=WAL")?;
        statements::make(&connection)?;
        // Nothing outlives the machine on a tmpfs, and nothing here has to outlive a power cut elsewhere. A log of half a
        // megabyte, so that a small tmpfs has room for it; and a bound for all.
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
        let _opening = self.opening()?;
        self.set_aside_now(inode)
    }

    /// Renames a damaged file, if it is still the one that was opened; false where that has just been done. Others notice
    /// that it has moved.
    fn set_aside_now(&mut self, damaged: (u64, u64)) -> Result<bool, StoreFault> {
        let wall = self.clock.wall();
        let is_again = self
            .set_aside
            .is_some_and(|last| wall.saturating_sub(last) < SET_ASIDE_EVERY);
        if is_again || inode(&self.path).ok() != Some(damaged) {
            return Ok(false);
        }
        self.set_aside = Some(wall);
        let aside = beside(&self.path, ".corrupt");
        fs::rename(&self.path, aside).map_err(|error| file::fault(&self.path, &error))?;
        self.remove_logs();
        Ok(true)
    }

    /// By name: whoever has them open keeps them. They are never cut short, which would kill who has them mapped.
    fn remove_logs(&self) {
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(beside(&self.path, suffix));
        }
    }
}

impl Open {
    /// Whether the path leads elsewhere by now.
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

/// Others hold the file for microseconds, if they are not kept from the processor: SQLite's own handler begins with a
/// millisecond. Some 100 milliseconds in all, which is less than an exchange that might have been another's.
fn wait_for_others(times: i32) -> bool {
    if times < 20 {
        sleep(Duration::from_micros(50));
    } else {
        sleep(Duration::from_micros(500));
    }
    times < 200
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
        // A table that is not there, a value of another type: somebody has changed the file.
        Some(ErrorCode::Unknown | ErrorCode::TypeMismatch | ErrorCode::ConstraintViolation)
        | None => StoreFaultKind::Foreign,
        Some(_) => StoreFaultKind::Unreachable,
    };
    let detail = match code {
        // Without SQLite's own words, which may quote what is in the file.
        Some(code) => format!(
            "{} (SQLite's error {})",
            rusqlite::ffi::code_to_str(code.extended_code),
            code.extended_code
        ),
        None => "its file holds something unexpected".to_owned(),
    };
    StoreFault::new(kind, detail)
}
