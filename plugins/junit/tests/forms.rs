//! Forms and faults that the real files do not show.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use dropforge_plugin_junit::Junit;
use dropforge_sdk::testkit::{self, Conversion, TestInput};
use dropforge_sdk::{ErrorType, Outcome, Severity};
use serde_json::{Value, json};

fn convert(xml: impl Into<Vec<u8>>) -> Conversion {
    testkit::convert::<Junit>(TestInput::new("station/TEST-a.xml", xml), json!({}))
}

fn document(xml: impl Into<Vec<u8>>) -> Value {
    let run = convert(xml);
    assert_eq!(run.result, Ok(Outcome::Converted));
    assert_eq!(run.documents.len(), 1, "{:?}", run.problems);
    serde_json::from_slice(&run.documents[0].bytes).unwrap()
}

fn place(run: &Conversion) -> (ErrorType, Option<u64>, Option<u64>) {
    let error = run.result.clone().unwrap_err();
    let at = error.at.unwrap_or_default();
    (error.kind, at.line, at.column)
}

#[test]
fn a_whole_document() {
    let xml = "<testsuite name='s' package='p' timestamp='2026-01-02T03:04:05' tests='1'>\
        <testcase name='n' classname='c' time='1,234.5'><system-out>out</system-out><properties><property name='a' value='b'/>\
        <property name='t'>text</property></properties></testcase><system-err>err</system-err></testsuite>";
    let expected = json!({
        "name": "s", "path": ["s"], "timestamp": "2026-01-02T03:04:05", "hostname": null, "time": null, "reported": {"tests": 1},
        "attributes": {"package": "p"},
        "cases": [{
            "name": "n", "classname": "c", "time": 1234.5, "status": "passed", "system_out": "out",
            "properties": [{"name": "a", "value": "b"}, {"name": "t", "value": "text"}],
        }],
        "counted": {"tests": 1, "failures": 0, "errors": 0, "skipped": 0, "disabled": 0, "time": 1234.5},
        "properties": [], "system_err": "err",
    });
    assert_eq!(document(xml), expected);
}

#[test]
fn seconds_are_read_in_every_form() {
    for (text, expected) in [
        ("0.25", json!(0.25)),
        (" 3 ", json!(3.0)),
        ("1e-3", json!(0.001)),
        ("1,234", json!(1234.0)),
        ("1,234,567.5", json!(1_234_567.5)),
        ("0,125", json!(0.125)),
        ("12,5", json!(12.5)),
        ("", Value::Null),
        ("-1", Value::Null),
        ("NaN", Value::Null),
        ("2 s", Value::Null),
    ] {
        let document = document(format!("<testsuite><testcase time='{text}'/></testsuite>"));
        assert_eq!(document["cases"][0]["time"], expected, "{text}");
        let raw = document["cases"][0]["attributes"]["time"].as_str();
        assert_eq!(raw, expected.is_null().then_some(text), "what cannot be read stays as it is");
    }
}

#[test]
fn retries_of_surefire() {
    let document = document(
        "<testsuite><testcase name='flaky'><flakyFailure message='m' type='t'><stackTrace>at A</stackTrace><system-out>o</system-out>\
         </flakyFailure></testcase><testcase name='failed'><failure/><rerunFailure message='again'/><rerunError/></testcase></testsuite>",
    );
    let cases = &document["cases"];
    assert_eq!(cases[0]["status"], "passed");
    assert_eq!(cases[0]["results"], json!([{"kind": "flaky_failure", "type": "t", "message": "m", "text": "at A", "system_out": "o"}]));
    assert_eq!(cases[1]["status"], "failed");
    assert_eq!(cases[1]["results"][1], json!({"kind": "rerun_failure", "message": "again"}));
}

#[test]
fn cases_outside_of_suites_make_a_suite() {
    let run =
        convert("<testsuites name='node'><testcase name='a'/><testsuite name='s'><testcase/></testsuite><testcase name='b'/></testsuites>");
    let documents: Vec<_> = run.documents.iter().map(|document| document.json()).collect();
    assert_eq!((&documents[0]["name"], &documents[0]["cases"][1]["name"]), (&json!("node"), &json!("b")));
    assert_eq!(documents[1]["path"], json!(["s"]));
}

