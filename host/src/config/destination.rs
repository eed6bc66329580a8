//! Where documents go: the kinds of destinations and their settings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where documents go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Destination {
    /// A folder: one file per document.
    Folder(FolderDestination),
    /// An HTTP server: one request per document.
    Http(HttpDestination),
    /// An object store: one object per document.
    ObjectStore(ObjectStoreDestination),
}

/// A folder: one file per document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FolderDestination {
    /// The folder. It is made if it was never there; one that was there and is gone, such as a share that is not mounted, is waited for.
    pub path: PathBuf,
    /// The name of a document's file, with `{parts}` of the document and of its source; a `/` makes folders. A file of another document is
    /// never replaced: where the name is taken, the document's id is added.
    #[serde(default = "unique_name")]
    pub file_name: String,
    /// What metrics, logs and commands call this destination; by default its kind and path. Documents that wait for it wait for this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// An HTTP server: one request per document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpDestination {
    /// Where to send documents: `https://…` or `http://…` without a user name or password, or, with a `/` at its beginning, a path on the
    /// server of `upstream`. It has `{parts}` of the document and of its source.
    pub url: String,
    /// How to send them.
    #[serde(default)]
    pub method: HttpMethod,
    /// Further headers by name. Their values have `{parts}` of the document and of its source.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
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
    /// What metrics, logs and commands call this destination; by default its kind and URL. Documents that wait for it wait for this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// How documents are sent to an HTTP server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// Add it.
    #[default]
    Post,
    /// It is to be at this URL.
    Put,
    /// Change what is at this URL.
    Patch,
}

/// An object store: one object per document. Its credentials come from the environment, under the names that the store's own tools use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectStoreDestination {
    /// The bucket and a prefix: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`, or `file:///folder`.
    pub url: String,
    /// The key of a document's object below the prefix, with `{parts}` of the document and of its source.
    #[serde(default = "unique_name")]
    pub key: String,
    /// What metrics, logs and commands call this destination; by default its kind and URL. Documents that wait for it wait for this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What to present to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CredentialKeys<'a> {
    /// A file with a token.
    pub token_file: Option<&'a Path>,
    /// A variable with a token.
    pub token_env: Option<&'a str>,
    /// A user name.
    pub user: Option<&'a str>,
    /// A file with the user's password.
    pub password_file: Option<&'a Path>,
    /// A variable with the user's password.
    pub password_env: Option<&'a str>,
}

impl Destination {
    /// A folder with every default.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Destination::Folder(FolderDestination { path: path.into(), file_name: unique_name(), name: None })
    }

    /// How metrics, logs and the queue call it: its name, or else its kind and where it is. It outlives a change of the order in the
    /// configuration. What follows a `?` in a URL may be a secret, and is left out.
    pub fn label(&self) -> String {
        match self {
            Destination::Folder(FolderDestination { name: Some(name), .. })
            | Destination::Http(HttpDestination { name: Some(name), .. })
            | Destination::ObjectStore(ObjectStoreDestination { name: Some(name), .. }) => name.clone(),
            Destination::Folder(folder) => format!("folder:{}", folder.path.display()),
            Destination::Http(http) => format!("http:{}", without_query(&http.url)),
            Destination::ObjectStore(store) => format!("object-store:{}", without_query(&store.url)),
        }
    }

    /// The name that the configuration gives it.
    pub fn name(&self) -> Option<&str> {
        match self {
            Destination::Folder(folder) => folder.name.as_deref(),
            Destination::Http(http) => http.name.as_deref(),
            Destination::ObjectStore(store) => store.name.as_deref(),
        }
    }
}

impl HttpDestination {
    /// What it presents to the server.
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

impl CredentialKeys<'_> {
    /// Whether nothing is presented.
    pub fn is_empty(&self) -> bool {
        *self == CredentialKeys::default()
    }
}

/// A URL up to its query.
pub fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

fn unique_name() -> String {
    "{unique_name}".into()
}
