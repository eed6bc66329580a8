//! Files that hold more than one table, and lines around tables that are none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use dropforge_plugin_csv::Csv;
use dropforge_sdk::testkit::{Conversion, TestInput, convert};
use serde_json::{Value, json};

fn run(text: &str, options: Value) -> Conversion {
    let run = convert::<Csv>(TestInput::new("in/table.csv", text), options);
    assert!(run.result.is_ok(), "{:?}", run.result);
    run
}

/// The documents, each as clean CSV.
fn tables(text: &str) -> Vec<String> {
    run(text, json!({"output": "csv"})).documents.iter().map(|document| document.text().replace("\r\n", "\n")).collect()
}

#[test]
fn each_table_has_a_document() {
    let wide = "step,value,low,high\nV1,3.3,3.0,3.6\nV2,5.0,4.8,5.2\nV3,1.8,1.7,1.9\n";
    let narrow = "serial,result\nSN1,PASS\nSN2,FAIL\n";
    let numbers = "x,y\n1,2\n3,4\n";
    for parts in [[wide, numbers], [numbers, wide], [wide, narrow], [numbers, numbers], [wide, wide]] {
        assert_eq!(tables(&parts.join("\n")), parts, "with a blank line between");
    }
    for parts in [[wide, numbers], [numbers, wide], [wide, wide]] {
        assert_eq!(tables(&parts.concat()), parts, "without one");
    }
    let titled = format!("Limits\n\n{wide}\nReadings, second run\n\n{numbers}");
    let run = run(&titled, json!({}));
    let about = |name: &str| -> Vec<Option<&str>> { run.documents.iter().map(|document| document.attribute(name)).collect() };
    assert_eq!(run.documents.iter().map(|document| document.name.as_str()).collect::<Vec<_>>(), ["table.jsonl", "table-2.jsonl"]);
    assert_eq!(about("csv.preamble"), [Some("Limits"), Some("Readings, second run")]);
    assert_eq!((about("csv.table"), about("csv.rows")), (vec![Some("1"), Some("2")], vec![Some("3"), Some("2")]));
    assert!(run.problems.is_empty(), "{:?}", run.problems);
}

#[test]
fn a_table_begins_where_the_window_ends() {
    for rows in (0..40).map(|more| 5450 + more).chain([20_000]) {
        let first: String = (0..rows).map(|row| format!("{row},{row}.5\n")).collect();
        let parts = [format!("a,b\n{first}"), "c,d,e\n1,2,3\n4,5,6\n".into()];
        assert_eq!(tables(&parts.concat()), parts, "{rows} rows");
    }
}

#[test]
fn one_table_where_the_options_say_so() {
    let run = run("a,b\n1,2\n3,4\na,b\n5,6\n", json!({"tables": "one", "output": "csv"}));
    assert_eq!(run.documents.len(), 1);
    assert_eq!(run.documents[0].text(), "a,b\r\n1,2\r\n3,4\r\na,b\r\n5,6\r\n");
}

#[test]
fn tables_without_end_have_so_many_documents() {
    let run = run(&"a,b\n1,2\n".repeat(300), json!({}));
    assert_eq!(run.documents.len(), 100);
    assert_eq!(run.documents[99].attribute("csv.rows"), Some("401"));
}

#[test]
fn odd_rows_are_no_tables() {
    let ragged = "a,b,c\n1,2,3\n4,5\n6\nx,y\n7,8,9\n";
    assert_eq!(tables(ragged).len(), 1);
    let words = "name,town,state\nAda,Oslo,on\n\nBob,Rome,off\nCid,Bonn\nDan,Kiel,on\n";
    assert_eq!(tables(words).len(), 1);
}

#[test]
fn a_footnote_is_no_row_and_is_not_lost() {
    let table = "region,year,count\nNorth,2025,17\nSouth,2025,18\n";
    for footer in ["\nSource: the office of numbers", "End of the report of today", "\n\n* provisional\n** estimated by hand\n"] {
        let run = run(&format!("{table}{footer}"), json!({"output": "csv"}));
        assert_eq!(run.documents[0].text().replace("\r\n", "\n"), table, "{footer}");
        assert_eq!(run.documents[0].attribute("csv.footer").map(str::trim), Some(footer.trim()));
        assert!(run.problems.is_empty());
    }
    let kept = run(&format!("{table}\nSource: the office\n"), json!({"footer": "none"}));
    assert_eq!((kept.documents[0].attribute("csv.rows"), kept.problems.len()), (Some("3"), 1));
    // One word may be a row that was cut off.
    let cut = run(&format!("{table}West"), json!({}));
    assert_eq!((cut.documents[0].attribute("csv.rows"), cut.problems.len()), (Some("3"), 1));
}

#[test]
fn as_many_lines_at_the_end_are_no_rows_as_the_options_say() {
    // Like rows, so that nothing but the option tells them from these.
    let table = "region,year,count\nNorth,2025,17\nSouth,2025,18\n";
    for ending in ["\n", "\r\n"] {
        let text = format!("{table}Total,2025,35\nMean,2025,17.5\n").replace('\n', ending);
        let run = run(&text, json!({"footer": 2, "output": "csv"}));
        assert_eq!(run.documents[0].text().replace("\r\n", "\n"), table);
        assert_eq!(
            run.documents[0].attribute("csv.footer").map(|text| text.lines().collect::<Vec<_>>()),
            Some(vec!["Total,2025,35", "Mean,2025,17.5"])
        );
        assert!(run.problems.is_empty());
    }
    // A file that is larger than what is looked at, in an encoding of two bytes.
    let rows = "North,2025,17\n".repeat(100_000);
    let text = format!("\u{feff}region,year,count\n{rows}Sum: å,2025,35");
    let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let run = convert::<Csv>(TestInput::new("in/table.csv", bytes), json!({"footer": 1}));
    assert_eq!(run.documents[0].attribute("csv.rows"), Some("100000"));
    assert_eq!(run.documents[0].attribute("csv.footer"), Some("Sum: å,2025,35"));
    // All of the file, and more than there are.
    let none = convert::<Csv>(TestInput::new("in/table.csv", table), json!({"footer": 9}));
    assert_eq!((none.documents[0].attribute("csv.rows"), none.documents[0].attribute("csv.footer")), (Some("0"), Some(table.trim_end())));
}

#[test]
fn detection_alone_names_all_tables_and_what_stands_below() {
    let text = "Report\n\na,b,c\n1,2,3\n4,5,6\n\nLimits of today\nd,e\n7,8\n\nMade by a station\n";
    let run = run(text, json!({"detect": "only", "on_error": "strict"}));
    let found = run.documents[0].json();
    assert_eq!(
        found["tables"],
        json!([
            {"line": 3, "header": 1, "columns": 3, "rows": 2, "preamble": "Report"},
            {"line": 8, "header": 1, "columns": 2, "rows": 1, "preamble": "Limits of today"},
        ])
    );
    assert_eq!(found["footer"], "Made by a station");
    // And so it is read.
    let converted = convert::<Csv>(TestInput::new("in/table.csv", text), json!({}));
    assert_eq!(converted.documents.len(), 2);
    assert_eq!(converted.documents[1].attribute("csv.footer"), Some("Made by a station"));
}
