//! The status page: the state of a gateway at one moment, as HTML for its operators, and as text for their programs. The page
//! needs no script, no other file and no connection. Client ids and log records are written by others: `html` escapes them.

mod accept;
mod html;
mod latency;
mod programs;
mod providers;
mod time;
mod units;

use crate::cache_status::CacheStatus;
use crate::journal::Level;
use crate::metrics::{Latency, ProviderState, Snapshot};
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use html::{Grouped, Html};
use providers::{Providers, Summary};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::LazyLock;
use time::Utc;
use units::{Counted, Percent, Seconds, Size};

/// The contents of a status page: the numbers of all processes of a gateway.
#[derive(Debug, Clone, Default)]
pub struct StatusPage<'p> {
    /// The number of processes.
    pub processes: u32,
    /// The time at which they began to count, in seconds since the Unix epoch; 0: not shown.
    pub since: u64,
    /// The present time, likewise.
    pub now: u64,
    /// The requests of clients with counters: id, allowed and denied requests.
    pub clients: Vec<(&'p str, u64, u64)>,
    /// The texts of [`StatusPage::providers()`], one for each process.
    pub providers: Vec<&'p [u8]>,
    /// The latest log records, the oldest first.
    pub records: Vec<StatusRecord<'p>>,
    /// The number of processes without an engine, which deny all requests.
    pub without_engine: u32,
}

/// A log record on a status page.
#[derive(Debug, Clone)]
pub struct StatusRecord<'p> {
    /// Its time, in seconds since the Unix epoch.
    pub time: u64,
    /// Its severity.
    pub level: Level,
    /// Its text.
    pub message: &'p str,
}

/// The maximum number of clients on the page: those with the most requests.
const MAX_CLIENTS: usize = 20;

const STYLE: &str = include_str!("page.css");

/// No content but the page's own style, identified by its hash; no script, no form, no frame around it.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = digest::digest(&digest::SHA256, STYLE.as_bytes());
    format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        BASE64_STANDARD.encode(hash)
    )
});

