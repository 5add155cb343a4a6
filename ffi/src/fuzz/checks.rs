//! The promises that every call keeps.

use crate::*;
use std::ffi::{CStr, c_char};

/// Memory for an output, with a border that must stay.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    pub(super) capacity: usize,
    pub(super) len: usize,
}

impl Buffer {
    const BORDER: u8 = 0xa5;

    pub(super) fn new(capacity: usize) -> Buffer {
        Buffer {
            bytes: vec![Buffer::BORDER; capacity + 8],
            capacity,
            len: usize::MAX,
        }
    }

    pub(super) fn start(&mut self) -> *mut c_char {
        self.bytes.as_mut_ptr().cast()
    }

    /// Checks the border, and returns what a call with this status has written.
    pub(super) fn written(&self, status: i32) -> Option<&[u8]> {
        known(status);
        assert!(
            self.bytes[self.capacity..]
                .iter()
                .all(|&byte| byte == Buffer::BORDER)
        );
        (status == CREDGATE_OK).then(|| &self.bytes[..self.len])
    }
}

/// A call returns a status of the header, and does not panic.
pub(super) fn known(status: i32) -> i32 {
    assert_ne!(status, CREDGATE_PANIC);
    // SAFETY: the name is static and ends in NUL.
    let name = unsafe { CStr::from_ptr(credgate_status_name(status)) };
    assert_ne!(name, c"UNKNOWN", "{status}");
    status
}

/// Reads a string that the library returns: it is text.
///
/// # Safety
///
/// The string is valid.
pub(super) unsafe fn shown(start: *const c_char, len: usize) {
    if start.is_null() {
        return assert_eq!(len, 0);
    }
    // SAFETY: the caller guarantees the string.
    let bytes = unsafe { std::slice::from_raw_parts(start.cast::<u8>(), len) };
    assert!(str::from_utf8(bytes).is_ok());
}
