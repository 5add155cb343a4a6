use super::*;
use crate::token::{AssertionSigner, Certificate, Identity, Jws, JwsError, KeySet, SignerFlaw};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::Duration;

const WALL: Duration = Duration::from_secs(1_700_000_000);

fn file(name: &str) -> Vec<u8> {
    let path = format!(
        "{}/../tests/vectors/keys/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read(path).unwrap()
}

fn read(name: &str) -> Result<PrivateKey, KeyFlaw> {
    PrivateKey::read(&file(name))
}

fn certificate(name: &str) -> Certificate {
    Certificate::from_pem(&file(name)).unwrap()
}

fn signer(name: &str, algorithm: Option<SigningAlgorithm>) -> AssertionSigner {
    AssertionSigner::new(read(name).unwrap(), algorithm, None, None).unwrap()
}

fn assertion(signer: &AssertionSigner) -> String {
    let identity = Identity {
        client_id: "gateway",
        audience: "https://idp.example/",
        wall: WALL,
    };
    identity.signed_with(signer).unwrap().to_string()
}

fn part(assertion: &str, at: usize) -> Value {
    let part = assertion.split('.').nth(at).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// The keys of a provider that knows the public half of this JWK.
fn registered(jwk: &str) -> KeySet {
    let jwk: Value = serde_json::from_slice(&file(jwk)).unwrap();
    let public = ["kty", "crv", "kid", "n", "e", "x", "y"];
    let public = public
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), jwk.get(name)?.clone())));
    let public: Value = Value::Object(public.collect());
    KeySet::parse(json!({ "keys": [public] }).to_string().as_bytes()).unwrap()
}

fn verify(assertion: &str, keys: &KeySet) -> Result<(), JwsError> {
    Jws::parse(assertion)?.verify(keys)
}

#[test]
fn every_notation_of_a_key_signs_what_its_public_key_verifies() {
    for (files, jwk) in [
        (&["rsa.pem", "rsa.pkcs1.pem", "rsa.jwk"][..], "rsa.jwk"),
        (&["p256.pem", "p256.sec1.pem", "p256.jwk"], "p256.jwk"),
        (&["p384.pem", "p384.sec1.pem", "p384.jwk"], "p384.jwk"),
        (&["p521.pem", "p521.sec1.pem", "p521.jwk"], "p521.jwk"),
        (&["ed25519.pem", "ed25519.jwk"], "ed25519.jwk"),
    ] {
        for file in files {
            let kid = part(&assertion(&signer(jwk, None)), 0)["kid"].clone();
            let key = read(file).unwrap();
            let signer = AssertionSigner::new(key, None, kid.as_str(), None).unwrap();
            assert_eq!(
                verify(&assertion(&signer), &registered(jwk)),
                Ok(()),
                "{file}"
            );
        }
    }
}

#[test]
fn every_algorithm_signs_with_the_keys_that_it_fits_and_with_no_other() {
    let keys = ["rsa.jwk", "p256.jwk", "p384.jwk", "p521.jwk", "ed25519.jwk"];
    for algorithm in SigningAlgorithm::ALL {
        let fitting: Vec<_> = keys
            .into_iter()
            .filter(|key| read(key).unwrap().fits(algorithm))
            .collect();
        let [fits] = fitting[..] else {
            panic!("{algorithm:?} fits {fitting:?}")
        };
        let signed = assertion(&signer(fits, Some(algorithm)));
        assert_eq!(part(&signed, 0)["alg"], algorithm.name());
        assert_eq!(verify(&signed, &registered(fits)), Ok(()), "{algorithm:?}");
        for other in keys.into_iter().filter(|key| *key != fits) {
            let flaw = AssertionSigner::new(read(other).unwrap(), Some(algorithm), None, None);
            assert_eq!(
                flaw.err(),
                Some(SignerFlaw::Algorithm),
                "{algorithm:?} {other}"
            );
        }
    }
}

#[test]
fn the_algorithm_is_by_default_that_of_the_jwk_or_of_the_type_of_the_key() {
    for (file, name) in [
        ("rsa.pem", "RS256"),
        ("rsa.ps256.jwk", "PS256"),
        ("p256.sec1.pem", "ES256"),
        ("p384.pem", "ES384"),
        ("p521.pem", "ES512"),
        ("ed25519.pem", "EdDSA"),
    ] {
        assert_eq!(
            part(&assertion(&signer(file, None)), 0)["alg"],
            name,
            "{file}"
        );
    }
    let jwk = read("rsa.ps256.jwk").unwrap();
    assert!(!jwk.fits(SigningAlgorithm::Rs256), "the JWK names another");
}

