//! Finds out how a table is written, from the head of its text.
//!
//! Every dialect that the head gives reason to try is tried: the head is cut into records with the reader itself, and the result judged as a
//! person would by looking at it. A good dialect gives **rows of one width** (and more than one column), **cells that make sense** (numbers,
//! dates, words; not `5;2`, not a word with half a quote) and **quotes that close**. The product of the three is the score; between
//! equals the more usual dialect wins. The idea is that of van den Burg, Nazábal and Sutton, "Wrangling messy CSV files by detecting row and
//! type patterns" (2019); the measures here are simpler.

use crate::infer::Kind;
use crate::options::{Choice, Options};
use crate::reader::{Cells, Dialect, Records, Sink, Step};

/// The delimiters that are tried, the most usual first, each with how much it is believed: a colon is more often part of a time.
const DELIMITERS: [(u8, f64); 5] = [(b',', 1.0), (b';', 1.0), (b'\t', 1.0), (b'|', 0.98), (b':', 0.5)];

/// How a head reads in the best dialect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detected {
    /// The dialect.
    pub dialect: Dialect,
    /// The width that most rows have.
    pub columns: usize,
    /// The share of the rows that have it, 0 to 1.
    pub uniformity: f64,
    /// How many rows there are, blank lines not counted.
    pub rows: usize,
    /// How good it is, 0 to 1; below 0.01 for a single column.
    pub score: f64,
}

/// Finds the dialect of `padded[..end]`, of which `whole` says that it is all of the text. What the options give is not doubted.
pub fn detect(padded: &[u8], end: usize, whole: bool, options: &Options) -> Detected {
    let best = best(padded, end, whole, options);
    // A first row that is longer than the head is better judged in part than not at all.
    if best.rows == 0 && !whole { self::best(padded, end, true, options) } else { best }
}

fn best(padded: &[u8], end: usize, whole: bool, options: &Options) -> Detected {
    let text = padded.get(..end).unwrap_or_default();
    let usual = Dialect { delimiter: b',', quote: Some(b'"'), escape: None };
    let mut best = Detected { dialect: usual, columns: 1, uniformity: 1.0, rows: 0, score: f64::MIN };
    for (delimiter, belief) in delimiters(text, options.delimiter) {
        for quote in quotes(text, options.quote) {
            for escape in escapes(text, options.escape) {
                let dialect = Dialect { delimiter, quote: quote.filter(|quote| *quote != delimiter), escape };
                // Quotes that are none are rarer than a quote too many, which is to be read as usual and reported.
                let belief = if quote.is_none() { 0.8 * belief } else { belief };
                let tried = judge(dialect, belief, padded, end, whole);
                if tried.score > best.score + 1e-9 {
                    best = tried;
                }
            }
        }
    }
    best
}

fn delimiters(text: &[u8], choice: Choice) -> Vec<(u8, f64)> {
    match choice {
        Choice::Is(byte) => vec![(byte, 1.0)],
        _ => {
            let mut found: Vec<_> = DELIMITERS.into_iter().filter(|(byte, _)| text.contains(byte)).collect();
            if found.is_empty() {
                found.push((b',', 1.0));
            }
            found
        }
    }
}

fn quotes(text: &[u8], choice: Choice) -> Vec<Option<u8>> {
    match choice {
        Choice::Is(byte) => vec![Some(byte)],
        Choice::None => vec![None],
        Choice::Auto => {
            let mut found = vec![Some(b'"')];
            if text.contains(&b'\'') {
                found.push(Some(b'\''));
            }
            if text.contains(&b'"') {
                found.push(None);
            }
            found
        }
    }
}

fn escapes(text: &[u8], choice: Choice) -> Vec<Option<u8>> {
    match choice {
        Choice::Is(byte) => vec![Some(byte)],
        Choice::None => vec![None],
        // A backslash alone is part of a path; before a quote it most likely is an escape.
        Choice::Auto if text.windows(2).any(|pair| matches!(pair, b"\\\"" | b"\\'")) => vec![None, Some(b'\\')],
        Choice::Auto => vec![None],
    }
}

/// How many rows are enough to judge a dialect.
const ENOUGH_ROWS: usize = 2000;

fn judge(dialect: Dialect, belief: f64, padded: &[u8], end: usize, whole: bool) -> Detected {
    let mut sample = Sample { quote: dialect.quote, ..Sample::default() };
    let mut records = Records::new(dialect, padded, end, whole);
    let (mut widths, mut faults) = (Vec::new(), 0usize);
    while widths.len() < ENOUGH_ROWS {
        match records.next(&mut sample as &mut dyn Sink) {
            Step::Record(record) => {
                sample.settle();
                widths.push(record.cells);
                faults += usize::from(record.stray.is_some()) + usize::from(record.unclosed.is_some());
            }
            Step::Blank => {}
            Step::More | Step::End => break,
        }
    }
    let (first, rows) = (widths.first().copied(), widths.len());
    // Of two widths that are equally frequent, the larger one.
    widths.sort_unstable();
    let (columns, most) = widths
        .chunk_by(|a, b| a == b)
        .filter_map(|same| Some((*same.first()?, same.len())))
        .max_by_key(|(_, count)| *count)
        .unwrap_or((1, 0));
    let uniformity = if rows == 0 { 0.0 } else { most as f64 / rows as f64 };
    let sense = if sample.cells == 0.0 { 0.0 } else { sample.sense / sample.cells };
    // One quote too many happens; many are a sign that these are no quotes.
    let order = 1.0 - ((faults as f64 - 0.5).max(0.0) / rows.max(1) as f64).min(0.9);
    // A quote that swallows the head leaves few rows to judge, and most likely is none.
    let reach = if rows < ENOUGH_ROWS { 0.4 + 0.6 * records.at().min(end) as f64 / end.max(1) as f64 } else { 1.0 };
    let width = match columns {
        1 if sample.whole_moments * 10.0 >= sample.cells * 9.0 => 0.6,
        1 => 0.001,
        // Times and addresses have colons at any depth: only a table without a single exception is one of colons.
        _ if dialect.delimiter == b':' && (first != Some(columns) || uniformity < 0.95) => 0.0005,
        _ => (columns - 1) as f64 / columns as f64,
    };
    let begins_so = if first == Some(columns) { 1.0 } else { 0.8 };
    let score = belief * width * uniformity * uniformity * sense * sense * order * reach * begins_so;
    Detected { dialect, columns, uniformity, rows, score }
}

