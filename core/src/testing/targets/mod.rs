//! The bodies of the fuzz targets in `core/fuzz`. Each takes any bytes and panics if the library breaks a promise: a second
//! reader disagrees, a secret stays, a bound is passed. `cargo test` replays the committed inputs (`core/fuzz/corpus`).

mod basic;
mod configuration;
mod form;
mod headers;
mod hiding;
mod introspection;
mod json;
mod jwks;
mod jwt;
mod kong;
mod metadata;
mod parameters;
mod query;
mod readers;
mod redaction;
mod token_response;
mod url_guard;

pub use basic::basic;
pub use configuration::configuration;
pub use form::form;
pub use headers::headers;
pub use hiding::hiding;
pub use introspection::introspection;
pub use json::json;
pub use jwks::jwks;
pub use jwt::jwt;
pub use kong::kong;
pub use metadata::metadata;
pub use query::query;
pub use redaction::redaction;
pub use token_response::token_response;
pub use url_guard::url_guard;

#[cfg(feature = "redis")]
pub use crate::store::targets::redis_reply;
pub use crate::store::targets::store_entry;

#[cfg(test)]
pub(super) use {
    basic::pair_in_basic, hiding::without_members, hiding::without_parameters, query::pair_in_query,
};

use crate::Gate;
use crate::cause::Cause;
use crate::request::Request;
use crate::request::extract::{Presented, extract};
use crate::request::scratch::{Scratch, ScratchBuffer};

/// Compiles a gate with these settings beside its issuer.
fn gate(settings: &str) -> Gate {
    let json = format!(r#"{{"issuer":"https://a.example"{settings}}}"#);
    Gate::from_json(&json).expect("a valid configuration")
}

/// The pair of a request, its arguments, or the client's own token.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Pair {
        id: Vec<u8>,
        secret: Vec<u8>,
        args: Vec<(u8, Vec<u8>)>,
    },
    Token(String),
}

/// Extracts the credentials of a request, owned.
fn search(gate: &Gate, request: &Request<'_>) -> Result<Found, Cause> {
    let mut room = ScratchBuffer::new();
    let mut scratch = Scratch::new(&mut room);
    Ok(
        match extract(gate.rules.places(request), request, &mut scratch)? {
            Presented::Token(token) => Found::Token(token.to_owned()),
            Presented::Pair(pair) => Found::Pair {
                id: pair.client_id.to_vec(),
                secret: pair.client_secret.to_vec(),
                args: pair
                    .args()
                    .map(|(name, value)| (name, value.to_vec()))
                    .collect(),
            },
        },
    )
}

/// Whether a text may stand in a log line: no control character could end or forge one.
fn is_log_safe(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

#[cfg(test)]
mod committed_inputs_keep_the_promises_of {
    use std::path::Path;

    /// Runs a target on each of its committed inputs, and on each of their prefixes, which are cheap and rarely valid.
    fn replay(name: &str, target: fn(&[u8])) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        let inputs: Vec<_> = std::fs::read_dir(corpus.join(name))
            .expect("a corpus")
            .map(|file| std::fs::read(file.expect("a file").path()).expect("an input"))
            .collect();
        assert!(inputs.len() >= 10, "the corpus of {name} is small");
        for input in inputs {
            for len in 0..=input.len().min(256) {
                target(&input[..len]);
            }
            target(&input);
        }
    }

    macro_rules! replays {
        ($($(#[$only:meta])? $name:ident)*) => {$(
            $(#[$only])?
            #[test]
            fn $name() {
                replay(stringify!($name), super::$name);
            }
        )*};
    }

    replays! {
        basic configuration form headers hiding introspection json jwks jwt kong metadata query redaction store_entry
        token_response url_guard
        #[cfg(feature = "redis")] redis_reply
    }
}
