//! Real panels. What they hold was counted with a script, and looked at by eye: `tests/data/SOURCES.md`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::io::Read;

use dropforge_plugin_takaya::Takaya;
use dropforge_report_checks::{Span, data, every_prefix, measurements, options, prefixes, reports, steps};
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
    assert_eq!(testkit::probe::<Takaya>(TestInput::new("a.atdx", small_atdx())).confidence, 93);
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

const ATDX: &str = "takaya/WO250319-0162__20250525_122655.atdx.bz2";

fn whole_atdx() -> Vec<u8> {
    let mut bytes = Vec::new();
    bzip2::read::BzDecoder::new(data(ATDX).as_slice()).read_to_end(&mut bytes).unwrap();
    bytes
}

fn small_atdx() -> String {
    String::from_utf8(data("takaya/attempts.atdx")).unwrap()
}

fn atdx(bytes: impl Into<Vec<u8>>, more: Value) -> Conversion {
    testkit::convert::<Takaya>(TestInput::new("WO250319-0162__20250525_122655.atdx", bytes), options(&more))
}

#[test]
fn every_attempt_at_a_board_of_an_atdx_is_a_report() {
    let run = atdx(whole_atdx(), json!({}));
    assert_eq!(run.problems, []);
    let reports = reports(&run);
    let found: String = reports.iter().map(|report| report["result"].as_str().unwrap()).collect();
    assert_eq!(found, "FFFFFFPFPFPFPFPFPFPP");
    let mut all = [0; 5];
    for (index, report) in reports.iter().enumerate() {
        assert_eq!((&report["sn"], &report["machineName"]), (&json!("WO250319-0162"), &json!("APT-1400F FPT04")));
        assert!(report["start"].as_str().unwrap().starts_with("2025-05-25T12:26:55"), "{report}");
        assert_eq!(report["uut"]["testSocketIndex"], index % 2 + 1);
        let misc = json!([{"description": "Side", "text": "A"}, {"description": "Attempt", "numeric": index / 2 + 1}]);
        assert_eq!(report["miscInfos"], misc);
        let status = |status: &str| steps(report).iter().filter(|step| step["status"] == status).count();
        let [numbers, booleans, _] = measurements(report);
        for (sum, count) in all.iter_mut().zip([steps(report).len(), status("S"), status("F"), numbers, booleans]) {
            *sum += count;
        }
    }
    assert_eq!(all, [31_040, 2_812, 35, 29_060, 8]);
    let ids: std::collections::BTreeSet<_> = reports.iter().map(|report| report["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 20);
}

#[test]
fn what_a_row_of_an_atdx_says() {
    let reports = reports(&atdx(small_atdx(), json!({})));
    assert_eq!(reports.len(), 4);
    let step = |name: &str| steps(&reports[0]).into_iter().find(|step| step["name"] == name).unwrap();
    assert_eq!(reports[0]["root"]["seqCall"]["name"], "289-0254-4.0");
    let open = step("POWER_SHORTS 153-9");
    assert_eq!(open["reportText"], "#1 153-9, pin 3 (PWR_VOUT), pin 1 (GND)");
    assert_eq!(open["numericMeas"], json!([{"compOp": "GT", "status": "P", "unit": "ohm", "value": 55000.0, "lowLimit": 100.0}]));
    // Twice measured, with a prefix to each value.
    let resistor = step("R82 100 O");
    assert_eq!((&resistor["status"], &resistor["errorMessage"]), (&json!("F"), &json!("OPEN")));
    let limits = json!([{"compOp": "GELE", "status": "F", "unit": "ohm", "value": 550e3, "lowLimit": 90.0, "highLimit": 110.0}]);
    assert_eq!(resistor["numericMeas"], limits);
    assert_eq!(step("C154 10 nF")["numericMeas"][0]["value"], 3e-12);
    assert_eq!(step("C447")["numericMeas"][0]["compOp"], "LT");
    // An impedance has a magnitude and a phase.
    let impedance = json!([
        {"compOp": "LE", "name": "magnitude", "status": "P", "unit": "ohm", "value": 2.5, "lowLimit": 3.0},
        {"compOp": "LOG", "name": "phase", "status": "P", "unit": "°", "value": -7.5},
    ]);
    assert_eq!(step("C442 0.6 PF")["numericMeas"], impedance);
    assert_eq!([&step("U6 17-G")["stepType"], &step("U6 17-G")["status"]], ["Action", "S"]);
    assert_eq!(step("U35 4-G")["booleanMeas"], json!([{"status": "F"}]));
}

/// But for one resistor, which the tester lets pass whatever it is.
#[test]
fn the_limits_of_an_atdx_bear_out_every_judgement() {
    let (import, active) = (reports(&atdx(whole_atdx(), json!({}))), reports(&atdx(whole_atdx(), json!({"mode": "active"}))));
    let mut differ = Vec::new();
    for (import, active) in import.iter().zip(&active) {
        let pairs = steps(import).into_iter().zip(steps(active)).filter(|(import, active)| import["status"] != active["status"]);
        differ.extend(pairs.map(|(import, _)| import["name"].as_str().unwrap()));
    }
    assert_eq!(differ, ["R102 10 MO"; 20]);
}

/// Nothing says where the last board ends: it has as many rows as the first, and the first may be any number of whole rows.
#[test]
fn no_prefix_of_an_atdx_makes_a_report_of_an_incomplete_board_but_the_first() {
    let text = small_atdx();
    let begins: Vec<usize> = text.match_indices("#############\"Main").map(|(at, _)| at).collect();
    let whole = atdx(text.as_str(), json!({}));
    // A board has ended when the next begins.
    let ends: Vec<usize> = begins.iter().skip(1).map(|at| at + "#############\"Main header\"".len()).chain([text.len()]).collect();
    for length in prefixes(text.as_bytes(), ends.clone()) {
        let run = atdx(&text.as_bytes()[..length], json!({}));
        let cut = begins.iter().find(|begin| **begin == length);
        let ended = ends.iter().filter(|end| **end <= length).count() + usize::from(cut.is_some_and(|begin| *begin > 0));
        let first = length < begins[1];
        if first && text[..length].ends_with('\n') && text[..length].contains("\n1;") {
            assert_eq!(run.documents.len(), 1, "of {length} bytes");
            continue;
        }
        assert_eq!(run.documents.len(), ended, "of {length} bytes: {:?}", run.result);
        assert!(run.documents.iter().zip(&whole.documents).all(|(part, all)| part.bytes == all.bytes && part.key == all.key));
        if cut.is_none() && length > 40 {
            let said = run.problems.iter().map(|(_, error)| error).chain(run.result.as_ref().err());
            assert!(said.into_iter().any(|error| error.at.is_some()), "of {length} bytes nothing is said of the rest");
        }
    }
}

#[test]
fn a_broken_board_of_an_atdx_costs_that_board_only() {
    let text = small_atdx();
    let second = text.find("Group No.: 2").unwrap();
    for (from, to, code, kind) in [
        ("Group No.: 2", "Group No.: two", "record", ErrorType::Malformed),
        ("A FAIL", "A GOOD", "result", ErrorType::Validation),
        ("8.777", "8.7x7", "number", ErrorType::Malformed),
        ("108.83;O;PASS;74;", "", "number", ErrorType::Malformed),
        ("2394;", "lost\n2394;", "record", ErrorType::Malformed),
        ("Func;+%", "Func;-%", "head", ErrorType::Unsupported),
        ("[O]|-3.2", "[O|-3.2", "number", ErrorType::Malformed),
    ] {
        let (head, tail) = text.split_at(second);
        assert!(tail.contains(from), "{from}");
        let run = atdx(format!("{head}{}", tail.replacen(from, to, 1)), json!({}));
        assert_eq!(
            reports(&run).iter().map(|report| report["uut"]["testSocketIndex"].as_i64().unwrap()).collect::<Vec<_>>(),
            [1, 1, 2],
            "{code}"
        );
        let errors: Vec<_> = run.problems.iter().filter(|(severity, _)| *severity == Severity::Error).map(|(_, error)| error).collect();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!((errors[0].code.as_str(), errors[0].kind), (code, kind), "{}", errors[0]);
        assert!(errors[0].at.unwrap().line.unwrap() > 20);
    }
}

#[test]
fn the_name_of_the_file_may_have_the_serial_number() {
    let unnamed = small_atdx().replace("Serial number : WO250319-0162", "Serial number :");
    assert!(reports(&atdx(unnamed.as_str(), json!({}))).iter().all(|report| report["sn"] == "WO250319-0162"));
    let error = testkit::convert::<Takaya>(TestInput::new("a.atdx", unnamed), options(&json!({}))).result.unwrap_err();
    assert_eq!(error.code, "serial");
    // In an ATD, the name begins with the program's, or with a serial number; the panel's own goes before both.
    let bare: String =
        small().lines().map(|line| if line.starts_with("Serial No.:") { "Serial No.:\n".into() } else { format!("{line}\n") }).collect();
    let serials = |name: &str, text: &str| -> Vec<Value> {
        let run = testkit::convert::<Takaya>(TestInput::new(name, text), options(&json!({})));
        run.documents.iter().map(|document| document.json()["sn"].clone()).collect()
    };
    assert_eq!(serials("PB2939800_E_BOT-20230420130239.ATD", &bare), [] as [Value; 0]);
    assert_eq!(serials("A77-20230420130239.ATD", &bare), ["A77", "A77", "A77"]);
    let panel = bare.replacen("Model:", "Serial No.:P5\nModel:", 1);
    assert_eq!(serials("A77-20230420130239.ATD", &panel), ["P5", "P5", "P5"]);
}
