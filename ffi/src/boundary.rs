//! The boundary between C and Rust in every exported function.

use crate::status::CREDGATE_PANIC;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::thread;

/// Ends a call early with this status.
pub(crate) struct Fail(pub(crate) i32);

impl From<credgate_core::Error> for Fail {
    fn from(error: credgate_core::Error) -> Fail {
        Fail(error.kind().code())
    }
}

/// The result of an exported function's body.
pub(crate) type CallResult = Result<i32, Fail>;

thread_local! {
    /// True while this thread is inside an exported function.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Runs the body of an exported function: turns an error into its status, and a
/// panic into `CREDGATE_PANIC`.
pub(crate) fn boundary(body: impl FnOnce() -> CallResult) -> i32 {
    match guarded(body) {
        Some(Ok(status) | Err(Fail(status))) => status,
        None => CREDGATE_PANIC,
    }
}

/// The same for functions without a status.
pub(crate) fn boundary_void(body: impl FnOnce()) {
    guarded(body);
}

fn guarded<T>(body: impl FnOnce() -> T) -> Option<T> {
    INSIDE.set(true);
    let result = catch_unwind(AssertUnwindSafe(body)).ok();
    INSIDE.set(false);
    result
}

/// Stops Rust from printing the library's own panics, which the boundary
/// catches: their messages might contain a secret, and with RUST_BACKTRACE a
/// trace costs tens of megabytes. Other panics go to the previous hook.
pub(crate) fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let is_own = thread::current()
                .name()
                .is_some_and(|name| name.starts_with("credgate-"));
            if !is_own && !INSIDE.get() {
                previous(panic);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    #[test]
    fn panic_becomes_a_status() {
        assert_eq!(boundary(|| panic!("planted")), CREDGATE_PANIC);
        boundary_void(|| panic!("planted"));
    }

    /// Functions that cannot fail or panic.
    const HARMLESS: [&str; 6] = [
        "credgate_abi_version",
        "credgate_version",
        "credgate_status_name",
        "credgate_cause_name",
        "credgate_cache_status_name",
        "credgate_doorbells",
    ];

    #[test]
    fn every_exported_function_begins_with_the_boundary() {
        let mut exported = 0;
        let mut paths = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        while let Some(path) = paths.pop() {
            if path.is_dir() {
                let files = fs::read_dir(path).expect("the sources");
                paths.extend(files.map(|file| file.expect("a file").path()));
                continue;
            }
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
        assert!(exported >= 20, "found only {exported} exported functions");
    }
}
