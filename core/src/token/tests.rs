use super::*;
use crate::token::jwks::KeySet;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING,
    ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use aws_lc_rs::{hmac, signature};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::sync::LazyLock;
use std::time::Duration;

/// A signer with its public key.
pub(crate) enum Signer {
    Rsa(&'static dyn RsaEncoding, RsaKeyPair),
    Ec(&'static str, EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Signer {
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Signer::Rsa(encoding, pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Signer::Ec(_, pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Signer::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Signer::Rsa(_, pair) => {
                // RFC 8017 appendix A.1.1, of 2048 bits: the integers are 257 and 3 bytes long.
                let der = pair.public_key().as_ref();
                let (n, e) = (&der[9..265], &der[267..]);
                json!({"kty": "RSA", "kid": kid, "n": text(n), "e": text(e)})
            }
            Signer::Ec(curve, pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "kid": kid, "crv": curve, "x": text(x), "y": text(y)})
            }
            Signer::Ed(pair) => {
                json!({"kty": "OKP", "kid": kid, "crv": "Ed25519", "x": text(pair.public_key().as_ref())})
            }
        }
    }

    pub(crate) fn token(&self, header: &Value, claims: &Value) -> String {
        let (header, claims) = (header.to_string(), claims.to_string());
        self.sign_token(header.as_bytes(), claims.as_bytes())
    }

    /// A token of these bytes.
    pub(crate) fn sign_token(&self, header: &[u8], claims: &[u8]) -> String {
        let text = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
        let message = format!("{}.{}", text(header), text(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }
}

fn rsa(encoding: &'static dyn RsaEncoding) -> Signer {
    // One key for all tests, because it is slow to generate.
    static DER: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        AsDer::<aws_lc_rs::encoding::Pkcs8V1Der>::as_der(&pair)
            .unwrap()
            .as_ref()
            .to_vec()
    });
    Signer::Rsa(encoding, RsaKeyPair::from_pkcs8(&DER).unwrap())
}

pub(crate) fn es256() -> Signer {
    Signer::Ec(
        "P-256",
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
    )
}

/// A signer for every algorithm.
fn signers() -> Vec<(&'static str, Signer)> {
    let ec = |curve, algorithm: &'static signature::EcdsaSigningAlgorithm| {
        Signer::Ec(curve, EcdsaKeyPair::generate(algorithm).unwrap())
    };
    vec![
        ("RS256", rsa(&RSA_PKCS1_SHA256)),
        ("RS384", rsa(&RSA_PKCS1_SHA384)),
        ("RS512", rsa(&RSA_PKCS1_SHA512)),
        ("PS256", rsa(&RSA_PSS_SHA256)),
        ("PS384", rsa(&RSA_PSS_SHA384)),
        ("PS512", rsa(&RSA_PSS_SHA512)),
        ("ES256", ec("P-256", &ECDSA_P256_SHA256_FIXED_SIGNING)),
        ("ES384", ec("P-384", &ECDSA_P384_SHA384_FIXED_SIGNING)),
        ("ES512", ec("P-521", &ECDSA_P521_SHA512_FIXED_SIGNING)),
        ("EdDSA", Signer::Ed(Ed25519KeyPair::generate().unwrap())),
        ("Ed25519", Signer::Ed(Ed25519KeyPair::generate().unwrap())),
    ]
}

fn keys(jwks: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": jwks }).to_string().as_bytes()).unwrap()
}

fn verify(token: &str, keys: &KeySet) -> Result<Value, JwsError> {
    let jws = Jws::parse(token)?;
    jws.verify(keys)?;
    Ok(jws.into_claims().into())
}

fn claims() -> Value {
    json!({"iss": "https://a.example/", "sub": "alice"})
}

/// A token of raw, unsigned parts.
fn raw(header: &str, claims: &str, signature: &str) -> String {
    let text = |part: &str| URL_SAFE_NO_PAD.encode(part);
    format!("{}.{}.{signature}", text(header), text(claims))
}

