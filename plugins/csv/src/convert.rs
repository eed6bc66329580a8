//! One conversion: moves the window over the text, has each record read into the rows, and reports what was odd about it.

use std::io::Write;

use dropforge_sdk::{Document, Input, Output, Result};

use crate::head::Head;
use crate::header::Keys;
use crate::options::{Choice, Options, Target};
use crate::output::{Csv, Found, Inference, Json, Table};
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
    let mut conversion = Conversion { dialect, text, problems: Problems::default(), output };
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
                    report_quotes(&record, &self.text, &mut self.problems, self.output)?;
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
            tell(self.output, Kind::Empty, (1, 1), "the file has no rows; nor has its document".into())?;
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
        document.finish()
    }

    /// Reads all rows below the header; answers how many there are.
    fn rows(&mut self, table: &mut impl Table, document: &mut Document) -> Result<u64> {
        let mut rows = 0;
        loop {
            let Conversion { text, problems, output, dialect } = self;
            let mut records = Records::new(*dialect, text.padded(), text.end(), text.ended());
            let ended = loop {
                match records.next(table) {
                    Step::Record(record) => {
                        rows += 1;
                        let found = table.found();
                        if record.cells != table.columns() || found != Found::default() || record.is_odd() {
                            report(&record, found, table, text, problems, output)?;
                        }
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

/// Reports what is odd about a row.
#[cold]
fn report(record: &Record, found: Found, table: &impl Table, text: &Text, problems: &mut Problems, output: &mut Output) -> Result<()> {
    report_quotes(record, text, problems, output)?;
    let (cells, columns) = (record.cells, table.columns());
    if let Some(at) = found.extra {
        if problems.tells(Kind::ExtraCells) {
            let message =
                format!("{cells} cells where the table has {columns} columns; the others are kept, from `{}`", table.name(columns));
            tell(output, Kind::ExtraCells, text.place(at), message)?;
        }
    } else if cells < columns && problems.tells(Kind::MissingCells) {
        let message = format!("{cells} cells where the table has {columns} columns; none for `{}` and what follows it", table.name(cells));
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
