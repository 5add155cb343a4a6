//! What a client presents.

use crate::secret::Secret;

/// A client's id and secret, owned: what a flight carries to the provider.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    pub(crate) client_id: String,
    pub(crate) client_secret: Secret,
}

/// The longest pair that is accepted, in bytes of id and secret together after decoding. A hit decodes into a buffer
/// of this size on the stack.
pub(crate) const MAX_LEN: usize = 2048;
