//! Credentials and arguments in a form, and the form of a token request.

use super::parameters::Parameters;
use super::{gate, search};
use crate::Gate;
use crate::cause::Cause;
use crate::request::Request;
use crate::request::token_form::{TokenForm, has_credential};
use std::sync::LazyLock;

static PLAIN: LazyLock<Gate> = LazyLock::new(|| gate(""));
static WITH_ARGS: LazyLock<Gate> =
    LazyLock::new(|| gate(r#","token_post_args_client":["resource","scope"]"#));
static ENDPOINT: LazyLock<Gate> =
    LazyLock::new(|| gate("").token_endpoint().expect("a token endpoint"));

/// A body of `application/x-www-form-urlencoded`.
pub fn form(data: &[u8]) {
    let parameters = Parameters::of_form(data);
    let request = Request {
        method: b"POST",
        content_type: Some(b"Application/X-WWW-Form-URLencoded ; charset=utf-8"),
        body: Some(data),
        ..Request::default()
    };
    let came = search(&PLAIN, &request);
    let _ = parameters.agree(&came);
    // A query is read in the same way.
    let query = Request {
        query: Some(data),
        ..Request::default()
    };
    assert_eq!(search(&PLAIN, &query), came);
    // Nothing is read without a method and a type that say so.
    for other in [
        Request {
            method: b"GET",
            ..request
        },
        Request {
            content_type: Some(b"text/plain"),
            ..request
        },
    ] {
        assert_eq!(search(&PLAIN, &other), Err(Cause::NoCredentials));
    }
    let with_args = search(&WITH_ARGS, &request);
    parameters.agree_on_args(came, with_args, &["resource", "scope"]);
    let grant_types: Vec<_> = parameters
        .named("grant_type")
        .into_iter()
        .filter(|value| *value != Some(""))
        .collect();
    match TokenForm(data).value("grant_type") {
        Ok(Some(value)) => assert_eq!(grant_types, [Some(&*String::from_utf8_lossy(&value))]),
        Ok(None) => assert!(grant_types.is_empty()),
        Err(Cause::RepeatedParameter) => assert!(grant_types.len() > 1),
        Err(_) => assert!(parameters.is_malformed),
    }
    let has_ours = ["client_id", "client_secret"]
        .iter()
        .any(|name| !parameters.named(name).is_empty());
    assert_eq!(has_credential(data), has_ours);
    let _ = search(&ENDPOINT, &request);
}
