//! The ports with TLS: real certificates, real clients, and what becomes of both when the files change.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use dropforge_tests::{Daemon, PATIENCE, Setup, run, wait_for};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const ROUTES: &str = "
[server.tls]
certificate_file = 'tls/server.pem'
key_file = 'tls/server.key'
ca_file = 'tls/ca.pem'
[[routes]]
name = 'ict'
intake = { path = '{dir}/in' }
destinations = [{ type = 'folder', path = '{dir}/out' }]
";

/// Who signs the certificates of a test.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "Dropforge test authority");
        let key = KeyPair::generate().unwrap();
        Authority { pem: params.self_signed(&key).unwrap().pem(), issuer: Issuer::new(params, key) }
    }

    /// A certificate of this machine with its key, as PEM, good until the first day of a year, or for some days.
    fn certificate(&self, year: i32) -> (String, String) {
        let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        self.sign(params)
    }

    fn certificate_for_days(&self, days: i64) -> (String, String) {
        let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let end = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(days * 24);
        let date = end.to_zoned(jiff::tz::TimeZone::UTC).date();
        params.not_after = date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs());
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

fn put(folder: &Path, (certificate, key): &(String, String)) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("server.key"), key).unwrap();
    fs::write(folder.join("server.pem"), certificate).unwrap();
}

/// A connection of a client that trusts the authority alone.
struct Secure(StreamOwned<ClientConnection, TcpStream>);

impl Secure {
    fn open(port: u16, authority: &Authority) -> Secure {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let client = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
        Secure(StreamOwned::new(client, stream))
    }

    /// The status of an answer with a body of known length.
    fn get(&mut self, path: &str) -> u16 {
        write!(self.0, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok()).unwrap();
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        head[9..12].parse().unwrap()
    }

    /// What the server has shown.
    fn certificate(&mut self) -> Vec<u8> {
        assert_eq!(self.get("/metrics"), 200);
        self.0.conn.peer_certificates().unwrap()[0].to_vec()
    }
}

fn der((certificate, _): &(String, String)) -> Vec<u8> {
    CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap().to_vec()
}

/// A command that knows the configuration.
fn command(daemon: &Daemon, arguments: &[&str]) -> (i32, String, String) {
    daemon.command(&[arguments, &["-c", "../dropforge.toml"]].concat())
}

#[test]
fn the_ports_speak_tls_and_take_a_new_certificate_without_dropping_anybody() {
    let (authority, setup) = (Authority::new(), Setup::new().config(ROUTES));
    let tls = setup.path("tls");
    let (first, second, soon) = (authority.certificate(2040), authority.certificate(2041), authority.certificate_for_days(5));
    put(&tls, &first);
    fs::write(tls.join("ca.pem"), &authority.pem).unwrap();
    let mut daemon = setup.start();
    let port = daemon.health_port();
    let shown = |port| Secure::open(port, &authority).certificate();

    let mut early = Secure::open(port, &authority);
    assert_eq!(early.certificate(), der(&first));
    assert_eq!(shown(daemon.metrics_port()), der(&first), "the other port, too");
    // Without TLS there is no answer.
    let mut plain = TcpStream::connect(("127.0.0.1", port)).unwrap();
    plain.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
    // What everybody has, where this machine has it.
    let url = format!("https://localhost:{port}/api/v1/status");
    match Command::new("curl").args(["--silent", "--fail", "--noproxy", "*", "--cacert"]).arg(tls.join("ca.pem")).arg(&url).output() {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(error) => eprintln!("SKIPPED: curl does not start here ({error})"),
    }
    // The commands find the daemon by its state folder alone, or by the configuration.
    for (code, output, errors) in [daemon.command(&["route", "list"]), command(&daemon, &["route", "list"])] {
        assert!(code == 0 && output.contains("ict"), "{output}{errors}");
    }
    assert_eq!(command(&daemon, &["route", "pause", "ict"]).0, 0);
    assert_eq!(command(&daemon, &["route", "resume", "ict"]).0, 0);

    put(&tls, &second);
    wait_for("the second certificate", || (shown(port) == der(&second)).then_some(()));
    assert_eq!(early.get("/health"), 200, "who is connected stays so");

    // One that is none, and one whose key is another's.
    fs::write(tls.join("server.pem"), "no certificate").unwrap();
    daemon.signal(rustix::process::Signal::HUP);
    daemon.wait_for_log("THE NEW CERTIFICATE CANNOT BE USED");
    assert_eq!(shown(port), der(&second));
    let (_, output, errors) = command(&daemon, &["status"]);
    assert!(output.contains("THE NEW CERTIFICATE IS NOT SHOWN") && output.contains("server.pem"), "{output}{errors}");
    let (code, output, _) = run(&daemon.path("in"), &["doctor", "-c", "../dropforge.toml", "--state", "../state"]);
    assert!(code == 1 && output.contains("server.tls") && output.contains("no certificate in PEM"), "{output}");
    put(&tls, &(first.0.clone(), second.1.clone()));
    wait_for("the log to say more", || (daemon.log().matches("THE NEW CERTIFICATE CANNOT BE USED").count() >= 2).then_some(()));
    assert_eq!(shown(port), der(&second));
    // Whoever trusts the authority needs nothing else.
    fs::remove_file(daemon.path("state/certificate.der")).unwrap();
    assert_eq!(command(&daemon, &["route", "list"]).0, 0);
    let (code, _, errors) = daemon.command(&["route", "list"]);
    assert!(code != 0 && errors.contains("no daemon answers"), "{errors}");

    put(&tls, &soon);
    wait_for("the third certificate", || (shown(port) == der(&soon)).then_some(()));
    daemon.wait_for_log("the certificate of the ports expires soon");
    assert!(command(&daemon, &["status"]).1.contains("expires in"), "status says so");
    let (_, output, _) = run(&daemon.path("in"), &["doctor", "-c", "../dropforge.toml", "--state", "../state"]);
    assert!(output.contains("expires in") && output.contains("put a new one in its place"), "{output}");
    assert!(output.contains("others than its owner may read the key"), "{output}");
    assert_eq!(early.get("/health"), 200);
    assert!(daemon.terminate().success());
}

#[test]
fn a_daemon_does_not_start_without_its_certificate() {
    let setup = Setup::new().config(ROUTES);
    put(&setup.path("tls"), &(String::new(), String::new()));
    let mut daemon = setup.spawn();
    assert_eq!(daemon.wait().code(), Some(1));
    assert!(daemon.log().contains("it holds no certificate in PEM"), "{}", daemon.log());
}

#[test]
fn open_ports_are_warned_of_and_a_token_may_come_from_the_environment() {
    let setup = Setup::new().environment("DROPFORGE_BIND_ADDRESS", "0.0.0.0").environment("DROPFORGE_API_TOKEN", "0123456789abcdef0123");
    let daemon = setup.start();
    daemon.wait_for_log("THE PORTS ARE OPEN TO OTHER MACHINES, on 0.0.0.0, WITHOUT TLS");
    assert!(!daemon.path("state/token").exists());
    let ask = |token: &str| {
        let agent = ureq::Agent::new_with_config(ureq::Agent::config_builder().http_status_as_error(false).build());
        let url = format!("http://127.0.0.1:{}/api/v1/routes", daemon.health_port());
        agent.get(url).header("authorization", format!("Bearer {token}")).call().unwrap().status().as_u16()
    };
    assert_eq!([ask("0123456789abcdef0123"), ask("0123456789abcdef0124"), ask("")], [200, 401, 401]);
    let log = daemon.log();
    assert!(!log.contains("0123456789abcdef0123"), "{log}");
}
