//! WSTF, in files of our own: no real one is at hand. What its parts mean was taken from public descriptions: `docs/converters/wats.md`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use dropforge_plugin_wats::Wats;
use dropforge_report_checks::{data, every_prefix, measurements, options, reports, spans, steps};
use dropforge_sdk::testkit::{self, Conversion, TestInput};
use dropforge_sdk::{ErrorType, Severity};
use serde_json::{Value, json};

fn text() -> String {
    String::from_utf8(data("wats/three-units.wstf.txt")).unwrap()
}

fn convert(text: impl Into<Vec<u8>>, more: Value) -> Conversion {
    testkit::convert::<Wats>(TestInput::new("a.txt", text), options(&more))
}

fn errors(run: &Conversion) -> Vec<&dropforge_sdk::Error> {
    run.problems.iter().filter(|(severity, _)| *severity == Severity::Error).map(|(_, error)| error).collect()
}

#[test]
fn every_unit_is_a_report() {
    let run = convert(text(), json!({}));
    assert_eq!(run.problems, []);
    let reports = reports(&run);
    let found: Vec<_> = reports
        .iter()
        .map(|report| (report["sn"].as_str().unwrap(), report["result"].as_str().unwrap(), measurements(report), steps(report).len()))
        .collect();
    // Counted by hand. The sequence inside another has ended with the table.
    assert_eq!(found, [("SN-1", "P", [5, 3, 1], 9), ("SN-2", "F", [2, 0, 0], 3), ("SN-3", "P", [0, 0, 1], 1)]);
}

#[test]
fn what_a_unit_says() {
    let reports = reports(&convert(text(), json!({})));
    let first = &reports[0];
    assert_eq!([&first["pn"], &first["rev"], &first["machineName"], &first["uut"]["user"]], ["PN-7", "B", "FT-2", "Ada"]);
    assert!(first["start"].as_str().unwrap().starts_with("2026-03-02T09:15:30"), "{first}");
    assert!(first["start"].as_str().unwrap().ends_with("+01:00") && first["startUTC"].as_str().unwrap().starts_with("2026-03-02T08:15:30"));
    // The footer goes before the header.
    assert_eq!((&first["uut"]["execTime"], &first["uut"]["testSocketIndex"]), (&json!(13.5), &json!(1)));
    assert_eq!([&first["uut"]["fixtureId"], &first["uut"]["batchSN"], &first["uut"]["comment"]], ["FX-3", "LOT-9", "Second shift"]);
    assert_eq!(first["root"]["seqCall"], json!({"name": "Supply", "version": "2.1"}));
    assert_eq!(first["subUnits"], json!([{"partType": "PCBA", "pn": "PN-70", "rev": "A", "sn": "SUB-1"}]));
    let misc = json!([{"description": "Firmware", "text": "5.4.1"}, {"description": "OperationTypeName", "text": "Final test"}]);
    assert_eq!(first["miscInfos"], misc);
    let second = &reports[1];
    assert_eq!((&second["uut"]["errorCode"], &second["uut"]["errorMessage"]), (&json!(17), &json!("5 V is too high")));
    assert!(second["start"].as_str().unwrap().ends_with("+01:00"), "the zone of the options");
    assert!(reports[2]["startUTC"].as_str().unwrap().starts_with("2026-03-02T08:17:30"));
}

