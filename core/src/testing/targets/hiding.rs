//! Hiding: nothing but the credentials' own bytes changes, and no strict decoder finds a credential afterwards.

use super::readers::members;
use super::{gate, search};
use crate::Gate;
use crate::cause::Cause;
use crate::request::Request;
use std::sync::LazyLock;

static GATE: LazyLock<Gate> = LazyLock::new(|| gate(""));
static OPEN: LazyLock<Gate> = LazyLock::new(|| gate(r#","hide_credentials":false"#));

const FORM: &[u8] = b"application/x-www-form-urlencoded";
const JSON: &[u8] = b"application/json";

/// A JSON object, if it begins like one; otherwise a query string, or a form.
pub fn hiding(data: &[u8]) {
    let is_object = data.trim_ascii_start().first() == Some(&b'{');
    let hidden = if is_object {
        without_members(data)
    } else {
        without_parameters(data)
    };
    let request = Request {
        method: b"POST",
        content_type: Some(if is_object { JSON } else { FORM }),
        body: Some(&hidden),
        ..Request::default()
    };
    assert_eq!(search(&GATE, &request), Err(Cause::NoCredentials));
    // Neither a gate that hides nothing nor a body of another type loses a byte.
    assert_eq!(body(&OPEN, request.content_type, data), data);
    assert_eq!(body(&GATE, Some(b"text/plain"), data), data);
}

fn is_credential(name: &str) -> bool {
    name == "client_id" || name == "client_secret"
}

fn body(gate: &Gate, content_type: Option<&[u8]>, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0; body.len()];
    let len = gate.hide_body(content_type, body, &mut out);
    out.truncate(len);
    out
}

/// Hides in a query string and a form, and returns the rest.
pub(crate) fn without_parameters(query: &[u8]) -> Vec<u8> {
    let mut out = vec![0; query.len()];
    let len = GATE.hide_query(query, &mut out);
    out.truncate(len);
    // A name that does not decode is none of ours; the reference passes its bytes on.
    let is_ours = |part: &&[u8]| form_urlencoded::parse(part).any(|(name, _)| is_credential(&name));
    let kept: Vec<_> = query
        .split(|&byte| byte == b'&')
        .filter(|part| !is_ours(part))
        .collect();
    assert_eq!(out, kept.join(&b'&'));
    assert_eq!(body(&GATE, Some(FORM), query), out);
    assert!(form_urlencoded::parse(&out).all(|(name, _)| !is_credential(&name)));
    out
}

/// Hides in a JSON object, and returns the rest.
pub(crate) fn without_members(object: &[u8]) -> Vec<u8> {
    let out = body(&GATE, Some(JSON), object);
    let Some(before) = members(object) else {
        assert_eq!(out, object);
        return out;
    };
    let after = members(&out).expect("an object again");
    let is_ours = |name: &Option<String>| name.as_deref().is_some_and(is_credential);
    assert!(!after.iter().any(|member| is_ours(&member.name)));
    // The members that stay are the same bytes in the same order, and so is all that is around them, up to commas and
    // white space of those that went.
    let kept = before.iter().filter(|member| !is_ours(&member.name));
    assert!(
        kept.clone()
            .map(|member| &object[member.range.clone()])
            .eq(after.iter().map(|member| &out[member.range.clone()]))
    );
    if kept.count() == before.len() {
        assert_eq!(out, object);
    }
    let (Some(first), Some(last)) = (before.first(), before.last()) else {
        return out;
    };
    assert!(
        out.starts_with(&object[..first.range.start]) && out.ends_with(&object[last.range.end..])
    );
    for pair in after.windows(2) {
        let between = out[pair[0].range.end..pair[1].range.start].trim_ascii();
        assert_eq!(between, b",");
    }
    assert_eq!(body(&GATE, Some(JSON), &out), out);
    out
}
