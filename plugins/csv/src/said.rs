//! Says how a file is written and why: in the log, and, where the options ask for nothing else, in a document.

use std::io::Write;

use dropforge_sdk::{Input, Output, Result, debug};
use serde_json::{Map, Value, json};

use crate::head::Head;
use crate::options::Choice;

/// What was found, by the names of the options that would give it, and why.
fn found(head: &Head) -> Vec<(&'static str, Value, String)> {
    let (table, layout) = (&head.table, &head.layout);
    let dialect = layout.dialect;
    let (encoding, by) = head.encoding.map_or(("utf-8".into(), "all is ASCII so far"), |(encoding, why)| (encoding.to_string(), why));
    let [percent, points] = [100.0 * table.uniformity, 1000.0 * table.score].map(|share| share as u32);
    let shape = format!("{percent} % of {} rows have {} cells; {points} of 1000 points", table.rows, table.columns);
    let spaced = dialect.delimiter != dialect.delimiter.without_spaces();
    let quotes = if dialect.quote.is_some() { "its quotes close where cells end" } else { "no quotes close where cells end" };
    let escapes = if dialect.escape.is_some() { "it stands before quotes" } else { "nothing but doubling makes a quote text" };
    let comments = if dialect.comment.is_some() { "the file begins with it" } else { "the file begins with no comment" };
    let header = match layout.header {
        0 | 1 => json!(layout.header == 1),
        count => json!(count),
    };
    let sign = |sign: Option<&str>| sign.map_or(Value::Null, Value::from);
    let numbers = |sign: Option<&str>| if sign.is_some() { "the numbers show it" } else { "no number shows it" };
    vec![
        ("encoding", encoding.into(), by.into()),
        ("delimiter", dialect.delimiter.without_spaces().to_string().into(), shape),
        ("skip_initial_space", spaced.into(), if spaced { "spaces follow the delimiter" } else { "spaces belong to the cells" }.into()),
        ("quote", Choice::word(dialect.quote).into(), quotes.into()),
        ("escape", Choice::word(dialect.escape).into(), escapes.into()),
        ("line_end", head.line_end.into(), "the line ends of the head".into()),
        ("comment", dialect.comment.map_or("none".into(), |comment| comment.as_str().into()), comments.into()),
        ("skip_rows", layout.preamble.into(), layout.preamble_reason.into()),
        ("header", header, layout.header_reason.into()),
        (
            "columns",
            layout.columns.into(),
            if layout.is_cut { "so many in the head, which does not hold a whole row" } else { "the widest of the names and of most rows" }
                .into(),
        ),
        ("decimal", sign(layout.decimal), numbers(layout.decimal).into()),
        ("thousands", sign(layout.thousands), numbers(layout.thousands).into()),
    ]
}

/// Says it in the log.
pub fn explain(head: &Head) {
    let parts: Vec<String> = found(head).into_iter().map(|(name, value, reason)| format!("{name} {value} ({reason})")).collect();
    debug!("read with {}", parts.join(", "));
}

/// Makes a document of it, in place of those of the tables.
///
/// # Errors
/// What the host says.
pub fn document(input: &Input, head: &Head, output: &mut Output) -> Result<()> {
    let parts = found(head).into_iter().map(|(name, value, reason)| (name.into(), json!({"value": value, "reason": reason})));
    let mut parts: Map<String, Value> = parts.collect();
    if !head.layout.preamble_text.is_empty() {
        parts.insert("preamble".into(), head.layout.preamble_text.as_str().into());
    }
    let mut document = output.document("application/json", &input.name_with_extension("dialect.json"))?;
    let text = serde_json::to_string_pretty(&parts).unwrap_or_default() + "\n";
    document.write_all(text.as_bytes())?;
    document.finish()
}
