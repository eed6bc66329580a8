//! One conversion: moves the window over the text, has each record read into the rows, and reports what was odd about it.

use std::io::Write;

use dropforge_sdk::{Document, Error, Input, Output, Result};

use crate::head::Head;
use crate::header::Keys;
use crate::options::{Choice, OnError, Options, Target};
use crate::output::{Csv, Inference, Json, Table};
use crate::problems::{Fate, Fault, Kind, Problems, Words};
use crate::reader::{Cells, Dialect, Record, Records, Sink, Step};
use crate::text::Text;

/// Rows go to the document in pieces of at least this many bytes: from there on the SDK hands them on without copying them once more.
const PIECE: usize = 64 * 1024;

/// Makes the one document of an input, from what its head shows.
///
/// # Errors
/// What the host says; nothing in the text is an error, only a problem.
pub fn convert(input: &mut Input, options: &Options, head: &Head, output: &mut Output) -> Result<()> {
    let has_header = head.header.0 && !head.empty;
    let (media_type, extension) = match options.output {
        Target::Jsonl => ("application/x-ndjson", "jsonl"),
        Target::Json => ("application/json", "json"),
        Target::Csv if has_header => ("text/csv; charset=utf-8; header=present", "csv"),
        Target::Csv => ("text/csv; charset=utf-8; header=absent", "csv"),
    };
    let document = output.document(media_type, &input.name_with_extension(extension))?;
    let dialect = head.table.dialect;
    let text = Text::new(input, head.encoding.map(|(encoding, _)| encoding));
    let policy = options.on_error;
    let mut conversion = Conversion { dialect, text, policy, judges_replaced: false, problems: Problems::new(policy), output };
    conversion.fill(0)?;
    let names = if has_header { Some(conversion.names()?) } else { None };
    let columns = if head.empty { 0 } else { head.table.columns };
    if options.output == Target::Csv {
        let table = names.map_or_else(|| Csv::unnamed(columns), Csv::named);
        return conversion.finish(table, has_header, head, document);
    }
    let keys = names.map_or_else(|| Keys::numbered(columns), Keys::named);
    let inference = Inference { plain: options.infer, quoted: options.infer && options.infer_quoted };
    let table = if options.output == Target::Json { Json::array(keys, inference) } else { Json::lines(keys, inference) };
    conversion.finish(table, has_header, head, document)
}

struct Conversion<'a, 'i> {
    dialect: Dialect,
    text: Text<'a, 'i>,
    policy: OnError,
    /// Whether rows are looked at for what could not be decoded.
    judges_replaced: bool,
    problems: Problems,
    output: &'a mut Output,
}

impl Conversion<'_, '_> {
    /// Moves the window on by `read` bytes. What cannot be decoded in what is new is told at once where all of it is kept; otherwise the
    /// rows that hold it are judged.
    fn fill(&mut self, read: usize) -> Result<()> {
        self.text.refill(read)?;
        let replaced = self.text.take_replaced();
        self.judges_replaced |= replaced.count > 0 && self.policy != OnError::Lenient;
        if self.policy == OnError::Lenient && replaced.count > 0 {
            let faults: Vec<Fault> = replaced.first.iter().map(|at| Fault { kind: Kind::Encoding, at: *at }).collect();
            self.problems.keep(&faults, |fault| words(fault, None, 0, "", &self.text), self.output)?;
            self.problems.count(Kind::Encoding, replaced.count - replaced.first.len() as u64);
        }
        Ok(())
    }

    /// Reads the header row.
    fn names(&mut self) -> Result<Vec<String>> {
        loop {
            let mut names = Cells::default();
            let mut records = Records::new(self.dialect, self.text.padded(), self.text.end(), self.text.ended());
            let step = loop {
                match records.next(&mut names as &mut dyn Sink) {
                    Step::Blank => {}
                    step => break step,
                }
            };
            let at = records.at();
            match step {
                Step::Record(record) => {
                    let nul = names.0.iter().any(|name| name.contains(&0));
                    let mut faults = faults(&record, nul, self.judges_replaced, record.cells, &self.text);
                    faults.sort_by_key(|fault| fault.at);
                    self.problems.keep(&faults, |fault| words(fault, Some(&record), 0, "", &self.text), self.output)?;
                    self.text.skip(at);
                    return Ok(names.texts());
                }
                Step::More => self.fill(at)?,
                Step::Blank | Step::End => return Ok(Vec::new()),
            }
        }
    }

