//! What differs between two configurations, for people: one line for each key.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Config;

/// Longer values are cut.
const LONGEST_VALUE: usize = 200;

impl Config {
    /// The keys whose values differ from those of `self` in `new`, with both. Routes and destinations go by their names, where they have
    /// some, so that one that is added does not change all that follow. Secrets are masked. Nothing where the two are the same, and only there.
    pub fn changes(&self, new: &Config) -> Vec<String> {
        let self_differs = self != new;
        let [old, new] = [self, new].map(|config| {
            let mut leaves = BTreeMap::new();
            flatten("", &serde_json::to_value(config.masked()).unwrap_or_default(), &mut leaves);
            leaves
        });
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let mut changes: Vec<String> = keys
            .into_iter()
            .filter_map(|key| match (old.get(key), new.get(key)) {
                (Some(old), Some(new)) if old == new => None,
                (Some(old), Some(new)) => Some(format!("{key}: {} → {}", cut(old), cut(new))),
                (Some(value), None) => {
                    Some(whole(key, &new).map_or_else(|| format!("{key}: {} → (not set)", cut(value)), |item| format!("{item}: removed")))
                }
                (None, Some(value)) => {
                    Some(whole(key, &old).map_or_else(|| format!("{key}: (not set) → {}", cut(value)), |item| format!("{item}: added")))
                }
                (None, None) => None,
            })
            .collect();
        // An item that came or went has as many keys, which are sorted.
        changes.dedup();
        if changes.is_empty() && self_differs {
            changes.push("a value that is not shown".to_owned());
        }
        changes
    }
}

fn cut(value: &str) -> String {
    match value.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()),
        None => value.to_owned(),
    }
}

/// The outermost item of a list that a key is in, and of which the other configuration has nothing.
fn whole<'a>(key: &'a str, other: &BTreeMap<String, String>) -> Option<&'a str> {
    key.match_indices(']').filter_map(|(end, _)| key.get(..=end)).find(|item| !other.keys().any(|other| other.starts_with(item)))
}

fn flatten(path: &str, value: &Value, leaves: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(table) if !table.is_empty() => {
            for (key, value) in table {
                flatten(&if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, value, leaves);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (index, item) in items.iter().enumerate() {
                let name = item.get("name").and_then(Value::as_str).map_or_else(|| index.to_string(), str::to_owned);
                flatten(&format!("{path}[{name}]"), item, leaves);
            }
        }
        leaf => {
            leaves.insert(path.to_owned(), leaf.to_string());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::config::Route;

    #[test]
    fn each_key_that_differs_has_a_line() {
        let route = |name: &str| Route::new(name, "/in", "/out");
        let old = Config { routes: vec![route("b"), route("c")], ..Config::default() };
        assert_eq!(old.changes(&old), [""; 0]);
        let mut new = Config { workers: std::num::NonZeroUsize::new(4), routes: vec![route("b")], ..Config::default() };
        new.routes[0].priority = 1;
        new.routes[0].context.insert("api_token".into(), "hush".into());
        let changes = old.changes(&new);
        for expected in ["workers: (not set) → 4", "routes[b].priority: 5 → 1", "routes[b].context.api_token: (not set) → \"***\""] {
            assert!(changes.iter().any(|change| change == expected), "{expected} in {changes:#?}");
        }
        assert_eq!(changes.iter().filter(|change| change.contains("routes[c]")).collect::<Vec<_>>(), ["routes[c]: removed"]);
        assert!(!changes.iter().any(|change| change.contains("hush")));
        // What is masked has changed all the same.
        let mut rotated = new.clone();
        rotated.routes[0].context.insert("api_token".into(), "hush, too".into());
        assert_eq!(new.changes(&rotated), ["a value that is not shown"]);
        // One that comes first changes nothing of the others.
        let first = Config { routes: vec![route("a"), route("b"), route("c")], ..Config::default() };
        assert_eq!(old.changes(&first), ["routes[a]: added"]);
    }
}
