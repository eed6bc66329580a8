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
    agent: ureq::Agent,
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
        let token_file = config.state_dir.join("token");
        // A daemon on loopback answers questions without; what changes something is refused there, and says why.
        let token = fs::read_to_string(&token_file).ok().map(|text| text.trim().to_owned());
        Ok(Api { base: base_url(&config, self.health_port), token_file, token, agent: agent(PATIENCE) })
    }
}

impl Api {
    /// Asks for something.
    ///
    /// # Errors
    /// Where no daemon answers, or it cannot: a sentence.
    pub(super) fn get(&self, path: &str) -> anyhow::Result<Value> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        self.answer(request.call())
    }

    /// Asks for something to be done.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub(super) fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let mut request = self.agent.post(format!("{}{path}", self.base)).content_type("application/json");
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        self.answer(request.send(body.to_string()))
    }

    fn answer(&self, result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> anyhow::Result<Value> {
        let base = &self.base;
        let mut response = match result {
            Ok(response) => response,
            Err(error) => bail!(
                "no daemon answers at {base} ({error}): start one with `dropforge run`, or say with -c, --state and --health-port which one is \
                 meant"
            ),
        };
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().with_context(|| format!("cannot read the answer of {base}"))?;
        let answer: Option<Value> = serde_json::from_str(&text).ok();
        match (status, answer) {
            (200..=299, Some(answer)) => Ok(answer),
            (401, _) => bail!(
                "the daemon at {base} does not take the token in {}: say with --state or -c which state folder it runs with, as a user who may \
                 read its token",
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

/// The address of the API of a daemon: the port that the user has named, else what the one that runs on this state folder says, else what this
/// configuration says.
pub(super) fn base_url(config: &Config, named: Option<u16>) -> String {
    let running = if named.is_none() { running_at(&config.state_dir) } else { None };
    running.unwrap_or_else(|| url(config.bind_address, config.health_port))
}

fn agent(patience: Duration) -> ureq::Agent {
    // A proxy, which the environment may name, cannot reach this machine's loopback.
    let config = ureq::Agent::config_builder().timeout_global(Some(patience)).proxy(None).http_status_as_error(false);
    ureq::Agent::new_with_config(config.build())
}
