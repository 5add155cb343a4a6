//! What a client presents.

use crate::secret::Secret;

/// A client's id and secret, owned: what a flight carries to the provider.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    pub(crate) client_id: String,
    pub(crate) client_secret: Secret,
    /// The caller's own arguments: numbers of the gate's names, and values.
    pub(crate) args: Vec<(u8, String)>,
}

/// The longest pair that is accepted, in bytes of id, secret and the caller's arguments together after decoding. A hit decodes into a buffer
/// of this size on the stack.
pub(crate) const MAX_LEN: usize = 2048;
