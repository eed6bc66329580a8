//! Finds where a delimiter is missing: a record that is one cell short, in which one cell holds what two neighbouring columns have.
//!
//! What columns have is learned from the records around: texts of few shapes (`2026-11-23`, `12:30`, `AB-1234`), or of few shapes whose runs
//! of digits and letters have any length (`$9.50`), or words. The cell is divided where its parts have the shapes of both columns and all
//! other cells those of theirs, if that is so in one place only, and the record does not fit as it stands. Beside a quote it need not be words
//! of a shape: a quote there opens a cell, if that gives as many cells as the table has columns.

use super::{Dialect, Record, Records, Sink, Step};
use crate::block::BLOCK;

/// How many records are learned from, at least and at most.
const LEAST: usize = 5;
const MOST: usize = 200;
/// How many shapes a column may have, so that they say something.
const SHAPES: usize = 4;
/// How long a cell may be that has a shape.
const LONG: usize = 64;
/// How long a line may be that is read again.
const LINE: usize = 4 * 1024;
/// How wide a table may be.
const WIDE: usize = 512;

/// What the columns of a table have.
#[derive(Debug, Default)]
pub(super) struct Columns(Vec<Column>);

/// What a column has.
#[derive(Debug, Default)]
struct Column {
    /// The shapes of its cells; none where there are too many.
    exact: Option<Vec<Vec<u8>>>,
    /// The same with runs of one length.
    runs: Option<Vec<Vec<u8>>>,
    /// How many cells that are not empty were seen.
    seen: usize,
    /// Whether all of these begin with a letter, and whether all end with one.
    letters: (bool, bool),
}

/// The cells of a record with their places, as far as they are known.
#[derive(Debug, Default)]
struct Placed(Vec<Part>);

/// A cell: its text, where it begins, and whether it stood in quotes.
type Part = (Vec<u8>, usize, bool);

impl Sink for Placed {
    fn cell(&mut self, _: usize, text: &[u8], from: usize, to: usize, quoted: bool) {
        self.0.push((text.get(from..to).unwrap_or_default().to_vec(), from, quoted));
    }

    fn restart(&mut self) {
        self.0.clear();
    }
}

impl Columns {
    /// Learns from the records of `text[..end]` that have so many cells.
    fn learn(dialect: Dialect, text: &[u8], end: usize, columns: usize) -> Columns {
        let empty = || Column { exact: Some(Vec::new()), runs: Some(Vec::new()), seen: 0, letters: (true, true) };
        let mut learned: Vec<Column> = (0..columns).map(|_| empty()).collect();
        let mut records = Records::new(dialect, text, end, false);
        let (mut placed, mut rows, mut tried) = (Placed::default(), 0, 0);
        while rows < MOST && tried < 2 * MOST {
            placed.restart();
            match records.next(&mut placed as &mut dyn Sink) {
                Step::Record(record) if record.cells == columns && !record.is_odd() => {
                    learned.iter_mut().zip(&placed.0).for_each(|(column, (cell, ..))| column.see(cell));
                    rows += 1;
                }
                Step::Record(_) | Step::Blank | Step::Comment => {}
                Step::More | Step::End => break,
            }
            tried += 1;
        }
        Columns(if rows < LEAST { Vec::new() } else { learned })
    }
}

impl Column {
    fn see(&mut self, cell: &[u8]) {
        if cell.is_empty() {
            return;
        }
        self.seen += 1;
        self.letters.0 &= cell.first().is_some_and(u8::is_ascii_alphabetic);
        self.letters.1 &= cell.last().is_some_and(u8::is_ascii_alphabetic);
        keep(&mut self.exact, shape(cell));
        keep(&mut self.runs, runs(cell));
    }

    /// Whether its cells have shapes that tell them from others. Words alone have none, however much alike they look.
    fn is_shaped(&self) -> bool {
        let have_digits = |shapes: &Vec<Vec<u8>>| shapes.iter().all(|shape| shape.contains(&b'9'));
        self.seen >= LEAST && self.runs.as_ref().is_some_and(have_digits)
    }

    /// Whether a cell looks like the others.
    fn fits(&self, cell: &[u8]) -> bool {
        let is_one = |shapes: &Option<Vec<Vec<u8>>>, shape: fn(&[u8]) -> Vec<u8>| {
            shapes.as_ref().map(|shapes| cell.len() <= LONG && shapes.contains(&shape(cell)))
        };
        cell.is_empty() || is_one(&self.exact, shape).or(is_one(&self.runs, runs)).unwrap_or(true)
    }
}

fn keep(shapes: &mut Option<Vec<Vec<u8>>>, shape: Vec<u8>) {
    let Some(kept) = shapes else { return };
    if !kept.contains(&shape) {
        kept.push(shape);
    }
    if kept.len() > SHAPES {
        *shapes = None;
    }
}

fn class(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => b'9',
        b'a'..=b'z' => b'a',
        b'A'..=b'Z' => b'A',
        0x80.. => b'a',
        other => other,
    }
}

fn shape(cell: &[u8]) -> Vec<u8> {
    cell.iter().take(LONG + 1).map(|byte| class(*byte)).collect()
}

fn runs(cell: &[u8]) -> Vec<u8> {
    let mut shape = shape(cell);
    shape.dedup_by(|a, b| a == b && matches!(*a, b'9' | b'a' | b'A'));
    shape
}

