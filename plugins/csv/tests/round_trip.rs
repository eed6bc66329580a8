//! Tables made at random (always the same ones), written in random dialects as Python's `csv` would write them, come back cell for cell.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use dropforge_plugin_csv::Csv;
use dropforge_sdk::testkit::{Conversion, TestInput, convert};
use serde_json::{Map, Value, json};

/// A small generator (xorshift64*): enough to vary tables, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

struct Written {
    delimiter: &'static str,
    quote: char,
    escape: Option<char>,
    line_end: &'static str,
    everything_quoted: bool,
}

impl Written {
    fn random(random: &mut Random) -> Written {
        Written {
            delimiter: random.of(&[",", ",", ";", "\t", "|", ":", "||", ", ", "§", "<->"]),
            quote: random.of(&['"', '"', '\'']),
            escape: random.of(&[None, None, Some('\\')]),
            line_end: random.of(&["\n", "\r\n", "\r"]),
            everything_quoted: random.below(4) == 0,
        }
    }

    fn cell(&self, cell: &str) -> String {
        let special = |c: char| self.delimiter.contains(c) || c == self.quote || c == '\n' || c == '\r' || Some(c) == self.escape;
        if !self.everything_quoted && !cell.chars().any(special) {
            return cell.into();
        }
        let mut text = cell.to_string();
        if let Some(escape) = self.escape {
            text = text.replace(escape, &format!("{escape}{escape}")).replace(self.quote, &format!("{escape}{}", self.quote));
        } else {
            text = text.replace(self.quote, &format!("{0}{0}", self.quote));
        }
        format!("{0}{text}{0}", self.quote)
    }

    fn table(&self, rows: &[Vec<String>]) -> String {
        let row = |row: &Vec<String>| {
            let cells: Vec<String> = row.iter().map(|cell| self.cell(cell)).collect();
            // A lone empty cell would be a blank line.
            let line = if cells == [""] { format!("{0}{0}", self.quote) } else { cells.join(self.delimiter) };
            line + self.line_end
        };
        rows.iter().map(row).collect()
    }
}

fn encoded(text: &str, encoding: &str, mark: bool) -> Vec<u8> {
    let text = if mark { format!("\u{feff}{text}") } else { text.into() };
    match encoding {
        "utf-16le" => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        "utf-16be" => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        _ => text.into_bytes(),
    }
}

fn cells(run: &Conversion) -> Vec<Vec<String>> {
    let text = run.documents[0].text();
    let rows = text.split_terminator('\n').map(|row| serde_json::from_str::<Map<String, Value>>(row).unwrap());
    // `serde_json` sorts the names, and columns are numbered: put them in order again.
    rows.map(|row| {
        (1..=row.len())
            .map(|column| {
                row.get(&format!("column_{column}")).map_or_else(|| "no such column".into(), |cell| cell.as_str().unwrap().to_string())
            })
            .collect()
    })
    .collect()
}

#[test]
fn any_table_comes_back_when_told_its_dialect() {
    let pieces = [
        "", "a", "7", "0.5", ",", ";", "\t", "|", ":", "\"", "'", "\\", "\n", "\r", "\r\n", " ", "\0", "\u{1b}", "é", "€", "😀",
        "\u{2028}", "word",
    ];
    let mut random = Random(0x5eed);
    for table in 0..400 {
        let written = Written::random(&mut random);
        let (columns, count) = (1 + random.below(9), random.below(if table % 40 == 0 { 6000 } else { 40 }));
        let long = table % 50 == 7;
        let rows: Vec<Vec<String>> = (0..count)
            .map(|_| {
                let cell = |random: &mut Random| {
                    let pieces_in_it = if long && random.below(60) == 0 { 80_000 } else { random.below(6) };
                    (0..pieces_in_it).map(|_| random.of(&pieces)).collect::<String>()
                };
                (0..columns).map(|_| cell(&mut random)).collect()
            })
            .collect();
        let encoding = random.of(&["utf-8", "utf-8", "utf-16le", "utf-16be"]);
        let bytes = encoded(&written.table(&rows), encoding, random.below(2) == 0);
        let options = json!({
            "delimiter": written.delimiter, "quote": written.quote, "escape": written.escape.map_or("none".into(), String::from),
            "header": false, "encoding": encoding, "infer": false,
        });
        let run = convert::<Csv>(TestInput::new("table.csv", bytes), options.clone());
        assert!(run.result.is_ok(), "{:?}", run.result);
        let got = cells(&run);
        if got != rows {
            let (index, _) = got.iter().zip(&rows).enumerate().find(|(_, (got, row))| got != row).expect("a row that differs");
            assert_eq!(got[index], rows[index], "table {table}, row {index}, {options}");
        }
        let mut options = options;
        options["output"] = json!("csv");
        let clean = convert::<Csv>(TestInput::new("table.csv", encoded(&written.table(&rows), encoding, false)), options);
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(clean.documents[0].bytes.as_slice());
        let got: Vec<Vec<String>> = reader.records().map(|row| row.unwrap().iter().map(String::from).collect()).collect();
        assert!(got == rows, "table {table} as CSV");
        let unexpected: Vec<_> = run.problems.iter().filter(|(_, error)| !matches!(error.code.as_str(), "nul" | "empty")).collect();
        assert!(unexpected.is_empty(), "table {table}: {unexpected:?}");
    }
}

