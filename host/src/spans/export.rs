//! Sends spans to the collector, many together, beside everything else: nobody waits for it, and what it cannot get rid of is dropped, counted
//! and said.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Url};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::headers::Headers;
use super::span::attribute;
use super::{Shared, Tracer};
use crate::config::{Config, TracingConfig, without_query};
use crate::metrics::Metrics;
use crate::upstream::{Body, Caching, Client, Request};

/// Spans that wait to be sent. A job has some six, so this is a few thousand jobs, or some 10 MB.
const WAITING: usize = 16_384;
/// Spans that are sent together.
const AT_ONCE: usize = 512;
/// How long spans wait for others to go with them.
const GATHERING: Duration = Duration::from_secs(1);
/// How long the end of the process may wait for the last spans.
const AT_THE_END: Duration = Duration::from_secs(3);
/// The path below the collector's address that takes spans.
const PATH: &str = "/v1/traces";
/// The bytes of an answer that are read.
const ANSWER_BYTES: usize = 4096;

/// What sends spans, until it is stopped.
pub struct Exporter {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    runtime: Handle,
}

impl Exporter {
    /// Tries whether a start with this configuration would work.
    ///
    /// # Errors
    /// As [`Exporter::start`].
    pub fn check(config: &Config) -> anyhow::Result<()> {
        config.tracing.as_ref().map_or(Ok(()), |tracing| url(tracing).map(drop))
    }

    /// Begins to send spans as the configuration says; none where it says nothing of it.
    ///
    /// # Errors
    /// An address that validation has let pass.
    pub fn start(config: &Config, client: &Client, metrics: Arc<Metrics>) -> anyhow::Result<Option<(Tracer, Exporter)>> {
        let Some(tracing) = &config.tracing else { return Ok(None) };
        let url = url(tracing)?;
        let endpoint = without_query(url.as_str()).to_owned();
        client.expect(Method::POST.as_str(), &endpoint);
        metrics.tracing();
        let (spans, waiting) = mpsc::channel(WAITING);
        // The ratio 1 takes all.
        let below = (tracing.sample_ratio * (1_u64 << 63) as f64) as u64;
        let shared = Arc::new(Shared { below, spans, lost: AtomicU64::new(0), metrics });
        let client = client.aside();
        let runtime = client.handle();
        let sender = Sender {
            shared: Arc::clone(&shared),
            client,
            url,
            endpoint,
            headers: Arc::new(Headers::of(tracing)),
            reading: Arc::default(),
            timeout: Duration::try_from_secs_f64(tracing.timeout_seconds).unwrap_or(AT_THE_END),
            resource: resource(config, tracing),
            failing: false,
        };
        let (stop, stopped) = oneshot::channel();
        let task = runtime.spawn(sender.run(waiting, stopped));
        Ok(Some((Tracer(Some(shared)), Exporter { stop, task, runtime })))
    }

    /// Sends what is waiting, and ends; after a few seconds in any case.
    pub fn stop(self) {
        let _ = self.stop.send(());
        let ended = self.runtime.block_on(async { timeout(AT_THE_END, self.task).await });
        if ended.is_err() {
            tracing::warn!("the last spans did not get to the collector of `tracing.endpoint` in time; they are lost");
        }
    }
}

fn url(config: &TracingConfig) -> anyhow::Result<Url> {
    let address = address(config);
    Url::parse(&address).with_context(|| format!("`tracing.endpoint`: {} is no URL", without_query(&address)))
}

/// The address that spans are sent to.
fn address(config: &TracingConfig) -> String {
    let (base, query) = match config.endpoint.find(['?', '#']) {
        Some(at) => config.endpoint.split_at(at),
        None => (config.endpoint.as_str(), ""),
    };
    let base = base.trim_end_matches('/');
    if base.ends_with(PATH) { format!("{base}{query}") } else { format!("{base}{PATH}{query}") }
}

/// Who sends the spans.
fn resource(config: &Config, tracing: &TracingConfig) -> Resource {
    let values = [
        ("service.name", tracing.service_name.as_str()),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("service.instance.id", &config.instance_id),
        ("dropforge.station", &config.station),
        ("dropforge.location", &config.location),
    ];
    let said = values.into_iter().filter(|(_, value)| !value.is_empty());
    Resource { attributes: said.map(|(name, value)| attribute(name, value.into())).collect(), ..Resource::default() }
}

struct Sender {
    shared: Arc<Shared>,
    client: Arc<Client>,
    url: Url,
    endpoint: String,
    headers: Arc<Headers>,
    /// They are being read.
    reading: Arc<AtomicBool>,
    timeout: Duration,
    resource: Resource,
    /// The last spans did not get there.
    failing: bool,
}

