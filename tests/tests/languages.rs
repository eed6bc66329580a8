//! Converters in Python and JavaScript, whose runtimes import most of WASI: the same file gives the same bytes, whatever the guest asks for,
//! unless the configuration allows it more.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;
use std::path::Path;

use dropforge_tests::{Daemon, Setup, files, plugin_if_built, wait_for};
use serde_json::{Value, json};

const MEASUREMENTS: &str = "name,value,low,high,unit\nsupply,5.02,4.9,5.1,V\nload,1.5,0,1,A\n";

/// Two routes to one converter, without a cache between them: every file is converted. The guest puts a random id and the time into what it
/// makes.
fn daemon(guest: &str, path: &Path, converter: &str, more: &str) -> Daemon {
    let route = |name: &str| {
        format!(
            "[[routes]]\nname = '{name}'\nconverter = '{converter}'\nintake = {{ path = '{{dir}}/{name}', create = true }}\n\
             options = {{ stamp = true }}\ndestinations = [{{ type = 'folder', path = '{{dir}}/out-{name}' }}]\n"
        )
    };
    let config = format!("result_cache = {{ enabled = false }}\n{more}\n{}{}", route("first"), route("second"));
    let setup = Setup::new().config(&config);
    fs::copy(path, setup.path("plugins").join(format!("{guest}.wasm"))).unwrap();
    let daemon = setup.start();
    // Compiling a language's runtime takes longer than the first look at the folder.
    daemon.wait_for_version(&format!("{guest}.wasm"), "1.0.0");
    daemon
}

/// What each of the two routes makes of the same file.
fn both(daemon: &Daemon) -> [Vec<u8>; 2] {
    ["first", "second"].map(|route| {
        daemon.drop_into(route, "panel-7.meas.csv", MEASUREMENTS);
        let out = daemon.path(&format!("out-{route}"));
        let document = wait_for("the report", || files(&out).into_iter().find(|(name, _)| name.starts_with("panel-7")));
        fs::read(document.1).unwrap()
    })
}

fn check(guest: &str, converter: &str) {
    let Some(path) = plugin_if_built(guest) else { return };
    let plain = daemon(guest, &path, converter, "");
    let [first, second] = both(&plain);
    assert_eq!(String::from_utf8_lossy(&first), String::from_utf8_lossy(&second));
    let report: Value = serde_json::from_slice(&first).unwrap();
    assert_eq!((&report["source"], &report["passed"]), (&json!("panel-7.meas.csv"), &json!(false)), "{report:#}");
    assert_eq!(report["measurements"][0]["value"], 5.02);
    assert!(report["converted"].as_str().unwrap().starts_with("1970-01-01T00:00:00"), "{report:#}");
    assert_eq!(report["id"].as_str().unwrap().len(), 36);

    // An error has its kind and its place in every language.
    plain.drop_into("first", "broken.meas.csv", "name,value,low,high,unit\nsupply,5.02,4.9,high,V\n");
    let sidecar = plain.wait_for_sidecar_in("first", "broken.meas.csv");
    assert_eq!((&sidecar["error_type"], &sidecar["error"]["at"]["line"]), (&json!("validation"), &json!(2)), "{sidecar:#}");
    // What is compiled already is used again.
    let state = plain.path("state/compiled");
    let compiled = files(&state).len();
    let setup = plain.into_setup();

    // What is granted is real.
    let granted = format!("[plugins.{converter}]\nallow = ['clocks', 'random']\n");
    let config = fs::read_to_string(setup.path("dropforge.toml")).unwrap().replacen("[[routes]]", &format!("{granted}[[routes]]"), 1);
    for route in ["first", "second"] {
        fs::remove_dir_all(setup.path(&format!("out-{route}"))).unwrap();
        fs::create_dir(setup.path(&format!("out-{route}"))).unwrap();
        fs::remove_dir_all(setup.path(route)).unwrap();
    }
    let real = setup.config(&config).start();
    let [first, second] = both(&real).map(|bytes| serde_json::from_slice::<Value>(&bytes).unwrap());
    assert_ne!(first["id"], second["id"]);
    assert!(first["converted"].as_str().unwrap().starts_with("20"), "{first:#}");
    assert_eq!(files(&state).len(), compiled, "other grants need no other code");
}

#[test]
fn a_guest_in_python_is_deterministic() {
    check("python-guest", "measurements-py");
}

#[test]
fn a_guest_in_javascript_is_deterministic() {
    check("js-guest", "measurements-js");
}
