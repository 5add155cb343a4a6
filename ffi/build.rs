//! What makes the shared library one that C programs can be linked to and that hosts cannot unload.

use std::env;
use std::io::Error;
use std::os::unix::fs::symlink;
use std::path::Path;

/// The soname is the ABI version: a program never loads a library that speaks another one.
const SONAME: &str = "libcredgate.so.1";

fn main() -> Result<(), Error> {
    println!("cargo:rerun-if-changed=build.rs");
    // A later version of the library, for the tests of the ABI.
    println!("cargo:rustc-check-cfg=cfg(credgate_grown)");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,{SONAME}");
    // A host that unloads the library while its thread runs would crash; with this it stays.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // The TLS library asks for hooks of this name wherever it finds them. A host's OpenSSL relative is not to have a
    // say in this library's memory. (A sanitizer's runtime is found in the same way, and must be.)
    if env::var_os("CARGO_CFG_SANITIZE").is_none() {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodynamic-undefined-weak");
    }
    link_soname()
}

/// Puts the name that programs load beside the name that they are linked with, as cargo does not: in the directory
/// of the profile, three above the one for this script's output.
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
