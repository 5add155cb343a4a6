use super::*;
use crate::metrics::Metrics;
use std::time::Duration;

const HOSTILE: &str = "<script>alert(1)</script>\"'&<img src=x onerror=y>";

fn snapshot() -> Snapshot {
    let metrics = Metrics::default();
    for milliseconds in [3, 30, 40, 60, 12_000] {
        metrics
            .exchange
            .observe(Duration::from_millis(milliseconds));
    }
    let mut counters = metrics.snapshot(1200, 3_400_000, 2).counters();
    let numbers = Snapshot::GAUGES + 1;
    counters[numbers] = 12_345;
    counters[numbers + 1] = 5;
    Snapshot::from_counters(&counters)
}

fn state(granted: u64, failed: u64, is_paused: bool) -> BTreeMap<String, ProviderState> {
    let state = ProviderState {
        granted,
        is_paused,
        failed,
        last_granted: 1_000 * granted.min(1),
        last_failed: 2_000 * failed.min(1),
        ..ProviderState::default()
    };
    [("https://idp.example".to_owned(), state)].into()
}

fn shown(texts: &[String]) -> String {
    let page = StatusPage {
        processes: 4,
        now: 1_795_863_600,
        providers: texts.iter().map(String::as_bytes).collect(),
        ..StatusPage::default()
    };
    page.html(&snapshot())
}

#[test]
fn text_of_others_is_never_markup() {
    let providers: BTreeMap<String, ProviderState> = [(
        HOSTILE.to_owned(),
        ProviderState {
            is_paused: true,
            limits: [(HOSTILE.to_owned(), 1)].into(),
            ..ProviderState::default()
        },
    )]
    .into();
    let text = StatusPage::providers(&providers, 4096);
    let page = StatusPage {
        processes: 1,
        clients: vec![(HOSTILE, 1, 2)],
        providers: vec![text.as_bytes()],
        records: vec![StatusRecord {
            time: 1,
            level: Level::Error,
            message: HOSTILE,
        }],
        ..StatusPage::default()
    };
    let html = page.html(&snapshot());
    let escaped =
        "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;&lt;img src=x onerror=y&gt;";
    // In the title, the state, the provider, its limit, the client and the record.
    assert_eq!(html.matches(escaped).count(), 6, "{html}");
    assert!(
        !html.contains("<script") && !html.contains("<img"),
        "{html}"
    );
}

#[test]
fn a_page_is_complete_and_needs_nothing_else() {
    let html = shown(&[StatusPage::providers(&state(7, 0, false), 1000)]);
    for part in [
        "<html lang=en>",
        "<title>Credgate: all providers available</title>",
        "now 2026-11-28 11:00:00 UTC",
        "4 processes",
        "<td class=n>12,345</td>",
        "<td class=n>3.2 MiB</td>",
        "half within 50 ms, 95% longer than 10 s.",
        "https://idp.example",
    ] {
        assert!(html.contains(part), "{part} in {html}");
    }
    let tags: Vec<&str> = html
        .split('<')
        .skip(1)
        .filter_map(|tag| tag.split('>').next())
        .collect();
    for forbidden in ["script", "link", "img", "iframe", "form", "a "] {
        assert!(
            !tags.iter().any(|tag| tag.starts_with(forbidden)),
            "{forbidden}"
        );
    }
    for forbidden in [" src", " href", " style=", " on", "http"] {
        assert!(
            !tags.iter().any(|tag| tag.contains(forbidden)),
            "{forbidden}"
        );
    }
    assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
}

#[test]
fn every_table_has_headers() {
    let html = shown(&[StatusPage::providers(&state(7, 0, false), 1000)]);
    let tables = html.matches("<table").count();
    assert_eq!(tables, 4);
    for table in html.split("<table").skip(1) {
        assert!(
            table
                .split("</table>")
                .next()
                .unwrap()
                .contains("<thead><tr><th scope=col"),
            "{table}"
        );
    }
}

#[test]
fn the_policy_allows_the_style_of_the_page_and_nothing_else() {
    let html = shown(&[]);
    let (_, rest) = html.split_once("<style>").unwrap();
    let (style, _) = rest.split_once("</style>").unwrap();
    let hash = BASE64_STANDARD.encode(digest::digest(&digest::SHA256, style.as_bytes()));
    assert_eq!(
        StatusPage::policy(),
        format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
    );
}

