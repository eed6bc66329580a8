//! Runs become reports. What `three-runs.csv` holds was counted by hand: `tests/data/SOURCES.md`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use dropforge_plugin_spea::Spea;
use dropforge_report_checks::{data, every_prefix, measurements, options, reports, spans, steps};
use dropforge_sdk::testkit::{self, Conversion, TestInput};
use dropforge_sdk::{ErrorType, Severity};
use serde_json::{Value, json};

fn convert(bytes: impl Into<Vec<u8>>, more: Value) -> Conversion {
    testkit::convert::<Spea>(TestInput::new("line1/three-runs.csv", bytes), options(&more))
}

fn text() -> String {
    String::from_utf8(data("spea/three-runs.csv")).unwrap()
}

#[test]
fn every_run_is_a_report() {
    let run = convert(text(), json!({}));
    let reports = reports(&run);
    assert_eq!(run.problems, []);
    let facts: Vec<_> = reports.iter().map(|report| (report["sn"].as_str().unwrap(), report["result"].as_str().unwrap())).collect();
    assert_eq!(facts, [("SN1001", "P"), ("SN1002", "F"), ("SN1002", "F")]);
    let counts: Vec<_> = reports.iter().map(|report| (measurements(report), steps(report).len())).collect();
    assert_eq!(counts, [([3, 2, 0], 5 + 4), ([4, 2, 0], 6 + 5), ([3, 2, 0], 5 + 4)]);
    let first = &reports[0];
    assert_eq!((&first["start"], &first["uut"]["execTime"]), (&json!("2026-11-03T08:15:03+01:00"), &json!(19.0)));
    assert_eq!((&first["uut"]["user"], &first["uut"]["batchSN"]), (&json!("Operator A"), &json!("L-9")));
    assert_eq!(first["root"]["seqCall"], json!({"name": "4711-ICT", "version": "2.1.0"}));
    assert_eq!(first["root"]["steps"][1]["steps"][0]["reportText"], "points 12 40");
    assert_eq!(
        first["root"]["steps"][1]["steps"][0]["numericMeas"],
        json!([{"compOp": "GELE", "status": "P", "unit": "ohm", "value": 10020.0, "lowLimit": 9900.0, "highLimit": 10100.0}])
    );
    assert_eq!(first["root"]["steps"][3]["steps"][0]["numericMeas"][0]["compOp"], "GE");
    let failed = &reports[1]["root"]["steps"];
    assert_eq!((&failed[1]["steps"][0]["errorMessage"], &failed[1]["steps"][0]["causedUUTFailure"]), (&json!("FAIL(+)"), &json!(true)));
    assert_eq!(failed[2]["steps"][0]["numericMeas"][0]["value"], "NaN");
}

#[test]
fn the_content_proves_the_format() {
    assert_eq!(testkit::probe::<Spea>(TestInput::new("a.csv", text())).confidence, 95);
    for other in ["", "a;b;c\n", "START;now\n"] {
        assert_eq!(testkit::probe::<Spea>(TestInput::new("a.csv", other)).confidence, 0);
        let error = convert(other, json!({})).result.unwrap_err();
        assert!(error.at.unwrap().line.is_some() && !error.code.is_empty(), "{error}");
    }
}

#[test]
fn no_prefix_makes_a_report_of_an_incomplete_run() {
    let bytes = data("spea/three-runs.csv");
    // The line of END is whole with its last digit.
    let mut units = spans(&bytes, "START;", "END;");
    for unit in &mut units {
        unit.end = unit.end - 4 + "END;PASS;11/03/2026;08:15:22".len();
    }
    every_prefix::<Spea>("three-runs.csv", &bytes, &options(&json!({})), &units);
}

#[test]
fn a_broken_run_costs_that_run_only() {
    let text = text();
    for (from, to, code, kind, line) in [
        ("9.900000e+03;1.010000e+04;ohm;12 40 ;12\nANL;1;C7", "9.9x;1.0;ohm;;\nANL;1;C7", "number", ErrorType::Malformed, 16),
        (
            "SN;SN1002\nBOARDRESULT;FAIL\nEND;FAIL;11/03/2026;08:16:20",
            "END;FAIL;11/03/2026;08:16:20",
            "serial",
            ErrorType::MissingField,
            21,
        ),
        ("END;FAIL;11/03/2026;08:16:20\nFORMAT;mmdd", "FORMAT;mmdd", "no_end", ErrorType::Malformed, 24),
        ("FAIL(+);1.102", "ODD;1.102", "result", ErrorType::Validation, 16),
        ("11/03/2026;08:16:20", "11/31/2026;08:16:20", "date", ErrorType::Malformed, 23),
    ] {
        let broken = text.replacen(from, to, 1);
        assert_ne!(broken, text);
        let run = convert(broken, json!({}));
        let serials: Vec<_> = reports(&run).iter().map(|report| report["start"].as_str().unwrap()[11..19].to_owned()).collect();
        assert_eq!(serials, ["08:15:03", "08:17:00"], "{code}");
        let errors: Vec<_> = run.problems.iter().filter(|(severity, _)| *severity == Severity::Error).map(|(_, error)| error).collect();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!((errors[0].code.as_str(), errors[0].kind, errors[0].at.unwrap().line), (code, kind, Some(line)));
    }
}

#[test]
fn what_must_be_said_is_asked_for() {
    let error = testkit::convert::<Spea>(TestInput::new("a.csv", text()), json!({"timezone": "UTC"})).result.unwrap_err();
    assert_eq!(error.kind, ErrorType::MissingField);
    assert!(error.message.contains("`part_number`, `revision`, `station`, `location`, `purpose`, `operation_code`"), "{error}");
    let no_zone = convert(text(), json!({"timezone": null})).result.unwrap_err();
    assert_eq!((no_zone.kind, no_zone.code.as_str()), (ErrorType::MissingField, "timezone"));
    let no_format = convert(text().replace("FORMAT;mmdd\n", ""), json!({})).result.unwrap_err();
    assert_eq!(no_format.code, "date_format");
    let given = convert(text(), json!({"date_format": "dd/MM/yyyy HH:mm:ss"}));
    assert_eq!(reports(&given)[0]["start"], "2026-03-11T08:15:03+01:00");
}

#[test]
fn active_judges_by_the_limits() {
    let run = convert(text().replace("PASS;1.002000e+04", "PASS;1.202000e+04"), json!({"mode": "active"}));
    let results: Vec<_> = reports(&run).iter().map(|report| report["result"].clone()).collect();
    assert_eq!(results, ["F", "F", "F"]);
}
