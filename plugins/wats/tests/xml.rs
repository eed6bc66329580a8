//! A real report that its server wrote as JSON and as XML: of the XML comes what the JSON says.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use dropforge_plugin_wats::Wats;
use dropforge_report_checks::{Span, data, every_prefix, measurements, report, steps};
use dropforge_sdk::testkit::{self, Conversion, TestInput};
use dropforge_sdk::{ErrorType, Severity};
use serde_json::{Map, Value, json};

fn text() -> String {
    String::from_utf8(data("wats/uut-wsxf-export.xml")).unwrap()
}

fn convert(bytes: impl Into<Vec<u8>>) -> Conversion {
    testkit::convert::<Wats>(TestInput::new("a.xml", bytes), json!({}))
}

/// Without what says nothing: null, empty lists; numbers by their value.
fn said(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| (key.clone(), said(value)));
            Value::Object(fields.filter(|(_, value)| !value.is_null() && *value != json!([])).collect::<Map<_, _>>())
        }
        Value::Array(all) => all.iter().map(said).collect(),
        Value::Number(number) => json!(number.as_f64()),
        other => other.clone(),
    }
}

#[test]
fn the_xml_of_a_report_becomes_its_json() {
    let run = convert(text());
    assert_eq!(run.problems, []);
    let xml = report(&run.documents[0]);
    let json: Value = serde_json::from_slice(&data("wats/uut-wsjf-export.json")).unwrap();
    assert_eq!(said(&xml), said(&json));
    let calls = steps(&xml).iter().filter(|step| step["stepType"] == "SequenceCall").count() + 1;
    assert_eq!((measurements(&xml), calls, xml["subUnits"].as_array().unwrap().len(), steps(&xml).len()), ([108, 17, 21], 27, 2, 185));
    let document = &run.documents[0];
    assert_eq!((document.name.as_str(), document.key.as_deref()), ("a.1.wsjf.json", Some("FATTest-325@2026-01-30T22:01:41.4707353+01:00")));
    assert_eq!(document.attribute("report_id"), Some("33a2d408-3fc8-480b-b554-6866c77fd91c"));
    assert_eq!(testkit::probe::<Wats>(TestInput::new("a.xml", text())).confidence, 94);
}

/// A small report with what the real one has not.
fn small(id: u32) -> String {
    format!(
        "<Report type='UUT' ID='AB{id}' Start='2026-01-30T22:01:41+01:00' Start_utc='2026-01-30T21:01:41Z' Result='Error' SN='S{id}' PN='P' Rev='1' \
         MachineName='M' Location='L' Purpose='U'><UUT UserLoginName='O' ErrorCodeFormat='%x' ErrorCode='-7'/><Process Code='10'/>\
         <Assets><Asset AssetSN='A1' UsageCount='2'/></Assets>\
         <Step Id='1' Group='Setup' Name='s' StepType='SequenceCall' Status='Error' total_time='1.5' Start='2026-01-30T22:01:42+01:00'>\
         <SequenceCall Name='n' Filepath='C:\\a' Filename='b.seq'/><Step Id='2' Group='Main' Name='v' StepType='ET_NLT' Status='Done'>\
         <NumericLimit NumericValue='NaN' CompOperator='GE' LowLimit='-INF' Status='Failed'/></Step>\
         <Step Id='3' Group='Cleanup' Name='f' StepType='ET_SVT' Status='Skipped'><StringValue StringValue='' CompOperator='LOG' Status='Passed'/>\
         <Attachment Name='n' ContentType='text/plain'>aGVs\nbG8=</Attachment></Step></Step></Report>"
    )
}

