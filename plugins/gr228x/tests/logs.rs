//! Real logs. What they hold was counted with a script of regular expressions, and looked at by eye: `tests/data/SOURCES.md`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use dropforge_plugin_gr228x::Gr228x;
use dropforge_report_checks::{Span, data, every_prefix, measurements, options, reports, steps};
use dropforge_sdk::testkit::{self, Conversion, TestInput};
use dropforge_sdk::{ErrorType, Severity};
use serde_json::{Value, json};

const PLAIN: &str = "gr228x/43420_BIO2.LOG";
const EXTENDED: &str = "gr228x/43420_BIO2_Extended.LOG";

fn text(path: &str) -> String {
    String::from_utf8(data(path)).unwrap()
}

fn convert(bytes: impl Into<Vec<u8>>, more: Value) -> Conversion {
    testkit::convert::<Gr228x>(TestInput::new("43420_BIO2.LOG", bytes), options(&more))
}

#[test]
fn every_board_is_a_report() {
    for path in [PLAIN, EXTENDED] {
        let run = convert(data(path), json!({}));
        let reports = reports(&run);
        assert_eq!(run.problems, []);
        let facts: Vec<_> = reports.iter().map(|report| [&report["sn"], &report["result"], &report["start"]]).collect();
        assert_eq!(
            facts,
            [
                ["65428553938829725787", "T", "2012-07-31T14:18:51+02:00"],
                ["24422984989544535753", "F", "2012-07-31T14:19:32+02:00"],
                ["42842937739687688567", "P", "2012-07-31T14:25:12+02:00"],
            ]
        );
        // Numbers, judgements (failures of the whole board among them), and tests that are neither.
        let counts: Vec<_> = reports.iter().map(|report| (measurements(report), steps(report).len())).collect();
        assert_eq!(counts, [([0, 2, 0], 2), ([18, 9, 0], 18 + 9 + 17), ([18, 13, 0], 18 + 13 + 17)]);
    }
}

#[test]
fn what_a_board_says() {
    let reports = reports(&convert(data(EXTENDED), json!({})));
    let second = &reports[1];
    assert_eq!(
        [&second["pn"], &second["rev"], &second["machineName"], &second["uut"]["user"], &second["uut"]["execTime"]],
        [&json!("123456"), &json!("C"), &json!("AREL1001"), &json!("KB"), &json!(17.0)]
    );
    assert_eq!(second["root"]["seqCall"]["name"], "CPU02");
    assert_eq!(reports[0]["root"]["seqCall"]["name"], "43420_BIO2");
    assert_eq!(reports[0]["root"]["seqCall"]["path"], "F:\\BOARDS\\43420_BIO2_PROGRAM\\43420_BIO2.obc");
    assert_eq!(reports[0]["root"]["steps"][1]["reportText"].as_str().unwrap().split(',').count(), 18);
    let all = steps(second);
    let step = |name: &str| all.iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("no step {name}"));
    assert_eq!(
        (&all[0]["name"], &all[0]["causedUUTFailure"], &all[0]["reportText"]),
        (&json!("Opens"), &json!(true), &json!("pins 397,398,"))
    );
    assert_eq!(
        step("C206 (CP)")["numericMeas"],
        json!([{"compOp": "GELE", "status": "P", "unit": "F", "value": 10.212763e-9, "lowLimit": 7.999999e-9, "highLimit": 12.000001e-9}])
    );
    assert_eq!(
        step("R402 (R)")["numericMeas"],
        json!([{"compOp": "GE", "status": "P", "unit": "ohm", "value": 45.131532e6, "lowLimit": 500e3}])
    );
    assert_eq!((&step("R227 (R)")["status"], &step("R227 (R)")["numericMeas"][0]["compOp"]), (&json!("D"), &json!("LOG")));
    assert_eq!((&step("SETCR (IS)")["stepType"], &step("D108")["status"]), (&json!("Action"), &json!("P")));
}

#[test]
fn the_content_proves_the_format() {
    assert_eq!(testkit::probe::<Gr228x>(TestInput::new("a.log", data(PLAIN))).confidence, 95);
    assert_eq!(testkit::probe::<Gr228x>(TestInput::new("a.log", "2026 started\n@home SN 3\n")).confidence, 0);
    assert_eq!(convert("", json!({})).result.unwrap_err().code, "not_gr228x");
}

#[test]
fn no_prefix_makes_a_report_of_an_incomplete_board() {
    let text = text(EXTENDED);
    let mut units = Vec::new();
    for (at, _) in text.match_indices("\n@") {
        let end = text[at..].match_indices('\n').find(|(end, _)| text[at + end + 1..].starts_with(['?', '/', '"'])).unwrap().0;
        units.push(Span { begin: at + 1, end: at + end + 1 + "/31-JUL-12  14:19:49".len() });
    }
    assert_eq!(units.len(), 3);
    every_prefix::<Gr228x>("a.log", text.as_bytes(), &options(&json!({})), &units);
}

#[test]
fn a_broken_board_costs_that_board_only() {
    let text = text(PLAIN);
    for (from, to, code, kind) in [
        ("10.636159(8.049", "10.63x6159(8.049", "number", ErrorType::Malformed),
        ("/31-JUL-12  14:19:49\n", "", "no_end", ErrorType::Malformed),
        ("C206=10.212763N(", "C206=10.212763N", "record", ErrorType::Malformed),
        ("@31-JUL-12  14:19:32 SN", "@31-JUX-12  14:19:32 SN", "date", ErrorType::Malformed),
    ] {
        let broken = text.replacen(from, to, 1);
        assert_ne!(broken, text);
        let run = convert(broken, json!({}));
        let results: Vec<_> = reports(&run).iter().map(|report| report["result"].clone()).collect();
        assert_eq!(results, ["T", "P"], "{code}");
        let errors: Vec<_> = run.problems.iter().filter(|(severity, _)| *severity == Severity::Error).map(|(_, error)| error).collect();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!((errors[0].code.as_str(), errors[0].kind), (code, kind));
        assert!(errors[0].at.unwrap().line.unwrap() >= 8);
    }
}

#[test]
fn failures_of_measurements() {
    let text = text(PLAIN).replace("R508=100.119586K(92.919K,105.131K)R", "R508>110.119586K(92.919K,105.131K)R  =check solder");
    let reports = reports(&convert(text.replace("\"31-JUL", "/31-JUL"), json!({})));
    let step = &reports[2]["root"]["steps"][0];
    assert_eq!(
        [&step["status"], &step["errorMessage"], &step["reportText"], &step["causedUUTFailure"]],
        [&json!("F"), &json!("above the high limit"), &json!("check solder"), &json!(true)]
    );
}
