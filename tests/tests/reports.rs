//! The converters of reports in the real sandbox: real and realistic files go in, and what comes out is exactly what is kept in
//! `tests/data/golden/`, which the plugins' own tests and eyes have found right. `GOLDEN=write` writes it anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use dropforge_tests::reports::{self, FILES, name_of};
use dropforge_tests::{Setup, data, python_with_packages, wait_for};
use serde_json::Value;

fn route(converter: &str, more: &str) -> String {
    let folder = format!("{{ type = 'folder', path = '{{dir}}/out/{converter}', file_name = '{{name}}.{{report_id}}' }}");
    reports::route(converter, &folder, more)
}

#[test]
fn reports_come_out_of_the_sandbox_as_they_were_found_right() {
    let routes: String = reports::converters().into_iter().map(|converter| route(converter, "")).collect();
    let daemon = Setup::new().plugins(&reports::converters()).config(&routes).start();
    for (converter, file, _) in FILES {
        wait_for("the inbox", || daemon.path(converter).is_dir().then_some(()));
        reports::put_members(&daemon.path(converter), file).unwrap();
        daemon.drop_into(converter, name_of(file), fs::read(data(file)).unwrap());
    }
    let count = FILES.iter().map(|(_, _, count)| count).sum();
    let documents = daemon.wait_for_documents(count);
    assert_eq!(documents.len(), count);
    let mut found: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (name, path) in documents {
        // `a.1.wsjf.json.<report id>`: what the host calls the report, the report calls itself.
        let (name, id) = name.rsplit_once('.').unwrap();
        let bytes = fs::read(path).unwrap();
        let report: Value = serde_json::from_slice(&bytes).unwrap();
        if !name.starts_with("wats/") {
            assert_eq!(report["id"], id, "{name}");
        }
        found.insert(name.to_owned(), bytes);
    }
    let golden = data("golden");
    if std::env::var_os("GOLDEN").is_some_and(|what| what == "write") {
        for (name, bytes) in &found {
            let path = golden.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
    for (name, bytes) in &found {
        let expected = fs::read_to_string(golden.join(name)).unwrap_or_else(|error| panic!("golden/{name}: {error}"));
        assert_eq!(String::from_utf8_lossy(bytes), expected, "{name}");
    }
}

/// A run of 100,000 tests makes a report that is much larger than the memory that the converter may have: steps are written as they are read.
#[test]
fn a_report_of_100_000_steps_needs_no_more_memory_than_a_small_one() {
    const STEPS: usize = 100_000;
    let mut file = String::from("FORMAT;ddmm\nSTART;Programme;P;1;P;O;03/11/2026;08:15:03\nLOT;L\n");
    for index in 0..STEPS {
        let value = if index == 70_000 { 2.0 } else { 0.5 };
        file += &format!("ANL;1;R{};{};{index};Resistor {index};;PASS;{value:e};0.1;1.0;ohm;12 40 ;{index}\n", index / 10, index / 10);
    }
    file += "SN;S1\nBOARDRESULT;FAIL\nEND;FAIL;03/11/2026;08:25:03\n";
    let config = route("spea", "limits = { memory_bytes = 4194304 }").replace("revision", "mode = 'active', revision");
    let daemon = Setup::new().plugins(&["spea"]).config(&config).start();
    wait_for("the inbox", || daemon.path("spea").is_dir().then_some(()));
    daemon.drop_into("spea", "long.csv", &file);
    let documents = daemon.wait_for_documents(1);
    let bytes = fs::read(documents.values().next().unwrap()).unwrap();
    assert!(bytes.len() > 3 * 4_194_304, "{} bytes", bytes.len());
    let report: Value = serde_json::from_slice(&bytes).unwrap();
    let groups = report["root"]["steps"].as_array().unwrap();
    assert_eq!(groups.iter().map(|group| group["steps"].as_array().unwrap().len()).sum::<usize>(), STEPS);
    let failed: Vec<&Value> = groups.iter().filter(|group| group["status"] == "F").collect();
    assert_eq!((failed.len(), &failed[0]["name"], &report["result"]), (1, &"R7000".into(), &"F".into()));
    assert_eq!(report["uut"]["stepIdCausedUUTFailure"], failed[0]["steps"][0]["id"]);
}

/// So do the steps of a TestStand report's main sequence, though what is known of the unit stands before and behind them.
#[test]
fn the_steps_of_a_main_sequence_need_no_memory() {
    const STEPS: usize = 20_000;
    let whole = fs::read_to_string(data("teststand/three-units.xml")).unwrap();
    // The first unit, its first step again and again.
    let at = |text: &str| whole.find(text).unwrap();
    let (begin, next) = (at("<Value ID='[0]'>"), at("<Value ID='[1]'>"));
    let end = next + whole[next..].find("</Report>").unwrap() + "</Report>".len();
    let step = &whole[begin..next];
    let long = format!("{}{}{}</Reports>", &whole[..begin], step.repeat(STEPS), &whole[next..end]);
    let daemon = Setup::new().plugins(&["teststand"]).config(&route("teststand", "limits = { memory_bytes = 4194304 }")).start();
    wait_for("the inbox", || daemon.path("teststand").is_dir().then_some(()));
    daemon.drop_into("teststand", "long.xml", &long);
    let bytes = fs::read(daemon.wait_for_documents(1).values().next().unwrap()).unwrap();
    let report: Value = serde_json::from_slice(&bytes).unwrap();
    assert!(report["root"]["steps"].as_array().unwrap().len() > STEPS && long.len() > 2 * 4_194_304, "{} bytes", long.len());
}

/// Every field of every record of a real lot, as pystdf reads it.
#[test]
fn stdf_records_are_what_pystdf_reads() {
    let lot = data("stdf/lot2.stdf.bz2");
    let expected = python_with_packages("stdf_records.py", &[Path::new(&lot)]);
    let expected = expected.as_array().unwrap();
    let options = "options = { output = 'jsonl' }";
    let config = route("stdf", "").replace("options = { part_number = 'PN-1', revision = 'A', operation_code = 10 }", options);
    let daemon = Setup::new().plugins(&["stdf"]).config(&config.replace(".{report_id}", "")).start();
    wait_for("the inbox", || daemon.path("stdf").is_dir().then_some(()));
    daemon.drop_into("stdf", "lot2.stdf.bz2", fs::read(&lot).unwrap());
    let documents = daemon.wait_for_documents(1);
    let text = fs::read_to_string(documents.values().next().unwrap()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), expected.len()), (58_020, 58_020));
    let mut fields = 0;
    for (line, expected) in lines.iter().zip(expected) {
        let mut ours: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
        assert_eq!(ours.remove("record").as_ref(), Some(&expected["record"]), "{line}");
        ours.remove("offset");
        // Python has numbers of single precision as the double that is nearest to them.
        let single = |value: &Value| value.as_f64().filter(|_| value.is_f64()).map(|value| value as f32);
        for (name, value) in expected["fields"].as_object().unwrap() {
            let found = ours.remove(name).unwrap_or(Value::Null);
            let same = found == *value || single(value).is_some_and(|value| single(&found) == Some(value));
            assert!(same, "{name} is {found} here and {value} there: {line}");
            fields += 1;
        }
        assert!(ours.is_empty(), "pystdf has not {ours:?}: {line}");
    }
    assert!(fields > 700_000, "{fields} fields");
}
