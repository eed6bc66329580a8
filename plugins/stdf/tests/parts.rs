//! Parts. What the real lot holds was counted with pystdf, and with a script of its own: `tests/data/SOURCES.md`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod build;

use std::collections::BTreeMap;
use std::io::{Read, Write};

use build::{Built, Order};
use dropforge_plugin_stdf::Stdf;
use dropforge_report_checks::{Span, data, every_prefix, measurements, options, reports, steps};
use dropforge_sdk::Severity;
use dropforge_sdk::testkit::{self, Conversion, TestInput};
use serde_json::{Value, json};

fn lot() -> Vec<u8> {
    let mut bytes = Vec::new();
    bzip2::read::BzDecoder::new(data("stdf/lot2.stdf.bz2").as_slice()).read_to_end(&mut bytes).unwrap();
    bytes
}

fn convert(name: &str, bytes: impl Into<Vec<u8>>, more: Value) -> Conversion {
    testkit::convert::<Stdf>(TestInput::new(name, bytes), options(&more))
}

fn errors(run: &Conversion) -> Vec<&str> {
    run.problems.iter().filter(|(severity, _)| *severity == Severity::Error).map(|(_, error)| error.code.as_str()).collect()
}

#[test]
fn every_part_of_a_lot_is_a_report() {
    let run = convert("lot2.stdf.bz2", data("stdf/lot2.stdf.bz2"), json!({}));
    assert_eq!(run.problems, []);
    let reports = reports(&run);
    assert_eq!(reports.len(), 1_569);
    let results = |result: &str| reports.iter().filter(|report| report["result"] == result).count();
    assert_eq!((results("P"), results("F")), (1_389, 180));
    let counts = reports.iter().map(measurements).fold([0; 3], |all, one| [all[0] + one[0], all[1] + one[1], all[2] + one[2]]);
    // Of the 52,403 tests, 15 raised an alarm: their numbers are not to be used.
    assert_eq!(counts, [52_388, 15, 0]);
    let failed = |report| steps(report).into_iter().filter(|step| step["status"] == "F" && step["stepType"] != "SequenceCall").count();
    assert_eq!(reports.iter().map(failed).sum::<usize>(), 81);
    let sections = reports.iter().flat_map(steps).filter(|step| step["stepType"] == "SequenceCall").count();
    assert_eq!(sections, 784);
}

#[test]
fn compressed_or_not_is_the_same() {
    let plain = convert("lot2.stdf", lot(), json!({}));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&lot()).unwrap();
    let gzip = gzip.finish().unwrap();
    for packed in [data("stdf/lot2.stdf.bz2"), gzip.clone()] {
        assert!(testkit::probe::<Stdf>(TestInput::new("a", packed.clone())).confidence > 90);
        let run = convert("lot2.stdf", packed, json!({}));
        assert!(run.documents == plain.documents);
    }
    let cut = convert("lot2.stdf", &gzip[..gzip.len() / 2], json!({}));
    assert!((100..1_569).contains(&reports(&cut).len()));
    assert_eq!(errors(&cut)[0], "truncated");
    let mut broken = data("stdf/lot2.stdf.bz2");
    broken[60_000] ^= 0x10;
    assert_eq!(convert("lot2.stdf", broken, json!({})).result.unwrap_err().code, "compression");
}

#[test]
fn what_a_part_says() {
    let reports = reports(&convert("small.stdf", data("stdf/small.stdf"), json!({"serial": "{lot}/{wafer}/{part}"})));
    let results: Vec<_> = reports.iter().map(|report| report["result"].as_str().unwrap()).collect();
    assert_eq!(results, ["F", "P", "F", "P"]);
    let report = &reports[1];
    assert_eq!(
        [&report["pn"], &report["sn"], &report["machineName"], &report["start"], &report["uut"]["batchSN"], &report["uut"]["user"]],
        [
            &json!("GOLD8BAR"),
            &json!("GAL-LOT/GAL-LOT-02/2"),
            &json!("galaxy-t"),
            &json!("2001-06-05T20:50:22+02:00"),
            &json!("GAL-LOT"),
            &json!("ews")
        ]
    );
    assert_eq!((&report["root"]["seqCall"]["name"], &report["root"]["seqCall"]["version"]), (&json!("mobile-05"), &json!("16")));
    let section = &report["root"]["steps"][0];
    assert_eq!((&section["name"], section["steps"].as_array().unwrap().len()), (&json!("seqU738"), 6));
    // What is on a limit fails, by the record's flags.
    assert_eq!(
        section["steps"][0]["numericMeas"],
        json!([{"compOp": "GTLT", "status": "P", "unit": "v", "value": -0.66164064, "lowLimit": -0.9, "highLimit": -0.4}])
    );
    let alarm = steps(&reports[2]).into_iter().find(|step| step["status"] == "F" && step["stepType"] == "ET_PFT").unwrap();
    assert_eq!((&alarm["errorMessage"], &alarm["causedUUTFailure"]), (&json!("alarm"), &json!(true)));
}