impl StatusPage<'_> {
    /// The `Content-Security-Policy` of the page.
    pub fn policy() -> &'static str {
        &POLICY
    }

    /// Whether a client prefers the page to the JSON report, by its header `Accept`: without the header, or without a
    /// preference, it does not.
    pub fn is_preferred(accept: &[u8]) -> bool {
        accept::prefers_page(accept)
    }

    /// The states of the providers of one process, as text of at most `capacity` bytes. Those with an open circuit
    /// breaker come first; providers without room are counted only.
    pub fn providers(states: &BTreeMap<String, ProviderState>, capacity: usize) -> String {
        providers::to_text(states, capacity)
    }

    /// The page, as an HTML document in UTF-8.
    pub fn html(&self, snapshot: &Snapshot) -> String {
        let providers = Providers::of(self.providers.iter().copied());
        let mut page = Html::default();
        self.head(&mut page, snapshot, &providers);
        page.raw("<main>\n<div class=columns>\n<div>\n");
        requests(&mut page, snapshot);
        denials(&mut page, snapshot);
        self.clients(&mut page);
        page.raw("</div>\n<div>\n");
        self.provider_health(&mut page, &providers);
        latency::section(&mut page, snapshot);
        cache(&mut page, snapshot);
        store(&mut page, snapshot);
        page.raw("</div>\n</div>\n");
        self.log(&mut page);
        page.raw("</main>\n<footer>The same address returns JSON to programs: <code>Accept: application/json</code>.</footer>\n</body>\n</html>\n");
        page.into_string()
    }

    fn head(&self, page: &mut Html, snapshot: &Snapshot, providers: &Providers) {
        let (class, state) = self.overall(providers);
        page.raw("<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n")
            .raw("<meta name=viewport content=\"width=device-width, initial-scale=1\">\n")
            .raw("<meta name=color-scheme content=\"light dark\">\n<title>Credgate: ")
            .text(&state)
            .raw("</title>\n<style>")
            .raw(STYLE)
            .raw("</style>\n</head>\n<body>\n<header><h1>Credgate</h1><p class=\"state ")
            .raw(class)
            .raw("\">")
            .text(&state)
            .raw("</p><p class=facts><span>version ")
            .text(env!("CARGO_PKG_VERSION"))
            .raw("</span><span>")
            .text(Counted(self.processes.into(), "process", "processes"))
            .raw("</span>");
        if self.since > 0 {
            page.raw("<span>counting since ")
                .text(Utc(self.since))
                .raw("</span>");
        }
        page.raw("<span>now ")
            .text(Utc(self.now))
            .raw("</span></p></header>\n");
        figures(page, snapshot);
    }

    /// The state of the gateway, which is that of its worst part: a class of the style, and a sentence.
    fn overall(&self, providers: &Providers) -> (&'static str, String) {
        if self.without_engine > 0 {
            let processes = Counted(self.processes.into(), "process", "processes");
            let state = format!("no engine in {} of {processes}", self.without_engine);
            return ("bad", state);
        }
        let worst = providers
            .list
            .iter()
            .map(|(issuer, summary)| (health(summary), issuer))
            .max_by_key(|((class, _), _)| {
                ["soft", "good", "warn", "bad"]
                    .iter()
                    .position(|one| one == class)
            });
        match worst {
            None => ("soft", "no provider contacted yet".to_owned()),
            Some((("good" | "soft", _), _)) => ("good", "all providers available".to_owned()),
            Some(((class, word), issuer)) => (class, format!("{word}: {issuer}")),
        }
    }

    fn clients(&self, page: &mut Html) {
        if self.clients.is_empty() {
            return;
        }
        let total = |client: &(&str, u64, u64)| client.1.saturating_add(client.2);
        let mut clients = self.clients.clone();
        clients.sort_by_key(|client| Reverse(total(client)));
        let most = clients.iter().map(total).max().unwrap_or_default();
        page.raw("<section aria-labelledby=clients><h2 id=clients>Clients</h2>\n<table><thead><tr><th scope=col>Client id</th>")
            .raw("<th scope=col class=n>Allowed</th><th scope=col class=n>Denied</th><td></td></tr></thead>\n<tbody>\n");
        for client in clients.iter().take(MAX_CLIENTS) {
            let (id, allowed, denied) = *client;
            page.raw("<tr><th scope=row><code>")
                .text(id)
                .raw("</code></th>");
            page.number(allowed)
                .number(denied)
                .bar([allowed, denied], most)
                .raw("</tr>\n");
        }
        page.raw("</tbody></table>\n");
        if let Some(more) = clients
            .len()
            .checked_sub(MAX_CLIENTS)
            .filter(|more| *more > 0)
        {
            page.raw("<p class=note>The ")
                .text(MAX_CLIENTS)
                .raw(" clients with the most requests; ")
                .text(more)
                .raw(" more are in the metrics.</p>\n");
        }
        page.raw("</section>\n");
    }

    fn provider_health(&self, page: &mut Html, providers: &Providers) {
        page.raw("<section aria-labelledby=providers><h2 id=providers>Providers</h2>\n");
        if providers.list.is_empty() {
            page.raw("<p class=soft>None contacted yet.</p></section>\n");
            return;
        }
        page.raw("<table class=five><thead><tr><th scope=col>Granted</th><th scope=col>Refused</th><th scope=col>Rate-limited</th>")
            .raw("<th scope=col>Failed</th><th scope=col>Usual time</th></tr></thead>\n");
        for (issuer, summary) in &providers.list {
            self.provider(page, issuer, summary);
        }
        page.raw("</table>\n");
        if providers.omitted > 0 {
            page.raw("<p class=note>")
                .text(providers.omitted)
                .raw(" more are not shown.</p>\n");
        }
        page.raw("</section>\n");
    }

    fn provider(&self, page: &mut Html, issuer: &str, summary: &Summary) {
        let state = &summary.state;
        let (class, word) = health(summary);
        page.raw("<tbody><tr><th scope=rowgroup colspan=5><div class=issuer><code>")
            .text(issuer)
            .raw("</code><span class=\"state ")
            .raw(class)
            .raw("\">")
            .text(word);
        if summary.paused > 0 && self.processes > 1 {
            page.raw(" in ")
                .text(summary.paused)
                .raw(" of ")
                .text(Counted(self.processes.into(), "process", "processes"));
        }
        page.raw("</span></div></th></tr>\n<tr>");
        page.number(state.granted)
            .number(state.refused)
            .fault(state.limited)
            .fault(state.failed);
        page.raw("<td class=n>");
        if state.usual > 0 {
            page.text(Seconds(state.usual as f64 / 1e6));
        } else {
            page.raw("–");
        }
        page.raw("</td></tr>\n");
        let mut facts = Vec::new();
        if state.last_granted > 0 {
            facts.push(format!("last granted {}", Utc(state.last_granted)));
        }
        if state.last_failed > 0 {
            facts.push(format!("last failed {}", Utc(state.last_failed)));
        }
        facts.extend(
            state
                .limits
                .iter()
                .map(|(header, value)| format!("{header} {value}")),
        );
        if !facts.is_empty() {
            page.raw("<tr><td colspan=5><div class=facts>");
            for fact in facts {
                page.raw("<span>").text(fact).raw("</span>");
            }
            page.raw("</div></td></tr>\n");
        }
        page.raw("</tbody>\n");
    }

    fn log(&self, page: &mut Html) {
        page.raw("<section aria-labelledby=log><h2 id=log>Recent log records</h2>\n");
        if self.records.is_empty() {
            page.raw(
                "<p class=soft>None so far. Denied clients are in the error log.</p></section>\n",
            );
            return;
        }
        page.raw("<table class=log><thead><tr><th scope=col>Time (UTC)</th><th scope=col>Level</th><th scope=col>Record</th></tr></thead>\n<tbody>\n");
        for record in self.records.iter().rev() {
            let class = match record.level {
                Level::Notice => "soft",
                Level::Warning => "warn",
                Level::Error => "bad",
            };
            page.raw("<tr><td><span>")
                .text(Utc(record.time).date())
                .raw("</span> <span>")
                .text(Utc(record.time).time())
                .raw("</span></td><td class=")
                .raw(class)
                .raw(">")
                .text(record.level.name())
                .raw("</td><td>")
                .text(record.message)
                .raw("</td></tr>\n");
        }
        page.raw("</tbody></table></section>\n");
    }
}

