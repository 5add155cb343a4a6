//! The parts of a C host that the tests and the fuzz target share.

use crate::*;
use std::mem::zeroed;

/// A request of nothing but its method.
pub(crate) fn request(method: &'static str) -> credgate_request {
    // SAFETY: an all-zero request is valid and empty.
    let mut request: credgate_request = unsafe { zeroed() };
    request.struct_size = size_of::<credgate_request>() as u32;
    request.method = method.as_ptr().cast();
    request.method_len = method.len();
    request
}

/// An empty outcome.
pub(crate) fn outcome() -> credgate_outcome {
    // SAFETY: an all-zero outcome is valid and empty.
    let mut outcome: credgate_outcome = unsafe { zeroed() };
    outcome.struct_size = size_of::<credgate_outcome>() as u32;
    outcome
}

/// Waits for the one pending outcome of a queue.
///
/// # Safety
///
/// The queue is valid, and the outcome is empty.
pub(crate) unsafe fn wait(queue: *const credgate_queue, outcome: &mut credgate_outcome) {
    let mut fds = libc::pollfd {
        fd: -1,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: an all-zero completion is valid, and the queue and its descriptor outlive the calls.
    unsafe {
        assert_eq!(credgate_queue_fd(queue, &mut fds.fd), CREDGATE_OK);
        assert_eq!(libc::poll(&mut fds, 1, 20_000), 1);
        let mut completion: credgate_completion = zeroed();
        completion.struct_size = size_of::<credgate_completion>() as u32;
        completion.outcome = outcome;
        assert_eq!(credgate_queue_next(queue, &mut completion), CREDGATE_OK);
    }
}
