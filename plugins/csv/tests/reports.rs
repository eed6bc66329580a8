//! Tables become test reports: the known layouts without an option, others by options, units that are mixed, broken or cut off.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use dropforge_plugin_csv::Csv;
use dropforge_report_checks::{data, options, reports, steps};
use dropforge_sdk::testkit::{self, Conversion, TestInput};
use dropforge_sdk::{ErrorType, Severity};
use serde_json::{Value, json};

fn convert(bytes: impl Into<Vec<u8>>, more: Value) -> Conversion {
    let mut more = more;
    more["output"] = json!("report");
    // 2026-11-20T07:00:00Z
    testkit::convert::<Csv>(TestInput::new("line1/results.csv", bytes).modified(1_795_158_000), options(&more))
}

/// Serial number and result of each report, and what its steps are: name, kind, status, value.
fn facts(run: &Conversion) -> Vec<String> {
    let fact = |report: &Value| {
        let steps: Vec<String> = steps(report)
            .iter()
            .map(|step| {
                let measured = ["numericMeas", "stringMeas"].iter().find_map(|kind| step[kind].get(0));
                let value = measured.map_or(String::new(), |one| format!(" {} {}", one["compOp"].as_str().unwrap(), one["value"]));
                format!("{} {}{value}", step["name"].as_str().unwrap(), step["status"].as_str().unwrap())
            })
            .collect();
        format!("{} {}: {}", report["sn"].as_str().unwrap(), report["result"].as_str().unwrap(), steps.join(", "))
    };
    reports(run).iter().map(fact).collect()
}

#[test]
fn the_first_known_layout() {
    let text = "serial_number,part_number,station,result,test_name,value,unit,status,low_limit,high_limit,process,group\n\
                A1,P7,ICT-2,FAIL,R1,99.5,ohm,PASS,95,105,10,Resistors\n\
                A1,P7,ICT-2,FAIL,R2,120,ohm,FAIL,95,105,10,Resistors\n\
                A1,P7,ICT-2,FAIL,Label,X-1,,PASS,,,10,\n\
                A2,P7,ICT-2,PASS,R1,101,ohm,PASS,95,105,10,Resistors\n";
    let run = convert(text, json!({}));
    assert_eq!(
        facts(&run),
        ["A1 F: Resistors F, R1 P GELE 99.5, R2 F GELE 120.0, Label P LOG \"X-1\"", "A2 P: Resistors P, R1 P GELE 101.0"]
    );
    let report = run.documents[0].json();
    assert_eq!((&report["pn"], &report["machineName"], &report["processCode"]), (&json!("P7"), &json!("ICT-2"), &json!(10)));
    // There is no start in the file, which is said.
    assert_eq!(report["startUTC"], "2026-11-20T07:00:00Z");
    assert_eq!((run.problems.len(), run.problems[0].0, run.problems[0].1.code.as_str()), (1, Severity::Warning, "start"));
    // Without the columns that may be missing, and written otherwise.
    let text = "Serial Number;PART-NUMBER;Station;Result;Test name;Value;Unit;Status\nA1;P7;S;OK;R1;99,5;ohm;OK\n";
    assert_eq!(facts(&convert(text, json!({}))), ["A1 P: R1 P LOG 99.5"]);
}

#[test]
fn the_second_known_layout() {
    let text = "serial_number,part_number,result,test_name,measured_value,unit,pass,low_limit,high_limit\n\
                A1,P7,PASS,Volt,5.01,V,true,4.9,5.1\nA1,P7,PASS,Amp,0.1,A,1,,0.2\nA2,P7,FAIL,Volt,4.5,V,false,4.9,5.1\n";
    assert_eq!(facts(&convert(text, json!({}))), ["A1 P: Volt P GELE 5.01, Amp P LE 0.1", "A2 F: Volt F GELE 4.5"]);
}

