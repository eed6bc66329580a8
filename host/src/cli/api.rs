//! How commands ask a daemon that runs: over its API, with the token in its state folder.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;

use super::config::ConfigArgs;
use crate::config::{Config, Need};

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
    /// The API of the daemon that is meant; whether it is there, the first question says.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub(super) fn api(&self) -> anyhow::Result<Api> {
        let args =
            ConfigArgs { config: self.config.clone(), state: self.state.clone(), health_port: self.health_port, ..ConfigArgs::default() };
        let config = args.load(Need::Nothing)?.config;
        let token_file = config.state_dir.join("token");
        // A daemon on loopback answers questions without; what changes something is refused there, and says why.
        let token = fs::read_to_string(&token_file).ok().map(|text| text.trim().to_owned());
        Ok(Api { base: base_url(&config), token_file, token, agent: agent(PATIENCE) })
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

/// The address of the API of the daemon that runs with a configuration.
pub(super) fn base_url(config: &Config) -> String {
    // An address that means every interface is no address to connect to.
    let address = match config.bind_address {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    format!("http://{}", SocketAddr::new(address, config.health_port))
}

fn agent(patience: Duration) -> ureq::Agent {
    // A proxy, which the environment may name, cannot reach this machine's loopback.
    let config = ureq::Agent::config_builder().timeout_global(Some(patience)).proxy(None).http_status_as_error(false);
    ureq::Agent::new_with_config(config.build())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_interface_is_asked_on_loopback() {
        let config = |bind: &str| Config { bind_address: bind.parse().unwrap(), ..Config::default() };
        assert_eq!(base_url(&config("0.0.0.0")), "http://127.0.0.1:8080");
        assert_eq!(base_url(&config("::")), "http://[::1]:8080");
        assert_eq!(base_url(&config("10.0.0.5")), "http://10.0.0.5:8080");
    }
}
