//! The client itself. What comes from its cache of answers is in `cached`.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Certificate, Method, Proxy, Url};
use tokio::runtime::Handle;

use super::Credentials;
use super::error::{ClientError, RequestError, RequestErrorKind};
use super::health::{Health, Record, Seen};
use super::host::{Host, Hosts, name_of};
use crate::cache::responses::{Resource, ResponseCache};
use crate::config::{Config, Destination, HttpConfig, Upstream, without_query};
use crate::metrics::Metrics;

/// How often a request that may be repeated is tried at once, before whoever made it has to wait.
const ATTEMPTS: u32 = 3;
/// The longest pause before the second attempt; doubled for the next.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// A server that asks for more than this is not waited for here.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The answer to a ping is not kept.
const PING_BYTES: usize = 4096;

/// The one HTTP client of the process.
pub struct Client {
    /// None where the configuration names no server: then there are no certificates to load.
    http: Option<reqwest::Client>,
    hosts: Hosts,
    /// Of one attempt.
    timeout: Duration,
    metrics: Arc<Metrics>,
    runtime: Handle,
    upstream: Option<Watched>,
    cache: Option<Arc<ResponseCache>>,
}

/// The upstream server, and what is known of it.
struct Watched {
    origin: String,
    record: Record,
}

/// A request.
#[derive(Debug)]
pub struct Request<'a> {
    /// What to do.
    pub method: Method,
    /// With what.
    pub url: Url,
    /// What metrics call it: a template, never a URL with parts of documents in it.
    pub endpoint: &'a str,
    /// Headers besides those that the client sets.
    pub headers: HeaderMap,
    /// What to present.
    pub credentials: Option<&'a Credentials>,
    /// What to send.
    pub body: Body,
    /// To do it twice is as good as once: by its method, or because the server can tell by a key.
    pub repeatable: bool,
    /// Bytes of the answer that are kept.
    pub most_bytes: usize,
    /// When it must have ended, attempts and pauses included; without it, only the configured times hold.
    pub until: Option<Instant>,
    /// Whether an earlier answer will do.
    pub caching: Caching,
}

/// Whether an earlier answer to a request will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caching {
    /// Where it is a GET, and the server allows it.
    Allowed,
    /// No: the server itself is to answer. Nor is its answer kept.
    Bypassed,
}

/// What a request sends.
#[derive(Debug, Clone)]
pub enum Body {
    /// Nothing.
    Empty,
    /// These bytes.
    Bytes(Bytes),
    /// A file, read while it is sent, and anew for every attempt.
    File(PathBuf),
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// The code.
    pub status: u16,
    /// How long the server asks to be left alone.
    pub retry_after: Option<Duration>,
    /// Where it says that the thing is, without what follows a `?`.
    pub location: Option<String>,
    /// What kind of thing it says: lower case, without parameters; empty where that is not said.
    pub media_type: String,
    /// The beginning of what it says.
    pub body: Vec<u8>,
    /// Whether that is all of it.
    pub whole: bool,
    /// All headers.
    pub(super) headers: HeaderMap,
}

impl Response {
    /// When the server says that it is now.
    pub fn date(&self) -> Option<jiff::Timestamp> {
        let date = self.headers.get(reqwest::header::DATE)?.to_str().ok()?;
        jiff::fmt::rfc2822::parse(date).ok().map(|date| date.timestamp())
    }
}

impl Client {
    /// Makes the client. Its requests run on `runtime`, and whoever waits for them elsewhere may block.
    ///
    /// # Errors
    /// Where certificates or the proxy cannot be used.
    pub fn new(config: &Config, metrics: Arc<Metrics>, runtime: Handle) -> Result<Arc<Client>, ClientError> {
        // Another part of the process may have done it; there is only the one provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let needed = config.upstream.is_some()
            || config.tracing.is_some()
            || config.routes.iter().flat_map(|route| &route.destinations).any(|destination| matches!(destination, Destination::Http(_)));
        let http = if needed { Some(build(&config.http)?) } else { None };
        let origin =
            config.upstream.as_ref().and_then(|upstream| Url::parse(&upstream.url).ok()).map(|url| url.origin().ascii_serialization());
        let upstream = origin.map(|origin| Watched { origin, record: Record::default() });
        let hosts = Hosts::new(config.http.requests_per_second);
        let cache = ResponseCache::new(config, &metrics).map(Arc::new);
        if let Some(cache) = cache.clone() {
            metrics.on_scrape(Box::new(move |_| cache.report()));
        }
        Ok(Arc::new(Client { http, hosts, timeout: seconds(config.http.timeout_seconds), metrics, runtime, upstream, cache }))
    }

