//! The edge to the host: the generated bindings, and the conversions between their types and this crate's. Public only for
//! [`export!`](crate::export); nothing here is meant for converters.

#[allow(
    missing_docs,
    unsafe_code,
    unreachable_pub,
    clippy::all,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit/0.1.0",
        // Only what a converter calls is imported: one that never looks anything up asks for no capability.
        world: "plugin-with-lookup",
        pub_export_macro: true,
        export_macro_name: "export_component",
        default_bindings_module: "dropforge_sdk::guest::bindings",
        runtime_path: "dropforge_sdk::guest::wit_bindgen_rt",
        generate_all,
    });
}

pub use bindings::dropforge::converter::{io, types};
pub use bindings::export_component;
pub use bindings::exports::dropforge::converter::converter::Guest;
pub use wit_bindgen::rt as wit_bindgen_rt;

use bindings::dropforge::converter::{log as host_log, lookup as host_lookup, metrics as host_metrics};

use crate::input::{HostError, RawInput};
use crate::lookup::{LookupError, Response};
use crate::output::{RawDocument, RawOutput};
use crate::{Converter, Descriptor, Error, ErrorType, Input, MetricKind, Outcome, Output, Result, Severity, log::Level};

/// `describe`, for [`export!`](crate::export).
pub fn describe<C: Converter>() -> types::Descriptor {
    report_panics();
    let Descriptor { name, version, description, patterns, media_types_in, media_types_out, metrics } = C::describe();
    types::Descriptor {
        name,
        version,
        description,
        patterns,
        media_types_in,
        media_types_out,
        options_schema: crate::converter::options_schema::<C>(),
        metrics: metrics
            .into_iter()
            .map(|metric| types::Metric {
                name: metric.name,
                kind: match metric.kind {
                    MetricKind::Counter => types::MetricKind::Counter,
                    MetricKind::Gauge => types::MetricKind::Gauge,
                    MetricKind::Histogram => types::MetricKind::Histogram,
                    MetricKind::Summary => types::MetricKind::Summary,
                },
                help: metric.help,
                unit: metric.unit,
                labels: metric.labels,
                buckets: metric.buckets,
            })
            .collect(),
        extra: Vec::new(),
    }
}

/// `probe`, for [`export!`](crate::export).
pub fn probe<C: Converter>(input: &io::Input) -> types::ProbeResult {
    report_panics();
    let answer = C::probe(&mut Input::new(Box::new(Borrowed(input))));
    types::ProbeResult { confidence: answer.confidence, reason: answer.reason }
}

/// `convert`, for [`export!`](crate::export).
///
/// # Errors
/// The converter's own, or `validation` for options that do not fit its type although they fit its schema.
pub fn convert<C: Converter>(input: &io::Input, options: String) -> std::result::Result<types::Outcome, types::ConversionError> {
    report_panics();
    let options = crate::converter::parse_options::<C>(&options).map_err(error_out)?;
    let outcome = C::convert(&mut Input::new(Box::new(Borrowed(input))), options, &mut Output::new(Box::new(Host)));
    match outcome {
        Ok(Outcome::Converted) => Ok(types::Outcome::Converted),
        Ok(Outcome::Skipped(reason)) => Ok(types::Outcome::Skipped(reason)),
        Ok(Outcome::Suspended(suspension)) => Ok(types::Outcome::Suspended(types::Suspension {
            reason: suspension.reason,
            retry_after_ms: suspension.retry_after.as_millis().try_into().unwrap_or(u64::MAX),
            awaits: suspension.awaits,
        })),
        Ok(Outcome::Rejected(error)) => Ok(types::Outcome::Rejected(error_out(error))),
        Err(error) => Err(error_out(error)),
    }
}

/// Sends a line to the host's log.
pub(crate) fn log(level: Level, message: &str, fields: &[(&str, &str)]) {
    let level = match level {
        Level::Trace => host_log::Level::Trace,
        Level::Debug => host_log::Level::Debug,
        Level::Info => host_log::Level::Info,
        Level::Warn => host_log::Level::Warn,
        Level::Error => host_log::Level::Error,
    };
    let fields: Vec<(String, String)> = fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    host_log::log(level, message, &fields);
}

/// Sends an observation to the host.
pub(crate) fn observe(name: &str, value: f64, labels: &[&str]) {
    let labels: Vec<String> = labels.iter().map(|label| (*label).into()).collect();
    host_metrics::observe(name, value, &labels);
}

/// Asks the host's server.
pub(crate) fn look_up(path: &str, query: &[(&str, &str)]) -> Result<Response, LookupError> {
    let query: Vec<(String, String)> = query.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    match host_lookup::get(path, &query) {
        Ok(host_lookup::Response { status, media_type, body }) => Ok(Response { status, media_type, body }),
        Err(host_lookup::LookupError::Denied(text)) => Err(LookupError::Denied(text)),
        Err(host_lookup::LookupError::Budget(text)) => Err(LookupError::Budget(text)),
        Err(host_lookup::LookupError::Unavailable(text)) => Err(LookupError::Unavailable(text)),
        Err(host_lookup::LookupError::Other(text)) => Err(LookupError::Other(text)),
    }
}

