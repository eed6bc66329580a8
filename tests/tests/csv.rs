//! What `csv` needs of memory, in the real sandbox: a bit more than four times its longest record, however large the file is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;

use dropforge_tests::{Daemon, Setup, wait_for};

/// What there may be besides the record.
const BASE_BYTES: usize = 32 << 20;

/// Converts a file with so much memory.
fn convert(content: &str, output: &str, memory_bytes: usize) -> (Daemon, String) {
    let config = format!(
        "[[routes]]\nname = 'csv'\nconverter = 'csv'\nintake = {{ path = '{{dir}}/in', create = true }}\n\
         options = {{ output = '{output}', header = true, delimiter = ',' }}\nlimits = {{ memory_bytes = {memory_bytes} }}\n\
         destinations = [{{ type = 'folder', path = '{{dir}}/out' }}]\n"
    );
    let daemon = Setup::new().plugins(&["csv"]).config(&config).start();
    wait_for("the inbox", || daemon.path("in").is_dir().then_some(()));
    daemon.drop_into("in", "table.csv", content);
    let documents = daemon.wait_for_documents(1);
    let text = fs::read_to_string(documents.values().next().unwrap()).unwrap();
    (daemon, text)
}

#[test]
fn a_record_of_10_mb_needs_no_more_than_four_times_its_length() {
    let long = "0123456789".repeat(1_000_000);
    let memory_bytes = BASE_BYTES + 4 * long.len();
    for output in ["jsonl", "json", "csv"] {
        let (_daemon, text) = convert(&format!("a,b\n1,\"{long}\"\n2,{long}\n3,x\n"), output, memory_bytes);
        assert_eq!(text.matches(&long).count(), 2, "{output}");
    }
    // Every second byte is escaped.
    let long = "x\\".repeat(5_000_000);
    let (_daemon, text) = convert(&format!("a,b\n1,{long}\n"), "jsonl", memory_bytes);
    assert_eq!(text.len(), "{\"a\":1,\"b\":\"\"}\n".len() + 15_000_000);
}

#[test]
fn a_million_columns_need_no_more_than_four_times_their_row() {
    let columns = 1_000_000;
    let joined = |cell: &dyn Fn(usize) -> String| (0..columns).map(cell).collect::<Vec<_>>().join(",");
    let (names, row) = (joined(&|column| format!("c{column}")), joined(&|column| (column % 1000).to_string()));
    let memory_bytes = BASE_BYTES + 4 * names.len();
    for (output, last) in [("jsonl", "\"c999999\":999}\n"), ("csv", ",998,999\r\n")] {
        let (_daemon, text) = convert(&format!("{names}\n{row}\n{row}\n"), output, memory_bytes);
        assert!(text.ends_with(last), "{output}: …{}", &text[text.len() - 100..]);
    }
}

#[test]
fn a_quote_that_never_closes_costs_a_cell_of_a_large_file() {
    let rows: String = (0..1_500_000).map(|row| format!("{row},a row after the quote that never closes, and one more cell\n")).collect();
    assert!(rows.len() > 80 << 20, "{} bytes", rows.len());
    let (_daemon, text) = convert(&format!("a,b,c\n1,\"x,y\n{rows}"), "jsonl", 256 << 20);
    assert_eq!(text.lines().count(), 1_500_001);
    assert_eq!(text.lines().next(), Some("{\"a\":1,\"b\":\"\\\"x\",\"c\":\"y\"}"));
    assert_eq!(text.lines().last().unwrap().split(',').next(), Some("{\"a\":1499999"));
}
