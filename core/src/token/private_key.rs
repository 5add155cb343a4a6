//! A private key that signs client assertions: PEM (PKCS#8, PKCS#1, SEC 1), or one private JWK (RFC 7517).

mod jwk;
mod pem;

use super::algorithm::{Curve, SigningAlgorithm};
use super::certificate::Certificate;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};

/// A private key. AWS-LC, which holds it, wipes its memory when it is freed.
pub(crate) struct PrivateKey {
    pair: Pair,
    /// The key's own id, if it is a JWK with one.
    pub(crate) id: Option<String>,
    /// Its only algorithm, if the JWK names one.
    algorithm: Option<SigningAlgorithm>,
}

enum Pair {
    Rsa(RsaKeyPair),
    Curve(Curve, EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// The reason why the content of a file is no usable key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyFlaw {
    /// Neither PEM with a private key, nor a JSON object.
    Absent,
    /// A key that needs a passphrase.
    Encrypted,
    Malformed,
    /// A public key: a JWK without `d`.
    Public,
    /// A JWK set.
    Set,
    /// Another type of key, or another curve.
    Kind,
    /// RSA below 2048 bits.
    Short,
    /// Not for signatures (`use`, `key_ops`).
    Purpose,
}

impl KeyFlaw {
    /// A phrase that follows the name of the file.
    pub(crate) fn why(self) -> &'static str {
        match self {
            KeyFlaw::Absent => "contains neither a PEM private key nor a private JWK",
            KeyFlaw::Encrypted => {
                "contains an encrypted key; write it without a passphrase, readable for the gateway alone (openssl pkey \
                 -in FILE)"
            }
            KeyFlaw::Malformed => "contains a private key that is malformed, or of an unknown type",
            KeyFlaw::Public => {
                "contains a public key (a JWK without d); a private key is required to sign"
            }
            KeyFlaw::Set => "contains a JWK set; write the one private JWK alone",
            KeyFlaw::Kind => {
                "contains a key of an unsupported type; the supported ones are RSA, the curves P-256, P-384 and P-521, and \
                 Ed25519"
            }
            KeyFlaw::Short => {
                "contains an RSA key that is too short; at least 2048 bits are required (RFC 7518 section 3.3)"
            }
            KeyFlaw::Purpose => {
                "contains a key that is not for signatures (use must be sig, and key_ops contain sign)"
            }
        }
    }
}

impl PrivateKey {
    /// Reads the content of a key file.
    pub(crate) fn read(content: &[u8]) -> Result<PrivateKey, KeyFlaw> {
        if content.trim_ascii_start().first() == Some(&b'{') {
            return jwk::read(content);
        }
        let text = std::str::from_utf8(content).map_err(|_| KeyFlaw::Absent)?;
        let (label, der) = pem::private_key(text)?;
        let pair = match label {
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(&der).map(Pair::Rsa).map_err(flaw),
            "EC PRIVATE KEY" => on_any_curve(&der),
            _ => from_pkcs8(&der),
        };
        Ok(PrivateKey {
            pair: pair?,
            id: None,
            algorithm: None,
        })
    }

    /// The algorithm that the key's JWK names, or the usual one of its type.
    pub(crate) fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm.unwrap_or(match &self.pair {
            Pair::Rsa(_) => SigningAlgorithm::Rs256,
            Pair::Curve(Curve::P384, _) => SigningAlgorithm::Es384,
            Pair::Curve(Curve::P521, _) => SigningAlgorithm::Es512,
            Pair::Curve(..) => SigningAlgorithm::Es256,
            Pair::Ed25519(_) => SigningAlgorithm::EdDsa,
        })
    }

    /// Whether the key may sign with this algorithm: its type has it, and its JWK names no other one.
    pub(crate) fn fits(&self, algorithm: SigningAlgorithm) -> bool {
        let has = match &self.pair {
            Pair::Rsa(_) => algorithm.rsa().is_some(),
            Pair::Curve(curve, _) => algorithm.curve() == Some(*curve),
            Pair::Ed25519(_) => algorithm == SigningAlgorithm::EdDsa,
        };
        has && self.algorithm.is_none_or(|own| own == algorithm)
    }

    /// A signature as in RFC 7518 section 3.
    ///
    /// # Errors
    ///
    /// If the algorithm does not fit the key.
    pub(crate) fn sign(
        &self,
        algorithm: SigningAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, Unspecified> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let encoding = algorithm.rsa().ok_or(Unspecified)?;
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut signature)?;
                Ok(signature)
            }
            Pair::Curve(_, pair) => Ok(pair.sign(&random, message)?.as_ref().to_vec()),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }

    /// Whether it is the private key of this certificate.
    pub(crate) fn is_of(&self, certificate: &Certificate) -> bool {
        let own: Result<PublicKeyX509Der<'_>, _> = match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_der(),
            Pair::Curve(_, pair) => pair.public_key().as_der(),
            Pair::Ed25519(pair) => pair.public_key().as_der(),
        };
        own.is_ok_and(|own| own.as_ref() == certificate.public_key())
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

fn flaw(rejected: KeyRejected) -> KeyFlaw {
    match rejected.description_() {
        "TooSmall" => KeyFlaw::Short,
        "TooLarge" | "WrongAlgorithm" => KeyFlaw::Kind,
        _ => KeyFlaw::Malformed,
    }
}

/// PKCS#8 names the type of the key.
fn from_pkcs8(der: &[u8]) -> Result<Pair, KeyFlaw> {
    let tried = RsaKeyPair::from_pkcs8(der).map(Pair::Rsa).map_err(flaw);
    if !matches!(tried, Err(KeyFlaw::Kind)) {
        return tried;
    }
    match Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
        Ok(pair) => Ok(Pair::Ed25519(pair)),
        Err(_) => on_any_curve(der),
    }
}

/// A key of an elliptic curve, PKCS#8 or SEC 1.
fn on_any_curve(der: &[u8]) -> Result<Pair, KeyFlaw> {
    [Curve::P256, Curve::P384, Curve::P521]
        .into_iter()
        .find_map(|curve| {
            let pair = EcdsaKeyPair::from_private_key_der(curve.ecdsa()?, der).ok()?;
            Some(Pair::Curve(curve, pair))
        })
        .ok_or(KeyFlaw::Kind)
}

#[cfg(test)]
mod tests;
