//! Compares `include/credgate.h` and the declarations for LuaJIT with the output of cbindgen. `CREDGATE_UPDATE=1` writes
//! both files.

use cbindgen::Config;
use std::fmt::Write;
use std::path::{Path, PathBuf};

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn config() -> Config {
    Config::from_file(here().join("cbindgen.toml")).expect("cbindgen.toml")
}

fn generate(config: Config) -> String {
    let bindings = cbindgen::generate_with_config(here(), config).expect("bindings");
    let mut generated = Vec::new();
    bindings.write(&mut generated);
    without_grown(&String::from_utf8(generated).expect("UTF-8"))
}

/// Removes the fields of `cfg(credgate_grown)`.
fn without_grown(generated: &str) -> String {
    let mut parts = generated.split("#if defined(CREDGATE_GROWN)\n");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (_, rest) = part.split_once("#endif\n").expect("the end of a field");
        // cbindgen writes the semicolon on a line of its own.
        kept += rest.strip_prefix("    ;\n").unwrap_or(rest);
    }
    kept
}

fn compare(path: &str, generated: &str) {
    let file = here().join(path);
    if std::env::var_os("CREDGATE_UPDATE").is_some() {
        std::fs::write(&file, generated).expect("the file is written");
    }
    let committed = std::fs::read_to_string(&file).expect("the file is there");
    assert!(
        committed == generated,
        "{path} has drifted; run `tests/run.sh header --update`"
    );
}

#[test]
fn committed_header_is_current() {
    compare("../include/credgate.h", &generate(config()));
}

#[test]
fn committed_lua_declarations_are_current() {
    let mut config = config();
    (config.header, config.include_guard) = (None, None);
    (config.documentation, config.no_includes, config.cpp_compat) = (false, true, false);
    let (mut constants, mut declarations) = (String::new(), String::new());
    let text = generate(config);
    let lines = text.lines();
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with("#include")) {
        match line.strip_prefix("#define CREDGATE_") {
            Some(definition) => {
                let (name, value) = definition.split_once(' ').expect("a name and a value");
                writeln!(constants, "    {name} = {value},").expect("memory");
            }
            None => writeln!(declarations, "{line}").expect("memory"),
        }
    }
    compare(
        "lua/lib/resty/credgate/abi.lua",
        &format!(
            "-- The declarations of include/credgate.h for LuaJIT. Generated from ffi/src\n\
             -- by `tests/run.sh header --update`. Do not edit.\n\n\
             local ffi = require \"ffi\"\n\n\
             -- A process may load two copies of this module, but a struct can be declared\n\
             -- only once.\n\
             if not pcall(ffi.typeof, \"credgate_gate\") then\n    ffi.cdef [[\n{declarations}]]\nend\n\n\
             return {{\n{constants}}}\n"
        ),
    );
}

/// The list of methods is the index of a handle.
#[test]
fn every_handle_lists_its_methods() {
    let header = generate(config());
    let functions = header.lines().filter_map(|line| {
        let name = line.split_once('(')?.0.rsplit([' ', '*']).next()?;
        let is_declaration = !line.starts_with(' ') && !line.starts_with("//");
        (is_declaration && name.starts_with("credgate_")).then_some(name)
    });
    let mut count = 0;
    for function in functions {
        let handle = ["gate", "engine", "queue", "outcome", "error"]
            .into_iter()
            .find(|handle| function.starts_with(&format!("credgate_{handle}_")));
        let Some(handle) = handle else { continue };
        count += 1;
        let end = format!("typedef struct credgate_{handle} ");
        let (before, _) = header.split_once(&end).expect("the type of the handle");
        let (_, methods) = before.rsplit_once("Methods: ").expect("a list of methods");
        let listed = methods.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        assert!(
            listed.into_iter().any(|name| name == function),
            "{function} is missing in the methods of credgate_{handle}"
        );
    }
    assert!(count > 30, "{count}");
}
