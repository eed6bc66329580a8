//! What would come of files, without delivering or moving any: `dropforge convert --route`, and routes with `dry_run`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;

use dropforge_tests::{Setup, files, run, wait_for};
use serde_json::Value;

const CONFIG: &str = "
plugins_dir = '{dir}/plugins'
station = 'ict-3'
[[routes]]
name = 'ict'
timezone = 'Europe/Oslo'
context = { line = '{dir1}' }
options = { misbehave = { greeting = 'hello' } }
intake = { path = '{dir}/in' }
destinations = [{ type = 'folder', path = '{dir}/out' }]
[[routes]]
name = 'sheets'
converter = 'csv'
options = { header = false }
intake = { path = '{dir}/sheets' }
destinations = [{ type = 'folder', path = '{dir}/out' }]
";

#[test]
fn a_file_is_converted_once_as_its_route_would() {
    let setup = Setup::new().plugins(&["csv", "misbehave"]);
    let here = setup.path("");
    fs::write(here.join("dropforge.toml"), CONFIG.replace("{dir}", here.to_str().unwrap())).unwrap();
    fs::create_dir_all(here.join("in/line7")).unwrap();
    fs::write(here.join("in/line7/echo.1.mis"), "x").unwrap();
    fs::write(here.join("echo.1.mis"), "x").unwrap();
    let convert = |arguments: &[&str]| run(&here, &[&["convert", "-c", "dropforge.toml", "-o", "-"], arguments].concat());
    let echo = |file: &str, more: &[&str]| -> Value {
        let (code, output, errors) = convert(&[&[file, "--route", "ict"], more].concat());
        assert_eq!(code, 0, "{errors}");
        serde_json::from_str(&output).unwrap()
    };
    // In the inbox it has the path, and what follows from it, that the daemon would give it; elsewhere its name.
    let inside = echo("in/line7/echo.1.mis", &[]);
    assert_eq!((&inside["path"], &inside["options"]["greeting"]), (&"line7/echo.1.mis".into(), &"hello".into()), "{inside}");
    let attributes = |value: &Value| value["attributes"].to_string();
    for (name, value) in [("line", "line7"), ("route", "ict"), ("station", "ict-3"), ("timezone", "Europe/Oslo")] {
        assert!(attributes(&inside).contains(name) && attributes(&inside).contains(value), "{name}: {inside}");
    }
    let outside = echo("echo.1.mis", &["--option", "greeting=you"]);
    assert_eq!((&outside["path"], &outside["options"]["greeting"]), (&"echo.1.mis".into(), &"you".into()), "{outside}");
    assert!(!attributes(&outside).contains("line7"));

    // Where the route names its converter, that one is taken, with the route's options.
    fs::write(here.join("table.txt"), "a,b\nc,d\n").unwrap();
    let (code, output, errors) = convert(&["table.txt", "--route", "sheets"]);
    assert_eq!((code, output.lines().count()), (0, 2), "{output}{errors}");
    let (code, _, errors) = convert(&["table.txt", "--route", "sheet"]);
    assert!(code == 2 && errors.contains("no route `sheet` (there: ict, sheets)"), "{errors}");
    let (code, _, errors) = convert(&["table.txt", "--route", "ict", "--converter", "csv"]);
    assert!(code == 2 && errors.contains("cannot be used with"), "{errors}");
    assert!(files(&here.join("in")).len() == 1 && here.join("table.txt").exists());
}

#[test]
fn a_route_on_trial_delivers_and_moves_nothing_and_then_does_all_of_it() {
    let trial = "
[[routes]]
name = 'default'
dry_run = true
intake = { path = '{dir}/in', rescan_seconds = 0.1 }
destinations = [{ type = 'folder', path = '{dir}/out' }]
";
    let mut daemon = Setup::new().plugins(&["csv", "misbehave"]).config(trial).start();
    daemon.drop_file("good.csv", "x\n1\n");
    daemon.drop_file("panic.1.mis", "");
    let good = daemon.wait_for_job("good.csv", "settled");
    daemon.wait_for_job("panic.1.mis", "settled");
    let inbox = files(&daemon.path("in"));
    assert_eq!(inbox.keys().collect::<Vec<_>>(), ["good.csv", "panic.1.mis"], "nothing was moved, and no sidecar written");
    assert!(daemon.documents().is_empty());
    wait_for("an empty spool", || daemon.spooled().is_empty().then_some(()));
    // What would have come of them is in the history.
    assert_eq!(daemon.job("panic.1.mis").unwrap()["error_type"], "trap");
    let shown = daemon.json(&format!("/api/v1/jobs/{}", good["id"].as_str().unwrap()));
    assert_eq!((&shown["made"][0]["name"], &shown["detail"]["dry_run"]), (&"good.jsonl".into(), &true.into()), "{shown}");
    assert!(shown["deliveries"].as_array().unwrap().is_empty(), "{shown}");
    let (_, list, _) = daemon.command(&["route", "list"]);
    assert!(list.contains("dry run"), "{list}");
    // Nor is it done again and again.
    daemon.assert_metric("conversions_total{converter=\"csv\",status=\"success\"}", 1.0);

    daemon.terminate();
    let daemon = daemon.restart(|setup| setup.config(&trial.replace("dry_run = true", "")));
    daemon.wait_for_document("good.jsonl");
    daemon.wait_for_settled("done", "good.csv");
    daemon.wait_for_settled("failed", "panic.1.mis");
}
