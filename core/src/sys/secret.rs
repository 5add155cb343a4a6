//! Secret bytes.

use std::fmt;
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
    std::hint::black_box(room);
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
