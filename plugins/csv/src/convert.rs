//! One conversion: reads the rows of an input into the document that the options ask for.

use dropforge_sdk::{Document, Error, Input, Outcome, Output, Result};

use crate::head::Head;
use crate::header::Keys;
use crate::options::{Choice, OnError, Options, Target};
use crate::output::{Csv, Inference, Json, Written};
use crate::report;
use crate::rows::Rows;

/// Makes the documents of an input, from what its head shows.
///
/// # Errors
/// What the host says; what is wrong with the text, where the policy is strict.
pub fn convert(input: &mut Input, options: &Options, head: &Head, output: &mut Output) -> Result<Outcome> {
    let has_header = head.layout.header > 0 && !head.empty;
    let (media_type, extension) = match options.output {
        Target::Jsonl => ("application/x-ndjson", "jsonl"),
        Target::Json => ("application/json", "json"),
        Target::Csv if has_header => ("text/csv; charset=utf-8; header=present", "csv"),
        Target::Csv => ("text/csv; charset=utf-8; header=absent", "csv"),
        Target::Report => return report::convert(input, options, head, output),
    };
    let document = output.document(media_type, &input.name_with_extension(extension))?;
    let mut rows = Rows::open(input, options, head)?;
    let names = if has_header { Some(rows.names()?) } else { None };
    let columns = if head.empty { 0 } else { head.layout.columns };
    let inference = Inference { plain: options.infer, quoted: options.infer && options.infer_quoted };
    let keys = |names: Option<Vec<String>>| names.map_or_else(|| Keys::numbered(columns), Keys::named);
    let (columns, mut document) = match options.output {
        Target::Json => fill(Json::array(document, keys(names), inference), &mut rows)?,
        Target::Csv => match names {
            Some(names) => fill(Csv::named(document, names), &mut rows)?,
            None => fill(Csv::unnamed(document, columns), &mut rows)?,
        },
        _ => fill(Json::lines(document, keys(names), inference), &mut rows)?,
    };
    if rows.count() == 0 && head.empty {
        output.warn(Error::malformed("the file has no rows; nor has its document").code("empty").line(1).column(1))?;
    }
    rows.problems().tell(output)?;
    let dialect = rows.dialect();
    for (name, value) in [
        ("csv.delimiter", dialect.delimiter.without_spaces().to_string()),
        ("csv.quote", Choice::word(dialect.quote)),
        ("csv.escape", Choice::word(dialect.escape)),
        ("csv.header", if head.layout.header > 1 { head.layout.header.to_string() } else { has_header.to_string() }),
        ("csv.encoding", rows.text().encoding().to_string()),
        ("csv.rows", rows.count().to_string()),
        ("csv.columns", columns.to_string()),
    ] {
        document.set_attribute(name, &value)?;
    }
    if dialect.delimiter != dialect.delimiter.without_spaces() {
        document.set_attribute("csv.skip_initial_space", "true")?;
    }
    if let Some(comment) = dialect.comment {
        document.set_attribute("csv.comment", comment.as_str())?;
    }
    if !head.layout.preamble_text.is_empty() {
        document.set_attribute("csv.preamble", &head.layout.preamble_text)?;
    }
    if options.on_error == OnError::Skip {
        document.set_attribute("csv.skipped", &rows.problems().skipped().to_string())?;
    }
    document.finish()?;
    Ok(Outcome::Converted)
}

/// Reads all rows into a document; gives it with its number of columns.
fn fill(mut table: impl Written, rows: &mut Rows) -> Result<(usize, Document)> {
    while rows.window(&mut table)? {}
    Ok((table.columns(), table.finish()?))
}
