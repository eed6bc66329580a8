//! What a converter implements.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{Descriptor, Error, Input, Output, Result};

/// A converter. The type itself holds nothing: every call runs in a fresh instance, so there is no `self`.
pub trait Converter {
    /// The options; [`NoOptions`] where there are none. Their JSON Schema goes into the descriptor by itself, with doc comments as
    /// descriptions and `#[serde(default)]`s as defaults. The host validates against it before `convert` is called.
    type Options: DeserializeOwned + JsonSchema;

    /// Says what this converter is. The same answer every time.
    fn describe() -> Descriptor;

    /// Says whether `input` is one of this converter's. It sees the first 64 KiB.
    ///
    /// The default goes by media type and file name ([`Probe::by_name`]). Where the content can tell, look at it: by custom a name alone is
    /// worth at most 50, content that proves the format 90 and more.
    fn probe(input: &mut Input) -> Probe {
        Probe::by_name(&Self::describe(), input)
    }

    /// Converts one input.
    ///
    /// Finish every document that is to exist. For a part of the input that is broken, leave its document unfinished, report
    /// it with [`Output::problem`], and go on.
    ///
    /// # Errors
    /// The job fails with the error's type and place. [`crate::ErrorType::Upstream`] is tried again later, `Internal` once, all others never.
    fn convert(input: &mut Input, options: Self::Options, output: &mut Output) -> Result<Outcome>;
}

/// For converters without options.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct NoOptions {}

/// How a conversion ended, unless with an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The finished documents are the result.
    Converted,
    /// Not for this converter, with the reason: the next candidate gets the file.
    Skipped(String),
    /// Not yet: something is missing that is likely to come.
    Suspended(Suspension),
    /// This input will never be converted, and that is no defect.
    Rejected(Error),
}

/// Why a conversion cannot happen yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// A sentence for people.
    pub reason: String,
    /// When to call again; the host keeps it between 1 s and 24 h.
    pub retry_after: Duration,
    /// Plain names in the input's own folder; the host calls again as soon as all of them are there.
    pub awaits: Vec<String>,
}

/// How sure a converter is that an input is its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// 0: not mine; 100: certain.
    pub confidence: u8,
    /// Why, in a few words, for the job's history.
    pub reason: String,
}

impl Probe {
    /// An answer with its reason.
    pub fn new(confidence: u8, reason: impl Into<String>) -> Self {
        Probe { confidence: confidence.min(100), reason: reason.into() }
    }

    /// Not this converter's, and why not.
    pub fn no(reason: impl Into<String>) -> Self {
        Probe::new(0, reason)
    }

    /// What the media type and the file name alone say: 60 for a media type that the descriptor names, 50 for a pattern, else 0.
    pub fn by_name(descriptor: &Descriptor, input: &Input) -> Self {
        if let Some(media_type) = input.media_type()
            && descriptor.media_types_in.contains(&media_type)
        {
            return Probe::new(60, format!("media type {media_type}"));
        }
        let (name, path) = (input.name(), input.path());
        match descriptor.patterns.iter().find(|pattern| crate::glob::matches_file(pattern, &name, &path)) {
            Some(pattern) => Probe::new(50, format!("name matches {pattern}")),
            None => Probe::no("neither name nor media type match"),
        }
    }
}

/// The JSON Schema of a converter's options. Options that the type does not know are errors, so that a misspelt one is found when the
/// configuration is read and not by a wrong document.
pub(crate) fn options_schema<C: Converter>() -> String {
    let mut schema = schemars::schema_for!(C::Options);
    if let Some(object) = schema.as_object_mut()
        && object.get("type").is_some_and(|kind| kind == "object")
    {
        object.entry("additionalProperties").or_insert(false.into());
    }
    schema.to_value().to_string()
}

/// Reads the options that `convert` was called with.
pub(crate) fn parse_options<C: Converter>(options: &str) -> Result<C::Options> {
    serde_json::from_str(options).map_err(|error| Error::validation(format!("options: {error}")).code("options"))
}
