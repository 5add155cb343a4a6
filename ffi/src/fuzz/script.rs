//! The input of the target.

use std::ffi::c_char;
use std::ptr;

/// The input, read from its start; zeros follow it.
pub(super) struct Script<'d>(pub(super) &'d [u8]);

impl<'d> Script<'d> {
    pub(super) fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((byte, rest)) => {
                self.0 = rest;
                *byte
            }
            None => 0,
        }
    }

    pub(super) fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    /// A string in memory of its own, so that a byte too far is seen; or NULL.
    pub(super) fn string(&mut self) -> Option<Box<[u8]>> {
        let len = usize::from(self.byte());
        if len == 0xff {
            return None;
        }
        let (string, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        Some(string.into())
    }
}

/// The pointer and the length of a string that may be NULL.
pub(super) fn parts(string: &Option<Box<[u8]>>) -> (*const c_char, usize) {
    match string {
        Some(bytes) => (bytes.as_ptr().cast(), bytes.len()),
        None => (ptr::null(), 0),
    }
}
