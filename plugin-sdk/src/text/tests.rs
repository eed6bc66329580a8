#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::testkit::{self, TestInput};
use crate::{Converter, Descriptor, Input, NoOptions, Outcome, Output, Result};

#[test]
fn numbers_as_machines_write_them() {
    use DecimalSign::{Comma, Point};
    for (text, sign, expected) in [
        ("1", Point, Some(1.0)),
        (" -1.50 ", Point, Some(-1.5)),
        ("+.5", Point, Some(0.5)),
        ("5.", Point, Some(5.0)),
        ("9.046875e+00", Point, Some(9.046875)),
        ("1,5E-3", Comma, Some(0.0015)),
        ("1,000.5", Point, None),
        ("1.5", Comma, None),
        ("", Point, None),
        ("-", Point, None),
        (".", Point, None),
        ("1e", Point, None),
        ("0x10", Point, None),
        ("INF", Point, Some(f64::INFINITY)),
        ("-1.#INF", Point, Some(f64::NEG_INFINITY)),
    ] {
        assert_eq!(number(text, sign), expected, "{text}");
    }
    for text in ["NaN", "-NAN", "1.#QNAN", "-1.#IND", "nan(ind)"] {
        assert!(number(text, Point).is_some_and(f64::is_nan), "{text}");
    }
}

#[test]
fn suffixes_are_powers_of_ten() {
    use DecimalSign::Point;
    for (text, suffixes, expected) in [
        ("10.212763N", ICT_SUFFIXES, Some(10.212763e-9)),
        ("-500M", ICT_SUFFIXES, Some(-0.5)),
        ("45.131532MEG", ICT_SUFFIXES, Some(45.131532e6)),
        ("500K", ICT_SUFFIXES, Some(500e3)),
        ("3 k", SI_SUFFIXES, Some(3e3)),
        ("3M", SI_SUFFIXES, Some(3e6)),
        ("3m", SI_SUFFIXES, Some(3e-3)),
        ("4.7µ", SI_SUFFIXES, Some(4.7e-6)),
        ("2", SI_SUFFIXES, Some(2.0)),
        ("3X", SI_SUFFIXES, None),
        ("K", ICT_SUFFIXES, None),
    ] {
        assert_eq!(engineering(text, Point, suffixes), expected, "{text}");
    }
}

#[test]
fn dates_in_a_format() {
    let read = |format: &str, text: &str| DateFormat::new(format).unwrap().parse(text).map(|parsed| parsed.local.to_string());
    for (format, text, expected) in [
        ("d/M/yyyy H:mm:ss", "20/4/2023 13:02:39", Some("2023-04-20T13:02:39")),
        ("d/M/yyyy H:mm:ss", "20/4/2023 13:02:3", None),
        ("dd-MMM-yy HH:mm:ss", "31-JUL-12  14:17:35", Some("2012-07-31T14:17:35")),
        ("MM/dd/yyyy", "10/12/2024", Some("2024-10-12T00:00:00")),
        ("MM/dd/yyyy", "13/12/2024", None),
        ("dd/MM/yyyy", "31/02/2024", None),
        ("M/d/yyyy h:mm:ss tt", "7/22/2020 12:05:00 AM", Some("2020-07-22T00:05:00")),
        ("M/d/yyyy h:mm:ss tt", "7/22/2020 1:05:00 pm", Some("2020-07-22T13:05:00")),
        ("M/d/yyyy h:mm:ss tt", "7/22/2020 13:05:00 pm", None),
        ("yyyy-MM-ddTHH:mm:ss.fffffff", "2026-01-30T22:01:41.4707353", Some("2026-01-30T22:01:41.4707353")),
        ("yy-MM-dd", "70-01-01", Some("1970-01-01T00:00:00")),
        ("yyyy-MM-dd", "2024-01-01x", None),
    ] {
        assert_eq!(read(format, text).as_deref(), expected, "{format}: {text}");
    }
    let parsed = DateFormat::new("yyyy-MM-dd HH:mm zzz").unwrap().parse("2024-01-01 10:00 -0530").unwrap();
    assert_eq!(parsed.offset.unwrap().seconds(), -(5 * 3600 + 30 * 60));
    assert!(DateFormat::new("yyyyy").is_err() && DateFormat::new("dd q").is_err());
}

/// Gives the lines of its input, each as its number, offset and text.
struct All;

impl Converter for All {
    type Options = NoOptions;
    fn describe() -> Descriptor {
        Descriptor::new("all", "1.0.0", "For tests")
    }
    fn convert(input: &mut Input, _: NoOptions, output: &mut Output) -> Result<Outcome> {
        let mut lines = Lines::open(input, Encoding::Utf8)?;
        let mut found: Vec<(u64, u64, String)> = Vec::new();
        while let Some(ahead) = lines.peek()?.cloned() {
            assert_eq!(lines.next_line()?, Some(ahead.clone()));
            found.push((ahead.number, ahead.offset, ahead.text));
        }
        let mut document = output.document("application/json", "lines.json")?;
        serde_json::to_writer(&mut document, &found)?;
        document.finish()?;
        Ok(Outcome::Converted)
    }
}

fn lines(bytes: impl Into<Vec<u8>>) -> Vec<(u64, u64, String)> {
    let run = testkit::convert::<All>(TestInput::new("a", bytes), serde_json::json!({}));
    run.result.unwrap();
    serde_json::from_slice(&run.documents.first().unwrap().bytes).unwrap()
}

#[test]
fn lines_have_their_places() {
    let all = lines("a\r\nb\rc\n\nd");
    let expected = [(1, 0, "a"), (2, 3, "b"), (3, 5, "c"), (4, 7, ""), (5, 8, "d")];
    assert_eq!(all, expected.map(|(number, offset, text)| (number, offset, text.to_owned())));
    assert_eq!(lines(""), []);
    assert_eq!(lines("\u{feff}a\n"), [(1, 3, "a".to_owned())]);
    let utf16: Vec<u8> = "\u{feff}é\r\n𝄞\r".encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_eq!(lines(utf16), [(1, 2, "é".to_owned()), (2, 8, "𝄞".to_owned())]);
}

#[test]
fn bytes_that_are_no_text_are_an_error_with_a_place() {
    for (bytes, line, offset) in [(&b"ok\nab\xff\n"[..], 2, 5), (b"\xff\xfea\0b", 1, 4), (b"\xff\xfe\x00\xd8", 1, 2)] {
        let error = testkit::convert::<All>(TestInput::new("a", bytes), serde_json::json!({})).result.unwrap_err();
        let at = error.at.unwrap();
        assert_eq!((error.kind, at.line, at.offset), (crate::ErrorType::Encoding, Some(line), Some(offset)));
    }
}

proptest! {
    #[test]
    fn a_number_reads_as_it_was_written(value in prop::num::f64::NORMAL) {
        prop_assert_eq!(number(&format!("{value:e}"), DecimalSign::Point), Some(value));
        prop_assert_eq!(number(&format!("{value:e}").replace('.', ","), DecimalSign::Comma), Some(value));
    }

    #[test]
    fn lines_are_those_of_the_standard_library(text in "[ab\n]{0,200}") {
        let expected: Vec<String> = text.lines().map(str::to_owned).collect();
        let found: Vec<String> = lines(text).into_iter().map(|(_, _, text)| text).collect();
        prop_assert_eq!(found, expected);
    }
}
