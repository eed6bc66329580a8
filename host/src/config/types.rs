//! The root of the configuration.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ConverterChoice, HttpConfig, LimitsConfig, LimitsOverrides, LoadingConfig, LogConfig, PortsConfig, Route, SignaturesConfig,
    SuspensionConfig, TracingConfig, Upstream,
};
use crate::sandbox::{Capabilities, Limits};

/// The configuration of Dropforge.
///
/// Relative paths in a configuration file are relative to that file's folder, those on the command line and in the environment to the
/// working directory. A loaded configuration holds absolute paths.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Dropforge configuration")]
pub struct Config {
    /// Tells this daemon from others in metrics and logs.
    pub instance_id: String,
    /// The station that the files come from, for metrics. A hub of many stations names each file's station in the route's `context`.
    pub station: String,
    /// Where the station stands, for metrics.
    pub location: String,
    /// The folder of the queue, the spool and the compiled converters, on a local disk. One daemon at a time uses it. The default is the
    /// platform's state folder: `/var/lib/dropforge` for root, else `$XDG_STATE_HOME/dropforge` or `~/.local/state/dropforge`;
    /// `%LOCALAPPDATA%\dropforge` on Windows.
    #[serde(skip_serializing_if = "is_empty")]
    pub state_dir: PathBuf,
    /// The address that both ports listen on. `0.0.0.0` admits other machines.
    pub bind_address: IpAddr,
    /// The port of the health endpoints, the API and the web page. 0 takes any free port.
    pub health_port: u16,
    /// The port of `/metrics` for Prometheus. 0 takes any free port.
    pub metrics_port: u16,
    /// Whether `/metrics` speaks Prometheus. If false, the metrics port stays closed and `/metrics` on the health port is JSON.
    pub enable_metrics: bool,
    /// Whether answers of servers to look-ups are cached. What a server forbids to keep is not.
    pub enable_cache: bool,
    /// How many seconds a cached answer of the upstream server is used at most; fewer where the server says so.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 31_536_000))]
    pub cache_ttl_seconds: f64,
    /// How many answers of the upstream server are cached at most.
    #[schemars(range(min = 1))]
    pub cache_max_size: u64,
    /// How many bytes of memory they take at most.
    #[schemars(range(min = 1))]
    pub cache_max_bytes: u64,
    /// The folder of the plugins. A `.wasm` file that is put there is live a moment later.
    pub plugins_dir: PathBuf,
    /// Whether the converters inside the program are there too, where it was built with some. A plugin in `plugins_dir` goes before the one of
    /// its name.
    pub bundled_plugins: bool,
    /// How many files are converted at the same time; one per core if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<NonZeroUsize>,
    /// How many seconds a worker may be late, beyond what a conversion may take at most, before it is given up and another is started in its
    /// place. A converter cannot make a worker late; a disk or a share that hangs can.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 31_536_000))]
    pub overdue_seconds: f64,
    /// How many seconds running conversions have to end when the daemon stops. What has not ended then is converted after the next start.
    #[schemars(extend("minimum" = 0, "maximum" = 31_536_000))]
    pub drain_seconds: f64,
    /// Below this many free bytes on the disk of `state_dir` nothing is taken in until twice as many are free, and the daemon is not ready.
    pub min_free_bytes: u64,
    /// How many jobs may be queued before nothing more is taken in. From 80 % of this on, files are taken slowly and the daemon is not
    /// ready, until it is 70 %.
    #[schemars(range(min = 1))]
    pub max_queued: u64,
    /// How many bytes of documents may wait for their destinations before nothing more is taken in. From 80 % of this on, files are taken
    /// slowly and the daemon is not ready, until it is 70 %.
    #[schemars(range(min = 1))]
    pub max_spool_bytes: u64,
    /// What one conversion may use. A table of that name in `plugins.NAME` holds what one converter may use instead, and one in a route what
    /// conversions on that route may; the route's goes before the converter's.
    pub limits: LimitsConfig,
    /// What loading one plugin may use.
    pub loading: LoadingConfig,
    /// When a converter is left alone that fails again and again.
    pub suspension: SuspensionConfig,
    /// Whose plugins are loaded.
    pub signatures: SignaturesConfig,
    /// How the ports are served.
    pub server: PortsConfig,
    /// The log in a file, besides standard error.
    pub log: LogConfig,
    /// How many settled jobs the history holds at most; the oldest are forgotten first.
    #[schemars(range(min = 1))]
    pub history_max_jobs: u64,
    /// The cache of conversion results.
    pub result_cache: ResultCacheConfig,
    /// What is set for single converters, by the names that they give themselves.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub plugins: BTreeMap<String, PluginConfig>,
    /// How servers are spoken to: all of `destinations`, and `upstream`.
    pub http: HttpConfig,
    /// The server that converters may ask and documents may go to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Upstream>,
    /// Where spans of jobs are sent, for OpenTelemetry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracing: Option<TracingConfig>,
    /// Where files come from, who converts them, and where their documents go.
    pub routes: Vec<Route>,
}

