//! What can be set, with the words that configuration uses.

mod choices;

use dropforge_sdk::Result;
use dropforge_sdk::prelude::*;
use serde::Serialize;

use crate::report::ReportFields;
pub use choices::*;

/// The options. Whatever is `auto` is found by looking at the first 64 KiB of the file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Options {
    /// What comes out: `jsonl`, a JSON object for each row, line by line; `json`, one array of these; `csv`, the table in UTF-8 by RFC 4180;
    /// `report`, a test report for each unit, or for each run of one.
    pub output: Target,
    /// What becomes of rows that are broken: `lenient` keeps every cell that is there, `strict` fails at the first, `skip` leaves them out.
    pub on_error: OnError,
    /// Whether the tables are converted (`auto`), or it is only said how the file is written, and why, in a document of JSON (`only`).
    pub detect: Detect,
    /// What separates the cells: one to eight bytes of text (`;`, `||`), `tab`, `space`, `whitespace` (any run of spaces and tabs), or
    /// `auto`. A character and a space (`, `) stand for that character and the spaces after it.
    #[schemars(with = "String", regex(pattern = r"^[^\n\r\x00]{1,10}$"))]
    pub delimiter: DelimiterChoice,
    /// Whether spaces after a delimiter belong to it: `true`, `false`, or `auto`.
    pub skip_initial_space: Toggle,
    /// What encloses cells that hold delimiters or line ends: one ASCII character, `none`, or `auto`.
    #[schemars(with = "String", regex(pattern = r"^(auto|none|[!-~])$"))]
    pub quote: Choice,
    /// What makes a delimiter or a quote after it text, besides doubling the quote: one ASCII character, `none`, or `auto`.
    #[schemars(with = "String", regex(pattern = r"^(auto|none|[!-~])$"))]
    pub escape: Choice,
    /// Whether the first row holds the names of the columns: `true`, `false`, how many rows do (their cells are joined by spaces), or `auto`.
    pub header: Header,
    /// How many lines stand above the table: a number, or `auto`.
    pub skip_rows: SkipRows,
    /// What a line begins with that is a comment: one to eight bytes of text, `none`, or `auto`.
    #[schemars(with = "String", regex(pattern = r"^[^\n\r\x00]{1,8}$"))]
    pub comment: CommentChoice,
    /// Whether a few lines of text below the table, to the end of the file, are a footnote (`auto`) or rows (`none`); or how many lines at the
    /// end are no rows.
    pub footer: FooterChoice,
    /// Whether a further table in the file has a document of its own (`auto`), or its rows are rows of the first (`one`).
    pub tables: TablesChoice,
    /// How the text is written as bytes: `utf-8`, `utf-16le`, `utf-16be`, `windows-1252`, another encoding by the name that the WHATWG has
    /// for it (`shift_jis`, `windows-1250`, `koi8-r`…), or `auto`.
    #[schemars(with = "String", regex(pattern = r"^[A-Za-z0-9_:.-]{1,40}$"))]
    pub encoding: EncodingChoice,
    /// The decimal sign of the file's numbers: `.`, `,`, or `auto`, where a number with a decimal comma stays text.
    pub decimal: DecimalChoice,
    /// What groups their thousands: `,`, `.`, `'`, `space`, `none`, or `auto`, where such a number stays text.
    pub thousands: ThousandsChoice,
    /// Whether cells become numbers, booleans and nulls where that cannot change what they mean. `false`: every cell is a string, as it
    /// stands.
    pub infer: bool,
    /// Whether that holds for cells in quotes too: for writers that put quotes around everything.
    pub infer_quoted: bool,
    /// What is for reports.
    #[serde(flatten)]
    pub report: ReportFields,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            output: Target::Jsonl,
            on_error: OnError::Lenient,
            detect: Detect::Auto,
            delimiter: DelimiterChoice::Auto,
            skip_initial_space: Toggle::Auto(Auto::Auto),
            quote: Choice::Auto,
            escape: Choice::Auto,
            header: Header::Auto(Auto::Auto),
            skip_rows: SkipRows::Auto(Auto::Auto),
            comment: CommentChoice::Auto,
            footer: FooterChoice::Word(FooterWord::Auto),
            tables: TablesChoice::Auto,
            encoding: EncodingChoice::Auto,
            decimal: DecimalChoice::Auto,
            thousands: ThousandsChoice::Auto,
            infer: true,
            infer_quoted: false,
            report: ReportFields::default(),
        }
    }
}

impl Options {
    /// Refuses what the types allow and the format does not.
    ///
    /// # Errors
    /// [`dropforge_sdk::ErrorType::Validation`] that names the option.
    pub fn check(&self) -> Result<()> {
        let refuse = |message: &str| Err(Error::validation(message).code("options"));
        if matches!(self.header, Header::Rows(0 | 21..)) {
            return refuse("option `header` is `true`, `false`, `auto` or a number of rows from 1 to 20");
        }
        if self.localized().is_some_and(|(decimal, thousands)| Some(decimal) == thousands) {
            return refuse("options `decimal` and `thousands` must be different signs (`.` is the decimal sign unless `decimal` is `,`)");
        }
        let [quote, escape] = [self.quote, self.escape].map(|choice| choice.byte());
        let delimits = |byte: Option<u8>| match self.delimiter {
            DelimiterChoice::Is(delimiter) => byte.is_some_and(|byte| delimiter.holds(byte)),
            DelimiterChoice::Auto => false,
        };
        if (quote.is_some() && quote == escape) || delimits(quote) || delimits(escape) {
            return refuse(
                "options `delimiter`, `quote` and `escape` must be different characters (for doubled quotes leave `escape` at `none`)",
            );
        }
        Ok(())
    }
}

impl Options {
    /// The decimal sign and what groups thousands, where the options give one of them.
    pub fn localized(&self) -> Option<(u8, Option<u8>)> {
        let thousands = match self.thousands {
            ThousandsChoice::Auto | ThousandsChoice::None => None,
            ThousandsChoice::Comma => Some(b','),
            ThousandsChoice::Point => Some(b'.'),
            ThousandsChoice::Apostrophe => Some(b'\''),
            ThousandsChoice::Space => Some(b' '),
        };
        let decimal = if self.decimal == DecimalChoice::Comma { b',' } else { b'.' };
        (self.decimal == DecimalChoice::Comma || thousands.is_some()).then_some((decimal, thousands))
    }
}
