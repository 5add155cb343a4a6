//! The identity of the process.
//!
//! An engine belongs to the process that created it: after a fork, its thread does not exist in the child, and no
//! thread releases its locks. Asking the kernel for the pid would cost a system call per request, so a counter detects
//! forks: the host calls [`note_fork`] in every child (`pthread_atfork`, `os.register_at_fork`).

use std::sync::atomic::{AtomicU32, Ordering};

static FORKS: AtomicU32 = AtomicU32::new(0);
/// The pid of the process that created the last engine or noted the last fork; 0: none.
static PID: AtomicU32 = AtomicU32::new(0);

/// Notes that this process was just forked. Safe to call in an `atfork` handler.
pub fn note_fork() {
    PID.store(std::process::id(), Ordering::Relaxed);
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// Detects a fork that was not noted, and returns whether there was one. Costs a system call: for hosts that may miss
/// forks, before a wait.
pub fn notice_fork() -> bool {
    let known = PID.load(Ordering::Relaxed);
    let is_new = known != 0 && known != std::process::id();
    if is_new {
        note_fork();
    }
    is_new
}

/// The process that created an object.
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
