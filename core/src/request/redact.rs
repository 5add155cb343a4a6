//! Overwrites secrets in log lines, and in values that a host may log. The length never changes.

use super::form::{name_of, split};
use super::names::Name;
use std::ops::Range;

/// The longest name to look at: `client_secret` in JSON, with all its characters escaped, and an index.
const MAX_NAME: usize = 128;

/// Overwrites the value of every `client_secret` in a query string with `*`, including look-alikes (`CLIENT_SECRET`,
/// `client_secret[]`): for log lines. The length does not change.
pub fn redact_query(query: &mut [u8]) {
    for part in query.split_mut(|&byte| byte == b'&') {
        let (name, value) = split(part);
        if is_secret(name_of(name)) {
            let at = part.len() - value.len();
            part[at..].fill(b'*');
        }
    }
}

/// Overwrites the value of every `client_secret` in any text, such as a log line, a URI, a form or a JSON object, with
/// `*`. Knows the same names as [`redact_query`].
pub fn redact_text(text: &mut [u8]) {
    // Again, because a value may contain the end of another one.
    loop {
        let values = secrets(text);
        if values.is_empty() {
            return;
        }
        for value in values {
            text[value].fill(b'*');
        }
    }
}

/// Whether [`redact_text`] would change the text.
pub fn text_contains_secret(text: &[u8]) -> bool {
    !secrets(text).is_empty()
}

fn is_secret(name: Name) -> bool {
    matches!(name, Name::Secret | Name::LikeSecret)
}

/// The values of secrets that are not overwritten, as a reader of parameters and a reader of JSON would each find them: they
/// may overlap. Takes time in proportion to the text.
fn secrets(text: &[u8]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    // The name of a parameter begins here, and the last value of one ends there.
    let (mut start, mut end) = (0, 0);
    for (at, &byte) in text.iter().enumerate() {
        match byte {
            // The value of another one within it has the same end.
            b'=' if at >= end && is_secret(name_of(&text[start..at])) => {
                let value = parameter(text, at + 1);
                end = value.end;
                found.push(value);
            }
            b':' => found.extend(member(text, at)),
            b'?' | b'"' => start = at + 1,
            _ if ends_parameter(byte) => start = at + 1,
            _ => {}
        }
    }
    found.retain(|value| text[value.clone()].iter().any(|&byte| byte != b'*'));
    found
}

/// The value of a parameter that begins at `start`.
fn parameter(text: &[u8], start: usize) -> Range<usize> {
    let value = &text[start..];
    let end = (0..value.len()).find(|&at| {
        ends_parameter(value[at]) || (value[at] == b'"' && ends_quotation(&value[at + 1..]))
    });
    start..end.map_or(text.len(), |end| start + end)
}

fn ends_parameter(byte: u8) -> bool {
    byte == b'&' || byte <= b' '
}

/// Whether a quotation mark before `rest` ends a quoted text, and is not a part of it.
fn ends_quotation(rest: &[u8]) -> bool {
    rest.is_empty() || rest.starts_with(b", ") || rest.starts_with(b" ")
}

/// The value of a member of a JSON object, whose `:` is at `colon`.
fn member(text: &[u8], colon: usize) -> Option<Range<usize>> {
    let name = text[..colon].trim_ascii_end().strip_suffix(b"\"")?;
    let name = &name[name.len().saturating_sub(MAX_NAME)..];
    let name = &name[name.iter().rposition(|&byte| byte == b'"')? + 1..];
    if !is_secret(Name::of(&unescaped(name))) {
        return None;
    }
    let rest = &text[colon + 1..];
    let start = colon + 1 + (rest.len() - rest.trim_ascii_start().len());
    let value = &text[start..];
    let (start, end) = match value.first()? {
        b'"' => (start + 1, end_of_string(&value[1..]).map(|end| end + 1)),
        // Only a string is a secret, but a client may send another value by mistake.
        b'[' | b'{' => (start, None),
        _ => {
            let end = value.iter().position(|byte| b",}\"".contains(byte));
            // No JSON value has a quotation mark in it.
            (start, end.filter(|&end| value[end] != b'"'))
        }
    };
    Some(start..end.map_or(text.len(), |end| text.len() - value.len() + end))
}

/// The position of the quotation mark that ends a JSON string.
fn end_of_string(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    text.iter().position(|&byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

/// A name without the escapes of JSON. No other escape than `\u` occurs in the name of a secret.
fn unescaped(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&byte, after)) = rest.split_first() {
        let digits = rest.strip_prefix(b"\\u00").and_then(|hex| hex.get(..2));
        let code = digits.and_then(|hex| u8::from_str_radix(str::from_utf8(hex).ok()?, 16).ok());
        match code {
            Some(code) => {
                out.push(code);
                rest = &rest[6..];
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(input: &str) -> String {
        let mut bytes = input.as_bytes().to_vec();
        redact_query(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    fn text(input: &str) -> String {
        let mut bytes = input.as_bytes().to_vec();
        redact_text(&mut bytes);
        assert_eq!(
            text_contains_secret(input.as_bytes()),
            bytes != input.as_bytes()
        );
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_redacted_query_shows_no_secret_in_any_spelling() {
        for (input, expect) in [
            (
                "client_id=a&client_secret=b%20c&x=1",
                "client_id=a&client_secret=*****&x=1",
            ),
            ("client%5fsecret=abc", "client%5fsecret=***"),
            (
                "CLIENT_SECRET=abc&client_secret[0]=d&client_secret%5b%5d=e",
                "CLIENT_SECRET=***&client_secret[0]=*&client_secret%5b%5d=*",
            ),
            ("client_secret", "client_secret"),
            ("client_secret=a=b", "client_secret=***"),
        ] {
            assert_eq!(query(input), expect, "{input}");
            assert_eq!(text(input), expect, "{input}");
        }
    }

    #[test]
    fn a_redacted_text_shows_no_secret_of_a_line_or_a_document() {
        for (input, expect) in [
            (
                "GET /a?x=1&client_secret=ab HTTP/1.1",
                "GET /a?x=1&client_secret=** HTTP/1.1",
            ),
            (
                r#", request: "GET /?client_secret=a"b HTTP/1.1", upstream: "http://x/?client_secret=c", host: "d=e""#,
                r#", request: "GET /?client_secret=*** HTTP/1.1", upstream: "http://x/?client_secret=*", host: "d=e""#,
            ),
            (
                r#"{"client_id":"a","client_secret":"b\"c","x":"client_secret"}"#,
                r#"{"client_id":"a","client_secret":"****","x":"client_secret"}"#,
            ),
            (
                r#"{"client\u005Fsecret" : "ab", "x": {"Client_Secret": 12}}"#,
                r#"{"client\u005Fsecret" : "**", "x": {"Client_Secret": **}}"#,
            ),
            (r#"{"client_secret":["a"]"#, r#"{"client_secret":*****"#),
            (r#"{"client_secret":"a"#, r#"{"client_secret":"*"#),
            (r#"{"client_secret":"#, r#"{"client_secret":"#),
            (
                r#"{"a":"client_secret=","client_secret":"s x"}"#,
                r#"{"a":"client_secret=************************"#,
            ),
            (
                r#"{"client_secret":1 "client_secret":"a,b"}"#,
                r#"{"client_secret":************************"#,
            ),
            (
                "client_secret=&x=client_secret",
                "client_secret=&x=client_secret",
            ),
        ] {
            assert_eq!(text(input), expect, "{input}");
        }
    }
}
