//! Real logs. What they hold was counted with a script over Python's zipfile and ElementTree: `tests/data/SOURCES.md`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::io::{Cursor, Read, Write};

use dropforge_plugin_xjtag::Xjtag;
use dropforge_report_checks::{Span, data, every_prefix, measurements, options, reports, steps};
use dropforge_sdk::testkit::{self, Conversion, TestInput};
use dropforge_sdk::{ErrorType, Severity};
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

const SIX: &str = "xjtag/demonstration.xjlog";

fn convert(bytes: impl Into<Vec<u8>>) -> Conversion {
    testkit::convert::<Xjtag>(TestInput::new("a.xjlog", bytes), options(&json!({})))
}

/// An archive once more, with its entries changed: none leaves one out.
fn rezip(bytes: &[u8], method: CompressionMethod, mut change: impl FnMut(&str, Vec<u8>) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut from = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut to = ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..from.len() {
        let mut entry = from.by_index(index).unwrap();
        let name = entry.name().unwrap().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if let Some(content) = change(&name, content) {
            to.start_file(name.as_str(), SimpleFileOptions::default().compression_method(method)).unwrap();
            to.write_all(&content).unwrap();
        }
    }
    to.finish().unwrap().into_inner()
}

fn errors(run: &Conversion) -> Vec<&dropforge_sdk::Error> {
    run.problems.iter().filter(|(severity, _)| *severity == Severity::Error).map(|(_, error)| error).collect()
}

#[test]
fn every_run_is_a_report_with_all_its_functions() {
    let run = convert(data(SIX));
    assert_eq!(run.problems, []);
    let found: Vec<_> = reports(&run)
        .iter()
        .map(|report| {
            let failed = steps(report).iter().filter(|step| step["stepType"] == "ET_PFT" && step["status"] == "F").count();
            let groups = report["root"]["steps"].as_array().unwrap().len();
            (
                report["sn"].as_str().unwrap().to_owned(),
                report["result"].as_str().unwrap().to_owned(),
                groups,
                measurements(report)[1],
                failed,
            )
        })
        .collect();
    let expected = [
        ("10001", "F", 2, 2, 1),
        ("1002", "P", 10, 14, 0),
        ("10004", "F", 10, 14, 2),
        ("10003", "F", 10, 14, 1),
        ("10006", "F", 10, 14, 1),
        ("10005", "P", 10, 14, 0),
    ];
    assert_eq!(
        found,
        expected.map(|(serial, result, groups, functions, failed)| (serial.to_owned(), result.to_owned(), groups, functions, failed))
    );
    for (file, groups, passed, skipped) in
        [("xjtag/1234.xjlog", 12, 19, 0), ("xjtag/567567.xjlog", 13, 22, 2), ("xjtag/567567.xml", 13, 22, 2)]
    {
        let report = &reports(&convert(data(file)))[0];
        let count =
            |status: &str| steps(report).iter().filter(|step| step["stepType"] != "SequenceCall" && step["status"] == status).count();
        assert_eq!((report["root"]["steps"].as_array().unwrap().len(), count("P"), count("S")), (groups, passed, skipped), "{file}");
        assert_eq!((steps(report).len(), &report["result"]), (groups + passed + skipped, &json!("P")));
    }
}