#[test]
fn ordinary_tables_need_no_telling() {
    let words =
        ["Oslo", "Bergen, Norway", "R101", "limit; high", "say \"yes\"", "two\nlines", "PASS", "FAIL", "", "it's", "ångström", "a/b"];
    let mut random = Random(0xfeed);
    let mut wrong = Vec::new();
    for table in 0..400 {
        let mut written = Written { escape: None, ..Written::random(&mut random) };
        // A sign beyond ASCII is a delimiter only where the options say so.
        written.delimiter = written.delimiter.replace('§', "~").leak();
        let columns = 2 + random.below(8);
        let mut rows = vec![(0..columns).map(|column| format!("column_{}", column + 1)).collect::<Vec<String>>()];
        for row in 0..3 + random.below(60) {
            let cell = |column: usize, random: &mut Random| match column % 4 {
                0 => row.to_string(),
                1 => format!("{}.{}", random.below(100), random.below(1000)),
                2 => random.of(&words).to_string(),
                _ => format!("2026-11-{:02}", 1 + random.below(28)),
            };
            rows.push((0..columns).map(|column| cell(column, &mut random)).collect());
        }
        let encoding = random.of(&["utf-8", "utf-16le", "utf-16be"]);
        let bytes = encoded(&written.table(&rows), encoding, random.below(2) == 0);
        let run = convert::<Csv>(TestInput::new("table.csv", bytes), json!({"infer": false}));
        rows.remove(0);
        if run.documents[0].attribute("csv.header") != Some("true") || cells(&run) != rows {
            wrong.push((table, written.delimiter, written.quote, run.documents[0].attributes.clone(), written.table(&rows[..3])));
        }
    }
    assert!(wrong.is_empty(), "{} of 400: {:#?}", wrong.len(), &wrong[..wrong.len().min(3)]);
}

#[test]
fn damaged_tables_still_give_valid_rows() {
    let mut random = Random(0xdead);
    for table in 0..400 {
        let written = Written::random(&mut random);
        let rows: Vec<Vec<String>> =
            (0..30).map(|row| vec![row.to_string(), format!("a{0}b, \"c\"\n'", random.of(&[",", "é", "\\"])), "7.5".into()]).collect();
        let mut bytes = encoded(&written.table(&rows), random.of(&["utf-8", "utf-16le", "utf-16be"]), random.below(2) == 0);
        for _ in 0..1 + random.below(8) {
            let at = random.below(bytes.len());
            match random.below(3) {
                0 => bytes[at] = random.of(b"\"',;\t\n\r\\\0\xff\xc3\xd8x"),
                1 => bytes.truncate(at + 1),
                _ => drop(bytes.drain(at..(at + 1 + random.below(20)).min(bytes.len()))),
            }
            bytes.push(b'\n');
        }
        let run = convert::<Csv>(TestInput::new("table.csv", bytes), json!({}));
        // UTF-16 that lost an odd number of bytes at its beginning looks like binary data, and is refused as such.
        if let Err(error) = &run.result {
            assert_eq!(error.code, "not_text", "table {table}: {error}");
            continue;
        }
        let text = String::from_utf8(run.documents[0].bytes.clone()).expect("UTF-8");
        for row in text.split_terminator('\n') {
            assert!(serde_json::from_str::<Map<String, Value>>(row).is_ok(), "table {table}: {row}");
        }
    }
}