#[test]
fn the_third_known_layout() {
    let text = "SerialNumber,PartNumber,TestResult,TestDate,Operator,Station\n\
                A1,P7,PASS,2026-11-20 08:15:00,Ada,ICT-1\nA2,P7,Failed,2026-11-20 08:16:00,Bob,ICT-1\n\
                A1,P7,Terminated,2026-11-20 08:17:00,Ada,ICT-1\n";
    let run = convert(text, json!({}));
    assert_eq!((facts(&run), run.problems.len()), (vec!["A1 P: ".into(), "A2 F: ".into(), "A1 T: ".into()], 0));
    let report = run.documents[1].json();
    assert_eq!((&report["uut"]["user"], &report["start"]), (&json!("Bob"), &json!("2026-11-20T08:16:00+01:00")));
}

#[test]
fn the_fourth_known_layout_with_mixed_units() {
    let run = convert(data("csv-reports/three-runs.csv"), json!({}));
    assert_eq!(
        facts(&run),
        [
            "SN2001 P: Supply 5 V P GELE 5.012, Supply current P LE 0.118, Firmware P CASESENSIT \"2.4.1\", Self test P",
            "SN2002 F: Supply 5 V F GELE 4.707, Self test S",
            "SN2003 P: Supply 5 V P GELE 5.003, Self test P",
            "SN2002 P: Supply 5 V P GELE 5.001, Self test P",
        ]
    );
    assert_eq!(run.problems, []);
}

#[test]
fn a_unit_that_is_tested_again_has_a_report_for_each_run() {
    let text = "sn,test,value,status\nA,T1,1,P\nA,T2,2,P\nA,T1,1,P\nA,T2,3,F\nB,T1,1,P\nA,T1,1,P\n";
    let run = convert(text, json!({}));
    assert_eq!(
        facts(&run),
        ["A P: T1 P LOG 1.0, T2 P LOG 2.0", "A F: T1 P LOG 1.0, T2 F LOG 3.0", "B P: T1 P LOG 1.0", "A P: T1 P LOG 1.0"]
    );
    let ids: std::collections::BTreeSet<_> = run.documents.iter().map(|document| document.key.clone()).collect();
    assert_eq!(ids.len(), 4);
}

#[test]
fn a_column_for_each_measurement() {
    let text = "Barcode,Started,Verdict,Vout [V],Iout,Iout min,Iout max,Iout unit,Version,Lamp,Temp\n\
                Lower limit,,,4.9,,,,,,,\nUpper limit,,,5.1,,,,,,,\n\
                A1,20.11.2026 08:15:00,PASS,5.01,0.1,,0.2,A,v1,PASS,22\nA2,20.11.2026 08:16:00,FAIL,4.5,,,,,v1,FAIL,23\n";
    let run = convert(text, json!({"columns": {"start": ["Begun", "Started"]}, "misc": ["Temp"]}));
    assert_eq!(
        facts(&run),
        ["A1 P: Vout P GELE 5.01, Iout P LE 0.1, Version P LOG \"v1\", Lamp P", "A2 F: Vout F GELE 4.5, Version P LOG \"v1\", Lamp F"]
    );
    let report = run.documents[0].json();
    assert_eq!(report["root"]["steps"][0]["numericMeas"][0]["unit"], "V");
    assert_eq!(report["root"]["steps"][1]["numericMeas"][0]["unit"], "A");
    assert_eq!(report["miscInfos"], json!([{"description": "Temp", "text": "22"}]));
}

#[test]
fn limits_from_the_options() {
    let text = "sn,date,Vout,Iout\nA1,2026-11-20,5.2,0.1\n";
    let more = json!({"measurements": {"vout": {"unit": "V", "low": 4.9, "high": 5.1}, "Iout": {"high": 0.1, "comparator": "LT"}}});
    let run = convert(text, more);
    assert_eq!(facts(&run), ["A1 F: Vout F GELE 5.2, Iout F LT 0.1"]);
    let text = "sn,date,test,value\nA1,2026-11-20,Vout,5.0\n";
    assert_eq!(facts(&convert(text, json!({"measurements": {"Vout": {"low": 4.9}}}))), ["A1 P: Vout P GE 5.0"]);
    let text = "sn,date,Vout,Iout\nV;,,\n,,4.9,0\n,,5.1,1\nA1,2026-11-20,5.2,0.1\n";
    let run = convert(text.replace("V;,,", ",,V,A"), json!({"header_rows": ["unit", "low", "high"], "header": true}));
    assert_eq!(facts(&run), ["A1 F: Vout F GELE 5.2, Iout P GELE 0.1"]);
}

