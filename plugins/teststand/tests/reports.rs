//! Real reports, and one that was written for this. What they hold was counted with a script over Python's ElementTree: `tests/data/SOURCES.md`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use dropforge_plugin_teststand::Teststand;
use dropforge_report_checks::{data, every_prefix, measurements, options, reports, spans, steps};
use dropforge_sdk::testkit::{self, Conversion, TestInput};
use dropforge_sdk::{ErrorType, Severity};
use serde_json::{Value, json};

const PLAIN: &str = "teststand/TsWithoutWats.xml";
const WATS: &str = "teststand/TSWithWats.xml";
const THREE: &str = "teststand/three-units.xml";

fn text(path: &str) -> String {
    String::from_utf8(data(path)).unwrap()
}

fn convert(bytes: impl Into<Vec<u8>>, more: Value) -> Conversion {
    testkit::convert::<Teststand>(TestInput::new("Report.xml", bytes), options(&more))
}

#[test]
fn every_unit_is_a_report_with_all_its_steps() {
    let counted = |path: &str| -> Vec<_> {
        let run = convert(data(path), json!({}));
        assert_eq!(run.problems, []);
        let reports = reports(&run);
        let calls = |report: &Value| steps(report).iter().filter(|step| step["stepType"] == "SequenceCall").count();
        reports.iter().map(|report| (report["sn"].clone(), steps(report).len(), measurements(report), calls(report))).collect()
    };
    assert_eq!(counted(PLAIN), [(json!("2342343"), 17, [2, 7, 0], 1)]);
    assert_eq!(counted(WATS), [(json!("12345"), 1, [0, 1, 0], 0)]);
    assert_eq!(counted(THREE), [(json!("S1"), 4, [1, 1, 0], 1), (json!("S2"), 7, [4, 0, 1], 0), (json!("S3"), 1, [0, 0, 0], 0)]);
}

#[test]
fn what_a_unit_says() {
    let report = reports(&convert(data(PLAIN), json!({}))).remove(0);
    assert_eq!(
        [&report["start"], &report["result"], &report["machineName"], &report["uut"]["user"], &report["root"]["totTime"]],
        [&json!("2022-07-01T15:47:48.927+02:00"), &json!("P"), &json!("TS-2021-BETA"), &json!("administrator"), &json!(6.0831833)]
    );
    assert_eq!([&report["root"]["seqCall"]["name"], &report["root"]["seqCall"]["version"]], ["MainSequence", "21.0.0.49156"]);
    assert!(report["root"]["seqCall"]["path"].as_str().unwrap().ends_with(".seq"));
    let all = steps(&report);
    let groups: String = report["root"]["steps"].as_array().unwrap().iter().map(|step| step["group"].as_str().unwrap()).collect();
    assert_eq!(groups, "SSMMMMMMMMMMC");
    let video = all.iter().find(|step| step["name"] == "Video Test").unwrap();
    let limits = json!([{"compOp": "GTLT", "status": "P", "unit": "microseconds", "value": 5.0, "lowLimit": 0.0, "highLimit": 10.0}]);
    assert_eq!((&video["numericMeas"], &video["totTime"]), (&limits, &json!(0.0008776)));
    let keyboard = all.iter().find(|step| step["name"] == "Keyboard Test").unwrap();
    assert_eq!(keyboard["numericMeas"], json!([{"compOp": "GT", "status": "P", "value": 6.0, "lowLimit": 5.0}]));
    let processor = all.iter().find(|step| step["name"] == "CPU Test").unwrap();
    assert_eq!((processor["steps"].as_array().unwrap().len(), &processor["seqCall"]["name"]), (4, &json!("CPU Test")));

    let report = reports(&convert(data(WATS), json!({}))).remove(0);
    assert_eq!(
        [&report["pn"], &report["rev"], &report["processCode"], &report["location"], &report["purpose"], &report["start"]],
        [&json!("PN1"), &json!("1.0"), &json!(60), &json!("Norautron Horten"), &json!("PCBA Test"), &json!("2022-06-23T10:55:04.37+02:00")]
    );
    assert_eq!(report["root"]["steps"][0]["stepType"], "ET_PFT");
}

