//! The pages of `docs/` that list what a daemon has.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use dropforge_tests::deploy::{WITH_UPSTREAM, promtool, root, text};
use dropforge_tests::expressions::Known;
use dropforge_tests::{Setup, wait_for};
use serde_json::{Value, json};

/// The rows of the tables of a page whose first cell is code: cells without their outer blanks.
fn rows(page: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        let mut within = false;
        let parts = line.trim().trim_matches('|').split(|c| {
            within ^= c == '`';
            c == '|' && !within
        });
        parts.map(|cell| cell.trim().to_owned()).collect()
    };
    page.lines().filter(|line| line.starts_with("| `")).map(cells).collect()
}

/// What stands between backquotes.
fn code(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn the_page_on_metrics_has_every_metric_of_a_daemon_and_no_other() {
    let config = format!("tracing = {{ endpoint = 'http://127.0.0.1:9' }}\n{WITH_UPSTREAM}");
    let daemon = Setup::new().config(&config).plugins(&["csv"]).start();
    daemon.assert_metric("intake_up{route=\"ict\"}", 1.0);
    wait_for("the upstream server to be asked", || daemon.metric("upstream_up"));
    let known = Known::of(&daemon);
    let exposition = daemon.get("/metrics").1;
    let mut exposed = BTreeMap::new();
    for (name, kind) in exposition.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')) {
        let series = if kind == "histogram" { format!("{name}_count") } else { name.to_owned() };
        exposed.insert(name.to_owned(), (kind.to_owned(), known.0[&series].keys().cloned().collect::<BTreeSet<_>>()));
    }
    let page = text(&root().join("docs/observability.md"));
    let mut documented = BTreeMap::new();
    let mut examples = Vec::new();
    for row in rows(&page).into_iter().filter(|row| row.len() == 5) {
        let [name, kind, labels, meaning, example] = row.try_into().unwrap();
        assert!(!meaning.is_empty(), "{name}");
        let example = code(&example).next().unwrap_or_else(|| panic!("{name} has no example")).to_owned();
        known.check(&name, &example, &[]);
        let name = code(&name).next().unwrap().to_owned();
        assert!(example.contains(&name), "{name}: {example}");
        examples.push(example);
        assert!(documented.insert(name.clone(), (kind, code(&labels).map(str::to_owned).collect())).is_none(), "{name} is there twice");
    }
    for (name, facts) in &exposed {
        assert_eq!(documented.get(name), Some(facts), "{name} of the daemon, on the left, in docs/observability.md");
    }
    // Only Linux tells of its processes.
    let there = |name: &str| exposed.contains_key(name) || (cfg!(not(target_os = "linux")) && name.starts_with("process_"));
    let surplus: Vec<&String> = documented.keys().filter(|name| !there(name)).collect();
    assert!(surplus.is_empty(), "no daemon has {surplus:?}");

    let rules: Vec<Value> =
        examples.iter().enumerate().map(|(number, example)| json!({ "record": format!("example:{number}"), "expr": example })).collect();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.json"), json!({ "groups": [{ "name": "examples", "rules": rules }] }).to_string()).unwrap();
    promtool(&["check", "rules", "rules.json"], folder.path());
}

#[test]
fn the_page_on_operations_has_every_type_of_error() {
    let daemon = Setup::new().plugins(&["csv"]).start();
    let known = Known::of(&daemon);
    let page = text(&root().join("docs/operations.md"));
    let documented: BTreeSet<String> =
        rows(&page).into_iter().filter(|row| row.len() == 4).map(|row| code(&row[0]).next().unwrap().to_owned()).collect();
    assert_eq!(documented, known.0["conversion_errors_total"]["error_type"]);
}

#[test]
fn links_lead_somewhere() {
    let anchor = |title: &str| -> String {
        let words = title.to_lowercase().replace(' ', "-");
        words.chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect()
    };
    for page in ["README.md", "docs/commands.md", "docs/observability.md", "docs/operations.md", "docs/performance.md"] {
        let path = root().join(page);
        for link in text(&path).split("](").skip(1).map(|rest| rest.split(')').next().unwrap()).filter(|link| !link.contains("://")) {
            let (file, section) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(target.exists(), "{page} links to {link}");
            let titles = || {
                text(&target)
                    .lines()
                    .filter_map(|line| line.strip_prefix('#'))
                    .map(|title| anchor(title.trim_start_matches(['#', ' '])))
                    .collect::<Vec<_>>()
            };
            assert!(section.is_empty() || titles().contains(&section.to_owned()), "{page} links to {link}");
        }
    }
}
