//! The destination `object-store`: one object per document, in S3, Google Cloud Storage, Azure or a folder that is used like one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, Certificate, ClientOptions, Error, ObjectStore, ObjectStoreScheme, PutMultipartOptions, PutOptions, RetryConfig,
    WriteMultipart,
};
use reqwest::Url;
use tokio::io::AsyncReadExt as _;
use tokio::runtime::Handle;

use super::Spool;
use super::courier::{Attempt, Courier, DocumentError, Failure, each_document};
use super::pace::Trouble;
use super::parts::Parts;
use crate::config::{Address, Config, Destination, HttpConfig, ObjectStoreDestination, without_query};
use crate::metrics::Metrics;
use crate::queue::Delivery;
use crate::sandbox::Document;
use crate::upstream::CountingConnector;

/// Requests that are under way at the same time, if all is well.
const IN_FLIGHT: usize = 8;
/// Larger documents go in parts of this size, so that memory does not depend on theirs.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// Parts of one document that are under way at the same time.
const PARTS: usize = 2;
/// Retries of the store's client, before the lane waits.
const RETRIES: usize = 2;
/// Bytes of an error that are kept: stores answer with documents.
const MESSAGE_BYTES: usize = 600;

/// Puts documents into one bucket.
pub(super) struct StoreCourier {
    config: Arc<Config>,
    spool: Spool,
    runtime: Handle,
    url: String,
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    kind: Kind,
    /// The keys of objects, by route.
    keys: HashMap<String, Address>,
}

impl StoreCourier {
    /// The courier for the store that is called `label` in some routes.
    ///
    /// # Errors
    /// Where the URL, or what the environment says of the store, cannot be used.
    pub fn new(
        config: Arc<Config>,
        spool: Spool,
        runtime: Handle,
        metrics: &Arc<Metrics>,
        label: &str,
        settings: &ObjectStoreDestination,
    ) -> anyhow::Result<Self> {
        let url = settings.url.clone();
        let (store, prefix, kind) = open(&url, &config.http, metrics).with_context(|| {
            format!(
                "cannot use the object store {url}; check its URL, and the variables of the environment with its region and credentials"
            )
        })?;
        let keys = config
            .routes
            .iter()
            .flat_map(|route| route.destinations.iter().map(move |destination| (route, destination)))
            .filter_map(|(route, destination)| match destination {
                // A loaded configuration has no key that does not parse.
                Destination::ObjectStore(store) if destination.label() == label => {
                    Some((route.name.clone(), Address::parse(&store.key).ok()?))
                }
                _ => None,
            })
            .collect();
        Ok(StoreCourier { config, spool, runtime, url, store, prefix, kind, keys })
    }

    fn deliver(&self, delivery: &Delivery) -> Attempt {
        let job = &delivery.committed.job;
        let route = self.config.routes.iter().find(|route| route.name == job.route);
        let (Some(route), Some(key)) = (route, self.keys.get(&job.route)) else {
            return Attempt::failed(delivery, Failure::not_configured());
        };
        let parts = Parts::new(&self.config, route, &delivery.committed);
        each_document(delivery, |document| {
            let refused = |reason: String| DocumentError::Refused { reason, answer: String::new() };
            // A part cannot make folders: only the key itself does.
            let escape = |value: &str| value.replace('/', "_");
            let filled = key.fill(|part| parts.value(document, part), escape).map_err(|error| refused(error.to_string()))?;
            let path = located(&self.prefix, &filled).map_err(|error| refused(error.to_string()))?;
            let spooled = self.spool.document(&job.id, document.number);
            let attributes = attributes(self.kind, &parts, document);
            self.runtime.block_on(put(self.store.as_ref(), &path, &spooled, attributes)).map_err(|error| self.failure(&error))
        })
    }

