//! Names of headers in a configuration.

use crate::config::{AuthMethods, Config, value_error};
use crate::error::{Error, Problems};
use crate::request::Source;
use crate::request::named::{HeaderNames, is_same};
use reqwest::header::HeaderName;

/// Headers that frame or route the request: a claim, a token or a credential in one of them would break the request.
const RESERVED: [&str; 10] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers with credentials of their own, which other parts of a gateway read.
const CREDENTIALS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

/// Headers set by the exchange or its connection.
const OUR_HEADERS: [&str; 9] = [
    "accept",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "te",
    "transfer-encoding",
];

/// The name in lower case.
pub(super) fn header_name(field: &str, name: &str) -> Result<String, Error> {
    let name = name.to_ascii_lowercase();
    if !is_token(&name) {
        // Not repeated: it may be a header line, with its value.
        return Err(value_error(format!("{field}: is not a valid header name")));
    }
    if RESERVED.contains(&name.as_str()) {
        return Err(value_error(format!(
            "{field}: must not be \"{name}\", which frames or routes the request"
        )));
    }
    Ok(name)
}

/// A name that a request's own headers do not have.
pub(super) fn request_header_name(field: &str, name: &str) -> Result<HeaderName, Error> {
    // An invalid name is not repeated: it may be a header line, with its value.
    let header = HeaderName::try_from(name)
        .map_err(|_| value_error(format!("{field}: a name is not a valid header name")))?;
    if OUR_HEADERS.contains(&header.as_str()) {
        return Err(value_error(format!(
            "{field}: \"{name}\" cannot be set here; the request itself sets it"
        )));
    }
    Ok(header)
}

/// RFC 9110 section 5.6.2.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The headers of the place `headers`; `None` if the gate does not have it.
pub(super) fn credential_headers(config: &Config) -> Result<Option<HeaderNames>, Error> {
    const ID: &str = "client_id_header";
    const SECRET: &str = "client_secret_header";
    const PLACES: &str = "client_credentials_param_type";
    let is_place = config
        .client_credentials_param_type
        .contains(&Source::Headers);
    let wrong = |message: String| Err(value_error(message));
    let (id, secret) = match (&config.client_id_header, &config.client_secret_header) {
        (None, None) if is_place => {
            return wrong(format!(
                "{PLACES}: contains headers, which needs {ID} and {SECRET}; name both, or remove headers"
            ));
        }
        (None, None) => return Ok(None),
        (Some(_), None) => return wrong(format!("{SECRET}: is missing beside {ID}; name both")),
        (None, Some(_)) => return wrong(format!("{ID}: is missing beside {SECRET}; name both")),
        (Some(id), Some(secret)) => (id, secret),
    };
    if config.client_id.is_some() {
        return wrong(format!(
            "{ID}: has no effect with client_id, whose credentials the gate exchanges for every request; remove one of them"
        ));
    }
    if !is_place {
        return wrong(format!(
            "{PLACES}: lacks headers, but {ID} and {SECRET} name two; add headers, or remove both names"
        ));
    }
    if !config
        .auth_methods
        .contains(&AuthMethods::ClientCredentials)
    {
        return wrong(format!(
            "{ID}: has no effect, because auth_methods lacks client_credentials; add it, or remove {ID} and {SECRET}"
        ));
    }
    let mut problems = Problems::default();
    let id = problems.check(credential_header(ID, id));
    let secret = problems.check(credential_header(SECRET, secret));
    if let (Some(id), Some(secret)) = (&id, &secret)
        && is_same(id.as_bytes(), secret.as_bytes())
    {
        problems.add(value_error(format!(
            "{SECRET}: repeats {ID}; many servers do not distinguish \"_\" and \"-\", so name another header"
        )));
    }
    problems.finish()?;
    Ok(id.zip(secret).map(|(id, secret)| [id, secret]))
}

fn credential_header(field: &str, name: &str) -> Result<String, Error> {
    let name = header_name(field, name)?;
    let is_taken = |other: &&str| is_same(other.as_bytes(), name.as_bytes());
    if RESERVED.iter().chain(&CREDENTIALS).any(is_taken) {
        return Err(value_error(format!(
            "{field}: must not be \"{name}\", which has another meaning; name a header of your own, such as X-Client-Id"
        )));
    }
    Ok(name)
}
