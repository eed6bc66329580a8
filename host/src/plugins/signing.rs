//! Detached Ed25519 signatures of plugins: keys, signature files, and the check of one against the keys that are trusted. The format is
//! written down in `docs/signatures.md`. What is signed is the SHA-256 of the file, which is the plugin's identity everywhere else.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};

use crate::digest::sha256_hex;

/// What a signature's file has after the plugin's whole name.
pub const SIGNATURE_SUFFIX: &str = ".sig";
/// How the file of a trusted key ends.
pub const PUBLIC_KEY_EXTENSION: &str = "pub";

/// The first line of a signature: another version of the format has another.
const FORMAT: &str = "dropforge-signature: 1";
/// The largest key or signature, in bytes: each has a few hundred.
const MAX_FILE: u64 = 4096;
/// Keys that are looked at in a folder.
const MAX_KEYS: usize = 256;
/// What comes before the 32 bytes of an Ed25519 key in PKCS #8 and in SubjectPublicKeyInfo.
const PKCS8_PREFIX: [u8; 16] = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What is wrong with a signature or a key.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// There is no signature.
    #[error("it is not signed: there is no {}; sign it with `dropforge plugin sign`", .0.display())]
    Missing(PathBuf),
    /// A file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        error: io::Error,
    },
    /// It is no signature.
    #[error("{} is no signature: {reason}; sign the plugin again with `dropforge plugin sign`", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// It belongs to another file.
    #[error(
        "its signature is for other bytes (sha256 {signed}), not for these (sha256 {digest}): sign it again, or put back what was signed"
    )]
    OtherBytes {
        /// What was signed.
        signed: String,
        /// What is there.
        digest: String,
    },
    /// Nobody who is trusted has signed it.
    #[error("it is signed with the key {key}, which is not among the trusted keys in {}: add its public key there, if you trust it", folder.display())]
    Untrusted {
        /// The key's id.
        key: String,
        /// Where trusted keys are.
        folder: PathBuf,
    },
    /// The signature was not made with the key that it names.
    #[error("its signature is false: it was not made with the key {0} that it names")]
    False(String),
    /// It is no key.
    #[error("{} is no Ed25519 key as `dropforge plugin keygen` or `openssl genpkey -algorithm ed25519` makes it", .0.display())]
    NoKey(PathBuf),
    /// There is no chance to be had.
    #[error("the system gives no random bytes for a key: {0}")]
    Random(String),
}

/// A key to sign with.
pub struct SecretKey(Ed25519KeyPair);

/// A key to check signatures with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// The name of its file, without `.pub`.
    pub name: String,
    bytes: Vec<u8>,
}

/// A signature, as it is in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The id of the key that it names.
    pub key: String,
    /// The SHA-256 of what was signed, in lower hex.
    pub digest: String,
    bytes: Vec<u8>,
}

/// What tells a key from others: the first 16 hexadecimal digits of its SHA-256.
fn key_id(public: &[u8]) -> String {
    sha256_hex(public).chars().take(16).collect()
}

/// The bytes that are signed. The first line keeps a signature from meaning something else elsewhere.
fn message(digest: &str) -> String {
    format!("dropforge plugin signature 1\nsha256:{digest}\n")
}

impl SecretKey {
    /// Makes a key, and gives the text of its file beside it.
    ///
    /// # Errors
    /// [`SigningError::Random`].
    pub fn generate() -> Result<(SecretKey, String), SigningError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| SigningError::Random(error.to_string()))?;
        let key = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|error| SigningError::Random(error.to_string()))?;
        Ok((SecretKey(key), pem("PRIVATE KEY", &[&PKCS8_PREFIX[..], &seed].concat())))
    }

    /// Reads a key's file.
    ///
    /// # Errors
    /// [`SigningError::Io`], [`SigningError::NoKey`].
    pub fn read(path: &Path) -> Result<SecretKey, SigningError> {
        let none = || SigningError::NoKey(path.to_owned());
        let der = PrivatePkcs8KeyDer::from_pem_slice(&read_small(path)?).map_err(|_| none())?;
        Ok(SecretKey(Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).map_err(|_| none())?))
    }

    /// The text of the public key's file.
    pub fn public_pem(&self) -> String {
        pem("PUBLIC KEY", &[&SPKI_PREFIX, self.0.public_key().as_ref()].concat())
    }

    /// The id of the key.
    pub fn id(&self) -> String {
        key_id(self.0.public_key().as_ref())
    }

    /// Signs a file by its digest, and gives the text of the signature's file.
    pub fn sign(&self, digest: &str) -> String {
        let signature = self.0.sign(message(digest).as_bytes());
        format!("{FORMAT}\nkey: {}\nsha256: {digest}\nsignature: {}\n", self.id(), BASE64.encode(signature.as_ref()))
    }
}

