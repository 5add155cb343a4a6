//! The contents of a status page for programs: metrics in Prometheus's text format, and a report in JSON.

use super::providers::{Providers, Summary};
use super::{StatusPage, health};
use crate::metrics::Snapshot;
use crate::metrics::clients::ClientRequests;
use crate::metrics::text::family;
use serde_json::{Value, json};
use std::fmt::Write as _;

impl StatusPage<'_> {
    /// The metrics, in Prometheus's text format, version 0.0.4. A provider is paused if one process has paused it, and has the
    /// lowest rate limits of all processes.
    pub fn metrics(&self, snapshot: Snapshot) -> String {
        const WITHOUT_ENGINE: &str = "credgate_workers_without_engine";

        let providers = Providers::of(self.providers.iter().copied()).list;
        let clients = self.clients.iter();
        let all = Snapshot {
            providers: providers
                .into_iter()
                .map(|(issuer, summary)| (issuer, summary.state))
                .collect(),
            clients: clients
                .map(|(id, allowed, denied)| ClientRequests {
                    client_id: (*id).into(),
                    allowed: *allowed,
                    denied: *denied,
                })
                .collect(),
            ..snapshot
        };
        let mut text = all.to_string();
        let help = "Workers that have no engine and deny all requests.";
        let _ = family(&mut text, WITHOUT_ENGINE, "gauge", help);
        let _ = writeln!(text, "{WITHOUT_ENGINE} {}", self.without_engine);
        text
    }

    /// The report, as JSON: that of [`Snapshot::report`], and the states of providers and processes.
    pub fn report(&self, snapshot: &Snapshot) -> String {
        let providers = Providers::of(self.providers.iter().copied());
        let mut report = snapshot.report_value();
        report["providers"] = providers.list.iter().map(provider).collect();
        report["providers_omitted"] = providers.omitted.into();
        report["workers_without_engine"] = self.without_engine.into();
        report.to_string()
    }
}

fn provider((issuer, summary): &(String, Summary)) -> Value {
    let state = &summary.state;
    json!({
        "issuer": issuer,
        "state": health(summary).1,
        "paused": summary.paused,
        "granted": state.granted,
        "refused": state.refused,
        "limited": state.limited,
        "failed": state.failed,
        "usual_seconds": state.usual as f64 / 1e6,
        "last_granted": state.last_granted,
        "last_failed": state.last_failed,
        "limits": state.limits,
    })
}
