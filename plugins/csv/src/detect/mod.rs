//! Finds out how a table is written, from the head of its text.
//!
//! Every dialect that the head gives reason to try ([`candidates`]) is tried: the head is cut into records with the reader itself, and the
//! result judged as a person would by looking at it. A good dialect gives **rows of one width** (and more than one column), **cells that make
//! sense** ([`sense`]: numbers, dates, words; not `5;2`, not a word with half a quote) and **quotes that close**. The product of the three is
//! the score; between equals the more usual dialect wins. The idea is that of van den Burg, Nazábal and Sutton, "Wrangling messy CSV
//! files by detecting row and type patterns" (2019), with lines above and below the table counting little, as in García's "table
//! uniformity" (2024); the measures here are simpler. What lies around the table, and which rows name its columns, is then found by [`layout`].

pub mod candidates;
pub mod layout;
mod names;
pub mod numbers;
mod rows;
pub mod sections;
mod sense;

use crate::delimiter::Delimiter;
use crate::kind::Kind;
use crate::options::{CommentChoice, DelimiterChoice, Options};
use crate::reader::{Dialect, Records, Sink, Step};
use candidates::{Candidate, Round};

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
    /// Whether no other delimiter needs to be tried.
    is_clear: bool,
}

/// How much of the text is looked at in every dialect, where that gives a clear answer.
const FIRST_LOOK: usize = 16 * 1024;

/// A score from which on the answer is clear.
const CLEAR: f64 = 0.3;

/// Finds the dialect of `padded[..end]`, of which `whole` says that it is all of the text. What the options give is not doubted.
pub fn detect(padded: &[u8], end: usize, whole: bool, options: &Options) -> Detected {
    if end > 2 * FIRST_LOOK {
        // The blocks of the reader go on behind the first look, which is as good as padding.
        let first = best(padded, FIRST_LOOK, false, options);
        if first.score >= CLEAR && first.rows >= 20 {
            return first;
        }
    }
    let best = best(padded, end, whole, options);
    // A first row that is longer than the head is better judged in part than not at all.
    if best.rows == 0 && !whole { self::best(padded, end, true, options) } else { best }
}

fn best(padded: &[u8], end: usize, whole: bool, options: &Options) -> Detected {
    let text = padded.get(..end).unwrap_or_default();
    let comment = match options.comment {
        CommentChoice::Is(word) => Some(word),
        CommentChoice::None => None,
        CommentChoice::Auto => candidates::comment(text),
    };
    let usual = Dialect { delimiter: Delimiter::Byte(b','), quote: Some(b'"'), escape: None, comment };
    let mut best = Detected { dialect: usual, columns: 1, uniformity: 1.0, rows: 0, score: f64::MIN, is_clear: false };
    let (quotes, escapes) = (candidates::quotes(text, options.quote), candidates::escapes(text, options.escape));
    let named = named(text).filter(|_| options.delimiter == DelimiterChoice::Auto);
    let delimiter = named.map_or(options.delimiter, DelimiterChoice::Is);
    for round in [Round::First, Round::Second] {
        if round == Round::Second && best.is_clear {
            break;
        }
        for candidate in candidates::delimiters(text, delimiter, options.skip_initial_space, round) {
            for quote in &quotes {
                for escape in &escapes {
                    let quote = quote.filter(|quote| !candidate.delimiter.holds(*quote));
                    let escape = escape.filter(|escape| !candidate.delimiter.holds(*escape) && Some(*escape) != quote);
                    let dialect = Dialect { delimiter: candidate.delimiter, quote, escape, comment };
                    // Quotes that are none are rarer than a quote too many, which is to be read as usual and reported.
                    let belief = if quote.is_none() { 0.8 * candidate.belief } else { candidate.belief };
                    // No score is above it: what cannot win needs no reading.
                    if belief <= best.score {
                        continue;
                    }
                    let tried = judge(dialect, Candidate { belief, ..candidate }, padded, end, whole);
                    if tried.score > best.score + 1e-9 {
                        best = tried;
                    }
                }
            }
        }
    }
    best
}

/// The delimiter that the first line names, as Excel writes it: `sep=;`.
pub fn named(text: &[u8]) -> Option<Delimiter> {
    let line = text.split(|byte| matches!(byte, b'\n' | b'\r')).next()?;
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    let named = line.strip_prefix(b"sep=").or(line.strip_prefix(b"SEP="))?;
    Delimiter::try_from(std::str::from_utf8(named).ok()?).ok()
}

/// How many rows are enough to judge a dialect.
const ENOUGH_ROWS: usize = 2000;

