//! Peppers: the operator's part of the keys that locate and seal values.

use super::mac::MacKey;
use super::seal::{Sealer, expand};
use super::{Index, TargetId, file};
use crate::error::{Error, ErrorKind};
use crate::key::Fingerprint;
use crate::request::credentials::Credentials;
use crate::sys::secret::Secret;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use std::io::Read;
use std::path::Path;
use zeroize::Zeroizing;

/// The keys derived from one pepper.
pub(crate) struct Pepper {
    index_key: MacKey,
    target_key: MacKey,
    sealer: Sealer,
}

/// The minimum length in bytes; a shorter pepper could be guessed.
const MIN_LEN: usize = 32;
/// The maximum length in bytes; a longer file is there by mistake.
const MAX_LEN: u64 = 4096;

impl Pepper {
    /// Reads a configured pepper file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ConfigFile`], naming the option.
    pub(super) fn read(option: &str, path: &Path) -> Result<Pepper, Error> {
        let wrong = |why: String| {
            let path = path.display();
            Error::new(
                ErrorKind::ConfigFile,
                format!("engine options: {option}: {path}: {why}"),
            )
        };
        let content = content(path).map_err(|error| wrong(error.to_string()))?;
        Pepper::of(&content).ok_or_else(|| {
            wrong(format!(
                "must contain between {MIN_LEN} and {MAX_LEN} random bytes: head -c 32 /dev/urandom | base64"
            ))
        })
    }

    /// Reads the pepper at a path, and creates one if there is none. The file appears complete, so concurrent callers
    /// get the same pepper.
    pub(super) fn read_or_make(path: &Path) -> std::io::Result<Pepper> {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;

        if !path.exists() {
            let mut bytes = Zeroizing::new([0; MIN_LEN]);
            getrandom::fill(&mut *bytes)?;
            let mut line = Zeroizing::new(STANDARD.encode(*bytes));
            line.push('\n');
            file::create_whole(path, line.as_bytes())?;
        }
        let content = content(path)?;
        Pepper::of(&content).ok_or_else(|| std::io::Error::other("it contains no pepper"))
    }

    /// Ignores one line end, which editors add.
    pub(super) fn of(content: &[u8]) -> Option<Pepper> {
        if content.len() < MIN_LEN || content.len() as u64 > MAX_LEN {
            return None;
        }
        let pepper = content.strip_suffix(b"\n").unwrap_or(content);
        let root = Salt::new(HKDF_SHA256, b"credgate store v1").extract(pepper);
        Some(Pepper {
            index_key: MacKey::new(expand(&root, &[b"index"])?),
            target_key: MacKey::new(expand(&root, &[b"scope"])?),
            sealer: Sealer::new(expand(&root, &[b"client"])?),
        })
    }

    /// The index of the token for these credentials.
    pub(super) fn index(&self, gate: &Fingerprint, credentials: &Credentials) -> Index {
        let args = credentials.args.iter();
        let index = self.index_key.pair(
            gate,
            credentials.client_id.as_bytes(),
            credentials.client_secret.expose().as_bytes(),
            args.map(|(name, value)| (*name, value.as_bytes())),
        );
        Index(index)
    }

    /// The id of a purge's target: one gate or all, and one client or all.
    pub(super) fn target_id(
        &self,
        gate: Option<&Fingerprint>,
        client_id: Option<&str>,
    ) -> TargetId {
        TargetId(self.target_key.purge(gate, client_id.map(str::as_bytes)))
    }

    pub(super) fn seal(&self, index: &Index, secret: &Secret, text: &[u8]) -> Option<Vec<u8>> {
        self.sealer.seal(index, secret, text)
    }

    pub(super) fn open(
        &self,
        index: &Index,
        secret: &Secret,
        value: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        self.sealer.open(index, secret, value)
    }
}

/// The content of a file, read to one byte more than a pepper may have.
fn content(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut content = Zeroizing::new(Vec::with_capacity(MAX_LEN as usize + 1));
    std::fs::File::open(path)?
        .take(MAX_LEN + 1)
        .read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value comes from another implementation of the scheme: HKDF from HMAC, and OpenSSL's AES-GCM.
    #[test]
    fn the_scheme_matches_its_documentation() {
        let hex = "0189bf24a1fc82c325776ad063cd5a5d1ac1e19c14346380287935b247a73aeb16000102030405060708090a0b\
                   b76069d105040c4c24c51f5b73ee8273e9856c26";
        let value: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect();
        let pepper = Pepper::of(&[7; 32]).unwrap();
        let (index, secret) = (Index([1; 32]), Secret::new("s3cret"));
        let text = pepper.open(&index, &secret, &value);
        assert_eq!(text.unwrap().as_slice(), b"text");
    }

    #[test]
    fn a_pepper_has_a_minimum_length_and_ignores_a_line_end() {
        let index = |content: &[u8]| {
            let id = Pepper::of(content)?.target_id(None, None);
            Some(id.0)
        };
        let pepper = [b'p'; 32];
        assert_eq!(index(&pepper), index(&[&pepper[..], b"\n"].concat()));
        assert_ne!(index(&pepper), index(&[&pepper[..], b"p"].concat()));
        assert_eq!(index(&pepper[1..]), None);
        assert_eq!(index(&[b'p'; 5000]), None);
    }

    #[test]
    fn purge_targets_have_different_ids() {
        let pepper = Pepper::of(&[7; 32]).unwrap();
        let (one, two) = (Fingerprint::for_test(1), Fingerprint::for_test(2));
        let ids = [
            pepper.target_id(None, None),
            pepper.target_id(Some(&one), None),
            pepper.target_id(Some(&two), None),
            pepper.target_id(None, Some("a")),
            pepper.target_id(None, Some("")),
            pepper.target_id(Some(&one), Some("a")),
            pepper.target_id(Some(&two), Some("a")),
        ];
        let different: std::collections::HashSet<_> = ids.into_iter().collect();
        assert_eq!(different.len(), ids.len());
    }
}
