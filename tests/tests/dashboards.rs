//! Rules and dashboards of `deploy/` are about metrics that a daemon has, and a real Prometheus evaluates every expression.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;

use dropforge_tests::deploy::{WITH_UPSTREAM, deploy, promtool, text};
use dropforge_tests::expressions::{Known, mentions};
use dropforge_tests::prometheus::Prometheus;
use dropforge_tests::{Daemon, Setup, wait_for};
use serde_json::{Value, json};

#[test]
fn names_are_found_in_expressions() {
    let found =
        mentions(r#"sum by (job, le) (rate(a_total{x=~"a}|b",y!="z"}[5m])) / on (job) group_left () (b:c > 0) unless 1.5 * time() and d"#);
    let matchers = vec![("x".into(), "=~".into(), "a}|b".into()), ("y".into(), "!=".into(), "z".into())];
    assert_eq!(found.metrics, [("a_total".into(), matchers), ("b:c".into(), vec![]), ("d".into(), vec![])]);
    assert_eq!(found.labels, ["job".to_string(), "le".into()].into());
}

/// The values of `expr:` in a file of rules, on one line or in a block, with the rule's name.
fn rules(file: &str) -> Vec<(String, String)> {
    let text = text(&deploy("prometheus/rules").join(file));
    let mut lines = text.lines().peekable();
    let (mut found, mut name) = (Vec::new(), "");
    while let Some(line) = lines.next() {
        let line = line.trim();
        if let Some(rule) = line.strip_prefix("- alert: ").or_else(|| line.strip_prefix("- record: ")) {
            name = rule;
        }
        let Some(expression) = line.strip_prefix("expr: ") else { continue };
        let mut expression = expression.to_owned();
        if expression == "|" {
            expression.clear();
            while let Some(line) = lines.next_if(|line| line.starts_with("          ")) {
                expression += line;
                expression.push('\n');
            }
        }
        found.push((name.to_owned(), expression));
    }
    found
}

fn dashboards() -> Vec<(String, Value)> {
    let mut found: Vec<(String, Value)> = fs::read_dir(deploy("grafana/dashboards"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), serde_json::from_str(&text(&entry.path())).unwrap()))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(found.len() >= 7, "{} dashboards", found.len());
    found
}

#[test]
fn rules_and_dashboards_are_about_metrics_that_a_daemon_has() {
    let daemon = Setup::new().config(WITH_UPSTREAM).plugins(&["csv"]).start();
    daemon.assert_metric("intake_up{route=\"ict\"}", 1.0);
    // Its first request has failed by then.
    wait_for("the upstream server to be asked", || daemon.metric("upstream_up"));
    let known = Known::of(&daemon);

    let recording = rules("recording.yml");
    let recorded: Vec<String> = recording.iter().map(|(name, _)| name.clone()).collect();
    let alerts = rules("alerts.yml");
    assert!(recording.len() >= 10 && alerts.len() >= 16);
    for (name, expression) in recording.iter().chain(&alerts) {
        known.check(name, expression, &recorded);
    }
    for (file, dashboard) in dashboards() {
        let variables: BTreeSet<&str> =
            dashboard["templating"]["list"].as_array().unwrap().iter().map(|variable| variable["name"].as_str().unwrap()).collect();
        for query in dashboard["templating"]["list"].as_array().unwrap().iter().filter_map(|variable| variable["query"]["query"].as_str()) {
            let (selector, label) = query.strip_prefix("label_values(").unwrap().strip_suffix(')').unwrap().rsplit_once(", ").unwrap();
            known.check(&file, &format!("count by ({label}) ({selector})"), &recorded);
        }
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().unwrap() {
                let place = format!("{file}, {}", panel["title"]);
                let expression = target["expr"].as_str().unwrap();
                known.check(&place, &expression.replace("$__rate_interval", "5m"), &recorded);
                for variable in expression.split('$').skip(1) {
                    let name = variable.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap();
                    assert!(name == "__rate_interval" || variables.contains(name), "{place} uses ${name}: {expression}");
                }
            }
        }
    }

    // Prometheus reads each of them.
    let expressions = dashboard_expressions();
    assert!(expressions.len() > 70, "{}", expressions.len());
    let rules: Vec<Value> = expressions
        .iter()
        .enumerate()
        .map(|(number, (_, expression))| json!({ "record": format!("dashboard:{number}"), "expr": expression }))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.json"), json!({ "groups": [{ "name": "dashboards", "rules": rules }] }).to_string()).unwrap();
    promtool(&["check", "rules", "rules.json"], folder.path());
}

