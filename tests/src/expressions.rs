//! Expressions of PromQL, as far as telling which metrics and labels they are about takes.

use std::collections::{BTreeMap, BTreeSet};

use super::Daemon;
use super::deploy::series;

/// A matcher of a selector: label, operator, value.
pub type Matcher = (String, String, String);

/// What an expression is about.
#[derive(Debug, Default, PartialEq)]
pub struct Mentions {
    /// Each metric with the matchers of its selector.
    pub metrics: Vec<(String, Vec<Matcher>)>,
    /// Labels that series are grouped or matched by.
    pub labels: BTreeSet<String>,
}

/// Reads what is needed of PromQL, which promtool has found to be right: every name that is no function, operator or number is a metric.
pub fn mentions(expression: &str) -> Mentions {
    let mut found = Mentions::default();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        if !word(first) {
            rest = match first {
                '"' => rest[1..].split_once('"').unwrap().1,
                _ => &rest[first.len_utf8()..],
            };
            continue;
        }
        let (name, after) = rest.split_at(rest.find(|c| !word(c)).unwrap_or(rest.len()));
        let next = after.trim_start();
        rest = after;
        match name {
            _ if first.is_ascii_digit() => {}
            "and" | "or" | "unless" | "bool" | "offset" => {}
            "by" | "without" | "on" | "ignoring" | "group_left" | "group_right" => {
                let (list, behind) = next.strip_prefix('(').unwrap().split_once(')').unwrap();
                found.labels.extend(list.split(',').map(|label| label.trim().to_owned()).filter(|label| !label.is_empty()));
                rest = behind;
            }
            _ if next.starts_with('(') || next.starts_with("by ") || next.starts_with("without ") => {}
            _ => {
                let mut matchers = Vec::new();
                if let Some(selector) = after.strip_prefix('{') {
                    let (mut inside, mut behind) = (selector, "");
                    while let Some(at) = inside.find(['"', '}']) {
                        if inside[at..].starts_with('}') {
                            behind = &inside[at + 1..];
                            break;
                        }
                        let (value, next) = inside[at + 1..].split_once('"').unwrap();
                        let label = inside[..at].trim_matches([',', ' ']);
                        let (label, operator) = label.split_at(label.find(['=', '!']).unwrap());
                        matchers.push((label.into(), operator.into(), value.into()));
                        inside = next;
                    }
                    rest = behind;
                }
                found.metrics.push((name.into(), matchers));
            }
        }
    }
    found
}

/// The metrics of a daemon, with the values of each label.
pub struct Known(pub BTreeMap<String, BTreeMap<String, BTreeSet<String>>>);

impl Known {
    /// Asks it.
    pub fn of(daemon: &Daemon) -> Known {
        let mut known: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for (name, labels, _) in series(&daemon.get("/metrics").1) {
            let family = known.entry(name.to_owned()).or_default();
            for label in labels.split("\",").filter(|label| !label.is_empty()) {
                let (label, value) = label.split_once("=\"").unwrap();
                family.entry(label.to_owned()).or_default().insert(value.trim_end_matches('"').to_owned());
            }
        }
        // Prometheus's own.
        known.insert("up".into(), BTreeMap::new());
        Known(known)
    }

    /// Every metric that an expression mentions is there, with the labels and the values that it is selected by.
    pub fn check(&self, place: &str, expression: &str, recorded: &[String]) {
        let mentions = mentions(expression);
        assert!(!mentions.metrics.is_empty(), "{place}: {expression}");
        let mut labels: BTreeSet<&str> = ["job", "instance"].into();
        for (metric, matchers) in &mentions.metrics {
            if recorded.contains(metric) {
                labels.extend(self.0.values().flat_map(BTreeMap::keys).map(String::as_str));
                continue;
            }
            let family = self.0.get(metric).unwrap_or_else(|| panic!("{place}: no daemon has {metric}: {expression}"));
            labels.extend(family.keys().map(String::as_str));
            for (label, operator, value) in matchers.iter().filter(|(label, ..)| !["job", "instance"].contains(&label.as_str())) {
                let values = family.get(label).unwrap_or_else(|| panic!("{place}: {metric} has no label {label}: {expression}"));
                // A variable stands for values that only the site knows.
                if operator == "=" && !value.contains('$') {
                    assert!(values.contains(value), "{place}: {metric} has no {label}={value}, only {values:?}: {expression}");
                }
            }
        }
        for label in &mentions.labels {
            assert!(labels.contains(label.as_str()), "{place}: nothing here has the label {label}: {expression}");
        }
    }
}
