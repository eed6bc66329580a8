//! A server that documents are sent to, and that behaves as badly as a test wants.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

/// How a request is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// It is kept.
    Kept,
    /// With a status, headers and a text; nothing is kept.
    Status(u16, Vec<(&'static str, String)>, String),
    /// Not at all: the connection stays open until the server ends.
    Stall,
    /// Not at all: the connection is broken off.
    Drop,
}

impl Answer {
    /// A status and nothing else.
    pub fn status(status: u16) -> Answer {
        Answer::Status(status, Vec::new(), String::new())
    }
}

/// A request that was received.
#[derive(Debug, Clone)]
pub struct Received {
    /// The method.
    pub method: String,
    /// Path and query, as they were sent.
    pub path: String,
    /// The headers, by name in small letters.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
}

type Behaviour = Box<dyn FnMut(&Received) -> Answer + Send>;

#[derive(Default)]
struct Shared {
    behaviour: Mutex<Option<Behaviour>>,
    lookups: Mutex<Option<Behaviour>>,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    kept: Vec<Received>,
    looked_up: Vec<Received>,
    requests: usize,
    active: usize,
    most_active: usize,
}

/// The server. It is down until it is started.
pub struct Receiver {
    port: u16,
    shared: Arc<Shared>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Receiver {
    /// A server that is down, on a port that nothing else has.
    pub fn down() -> Receiver {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        Receiver { port, shared: Arc::default(), runtime: None }
    }

    /// A server that keeps everything.
    pub fn up() -> Receiver {
        let mut receiver = Receiver::down();
        receiver.start();
        receiver
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Brings it up.
    pub fn start(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, self.port))).unwrap();
        let app = Router::new().fallback(receive).with_state(Arc::clone(&self.shared));
        runtime.spawn(async move { axum::serve(listener, app).await });
        self.runtime = Some(runtime);
    }

    /// Takes it down, with every connection.
    pub fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }

    /// Answers as this says, from now on.
    pub fn behave(&self, behaviour: impl FnMut(&Received) -> Answer + Send + 'static) {
        *self.shared.behaviour.lock().unwrap() = Some(Box::new(behaviour));
    }

    /// Answers what is looked up, by GET, as this says; `Kept` is a status of its own, 201.
    pub fn know(&self, behaviour: impl FnMut(&Received) -> Answer + Send + 'static) {
        *self.shared.lookups.lock().unwrap() = Some(Box::new(behaviour));
    }

    /// What was looked up since [`Receiver::know`] was called.
    pub fn looked_up(&self) -> Vec<Received> {
        self.shared.log.lock().unwrap().looked_up.clone()
    }

    /// What it has kept, in the order in which it came.
    pub fn kept(&self) -> Vec<Received> {
        self.shared.log.lock().unwrap().kept.clone()
    }

    /// How many requests there were.
    pub fn requests(&self) -> usize {
        self.shared.log.lock().unwrap().requests
    }

    /// How many were under way at the same time.
    pub fn most_active(&self) -> usize {
        self.shared.log.lock().unwrap().most_active
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn receive(State(shared): State<Arc<Shared>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let headers = headers.iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect();
    let path = uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let received = Received { method: method.to_string(), path, headers, body: String::from_utf8_lossy(&body).into_owned() };
    if method == Method::GET {
        // A ping is not what a test looks for.
        let answer = if received.path == "/" { None } else { shared.lookups.lock().unwrap().as_mut().map(|answer| answer(&received)) };
        let Some(answer) = answer else { return StatusCode::OK.into_response() };
        shared.log.lock().unwrap().looked_up.push(received);
        return respond(answer).await;
    }
    {
        let mut log = shared.log.lock().unwrap();
        log.requests += 1;
        log.active += 1;
        log.most_active = log.most_active.max(log.active);
    }
    // Long enough for others to come at the same time.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let answer = shared.behaviour.lock().unwrap().as_mut().map_or(Answer::Kept, |behaviour| behaviour(&received));
    {
        let mut log = shared.log.lock().unwrap();
        log.active -= 1;
        if matches!(answer, Answer::Kept) {
            log.kept.push(received);
        }
    }
    respond(answer).await
}

async fn respond(answer: Answer) -> Response {
    match answer {
        Answer::Kept => (StatusCode::CREATED, [("etag", "\"1\"")]).into_response(),
        Answer::Status(status, headers, text) => {
            let mut response = (StatusCode::from_u16(status).unwrap(), text).into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
        Answer::Stall => std::future::pending().await,
        // The connection's task ends with this, and closes it.
        Answer::Drop => std::panic::resume_unwind(Box::new(())),
    }
}
