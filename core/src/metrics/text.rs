//! Numbers in Prometheus's text format, version 0.0.4.

use super::{ClientRequests, Latency, Snapshot};
use std::fmt::{self, Write as _};

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        family(
            f,
            "credgate_requests_total",
            "counter",
            "Requests, by outcome and cache status.",
        )?;
        for (outcome, counts) in [("allow", &self.allowed), ("deny", &self.denied)] {
            for (cache_status, count) in counts {
                let cache_status = cache_status.name().to_ascii_lowercase();
                writeln!(
                    f,
                    "credgate_requests_total{{outcome=\"{outcome}\",cache_status=\"{cache_status}\"}} {count}"
                )?;
            }
        }
        let clients = self.clients.iter();
        f.write_str(&ClientRequests::text(
            clients.map(|client| (&*client.client_id, client.allowed, client.denied)),
        ))?;
        family(
            f,
            "credgate_denied_total",
            "counter",
            "Denied requests, by cause.",
        )?;
        for (cause, count) in &self.causes {
            writeln!(
                f,
                "credgate_denied_total{{cause=\"{}\"}} {count}",
                cause.name()
            )?;
        }
        self.exchange.write(
            f,
            "credgate_exchange_seconds",
            "Token requests, in seconds.",
        )?;
        self.discovery.write(
            f,
            "credgate_discovery_seconds",
            "Fetches of provider metadata, in seconds.",
        )?;
        for (name, kind, help, value) in [
            (
                "credgate_refreshes_total",
                "counter",
                "Refreshes started.",
                self.refreshes,
            ),
            (
                "credgate_refresh_failures_total",
                "counter",
                "Refreshes failed.",
                self.refresh_failures,
            ),
            (
                "credgate_purged_total",
                "counter",
                "Tokens dropped before they expired.",
                self.purged,
            ),
            (
                "credgate_store_hits_total",
                "counter",
                "Lookups in the shared store that found a token or a refusal.",
                self.store_hits,
            ),
            (
                "credgate_store_misses_total",
                "counter",
                "Lookups in the shared store that found nothing or failed.",
                self.store_misses,
            ),
            (
                "credgate_store_failures_total",
                "counter",
                "Failed operations of the shared store.",
                self.store_failures,
            ),
            (
                "credgate_store_waits_total",
                "counter",
                "Waits for the exchange of another process.",
                self.store_waits,
            ),
            (
                "credgate_store_puts_total",
                "counter",
                "Tokens and refusals written to the shared store.",
                self.store_puts,
            ),
            (
                "credgate_cache_entries",
                "gauge",
                "Tokens in the cache.",
                self.entries,
            ),
            (
                "credgate_cache_bytes",
                "gauge",
                "Size of the cached tokens in bytes.",
                self.bytes,
            ),
            (
                "credgate_waiting_requests",
                "gauge",
                "Requests waiting for an exchange.",
                self.waiting,
            ),
        ] {
            family(f, name, kind, help)?;
            writeln!(f, "{name} {value}")?;
        }
        family(
            f,
            "credgate_provider_paused",
            "gauge",
            "1 while the circuit breaker of a provider is open.",
        )?;
        for (issuer, provider) in &self.providers {
            let issuer = escape(issuer);
            writeln!(
                f,
                "credgate_provider_paused{{issuer=\"{issuer}\"}} {}",
                u8::from(provider.is_paused)
            )?;
        }
        family(
            f,
            "credgate_provider_limit",
            "gauge",
            "Last rate-limit values of a provider, by header.",
        )?;
        for (issuer, provider) in &self.providers {
            let issuer = escape(issuer);
            for (header, value) in &provider.limits {
                writeln!(
                    f,
                    "credgate_provider_limit{{issuer=\"{issuer}\",header=\"{header}\"}} {value}"
                )?;
            }
        }
        Ok(())
    }
}

impl ClientRequests {
    /// The requests of clients in Prometheus's text format: ids, allowed and denied requests. Empty without clients.
    pub fn text<'c>(clients: impl IntoIterator<Item = (&'c str, u64, u64)>) -> String {
        const NAME: &str = "credgate_client_requests_total";

        let mut text = String::new();
        for (client_id, allowed, denied) in clients {
            if text.is_empty() {
                let _ = family(
                    &mut text,
                    NAME,
                    "counter",
                    "Requests, by client and result.",
                );
            }
            let id = escape(client_id);
            for (result, count) in [("allowed", allowed), ("denied", denied)] {
                let _ = writeln!(
                    text,
                    "{NAME}{{client_id=\"{id}\",result=\"{result}\"}} {count}"
                );
            }
        }
        text
    }
}

impl Latency {
    fn write(&self, f: &mut fmt::Formatter<'_>, name: &str, help: &str) -> fmt::Result {
        family(f, name, "histogram", help)?;
        for (bound, count) in &self.buckets {
            writeln!(f, "{name}_bucket{{le=\"{bound}\"}} {count}")?;
        }
        writeln!(f, "{name}_bucket{{le=\"+Inf\"}} {}", self.count)?;
        writeln!(f, "{name}_sum {}", self.sum)?;
        writeln!(f, "{name}_count {}", self.count)
    }
}

pub(crate) fn family(f: &mut dyn fmt::Write, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(f, "# HELP {name} {help}")?;
    writeln!(f, "# TYPE {name} {kind}")
}

fn escape(label: &str) -> String {
    let mut escaped = String::new();
    for c in label.chars() {
        match c {
            '"' | '\\' => {
                let _ = write!(escaped, "\\{c}");
            }
            '\n' => escaped.push_str("\\n"),
            c => escaped.push(c),
        }
    }
    escaped
}