/// A panic aborts, which the host sees as a trap without words: this says the words first.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("a panic without a message");
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default();
        log(Level::Error, &format!("panicked at {place}: {message}"), &[("panic", message), ("at", &place)]);
    }));
}

/// The input that the host lent for the call.
struct Borrowed<'a>(&'a io::Input);

/// A member, which this side owns.
struct Owned(io::Input);

impl RawInput for Borrowed<'_> {
    fn id(&self) -> String {
        self.0.id()
    }
    fn name(&self) -> String {
        self.0.name()
    }
    fn path(&self) -> String {
        self.0.path()
    }
    fn size(&self) -> u64 {
        self.0.size()
    }
    fn media_type(&self) -> Option<String> {
        self.0.media_type()
    }
    fn modified(&self) -> Option<(i64, u32)> {
        self.0.modified().map(|time| (time.seconds, time.nanoseconds))
    }
    fn attributes(&self) -> Vec<(String, String)> {
        self.0.attributes()
    }
    fn read(&self, max: u32) -> Result<Vec<u8>> {
        self.0.read(max).map_err(error_in)
    }
    fn seek(&self, offset: u64) -> Result<()> {
        self.0.seek(offset).map_err(error_in)
    }
    fn members(&self) -> Vec<String> {
        self.0.members()
    }
    fn open_member(&self, name: &str) -> Result<Box<dyn RawInput>> {
        Ok(Box::new(Owned(self.0.open_member(name).map_err(error_in)?)))
    }
}

impl RawInput for Owned {
    fn id(&self) -> String {
        Borrowed(&self.0).id()
    }
    fn name(&self) -> String {
        Borrowed(&self.0).name()
    }
    fn path(&self) -> String {
        Borrowed(&self.0).path()
    }
    fn size(&self) -> u64 {
        Borrowed(&self.0).size()
    }
    fn media_type(&self) -> Option<String> {
        Borrowed(&self.0).media_type()
    }
    fn modified(&self) -> Option<(i64, u32)> {
        Borrowed(&self.0).modified()
    }
    fn attributes(&self) -> Vec<(String, String)> {
        Borrowed(&self.0).attributes()
    }
    fn read(&self, max: u32) -> Result<Vec<u8>> {
        Borrowed(&self.0).read(max)
    }
    fn seek(&self, offset: u64) -> Result<()> {
        Borrowed(&self.0).seek(offset)
    }
    fn members(&self) -> Vec<String> {
        Borrowed(&self.0).members()
    }
    fn open_member(&self, name: &str) -> Result<Box<dyn RawInput>> {
        Borrowed(&self.0).open_member(name)
    }
}

/// The host's side of an output.
struct Host;

impl RawOutput for Host {
    fn create(&mut self, media_type: &str, name: &str) -> Result<Box<dyn RawDocument>> {
        Ok(Box::new(HostDocument(io::create_document(media_type, name).map_err(error_in)?)))
    }
    fn problem(&mut self, severity: Severity, error: Error) -> Result<()> {
        let severity = match severity {
            Severity::Warning => types::Severity::Warning,
            Severity::Error => types::Severity::Error,
        };
        io::problem(severity, &error_out(error)).map_err(error_in)
    }
}

/// The host's side of a document.
struct HostDocument(io::Document);

impl RawDocument for HostDocument {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.write(bytes).map_err(error_in)
    }
    fn set_attribute(&mut self, name: &str, value: &str) -> Result<()> {
        self.0.set_attribute(name, value).map_err(error_in)
    }
    fn set_key(&mut self, key: &str) -> Result<()> {
        self.0.set_key(key).map_err(error_in)
    }
    fn finish(&mut self) -> Result<()> {
        self.0.finish().map_err(error_in)
    }
}

fn error_in(error: io::IoError) -> Error {
    match error {
        io::IoError::Limit(message) => Error::from_host(HostError::Limit, message),
        io::IoError::NotFound(message) => Error::from_host(HostError::NotFound, message),
        io::IoError::Failed(message) => Error::from_host(HostError::Failed, message),
    }
}

fn error_out(error: Error) -> types::ConversionError {
    types::ConversionError {
        kind: match error.kind {
            ErrorType::Malformed => types::ErrorType::Malformed,
            ErrorType::Encoding => types::ErrorType::Encoding,
            ErrorType::Validation => types::ErrorType::Validation,
            ErrorType::MissingField => types::ErrorType::MissingField,
            ErrorType::Unsupported => types::ErrorType::Unsupported,
            ErrorType::Upstream => types::ErrorType::Upstream,
            ErrorType::Internal => types::ErrorType::Internal,
        },
        code: error.code,
        message: error.message,
        at: error.at.map(|at| types::Location { line: at.line, column: at.column, offset: at.offset }),
    }
}