#[test]
fn what_steps_may_say() {
    let reports = reports(&convert(data(THREE), json!({})));
    let results: Vec<_> = reports.iter().map(|report| report["result"].clone()).collect();
    assert_eq!(results, ["P", "F", "T"]);
    let all = &reports[1]["root"]["steps"];
    assert_eq!((&all[0]["causedUUTFailure"], &all[0]["status"], &all[0]["stepType"]), (&json!(true), &json!("F"), &json!("ET_MNLT")));
    assert_eq!(
        all[0]["numericMeas"][1],
        json!({"compOp": "GELE", "name": "1V8", "status": "F", "unit": "V", "value": 1.5, "lowLimit": 1.7, "highLimit": 1.9})
    );
    assert_eq!(all[1]["stringMeas"], json!([{"compOp": "IGNORECASE", "status": "P", "value": "v1.2 <beta>", "limit": "V1.2 <BETA>"}]));
    assert_eq!(
        [&all[2]["status"], &all[2]["errorCode"], &all[2]["errorMessage"], &all[2]["reportText"]],
        [&json!("E"), &json!(-17300), &json!("Time-out"), &json!("no answer")]
    );
    // What was not run measured nothing.
    assert_eq!((&all[3]["status"], all[3].get("numericMeas")), (&json!("S"), None));
    assert_eq!((&all[4]["loop"], &all[4]["numericMeas"][0]["lowLimit"]), (&json!({"idx": 0}), &json!(9.99)));
    assert_eq!(all[5]["loop"], json!({"num": 1, "endingIndex": 0, "passed": 1, "failed": 0}));
    assert_eq!((&all[5]["numericMeas"][0]["value"], &all[5]["numericMeas"][0]["highLimit"]), (&json!(10.0), &json!(10.02)));
    assert_eq!((&all[6]["group"], &all[6]["messagePopup"]), (&json!("C"), &json!({"response": "yes", "button": 1})));
    assert_eq!([&reports[1]["uut"]["batchSN"], &reports[1]["uut"]["testSocketIndex"]], [&json!("B7"), &json!(2)]);
}

#[test]
fn statuses_can_be_computed_of_limits() {
    let text = text(PLAIN).replace(
        "<Value>6</Value>\n\t\t\t\t\t\t</Prop>\n\t\t\t\t\t\t<Prop Name='ReportText'",
        "<Value>4</Value>\n\t\t\t\t\t\t</Prop>\n\t\t\t\t\t\t<Prop Name='ReportText'",
    );
    let results = |mode: &str| reports(&convert(text.clone(), json!({"mode": mode})))[0]["result"].clone();
    assert_eq!([results("import"), results("active")], ["P", "F"]);
}

#[test]
fn the_content_proves_the_format() {
    let probe = |bytes: Vec<u8>| testkit::probe::<Teststand>(TestInput::new("a.xml", bytes)).confidence;
    assert_eq!([probe(data(PLAIN)), probe(data(WATS)), probe(data("junit/pytest-corrupt-xml.xml"))], [90, 95, 0]);
    assert_eq!(convert("<a/>", json!({})).result.unwrap_err().code, "not_teststand");
}

#[test]
fn no_prefix_makes_a_report_of_an_incomplete_unit() {
    let three = data(THREE);
    every_prefix::<Teststand>("a.xml", &three, &options(&json!({})), &spans(&three, "<Report Type='UUT'", "</Report>"));
    let wats = data(WATS);
    every_prefix::<Teststand>("a.xml", &wats, &options(&json!({})), &spans(&wats, "<TSReport>", "</TSReport>"));
}

#[test]
fn a_broken_unit_costs_that_unit_only() {
    let text = text(THREE);
    for (from, to, code, kind) in [
        ("<Value>1.5</Value>", "<Value>1.x5</Value>", "number", ErrorType::Malformed),
        ("<Value>IgnoreCase</Value>", "<Value>Sometimes</Value>", "comparator", ErrorType::Validation),
        ("<Value>Bus</Value>", "<Value></Value>", "step_name", ErrorType::MissingField),
        ("<Value>Skipped</Value>", "<Value>Postponed</Value>", "status", ErrorType::Validation),
        ("<Value>S2</Value>", "<Value></Value>", "header", ErrorType::MissingField),
        ("UUTResult='Failed'", "UUTResult='Good'", "status", ErrorType::Validation),
        (
            "<Prop Name='Minutes' Type='Number' Flags='0x0'><Value>20<",
            "<Prop Name='Minutes' Type='Number' Flags='0x0'><Value>70<",
            "date",
            ErrorType::Malformed,
        ),
    ] {
        let broken = text.replacen(from, to, 1);
        assert_ne!(broken, text, "{from}");
        let run = convert(broken, json!({}));
        let serials: Vec<_> = reports(&run).iter().map(|report| report["sn"].clone()).collect();
        assert_eq!(serials, ["S1", "S3"], "{code}");
        let errors: Vec<_> = run.problems.iter().filter(|(severity, _)| *severity == Severity::Error).map(|(_, error)| error).collect();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!((errors[0].code.as_str(), errors[0].kind), (code, kind), "{:?}", errors[0]);
        assert!(errors[0].at.unwrap().line.unwrap() > 15, "{:?}", errors[0]);
    }
}
