//! An HTTPS server whose certificate is of an authority that nobody knows, and that says over which version of HTTP each request came.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::PrivatePkcs8KeyDer;

type Seen = Arc<Mutex<Vec<(Version, String)>>>;

/// The server. It keeps everything, for `localhost`.
pub struct SecureServer {
    port: u16,
    authority: String,
    seen: Seen,
    _runtime: tokio::runtime::Runtime,
}

impl SecureServer {
    /// A server on a port that nothing else has, with an authority made for it.
    pub fn up() -> SecureServer {
        let mut of_authority = CertificateParams::default();
        of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        of_authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        of_authority.distinguished_name.push(DnType::CommonName, "Dropforge test authority");
        let key = KeyPair::generate().unwrap();
        let authority = of_authority.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(of_authority, key);
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let mut tls = tls.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key.into()).unwrap();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));

        let seen = Seen::default();
        let app = Router::new().fallback(keep).with_state(Arc::clone(&seen));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, app) = (acceptor.clone(), app.clone());
                tokio::spawn(async move {
                    // Whoever does not believe the certificate breaks off here.
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = TowerToHyperService::new(app);
                    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        SecureServer { port, authority, seen, _runtime: runtime }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// The certificate of its authority, as PEM.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The requests that came: the version of HTTP, and the body.
    pub fn seen(&self) -> Vec<(Version, String)> {
        self.seen.lock().unwrap().clone()
    }
}

async fn keep(State(seen): State<Seen>, version: Version, body: Bytes) -> StatusCode {
    seen.lock().unwrap().push((version, String::from_utf8_lossy(&body).into_owned()));
    StatusCode::CREATED
}
