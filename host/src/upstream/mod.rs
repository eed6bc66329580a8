//! The HTTP client: every request that Dropforge makes goes through it. It retries, keeps away from servers that are down, keeps to a rate,
//! keeps answers to GET where that is allowed, and counts. It knows nothing of documents and jobs, and of converters only that they may look something up.

mod breaker;
mod cached;
mod client;
mod connector;
mod credentials;
mod error;
mod health;
mod host;
mod lookups;
mod rate;

pub use client::{Body, Caching, Client, Request, Response};
pub use connector::CountingConnector;
pub use credentials::Credentials;
pub use error::{ClientError, RequestError, RequestErrorKind};
pub use health::Health;
pub use lookups::Lookups;