/// How much sense the cells make.
#[derive(Debug, Default)]
struct Sample {
    quote: Option<u8>,
    cells: f64,
    sense: f64,
    /// Cells that are a date or a time.
    whole_moments: f64,
    /// The same of the record that is being read.
    now: (f64, f64, f64),
}

impl Sample {
    fn settle(&mut self) {
        let (cells, sense, moments) = std::mem::take(&mut self.now);
        self.cells += cells;
        self.sense += sense;
        self.whole_moments += moments;
    }

    /// From 0, a piece of something else, to 1, surely a cell.
    fn sense(&self, cell: &[u8], kind: Kind, quoted: bool) -> f64 {
        if quoted {
            return 1.0;
        }
        match kind {
            Kind::Empty | Kind::Number | Kind::Moment | Kind::Truth => 1.0,
            Kind::Text => {
                let begins_with = |quote: u8| cell.first() == Some(&quote) && cell.iter().skip(1).any(|byte| *byte == quote);
                let commas = cell.iter().filter(|byte| **byte == b',').count();
                let in_prose = cell.windows(2).filter(|pair| pair == b", ").count();
                if begins_with(b'"') || cell.contains(&b'\t') {
                    0.1
                } else if commas > in_prose || cell.iter().any(|byte| matches!(byte, b';' | b'|')) {
                    0.2
                } else if commas > 0 {
                    0.6
                } else if cell.contains(&b'"') || begins_with(b'\'') || (self.quote == Some(b'\'') && cell.contains(&b'\'')) {
                    0.5
                } else {
                    0.9
                }
            }
        }
    }
}

impl Sink for Sample {
    fn cell(&mut self, _: usize, text: &[u8], from: usize, to: usize, quoted: bool) {
        // Long cells are text; their first bytes tell enough.
        let cell = text.get(from..to.min(from + 200)).unwrap_or_default();
        let kind = Kind::of(cell);
        self.now.0 += 1.0;
        self.now.1 += self.sense(cell, kind, quoted);
        self.now.2 += f64::from(u8::from(kind == Kind::Moment));
    }

    fn restart(&mut self) {
        self.now = Default::default();
    }
}

/// How many rows are enough to tell a header.
const HEADER_ROWS: usize = 200;

/// Whether the first row of `padded[..end]` holds names, and why.
///
/// The evidence is in the columns: words above numbers are names, a number above numbers is a row. Where everything is text, the first row
/// is taken for names unless one of them is empty, appears twice, or stands below as a value.
pub fn has_header(dialect: Dialect, padded: &[u8], end: usize, whole: bool) -> (bool, &'static str) {
    let mut rows = Vec::new();
    let mut records = Records::new(dialect, padded, end, whole);
    while rows.len() < HEADER_ROWS {
        let mut row = Cells::default();
        match records.next(&mut row as &mut dyn Sink) {
            Step::Record(_) => rows.push(row.0),
            Step::Blank => {}
            Step::More | Step::End => break,
        }
    }
    let Some((first, body)) = rows.split_first() else { return (true, "there is no whole row to tell by") };
    let kinds: Vec<Kind> = first.iter().map(|cell| Kind::of(cell)).collect();
    let named = |kind: &Kind| *kind == Kind::Text;
    let mut evidence = 0i64;
    for (column, (name, kind)) in first.iter().zip(&kinds).enumerate() {
        let below: Vec<&Vec<u8>> = body.iter().filter_map(|row| row.get(column)).filter(|cell| !cell.is_empty()).collect();
        let typed = below.iter().filter(|cell| !matches!(Kind::of(cell), Kind::Text | Kind::Empty)).count();
        if !below.is_empty() && typed * 10 >= below.len() * 9 {
            evidence += if named(kind) { 2 } else { -2 };
        } else if below.contains(&name) {
            evidence -= 1;
        }
    }
    if evidence != 0 {
        return if evidence > 0 { (true, "words above columns of values") } else { (false, "the first row is like those below it") };
    }
    if !kinds.iter().all(named) {
        return (false, "the first row has cells that are no names");
    }
    let twice = first.iter().enumerate().any(|(column, name)| first.iter().skip(column + 1).any(|other| other == name));
    if twice { (false, "a word appears twice in the first row") } else { (true, "the first row has distinct words") }
}
