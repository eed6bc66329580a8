//! What comes out of small tables: cells, names, types, problems with their places, and what was detected.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use dropforge_plugin_csv::{Csv, Options};
use dropforge_sdk::ErrorType;
use dropforge_sdk::testkit::{Conversion, TestInput, convert, options_schema, probe};
use serde_json::{Value, json};

fn run(bytes: impl Into<Vec<u8>>, options: Value) -> Conversion {
    convert::<Csv>(TestInput::new("in/table.csv", bytes), options)
}

/// The document's text, and the problems as `severity code line:column`.
fn output(bytes: impl Into<Vec<u8>>, options: Value) -> (String, Vec<String>) {
    let run = run(bytes, options);
    assert!(run.result.is_ok(), "{:?}", run.result);
    assert_eq!(run.documents.len(), 1);
    let problems = run.problems.iter().map(|(severity, error)| {
        let at = error.at.unwrap_or_default();
        format!("{severity:?} {} {}:{}", error.code, at.line.unwrap_or_default(), at.column.unwrap_or_default())
    });
    (run.documents[0].text(), problems.collect())
}

#[test]
fn cells_are_what_stands_in_the_file() {
    let table: [(&str, &str); 24] = [
        ("a,b\n1,2\n", r#"{"a":"1","b":"2"}"#),
        ("a,b\r\n1,2\r\n", r#"{"a":"1","b":"2"}"#),
        ("a,b\r1,2\r", r#"{"a":"1","b":"2"}"#),
        ("a,b\n1,2", r#"{"a":"1","b":"2"}"#),
        ("\n\r\n\ra,b\n\n1,2\n\n", r#"{"a":"1","b":"2"}"#),
        ("a,b\n,\n", r#"{"a":"","b":""}"#),
        ("a,b\n\"\",\"\"\n", r#"{"a":"","b":""}"#),
        ("a,b\n\"x,y\",\"x\ny\"\n", r#"{"a":"x,y","b":"x\ny"}"#),
        ("a,b\n\"x\r\ny\",\"\r\"\n", r#"{"a":"x\r\ny","b":"\r"}"#),
        ("a,b\n\"\"\"\",\"a\"\"b\"\"\"\n", r#"{"a":"\"","b":"a\"b\""}"#),
        ("a,b\nx\"y\"z,5\"\n", r#"{"a":"x\"y\"z","b":"5\""}"#),
        ("a,b\n 1 , \"2\" \n", r#"{"a":" 1 ","b":" \"2\" "}"#),
        ("a;b\n1,5;2,5\n", r#"{"a":"1,5","b":"2,5"}"#),
        ("a\tb\n1\t2\n", r#"{"a":"1","b":"2"}"#),
        ("a|b\n1|2\n", r#"{"a":"1","b":"2"}"#),
        ("a:b\n1:2\n", r#"{"a":"1","b":"2"}"#),
        ("a,b\n'x,y','it''s'\n", r#"{"a":"x,y","b":"it's"}"#),
        ("a;b\n\"\\\"x\\\"\";1\n\"\\\\\";\"C:\\temp\"\n", "{\"a\":\"\\\"x\\\"\",\"b\":\"1\"}\n{\"a\":\"\\\\\",\"b\":\"C:\\\\temp\"}"),
        ("a,b\nC:\\temp\\,\\\\server\n", r#"{"a":"C:\\temp\\","b":"\\\\server"}"#),
        ("a,b\n\u{1},\u{7f}\n", "{\"a\":\"\\u0001\",\"b\":\"\u{7f}\"}"),
        ("åæ,ß\n😀,\u{2028}\n", "{\"åæ\":\"😀\",\"ß\":\"\u{2028}\"}"),
        ("name\nAda\n\"Bob, Bo\"\n", "{\"name\":\"Ada\"}\n{\"name\":\"Bob, Bo\"}"),
        ("a,a,,a_2\n1,2,3,4\n", r#"{"a":"1","a_3":"2","column_3":"3","a_2":"4"}"#),
        ("a,\"b \"\"x\"\"\n2\"\n1,2\n", r#"{"a":"1","b \"x\"\n2":"2"}"#),
    ];
    for (text, expected) in table {
        let (rows, problems) = output(text, json!({"infer": false}));
        assert_eq!((rows.trim_end(), problems), (expected, vec![]), "{text:?}");
        assert!(rows.lines().all(|row| serde_json::from_str::<Value>(row).is_ok()), "{rows}");
    }
}

#[test]
fn types_never_change_a_value() {
    let table = [
        ("12", "12"),
        ("-0.50", "-0.50"),
        ("1.5E+3", "1.5E+3"),
        ("true", "true"),
        ("false", "false"),
        ("", "null"),
        ("\"\"", "\"\""),
        ("\"12\"", "\"12\""),
        ("\"true\"", "\"true\""),
        ("007", "\"007\""),
        ("1e400", "\"1e400\""),
        ("12345678901234567890", "\"12345678901234567890\""),
        ("+5", "\"+5\""),
        ("1_000", "\"1_000\""),
        (" 12", "\" 12\""),
        ("0x1F", "\"0x1F\""),
        ("NaN", "\"NaN\""),
        ("True", "\"True\""),
        ("FALSE", "\"FALSE\""),
        ("null", "\"null\""),
        ("truely", "\"truely\""),
        ("tru", "\"tru\""),
        ("-", "\"-\""),
        ("2026-11-22", "\"2026-11-22\""),
    ];
    for (cell, value) in table {
        let (rows, _) = output(format!("k,v\nx,{cell}\n"), json!({"header": true, "delimiter": ","}));
        assert_eq!(rows, format!("{{\"k\":\"x\",\"v\":{value}}}\n"), "{cell}");
        let (rows, _) = output(format!("k,v\nx,{cell}\n"), json!({"header": true, "delimiter": ",", "infer": false, "infer_quoted": true}));
        assert_eq!(rows, format!("{{\"k\":\"x\",\"v\":\"{}\"}}\n", cell.trim_matches('"')), "{cell}");
    }
    let (rows, _) = output("k,v,w,x\n\"1\",\"true\",\"\",\"007\"\n", json!({"infer_quoted": true}));
    assert_eq!(rows, "{\"k\":1,\"v\":true,\"w\":\"\",\"x\":\"007\"}\n");
}

#[test]
fn broken_tables_lose_nothing_and_say_where() {
    let table: [(&[u8], &str, &[&str]); 12] = [
        (
            b"a,b,c\n1,2,3\n4,5\n6\n",
            "{\"a\":1,\"b\":2,\"c\":3}\n{\"a\":4,\"b\":5}\n{\"a\":6}\n",
            &["Warning missing_cells 3:4", "Warning missing_cells 4:2"],
        ),
        (
            b"a,b\n1,2\n3,4,five,6\n",
            "{\"a\":1,\"b\":2}\n{\"a\":3,\"b\":4,\"column_3\":\"five\",\"column_4\":6}\n",
            &["Warning extra_cells 3:5"],
        ),
        (
            b"a,column_3\n1,2,3\n4,5\n",
            "{\"a\":1,\"column_3\":2,\"column_3_2\":3}\n{\"a\":4,\"column_3\":5}\n",
            &["Warning extra_cells 2:5"],
        ),
        (b"a,b\n\"x\" y,1\n", "{\"a\":\"x y\",\"b\":1}\n", &["Warning stray_quote 2:4"]),
        (b"a,b\n\"x\"\"y\"z\"w,1\n", "{\"a\":\"x\\\"yz\\\"w\",\"b\":1}\n", &["Warning stray_quote 2:7"]),
        (b"a,b\n1,\"cut of", "{\"a\":1,\"b\":\"cut of\"}\n", &["Error unclosed_quote 2:3"]),
        (
            b"a,b\n1,\"x\n2,y\n3,z\n",
            "{\"a\":1,\"b\":\"\\\"x\"}\n{\"a\":2,\"b\":\"y\"}\n{\"a\":3,\"b\":\"z\"}\n",
            &["Error unclosed_quote 2:3"],
        ),
        (b"a,b\n1,x\0y\n", "{\"a\":1,\"b\":\"x\\u0000y\"}\n", &["Warning nul 2:4"]),
        (b"a,b\n\xc3\xa9\xc3\xa9,\xff\n", "{\"a\":\"\u{e9}\u{e9}\",\"b\":\"\u{fffd}\"}\n", &["Warning invalid_encoding 2:4"]),
        (b"", "", &["Warning empty 1:1"]),
        (b"\n\n", "", &["Warning empty 1:1"]),
        (b"a,b\n", "", &[]),
    ];
    for (bytes, rows, problems) in table {
        let input = String::from_utf8_lossy(bytes);
        assert_eq!(output(bytes, json!({})), (rows.into(), problems.iter().map(|problem| (*problem).into()).collect()), "{input:?}");
    }
}

#[test]
fn lines_are_counted_across_line_ends_of_every_kind() {
    let (_, problems) = output("a,b\r\n\"x\r\ny\",2\r3\n\n4,\"5\n\"\n6\n", json!({}));
    assert_eq!(problems, ["Warning missing_cells 4:2", "Warning missing_cells 8:2"]);
}

#[test]
fn problems_of_a_kind_are_told_twenty_times_and_then_counted() {
    let text = format!("a,b\n1,2\n{}{}", "3\n".repeat(50), "4,5,6\n".repeat(20));
    let run = run(text, json!({"header": true}));
    let (ragged, extra) = run.problems.split_at(20);
    assert!(ragged.iter().all(|(_, error)| error.code == "missing_cells"));
    assert!(extra.iter().take(20).all(|(_, error)| error.code == "extra_cells"));
    assert_eq!(extra.len(), 21);
    assert!(extra[20].1.message.contains("30 more") && extra[20].1.message.contains("50 in all"), "{}", extra[20].1);
}

#[test]
fn problems_far_into_a_file_have_their_line() {
    let mut text = String::from("id,name\n");
    for row in 0..50_000 {
        text.push_str(&format!("{row},\"Grö\nße {row}\"\n"));
    }
    text.push_str("lone\n");
    let run = run(text, json!({}));
    let at = run.problems[0].1.at.unwrap();
    assert_eq!((run.problems.len(), at.line, at.column), (1, Some(100_002), Some(5)));
    assert_eq!(run.documents[0].attribute("csv.rows"), Some("50001"));
}

#[test]
fn a_record_of_any_length_is_read_whole() {
    let long = "x,\"\"\n".repeat(400_000);
    let (rows, problems) = output(format!("a,b\n1,\"{long}\"\n2,y\n"), json!({}));
    let rows: Vec<Value> = rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    assert_eq!((rows[0]["b"].as_str().unwrap().len(), &rows[1]["b"], problems.len()), (400_000 * 4, &json!("y"), 0));
}

#[test]
fn a_header_longer_than_the_head_is_read_whole() {
    let names: Vec<String> = (0..20_000).map(|column| format!("channel {column}, V")).collect();
    let values: Vec<String> = (0..20_000).map(|column| column.to_string()).collect();
    let run = run(format!("{}\n{}\n", names.join("\t"), values.join("\t")), json!({}));
    let document = &run.documents[0];
    assert_eq!((document.attribute("csv.delimiter"), document.attribute("csv.columns")), (Some("tab"), Some("20000")));
    assert_eq!((document.json()["channel 19999, V"].as_u64(), run.problems.len()), (Some(19_999), 0));
}

#[test]
fn a_wrong_number_of_quotes_is_not_read_again_for_ever() {
    // Every line opens a quote that the doubled ones never close.
    let text = format!("a,b\n{}", "1,\"x\n2,\"\"\n".repeat(10_000));
    let (rows, problems) = output(text, json!({"quote": "\"", "delimiter": ",", "header": true}));
    assert!(!rows.is_empty() && !problems.is_empty());
}

#[test]
fn says_what_it_detected() {
    let cases: [(&[u8], [&str; 7]); 6] = [
        (b"a,b\n1,2\n", [",", "\"", "none", "true", "utf-8", "1", "2"]),
        (b"1;2\n3;4\n", [";", "\"", "none", "false", "utf-8", "2", "2"]),
        (b"a\tb\n'x'\t\xe5\n", ["tab", "'", "none", "true", "windows-1252", "1", "2"]),
        (b"\xff\xfea\0|\0b\0\n\0\x31\0|\0\n\0", ["|", "\"", "none", "true", "utf-16le", "1", "2"]),
        (b"\xef\xbb\xbfa,b\n\"x\\\"y\",1\n\"\\\"z\",2\n", [",", "\"", "\\", "true", "utf-8", "2", "2"]),
        (b"", [",", "\"", "none", "false", "utf-8", "0", "0"]),
    ];
    for (bytes, expected) in cases {
        let run = run(bytes, json!({}));
        let document = &run.documents[0];
        assert_eq!((document.name.as_str(), document.media_type.as_str()), ("table.jsonl", "application/x-ndjson"));
        let attributes: Vec<(&str, &str)> = document.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let names = ["csv.delimiter", "csv.quote", "csv.escape", "csv.header", "csv.encoding", "csv.rows", "csv.columns"];
        assert_eq!(attributes, names.into_iter().zip(expected).collect::<Vec<_>>());
        let [said] = run.logs.as_slice() else { panic!("{:?}", run.logs) };
        assert!(said.message.starts_with("read with encoding ") && said.message.contains(", delimiter "), "{}", said.message);
    }
}

#[test]
fn a_first_row_that_is_longer_than_the_head_counts_whole() {
    let columns = 40_000;
    let row = |cell: &dyn Fn(usize) -> String| (0..columns).map(cell).collect::<Vec<_>>().join(";");
    let (values, names) = (row(&|column| (column % 100).to_string()), row(&|column| format!("n{column}")));
    for (text, rows, last) in [
        (format!("{values}\n{values}\n"), 2, ",\"column_40000\":99}"),
        (format!("{names}\n{values}\n"), 1, ",\"n39999\":99}"),
        // The whole file is one row, and there is no line end to tell by.
        (values.clone(), 1, ",\"column_40000\":99}"),
    ] {
        let (lines, problems) = output(text, json!({}));
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(lines.lines().count(), rows);
        assert!(lines.lines().all(|line| line.ends_with(last)), "not {last}");
    }
}

#[test]
fn tells_a_header_from_a_row() {
    let table = [
        ("name,count\nx,1\n", true),
        ("x,1\ny,2\n", false),
        ("a,b,c\nd,e,f\n", true),
        ("a,b\na,c\na,d\n", false),
        ("a,a\nb,c\n", false),
        ("a,\nb,c\n", false),
        ("start,who\n2026-11-22,Ada\n", true),
        ("2026-11-21,Ada\n2026-11-22,Bob\n", false),
        ("serial,result\n", true),
        ("17,3.5\n", false),
    ];
    for (text, header) in table {
        let run = run(text, json!({"delimiter": ","}));
        assert_eq!(run.documents[0].attribute("csv.header"), Some(header.to_string().as_str()), "{text:?}");
    }
}

#[test]
fn options_rule_over_detection() {
    let table = [
        (json!({"delimiter": ";"}), "a,b\n1,2\n", "{\"a,b\":\"1,2\"}\n"),
        (json!({"delimiter": "tab", "header": false}), "a,b\n1\t2\n", "{\"column_1\":\"a,b\"}\n{\"column_1\":1,\"column_2\":2}\n"),
        (json!({"delimiter": "#"}), "a#b\n1#2\n", "{\"a\":1,\"b\":2}\n"),
        (json!({"quote": "none"}), "a,b\n\"1,2\"\n", "{\"a\":\"\\\"1\",\"b\":\"2\\\"\"}\n"),
        (json!({"quote": "%"}), "a,b\n%1,5%,2\n", "{\"a\":\"1,5\",\"b\":2}\n"),
        (json!({"escape": "^", "quote": "none"}), "a,b\nx^,y^^,2\n", "{\"a\":\"x,y^\",\"b\":2}\n"),
        (json!({"header": false}), "a,b\n1,2\n", "{\"column_1\":\"a\",\"column_2\":\"b\"}\n{\"column_1\":1,\"column_2\":2}\n"),
        (json!({"header": true}), "1,2\n3,4\n", "{\"1\":3,\"2\":4}\n"),
        (json!({"encoding": "windows-1252"}), "a,b\né,1\n", "{\"a\":\"Ã©\",\"b\":1}\n"),
    ];
    for (options, text, rows) in table {
        assert_eq!(output(text, options.clone()).0, rows, "{options}");
    }
}

#[test]
fn options_that_make_no_sense_are_refused() {
    for options in [
        json!({"delimiter": "none"}),
        json!({"delimiter": "123456789"}),
        json!({"delimiter": "\n"}),
        json!({"delimiter": "a\rb"}),
        json!({"delimiter": "|'|", "quote": "'"}),
        json!({"comment": "123456789"}),
        json!({"skip_rows": -1}),
        json!({"header": 0}),
        json!({"quote": ";", "delimiter": ";"}),
        json!({"quote": "\"", "escape": "\""}),
        json!({"encoding": "latin-7"}),
        json!({"header": "yes"}),
    ] {
        let error = run("a,b\n", options.clone()).result.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (ErrorType::Validation, "options"), "{options}");
    }
}

#[test]
fn options_have_a_schema_with_defaults() {
    let schema = options_schema::<Csv>();
    let defaults: serde_json::Map<String, Value> =
        schema["properties"].as_object().unwrap().iter().map(|(name, option)| (name.clone(), option["default"].clone())).collect();
    let expected = json!({
        "output": "jsonl", "on_error": "lenient", "detect": "auto", "delimiter": "auto", "skip_initial_space": "auto", "quote": "auto", "escape": "auto", "header": "auto", "skip_rows": "auto", "comment": "auto", "footer": "auto", "tables": "auto",
        "encoding": "auto", "decimal": "auto", "thousands": "auto", "infer": true, "infer_quoted": false
    });
    for (option, default) in expected.as_object().unwrap() {
        assert_eq!(defaults.get(option), Some(default), "{option}");
    }
    // Those of reports among them.
    assert_eq!(Value::from(defaults.clone()), serde_json::to_value(Options::default()).unwrap());
    assert_eq!(output("a,b\n1,2\n", defaults.into()).0, "{\"a\":1,\"b\":2}\n");
}

#[test]
fn what_is_no_text_is_an_error() {
    for bytes in [&b"PK\x03\x04\x14\0\x06\0"[..], b"%PDF-1.7\n", b"\x89PNG\r\n\x1a\n", b"\x01\x02\x03\x04,\x05\x06\x07\x08\n"] {
        let error = run(bytes, json!({})).result.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (ErrorType::Malformed, "not_text"));
    }
    // What is compressed or encrypted, or a dump of memory, by a generator of random bytes (xorshift).
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for size in (300..6_000).step_by(300) {
        let random: Vec<u8> = (0..size)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            })
            .collect();
        let error = run(random, json!({})).result.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (ErrorType::Malformed, "not_text"), "{size} bytes");
    }
    // A station that lost its power leaves zeros at the end.
    let (rows, problems) = output([b"a,b\n1,2\n3,4\n".as_slice(), &[0; 4096]].concat(), json!({}));
    assert!(rows.starts_with("{\"a\":1,\"b\":2}\n{\"a\":3,\"b\":4}\n"));
    assert_eq!(problems, ["Warning nul 4:1", "Warning missing_cells 4:4097"]);
}

#[test]
fn probe_goes_by_content() {
    let table: [(&str, &[u8], u8); 16] = [
        ("a.txt", b"time value state\n0.1 5 1\n0.2 6 1\n0.3 7 0\n", 30),
        ("a.csv", b"a,b\n1,2\n3,4\n", 90),
        ("a.TSV", b"a\tb\n1\t2\n3\t4\n", 90),
        ("a.txt", b"a;b;c\n1;2;3\n4;5;6\n", 60),
        ("a.txt", b"a,b\n1,2\n", 30),
        ("a.txt", b"Dear all,\n\nplease find attached, as promised, the file.\nBye\n", 0),
        ("a.log", b"started\nstopped\n", 0),
        ("a.csv", b"started\nstopped\n", 50),
        ("a.csv", b"", 50),
        ("a.bin", b"", 0),
        ("a.csv", b"PK\x03\x04\x14\0\x06\0", 0),
        ("a.csv", b"\0\x01\x02\x03\x04\x05,", 0),
        ("a.csv", b"<?xml version=\"1.0\"?><a b=\"1,2\"/>", 5),
        ("a.csv", b"{\"a\": 1, \"b\": 2}", 5),
        ("a.xml", b"<?xml version=\"1.0\"?><a b=\"1,2\"/>", 0),
        ("a.csv", b"\xff\xfea\0,\0b\0\n\0\x31\0,\0\x32\0\n\0", 90),
    ];
    for (name, bytes, confidence) in table {
        let answer = probe::<Csv>(TestInput::new(name, bytes));
        assert_eq!(answer.confidence, confidence, "{name}: {answer:?}");
        assert!(!answer.reason.is_empty());
    }
    let answer = probe::<Csv>(TestInput::new("upload", "a,b\n1,2\n").media_type("text/csv"));
    assert_eq!(answer.confidence, 90);
}

#[test]
fn detection_alone_gives_the_options_that_it_found_and_why() {
    let text = "Report of today\n\n'a';'b';c\n's';'V';x\n'1,5';'2,25';y\n'2,5';'3,5';z\n";
    let run = run(text, json!({"detect": "only"}));
    let document = &run.documents[0];
    assert_eq!((run.documents.len(), document.name.as_str(), document.media_type.as_str()), (1, "table.dialect.json", "application/json"));
    let found = document.json();
    let expected = json!({
        "encoding": "utf-8", "delimiter": ";", "skip_initial_space": false, "quote": "'", "escape": "none", "line_end": "lf",
        "comment": "none", "skip_rows": 2, "header": 2, "columns": 3, "decimal": ",", "thousands": null
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&found[name]["value"], value, "{name}");
        assert!(!found[name]["reason"].as_str().unwrap().is_empty());
    }
    assert_eq!(found["preamble"], "Report of today");
    // What it found can be given as options, and then gives the same rows.
    let mut options = json!({});
    for name in ["encoding", "delimiter", "skip_initial_space", "quote", "escape", "comment", "skip_rows", "header"] {
        options[name] = found[name]["value"].clone();
    }
    assert_eq!(output(text, options), output(text, json!({})));
}

#[test]
fn a_decimal_comma_is_said_and_becomes_a_number_where_the_options_say_so() {
    let text = "a;b\n1,5;x\n-1.234.567,25;y\n1.234;z\n0,5,5;w\n007,5;v\n";
    let run = run(text, json!({}));
    let about = |name: &str| run.documents[0].attribute(name).map(String::from);
    assert_eq!((about("csv.decimal"), about("csv.thousands")), (Some(",".into()), Some(".".into())));
    let values = |options: Value| -> Vec<Value> {
        output(text, options).0.lines().map(|row| serde_json::from_str::<Value>(row).unwrap()["a"].clone()).collect()
    };
    assert_eq!(values(json!({})), [json!("1,5"), json!("-1.234.567,25"), json!(1.234), json!("0,5,5"), json!("007,5")]);
    assert_eq!(values(json!({"decimal": ","})), [json!(1.5), json!("-1.234.567,25"), json!(1.234), json!("0,5,5"), json!("007,5")]);
    assert_eq!(values(json!({"decimal": ",", "infer": false}))[0], json!("1,5"));
    let both = values(json!({"decimal": ",", "thousands": "."}));
    assert_eq!(both[..4], [json!(1.5), json!(-1234567.25), json!(1234), json!("0,5,5")]);
    let error = self::run(text, json!({"thousands": "."})).result.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorType::Validation, "options"));
}
