//! One conversion: reads the rows of an input into the document that the options ask for.

use std::rc::Rc;

use dropforge_sdk::{Document, Error, Input, Outcome, Output, Result};

use crate::cells::Cells;
use crate::detect::sections::Section;
use crate::head::Head;
use crate::header::Keys;
use crate::options::{Choice, OnError, Options, TablesChoice, Target};
use crate::output::{Csv, Inference, Json, Localized, Written};
use crate::report;
use crate::rows::{Ends, Rows};

/// Makes a document of each table of an input, from what its head shows.
///
/// # Errors
/// What the host says; what is wrong with the text, where the policy is strict.
pub fn convert(input: &mut Input, options: &Options, head: &Head, output: &mut Output) -> Result<Outcome> {
    let (media_type, extension) = match options.output {
        Target::Jsonl => ("application/x-ndjson", "jsonl"),
        Target::Json => ("application/json", "json"),
        Target::Csv => ("text/csv; charset=utf-8; header=", "csv"),
        Target::Report => return report::convert(input, options, head, output),
    };
    let name = input.name_with_extension(extension);
    let (mut rows, mut section) = open(input, options, head)?;
    for number in 1.. {
        let has_header = section.header > 0;
        let media_type = match options.output {
            Target::Csv => format!("{media_type}{}", if has_header { "present" } else { "absent" }),
            _ => media_type.into(),
        };
        let name = match name.strip_suffix(extension).and_then(|name| name.strip_suffix('.')) {
            Some(stem) if number > 1 => format!("{stem}-{number}.{extension}"),
            _ => name.clone(),
        };
        let document = output.document(&media_type, &name)?;
        let before = rows.count();
        let (columns, mut document) = table(document, options, &section, &mut rows)?;
        let count = rows.count() - before;
        if count == 0 && head.empty {
            output.warn(Error::malformed("the file has no rows; nor has its document").code("empty").line(1).column(1))?;
        }
        let next = rows.next_table();
        if number > 1 || next.is_some() {
            document.set_attribute("csv.table", &number.to_string())?;
        }
        describe(&mut document, &rows, head, &section, count, columns)?;
        if options.on_error == OnError::Skip {
            document.set_attribute("csv.skipped", &rows.problems().skipped().to_string())?;
        }
        document.finish()?;
        match next {
            Some(next) => section = next,
            None => break,
        }
    }
    rows.problems().tell(output)?;
    Ok(Outcome::Converted)
}

/// The rows of an input, and the first table of it.
///
/// # Errors
/// As [`convert`].
pub fn open<'a, 'i>(input: &'a mut Input<'i>, options: &Options, head: &Head) -> Result<(Rows<'a, 'i>, Section)> {
    let tables = if options.tables == TablesChoice::Auto { MOST_TABLES - 1 } else { 0 };
    let mut rows = Rows::open(input, options, head)?.ending(Ends::new(tables, options.footer.is_auto()));
    let (header, columns) = if head.empty { (0, 0) } else { (head.layout.header, head.layout.columns) };
    let columns = if head.layout.is_cut && header == 0 { rows.width()? } else { columns };
    let section = Section { at: 0, columns, header, preamble: head.layout.preamble_text.clone() };
    Ok((rows, section))
}

/// How many tables of a file have documents of their own. What follows the last of them are rows of it.
const MOST_TABLES: usize = 100;

/// Reads a table into a document; gives it with its number of columns.
fn table(document: Document, options: &Options, section: &Section, rows: &mut Rows) -> Result<(usize, Document)> {
    let names = if section.header > 0 { Some(rows.names()?) } else { None };
    let columns = section.columns;
    let inference = Inference { plain: options.infer, quoted: options.infer && options.infer_quoted };
    let keys = |names: Option<Rc<Cells>>| names.map_or_else(|| Keys::numbered(columns), Keys::named);
    let of = if options.output == Target::Json { Json::array } else { Json::lines };
    match (options.output, options.localized()) {
        (Target::Csv, _) => match names {
            Some(names) => fill(Csv::named(document, names), rows),
            None => fill(Csv::unnamed(document, columns), rows),
        },
        (_, Some((decimal, thousands))) => fill(Localized::new(of(document, keys(names), inference), inference, decimal, thousands), rows),
        (_, None) => fill(of(document, keys(names), inference), rows),
    }
}

/// Says in a document's attributes what was found.
fn describe(document: &mut Document, rows: &Rows, head: &Head, section: &Section, count: u64, columns: usize) -> Result<()> {
    let dialect = rows.dialect();
    for (name, value) in [
        ("csv.delimiter", dialect.delimiter.without_spaces().to_string()),
        ("csv.quote", Choice::word(dialect.quote)),
        ("csv.escape", Choice::word(dialect.escape)),
        ("csv.header", if section.header > 1 { section.header.to_string() } else { (section.header == 1).to_string() }),
        ("csv.encoding", rows.text().encoding().to_string()),
        ("csv.rows", count.to_string()),
        ("csv.columns", columns.to_string()),
    ] {
        document.set_attribute(name, &value)?;
    }
    let is_spaced = dialect.delimiter != dialect.delimiter.without_spaces();
    let others = [
        ("csv.skip_initial_space", if is_spaced { "true" } else { "" }),
        ("csv.comment", dialect.comment.as_ref().map_or("", |comment| comment.as_str())),
        ("csv.decimal", head.layout.decimal.unwrap_or_default()),
        ("csv.thousands", head.layout.thousands.unwrap_or_default()),
        ("csv.preamble", &section.preamble),
        ("csv.footer", rows.footer()),
    ];
    for (name, value) in others.into_iter().filter(|(_, value)| !value.is_empty()) {
        document.set_attribute(name, value)?;
    }
    Ok(())
}

/// Reads all rows into a document; gives it with its number of columns.
// A function of its own for each kind of table: all of them in one would have too many values for the registers.
#[inline(never)]
fn fill(mut table: impl Written, rows: &mut Rows) -> Result<(usize, Document)> {
    while rows.window(&mut table)? {}
    Ok((table.columns(), table.finish()?))
}
