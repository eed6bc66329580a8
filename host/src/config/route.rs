//! A route: where files come from, who converts them, and where their documents go.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Destination, Intake, LimitsOverrides};
use crate::sandbox::Capabilities;

/// Where files come from, who converts them, and where their documents go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// What metrics, logs and commands call it: 1 to 64 of `a-z`, `0-9`, `_` and `-`. Each route has its own.
    #[schemars(extend("pattern" = "^[a-z0-9_-]{1,64}$"))]
    pub name: String,
    /// Who converts: `auto` asks every converter and takes the surest; a name takes that converter; `name@sha256:…` takes it only if the
    /// plugin has that digest.
    #[serde(default)]
    #[schemars(with = "String", extend("pattern" = "^[a-z][a-z0-9_-]{0,63}(@sha256:[0-9A-Fa-f]{64})?$"))]
    pub converter: ConverterChoice,
    /// The time zone in which converters read times without one, such as `Europe/Oslo`. They see it as the attribute `timezone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Attributes that converters see, by name. In a value, `{dir1}` is the first folder below the intake's, `{dir2}` the one below that,
    /// and so on, `{file}` the file's name, and `{stem}` that name without its extension; `{{` and `}}` are braces. A part that a file's path does
    /// not have is left out, and so is an attribute whose value ends up empty.
    #[serde(default)]
    pub context: BTreeMap<String, String>,
    /// The watched folder.
    pub intake: Intake,
    /// The converter's options; `dropforge plugin inspect` shows which there are.
    #[serde(default)]
    pub options: Map<String, Value>,
    /// Where documents go: at least one. Each gets every document.
    #[schemars(length(min = 1))]
    pub destinations: Vec<Destination>,
    /// What happens to a file once its documents are safe, or once it has failed.
    #[serde(default)]
    pub after: After,
    /// What happens if a part of a file could not be converted.
    #[serde(default)]
    pub on_problem: OnProblem,
    /// What happens if a document does not fit the published schema of its media type. There is one for `application/vnd.wats.wsjf+json`.
    #[serde(default)]
    pub on_invalid: OnInvalid,
    /// Files are converted, and what came of them is in the history, but nothing is delivered, and they stay where they are. Once this is
    /// false again, they are taken anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// This route's own limits, where they differ from the general ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsOverrides>,
    /// What this route's converter may reach besides its input, in addition to what `[plugins.NAME]` allows it on every route.
    #[serde(default, skip_serializing_if = "Capabilities::is_empty")]
    pub allow: Capabilities,
    /// How many files of this route are converted at the same time; as many as there are workers if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<NonZeroU32>,
    /// From 1, which is converted first, to 10. Files of equal priority are converted in the order of their arrival. Each step counts as much
    /// as an hour of waiting, so that nothing waits for ever.
    #[serde(default = "middle")]
    #[schemars(range(min = 1, max = 10))]
    pub priority: u8,
    /// The longest that this route is expected to be without a new file, in seconds. It is exposed as the metric
    /// `route_expected_interval_seconds`, so that an alert can tell a silent station from one that has nothing to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 31_536_000))]
    pub expected_interval_seconds: Option<f64>,
}

/// Who converts the files of a route. As text: `auto`, `spea` or `spea@sha256:…`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ConverterChoice {
    /// The converter that is surest that the file is its own.
    #[default]
    Auto,
    /// One converter.
    Named {
        /// The name that the converter gives itself.
        name: String,
        /// The SHA-256 that the plugin must have, in lower-case hexadecimal digits.
        digest: Option<String>,
    },
}

/// Why a text does not name a converter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseConverterChoiceError {
    /// The name breaks the contract's rules for names.
    #[error("`{0}` cannot be the name of a converter: it has 1 to 64 of a-z, 0-9, - and _, and starts with a letter; or write `auto`")]
    Name(String),
    /// What follows the `@` is not a digest.
    #[error("`{0}` is not a digest: write `sha256:` and 64 hexadecimal digits, as `dropforge plugin inspect` shows them")]
    Digest(String),
}

/// What happens to a file once its documents are safe, or once it has failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct After {
    /// What happens to a file that was converted.
    pub success: AfterAction,
    /// What happens to a file that failed, or was converted in part.
    pub error: AfterAction,
    /// After how many days moved files and the history of their jobs are deleted; 0 keeps them for ever.
    pub keep_days: u32,
    /// How many bytes of moved files are kept, `done` and `failed` together; the oldest are deleted first. Without it, age alone counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_bytes: Option<u64>,
}

/// What happens to a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AfterAction {
    /// It is moved to the intake's `done` or `failed` folder.
    #[default]
    Move,
    /// It is deleted.
    Delete,
    /// It stays where it is, and is not converted again unless it changes.
    Keep,
    /// It is compressed into the intake's `done` or `failed` folder.
    Archive,
}

