//! Real tables, American and European. What they hold was counted with a script that splits lines at tabs: `tests/data/SOURCES.md`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use dropforge_plugin_listen::Listen;
use dropforge_report_checks::{data, measurements, options, prefixes, reports, steps};
use dropforge_sdk::testkit::{self, Conversion, TestInput};
use dropforge_sdk::{ErrorType, Severity};
use serde_json::{Value, json};

const VALUES: &str = "listen/complete-test.txt";
const CURVES: &str = "listen/wats18.txt";
const EUROPEAN: &str = "listen/data-logging-eu.txt";
const THREE: &str = "listen/three-units.txt";

fn text(path: &str) -> String {
    String::from_utf8(data(path)).unwrap()
}

fn convert(bytes: impl Into<Vec<u8>>, more: Value) -> Conversion {
    testkit::convert::<Listen>(TestInput::new("a.txt", bytes), options(&more))
}

fn european() -> Value {
    json!({"date_format": "dd-MM-yyyy HH:mm:ss", "decimal_sign": "comma"})
}

/// The points of each curve of a report.
fn points(report: &Value) -> Vec<usize> {
    let curves = steps(report).into_iter().filter(|step| step["stepType"] == "WATS_XYGMNLT");
    let count = |step: &Value, data: &str| step["chart"]["series"][0][data].as_str().unwrap().split(';').count();
    curves
        .map(|step| {
            assert_eq!(count(step, "xdata"), count(step, "ydata"));
            count(step, "xdata")
        })
        .collect()
}

#[test]
fn every_unit_is_a_report_with_all_its_values_and_curves() {
    for (path, more, units, values, curves) in
        [(VALUES, json!({}), 8, 5, vec![]), (CURVES, json!({}), 11, 4, vec![58, 58, 42]), (THREE, json!({}), 3, 4, vec![58, 58, 42])]
    {
        let run = convert(data(path), more);
        assert_eq!(run.problems, []);
        let reports = reports(&run);
        assert_eq!(reports.len(), units);
        for report in &reports {
            assert_eq!((measurements(report), steps(report).len()), ([values, 0, 0], values + curves.len()));
            assert_eq!(points(report), curves);
        }
    }
    let failed: usize = reports(&convert(data(CURVES), json!({})))
        .iter()
        .flat_map(|report| steps(report).into_iter().filter(|step| step["status"] == "F").map(|_| 1).collect::<Vec<_>>())
        .sum();
    assert_eq!(failed, 35);
}

#[test]
fn what_a_unit_says() {
    let plain = reports(&convert(data(VALUES), json!({})));
    let first = &plain[0];
    assert_eq!(
        [&first["sn"], &first["start"], &first["result"], &first["uut"]["user"], &first["uut"]["batchSN"]],
        ["S/N 13", "2020-07-22T10:22:14+02:00", "P", "Rick", "P/N #12345"]
    );
    assert_eq!(
        first["root"]["steps"][0]["numericMeas"],
        json!([{"compOp": "GELE", "status": "P", "unit": "dB", "value": 95.5, "lowLimit": 90.0, "highLimit": 100.0}])
    );
    let polarity = &first["root"]["steps"][1];
    assert_eq!((&polarity["name"], &polarity["reportText"]), (&json!("Polarity"), &json!("Tolerance curves: Individual Pts.")));
    assert_eq!(polarity["numericMeas"], json!([{"compOp": "LOG", "status": "P", "unit": "deg.", "value": 90.0}]));

    let failed = &reports(&convert(data(CURVES), json!({})))[0];
    assert_eq!([&failed["result"], &failed["root"]["steps"][0]["status"], &failed["root"]["steps"][4]["status"]], ["F", "F", "D"]);
    let chart = &failed["root"]["steps"][4]["chart"];
    assert_eq!([&chart["label"], &chart["chartType"], &chart["xUnit"], &chart["yUnit"]], ["Fundamental", "LineLogX", "Hz", "dB re 20u Pa"]);
    assert!(chart["series"][0]["xdata"].as_str().unwrap().starts_with("5000;4750;"));
    assert!(chart["series"][0]["ydata"].as_str().unwrap().starts_with("12.6;15.62;"));
}

#[test]
fn european_tables_are_read_as_the_options_say() {
    let run = convert(data(EUROPEAN), european());
    let reports = reports(&run);
    let facts: Vec<_> = reports.iter().map(|report| (report["start"].clone(), points(report))).collect();
    assert_eq!(facts, [(json!("2021-01-12T09:08:35+01:00"), vec![6, 4]), (json!("2021-01-12T10:45:03+01:00"), vec![2205])]);
    assert_eq!(reports[0]["root"]["steps"][1]["chart"]["series"][0]["ydata"], "-4;-2;-5;-5");

    // The same report, written on a European machine.
    let american = text(THREE);
    let european = american.replace('.', ",").replace("11/2/2020 4:", "02-11-2020 16:").replace(" PM", "");
    let run = convert(european, json!({"date_format": "dd-MM-yyyy HH:mm:ss", "decimal_sign": "comma"}));
    let same = dropforge_report_checks::reports(&run);
    assert_eq!(same, dropforge_report_checks::reports(&convert(american, json!({}))));

    let error = convert(data(EUROPEAN), json!({})).result.unwrap_err();
    assert_eq!((error.code.as_str(), error.at.unwrap().line), ("date", Some(2)));
}

