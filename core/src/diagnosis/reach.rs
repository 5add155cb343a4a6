//! Calls without a usable response: explained alike for every address of a provider.

use super::finding::{Finding, Step, Verdict};
use super::recorder::{Page, Seen};
use crate::http::{Fault, Obstacle};
use std::time::Duration;
use url::Url;

/// Explains a missing response. `timeout`: the time waited.
pub(super) fn unanswered(
    step: Step,
    url: &Url,
    fault: Option<&Fault>,
    timeout: Duration,
) -> (Verdict, Finding) {
    let place = place(url);
    let error = |code, message: String, remedy: &str| {
        let finding = Finding::error(step, code, message).remedy(remedy);
        finding.fact("url", url.as_str())
    };
    let finding = match fault {
        None => error(
            "timeout",
            format!("{place} did not respond within {timeout:?}."),
            "A firewall that drops packets silently looks like this: try the same address with curl from this machine. If \
             the provider is only slow, raise timeout (milliseconds).",
        ),
        Some(Fault::TooLong) => {
            let message = format!("The response of {place} is too large.");
            let remedy = "The address is probably wrong: check it with curl.";
            return (
                Verdict::Misconfigured,
                error("answer_too_long", message, remedy),
            );
        }
        Some(Fault::Broken(why)) => error(
            "connection_broken",
            format!("{place} closed the connection before a complete response: {why}."),
            "Try again. If it stays so, something between here and the provider (a proxy, a load balancer) cuts \
             connections off, or the port is not that of an HTTP server.",
        ),
        Some(Fault::Unreachable(obstacle, why)) => obstructed(step, url, *obstacle, why),
    };
    (Verdict::Unreachable, finding)
}

fn obstructed(step: Step, url: &Url, obstacle: Obstacle, why: &str) -> Finding {
    let place = place(url);
    let host = url.host_str().unwrap_or_default();
    let (code, message, remedy) = match obstacle {
        Obstacle::Name => (
            "name_unresolved",
            format!("The name {host} does not resolve to an address."),
            format!(
                "Check the spelling. If the name is right, this machine's resolver does not know it: ask it \
                 with `getent hosts {host}`."
            ),
        ),
        Obstacle::Refused => (
            "connection_refused",
            format!("{place} refused the connection: no server listens there."),
            "Compare host and port with the provider's documentation. If they are right, the provider is down, or a firewall \
             keeps this machine away from it (a proxy on the way is set with https_proxy)."
                .to_owned(),
        ),
        Obstacle::Authority => (
            "authority_unknown",
            format!("{place} presents a certificate of a CA that this machine does not trust."),
            "If the CA is your company's own, set ssl_trusted_certificate to a file with its certificate (PEM). If \
             it is not, somebody may stand between here and the provider: do not set ssl_verify to false, which would \
             give them every secret."
                .to_owned(),
        ),
        Obstacle::CaCertificate => (
            "certificate_of_ca",
            format!("{place} presents a CA certificate as its own."),
            "Issue a server certificate from it (basicConstraints CA:FALSE, the name in subjectAltName), and install that on \
             the server. ssl_trusted_certificate stays the CA certificate."
                .to_owned(),
        ),
        Obstacle::Certificate => (
            "certificate_invalid",
            format!("{place} presents a certificate that is not valid for it: {why}."),
            "Use the name in the certificate; if the certificate has expired, the provider must renew it. \
             This machine's clock decides what has expired: is it right?"
                .to_owned(),
        ),
        Obstacle::Tls => (
            "no_tls",
            format!("{place} was reached, but the TLS handshake failed: {why}."),
            "Is this the port for https? TLS 1.2 is the minimum.".to_owned(),
        ),
        Obstacle::Guarded => (
            "address_guarded",
            format!(
                "{host} resolves to this machine, or to an address internal to a cloud: no \
                 secret is sent there."
            ),
            "For a provider on this machine, while developing, set allow_loopback_http to true. Otherwise look at what \
             the name resolves to; if the address is the provider's, add it to allow_addresses."
                .to_owned(),
        ),
        Obstacle::Network => (
            "network",
            format!("{place} cannot be reached: {why}."),
            "Try the same address with curl from this machine; look at routes, firewalls and proxies between here and \
             there."
                .to_owned(),
        ),
    };
    Finding::error(step, code, message)
        .remedy(remedy)
        .fact("url", url.as_str())
        .fact("reason", why)
}

/// Explains a document's response by its status; `None` for 200. `what`: "metadata", "keys".
pub(super) fn no_document(
    step: Step,
    what: &str,
    remedy: &str,
    seen: &Seen,
    page: &Page,
) -> Option<(Verdict, Finding)> {
    let (url, status) = (&seen.url, page.status);
    let error = |verdict, code, message: String, remedy: &str| {
        let finding = Finding::error(step, code, message).remedy(remedy);
        let finding = finding.fact("url", url.as_str()).fact("status", status);
        Some((verdict, finding))
    };
    match status {
        200 if page.is_markup() => error(
            Verdict::Misconfigured,
            "html_page",
            format!("{url} responded with an HTML page instead of {what} (JSON)."),
            remedy,
        ),
        200 => None,
        300..=399 => error(
            Verdict::Misconfigured,
            "redirect",
            format!("{url} responded with HTTP {status}, a redirect. Redirects are not followed."),
            &format!("See its target with `curl -sI {url}`, and configure that address instead."),
        ),
        429 => error(
            Verdict::Unreachable,
            "busy",
            format!("{url} responded with HTTP 429: its rate limit is exceeded."),
            "Wait, and try again.",
        ),
        500..=599 => error(
            Verdict::Unreachable,
            "provider_failed",
            format!("{url} responded with HTTP {status}: the provider fails."),
            "Wait and try again; check the provider's status page or log.",
        ),
        _ => error(
            Verdict::Misconfigured,
            "no_document",
            format!("{url} responded with HTTP {status}, without {what}."),
            remedy,
        ),
    }
}

/// Host and port, as in an address bar.
pub(super) fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// `in 12 ms`
pub(super) fn took(seen: &Seen) -> String {
    format!("in {} ms", seen.took.as_millis())
}
