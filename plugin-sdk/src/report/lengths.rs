//! How long texts may be, and what becomes of longer ones.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What becomes of a text that is longer than a report allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnLength {
    /// The unit has no report.
    #[default]
    Error,
    /// It is cut, which the report says in its misc infos, and a warning too.
    Truncate,
}

/// The most characters of texts that nothing else is said of.
pub(super) const DEFAULT: usize = 100;
pub(super) const NAME: usize = 200;
pub(super) const COMMENT: usize = 5000;
pub(super) const PATH: usize = 500;
pub(super) const VERSION: usize = 30;
pub(super) const PART_TYPE: usize = 50;
pub(super) const ERROR_MESSAGE: usize = 200;
pub(super) const REPORT_TEXT: usize = 5000;

/// Keeps texts within their lengths, and remembers which were cut.
#[derive(Debug)]
pub(super) struct Texts {
    policy: OnLength,
    /// Which fields were cut, and how often. The fields are those of the format, so that this has a bound.
    pub cut: BTreeMap<&'static str, u64>,
}

impl Texts {
    pub fn new(policy: OnLength) -> Self {
        Texts { policy, cut: BTreeMap::new() }
    }

    /// A text of at most `most` characters.
    ///
    /// # Errors
    /// `Validation` for a longer one, unless it may be cut.
    pub fn fit<'t>(&mut self, field: &'static str, text: &'t str, most: usize) -> Result<Cow<'t, str>> {
        // The characters are only counted where there are enough bytes.
        let end = if text.len() <= most { None } else { text.char_indices().nth(most).map(|(at, _)| at) };
        let Some(end) = end else { return Ok(Cow::Borrowed(text)) };
        match self.policy {
            OnLength::Error => {
                let message = format!(
                    "`{field}` has {} characters, and a report allows {most}: `{}…`; the option `on_length` may be `truncate`",
                    text.chars().count(),
                    text.get(..end).unwrap_or_default()
                );
                Err(Error::validation(message).code("too_long"))
            }
            OnLength::Truncate => {
                *self.cut.entry(field).or_default() += 1;
                Ok(Cow::Borrowed(text.get(..end).unwrap_or_default()))
            }
        }
    }

    /// What was cut, in words; none where nothing was.
    pub fn said(&self) -> Option<String> {
        let fields: Vec<String> = self.cut.iter().map(|(field, count)| format!("{field} ({count})")).collect();
        (!fields.is_empty()).then(|| format!("cut to the allowed length: {}", fields.join(", ")))
    }
}