#[test]
fn equal_suites_have_different_keys() {
    let run = convert("<testsuites><testsuite name='a'/><testsuite name='a'/><testsuite/><testsuite name='a' timestamp='1'/></testsuites>");
    let keys: Vec<_> = run.documents.iter().map(|document| document.key.as_deref().unwrap()).collect();
    assert_eq!(keys, ["a", "a#2", "#3", "a@1"]);
    let names: Vec<_> = run.documents.iter().map(|document| document.name.as_str()).collect();
    assert_eq!(names, ["TEST-a.a.json", "TEST-a.a.json", "TEST-a.3.json", "TEST-a.a.json"]);
}

#[test]
fn wrong_counts_are_warnings() {
    let run = convert("\n<testsuite name='s' tests='3' failures='1' skipped='x'>\n<testcase/></testsuite>");
    let (severity, error) = &run.problems[0];
    assert_eq!(*severity, Severity::Warning);
    assert_eq!(error.to_string(), "validation: suite `s` says tests=3, counted 1; failures=1, counted 0 (line 2)");
    assert_eq!(run.documents[0].json()["attributes"], json!({"skipped": "x"}));
}

#[test]
fn suites_before_a_break_come_out() {
    let run =
        convert("<testsuites>\n<testsuite name='a'><testcase/></testsuite>\n<testsuite name='b'><testcase></testsuite>\n</testsuites>");
    assert_eq!(run.result, Ok(Outcome::Converted));
    assert_eq!(run.documents.iter().map(|document| document.key.as_deref().unwrap()).collect::<Vec<_>>(), ["a"]);
    let (severity, error) = &run.problems[0];
    assert_eq!((*severity, error.kind), (Severity::Error, ErrorType::Malformed));
    assert_eq!(error.at.unwrap().line, Some(3));
    assert_eq!(run.observations[0].value, 1.0, "the broken suite's case is not counted");
}

#[test]
fn broken_xml_says_where() {
    use ErrorType::{Encoding, Malformed, Unsupported};
    let deep = format!("<testsuite>{}", "<a>".repeat(200));
    for (xml, expected) in [
        ("", (Malformed, Some(1), Some(1))),
        ("no xml", (Malformed, Some(1), Some(1))),
        ("<testsuite>\n  <testcase", (Malformed, Some(2), Some(12))),
        ("<testsuite>\n  <testcase></testsuite>", (Malformed, Some(2), Some(13))),
        ("<testsuite>\r\n\r\n<testcase name='a' name='b'/>", (Malformed, Some(3), Some(1))),
        ("<testsuite>\r\r<testcase name='&#0;'/>", (Malformed, Some(3), Some(1))),
        ("<testsuite>é <testcase>a & b</testcase>", (Malformed, Some(1), Some(26))),
        ("<?xml version='1.0' encoding='EBCDIC-1'?><testsuite/>", (Unsupported, Some(1), None)),
        (&deep, (Unsupported, Some(1), Some(393))),
        ("<assemblies/>", (Unsupported, Some(1), Some(1))),
    ] {
        assert_eq!(place(&convert(xml)), expected, "{xml}");
    }
    assert_eq!(place(&convert(b"<testsuite>\n<testcase><failure>caf\xe9</failure>")), (Encoding, Some(2), Some(23)));
    let behind = convert("<testsuite/>\n<testsuite/>");
    assert_eq!(
        (behind.documents.len(), behind.problems[0].1.to_string().as_str()),
        (1, "malformed: a second root element (line 2, column 1)")
    );
}

#[test]
fn entities_are_not_expanded() {
    let run = convert(
        "<!DOCTYPE t [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]>\n<testsuite name='&b;&lt;'>\n<testcase><failure>&b; &#x41;&amp;</failure>\
         </testcase></testsuite>",
    );
    let document = run.documents[0].json();
    assert_eq!(document["name"], "&b;<");
    assert_eq!(document["cases"][0]["results"][0]["text"], "&b; A&");
    assert_eq!(run.problems.len(), 1);
    assert_eq!((run.problems[0].1.code.as_str(), run.problems[0].1.at.unwrap().line), ("unknown_entity", Some(2)));
}

