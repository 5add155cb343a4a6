//! A provider's keys (RFC 7517), and the reasons why some of them cannot verify a signature.

use super::algorithm::{Algorithm, Curve};
use super::{JwsError, Unusable};
use aws_lc_rs::signature::{RsaPublicKeyComponents, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Keys by id.
#[derive(Default)]
pub(crate) struct KeySet {
    keys: Vec<PublicKey>,
    /// The ids of unusable keys, for the error of a token that names one.
    omitted: Vec<(Option<String>, Unusable)>,
}

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

/// The maximum number of keys, and of omitted ones; no provider has more.
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
        let mut set = KeySet::default();
        for raw in document.keys {
            match PublicKey::parse(raw) {
                Ok(key) => add(&mut set.keys, [key]),
                Err(why) => add(&mut set.omitted, [(id(raw), why)]),
            }
        }
        Some(set)
    }

    /// Adds the keys of another address.
    pub(crate) fn extend(&mut self, other: KeySet) {
        add(&mut self.keys, other.keys);
        add(&mut self.omitted, other.omitted);
    }

    /// Verifies a signature with the key of this id, or with all suitable keys if the token names none.
    pub(super) fn verify(
        &self,
        id: Option<&str>,
        algorithm: &str,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), JwsError> {
        let is_named = |own: &Option<String>| id.is_none() || own.as_deref() == id;
        let named: Vec<&PublicKey> = self.keys.iter().filter(|key| is_named(&key.id)).collect();
        if named.is_empty() {
            let omitted = self.omitted.iter().find(|(own, _)| is_named(own));
            return Err(
                omitted.map_or(JwsError::UnknownKey, |(_, why)| JwsError::UnusableKey(*why))
            );
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

    #[cfg(any(test, feature = "fuzz"))]
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}

/// Adds elements up to [`MAX_KEYS`].
fn add<T>(to: &mut Vec<T>, more: impl IntoIterator<Item = T>) {
    let room = MAX_KEYS.saturating_sub(to.len());
    to.extend(more.into_iter().take(room));
}

/// The id of a key that may be malformed otherwise.
fn id(raw: &RawValue) -> Option<String> {
    let jwk: Map<String, Value> = crate::token::json_object(raw.get().as_bytes())?;
    jwk.get("kid")?.as_str().map(str::to_owned)
}

/// Decodes a member. RFC 7518 section 2 omits the padding; some providers write it, and it changes nothing.
fn bytes(member: &Option<String>) -> Result<Vec<u8>, Unusable> {
    let text = member.as_deref().ok_or(Unusable::Malformed)?;
    URL_SAFE_NO_PAD
        .decode(text.trim_end_matches('='))
        .map_err(|_| Unusable::Malformed)
}

impl Jwk {
    /// The curve, if the kind of the key has it.
    fn curve(&self, fits: impl Fn(Curve) -> bool) -> Result<Curve, Unusable> {
        let name = self.crv.as_deref().ok_or(Unusable::Malformed)?;
        Curve::named(name)
            .filter(|curve| fits(*curve))
            .ok_or(Unusable::Curve)
    }
}

impl PublicKey {
    fn parse(raw: &RawValue) -> Result<PublicKey, Unusable> {
        let jwk: Jwk =
            crate::token::json_object(raw.get().as_bytes()).ok_or(Unusable::Malformed)?;
        let is_for_signatures = jwk
            .purpose
            .as_deref()
            .is_none_or(|purpose| purpose == "sig")
            && jwk
                .key_ops
                .as_ref()
                .is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !is_for_signatures {
            return Err(Unusable::Purpose);
        }
        let material = match jwk.kty.as_str() {
            "RSA" => rsa(&bytes(&jwk.n)?, &bytes(&jwk.e)?)?,
            "EC" => {
                let curve = jwk.curve(|curve| curve != Curve::Ed25519)?;
                let (x, y) = (bytes(&jwk.x)?, bytes(&jwk.y)?);
                if x.len() != curve.size() || y.len() != curve.size() {
                    return Err(Unusable::Malformed);
                }
                // SEC 1 section 2.3.3.
                Material::Curve(curve, [&[0x04], &x[..], &y[..]].concat())
            }
            "OKP" => {
                let curve = jwk.curve(|curve| curve == Curve::Ed25519)?;
                let x = bytes(&jwk.x)?;
                if x.len() != curve.size() {
                    return Err(Unusable::Malformed);
                }
                Material::Curve(curve, x)
            }
            _ => return Err(Unusable::Kind),
        };
        Ok(PublicKey {
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
fn rsa(n: &[u8], e: &[u8]) -> Result<Material, Unusable> {
    let (n, e) = (without_zeros(n), without_zeros(e));
    let (Some(first), Some(last)) = (n.first(), e.last()) else {
        return Err(Unusable::Malformed);
    };
    let bits = n.len() * 8 - first.leading_zeros() as usize;
    match bits {
        ..2048 => return Err(Unusable::Short),
        8193.. => return Err(Unusable::Long),
        _ => {}
    }
    if e.len() > 8 || last % 2 == 0 || e == [1] {
        return Err(Unusable::Malformed);
    }
    let (n, e) = (n.to_vec(), e.to_vec());
    Ok(Material::Rsa { n, e })
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    &number[zeros..]
}
