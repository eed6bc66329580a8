//! What a running daemon says of itself at one moment, for `dropforge status` and `dropforge top`.

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;

use super::api::Api;
use super::route::Route;
use super::table::thousands;
use crate::metrics::{ConverterTotals, DestinationTotals, NO_CONVERTER, Totals};
use crate::plugins::PluginStatus;
use crate::queue::SizesForm;
use crate::server::CertificateStatus;
use crate::shown::{bytes, duration};
use crate::tls::SOON_DAYS;

/// The answer of `/api/v1/status`, as far as it is shown.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Overview {
    pub version: String,
    pub instance_id: String,
    pub uptime_seconds: u64,
    pub status: String,
    #[serde(default)]
    pub reasons: Vec<String>,
    pub api_status: String,
    #[serde(default)]
    pub certificate: Option<CertificateStatus>,
    pub queue: SizesForm,
    pub spool_limit_bytes: u64,
    pub disk_free_bytes: Option<u64>,
    pub routes: Vec<Route>,
    pub plugins: Vec<PluginStatus>,
    pub totals: Totals,
}

/// What an operator has to do about the certificate, if anything.
fn certificate_trouble(certificate: &CertificateStatus) -> Option<String> {
    let CertificateStatus { file, expires_at, days_left, problem } = certificate;
    match problem {
        Some(problem) => Some(format!("  THE NEW CERTIFICATE IS NOT SHOWN, the one before is until {expires_at}: {problem}")),
        None if *days_left < 0 => Some(format!("  THE CERTIFICATE {file} HAS EXPIRED, on {expires_at}")),
        None if *days_left < SOON_DAYS => Some(format!("  the certificate {file} expires in {days_left} days")),
        None => None,
    }
}

impl Overview {
    /// Asks the daemon; the JSON as it came, too.
    ///
    /// # Errors
    /// Where no daemon answers, or it is of another version.
    pub fn ask(api: &Api) -> anyhow::Result<(Overview, Value)> {
        let answer = api.get("/api/v1/status")?;
        let overview =
            serde_json::from_value(answer.clone()).context("the daemon's answer is not understood: is it another version of Dropforge?")?;
        Ok((overview, answer))
    }

    /// The lines above the tables.
    pub fn head(&self) -> Vec<String> {
        let queue = &self.queue;
        let mut lines = vec![format!(
            "Dropforge {} `{}`: {}, up {}",
            self.version,
            self.instance_id,
            self.status.replace('_', " "),
            duration(self.uptime_seconds as f64),
        )];
        if self.api_status != "not_configured" {
            lines.push(format!("Upstream: {}", self.api_status.replace('_', " ")));
        }
        lines.extend(self.reasons.iter().map(|reason| format!("  {reason}")));
        lines.extend(self.certificate.iter().filter_map(certificate_trouble));
        let oldest = |seconds: f64, count: u64| if count == 0 { String::new() } else { format!(", the oldest for {}", duration(seconds)) };
        let waiting: Vec<String> = queue
            .waiting
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(reason, count)| format!("{} {reason}", thousands(*count)))
            .collect();
        lines.push(format!(
            "To convert: {}{}; waiting: {}; workers: {} of {} busy",
            thousands(queue.due),
            oldest(queue.oldest_seconds, queue.due),
            if waiting.is_empty() { "none".to_owned() } else { waiting.join(", ") },
            self.totals.active_workers,
            self.totals.workers
        ));
        let dead: u64 = queue.dead_letters.values().sum();
        lines.push(format!(
            "To deliver: {}{}; tried again: {}; refused: {}; dead letters: {}",
            thousands(queue.deliverable),
            oldest(queue.oldest_undelivered_seconds, queue.deliverable),
            thousands(queue.delivery_backing_off),
            thousands(queue.delivery_refused),
            thousands(dead)
        ));
        lines.push(format!(
            "Spool: {} of {}; disk: {}",
            bytes(queue.spool_bytes),
            bytes(self.spool_limit_bytes),
            self.disk_free_bytes.map_or_else(|| "unknown".to_owned(), |free| format!("{} free", bytes(free)))
        ));
        lines
    }

    /// Every converter that is there or has done something, with its plugin where one is loaded.
    pub fn converters(&self) -> Vec<(String, ConverterTotals, Option<&PluginStatus>)> {
        let plugin = |name: &str| self.plugins.iter().find(|plugin| plugin.running.as_ref().is_some_and(|running| running.name == name));
        self.totals
            .converters
            .iter()
            // Nobody's row says something only where there were such files.
            .filter(|(name, totals)| *name != NO_CONVERTER || totals.failed() > 0)
            .map(|(name, totals)| (name.clone(), totals.clone(), plugin(name)))
            .collect()
    }

    /// The plugin files that do not run, and why.
    pub fn refused(&self) -> impl Iterator<Item = (&str, &str)> {
        self.plugins.iter().filter_map(|plugin| Some((plugin.file.as_str(), plugin.refused.as_ref()?.reason.as_str())))
    }
}

impl ConverterTotals {
    /// Conversions that made documents, all or some of them.
    pub(super) fn converted(&self) -> u64 {
        self.of("success") + self.of("partial")
    }

    /// Conversions that failed.
    pub(super) fn failed(&self) -> u64 {
        self.of("error")
    }

    /// Conversions with this status.
    pub(super) fn of(&self, status: &str) -> u64 {
        self.conversions.get(status).copied().unwrap_or_default()
    }

    /// The mean time of a run.
    pub(super) fn mean(&self) -> String {
        if self.runs == 0 { "-".to_owned() } else { format!("{:.1} ms", self.seconds * 1e3 / self.runs as f64) }
    }
}

impl DestinationTotals {
    /// Documents with this status.
    pub(super) fn of(&self, status: &str) -> u64 {
        self.documents.get(status).copied().unwrap_or_default()
    }

    /// How it is doing.
    pub(super) fn state(&self) -> &'static str {
        if self.is_down { "down: left alone for a while" } else { "up" }
    }
}

/// How a converter is doing.
pub(super) fn converter_state(plugin: Option<&PluginStatus>) -> String {
    match plugin {
        None => String::new(),
        Some(plugin) if plugin.paused.is_some() => "paused".to_owned(),
        Some(plugin) if plugin.suspended.is_some() => "suspended".to_owned(),
        Some(plugin) if plugin.rolled_back.is_some() => "rolled back".to_owned(),
        Some(_) => "running".to_owned(),
    }
}
