//! Finds what lies around the table in a head, once its dialect is known: lines above it, the rows that name its columns, and how its
//! numbers are written.

use super::names::{HEADER_ROWS, evidence, header_rows};
use super::numbers::Signs;
use super::rows::{Looked, Row, rows};
use super::{Detected, named};
use crate::delimiter::Delimiter;
use crate::kind::Kind;
use crate::options::{CommentChoice, Header, Options, SkipRows};
use crate::reader::{Dialect, Records, Sink, Step};

/// How many rows are looked at.
const ROWS: usize = 300;

/// How much of what stands above a table is kept as text, in bytes.
const KEPT: usize = 16 * 1024;

/// What lies around a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// The dialect, its comments settled.
    pub dialect: Dialect,
    /// How many lines stand above the table.
    pub preamble: u64,
    /// How many bytes of the next line are the mark of a comment, and no part of the names that follow it.
    pub indent: usize,
    /// Their text, at most 16 KiB of it.
    pub preamble_text: String,
    /// Why.
    pub preamble_reason: &'static str,
    /// How many rows name the columns.
    pub header: usize,
    /// Why.
    pub header_reason: &'static str,
    /// How many columns the table has; more than these, where [`Layout::is_cut`].
    pub columns: usize,
    /// Whether its first row is longer than the head.
    pub is_cut: bool,
    /// The decimal sign, where the numbers show it.
    pub decimal: Option<&'static str>,
    /// What groups thousands, where the numbers show it.
    pub thousands: Option<&'static str>,
}

/// Finds what lies around the table of `padded[..end]`, of which `whole` says that it is all of the text.
pub fn find(detected: &Detected, padded: &[u8], end: usize, whole: bool, options: &Options) -> Layout {
    let text = padded.get(..end).unwrap_or_default();
    let mut dialect = detected.dialect;
    let from = match options.skip_rows {
        SkipRows::Given(lines) => after_lines(text, lines),
        SkipRows::Auto(_) if named(text).is_some() => after_lines(text, 1),
        SkipRows::Auto(_) => 0,
    };
    let (mut rows, mut indent) = (self::rows(dialect, padded, end, whole, from, ROWS).rows, 0);
    let is_cut = rows.is_empty() && !whole;
    if is_cut {
        rows = self::rows(dialect, padded, end, true, from, 1).rows;
        // The last cell may be a part of one.
        rows.iter_mut().for_each(|row| row.cells.truncate(row.cells.len().saturating_sub(1).max(1)));
    }
    if options.comment == CommentChoice::Auto
        && let Some((header, marked)) = commented_header(dialect, padded, end, &rows, detected.columns)
    {
        indent = marked;
        // Other comments above it are lines above the table.
        dialect.comment = None;
        rows.insert(0, header);
    }
    // A header may have odd quotes, or another delimiter than the rows.
    let first_whole = rows.iter().position(|row| row.cells.len() == detected.columns).unwrap_or_default();
    for row in rows.iter_mut().take(first_whole.min(HEADER_ROWS)) {
        let mut cells = Looked::default();
        let mut records = Records::new(dialect, padded, end, whole).expecting(detected.columns).starting(row.at);
        match records.next(&mut cells as &mut dyn Sink) {
            Step::Record(record) if record.cells == detected.columns => row.cells = cells.0,
            _ => {}
        }
    }
    let (start, mut columns, preamble_reason) = match options.skip_rows {
        SkipRows::Given(_) => (0, detected.columns, "the options"),
        SkipRows::Auto(_) => start(&rows, detected.columns, options.header != Header::Given(false)),
    };
    rows.drain(..start.min(rows.len()));
    rows.truncate(rows.iter().skip(1).position(|row| row.after_blank && row.cells.len() != columns).map_or(rows.len(), |at| at + 1));
    let (header, header_reason) = match options.header {
        Header::Given(given) => (usize::from(given), "the options"),
        Header::Rows(count) => (usize::from(count), "the options"),
        Header::Auto(_) => header_rows(&rows, columns),
    };
    if let Some(row) = rows.first().filter(|_| header > 0) {
        columns = columns.max(row.cells.len());
    }
    let indent = if start == 0 { indent } else { 0 };
    let at = rows.first().map_or(from, |row| row.at - indent);
    let above = text.get(..at).unwrap_or_default();
    let mut signs = Signs::default();
    let body = rows.iter().skip(header);
    body.flat_map(|row| &row.cells).filter(|cell| cell.kind == Kind::Number).for_each(|cell| signs.see(&cell.text));
    let (decimal, thousands) = signs.found(matches!(dialect.delimiter, Delimiter::Byte(b',') | Delimiter::Spaced(b',')));
    let is_above = above.iter().any(|byte| !byte.is_ascii_whitespace())
        && (preamble_reason == "the options" || start > 0 || from > 0 || dialect.comment.is_none());
    Layout {
        dialect,
        preamble: if is_above { lines(above) } else { 0 },
        indent,
        preamble_text: if is_above { kept(above) } else { String::new() },
        preamble_reason: if is_above { preamble_reason } else { "the table begins with the file" },
        header,
        header_reason,
        columns,
        is_cut,
        decimal,
        thousands,
    }
}