#[test]
fn the_state_of_the_worst_provider_leads_the_page() {
    for (states, expected) in [
        (
            vec![],
            "<p class=\"state soft\">no provider contacted yet</p>",
        ),
        (
            vec![state(1, 0, false)],
            "<p class=\"state good\">all providers available</p>",
        ),
        (
            vec![state(1, 0, false), state(0, 2, false)],
            "<p class=\"state warn\">failing: https://idp.example</p>",
        ),
        (
            vec![state(1, 0, false), state(1, 9, true), state(1, 9, true)],
            "<p class=\"state bad\">circuit breaker open: https://idp.example</p>",
        ),
    ] {
        let texts: Vec<String> = states
            .iter()
            .map(|states| StatusPage::providers(states, 1000))
            .collect();
        let html = shown(&texts);
        assert!(html.contains(expected), "{expected} in {html}");
        assert_eq!(
            html.contains("circuit breaker open in 2 of 4 processes"),
            states.len() == 3
        );
    }
}

#[test]
fn clients_with_the_most_requests_are_shown() {
    let ids: Vec<String> = (0..30).map(|number| format!("client-{number}")).collect();
    let page = StatusPage {
        clients: ids
            .iter()
            .zip(0..)
            .map(|(id, count)| (id.as_str(), count, 0))
            .collect(),
        ..StatusPage::default()
    };
    let html = page.html(&snapshot());
    assert!(html.contains("<code>client-29</code>") && html.contains("<code>client-10</code>"));
    assert!(
        !html.contains("client-9<") && html.contains("10 more are in the metrics"),
        "{html}"
    );
}

#[test]
fn an_unused_gateway_has_a_page_too() {
    let empty = Snapshot::from_counters(&[0; Snapshot::COUNTERS]);
    let html = StatusPage::default().html(&empty);
    assert!(
        html.contains("None yet.") && html.contains("<dd>–"),
        "{html}"
    );
    assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
    // Counters of several processes may exceed every expectation, but must not end the page.
    let most = Snapshot::from_counters(&[u64::MAX / 1024; Snapshot::COUNTERS]);
    assert!(StatusPage::default().html(&most).ends_with("</html>\n"));
}

fn limited(remaining: u64, is_paused: bool) -> String {
    let mut providers = state(1, 2, is_paused);
    for provider in providers.values_mut() {
        provider.usual = 250_000;
        provider.limits = [("x-ratelimit-remaining".to_owned(), remaining)].into();
    }
    StatusPage::providers(&providers, 1000)
}

#[test]
fn programs_get_the_worst_state_of_each_provider() {
    let texts = [limited(9, false), limited(7, true), limited(8, false)];
    let page = StatusPage {
        processes: 3,
        clients: vec![("a", 1, 2)],
        providers: texts.iter().map(String::as_bytes).collect(),
        ..StatusPage::default()
    };
    let metrics = page.metrics(snapshot());
    for line in [
        "credgate_provider_paused{issuer=\"https://idp.example\"} 1",
        "credgate_provider_limit{issuer=\"https://idp.example\",header=\"x-ratelimit-remaining\"} 7",
        "credgate_client_requests_total{client_id=\"a\",result=\"denied\"} 2",
        "# TYPE credgate_workers_without_engine gauge",
        "credgate_workers_without_engine 0",
    ] {
        assert!(
            metrics.lines().any(|one| one == line),
            "{line} in\n{metrics}"
        );
    }
    let report: serde_json::Value = serde_json::from_str(&page.report(&snapshot())).unwrap();
    assert_eq!(
        report["providers"],
        serde_json::json!([{
            "issuer": "https://idp.example", "state": "circuit breaker open", "paused": 1, "granted": 3, "refused": 0,
            "limited": 0, "failed": 6, "usual_seconds": 0.25, "last_granted": 1000, "last_failed": 2000,
            "limits": {"x-ratelimit-remaining": 7},
        }])
    );
    assert_eq!(report["providers_omitted"], 0);
    assert_eq!(report["cache"]["entries"], 1200);
}

#[test]
fn processes_without_an_engine_lead_the_page() {
    let text = StatusPage::providers(&state(1, 9, true), 1000);
    let page = StatusPage {
        processes: 4,
        without_engine: 2,
        providers: vec![text.as_bytes()],
        ..StatusPage::default()
    };
    let html = page.html(&snapshot());
    let expected = "<p class=\"state bad\">no engine in 2 of 4 processes</p>";
    assert!(html.contains(expected), "{html}");
    let metrics = page.metrics(snapshot());
    assert!(metrics.contains("\ncredgate_workers_without_engine 2\n"));
    let report = page.report(&snapshot());
    assert!(report.contains("\"workers_without_engine\":2"), "{report}");
}
