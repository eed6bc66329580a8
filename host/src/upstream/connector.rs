//! Counts the requests of object stores, whose clients are not ours. It knows nothing of objects.
//!
//! Credentials that a store's client fetches from elsewhere, a cloud's metadata service for instance, are asked for through it too; they count
//! under the store's endpoint.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use object_store::client::{HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService, ReqwestConnector};
use object_store::{ClientOptions, Result};

use super::error::has_tls_error;
use crate::metrics::Metrics;

/// Makes clients that count.
pub struct CountingConnector {
    metrics: Arc<Metrics>,
    endpoint: String,
}

impl CountingConnector {
    /// A connector for the store that metrics call `endpoint`.
    pub fn new(metrics: Arc<Metrics>, endpoint: &str) -> CountingConnector {
        metrics.http_endpoint("PUT", endpoint);
        CountingConnector { metrics, endpoint: endpoint.to_owned() }
    }
}

impl std::fmt::Debug for CountingConnector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CountingConnector").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl HttpConnector for CountingConnector {
    fn connect(&self, options: &ClientOptions) -> Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Counted { client, metrics: Arc::clone(&self.metrics), endpoint: self.endpoint.clone() }))
    }
}

struct Counted {
    client: HttpClient,
    metrics: Arc<Metrics>,
    endpoint: String,
}

impl std::fmt::Debug for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.client.fmt(f)
    }
}

/// What `async_trait` makes of an asynchronous function.
type Answer<'a> = Pin<Box<dyn Future<Output = std::result::Result<HttpResponse, HttpError>> + Send + 'a>>;

impl HttpService for Counted {
    fn call<'life, 'answer>(&'life self, request: HttpRequest) -> Answer<'answer>
    where
        'life: 'answer,
        Self: 'answer,
    {
        Box::pin(async move {
            let method = request.method().clone();
            let _active = self.metrics.http_active(method.as_str(), &self.endpoint);
            let began = Instant::now();
            let result = self.client.execute(request).await;
            let status = match &result {
                Ok(response) => response.status().as_u16().to_string(),
                Err(error) if error.kind() == HttpErrorKind::Timeout => "timeout".to_owned(),
                Err(error) if has_tls_error(error) => "tls".to_owned(),
                Err(_) => "connect".to_owned(),
            };
            self.metrics.http_request(method.as_str(), &self.endpoint, &status, began.elapsed());
            result
        })
    }
}
