//! The client ids that may use a gate (`clients_allowed`).

use crate::config::value_error;
use crate::error::Error;

/// A pattern of client ids: `*` matches any number of characters, including none.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(String);

impl Pattern {
    pub(crate) fn compile(patterns: &[String]) -> Result<Vec<Pattern>, Error> {
        if patterns.is_empty() {
            return Err(value_error(
                "clients_allowed: an empty list allows no client; remove it to allow all clients",
            ));
        }
        let is_pattern = |text: &String| {
            !text.is_empty() && text.bytes().all(|byte| matches!(byte, 0x20..=0x7e))
        };
        if let Some(at) = patterns.iter().position(|text| !is_pattern(text)) {
            return Err(value_error(format!(
                "clients_allowed[{at}]: is empty or not printable ASCII"
            )));
        }
        Ok(patterns.iter().cloned().map(Pattern).collect())
    }

    /// Allocates nothing, and takes at most time linear in both lengths for each `*`.
    pub(crate) fn matches(&self, client_id: &str) -> bool {
        let Some((prefix, rest)) = self.0.split_once('*') else {
            return self.0 == client_id;
        };
        let Some(mut remaining) = client_id.strip_prefix(prefix) else {
            return false;
        };
        let (middle, suffix) = rest.rsplit_once('*').unwrap_or(("", rest));
        for part in middle.split('*') {
            match remaining.find(part) {
                Some(at) => remaining = &remaining[at + part.len()..],
                None => return false,
            }
        }
        remaining.ends_with(suffix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_matches_any_characters() {
        for (pattern, client_id, expect) in [
            ("alice", "alice", true),
            ("alice", "alice2", false),
            ("team-a-*", "team-a-1", true),
            ("team-a-*", "team-a-", true),
            ("team-a-*", "team-b-1", false),
            ("*@example.com", "x@example.com", true),
            ("*@example.com", "x@example.com.evil", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("ab*ba", "aba", false),
            ("*", "", true),
            ("*", "anything", true),
            ("a**b", "ab", true),
            ("a*b*b", "ab", false),
        ] {
            assert_eq!(
                Pattern(pattern.to_owned()).matches(client_id),
                expect,
                "{pattern} {client_id}"
            );
        }
        assert!(Pattern::compile(&[]).is_err());
        assert!(Pattern::compile(&[String::new()]).is_err());
    }
}
