//! Gives the shared library a soname, so that C programs can link to it, and prevents hosts from unloading it.

use std::env;
use std::io::Error;
use std::os::unix::fs::symlink;
use std::path::Path;

/// The soname is the ABI version: a program never loads a library with another one.
const SONAME: &str = "libcredgate.so.1";

fn main() -> Result<(), Error> {
    println!("cargo:rerun-if-changed=build.rs");
    // With this cfg, the library has more fields and counters: a later version, for the tests of the ABI.
    println!("cargo:rustc-check-cfg=cfg(credgate_grown)");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,{SONAME}");
    // Prevents unloading: a host that unloads the library while its thread runs would crash.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // The TLS library has weak references to memory hooks, which would resolve to those of a host's OpenSSL relative.
    // A sanitizer's runtime resolves in the same way, and must.
    if env::var_os("CARGO_CFG_SANITIZE").is_none() {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodynamic-undefined-weak");
    }
    link_soname()
}

/// Links the name that programs load to the name that programs are linked with, which cargo does not do. Both are in the
/// directory of the profile, three above OUT_DIR.
fn link_soname() -> Result<(), Error> {
    let out_dir = env::var_os("OUT_DIR").ok_or_else(|| Error::other("cargo sets OUT_DIR"))?;
    let profile_dir = Path::new(&out_dir).ancestors().nth(3);
    let link = profile_dir
        .ok_or_else(|| Error::other("OUT_DIR is too short"))?
        .join(SONAME);
    if link.is_symlink() {
        Ok(())
    } else {
        symlink("libcredgate.so", link)
    }
}
