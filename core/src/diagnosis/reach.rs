//! What keeps a request from being answered, and answers that are none: the same for every address of a provider.

use super::finding::{Finding, Step, Verdict};
use super::recorder::{Page, Seen};
use crate::http::{Fault, Obstacle};
use std::time::Duration;
use url::Url;

/// Why there is no answer. `timeout`: how long was waited for one.
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
            format!("{place} did not answer within {timeout:?}."),
            "A firewall that drops packets silently looks like this: try the same address with curl from this machine. If \
             the provider is only slow, raise timeout (milliseconds).",
        ),
        Some(Fault::TooLong) => {
            let message = format!("{place} answered more than anybody would read.");
            let remedy = "It is hardly what the address should answer: look at it with curl.";
            return (
                Verdict::Misconfigured,
                error("answer_too_long", message, remedy),
            );
        }
        Some(Fault::Broken(why)) => error(
            "connection_broken",
            format!(
                "{place} was reached, and the connection ended before there was a whole answer: {why}."
            ),
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
            format!("The name {host} does not lead to an address."),
            format!(
                "Look for a typing mistake. If the name is right, this machine's name service does not know it: ask it \
                 with `getent hosts {host}`."
            ),
        ),
        Obstacle::Refused => (
            "connection_refused",
            format!("Nobody listens at {place}: the connection was refused."),
            "Compare host and port with what the provider tells. If they are right, the provider is down, or a firewall \
             keeps this machine away from it (a proxy on the way is set with https_proxy)."
                .to_owned(),
        ),
        Obstacle::Authority => (
            "authority_unknown",
            format!("{place} shows a certificate of an authority that this machine does not trust."),
            "If the authority is your company's own, set ssl_trusted_certificate to a file with its certificate (PEM). If \
             it is not, somebody may stand between here and the provider: do not set ssl_verify to false, which would \
             give them every secret."
                .to_owned(),
        ),
        Obstacle::Certificate => (
            "certificate_invalid",
            format!("{place} shows a certificate that is not good for it now: {why}."),
            "Use the name that the certificate is for; if the certificate has expired, the provider has to renew it. \
             This machine's clock decides what has expired: is it right?"
                .to_owned(),
        ),
        Obstacle::Tls => (
            "no_tls",
            format!("{place} was reached, and no TLS connection came about: {why}."),
            "Is this the port for https? TLS 1.2 is the least that is spoken.".to_owned(),
        ),
        Obstacle::Guarded => (
            "address_guarded",
            format!(
                "{host} leads to this very machine, or to an address that only machines of a cloud's inside have: no \
                 secret is sent there."
            ),
            "For a provider on this machine, while developing, set allow_loopback_http to true. Otherwise look at what \
             the name resolves to."
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

/// What is wrong with a document's answer by its status alone; `None` for 200. `what`: "metadata", "keys".
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
            format!("{url} answered a page for people (HTML), and no {what} (JSON)."),
            remedy,
        ),
        200 => None,
        300..=399 => error(
            Verdict::Misconfigured,
            "redirect",
            format!("{url} answered HTTP {status}, a redirect. None is followed."),
            &format!(
                "Look where it leads with `curl -sI {url}`, and configure that address instead."
            ),
        ),
        429 => error(
            Verdict::Unreachable,
            "busy",
            format!("{url} answered HTTP 429: it has been asked too often."),
            "Wait, and try again.",
        ),
        500..=599 => error(
            Verdict::Unreachable,
            "provider_failed",
            format!("{url} answered HTTP {status}: the provider has a failure of its own."),
            "Wait, and try again; look at the provider's status page or its log.",
        ),
        _ => error(
            Verdict::Misconfigured,
            "no_document",
            format!("{url} answered HTTP {status}, and no {what}."),
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
