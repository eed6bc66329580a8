//! What becomes of broken rows by the option `on_error`: every kind of fault with every policy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use dropforge_plugin_csv::Csv;
use dropforge_sdk::testkit::{Conversion, TestInput, convert};
use dropforge_sdk::{Error, Severity};
use serde_json::{Value, json};

fn run(bytes: &[u8], policy: &str, output: &str) -> Conversion {
    let options = json!({"delimiter": ",", "quote": "\"", "header": true, "infer": false, "on_error": policy, "output": output});
    convert::<Csv>(TestInput::new("table.csv", bytes), options)
}

fn place(error: &Error) -> String {
    let at = error.at.unwrap_or_default();
    format!("{} {}:{}", error.code, at.line.unwrap_or_default(), at.column.unwrap_or_default())
}

/// The values of each row, between `|`.
fn rows(run: &Conversion) -> Vec<String> {
    let text = run.documents[0].text();
    let cells = |row: &str| -> String {
        // The names are in the order of the alphabet.
        let row: serde_json::Map<String, Value> = serde_json::from_str(row).unwrap();
        row.values().map(|cell| cell.as_str().unwrap()).collect::<Vec<_>>().join("|")
    };
    text.lines().map(cells).collect()
}

/// A table.
type Case = (&'static [u8], &'static [&'static str], &'static [&'static str], &'static [&'static str]);

/// What is wrong, the rows where every cell is kept, and those that remain where broken rows are left out.
const TABLE: [Case; 12] = [
    (b"a,b,c\n1,2,3\n4,5\n6,7,8\n", &["missing_cells 3:4"], &["1|2|3", "4|5", "6|7|8"], &["1|2|3", "6|7|8"]),
    (b"a,b\n1,2\n3,4,5,6\n7,8\n", &["extra_cells 3:5"], &["1|2", "3|4|5|6", "7|8"], &["1|2", "7|8"]),
    (b"a,b,c\n1,2,3\n4;5;6\n7,8,9\n", &["other_delimiter 3:1"], &["1|2|3", "4|5|6", "7|8|9"], &["1|2|3", "7|8|9"]),
    (b"a,b\n3,4,\"5\"\"\",6\n7,8\n", &["extra_cells 2:5"], &["3|4|5\"|6", "7|8"], &["7|8"]),
    (b"a,b\n\"x\" y,1\nz,2\n", &["stray_quote 2:4"], &["x y|1", "z|2"], &["z|2"]),
    (b"a,b\n1,\"x\n2,y\n3,z\n", &["unclosed_quote 2:3"], &["1|\"x", "2|y", "3|z"], &["2|y", "3|z"]),
    (b"a,b\n1,x\n2,\"cut of", &["unclosed_quote 3:3"], &["1|x", "2|cut of"], &["1|x"]),
    (b"a,b\n1,x\0y\n2,z\n", &["nul 2:4"], &["1|x\0y", "2|z"], &["2|z"]),
    (b"a,b\n\xc3\xa9\xc3\xa9,\xff\n2,z\n", &["invalid_encoding 2:4"], &["\u{e9}\u{e9}|\u{fffd}", "2|z"], &["2|z"]),
    (b"\xff\xfea\0,\0b\0\n\0\x31\0,\0\x3d\xd8\n\0\x32\0,\0z\0\n\0", &["invalid_encoding 2:3"], &["1|\u{fffd}", "2|z"], &["2|z"]),
    // Two faults in a row: the row is left out once, for the first of them.
    (b"a,b\n\"x\" y\n1,2\n", &["stray_quote 2:4", "missing_cells 2:6"], &["x y", "1|2"], &["1|2"]),
    (b"a,b\n\n1,2\n\n3\n\n", &["missing_cells 5:2"], &["1|2", "3"], &["1|2"]),
];

#[test]
fn lenient_keeps_every_cell() {
    for (bytes, faults, kept, _) in TABLE {
        let run = run(bytes, "lenient", "jsonl");
        let input = String::from_utf8_lossy(bytes);
        assert_eq!(rows(&run), kept, "{input:?}");
        assert_eq!(run.problems.iter().map(|(_, error)| place(error)).collect::<Vec<_>>(), faults, "{input:?}");
        for (severity, error) in &run.problems {
            assert_eq!(*severity == Severity::Error, error.code == "unclosed_quote", "{error}");
        }
        assert_eq!(run.documents[0].attribute("csv.skipped"), None);
    }
}

#[test]
fn strict_fails_at_the_first_fault() {
    for (bytes, faults, _, _) in TABLE {
        for output in ["jsonl", "json", "csv"] {
            let run = run(bytes, "strict", output);
            let input = String::from_utf8_lossy(bytes);
            assert_eq!(place(&run.result.unwrap_err()), faults[0], "{input:?}");
            assert!(run.documents.is_empty());
        }
    }
}

#[test]
fn skip_leaves_broken_rows_out_and_says_which() {
    for (bytes, faults, _, whole) in TABLE {
        let run = run(bytes, "skip", "jsonl");
        let input = String::from_utf8_lossy(bytes);
        assert_eq!(rows(&run), whole, "{input:?}");
        let (severity, error) = &run.problems[0];
        assert_eq!((run.problems.len(), *severity, place(error).as_str()), (1, Severity::Error, faults[0]), "{input:?}");
        assert!(error.message.starts_with("the row is left out: "), "{error}");
        let document = &run.documents[0];
        assert_eq!(
            (document.attribute("csv.skipped"), document.attribute("csv.rows")),
            (Some("1"), Some(whole.len().to_string().as_str()))
        );
        // Whatever the format, the same rows.
        let array = self::run(bytes, "skip", "json").documents[0].json();
        assert_eq!(array.as_array().unwrap().len(), whole.len());
        let clean = self::run(bytes, "skip", "csv").documents[0].text();
        assert_eq!(clean.lines().skip(1).map(|row| row.replace(',', "|")).collect::<Vec<_>>(), whole, "{input:?}");
    }
}

#[test]
fn what_is_skipped_is_listed_up_to_a_bound_and_counted() {
    let text = format!("a,b\n{}{}1,2\n", "3\n".repeat(50), "4,\"5\"x\n".repeat(7));
    let run = run(text.as_bytes(), "skip", "jsonl");
    let told: Vec<&str> = run.problems.iter().map(|(_, error)| error.code.as_str()).collect();
    assert_eq!(told, [["missing_cells"; 20].as_slice(), &["stray_quote"; 7], &["missing_cells"]].concat());
    assert!(run.problems[27].1.message.contains("30 more rows") && run.problems[27].1.message.contains("50 in all"));
    assert_eq!((rows(&run), run.documents[0].attribute("csv.skipped")), (vec!["1|2".into()], Some("57")));
}

#[test]
fn a_broken_header_is_kept_unless_strict() {
    let bytes = b"\"a\"x,\xc3\xa9\xc3\xa9\xff\n1,2\n";
    for policy in ["lenient", "skip"] {
        let run = run(bytes, policy, "csv");
        assert_eq!(run.documents[0].text(), "ax,\u{e9}\u{e9}\u{fffd}\r\n1,2\r\n");
        let mut told: Vec<String> = run.problems.iter().map(|(_, error)| place(error)).collect();
        told.sort();
        assert_eq!(told, ["invalid_encoding 1:8", "stray_quote 1:4"]);
    }
    assert_eq!(place(&run(bytes, "strict", "csv").result.unwrap_err()), "stray_quote 1:4");
}

#[test]
fn long_cells_and_wide_tables_are_no_faults() {
    let long = "x".repeat(10_000_000);
    for policy in ["lenient", "strict", "skip"] {
        let run = run(format!("a,b\n1,{long}\n").as_bytes(), policy, "csv");
        assert!(run.problems.is_empty() && run.documents[0].text() == format!("a,b\r\n1,{long}\r\n"));
    }
    let wide: String = (0..1_000_000).map(|column| format!("{}{column}", if column == 0 { "" } else { "," })).collect();
    let run = self::run(format!("{wide}\n{wide}\n").as_bytes(), "strict", "jsonl");
    let row = run.documents[0].json();
    assert_eq!((run.problems.len(), row.as_object().unwrap().len(), &row["999999"]), (0, 1_000_000, &json!("999999")));
}

#[test]
fn a_row_that_is_far_too_wide_costs_only_itself() {
    let wide = ",".repeat(999_999);
    let text = format!("a,b\n1,2\n{wide}\n3,4\n");
    let lenient = run(text.as_bytes(), "lenient", "csv");
    assert_eq!(lenient.documents[0].text(), format!("a,b\r\n1,2\r\n{wide}\r\n3,4\r\n"));
    assert_eq!(place(&lenient.problems[0].1), "extra_cells 3:3");
    assert_eq!(place(&run(text.as_bytes(), "strict", "jsonl").result.unwrap_err()), "extra_cells 3:3");
    assert_eq!(rows(&run(text.as_bytes(), "skip", "jsonl")), ["1|2", "3|4"]);
}

#[test]
fn a_lone_cr_ends_a_line_by_every_policy() {
    // Inside a cell, it leaves two rows that are too short.
    let bytes = b"a,b,c\n1,x\ry,3\n4,5,6\n";
    let lenient = run(bytes, "lenient", "jsonl");
    assert_eq!(rows(&lenient), ["1|x", "y|3", "4|5|6"]);
    let places = |run: &Conversion| run.problems.iter().map(|(_, error)| place(error)).collect::<Vec<_>>();
    assert_eq!(places(&lenient), ["missing_cells 2:4", "missing_cells 3:4"]);
    assert_eq!(place(&run(bytes, "strict", "jsonl").result.unwrap_err()), "missing_cells 2:4");
    let skip = run(bytes, "skip", "jsonl");
    assert_eq!((rows(&skip), skip.documents[0].attribute("csv.skipped")), (vec!["4|5|6".into()], Some("2")));
    assert_eq!(places(&skip), places(&lenient));
    // Between rows, it is no fault.
    for policy in ["lenient", "strict", "skip"] {
        let run = run(b"a,b\r1,2\n3,4\r5,6\r\n", policy, "jsonl");
        assert_eq!((rows(&run), run.problems.len()), (vec!["1|2".into(), "3|4".into(), "5|6".into()], 0));
    }
}

/// A station's table with one line in the middle of it.
fn with_line(line: &str) -> String {
    const KINDS: [&str; 6] = ["Drill no", "Saw", "Big hammer", "Lamp", "Nails and more", "Tin of paint"];
    const REMARKS: [&str; 6] = ["Fits, as ever", "no", "As ever", "Late; sent again", "none at all", "Too small"];
    let row = |number: usize| {
        let (day, minute, count, price) = (number % 28 + 1, number % 60, number % 13, number % 40);
        let (kind, remark) = (KINDS[number % 6], REMARKS[number % 5]);
        format!("2026-11-{day:02};12:{minute:02}:00;{count};AB-{number:04};{price}.{minute:02};{kind};\"{remark}\";x\n")
    };
    let rows = |from: usize| (from..from + 20).map(row).collect::<String>();
    format!("date;time;count;code;price;kind;remark;mark\n{}{line}\n{}", rows(0), rows(100))
}

#[test]
fn a_missing_delimiter_is_found_by_what_the_columns_have() {
    let table = [
        ("2026-11-0912:30:00;7;ZZ-0001;5.75;Drill no;\"As ever\";x", 1),
        ("2026-11-09;12:30:007;ZZ-0001;5.75;Drill no;\"As ever\";x", 1),
        ("2026-11-09;12:30:00;7ZZ-0001;5.75;Drill no;\"As ever\";x", 1),
        ("2026-11-09;12:30:00;7;ZZ-00015.75;Drill no;\"As ever\";x", 1),
        ("2026-11-09;12:30:00;7;ZZ-0001;5.75Drill no;\"As ever\";x", 1),
        ("2026-11-09;12:30:00;7;ZZ-0001;5.75;Drill no\"As ever\";x", 1),
        // Two of them are missing, or the row ends early: nothing is made up.
        ("2026-11-0912:30:007;ZZ-0001;5.75;Drill no;\"As ever\";x", 0),
        ("2026-11-09;12:30:00;7;ZZ-0001;5.75;Drill no;\"As ever\"", 0),
        // Two words: there is no telling where the first one ends.
        ("2026-11-09;12:30:00;7;ZZ-0001;5.75;Drill noAs ever;x", 0),
    ];
    for (line, divided) in table {
        let run = convert::<Csv>(TestInput::new("in/table.csv", with_line(line)), json!({"output": "csv"}));
        let found = run.problems.iter().filter(|(_, error)| error.code == "missing_delimiter").collect::<Vec<_>>();
        assert_eq!(found.len(), divided, "{line}: {:?}", run.problems);
        let rows = run.documents[0].text();
        let row = rows.lines().nth(21).unwrap();
        assert_eq!(row == "2026-11-09,12:30:00,7,ZZ-0001,5.75,Drill no,As ever,x", divided == 1, "{row}");
        if let [(_, error)] = found.as_slice() {
            assert_eq!(error.at.and_then(|at| at.line), Some(22), "{error}");
            let strict = convert::<Csv>(TestInput::new("in/table.csv", with_line(line)), json!({"on_error": "strict"}));
            assert_eq!(strict.result.err().map(|error| error.code), Some("missing_delimiter".to_owned()));
        } else {
            assert_eq!(run.problems.len(), 1, "{:?}", run.problems);
        }
    }
}
