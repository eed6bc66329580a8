//! Spans for OpenTelemetry.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Spans of jobs for OpenTelemetry: they are sent to a collector by OTLP over HTTP (protobuf). Without this table there are none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TracingConfig {
    /// The collector's address: `http://` or `https://`, without a user name or password. Spans are sent to `/v1/traces` below it.
    pub endpoint: String,
    /// A file with headers to send along, such as a key: `NAME=VALUE`, with a comma or a new line between them. It is read each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers_file: Option<PathBuf>,
    /// The variable of the environment that holds such headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers_env: Option<String>,
    /// The share of jobs that are traced, from 0 to 1. One that was posted with a `traceparent` is traced if that says so.
    #[serde(default = "all")]
    #[schemars(extend("minimum" = 0, "maximum" = 1))]
    pub sample_ratio: f64,
    /// What the collector calls the service. Daemons are told apart by `instance_id`, their `service.instance.id`.
    #[serde(default = "dropforge")]
    pub service_name: String,
    /// How many seconds the collector may take for one request. No job waits for it.
    #[serde(default = "ten_seconds")]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 3600))]
    pub timeout_seconds: f64,
}

impl TracingConfig {
    /// Every span to a collector that asks for no header.
    pub fn to(endpoint: impl Into<String>) -> Self {
        TracingConfig {
            endpoint: endpoint.into(),
            headers_file: None,
            headers_env: None,
            sample_ratio: all(),
            service_name: dropforge(),
            timeout_seconds: ten_seconds(),
        }
    }
}

fn all() -> f64 {
    1.0
}

fn dropforge() -> String {
    "dropforge".into()
}

fn ten_seconds() -> f64 {
    10.0
}
