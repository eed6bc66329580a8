//! The same rows as JSON Lines, as one JSON array and as CSV.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use dropforge_plugin_csv::Csv;
use dropforge_sdk::testkit::{TestDocument, TestInput, convert};
use serde_json::{Value, json};

fn document(bytes: impl Into<Vec<u8>>, options: Value) -> TestDocument {
    let mut run = convert::<Csv>(TestInput::new("in/table.tsv", bytes), options);
    assert!(run.result.is_ok(), "{:?}", run.result);
    assert_eq!(run.documents.len(), 1);
    run.documents.remove(0)
}

#[test]
fn csv_is_what_the_standard_says() {
    let table: [(&str, &str); 13] = [
        ("a;b\n1,5;x\n", "a,b\r\n\"1,5\",x\r\n"),
        ("a\tb\r007\t x \r", "a,b\r\n007, x \r\n"),
        ("a,b\n'it''s',\"q\"\n", "a,b\r\n'it''s',q\r\n"),
        ("a,b\n\"x \"\"y\"\"\",\"1\n2\"\n", "a,b\r\n\"x \"\"y\"\"\",\"1\n2\"\r\n"),
        ("a,b\nx\"y,\"\"\n", "a,b\r\n\"x\"\"y\",\"\"\r\n"),
        // Names stay as they are: twice the same, and empty.
        ("a,a,,\"b,c\"\n1,2,3,4\n", "a,a,,\"b,c\"\r\n1,2,3,4\r\n"),
        // Without a header there is none.
        ("1,2\n3,4\n", "1,2\r\n3,4\r\n"),
        ("a,b,c\n1,2,3\n4\n5,6,7,8\n", "a,b,c\r\n1,2,3\r\n4,,\r\n5,6,7,8\r\n"),
        ("name\nAda\n\"\"\nBob\n", "name\r\nAda\r\n\"\"\r\nBob\r\n"),
        ("a,b\n,\n", "a,b\r\n,\r\n"),
        ("a,b\n", "a,b\r\n"),
        ("", ""),
        ("åæ,b\nx\0y,2\n", "åæ,b\r\n\"x\0y\",2\r\n"),
    ];
    for (text, expected) in table {
        assert_eq!(document(text, json!({"output": "csv"})).text(), expected, "{text:?}");
    }
    let latin = document(b"a;b\n\xc5se;1\n".as_slice(), json!({"output": "csv"}));
    assert_eq!(latin.text(), "a,b\r\nÅse,1\r\n");
}

#[test]
fn an_array_holds_what_the_lines_hold() {
    for text in ["a,b\n1,x\n2,\"y\nz\"\n,\n", "a\n1\n", "a,b\n", "", "1,2\n3,4,5\n"] {
        let lines = document(text, json!({}));
        let rows: Vec<Value> = lines.text().lines().map(|row| serde_json::from_str(row).unwrap()).collect();
        let array = document(text, json!({"output": "json"}));
        assert_eq!(array.json(), Value::from(rows), "{text:?}");
        assert_eq!(array.attributes, lines.attributes);
    }
    assert_eq!(document("a,b\n1,x\n2,y\n", json!({"output": "json"})).text(), "[\n{\"a\":1,\"b\":\"x\"},\n{\"a\":2,\"b\":\"y\"}\n]\n");
}

#[test]
fn a_long_array_is_whole() {
    let rows: String = (0..100_000).map(|row| format!("{row},row {row}\n")).collect();
    let array = document(format!("id,name\n{rows}"), json!({"output": "json"})).json();
    let array = array.as_array().unwrap();
    assert_eq!((array.len(), &array[99_999]), (100_000, &json!({"id": 99_999, "name": "row 99999"})));
}

#[test]
fn documents_say_what_they_are() {
    let table = [
        ("jsonl", "a,b\n1,2\n", "table.jsonl", "application/x-ndjson"),
        ("json", "a,b\n1,2\n", "table.json", "application/json"),
        ("csv", "a,b\n1,2\n", "table.csv", "text/csv; charset=utf-8; header=present"),
        ("csv", "1,2\n3,4\n", "table.csv", "text/csv; charset=utf-8; header=absent"),
    ];
    for (output, text, name, media_type) in table {
        let document = document(text, json!({"output": output}));
        assert_eq!((document.name.as_str(), document.media_type.as_str()), (name, media_type));
    }
}