#[test]
fn active_mode_computes_what_import_takes() {
    let text = "sn,date,test,value,low,high,status\nA1,2026-11-20,V,9,1,5,PASS\n";
    assert_eq!(facts(&convert(text, json!({}))), ["A1 P: V P GELE 9.0"]);
    assert_eq!(facts(&convert(text, json!({"mode": "active"}))), ["A1 F: V F GELE 9.0"]);
}

#[test]
fn a_broken_unit_costs_that_unit() {
    let head = "sn,date,test,value,low,high,status\n";
    let good = "G,2026-11-20 10:00:00,V,2,1,5,PASS\n";
    for (bad, code) in [
        ("B,2026-11-20 10:00:01,V,overload,1,5,FAIL\n", "number"),
        ("B,2026-11-20 10:00:01,V,2,x,5,FAIL\n", "number"),
        ("B,2026-11-20 10:00:01,V,2,1,5,MAYBE\n", "result"),
        ("B,yesterday,V,2,1,5,PASS\n", "date"),
        ("B,2026-11-20 10:00:01,,2,1,5,PASS\n", "step_name"),
        (",2026-11-20 10:00:01,V,2,1,5,PASS\n", "header"),
    ] {
        let run = convert(format!("{head}{good}{bad}B2,2026-11-20 10:00:02,V,2,1,5,PASS\n"), json!({}));
        assert_eq!(facts(&run), ["G P: V P GELE 2.0", "B2 P: V P GELE 2.0"], "{bad}");
        let (severity, error) = &run.problems[0];
        assert_eq!(
            (run.problems.len(), *severity, error.code.as_str(), error.at.unwrap().line),
            (1, Severity::Error, code, Some(3)),
            "{error}"
        );
        // Alone, it is the conversion's error.
        assert_eq!(convert(format!("{head}{bad}"), json!({"header": true, "delimiter": ","})).result.unwrap_err().code, code);
    }
}

/// Of every prefix of the file, the unit whose row is cut has no report; where a row ends, the file does not say whether there is another.
#[test]
fn a_unit_with_a_row_that_is_cut_off_has_no_report() {
    let text = String::from_utf8(data("csv-reports/three-runs.csv")).unwrap();
    let head = text.lines().next().unwrap();
    let key = |row: &str| row.split(',').take(3).map(str::to_owned).collect::<Vec<_>>();
    for end in head.len() + 1..text.len() {
        let cut = text[..end].lines().last().unwrap();
        if cut == head || cut.matches(',').count() == 10 {
            continue;
        }
        let row = text
            .lines()
            .find(|row| text[..end].ends_with(cut) && row.starts_with(cut) && text[end - cut.len()..].starts_with(row))
            .unwrap();
        let run = convert(&text[..end], json!({"header": true, "delimiter": ","}));
        let found: Vec<Vec<String>> = run
            .documents
            .iter()
            .map(|document| {
                let start = document.attribute("start").unwrap().replace('T', " ").replace("+01:00", "");
                vec![document.attribute("serial").unwrap().to_owned(), "PCB-7".to_owned(), start]
            })
            .collect();
        let errors = run.problems.iter().filter(|(severity, _)| *severity == Severity::Error).map(|(_, error)| error);
        let errors: Vec<_> = errors.chain(run.result.as_ref().err()).collect();
        assert!(errors.iter().any(|error| error.code == "truncated"), "{end}: {errors:?}");
        // As long as so little is there that it fits another unit too, the last of these is taken for its own.
        if cut.matches(',').count() >= 3 {
            assert!(!found.contains(&key(row)), "{end}: {found:?}");
        }
    }
}

#[test]
fn policies_hold_for_reports_too() {
    let text = "sn,date,test,value,status\nA,2026-11-20,V,1,P\nA,2026-11-20,W\nB,2026-11-20,V,1,P\n";
    let lenient = convert(text, json!({}));
    assert_eq!(facts(&lenient), ["A P: V P LOG 1.0, W D", "B P: V P LOG 1.0"]);
    assert_eq!(lenient.problems[0].1.code, "missing_cells");
    // A row that is left out would make another unit of it.
    let skip = convert(text, json!({"on_error": "skip"}));
    assert_eq!(facts(&skip), ["B P: V P LOG 1.0"]);
    let codes: Vec<&str> = skip.problems.iter().map(|(_, error)| error.code.as_str()).collect();
    assert_eq!(codes, ["missing_cells", "broken_row"]);
    let strict = convert(text, json!({"on_error": "strict"})).result.unwrap_err();
    assert_eq!((strict.code.as_str(), strict.at.unwrap().line), ("missing_cells", Some(3)));
}