fn judge(dialect: Dialect, candidate: Candidate, padded: &[u8], end: usize, whole: bool) -> Detected {
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
            Step::Blank | Step::Comment => {}
            Step::More | Step::End => break,
        }
    }
    let rows = widths.len();
    let shape = Shape::of(&widths);
    let Shape { columns, uniformity, .. } = shape;
    let share = |part: f64| if sample.cells == 0.0 { 0.0 } else { part / sample.cells };
    let sense = share(sample.sense);
    // One quote too many happens; many are a sign that these are no quotes.
    let order = 1.0 - ((faults as f64 - 0.5).max(0.0) / rows.max(1) as f64).min(0.9);
    // A quote that swallows the head leaves few rows to judge, and most likely is none.
    let reach = if rows < ENOUGH_ROWS { 0.4 + 0.6 * records.at().min(end) as f64 / end.max(1) as f64 } else { 1.0 };
    // Cells in quotes whose quotes end where the cells do prove the delimiter beside them.
    let is_proved = sample.quoted >= 2.0 && sample.quoted >= 0.5 * rows as f64 && order > 0.9;
    let is_typed = share(sample.typed) >= 0.2;
    let is_doubtful = candidate.is_doubtful
        && match dialect.delimiter {
            // Times and addresses have colons at any depth: only a table without a single exception is one of colons.
            Delimiter::Byte(b':') => !shape.begins_so || uniformity < 0.95 || rows < 2,
            Delimiter::Byte(b' ') | Delimiter::Blanks => !is_proved && (uniformity < 0.9 || !is_typed || rows < 3),
            _ => !is_proved && (uniformity < 0.9 || rows < 2),
        };
    let width = match columns {
        1 if sample.whole_moments * 10.0 >= sample.cells * 9.0 => 0.6,
        1 => 0.001,
        _ if is_doubtful => 0.0005,
        // Prose has a comma in every other line.
        2 if shape.share < 0.6 => 0.0005,
        _ => (columns - 1) as f64 / columns as f64,
    };
    let begins_so = if shape.begins_so { 1.0 } else { 0.8 };
    let uniformity_counts = if is_proved { uniformity.max(0.5) } else { uniformity };
    let score = candidate.belief * width * uniformity_counts * uniformity_counts * sense * sense * order * reach * begins_so;
    let is_clear = !candidate.is_doubtful && columns > 1 && rows > 1 && score >= 0.85 * width;
    Detected { dialect, columns, uniformity, rows, score, is_clear }
}

/// How the widths of rows are distributed.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Shape {
    /// The width that most rows have.
    columns: usize,
    /// The share of the rows that have it. Lines above the first and below the last such row count little.
    uniformity: f64,
    /// The share of all rows that have it.
    share: f64,
    /// Whether the first row has it.
    begins_so: bool,
}

/// How much a row counts that stands above or below the table.
const OUTSIDE: f64 = 0.25;

impl Shape {
    fn of(widths: &[usize]) -> Shape {
        let mut sorted = widths.to_vec();
        sorted.sort_unstable();
        // Of two widths that are equally frequent, the larger one.
        let (columns, most) = sorted
            .chunk_by(|a, b| a == b)
            .filter_map(|same| Some((*same.first()?, same.len())))
            .max_by_key(|(_, count)| *count)
            .unwrap_or((1, 0));
        let is_one = |width: &usize| *width == columns;
        let above = widths.iter().position(is_one).unwrap_or_default();
        let below = widths.iter().rev().position(is_one).unwrap_or_default();
        let inside = widths.len().saturating_sub(above + below);
        // Text of many widths has no table in it: what is outside may be as large as the table, not larger.
        let outside = if above + below > inside { (above + below) as f64 } else { OUTSIDE * (above + below) as f64 };
        let uniformity = if most == 0 { 0.0 } else { most as f64 / (inside as f64 + outside) };
        Shape { columns, uniformity, share: most as f64 / widths.len().max(1) as f64, begins_so: above == 0 }
    }
}

/// How much sense the cells make.
#[derive(Debug, Default)]
struct Sample {
    quote: Option<u8>,
    cells: f64,
    sense: f64,
    /// Cells that are numbers, dates, times or words of truth.
    typed: f64,
    /// Cells that are a date or a time.
    whole_moments: f64,
    /// Cells that stood in quotes.
    quoted: f64,
    /// The same of the record that is being read.
    now: [f64; 5],
}

impl Sample {
    fn settle(&mut self) {
        let [cells, sense, typed, moments, quoted] = std::mem::take(&mut self.now);
        self.cells += cells;
        self.sense += sense;
        self.typed += typed;
        self.whole_moments += moments;
        self.quoted += quoted;
    }
}

impl Sink for Sample {
    fn cell(&mut self, _: usize, text: &[u8], from: usize, to: usize, quoted: bool) {
        // Long cells are text; their first bytes tell enough.
        let cell = text.get(from..to.min(from + 200)).unwrap_or_default();
        let kind = Kind::of(cell);
        let sense = if quoted { 1.0 } else { sense::of(cell, kind, self.quote) };
        let flag = f64::from;
        let more = [1.0, sense, flag(kind.is_value()), flag(kind == Kind::Moment), flag(quoted)];
        for (sum, more) in self.now.iter_mut().zip(more) {
            *sum += more;
        }
    }

    fn restart(&mut self) {
        self.now = Default::default();
    }
}
