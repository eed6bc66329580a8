//! What is kept for each server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Url;

use super::breaker::Breaker;
use super::rate::Rate;

/// Servers that state is kept for. They come from the configuration, so there are few; the bound is for what follows later.
const MOST_HOSTS: usize = 1024;

/// One server.
#[derive(Debug)]
pub(super) struct Host {
    pub breaker: Breaker,
    pub rate: Rate,
}

/// The servers by scheme, name and port.
#[derive(Debug)]
pub(super) struct Hosts {
    requests_per_second: f64,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

impl Hosts {
    pub fn new(requests_per_second: f64) -> Hosts {
        Hosts { requests_per_second, hosts: Mutex::default() }
    }

    pub fn of(&self, url: &Url) -> Arc<Host> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let key = url.origin().ascii_serialization();
        if hosts.len() >= MOST_HOSTS && !hosts.contains_key(&key) {
            hosts.clear();
        }
        let new = || Arc::new(Host { breaker: Breaker::default(), rate: Rate::new(self.requests_per_second) });
        Arc::clone(hosts.entry(key).or_insert_with(new))
    }
}

/// How people call a server: `server:8443`.
pub(super) fn name_of(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| name.to_string(), |port| format!("{name}:{port}"))
}
