//! Id and secret in two headers that the gate names.

use super::{Found, gate, search};
use crate::Gate;
use crate::cause::Cause;
use crate::request::Request;
use crate::request::credentials::MAX_LEN;
use std::sync::LazyLock;

const NAMES: [&str; 2] = ["x-client-id", "x-client-secret"];

static GATE: LazyLock<Gate> = LazyLock::new(|| {
    gate(r#","client_id_header":"X-Client-Id","client_secret_header":"X-Client-Secret""#)
});

/// The lines of a head: `name: value`.
pub fn headers(data: &[u8]) {
    let lines: Vec<(&[u8], &[u8])> = data
        .split(|&byte| byte == b'\n')
        .filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            Some((&line[..colon], &line[colon + 1..]))
        })
        .collect();
    let request = Request {
        headers: GATE.select_headers(lines.iter().copied()),
        ..Request::default()
    };
    let came = search(&GATE, &request);
    // As an upstream would look for them that makes environment variables of names, as CGI does.
    let variable = |name: &[u8]| {
        let name = String::from_utf8_lossy(name).to_ascii_uppercase();
        name.replace('-', "_")
    };
    let [ids, secrets] = NAMES.map(|wanted| {
        let lines = lines
            .iter()
            .filter(|(name, _)| variable(name) == variable(wanted.as_bytes()));
        lines.collect::<Vec<_>>()
    });
    let (id, secret) = (value(&ids, NAMES[0]), value(&secrets, NAMES[1]));
    let is_repeated = (id.is_some() && ids.len() > 1) || (secret.is_some() && secrets.len() > 1);
    let printable = |half: &[u8]| half.iter().all(|byte| matches!(byte, 0x20..=0x7e));
    let expected = match (id, secret) {
        _ if is_repeated => Err(Cause::RepeatedParameter),
        (None, None) => Err(Cause::NoCredentials),
        (Some(id), Some(secret)) if id.len() + secret.len() > MAX_LEN + 1 => Err(Cause::TooLong),
        (Some(id), Some(secret)) if id.is_empty() || secret.is_empty() => {
            Err(if id.is_empty() || printable(id) {
                Cause::EmptyCredential
            } else {
                Cause::InvalidCharacters
            })
        }
        (Some(id), Some(secret)) if !printable(id) || !printable(secret) => {
            Err(Cause::InvalidCharacters)
        }
        (Some(id), Some(secret)) if id.len() + secret.len() > MAX_LEN => Err(Cause::TooLong),
        (Some(id), Some(secret)) => Ok(Found::Pair {
            id: id.to_vec(),
            secret: secret.to_vec(),
            args: Vec::new(),
        }),
        _ => Err(Cause::IncompletePair),
    };
    assert_eq!(came, expected);
}

/// The value of the last line with this very name, without the white space around it.
fn value<'h>(lines: &[&(&'h [u8], &'h [u8])], wanted: &str) -> Option<&'h [u8]> {
    let mut exact = lines
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()));
    let (_, value) = exact.next_back()?;
    let is_space = |byte: &&u8| matches!(**byte, b' ' | b'\t');
    let start = value.iter().take_while(is_space).count();
    let end = value.iter().rev().take_while(is_space).count();
    Some(value.get(start..value.len() - end).unwrap_or_default())
}
