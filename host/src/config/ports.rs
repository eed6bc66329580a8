//! How the daemon's ports are served.

use std::num::NonZeroU32;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the daemon's ports are served: what clients are held to, and TLS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PortsConfig {
    /// How many connections each port serves at a time. Beyond that, those give way that have waited for their clients the longest.
    #[schemars(range(min = 1, max = 65_536))]
    pub max_connections: NonZeroU32,
    /// How many seconds the head of a request may take to arrive. A connection that is kept for the next request is closed after them, too: make
    /// it longer than the interval between two scrapes.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 3600))]
    pub head_seconds: f64,
    /// How many seconds nothing of a body may come, and a client may take nothing of its answer.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 3600))]
    pub idle_seconds: f64,
    /// The certificate of both ports. With it they speak TLS alone, without it none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
}

/// A certificate. Its files are read again when they change; connections stay. What cannot be used leaves the one before in place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// A PEM file with the certificate, followed by those that have signed it.
    pub certificate_file: PathBuf,
    /// A PEM file with its key.
    pub key_file: PathBuf,
    /// A PEM file with certificates of authorities that the commands trust that ask this daemon. They trust the daemon's own certificate without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

impl Default for PortsConfig {
    fn default() -> Self {
        let max_connections = NonZeroU32::MIN.saturating_add(255);
        PortsConfig { max_connections, head_seconds: 75.0, idle_seconds: 30.0, tls: None }
    }
}
