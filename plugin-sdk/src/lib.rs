//! Write a Dropforge converter: one type, one trait, one line.
//!
//! A converter turns one input into any number of documents. It runs in a sandbox and sees nothing but its input, its options, and the
//! documents, problems, log lines and metrics that it makes. The contract behind this crate is `wit/0.1.0/dropforge.wit`.
//!
//! # A complete converter
//!
//! ```
//! use dropforge_sdk::prelude::*;
//!
//! struct Lines;
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Options {
//!     /// What separates the fields.
//!     #[serde(default = "comma")]
//!     delimiter: char,
//! }
//!
//! fn comma() -> char {
//!     ','
//! }
//!
//! impl Converter for Lines {
//!     type Options = Options;
//!
//!     fn describe() -> Descriptor {
//!         Descriptor::new("lines", "1.0.0", "CSV to JSON Lines").patterns(["*.csv"]).reads(["text/csv"]).writes(["application/x-ndjson"])
//!     }
//!
//!     fn convert(input: &mut Input, options: Options, output: &mut Output) -> Result<Outcome> {
//!         let mut document = output.document("application/x-ndjson", &input.name_with_extension("jsonl"))?;
//!         let mut reader = csv::ReaderBuilder::new().delimiter(options.delimiter as u8).from_reader(input);
//!         let header = reader.headers().map_err(|e| Error::malformed(e.to_string()))?.clone();
//!         for record in reader.records() {
//!             let record = record.map_err(|e| Error::malformed(e.to_string()))?;
//!             let row: serde_json::Map<_, _> = header.iter().zip(&record).map(|(k, v)| (k.into(), v.into())).collect();
//!             serde_json::to_writer(&mut document, &row)?;
//!             document.write_all(b"\n")?;
//!         }
//!         document.finish()?;
//!         Ok(Outcome::Converted)
//!     }
//! }
//!
//! dropforge_sdk::export!(Lines);
//! # let run = dropforge_sdk::testkit::convert::<Lines>(dropforge_sdk::testkit::TestInput::new("a.csv", "x;y\n1;2\n"), serde_json::json!({"delimiter": ";"}));
//! # assert_eq!(run.documents[0].text(), "{\"x\":\"1\",\"y\":\"2\"}\n");
//! # assert_eq!(run.documents[0].name, "a.jsonl");
//! ```
//!
//! `dropforge plugin new NAME` makes a crate of it, `dropforge plugin build` a plugin. Converters are plain Rust: `cargo test` runs them
//! without WebAssembly, against [`testkit`].
//!
//! # Test reports
//!
//! Converters for the files of test stations write their reports through [`report`], which cannot make an invalid one, and read them with [`text`]:
//! lines with their places, encodings, numbers with suffixes, dates in a format.
//!
//! # What the host does
//!
//! Every call gets a fresh instance: keep nothing in statics. A panic reaches the job's log with its message and source line, and fails that
//! job alone. Time, memory and output are limited; when a limit is hit, the job fails whatever `convert` returns.

// The generated bindings name this crate by its name, wherever they are expanded.
#[cfg(target_family = "wasm")]
extern crate self as dropforge_sdk;

mod converter;
mod descriptor;
mod error;
mod glob;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod guest;
mod input;
pub mod log;
pub mod lookup;
pub mod metrics;
mod output;
pub mod report;
#[cfg(not(target_family = "wasm"))]
pub mod testkit;
pub mod text;

pub use converter::{Converter, NoOptions, Outcome, Probe, Suspension};
pub use descriptor::{Descriptor, Metric, MetricKind};
pub use error::{Error, ErrorType, Location, Result};
pub use input::Input;
pub use output::{Document, Output, Severity};

/// What a converter's source file uses: `use dropforge_sdk::prelude::*;`.
pub mod prelude {
    pub use std::io::{BufRead, Read, Seek, Write};

    pub use schemars::JsonSchema;
    pub use serde::Deserialize;

    pub use crate::{Converter, Descriptor, Document, Error, Input, NoOptions, Outcome, Output, Probe, Result, Severity};
}

/// Makes a plugin of a crate: names the type that implements [`Converter`]. Once per crate; it does nothing in native builds.
#[cfg(target_family = "wasm")]
#[macro_export]
macro_rules! export {
    ($converter:ty) => {
        const _: () = {
            struct Component;
            impl $crate::guest::Guest for Component {
                fn describe() -> $crate::guest::types::Descriptor {
                    $crate::guest::describe::<$converter>()
                }
                fn probe(input: &$crate::guest::io::Input) -> $crate::guest::types::ProbeResult {
                    $crate::guest::probe::<$converter>(input)
                }
                fn convert(
                    input: &$crate::guest::io::Input,
                    options: ::std::string::String,
                ) -> ::std::result::Result<$crate::guest::types::Outcome, $crate::guest::types::ConversionError> {
                    $crate::guest::convert::<$converter>(input, options)
                }
            }
    $crate::guest::export_component!(Component with_types_in $crate::guest::bindings);
        };
    };
}

/// Makes a plugin of a crate: names the type that implements [`Converter`]. Once per crate; it does nothing in native builds.
#[cfg(not(target_family = "wasm"))]
#[macro_export]
macro_rules! export {
    ($converter:ty) => {
        const _: fn() = || {
            fn implements_converter<T: $crate::Converter>() {}
            implements_converter::<$converter>();
        };
    };
}