/// The cache of conversion results. A file that was converted before, by the same plugin with the same options, is not converted again: its
/// documents come from the cache. Only results that cannot depend on anything else are kept there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResultCacheConfig {
    /// Whether there is one.
    pub enabled: bool,
    /// For how many seconds a result is used.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 31_536_000))]
    pub ttl_seconds: f64,
    /// How many results it holds at most.
    #[schemars(range(min = 1))]
    pub max_entries: u64,
    /// How many bytes they take at most: small documents in memory, large ones in `state_dir`.
    #[schemars(range(min = 1))]
    pub max_bytes: u64,
}

impl Default for ResultCacheConfig {
    fn default() -> Self {
        ResultCacheConfig { enabled: true, ttl_seconds: 3600.0, max_entries: 10_000, max_bytes: 64 << 20 }
    }
}

/// What is set for one converter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PluginConfig {
    /// How many files it converts at the same time, over all routes; as many as there are workers if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<NonZeroU32>,
    /// What it may reach besides its input, on every route. Without this, and without the route's own `allow`, it reaches nothing.
    #[serde(skip_serializing_if = "Capabilities::is_empty")]
    pub allow: Capabilities,
    /// This converter's own limits, where they differ from the general ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsOverrides>,
}

impl Default for Config {
    /// What holds without any configuration. `state_dir` is empty here: [`load`](super::load) fills it in, because it depends on the machine.
    fn default() -> Self {
        Config {
            instance_id: "default".into(),
            station: String::new(),
            location: String::new(),
            state_dir: PathBuf::new(),
            bind_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            health_port: 8080,
            metrics_port: 9090,
            enable_metrics: true,
            enable_cache: true,
            cache_ttl_seconds: 300.0,
            cache_max_size: 1000,
            cache_max_bytes: 64 << 20,
            plugins_dir: "plugins".into(),
            bundled_plugins: true,
            workers: None,
            overdue_seconds: 60.0,
            drain_seconds: 30.0,
            min_free_bytes: 1 << 30,
            max_queued: 1_000_000,
            max_spool_bytes: 10 << 30,
            limits: LimitsConfig::default(),
            loading: LoadingConfig::default(),
            suspension: SuspensionConfig::default(),
            signatures: SignaturesConfig::default(),
            server: PortsConfig::default(),
            log: LogConfig::default(),
            history_max_jobs: 1_000_000,
            result_cache: ResultCacheConfig::default(),
            plugins: BTreeMap::new(),
            http: HttpConfig::default(),
            upstream: None,
            tracing: None,
            routes: Vec::new(),
        }
    }
}

impl Config {
    /// How many files a converter converts at the same time; none where as many as there are workers.
    pub fn concurrency_of(&self, converter: &str) -> Option<u32> {
        self.plugins.get(converter)?.concurrency.map(NonZeroU32::get)
    }

    /// What a conversion by `converter` on `route` may use: what the route sets, else the converter, else everybody. Without a
    /// route, or before a converter is chosen, what is set for one does not count.
    pub fn limits_for(&self, route: Option<&Route>, converter: Option<&str>) -> LimitsConfig {
        let of_converter = converter.and_then(|name| self.plugins.get(name)?.limits.as_ref());
        let of_route = route.and_then(|route| route.limits.as_ref());
        let set = [of_converter, of_route];
        set.into_iter().flatten().fold(self.limits.clone(), |limits, overrides| overrides.apply(&limits))
    }

    /// What any conversion on `route` may use: one for each converter that limits are set for and that the route may choose, and the
    /// general ones.
    pub fn all_limits_for<'a>(&'a self, route: Option<&'a Route>) -> impl Iterator<Item = LimitsConfig> + 'a {
        let named = match route.map(|route| &route.converter) {
            Some(ConverterChoice::Named { name, .. }) => Some(name.as_str()),
            Some(ConverterChoice::Auto) | None => None,
        };
        let others = self.plugins.keys().map(String::as_str).filter(move |_| named.is_none());
        std::iter::once(named).chain(others.map(Some)).map(move |converter| self.limits_for(route, converter))
    }

    /// The largest file that a conversion on `route` may read, in bytes, whichever converter takes it.
    pub fn largest_input(&self, route: Option<&Route>) -> u64 {
        self.all_limits_for(route).map(|limits| limits.input_bytes).max().unwrap_or(self.limits.input_bytes)
    }

    /// The limits of `describe`.
    pub fn describe_limits(&self) -> Limits {
        let routes = std::iter::once(None).chain(self.routes.iter().map(Some));
        let all: Vec<LimitsConfig> = routes.flat_map(|route| self.all_limits_for(route)).collect();
        self.loading.to_describe_limits(&all)
    }
}

fn is_empty(path: &Path) -> bool {
    path.as_os_str().is_empty()
}
