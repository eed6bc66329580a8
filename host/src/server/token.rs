//! The secret that admits to `/api`. It knows where the secret is kept and how to compare it, not who asks for it.

use std::fmt;
use std::fs;
use std::hint::black_box;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::files;

/// The name of the token's file in the state folder.
const FILE: &str = "token";

/// The variable of the environment that has the token in place of the file.
pub const TOKEN_VARIABLE: &str = "DROPFORGE_API_TOKEN";

/// Fewer characters than this are no secret.
const MIN_LENGTH: usize = 16;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The file cannot be read or made.
    #[error("cannot {action} the API token {path}: {source}")]
    Io {
        /// `read` or `create`.
        action: &'static str,
        /// The token's file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// What is in the environment is too short to be a secret.
    #[error(
        "the API token in {TOKEN_VARIABLE} has fewer than {MIN_LENGTH} characters: give a longer one, or none, and the token is in the state folder"
    )]
    TooShortVariable,
    /// What is in the file is too short to be a secret.
    #[error("the API token in {path} has fewer than {MIN_LENGTH} characters: write a longer one, or delete the file to get a new one")]
    TooShort {
        /// The token's file.
        path: PathBuf,
    },
}

/// The secret that a request to `/api` shows as `Authorization: Bearer …`. Only its digest is kept, so that it gets into no log and no core dump.
#[derive(Clone)]
pub struct Token {
    digest: [u8; 32],
}

impl Token {
    /// The token that the environment gives, if it does; else that of `state_dir`, as [`Token::load_or_create`] has it.
    ///
    /// # Errors
    /// Where it holds no secret, or the file cannot be read or made.
    pub fn given_or_kept(given: Option<&str>, state_dir: &Path) -> Result<Token, TokenError> {
        match given.map(str::trim).filter(|given| !given.is_empty()) {
            Some(given) if given.len() < MIN_LENGTH => Err(TokenError::TooShortVariable),
            Some(given) => Ok(Token::from_secret(given)),
            None => Token::load_or_create(state_dir),
        }
    }

    /// Reads the token in `state_dir`, or makes one at the first start: 64 random hexadecimal digits in a file that only its owner may read.
    ///
    /// # Errors
    /// Where the file cannot be read or made, or holds no secret.
    pub fn load_or_create(state_dir: &Path) -> Result<Token, TokenError> {
        let path = state_dir.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => {
                warn_if_readable(&path);
                let text = text.trim();
                if text.len() < MIN_LENGTH { Err(TokenError::TooShort { path }) } else { Ok(Token::from_secret(text)) }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => match create(state_dir, &path) {
                Ok(secret) => Ok(Token::from_secret(&secret)),
                Err(source) => Err(TokenError::Io { action: "create", path, source }),
            },
            Err(source) => Err(TokenError::Io { action: "read", path, source }),
        }
    }

    /// The token whose secret this is.
    pub fn from_secret(secret: &str) -> Token {
        Token { digest: Sha256::digest(secret).into() }
    }

    /// Whether `offered` is the secret, in a time that does not depend on how much of it is right: digests are compared, and wholly.
    pub fn matches(&self, offered: &str) -> bool {
        let offered: [u8; 32] = Sha256::digest(offered).into();
        let difference = self.digest.iter().zip(offered).fold(0, |difference, (a, b)| black_box(difference | (a ^ b)));
        difference == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Writes a new secret to a file of its own and gives that the name, so that a crash leaves no empty token.
fn create(state_dir: &Path, path: &Path) -> io::Result<String> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let secret: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    // `tempfile` makes files that only their owner may read.
    let mut file = tempfile::NamedTempFile::new_in(state_dir)?;
    writeln!(file, "{secret}")?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    Ok(secret)
}

fn warn_if_readable(path: &Path) {
    if files::others_may_read(path) {
        tracing::warn!(path = %path.display(), "Others than its owner may read the API token: `chmod 600` it");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn made_once_and_kept() {
        let state = tempfile::tempdir().unwrap();
        let made = Token::load_or_create(state.path()).unwrap();
        let secret = fs::read_to_string(state.path().join("token")).unwrap();
        assert_eq!(secret.trim().len(), 64);
        assert!(secret.trim().bytes().all(|byte| byte.is_ascii_hexdigit()));
        let read = Token::load_or_create(state.path()).unwrap();
        for token in [made, read] {
            assert!(token.matches(secret.trim()));
            for wrong in ["", " ", &secret, &secret[..63], &secret.trim().to_uppercase().replace('A', "b")] {
                assert!(!token.matches(wrong), "{wrong:?}");
            }
        }
        let other = tempfile::tempdir().unwrap();
        Token::load_or_create(other.path()).unwrap();
        assert_ne!(secret, fs::read_to_string(other.path().join("token")).unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let state = tempfile::tempdir().unwrap();
        Token::load_or_create(state.path()).unwrap();
        let mode = fs::metadata(state.path().join("token")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_short_one_is_refused_by_name() {
        let state = tempfile::tempdir().unwrap();
        fs::write(state.path().join("token"), "secret\n").unwrap();
        let error = Token::load_or_create(state.path()).unwrap_err().to_string();
        assert!(error.contains("token") && error.contains("fewer than 16 characters"), "{error}");
    }

    #[test]
    fn the_environment_goes_before_the_file() {
        let state = tempfile::tempdir().unwrap();
        let given = Token::given_or_kept(Some(" 0123456789abcdef\n"), state.path()).unwrap();
        assert!(given.matches("0123456789abcdef") && !state.path().join("token").exists());
        let error = Token::given_or_kept(Some("secret"), state.path()).unwrap_err().to_string();
        assert!(error.contains("DROPFORGE_API_TOKEN has fewer than 16 characters"), "{error}");
        for none in [None, Some(" ")] {
            Token::given_or_kept(none, state.path()).unwrap();
            assert!(state.path().join("token").exists());
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let state = tempfile::tempdir().unwrap();
        let error = Token::load_or_create(&state.path().join("absent")).unwrap_err().to_string();
        assert!(error.starts_with("cannot create the API token"), "{error}");
    }
}
