//! Plugins that appear, change, break and leave while the daemon works.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;

use dropforge_tests::{Daemon, Setup, misbehave, plugin, run, target_folder, wait_for};
use serde_json::{Value, json};

/// The version that the guest gives itself.
fn version(letters: &str) -> String {
    format!("1.0.0-release.{letters}")
}

/// What `dropforge plugin list --json` says of a file, asked of the running daemon.
fn listed(daemon: &Daemon, file: &str) -> (Value, String) {
    let config = format!("health_port = {}\n", daemon.health_port());
    fs::write(daemon.path("list.toml"), config).unwrap();
    let folder = daemon.path("");
    let (code, answer, errors) = run(&folder, &["plugin", "list", "-c", "list.toml", "--json"]);
    assert_eq!(code, 0, "{errors}");
    let list: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(list["source"], "daemon", "{list:#}");
    let found = list["plugins"].as_array().unwrap().iter().find(|plugin| plugin["file"] == file).cloned();
    let (code, table, errors) = run(&folder, &["plugin", "list", "-c", "list.toml"]);
    assert_eq!(code, 0, "{errors}");
    (found.unwrap_or_default(), table)
}

/// The version that made a document of `echo`.
fn made_by(daemon: &Daemon, name: &str) -> String {
    daemon.wait_for_settled("done", name);
    daemon.wait_for_job(name, "settled");
    let echo = |path: &std::path::PathBuf| -> Option<Value> {
        let document: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        (document["name"] == name).then_some(document)
    };
    let document = daemon.documents().values().find_map(echo).unwrap_or_else(|| panic!("no document says that it is of {name}"));
    document["version"].as_str().unwrap().to_owned()
}

#[test]
fn a_plugin_comes_changes_and_leaves_while_files_flow() {
    let daemon = Setup::new()
        .config(
            "[[routes]]\nname = 'named'\nconverter = 'misbehave'\nintake = { path = '{dir}/in' }\n\
             destinations = [{ type = 'folder', path = '{dir}/out' }]\n",
        )
        .start();
    // Without a converter: alive, not ready, and files wait.
    assert_eq!(daemon.get("/health/live").0, 200);
    let (status, body) = daemon.get("/health/ready");
    assert!(status == 503 && body.contains("no converter is loaded"), "{status} {body}");
    daemon.drop_file("echo.early.mis", "x");
    daemon.wait_for_job("echo.early.mis", "converter");
    daemon.assert_metric("queue_waiting{queue_name=\"converter_queue\",reason=\"converter\"}", 1.0);

    daemon.drop_plugin("misbehave.wasm", misbehave("AAAA"));
    assert_eq!(made_by(&daemon, "echo.early.mis"), version("AAAA"));
    assert_eq!(daemon.get("/health/ready").0, 200);
    daemon.assert_metric("plugin_loads_total{result=\"loaded\"}", 1.0);

    daemon.drop_plugin("misbehave.wasm", misbehave("BBBB"));
    daemon.wait_for_version("misbehave.wasm", &version("BBBB"));
    daemon.drop_file("echo.second.mis", "x");
    assert_eq!(made_by(&daemon, "echo.second.mis"), version("BBBB"));
    daemon.assert_metric_sum("plugin_info", &version("BBBB"), 1.0);
    daemon.assert_metric_sum("plugin_info", &version("AAAA"), 0.0);

    // The same bytes again, under a new time: nothing is loaded.
    daemon.drop_plugin("misbehave.wasm", misbehave("BBBB"));
    wait_for("the unchanged plugin to be noticed", || {
        daemon.metric("plugin_loads_total{result=\"unchanged\"}").filter(|count| *count >= 1.0)
    });
    daemon.assert_metric("plugin_loads_total{result=\"loaded\"}", 2.0);

    // Gone: files wait, and go on when it is back.
    fs::remove_file(daemon.path("plugins/misbehave.wasm")).unwrap();
    wait_for("the plugin to be unloaded", || daemon.plugin_status("misbehave.wasm").is_none().then_some(()));
    daemon.assert_metric("plugin_loads_total{result=\"unloaded\"}", 1.0);
    for number in 0..5 {
        daemon.drop_file(&format!("echo.waiting-{number}.mis"), "x");
    }
    wait_for("five jobs to wait", || {
        daemon.metric("queue_waiting{queue_name=\"converter_queue\",reason=\"converter\"}").filter(|waiting| *waiting == 5.0)
    });
    assert_eq!(daemon.get("/health/ready").0, 503);
    assert_eq!(daemon.documents().len(), 2);
    daemon.drop_plugin("misbehave.wasm", misbehave("CCCC"));
    for number in 0..5 {
        assert_eq!(made_by(&daemon, &format!("echo.waiting-{number}.mis")), version("CCCC"));
    }
    daemon.assert_all_converted(&[]);
    assert_eq!(daemon.documents().len(), 7);
}

