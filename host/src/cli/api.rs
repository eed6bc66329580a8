//! How commands ask a daemon that runs: over its API, with the token in its state folder.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;

use super::config::ConfigArgs;
use crate::config::Config;
use crate::daemon::{running_at, url};
use crate::server::TOKEN_VARIABLE;
use crate::tls::{client_of_own_daemon, is_spoken};

/// How long an answer may take: a daemon that takes longer is not well.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which daemon is meant.
#[derive(Debug, Args)]
pub(super) struct DaemonArgs {
    /// The configuration of the daemon: it says where its state folder and its port are
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The state folder of the daemon, with the token that it asks for
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The port of its health endpoints and its API
    #[arg(long, value_name = "PORT")]
    health_port: Option<u16>,
}

/// A daemon's API.
pub(super) struct Api {
    base: String,
    token_file: PathBuf,
    token: Option<String>,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

/// What came of a question.
pub(super) enum Asked {
    /// Nobody answers, for this reason.
    Silence(String),
    /// A status, and what came with it.
    Answer(u16, String),
}

impl DaemonArgs {
    /// As much of its configuration as says where it is.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub(super) fn located(&self) -> anyhow::Result<Config> {
        let args =
            ConfigArgs { config: self.config.clone(), state: self.state.clone(), health_port: self.health_port, ..ConfigArgs::default() };
        args.locate()
    }

    /// Where it answers.
    pub(super) fn base_url(&self, config: &Config) -> String {
        base_url(config, self.health_port)
    }

    /// The API of the daemon that is meant; whether it is there, the first question says.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub(super) fn api(&self) -> anyhow::Result<Api> {
        let config = self.located()?;
        Api::of(&config, &self.base_url(&config), PATIENCE)
    }
}

impl Api {
    /// That of the daemon at `base`, of which the configuration says what it is to be shown, and whom to trust.
    ///
    /// # Errors
    /// Where its certificate's authority cannot be read, or no client be made.
    pub(super) fn of(config: &Config, base: &str, patience: Duration) -> anyhow::Result<Api> {
        let token_file = config.state_dir.join("token");
        let given = std::env::var(TOKEN_VARIABLE).ok().filter(|given| !given.trim().is_empty());
        // A daemon on loopback answers questions without; what changes something is refused there, and says why.
        let token = given.or_else(|| fs::read_to_string(&token_file).ok()).map(|text| text.trim().to_owned());
        // A proxy, which the environment may name, cannot reach this machine's loopback.
        let mut client = reqwest::Client::builder().timeout(patience).no_proxy();
        if base.starts_with("https:") {
            let tls = config.server.tls.as_ref();
            let (certificate, ca_file) = (tls.map(|tls| tls.certificate_file.as_path()), tls.and_then(|tls| tls.ca_file.as_deref()));
            client = client.tls_backend_preconfigured(client_of_own_daemon(&config.state_dir, certificate, ca_file)?);
        } else {
            // The client asks for a provider although it speaks no TLS; another part of the process may have named it.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start what asks the daemon")?;
        Ok(Api { base: base.to_owned(), token_file, token, client: client.build().context("cannot make a client")?, runtime })
    }

    /// Asks for something.
    ///
    /// # Errors
    /// Where no daemon answers, or it cannot: a sentence.
    pub(super) fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.answer(self.ask(path))
    }

    /// Asks for something, whatever the answer is.
    pub(super) fn ask(&self, path: &str) -> Asked {
        self.send(self.client.get(format!("{}{path}", self.base)))
    }

    /// Asks for something to be done.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub(super) fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.client.post(format!("{}{path}", self.base)).header("Content-Type", "application/json");
        self.answer(self.send(request.body(body.to_string())))
    }

    fn send(&self, mut request: reqwest::RequestBuilder) -> Asked {
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let answer = async {
            let response = request.send().await?;
            Ok((response.status().as_u16(), response.text().await?))
        };
        match self.runtime.block_on(answer) {
            Ok((status, text)) => Asked::Answer(status, text),
            Err(error) => Asked::Silence(cause(&error)),
        }
    }

    fn answer(&self, asked: Asked) -> anyhow::Result<Value> {
        let base = &self.base;
        let (status, text) = match asked {
            Asked::Answer(status, text) => (status, text),
            Asked::Silence(error) => bail!(
                "no daemon answers at {base} ({error}): start one with `dropforge run`, or say with -c, --state and --health-port which one is \
                 meant"
            ),
        };
        let answer: Option<Value> = serde_json::from_str(&text).ok();
        match (status, answer) {
            (200..=299, Some(answer)) => Ok(answer),
            (401, _) => bail!(
                "the daemon at {base} does not take the token in {} (or {TOKEN_VARIABLE}): say with --state or -c which state folder it runs with, \
                 as a user who may read its token",
                self.token_file.display()
            ),
            (_, Some(answer)) if answer.get("detail").is_some_and(Value::is_string) => {
                bail!("the daemon at {base} says: {}", answer.get("detail").and_then(Value::as_str).unwrap_or_default())
            }
            _ => {
                bail!("what answers at {base} is no daemon of this version of Dropforge (status {status}); say with --health-port which is")
            }
        }
    }
}

/// Why there was no answer: the cause at the bottom. What stands above it says no more than that somebody was asked.
fn cause(error: &reqwest::Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(below) = deepest.source() {
        deepest = below;
    }
    deepest.to_string()
}

/// The address of the API of a daemon: the port that the user has named, else what the one that runs on this state folder says, else what this
/// configuration says.
pub(super) fn base_url(config: &Config, named: Option<u16>) -> String {
    let running = if named.is_none() { running_at(&config.state_dir) } else { None };
    running.unwrap_or_else(|| url(config.bind_address, config.health_port, speaks_tls(config)))
}

/// As the configuration says, or, where none is given, the state folder.
fn speaks_tls(config: &Config) -> bool {
    config.server.tls.is_some() || is_spoken(&config.state_dir)
}
