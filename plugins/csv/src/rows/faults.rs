//! What is wrong with a record, and in which words that is told.

use crate::delimiter::Delimiter;
use crate::problems::{Fault, Kind, Words};
use crate::reader::Record;
use crate::text::Text;

/// What is wrong with a record of a table of so many columns.
#[cold]
pub(super) fn faults(record: &Record, nul: bool, replaced: bool, columns: usize, text: &Text) -> Vec<Fault> {
    let raw = text.padded().get(record.start..record.end).unwrap_or_default();
    let nul = nul.then(|| record.start + raw.iter().position(|byte| *byte == 0).unwrap_or_default());
    let replaced = replaced.then(|| raw.windows(3).position(|bytes| bytes == REPLACEMENT.as_bytes())).flatten();
    [
        (Kind::StrayQuote, record.stray),
        (Kind::UnclosedQuote, record.unclosed.map(|unclosed| unclosed.at)),
        (Kind::OtherDelimiter, record.other.map(|_| record.start)),
        (Kind::MissingDelimiter, record.divided),
        (Kind::Nul, nul),
        (Kind::Encoding, replaced.map(|at| record.start + at)),
        (Kind::ExtraCells, record.extra),
        (Kind::MissingCells, (record.cells < columns).then_some(record.end)),
    ]
    .into_iter()
    .filter_map(|(kind, at)| Some(Fault { kind, at: at? }))
    .collect()
}

/// What stands for bytes that cannot be decoded.
const REPLACEMENT: &str = "\u{fffd}";

/// A fault in words, of a record where it is one's; `name` is that of the first column that is missing or too many.
#[cold]
pub(super) fn words(fault: Fault, record: Option<&Record>, columns: usize, name: &str, text: &Text) -> Words {
    let cells = record.map_or(0, |record| record.cells);
    let as_text = record.and_then(|record| record.unclosed).is_some_and(|unclosed| unclosed.as_text);
    let width = || format!("{cells} cells where the table has {columns} columns");
    let (what, done) = match fault.kind {
        Kind::StrayQuote if record.is_some_and(|record| record.mended) => (
            "quotes that do not pair".into(),
            "they are read in the one way that gives the row as many cells as the table has columns".into(),
        ),
        Kind::StrayQuote => ("text after a closing quote".into(), "it is kept as part of the cell".into()),
        Kind::UnclosedQuote if as_text => {
            ("a quote that never closes".into(), "it is taken as text, and the lines after it as rows".into())
        }
        Kind::UnclosedQuote => ("a quote that never closes".into(), "its cell ends with the file".into()),
        Kind::OtherDelimiter => {
            let other = record.and_then(|record| record.other).map_or_else(String::new, |byte| Delimiter::Byte(byte).to_string());
            (
                format!("a row with the delimiter `{other}`"),
                "it is read with it, as that gives it as many cells as the table has columns".into(),
            )
        }
        Kind::MissingDelimiter => (
            "a delimiter is missing between two cells".into(),
            "they are told by what their columns have elsewhere, in the one way that fits".into(),
        ),
        Kind::Nul => ("a NUL character".into(), "the cell keeps it".into()),
        Kind::Encoding => (format!("bytes that are not {}", text.encoding()), "the cell has U+FFFD in their place".into()),
        Kind::ExtraCells => (width(), format!("the others are kept, from `{name}`")),
        Kind::MissingCells => (width(), format!("none for `{name}` and what follows it")),
    };
    Words { what, done, place: text.place(fault.at) }
}
