//! What is presented to a server: tokens and passwords, from the environment or from files. They are in no error, no log and no `Debug`.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use reqwest::RequestBuilder;
use sha2::{Digest as _, Sha256};

use super::error::ClientError;
use crate::config::CredentialKeys;

/// Larger files are no tokens; in bytes.
const MOST_BYTES: u64 = 64 * 1024;

/// What is presented to a server.
pub struct Credentials {
    user: Option<String>,
    secret: Secret,
    /// What was read, and the state of the file that it was read from.
    cached: Mutex<Option<(FileState, String)>>,
}

enum Secret {
    Environment(String),
    File(PathBuf),
}

type FileState = Option<(u64, Option<SystemTime>)>;

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.secret {
            Secret::Environment(name) => name.clone(),
            Secret::File(path) => path.display().to_string(),
        };
        f.debug_struct("Credentials").field("from", &source).finish_non_exhaustive()
    }
}

impl Credentials {
    /// What the configuration names; none where it names nothing. Nothing is read yet.
    pub fn new(keys: CredentialKeys<'_>) -> Option<Credentials> {
        let (file, variable) = match keys.user {
            Some(_) => (keys.password_file, keys.password_env),
            None => (keys.token_file, keys.token_env),
        };
        let secret = match (file, variable) {
            (Some(path), _) => Secret::File(path.to_path_buf()),
            (None, Some(name)) => Secret::Environment(name.into()),
            (None, None) => return None,
        };
        Some(Credentials { user: keys.user.map(str::to_string), secret, cached: Mutex::default() })
    }

    /// Presents it with a request.
    ///
    /// # Errors
    /// Where the variable is not set or the file cannot be read, or where that is no token.
    pub(super) fn present(&self, request: RequestBuilder) -> Result<RequestBuilder, ClientError> {
        let secret = self.secret()?;
        Ok(match &self.user {
            Some(user) => request.basic_auth(user, Some(secret)),
            None => request.bearer_auth(secret),
        })
    }

    /// A digest that differs between what is presented at different times.
    ///
    /// # Errors
    /// As [`Credentials::present`].
    pub(super) fn digest(&self) -> Result<[u8; 32], ClientError> {
        let user = self.user.as_deref().unwrap_or_default();
        let kind = if self.user.is_some() { "user" } else { "token" };
        Ok(Sha256::digest(format!("{kind} {} {user}{}", user.len(), self.secret()?)).into())
    }

    /// The secret. A file is read again when it has changed.
    fn secret(&self) -> Result<String, ClientError> {
        let state = match &self.secret {
            Secret::Environment(_) => None,
            Secret::File(path) => {
                let metadata = fs::metadata(path).map_err(|source| ClientError::CredentialFile { path: path.clone(), source })?;
                Some((metadata.len(), metadata.modified().ok()))
            }
        };
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((before, secret)) = &*cached
            && *before == state
        {
            return Ok(secret.clone());
        }
        let secret = self.read()?;
        *cached = Some((state, secret.clone()));
        Ok(secret)
    }

    fn read(&self) -> Result<String, ClientError> {
        let secret = match &self.secret {
            Secret::Environment(name) => std::env::var(name).map_err(|_| ClientError::CredentialVariable(name.clone()))?,
            Secret::File(path) => {
                let failed = |source| ClientError::CredentialFile { path: path.clone(), source };
                if fs::metadata(path).map_err(failed)?.len() > MOST_BYTES {
                    return Err(self.no_secret());
                }
                fs::read_to_string(path).map_err(failed)?
            }
        };
        let secret = secret.trim_end_matches(['\n', '\r']);
        if secret.is_empty() || secret.contains(char::is_control) || (self.user.is_none() && !secret.is_ascii()) {
            return Err(self.no_secret());
        }
        Ok(secret.to_string())
    }

    fn no_secret(&self) -> ClientError {
        ClientError::NoSecret(match &self.secret {
            Secret::Environment(name) => format!("the variable {name}"),
            Secret::File(path) => path.display().to_string(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn header(credentials: &Credentials) -> reqwest::header::HeaderValue {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let request = credentials.present(reqwest::Client::new().get("https://server")).unwrap().build().unwrap();
        let header = request.headers()[reqwest::header::AUTHORIZATION].clone();
        assert!(header.is_sensitive());
        header
    }

    #[test]
    fn a_file_is_read_again_when_it_changes_and_its_content_is_shown_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "hush\n").unwrap();
        let credentials = Credentials::new(CredentialKeys { token_file: Some(&path), ..CredentialKeys::default() }).unwrap();
        assert_eq!(header(&credentials), "Bearer hush");
        let digest = credentials.digest().unwrap();
        assert_eq!(credentials.digest().unwrap(), digest);
        fs::write(&path, "hush hush").unwrap();
        assert_eq!(header(&credentials), "Bearer hush hush");
        assert_ne!(credentials.digest().unwrap(), digest);
        for bad in ["", "\n", "hush\u{7}"] {
            fs::write(&path, bad).unwrap();
            let error = credentials.secret().unwrap_err().to_string();
            assert!(error.contains("token") && !error.contains("hush"), "{error}");
        }
        fs::remove_file(&path).unwrap();
        assert!(matches!(credentials.secret(), Err(ClientError::CredentialFile { .. })));
        assert!(!format!("{credentials:?}").contains("hush"));
    }

    #[test]
    fn a_user_has_a_password() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        fs::write(&path, "open sesame").unwrap();
        let keys = CredentialKeys { user: Some("Aladdin"), password_file: Some(&path), ..CredentialKeys::default() };
        // RFC 7617.
        assert_eq!(header(&Credentials::new(keys).unwrap()), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let keys = CredentialKeys { token_env: Some("DROPFORGE_NO_SUCH_VARIABLE"), ..CredentialKeys::default() };
        let error = Credentials::new(keys).unwrap().secret().unwrap_err().to_string();
        assert!(error.contains("DROPFORGE_NO_SUCH_VARIABLE"), "{error}");
        assert!(Credentials::new(CredentialKeys::default()).is_none());
    }
}
