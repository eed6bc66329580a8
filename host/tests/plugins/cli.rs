//! `dropforge plugin` as it is run from a terminal.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

use serde_json::Value;

use crate::guest::Guest;

const BINARY: &str = env!("CARGO_BIN_EXE_dropforge");

/// Runs the binary with a home of its own, so that no daemon's cache and no configuration of this machine takes part.
fn dropforge(arguments: &[&str], directory: &Path) -> Output {
    Command::new(BINARY).args(arguments).current_dir(directory).env("XDG_STATE_HOME", directory.join("state")).output().unwrap()
}

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn error(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn inspect_says_what_a_plugin_is() {
    let folder = tempfile::tempdir().unwrap();
    let schema = r#"{"type": "object", "properties": {"unit": {"type": "string", "default": "V", "description": "Of all values."}}}"#;
    fs::write(folder.path().join("csv.wasm"), Guest { schema, ..Guest::named("csv", "1.2.3") }.module()).unwrap();

    let text = out(&dropforge(&["plugin", "inspect", "csv.wasm"], folder.path()));
    for part in ["name          csv\n", "version       1.2.3\n", "core module, made a component when it is loaded", "capabilities  none\n"]
    {
        assert!(text.contains(part), "{part:?} was expected in:\n{text}");
    }
    assert!(text.contains("unit    string  \"V\"      Of all values.\n"), "{text}");

    let json: Value = serde_json::from_str(&out(&dropforge(&["plugin", "inspect", "csv.wasm", "--json"], folder.path()))).unwrap();
    assert_eq!((&json["name"], &json["wrapped"], &json["contract"]), (&"csv".into(), &true.into(), &"0.1.0".into()));
    assert_eq!(json["options"][0]["default"], "V");
    assert_eq!(json["sha256"].as_str().unwrap().len(), 64);

    fs::write(folder.path().join("text.wasm"), "(module)").unwrap();
    let message = error(&dropforge(&["plugin", "inspect", "text.wasm"], folder.path()));
    assert_eq!(message.matches("this is WebAssembly text").count(), 1, "{message}");
}

#[test]
fn list_asks_the_daemon_and_else_looks_itself() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    fs::write(folder.path().join("plugins/csv.wasm"), Guest::named("csv", "1.2.3").module()).unwrap();
    fs::write(folder.path().join("plugins/bad.wasm"), "").unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    fs::write(folder.path().join("dropforge.toml"), format!("health_port = {port}\nmetrics_port = 1\nplugins_dir = \"plugins\"\n"))
        .unwrap();
    let daemon = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let request: Vec<String> = BufReader::new(&stream).lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
        let body = r#"[{"file": "junit.wasm", "running": null, "refused": {"reason": "it is pink", "at": "2026-11-22T10:00:00Z"}}]"#;
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        request
    });
    let output = dropforge(&["plugin", "list"], folder.path());
    assert!(out(&output).contains("junit.wasm  refused: it is pink"), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("As the daemon at"), "{output:?}");
    assert_eq!(daemon.join().unwrap()[0], "GET /api/v1/plugins HTTP/1.1");

    // Now nobody listens there.
    let output = dropforge(&["plugin", "list", "--json"], folder.path());
    let list: Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!(list["source"], "folder");
    assert_eq!(list["plugins"][0]["refused"]["reason"], "the file is empty: copy it again, or build it again");
    assert_eq!(list["plugins"][1]["running"]["version"], "1.2.3");
    let output = dropforge(&["plugin", "list", "--plugins", "plugins"], folder.path());
    assert!(out(&output).contains("csv     1.2.3"), "{output:?}");
    let message = error(&dropforge(&["plugin", "list", "--plugins", "nowhere"], folder.path()));
    assert!(message.contains("cannot list the plugins folder"), "{message}");
}

#[test]
fn a_new_converter_tests_builds_and_loads_as_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugin-sdk");
    let created = out(&dropforge(&["plugin", "new", "in-circuit", "--sdk", sdk.to_str().unwrap()], folder.path()));
    assert!(created.contains("cd in-circuit"), "{created}");
    let krate = folder.path().join("in-circuit");
    // What the workspace has built serves here too: both, dependencies and standard library, take minutes.
    fs::copy(sdk.join("../Cargo.lock"), krate.join("Cargo.lock")).unwrap();
    let target = Path::new(BINARY).parent().unwrap().parent().unwrap();

    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let test = Command::new(cargo).arg("test").current_dir(&krate).env("CARGO_TARGET_DIR", target.join("plugin-new")).output().unwrap();
    assert!(out(&test).contains("3 passed"), "{test:?}");

    let mut build = Command::new(BINARY);
    build.args(["plugin", "build", "in-circuit"]).current_dir(folder.path()).env("CARGO_TARGET_DIR", target);
    let built = build.output().unwrap();
    assert!(out(&built).starts_with("in-circuit.wasm: "), "{built:?}");
    let text = out(&dropforge(&["plugin", "inspect", "in-circuit.wasm"], folder.path()));
    assert!(text.contains("name          in-circuit\n") && text.contains("*.in-circuit"), "{text}");
    // Only the names of functions stay in the module, and nothing of who built it.
    let bytes = fs::read(folder.path().join("in-circuit.wasm")).unwrap();
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("in_circuit") && !holds(".debug_info") && !holds("component-type"));
    assert!(std::env::home_dir().is_none_or(|home| !holds(&format!("{}/.cargo", home.display()))));
}

#[test]
fn what_is_no_converters_crate_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let build = |krate: &str| error(&dropforge(&["plugin", "build", krate], folder.path()));
    assert!(build("nowhere").contains("nowhere holds no Cargo.toml: name the folder of a converter's crate"));
    let manifest = |text: &str| {
        fs::create_dir_all(folder.path().join("x/src")).unwrap();
        fs::write(folder.path().join("x/src/lib.rs"), "").unwrap();
        fs::write(folder.path().join("x/Cargo.toml"), text).unwrap();
    };
    manifest("[workspace]\n");
    assert!(build("x").contains("is no package but a workspace"));
    manifest("[package]\nname = \"plain\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n");
    assert!(build("x").contains("the crate `plain` builds no WebAssembly module: add `crate-type = [\"cdylib\", \"rlib\"]`"));
    assert!(error(&dropforge(&["plugin", "new", "Bad Name"], folder.path())).contains("is no name for a converter"));
}
