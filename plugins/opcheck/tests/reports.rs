//! Reports and what a server says of their operation codes.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use dropforge_plugin_opcheck::OpCheck;
use dropforge_sdk::lookup::{LookupError, Response};
use dropforge_sdk::testkit::{Conversion, TestInput, convert_with_lookup};
use dropforge_sdk::{Error, ErrorType, Outcome};
use serde_json::json;

/// A server that knows one operation: 10.
fn convert(report: &str, options: serde_json::Value) -> Conversion {
    convert_with_lookup::<OpCheck>(TestInput::new("panel-7.report.json", report), options, |path, query| {
        assert!(query.is_empty());
        let status = match path {
            "/api/operations/10" | "/ops/ICT%20a" => 200,
            "/api/operations/busy" => 503,
            "/api/operations/gone" => return Err(LookupError::Unavailable("nobody is there".into())),
            _ => 404,
        };
        Ok(Response { status, media_type: "application/json".into(), body: br#"{"name": "In-circuit test"}"#.to_vec() })
    })
}

fn error(conversion: Conversion) -> Error {
    match conversion.result {
        Err(error) => error,
        Ok(outcome) => panic!("{outcome:?}"),
    }
}

#[test]
fn a_known_operation_passes_unchanged() {
    let report = "{ \"operation_code\": 10,\n  \"serial\": \"SN1\" }\n";
    let conversion = convert(report, json!({}));
    assert_eq!(conversion.result, Ok(Outcome::Converted));
    let document = &conversion.documents[0];
    assert_eq!((document.text().as_str(), document.name.as_str()), (report, "panel-7.report.json"));
    assert_eq!((document.attribute("operation_code"), document.attribute("operation_name")), (Some("10"), Some("In-circuit test")));
}

#[test]
fn field_and_path_are_options_and_a_code_is_encoded() {
    let conversion = convert(r#"{"op": "ICT a"}"#, json!({ "field": "op", "path": "/ops/{code}" }));
    assert_eq!(conversion.result, Ok(Outcome::Converted));
}

#[test]
fn an_unknown_operation_rejects_the_report() {
    let conversion = convert(r#"{"operation_code": "99"}"#, json!({}));
    let Ok(Outcome::Rejected(error)) = conversion.result else { panic!("{:?}", conversion.result) };
    assert_eq!((error.kind, error.code.as_str()), (ErrorType::Validation, "unknown_operation"));
    assert!(conversion.documents.is_empty());
}

#[test]
fn a_server_that_fails_is_asked_again_later() {
    for code in ["busy", "gone"] {
        assert_eq!(error(convert(&json!({ "operation_code": code }).to_string(), json!({}))).kind, ErrorType::Upstream, "{code}");
    }
}

#[test]
fn what_is_no_report_is_an_error() {
    for (report, kind) in [
        ("no JSON", ErrorType::Malformed),
        ("{}", ErrorType::MissingField),
        (r#"{"operation_code": 1.5}"#, ErrorType::Validation),
        (r#"{"operation_code": ""}"#, ErrorType::Validation),
    ] {
        assert_eq!(error(convert(report, json!({}))).kind, kind, "{report}");
    }
}
