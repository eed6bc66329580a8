//! What the user configures: the types with their defaults, and how they are read, checked and shown.
//!
//! A file in TOML or JSON, the environment and the command line become one [`Config`], or a list of everything that is wrong with them.
//! The doc comments of the types are the descriptions in the JSON Schema (`dropforge config schema`). This module must not know what the
//! parts do with their settings: it depends on nothing but the sandbox's plain limits.

mod context;
mod intake;
mod limits;
mod route;
mod types;

pub use context::{Template, TemplateError};
pub use intake::{Intake, Take, Watch};
pub use limits::{LimitsConfig, LimitsOverrides};
pub use route::{After, AfterAction, ConverterChoice, Destination, OnProblem, ParseConverterChoiceError, Route};
pub use types::{Config, Upstream};
