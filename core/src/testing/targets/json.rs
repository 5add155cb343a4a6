//! Credentials and arguments in a JSON object.

use super::parameters::Parameters;
use super::readers::members;
use super::{gate, search};
use crate::Gate;
use crate::cause::Cause;
use crate::request::Request;
use std::sync::LazyLock;

static PLAIN: LazyLock<Gate> = LazyLock::new(|| gate(""));
static WITH_ARGS: LazyLock<Gate> =
    LazyLock::new(|| gate(r#","token_post_args_client":["resource","scope"]"#));

/// A body of `application/json`.
pub fn json(data: &[u8]) {
    let request = Request {
        method: b"PATCH",
        content_type: Some(b"application/json;charset=utf-8"),
        body: Some(data),
        ..Request::default()
    };
    let came = search(&PLAIN, &request);
    let Some(members) = members(data) else {
        assert_eq!(came, Err(Cause::NoCredentials));
        return;
    };
    let all: Vec<_> = members
        .iter()
        .map(|member| (member.name.clone().unwrap_or_default(), member.text()))
        .collect();
    let is_ours = |name: &str| matches!(name, "client_id" | "client_secret");
    let parameters = Parameters {
        is_malformed: all
            .iter()
            .any(|(name, value)| is_ours(name) && value.is_none()),
        all,
    };
    let _ = parameters.agree(&came);
    let with_args = search(&WITH_ARGS, &request);
    parameters.agree_on_args(came, with_args, &["resource", "scope"]);
}
