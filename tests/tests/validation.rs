//! Documents whose media type has a published schema are checked before anybody gets them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;
use std::process::Command;

use dropforge_tests::{Daemon, Setup, dropforge, files, plugin, wait_for};
use serde_json::{Value, json};

fn daemon() -> Daemon {
    let mut config = String::from("workers = 2\nsuspension = { after_failures = 0 }\n");
    for (name, setting) in [("fails", ""), ("warns", "on_invalid = 'warn'\n"), ("ignores", "on_invalid = 'ignore'\n")] {
        config.push_str(&format!(
            "[[routes]]\nname = '{name}'\nconverter = 'misbehave'\nintake = {{ path = '{{dir}}/in/{name}', create = true }}\n\
             destinations = [{{ type = 'folder', path = '{{dir}}/out/{name}' }}]\n{setting}"
        ));
    }
    Setup::new().plugins(&["misbehave"]).config(&config).start()
}

/// A report of a test with this many measurements.
fn report(measurements: usize) -> Value {
    let steps: Vec<Value> = (0..measurements)
        .map(|number| {
            json!({ "id": number + 1, "group": "M", "stepType": "ET_NLT", "name": format!("step {number}"), "status": "P",
                    "numericMeas": [{ "compOp": "GELE", "status": "P", "value": 1.5, "unit": "V", "lowLimit": 1, "highLimit": 2 }] })
        })
        .collect();
    json!({
        "id": "d6b2b8a0-3c53-4a5c-9f11-8f6f3f7a9c01", "type": "T", "pn": "P1", "sn": "S1", "rev": "A", "processCode": 10, "result": "P",
        "machineName": "ict-3", "location": "Line 3", "purpose": "test", "start": "2026-11-23T08:00:00.000+01:00",
        "startUTC": "2026-11-23T07:00:00.000Z",
        "root": { "group": "M", "stepType": "SequenceCall", "name": "MainSequence Callback", "status": "P",
                  "seqCall": { "path": "a.seq", "name": "a.seq", "version": "1.0" }, "steps": steps },
        "uut": { "user": "anna" },
    })
}

fn broken() -> Value {
    let mut report = report(4);
    report["root"]["steps"][2]["name"] = json!("x".repeat(101));
    report
}

/// Drops a file that has never been there, and gives the job once it has ended.
fn put(daemon: &Daemon, route: &str, name: &str, report: &Value) -> Value {
    let file = format!("report.{name}.mis");
    fs::write(daemon.path("unseen"), report.to_string()).unwrap();
    fs::rename(daemon.path("unseen"), daemon.path(&format!("in/{route}/{file}"))).unwrap();
    let settled = wait_for("the job to be settled", || daemon.job(&file).filter(|job| job["state"] == "settled"));
    daemon.json(&format!("/api/v1/jobs/{}", settled["id"].as_str().unwrap()))
}

#[test]
fn a_report_that_does_not_fit_its_schema_fails_with_the_place_or_warns_as_configured() {
    let daemon = daemon();
    assert_eq!(put(&daemon, "fails", "good", &report(4))["outcome"], "converted");
    assert_eq!(files(&daemon.path("out/fails")).len(), 1);

    let failed = put(&daemon, "fails", "broken", &broken());
    assert_eq!((&failed["outcome"], &failed["error_type"]), (&json!("failed"), &json!("bad_output")), "{failed}");
    assert_eq!(files(&daemon.path("out/fails")).len(), 1, "it goes nowhere");
    assert!(failed.to_string().contains("at /root/steps/2/name: value is longer than 100 characters"), "{failed}");
    daemon.assert_metric("conversion_errors_total{converter=\"misbehave\",error_type=\"bad_output\"}", 1.0);
    daemon.assert_metric("conversions_total{converter=\"misbehave\",status=\"success\"}", 1.0);

    // The same bytes again on other routes: a result that is kept does not change what a route says.
    let warned = put(&daemon, "warns", "warned", &broken());
    assert_eq!(warned["outcome"], "converted", "{warned}");
    assert!(warned.to_string().contains("/root/steps/2/name"), "{warned}");
    let ignored = put(&daemon, "ignores", "ignored", &broken());
    assert_eq!(ignored["outcome"], "converted", "{ignored}");
    assert!(!ignored.to_string().contains("/root/steps/2/name"), "{ignored}");
    assert_eq!((files(&daemon.path("out/warns")).len(), files(&daemon.path("out/ignores")).len()), (1, 1));
}

/// A report with a hundred thousand steps is checked to its last one.
#[test]
fn a_large_report_is_checked_to_its_end() {
    let daemon = daemon();
    let mut large = report(100_000);
    assert_eq!(put(&daemon, "fails", "large", &large)["outcome"], "converted");
    large["root"]["steps"][99_999]["status"] = json!("X");
    let failed = put(&daemon, "fails", "wrong", &large);
    assert_eq!(failed["error_type"], "bad_output", "{failed}");
    assert!(failed.to_string().contains("at /root/steps/99999/status: "), "{failed}");
}

#[test]
fn the_command_checks_what_it_writes() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("report.mis");
    let convert = || {
        let converter = plugin("misbehave");
        Command::new(dropforge())
            .arg("convert")
            .arg(&input)
            .arg("--converter")
            .arg(converter)
            .arg("-o")
            .arg(folder.path().join("out"))
            .output()
            .unwrap()
    };
    fs::write(&input, report(2).to_string()).unwrap();
    assert!(convert().status.success());
    assert_eq!(files(&folder.path().join("out")).len(), 1);
    fs::write(&input, broken().to_string()).unwrap();
    let refused = convert();
    let says = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{says}");
    assert!(says.contains("at /root/steps/2/name: "), "{says}");
    assert_eq!(files(&folder.path().join("out")).len(), 1);
}