/// The file that others use as a seed is the one that is made here. `GOLDEN=write` writes it anew.
#[test]
fn the_file_of_two_sites_is_the_one_that_is_kept() {
    let built = build::two_sites(Order::Little).bytes;
    if std::env::var_os("GOLDEN").is_some_and(|what| what == "write") {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/stdf/two-sites.stdf"), &built).unwrap();
    }
    assert!(data("stdf/two-sites.stdf") == built);
}

/// Two sites at once, in both byte orders, with everything that lot2 has not.
#[test]
fn sites_that_are_mixed() {
    let runs = [Order::Big, Order::Little].map(|order| convert("two.stdf", build::two_sites(order).bytes, json!({})));
    assert!(runs[0].documents == runs[1].documents);
    // C ended abnormally, though its only test passed.
    let told: Vec<_> = runs[0].problems.iter().map(|(severity, error)| (*severity, error.code.as_str())).collect();
    assert_eq!(told, [(Severity::Warning, "result_differs")]);
    let reports = reports(&runs[0]);
    let facts: Vec<_> = reports.iter().map(|report| json!([report["sn"], report["result"], report["uut"]["testSocketIndex"]])).collect();
    // In the order in which they ended.
    assert_eq!(facts, [json!(["B", "F", 2]), json!(["A", "P", 1]), json!(["C", "E", 1])]);
    assert_eq!(reports.iter().map(measurements).collect::<Vec<_>>(), [[3, 1, 0], [3, 1, 0], [1, 0, 0]]);
    // The limits and the unit of B's first test are those of A's, which came before it.
    let step = |report: &Value, name: &str| {
        steps(report).into_iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("{name}")).clone()
    };
    assert_eq!(
        step(&reports[0], "Vdd")["numericMeas"],
        json!([{"compOp": "GELT", "status": "F", "unit": "V", "value": 5.5, "lowLimit": 4.5, "highLimit": 5.25}])
    );
    let names: Vec<_> = step(&reports[0], "Leak")["numericMeas"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["CLK", "pin 7"]);
    let scan = step(&reports[0], "Scan");
    assert_eq!((&scan["status"], &scan["reportText"]), (&json!("F"), &json!("test 3, vector chain1, cycle 77, failing pins 2")));
    assert_eq!(step(&reports[2], "Vdd")["status"], "P");
}

#[test]
fn the_mode_computes_statuses() {
    let bytes = build::two_sites(Order::Little).bytes;
    let result = |mode: &str| -> Vec<_> {
        reports(&convert("a.stdf", bytes.clone(), json!({"mode": mode}))).iter().map(|report| report["result"].clone()).collect()
    };
    assert_eq!(result("import"), ["F", "P", "E"]);
    assert_eq!(result("active"), ["F", "P", "E"]);
}

#[test]
fn no_prefix_makes_a_report_of_an_incomplete_part() {
    let bytes = data("stdf/small.stdf");
    let mut units: Vec<Span> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let end = at + 4 + usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
        match (bytes[at + 2], bytes[at + 3]) {
            (5, 10) => units.push(Span { begin: at, end }),
            (5, 20) => units.last_mut().unwrap().end = end,
            _ => {}
        }
        at = end;
    }
    assert_eq!(units.len(), 4);
    every_prefix::<Stdf>("a.stdf", &bytes, &options(&json!({})), &units);
}

