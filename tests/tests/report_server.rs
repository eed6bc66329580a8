//! Reports of several formats on their way to a server that takes reports as the REST interface of WATS does, through an outage and a bad
//! line: afterwards it has exactly those that are expected.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};

use dropforge_tests::receiver::{Answer, Received, Receiver};
use dropforge_tests::reports::{self, FILES, name_of};
use dropforge_tests::{Daemon, Setup, data, files, wait_for};
use serde_json::{Value, json};

/// Why the server refuses a report: what its interface demands, written down here without a look at the schema that the daemon has.
fn refusal(report: &Value) -> Option<String> {
    let text = |at: &Value, key: &str, most: usize| -> Option<String> {
        let length = at[key].as_str().map_or(0, |text| text.chars().count());
        (length == 0 || length > most).then(|| format!("{key}: 1 to {most} characters are needed, there are {length}"))
    };
    let header = ["id", "location", "machineName", "pn", "purpose", "rev", "sn"];
    if let Some(wrong) = header.into_iter().find_map(|key| text(report, key, 100)) {
        return Some(wrong);
    }
    if !report["processCode"].is_i64() || !["P", "F", "E", "T"].iter().any(|result| report["result"] == *result) {
        return Some("processCode or result".into());
    }
    let instant = |key: &str| report[key].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    if instant("start").is_none() || instant("start") != instant("startUTC") {
        return Some("start and startUTC are not the same instant".into());
    }
    match report["type"].as_str() {
        Some("T") if report["root"].is_object() && report["uut"].is_object() => step_refusal(&report["root"]),
        Some("R") if report["uur"].is_object() && report["subUnits"].as_array().is_some_and(|units| !units.is_empty()) => None,
        _ => Some("type: T needs root and uut, R needs uur and subUnits".into()),
    }
}