/// The state of a provider: a class of the style, and words.
fn health(summary: &Summary) -> (&'static str, &'static str) {
    let state = &summary.state;
    if summary.paused > 0 {
        ("bad", "circuit breaker open")
    } else if state.last_failed > state.last_granted {
        ("warn", "failing")
    } else if state.granted > 0 {
        ("good", "available")
    } else {
        ("soft", "no token granted yet")
    }
}

fn figures(page: &mut Html, snapshot: &Snapshot) {
    let allowed = total(&snapshot.allowed);
    let denied = total(&snapshot.denied);
    let of = |statuses: &[CacheStatus]| -> u64 {
        let counts = snapshot.allowed.iter();
        counts
            .filter(|(status, _)| statuses.contains(status))
            .map(|(_, count)| count)
            .sum()
    };
    let hits = of(&[CacheStatus::Hit, CacheStatus::Stale]);
    let with_token = hits + of(&[CacheStatus::Miss, CacheStatus::Joined, CacheStatus::Shared]);
    page.raw("<dl class=figures>\n");
    figure(
        page,
        "Requests",
        Grouped(allowed + denied),
        "allowed and denied",
    );
    figure(
        page,
        "Cache hits",
        Percent(hits, with_token),
        "of allowed requests",
    );
    figure(
        page,
        "Denied",
        Percent(denied, allowed + denied),
        "of all requests",
    );
    figure(
        page,
        "Token requests",
        Grouped(snapshot.exchange.count),
        &usual(&snapshot.exchange),
    );
    figure(
        page,
        "Waiting",
        Grouped(snapshot.waiting),
        "for a token, now",
    );
    figure(
        page,
        "Cached tokens",
        Grouped(snapshot.entries),
        &Size(snapshot.bytes).to_string(),
    );
    page.raw("</dl>\n");
}

fn figure(page: &mut Html, name: &'static str, value: impl Display, note: &str) {
    page.raw("<div><dt>").raw(name).raw("</dt><dd>").text(value);
    page.raw(" <small>").text(note).raw("</small></dd></div>\n");
}

fn usual(latency: &Latency) -> String {
    match latency.within(0.5) {
        Some(bound) => format!("half within {bound}"),
        None => "none yet".to_owned(),
    }
}

fn requests(page: &mut Html, snapshot: &Snapshot) {
    page.raw("<section aria-labelledby=requests><h2 id=requests>Requests by cache status</h2>\n<table><thead><tr>")
        .raw("<th scope=col>Status</th><th scope=col class=wide>Meaning</th><th scope=col class=n><span class=\"key allowed\"></span>Allowed</th>")
        .raw("<th scope=col class=n><span class=\"key denied\"></span>Denied</th><td></td></tr></thead>\n<tbody>\n");
    let count = |counts: &[(CacheStatus, u64)], status| {
        let found = counts.iter().find(|(one, _)| *one == status);
        found.map_or(0, |(_, count)| *count)
    };
    let rows = STATUSES.map(|status| {
        let allowed = count(&snapshot.allowed, status);
        (status, allowed, count(&snapshot.denied, status))
    });
    let whole = total(&snapshot.allowed) + total(&snapshot.denied);
    let is_used = |(_, allowed, denied): &(_, u64, u64)| allowed + denied > 0;
    for (status, allowed, denied) in rows.into_iter().filter(is_used) {
        page.raw("<tr><th scope=row class=name>")
            .raw(status.name())
            .raw("</th><td class=\"wide soft\">")
            .raw(meaning(status))
            .raw("</td>");
        page.number(allowed)
            .number(denied)
            .bar([allowed, denied], whole)
            .raw("</tr>\n");
    }
    if whole == 0 {
        page.raw("<tr><td colspan=5 class=soft>None yet.</td></tr>\n");
    }
    page.raw("</tbody></table></section>\n");
}

