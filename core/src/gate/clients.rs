//! The client ids that may use a gate (`clients_allowed`).

use crate::config::value_error;
use crate::error::Error;
use crate::request::extract::printable;
use crate::token::Grant;
use crate::token::passed::CheckId;
use std::collections::HashSet;

/// The client ids that may use a gate: ids, and patterns of ids.
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    id: CheckId,
    /// Hashed under a random key: clients cannot choose ids that collide.
    ids: HashSet<Box<[u8]>>,
    patterns: Vec<Pattern>,
}

/// A pattern of client ids: `*` matches any number of characters, including none.
#[derive(Debug, Clone)]
struct Pattern(String);

impl Clients {
    pub(crate) fn compile(patterns: &[String]) -> Result<Clients, Error> {
        if patterns.is_empty() {
            return Err(value_error(
                "clients_allowed: an empty list allows no client; remove it to allow all clients",
            ));
        }
        let is_pattern = |text: &String| printable(text.as_bytes()).is_ok();
        if let Some(at) = patterns.iter().position(|text| !is_pattern(text)) {
            return Err(value_error(format!(
                "clients_allowed[{at}]: is empty or not printable ASCII"
            )));
        }
        let (patterns, ids): (Vec<_>, Vec<_>) = patterns
            .iter()
            .cloned()
            .partition(|text| text.contains('*'));
        Ok(Clients {
            id: CheckId::new(),
            ids: ids.into_iter().map(|id| id.into_bytes().into()).collect(),
            patterns: patterns.into_iter().map(Pattern).collect(),
        })
    }

    /// One look-up for all ids, and one comparison for each pattern. Allocates nothing.
    pub(crate) fn allow(&self, client_id: &[u8]) -> bool {
        self.ids.contains(client_id) || self.matches_pattern(client_id)
    }

    /// The same for the client of a token, which remembers a list that has it.
    pub(crate) fn allow_client_of(&self, grant: &Grant) -> bool {
        let run = || {
            self.allow(grant.client_id().as_bytes())
                .then_some(())
                .ok_or(())
        };
        grant.listed.unless(self.id, run).is_ok()
    }

    fn matches_pattern(&self, client_id: &[u8]) -> bool {
        !self.patterns.is_empty()
            && std::str::from_utf8(client_id)
                .is_ok_and(|id| self.patterns.iter().any(|pattern| pattern.matches(id)))
    }
}

impl Pattern {
    /// Allocates nothing, and takes at most time linear in both lengths for each `*`.
    fn matches(&self, client_id: &str) -> bool {
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
        assert!(Clients::compile(&[]).is_err());
        assert!(Clients::compile(&[String::new()]).is_err());
    }

    fn clients(allowed: &[&str]) -> Clients {
        let allowed: Vec<_> = allowed.iter().map(|&one| one.to_owned()).collect();
        Clients::compile(&allowed).unwrap()
    }

    #[test]
    fn ids_and_patterns_allow_the_same_clients_as_patterns_alone() {
        let allowed = ["alice", "bob", "alice", "team-*", "*@example.com", "a*b"];
        let compiled = clients(&allowed);
        for client_id in [
            "alice",
            "Alice",
            "alic",
            "alice2",
            "",
            "bob",
            "team-",
            "team-1",
            "team",
            "*",
            "team-*",
            "x@example.com",
            "ab",
            "acb",
            "acbc",
            "\u{e9}",
            "a\u{e9}b",
        ] {
            let one_by_one = allowed
                .iter()
                .any(|text| Pattern((*text).to_owned()).matches(client_id));
            assert_eq!(
                compiled.allow(client_id.as_bytes()),
                one_by_one,
                "{client_id}"
            );
        }
        for no_text in [&b"\xff"[..], b"team-\xff", b"a\xffb"] {
            assert!(!compiled.allow(no_text));
        }
    }

    #[test]
    fn ten_thousand_ids_cost_no_comparison_each() {
        let mut allowed: Vec<_> = (0..10_000).map(|number| format!("id-{number}")).collect();
        allowed.push("team-*".to_owned());
        let compiled = Clients::compile(&allowed).unwrap();
        assert_eq!((compiled.ids.len(), compiled.patterns.len()), (10_000, 1));
        assert!(compiled.allow(b"id-9999") && compiled.allow(b"team-a"));
        assert!(!compiled.allow(b"id-10000"));
    }
}
