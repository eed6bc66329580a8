//! One conversion: moves the window over the text, has each record read into the rows, and reports what was odd about it.

use std::io::Write;

use dropforge_sdk::{Document, Input, Output, Result};

use crate::head::Head;
use crate::header::{Keys, Names};
use crate::json::{Found, Inference, Rows};
use crate::options::{Choice, Options};
use crate::problems::{Kind, Problems};
use crate::reader::{Dialect, Record, Records, Step};
use crate::text::Text;

/// Rows go to the document in pieces of at least this many bytes: from there on the SDK hands them on without copying them once more.
const PIECE: usize = 64 * 1024;

/// Makes the one document of an input, from what its head shows.
///
/// # Errors
/// What the host says; nothing in the text is an error, only a problem.
pub fn convert(input: &mut Input, options: &Options, head: &Head, output: &mut Output) -> Result<()> {
    let mut document = output.document("application/x-ndjson", &input.name_with_extension("jsonl"))?;
    let dialect = head.table.dialect;
    let text = Text::new(input, head.encoding.map(|(encoding, _)| encoding));
    let mut conversion = Conversion { dialect, text, problems: Problems::default(), output };
    conversion.fill(0)?;
    let has_header = head.header.0 && !head.empty;
    let keys = match (head.empty, has_header) {
        (true, _) => Keys::default(),
        (false, true) => conversion.names()?,
        (false, false) => Keys::numbered(head.table.columns),
    };
    let mut table = Rows::new(keys, Inference { plain: options.infer, quoted: options.infer && options.infer_quoted });
    let rows = conversion.rows(&mut table, &mut document)?;
    if rows == 0 && head.empty {
        conversion.problem(Kind::Empty, 0, || "the file has no rows; its document is empty".into())?;
    }
    conversion.problems.finish(conversion.output)?;
    let character = |byte: Option<u8>| String::from(byte.map_or(Choice::None, Choice::Is));
    for (name, value) in [
        ("csv.delimiter", character(Some(dialect.delimiter))),
        ("csv.quote", character(dialect.quote)),
        ("csv.escape", character(dialect.escape)),
        ("csv.header", has_header.to_string()),
        ("csv.encoding", conversion.text.encoding().to_string()),
        ("csv.rows", rows.to_string()),
        ("csv.columns", table.columns().to_string()),
    ] {
        document.set_attribute(name, &value)?;
    }
    document.finish()
}

struct Conversion<'a, 'i> {
    dialect: Dialect,
    text: Text<'a, 'i>,
    problems: Problems,
    output: &'a mut Output,
}

impl Conversion<'_, '_> {
    /// Moves the window on by `read` bytes, and says what cannot be decoded in what is new.
    fn fill(&mut self, read: usize) -> Result<()> {
        self.text.refill(read)?;
        let replaced = self.text.take_replaced();
        let encoding = self.text.encoding();
        for at in &replaced.first {
            self.problem(Kind::Encoding, *at, || format!("bytes that are not {encoding}; the cell has U+FFFD in their place"))?;
        }
        self.problems.count(Kind::Encoding, replaced.count - replaced.first.len() as u64);
        Ok(())
    }

    /// Reads the header row.
    fn names(&mut self) -> Result<Keys> {
        loop {
            let mut names = Names::default();
            let mut records = Records::new(self.dialect, self.text.padded(), self.text.end(), self.text.ended());
            let mut step = records.next(&mut names);
            while step == Step::Blank {
                step = records.next(&mut names);
            }
            let at = records.at();
            match step {
                Step::Record(record) => {
                    report_quotes(&record, &self.text, &mut self.problems, self.output)?;
                    self.text.skip(at);
                    return Ok(Keys::named(names.0));
                }
                Step::More => self.fill(at)?,
                Step::Blank | Step::End => return Ok(Keys::default()),
            }
        }
    }

    /// Reads all other rows; answers how many there are.
    fn rows(&mut self, table: &mut Rows, document: &mut Document) -> Result<u64> {
        let mut rows = 0;
        loop {
            let Conversion { text, problems, output, dialect } = self;
            let mut records = Records::new(*dialect, text.padded(), text.end(), text.ended());
            let ended = loop {
                match records.next(table) {
                    Step::Record(record) => {
                        rows += 1;
                        let found = table.end_row();
                        if record.cells != table.columns() || found.nul.is_some() || record.is_odd() {
                            report(&record, found, table, text, problems, output)?;
                        }
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
                document.write_all(table.written())?;
                return Ok(rows);
            }
            self.fill(at)?;
        }
    }

    fn problem(&mut self, kind: Kind, at: usize, message: impl FnOnce() -> String) -> Result<()> {
        self.problems.report(self.output, kind, || self.text.place(at), message)
    }
}

/// Reports what is odd about a row.
#[cold]
fn report(record: &Record, found: Found, table: &Rows, text: &Text, problems: &mut Problems, output: &mut Output) -> Result<()> {
    report_quotes(record, text, problems, output)?;
    let (cells, columns) = (record.cells, table.columns());
    if let Some(at) = found.extra {
        let message =
            || format!("{cells} cells where the table has {columns} columns; the others are kept, from `{}`", table.name(columns));
        problems.report(output, Kind::ExtraCells, || text.place(at), message)?;
    } else if cells < columns {
        let message = || format!("{cells} cells where the table has {columns} columns; from `{}` on, the row has none", table.name(cells));
        problems.report(output, Kind::MissingCells, || text.place(record.end), message)?;
    }
    if let Some(at) = found.nul {
        problems.report(output, Kind::Nul, || text.place(at), || "a NUL character; the cell keeps it".into())?;
    }
    Ok(())
}

fn report_quotes(record: &Record, text: &Text, problems: &mut Problems, output: &mut Output) -> Result<()> {
    if let Some(at) = record.stray {
        let message = || "text after a closing quote; it is kept as part of the cell".into();
        problems.report(output, Kind::StrayQuote, || text.place(at), message)?;
    }
    if let Some(unclosed) = record.unclosed {
        let message = || {
            let done = if unclosed.as_text { "it is taken as text, and the lines after it as rows" } else { "its cell ends with the file" };
            format!("a quote that never closes; {done}")
        };
        problems.report(output, Kind::UnclosedQuote, || text.place(unclosed.at), message)?;
    }
    Ok(())
}
