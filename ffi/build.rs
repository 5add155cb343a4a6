//! What makes the shared library one that C programs can be linked to and that hosts cannot unload.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // The soname is the ABI version: a program never loads a library that speaks another one.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libcredgate.so.1");
    // A host that unloads the library while its thread runs would crash; with this it stays.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
