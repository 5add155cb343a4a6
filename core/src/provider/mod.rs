//! The OpenID provider: who it is, and what it says of itself.

mod discovery;
mod issuer;

pub(crate) use discovery::{AuthMethod, Metadata, Provider};
pub(crate) use issuer::{Issuer, ProviderId, endpoint};
