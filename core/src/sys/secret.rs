//! Bytes that must not be seen.

use std::fmt;
use zeroize::Zeroizing;

/// A secret: wiped when dropped, never shown by `Debug`.
#[derive(Clone)]
pub(crate) struct Secret(Zeroizing<String>);

impl Secret {
    pub(crate) fn new(secret: &str) -> Secret {
        Secret(Zeroizing::new(secret.to_owned()))
    }

    /// The secret itself. Whoever asks answers for where it goes.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

/// Zeroes a room that is used again. On the path of every hit, and so not byte by byte as zeroize does; the writes are not
/// left out, as the room outlives the call and anybody may look into it.
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
