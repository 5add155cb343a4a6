//! Which process this is.
//!
//! An engine belongs to the process that made it: after a fork its thread does not exist in the child, and its locks
//! may be held by nobody. Asking the kernel for the pid costs a system call on every request, so a counter tells
//! instead: the host has [`note_fork`] called in every child (`pthread_atfork`, `os.register_at_fork`).

use std::sync::atomic::{AtomicU32, Ordering};

static FORKS: AtomicU32 = AtomicU32::new(0);
/// Of the process that made the last engine or noted the last fork; 0: there has been none.
static PID: AtomicU32 = AtomicU32::new(0);

/// Tells the library that this process is a child that has just been forked. Safe to call in an `atfork` handler.
pub fn note_fork() {
    PID.store(std::process::id(), Ordering::Relaxed);
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// Notes a fork that nobody has told of, and answers whether there was one. It asks the kernel: for hosts whose forks may
/// go unseen, before they wait.
pub fn notice_fork() -> bool {
    let known = PID.load(Ordering::Relaxed);
    let is_new = known != 0 && known != std::process::id();
    if is_new {
        note_fork();
    }
    is_new
}

/// The process something was made in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    pub(crate) fn current() -> Process {
        PID.store(std::process::id(), Ordering::Relaxed);
        Process(FORKS.load(Ordering::Relaxed))
    }

    pub(crate) fn is_current(self) -> bool {
        self.0 == FORKS.load(Ordering::Relaxed)
    }
}