impl Records<'_> {
    /// Gives the sink the cells of the record at `start` with one of them divided, where that is the one way in which it fits.
    pub(super) fn divide<S: Sink + ?Sized>(&mut self, sink: &mut S, start: usize, record: Record) -> Option<Record> {
        let (dialect, text, end, expected) = (self.dialect, self.text, self.end, self.expected);
        if expected > WIDE {
            return None;
        }
        let columns = &self.learned.get_or_insert_with(|| Columns::learn(dialect, text, end, expected)).0;
        let mut placed = Placed::default();
        let mut records = Records::new(dialect, text, end, self.last).starting(start);
        let Step::Record(_) = records.next(&mut placed as &mut dyn Sink) else { return None };
        if columns.is_empty() || fitting(columns, &placed.0) == placed.0.len() {
            return None;
        }
        let Some((which, at)) = place(columns, &placed.0) else {
            let line = text.get(start..record.end)?;
            let (at, cells) = beside_quotes(dialect, columns, line)?;
            sink.restart();
            for (column, (cell, _, quoted)) in cells.into_iter().enumerate() {
                self.scratch = cell;
                self.give(sink, column, quoted);
            }
            return Some(Record { cells: expected, extra: None, divided: Some(start + at), ..record });
        };
        sink.restart();
        let mut column = 0;
        let mut divided = start;
        for (index, (cell, from, quoted)) in placed.0.into_iter().enumerate() {
            let parts = if index == which { cell.split_at_checked(at) } else { None };
            divided = if parts.is_some() { from + at } else { divided };
            let parts = parts.map_or_else(|| vec![cell.as_slice()], |(left, right)| vec![left, right]);
            for part in parts {
                self.scratch.clear();
                self.scratch.extend_from_slice(part);
                self.give(sink, column, quoted);
                column += 1;
            }
        }
        Some(Record { cells: column, divided: Some(divided), ..record })
    }
}

/// How many cells, from the first on, are like the others of their columns.
fn fitting(columns: &[Column], cells: &[Part]) -> usize {
    columns.iter().zip(cells).take_while(|(column, (cell, ..))| column.fits(cell)).count()
}

/// How many places beside quotes are tried.
const PLACES: usize = 16;

/// Where in a line a delimiter is missing before a quote that opens a cell, or between two quotes, and its cells with it.
fn beside_quotes(dialect: Dialect, columns: &[Column], line: &[u8]) -> Option<(usize, Vec<Part>)> {
    let (quote, delimiter) = (dialect.quote?, dialect.delimiter.byte()?);
    if line.len() > LINE || line.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        return None;
    }
    let read = |line: &[u8], last: bool| {
        let padded = [line, &[0; BLOCK]].concat();
        let mut placed = Placed::default();
        let step = Records::new(dialect, &padded, line.len(), last).next(&mut placed as &mut dyn Sink);
        matches!(step, Step::Record(record) if !record.is_odd()).then_some(placed.0)
    };
    let places = (1..line.len()).filter(|at| line.get(*at) == Some(&quote) && line.get(at - 1) != Some(&delimiter));
    let mut found = None;
    for at in places.take(PLACES) {
        let (before, after) = line.split_at_checked(at)?;
        let joined = [before, &[delimiter], after].concat();
        let Some(cells) = read(&joined, true).filter(|cells| cells.len() == columns.len() && fitting(columns, cells) == cells.len()) else {
            continue;
        };
        // Two quotes in a quoted cell are one that is text, unless what stands beside them shows that they are not.
        if before.last() == Some(&quote) {
            let which = read(before, true).map_or(0, |cells| cells.len());
            let is_shaped = |column: usize| columns.get(column).is_some_and(Column::is_shaped);
            let is_empty = |column: usize| cells.get(column).is_none_or(|(cell, ..)| cell.is_empty());
            if which == 0 || is_empty(which - 1) || is_empty(which) || !(is_shaped(which - 1) || is_shaped(which)) {
                continue;
            }
        }
        if found.is_some() {
            return None;
        }
        found = Some((at, cells));
    }
    found
}

/// Which cell is to be divided, and where in it.
fn place(columns: &[Column], cells: &[Part]) -> Option<(usize, usize)> {
    let fits = |column: usize, cell: usize| match (columns.get(column), cells.get(cell)) {
        (Some(column), Some((cell, ..))) => column.fits(cell),
        _ => false,
    };
    let count = cells.len();
    if columns.len() != count + 1 {
        return None;
    }
    let following = (0..count).rev().take_while(|cell| fits(cell + 1, *cell)).count();
    let mut found = None;
    for which in count.saturating_sub(following + 1)..=fitting(columns, cells) {
        let (Some(first), Some(second), Some((cell, _, quoted))) = (columns.get(which), columns.get(which + 1), cells.get(which)) else {
            continue;
        };
        if *quoted || cell.len() > 2 * LONG || !(first.is_shaped() || second.is_shaped()) {
            continue;
        }
        for at in 1..cell.len() {
            let Some((left, right)) = cell.split_at_checked(at).filter(|(_, right)| right.first().is_some_and(|byte| byte & 0xc0 != 0x80))
            else {
                continue;
            };
            let [before, after] = [left.last(), right.first()].map(|byte| class(byte.copied().unwrap_or_default()));
            let is_exact = first.exact.is_some() && second.exact.is_some();
            // A word begins or ends like those around it, and not within a run.
            let may_begin = second.is_shaped() || (second.letters.0 && right.first().is_some_and(u8::is_ascii_alphabetic));
            let may_end = first.is_shaped() || (first.letters.1 && left.last().is_some_and(u8::is_ascii_alphabetic));
            if (is_exact || before != after) && may_begin && may_end && first.fits(left) && second.fits(right) {
                if found.is_some() {
                    return None;
                }
                found = Some((which, at));
            }
        }
    }
    found
}
