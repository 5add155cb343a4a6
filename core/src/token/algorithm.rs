//! Signature algorithms, and their requirements on a key.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
    ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED, ECDSA_P521_SHA512_FIXED_SIGNING,
    ED25519, EcdsaSigningAlgorithm, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaParameters, VerificationAlgorithm,
};
use serde::{Deserialize, Serialize};

/// An algorithm of RFC 7518 section 3.1 or RFC 8037 section 3.1, without `none` and the symmetric ones.
pub(super) enum Algorithm {
    Rsa(&'static RsaParameters),
    /// The curve, and the algorithm.
    Curve(Curve, &'static dyn VerificationAlgorithm),
}

/// An algorithm by which the gateway signs (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum SigningAlgorithm {
    /// RSA, PKCS#1 v1.5, SHA-256.
    Rs256,
    /// RSA, PKCS#1 v1.5, SHA-384.
    Rs384,
    /// RSA, PKCS#1 v1.5, SHA-512.
    Rs512,
    /// RSA, PSS, SHA-256.
    Ps256,
    /// RSA, PSS, SHA-384.
    Ps384,
    /// RSA, PSS, SHA-512.
    Ps512,
    /// The curve P-256, SHA-256.
    Es256,
    /// The curve P-384, SHA-384.
    Es384,
    /// The curve P-521, SHA-512.
    Es512,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
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

impl SigningAlgorithm {
    pub(super) const ALL: [SigningAlgorithm; 10] = [
        SigningAlgorithm::Rs256,
        SigningAlgorithm::Rs384,
        SigningAlgorithm::Rs512,
        SigningAlgorithm::Ps256,
        SigningAlgorithm::Ps384,
        SigningAlgorithm::Ps512,
        SigningAlgorithm::Es256,
        SigningAlgorithm::Es384,
        SigningAlgorithm::Es512,
        SigningAlgorithm::EdDsa,
    ];

    /// Finds an algorithm by its case-sensitive name. RFC 9864 names EdDSA with the only supported curve `Ed25519`.
    pub(super) fn named(name: &str) -> Option<SigningAlgorithm> {
        let name = if name == "Ed25519" { "EdDSA" } else { name };
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// The value of `alg`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            SigningAlgorithm::Rs256 => "RS256",
            SigningAlgorithm::Rs384 => "RS384",
            SigningAlgorithm::Rs512 => "RS512",
            SigningAlgorithm::Ps256 => "PS256",
            SigningAlgorithm::Ps384 => "PS384",
            SigningAlgorithm::Ps512 => "PS512",
            SigningAlgorithm::Es256 => "ES256",
            SigningAlgorithm::Es384 => "ES384",
            SigningAlgorithm::Es512 => "ES512",
            SigningAlgorithm::EdDsa => "EdDSA",
        }
    }

    pub(super) fn rsa(self) -> Option<&'static dyn RsaEncoding> {
        Some(match self {
            SigningAlgorithm::Rs256 => &RSA_PKCS1_SHA256,
            SigningAlgorithm::Rs384 => &RSA_PKCS1_SHA384,
            SigningAlgorithm::Rs512 => &RSA_PKCS1_SHA512,
            SigningAlgorithm::Ps256 => &RSA_PSS_SHA256,
            SigningAlgorithm::Ps384 => &RSA_PSS_SHA384,
            SigningAlgorithm::Ps512 => &RSA_PSS_SHA512,
            _ => return None,
        })
    }

    /// The curve of an ECDSA algorithm.
    pub(super) fn curve(self) -> Option<Curve> {
        Some(match self {
            SigningAlgorithm::Es256 => Curve::P256,
            SigningAlgorithm::Es384 => Curve::P384,
            SigningAlgorithm::Es512 => Curve::P521,
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

    /// The ECDSA algorithm of the curve: RFC 7518 has one for each.
    pub(super) fn ecdsa(self) -> Option<&'static EcdsaSigningAlgorithm> {
        match self {
            Curve::P256 => Some(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Curve::P384 => Some(&ECDSA_P384_SHA384_FIXED_SIGNING),
            Curve::P521 => Some(&ECDSA_P521_SHA512_FIXED_SIGNING),
            Curve::Ed25519 => None,
        }
    }
}
