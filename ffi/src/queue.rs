//! Queues, and authentication through them.

use crate::boundary::{Fail, boundary, boundary_void};
use crate::bytes;
use crate::engine::credgate_engine;
use crate::error::{credgate_error, report};
use crate::gate::credgate_gate;
use crate::handle::{self, Out};
use crate::outcome::{Target, credgate_outcome};
use crate::request::{self, credgate_request};
use crate::status::{CREDGATE_EMPTY, CREDGATE_OK, CREDGATE_PENDING};
use crate::structs;
use credgate_core::{Authentication, Queue, Ticket};
use std::ffi::{c_char, c_int, c_void};
use std::mem::{offset_of, size_of};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::ptr;

/// The outcomes for one event loop.
///
/// Methods: credgate_queue_new, credgate_queue_fd, credgate_queue_listen,
/// credgate_queue_accept, credgate_queue_hang_up,
/// credgate_authenticate_at_once, credgate_authenticate, credgate_queue_next,
/// credgate_ticket_cancel, credgate_queue_free.
pub struct credgate_queue(Queue);

/// An outcome that has arrived.
#[repr(C)]
pub struct credgate_completion {
    /// In: sizeof(credgate_completion).
    pub struct_size: u32,
    /// Out: the pointer that the host gave to credgate_authenticate.
    pub user_data: *mut c_void,
    /// In: the host's struct for the outcome, with its struct_size. The host
    /// releases the outcome.
    pub outcome: *mut credgate_outcome,
    /// For tests: 1.
    #[cfg(credgate_grown)]
    pub grown: u64,
}

/// The size of version 1, the minimum.
const COMPLETION_V1_SIZE: usize =
    offset_of!(credgate_completion, outcome) + size_of::<*mut credgate_outcome>();

/// Makes a queue: one for each event loop.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_queue_new(
    engine: *const credgate_engine,
    out_queue: *mut *mut credgate_queue,
    out_error: *mut *mut credgate_error,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes valid pointers or NULL.
        unsafe {
            let (engine, out_queue) = (handle::borrow(engine)?, Out::required(out_queue)?);
            let queue = Queue::new(&engine.0).map_err(|error| report(error, out_error))?;
            out_queue.set(handle::give(credgate_queue(queue)));
        }
        Ok(CREDGATE_OK)
    })
}

/// Returns a descriptor that is readable while outcomes are in the queue. The
/// host polls it, but must not read, write or close it; it closes with the
/// queue.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_queue_fd(
    queue: *const credgate_queue,
    out_fd: *mut c_int,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes valid pointers or NULL.
        let (queue, out_fd) = unsafe { (usable(queue)?, Out::required(out_fd)?) };
        out_fd.set(queue.as_fd().as_raw_fd());
        Ok(CREDGATE_OK)
    })
}

/// Makes a Unix stream socket and returns its path: for event loops that can
/// wait only for connections of their own. The host connects to it, then calls
/// credgate_queue_accept. CREDGATE_BUFFER_TOO_SMALL: *out_len is the capacity
/// that the path needs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_queue_listen(
    queue: *const credgate_queue,
    out_path: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
    out_error: *mut *mut credgate_error,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes valid pointers or NULL.
        unsafe {
            let queue = handle::borrow(queue)?;
            let path = queue.0.listen().map_err(|error| report(error, out_error))?;
            bytes::write(path.as_os_str().as_bytes(), out_path, capacity, out_len)
        }
    })
}

/// Accepts the host's connection to the socket of credgate_queue_listen, and
/// removes the socket. The library then sends a byte when outcomes arrive: read
/// all available bytes, and call credgate_queue_next until it returns
/// CREDGATE_EMPTY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_queue_accept(
    queue: *const credgate_queue,
    out_error: *mut *mut credgate_error,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes valid pointers or NULL.
        unsafe {
            let queue = handle::borrow(queue)?;
            queue.0.accept().map_err(|error| report(error, out_error))?;
        }
        Ok(CREDGATE_OK)
    })
}

/// Closes the connection of credgate_queue_accept, which wakes its reader.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_queue_hang_up(queue: *const credgate_queue) -> i32 {
    boundary(|| {
        // SAFETY: C passes a valid queue or NULL.
        let queue = unsafe { handle::borrow(queue) }?;
        queue.0.hang_up()?;
        Ok(CREDGATE_OK)
    })
}

/// Returns the number of queues in this process with such a connection.
#[unsafe(no_mangle)]
pub extern "C" fn credgate_doorbells() -> usize {
    credgate_core::doorbells()
}

