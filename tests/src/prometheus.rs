//! The real Prometheus, beside the daemons of a test.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// With this variable in the environment, a Prometheus that cannot be had is a failure.
const REQUIRED: &str = "REQUIRE_PROMETHEUS";

/// One that runs. Dropping it ends it.
pub struct Prometheus {
    process: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("--- Prometheus ---\n{}", fs::read_to_string(self.folder.path().join("log")).unwrap_or_default());
        }
    }
}

impl Prometheus {
    /// Starts one with a configuration, in a folder that `prepare` fills with what that speaks of. None where it is not installed, which is said.
    pub fn start(config: &str, prepare: impl FnOnce(&Path)) -> Option<Prometheus> {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("prometheus.yml"), config).unwrap();
        prepare(folder.path());
        // Free a moment ago.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let log = File::create(path("log")).unwrap();
        let started = Command::new("prometheus")
            .arg(format!("--config.file={}", path("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", path("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        match started {
            Ok(process) => Some(Prometheus { process, port, folder }),
            Err(error) => {
                assert!(std::env::var_os(REQUIRED).is_none(), "prometheus: {error}; `cargo xtask setup` installs it");
                eprintln!("SKIPPED: prometheus is not here ({error}); `cargo xtask setup` installs it (Debian's package prometheus)");
                None
            }
        }
    }

    /// Asks its API: what is under `data`. None while it does not answer, an error where it says so.
    pub fn ask(&self, path: &str, query: &[(&str, &str)]) -> Option<Result<Value, String>> {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(super::PATIENCE)).build();
        let mut request = ureq::Agent::new_with_config(config).get(format!("http://127.0.0.1:{}{path}", self.port));
        for (name, value) in query {
            request = request.query(name, value);
        }
        let body = request.call().ok()?.body_mut().read_to_string().ok()?;
        let answer: Value = serde_json::from_str(&body).ok()?;
        Some(if answer["status"] == "success" { Ok(answer["data"].clone()) } else { Err(answer.to_string()) })
    }

    /// The series that a query gives at this moment; none while it does not answer.
    pub fn query(&self, expression: &str) -> Option<Result<Vec<Value>, String>> {
        let answer = self.ask("/api/v1/query", &[("query", expression)])?;
        Some(answer.map(|data| data["result"].as_array().unwrap().clone()))
    }
}