    /// A client for what is beside the work, such as spans: what fails of it keeps no document back, takes no share of `requests_per_second`, and
    /// says nothing of the upstream server, even where all of these are one server.
    pub fn aside(&self) -> Arc<Client> {
        Arc::new(Client {
            http: self.http.clone(),
            hosts: Hosts::new(0.0),
            timeout: self.timeout,
            metrics: Arc::clone(&self.metrics),
            runtime: self.runtime.clone(),
            upstream: None,
            cache: None,
        })
    }

    /// Asks the upstream server from time to time whether it is there, as long as there is this client.
    pub fn watch(self: &Arc<Self>, upstream: &Upstream) {
        self.expect(Method::GET.as_str(), without_query(&upstream.url));
        self.runtime.spawn(ping(Arc::downgrade(self), upstream.clone()));
    }

    /// Makes the metrics of requests known that are going to be made.
    pub fn expect(&self, method: &str, endpoint: &str) {
        self.metrics.http_endpoint(method, endpoint);
    }

    /// Where its requests run.
    pub fn handle(&self) -> Handle {
        self.runtime.clone()
    }

    /// Answers to earlier requests; none where the configuration wants none kept.
    pub fn cache(&self) -> Option<&Arc<ResponseCache>> {
        self.cache.as_ref()
    }

    /// How the upstream server is doing; none where the configuration names none.
    pub fn upstream_health(&self) -> Option<Health> {
        self.upstream.as_ref().map(|upstream| upstream.record.health())
    }

    /// Makes a request and waits for its end, on a thread that may block.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn send_blocking(&self, request: &Request<'_>) -> Result<Response, RequestError> {
        self.runtime.block_on(self.send(request))
    }

    /// Makes a request, or answers it from the cache; one that may be repeated is tried again after a short while if that can help.
    ///
    /// # Errors
    /// Where there was no answer. Every answer is none, whatever it says.
    pub async fn send(&self, request: &Request<'_>) -> Result<Response, RequestError> {
        let Some(cache) = &self.cache else { return self.exchange(request).await };
        if request.method == Method::GET {
            let cacheable = request.caching == Caching::Allowed && matches!(request.body, Body::Empty);
            return if cacheable { self.cached(cache, request).await } else { self.exchange(request).await };
        }
        let result = self.exchange(request).await;
        // RFC 9111, 4.4: also where the answer is that the thing is somewhere else now.
        let is_write = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(&request.method);
        if is_write && result.as_ref().is_ok_and(|response| (200..400).contains(&response.status)) {
            cache.written(&Resource::of(&request.url));
        }
        result
    }

    /// Asks the server itself.
    pub(super) async fn exchange(&self, request: &Request<'_>) -> Result<Response, RequestError> {
        let host = self.hosts.of(&request.url);
        let mut attempt = 1;
        loop {
            let result = self.attempt(request, &host).await;
            let retry_after = match &result {
                Ok(response) if response.is_passing() => response.retry_after,
                Err(error) if matches!(error.kind, RequestErrorKind::Timeout | RequestErrorKind::Connect) => error.retry_after,
                _ => return result,
            };
            let longest = FIRST_PAUSE.saturating_mul(1 << attempt);
            let pause = longest.mul_f64(fastrand::f64()).max(retry_after.unwrap_or_default());
            let too_late = request.until.is_some_and(|until| Instant::now() + pause >= until);
            if !request.repeatable || attempt >= ATTEMPTS || pause > LONGEST_PAUSE || too_late {
                return result;
            }
            attempt += 1;
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(&self, request: &Request<'_>, host: &Host) -> Result<Response, RequestError> {
        let name = name_of(&request.url);
        let (method, endpoint) = (request.method.as_str(), request.endpoint);
        let permit = match host.breaker.admit() {
            Ok(permit) => permit,
            Err(left) => {
                self.metrics.http_request(method, endpoint, "breaker_open", Duration::ZERO);
                return Err(RequestError::breaker_open(&name, left, &host.breaker.last_failure()));
            }
        };
        let turn = host.rate.take();
        if request.until.is_some_and(|until| Instant::now() + turn >= until) {
            return Err(RequestError::unsent_in_time(&name));
        }
        if !turn.is_zero() {
            tokio::time::sleep(turn).await;
        }
        let prepared = self.prepare(request).await?;
        let _active = self.metrics.http_active(method, endpoint);
        let began = Instant::now();
        let result = exchange(prepared, request.most_bytes).await.map_err(|error| RequestError::of(&error, &name));
        let status = match &result {
            Ok(response) => response.status.to_string(),
            Err(error) => error.kind.as_status().unwrap_or("connect").to_string(),
        };
        self.metrics.http_request(method, endpoint, &status, began.elapsed());
        let seen = match &result {
            Ok(response) if response.status >= 500 => Seen::ServerError,
            Ok(_) => Seen::Answer,
            Err(_) => Seen::Nothing,
        };
        if let Some(upstream) = self.upstream.as_ref().filter(|upstream| upstream.origin == request.url.origin().ascii_serialization()) {
            upstream.record.add(seen);
        }
        match &result {
            Ok(response) if seen == Seen::ServerError => permit.failed(&format!("it answered with status {}", response.status)),
            Ok(_) => permit.succeeded(),
            Err(error) => permit.failed(&error.message),
        }
        result
    }

    async fn prepare(&self, request: &Request<'_>) -> Result<reqwest::RequestBuilder, RequestError> {
        let client = self.http.as_ref().ok_or_else(|| RequestError::unsent("no server is configured"))?;
        let mut builder = client.request(request.method.clone(), request.url.clone()).headers(request.headers.clone());
        if let Some(until) = request.until {
            builder = builder.timeout(until.saturating_duration_since(Instant::now()).min(self.timeout));
        }
        if let Some(credentials) = request.credentials {
            builder = credentials.present(builder).map_err(|error| RequestError::unsent(error.to_string()))?;
        }
        Ok(match &request.body {
            Body::Empty => builder,
            Body::Bytes(bytes) => builder.body(bytes.clone()),
            Body::File(path) => {
                let unreadable = |error| RequestError::unsent(format!("cannot read {}: {error}", path.display()));
                let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
                let length = file.metadata().await.map_err(unreadable)?.len();
                builder.header(CONTENT_LENGTH, length).body(file)
            }
        })
    }
}

impl Response {
    /// Whether the same request can have another answer later.
    pub fn is_passing(&self) -> bool {
        self.status >= 500 || self.status == 408 || self.status == 429
    }
}

async fn exchange(request: reqwest::RequestBuilder, most_bytes: usize) -> Result<Response, reqwest::Error> {
    let mut response = request.send().await?;
    let header = |name| response.headers().get(name).and_then(|value: &reqwest::header::HeaderValue| value.to_str().ok());
    let retry_after = header(RETRY_AFTER).and_then(wish);
    let location = header(reqwest::header::LOCATION).map(|location| without_query(location).to_string());
    let media_type =
        header(CONTENT_TYPE).and_then(|value| value.split(';').next()).map(|media_type| media_type.trim().to_ascii_lowercase());
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let (mut body, mut whole) = (Vec::new(), false);
    // An answer counts although its text does not come to its end: the code has said what became of the request.
    while let Ok(chunk) = response.chunk().await {
        let Some(chunk) = chunk else {
            whole = true;
            break;
        };
        let room = most_bytes.saturating_sub(body.len());
        body.extend(chunk.iter().take(room));
        if room < chunk.len() {
            break;
        }
    }
    Ok(Response { status, retry_after, location, media_type: media_type.unwrap_or_default(), body, whole, headers })
}

/// `Retry-After`: seconds, or a date.
fn wish(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some(SystemTime::from(date.timestamp()).duration_since(SystemTime::now()).unwrap_or_default())
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(60))
}

