//! Invariants of every input, checked on random ones; those of parsers are the fuzz targets'. `CREDGATE_CASES` sets their
//! number; the inputs are the same each time.

use super::targets;
use crate::cause::Cause;
use crate::key::{FingerprintBuilder, ProcessKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastrand::Rng;
use std::collections::HashSet;

fn cases() -> usize {
    let cases = std::env::var("CREDGATE_CASES").ok();
    cases.map_or(20_000, |cases| {
        cases.parse().expect("CREDGATE_CASES is a number")
    })
}

fn pick<T: Copy>(random: &mut Rng, from: &[T]) -> T {
    from[random.usize(0..from.len())]
}

/// A short string of few different characters, so that parts often look like one another.
fn word(random: &mut Rng) -> String {
    let len = random.usize(0..5);
    (0..len)
        .map(|_| pick(random, &['a', 'b', ':', '\0', '&']))
        .collect()
}

#[test]
fn different_tuples_have_different_keys() {
    let process = ProcessKey::for_test();
    let gates: Vec<_> = (0..8)
        .map(|number: u8| FingerprintBuilder::new().part(&[number]).finish())
        .collect();
    let mut random = Rng::with_seed(18);
    let (mut tuples, mut keys) = (HashSet::new(), HashSet::new());
    for _ in 0..cases() {
        let gate = random.usize(0..gates.len());
        let (id, secret) = (word(&mut random), word(&mut random));
        let args: Vec<_> = (0..random.usize(0..3))
            .map(|_| (random.u8(0..3), word(&mut random)))
            .collect();
        let values = args.iter().map(|(name, value)| (*name, value.as_bytes()));
        let halves = [&id, &secret].map(String::as_bytes);
        keys.insert(process.pair(&gates[gate], halves[0], halves[1], values));
        // A token's key, in the same space: of the same bytes, and yet another.
        keys.insert(process.token(&gates[gate], id.as_bytes()));
        keys.insert(process.client(&gates[gate], id.as_bytes()));
        tuples.insert((0, gate, id.clone(), secret, args));
        tuples.insert((1, gate, id.clone(), String::new(), Vec::new()));
        tuples.insert((2, gate, id, String::new(), Vec::new()));
    }
    assert_eq!(keys.len(), tuples.len());
}

/// A piece of a query string, often one of ours in some spelling.
fn piece(random: &mut Rng) -> String {
    const NAMES: [&str; 14] = [
        "client_id",
        "client_secret",
        "client%5Fid",
        "client%5fsecret",
        "CLIENT_ID",
        "client_id[]",
        "client_ids",
        "client",
        "x",
        "",
        "%zz",
        "c%6cient_id",
        "client+id",
        "client_secret%00",
    ];
    const BYTES: [&str; 16] = [
        "a", "B", "7", "+", "%20", "%2B", "%41", "%", "%4", "%zz", "=", ";", "%00", "%C3%A9", "~",
        "_",
    ];
    let name = pick(random, &NAMES);
    if random.u8(0..8) == 0 {
        return name.to_owned();
    }
    let value: String = (0..random.usize(0..4))
        .map(|_| pick(random, &BYTES))
        .collect();
    format!("{name}={value}")
}

fn query(random: &mut Rng) -> String {
    let pieces: Vec<_> = (0..random.usize(0..5)).map(|_| piece(random)).collect();
    pieces.join("&")
}

#[test]
fn extraction_agrees_with_the_reference_decoder() {
    let mut random = Rng::with_seed(6);
    let mut seen = [0usize; 7];
    for _ in 0..cases() {
        let query = query(&mut random);
        let case = match targets::pair_in_query(query.as_bytes()) {
            Ok(()) => 0,
            Err(Cause::NoCredentials) => 1,
            Err(Cause::RepeatedParameter) => 2,
            Err(Cause::IncompletePair) => 3,
            Err(Cause::EmptyCredential) => 4,
            Err(Cause::MalformedParameter) => 5,
            Err(Cause::InvalidCharacters) => 6,
            Err(cause) => panic!("{query}: {cause:?}"),
        };
        seen[case] += 1;
    }
    assert!(
        seen.iter().all(|count| *count > cases() / 10_000),
        "every case was met: {seen:?}"
    );
}

/// Texts are good ones, of all lengths that SIMD code treats apart, with up to two bytes that are not as they were.
#[test]
fn basic_agrees_with_the_reference_decoder() {
    let mut random = Rng::with_seed(4);
    let mut seen = [0usize; 3];
    for _ in 0..cases() {
        let pair: String = (0..random.usize(3..150))
            .map(|at| if at == 1 { ':' } else { random.alphanumeric() })
            .collect();
        let mut text = STANDARD.encode(pair).into_bytes();
        for _ in 0..random.usize(0..3) {
            let at = random.usize(0..text.len());
            match random.u8(0..3) {
                0 => text[at] = pick(&mut random, b"=-_\nA/\0\xff"),
                1 => text.truncate(at.max(1)),
                _ => text.insert(at, pick(&mut random, b"=+a\n")),
            }
        }
        let case = match targets::pair_in_basic(&text) {
            Ok(()) => 0,
            Err(Cause::MalformedBasic) => 1,
            // Inputs that decode, but are not a pair.
            Err(Cause::EmptyCredential | Cause::InvalidCharacters) => 2,
            Err(cause) => panic!("{text:?}: {cause:?}"),
        };
        seen[case] += 1;
    }
    assert!(
        seen.iter().all(|count| *count > cases() / 1_000),
        "every case was met: {seen:?}"
    );
}

#[test]
fn hiding_in_a_query_changes_only_the_credentials() {
    let mut random = Rng::with_seed(11);
    for _ in 0..cases() {
        let query = query(&mut random);
        targets::without_parameters(query.as_bytes());
    }
}

#[test]
fn hiding_in_an_object_changes_only_the_credentials() {
    const NAMES: [&str; 9] = [
        r#""client_id""#,
        r#""client_secret""#,
        r#""client\u005fid""#,
        r#""\u0063lient_secret""#,
        r#""x""#,
        r#""é""#,
        r#""Client_Id""#,
        r#""client_id[]""#,
        r#""""#,
    ];
    const VALUES: [&str; 10] = [
        r#""a""#,
        r#""},\"client_id\":{""#,
        "1.0e+5",
        "-0",
        "null",
        "[1, {\"client_id\": 2}]",
        r#"{"client_secret":"b"}"#,
        r#""\u00e9\\""#,
        "true",
        "[]",
    ];
    let mut random = Rng::with_seed(12);
    for _ in 0..cases() {
        let members: Vec<(usize, &str)> = (0..random.usize(0..6))
            .map(|_| {
                (
                    random.usize(0..NAMES.len()),
                    VALUES[random.usize(0..VALUES.len())],
                )
            })
            .collect();
        let write = |members: &[(usize, &str)]| {
            let texts: Vec<_> = members
                .iter()
                .map(|(name, value)| format!("{}:{value}", NAMES[*name]))
                .collect();
            format!("{{{}}}", texts.join(","))
        };
        let body = write(&members);
        let kept: Vec<_> = members
            .iter()
            .copied()
            .filter(|(name, _)| *name >= 4)
            .collect();
        let hidden = targets::without_members(body.as_bytes());
        assert_eq!(String::from_utf8(hidden), Ok(write(&kept)), "{body}");
    }
}
