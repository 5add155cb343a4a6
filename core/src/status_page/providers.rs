//! The states of providers: as text, for hosts of several processes, and their sum.

use crate::metrics::ProviderState;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The states of all providers of all processes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Providers {
    /// By issuer, those with an open circuit breaker first.
    pub(super) list: Vec<(String, Summary)>,
    /// The number of providers in some process for which its text had no room.
    pub(super) omitted: usize,
}

/// The state of one provider in all processes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// The sums of the numbers, the latest times, and the longest usual duration.
    pub(super) state: ProviderState,
    /// The number of processes whose circuit breaker is open.
    pub(super) paused: usize,
}

/// A line of the text: a provider, as a JSON array, which is short.
#[derive(Serialize, Deserialize)]
struct Line(String, u8, [u64; 4], u64, [u64; 2], BTreeMap<String, u64>);

/// Writes the states of as many providers as fit in `capacity` bytes, those with an open circuit breaker first: a line for
/// each of them, behind the number of those that are left out.
pub(super) fn to_text(providers: &BTreeMap<String, ProviderState>, capacity: usize) -> String {
    let mut ordered: Vec<_> = providers.iter().collect();
    ordered.sort_by_key(|(_, state)| Reverse((state.is_paused, state.failed)));
    let longest_count = providers.len().to_string().len();
    let (mut lines, mut fitting) = (String::new(), 0);
    for line in ordered
        .into_iter()
        .filter_map(|(issuer, state)| line(issuer, state))
    {
        if longest_count + lines.len() + 1 + line.len() > capacity {
            break;
        }
        lines.push('\n');
        lines.push_str(&line);
        fitting += 1;
    }
    let text = format!("{}{lines}", providers.len() - fitting);
    if text.len() > capacity {
        return String::new();
    }
    text
}

fn line(issuer: &str, state: &ProviderState) -> Option<String> {
    serde_json::to_string(&Line(
        issuer.to_owned(),
        state.is_paused.into(),
        [state.granted, state.refused, state.limited, state.failed],
        state.usual,
        [state.last_granted, state.last_failed],
        state.limits.clone(),
    ))
    .ok()
}

impl Providers {
    /// Adds up the texts of all processes. Lines that are none are ignored.
    pub(super) fn of<'t>(texts: impl IntoIterator<Item = &'t [u8]>) -> Providers {
        let mut all = BTreeMap::<String, Summary>::new();
        let mut omitted = 0;
        for text in texts {
            let mut lines = text.split(|byte| *byte == b'\n');
            let left_out = lines.next().and_then(|count| str::from_utf8(count).ok());
            omitted = omitted.max(left_out.and_then(|count| count.parse().ok()).unwrap_or(0));
            for Line(issuer, is_paused, counts, usual, times, limits) in
                lines.filter_map(|line| serde_json::from_slice(line).ok())
            {
                let summary = all.entry(issuer).or_default();
                summary.paused += usize::from(is_paused);
                summary.state.add(counts, usual, times, limits);
                summary.state.is_paused = summary.paused > 0;
            }
        }
        let mut list: Vec<_> = all.into_iter().collect();
        list.sort_by_key(|(_, summary)| Reverse(summary.state.is_paused));
        Providers { list, omitted }
    }
}

impl ProviderState {
    /// Adds the numbers of another process. Of rate limits, the lowest remainder counts.
    fn add(
        &mut self,
        [granted, refused, limited, failed]: [u64; 4],
        usual: u64,
        [last_granted, last_failed]: [u64; 2],
        limits: BTreeMap<String, u64>,
    ) {
        self.granted = self.granted.saturating_add(granted);
        self.refused = self.refused.saturating_add(refused);
        self.limited = self.limited.saturating_add(limited);
        self.failed = self.failed.saturating_add(failed);
        self.usual = self.usual.max(usual);
        self.last_granted = self.last_granted.max(last_granted);
        self.last_failed = self.last_failed.max(last_failed);
        for (header, value) in limits {
            let lowest = self.limits.entry(header).or_insert(value);
            *lowest = value.min(*lowest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(granted: u64, is_paused: bool) -> ProviderState {
        ProviderState {
            granted,
            is_paused,
            failed: u64::from(is_paused),
            usual: granted * 1000,
            last_granted: granted,
            limits: [("x-ratelimit-remaining".to_owned(), 100 - granted)].into(),
            ..ProviderState::default()
        }
    }

    fn providers(states: &[(&str, ProviderState)]) -> BTreeMap<String, ProviderState> {
        let owned = |(issuer, state): &(&str, ProviderState)| ((*issuer).to_owned(), state.clone());
        states.iter().map(owned).collect()
    }

    #[test]
    fn states_of_several_processes_add_up() {
        let one = to_text(
            &providers(&[
                ("https://a", state(3, true)),
                ("https://b", state(1, false)),
            ]),
            4096,
        );
        let other = to_text(&providers(&[("https://a", state(5, false))]), 4096);
        let all = Providers::of([one.as_bytes(), other.as_bytes()]);
        assert_eq!(all.omitted, 0);
        let [(a, first), (b, second)] = &all.list[..] else {
            panic!("{all:?}");
        };
        assert_eq!((a.as_str(), b.as_str()), ("https://a", "https://b"));
        assert_eq!(
            (first.paused, first.state.granted, first.state.failed),
            (1, 8, 1)
        );
        assert_eq!((first.state.usual, first.state.last_granted), (5000, 5));
        assert_eq!(first.state.limits["x-ratelimit-remaining"], 95);
        assert_eq!((second.paused, second.state.granted), (0, 1));
    }

    #[test]
    fn a_text_has_room_for_providers_that_fail_first() {
        let many: Vec<(String, ProviderState)> = (0..20)
            .map(|number| {
                (
                    format!("https://provider-{number}.example"),
                    state(1, number == 17),
                )
            })
            .collect();
        let text = to_text(&many.into_iter().collect(), 300);
        assert!(text.len() <= 300, "{text}");
        let read = Providers::of([text.as_bytes()]);
        assert_eq!(read.list[0].0, "https://provider-17.example");
        assert_eq!(read.omitted + read.list.len(), 20);
        assert!(read.list.len() >= 2, "{text}");
    }

    #[test]
    fn a_text_without_room_and_damaged_lines_are_ignored() {
        assert_eq!(
            to_text(&providers(&[("https://a", state(1, false))]), 0),
            ""
        );
        assert_eq!(to_text(&BTreeMap::new(), 1), "0");
        for text in [
            "",
            "x",
            "0\n",
            "0\n[]\n{\"a\":1}\n[\"https://a\"",
            "0\n\u{0}",
        ] {
            assert_eq!(
                Providers::of([text.as_bytes()]),
                Providers::default(),
                "{text}"
            );
        }
    }
}
