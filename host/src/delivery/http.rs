//! The destination `http`: one request per document, with the document's id as the key by which a server can tell a repetition.

use std::collections::HashMap;
use std::sync::Arc;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use super::Spool;
use super::courier::{Attempt, Courier, DocumentError, Failure, each_document};
use super::pace::Trouble;
use super::parts::Parts;
use crate::config::{Address, Config, Destination, HttpDestination, HttpMethod, MissingPart, Part, without_query};
use crate::queue::Delivery;
use crate::sandbox::Document;
use crate::trace_context::TRACEPARENT;
use crate::upstream::{Body, Caching, Client, Credentials, Request, RequestErrorKind, Response};

/// Requests that are under way at the same time, if all is well.
const IN_FLIGHT: usize = 8;
/// Bytes of an answer that are kept of a refusal.
const ANSWER_BYTES: usize = 4096;

/// Sends documents to one server.
pub(super) struct HttpCourier {
    config: Arc<Config>,
    spool: Spool,
    client: Arc<Client>,
    /// What the routes say of it, by route.
    targets: HashMap<String, Target>,
}

/// How the documents of one route are sent.
struct Target {
    method: Method,
    url: Address,
    /// The URL as the configuration has it, for metrics.
    endpoint: String,
    headers: Vec<(HeaderName, Address)>,
    credentials: Option<Credentials>,
}

impl HttpCourier {
    /// The courier for the server that is called `label` in some routes.
    ///
    /// # Errors
    /// A header or an address that validation has let pass.
    pub fn new(config: Arc<Config>, spool: Spool, client: Arc<Client>, label: &str) -> anyhow::Result<Self> {
        let mut targets = HashMap::new();
        for route in &config.routes {
            for destination in &route.destinations {
                if let Destination::Http(http) = destination
                    && destination.label() == label
                {
                    let target = Target::new(http, &config)?;
                    client.expect(target.method.as_str(), &target.endpoint);
                    targets.insert(route.name.clone(), target);
                }
            }
        }
        Ok(HttpCourier { config, spool, client, targets })
    }

    fn deliver(&self, delivery: &Delivery) -> Attempt {
        let route = self.config.routes.iter().find(|route| route.name == delivery.committed.job.route);
        let (Some(route), Some(target)) = (route, self.targets.get(&delivery.committed.job.route)) else {
            return Attempt::failed(delivery, Failure::not_configured());
        };
        let parts = Parts::new(&self.config, route, &delivery.committed);
        each_document(delivery, |document| self.send(delivery, target, &parts, document))
    }

    fn send(&self, delivery: &Delivery, target: &Target, parts: &Parts<'_>, document: &Document) -> Result<(), DocumentError> {
        let refused = |reason: String| DocumentError::Refused { reason, answer: String::new() };
        let url = target.url_of(parts, document).map_err(refused)?;
        let request = Request {
            method: target.method.clone(),
            headers: target.headers_of(delivery, parts, document).map_err(refused)?,
            url,
            endpoint: &target.endpoint,
            credentials: target.credentials.as_ref(),
            body: Body::File(self.spool.document(&delivery.committed.job.id, document.number)),
            // The key says which document it is.
            repeatable: true,
            until: None,
            most_bytes: ANSWER_BYTES,
            caching: Caching::Bypassed,
        };
        match self.client.send_blocking(&request) {
            Ok(response) => judged(response, &target.endpoint),
            Err(error) => {
                let trouble = match error.kind {
                    RequestErrorKind::Unsent => Trouble::Unclear,
                    _ => Trouble::Destination,
                };
                Err(DocumentError::Failed(Failure { trouble, message: error.message, wish: error.retry_after }))
            }
        }
    }
}

impl Courier for HttpCourier {
    fn at_once(&self) -> usize {
        1
    }

