//! Which process this is.
//!
//! An engine belongs to the process that made it: after a fork its thread does not exist in the child, and its locks
//! may be held by nobody. Asking the kernel for the pid costs a system call on every request, so a counter tells
//! instead: the host has [`note_fork`] called in every child (`pthread_atfork`, `os.register_at_fork`).

use std::sync::atomic::{AtomicU32, Ordering};

static FORKS: AtomicU32 = AtomicU32::new(0);

/// Tells the library that this process is a child that has just been forked. Safe to call in an `atfork` handler.
pub fn note_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// The process something was made in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    pub(crate) fn current() -> Process {
        Process(FORKS.load(Ordering::Relaxed))
    }

    pub(crate) fn is_current(self) -> bool {
        self == Process::current()
    }
}
