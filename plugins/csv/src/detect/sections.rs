//! Finds where a table ends before the file does: at another table, or at lines below it that are none. It is asked only where something
//! speaks for it, so that ordinary rows cost nothing: a row of another width, one after a blank line, one that begins like the header.

use std::rc::Rc;

use super::layout::kept;
use super::names::{evidence, header_rows};
use super::rows::{Kept, Row, Stop, rows};
use crate::cells::Cells;
use crate::kind::Kind;
use crate::reader::Dialect;

/// How many rows are looked at.
const AHEAD: usize = 12;

/// How many lines of a title may stand above a further table.
const TITLE: usize = 4;

/// How many lines may stand below the last table.
const BELOW: usize = 10;

/// What is known of the table that is being read.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// How many columns it has.
    pub columns: usize,
    /// How many rows name them.
    pub header: usize,
    /// The cells of the first of these.
    pub names: Rc<Cells>,
}

/// What a row is.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// One of the table.
    Row,
    /// The first of another table, or of a title above it.
    Table(Section),
    /// The first line of text below the last table, with all that is there.
    Footer(String),
    /// It depends on what follows the window.
    Open,
}

/// A table below another one.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// Where it begins in the window, what stands above it passed over.
    pub at: usize,
    /// How many columns it has.
    pub columns: usize,
    /// How many rows name them.
    pub header: usize,
    /// What stands above it.
    pub preamble: String,
}

/// A window of text that begins nowhere in particular.
#[derive(Debug, Clone, Copy)]
pub struct Window<'t> {
    /// The text and its padding.
    pub padded: &'t [u8],
    /// Where the padding begins.
    pub end: usize,
    /// Whether nothing follows it.
    pub last: bool,
}

/// Looks at the row at `start`; `after_blank` says whether a blank line stands before it.
pub fn look(dialect: Dialect, window: Window, start: usize, known: &Known, after_blank: bool) -> Found {
    let Window { padded, end, last } = window;
    let Kept { rows, stop } = rows(dialect, padded, end, last, start, AHEAD);
    let Some(first) = rows.first().filter(|_| known.columns > 1) else { return Found::Row };
    if first.cells.iter().map(|cell| cell.text.as_slice()).eq(known.names.iter()) && first.is_names() {
        return Found::Table(Section { at: start, columns: known.columns, header: known.header, preamble: String::new() });
    }
    let may_go_on = stop == Stop::More;
    let short = rows.iter().take(TITLE).take_while(|row| row.filled() <= 1).count();
    let set_off = rows.iter().take(TITLE + 1).skip(1).position(|row| row.after_blank).map_or(0, |at| at + 1);
    let is_text = |row: &Row| row.cells.iter().all(|cell| matches!(cell.kind, Kind::Text | Kind::Empty));
    let title = if rows.iter().take(set_off).all(is_text) { short.max(set_off) } else { short };
    let is_title = title > 0 && after_blank;
    let Some(names) = rows.get(if is_title { title } else { 0 }) else {
        return if may_go_on { Found::Open } else { footer(&rows, window, start, stop, after_blank) };
    };
    if names.is_names() && names.cells.len() > 1 {
        let below = rows.get(if is_title { title + 1 } else { 1 }..).unwrap_or_default();
        let body = below.iter().position(|row| row.after_blank).map_or(below, |count| below.get(..count).unwrap_or_default());
        let is_apart = after_blank || names.after_blank;
        let wanted = if is_apart { 1 } else { 2 };
        if body.len() < wanted && may_go_on {
            return Found::Open;
        }
        let width = names.cells.len();
        let is_uniform = body.len() >= wanted && body.iter().all(|row| row.cells.len() == width);
        let is_other = width != known.columns;
        let evidence = evidence(names, &body.iter().collect::<Vec<_>>());
        if is_uniform && ((is_other && evidence > 0) || (is_apart && (evidence > 0 || (is_other && body.len() > 1)))) {
            let (header, _) = header_rows(rows.get(if is_title { title } else { 0 }..).unwrap_or_default(), width);
            let above = padded.get(start..names.at).unwrap_or_default();
            return Found::Table(Section { at: names.at, columns: width, header, preamble: kept(above) });
        }
    }
    footer(&rows, window, start, stop, after_blank)
}

/// A few lines of text below the table, to the end of the file.
fn footer(rows: &[Row], window: Window, start: usize, stop: Stop, after_blank: bool) -> Found {
    let is_text = |row: &Row| row.filled() <= 1 && row.cells.iter().all(|cell| matches!(cell.kind, Kind::Text | Kind::Empty));
    let words = |row: &Row| row.cells.iter().map(|cell| cell.text.split(|byte| *byte == b' ').count()).max().unwrap_or_default();
    let is_set_off = after_blank || rows.first().is_some_and(|row| words(row) > 2);
    if rows.len() > BELOW || !rows.iter().all(is_text) || !is_set_off {
        return Found::Row;
    }
    match stop {
        Stop::End => Found::Footer(kept(window.padded.get(start..window.end).unwrap_or_default())),
        Stop::More => Found::Open,
        Stop::Enough => Found::Row,
    }
}
