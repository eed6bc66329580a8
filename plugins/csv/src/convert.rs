//! One conversion: moves the window over the text, has each record read into the rows, and reports what was odd about it.

use std::io::Write;

use dropforge_sdk::{Document, Input, Output, Result};

use crate::head::Head;
use crate::header::Keys;
use crate::json::{Found, Inference, Rows};
use crate::options::{Choice, Options};
use crate::problems::{Kind, Problems, tell};
use crate::reader::{Cells, Dialect, Record, Records, Sink, Step};
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
        tell(conversion.output, Kind::Empty, (1, 1), "the file has no rows; its document is empty".into())?;
    }
    conversion.problems.finish(conversion.output)?;
    for (name, value) in [
        ("csv.delimiter", Choice::word(Some(dialect.delimiter))),
        ("csv.quote", Choice::word(dialect.quote)),
        ("csv.escape", Choice::word(dialect.escape)),
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
            if self.problems.tells(Kind::Encoding) {
                let message = format!("bytes that are not {encoding}; the cell has U+FFFD in their place");
                tell(self.output, Kind::Encoding, self.text.place(*at), message)?;
            }
        }
        self.problems.count(Kind::Encoding, replaced.count - replaced.first.len() as u64);
        Ok(())
    }

    /// Reads the header row.
    fn names(&mut self) -> Result<Keys> {
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
                    report_quotes(&record, &self.text, &mut self.problems, self.output)?;
                    self.text.skip(at);
                    return Ok(Keys::named(names.texts()));
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
}

/// Reports what is odd about a row.
#[cold]
fn report(record: &Record, found: Found, table: &Rows, text: &Text, problems: &mut Problems, output: &mut Output) -> Result<()> {
    report_quotes(record, text, problems, output)?;
    let (cells, columns) = (record.cells, table.columns());
    if let Some(at) = found.extra {
        if problems.tells(Kind::ExtraCells) {
            let message =
                format!("{cells} cells where the table has {columns} columns; the others are kept, from `{}`", table.name(columns));
            tell(output, Kind::ExtraCells, text.place(at), message)?;
        }
    } else if cells < columns && problems.tells(Kind::MissingCells) {
        let message = format!("{cells} cells where the table has {columns} columns; from `{}` on, the row has none", table.name(cells));
        tell(output, Kind::MissingCells, text.place(record.end), message)?;
    }
    match found.nul {
        Some(at) if problems.tells(Kind::Nul) => tell(output, Kind::Nul, text.place(at), "a NUL character; the cell keeps it".into()),
        _ => Ok(()),
    }
}

fn report_quotes(record: &Record, text: &Text, problems: &mut Problems, output: &mut Output) -> Result<()> {
    if let Some(at) = record.stray
        && problems.tells(Kind::StrayQuote)
    {
        tell(output, Kind::StrayQuote, text.place(at), "text after a closing quote; it is kept as part of the cell".into())?;
    }
    if let Some(unclosed) = record.unclosed
        && problems.tells(Kind::UnclosedQuote)
    {
        let done = if unclosed.as_text { "it is taken as text, and the lines after it as rows" } else { "its cell ends with the file" };
        tell(output, Kind::UnclosedQuote, text.place(unclosed.at), format!("a quote that never closes; {done}"))?;
    }
    Ok(())
}
