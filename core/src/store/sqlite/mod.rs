//! The store of one host: a SQLite file in a directory of its own, preferably on a tmpfs.
//!
//! The store's own thread has the connection, and all calls queue for it: neither a disk nor another process's lock
//! blocks the engine's thread. The exception is a read of a file on a tmpfs while the connection is free: it is done at
//! once, as that costs less than the thread switch. The file is private: any other user of it in the same process (the
//! host's own SQLite, a mere `open` and `close`) ends SQLite's locks, as POSIX requires. Two engines of one process may
//! use it, since they share one SQLite; two copies of this library in one process may not.
//!
//! Problems with the file are handled here, and each is at worst a [`StoreFault`]: a file deleted or replaced under the
//! connection (checked before every statement, as SQLite would continue with the unlinked file), a damaged file (set
//! aside and created anew, at most once an hour), a file of another user or program (refused), a full file (entries
//! that expire soonest are evicted).

mod disk;
mod statements;

use super::{
    Index, Lease, Lookup, Owner, Purge, Store, StoreFault, StoreFaultKind, StoreFuture, Tally,
    TargetId,
};
use crate::sys::clock::Clock;
use crate::sys::thread::Thread;
use disk::Disk;
use std::future::ready;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;
use tokio::sync::oneshot;

/// See the module.
pub(crate) struct Sqlite {
    path: PathBuf,
    timeout: Duration,
    disk: Arc<Mutex<Disk>>,
    /// Started when first needed.
    worker: Mutex<Option<Worker>>,
}

struct Worker {
    /// Dropped first, which ends the thread.
    jobs: mpsc::Sender<Job>,
    _thread: Thread,
}

type Job = Box<dyn FnOnce(&mut Disk) + Send>;

/// The deadline of a call by default: a busy disk takes that long, or a host with many more workers than processors.
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(1000);
/// A read costs microseconds.
const PAUSES: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(20));

impl Sqlite {
    pub(crate) fn new(
        path: &Path,
        max_bytes: u64,
        timeout: Option<Duration>,
        clock: Arc<dyn Clock>,
    ) -> Sqlite {
        Sqlite {
            path: path.to_owned(),
            timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
            disk: Arc::new(Mutex::new(Disk::new(path, max_bytes, clock))),
            worker: Mutex::default(),
        }
    }

    /// Runs work on the store's thread.
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Disk) -> Result<T, StoreFault> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        let (sender, receiver) = oneshot::channel();
        let sent = self.send(Box::new(move |disk| {
            // A caller that gave up needs no result.
            if !sender.is_closed() {
                let _ = sender.send(work(disk));
            }
        }));
        Box::pin(async move {
            sent?;
            receiver.await.unwrap_or_else(|_| Err(gone()))
        })
    }

    fn send(&self, job: Job) -> Result<(), StoreFault> {
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        let worker = match &mut *worker {
            Some(worker) => worker,
            none => none.insert(self.start()?),
        };
        worker.jobs.send(job).map_err(|_| gone())
    }

    fn start(&self) -> Result<Worker, StoreFault> {
        let (jobs, received) = mpsc::channel::<Job>();
        let disk = Arc::clone(&self.disk);
        let thread = Thread::start("credgate-store", move || {
            let disk = || disk.lock().unwrap_or_else(PoisonError::into_inner);
            while let Ok(job) = received.recv() {
                job(&mut disk());
            }
            disk().close();
        });
        Ok(Worker {
            jobs,
            _thread: thread.map_err(|error| {
                let detail = format!("cannot start a thread: {error}");
                StoreFault::new(StoreFaultKind::Busy, detail)
            })?,
        })
    }
}

fn gone() -> StoreFault {
    let detail = "its thread ended unexpectedly; this is a bug in credgate";
    StoreFault::new(StoreFaultKind::Unreachable, detail)
}

impl Store for Sqlite {
    fn look(&self, index: Index) -> StoreFuture<'_, Lookup> {
        if let Ok(disk) = self.disk.try_lock()
            && let Some(found) = disk.look_at_once(&index)
        {
            return Box::pin(ready(Ok(found)));
        }
        self.run(move |disk| disk.with(|at| at.look(&index)))
    }

    fn put(&self, index: Index, value: Vec<u8>, life: Duration) -> StoreFuture<'_, ()> {
        self.run(move |disk| disk.with(|at| at.put(&index, &value, life)))
    }

    fn lease(&self, index: Index, owner: Owner, life: Duration) -> StoreFuture<'_, Lease> {
        self.run(move |disk| disk.with(|at| at.lease(&index, &owner, life)))
    }

    fn release(&self, index: Index, owner: Owner) -> StoreFuture<'_, ()> {
        self.run(move |disk| disk.with(|at| at.release(&index, &owner)))
    }

    fn purge(&self, target: TargetId, now: Duration) -> StoreFuture<'_, u64> {
        self.run(move |disk| disk.with(|at| at.purge(&target, now)))
    }

    fn purges(&self, after: u64) -> StoreFuture<'_, Vec<Purge>> {
        self.run(move |disk| disk.with(|at| at.purges(after)))
    }

    fn add(
        &self,
        group: [u8; 16],
        process: [u8; 16],
        round: u64,
        growth: Tally,
    ) -> StoreFuture<'_, ()> {
        self.run(move |disk| disk.with(|at| at.add(&group, &process, round, &growth)))
    }

    fn sum(&self, group: [u8; 16]) -> StoreFuture<'_, Tally> {
        self.run(move |disk| disk.with(|at| at.sum(&group)))
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn pauses(&self) -> (Duration, Duration) {
        PAUSES
    }

    fn name(&self) -> String {
        format!("SQLite {}", self.path.display())
    }
}

#[cfg(test)]
mod tests;
