//! The alerts and recording rules of `deploy/prometheus`, by Prometheus's own tool: each fires when it should, and only then.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;

use dropforge_tests::deploy::{WITH_UPSTREAM, deploy, promtool, root, series, text};
use dropforge_tests::{Setup, data};
use serde_json::{Value, json};

#[test]
fn prometheus_accepts_configuration_and_rules_and_every_alert_fires_when_it_should() {
    let folder = deploy("prometheus");
    if promtool(&["check", "config", "prometheus.yml"], &folder) {
        promtool(&["check", "rules", "--lint=all", "--lint-fatal", "rules/alerts.yml", "rules/recording.yml"], &folder);
        promtool(&["test", "rules", "tests/alerts.yml", "tests/recording.yml"], &folder);
    }
}

#[test]
fn every_alert_is_tested_both_ways_and_says_what_to_do() {
    let rules = text(&deploy("prometheus/rules/alerts.yml"));
    let tests = text(&deploy("prometheus/tests/alerts.yml"));
    let operations = text(&root().join("docs/operations.md"));
    let mut alerts = rules.split("\n      - alert: ").skip(1).peekable();
    assert!(alerts.peek().is_some());
    for alert in alerts {
        let (name, rule) = alert.split_once('\n').unwrap();
        for needed in ["severity: ", "summary: ", "description: "] {
            assert!(rule.contains(needed), "{name} has no {needed}");
        }
        let section = name.to_lowercase();
        assert!(rule.contains(&format!("runbook_url: docs/operations.md#{section}\n")), "{name}");
        assert!(operations.contains(&format!("\n### {name}\n")), "docs/operations.md has no section {name}");
        // As a line of its own where it fires, with its labels below; inside of braces where it does not.
        assert!(tests.contains(&format!("        alertname: {name}\n        exp_alerts:\n")), "no test sees {name} fire");
        let silent = tests.contains(&format!("alertname: {name}, exp_alerts: [] }}")) || name == "FilesWithoutConverter";
        assert!(silent, "no test sees {name} keep quiet");
    }
}

/// Has Prometheus look for a while at a daemon of which nothing changes any more: just these alerts fire. False where there is no promtool.
fn alerts_are(exposition: &str, expected: &[&str]) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let with_target = |name: &str, labels: &str, value: &str| {
        let comma = if labels.is_empty() { "" } else { "," };
        json!({ "series": format!("{name}{{job=\"dropforge\",instance=\"a\"{comma}{labels}}}"), "values": format!("{value}+0x45") })
    };
    let mut input: Vec<Value> = series(exposition).map(|(name, labels, value)| with_target(name, labels, value)).collect();
    input.push(with_target("up", "", "1"));
    let samples: Vec<Value> = expected.iter().map(|name| json!({ "labels": format!("{{alertname=\"{name}\"}}"), "value": 1 })).collect();
    let rules = |name: &str| deploy("prometheus/rules").join(name).canonicalize().unwrap();
    let test = json!({
        "rule_files": [rules("recording.yml"), rules("alerts.yml")],
        "evaluation_interval": "1m",
        "tests": [{
            "interval": "1m",
            "input_series": input,
            "promql_expr_test": [{
                "expr": "count by (alertname) (ALERTS{alertstate=\"firing\"})", "eval_time": "45m", "exp_samples": samples,
            }],
        }],
    });
    fs::write(folder.path().join("test.json"), test.to_string()).unwrap();
    promtool(&["test", "rules", "test.json"], folder.path())
}

#[test]
fn an_idle_daemon_fires_nothing() {
    let daemon = Setup::new().plugins(&["csv"]).start();
    daemon.assert_metric("intake_up{route=\"default\"}", 1.0);
    alerts_are(&daemon.get("/metrics").1, &[]);
}

#[test]
fn an_upstream_that_is_down_fires_what_is_true_and_nothing_else() {
    let daemon = Setup::new().config(WITH_UPSTREAM).plugins(&["csv"]).start();
    daemon.drop_file("a.csv", fs::read(data("csv/smallpop.csv")).unwrap());
    daemon.assert_metric("delivery_breaker_open{destination=\"http:/reports\"}", 1.0);
    daemon.assert_metric("upstream_up", 0.0);
    daemon.assert_metric("queue_waiting{queue_name=\"delivery_queue\",reason=\"destination\"}", 1.0);
    daemon.assert_metric("queue_depth{queue_name=\"delivery_queue\"}", 0.0);
    alerts_are(&daemon.get("/metrics").1, &["UpstreamOffline", "DestinationDown"]);
}
