//! The values that options have: each is what is given, or `auto`, whatever the file shows.

use dropforge_sdk::prelude::*;
use serde::Serialize;

use crate::delimiter::{Delimiter, Word};
use crate::encoding::Encoding;

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

/// Which lines below the table are a footnote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FooterChoice {
    /// So many at the end of the file.
    Lines(#[schemars(range(max = 1000))] u16),
    /// One of two words.
    Word(FooterWord),
}

/// Whether lines below the table are a footnote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FooterWord {
    /// Where they look like one.
    Auto,
    /// Never.
    None,
}

impl FooterChoice {
    /// How many lines, where the options say so.
    pub fn lines(self) -> Option<usize> {
        if let FooterChoice::Lines(lines) = self { Some(lines.into()) } else { None }
    }

    /// Whether the file shows it.
    pub fn is_auto(self) -> bool {
        self == FooterChoice::Word(FooterWord::Auto)
    }
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
