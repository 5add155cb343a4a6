//! The credentials of a client, owned.

use crate::sys::secret::Secret;
use crate::token::AssertionSigner;
use std::sync::Arc;

/// A client's id and secret, as a flight carries them to the provider.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    pub(crate) client_id: String,
    /// Empty: the gateway's own client, whose secret the exchange reads. With `private_key_jwt`, a finished assertion.
    pub(crate) client_secret: Secret,
    /// The key of the gateway's own client, once the exchange has read it.
    pub(crate) signer: Option<Arc<AssertionSigner>>,
    /// The arguments of the request: numbers of the gate's names, and values.
    pub(crate) args: Vec<(u8, String)>,
}

impl Credentials {
    /// Whether they are those of the gateway's own client. No request presents an empty secret.
    pub(crate) fn are_own(&self) -> bool {
        self.client_secret.expose().is_empty()
    }

    pub(crate) fn with_secret(&self, client_secret: Secret) -> Credentials {
        Credentials {
            client_secret,
            ..self.clone()
        }
    }

    /// Whether both have the same secret, assertion or key.
    pub(crate) fn have_proof_of(&self, other: &Credentials) -> bool {
        let is_same_signer = match (&self.signer, &other.signer) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        is_same_signer && self.client_secret.expose() == other.client_secret.expose()
    }

    pub(crate) fn with_signer(&self, signer: Arc<AssertionSigner>) -> Credentials {
        Credentials {
            signer: Some(signer),
            ..self.clone()
        }
    }
}

/// The maximum length of id, secret and the request's arguments together, decoded, in bytes. A hit decodes into a
/// buffer of this size.
pub(crate) const MAX_LEN: usize = 2048;
