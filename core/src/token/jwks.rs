//! A provider's keys (RFC 7517), without those that cannot verify a signature.

use super::JwsError;
use super::algorithm::{Algorithm, Curve};
use aws_lc_rs::signature::{RsaPublicKeyComponents, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Keys by id.
#[derive(Default)]
pub(crate) struct KeySet(Vec<PublicKey>);

struct PublicKey {
    id: Option<String>,
    /// Its only algorithm, if the provider names one.
    algorithm: Option<String>,
    material: Material,
}

enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// An uncompressed point, or an Edwards point.
    Curve(Curve, Vec<u8>),
}

/// The maximum number of keys; no provider has more.
const MAX_KEYS: usize = 100;
/// The maximum number of keys tried for a token that names none.
const MAX_TRIED: usize = 10;

/// The members that matter. A repeated one is an error; private members are not read.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Parses a key set; `None` if it is not a JSON object with a list of keys. An unusable key is omitted without
    /// affecting the others.
    pub(crate) fn parse(body: &[u8]) -> Option<KeySet> {
        #[derive(Deserialize)]
        struct Document<'d> {
            #[serde(borrow)]
            keys: Vec<&'d RawValue>,
        }

        let document: Document<'_> = crate::token::json_object(body)?;
        let keys = document.keys.into_iter().filter_map(PublicKey::parse);
        Some(KeySet(keys.take(MAX_KEYS).collect()))
    }

    /// Adds the keys of another address.
    pub(crate) fn extend(&mut self, other: KeySet) {
        let room = MAX_KEYS.saturating_sub(self.0.len());
        self.0.extend(other.0.into_iter().take(room));
    }

    /// Verifies a signature with the key of this id, or with all suitable keys if the token names none.
    pub(super) fn verify(
        &self,
        id: Option<&str>,
        algorithm: &str,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), JwsError> {
        let named: Vec<&PublicKey> = self
            .0
            .iter()
            .filter(|key| id.is_none() || key.id.as_deref() == id)
            .collect();
        if named.is_empty() {
            return Err(JwsError::UnknownKey);
        }
        let wanted = Algorithm::named(algorithm).ok_or(JwsError::Algorithm)?;
        let mut fitting = named
            .into_iter()
            .filter(|key| key.is_for(algorithm, &wanted))
            .take(MAX_TRIED)
            .peekable();
        let any_fits = fitting.peek().is_some();
        if fitting.any(|key| key.verifies(&wanted, message, signature)) {
            return Ok(());
        }
        Err(match id {
            // The signing key may not be known yet.
            None => JwsError::UnknownKey,
            Some(_) if any_fits => JwsError::Signature,
            Some(_) => JwsError::Algorithm,
        })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl PublicKey {
    fn parse(raw: &RawValue) -> Option<PublicKey> {
        let jwk: Jwk = crate::token::json_object(raw.get().as_bytes())?;
        let is_for_signatures = jwk
            .purpose
            .as_deref()
            .is_none_or(|purpose| purpose == "sig")
            && jwk
                .key_ops
                .as_ref()
                .is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !is_for_signatures {
            return None;
        }
        let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let material = match jwk.kty.as_str() {
            "RSA" => rsa(bytes(&jwk.n)?, bytes(&jwk.e)?)?,
            "EC" => {
                let curve =
                    Curve::named(jwk.crv.as_deref()?).filter(|curve| *curve != Curve::Ed25519)?;
                let (x, y) = (bytes(&jwk.x)?, bytes(&jwk.y)?);
                if x.len() != curve.size() || y.len() != curve.size() {
                    return None;
                }
                // SEC 1 section 2.3.3.
                Material::Curve(curve, [&[0x04], &x[..], &y[..]].concat())
            }
            "OKP" => {
                let curve =
                    Curve::named(jwk.crv.as_deref()?).filter(|curve| *curve == Curve::Ed25519)?;
                let x = bytes(&jwk.x)?;
                if x.len() != curve.size() {
                    return None;
                }
                Material::Curve(curve, x)
            }
            _ => return None,
        };
        Some(PublicKey {
            id: jwk.kid,
            algorithm: jwk.alg,
            material,
        })
    }

    /// One key, one algorithm: the provider's `alg` binds, and so does the kind of the key.
    fn is_for(&self, name: &str, wanted: &Algorithm) -> bool {
        if self
            .algorithm
            .as_deref()
            .is_some_and(|own| !is_same_algorithm(own, name))
        {
            return false;
        }
        match (&self.material, wanted) {
            (Material::Rsa { .. }, Algorithm::Rsa(_)) => true,
            (Material::Curve(own, _), Algorithm::Curve(wanted, _)) => own == wanted,
            _ => false,
        }
    }

    fn verifies(&self, wanted: &Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match (&self.material, wanted) {
            (Material::Rsa { n, e }, Algorithm::Rsa(parameters)) => RsaPublicKeyComponents { n, e }
                .verify(parameters, message, signature)
                .is_ok(),
            (Material::Curve(_, point), Algorithm::Curve(_, algorithm)) => {
                UnparsedPublicKey::new(*algorithm, point)
                    .verify(message, signature)
                    .is_ok()
            }
            _ => false,
        }
    }
}

/// RFC 9864 names EdDSA with this curve `Ed25519`.
fn is_same_algorithm(one: &str, other: &str) -> bool {
    let name = |name| if name == "Ed25519" { "EdDSA" } else { name };
    name(one) == name(other)
}

/// 2048 to 8192 bits (RFC 7518 section 3.3), with an odd exponent other than 1.
fn rsa(n: Vec<u8>, e: Vec<u8>) -> Option<Material> {
    let strip = |mut bytes: Vec<u8>| {
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        bytes.drain(..zeros);
        bytes
    };
    let (n, e) = (strip(n), strip(e));
    let bits = n.len() * 8 - n.first()?.leading_zeros() as usize;
    let is_exponent = (1..=8).contains(&e.len()) && e.last()? % 2 == 1 && e != [1];
    ((2048..=8192).contains(&bits) && is_exponent).then_some(Material::Rsa { n, e })
}