#[test]
fn a_broken_part_costs_that_part_only() {
    let whole = build::three_parts();
    let serials = |run: &Conversion| reports(run).iter().map(|report| report["sn"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(serials(&convert("a.stdf", whole.bytes.clone(), json!({}))), ["1", "2", "3"]);
    let broken = |what: &dyn Fn(&mut Built)| {
        let mut built = build::three_parts();
        what(&mut built);
        convert("a.stdf", built.bytes, json!({}))
    };
    type Break<'b> = &'b dyn Fn(&mut Built);
    let cases: [(&str, Break<'_>); 4] = [
        // The text of the middle part's test is longer than the record; it is no text; its PRR is another PIR; it does not begin.
        ("record", &|built| built.body(6)[12] = 200),
        ("encoding", &|built| built.body(6)[13] = 0xff),
        ("no_end", &|built| built.kind(7, (50, 30))),
        ("outside", &|built| built.kind(5, (50, 30))),
    ];
    for (code, what) in cases {
        let run = broken(what);
        assert_eq!(serials(&run), ["1", "3"], "{code}");
        assert_eq!(errors(&run), [code]);
        assert!(run.problems[0].1.at.unwrap().offset.unwrap() > 50);
    }
    let run = broken(&|built| built.kind(6, (77, 1)));
    assert_eq!((serials(&run).len(), run.problems[0].0, run.problems[0].1.code.as_str()), (3, Severity::Warning, "unknown_record"));
}

#[test]
fn what_is_no_stdf_file() {
    let code = |bytes: &[u8], more: Value| convert("a.stdf", bytes, more).result.unwrap_err().code;
    assert_eq!(code(b"", json!({})), "not_stdf");
    assert_eq!(code(b"FAR:A|4|2", json!({})), "not_stdf");
    assert_eq!(code(&[2, 0, 0, 10, 2, 3], json!({})), "version");
    assert_eq!(code(&[2, 0, 0, 10, 0, 4], json!({})), "cpu_type");
    assert_eq!(code(&build::wafer_alone().bytes, json!({})), "no_parts");
    let small = data("stdf/small.stdf");
    assert_eq!(code(&build::three_parts().bytes, json!({"serial": "{wafer}-{part}"})), "serial");
    assert_eq!(code(&small, json!({"serial": "{name}"})), "options");
    assert_eq!(code(&small, json!({"timezone": ""})), "timezone");
    assert_eq!(testkit::probe::<Stdf>(TestInput::new("a.stdf", &small[..100])).confidence, 98);
    assert_eq!(testkit::probe::<Stdf>(TestInput::new("a.stdf", "text")).confidence, 0);
}

#[test]
fn every_record_is_a_line() {
    let run = testkit::convert::<Stdf>(TestInput::new("lot2.stdf.bz2", data("stdf/lot2.stdf.bz2")), json!({"output": "jsonl"}));
    assert!(run.result.is_ok() && run.problems.is_empty());
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in run.documents[0].text().lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        *counts.entry(record["record"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(counts.values().sum::<usize>(), 58_020);
    assert_eq!((counts["PTR"], counts["PIR"], counts["PRR"], counts["GDR"], counts["TSR"]), (52_403, 1_569, 1_569, 785, 179));
    assert_eq!(run.documents[0].attribute("stdf.records"), Some("58020"));

    let little = testkit::convert::<Stdf>(TestInput::new("a.stdf", build::wafer_alone().bytes), json!({"output": "jsonl"}));
    let lines: Vec<Value> = little.documents[0].text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], json!({"record": "FAR", "offset": 0, "CPU_TYPE": 2, "STDF_VER": 4}));
    assert_eq!(lines[1], json!({"record": "WIR", "offset": 6, "HEAD_NUM": 1, "SITE_GRP": 1, "START_T": 0x62b0_d126_u32, "WAFER_ID": "W1"}));

    let mut built = build::three_parts();
    built.body(6)[12] = 200;
    built.kind(7, (77, 1));
    let run = testkit::convert::<Stdf>(TestInput::new("a.stdf", built.bytes), json!({"output": "jsonl"}));
    assert_eq!((run.documents[0].text().lines().count(), errors(&run)), (11, vec!["record"]));
    assert!(run.documents[0].text().contains(r#""record":"77.1","offset":"#));
}
