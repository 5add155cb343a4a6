//! What stands between C and Rust in every exported function.

use crate::status::CREDGATE_PANIC;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why a call ends early: the status to answer.
pub(crate) struct Fail(pub(crate) i32);

/// What the body of an exported function answers.
pub(crate) type Answer = Result<i32, Fail>;

/// Runs the body of an exported function: an error becomes its status, and no panic gets past.
pub(crate) fn boundary(body: impl FnOnce() -> Answer) -> i32 {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(status) | Err(Fail(status))) => status,
        Err(_) => CREDGATE_PANIC,
    }
}

/// The same for functions that answer nothing.
pub(crate) fn boundary_void(body: impl FnOnce()) {
    drop(catch_unwind(AssertUnwindSafe(body)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_panic_becomes_a_status() {
        assert_eq!(boundary(|| panic!("planted")), CREDGATE_PANIC);
        boundary_void(|| panic!("planted"));
    }

    /// Functions that only read a constant.
    const HARMLESS: [&str; 4] = [
        "credgate_abi_version",
        "credgate_version",
        "credgate_status_name",
        "credgate_how_name",
    ];

    #[test]
    fn no_exported_function_goes_without_the_boundary() {
        let mut exported = 0;
        for file in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).expect("the sources")
        {
            let path = file.expect("a file").path();
            let source = fs::read_to_string(&path).expect("a source");
            for function in source.split("#[unsafe(no_mangle)]\n").skip(1) {
                let (signature, body) = function.split_once(" {\n").expect("a function");
                let name = signature
                    .split("fn ")
                    .nth(1)
                    .and_then(|rest| rest.split('(').next())
                    .expect("a name");
                exported += 1;
                assert!(name.starts_with("credgate_"), "{name} lacks the prefix");
                assert!(
                    HARMLESS.contains(&name) || body.trim_start().starts_with("boundary"),
                    "{name} in {} does not begin with the boundary",
                    path.display()
                );
            }
        }
        assert!(
            exported >= 20,
            "only {exported} exported functions were found"
        );
    }
}
