//! What can be set, with the words that configuration uses.

use dropforge_sdk::Result;
use dropforge_sdk::prelude::*;
use serde::Serialize;

use crate::encoding::Encoding;

/// The options. Whatever is `auto` is found by looking at the first 64 KiB of the file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Options {
    /// What comes out: `jsonl`, a JSON object for each row, line by line; `json`, one array of these; `csv`, the table in UTF-8 by RFC 4180.
    pub output: Target,
    /// What becomes of rows that are broken: `lenient` keeps every cell that is there, `strict` fails at the first, `skip` leaves them out.
    pub on_error: OnError,
    /// What separates the cells: one ASCII character, `tab`, or `auto`.
    #[schemars(with = "String", regex(pattern = r"^(auto|tab|[\x01-\x09\x0b\x0c\x0e-\x7f])$"))]
    pub delimiter: Choice,
    /// What encloses cells that hold delimiters or line ends: one ASCII character, `none`, or `auto`.
    #[schemars(with = "String", regex(pattern = r"^(auto|none|[!-~])$"))]
    pub quote: Choice,
    /// What makes a delimiter or a quote after it text, besides doubling the quote: one ASCII character, `none`, or `auto`.
    #[schemars(with = "String", regex(pattern = r"^(auto|none|[!-~])$"))]
    pub escape: Choice,
    /// Whether the first row holds the names of the columns: `true`, `false`, or `auto`.
    pub header: Header,
    /// How the text is written as bytes.
    pub encoding: EncodingChoice,
    /// Whether cells become numbers, booleans and nulls where that cannot change what they mean. `false`: every cell is a string, as it
    /// stands.
    pub infer: bool,
    /// Whether that holds for cells in quotes too: for writers that put quotes around everything.
    pub infer_quoted: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            output: Target::Jsonl,
            on_error: OnError::Lenient,
            delimiter: Choice::Auto,
            quote: Choice::Auto,
            escape: Choice::Auto,
            header: Header::Auto(Auto::Auto),
            encoding: EncodingChoice::Auto,
            infer: true,
            infer_quoted: false,
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
        if self.delimiter == Choice::None {
            return refuse("option `delimiter` cannot be `none`: name one ASCII character, `tab`, or `auto`");
        }
        let given = [self.delimiter, self.quote, self.escape].map(|choice| choice.byte());
        let twice = given.iter().enumerate().any(|(index, byte)| byte.is_some() && given.iter().skip(index + 1).any(|other| other == byte));
        if twice {
            return refuse(
                "options `delimiter`, `quote` and `escape` must be different characters (for doubled quotes leave `escape` at `none`)",
            );
        }
        Ok(())
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
            ("tab", _) => Ok(Choice::Is(b'\t')),
            (_, [byte]) if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Ok(Choice::Is(*byte)),
            _ => Err(format!("`{text}` is neither one ASCII character nor `auto`, `tab` or `none`")),
        }
    }
}

impl From<Choice> for String {
    fn from(choice: Choice) -> Self {
        match choice {
            Choice::Auto => "auto".into(),
            Choice::None => "none".into(),
            Choice::Is(b'\t') => "tab".into(),
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
    /// Whatever the file shows.
    Auto(Auto),
}

/// The word `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Auto {
    /// Whatever the file shows.
    Auto,
}

/// The encodings by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EncodingChoice {
    /// Whatever the file shows.
    #[serde(rename = "auto")]
    Auto,
    /// UTF-8.
    #[serde(rename = "utf-8")]
    Utf8,
    /// UTF-16 with the low byte first.
    #[serde(rename = "utf-16le")]
    Utf16Le,
    /// UTF-16 with the high byte first.
    #[serde(rename = "utf-16be")]
    Utf16Be,
    /// Windows-1252, of which ISO 8859-1 is a part.
    #[serde(rename = "windows-1252")]
    Windows1252,
}

impl EncodingChoice {
    /// The encoding, where one is given.
    pub fn given(self) -> Option<Encoding> {
        match self {
            EncodingChoice::Auto => None,
            EncodingChoice::Utf8 => Some(Encoding::Utf8),
            EncodingChoice::Utf16Le => Some(Encoding::Utf16Le),
            EncodingChoice::Utf16Be => Some(Encoding::Utf16Be),
            EncodingChoice::Windows1252 => Some(Encoding::Windows1252),
        }
    }
}