fn build(config: &HttpConfig) -> Result<reqwest::Client, ClientError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("dropforge/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(seconds(config.connect_timeout_seconds))
        .read_timeout(seconds(config.read_timeout_seconds))
        .timeout(seconds(config.timeout_seconds))
        // A document is not sent to where nobody configured it to go, and a POST does not become a GET.
        .redirect(reqwest::redirect::Policy::none());
    if let Some(proxy) = &config.proxy {
        builder = builder.proxy(Proxy::all(proxy.as_str()).map_err(|_| ClientError::Proxy)?);
    }
    if let Some(path) = &config.ca_file {
        let failed = |reason: String| ClientError::CaFile { path: path.clone(), reason };
        let pem = fs::read(path).map_err(|error| failed(error.to_string()))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| failed(error.to_string()))?;
        if certificates.is_empty() {
            return Err(failed("it holds none".into()));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(|error| ClientError::Build(super::error::causes(&error)))
}

/// Asks the upstream server whether it is there, as long as there is the client, whenever nobody else has for a while.
async fn ping(client: Weak<Client>, upstream: Upstream) {
    let interval = Duration::from_secs(upstream.ping_seconds.max(1).into());
    let credentials = Credentials::new(upstream.credentials());
    let Ok(url) = Url::parse(&upstream.url) else { return };
    loop {
        let Some(client) = client.upgrade() else { return };
        let idle = client.upstream.as_ref().map_or(Duration::MAX, |upstream| upstream.record.idle());
        let wait = if idle >= interval {
            let request = Request {
                method: Method::GET,
                url: url.clone(),
                endpoint: without_query(&upstream.url),
                headers: HeaderMap::new(),
                credentials: credentials.as_ref(),
                body: Body::Empty,
                repeatable: false,
                most_bytes: PING_BYTES,
                until: None,
                // It is about the server, and not about what it says.
                caching: Caching::Bypassed,
            };
            if let Err(error) = client.send(&request).await {
                tracing::debug!(%error, "the upstream server does not answer");
            }
            interval
        } else {
            interval - idle
        };
        drop(client);
        tokio::time::sleep(wait).await;
    }
}
