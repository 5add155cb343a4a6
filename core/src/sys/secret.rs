//! Secret bytes.

use std::fmt;
use std::hint::black_box;
use std::mem::MaybeUninit;
use zeroize::Zeroizing;

/// A secret: wiped when dropped, never shown by `Debug`.
#[derive(Clone)]
pub(crate) struct Secret(Zeroizing<String>);

impl Secret {
    pub(crate) fn new(secret: &str) -> Secret {
        Secret(Zeroizing::new(secret.to_owned()))
    }

    /// The secret itself. The caller is responsible for its use.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

/// Zeroes a reused buffer. On the path of every hit, so not byte by byte as zeroize does; the compiler keeps the
/// writes, because the buffer outlives the call.
pub(crate) fn wipe(room: &mut [u8]) {
    room.fill(0);
    black_box(room);
}

/// Overwrites the remains of secrets on the stack: copies of them, and blocks of a hash. Later heap writes could copy
/// these bytes into padding that nothing fills. Also overwrites the registers through which glibc copies: the dynamic
/// linker spills them to the stack at the first call of a function. A hit by Basic, or with credentials from the host,
/// leaves no such remains, and does not pay for this: 550 instructions.
#[inline(never)]
pub(crate) fn bleach() {
    // In parts: glibc fills larger ranges with an instruction that is slow to start.
    let mut stack = [MaybeUninit::<u8>::uninit(); 2560];
    for part in stack.chunks_exact_mut(1280) {
        part.fill(MaybeUninit::zeroed());
        black_box(part);
    }
    // The length makes glibc use each register; a constant length would be copied through others.
    let len = black_box(512);
    let (from, to) = stack.split_at_mut(1280);
    to[..len].copy_from_slice(&from[..len]);
    black_box(to);
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn debug_does_not_show_a_secret() {
        assert_eq!(format!("{:?}", Secret::new("s3cret")), "Secret(…)");
    }
}
