//! Values of headers and arguments in files, which change while the engine runs.

use super::*;
use crate::testing::directory::Directory;
use std::path::Path;

/// A lab whose gate has this file in place of `FILE`.
fn lab(config: &str, file: &Path) -> Lab {
    let config = config.replace("FILE", file.to_str().unwrap());
    Lab::with(&config, ScriptedTransport::new(provider))
}

/// The headers of the last call to this URL, and its form.
fn last(lab: &Lab, url: &str) -> (Vec<String>, String) {
    let seen = lab.transport.seen.lock().unwrap();
    let last = seen.iter().rfind(|seen| seen.url == url).unwrap();
    (last.headers.clone(), last.form.clone().unwrap_or_default())
}

const TOKEN: &str = "https://a.example/token";

#[test]
fn a_changed_header_file_is_used_by_the_next_exchange() {
    let directory = Directory::new("header-file");
    let file = directory.write("key", "one\n");
    let lab = lab(
        r#"{"token_headers":{"x-a":"fixed"},"token_headers_files":{"x-key":"FILE"}}"#,
        &file,
    );
    assert!(lab.pair("a", "right").starts_with("MISS a"));
    assert_eq!(last(&lab, TOKEN).0, ["x-a: fixed", "x-key: one"]);
    directory.write("key", "two");
    assert!(lab.pair("b", "right").starts_with("MISS b"));
    assert_eq!(last(&lab, TOKEN).0, ["x-a: fixed", "x-key: two"]);
    assert!(
        lab.pair("a", "right").starts_with("HIT a"),
        "the cache key has no content of files"
    );
}

#[test]
fn a_changed_argument_file_is_used_by_the_next_exchange() {
    let directory = Directory::new("argument-file");
    let file = directory.write("key", "o&ne");
    let lab = lab(r#"{"token_post_args_files":{"api_key":"FILE"}}"#, &file);
    lab.pair("a", "right");
    assert!(last(&lab, TOKEN).1.contains("&api_key=o%26ne&"));
    directory.write("key", "two");
    lab.pair("b", "right");
    assert!(last(&lab, TOKEN).1.contains("&api_key=two&"));
}

#[test]
fn a_changed_header_file_is_used_by_the_next_discovery() {
    let directory = Directory::new("discovery-file");
    let file = directory.write("key", "one");
    let lab = lab(r#"{"discovery_headers_files":{"x-key":"FILE"}}"#, &file);
    let discovery = "https://a.example/.well-known/openid-configuration";
    lab.pair("a", "right");
    assert_eq!(last(&lab, discovery).0, ["x-key: one"]);
    directory.write("key", "two");
    lab.engine.purge_all(None).unwrap();
    lab.pair("a", "right");
    assert_eq!(last(&lab, discovery).0, ["x-key: two"]);
}

#[test]
fn an_unreadable_file_is_a_503_and_not_the_providers_failure() {
    let directory = Directory::new("unreadable-file");
    let file = directory.write("key", "one");
    let lab = lab(r#"{"token_headers_files":{"x-key":"FILE"}}"#, &file);
    lab.pair("cached", "right");
    for content in ["", "two\nlines"] {
        directory.write("key", content);
        for number in 0..20 {
            let outcome = lab.pair(&format!("c{number}"), "right");
            assert_eq!(outcome, "MISS 503 EngineUnavailable", "{content:?}");
        }
    }
    assert!(lab.pair("cached", "right").starts_with("HIT"));
    directory.write("key", "two");
    assert!(lab.pair("c0", "right").starts_with("MISS c0"));
}
