//! The settings, the credentials and what goes with them.

use super::finding::{Diagnosis, Finding, Step, Verdict, sentence};
use crate::cause::{Cause, Denial};
use crate::gate::Rules;
use crate::gate::own::{OwnClient, Proof};
use crate::provider::exchange::Work;
use crate::request::Request;
use crate::request::extract::{Presented, ascii, extract};
use crate::request::scratch::{Scratch, ScratchBuffer};
use crate::sys::secret_file::shown;

const STEP: Step = Step::Configuration;

/// The findings before any request; `None` if none is to be sent. `pair`: `None` for the gateway's own client.
pub(super) fn configuration(
    report: &mut Diagnosis,
    rules: &Rules,
    pair: Option<(&str, &str)>,
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
    // The caller's arguments are presented as a caller would.
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(
        args.iter()
            .filter(|(name, _)| is_among(names.callers(), name)),
    );
    let query = query.finish();
    let request = Request {
        credentials: pair.map(|(id, secret)| (id.as_bytes(), secret.as_bytes())),
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
                .remedy("Change the setting, unless you need it."),
        );
    }
    if !rules.places.exchanges() {
        report.add(
            Finding::warning(
                STEP,
                "no_exchange",
                "auth_methods lacks client_credentials: this gate exchanges no credentials, it only verifies \
                 tokens that clients bring. This check exchanges them nevertheless.",
            )
            .remedy("To exchange credentials, add \"client_credentials\" to auth_methods."),
        );
    }
    let client_id = ascii(pair.client_id);
    if !rules.allows_client(pair.client_id) {
        report.fail(
            Verdict::Misconfigured,
            Finding::error(
                STEP,
                "client_not_allowed",
                format!(
                    "clients_allowed does not include the client {client_id}: the provider is not contacted."
                ),
            )
            .remedy(
                "Add the client to clients_allowed, or remove the setting to allow every client.",
            ),
        );
        return None;
    }
    if report.findings().is_empty() {
        let message = "The settings are valid, and none of them is dangerous.";
        report.add(Finding::notice(STEP, "well_formed", message));
    }
    if rules.request.traceparent {
        report.add(Finding::notice(
            STEP,
            "traceparent_forwarded",
            "Token requests have the traceparent of the client's request, if it is well-formed; this check sends none.",
        ));
    }
    if let Some(own) = &rules.own {
        if !pair.client_secret.is_empty() && !own.has_secret() {
            let message = format!(
                "Every request gets a token of the gateway's own client {} (client_id), which has no secret: no other \
                 client can be checked.",
                own.id
            );
            let finding = Finding::error(STEP, "other_client", message);
            let remedy = "Check again without a client id and a secret.";
            report.fail(Verdict::Misconfigured, finding.remedy(remedy));
            return None;
        }
        report.add(whose(own, client_id, pair.client_secret.is_empty()));
    }
    for notice in places(rules) {
        report.add(notice);
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
                "Check again with such a value: --arg {name}=VALUE; in Python, args."
            )),
        );
    }
    Some(Work::Exchange(pair.credentials()))
}

/// The client that a gate with its own is checked with.
fn whose(own: &OwnClient, client_id: &str, is_own: bool) -> Finding {
    if !is_own {
        let message = format!(
            "This check uses the client {client_id}, but every request gets a token of the gateway's own client {} \
             (client_id).",
            own.id
        );
        return Finding::warning(STEP, "other_client", message)
            .remedy("Check again without a client id and a secret.");
    }
    let file = |field: &str, path| format!("{field}, {}", shown(path));
    let proof = match &own.proof {
        Proof::Secret(_) => "its secret is in client_secret".to_owned(),
        Proof::SecretFile(secret) => {
            let file = file("client_secret_file", secret.path());
            format!("its secret is in {file}")
        }
        Proof::Key(key) => {
            let file = file("client_assertion_key_file", key.path());
            format!("it proves itself by private_key_jwt with the key in {file}")
        }
        Proof::AssertionFile(assertion) => {
            let file = file("client_assertion_file", assertion.path());
            format!("it proves itself by private_key_jwt with the assertion in {file}")
        }
        Proof::Certificate => {
            "it proves itself by the certificate in tls_client_auth_cert".to_owned()
        }
    };
    let message = format!(
        "This check uses the gateway's own client {client_id} (client_id), as every request does; {proof}."
    );
    Finding::notice(STEP, "own_client", message)
}

/// The two headers for credentials, if there are any, and the challenge of a 401 if it is not Basic alone.
fn places(rules: &Rules) -> Vec<Finding> {
    let mut notices = Vec::new();
    if let Some([id, secret]) = &rules.places.headers {
        let message =
            format!("Clients may send their id in the header {id}, and their secret in {secret}.");
        notices.push(Finding::notice(STEP, "credential_headers", message));
    }
    let without = Denial::new(Cause::NoCredentials, "");
    if let Some(challenge) = rules.upstream.challenge(&without)
        && challenge.contains("Bearer")
    {
        let message = format!("A client without credentials gets the challenge {challenge}.");
        notices.push(Finding::notice(STEP, "challenge", message));
    }
    notices
}

/// Credentials that no request can present.
fn unfit(cause: Cause) -> Finding {
    const COPY: &str = "Copy both from the provider's page again; usually a quotation mark, a line end or a space was copied \
         along.";
    let (message, remedy) = match cause {
        Cause::EmptyCredential => ("The client id or the secret is empty.", COPY),
        Cause::TooLong => (
            "The client id and the secret are longer than 2,048 bytes together, or the values for the token request are.",
            COPY,
        ),
        Cause::RepeatedParameter => (
            "A request can have one scope argument, and this check has several.",
            "Give one, with the scopes separated by spaces.",
        ),
        _ => (
            "The client id or the secret contains invalid characters: both must be printable ASCII (RFC 6749, \
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
        "This check has a value for {name}, but the settings take no argument of that name from a request."
    );
    let remedy = if names.is_empty() {
        "Name it in token_post_args_host, or set a fixed value in token_post_args.".to_owned()
    } else {
        format!(
            "The accepted arguments (token_post_args_host, token_post_args_client) are: {}.",
            names.join(", ")
        )
    };
    Finding::error(STEP, "argument_unknown", message).remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gate;

    #[test]
    fn named_headers_and_challenges_are_noted() {
        let noted = |more: &str| -> Vec<String> {
            let gate =
                Gate::from_json(&format!(r#"{{"issuer":"https://a.example"{more}}}"#)).unwrap();
            let notices = places(&gate.rules);
            notices.into_iter().map(|notice| notice.message).collect()
        };
        assert!(noted("").is_empty());
        assert_eq!(
            noted(r#","client_id_header":"X-Id","client_secret_header":"X-Secret""#),
            ["Clients may send their id in the header x-id, and their secret in x-secret."]
        );
        assert_eq!(
            noted(r#","challenges":"bearer""#),
            [r#"A client without credentials gets the challenge Bearer realm="a.example"."#]
        );
    }
}
