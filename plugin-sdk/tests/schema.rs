//! The published schema, real reports, and what the SDK writes.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use dropforge_sdk::prelude::*;
use dropforge_sdk::report::{
    Asset, Attachment, Chart, Failure, Group, Limits, MEDIA_TYPE, Misc, Numeric, PassFail, Repair, Repetition, ReportOptions, Reporter,
    Scale, SequenceCall, Series, Status, Step, SubUnit, Text, TextLimit, Unit, Verdict, transcode,
};
use dropforge_sdk::testkit::{self, TestInput};
use dropforge_sdk::text::DateFormat;
use serde_json::{Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn validator() -> jsonschema::Validator {
    let schema: Value = serde_json::from_slice(&fs::read(root().join("schemas/wsjf.schema.json")).unwrap()).unwrap();
    assert!(jsonschema::meta::is_valid(&schema));
    jsonschema::draft202012::new(&schema).unwrap()
}

fn errors(report: &Value) -> Vec<String> {
    validator().iter_errors(report).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn real(name: &str) -> Vec<u8> {
    fs::read(root().join("tests/data/wats").join(name)).unwrap()
}

const REAL: [&str; 3] = ["new_report_example.json", "uur_example.json", "uut-wsjf-export.json"];

#[test]
fn real_reports_satisfy_the_schema() {
    for name in REAL {
        let report: Value = serde_json::from_slice(&real(name)).unwrap();
        assert_eq!(errors(&report), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn the_schema_refuses_what_is_wrong() {
    let report: Value = serde_json::from_slice(&real("uut-wsjf-export.json")).unwrap();
    let changes: [(&str, Value); 8] = [
        ("sn", json!("")),
        ("pn", json!("x".repeat(101))),
        ("result", json!("Passed")),
        ("processCode", Value::Null),
        ("start", json!("30/01/2026 22:01")),
        ("root/steps/0/group", json!("X")),
        ("root/steps/0/steps/6/numericMeas/0/highLimit", Value::Null),
        ("root/steps/0/steps/0/numericMeas/0/compOp", json!("ABOUT")),
    ];
    for (path, value) in changes {
        let pointer = format!("/{path}");
        let mut wrong = report.clone();
        *wrong.pointer_mut(&pointer).unwrap_or_else(|| panic!("nothing at {pointer}")) = value;
        let errors = errors(&wrong);
        assert!(
            errors.iter().any(|error| error.starts_with(&pointer) || pointer.starts_with(error.split(':').next().unwrap())),
            "{pointer}: {errors:?}"
        );
        assert!(!errors.is_empty(), "{pointer}");
    }
}

#[test]
fn reading_and_writing_changes_nothing() {
    for name in REAL {
        let bytes = real(name);
        let mut written = Vec::new();
        let facts = transcode(&bytes[..], &mut written).unwrap();
        let (before, after): (Value, Value) = (serde_json::from_slice(&bytes).unwrap(), serde_json::from_slice(&written).unwrap());
        assert_eq!(before, after, "{name}");
        assert_eq!(Some(facts.serial.as_str()), before["sn"].as_str());
    }
}

/// Writes a report with everything that there is.
struct Everything;

impl Converter for Everything {
    type Options = ReportOptions;

    fn describe() -> Descriptor {
        Descriptor::new("everything", "1.0.0", "All kinds of steps").writes([MEDIA_TYPE])
    }

    fn convert(input: &mut Input, options: ReportOptions, output: &mut Output) -> Result<Outcome> {
        let mut reports = Reporter::open(input, &options)?;
        let (start, _) = reports.clock().read("2026-11-23 10:15:00.25", &DateFormat::new("yyyy-MM-dd HH:mm:ss.ff").unwrap())?;
        let unit = || Unit {
            serial: "A7".into(),
            start: Some(start),
            verdict: Some(Verdict::Failed),
            execution_time: Some(12.5),
            socket_index: Some(2),
            batch: Some("B".into()),
            fixture: Some("F".into()),
            error_code: Some(-3),
            error_message: Some("no answer".into()),
            comment: Some("again".into()),
            misc: vec![Misc::text("Lot", "17"), Misc { numeric: Some(4), ..Misc::text("Nest", "four") }],
            sub_units: vec![SubUnit { part_type: "PCBA".into(), part_number: "P2".into(), serial: "S2".into(), revision: "B".into() }],
            assets: vec![Asset { serial: "DMM-1".into(), usage_count: 1 }],
            ..Unit::default()
        };
        reports.test(output, |steps| {
            let call = SequenceCall { path: Some("C:\\a.seq".into()), name: Some("Supplies".into()), version: Some("1.2".into()) };
            let setup = Step { group: Group::Setup, start: Some(start), total_time: Some(0.5), ..Step::named("Supplies") };
            steps.sequence(&setup, &call, |steps| {
                let all = [
                    Limits::Log,
                    Limits::Eq(1.0),
                    Limits::Eqt(0.9, 1.1),
                    Limits::Ne(2.0),
                    Limits::Lt(2.0),
                    Limits::Le(1.0),
                    Limits::Gt(0.0),
                    Limits::Ge(1.0),
                    Limits::GtLt(0.0, 2.0),
                    Limits::GtLe(0.0, 1.0),
                    Limits::GeLt(1.0, 2.0),
                    Limits::GeLe(1.0, 1.0),
                    Limits::LtGt(2.0, 3.0),
                    Limits::LtGe(2.0, 3.0),
                    Limits::LeGt(1.0, 3.0),
                    Limits::LeGe(1.0, 3.0),
                ];
                let measured = all.map(|limits| Numeric { value: 1.0, limits, ..Numeric::default() });
                let status = steps.numerics(&Step::named("All comparators"), &measured)?;
                assert_eq!(status, Status::Passed);
                for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                    steps.numeric(
                        &Step::named("Special"),
                        &Numeric { value, limits: Limits::GeLe(0.0, 1.0), unit: Some("V".into()), ..Numeric::default() },
                    )?;
                }
                Ok(None)
            })?;
            steps.pass_fail(&Step::named("Right"), Status::Passed)?;
            let judged = [PassFail { name: Some("a".into()), status: Status::Passed }, PassFail { name: None, status: Status::Failed }];
            steps.pass_fails(&Step::named("Both"), &judged)?;
            let text = |limit| Text { value: "Abc".into(), limit, ..Text::default() };
            steps.text(&Step::named("Version"), &text(TextLimit::Log))?;
            steps.several_texts(
                &Step::named("Texts"),
                &[text(TextLimit::CaseSensitive("Abc".into())), text(TextLimit::IgnoreCase("aBC".into()))],
            )?;
            let points = vec![(1.0, 2.0), (2.0, 4.5)];
            let chart = Chart {
                scale: Scale::LineLogX,
                label: "Response".into(),
                x_label: "Frequency".into(),
                x_unit: Some("Hz".into()),
                y_label: "Level".into(),
                series: vec![Series { name: "left".into(), points }],
                ..Chart::default()
            };
            steps.chart(&Step { chart: Some(chart), ..Step::named("Curve") }, &[])?;
            steps.message(&Step::named("Look"), "seen", 1)?;
            steps.executable(&Step::named("Flash"), 3)?;
            let attachment = Attachment { name: "a.txt".into(), content_type: "text/plain".into(), data: b"hello".to_vec() };
            let wait = Step {
                attachment: Some(attachment),
                repetition: Some(Repetition::Summary { count: 2, ending_index: 2, passed: 1, failed: 1 }),
                error_code: Some(5),
                error_message: Some("late".into()),
                report_text: Some("waited".into()),
                ..Step::named("Wait")
            };
            steps.generic("NI_Wait", &wait)?;
            steps.generic("Action", &Step { repetition: Some(Repetition::Index(1)), ..Step::named("Once") })?;
            Ok(unit())
        })?;
        let failure = Failure {
            category: "Component".into(),
            code: "Burned".into(),
            component: Some("U1".into()),
            step_id: Some(3),
            ..Failure::default()
        };
        let part = SubUnit { part_type: "PCBA".into(), part_number: "P2".into(), serial: "S2".into(), revision: "B".into() };
        let repair = Repair {
            unit: unit(),
            test_operation_code: Some(10),
            confirmed: Some(start),
            finalized: Some(start),
            failures: vec![failure.clone()],
            parts: vec![(part, vec![failure])],
            ..Repair::default()
        };
        reports.repair(output, &repair)?;
        Ok(Outcome::Converted)
    }
}

#[test]
fn what_the_sdk_writes_satisfies_the_schema() {
    let options = json!({"part_number": "P", "revision": "1", "operation_code": 10, "station": "S", "location": "L", "purpose": "T", "timezone": "Europe/Oslo"});
    let run = testkit::convert::<Everything>(TestInput::new("line1/a.log", ""), options);
    assert!(run.result.is_ok(), "{:?}", run.result);
    assert_eq!(run.documents.len(), 2);
    for document in &run.documents {
        assert_eq!(document.media_type, MEDIA_TYPE);
        assert_eq!(errors(&document.json()), Vec::<String>::new(), "{}", document.text());
        let mut again = Vec::new();
        transcode(&document.bytes[..], &mut again).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&again).unwrap(), document.json());
    }
    let report = run.documents[0].json();
    assert_eq!((&report["start"], &report["startUTC"]), (&json!("2026-11-23T10:15:00.25+01:00"), &json!("2026-11-23T09:15:00.25Z")));
    let supplies = &report["root"]["steps"][0];
    assert_eq!((&supplies["status"], &supplies["causedUUTFailure"]), (&json!("F"), &json!(false)));
    let values: Vec<&Value> = supplies["steps"].as_array().unwrap().iter().skip(1).map(|step| &step["numericMeas"][0]["value"]).collect();
    assert_eq!(values, ["NaN", "Infinity", "-Infinity"]);
    assert_eq!((&supplies["steps"][1]["causedUUTFailure"], &supplies["steps"][2]["causedUUTFailure"]), (&json!(true), &json!(false)));
    assert_eq!(report["uut"]["stepIdCausedUUTFailure"], supplies["steps"][1]["id"]);
    assert_eq!(report["root"]["steps"][8]["attachment"]["data"], "aGVsbG8=");
    assert_eq!(run.documents[0].key.as_deref(), Some("A7@2026-11-23T09:15:00.25Z"));
    assert_eq!(run.documents[1].key.as_deref(), Some("A7@2026-11-23T09:15:00.25Z#2"));
}
