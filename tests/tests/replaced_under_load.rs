//! A plugin that is replaced again and again while jobs stream through it: none fails, and each is made by one version, which history names.
//!
//! `DROPFORGE_TEST_LONG=1` runs it with 10,000 jobs and 50 versions, in place of as many as there is time for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use dropforge_tests::{Setup, misbehave, run, wait_for, without_id};
use serde_json::Value;

/// The letters of a version, by its number.
fn letters(number: usize) -> String {
    ['L', 'D', char::from(b'A' + (number / 26) as u8), char::from(b'A' + (number % 26) as u8)].iter().collect()
}

fn version(number: usize) -> String {
    format!("1.0.0-release.{}", letters(number))
}

/// Every job that history holds, by path.
fn history(folder: &Path, jobs: usize) -> BTreeMap<String, Value> {
    let limit = (2 * jobs).to_string();
    let (code, answer, errors) = run(folder, &["queue", "list", "--state", "state", "--limit", &limit, "--json"]);
    assert_eq!(code, 0, "{errors}");
    let rows: Vec<Value> = serde_json::from_str(&answer).unwrap();
    rows.into_iter().map(|row| (row["path"].as_str().unwrap().to_owned(), row)).collect()
}

#[test]
fn jobs_stream_through_a_plugin_that_is_replaced_and_none_fails_or_mixes_versions() {
    let (jobs, versions) = if std::env::var_os("DROPFORGE_TEST_LONG").is_some() { (10_000, 50) } else { (2_000, 10) };
    let daemon = Setup::new().start();
    daemon.drop_plugin("misbehave.wasm", misbehave(&letters(0)));
    daemon.wait_for_version("misbehave.wasm", &version(0));
    // A tenth of them make three documents each. The files come in between the versions, and nobody waits for any of them.
    let name = |number: usize| if number.is_multiple_of(10) { format!("documents.{number}.mis") } else { format!("echo.{number}.mis") };
    let each = jobs / versions;
    for replacement in 1..=versions {
        let drop_some = |part: std::ops::Range<usize>| part.for_each(|number| daemon.drop_file(&name(number), number.to_string()));
        let first = (replacement - 1) * each;
        drop_some(first..first + each / 2);
        daemon.drop_plugin("misbehave.wasm", misbehave(&letters(replacement)));
        drop_some(first + each / 2..first + each);
        daemon.wait_for_version("misbehave.wasm", &version(replacement));
    }
    let expected_documents = jobs + 2 * (jobs / 10);
    wait_for("every document", || {
        (daemon.metric("queue_items_processed_total{queue_name=\"delivery_queue\"}") == Some(jobs as f64)).then_some(())
    });

    // Nothing failed, and everything is there once.
    daemon.assert_metric("conversions_total{converter=\"misbehave\",status=\"success\"}", jobs as f64);
    daemon.assert_metric_sum("conversion_errors_total", "", 0.0);
    daemon.assert_metric_sum("plugin_loads_total", "loaded", (versions + 1) as f64);
    let documents = daemon.documents();
    assert_eq!(documents.len(), expected_documents);
    let history = history(&daemon.path(""), jobs);
    assert_eq!(history.len(), jobs);
    let mut jobs_of: BTreeMap<&str, usize> = BTreeMap::new();
    for (path, job) in &history {
        assert!(job["outcome"] == "converted" && job["state"] == "settled", "{job:#}");
        let of_many = path.starts_with("documents.");
        assert_eq!(job["documents"], if of_many { 3 } else { 1 }, "{job:#}");
        if of_many {
            *jobs_of.entry(job["plugin_version"].as_str().unwrap()).or_default() += 1;
        }
    }

    // Each document names the version that made it: it is the one of its job's history.
    let mut parts_of: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    let mut echoes = 0;
    for (file, path) in &documents {
        let text = fs::read_to_string(path).unwrap();
        if without_id(file) == "echo.json" {
            let echo: Value = serde_json::from_str(&text).unwrap();
            let job = &history[echo["path"].as_str().unwrap()];
            assert_eq!(echo["version"], job["plugin_version"], "{job:#}");
            echoes += 1;
        } else {
            let made_by = text.trim().rsplit(' ').next().unwrap().to_owned();
            *parts_of.entry(made_by).or_default().entry(without_id(file)).or_default() += 1;
        }
    }
    assert_eq!(echoes, jobs - jobs / 10);
    for (made_by, parts) in &parts_of {
        assert_eq!(parts.len(), 3, "{made_by}: {parts:?}");
        assert!(
            parts.values().all(|count| *count == jobs_of[made_by.as_str()]),
            "{made_by} has {} jobs: {parts:?}",
            jobs_of[made_by.as_str()]
        );
    }
    assert_eq!(parts_of.len(), jobs_of.len());
    // The digest in history is that of the version, and several versions had their share.
    let mut digests: BTreeMap<&str, &str> = BTreeMap::new();
    for job in history.values() {
        let (version, digest) = (job["plugin_version"].as_str().unwrap(), job["plugin_digest"].as_str().unwrap());
        assert_eq!(*digests.entry(version).or_insert(digest), digest, "{version}");
    }
    assert!(digests.len() > versions / 3, "only {} of {} versions converted anything", digests.len(), versions + 1);
}