#[test]
fn a_broken_plugin_leaves_the_running_version_in_place() {
    let daemon = Setup::new().plugins(&["misbehave"]).start();
    let whole = misbehave("AAAA");
    let broken: [(&str, Vec<u8>); 4] = [
        ("truncated", whole[..whole.len() / 2].to_vec()),
        ("text", b"this is no plugin\n".to_vec()),
        ("empty", Vec::new()),
        // A component of nothing: well-formed, and no converter.
        ("foreign", b"\0asm\x0d\0\x01\0".to_vec()),
    ];
    let mut shown_at = Value::Null;
    for (number, (what, content)) in broken.iter().enumerate() {
        daemon.drop_plugin("misbehave.wasm", content);
        let refusals = (number + 1) as f64;
        wait_for(&format!("the {what} plugin to be refused"), || {
            daemon.metric("plugin_loads_total{result=\"refused\"}").filter(|count| *count >= refusals)
        });
        let status = wait_for("the refusal to be shown", || {
            daemon
                .plugin_status("misbehave.wasm")
                .filter(|status| status["refused"]["at"].is_string() && status["refused"]["at"] != shown_at)
        });
        shown_at = status["refused"]["at"].clone();
        let reason = status["refused"]["reason"].as_str().unwrap_or_else(|| panic!("{what}: {status:#}"));
        assert!(!reason.is_empty());
        assert_eq!(status["running"]["version"], version("AAAA"), "{what}");
        let (listed, table) = listed(&daemon, "misbehave.wasm");
        assert_eq!(listed, status, "{what}");
        assert!(table.contains(&format!("running version {}; the file as it is now is refused: ", version("AAAA"))), "{table}");
        assert!(daemon.log().contains(&format!("the version that ran goes on: {reason}")), "{what}: {reason}");

        // It still converts, and the daemon is ready.
        daemon.drop_file(&format!("echo.{what}.mis"), "x");
        assert_eq!(made_by(&daemon, &format!("echo.{what}.mis")), version("AAAA"));
        assert_eq!(daemon.get("/health/ready").0, 200);
    }

    // A broken file beside the good one is reported for itself.
    daemon.drop_plugin("other.wasm", b"\0asm nonsense");
    let other = wait_for("the other plugin to be refused", || daemon.plugin_status("other.wasm"));
    assert!(other["running"].is_null() && other["refused"]["reason"].is_string(), "{other:#}");

    // One of the same name is refused, as long as the first is there.
    daemon.drop_plugin("twin.wasm", misbehave("TTTT"));
    let twin = wait_for("the twin to be refused", || daemon.plugin_status("twin.wasm"));
    assert!(twin["refused"]["reason"].as_str().unwrap().contains("misbehave.wasm"), "{twin:#}");
    fs::remove_file(daemon.path("plugins/misbehave.wasm")).unwrap();
    daemon.wait_for_version("twin.wasm", &version("TTTT"));

    // Mended.
    fs::remove_file(daemon.path("plugins/twin.wasm")).unwrap();
    daemon.drop_plugin("misbehave.wasm", misbehave("DDDD"));
    daemon.wait_for_version("misbehave.wasm", &version("DDDD"));
    daemon.drop_file("echo.mended.mis", "x");
    assert_eq!(made_by(&daemon, "echo.mended.mis"), version("DDDD"));
    daemon.assert_all_converted(&[]);
}

#[test]
fn jobs_in_flight_finish_on_the_version_they_began_with() {
    let daemon = Setup::new().plugins(&["misbehave"]).start();
    // Both versions are compiled once, so that the swaps below are quick.
    daemon.drop_plugin("misbehave.wasm", misbehave("BBBB"));
    daemon.wait_for_version("misbehave.wasm", &version("BBBB"));

    // How long the work takes depends on the machine: it is made longer until the plugin was replaced within it.
    let (mut steps, mut from, mut to) = (100_000_000_u64, "BBBB", "AAAA");
    loop {
        let name = format!("work.{steps}.mis");
        daemon.drop_file(&name, steps.to_string());
        daemon.wait_for_job_that(&name, |job| job["state"] != "queued");
        daemon.drop_plugin("misbehave.wasm", misbehave(to));
        daemon.wait_for_version("misbehave.wasm", &version(to));
        let in_flight = daemon.job(&name).unwrap()["state"] == "running";
        let job = daemon.wait_for_job(&name, "settled");
        assert_eq!(job["outcome"], "converted", "{job:#}");
        if in_flight {
            assert_eq!(job["plugin_version"], version(from), "{job:#}");
            break;
        }
        assert!(steps < 1 << 40, "work of {steps} steps is over before a plugin is replaced");
        (steps, from, to) = (steps * 4, to, from);
    }
    // What came after it runs on the new one.
    daemon.drop_file("echo.after.mis", "x");
    assert_eq!(made_by(&daemon, "echo.after.mis"), version(to));
}

