//! How servers are spoken to, and the server that converters may ask and documents may go to.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::CredentialKeys;

/// How servers are spoken to: all of `destinations`, and `upstream`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// How many seconds connecting to a server may take.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 3600))]
    pub connect_timeout_seconds: f64,
    /// How many seconds a server may be silent while a request is under way.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 3600))]
    pub read_timeout_seconds: f64,
    /// How many seconds a request may take from its beginning to its end.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 86_400))]
    pub timeout_seconds: f64,
    /// How many requests a second one server gets at most; 0 is no limit.
    #[schemars(extend("minimum" = 0, "maximum" = 1_000_000))]
    pub requests_per_second: f64,
    /// The proxy for all requests, such as `http://proxy:3128`. By default it is what `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// A PEM file with certificates of authorities that are trusted besides those of the operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        HttpConfig {
            connect_timeout_seconds: 10.0,
            read_timeout_seconds: 30.0,
            timeout_seconds: 300.0,
            requests_per_second: 0.0,
            proxy: None,
            ca_file: None,
        }
    }
}

/// The server that converters may ask and documents may go to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// The server's address: `https://` or `http://`, without a user name or password. Destinations whose URL begins with `/` are below it.
    pub url: String,
    /// A file that holds the token to present to the server, and nothing else. It is read again when it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// The variable of the environment that holds the token to present to the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_env: Option<String>,
    /// The user name to present to the server, with a password, in place of a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// A file that holds the password of `user`, and nothing else. It is read again when it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// The variable of the environment that holds the password of `user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_env: Option<String>,
    /// After how many seconds without any other request the server is asked whether it is there.
    #[serde(default = "half_a_minute")]
    #[schemars(range(min = 1, max = 86_400))]
    pub ping_seconds: u32,
    /// The paths that converters may look up which are granted `lookup`, below `url`: each begins with `/`; `*` stands for any part between
    /// two `/`, `**` for any number of them. By default there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lookup_paths: Vec<String>,
}

impl Upstream {
    /// A server that nothing is presented to.
    pub fn new(url: impl Into<String>) -> Self {
        Upstream {
            url: url.into(),
            token_file: None,
            token_env: None,
            user: None,
            password_file: None,
            password_env: None,
            ping_seconds: half_a_minute(),
            lookup_paths: Vec::new(),
        }
    }

    /// What is presented to it.
    pub fn credentials(&self) -> CredentialKeys<'_> {
        CredentialKeys {
            token_file: self.token_file.as_deref(),
            token_env: self.token_env.as_deref(),
            user: self.user.as_deref(),
            password_file: self.password_file.as_deref(),
            password_env: self.password_env.as_deref(),
        }
    }
}

fn half_a_minute() -> u32 {
    30
}
