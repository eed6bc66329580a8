//! CSV and TSV to JSON Lines, to JSON, to clean CSV or to test reports, in constant memory.
//!
//! The path of a file: [`head`] looks at its first 64 KiB and finds [`encoding`] and dialect ([`detect`]); [`text`] moves a window of decoded text
//! over the file; [`reader`] cuts it into records and cells; [`output`] writes each cell as it comes, typed by [`infer`], under the
//! names of [`header`], or makes [`report`]s of the rows; whatever is wrong with the input goes to [`problems`].

pub mod block;
pub mod cells;
pub mod convert;
pub mod decoder;
pub mod delimiter;
pub mod detect;
pub mod encoding;
pub mod head;
pub mod header;
pub mod infer;
pub mod kind;
pub mod options;
pub mod output;
pub mod problems;
pub mod reader;
pub mod report;
pub mod rows;
pub mod said;
pub mod tail;
pub mod text;

use dropforge_sdk::export;
use dropforge_sdk::prelude::*;
use dropforge_sdk::report::MEDIA_TYPE;

use crate::delimiter::Delimiter;
use crate::head::Head;
pub use crate::options::{
    Auto, Choice, CommentChoice, DelimiterChoice, Detect, EncodingChoice, Header, OnError, Options, SkipRows, Target,
};

/// The converter.
pub struct Csv;

impl Converter for Csv {
    type Options = Options;

    fn describe() -> Descriptor {
        Descriptor::new("csv", env!("CARGO_PKG_VERSION"), "CSV and TSV to JSON Lines, JSON, clean CSV or test reports")
            .patterns(["*.{csv,tsv,tab,psv}"])
            .reads(["text/csv", "text/tab-separated-values"])
            .writes(["application/x-ndjson", "application/json", "text/csv", MEDIA_TYPE])
    }

    fn probe(input: &mut Input) -> Probe {
        let named = Probe::by_name(&Self::describe(), input);
        match head::look(input, &Options::default()) {
            Ok(Ok(head)) => judge(&head, named),
            Ok(Err(what)) => Probe::no(format!("the content is {what}")),
            Err(error) => Probe::no(format!("the content cannot be read: {error}")),
        }
    }

    fn convert(input: &mut Input, options: Options, output: &mut Output) -> Result<Outcome> {
        options.check()?;
        let head = match head::look(input, &options)? {
            Ok(head) => head,
            Err(what) => return Err(Error::malformed(format!("the content is {what}, not a table in text")).code("not_text")),
        };
        said::explain(&head);
        if options.detect == Detect::Only {
            said::document(input, &options, &head, output)?;
            return Ok(Outcome::Converted);
        }
        convert::convert(input, &options, &head, output)
    }
}

export!(Csv);

/// How sure the content makes us, given what the name says.
fn judge(head: &Head, named: Probe) -> Probe {
    let table = &head.table;
    if let Some(format) = head.other_format {
        let reason = format!("the content looks like {format}");
        return if named.confidence == 0 { Probe::no(reason) } else { Probe::new(5, reason) };
    }
    if head.empty {
        return Probe::new(named.confidence, format!("{}; there is no content to tell by", named.reason));
    }
    let delimiter = table.dialect.delimiter;
    let shape =
        format!("{} rows, {:.0} % of them with {} cells between `{delimiter}`", table.rows, 100.0 * table.uniformity, table.columns);
    // Logs and aligned texts have spaces and other signs like tables: under another name they are believed less.
    let is_usual = matches!(delimiter.without_spaces(), Delimiter::Byte(b',' | b';' | b'\t' | b'|'));
    match (named.confidence, table.columns > 1 && table.rows > 1 && table.score >= 0.2) {
        (0, true) if table.columns > 2 && table.uniformity > 0.95 && is_usual => Probe::new(60, format!("the content is a table: {shape}")),
        (0, true) => Probe::new(30, format!("the content may be a table: {shape}")),
        (0, false) => Probe::no(format!("{}, and the content is no clear table: {shape}", named.reason)),
        (_, true) => Probe::new(90, format!("{}, and the content is a table: {shape}", named.reason)),
        (confidence, false) => Probe::new(confidence.min(50), format!("{}; the content is no clear table: {shape}", named.reason)),
    }
}
