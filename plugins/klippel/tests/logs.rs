//! Real logs: a header and the tables beside it. What they hold was counted with a script: `tests/data/SOURCES.md`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use dropforge_plugin_klippel::Klippel;
use dropforge_report_checks::{data, measurements, options, prefixes, reports, steps};
use dropforge_sdk::ErrorType;
use dropforge_sdk::testkit::{self, Conversion, TestInput};
use serde_json::{Value, json};

const FAILED: &str = "DUT xyz115 2020-05-14 10-01-37-5 UTC+0200";
const PASSED: &str = "DUT xyz116 2020-05-14 10-02-51-3 UTC+0200";
const TABLES: [&str; 6] =
    ["Impedance-imp", "Impedance-values", "Sound Pressure-rbz", "Sound Pressure-resp", "Sound Pressure-thd", "Sound Pressure-values"];

/// A test with its tables, each changed.
fn input(name: &str, mut change: impl FnMut(&str, Vec<u8>) -> Option<Vec<u8>>) -> TestInput {
    let mut read = |file: &str, path: String| change(file, data(&path));
    let header = read("", format!("klippel/{name}.txt")).unwrap();
    TABLES.iter().fold(TestInput::new(format!("{name}.txt"), header), |input, table| {
        match read(table, format!("klippel/{name}/{table}.txt")) {
            Some(bytes) => input.member(format!("{name}/{table}.txt"), bytes),
            None => input,
        }
    })
}

fn convert(input: TestInput, more: Value) -> Conversion {
    testkit::convert::<Klippel>(input, options(&more))
}

fn whole(name: &str) -> Value {
    let run = convert(input(name, |_, bytes| Some(bytes)), json!({}));
    assert_eq!(run.problems, []);
    reports(&run).remove(0)
}

fn step<'r>(report: &'r Value, name: &str) -> &'r Value {
    steps(report).into_iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("{name}"))
}

#[test]
fn a_header_and_its_tables_are_one_report() {
    for (name, result, serial, start, numbers, outside) in
        [(FAILED, "F", "xyz115", "2020-05-14T10:01:37.563", 6, 20.0), (PASSED, "P", "xyz116", "2020-05-14T10:02:51.303", 7, 0.0)]
    {
        let report = whole(name);
        assert_eq!([&report["result"], &report["sn"]], [result, serial]);
        let written = report["start"].as_str().unwrap();
        assert!(written.starts_with(start) && written.ends_with("+02:00"), "{written}");
        // The four curves have a number each; of the three values one was neither measured nor judged in the first. Two results have no table.
        assert_eq!(measurements(&report), [numbers, 2, 0], "{name}");
        let tasks: Vec<_> = report["root"]["steps"].as_array().unwrap().iter().map(|step| step["name"].clone()).collect();
        assert_eq!(&tasks[..2], ["Impedance", "Sound Pressure"]);
        assert_eq!(step(&report, "imp")["numericMeas"][0]["value"], outside);
        let points = |name: &str| {
            let series = step(&report, name)["chart"]["series"].as_array().unwrap().iter();
            series.map(|series| series["ydata"].as_str().unwrap().split(';').count()).collect::<Vec<_>>()
        };
        let expected = [vec![129, 129, 129], vec![161, 161, 161], vec![126, 126], vec![131, 131]];
        assert_eq!([points("imp"), points("resp"), points("rbz"), points("thd")], expected);
    }
}

#[test]
fn what_a_test_says() {
    let failed = whole(FAILED);
    assert_eq!((&failed["uut"]["user"], &failed["machineName"]), (&json!("win:m.liebig"), &json!("ST-1")));
    assert_eq!(failed["root"]["seqCall"], json!({"path": r"D:\databases\WATS\example.kdbx", "name": "example"}));
    let misc = json!([{"description": "Login mode", "text": "PROGRAMMER"}, {"description": "Speaker channel", "text": "sp2"}]);
    assert_eq!(failed["miscInfos"], misc);
    let imp = step(&failed, "imp");
    assert_eq!([&imp["stepType"], &imp["status"], &imp["causedUUTFailure"]], [&json!("WATS_XYGMNLT"), &json!("F"), &json!(true)]);
    assert_eq!([&imp["chart"]["chartType"], &imp["chart"]["xLabel"], &imp["chart"]["xUnit"]], ["LineLogX", "Frequency", "Hz"]);
    // A value that could not be measured failed; one without limits was not judged.
    let unmeasured = json!([{"compOp": "GELE", "status": "F", "value": "NaN", "lowLimit": 2.8764, "highLimit": 3.5156}]);
    assert_eq!(step(&failed, "re")["numericMeas"], unmeasured);
    assert_eq!([&step(&failed, "qts")["stepType"], &step(&failed, "qts")["status"]], ["Action", "S"]);
    let level = json!([{"compOp": "GELE", "status": "P", "value": 95.203, "lowLimit": 91.337, "highLimit": 97.337}]);
    assert_eq!(step(&failed, "level")["numericMeas"], level);
    // What was judged and has no table.
    assert_eq!([&step(&failed, "pol")["status"], &step(&failed, "fs")["status"]], ["P", "F"]);
    let passed = whole(PASSED);
    assert_eq!(step(&passed, "qts")["numericMeas"], json!([{"compOp": "LOG", "status": "P", "value": 1.1325}]));
}

