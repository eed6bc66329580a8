//! What the user configures: the types with their defaults, and how they are read, checked and shown.
//!
//! A file in TOML or JSON, the environment and the command line become one [`Config`], or a list of everything that is wrong with them.
//! The doc comments of the types are the descriptions in the JSON Schema (`dropforge config schema`). This module must not know what the
//! parts do with their settings: it depends on nothing but the sandbox's plain limits.

mod address;
mod braces;
mod changes;
mod context;
mod destination;
mod env;
mod error;
mod grants;
mod http;
mod intake;
mod json_lines;
mod limits;
mod load;
mod log;
mod paths;
mod patterns;
mod ports;
mod pywats;
mod route;
mod schema;
mod shape;
mod show;
mod signatures;
mod suspension;
#[cfg(test)]
mod tests;
mod text;
mod tracing;
mod types;
mod validate;

pub use address::{Address, AddressError, MissingPart, Part};
pub use context::{Template, TemplateError};
pub use destination::{CredentialKeys, Destination, FolderDestination, HttpDestination, HttpMethod, ObjectStoreDestination, without_query};
pub use error::{ConfigError, ConfigErrors, Place};
pub use grants::Grants;
pub use http::{HttpConfig, Upstream};
pub use intake::{Bundle, Intake, Take, Watch};
pub use limits::{LimitsConfig, LimitsOverrides, LoadingConfig};
pub use load::{DEFAULT_FILE, DEFAULT_ROUTE, Loaded, Need, Overrides, Sources, import, load, locate, log_of};
pub use log::LogConfig;
pub use patterns::{PatternError, Patterns, path_pattern};
pub use ports::{PortsConfig, TlsConfig};
pub use route::{After, AfterAction, ConverterChoice, OnInvalid, OnProblem, ParseConverterChoiceError, Route};
pub use schema::schema;
pub use signatures::{SignaturePolicy, SignaturesConfig};
pub use suspension::SuspensionConfig;
pub use tracing::TracingConfig;
pub use types::{Config, PluginConfig, ResultCacheConfig};
