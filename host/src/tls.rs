//! Certificates of the daemon's ports: read, judged, and trusted by those who ask the daemon from its own machine. It knows nothing of ports.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};

/// The file in the state folder with the certificate that the ports show, for the commands that ask the daemon.
pub const SHOWN_FILE: &str = "certificate.der";

/// How many days before its end a certificate is warned about.
pub const SOON_DAYS: i64 = 30;

/// Why a certificate, or a key, cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read, or is not what it should be.
    #[error("cannot read {what} {path}: {reason}")]
    Read {
        /// `the certificate` or `the key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The two do not go together, or are of a kind that cannot be used.
    #[error("the certificate {certificate} and the key {key} cannot be used: {reason}")]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// A certificate with its key, ready to be shown.
#[derive(Debug, Clone)]
pub struct Identity {
    /// For the ports.
    pub server: Arc<ServerConfig>,
    /// The certificate itself, without those that have signed it.
    pub leaf: CertificateDer<'static>,
    /// Its last moment.
    pub expires: jiff::Timestamp,
}

impl Identity {
    /// Reads PEM files: the certificate, followed by those that have signed it, and its key.
    ///
    /// # Errors
    /// Why they cannot be used.
    pub fn read(certificate: &Path, key: &Path) -> Result<Identity, TlsError> {
        let chain = certificates(certificate)?;
        let failed = |reason: String| TlsError::Read { what: "the key", path: key.to_owned(), reason };
        let pem = fs::read(key).map_err(|error| failed(error.to_string()))?;
        let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| failed(format!("it holds no private key in PEM ({error})")))?;
        let unusable = |reason: String| TlsError::Unusable { certificate: certificate.to_owned(), key: key.to_owned(), reason };
        let leaf = chain.first().cloned().ok_or_else(|| unusable("there is no certificate".to_owned()))?;
        let expires = expiry(&leaf).map_err(unusable)?;
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions();
        let server = builder.and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private));
        let mut server = server.map_err(|error| unusable(error.to_string()))?;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Identity { server: Arc::new(server), leaf, expires })
    }

    /// Whole days until it expires; negative where it has.
    pub fn days_left(&self) -> i64 {
        (self.expires.as_second() - jiff::Timestamp::now().as_second()).div_euclid(86_400)
    }
}

/// The certificates of a PEM file; at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |reason: String| TlsError::Read { what: "the certificate", path: path.to_owned(), reason };
    let pem = fs::read(path).map_err(|error| failed(error.to_string()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(failed("it holds no certificate in PEM".to_owned())),
        Err(error) => Err(failed(format!("it is no PEM ({error})"))),
    }
}

fn expiry(certificate: &CertificateDer<'_>) -> Result<jiff::Timestamp, String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|error| format!("it is no X.509 certificate ({error})"))?;
    jiff::Timestamp::from_second(parsed.validity().not_after.timestamp()).map_err(|error| error.to_string())
}

/// Whether the daemon of a state folder speaks TLS: it leaves its certificate there then, and takes it away where it does not.
pub fn is_spoken(state_dir: &Path) -> bool {
    state_dir.join(SHOWN_FILE).exists()
}

/// How a command speaks to the daemon of its own machine: it trusts the very certificate that the daemon has left in the state folder, or that
/// is configured, whatever names are in it; and those of an authority, if one is given, for the name that is asked.
///
/// # Errors
/// Where the authority's file cannot be read.
pub fn client_of_own_daemon(state_dir: &Path, configured: Option<&Path>, ca_file: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let shown = fs::read(state_dir.join(SHOWN_FILE)).ok().map(CertificateDer::from);
    let configured = configured.and_then(|path| certificates(path).ok()?.into_iter().next());
    let authority = ca_file.map(|path| authority(path, &provider)).transpose()?;
    let trust = Trust { own: shown.into_iter().chain(configured).collect(), authority, provider: Arc::clone(&provider) };
    let unusable =
        |error: rustls::Error| TlsError::Read { what: "the certificate", path: state_dir.join(SHOWN_FILE), reason: error.to_string() };
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(unusable)?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(trust)).with_no_client_auth())
}

fn authority(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    let failed = |reason: String| TlsError::Read { what: "the certificate", path: path.to_owned(), reason };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| failed(error.to_string()))?;
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build().map_err(|error| failed(error.to_string()))
}

/// Trusts these certificates by their bytes, and those that an authority has signed.
#[derive(Debug)]
struct Trust {
    own: Vec<CertificateDer<'static>>,
    authority: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // Whoever shows it has its key, too: the signatures below prove that.
        if self.own.iter().any(|own| own == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        match &self.authority {
            Some(authority) => authority.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
