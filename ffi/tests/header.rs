//! `include/credgate.h` is what cbindgen makes of the sources. `CREDGATE_UPDATE=1` writes it anew.

use std::path::Path;

#[test]
fn the_committed_header_is_the_generated_one() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(here.join("cbindgen.toml")).expect("cbindgen.toml");
    let bindings = cbindgen::generate_with_config(here, config).expect("bindings");
    let mut generated = Vec::new();
    bindings.write(&mut generated);
    let generated = String::from_utf8(generated).expect("UTF-8");
    let path = here.join("../include/credgate.h");
    if std::env::var_os("CREDGATE_UPDATE").is_some() {
        std::fs::write(&path, &generated).expect("the header is written");
    }
    let committed = std::fs::read_to_string(&path).expect("include/credgate.h");
    assert!(
        committed == generated,
        "include/credgate.h has drifted; run `tests/run.sh header --update`"
    );
}
