//! The settings, the credentials and what goes with them.

use super::finding::{Diagnosis, Finding, Step, Verdict, sentence};
use crate::cause::Cause;
use crate::gate::Rules;
use crate::provider::exchange::Work;
use crate::request::Request;
use crate::request::extract::{Presented, extract};
use crate::request::scratch::{Scratch, ScratchBuffer};

const STEP: Step = Step::Configuration;

/// What can be said before anybody is asked; `None` where nobody is to be asked.
pub(super) fn configuration(
    report: &mut Diagnosis,
    rules: &Rules,
    (client_id, client_secret): (&str, &str),
    args: &[(&str, &str)],
) -> Option<Work> {
    let names = &rules.places.args;
    let all = [names.host(), names.callers()].concat();
    if let Some((name, _)) = args.iter().find(|(name, _)| !is_among(&all, name)) {
        report.fail(Verdict::Misconfigured, unknown_argument(name, &all));
        return None;
    }
    let given = |wanted: &String| args.iter().rev().find(|(name, _)| name == wanted);
    let value = |name| given(name).map_or(&b""[..], |(_, value)| value.as_bytes());
    let host: Vec<_> = names.host().iter().map(value).collect();
    // The caller's come as a caller has them.
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(
        args.iter()
            .filter(|(name, _)| is_among(names.callers(), name)),
    );
    let query = query.finish();
    let request = Request {
        credentials: Some((client_id.as_bytes(), client_secret.as_bytes())),
        query: Some(query.as_bytes()),
        args: &host,
        ..Request::default()
    };
    let mut room = ScratchBuffer::new();
    let mut scratch = Scratch::new(&mut room);
    let pair = match extract(&rules.places, &request, &mut scratch) {
        Ok(Presented::Pair(pair)) => pair,
        Ok(Presented::Token(_)) => return None,
        Err(cause) => {
            report.fail(Verdict::Misconfigured, unfit(cause));
            return None;
        }
    };
    for warning in &rules.warnings {
        let message = sentence(warning);
        report.add(
            Finding::warning(STEP, "dangerous_setting", message)
                .remedy("Change the setting, unless you know that you need it so."),
        );
    }
    if !(rules.places.header || rules.places.query || rules.places.body) {
        report.add(
            Finding::warning(
                STEP,
                "no_exchange",
                "auth_methods does not hold client_credentials: this gate exchanges no credentials, it only verifies \
                 tokens that clients bring. They are exchanged here all the same.",
            )
            .remedy("To have credentials exchanged, add \"client_credentials\" to auth_methods."),
        );
    }
    if !rules.allows_client(client_id.as_bytes()) {
        report.fail(
            Verdict::Misconfigured,
            Finding::error(
                STEP,
                "client_not_allowed",
                format!(
                    "clients_allowed lets no client {client_id} in: the provider is not even asked."
                ),
            )
            .remedy(
                "Add the client to clients_allowed, or leave that out to let every client try.",
            ),
        );
        return None;
    }
    if report.findings().is_empty() {
        let message = "The settings are well-formed, and none of them is dangerous.";
        report.add(Finding::notice(STEP, "well_formed", message));
    }
    for name in names.host().iter().filter(|name| given(name).is_none()) {
        report.add(
            Finding::warning(
                STEP,
                "argument_missing",
                format!(
                    "A host gives a value for {name} with each request (token_post_args_host), and this check has none: \
                     the provider is asked without."
                ),
            )
            .remedy(format!(
                "Check again with a value that the host gives: --arg {name}=VALUE; in Python, args."
            )),
        );
    }
    Some(Work::Exchange(pair.credentials()))
}

/// What no request could bring.
fn unfit(cause: Cause) -> Finding {
    const COPY: &str = "Copy both from the provider's own page again; a quotation mark, a line end or a space that came along \
         is the usual reason.";
    let (message, remedy) = match cause {
        Cause::EmptyCredential => ("The client id or the secret is empty.", COPY),
        Cause::TooLong => (
            "The client id and the secret are longer than 2,048 bytes together, or the values for the token request are.",
            COPY,
        ),
        Cause::RepeatedParameter => (
            "A request can bring one scope, and there are several values for it.",
            "Give one, with blanks between the scopes.",
        ),
        _ => (
            "The client id or the secret holds characters that none can have: they are printable ASCII (RFC 6749, \
             appendix A).",
            COPY,
        ),
    };
    Finding::error(STEP, cause.name(), message).remedy(remedy)
}

fn is_among(names: &[String], wanted: &str) -> bool {
    names.iter().any(|name| name == wanted)
}

fn unknown_argument(name: &str, names: &[String]) -> Finding {
    let message = format!(
        "There is a value for {name}, and the settings take none for an argument of that name with a request."
    );
    let remedy = if names.is_empty() {
        "Name it in token_post_args_host, or set it once and for all in token_post_args.".to_owned()
    } else {
        format!(
            "Those that they take are in token_post_args_host and token_post_args_client: {}.",
            names.join(", ")
        )
    };
    Finding::error(STEP, "argument_unknown", message).remedy(remedy)
}
