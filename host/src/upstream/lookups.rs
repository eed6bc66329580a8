//! What converters may ask the upstream server, and how. It decides by the configuration alone: who may ask at all, and how often, others
//! have decided before.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use globset::GlobMatcher;
use reqwest::header::HeaderMap;
use reqwest::{Method, Url};
use tokio::runtime::Runtime;

use super::client::{Body, Caching, Client, Request};
use super::error::RequestErrorKind;
use super::{Credentials, Response};
use crate::config::{Config, Upstream, path_pattern};
use crate::metrics::Metrics;
use crate::sandbox::{Capability, Lookup, LookupError, LookupResponse};

/// The longest path and the most bytes of a query that are sent, as most servers take them.
const MAX_TEXT: usize = 4096;

/// The look-ups of converters at the upstream server.
pub struct Lookups {
    client: Arc<Client>,
    base: String,
    credentials: Option<Credentials>,
    allowed: Vec<GlobMatcher>,
    /// Where the client's requests run, if that is nobody else's. It must outlive the client.
    _runtime: Option<Runtime>,
}

impl Lookups {
    /// Look-ups through the client of the process.
    ///
    /// # Errors
    /// Where a path of the configuration is no pattern.
    pub fn new(client: Arc<Client>, upstream: &Upstream) -> anyhow::Result<Lookups> {
        upstream.lookup_paths.iter().for_each(|pattern| client.expect(Method::GET.as_str(), pattern));
        let matcher = |pattern: &String| {
            Ok(path_pattern(pattern).map_err(|reason| anyhow::anyhow!("upstream.lookup_paths: {reason}"))?.compile_matcher())
        };
        Ok(Lookups {
            client,
            base: upstream.url.trim_end_matches('/').to_owned(),
            credentials: Credentials::new(upstream.credentials()),
            allowed: upstream.lookup_paths.iter().map(matcher).collect::<anyhow::Result<_>>()?,
            _runtime: None,
        })
    }

    /// The same for a process that has no client and makes no other requests; none where the configuration grants no look-ups.
    ///
    /// # Errors
    /// Where the client cannot be made.
    pub fn alone(config: &Config, metrics: Arc<Metrics>) -> anyhow::Result<Option<Lookups>> {
        let granted = config.plugins.values().map(|plugin| &plugin.allow).chain(config.routes.iter().map(|route| &route.allow));
        let Some(upstream) = config.upstream.as_ref().filter(|_| granted.flatten().any(|granted| *granted == Capability::Lookup)) else {
            return Ok(None);
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("http").enable_all().build();
        let runtime = runtime.context("cannot start the HTTP thread")?;
        let client = Client::new(config, metrics, runtime.handle().clone())?;
        Ok(Some(Lookups { _runtime: Some(runtime), ..Lookups::new(client, upstream)? }))
    }

    /// The pattern that allows a path, for the metrics too: a raw path is no label.
    fn pattern_of(&self, path: &str) -> Result<&str, LookupError> {
        let pattern = self.allowed.iter().find(|pattern| pattern.is_match(path)).map(|pattern| pattern.glob().glob());
        pattern.ok_or_else(|| {
            LookupError::Denied(format!(
                "the path `{path}` may not be looked up: add \"{path}\", or a pattern that it matches, to `lookup_paths = [...]` below [upstream] \
                 in the configuration"
            ))
        })
    }
}

impl Lookup for Lookups {
    fn get(&self, path: &str, query: &[(String, String)], until: Instant, most_bytes: u64) -> Result<LookupResponse, LookupError> {
        check_path(path).map_err(LookupError::Other)?;
        let endpoint = self.pattern_of(path)?;
        let failed = |error| LookupError::Other(format!("the path `{path}` makes no address: {error}"));
        let mut url = Url::parse(&format!("{}{path}", self.base)).map_err(|error| failed(error.to_string()))?;
        if query.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_TEXT {
            return Err(LookupError::Other(format!("the query has more than {MAX_TEXT} bytes")));
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let most_bytes = usize::try_from(most_bytes).unwrap_or(usize::MAX);
        let request = Request {
            method: Method::GET,
            url,
            endpoint,
            headers: HeaderMap::new(),
            credentials: self.credentials.as_ref(),
            body: Body::Empty,
            repeatable: true,
            most_bytes,
            until: Some(until),
            caching: Caching::Allowed,
        };
        match self.client.send_blocking(&request) {
            Ok(Response { status, media_type, body, whole: true, .. }) => Ok(LookupResponse { status, media_type, body }),
            Ok(response) if response.body.len() >= most_bytes => Err(LookupError::Budget(format!(
                "the answer has more than the {most_bytes} bytes that are left of the limit `lookup_bytes`"
            ))),
            Ok(_) => Err(LookupError::Unavailable("the server's answer broke off".to_owned())),
            Err(error) if error.kind == RequestErrorKind::Unsent => {
                // It can name files of this machine, which is not for converters.
                tracing::error!(%error, "a converter's look-up cannot be sent");
                Err(LookupError::Other("the host cannot send the request; its log says why".to_owned()))
            }
            Err(error) => Err(LookupError::Unavailable(error.message)),
        }
    }
}

/// Refuses whatever a server, a proxy or the parser of addresses could take for another path than the one that was allowed.
fn check_path(path: &str) -> Result<(), String> {
    if path.len() > MAX_TEXT {
        return Err(format!("the path has more than {MAX_TEXT} bytes"));
    }
    let Some(rest) = path.strip_prefix('/') else { return Err(format!("the path `{path}` does not begin with /")) };
    if rest.split('/').any(|part| matches!(part, "." | "..")) || path.contains("//") {
        return Err(format!("the path `{path}` has a part `.`, `..` or an empty one; write it without"));
    }
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let fine = match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) = (digit(), digit());
                // An encoded separator, dot or percent sign is read differently by different servers.
                let encoded = high.zip(low).map(|(high, low)| high * 16 + low);
                encoded.is_some_and(|byte| byte >= 0x20 && byte != 0x7f && !"/\\.%".bytes().any(|special| u32::from(special) == byte))
            }
            _ => byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte),
        };
        if !fine {
            return Err(format!(
                "the path `{}` has characters that do not belong there, or encoded ones of `/ \\ . %`; percent-encode what is not ASCII, \
                 and put such characters into the query",
                path.escape_debug()
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_means_the_same_to_everybody() {
        for path in ["/", "/api/operations/10", "/a/%C3%B8l/x%20y", "/a/b.c/~d", "/a;b=1,2/@:", "/a/...", "/api/"] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
        let refused = [
            "",
            "api",
            "//host/x",
            "/a//b",
            "/a/../b",
            "/..",
            "/a/.",
            "/a/%2e%2E/b",
            "/a/%2Fb",
            "/a\\..\\b",
            "/a/%5c",
            "/a%00",
            "/a%0a",
            "/a?b=c",
            "/a#b",
            "/a b",
            "/ø",
            "/a%",
            "/a%4",
            "/a%zz",
            "/a%252e",
            "/a\n",
            "/a%7F",
            "http://host/a",
            "/a/%2",
        ];
        for path in refused {
            assert!(check_path(path).is_err(), "{path}");
        }
        assert!(check_path(&format!("/{}", "x".repeat(MAX_TEXT))).is_err());
    }
}
