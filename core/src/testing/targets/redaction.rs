//! Redaction: the length stays, and no value of a secret does.

use crate::{redact_query, redact_text, text_contains_secret};

/// A line of a log, or a query string.
pub fn redaction(data: &[u8]) {
    let mut line = data.to_vec();
    redact_text(&mut line);
    assert_eq!(line.len(), data.len());
    assert!(
        line.iter()
            .zip(data)
            .all(|(now, before)| now == before || *now == b'*')
    );
    assert_eq!(text_contains_secret(data), line != data);
    assert!(!text_contains_secret(&line));
    let mut again = line.clone();
    redact_text(&mut again);
    assert_eq!(again, line);

    let mut query = data.to_vec();
    redact_query(&mut query);
    assert_eq!(query.len(), data.len());
    let parts = |text: &[u8]| {
        text.split(|&byte| byte == b'&')
            .map(<[u8]>::to_vec)
            .collect::<Vec<_>>()
    };
    for (now, before) in parts(&query).iter().zip(parts(data)) {
        let name = form_urlencoded::parse(&before)
            .next()
            .map(|(name, _)| name.into_owned());
        let name = name.unwrap_or_default();
        let stem = name.split('[').next().unwrap_or_default();
        let value = before
            .iter()
            .position(|&byte| byte == b'=')
            .map_or(before.len(), |at| at + 1);
        assert_eq!(now[..value], before[..value]);
        let is_secret = stem.eq_ignore_ascii_case("client_secret");
        let is_hidden = now[value..].iter().all(|&byte| byte == b'*');
        // A name that does not decode is another parameter's; the reference passes its bytes on.
        assert!(is_hidden || !is_secret || name.contains('%'), "{name}");
        assert!(is_secret || now[value..] == before[value..], "{name}");
    }
}