#[test]
fn every_asymmetric_algorithm_verifies() {
    for (alg, signer) in signers() {
        let token = signer.token(&json!({"alg": alg, "kid": "k"}), &claims());
        assert!(is_jws(&token));
        assert_eq!(
            verify(&token, &keys(&[signer.jwk("k")])),
            Ok(claims()),
            "{alg}"
        );
        let unnamed = signer.token(&json!({"alg": alg}), &claims());
        assert_eq!(
            verify(&unnamed, &keys(&[signer.jwk("k")])),
            Ok(claims()),
            "{alg} without kid"
        );
    }
}

#[test]
fn a_changed_token_does_not_verify() {
    let other = signers();
    for ((alg, signer), (_, other)) in signers().into_iter().zip(other) {
        let own = keys(&[signer.jwk("k")]);
        let token = signer.token(&json!({"alg": alg, "kid": "k"}), &claims());
        let (message, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        for at in [0, signature.len() / 2, signature.len() - 1] {
            let mut flipped = signature.clone();
            flipped[at] ^= 1;
            let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(flipped));
            assert_eq!(
                verify(&token, &own),
                Err(JwsError::Signature),
                "{alg} bit of byte {at}"
            );
        }
        for other_length in [&signature[1..], &[&signature[..], &[0]].concat(), &[]] {
            let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(other_length));
            assert_eq!(
                verify(&token, &own),
                Err(JwsError::Signature),
                "{alg} length"
            );
        }
        let (header, _) = message.split_once('.').unwrap();
        let changed = URL_SAFE_NO_PAD.encode(json!({"sub": "bob"}).to_string());
        let token_changed = format!("{header}.{changed}.{}", URL_SAFE_NO_PAD.encode(&signature));
        assert_eq!(
            verify(&token_changed, &own),
            Err(JwsError::Signature),
            "{alg} claims"
        );
        if !matches!(signer, Signer::Rsa(..)) {
            assert_eq!(
                verify(&token, &keys(&[other.jwk("k")])),
                Err(JwsError::Signature),
                "{alg} other key"
            );
        }
    }
}

#[test]
fn none_and_symmetric_algorithms_are_refused() {
    let signer = rsa(&RSA_PKCS1_SHA256);
    let jwk = signer.jwk("k");
    let set = keys(std::slice::from_ref(&jwk));
    for alg in [
        "none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "rs256", "RSA1_5", "ES256K",
    ] {
        for signature in ["", "AAAA"] {
            let token = raw(
                &json!({"alg": alg, "kid": "k"}).to_string(),
                "{}",
                signature,
            );
            assert_eq!(verify(&token, &set), Err(JwsError::Algorithm), "{alg}");
            assert!(is_jws(&token), "{alg} must not pass as opaque");
        }
    }
    // The classic attack: the public key as the secret of an HMAC.
    for secret in [
        jwk["n"].as_str().unwrap().as_bytes(),
        jwk.to_string().as_bytes(),
        b"",
    ] {
        let message = raw(r#"{"alg":"HS256","kid":"k"}"#, "{}", "");
        let message = message.trim_end_matches('.');
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes()));
        assert_eq!(
            verify(&format!("{message}.{signature}"), &set),
            Err(JwsError::Algorithm)
        );
    }
}

#[test]
fn unknown_critical_extensions_are_refused() {
    let signer = es256();
    let set = keys(&[signer.jwk("k")]);
    for (extra, fault) in [
        (json!({"crit": ["exp"]}), JwsError::Critical),
        (json!({"crit": []}), JwsError::Critical),
        (json!({"crit": null}), JwsError::Critical),
        (json!({"b64": false}), JwsError::Critical),
        (json!({"crit": ["b64"], "b64": false}), JwsError::Critical),
        (json!({"zip": "DEF"}), JwsError::Malformed),
        (json!({"enc": "A128GCM"}), JwsError::Malformed),
    ] {
        let mut header = json!({"alg": "ES256", "kid": "k"});
        for (name, value) in extra.as_object().unwrap() {
            header[name] = value.clone();
        }
        assert_eq!(
            verify(&signer.token(&header, &claims()), &set),
            Err(fault),
            "{extra}"
        );
    }
    let plain = signer.token(
        &json!({"alg": "ES256", "kid": "k", "b64": true, "typ": "at+jwt"}),
        &claims(),
    );
    assert_eq!(verify(&plain, &set), Ok(claims()));
}