#[test]
fn an_unusable_key_is_refused_with_its_reason() {
    for (file, flaw) in [
        ("rsa1024.pem", KeyFlaw::Short),
        ("rsa.encrypted.pem", KeyFlaw::Encrypted),
        ("rsa.public.jwk", KeyFlaw::Public),
        ("rsa.cert.pem", KeyFlaw::Absent),
        ("secp256k1.pem", KeyFlaw::Kind),
        ("ed448.pem", KeyFlaw::Malformed),
        ("oct.jwk", KeyFlaw::Kind),
        ("set.jwk", KeyFlaw::Set),
        ("p256.encryption.jwk", KeyFlaw::Purpose),
    ] {
        assert_eq!(read(file).err(), Some(flaw), "{file}");
    }
    for (content, flaw) in [
        ("", KeyFlaw::Absent),
        ("s3cret", KeyFlaw::Absent),
        ("{", KeyFlaw::Malformed),
        ("{}", KeyFlaw::Malformed),
        (r#"{"kty":"EC","crv":"P-256","d":"AA"}"#, KeyFlaw::Malformed),
        (r#"{"kty":"EC","crv":"P-256K","d":"AA"}"#, KeyFlaw::Kind),
        (r#"{"kty":"OKP","crv":"X25519","d":"AA"}"#, KeyFlaw::Kind),
        (
            r#"{"kty":"RSA","n":"AQAB","e":"AQAB","d":"AA"}"#,
            KeyFlaw::Short,
        ),
        (
            r#"{"kty":"EC","kty":"EC","crv":"P-256","d":"AA"}"#,
            KeyFlaw::Malformed,
        ),
        ("-----BEGIN PRIVATE KEY-----\nAAAA", KeyFlaw::Malformed),
        (
            "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----",
            KeyFlaw::Malformed,
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----",
            KeyFlaw::Malformed,
        ),
        (
            "-----BEGIN DSA PRIVATE KEY-----\nMAA=\n-----END DSA PRIVATE KEY-----",
            KeyFlaw::Kind,
        ),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMAA=\n-----END RSA PRIVATE KEY-----",
            KeyFlaw::Encrypted,
        ),
    ] {
        assert_eq!(
            PrivateKey::read(content.as_bytes()).err(),
            Some(flaw),
            "{content}"
        );
    }
}

#[test]
fn halves_of_different_keys_are_refused() {
    for (file, other, members) in [
        ("p256.jwk", "p384.jwk", &["x", "y"][..]),
        ("ed25519.jwk", "p256.jwk", &["x"]),
        ("rsa.jwk", "p256.jwk", &["d"]),
    ] {
        let mut jwk: Value = serde_json::from_slice(&self::file(file)).unwrap();
        let other: Value = serde_json::from_slice(&self::file(other)).unwrap();
        for member in members {
            jwk[member] = other[member].clone();
        }
        let read = PrivateKey::read(jwk.to_string().as_bytes());
        assert_eq!(read.err(), Some(KeyFlaw::Malformed), "{file}");
    }
}

#[test]
fn a_pem_file_may_begin_with_other_sections() {
    for (certificate, key) in [
        ("rsa.cert.pem", "rsa.pem"),
        ("p256.cert.pem", "p256.sec1.pem"),
    ] {
        let both = [file(certificate), b"\n".to_vec(), file(key)].concat();
        assert!(PrivateKey::read(&both).is_ok(), "{key}");
        let crlf = String::from_utf8(both).unwrap().replace('\n', "\r\n");
        assert!(PrivateKey::read(crlf.as_bytes()).is_ok(), "{key}");
    }
}

#[test]
fn a_certificate_is_named_by_its_digests_and_belongs_to_its_key_only() {
    let certificates = ["rsa.cert.pem", "p256.cert.pem", "ed25519.cert.pem"];
    for (at, key) in ["rsa.pem", "p256.pem", "ed25519.pem"]
        .into_iter()
        .enumerate()
    {
        for (other, name) in certificates.into_iter().enumerate() {
            let is_own = at == other;
            assert_eq!(
                read(key).unwrap().is_of(&certificate(name)),
                is_own,
                "{key} {name}"
            );
        }
    }
    let with = |name| {
        let certificate = certificate(name);
        AssertionSigner::new(
            read("rsa.pem").unwrap(),
            None,
            Some("k"),
            Some(&certificate),
        )
    };
    let header = part(&assertion(&with("rsa.cert.pem").unwrap()), 0);
    assert_eq!(
        header,
        json!({
            "alg": "RS256", "typ": "JWT", "kid": "k",
            "x5t": "oAVM5vR4Du90HkG8ccDQVXpxwkI",
            "x5t#S256": "kySCWGlkhiXrPFIVx6J0MS7_NSIdAbdW6H9u3_H4As8",
        })
    );
    assert_eq!(with("p256.cert.pem").err(), Some(SignerFlaw::Certificate));
    for no_certificate in ["rsa.pem", "rsa.jwk"] {
        assert!(
            Certificate::from_pem(&file(no_certificate)).is_none(),
            "{no_certificate}"
        );
    }
}

#[test]
fn each_assertion_is_for_its_audience_and_has_an_id_of_its_own() {
    let signer = signer("p256.jwk", None);
    let mut ids = HashSet::new();
    for _ in 0..100 {
        let assertion = assertion(&signer);
        let mut claims = part(&assertion, 1);
        let id = claims.as_object_mut().unwrap().remove("jti").unwrap();
        assert!(ids.insert(id.as_str().unwrap().to_owned()), "{id}");
        assert_eq!(
            claims,
            json!({
                "iss": "gateway", "sub": "gateway", "aud": "https://idp.example/",
                "iat": WALL.as_secs(), "exp": WALL.as_secs() + 60,
            })
        );
    }
    let header = part(&assertion(&signer), 0);
    assert_eq!(
        header,
        json!({"alg": "ES256", "typ": "JWT", "kid": "p256-1"})
    );
}

#[test]
fn debug_shows_no_key() {
    assert_eq!(format!("{:?}", read("p256.pem").unwrap()), "PrivateKey(…)");
}
