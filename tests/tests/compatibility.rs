//! Converters that were built for a version of the contract which is frozen, kept as they were: they load and convert for as long as there is
//! that version. `tests/data/SOURCES.md` says what they were made of.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;

use dropforge_tests::receiver::{Answer, Receiver};
use dropforge_tests::{data, inspect, run};
use serde_json::json;

/// Every interface of the contract, by what a converter sees of it.
const SCRIPT: &str = "name\nsize\nseek 0\nread 4\nlog info a line\nobserve rows_total 2 good\n\
                      create text/plain kept.txt\nattribute station ict-4\nkey panel-7\nwrite kept and converted\\n\nfinish\n";

#[test]
fn converters_for_0_1_0_load_and_convert() {
    let folder = tempfile::tempdir().unwrap();
    let kept = data("contract/0.1.0/probe-guest.wasm");
    let facts = inspect(&kept);
    assert_eq!((&facts["name"], &facts["contract"], &facts["capabilities"]), (&json!("probe-guest"), &json!("0.1.0"), &json!([])));
    for interface in ["types", "io", "log", "metrics"] {
        let import = json!(format!("dropforge:converter/{interface}@0.1.0"));
        assert!(facts["imports"].as_array().unwrap().contains(&import), "{facts:#}");
    }
    fs::write(folder.path().join("panel.script"), SCRIPT).unwrap();
    let (code, out, errors) = run(folder.path(), &["convert", "panel.script", "--converter", kept.to_str().unwrap(), "-o", "-"]);
    assert_eq!((code, out.as_str()), (0, "kept and converted\n"), "{errors}");
}

#[test]
fn look_ups_of_0_1_0_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let server = Receiver::up();
    server.know(|_| Answer::Status(200, vec![("content-type", "text/plain".to_owned())], "known".to_owned()));
    let config = format!("[upstream]\nurl = '{}'\nlookup_paths = ['/**']\n[plugins.lookup-guest]\nallow = ['lookup']\n", server.url());
    fs::write(folder.path().join("dropforge.toml"), config).unwrap();
    fs::write(folder.path().join("a.lookup"), "/api/operations/10 a=b").unwrap();
    let kept = data("contract/0.1.0/lookup-guest.wasm");
    assert_eq!(inspect(&kept)["contract"], "0.1.0");
    let (code, out, errors) = run(folder.path(), &["convert", "a.lookup", "--converter", kept.to_str().unwrap(), "-o", "-"]);
    assert_eq!((code, out.as_str()), (0, "200 text/plain known\n"), "{errors}");
    assert_eq!(server.looked_up()[0].path, "/api/operations/10?a=b");
}