#[test]
fn what_a_run_says() {
    let report = &reports(&convert(data("xjtag/567567.xjlog")))[0];
    assert_eq!([&report["sn"], &report["start"], &report["uut"]["user"]], ["567567", "2020-06-17T13:29:24.258678+00:00", "ADMINISTRATOR"]);
    assert_eq!(report["uut"]["execTime"], 47.96);
    let call = &report["root"]["seqCall"];
    assert_eq!(call["name"], "Demonstration hardware");
    assert!(call["path"].as_str().unwrap().ends_with(r"Board Test\Demo.xjp"), "{call}");
    assert_eq!(report["miscInfos"][1], json!({"description": "XJTAG version", "text": "3.10.0.0"}));
    let adc = steps(report).into_iter().find(|step| step["name"] == "ADC_Test").unwrap();
    assert_eq!((&adc["totTime"], &adc["booleanMeas"]), (&json!(5.944), &json!([{"status": "P"}])));
    assert!(
        adc["reportText"].as_str().unwrap().starts_with("Checking the voltage on ADC (IC6) channel 1.\nPASSED: Voltage (1622mV)"),
        "{adc}"
    );
    // The XML that the runner writes beside its log is the same run, without the path of the test program.
    let mut plain = reports(&convert(data("xjtag/567567.xml")))[0].clone();
    plain["root"]["seqCall"]["path"] = call["path"].clone();
    assert_eq!(plain["root"], report["root"]);

    // Older logs have the output in pieces, and names of parts as links; what is wrong with a net is HTML only.
    let older = &reports(&convert(data("xjtag/1234.xjlog")))[0];
    let adc = steps(older).into_iter().find(|step| step["name"] == "ADC_Test").unwrap();
    assert!(
        adc["reportText"].as_str().unwrap().contains("Checking the voltage on ADC (IC6) channel 1.\nPASSED: Voltage (1647mV)"),
        "{adc}"
    );
    assert_eq!(
        older["uut"]["comment"],
        "IC3.TestDestructive skipped\nEraseIC3 skipped\nProgramIC3 skipped\nVerifyIC3 (Post programming) skipped"
    );
    let failed = &reports(&convert(data(SIX)))[2];
    let net = steps(failed).into_iter().find(|step| step["name"] == "CONNTEST").unwrap();
    assert!(net["reportText"].as_str().unwrap().contains("Error: Short found between nets: IO13, IO14.\n"), "{net}");
    assert_eq!((&net["errorMessage"], &net["causedUUTFailure"]), (&json!("CONNTEST failed"), &json!(true)));
}

#[test]
fn stored_entries_are_read_and_long_output_is_attached() {
    let long = "0123456789".repeat(600);
    let bytes = rezip(&data("xjtag/567567.xjlog"), CompressionMethod::Stored, |name, content| {
        if name != "Run 1.xml" {
            return Some(content);
        }
        Some(String::from_utf8(content).unwrap().replace("Checking the integrity of the JTAG chain.", &long).into())
    });
    let report = &reports(&convert(bytes))[0];
    let chain = steps(report).into_iter().find(|step| step["name"] == "CheckChain").unwrap();
    assert_eq!(chain["reportText"], "The output has 6018 characters, and is attached.");
    assert_eq!(
        (&chain["attachment"]["name"], chain["attachment"]["data"].as_str().unwrap().len()),
        (&json!("output.txt"), 6018_usize.div_ceil(3) * 4)
    );
}

#[test]
fn a_broken_run_costs_that_run_only() {
    for (from, to, code, kind) in [
        ("<serial>10004</serial>", "<serial></serial>", "header", ErrorType::MissingField),
        ("<result value=\"Failed\" />", "<result value=\"Perhaps\" />", "result", ErrorType::Validation),
        ("<result value=\"Failed\" />", "", "result", ErrorType::MissingField),
        ("<result>Failed</result>", "", "result", ErrorType::MissingField),
        ("datetime=\"2019-10-28T13:52:58.8971824Z\"", "datetime=\"yesterday\"", "date", ErrorType::Malformed),
        ("</testrun>", "", "truncated", ErrorType::Malformed),
        ("<testruninfo>", "<testruninfo", "xml", ErrorType::Malformed),
    ] {
        let bytes = rezip(&data(SIX), CompressionMethod::Deflated, |name, content| {
            if name != "Run 3.xml" {
                return Some(content);
            }
            let text = String::from_utf8(content).unwrap();
            assert!(text.contains(from), "{from}");
            Some(text.replacen(from, to, 1).into())
        });
        let run = convert(bytes);
        let serials: Vec<_> = reports(&run).iter().map(|report| report["sn"].clone()).collect();
        assert_eq!(serials, ["10001", "1002", "10003", "10006", "10005"], "{code}");
        let errors = errors(&run);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!((errors[0].code.as_str(), errors[0].kind), (code, kind), "{:?}", errors[0]);
        assert!(errors[0].message.starts_with("Run 3.xml (line ") && errors[0].at.unwrap().offset > Some(2000), "{:?}", errors[0]);
    }
}