#[test]
fn the_limits_bear_out_the_judgements() {
    for (name, result) in [(FAILED, "F"), (PASSED, "P")] {
        let report = &reports(&convert(input(name, |_, bytes| Some(bytes)), json!({"mode": "active"})))[0];
        assert_eq!(report["result"], result);
        for name in ["imp", "resp", "rbz", "thd", "level"] {
            assert_eq!(step(report, name)["status"], if name == "imp" { result } else { "P" }, "{name}");
        }
    }
}

#[test]
fn what_is_missing_or_broken_is_said() {
    for (file, from, to, code, kind) in [
        ("", "Cfg_SerialNumber=xyz115", "Cfg_SerialNumber=", "header", ErrorType::MissingField),
        ("", "2020-5-20", "2020-13-20", "date", ErrorType::Malformed),
        ("", "Ctrl_OverallVerdict=0", "Ctrl_OverallVerdict=7", "result", ErrorType::Validation),
        ("", "Cfg_DutStartTime", "Cfg_Started", "not_klippel", ErrorType::Unsupported),
        ("Impedance-imp", "3.0445", "3.0x45", "number", ErrorType::Malformed),
        ("Impedance-imp", "\t3.0445", "", "record", ErrorType::Malformed),
        ("Impedance-values", "\tmax", "\tmost", "head", ErrorType::Unsupported),
    ] {
        let run = convert(
            input(FAILED, |name, bytes| {
                let text = String::from_utf8(bytes).unwrap();
                assert!(name != file || text.contains(from), "{from}");
                Some(if name == file { text.replacen(from, to, 1).into() } else { text.into() })
            }),
            json!({}),
        );
        assert_eq!(run.documents, []);
        let error = run.result.unwrap_err();
        assert_eq!((error.code.as_str(), error.kind), (code, kind), "{error}");
        assert!(error.at.is_some() && error.message.contains(file), "{error}");
    }
    let error = convert(input(FAILED, |name, bytes| name.is_empty().then_some(bytes)), json!({})).result.unwrap_err();
    assert_eq!(error.code, "tables");
}

/// The header ends with a line that it always has. A table does not say where it ends: it may end with any of its rows.
#[test]
fn no_part_of_a_file_makes_a_report() {
    let header = data(&format!("klippel/{PASSED}.txt"));
    let end = header.iter().rposition(|byte| *byte != b'\n').unwrap() + 2;
    for length in prefixes(&header, [end]) {
        let run = convert(input(PASSED, |name, bytes| Some(if name.is_empty() { bytes[..length].to_vec() } else { bytes })), json!({}));
        assert_eq!(run.documents.len(), usize::from(length >= end), "of {length} bytes");
        assert!(run.result.err().is_none_or(|error| error.at.is_some()));
    }
    for table in ["Impedance-values", "Impedance-imp"] {
        let bytes = data(&format!("klippel/{PASSED}/{table}.txt"));
        for length in prefixes(&bytes, [bytes.len()]) {
            let run = convert(input(PASSED, |name, bytes| Some(if name == table { bytes[..length].to_vec() } else { bytes })), json!({}));
            assert_eq!(run.documents.len(), usize::from(length > 0 && bytes[length - 1] == b'\n'), "{length} bytes of {table}");
        }
    }
}

#[test]
fn the_content_proves_the_format() {
    let probe = |bytes: Vec<u8>| testkit::probe::<Klippel>(TestInput::new("a.txt", bytes)).confidence;
    assert_eq!([probe(data(&format!("klippel/{PASSED}.txt"))), probe(b"Cfg_Speaker=1\n".to_vec()), probe(Vec::new())], [93, 0, 0]);
}
