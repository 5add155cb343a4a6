//! The library's own threads.

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A running thread, which ends by itself when its work can no longer arrive. Dropping it waits for the end, within a
/// bound.
pub(crate) struct Thread {
    ended: Arc<Ended>,
    handle: Option<JoinHandle<()>>,
}

/// Signals the end of the thread. (A channel would leave an allocation on the host's thread.)
#[derive(Default)]
struct Ended(Mutex<bool>, Condvar);

/// The maximum time that a host waits for a thread to end.
const JOIN_TIMEOUT: Duration = Duration::from_secs(2);

impl Thread {
    /// Starts a thread, with signals blocked.
    pub(crate) fn start(
        name: &str,
        life: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Thread> {
        let ended = Arc::new(Ended::default());
        let end = Arc::clone(&ended);
        let handle = without_signals(|| {
            std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || {
                    life();
                    end.signal();
                })
        })?;
        Ok(Thread {
            ended,
            handle: Some(handle),
        })
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // Bounded: a thread that hangs in the system (resolver, disk) must not block the host. It is leaked instead.
        if self.ended.wait(JOIN_TIMEOUT)
            && let Some(handle) = self.handle.take()
        {
            drop(handle.join());
        }
    }
}

impl Ended {
    fn signal(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.1.notify_all();
    }

    fn wait(&self, timeout: Duration) -> bool {
        let ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.1.wait_timeout_while(ended, timeout, |ended| !*ended);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Runs `start` with all signals blocked, which threads inherit: signals belong to the host, and would not wake its
/// loop if this thread handled them. Signals for faults of the thread itself stay unblocked.
fn without_signals<T>(start: impl FnOnce() -> T) -> T {
    let mut blocked = SigSet::all();
    for own in [
        Signal::SIGBUS,
        Signal::SIGFPE,
        Signal::SIGILL,
        Signal::SIGSEGV,
    ] {
        blocked.remove(own);
    }
    let before = blocked.thread_swap_mask(SigmaskHow::SIG_SETMASK);
    let started = start();
    if let Ok(before) = before {
        let _ = before.thread_set_mask();
    }
    started
}