#[test]
fn what_the_steps_say() {
    let reports = reports(&convert(text(), json!({})));
    let step = |name: &str| steps(&reports[0]).into_iter().find(|step| step["name"] == name).unwrap();
    let power = step("Power on");
    assert_eq!([&power["stepType"], &power["status"], &power["reportText"]], ["Action", "D", "Relay 4"]);
    assert_eq!((&step("Supplies")["totTime"], &step("Supplies")["status"]), (&json!(2.5), &json!("P")));
    assert_eq!((&step("Curves")["totTime"], &step("Curves")["reportText"]), (&json!(1.5), &json!("All of it")));
    let volts = json!([{"compOp": "GELE", "status": "P", "unit": "V", "value": 5.02, "lowLimit": 4.9, "highLimit": 5.1}]);
    assert_eq!((&step("5 V")["stepType"], &step("5 V")["numericMeas"]), (&json!("ET_NLT"), &volts));
    let ripple = step("Ripple");
    let names: Vec<_> = ripple["numericMeas"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!((&ripple["stepType"], names), (&json!("ET_MNLT"), vec![json!("1 kHz"), json!("10 kHz"), json!("100 kHz")]));
    let sweep = step("Sweep");
    assert_eq!(
        (&sweep["stepType"], &sweep["status"], &sweep["chart"]["chartType"]),
        (&json!("WATS_XYGMNLT"), &json!("P"), &json!("LineLogX"))
    );
    let series = json!([
        {"dataType": "XYG", "name": "measured", "xdata": "10;100;1000", "ydata": "-1;-2.5;-3"},
        {"dataType": "XYG", "name": "by place", "xdata": "0;1", "ydata": "1;2"},
    ]);
    assert_eq!((&sweep["chart"]["series"], &sweep["chart"]["xUnit"], &sweep["chart"]["yLabel"]), (&series, &json!("Hz"), &json!("Level")));
    assert_eq!(step("Keys")["booleanMeas"], json!([{"name": "Up", "status": "P"}, {"name": "Down", "status": "P"}]));
    // Without a status, the limits judge.
    let failed = steps(&reports[1])[1];
    assert_eq!((&failed["name"], &failed["status"], &failed["causedUUTFailure"]), (&json!("5 V"), &json!("F"), &json!(true)));
    assert_eq!(steps(&reports[1])[2]["stepType"], "ET_MNLT");
}

#[test]
fn a_broken_unit_costs_that_unit_only() {
    let text = text();
    let second = text.find("SerialNumber\tSN-2").unwrap();
    let (head, tail) = text.split_at(second);
    for (from, to, code, kind) in [
        ("SerialNumber\tSN-2", "SerialNumber\t", "header", ErrorType::MissingField),
        ("StartDateTime\t2026-03-02T09:16:30\n", "", "date", ErrorType::MissingField),
        ("2026-03-02T09:16:30", "02.03.2026", "date", ErrorType::Malformed),
        ("5.2\t4.9", "5,2\t4.9", "number", ErrorType::Malformed),
        ("5.2\t4.9", "\t4.9", "measurement", ErrorType::MissingField),
        ("GELE", "AROUND", "comparator", ErrorType::Validation),
        ("5.1\tGELE", "\tGELE", "comparator", ErrorType::Validation),
        ("UUTStatus\tFailed", "UUTStatus\tMaybe", "status", ErrorType::Validation),
        ("ErrorCode\t17", "ErrorCode\tmany", "number", ErrorType::Malformed),
        ("SequenceCall\tSupplies", "Sequence\tSupplies", "step_type", ErrorType::Unsupported),
        ("EndMultipleNumericLimitTest", "EndSequenceCall\tOther", "sequence", ErrorType::Malformed),
        ("EndMultipleNumericLimitTest", "EndSequenceCall\nEndSequenceCall", "sequence", ErrorType::Malformed),
        ("EndMultipleNumericLimitTest", "Series\tx\tXYG\t1", "chart", ErrorType::Malformed),
        ("-- UUT-End--", "", "record", ErrorType::Malformed),
        ("--Step-Data-End--", "", "step_type", ErrorType::Unsupported),
        ("StationName\tFT-2", "no tab", "record", ErrorType::Malformed),
    ] {
        assert!(tail.contains(from), "{from}");
        let run = convert(format!("{head}{}", tail.replacen(from, to, 1)), json!({}));
        let serials: Vec<_> = reports(&run).iter().map(|report| report["sn"].clone()).collect();
        assert_eq!(serials, ["SN-1", "SN-3"], "{from} to {to}: {:?}", run.problems);
        let errors = errors(&run);
        assert_eq!((errors.len(), errors[0].code.as_str(), errors[0].kind), (1, code, kind), "{errors:?}");
        assert!(errors[0].at.unwrap().line.unwrap() > 40, "{errors:?}");
    }
}

#[test]
fn the_content_proves_the_format() {
    let probe = |text: &str| testkit::probe::<Wats>(TestInput::new("a.txt", text)).confidence;
    assert_eq!([probe(&text()), probe("\n\n--Header-Start--\n"), probe("--\n"), probe("- a\n")], [95, 95, 0, 0]);
    assert_eq!(convert("- a\n", json!({})).result.unwrap_err().code, "outside");
}

#[test]
fn no_prefix_makes_a_report_of_an_incomplete_unit() {
    let text = text();
    let mut units = spans(text.as_bytes(), "--Header-Start--", "UUT-End--");
    // The mark is one as soon as it is whole, with or without a line end.
    units.iter_mut().for_each(|unit| assert!(text[unit.begin..unit.end].ends_with("--")));
    every_prefix::<Wats>("a.txt", text.as_bytes(), &options(&json!({})), &units);
}