/// The last comment above the first row, if it names the columns (`# time, value`), and how long its mark is.
fn commented_header(dialect: Dialect, padded: &[u8], end: usize, rows: &[Row], columns: usize) -> Option<(Row, usize)> {
    let marker = dialect.comment?;
    let text = padded.get(..end)?;
    let first = rows.first()?;
    let above = text.get(..first.at)?.trim_ascii_end();
    let line = above.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).map_or(0, |end| end + 1);
    let marked = above.get(line..)?;
    let names = marked.trim_ascii_start().strip_prefix(marker.as_bytes())?.trim_ascii_start();
    let indent = marked.len() - names.len();
    let mut records = Records::new(Dialect { comment: None, ..dialect }, padded, end, true).starting(line + indent);
    let mut cells = Looked::default();
    let is_row = matches!(records.next(&mut cells as &mut dyn Sink), Step::Record(_));
    let row = Row { cells: cells.0, at: line + indent, after_blank: false };
    let is_comment = |line: &[u8]| line.trim_ascii_start().starts_with(marker.as_bytes());
    let later = text.get(first.at..)?.split(|byte| matches!(byte, b'\n' | b'\r')).any(is_comment);
    let names = is_row && columns > 1 && row.cells.len() == columns && row.is_names() && !first.is_names();
    (names && !later).then_some((row, indent))
}

/// How many rows make a table by themselves, without names above them.
const CLEAR_ROWS: usize = 3;

/// Which row the table begins with, how many columns it has, and why. `may_be_named` says whether its first row may hold names.
fn start(rows: &[Row], columns: usize, may_be_named: bool) -> (usize, usize, &'static str) {
    let whole = (0, columns, "the table begins with the file");
    let fits = |row: &Row| row.cells.len() == columns && (columns < 3 || row.filled() >= 2);
    let Some(mut start) = rows.iter().position(fits).filter(|start| *start > 0 && columns > 1) else { return whole };
    let Some(body) = rows.get(start) else { return whole };
    // A header may have other cells than the rows: one less where the first column has no name, or a delimiter too many or too few.
    if let Some(above) = start.checked_sub(1).and_then(|above| rows.get(above)) {
        let near = above.cells.len() >= 2 && above.cells.len().abs_diff(columns) <= 2.max(columns / 5) && 2 * above.cells.len() > columns;
        if near && above.is_names() && !body.is_names() && !body.after_blank && above.filled() >= 2 {
            start -= 1;
        }
    }
    let Some(lead) = rows.get(..start).filter(|lead| !lead.is_empty()) else { return whole };
    // A small table above a large one is a table.
    let first_width = lead.first().map_or(0, |row| row.cells.len());
    let is_table = first_width > 1 && lead.len() >= 3 && lead.iter().all(|row| row.cells.len() == first_width);
    if is_table
        && rows.get(start).is_some_and(|row| row.after_blank)
        && lead.split_first().is_some_and(|(first, body)| evidence(first, &body.iter().collect::<Vec<_>>()) > 0)
    {
        return (0, first_width, "a table of its own stands above the larger one");
    }
    let is_short = |row: &Row| row.filled() <= 1;
    let is_text = |row: &Row| row.cells.iter().find(|cell| cell.kind != Kind::Empty).is_none_or(|cell| cell.kind == Kind::Text);
    let is_set_off = rows.get(start).is_some_and(|row| row.after_blank) || lead.last().is_some_and(|row| row.filled() == 0);
    let is_named = may_be_named && rows.get(start).is_some_and(Row::is_names);
    // Rows as wide as the table are its own, unless its names stand below them.
    let is_apart = lead.iter().all(|row| row.cells.len() != columns);
    let is_clear = lead.iter().all(is_short) && rows.iter().skip(start).take_while(|row| fits(row)).count() >= CLEAR_ROWS;
    if lead.iter().all(is_text) && (is_named || (is_apart && (is_set_off || is_clear))) {
        let reason = if is_set_off { "an empty line sets them off from the table" } else { "they have other cells than the table" };
        return (start, columns, reason);
    }
    whole
}

/// Where the text goes on after so many lines.
pub fn after_lines(text: &[u8], lines: u64) -> usize {
    let mut at = 0;
    for _ in 0..lines {
        let rest = text.get(at..).unwrap_or_default();
        let Some(length) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else { return text.len() };
        at += length + if rest.get(length..length + 2) == Some(b"\r\n") { 2 } else { 1 };
    }
    at
}

/// How many lines `text` has, the last of which ends with it.
fn lines(text: &[u8]) -> u64 {
    let (mut at, mut lines) = (0, 0);
    while at < text.len() {
        at += after_lines(text.get(at..).unwrap_or_default(), 1).max(1);
        lines += 1;
    }
    lines
}

/// A text without the white space at its end; of a long one the beginning.
pub fn kept(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text.trim_ascii_end());
    match text.char_indices().map(|(at, _)| at).find(|at| *at >= KEPT) {
        Some(end) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.into_owned(),
    }
}
