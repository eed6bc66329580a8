//! Asks converters which of them a file is for. The order of the answers is part of the contract.

use std::cmp::Reverse;
use std::io;
use std::sync::Arc;

use super::{NotGranted, Plugin};
use crate::sandbox::{Input, Limits};

/// What a converter says of a file.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Who says it.
    pub plugin: Arc<Plugin>,
    /// 0 (not mine) to 100; 0 where the probe failed.
    pub confidence: u8,
    /// Why.
    pub reason: String,
    /// Whether the converter has said so itself: not where it was not granted what it needs, or its probe failed.
    pub is_its_own: bool,
}

/// Asks every converter. The answers come best first: the highest confidence, then the more specific pattern, then the name. `plugins` are
/// in the order of their names; `input` opens the file once for each; `limits` are those of a converter's `probe`, by its name. One whom
/// `granted` refuses what it cannot do without is not asked: it says 0, and why.
///
/// # Errors
/// Where the file cannot be opened.
pub fn ask(
    plugins: Vec<Arc<Plugin>>,
    granted: &dyn Fn(&Plugin) -> Result<(), NotGranted>,
    name: &str,
    path: &str,
    input: &dyn Fn() -> io::Result<Input>,
    limits: &dyn Fn(&str) -> Limits,
) -> io::Result<Vec<Answer>> {
    let mut answers = Vec::with_capacity(plugins.len());
    for plugin in plugins {
        if let Err(error) = granted(&plugin) {
            answers.push(Answer { plugin, confidence: 0, reason: error.to_string(), is_its_own: false });
            continue;
        }
        let (confidence, reason, is_its_own) = match plugin.converter.probe(input()?, &limits(&plugin.descriptor.name)) {
            Ok(probe) => (probe.confidence, probe.reason, true),
            Err(error) => {
                tracing::warn!(converter = plugin.descriptor.name, file = path, %error, "probe failed; the file is not offered to this converter");
                (0, error.to_string(), false)
            }
        };
        answers.push(Answer { plugin, confidence, reason, is_its_own });
    }
    // The sort keeps the order of equals, which is that of the names.
    answers.sort_by_key(|answer| Reverse((answer.confidence, answer.plugin.specificity(name, path).unwrap_or(0))));
    Ok(answers)
}
