//! Tokens: those that the provider issues and those that clients present, with their claims and their verification.

mod algorithm;
mod assertion;
mod certificate;
pub(crate) mod claims;
mod grant;
mod jwks;
mod jws;
pub(crate) mod packed;
pub(crate) mod passed;
mod private_key;
mod response;
mod verify;

pub(crate) use algorithm::SigningAlgorithm;
pub(crate) use assertion::{AssertionSigner, Identity, SignerFlaw};
pub(crate) use certificate::Certificate;
pub use grant::Grant;
pub(crate) use grant::{Contents, Lifetime, Origin};
pub(crate) use jwks::KeySet;
pub(crate) use jws::{Jws, UniqueObject, is_jws};
pub(crate) use private_key::PrivateKey;
pub(crate) use response::{
    MAX_TOKEN, TokenResponse, is_b64token, json_object, remaining, unverified_claims,
};
pub(crate) use verify::{JwsError, Unusable};

#[cfg(test)]
pub(crate) use grant::tests::{grant as grant_for_test, grant_with as grant_for_test_with};
#[cfg(test)]
pub(crate) mod tests;