#[test]
fn dates_and_numbers_tell_how_they_are_written_or_are_refused() {
    let table = [
        ("11/23/2026 10:00:00", "1.5", "2026-11-23T10:00:00+01:00"),
        ("23/11/2026 10:00", "1,5", "2026-11-23T10:00:00+01:00"),
        ("2026-11-23T10:00:00.25Z", "1,5", "2026-11-23T10:00:00.25+00:00"),
        ("23-Nov-2026 3:04:05 PM", "1.5", "2026-11-23T15:04:05+01:00"),
    ];
    for (date, value, start) in table {
        let run = convert(format!("sn;date;test;value\nA;{date};V;{value}\n"), json!({"delimiter": ";"}));
        assert_eq!(facts(&run), ["A P: V P LOG 1.5"], "{date}");
        assert_eq!(run.documents[0].attribute("start"), Some(start));
    }
    let refused = |text: &str| convert(text, json!({"delimiter": ";"})).result.unwrap_err();
    assert_eq!(refused("sn;date;test;value\nA;01/02/2026;V;1\n").code, "date_format");
    assert_eq!(refused("sn;date;test;value\nA;2026-11-20;V;1.5\nB;2026-11-20;V;1,5\n").code, "decimal_sign");
    let told = convert("sn;date;test;value\nA;01/02/2026;V;1\n", json!({"delimiter": ";", "date_format": "dd/MM/yyyy"}));
    assert_eq!(told.documents[0].attribute("start"), Some("2026-02-01T00:00:00+01:00"));
}

#[test]
fn what_is_missing_is_named() {
    let error = convert("name,value\nA,1\n", json!({})).result.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorType::MissingField, "serial_column"));
    let error = convert("sn,value\nA,1\n", json!({"layout": "steps"})).result.unwrap_err();
    assert_eq!(error.code, "step_column");
    let error = convert("sn,test,value\n", json!({})).result.unwrap_err();
    assert_eq!(error.code, "empty");
    let bare = testkit::convert::<Csv>(TestInput::new("a.csv", "sn,test,value\nA,T,1\n"), json!({"output": "report"}));
    assert!(bare.result.unwrap_err().message.contains("`part_number`, `revision`"));
}

#[test]
fn operations_by_name_and_words_of_ones_own() {
    let text = "sn,date,operation,test,value,status\nA,2026-11-20,FCT,V,1,GREEN\n";
    let run = convert(text, json!({"operations": {"fct": 50}, "results": {"green": "passed"}}));
    assert_eq!((run.documents[0].json()["processCode"].clone(), facts(&run)), (json!(50), vec!["A P: V P LOG 1.0".into()]));
    let run = convert(text, json!({"results": {"green": "passed"}}));
    let report = run.documents[0].json();
    assert_eq!((&report["processCode"], &report["miscInfos"][0]), (&json!(10), &json!({"description": "Operation", "text": "FCT"})));
}

#[test]
fn units_that_are_mixed_beyond_the_bound_are_lost_and_no_others() {
    let mut text = String::from("sn,date,test,value,note\nG,2026-11-20,V,1,\n");
    let note = "x".repeat(4000);
    for test in 0..3000 {
        for unit in ["A", "B"] {
            text += &format!("{unit},2026-11-20,T{test},1,{note}\n");
        }
    }
    text += "H,2026-11-20,V,1,\n";
    let run = convert(text, json!({}));
    assert!(run.problems.iter().all(|(_, error)| error.code == "mixed_units"), "{:?}", run.problems);
    let serials: Vec<&str> = run.documents.iter().map(|document| document.attribute("serial").unwrap()).collect();
    assert_eq!((run.problems.len(), serials), (1, vec!["G", "A", "H"]));
}
