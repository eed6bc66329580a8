//! Tells which rows of a table name its columns.

use std::collections::BTreeSet;

use super::rows::{Cell, Row};
use crate::kind::Kind;

/// How many rows can name the columns.
pub(super) const HEADER_ROWS: usize = 5;

/// How many of the first rows name the columns, and why.
pub(super) fn header_rows(rows: &[Row], columns: usize) -> (usize, &'static str) {
    let (is_header, reason) = has_header(rows);
    if !is_header {
        return (0, reason);
    }
    let mut count = 1;
    while count < HEADER_ROWS
        && rows.get(count).is_some_and(|row| row.cells.len() == columns && continues_header(row, rows.get(count + 1..)))
    {
        count += 1;
    }
    (count, if count > 1 { "several rows of words above columns of values" } else { reason })
}

/// Whether a row below names is one of names too: words above the values of every column of values.
fn continues_header(row: &Row, body: Option<&[Row]>) -> bool {
    let Some(body) = body.filter(|body| body.len() >= 2) else { return false };
    let body: Vec<&Row> = body.iter().collect();
    let (mut words, mut columns) = (0, 0);
    for (column, cell) in row.cells.iter().enumerate() {
        if !is_of_values(&body, column, 2) {
            continue;
        }
        columns += 1;
        match cell.kind {
            Kind::Text if !cell.is_missing => words += 1,
            Kind::Empty => {}
            _ => return false,
        }
    }
    words > 0 && 2 * words >= columns
}

/// Whether at least `least` cells of a column have values, and nearly all of those that are not missing.
fn is_of_values(body: &[&Row], column: usize, least: usize) -> bool {
    let cells = || body.iter().filter_map(|row| row.cells.get(column)).filter(|cell| !cell.is_missing);
    let values = cells().filter(|cell| cell.kind.is_value()).count();
    values >= least && values * 10 >= cells().count() * 9
}

/// Whether the first row holds names, and why.
///
/// The evidence is in the columns: words above numbers are names, a number above numbers is a row. Where everything is text, the first row
/// is taken for names unless one of them is empty, appears twice, or stands below as a value.
fn has_header(rows: &[Row]) -> (bool, &'static str) {
    let Some((first, body)) = rows.split_first() else { return (true, "there is no row to tell by") };
    // Names that come again name a further table.
    let body: Vec<&Row> = body.iter().filter(|row| row.cells != first.cells || !first.is_names()).collect();
    let mut evidence = evidence(first, &body);
    // More rows of names may stand between the first one and the values.
    let more = body.iter().take(HEADER_ROWS - 1).take_while(|row| row.is_names()).count();
    for skipped in 1..=more {
        let body = body.get(skipped..).unwrap_or_default();
        let further = if body.len() >= 2 { self::evidence(first, body) } else { 0 };
        evidence = if further > 0 { evidence.max(further) } else { evidence };
    }
    if evidence != 0 {
        return if evidence > 0 { (true, "words above columns of values") } else { (false, "the first row is like those below it") };
    }
    let first = &first.cells;
    if !first.iter().all(|cell| cell.kind == Kind::Text) {
        return (false, "the first row has cells that are no names");
    }
    let twice = first.iter().map(|cell| &cell.text).collect::<BTreeSet<_>>().len() < first.len();
    if twice { (false, "a word appears twice in the first row") } else { (true, "the first row has distinct words") }
}

/// How much speaks for names in the first row, and against: above and below zero.
pub(super) fn evidence(first: &Row, body: &[&Row]) -> i64 {
    let mut evidence = 0;
    for (column, name) in first.cells.iter().enumerate() {
        let below: Vec<&Cell> = body.iter().filter_map(|row| row.cells.get(column)).filter(|cell| !cell.is_missing).collect();
        let kind = name.kind;
        if is_of_values(body, column, 1) {
            evidence += match kind {
                Kind::Text if !name.is_missing => 2,
                Kind::Text | Kind::Empty => 0,
                _ => -2,
            };
        } else if below.contains(&name) {
            evidence -= 1;
        } else if below.len() >= 3 && kind == Kind::Text {
            // Codes that are all alike, `SN0017`, and a word that is not.
            let common = below.first().map(|cell| shape(&cell.text)).unwrap_or_default();
            let alike = || below.iter().filter(|cell| shape(&cell.text) == common).count();
            if common.contains(&b'9') && alike() * 10 >= below.len() * 9 {
                evidence += if shape(&name.text) == common { -1 } else { 1 };
            }
        }
    }
    evidence
}

/// A text with every letter an `a` and every digit a `9`.
fn shape(cell: &[u8]) -> Vec<u8> {
    let class = |byte: &u8| match byte {
        b'0'..=b'9' => b'9',
        b'a'..=b'z' | b'A'..=b'Z' | 0x80.. => b'a',
        other => *other,
    };
    let mut shape: Vec<u8> = cell.iter().take(40).map(class).collect();
    shape.dedup_by(|a, b| a == b && *a == b'a');
    shape
}