    /// Reads the rows into the document and completes it.
    fn finish(mut self, mut table: impl Table, has_header: bool, head: &Head, mut document: Document) -> Result<()> {
        let rows = self.rows(&mut table, &mut document)?;
        table.finish();
        document.write_all(table.written())?;
        if rows == 0 && head.empty {
            self.output.warn(Error::malformed("the file has no rows; nor has its document").code("empty").line(1).column(1))?;
        }
        self.problems.finish(self.output)?;
        for (name, value) in [
            ("csv.delimiter", Choice::word(Some(self.dialect.delimiter))),
            ("csv.quote", Choice::word(self.dialect.quote)),
            ("csv.escape", Choice::word(self.dialect.escape)),
            ("csv.header", has_header.to_string()),
            ("csv.encoding", self.text.encoding().to_string()),
            ("csv.rows", rows.to_string()),
            ("csv.columns", table.columns().to_string()),
        ] {
            document.set_attribute(name, &value)?;
        }
        if self.policy == OnError::Skip {
            document.set_attribute("csv.skipped", &self.problems.skipped().to_string())?;
        }
        document.finish()
    }

    /// Reads all rows below the header; answers how many there are.
    fn rows(&mut self, table: &mut impl Table, document: &mut Document) -> Result<u64> {
        let mut rows = 0;
        loop {
            let Conversion { text, problems, output, dialect, judges_replaced, .. } = self;
            let columns = table.columns();
            let mut records = Records::new(*dialect, text.padded(), text.end(), text.ended()).expecting(columns);
            let ended = loop {
                match records.next(table) {
                    Step::Record(record) => {
                        if record.cells != columns || table.has_nul() || record.is_odd() || *judges_replaced {
                            let mut faults = faults(&record, table.has_nul(), *judges_replaced, columns, text);
                            let name = || table.name(record.cells.min(columns));
                            let words = |fault| words(fault, Some(&record), columns, &name(), text);
                            if problems.judge(&mut faults, words, output)? == Fate::Skipped {
                                table.restart();
                                continue;
                            }
                        }
                        rows += 1;
                        table.end_row(record.cells);
                        if table.written().len() >= PIECE {
                            document.write_all(table.written())?;
                            table.clear();
                        }
                    }
                    Step::Blank => {}
                    Step::More => break false,
                    Step::End => break true,
                }
            };
            let at = records.at();
            if ended {
                return Ok(rows);
            }
            self.fill(at)?;
        }
    }
}

/// What is wrong with a record of a table of so many columns.
#[cold]
fn faults(record: &Record, nul: bool, replaced: bool, columns: usize, text: &Text) -> Vec<Fault> {
    let raw = text.padded().get(record.start..record.end).unwrap_or_default();
    let nul = nul.then(|| record.start + raw.iter().position(|byte| *byte == 0).unwrap_or_default());
    let replaced = replaced.then(|| raw.windows(3).position(|bytes| bytes == REPLACEMENT.as_bytes())).flatten();
    [
        (Kind::StrayQuote, record.stray),
        (Kind::UnclosedQuote, record.unclosed.map(|unclosed| unclosed.at)),
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
fn words(fault: Fault, record: Option<&Record>, columns: usize, name: &str, text: &Text) -> Words {
    let cells = record.map_or(0, |record| record.cells);
    let as_text = record.and_then(|record| record.unclosed).is_some_and(|unclosed| unclosed.as_text);
    let width = || format!("{cells} cells where the table has {columns} columns");
    let (what, done) = match fault.kind {
        Kind::StrayQuote => ("text after a closing quote".into(), "it is kept as part of the cell".into()),
        Kind::UnclosedQuote if as_text => {
            ("a quote that never closes".into(), "it is taken as text, and the lines after it as rows".into())
        }
        Kind::UnclosedQuote => ("a quote that never closes".into(), "its cell ends with the file".into()),
        Kind::Nul => ("a NUL character".into(), "the cell keeps it".into()),
        Kind::Encoding => (format!("bytes that are not {}", text.encoding()), "the cell has U+FFFD in their place".into()),
        Kind::ExtraCells => (width(), format!("the others are kept, from `{name}`")),
        Kind::MissingCells => (width(), format!("none for `{name}` and what follows it")),
    };
    Words { what, done, place: text.place(fault.at) }
}