#[test]
fn every_encoding() {
    let xml = |encoding: &str| {
        format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?>\n<testsuite name='Prüfung'><testcase name='2 €'/></testsuite>")
    };
    let utf16 = |text: &str, unit: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
    let single = |text: &str, euro| text.chars().map(|c| if c == '€' { euro } else { c as u8 }).collect::<Vec<u8>>();
    let marked = |mark: &[u8], bytes: Vec<u8>| [mark, &bytes].concat();
    for (bytes, euro) in [
        (xml("UTF-8").into_bytes(), "2 €"),
        (marked(b"\xef\xbb\xbf", xml("utf-8").into_bytes()), "2 €"),
        (marked(b"\xff\xfe", utf16(&xml("UTF-16"), u16::to_le_bytes)), "2 €"),
        (marked(b"\xfe\xff", utf16(&xml("UTF-16"), u16::to_be_bytes)), "2 €"),
        (utf16(&xml("UTF-16LE"), u16::to_le_bytes), "2 €"),
        (utf16(&xml("UTF-16BE"), u16::to_be_bytes), "2 €"),
        (xml("utf-16").into_bytes(), "2 €"),
        (single(&xml("windows-1252"), 0x80), "2 €"),
        (single(&xml("ISO-8859-1"), 0x80), "2 \u{80}"),
    ] {
        assert_eq!(testkit::probe::<Junit>(TestInput::new("a.xml", bytes.clone())).confidence, 95);
        let document = document(bytes);
        assert_eq!((&document["name"], &document["cases"][0]["name"]), (&json!("Prüfung"), &json!(euro)));
    }
}

#[test]
fn utf_16_across_chunks_and_when_broken() {
    // The chunk border is inside characters of four bytes.
    let xml = format!("<testsuite>\n<testcase name='x{}'/></testsuite>", "😀".repeat(20_000));
    let bytes: Vec<u8> =
        [0xFFFE_u16].iter().flat_map(|mark| mark.to_be_bytes()).chain(xml.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let name = document(bytes.clone())["cases"][0]["name"].as_str().map(str::len);
    assert_eq!(name, Some(80_001));
    let mut broken = bytes.clone();
    let half = broken.len() - 60;
    broken.splice(half..half, [0x00, 0xDC]);
    assert_eq!(place(&convert(broken)).0, ErrorType::Encoding);
    let cut = bytes[..bytes.len() - 1].to_vec();
    assert_eq!(place(&convert(cut)), (ErrorType::Encoding, Some(2), Some(20_032)));
}

#[test]
fn long_texts_are_cut_and_said() {
    let xml = "<testsuite>\n<testcase><failure message='abcdé'>01234<![CDATA[56789]]></failure></testcase></testsuite>";
    let run = testkit::convert::<Junit>(TestInput::new("a.xml", xml), json!({"max_text_bytes": 5}));
    assert_eq!(run.documents[0].json()["cases"][0]["results"], json!([{"kind": "failure", "message": "abcd", "text": "01234"}]));
    let messages: Vec<_> = run.problems.iter().map(|(_, error)| error.to_string()).collect();
    assert_eq!(
        messages,
        [
            "validation: the message is cut: 2 bytes are over max_text_bytes = 5 (line 2)",
            "validation: the text is cut: 5 bytes are over max_text_bytes = 5 (line 2)",
        ]
    );
}

#[test]
fn one_case_has_a_bound() {
    let failure = format!("<failure>{}</failure>", "x".repeat(1 << 20));
    let xml = format!("<testsuite><testcase>{}</testcase></testsuite>", failure.repeat(33));
    let error = convert(xml).result.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorType::Unsupported, "too_large"));
    let many = format!("<testsuite>{}</testsuite>", format!("<testcase>{failure}</testcase>").repeat(40));
    assert_eq!(document(many)["counted"]["failures"], 40);
}

#[test]
fn one_token_has_a_bound() {
    let xml = format!("<testsuite><testcase name='{}'/></testsuite>", "x".repeat(33 << 20));
    let error = convert(xml).result.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorType::Unsupported, "too_large"));
}

#[test]
fn options_have_a_schema() {
    let schema = testkit::options_schema::<Junit>();
    assert_eq!(schema["properties"]["include_output"]["default"], true);
    assert_eq!(schema["properties"]["max_text_bytes"]["default"], 1 << 20);
    assert_eq!(schema["additionalProperties"], false);
}
