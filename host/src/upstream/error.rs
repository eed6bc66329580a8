//! What can go wrong with a request, in words that name the server and what to do, and nothing secret.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

/// Why the client cannot work as configured.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The file with authorities cannot be used.
    #[error("cannot use the certificates in {path} (`http.ca_file`): {reason}; it must hold certificates in PEM form")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The proxy's address cannot be used.
    #[error("cannot use the proxy (`http.proxy`); write an address such as http://proxy:3128")]
    Proxy,
    /// The client cannot be made.
    #[error(
        "cannot prepare for HTTPS: {0}; check that the operating system has certificates of authorities, or name some as `http.ca_file`"
    )]
    Build(String),
    /// The variable that holds a secret is not set.
    #[error("the variable {0}, which holds a token or password, is not set")]
    CredentialVariable(String),
    /// The file that holds a secret cannot be read.
    #[error("cannot read {path}, which holds a token or password: {source}")]
    CredentialFile {
        /// The file.
        path: PathBuf,
        /// What the file system says.
        source: std::io::Error,
    },
    /// What is there is no secret.
    #[error("what {0} holds is no token or password: it is one line of visible characters")]
    NoSecret(String),
}

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct RequestError {
    /// What kind of trouble it was.
    pub kind: RequestErrorKind,
    /// What was tried, with which server, what was wrong and what to do.
    pub message: String,
    /// How long the server is left alone.
    pub retry_after: Option<Duration>,
}

/// The kinds of trouble that a request can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestErrorKind {
    /// The server did not answer in time.
    Timeout,
    /// It cannot be reached, or broke the connection off.
    Connect,
    /// It could not prove who it is, or speaks no TLS.
    Tls,
    /// It failed before, and is left alone for now: nothing was sent.
    BreakerOpen,
    /// The request could not be made: credentials, or the body. Nothing was sent.
    Unsent,
}

impl RequestErrorKind {
    /// The label value `status` of `http_requests_total`; none where nothing was tried.
    pub fn as_status(self) -> Option<&'static str> {
        match self {
            RequestErrorKind::Timeout => Some("timeout"),
            RequestErrorKind::Connect => Some("connect"),
            RequestErrorKind::Tls => Some("tls"),
            RequestErrorKind::BreakerOpen => Some("breaker_open"),
            RequestErrorKind::Unsent => None,
        }
    }
}

impl RequestError {
    pub(super) fn unsent(message: impl Into<String>) -> Self {
        RequestError { kind: RequestErrorKind::Unsent, message: message.into(), retry_after: None }
    }

    /// There are more requests to this server than it may get, and the turn of this one would come too late.
    pub(super) fn unsent_in_time(host: &str) -> Self {
        let message = format!("its turn to ask {host} comes too late, because of `http.requests_per_second`");
        RequestError { kind: RequestErrorKind::Timeout, message, retry_after: None }
    }

    /// Somebody else is asking the same, and has no answer yet.
    pub(super) fn waited(host: &str) -> Self {
        let message = format!("{host} has not answered the same question, which was asked before, in time");
        RequestError { kind: RequestErrorKind::Timeout, message, retry_after: None }
    }

    pub(super) fn breaker_open(host: &str, left: Duration, last: &str) -> Self {
        let message =
            format!("{host} failed several times and is left alone for {:.0} s; the last time: {last}", left.as_secs_f64().ceil());
        RequestError { kind: RequestErrorKind::BreakerOpen, message, retry_after: Some(left) }
    }

    /// What reqwest says, without the URL: it can hold a secret.
    pub(super) fn of(error: &reqwest::Error, host: &str) -> Self {
        let cause = root_cause(error);
        let (kind, message) = if has_tls_error(error) {
            let remedy = "if its certificate is of an authority of your own, name that authority's PEM file as `http.ca_file`";
            (RequestErrorKind::Tls, format!("cannot speak to {host} securely: {cause}; {remedy}"))
        } else if error.is_timeout() {
            let remedy = "check that it is not overloaded, or raise `http.timeout_seconds` and `http.read_timeout_seconds`";
            let what = if error.is_connect() { "cannot be connected to in time" } else { "did not answer in time" };
            (RequestErrorKind::Timeout, format!("{host} {what}; {remedy}"))
        } else if error.is_connect() {
            let remedy = "check the address, that the server runs, and that no firewall or proxy is in between";
            (RequestErrorKind::Connect, format!("cannot connect to {host}: {cause}; {remedy}"))
        } else {
            (RequestErrorKind::Connect, format!("the connection to {host} broke off: {cause}"))
        };
        RequestError { kind, message, retry_after: None }
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
}

fn root_cause(error: &reqwest::Error) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

/// An `io::Error` hides what it holds from [`Error::source`], and one can hold another.
pub(super) fn has_tls_error(error: &(dyn Error + 'static)) -> bool {
    if error.is::<rustls::Error>() {
        return true;
    }
    let held = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
    held.is_some_and(|held| has_tls_error(held)) || error.source().is_some_and(has_tls_error)
}

/// An error with all its causes, without the URL.
pub(super) fn causes(error: &reqwest::Error) -> String {
    chain(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
