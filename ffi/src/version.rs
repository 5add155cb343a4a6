//! Versions.

use std::ffi::{CStr, c_char};

/// The version of this ABI, and of the soname.
pub const CREDGATE_ABI_VERSION: u32 = 1;

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("a version contains no NUL"),
    };

/// Returns the ABI version of the library.
#[unsafe(no_mangle)]
pub extern "C" fn credgate_abi_version() -> u32 {
    CREDGATE_ABI_VERSION
}

/// Returns the version of the library, such as "0.1.0". NUL-terminated, static.
#[unsafe(no_mangle)]
pub extern "C" fn credgate_version() -> *const c_char {
    VERSION.as_ptr()
}