#[test]
fn what_the_real_report_has_not() {
    let run = convert(small(1));
    let report = report(&run.documents[0]);
    assert_eq!([&report["result"], &report["id"], &report["uut"]["errorCode"]], [&json!("E"), &json!("ab1"), &json!(-7)]);
    assert_eq!((&report["uut"]["errorCodeFormat"], &report["assets"]), (&json!("%x"), &json!([{"assetSN": "A1", "usageCount": 2}])));
    let root = &report["root"];
    assert_eq!([&root["group"], &root["totTime"], &root["start"]], [&json!("S"), &json!(1.5), &json!("2026-01-30T22:01:42+01:00")]);
    let number = json!([{"value": "NaN", "compOp": "GE", "lowLimit": "-Infinity", "status": "F"}]);
    assert_eq!((&root["steps"][0]["numericMeas"], &root["steps"][0]["status"]), (&number, &json!("D")));
    assert_eq!(root["steps"][1]["stringMeas"], json!([{"value": "", "compOp": "LOG", "status": "P"}]));
    assert_eq!(root["steps"][1]["attachment"], json!({"name": "n", "contentType": "text/plain", "data": "aGVsbG8="}));
    // What WSJF has no place for is said.
    let warnings: Vec<_> = run.problems.iter().map(|(severity, error)| (*severity, error.code.as_str(), error.at.unwrap().line)).collect();
    assert_eq!(warnings, [(Severity::Warning, "unknown", Some(1))]);
    assert!(run.problems[0].1.message.contains("Filename"), "{:?}", run.problems);
    let strange = small(1).replace("<Process", "<Weather wind='3'/><Process").replace("Group='Main'", "Group='Main' Mood='good'");
    let run = convert(strange);
    let said: String = run.problems.iter().map(|(_, error)| error.message.clone()).collect();
    assert!(said.contains("<Weather>") && said.contains("Step/@Mood") && run.documents.len() == 1, "{said}");
}

#[test]
fn a_broken_report_costs_that_report_only() {
    let wrong = |from: &str, to: &str, code: &str, kind: ErrorType| {
        let second = small(2);
        assert!(second.contains(from), "{from}");
        let run = convert(format!("<Reports>{}{}{}</Reports>", small(1), second.replacen(from, to, 1), small(3)));
        let serials: Vec<_> = run.documents.iter().map(|document| report(document)["sn"].clone()).collect();
        assert_eq!(serials, ["S1", "S3"], "{code}");
        let errors: Vec<_> = run.problems.iter().filter(|(severity, _)| *severity == Severity::Error).map(|(_, error)| error).collect();
        assert_eq!((errors.len(), errors[0].code.as_str(), errors[0].kind), (1, code, kind), "{errors:?}");
        assert!(errors[0].at.unwrap().line.is_some());
    };
    wrong("SN='S2'", "", "header", ErrorType::MissingField);
    wrong("<UUT ", "<Unit ", "header", ErrorType::MissingField);
    wrong("type='UUT'", "type='UUR'", "repair", ErrorType::Unsupported);
    wrong("Result='Error'", "Result='Perhaps'", "value", ErrorType::Validation);
    wrong("Status='Done'", "Status='Maybe'", "value", ErrorType::Validation);
    wrong("total_time='1.5'", "total_time='long'", "number", ErrorType::Malformed);
    wrong("SN='S2'", &format!("SN='{}'", "S".repeat(101)), "too_long", ErrorType::Validation);
    wrong("<Process ", "<Step Id='9'/><Process ", "steps", ErrorType::Unsupported);
}

#[test]
fn the_same_unit_twice_has_two_keys() {
    let run = convert(format!("<Reports>{}{}</Reports>", small(1), small(1)));
    let keys: Vec<_> = run.documents.iter().map(|document| document.key.clone().unwrap()).collect();
    assert_eq!(keys, ["S1@2026-01-30T22:01:41+01:00", "S1@2026-01-30T22:01:41+01:00#2"]);
}

#[test]
fn what_is_no_wsxf_is_refused() {
    for (xml, code) in [("<Reports/>", "empty"), ("<a/>", "empty"), ("<Reports", "truncated")] {
        assert_eq!(convert(xml).result.unwrap_err().code, code, "{xml}");
        assert_eq!(testkit::probe::<Wats>(TestInput::new("a.xml", xml)).confidence, 0, "{xml}");
    }
    // TestStand's reports have the same root.
    assert_eq!(testkit::probe::<Wats>(TestInput::new("a.xml", data("teststand/three-units.xml"))).confidence, 0);
}

#[test]
fn no_prefix_makes_a_report_of_an_incomplete_one() {
    let three = format!("<Reports>\n{}\n{}\n{}</Reports>", small(1), small(2), small(3));
    let units = dropforge_report_checks::spans(three.as_bytes(), "<Report ", "</Report>");
    every_prefix::<Wats>("a.xml", three.as_bytes(), &json!({}), &units);
    let whole = text();
    let end = whole.find("</Report>").unwrap() + "</Report>".len();
    every_prefix::<Wats>("a.xml", whole.as_bytes(), &json!({}), &[Span { begin: whole.find("<Report ").unwrap(), end }]);
}