impl PublicKey {
    /// Reads a key's file.
    ///
    /// # Errors
    /// [`SigningError::Io`], [`SigningError::NoKey`].
    pub fn read(path: &Path) -> Result<PublicKey, SigningError> {
        let none = || SigningError::NoKey(path.to_owned());
        let der = SubjectPublicKeyInfoDer::from_pem_slice(&read_small(path)?).map_err(|_| none())?;
        let bytes = der.as_ref().strip_prefix(&SPKI_PREFIX).filter(|bytes| bytes.len() == 32).ok_or_else(none)?.to_vec();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(PublicKey { name, bytes })
    }

    /// The id of the key.
    pub fn id(&self) -> String {
        key_id(&self.bytes)
    }
}

impl Signature {
    /// Reads a signature's text; `path` is where it is from.
    ///
    /// # Errors
    /// [`SigningError::Malformed`].
    pub fn parse(text: &[u8], path: &Path) -> Result<Signature, SigningError> {
        let malformed = |reason| SigningError::Malformed { path: path.to_owned(), reason };
        let text = std::str::from_utf8(text).map_err(|_| malformed("it is not text"))?;
        let mut lines = text.lines();
        if lines.next() != Some(FORMAT) {
            return Err(malformed("its first line is not `dropforge-signature: 1`"));
        }
        let mut field = |name, missing| lines.next().and_then(|line| line.strip_prefix(name)).map(str::to_owned).ok_or(missing);
        let key = field("key: ", malformed("its second line is not `key: ID`"))?;
        let digest = field("sha256: ", malformed("its third line is not `sha256: DIGEST`"))?;
        let signature = field("signature: ", malformed("its fourth line is not `signature: BASE64`"))?;
        if lines.next().is_some() {
            return Err(malformed("it has more than four lines"));
        }
        let is_hex = |text: &str, length| text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_hex(&key, 16) || !is_hex(&digest, 64) {
            return Err(malformed("its key or digest is not in lower-case hexadecimal digits"));
        }
        let bytes = BASE64.decode(signature).map_err(|_| malformed("its signature is not in base64"))?;
        Ok(Signature { key, digest, bytes })
    }

    /// Checks that one of these keys has signed the file with this digest, and gives it.
    ///
    /// # Errors
    /// [`SigningError::OtherBytes`], [`SigningError::Untrusted`], [`SigningError::False`].
    pub fn check<'a>(&self, digest: &str, trusted: &'a [PublicKey], folder: &Path) -> Result<&'a PublicKey, SigningError> {
        if self.digest != digest {
            return Err(SigningError::OtherBytes { signed: self.digest.clone(), digest: digest.to_owned() });
        }
        let untrusted = || SigningError::Untrusted { key: self.key.clone(), folder: folder.to_owned() };
        let key = trusted.iter().find(|key| key.id() == self.key).ok_or_else(untrusted)?;
        let verified = UnparsedPublicKey::new(&ED25519, &key.bytes).verify(message(digest).as_bytes(), &self.bytes);
        verified.map(|()| key).map_err(|_| SigningError::False(self.key.clone()))
    }
}

/// The trusted keys of a folder. One that cannot be read is left out with a warning: its signatures are not trusted.
///
/// # Errors
/// [`SigningError::Io`] where the folder cannot be listed.
pub fn trusted_keys(folder: &Path) -> Result<Vec<PublicKey>, SigningError> {
    let failed = |error| SigningError::Io { path: folder.to_owned(), error };
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).map_err(failed)?.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == PUBLIC_KEY_EXTENSION));
    paths.sort();
    if paths.len() > MAX_KEYS {
        tracing::warn!(folder = %folder.display(), "only the first {MAX_KEYS} of {} trusted keys are read", paths.len());
        paths.truncate(MAX_KEYS);
    }
    let read = |path: &PathBuf| PublicKey::read(path).inspect_err(|error| tracing::warn!("a trusted key is left out: {error}")).ok();
    Ok(paths.iter().filter_map(read).collect())
}