#[test]
fn a_key_in_the_tokens_header_is_not_used() {
    let (provider, attacker) = (es256(), es256());
    let set = keys(&[provider.jwk("k")]);
    for extra in ["jwk", "jku", "x5u", "x5c"] {
        let mut header = json!({"alg": "ES256", "kid": "k"});
        header[extra] = if extra == "jwk" {
            attacker.jwk("k")
        } else {
            json!("https://attacker.example/jwks")
        };
        let token = attacker.token(&header, &claims());
        assert_eq!(verify(&token, &set), Err(JwsError::Signature), "{extra}");
        header["kid"] = json!("attackers");
        let token = attacker.token(&header, &claims());
        assert_eq!(verify(&token, &set), Err(JwsError::UnknownKey), "{extra}");
    }
}

#[test]
fn a_kid_only_selects_a_key() {
    let signer = es256();
    let set = keys(&[signer.jwk("k")]);
    for kid in [
        "../../etc/passwd",
        "' OR 1=1 --",
        "k\u{0}",
        "K",
        "",
        "http://169.254.169.254/",
    ] {
        let token = signer.token(&json!({"alg": "ES256", "kid": kid}), &claims());
        assert_eq!(verify(&token, &set), Err(JwsError::UnknownKey), "{kid}");
    }
    let long = signer.token(&json!({"alg": "ES256", "kid": "k".repeat(5000)}), &claims());
    assert_eq!(verify(&long, &set), Err(JwsError::Malformed));
    let number = signer.token(&json!({"alg": "ES256", "kid": 1}), &claims());
    assert_eq!(verify(&number, &set), Err(JwsError::Malformed));
}

#[test]
fn all_keys_with_the_same_id_are_tried() {
    let (old, new) = (es256(), es256());
    let set = keys(&[old.jwk("k"), new.jwk("k")]);
    for signer in [&old, &new] {
        assert_eq!(
            verify(
                &signer.token(&json!({"alg": "ES256", "kid": "k"}), &claims()),
                &set
            ),
            Ok(claims())
        );
    }
}

#[test]
fn a_key_is_bound_to_one_algorithm() {
    let (pkcs1, pss) = (rsa(&RSA_PKCS1_SHA256), rsa(&RSA_PSS_SHA256));
    let mut jwk = pkcs1.jwk("k");
    jwk["alg"] = json!("RS256");
    let set = keys(&[jwk]);
    let token = pkcs1.token(&json!({"alg": "RS256", "kid": "k"}), &claims());
    assert_eq!(verify(&token, &set), Ok(claims()));
    let token = pss.token(&json!({"alg": "PS256", "kid": "k"}), &claims());
    assert_eq!(verify(&token, &set), Err(JwsError::Algorithm));
    let other_kind = es256().token(&json!({"alg": "ES256", "kid": "k"}), &claims());
    assert_eq!(verify(&other_kind, &set), Err(JwsError::Algorithm));
}

#[test]
fn an_asn1_signature_is_refused() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let signer = Signer::Ec("P-256", pair);
    let token = signer.token(&json!({"alg": "ES256", "kid": "k"}), &claims());
    assert_eq!(
        verify(&token, &keys(&[signer.jwk("k")])),
        Err(JwsError::Signature)
    );
}