#[test]
fn the_content_proves_the_format() {
    let probe = |bytes: Vec<u8>| testkit::probe::<Listen>(TestInput::new("a.txt", bytes)).confidence;
    assert_eq!([probe(data(CURVES)), probe(data(EUROPEAN)), probe(b"Serial #:\tLot #:\n".to_vec()), probe(Vec::new())], [90, 90, 0, 0]);
    assert_eq!(convert("a\tb\n", json!({})).result.unwrap_err().code, "not_listen");
    assert_eq!(convert("Serial #:\tTime:\tName\tMargin\tUnit\tResult\tTolerance\tLimits\n", json!({})).result.unwrap_err().code, "empty");
}

/// Nothing says where a unit ends. The first may be any number of whole rows; of the others none is there unless it has what the first has.
#[test]
fn no_prefix_makes_a_report_of_an_incomplete_unit() {
    let text = text(THREE);
    let whole = convert(text.as_str(), json!({}));
    let last = |serial: &str| {
        let at = text.rfind(&format!("\n{serial}\t")).unwrap() + 1;
        at + text[at..].find('\n').unwrap() + 1
    };
    let ends = ["WATS2", "WATS3", "WATS4"].map(last);
    assert_eq!(ends[2], text.len());
    for length in prefixes(text.as_bytes(), ends) {
        let run = convert(&text[..length], json!({}));
        let mut complete = ends.iter().filter(|end| **end <= length).count();
        if length < ends[0] && text[..length].ends_with('\n') {
            // Rows without the rest; but a head alone is no unit, nor is half of a curve.
            complete = run.documents.len();
            let rows = text[..length].lines().filter(|line| line.starts_with("WATS2")).count();
            assert_eq!(complete, usize::from(rows > 0 && (rows <= 4 || rows % 2 == 0)), "of {length} bytes");
        } else {
            // A cut line behind the first unit may be its own.
            let next = text[..length].rfind('\n').is_some_and(|end| text[..end].contains("\nWATS3\t"));
            if complete == 1 && !next && !text[..length].ends_with('\n') {
                complete = 0;
            }
            assert_eq!(run.documents.len(), complete, "of {length} bytes: {:?}", run.result);
            for (part, all) in run.documents.iter().zip(&whole.documents) {
                assert!(part.bytes == all.bytes && part.key == all.key, "of {length} bytes, {} differs", part.name);
            }
            if !text[..length].ends_with('\n') {
                let said = run.problems.iter().map(|(_, error)| error).chain(run.result.as_ref().err());
                assert!(said.into_iter().any(|error| error.at.is_some()), "of {length} bytes nothing is said of the rest");
            }
        }
    }
}

#[test]
fn a_broken_unit_costs_that_unit_only() {
    let text = text(THREE);
    let values = "WATS3\t11/2/2020 4:36:09 PM\tWATS_PN_12345\t";
    for (from, to, code, kind) in [
        ("30.80\tdB", "3o.80\tdB", "number", ErrorType::Malformed),
        ("30.80\tdB\tFAIL", "30.80\tdB\tPERHAPS", "result", ErrorType::Validation),
        ("30.80\tdB\tFAIL\tMax/Min\t33.0/32.0", "30.80\tdB\tFAIL\tMax/Min\t33.0", "limits", ErrorType::Malformed),
        ("\t12.61\t", "\t12,61\t", "number", ErrorType::Malformed),
        ("\t12.61\t15.60\t", "\t12.61\t", "curve", ErrorType::Malformed),
        ("PM\tWATS_PN_12345\tTHD margin\t-4.60", "PM\tWATS_PN_12345\t\t-4.60", "step_name", ErrorType::MissingField),
    ] {
        let broken = text.replacen(from, to, 1);
        assert!(broken != text && text.contains(values), "{from}");
        let run = convert(broken, json!({}));
        let serials: Vec<_> = reports(&run).iter().map(|report| report["sn"].clone()).collect();
        assert_eq!(serials, ["WATS2", "WATS4"], "{code}");
        let errors: Vec<_> = run.problems.iter().filter(|(severity, _)| *severity == Severity::Error).map(|(_, error)| error).collect();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!((errors[0].code.as_str(), errors[0].kind), (code, kind));
        assert!((15..=27).contains(&errors[0].at.unwrap().line.unwrap()), "{:?}", errors[0]);
    }
}
