//! Requests that may be answered by what was answered before. What may be kept, and for how long, the cache knows; this asks it first, and
//! the server where it has to.

use std::sync::Arc;

use reqwest::Method;

use super::client::{Body, Caching, Client, Request, Response};
use super::error::{RequestError, RequestErrorKind};
use super::host::name_of;
use crate::cache::responses::{Answer, Flight, Kept, Key, Resource, ResponseCache};

impl Client {
    /// Answers a GET from the cache, or else by the server. Of equal ones at the same time one is sent.
    pub(super) async fn cached(&self, cache: &ResponseCache, request: &Request<'_>) -> Result<Response, RequestError> {
        let resource = Resource::of(&request.url);
        let credential = match request.credentials.map(|credentials| credentials.digest()).transpose() {
            Ok(credential) => credential,
            // Sending it says what is wrong.
            Err(_) => return self.exchange(request).await,
        };
        match cache.ask(Key::of(&request.url, credential, &request.headers), resource.clone()) {
            Answer::Fresh(kept) => {
                cache.hit(&resource, "fresh");
                Ok(answer(&kept, request))
            }
            Answer::UnderWay(waiting) => {
                tracing::debug!(path = request.url.path(), "HTTP cache: somebody is asking the same; waiting for that answer");
                let landed = match request.until {
                    Some(until) => tokio::time::timeout_at(until.into(), waiting.landed()).await,
                    None => Ok(waiting.landed().await),
                };
                match landed {
                    Ok(Some(kept)) => {
                        cache.hit(&resource, "asked for at the same time");
                        Ok(answer(&kept, request))
                    }
                    // It is not for others, so each asks for itself, and at once.
                    Ok(None) => {
                        cache.miss(&resource);
                        self.exchange(request).await
                    }
                    Err(_) => {
                        cache.miss(&resource);
                        Err(RequestError::waited(&name_of(&request.url)))
                    }
                }
            }
            Answer::Unknown(flight) => {
                let (result, how) = self.ask_server(request, &flight).await;
                match how {
                    Some(how) => cache.hit(&resource, how),
                    None => cache.miss(&resource),
                }
                result
            }
        }
    }

    /// Asks the server, and how the answer came from the cache after all, if it did.
    async fn ask_server(&self, request: &Request<'_>, flight: &Flight<'_>) -> (Result<Response, RequestError>, Option<&'static str>) {
        let conditions = flight.conditions();
        let mut result = if conditions.is_empty() {
            self.exchange(request).await
        } else {
            let mut headers = request.headers.clone();
            headers.extend(conditions.iter().cloned());
            self.exchange(&Request {
                method: Method::GET,
                url: request.url.clone(),
                endpoint: request.endpoint,
                headers,
                credentials: request.credentials,
                body: Body::Empty,
                repeatable: request.repeatable,
                most_bytes: request.most_bytes,
                until: request.until,
                caching: Caching::Allowed,
            })
            .await
        };
        if let Ok(response) = &result
            && response.status == 304
            && !conditions.is_empty()
        {
            if let Some(kept) = flight.confirmed(&response.headers) {
                return (Ok(answer(&kept, request)), Some("confirmed"));
            }
            flight.forget();
            result = self.exchange(request).await;
        }
        if is_emergency(&result, request)
            && let Some(kept) = flight.in_emergency()
        {
            return (Ok(answer(&kept, request)), Some("stale: the server fails"));
        }
        match &result {
            // It says nothing of the thing itself.
            Ok(response) if response.is_passing() => {}
            Ok(response) if response.whole => flight.answered(response.status, &response.media_type, &response.headers, &response.body),
            // There was more than the caller can take; another may take it.
            Ok(_) => flight.forget(),
            Err(_) => {}
        }
        (result, None)
    }
}

/// What RFC 5861 (4) counts as one, and no trouble with who the server is.
fn is_emergency(result: &Result<Response, RequestError>, request: &Request<'_>) -> bool {
    match result {
        Ok(response) => {
            let broken_off = !response.whole && response.body.len() < request.most_bytes;
            broken_off || matches!(response.status, 500 | 502 | 503 | 504)
        }
        Err(error) => matches!(error.kind, RequestErrorKind::Timeout | RequestErrorKind::Connect | RequestErrorKind::BreakerOpen),
    }
}

fn answer(kept: &Arc<Kept>, request: &Request<'_>) -> Response {
    let room = request.most_bytes.min(kept.body.len());
    Response {
        status: kept.status,
        retry_after: None,
        location: None,
        media_type: kept.media_type.clone(),
        body: kept.body.slice(..room).to_vec(),
        whole: room == kept.body.len(),
        headers: reqwest::header::HeaderMap::new(),
    }
}
