//! Signature algorithms, and their requirements on a key.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    VerificationAlgorithm,
};

/// An algorithm of RFC 7518 section 3.1 or RFC 8037 section 3.1, without `none` and the symmetric ones.
pub(super) enum Algorithm {
    Rsa(&'static RsaParameters),
    /// The curve, and the algorithm.
    Curve(Curve, &'static dyn VerificationAlgorithm),
}

/// The curves of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
    Ed25519,
}

impl Algorithm {
    /// Finds an algorithm by its case-sensitive name.
    pub(super) fn named(name: &str) -> Option<Algorithm> {
        Some(match name {
            "RS256" => Algorithm::Rsa(&RSA_PKCS1_2048_8192_SHA256),
            "RS384" => Algorithm::Rsa(&RSA_PKCS1_2048_8192_SHA384),
            "RS512" => Algorithm::Rsa(&RSA_PKCS1_2048_8192_SHA512),
            "PS256" => Algorithm::Rsa(&RSA_PSS_2048_8192_SHA256),
            "PS384" => Algorithm::Rsa(&RSA_PSS_2048_8192_SHA384),
            "PS512" => Algorithm::Rsa(&RSA_PSS_2048_8192_SHA512),
            "ES256" => Algorithm::Curve(Curve::P256, &ECDSA_P256_SHA256_FIXED),
            "ES384" => Algorithm::Curve(Curve::P384, &ECDSA_P384_SHA384_FIXED),
            "ES512" => Algorithm::Curve(Curve::P521, &ECDSA_P521_SHA512_FIXED),
            "EdDSA" | "Ed25519" => Algorithm::Curve(Curve::Ed25519, &ED25519),
            _ => return None,
        })
    }
}

impl Curve {
    pub(super) fn named(name: &str) -> Option<Curve> {
        Some(match name {
            "P-256" => Curve::P256,
            "P-384" => Curve::P384,
            "P-521" => Curve::P521,
            "Ed25519" => Curve::Ed25519,
            _ => return None,
        })
    }

    /// The size of one coordinate, in bytes.
    pub(super) fn size(self) -> usize {
        match self {
            Curve::P256 | Curve::Ed25519 => 32,
            Curve::P384 => 48,
            Curve::P521 => 66,
        }
    }
}