    fn failure(&self, error: &PutError) -> DocumentError {
        let (trouble, text) = match error {
            PutError::Spool(error) => (Trouble::Document, format!("cannot read the spool: {error}")),
            PutError::Store(error) => (Trouble::Destination, {
                let mut text = causes(error);
                text.truncate(text.floor_char_boundary(MESSAGE_BYTES));
                let remedy = match error {
                    Error::NotFound { .. } => "; check that the bucket is there",
                    Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => "; check its credentials in the environment",
                    _ => "",
                };
                format!("{text}{remedy}")
            }),
        };
        DocumentError::Failed(Failure::new(trouble, format!("cannot put a document into {}: {text}", self.url)))
    }
}

impl Courier for StoreCourier {
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

#[derive(Debug)]
enum PutError {
    Spool(std::io::Error),
    Store(Error),
}

impl From<std::io::Error> for PutError {
    fn from(error: std::io::Error) -> Self {
        PutError::Spool(error)
    }
}

impl From<Error> for PutError {
    fn from(error: Error) -> Self {
        PutError::Store(error)
    }
}

/// Puts a file there under a key, replacing what is there. It appears whole.
async fn put(store: &dyn ObjectStore, path: &Path, spooled: &std::path::Path, attributes: Attributes) -> Result<(), PutError> {
    let mut file = tokio::fs::File::open(spooled).await?;
    if file.metadata().await?.len() <= PART_BYTES as u64 {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).await?;
        store.put_opts(path, bytes.into(), PutOptions { attributes, ..PutOptions::default() }).await?;
        return Ok(());
    }
    let upload = store.put_multipart_opts(path, PutMultipartOptions { attributes, ..PutMultipartOptions::default() }).await?;
    let mut writer = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = match file.read(&mut buffer).await {
            Ok(count) => count,
            Err(error) => {
                // What the store has of it is of no use; it is told so, and cleans up by itself where it does not hear.
                let _ = writer.abort().await;
                return Err(error.into());
            }
        };
        if count == 0 {
            break;
        }
        writer.wait_for_capacity(PARTS).await?;
        writer.write(buffer.get(..count).unwrap_or_default());
    }
    writer.finish().await?;
    Ok(())
}

/// A key below the prefix, as people write it: stores take every letter. What leads elsewhere, and control characters, are replaced.
fn located(prefix: &Path, key: &str) -> Result<Path, object_store::path::Error> {
    let part = |part: &str| {
        let replaced = |c: char| c.is_control() || (c == '.' && matches!(part, "." | ".."));
        part.chars().map(|c| if replaced(c) { '_' } else { c }).collect::<String>()
    };
    let parts: Vec<String> = key.split('/').filter(|part| !part.is_empty()).map(part).collect();
    Ok(prefix.parts().chain(Path::parse(parts.join("/"))?.parts()).collect())
}

fn attributes(kind: Kind, parts: &Parts<'_>, document: &Document) -> Attributes {
    let mut attributes = Attributes::new();
    let [id, report_id] = match kind {
        Kind::Files => return attributes,
        // Its names are words of C#.
        Kind::Azure => ["dropforge_id", "dropforge_report_id"],
        Kind::Other => ["dropforge-id", "dropforge-report-id"],
    };
    if !document.media_type.is_empty() {
        attributes.insert(Attribute::ContentType, document.media_type.clone().into());
    }
    attributes.insert(Attribute::Metadata(id.into()), parts.id(document).to_string().into());
    attributes.insert(Attribute::Metadata(report_id.into()), parts.report_id(document).into());
    attributes
}

/// What a store keeps besides bytes and names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing: it is a folder.
    Files,
    /// A media type, and metadata under names without hyphens.
    Azure,
    /// A media type, and metadata under any name.
    Other,
}

