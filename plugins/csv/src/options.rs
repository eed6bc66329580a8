//! What can be set, with the words that configuration uses.

use dropforge_sdk::Result;
use dropforge_sdk::prelude::*;
use serde::Serialize;

use crate::delimiter::{Delimiter, Word};
use crate::encoding::Encoding;
use crate::report::ReportFields;

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
    /// Whether a few lines of text below the table, to the end of the file, are a footnote (`auto`) or rows (`none`).
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
            footer: FooterChoice::Auto,
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

/// A delimiter, or whatever the file shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DelimiterChoice {
    /// Whatever the file shows.
    Auto,
    /// This one.
    Is(Delimiter),
}

impl TryFrom<String> for DelimiterChoice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "auto" => Ok(DelimiterChoice::Auto),
            "none" => Err("option `delimiter` cannot be `none`: name what separates the cells, or `auto`".into()),
            text => Delimiter::try_from(text).map(DelimiterChoice::Is),
        }
    }
}

impl From<DelimiterChoice> for String {
    fn from(choice: DelimiterChoice) -> Self {
        match choice {
            DelimiterChoice::Auto => "auto".into(),
            DelimiterChoice::Is(delimiter) => delimiter.to_string(),
        }
    }
}

/// What comments begin with, that there are none, or whatever the file shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum CommentChoice {
    /// Whatever the file shows.
    Auto,
    /// There are none.
    None,
    /// This text.
    Is(Word),
}

impl TryFrom<String> for CommentChoice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "auto" => Ok(CommentChoice::Auto),
            "none" => Ok(CommentChoice::None),
            text => Word::new(text)
                .map(CommentChoice::Is)
                .ok_or_else(|| format!("`{text}` is not one to eight bytes of text, `none` or `auto`")),
        }
    }
}

impl From<CommentChoice> for String {
    fn from(choice: CommentChoice) -> Self {
        match choice {
            CommentChoice::Auto => "auto".into(),
            CommentChoice::None => "none".into(),
            CommentChoice::Is(word) => word.as_str().into(),
        }
    }
}

/// A character, none, or whatever the file shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Choice {
    /// Whatever the file shows.
    Auto,
    /// There is none.
    None,
    /// This ASCII character.
    Is(u8),
}

impl Choice {
    /// How a character that was chosen is written as an option.
    pub fn word(byte: Option<u8>) -> String {
        byte.map_or(Choice::None, Choice::Is).into()
    }

    /// The character, where one is given.
    pub fn byte(self) -> Option<u8> {
        if let Choice::Is(byte) = self { Some(byte) } else { None }
    }
}

impl TryFrom<String> for Choice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match (text.as_str(), text.as_bytes()) {
            ("auto", _) => Ok(Choice::Auto),
            ("none", _) => Ok(Choice::None),
            (_, [byte]) if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Ok(Choice::Is(*byte)),
            _ => Err(format!("`{text}` is neither one ASCII character nor `auto` or `none`")),
        }
    }
}

impl From<Choice> for String {
    fn from(choice: Choice) -> Self {
        match choice {
            Choice::Auto => "auto".into(),
            Choice::None => "none".into(),
            Choice::Is(byte) => char::from(byte).into(),
        }
    }
}

/// What comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// A JSON object for each row, line by line.
    Jsonl,
    /// One JSON array of these objects.
    Json,
    /// The table as CSV by RFC 4180, in UTF-8.
    Csv,
    /// A test report for each unit.
    Report,
}

/// What becomes of rows that are broken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// Every cell that is there is kept, with a warning.
    #[default]
    Lenient,
    /// The first one fails the conversion.
    Strict,
    /// They are left out, each with an error among the problems.
    Skip,
}

/// Whether there is a header row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Header {
    /// There is, or there is not.
    Given(bool),
    /// So many rows hold the names.
    Rows(#[schemars(range(min = 1, max = 20))] u8),
    /// Whatever the file shows.
    Auto(Auto),
}

/// Whether something is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Toggle {
    /// It is, or it is not.
    Given(bool),
    /// Whatever the file shows.
    Auto(Auto),
}

/// How many lines stand above the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SkipRows {
    /// So many.
    Given(#[schemars(range(max = 100_000))] u64),
    /// Whatever the file shows.
    Auto(Auto),
}

/// What becomes of what was found about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Detect {
    /// Its tables are converted by it.
    Auto,
    /// It is the document.
    Only,
}

/// The decimal sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DecimalChoice {
    /// It is said which one the numbers show, and none is changed.
    #[serde(rename = "auto")]
    Auto,
    /// A point.
    #[serde(rename = ".")]
    Point,
    /// A comma.
    #[serde(rename = ",")]
    Comma,
}

/// What groups thousands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ThousandsChoice {
    /// It is said what the numbers show, and none is changed.
    #[serde(rename = "auto")]
    Auto,
    /// Nothing.
    #[serde(rename = "none")]
    None,
    /// A comma.
    #[serde(rename = ",")]
    Comma,
    /// A point.
    #[serde(rename = ".")]
    Point,
    /// An apostrophe.
    #[serde(rename = "'")]
    Apostrophe,
    /// A space.
    #[serde(rename = "space")]
    Space,
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

/// Whether lines below the table are a footnote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FooterChoice {
    /// Where they look like one.
    Auto,
    /// Never.
    None,
}

/// What becomes of further tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TablesChoice {
    /// Each has a document.
    Auto,
    /// All rows are of one table.
    One,
}

/// The word `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Auto {
    /// Whatever the file shows.
    Auto,
}

/// An encoding, or whatever the file shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum EncodingChoice {
    /// Whatever the file shows.
    Auto,
    /// This one.
    Is(Encoding),
}

impl EncodingChoice {
    /// The encoding, where one is given.
    pub fn given(self) -> Option<Encoding> {
        match self {
            EncodingChoice::Auto => None,
            EncodingChoice::Is(encoding) => Some(encoding),
        }
    }
}

impl TryFrom<String> for EncodingChoice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "auto" {
            return Ok(EncodingChoice::Auto);
        }
        Encoding::named(&text).map(EncodingChoice::Is).ok_or_else(|| {
            format!("`{text}` is no encoding: name one as the WHATWG does (`utf-8`, `utf-16le`, `windows-1252`, `shift_jis`…), or `auto`")
        })
    }
}

impl From<EncodingChoice> for String {
    fn from(choice: EncodingChoice) -> Self {
        match choice {
            EncodingChoice::Auto => "auto".into(),
            EncodingChoice::Is(encoding) => encoding.to_string(),
        }
    }
}