fn step_refusal(step: &Value) -> Option<String> {
    let name = step["name"].as_str().unwrap_or_default();
    let wrong = |what: String| Some(format!("step `{name}`: {what}"));
    if name.is_empty() || name.chars().count() > 100 {
        return wrong("name: 1 to 100 characters are needed".into());
    }
    let one_of = |key: &str, values: &[&str]| values.iter().any(|value| step[key] == *value);
    if !one_of("group", &["S", "M", "C"]) || !one_of("status", &["P", "F", "S", "D", "E", "T"]) {
        return wrong("group or status".into());
    }
    let measured = step["numericMeas"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (kind, key) in [("ET_NLT", "numericMeas"), ("ET_PFT", "booleanMeas"), ("ET_SVT", "stringMeas")] {
        // Real reports have such steps without any, too: those that stand for a loop.
        if step["stepType"] == kind && step[key].as_array().is_some_and(|all| all.len() > 1) {
            return wrong(format!("{kind} has more than one {key}"));
        }
    }
    for measurement in measured {
        let limits = ["lowLimit", "highLimit"].map(|limit| !measurement[limit].is_null());
        let fits = match measurement["compOp"].as_str() {
            Some("LOG") => true,
            Some("EQ" | "NE" | "LT" | "LE" | "GT" | "GE" | "EQT" | "CASESENSIT" | "IGNORECASE") => limits[0] || limits[1],
            Some("GTLT" | "GTLE" | "GELT" | "GELE" | "LTGT" | "LTGE" | "LEGT" | "LEGE") => limits[0] && limits[1],
            _ => false,
        };
        if !fits {
            return wrong(format!("limits of {}", measurement["compOp"]));
        }
    }
    step["steps"].as_array().into_iter().flatten().find_map(step_refusal)
}

/// What the server has stored, by id: the same id again overwrites.
type Stored = Arc<Mutex<BTreeMap<String, (String, usize)>>>;

/// Takes reports, and now and then loses the answer, or answers that it is busy.
fn take(stored: &Stored) -> impl FnMut(&Received) -> Answer + Send + use<> {
    let (stored, mut count) = (Arc::clone(stored), 0);
    move |received| {
        count += 1;
        if count % 5 == 2 {
            return Answer::status(503);
        }
        let Ok(report) = serde_json::from_str::<Value>(&received.body) else {
            return Answer::Status(400, Vec::new(), "this is not JSON".into());
        };
        if let Some(refusal) = refusal(&report) {
            return Answer::Status(400, Vec::new(), format!("The report is not valid. {refusal}"));
        }
        let id = report["id"].as_str().unwrap().to_owned();
        let mut stored = stored.lock().unwrap();
        let times = stored.get(&id).map_or(0, |(_, times)| *times) + 1;
        stored.insert(id, (received.body.clone(), times));
        // It has the report, and the sender does not hear of it.
        if count % 7 == 3 { Answer::Drop } else { Answer::Kept }
    }
}

fn route(converter: &str, receiver: &Receiver) -> String {
    let server = format!("{{ type = 'http', url = '{}/api/Report/WSJF', method = 'POST' }}", receiver.url());
    // So that it is this server that refuses what is wrong.
    reports::route(converter, &server, "on_invalid = 'warn'")
}

fn put(daemon: &Daemon, converter: &str, name: &str, content: &[u8]) {
    wait_for("the inbox", || daemon.path(converter).is_dir().then_some(()));
    daemon.drop_into(converter, name, content);
}

#[test]
fn a_server_has_exactly_the_expected_reports_after_an_outage() {
    let mut receiver = Receiver::down();
    let stored = Stored::default();
    receiver.behave(take(&stored));
    let mut config = String::from("[http]\nread_timeout_seconds = 5.0\n");
    config.extend(reports::converters().into_iter().map(|converter| route(converter, &receiver)));
    config.push_str(&route("misbehave", &receiver));
    let mut plugins = reports::converters();
    plugins.push("misbehave");
    let daemon = Setup::new().plugins(&plugins).config(&config).start();

    // The server is down: the reports wait, and their files are settled all the same.
    for (converter, file, _) in FILES {
        reports::put_members(&daemon.path(converter), file).unwrap();
        put(&daemon, converter, name_of(file), &fs::read(data(file)).unwrap());
    }
    for (converter, file, _) in FILES {
        let name = name_of(file);
        wait_for("the source to be settled", || {
            files(&daemon.path(converter)).keys().any(|path| path.starts_with("done/") && path.ends_with(name)).then_some(())
        });
    }
    assert!(stored.lock().unwrap().is_empty());
    assert!(!daemon.spooled().is_empty());

    receiver.start();
    let expected: BTreeMap<String, String> = reports::converters()
        .into_iter()
        .flat_map(|converter| files(&data("golden").join(converter)).into_values())
        .map(|path| fs::read_to_string(path).unwrap())
        .map(|report| (serde_json::from_str::<Value>(&report).unwrap()["id"].as_str().unwrap().to_owned(), report))
        .collect();
    wait_for("every report to be at the server", || (stored.lock().unwrap().len() == expected.len()).then_some(()));
    wait_for("the spool to be empty", || daemon.spooled().is_empty().then_some(()));
    let has = |stored: &Stored| -> BTreeMap<String, String> {
        stored.lock().unwrap().iter().map(|(id, (body, _))| (id.clone(), body.clone())).collect()
    };
    assert_eq!(has(&stored), expected);
    assert!(stored.lock().unwrap().values().any(|(_, times)| *times > 1), "no answer was lost, so that no report came twice");

    // What the server refuses comes once, and its words are kept.
    let long = json!({ "id": "1", "type": "T", "pn": "x".repeat(101) });
    put(&daemon, "misbehave", "report.long.mis", long.to_string().as_bytes());
    wait_for("the refused report to be given up", || (daemon.metric("dead_letters{route=\"misbehave\"}") == Some(1.0)).then_some(()));
    let id = daemon.job("report.long.mis").unwrap()["id"].as_str().unwrap().to_owned();
    let job = daemon.json(&format!("/api/v1/jobs/{id}"));
    assert!(job.to_string().contains("location: 1 to 100 characters are needed, there are 0"), "{job}");

    // The same files once more, with another name: the same reports, so they overwrite.
    let before: usize = stored.lock().unwrap().values().map(|(_, times)| times).sum();
    let again = fs::read(data("wats/new_report_example.json")).unwrap();
    put(&daemon, "wats", "again.json", &again);
    wait_for("it to come again", || (stored.lock().unwrap().values().map(|(_, times)| times).sum::<usize>() > before).then_some(()));
    wait_for("its job to be settled", || daemon.job("again.json").filter(|job| job["state"] == "settled"));
    assert_eq!(has(&stored), expected);
}
