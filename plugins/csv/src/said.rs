//! Says how a file is written and why: in the log, and, where the options ask for nothing else, in a document.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::Write as _;

use dropforge_sdk::{Input, Output, Result, debug};
use serde_json::{Map, Value, json};

use crate::convert;
use crate::head::Head;
use crate::header::column_name;
use crate::options::{Choice, OnError, Options};
use crate::output::Table;
use crate::reader::{Record, Sink};
use crate::text::Text;

/// What was found, by the names of the options that would give it, and why.
fn found(head: &Head) -> Vec<(&'static str, Value, Cow<'static, str>)> {
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
        ("delimiter", dialect.delimiter.without_spaces().to_string().into(), shape.into()),
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
    let mut text = String::with_capacity(1024);
    for (name, value, reason) in found(head) {
        let comma = if text.is_empty() { "" } else { ", " };
        _ = write!(text, "{comma}{name} {value} ({reason})");
    }
    debug!("read with {text}");
}

/// Makes a document of it, in place of those of the tables. For these all of the file is read: how many there are, and what stands below the
/// last one, its head does not tell.
///
/// # Errors
/// What the host says.
pub fn document(input: &mut Input, options: &Options, head: &Head, output: &mut Output) -> Result<()> {
    let parts = found(head).into_iter().map(|(name, value, reason)| (name.into(), json!({"value": value, "reason": reason})));
    let mut parts: Map<String, Value> = parts.collect();
    if !head.layout.preamble_text.is_empty() {
        parts.insert("preamble".into(), head.layout.preamble_text.as_str().into());
    }
    let lenient = Options { on_error: OnError::Lenient, ..options.clone() };
    let (tables, footer) = tables(input, &lenient, head)?;
    parts.insert("tables".into(), tables.into());
    if !footer.is_empty() {
        parts.insert("footer".into(), footer.into());
    }
    let mut document = output.document("application/json", &input.name_with_extension("dialect.json"))?;
    let text = serde_json::to_string_pretty(&parts).unwrap_or_default() + "\n";
    document.write_all(text.as_bytes())?;
    document.finish()
}

/// The tables of a file, and what stands below the last one.
fn tables(input: &mut Input, options: &Options, head: &Head) -> Result<(Vec<Value>, String)> {
    let (mut rows, mut section) = convert::open(input, options, head)?;
    let mut tables = Vec::new();
    loop {
        let (line, _) = rows.text().place(0);
        let columns = if section.header > 0 { rows.names()?.count() } else { section.columns };
        let before = rows.count();
        while rows.window(&mut Unkept(columns))? {}
        let counts = [("line", line), ("header", section.header as u64), ("columns", columns as u64), ("rows", rows.count() - before)];
        let mut table: Map<String, Value> = counts.into_iter().map(|(name, count)| (name.into(), count.into())).collect();
        if !section.preamble.is_empty() {
            table.insert("preamble".into(), section.preamble.into());
        }
        tables.push(table.into());
        match rows.next_table() {
            Some(next) => section = next,
            None => return Ok((tables, rows.footer().to_owned())),
        }
    }
}

/// A table of so many columns whose rows are only counted.
struct Unkept(usize);

impl Sink for Unkept {
    fn cell(&mut self, _: usize, _: &[u8], _: usize, _: usize, _: bool) {}

    fn restart(&mut self) {}
}

impl Table for Unkept {
    fn columns(&self) -> usize {
        self.0
    }

    fn name(&self, column: usize) -> Cow<'_, str> {
        column_name(column).into()
    }

    fn has_nul(&self) -> bool {
        false
    }

    fn end_row(&mut self, _: &Record, _: &Text) -> Result<()> {
        Ok(())
    }
}