#[test]
fn hundreds_of_files_outlive_a_plugin_that_is_replaced_again_and_again() {
    const FILES: usize = 300;
    let daemon = Setup::new().plugins(&["misbehave"]).start();
    let versions: Vec<String> = (b'E'..=b'H').map(|letter| String::from(char::from(letter)).repeat(4)).collect();
    std::thread::scope(|scope| {
        let replacing = scope.spawn(|| {
            for letters in &versions {
                daemon.drop_plugin("misbehave.wasm", misbehave(letters));
                daemon.wait_for_version("misbehave.wasm", &version(letters));
            }
        });
        let mut number = 0;
        // Files flow as long as plugins change, and there are hundreds in any case.
        while number < FILES || !replacing.is_finished() {
            daemon.drop_file(&format!("echo.{number}.mis"), number.to_string());
            number += 1;
            if number >= FILES {
                // No more than the daemon settles meanwhile.
                daemon.wait_for_documents(number - 50);
            }
        }
        replacing.join().unwrap();
        let documents = daemon.wait_for_documents(number);
        wait_for("every source to be settled", || (dropforge_tests::files(&daemon.path("in/done")).len() == number).then_some(()));
        // Each file once, each with its own content, and by several versions.
        let echoes: Vec<Value> = documents.values().map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).collect();
        assert_eq!(echoes.len(), number);
        let texts: BTreeSet<String> = echoes.iter().map(|echo| echo["text"].as_str().unwrap().to_owned()).collect();
        assert_eq!(texts, (0..number).map(|number| number.to_string()).collect());
        let versions: BTreeSet<&str> = echoes.iter().map(|echo| echo["version"].as_str().unwrap()).collect();
        assert!(versions.len() > 1, "only {versions:?} converted anything");
        daemon.assert_metric("conversions_total{converter=\"misbehave\",status=\"success\"}", number as f64);
        for status in ["error", "partial", "skipped", "rejected"] {
            let series = format!("conversions_total{{converter=\"misbehave\",status=\"{status}\"}}");
            assert_eq!(daemon.metric(&series).unwrap_or(0.0), 0.0, "{status}");
        }
        assert_eq!(daemon.metric("conversions_total{converter=\"none\",status=\"error\"}").unwrap_or(0.0), 0.0);
    });
}

#[test]
fn a_core_module_straight_from_cargo_is_wrapped_at_load() {
    // What `cargo build` left before `dropforge plugin build` made a component of it.
    let module = target_folder().join("wasm-plugin/wasm32-unknown-unknown/release/misbehave.wasm");
    assert!(module.exists(), "cargo has left no {}: run `cargo xtask test`", module.display());
    let module = fs::read(module).unwrap();
    assert_eq!(module[..8], *b"\0asm\x01\0\0\0", "it is no core module");
    assert_eq!(fs::read(plugin("misbehave")).unwrap()[..8], *b"\0asm\x0d\0\x01\0", "the built plugin is no component");

    let daemon = Setup::new().start();
    daemon.drop_plugin("module.wasm", &module);
    daemon.wait_for_version("module.wasm", &version("AAAA"));
    daemon.drop_file("echo.wrapped.mis", "straight from cargo");
    assert_eq!(made_by(&daemon, "echo.wrapped.mis"), version("AAAA"));
}

#[test]
fn a_file_that_nobody_took_is_converted_once_a_plugin_for_it_is_there() {
    let daemon = Setup::new().plugins(&["csv"]).start();
    daemon.drop_file("line-3/echo.orphan.mis", "nobody's");
    let sidecar = daemon.wait_for_sidecar("echo.orphan.mis");
    assert_eq!(sidecar["error_type"], "no_converter");
    assert_eq!(sidecar["candidates"][0]["converter"], "csv");
    daemon.assert_metric_sum("dead_letters", "route=\"default\"", 1.0);

    daemon.drop_plugin("misbehave.wasm", misbehave("AAAA"));
    let done = daemon.wait_for_settled("done", "echo.orphan.mis");
    assert!(done.ends_with("line-3/echo.orphan.mis"), "{}", done.display());
    let failed: Vec<String> = dropforge_tests::files(&daemon.path("in/failed")).into_keys().collect();
    assert_eq!(failed, [""; 0], "source and sidecar leave `failed`");
    let document: Value = serde_json::from_slice(&fs::read(daemon.wait_for_document("echo.json")).unwrap()).unwrap();
    assert_eq!(document["path"], json!("line-3/echo.orphan.mis"));
    daemon.assert_metric_sum("dead_letters", "route=\"default\"", 0.0);
}