impl Sender {
    async fn run(mut self, mut waiting: mpsc::Receiver<Span>, mut stopped: oneshot::Receiver<()>) {
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                received = waiting.recv_many(&mut batch, AT_ONCE) => if received == 0 { return },
                _ = &mut stopped => break,
            }
            let until = Instant::now() + GATHERING;
            let mut stopping = false;
            while batch.len() < AT_ONCE && !stopping {
                let room = AT_ONCE - batch.len();
                tokio::select! {
                    received = timeout_at(until, waiting.recv_many(&mut batch, room)) => if !matches!(received, Ok(1..)) { break },
                    _ = &mut stopped => stopping = true,
                }
            }
            self.send(batch, self.timeout).await;
            if stopping {
                break;
            }
        }
        waiting.close();
        let end = Instant::now() + AT_THE_END;
        let mut batch = Vec::new();
        while waiting.recv_many(&mut batch, AT_ONCE).await > 0 {
            let left = end.saturating_duration_since(Instant::now());
            self.send(std::mem::take(&mut batch), left.min(self.timeout)).await;
        }
    }

    async fn send(&mut self, batch: Vec<Span>, at_most: Duration) {
        let spans = batch.len() as u64;
        let scope = InstrumentationScope { name: "dropforge".into(), version: env!("CARGO_PKG_VERSION").into(), ..Default::default() };
        let scope_spans = vec![ScopeSpans { scope: Some(scope), spans: batch, ..ScopeSpans::default() }];
        let resource_spans = vec![ResourceSpans { resource: Some(self.resource.clone()), scope_spans, ..ResourceSpans::default() }];
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let (rejected, trouble) = match self.post(body.into(), at_most).await {
            Ok((rejected, reason)) => (rejected.min(spans), Some(reason).filter(|_| rejected > 0)),
            Err(reason) => (spans, Some(reason)),
        };
        self.shared.metrics.trace_spans("exported", spans - rejected);
        self.shared.metrics.trace_spans("dropped", rejected);
        let dropped = rejected + self.shared.lost.swap(0, Ordering::Relaxed);
        self.say(dropped, trouble);
    }

    /// Says that spans are lost, once for each time that it begins: the metric says how many.
    fn say(&mut self, dropped: u64, trouble: Option<String>) {
        match (&trouble, dropped, self.failing) {
            (Some(reason), _, false) => tracing::warn!(
                dropped,
                error = reason,
                "spans do not get to the collector of `tracing.endpoint` and are lost; jobs go on. `trace_spans_total` counts them"
            ),
            (None, 1.., false) => tracing::warn!(
                dropped,
                "more spans come than the collector of `tracing.endpoint` takes; lower `tracing.sample_ratio`. `trace_spans_total` counts them"
            ),
            (None, 0, true) => tracing::info!("spans get to the collector of `tracing.endpoint` again"),
            _ => {}
        }
        self.failing = trouble.is_some() || dropped > 0;
    }

    /// Posts spans. Gives how many the collector did not take, and why.
    async fn post(&self, body: Bytes, at_most: Duration) -> Result<(u64, String), String> {
        let until = Instant::now() + at_most;
        // A file on a share may hang; the threads that answer requests must not, nor do more and more threads wait for it.
        if self.reading.swap(true, Ordering::AcqRel) {
            return Err("the headers are still being read".into());
        }
        let (headers, reading) = (Arc::clone(&self.headers), Arc::clone(&self.reading));
        let read = tokio::task::spawn_blocking(move || {
            let read = headers.read();
            reading.store(false, Ordering::Release);
            read
        });
        let mut headers =
            timeout_at(until, read).await.map_err(|_| "the headers could not be read in time")?.map_err(|error| error.to_string())??;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        let request = Request {
            method: Method::POST,
            url: self.url.clone(),
            endpoint: &self.endpoint,
            headers,
            credentials: None,
            body: Body::Bytes(body),
            // A collector may get spans twice: they have ids.
            repeatable: true,
            most_bytes: ANSWER_BYTES,
            until: Some(until.into_std()),
            caching: Caching::Bypassed,
        };
        let response = self.client.send(&request).await.map_err(|error| error.message)?;
        if !(200..300).contains(&response.status) {
            return Err(format!("{} answered with status {}", self.endpoint, response.status));
        }
        let partial = ExportTraceServiceResponse::decode(response.body.as_slice()).ok().and_then(|answer| answer.partial_success);
        let partial = partial.unwrap_or_default();
        Ok((partial.rejected_spans.max(0).cast_unsigned(), format!("the collector refuses some: {}", partial.error_message)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_go_below_the_collector_s_address_or_to_the_path_that_is_named() {
        let cases = [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("http://collector:4318/", "http://collector:4318/v1/traces"),
            ("https://server/otlp", "https://server/otlp/v1/traces"),
            ("https://server/otlp/v1/traces", "https://server/otlp/v1/traces"),
            ("https://server/otlp?key=1", "https://server/otlp/v1/traces?key=1"),
        ];
        for (endpoint, expected) in cases {
            assert_eq!(address(&TracingConfig::to(endpoint)), expected);
        }
    }
}