/// Where the signature of a plugin's file is.
pub fn signature_path(plugin: &Path) -> PathBuf {
    let mut path = plugin.as_os_str().to_owned();
    path.push(SIGNATURE_SUFFIX);
    path.into()
}

/// The bytes of a plugin's signature; none where it has none.
///
/// # Errors
/// [`SigningError::Io`].
pub fn read_signature(plugin: &Path) -> Result<Option<Vec<u8>>, SigningError> {
    match read_small(&signature_path(plugin)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(SigningError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the beginning of a file; a longer one is no key and no signature, whatever comes after.
fn read_small(path: &Path) -> Result<Vec<u8>, SigningError> {
    let failed = |error| SigningError::Io { path: path.to_owned(), error };
    // A FIFO would block in `open`.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("it is not a file")));
    }
    let mut bytes = Vec::new();
    fs::File::open(path).map_err(failed)?.take(MAX_FILE).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn pem(label: &str, der: &[u8]) -> String {
    // All of ours are shorter than the 64 characters of a line.
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(der))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A folder with a key's two files, and the key.
    fn key(folder: &Path, name: &str) -> SecretKey {
        let (key, text) = SecretKey::generate().unwrap();
        fs::write(folder.join(format!("{name}.key")), text).unwrap();
        fs::write(folder.join(format!("{name}.pub")), key.public_pem()).unwrap();
        key
    }

    fn check(text: &str, digest: &str, folder: &Path) -> Result<String, String> {
        let signature = Signature::parse(text.as_bytes(), Path::new("x.wasm.sig")).map_err(|error| error.to_string())?;
        let keys = trusted_keys(folder).unwrap();
        signature.check(digest, &keys, folder).map(|key| key.name.clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_signed_is_good_and_nothing_else_is() {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (alice, eve) = (key(ours.path(), "alice"), key(theirs.path(), "eve"));
        key(ours.path(), "bob");
        let digest = sha256_hex(b"plugin");
        let other = sha256_hex(b"another plugin");
        let text = SecretKey::read(&ours.path().join("alice.key")).unwrap().sign(&digest);
        assert_eq!(text, alice.sign(&digest), "the key survives its file");
        assert_eq!(check(&text, &digest, ours.path()).unwrap(), "alice");

        let wrong = |text: &str, digest: &str| check(text, digest, ours.path()).unwrap_err();
        assert!(wrong(&text, &other).contains("is for other bytes"));
        assert!(wrong(&text.replace(&digest, &other), &other).contains("its signature is false"));
        assert!(wrong(&eve.sign(&digest), &digest).contains("not among the trusted keys"));
        assert!(wrong(&eve.sign(&digest).replace(&eve.id(), &alice.id()), &digest).contains("its signature is false"));
        for (spoilt, reason) in [
            (text.replace("signature: 1", "signature: 2"), "its first line"),
            (text.replace("key: ", "kee: "), "its second line"),
            (text.replace("sha256: ", "sha512: "), "its third line"),
            (text.replace("\nsignature: ", "\nsigned: "), "its fourth line"),
            (text.clone() + "more\n", "more than four lines"),
            (text.replace(&digest, &digest.to_uppercase()), "lower-case"),
            (text.replace('=', "!"), "base64"),
            (String::new(), "its first line"),
        ] {
            assert!(wrong(&spoilt, &digest).contains(reason), "{reason}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_does_not_hide_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let alice = key(folder.path(), "alice");
        fs::write(folder.path().join("broken.pub"), "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n").unwrap();
        // A private key where the public one belongs is none.
        fs::copy(folder.path().join("alice.key"), folder.path().join("confused.pub")).unwrap();
        assert!(matches!(PublicKey::read(&folder.path().join("confused.pub")), Err(SigningError::NoKey(_))));
        assert!(matches!(SecretKey::read(&folder.path().join("alice.pub")), Err(SigningError::NoKey(_))));
        let keys = trusted_keys(folder.path()).unwrap();
        assert_eq!(keys.iter().map(|key| (key.name.clone(), key.id())).collect::<Vec<_>>(), [("alice".to_owned(), alice.id())]);
    }
}
