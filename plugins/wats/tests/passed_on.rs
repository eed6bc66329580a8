//! Real reports are passed on as they are. What they hold was counted with a script: `tests/data/SOURCES.md`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use dropforge_plugin_wats::Wats;
use dropforge_report_checks::{Span, data, every_prefix, measurements, reports, steps};
use dropforge_sdk::ErrorType;
use dropforge_sdk::testkit::{self, Conversion, TestInput};
use serde_json::{Value, json};

fn convert(name: &str, bytes: impl Into<Vec<u8>>) -> Conversion {
    testkit::convert::<Wats>(TestInput::new(name, bytes), json!({}))
}

#[test]
fn real_reports_are_passed_on_whole() {
    for (file, counts, sequences, all) in [
        ("uut-wsjf-export.json", [108, 17, 21], 27, 186),
        ("new_report_example.json", [173, 11, 9], 34, 281),
        ("uur_example.json", [0, 0, 0], 0, 0),
    ] {
        let bytes = data(&format!("wats/{file}"));
        let run = convert(file, bytes.clone());
        let report = &reports(&run)[0];
        assert_eq!(*report, serde_json::from_slice::<Value>(&bytes).unwrap(), "{file}");
        assert_eq!(run.documents[0].attribute("report_id"), report["id"].as_str());
        assert_eq!(measurements(report), counts, "{file}");
        let steps = steps(report);
        let calls = steps.iter().filter(|step| step["stepType"] == "SequenceCall").count()
            + usize::from(report["root"]["stepType"] == "SequenceCall");
        let with_root = steps.len() + usize::from(report["root"].is_object());
        assert_eq!((calls, with_root), (sequences, all), "{file}");
        assert_eq!(testkit::probe::<Wats>(TestInput::new(file, bytes)).confidence, 92, "{file}");
    }
}

#[test]
fn names_and_keys() {
    let bytes = data("wats/uur_example.json");
    for (name, expected) in [("a.json", "a.wsjf.json"), ("a.wsjf", "a.wsjf.json"), ("a.wsjf.json", "a.wsjf.json"), ("a", "a.wsjf.json")] {
        let run = convert(name, bytes.clone());
        assert_eq!(run.documents[0].name, expected);
        let key = run.documents[0].key.as_deref();
        assert_eq!(key, Some("MODULE-20251221230142-5519@2025-12-21T23:01:45.472254+01:00"));
    }
}

#[test]
fn what_is_no_report_is_refused() {
    for (text, kind, code) in [
        ("", ErrorType::Malformed, "not_a_report"),
        ("[1]", ErrorType::Malformed, "not_a_report"),
        ("{\"sn\": 3}", ErrorType::MissingField, "header"),
        ("{\"type\": \"X\"}", ErrorType::Validation, "value"),
        ("{\"root\": {\"status\": \"Passed\"}}", ErrorType::Validation, "value"),
    ] {
        let error = convert("a.json", text).result.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (kind, code), "{text}");
        assert_eq!(testkit::probe::<Wats>(TestInput::new("a.json", text)).confidence, 0, "{text}");
    }
}

#[test]
fn no_prefix_of_a_report_is_one() {
    let bytes = data("wats/uur_example.json");
    let end = bytes.iter().rposition(|byte| *byte == b'}').unwrap() + 1;
    every_prefix::<Wats>("a.json", &bytes, &json!({}), &[Span { begin: 0, end }]);
}
