//! Credentials and arguments in a query string.

use super::parameters::Parameters;
use super::{gate, search};
use crate::Gate;
use crate::cause::Cause;
use crate::request::Request;
use std::sync::LazyLock;

static PLAIN: LazyLock<Gate> = LazyLock::new(|| gate(""));
static WITH_ARGS: LazyLock<Gate> =
    LazyLock::new(|| gate(r#","token_post_args_client":["resource","scope"]"#));

/// A query string.
pub fn query(data: &[u8]) {
    let _ = pair_in_query(data);
}

/// Compares the pair in a query with that of a second reader, and returns the cause of a denial.
pub(crate) fn pair_in_query(query: &[u8]) -> Result<(), Cause> {
    let parameters = Parameters::of_form(query);
    let request = Request {
        query: Some(query),
        ..Request::default()
    };
    let came = search(&PLAIN, &request);
    let verdict = parameters.agree(&came);
    let with_args = search(&WITH_ARGS, &request);
    parameters.agree_on_args(came, with_args, &["resource", "scope"]);
    verdict
}