    fn in_flight(&self) -> usize {
        IN_FLIGHT
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn carry(&self, deliveries: &[Delivery]) -> Vec<Attempt> {
        deliveries.iter().map(|delivery| self.deliver(delivery)).collect()
    }
}

impl Target {
    fn new(http: &HttpDestination, config: &Config) -> anyhow::Result<Target> {
        let upstream = config.upstream.as_ref().filter(|_| http.url.starts_with('/'));
        let base = upstream.map(|upstream| upstream.url.trim_end_matches('/').to_string()).unwrap_or_default();
        let url = format!("{}{}", base.replace('{', "{{").replace('}', "}}"), http.url);
        let keys = match upstream {
            Some(upstream) if http.credentials().is_empty() => upstream.credentials(),
            _ => http.credentials(),
        };
        let headers = http.headers.iter().map(|(name, value)| Ok((name.parse()?, Address::parse(value)?)));
        Ok(Target {
            method: match http.method {
                HttpMethod::Post => Method::POST,
                HttpMethod::Put => Method::PUT,
                HttpMethod::Patch => Method::PATCH,
            },
            endpoint: without_query(&url).to_string(),
            url: Address::parse(&url)?,
            headers: headers.collect::<anyhow::Result<_>>()?,
            credentials: Credentials::new(keys),
        })
    }

    fn url_of(&self, parts: &Parts<'_>, document: &Document) -> Result<Url, String> {
        let text = self.url.fill(|part| parts.value(document, part), percent_encoded).map_err(|error| error.to_string())?;
        Url::parse(&text).map_err(|error| format!("the destination's `url` gives no URL for this document: {error}"))
    }

    fn headers_of(&self, delivery: &Delivery, parts: &Parts<'_>, document: &Document) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        let id = parts.id(document).to_string();
        let own =
            [("content-type", document.media_type.clone()), ("idempotency-key", id), ("dropforge-report-id", parts.report_id(document))];
        for (name, value) in own {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        if !headers.contains_key(CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        }
        if let Some(trace) = delivery.trace.and_then(|trace| HeaderValue::try_from(trace.to_string()).ok()) {
            headers.insert(HeaderName::from_static(TRACEPARENT), trace);
        }
        for (name, address) in &self.headers {
            let value = filled(address, parts, document).map_err(|error| error.to_string())?;
            let value = HeaderValue::from_str(&value).map_err(|_| format!("the header {name} cannot have the value {value:?}"))?;
            headers.insert(name.clone(), value);
        }
        Ok(headers)
    }
}

fn filled(address: &Address, parts: &Parts<'_>, document: &Document) -> Result<String, MissingPart> {
    // Bytes beyond ASCII would be read in whatever encoding; percent-encoded they are what most servers expect.
    let escape = |value: &str| if value.chars().all(|c| c == ' ' || c.is_ascii_graphic()) { value.into() } else { percent_encoded(value) };
    address.fill(|part: &Part| parts.value(document, part), escape)
}

/// What an answer means for the document.
fn judged(response: Response, endpoint: &str) -> Result<(), DocumentError> {
    let status = response.status;
    if (200..300).contains(&status) {
        return Ok(());
    }
    let answer = String::from_utf8_lossy(&response.body).into_owned();
    if (400..500).contains(&status) && !response.is_passing() {
        let remedy = match status {
            401 | 403 => "; check the token or password",
            404 | 405 => "; check the destination's `url` and `method`",
            413 => "; the document is too large for the server",
            _ => "",
        };
        return Err(DocumentError::Refused { reason: format!("{endpoint} refused the document with status {status}{remedy}"), answer });
    }
    let said = match (&response.location, answer.lines().next()) {
        (Some(location), _) if (300..400).contains(&status) => format!(": it redirects to {location}; write that address as `url`"),
        (_, Some(line)) if !line.trim().is_empty() => {
            format!(": {}", line.chars().filter(|c| !c.is_control()).take(200).collect::<String>())
        }
        _ => String::new(),
    };
    // A server that is overloaded or being mended is so for all documents.
    let trouble = if matches!(status, 429 | 502 | 503 | 504) { Trouble::Destination } else { Trouble::Unclear };
    let message = format!("{endpoint} answered with status {status}{said}");
    Err(DocumentError::Failed(Failure { trouble, message, wish: response.retry_after }))
}

/// Everything but the characters that a URL has everywhere without a meaning (RFC 3986, 2.3).
fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}