/// Authenticates a request if that needs no exchange. CREDGATE_OK: *outcome is
/// filled. CREDGATE_EMPTY: an exchange is needed, and has not begun. For hosts
/// that prepare a wait, or request.peer, only for credgate_authenticate.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_authenticate_at_once(
    gate: *const credgate_gate,
    queue: *const credgate_queue,
    request: *const credgate_request,
    outcome: *mut credgate_outcome,
) -> i32 {
    boundary(|| {
        let mut scratch = request::scratch();
        // SAFETY: C passes valid pointers or NULL.
        let (gate, queue, request, outcome) = unsafe {
            let gate = handle::borrow(gate)?;
            (
                gate,
                handle::borrow(queue)?,
                request::borrow(request, &gate.0, &mut scratch)?,
                Target::new(outcome)?,
            )
        };
        match queue.0.authenticate_at_once(&gate.0, &request)? {
            Some(ready) => {
                outcome.set(ready);
                Ok(CREDGATE_OK)
            }
            None => Ok(CREDGATE_EMPTY),
        }
    })
}

/// Authenticates a request. CREDGATE_OK: *outcome is filled, *out_ticket is
/// not. CREDGATE_PENDING: *out_ticket is filled, and the outcome will arrive in
/// the queue with user_data. Never blocks; a cache hit makes no allocation and
/// no system call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_authenticate(
    gate: *const credgate_gate,
    queue: *const credgate_queue,
    request: *const credgate_request,
    user_data: *mut c_void,
    outcome: *mut credgate_outcome,
    out_ticket: *mut u64,
) -> i32 {
    boundary(|| {
        let mut scratch = request::scratch();
        // SAFETY: C passes valid pointers or NULL.
        let (gate, queue, request, outcome, out_ticket) = unsafe {
            let gate = handle::borrow(gate)?;
            (
                gate,
                handle::borrow(queue)?,
                request::borrow(request, &gate.0, &mut scratch)?,
                Target::new(outcome)?,
                Out::required(out_ticket)?,
            )
        };
        let user_data = user_data.expose_provenance();
        match queue.0.authenticate(&gate.0, &request, user_data)? {
            Authentication::Ready(ready) => {
                outcome.set(ready);
                Ok(CREDGATE_OK)
            }
            Authentication::Pending(ticket) => {
                out_ticket.set(ticket.0);
                Ok(CREDGATE_PENDING)
            }
        }
    })
}

/// Takes the next outcome that has arrived. CREDGATE_OK: *completion and the
/// outcome that it points to are filled. CREDGATE_EMPTY: none has arrived.
/// Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_queue_next(
    queue: *const credgate_queue,
    completion: *mut credgate_completion,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes valid pointers or NULL, and a completion of at least its struct_size bytes.
        unsafe {
            let queue = handle::borrow(queue)?;
            let size = structs::stated_size(completion, COMPLETION_V1_SIZE)?;
            let outcome = Target::new((*completion).outcome)?;
            let Some(arrived) = queue.0.next()? else {
                return Ok(CREDGATE_EMPTY);
            };
            let filled = credgate_completion {
                struct_size: (*completion).struct_size,
                user_data: ptr::with_exposed_provenance_mut(arrived.user_data),
                outcome: (*completion).outcome,
                #[cfg(credgate_grown)]
                grown: 1,
            };
            structs::write(completion, size, &filled);
            outcome.set(arrived.outcome);
        }
        Ok(CREDGATE_OK)
    })
}

/// Cancels a request: credgate_queue_next does not return its outcome, even if
/// it has already arrived. Its exchange continues for other requests. An
/// unknown or completed ticket is not an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_ticket_cancel(queue: *const credgate_queue, ticket: u64) -> i32 {
    boundary(|| {
        // SAFETY: C passes a valid queue or NULL.
        let queue = unsafe { handle::borrow(queue) }?;
        queue.0.cancel(Ticket(ticket))?;
        Ok(CREDGATE_OK)
    })
}

/// Frees a queue, and cancels the requests that wait in it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_queue_free(queue: *mut credgate_queue) {
    boundary_void(|| {
        // SAFETY: C passes NULL or a queue that it does not use again.
        unsafe { handle::free(queue) };
    });
}

/// A queue of this process.
///
/// # Safety
///
/// As [`handle::borrow`].
unsafe fn usable<'a>(queue: *const credgate_queue) -> Result<&'a Queue, Fail> {
    // SAFETY: the caller guarantees the pointer.
    let queue = unsafe { handle::borrow(queue) }?;
    queue.0.check_process()?;
    Ok(&queue.0)
}
