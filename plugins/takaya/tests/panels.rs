//! Real panels. What they hold was counted with a script, and looked at by eye: `tests/data/SOURCES.md`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use dropforge_plugin_takaya::Takaya;
use dropforge_report_checks::{Span, data, every_prefix, measurements, options, reports, steps};
use dropforge_sdk::testkit::{self, Conversion, TestInput};
use dropforge_sdk::{ErrorType, Severity};
use serde_json::{Value, json};

fn convert(bytes: impl Into<Vec<u8>>, more: Value) -> Conversion {
    testkit::convert::<Takaya>(TestInput::new("panel.ATD", bytes), options(&more))
}

fn small() -> String {
    String::from_utf8(data("takaya/small.ATD")).unwrap()
}

#[test]
fn every_board_of_a_panel_is_a_report() {
    let serials = ["0610982638", "0610982639", "0610982637", "0610982636"];
    for (file, serials, start, numbers, skipped) in [
        ("PB2939800_E_BOT-20230420130239.ATD", &serials[..], "2023-04-20T13:02:39+02:00", 75, 1),
        ("V682780_B_BOT-20230301082027.ATD", &["0601994566", "0601994567"][..], "2023-03-01T08:20:27+01:00", 52, 3),
    ] {
        let run = convert(data(&format!("takaya/{file}")), json!({}));
        let reports = reports(&run);
        assert_eq!(run.problems, []);
        let found: Vec<_> = reports.iter().map(|report| report["sn"].as_str().unwrap()).collect();
        assert_eq!(found, serials);
        for (index, report) in reports.iter().enumerate() {
            assert_eq!((&report["result"], &report["start"], &report["machineName"]), (&json!("P"), &json!(start), &json!("TAK4")));
            assert_eq!(report["uut"]["testSocketIndex"], index + 1);
            assert_eq!((measurements(report), steps(report).len()), ([numbers, 0, 0], numbers + skipped), "{file}");
        }
    }
}

#[test]
fn what_a_row_says() {
    let report = &reports(&convert(data("takaya/V682780_B_BOT-20230301082027.ATD"), json!({})))[0];
    let all = steps(report);
    assert_eq!([&all[0]["name"], &all[0]["stepType"], &all[0]["status"]], ["After-correct.", "Action", "S"]);
    let inductor = all[2];
    assert_eq!((&inductor["name"], &inductor["reportText"]), (&json!("L2 10 uH"), &json!("#000003 B171440, pin 9 (+12VB), pin 10 (12V)")));
    let measured = &inductor["numericMeas"][0];
    assert_eq!([&measured["unit"], &measured["value"], &measured["compOp"]], [&json!("H"), &json!(5.3e-6), &json!("GELE")]);
    let limit = |key: &str| measured[key].as_f64().unwrap();
    assert!((limit("lowLimit") - 3.864e-6).abs() < 1e-18 && (limit("highLimit") - 7.176e-6).abs() < 1e-18, "{measured}");
    // Where a test was measured twice, the second counts: R7 10 KO once, C4 twice.
    let resistor = all.iter().find(|step| step["name"] == "R7 10 KO").unwrap();
    assert_eq!((&resistor["numericMeas"][0]["value"], &resistor["numericMeas"][0]["unit"]), (&json!(9970.0), &json!("ohm")));
    let capacitor = all.iter().find(|step| step["name"].as_str().unwrap().starts_with("C4 ")).unwrap();
    assert_eq!(capacitor["numericMeas"][0]["unit"], "F");
    // The limits of open and short tests are not in the file.
    assert_eq!((&all[1]["name"], &all[1]["numericMeas"][0]["compOp"]), (&json!("P1P2 P-Auto"), &json!("LOG")));
    assert_eq!(report["root"]["seqCall"], json!({"path": "V682780_B_BOT.SWX", "name": "V682780_B_BOT"}));
}

#[test]
fn the_tolerances_bear_out_every_judgement() {
    for file in ["PB2939800_E_BOT-20230420130239.ATD", "V682780_B_BOT-20230301082027.ATD"] {
        let active = convert(data(&format!("takaya/{file}")), json!({"mode": "active"}));
        assert!(reports(&active).iter().all(|report| report["result"] == "P"), "{file}");
    }
}

#[test]
fn the_content_proves_the_format() {
    assert_eq!(testkit::probe::<Takaya>(TestInput::new("a.atd", small())).confidence, 90);
    assert_eq!(testkit::probe::<Takaya>(TestInput::new("a.atd", "@\nhello\n")).confidence, 0);
    for text in ["", "hello\n"] {
        assert_eq!(convert(text, json!({})).result.unwrap_err().code, "not_atd");
    }
}

#[test]
fn no_prefix_makes_a_report_of_an_incomplete_board() {
    let text = small();
    let begins: Vec<usize> = text.match_indices("* GROUP").map(|(at, _)| at).collect();
    let last = text.rfind('@').unwrap();
    let ends = begins.iter().skip(1).map(|at| at + "* GROUP".len()).chain([last + 1]);
    let units: Vec<Span> = begins.iter().zip(ends).map(|(begin, end)| Span { begin: *begin, end }).collect();
    assert_eq!(units.len(), 3);
    every_prefix::<Takaya>("a.atd", text.as_bytes(), &options(&json!({})), &units);
}

#[test]
fn a_broken_board_costs_that_board_only() {
    let text = small();
    let second = text.find("* GROUP No.2").unwrap();
    for (from, to, code, kind) in [
        ("Serial No.:0610982639", "Serial No.:", "serial", ErrorType::MissingField),
        ("* PASS *", "* GOOD *", "result", ErrorType::Validation),
        ("\tPASS   \tD \t0.532\t", "\tPASS   \tD \t0.5x2\t", "number", ErrorType::Malformed),
        ("02\t", "lost\n02\t", "record", ErrorType::Malformed),
    ] {
        let (head, tail) = text.split_at(second);
        assert!(tail.contains(from), "{from}");
        let run = convert(format!("{head}{}", tail.replacen(from, to, 1)), json!({}));
        let serials: Vec<_> = reports(&run).iter().map(|report| report["sn"].clone()).collect();
        assert_eq!(serials, ["0610982638", "0610982637"], "{code}");
        let errors: Vec<_> = run.problems.iter().filter(|(severity, _)| *severity == Severity::Error).map(|(_, error)| error).collect();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!((errors[0].code.as_str(), errors[0].kind), (code, kind));
        assert!(errors[0].at.unwrap().line.unwrap() > 20);
    }
}

#[test]
fn failed_boards_and_boards_that_were_not_tested() {
    let text = small();
    let second = text.find("* GROUP No.2").unwrap();
    let (head, tail) = text.split_at(second);
    let run = convert(format!("{head}{}", tail.replacen("* PASS *", "* NO-TEST *", 1)), json!({}));
    assert_eq!(reports(&run).len(), 2);
    assert_eq!((run.problems[0].0, run.problems[0].1.code.as_str()), (Severity::Warning, "no_test"));
    let failed = tail.replacen("* PASS *", "* FAIL *", 1).replacen("\tPASS   \tD", "\tFAIL   \tD", 1);
    let run = convert(format!("{head}{failed}"), json!({}));
    let report = &reports(&run)[1];
    assert_eq!((&report["result"], &report["uut"]["stepIdCausedUUTFailure"]), (&json!("F"), &json!(3)));
    assert_eq!(steps(report)[1]["errorMessage"], "FAIL");
}
