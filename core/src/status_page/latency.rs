//! The section with the latency.

use super::html::Html;
use super::units::Seconds;
use crate::metrics::{Latency, Snapshot};
use std::fmt::{self, Display};

/// The histograms of the times that providers take.
pub(super) fn section(page: &mut Html, snapshot: &Snapshot) {
    page.raw("<section aria-labelledby=latency><h2 id=latency>Latency</h2>\n");
    let (exchange, discovery) = (snapshot.exchange.rows(), snapshot.discovery.rows());
    let whole = snapshot.exchange.count;
    let is_used = |(one, other): (&(String, u64), &(String, u64))| one.1 + other.1 > 0;
    let rows: Vec<_> = exchange.iter().zip(&discovery).collect();
    let (Some(first), Some(last)) = (
        rows.iter().position(|row| is_used(*row)),
        rows.iter().rposition(|row| is_used(*row)),
    ) else {
        page.raw("<p class=soft>No request to a provider yet.</p></section>\n");
        return;
    };
    page.raw("<table><thead><tr><th scope=col>Duration</th><th scope=col class=n>Metadata</th><th scope=col class=n>Token requests</th><td></td></tr></thead>\n<tbody>\n");
    for ((bound, tokens), (_, metadata)) in &rows[first..=last] {
        page.raw("<tr><th scope=row>").text(bound).raw("</th>");
        page.number(*metadata)
            .number(*tokens)
            .bar([*tokens, 0], whole)
            .raw("</tr>\n");
    }
    page.raw("</tbody></table>\n");
    if let (Some(half), Some(most)) = (
        snapshot.exchange.within(0.5),
        snapshot.exchange.within(0.95),
    ) {
        let mean = Seconds(snapshot.exchange.sum / whole as f64);
        page.raw("<p class=note>Token requests: ")
            .text(mean)
            .raw(" on average, half ")
            .text(half.in_words())
            .raw(", 95% ")
            .text(most.in_words())
            .raw(".</p>\n");
    }
    page.raw("</section>\n");
}

/// The least bucket of a histogram that has a share of its values.
pub(super) enum Within {
    Bound(f64),
    Longer(f64),
}

impl Latency {
    pub(super) fn within(&self, share: f64) -> Option<Within> {
        let wanted = (self.count as f64 * share).ceil() as u64;
        let bucket = self.buckets.iter().find(|(_, count)| *count >= wanted);
        match (self.count, bucket, self.buckets.last()) {
            (0, ..) => None,
            (_, Some((bound, _)), _) => Some(Within::Bound(*bound)),
            (_, None, last) => last.map(|(bound, _)| Within::Longer(*bound)),
        }
    }

    /// The number of values in each bucket, with a name for it.
    fn rows(&self) -> Vec<(String, u64)> {
        let (mut before, mut from) = (0, None);
        let mut rows = Vec::new();
        for (bound, count) in &self.buckets {
            let name = match from {
                None => format!("up to {}", Seconds(*bound)),
                Some(from) => range(from, *bound),
            };
            rows.push((name, count.saturating_sub(before)));
            (before, from) = (*count, Some(*bound));
        }
        let name = format!("over {}", Seconds(from.unwrap_or_default()));
        rows.push((name, self.count.saturating_sub(before)));
        rows
    }
}

/// `10 – 25 ms`.
fn range(from: f64, to: f64) -> String {
    let (from, to) = (Seconds(from).to_string(), Seconds(to).to_string());
    let split = |text: &str| -> (String, String) {
        let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
        (number.to_owned(), unit.to_owned())
    };
    match (split(&from), split(&to)) {
        ((number, one), (_, other)) if one == other => format!("{number} – {to}"),
        _ => format!("{from} – {to}"),
    }
}

impl Within {
    fn in_words(&self) -> String {
        match self {
            Within::Bound(_) => format!("within {self}"),
            Within::Longer(bound) => format!("longer than {}", Seconds(*bound)),
        }
    }
}

impl Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Within::Bound(bound) => Seconds(*bound).fmt(f),
            Within::Longer(bound) => write!(f, "more than {}", Seconds(*bound)),
        }
    }
}