/// A bit that tips over in what is packed: whatever it does, the run has no report or the report that it should have.
#[test]
fn what_is_packed_is_checked() {
    let whole = data(SIX);
    let good = convert(whole.clone());
    let from = whole.windows(9).position(|bytes| bytes == b"Run 3.xml").unwrap() + 9;
    // What stands before the packed bytes are times, which nobody reads.
    for at in (from + 36..from + 36 + 3474).step_by(97) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        let run = convert(bytes);
        assert_eq!((run.documents.len(), errors(&run).len()), (5, 1), "byte {at}");
        assert!(run.documents.iter().all(|document| good.documents.iter().any(|good| good.bytes == document.bytes)), "byte {at}");
    }
}

#[test]
fn runs_that_are_missing_are_missed() {
    let without =
        |left_out: &'static str| rezip(&data(SIX), CompressionMethod::Deflated, move |name, content| (name != left_out).then_some(content));
    let run = convert(without("Run 2.xml"));
    assert_eq!(reports(&run).len(), 5);
    let errors = errors(&run);
    assert_eq!((errors[0].code.as_str(), errors[0].message.as_str()), ("runs", "the archive has 5 runs, where Info.xml says 6"));
    let run = convert(without("Info.xml"));
    assert_eq!((reports(&run).len(), run.problems.len()), (6, 0));
    let empty = rezip(&data(SIX), CompressionMethod::Deflated, |name, content| (!name.starts_with("Run")).then_some(content));
    assert_eq!(convert(empty).result.unwrap_err().code, "runs");
}

#[test]
fn the_content_proves_the_format() {
    let probe = |bytes: Vec<u8>| testkit::probe::<Xjtag>(TestInput::new("a.xjlog", bytes)).confidence;
    let other = rezip(&data(SIX), CompressionMethod::Deflated, |name, content| name.ends_with(".checksum").then_some(content));
    assert_eq!(
        [probe(data(SIX)), probe(data("xjtag/567567.xml")), probe(other), probe(b"<a/>".to_vec()), probe(Vec::new())],
        [95, 92, 0, 0, 0]
    );
    assert_eq!(convert("<a/>").result.unwrap_err().code, "not_xjtag");
}

/// The directory is the end of an archive: without it there are no runs.
#[test]
fn no_prefix_makes_a_report_of_an_incomplete_run() {
    let six = data(SIX);
    let units = [Span { begin: 0, end: six.len() }; 6];
    every_prefix::<Xjtag>("a.xjlog", &six, &options(&json!({})), &units);
    let xml = data("xjtag/567567.xml");
    let end = xml.iter().rposition(|byte| *byte == b'>').unwrap() + 1;
    every_prefix::<Xjtag>("a.xml", &xml, &options(&json!({})), &[Span { begin: 0, end }]);
}

#[test]
fn names_of_reports_are_those_of_the_file() {
    let run = testkit::convert::<Xjtag>(TestInput::new("line 1/b.xjlog", data(SIX)), options(&json!({})));
    let names: Vec<_> = run.documents.iter().map(|document| document.name.as_str()).collect();
    assert_eq!(names[..2], ["b.1.wsjf.json", "b.2.wsjf.json"]);
    let ids: Vec<Value> = reports(&run).iter().map(|report| report["id"].clone()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]));
}