/// Every expression of the dashboards, with its place, for daemons of any name.
fn dashboard_expressions() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (file, dashboard) in dashboards() {
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().unwrap() {
                let mut expression = target["expr"].as_str().unwrap().replace("$__rate_interval", "5m");
                for variable in ["$job", "$instance", "$route", "$converter", "$destination"] {
                    expression = expression.replace(variable, ".*");
                }
                found.push((format!("{file}, {}", panel["title"]), expression));
            }
        }
    }
    found
}

/// A Prometheus with the configuration of `deploy/`, but for its pace, that scrapes these daemons; none where it is not installed.
fn prometheus(daemons: &[&Daemon]) -> Option<Prometheus> {
    let paced = text(&deploy("prometheus/prometheus.yml")).replace(": 15s", ": 1s").replace(": 10s", ": 1s");
    assert!(!paced.contains("15s"));
    Prometheus::start(&paced, |folder| {
        for name in ["rules", "targets"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        for rules in ["recording.yml", "alerts.yml"] {
            fs::copy(deploy("prometheus/rules").join(rules), folder.join("rules").join(rules)).unwrap();
        }
        let targets: Vec<String> = daemons.iter().map(|daemon| format!("127.0.0.1:{}", daemon.metrics_port())).collect();
        fs::write(folder.join("targets/daemons.yml"), json!([{ "targets": targets }]).to_string()).unwrap();
    })
}

#[test]
fn the_real_prometheus_evaluates_every_rule_and_every_panel_over_two_daemons() {
    let daemons = [(); 2].map(|()| {
        Setup::new()
            .config(
                &WITH_UPSTREAM.replace("[upstream]\nurl = \"http://127.0.0.1:9\"\n", "").replace("/reports", "http://127.0.0.1:9/reports"),
            )
            .plugins(&["csv", "junit"])
            .start()
    });
    for daemon in &daemons {
        daemon.assert_metric("intake_up{route=\"ict\"}", 1.0);
    }
    let Some(prometheus) = prometheus(&[&daemons[0], &daemons[1]]) else { return };
    wait_for("both daemons to be scraped some times", || {
        let scraped = prometheus.query("min(count_over_time(up{job=\"dropforge\"}[5m])) >= 4 and count(up == 1) == 2")?;
        scraped.unwrap().first().map(|_| ())
    });
    let rules = wait_for("every rule to be evaluated", || {
        let rules = prometheus.ask("/api/v1/rules", &[])?.unwrap();
        let rules: Vec<Value> = rules["groups"].as_array()?.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect();
        rules.iter().all(|rule| rule["health"] != "unknown").then_some(rules)
    });
    assert!(rules.len() >= 26, "{}", rules.len());
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        assert_ne!(rule["state"], "firing", "{rule}");
    }
    let expressions = dashboard_expressions();
    assert!(expressions.len() > 70, "{}", expressions.len());
    let mut answered = 0;
    for (place, expression) in &expressions {
        let values = prometheus.query(expression).unwrap().unwrap_or_else(|error| panic!("{place}: {expression}: {error}"));
        answered += usize::from(!values.is_empty());
    }
    // Empty are those of what these daemons do not have, such as errors, and shares of nothing.
    assert!(answered * 4 > expressions.len() * 3, "{answered} of {} panels show something", expressions.len());
}

#[test]
fn dashboards_are_whole() {
    let mut identities = BTreeSet::new();
    for (file, dashboard) in dashboards() {
        assert!(identities.insert(dashboard["uid"].to_string()) && identities.insert(dashboard["title"].to_string()), "{file}");
        assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 36 && dashboard["id"].is_null(), "{file}");
        assert!(dashboard["tags"].as_array().unwrap().contains(&json!("dropforge")), "{file}");
        let variables: Vec<&str> =
            dashboard["templating"]["list"].as_array().unwrap().iter().map(|variable| variable["name"].as_str().unwrap()).collect();
        assert_eq!(variables[..3], ["datasource", "job", "instance"], "{file}");
        let (mut ids, mut titles, mut taken) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for panel in dashboard["panels"].as_array().unwrap() {
            let place = format!("{file}, {}", panel["title"]);
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{place}");
            assert!(titles.insert(format!("{}{}", panel["type"], panel["title"])), "{place}");
            assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{place}");
            assert!(panel["fieldConfig"]["defaults"]["unit"].as_str().is_some_and(|unit| !unit.is_empty()), "{place}");
            assert_eq!(panel["datasource"], json!({ "type": "prometheus", "uid": "${datasource}" }), "{place}");
            let mut names = BTreeSet::new();
            for target in panel["targets"].as_array().unwrap() {
                assert!(names.insert(target["refId"].as_str().unwrap()), "{place}");
                assert_eq!(target["datasource"], panel["datasource"], "{place}");
            }
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            for column in at("x")..at("x") + at("w") {
                for row in at("y")..at("y") + at("h") {
                    assert!(column < 24 && taken.insert((column, row)), "{place} lies on another, or outside");
                }
            }
        }
    }
}
