//! The contract is enough: a converter made with the Rust SDK, and one made with wit-bindgen and nothing else, both satisfy it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;

use dropforge_tests::{Setup, files, inspect, plugin, run};
use serde_json::{Value, json};

const INTERFACES: [&str; 4] = ["io", "log", "metrics", "types"];

#[test]
fn the_sdk_and_plain_wit_bindgen_both_satisfy_the_contract() {
    for name in ["csv", "junit", "misbehave", "probe-guest"] {
        let facts = inspect(&plugin(name));
        assert_eq!(facts["name"], name);
        assert_eq!(facts["contract"], "0.1.0", "{facts:#}");
        assert_eq!(facts["capabilities"], json!([]), "{name}");
        let imports: Vec<&str> = facts["imports"].as_array().unwrap().iter().map(|import| import.as_str().unwrap()).collect();
        let allowed = INTERFACES.map(|interface| format!("dropforge:converter/{interface}@0.1.0"));
        assert!(imports.iter().all(|import| allowed.iter().any(|allowed| allowed == import)), "{name} imports {imports:?}");
        assert_eq!(facts["exports"], json!(["dropforge:converter/converter@0.1.0"]), "{name}");
    }
}

/// What the SDK's guest and the other write is the same thing to the host: through the daemon, with every part of a document.
#[test]
fn both_convert_through_the_daemon() {
    let route = |name: &str| {
        format!(
            "[[routes]]\nname = '{name}'\nconverter = '{name}'\nintake = {{ path = '{{dir}}/{name}', create = true }}\n\
             destinations = [{{ type = 'folder', path = '{{dir}}/out-{name}' }}]\n"
        )
    };
    let daemon = Setup::new().plugins(&["misbehave", "probe-guest"]).config(&(route("misbehave") + &route("probe-guest"))).start();
    daemon.drop_into("misbehave", "partial.mis", "x");
    // The same again, step by step in the contract's own words.
    let script = "create text/plain whole.txt\nwrite the good part\\n\nkey panel-7\nattribute station ict-4\nfinish\n\
                  create text/plain broken.txt\nwrite half of the ba\ndrop\nproblem error unit 5 of 10 is cut off\nobserve rows_total 2 good\n";
    daemon.drop_into("probe-guest", "partial.script", script);
    for (inbox, source) in [("misbehave", "partial.mis"), ("probe-guest", "partial.script")] {
        let sidecar = daemon.wait_for_sidecar_in(inbox, source);
        assert_eq!(sidecar["outcome"], "partial", "{sidecar:#}");
        assert_eq!(sidecar["converter"]["name"], inbox);
        assert_eq!(sidecar["problems"][0]["message"], "unit 5 of 10 is cut off");
        let documents = files(&daemon.path(&format!("out-{inbox}")));
        assert_eq!(documents.len(), 1, "{documents:?}");
        assert_eq!(fs::read_to_string(documents.values().next().unwrap()).unwrap(), "the good part\n");
    }
    daemon.assert_metric("rows_total{converter=\"probe-guest\",kind=\"good\"}", 2.0);

    // And both end with an error in the same way.
    daemon.drop_into("misbehave", "missing-field.mis", "x");
    daemon.drop_into("probe-guest", "fails.script", "create text/plain a.txt\nfinish\nfail missing-field there is no serial number\n");
    for (inbox, source) in [("misbehave", "missing-field.mis"), ("probe-guest", "fails.script")] {
        let sidecar = daemon.wait_for_sidecar_in(inbox, source);
        assert_eq!((&sidecar["error_type"], &sidecar["error"]["message"]), (&json!("missing_field"), &json!("there is no serial number")));
        assert_eq!(sidecar["error"]["at"]["line"], 3);
        assert_eq!(sidecar["documents"], 0);
    }
}

#[test]
fn both_convert_without_a_daemon() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("echo.mis"), "hello").unwrap();
    fs::write(folder.path().join("copy.script"), "create text/plain copy.txt\nseek 0\ncopy\nfinish\n").unwrap();
    let convert = |file: &str, name: &str| {
        let (code, out, errors) = run(folder.path(), &["convert", file, "--converter", plugin(name).to_str().unwrap(), "-o", "-"]);
        assert_eq!(code, 0, "{errors}");
        out
    };
    let echo: Value = serde_json::from_str(&convert("echo.mis", "misbehave")).unwrap();
    assert_eq!((&echo["name"], &echo["text"]), (&json!("echo.mis"), &json!("hello")));
    assert_eq!(convert("copy.script", "probe-guest"), fs::read_to_string(folder.path().join("copy.script")).unwrap());
}
