//! The provider's metadata.

use super::readers::members;
use super::{gate, is_log_safe};
use crate::Gate;
use crate::provider::read_metadata;
use std::sync::LazyLock;
use url::Url;

static GATE: LazyLock<Gate> = LazyLock::new(|| gate(""));
static LOCAL: LazyLock<Gate> = LazyLock::new(|| gate(r#","allow_loopback_http":true"#));

/// A discovery document.
pub fn metadata(data: &[u8]) {
    for gate in [&GATE, &LOCAL] {
        read(gate, data);
    }
}

fn read(gate: &Gate, data: &[u8]) {
    let issuer = &gate.rules.issuer;
    let metadata = match read_metadata(issuer, data) {
        Ok(metadata) => metadata,
        Err(flaw) => return assert!(is_log_safe(&flaw.why(issuer))),
    };
    // A name that the library reads is there at most once. Members that it does not read may be in another encoding.
    let text = String::from_utf8_lossy(data);
    let members = members(text.as_bytes()).expect("an object");
    let stated = |name: &str| {
        let mut named = members.iter().filter(|member| member.is(name));
        let value = named.next();
        assert!(named.next().is_none(), "{name}");
        value.filter(|member| member.value != b"null")
    };
    let text = |name: &str| stated(name)?.text();
    assert_eq!(text("issuer").as_deref(), Some(&*metadata.issuer));
    assert_eq!(metadata.issuer.trim_end_matches('/'), "https://a.example");
    let may_have_http = issuer.allow_loopback_http;
    let safe = |url: &Url| is_safe(url, may_have_http);
    let same = |url: Option<&Url>, name: &str| {
        assert!(url.is_none_or(safe));
        assert_eq!(
            url.cloned(),
            text(name).and_then(|text| Url::parse(&text).ok()),
            "{name}"
        );
    };
    same(metadata.token_endpoint.as_ref(), "token_endpoint");
    same(metadata.jwks.first(), "jwks_uri");
    assert!(metadata.jwks.len() <= 1);
    match &metadata.introspection_endpoint {
        Some(Ok(url)) => same(Some(url), "introspection_endpoint"),
        Some(Err(_)) => {}
        None => assert!(stated("introspection_endpoint").is_none()),
    }
}

/// Whether a URL may receive a secret: judged by its text alone.
pub(super) fn is_safe(url: &Url, may_have_http: bool) -> bool {
    let text = url.as_str();
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let host = host.map_or(authority, |(host, _)| host);
    let is_loopback = host == "localhost" || host == "[::1]" || host.starts_with("127.");
    !authority.contains('@')
        && !text.contains('#')
        && !host.is_empty()
        && (scheme == "https" || (scheme == "http" && may_have_http && is_loopback))
}