/// All values, from the cheapest for the provider on.
const STATUSES: [CacheStatus; CacheStatus::ALL.len()] = [
    CacheStatus::Hit,
    CacheStatus::Stale,
    CacheStatus::Shared,
    CacheStatus::Joined,
    CacheStatus::Miss,
    CacheStatus::Negative,
    CacheStatus::None,
    CacheStatus::Anonymous,
    CacheStatus::Preflight,
];

fn meaning(status: CacheStatus) -> &'static str {
    match status {
        CacheStatus::None => "no usable credentials",
        CacheStatus::Hit => "token in the cache",
        CacheStatus::Miss => "token requested",
        CacheStatus::Joined => "waited for another request",
        CacheStatus::Stale => "cached, refresh failed",
        CacheStatus::Negative => "refused a moment ago",
        CacheStatus::Anonymous => "no client, allowed",
        CacheStatus::Preflight => "OPTIONS, allowed",
        CacheStatus::Shared => "token in the shared store",
    }
}

fn denials(page: &mut Html, snapshot: &Snapshot) {
    page.raw("<section aria-labelledby=denials><h2 id=denials>Denials by cause</h2>\n");
    let mut causes: Vec<_> = snapshot
        .causes
        .iter()
        .filter(|(_, count)| *count > 0)
        .collect();
    if causes.is_empty() {
        page.raw("<p class=soft>None.</p></section>\n");
        return;
    }
    causes.sort_by(|(_, one), (_, other)| other.cmp(one));
    let whole = causes.iter().map(|(_, count)| count).sum();
    page.raw("<table class=causes><thead><tr><th scope=col>Cause</th><th scope=col class=n>Response</th><th scope=col class=n>Requests</th><td></td></tr></thead>\n<tbody>\n");
    for (cause, count) in causes {
        let (http_status, _) = cause.response();
        page.raw("<tr><th scope=row class=name><code>")
            .raw(cause.name())
            .raw("</code></th><td class=\"n");
        page.raw(if http_status >= 500 { " bad\">" } else { "\">" })
            .text(http_status)
            .raw("</td>");
        page.number(*count).bar([0, *count], whole).raw("</tr>\n");
    }
    page.raw("</tbody></table></section>\n");
}

fn cache(page: &mut Html, snapshot: &Snapshot) {
    page.raw("<section aria-labelledby=cache><h2 id=cache>Token cache</h2>\n<table class=five><thead><tr><th scope=col class=n>Tokens</th><th scope=col class=n>Size</th>")
        .raw("<th scope=col class=n>Refreshed</th><th scope=col class=n>Failed</th><th scope=col class=n>Purged</th></tr></thead>\n<tbody><tr>");
    page.number(snapshot.entries)
        .raw("<td class=n>")
        .text(Size(snapshot.bytes))
        .raw("</td>");
    page.number(snapshot.refreshes.saturating_sub(snapshot.refresh_failures))
        .fault(snapshot.refresh_failures)
        .number(snapshot.purged);
    page.raw("</tr></tbody></table></section>\n");
}

fn store(page: &mut Html, snapshot: &Snapshot) {
    page.raw("<section aria-labelledby=store><h2 id=store>Shared store</h2>\n");
    let Snapshot {
        store_hits,
        store_misses,
        store_failures,
        store_waits,
        store_puts,
        ..
    } = *snapshot;
    if store_hits + store_misses + store_failures + store_waits + store_puts == 0 {
        page.raw("<p class=soft>Not used so far.</p></section>\n");
        return;
    }
    page.raw("<table class=five><thead><tr><th scope=col class=n>Hits</th><th scope=col class=n>Misses</th><th scope=col class=n>Waits</th>")
        .raw("<th scope=col class=n>Writes</th><th scope=col class=n>Failures</th></tr></thead>\n<tbody><tr>");
    page.number(store_hits)
        .number(store_misses)
        .number(store_waits)
        .number(store_puts)
        .fault(store_failures);
    page.raw("</tr></tbody></table></section>\n");
}

fn total<T>(counts: &[(T, u64)]) -> u64 {
    counts.iter().map(|(_, count)| count).sum()
}

#[cfg(test)]
mod tests;