/// The store of a URL, the prefix, and what it keeps.
fn open(url: &str, http: &HttpConfig, metrics: &Arc<Metrics>) -> anyhow::Result<(Arc<dyn ObjectStore>, Path, Kind)> {
    let connector = || CountingConnector::new(Arc::clone(metrics), without_query(url));
    let parsed = Url::parse(url)?;
    let (scheme, prefix) = ObjectStoreScheme::parse(&parsed)?;
    let retry = RetryConfig { max_retries: RETRIES, retry_timeout: Duration::from_secs(30), ..RetryConfig::default() };
    let kind = match scheme {
        ObjectStoreScheme::Local => Kind::Files,
        ObjectStoreScheme::MicrosoftAzure => Kind::Azure,
        _ => Kind::Other,
    };
    let store: Arc<dyn ObjectStore> = match scheme {
        ObjectStoreScheme::Local => Arc::new(object_store::local::LocalFileSystem::new().with_fsync(true)),
        ObjectStoreScheme::AmazonS3 => Arc::new(
            object_store::aws::AmazonS3Builder::from_env()
                .with_url(url)
                .with_retry(retry)
                .with_http_connector(connector())
                .with_client_options(options(http, std::env::var("AWS_ALLOW_HTTP").is_ok_and(|value| value == "true"))?)
                .build()?,
        ),
        ObjectStoreScheme::GoogleCloudStorage => Arc::new(
            object_store::gcp::GoogleCloudStorageBuilder::from_env()
                .with_url(url)
                .with_retry(retry)
                .with_http_connector(connector())
                .with_client_options(options(http, false)?)
                .build()?,
        ),
        ObjectStoreScheme::MicrosoftAzure => Arc::new(
            object_store::azure::MicrosoftAzureBuilder::from_env()
                .with_url(url)
                .with_retry(retry)
                .with_http_connector(connector())
                .with_client_options(options(http, false)?)
                .build()?,
        ),
        other => anyhow::bail!("{other:?} is not one of s3, gs, az and file"),
    };
    Ok((store, prefix, kind))
}

/// The settings of `[http]`, for the store's client.
fn options(http: &HttpConfig, allow_http: bool) -> anyhow::Result<ClientOptions> {
    let seconds = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(60));
    let mut options = ClientOptions::new()
        .with_connect_timeout(seconds(http.connect_timeout_seconds))
        .with_timeout(seconds(http.timeout_seconds))
        .with_allow_http(allow_http);
    if let Some(proxy) = &http.proxy {
        options = options.with_proxy_url(proxy);
    }
    if let Some(path) = &http.ca_file {
        let pem = std::fs::read(path).with_context(|| format!("cannot read {} (`http.ca_file`)", path.display()))?;
        for certificate in Certificate::from_pem_bundle(&pem)? {
            options = options.with_root_certificate(certificate);
        }
    }
    Ok(options)
}

/// An error with its causes, which its own text does not always hold.
fn causes(error: &Error) -> String {
    let chain = std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| error.source());
    let mut text = String::new();
    for cause in chain.map(ToString::to_string) {
        if !text.contains(&cause) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause);
        }
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::metrics::Instance;

    #[test]
    fn keys_are_as_they_are_written_and_stay_below_the_prefix() {
        for (key, expected) in [
            ("a/b.jsonl", "p/a/b.jsonl"),
            ("M\u{e5}ling 7+8 %[1].csv", "p/M\u{e5}ling 7+8 %[1].csv"),
            ("../a//./b\n.csv", "p/__/a/_/b_.csv"),
        ] {
            assert_eq!(located(&Path::from("p"), key).unwrap().as_ref(), expected);
        }
    }

    #[test]
    fn documents_of_every_size_arrive_whole_and_replace_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let url = Url::from_directory_path(folder.path()).unwrap();
        let (store, prefix, kind) = open(url.as_str(), &HttpConfig::default(), &Arc::new(Metrics::new(&Instance::default()))).unwrap();
        assert_eq!(kind, Kind::Files);
        let path: Path = prefix.parts().chain(Path::from("a/b.bin").parts()).collect();
        let spooled = folder.path().join("spooled");
        for bytes in [0, 1000, PART_BYTES + 1, 2 * PART_BYTES] {
            let content: Vec<u8> = (0..bytes).map(|n| (n % 251) as u8).collect();
            std::fs::write(&spooled, &content).unwrap();
            runtime.block_on(put(store.as_ref(), &path, &spooled, Attributes::new())).unwrap();
            assert!(std::fs::read(folder.path().join("a/b.bin")).unwrap() == content, "{bytes} bytes");
        }
    }
}