#[test]
fn unusable_keys_are_omitted_individually() {
    let good = es256().jwk("good");
    let with = |name: &str, value: Value| {
        let mut jwk = es256().jwk("bad");
        jwk[name] = value;
        jwk.to_string()
    };
    let weak = URL_SAFE_NO_PAD.encode([0xff; 128]);
    let huge = URL_SAFE_NO_PAD.encode([0xff; 1025]);
    let fair = URL_SAFE_NO_PAD.encode([0xff; 256]);
    for bad in [
        json!({"kty": "oct", "k": "c2VjcmV0"}).to_string(),
        json!({"kty": "RSA", "n": weak, "e": "AQAB"}).to_string(),
        json!({"kty": "RSA", "n": huge, "e": "AQAB"}).to_string(),
        json!({"kty": "RSA", "n": fair, "e": "AQ"}).to_string(),
        json!({"kty": "RSA", "n": fair, "e": "Ag"}).to_string(),
        json!({"kty": "RSA", "n": fair}).to_string(),
        json!({"kty": "OKP", "crv": "X25519", "x": URL_SAFE_NO_PAD.encode([1; 32])}).to_string(),
        json!({"kty": "OKP", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode([1; 32])}).to_string(),
        json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode([1; 31])}).to_string(),
        with("use", json!("enc")),
        with("key_ops", json!(["sign"])),
        with("key_ops", json!([])),
        with("crv", json!("P-384")),
        with("crv", json!("secp256k1")),
        with("crv", json!("Ed25519")),
        with("x", json!("AAAA")),
        with("y", json!("not base64!")),
        with("kid", json!(7)),
        with("alg", json!(["ES256"])),
        r#"{"kty":"EC","kty":"EC"}"#.to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        "\"key\"".to_owned(),
    ] {
        let body = format!(r#"{{"keys":[{bad},{good}]}}"#);
        assert_eq!(KeySet::parse(body.as_bytes()).unwrap().len(), 1, "{bad}");
    }
    for good in [
        with("use", json!("sig")),
        with("key_ops", json!(["verify", "sign"])),
        with("alg", json!("ES256")),
    ] {
        let body = format!(r#"{{"keys":[{good}]}}"#);
        assert_eq!(KeySet::parse(body.as_bytes()).unwrap().len(), 1, "{good}");
    }
    for nothing in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":null}"#,
        "<html>",
    ] {
        assert!(KeySet::parse(nothing.as_bytes()).is_none(), "{nothing}");
    }
    let many = vec![es256().jwk("k"); 150];
    let mut set = keys(&many);
    assert_eq!(set.len(), 100);
    set.extend(keys(&many[..1]));
    assert_eq!(set.len(), 100);
}

#[test]
fn the_reason_why_a_key_is_omitted_is_known() {
    let signer = es256();
    let token = signer.token(&json!({"alg": "ES256", "kid": "bad"}), &claims());
    let unnamed = signer.token(&json!({"alg": "ES256"}), &claims());
    let with = |name: &str, value: Value| {
        let mut jwk = signer.jwk("bad");
        jwk[name] = value;
        jwk
    };
    let bits = |bytes: usize| URL_SAFE_NO_PAD.encode(vec![0xff; bytes]);
    let rsa = |n: &str, e: &str| json!({"kty": "RSA", "kid": "bad", "n": n, "e": e});
    let okp = |curve: &str| json!({"kty": "OKP", "kid": "bad", "crv": curve, "x": bits(57)});
    for (bad, why) in [
        (rsa(&bits(128), "AQAB"), "an RSA key shorter than 2048 bits"),
        (rsa(&bits(1025), "AQAB"), "an RSA key longer than 8192 bits"),
        (rsa("", "AQAB"), "malformed"),
        (rsa(&bits(256), "AQ"), "malformed"),
        (rsa(&bits(256), "Ag"), "malformed"),
        (rsa("not base64!", "AQAB"), "malformed"),
        (okp("Ed448"), "its curve is not supported"),
        (okp("X25519"), "its curve is not supported"),
        (
            with("crv", json!("secp256k1")),
            "its curve is not supported",
        ),
        (with("crv", json!("P-384")), "malformed"),
        (with("crv", Value::Null), "malformed"),
        (with("kty", json!("oct")), "its kind (kty) is not supported"),
        (with("use", json!("SIG")), "it is not for signatures"),
        (with("use", json!("enc")), "it is not for signatures"),
        (with("key_ops", json!(["sign"])), "it is not for signatures"),
        (with("key_ops", json!("verify")), "malformed"),
        (with("x", json!("AAAA")), "malformed"),
    ] {
        let set = keys(&[bad.clone(), es256().jwk("good")]);
        let error = verify(&token, &set).unwrap_err().why();
        assert!(
            error.contains("publishes its key") && error.contains(why),
            "{bad}: {error}"
        );
        // The token may be signed with any key: the usable one does not verify it.
        assert_eq!(verify(&unnamed, &set), Err(JwsError::UnknownKey), "{bad}");
        let error = verify(&unnamed, &keys(std::slice::from_ref(&bad))).unwrap_err();
        assert!(error.why().contains(why), "{bad}");
        // Another key with the same id is usable.
        let replaced = keys(&[bad.clone(), signer.jwk("bad")]);
        assert_eq!(verify(&token, &replaced), Ok(claims()), "{bad}");
        let mut extended = keys(&[]);
        extended.extend(keys(std::slice::from_ref(&bad)));
        let error = verify(&token, &extended).unwrap_err();
        assert!(error.why().contains(why), "{bad}");
    }
}

