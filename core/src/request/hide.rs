//! Removes credentials from the forwarded request. Only their own bytes change.

use super::form::{name_of, parts, split};
use super::json;
use super::names::Name;
use crate::request::BodyKind;

/// Copies a query string (or a form) to `out` without its `client_id` and `client_secret` parameters, each removed with
/// one `&`. Order, spelling and encoding of all others stay. Returns the length.
pub(crate) fn hide_query(query: &[u8], out: &mut [u8]) -> usize {
    let mut written = 0;
    let mut first = true;
    for part in parts(query).filter(|part| !name_of(split(part).0).is_credential()) {
        if !first {
            put(out, &mut written, b"&");
        }
        first = false;
        put(out, &mut written, part);
    }
    written
}

/// Copies a body to `out` without its credentials, by its `Content-Type`: parameters of a form, members of a JSON
/// object, each with its separator. Copies any other body unchanged. Returns the length.
pub(crate) fn hide_body(content_type: Option<&[u8]>, body: &[u8], out: &mut [u8]) -> usize {
    match BodyKind::of(content_type) {
        Some(BodyKind::Form) => hide_query(body, out),
        Some(BodyKind::Json) => hide_json(body, out),
        None => copy(body, out),
    }
}

fn hide_json(body: &[u8], out: &mut [u8]) -> usize {
    let mut written = 0;
    // The next byte to copy, the end of the last member that stays, and the start of a run of members to remove.
    let (mut next, mut kept_end, mut run, mut last_end) = (0, None, None, 0);
    let well_formed = json::members(body, Name::of_text, |name, _, member| {
        if name.is_credential() {
            run.get_or_insert(member.start);
        } else {
            if let Some(from) = run.take() {
                put(out, &mut written, &body[next..from]);
                next = member.start;
            }
            kept_end = Some(member.end);
        }
        last_end = member.end;
    });
    if !well_formed {
        return copy(body, out);
    }
    if let Some(from) = run {
        // The run ends the object: remove the comma before it.
        let from = kept_end.unwrap_or(from);
        put(out, &mut written, &body[next..from]);
        next = last_end;
    }
    put(out, &mut written, &body[next..]);
    written
}

pub(crate) fn copy(bytes: &[u8], out: &mut [u8]) -> usize {
    let mut written = 0;
    put(out, &mut written, bytes);
    written
}

fn put(out: &mut [u8], written: &mut usize, bytes: &[u8]) {
    out[*written..*written + bytes.len()].copy_from_slice(bytes);
    *written += bytes.len();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(input: &str) -> String {
        let mut out = vec![0; input.len()];
        let len = hide_query(input.as_bytes(), &mut out);
        String::from_utf8(out[..len].to_vec()).unwrap()
    }

    fn json(input: &str) -> String {
        let mut out = vec![0; input.len()];
        let len = hide_body(Some(b"application/json"), input.as_bytes(), &mut out);
        String::from_utf8(out[..len].to_vec()).unwrap()
    }

    #[test]
    fn a_query_loses_only_its_credentials() {
        for (input, expect) in [
            ("client_id=a&client_secret=b", ""),
            ("x=%2F&client_id=a&y=+1&client_secret=b&z", "x=%2F&y=+1&z"),
            ("client%5Fid=a&&client_secret=b&&x=1", "&&x=1"),
            ("x=client_secret", "x=client_secret"),
            (
                "Client_Id=kept&client_ids=kept",
                "Client_Id=kept&client_ids=kept",
            ),
            ("", ""),
        ] {
            assert_eq!(query(input), expect, "{input}");
        }
    }

    #[test]
    fn an_object_loses_only_its_credentials() {
        for (input, expect) in [
            (r#"{"client_id":"a","client_secret":"b"}"#, "{}"),
            (
                r#" { "client_id" : "a" , "x" : [1, 2.50] , "client_secret":"b" } "#,
                r#" { "x" : [1, 2.50] } "#,
            ),
            (
                r#"{"x":1,"client_id":"a","client_secret":"b"}"#,
                r#"{"x":1}"#,
            ),
            (
                r#"{"client_id":"a","client_secret":"b","x":{"client_id":"kept"}}"#,
                r#"{"x":{"client_id":"kept"}}"#,
            ),
            (
                r#"{"client\u005fid":"a","client_secret":"b","é":"\u00e9"}"#,
                r#"{"é":"\u00e9"}"#,
            ),
            (
                r#"{"a":1,"client_id":"a","b":2,"client_secret":"b","c":3}"#,
                r#"{"a":1,"b":2,"c":3}"#,
            ),
            (r#"{"a":"},\"client_id\":"}"#, r#"{"a":"},\"client_id\":"}"#),
            (r#"["client_id"]"#, r#"["client_id"]"#),
            (r#"{"client_id":"#, r#"{"client_id":"#),
        ] {
            assert_eq!(json(input), expect, "{input}");
        }
    }
}