/// What happens if a part of a file could not be converted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnProblem {
    /// The documents of the other parts go out; the file is treated as failed.
    #[default]
    Deliver,
    /// No document goes out; the file is treated as failed.
    Hold,
}

/// What happens if a document does not fit the schema of its media type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnInvalid {
    /// The conversion has failed, with `bad_output`.
    #[default]
    Fail,
    /// It goes out, and the file has a problem of severity `warning`.
    Warn,
    /// It goes out; nobody looks.
    Ignore,
}

impl Default for After {
    fn default() -> Self {
        After { success: AfterAction::Move, error: AfterAction::Move, keep_days: 90, keep_bytes: None }
    }
}

impl Route {
    /// A route with every default: any converter, from one folder to another.
    pub fn new(name: impl Into<String>, inbox: impl Into<PathBuf>, outbox: impl Into<PathBuf>) -> Self {
        Route {
            name: name.into(),
            converter: ConverterChoice::default(),
            timezone: None,
            context: BTreeMap::new(),
            intake: Intake::new(inbox),
            options: Map::new(),
            destinations: vec![Destination::folder(outbox)],
            after: After::default(),
            on_problem: OnProblem::default(),
            on_invalid: OnInvalid::default(),
            dry_run: false,
            limits: None,
            allow: Capabilities::new(),
            concurrency: None,
            priority: middle(),
            expected_interval_seconds: None,
        }
    }
}

impl ConverterChoice {
    /// Whether it can be the converter of this name.
    pub fn admits(&self, converter: &str) -> bool {
        match self {
            ConverterChoice::Auto => true,
            ConverterChoice::Named { name, .. } => name == converter,
        }
    }
}

impl FromStr for ConverterChoice {
    type Err = ParseConverterChoiceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "auto" {
            return Ok(ConverterChoice::Auto);
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        let named_well = name.len() <= 64
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
        if !named_well {
            return Err(ParseConverterChoiceError::Name(name.into()));
        }
        let digest = digest
            .map(|digest| match digest.strip_prefix("sha256:") {
                Some(hex) if hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit()) => Ok(hex.to_ascii_lowercase()),
                _ => Err(ParseConverterChoiceError::Digest(digest.into())),
            })
            .transpose()?;
        Ok(ConverterChoice::Named { name: name.into(), digest })
    }
}

impl TryFrom<String> for ConverterChoice {
    type Error = ParseConverterChoiceError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ConverterChoice> for String {
    fn from(choice: ConverterChoice) -> Self {
        choice.to_string()
    }
}

impl fmt::Display for ConverterChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConverterChoice::Auto => f.write_str("auto"),
            ConverterChoice::Named { name, digest: None } => f.write_str(name),
            ConverterChoice::Named { name, digest: Some(digest) } => write!(f, "{name}@sha256:{digest}"),
        }
    }
}

fn middle() -> u8 {
    5
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn new_is_what_the_shortest_file_gives() {
        let read: Route =
            serde_json::from_str(r#"{"name": "a", "intake": {"path": "in"}, "destinations": [{"type": "folder", "path": "out"}]}"#)
                .unwrap();
        assert_eq!(read, Route::new("a", "in", "out"));
    }

    #[test]
    fn a_converter_is_auto_a_name_or_a_pinned_name() {
        let hex = "0123456789abcdef".repeat(4);
        let named = |name: &str, digest: Option<&str>| ConverterChoice::Named { name: name.into(), digest: digest.map(String::from) };
        let cases = [
            ("auto".to_owned(), ConverterChoice::Auto),
            ("spea".into(), named("spea", None)),
            ("a-b_9".into(), named("a-b_9", None)),
            (format!("spea@sha256:{hex}"), named("spea", Some(&hex))),
            (format!("spea@sha256:{}", hex.to_uppercase()), named("spea", Some(&hex))),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<ConverterChoice>().unwrap(), expected, "{text}");
            assert_eq!(expected.to_string().parse::<ConverterChoice>().unwrap(), expected);
        }
    }

    #[test]
    fn what_names_no_converter_is_said() {
        let digits = "0".repeat(63);
        let long = "a".repeat(65);
        let bad_digest = |digest: &str| ParseConverterChoiceError::Digest(digest.into());
        let bad_name = |name: &str| ParseConverterChoiceError::Name(name.into());
        let cases = [
            (String::new(), bad_name("")),
            ("Spea".into(), bad_name("Spea")),
            ("9a".into(), bad_name("9a")),
            ("a b".into(), bad_name("a b")),
            (long.clone(), bad_name(&long)),
            ("spea@".into(), bad_digest("")),
            ("spea@md5:00".into(), bad_digest("md5:00")),
            (format!("spea@sha256:{digits}"), bad_digest(&format!("sha256:{digits}"))),
            (format!("spea@sha256:{digits}g"), bad_digest(&format!("sha256:{digits}g"))),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<ConverterChoice>().unwrap_err(), expected, "{text}");
        }
    }
}