#[test]
fn padding_in_a_key_is_accepted() {
    for (alg, signer) in signers() {
        let mut jwk = signer.jwk("k");
        for name in ["n", "e", "x", "y"] {
            if let Some(text) = jwk[name].as_str() {
                let padding = "=".repeat((4 - text.len() % 4) % 4);
                jwk[name] = format!("{text}{padding}").into();
            }
        }
        let token = signer.token(&json!({"alg": alg, "kid": "k"}), &claims());
        assert_eq!(verify(&token, &keys(&[jwk])), Ok(claims()), "{alg}");
    }
}

#[test]
fn only_the_strict_compact_serialization_is_accepted() {
    let signer = es256();
    let set = keys(&[signer.jwk("k")]);
    let good = signer.token(&json!({"alg": "ES256", "kid": "k"}), &claims());
    assert!(verify(&good, &set).is_ok());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    for malformed in [
        String::new(),
        "..".to_owned(),
        message.to_owned(),
        format!("{good}."),
        format!("{good}.x.y"),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}==.{signature}"),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{header}.{payload} .{signature}"),
        format!(
            "{header}.{}.{signature}",
            payload.replace(&payload[3..4], "+")
        ),
        raw(r#"{"alg":"ES256","alg":"ES256"}"#, "{}", signature),
        raw(r#"{"alg":"ES256","kid":"k","kid":"k"}"#, "{}", signature),
        raw(r#"{"alg":["ES256"]}"#, "{}", signature),
        raw(r#"["ES256"]"#, "{}", signature),
        raw(r#"{"kid":"k"}"#, "{}", signature),
        raw(r#"{"alg":"ES256"}"#, "[]", signature),
        raw(r#"{"alg":"ES256"}"#, "null", signature),
        raw(r#"{"alg":"ES256"}"#, r#"{"sub":"a","sub":"b"}"#, signature),
        raw(r#"{"alg":"ES256"}"#, &"[".repeat(10_000), signature),
        raw(
            r#"{"alg":"ES256"}"#,
            &format!(r#"{{"a":"{}"}}"#, "x".repeat(20_000)),
            signature,
        ),
        json!({"payload": payload, "signatures": [{"protected": header, "signature": signature}]})
            .to_string(),
    ] {
        assert_eq!(
            verify(&malformed, &set),
            Err(JwsError::Malformed),
            "{malformed:.80}"
        );
    }
    // The last of 86 characters has spare bits, which must be zero.
    let last = STANDARD.encode([0]).chars().next();
    assert_eq!(last, Some('A'));
    let twisted = format!(
        "{message}.{}{}",
        &signature[..85],
        if signature.ends_with('A') { 'B' } else { 'R' }
    );
    assert!(verify(&twisted, &set).is_err());
}

#[test]
fn a_header_of_4096_characters_and_a_token_of_16384_are_the_longest() {
    let signer = es256();
    let set = keys(&[signer.jwk("k")]);
    // Base64 without padding has every length but one of four.
    let verified = |header: &Value, claims: &Value| {
        let token = signer.token(header, claims);
        let header = token.find('.').unwrap();
        (header, token.len(), verify(&token, &set).map(drop))
    };
    let of_header = |len| {
        let header = json!({"alg": "ES256", "kid": "k", "x": "x".repeat(len)});
        verified(&header, &claims())
    };
    let frame = json!({"alg": "ES256", "kid": "k", "x": ""}).to_string();
    let (header, _, verdict) = of_header(3072 - frame.len());
    assert_eq!((header, verdict), (4096, Ok(())));
    let (header, _, verdict) = of_header(3073 - frame.len());
    assert_eq!((header, verdict), (4098, Err(JwsError::Malformed)));

    let of_token = |len| {
        let claims = json!({"x": "x".repeat(len)});
        verified(&json!({"alg": "ES256", "kid": "k"}), &claims)
    };
    let tokens: Vec<_> = (12_180..12_200).map(of_token).collect();
    for (_, len, verdict) in &tokens {
        assert_eq!(verdict.is_ok(), *len <= 16_384, "{len}: {verdict:?}");
    }
    assert!(tokens.iter().any(|(_, len, _)| *len == 16_384));
}

#[test]
fn an_rsa_key_has_2048_to_8192_bits_and_an_exponent_of_at_most_8_bytes() {
    let verdict = |first: u8, bytes: usize, e: &[u8]| {
        let mut n = vec![0xff; bytes];
        n[0] = first;
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let set = keys(&[json!({"kty": "RSA", "kid": "k", "n": text(&n), "e": text(e)})]);
        let token = raw(r#"{"alg":"RS256","kid":"k"}"#, "{}", "c2ln");
        verify(&token, &set).unwrap_err()
    };
    let usable = JwsError::Signature;
    let exponent = &[1, 0, 1];
    for (first, bytes, expected) in [
        (0x7f, 256, JwsError::UnusableKey(Unusable::Short)),
        (0x80, 256, usable),
        (0xff, 1024, usable),
        (0x01, 1025, JwsError::UnusableKey(Unusable::Long)),
    ] {
        assert_eq!(verdict(first, bytes, exponent), expected, "{first} {bytes}");
    }
    assert_eq!(verdict(0xff, 256, &[0x7f; 8]), usable);
    let malformed = JwsError::UnusableKey(Unusable::Malformed);
    assert_eq!(verdict(0xff, 256, &[0x7f; 9]), malformed);
}

#[test]
fn a_token_without_a_kid_may_be_signed_by_a_new_key() {
    let (old, new) = (es256(), es256());
    let token = new.token(&json!({"alg": "ES256"}), &claims());
    assert_eq!(
        verify(&token, &keys(&[old.jwk("old")])),
        Err(JwsError::UnknownKey)
    );
}

/// A token of three parts with these bytes as its header.
fn with_header(header: &[u8]) -> String {
    format!("{}.e30.x", URL_SAFE_NO_PAD.encode(header))
}

#[test]
fn lenient_forms_of_a_jwt_are_not_opaque() {
    for (token, why) in [
        ("eyJhbGciOiJub25lIn0=.e30.", "padding"),
        ("eyJhbGciOjEsImFsZyI6Mn0.e30.x", "a repeated name"),
        ("eyJhbGciOiJub25lIn0..x", "an empty payload"),
        ("e30.e30.x", "no alg"),
        ("~eyJhbGciOiJub25lIn0.e30.x", "a character of no alphabet"),
        ("ey~JhbGciOiJub25lIn0.e30.x", "a character of no alphabet"),
        ("eyJhbGciOiJIUyJ9A.e30.x", "a dangling character"),
        ("ew.e30.x", "only a brace"),
    ] {
        assert!(is_jws(token), "{why}");
        assert_eq!(verify(token, &keys(&[])), Err(JwsError::Malformed), "{why}");
    }
    let utf16 = |text: &str, unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
        text.encode_utf16().flat_map(unit).collect()
    };
    let utf32 = |text: &str, unit: fn(u32) -> [u8; 4]| -> Vec<u8> {
        text.chars().map(u32::from).flat_map(unit).collect()
    };
    let nested = format!(
        r#"{{"alg":"none","x":{}{}}}"#,
        "[".repeat(200),
        "]".repeat(200)
    );
    for (header, why) in [
        (
            br#"{"alg":"none","x":"\ud800"}"#.to_vec(),
            "a lone surrogate",
        ),
        (b"{\"alg\":\"none\",\"x\":\"\xff\"}".to_vec(), "UTF-8"),
        (nested.into_bytes(), "nesting"),
        (br#"{"alg":"none","x":1E400}"#.to_vec(), "a large number"),
        (br#"{"alg":"none","x":NaN}"#.to_vec(), "not a number"),
        (br#"{"alg":"none","x":1,"x":2}"#.to_vec(), "a repeated name"),
        (br#"{"\u0061lg":"none",}"#.to_vec(), "a trailing comma"),
        (b"{'alg':'none'}".to_vec(), "other quotes"),
        (b"\xef\xbb\xbf{\"alg\":\"none\"}".to_vec(), "a mark"),
        (b"\x0b\x0c\0{\"alg\":\"none\"}".to_vec(), "white space"),
        (utf16("{\"alg\":\"none\"}", u16::to_le_bytes), "UTF-16LE"),
        (utf16("{\"alg\":\"none\"}", u16::to_be_bytes), "UTF-16BE"),
        (
            utf16("\u{feff}{\"alg\":\"none\"}", u16::to_le_bytes),
            "UTF-16LE with a mark",
        ),
        (
            utf16("\u{feff}{\"alg\":\"none\"}", u16::to_be_bytes),
            "UTF-16BE with a mark",
        ),
        (utf32("{\"alg\":\"none\"}", u32::to_le_bytes), "UTF-32LE"),
        (utf32("{\"alg\":\"none\"}", u32::to_be_bytes), "UTF-32BE"),
        (
            utf32("\u{feff}{\"alg\":\"none\"}", u32::to_le_bytes),
            "UTF-32LE with a mark",
        ),
        (
            utf32("\u{feff}{\"alg\":\"none\"}", u32::to_be_bytes),
            "UTF-32BE with a mark",
        ),
    ] {
        let token = with_header(&header);
        assert!(is_jws(&token), "{why}");
        let parsed = verify(&token, &keys(&[]));
        assert_eq!(parsed, Err(JwsError::Malformed), "{why}");
    }
    let spaced = with_header(b" \t\r\n{\"alg\":\"none\"}");
    assert!(is_jws(&spaced));
    assert_eq!(verify(&spaced, &keys(&[])), Err(JwsError::Algorithm));
}

#[test]
fn opaque_tokens_are_not_jwts() {
    for opaque in [
        "opaque",
        "a.b.c",
        "ya29.a0AfH6SMBx",
        "a..b",
        "..",
        "v1.MjQ.x.y",
        // `[]`, `"alg"` and `null` are no objects.
        "W10.e30.x",
        "ImFsZyI.e30.x",
        "bnVsbA.e30.x",
        // Two parts, and an encrypted token.
        "eyJhbGciOiJub25lIn0.e30",
        "eyJhbGciOiJkaXIifQ..aXY.Y3Q.dGFn",
    ] {
        assert!(!is_jws(opaque), "{opaque}");
    }
}

#[test]
fn a_header_is_strict_json() {
    let signer = es256();
    let set = keys(&[signer.jwk("k")]);
    for header in [
        r#"{"alg":"ES256","kid":"k","x":"\ud800"}"#,
        r#"{"alg":"ES256","kid":"k","x":1E400}"#,
        r#"{"alg":"ES256","kid":"k","x":1,"x":1}"#,
        "\u{feff}{\"alg\":\"ES256\",\"kid\":\"k\"}",
    ] {
        let token = signer.sign_token(header.as_bytes(), b"{}");
        assert_eq!(verify(&token, &set), Err(JwsError::Malformed), "{header}");
    }
}

#[test]
fn a_client_assertion_is_fresh_and_for_the_issuer() {
    let wall = Duration::from_secs(1_700_000_000);
    let identity = Identity {
        client_id: "alice",
        audience: "https://a.example/",
        wall,
    };
    let make = || identity.signed_with_secret("s3cret").unwrap();
    let assertion = make();
    let (message, signature) = assertion.rsplit_once('.').unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"s3cret");
    hmac::verify(
        &key,
        message.as_bytes(),
        &URL_SAFE_NO_PAD.decode(signature).unwrap(),
    )
    .unwrap();
    let (header, claims) = message.split_once('.').unwrap();
    let read = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    assert_eq!(read(header), json!({"alg": "HS256", "typ": "JWT"}));
    let claims = read(claims);
    for (name, expect) in [
        ("iss", json!("alice")),
        ("sub", json!("alice")),
        ("aud", json!("https://a.example/")),
        ("iat", json!(1_700_000_000)),
        ("exp", json!(1_700_000_060)),
    ] {
        assert_eq!(claims[name], expect, "{name}");
    }
    assert_eq!(claims["jti"].as_str().unwrap().len(), 22);
    assert_ne!(*make(), *assertion, "each has an id of its own");
}
