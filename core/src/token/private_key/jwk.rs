//! A private JWK (RFC 7517; RFC 7518 section 6, RFC 8037 section 2).

use super::{KeyFlaw, Pair, PrivateKey, flaw};
use crate::token::algorithm::{Curve, SigningAlgorithm};
use crate::token::json_object;
use aws_lc_rs::rsa::{KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

/// The members that matter. Borrowed, so that no copy stays behind.
#[derive(Deserialize)]
struct Jwk<'j> {
    kty: Option<&'j str>,
    keys: Option<IgnoredAny>,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<&'j str>,
    d: Option<&'j str>,
    n: Option<&'j str>,
    e: Option<&'j str>,
    p: Option<&'j str>,
    q: Option<&'j str>,
    dp: Option<&'j str>,
    dq: Option<&'j str>,
    qi: Option<&'j str>,
    x: Option<&'j str>,
    y: Option<&'j str>,
    /// A key of more than two primes.
    oth: Option<IgnoredAny>,
}

/// Reads a private JWK.
pub(super) fn read(content: &[u8]) -> Result<PrivateKey, KeyFlaw> {
    let jwk: Jwk<'_> = json_object(content).ok_or(KeyFlaw::Malformed)?;
    if jwk.kty.is_none() && jwk.keys.is_some() {
        return Err(KeyFlaw::Set);
    }
    let kind = jwk.kty.ok_or(KeyFlaw::Malformed)?;
    if !matches!(kind, "RSA" | "EC" | "OKP") || jwk.oth.is_some() {
        return Err(KeyFlaw::Kind);
    }
    if jwk.d.is_none() {
        return Err(KeyFlaw::Public);
    }
    let signs = |ops: &Vec<String>| ops.iter().any(|op| op == "sign");
    if jwk
        .purpose
        .as_deref()
        .is_some_and(|purpose| purpose != "sig")
        || !jwk.key_ops.as_ref().is_none_or(signs)
    {
        return Err(KeyFlaw::Purpose);
    }
    let pair = match kind {
        "RSA" => rsa(&jwk)?,
        "EC" => ec(&jwk)?,
        _ => okp(&jwk)?,
    };
    let algorithm = match jwk.alg.as_deref() {
        Some(name) => Some(SigningAlgorithm::named(name).ok_or(KeyFlaw::Kind)?),
        None => None,
    };
    let key = PrivateKey {
        pair,
        id: jwk.kid.filter(|id| !id.is_empty()),
        algorithm,
    };
    match algorithm {
        Some(own) if !key.fits(own) => Err(KeyFlaw::Malformed),
        _ => Ok(key),
    }
}

fn bytes(member: Option<&str>) -> Result<Zeroizing<Vec<u8>>, KeyFlaw> {
    let text = member.ok_or(KeyFlaw::Malformed)?.trim_end_matches('=');
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    URL_SAFE_NO_PAD
        .decode_vec(text, &mut bytes)
        .map_err(|_| KeyFlaw::Malformed)?;
    Ok(bytes)
}

fn rsa(jwk: &Jwk<'_>) -> Result<Pair, KeyFlaw> {
    let n = number(jwk.n)?;
    if n.len() < 2048 / 8 {
        return Err(KeyFlaw::Short);
    }
    let components = KeyPairComponents {
        public_key: PublicKeyComponents {
            n,
            e: number(jwk.e)?,
        },
        d: bytes(jwk.d)?,
        p: bytes(jwk.p)?,
        q: bytes(jwk.q)?,
        dP: bytes(jwk.dp)?,
        dQ: bytes(jwk.dq)?,
        qInv: bytes(jwk.qi)?,
    };
    RsaKeyPair::from_components(&components)
        .map(Pair::Rsa)
        .map_err(flaw)
}

/// A number without leading zeros.
fn number(member: Option<&str>) -> Result<Vec<u8>, KeyFlaw> {
    let bytes = bytes(member)?;
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
    Ok(bytes[zeros..].to_vec())
}

fn ec(jwk: &Jwk<'_>) -> Result<Pair, KeyFlaw> {
    let curve = jwk.crv.and_then(Curve::named).ok_or(KeyFlaw::Kind)?;
    let algorithm = curve.ecdsa().ok_or(KeyFlaw::Kind)?;
    let (d, x, y) = (bytes(jwk.d)?, bytes(jwk.x)?, bytes(jwk.y)?);
    if [&d, &x, &y].iter().any(|part| part.len() != curve.size()) {
        return Err(KeyFlaw::Malformed);
    }
    let point = [&[0x04], x.as_slice(), y.as_slice()].concat();
    EcdsaKeyPair::from_private_key_and_public_key(algorithm, &d, &point)
        .map(|pair| Pair::Curve(curve, pair))
        .map_err(|_| KeyFlaw::Malformed)
}

fn okp(jwk: &Jwk<'_>) -> Result<Pair, KeyFlaw> {
    if jwk.crv.and_then(Curve::named) != Some(Curve::Ed25519) {
        return Err(KeyFlaw::Kind);
    }
    Ed25519KeyPair::from_seed_and_public_key(&bytes(jwk.d)?, &bytes(jwk.x)?)
        .map(Pair::Ed25519)
        .map_err(|_| KeyFlaw::Malformed)
}
