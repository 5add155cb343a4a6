//! PEM (RFC 7468) with a private key. Decoded here because copies of it must be wiped.

use super::KeyFlaw;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// The labels of unencrypted private keys: PKCS#8, PKCS#1, SEC 1.
const LABELS: [&str; 3] = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];

/// The label and the DER of the first private key; the file may also have certificates and parameters.
pub(super) fn private_key(text: &str) -> Result<(&'static str, Zeroizing<Vec<u8>>), KeyFlaw> {
    let mut rest = text;
    while let Some((_, section)) = rest.split_once("-----BEGIN ") {
        let (label, section) = section.split_once("-----").ok_or(KeyFlaw::Malformed)?;
        let (body, after) = section.split_once("-----END ").ok_or(KeyFlaw::Malformed)?;
        rest = after;
        if label == "ENCRYPTED PRIVATE KEY" || body.contains("Proc-Type:") {
            return Err(KeyFlaw::Encrypted);
        }
        if let Some(label) = LABELS.into_iter().find(|known| *known == label) {
            return Ok((label, decode(body)?));
        }
        if label.ends_with("PRIVATE KEY") {
            return Err(KeyFlaw::Kind);
        }
    }
    Err(KeyFlaw::Absent)
}

fn decode(body: &str) -> Result<Zeroizing<Vec<u8>>, KeyFlaw> {
    let mut base64 = Zeroizing::new(Vec::with_capacity(body.len()));
    base64.extend(body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    let mut der = Zeroizing::new(Vec::with_capacity(base64.len()));
    STANDARD
        .decode_vec(&*base64, &mut der)
        .map_err(|_| KeyFlaw::Malformed)?;
    Ok(der)
}
