//! What is in `deploy/`, by the tools of those who read it: Prometheus's own on rules and on every expression of the dashboards, which also
//! have to be about metrics that a daemon has.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use dropforge_tests::{Daemon, Setup, data, python_with_packages, run, target_folder, wait_for};
use serde_json::{Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn deploy(path: &str) -> PathBuf {
    root().join("deploy").join(path)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs promtool, which must find nothing; false where there is none.
fn promtool(arguments: &[&str], folder: &Path) -> bool {
    let output = match Command::new("promtool").args(arguments).current_dir(folder).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("SKIPPED: promtool is not here; `cargo xtask setup` installs it (Debian's package prometheus)");
            return false;
        }
        output => output.unwrap(),
    };
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(output.status.success(), "promtool {}:\n{said}", arguments.join(" "));
    true
}

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

/// The series of an exposition: name, labels in braces or nothing, value.
fn series(exposition: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    exposition.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        (name, labels.strip_suffix('}').unwrap(), value)
    })
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

const WITH_UPSTREAM: &str = r#"
[upstream]
url = "http://127.0.0.1:9"

[[routes]]
name = "ict"
expected_interval_seconds = 3600
intake = { path = "{dir}/in" }
destinations = [{ type = "folder", path = "{dir}/out" }, { type = "http", url = "/reports" }]
"#;

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

/// A matcher of a selector: label, operator, value.
type Matcher = (String, String, String);

/// What an expression is about.
#[derive(Debug, Default, PartialEq)]
struct Mentions {
    /// Each metric with the matchers of its selector.
    metrics: Vec<(String, Vec<Matcher>)>,
    /// Labels that series are grouped or matched by.
    labels: BTreeSet<String>,
}

/// Reads what is needed of PromQL, which promtool has found to be right: every name that is no function, operator or number is a metric.
fn mentions(expression: &str) -> Mentions {
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

/// The metrics of a daemon, with the values of each label.
struct Known(BTreeMap<String, BTreeMap<String, BTreeSet<String>>>);

impl Known {
    fn of(daemon: &Daemon) -> Known {
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
    fn check(&self, place: &str, expression: &str, recorded: &[String]) {
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

/// A Prometheus with the configuration of `deploy/`, but for its pace. Dropping it ends it.
struct Prometheus {
    process: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("--- Prometheus ---\n{}", text(&self.folder.path().join("log")));
        }
    }
}

impl Prometheus {
    /// Starts one that scrapes these daemons; none where Prometheus is not installed.
    fn start(daemons: &[&Daemon]) -> Option<Prometheus> {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let paced = text(&deploy("prometheus/prometheus.yml")).replace(": 15s", ": 1s").replace(": 10s", ": 1s");
        assert!(!paced.contains("15s"));
        fs::write(path("prometheus.yml"), paced).unwrap();
        for name in ["rules", "targets"] {
            fs::create_dir(path(name)).unwrap();
        }
        for rules in ["recording.yml", "alerts.yml"] {
            fs::copy(deploy("prometheus/rules").join(rules), path("rules").join(rules)).unwrap();
        }
        let targets: Vec<String> = daemons.iter().map(|daemon| format!("127.0.0.1:{}", daemon.metrics_port())).collect();
        fs::write(path("targets/daemons.yml"), json!([{ "targets": targets }]).to_string()).unwrap();
        // Free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = File::create(path("log")).unwrap();
        let started = Command::new("prometheus")
            .arg(format!("--config.file={}", path("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", path("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        match started {
            Ok(process) => Some(Prometheus { process, port, folder }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                eprintln!("SKIPPED: prometheus is not here; `cargo xtask setup` installs it (Debian's package prometheus)");
                None
            }
            Err(error) => panic!("prometheus: {error}"),
        }
    }

    /// Asks its API: what is under `data`. None while it does not answer, an error where it says so.
    fn ask(&self, path: &str, query: &[(&str, &str)]) -> Option<Result<Value, String>> {
        let agent = ureq::Agent::new_with_config(ureq::Agent::config_builder().http_status_as_error(false).build());
        let mut request = agent.get(format!("http://127.0.0.1:{}{path}", self.port));
        for (name, value) in query {
            request = request.query(name, value);
        }
        let body = request.call().ok()?.body_mut().read_to_string().ok()?;
        let answer: Value = serde_json::from_str(&body).ok()?;
        Some(if answer["status"] == "success" { Ok(answer["data"].clone()) } else { Err(answer.to_string()) })
    }

    /// The values of a query.
    fn query(&self, expression: &str) -> Option<Result<Vec<Value>, String>> {
        let answer = self.ask("/api/v1/query", &[("query", expression)])?;
        Some(answer.map(|data| data["result"].as_array().unwrap().clone()))
    }
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
    let Some(prometheus) = Prometheus::start(&[&daemons[0], &daemons[1]]) else { return };
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

/// A command of the Python environment that `cargo xtask setup` makes, by a module that it has; none where it has not, which is said.
fn linter(module: &str) -> Option<Command> {
    let venv = target_folder().join("venv");
    let python = if cfg!(windows) { venv.join("Scripts").join("python.exe") } else { venv.join("bin").join("python") };
    let has = Command::new(&python).args(["-c", &format!("import {module}")]).output().is_ok_and(|output| output.status.success());
    if !has {
        eprintln!("SKIPPED: {module} is not in {}: `cargo xtask setup` installs it from PyPI, or says why it cannot", venv.display());
        return None;
    }
    let mut command = Command::new(python);
    command.args(["-m", module]).env("PYTHONDONTWRITEBYTECODE", "1");
    Some(command)
}

fn assert_passes(command: &mut Command) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(output.status.success(), "{command:?}:\n{said}");
}

/// The manifests that `kubectl apply -k` would apply.
fn manifests() -> Vec<PathBuf> {
    let folder = deploy("kubernetes");
    let list = text(&folder.join("kustomization.yaml"));
    let files: Vec<PathBuf> = list
        .lines()
        .filter_map(|line| line.strip_prefix("  - ")?.strip_suffix(".yaml"))
        .map(|name| folder.join(format!("{name}.yaml")))
        .collect();
    assert_eq!(files.len() + 1, fs::read_dir(&folder).unwrap().count(), "every file is applied");
    files
}

#[test]
fn manifests_fit_the_schemas_of_kubernetes() {
    let Some(mut validate) = linter("kubernetes_validate") else { return };
    // What is left out has a schema of its own, below.
    let of_kubernetes = manifests().into_iter().filter(|path| !path.ends_with("servicemonitor.yaml"));
    assert_passes(validate.args(["--strict", "-k", "1.33.0"]).args(of_kubernetes));
}

/// What the Prometheus operator knows of a ServiceMonitor, as far as ours uses it: another key would be dropped without a word.
fn service_monitor_schema() -> Value {
    let duration = json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h)$" });
    let labels = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    json!({
        "type": "object", "additionalProperties": false, "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": { "const": "monitoring.coreos.com/v1" },
            "kind": { "const": "ServiceMonitor" },
            "metadata": { "type": "object", "additionalProperties": false, "properties": { "name": { "type": "string" }, "labels": labels } },
            "spec": {
                "type": "object", "additionalProperties": false, "required": ["selector", "endpoints"],
                "properties": {
                    "jobLabel": { "type": "string" },
                    "sampleLimit": { "type": "integer", "minimum": 0 },
                    "selector": {
                        "type": "object", "additionalProperties": false, "properties": { "matchLabels": labels },
                    },
                    "endpoints": { "type": "array", "minItems": 1, "items": {
                        "type": "object", "additionalProperties": false,
                        "properties": {
                            "port": { "type": "string" }, "path": { "type": "string" },
                            "interval": duration, "scrapeTimeout": duration,
                        },
                    } },
                },
            },
        },
    })
}

#[test]
fn the_deployment_is_confined_and_its_parts_fit_together() {
    if linter("yaml").is_none() {
        return;
    }
    let paths = manifests();
    let documents = python_with_packages("yaml_documents.py", &paths.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    let of_kind = |kind: &str| {
        let mut found = documents.as_array().unwrap().iter().filter(|document| document["kind"] == kind);
        found.next().unwrap_or_else(|| panic!("there is no {kind}"))
    };
    let deployment = of_kind("Deployment");
    assert_eq!((&deployment["spec"]["strategy"]["type"], &deployment["spec"]["replicas"]), (&json!("Recreate"), &json!(1)));
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!((&pod["enableServiceLinks"], &pod["automountServiceAccountToken"]), (&json!(false), &json!(false)));
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let containers = || pod["initContainers"].as_array().unwrap().iter().chain(pod["containers"].as_array().unwrap());
    for container in containers() {
        let confined = &container["securityContext"];
        assert_eq!((&confined["readOnlyRootFilesystem"], &confined["allowPrivilegeEscalation"]), (&json!(true), &json!(false)));
        assert_eq!(confined["capabilities"], json!({ "drop": ["ALL"] }));
        assert!(container["resources"]["limits"]["memory"].is_string() && container["resources"]["requests"]["cpu"].is_string());
    }

    // Labels and ports meet.
    let (container, labels) = (&pod["containers"][0], &deployment["spec"]["template"]["metadata"]["labels"]);
    let service = of_kind("Service");
    let monitor = of_kind("ServiceMonitor");
    assert_eq!((&service["spec"]["selector"], &monitor["spec"]["selector"]["matchLabels"]), (labels, &service["metadata"]["labels"]));
    assert_eq!(&of_kind("NetworkPolicy")["spec"]["podSelector"]["matchLabels"], labels);
    assert_eq!(service["metadata"]["labels"][monitor["spec"]["jobLabel"].as_str().unwrap()], "dropforge", "the job that the alerts go by");
    let names = |ports: &Value| -> Vec<Value> { ports.as_array().unwrap().iter().map(|port| port["name"].clone()).collect() };
    assert_eq!(names(&service["spec"]["ports"]), names(&container["ports"]));
    assert!(names(&service["spec"]["ports"]).contains(&monitor["spec"]["endpoints"][0]["port"]));
    jsonschema::validate(&service_monitor_schema(), monitor).unwrap_or_else(|error| panic!("{error} at {}", error.instance_path()));
    let claims: BTreeSet<&str> = documents
        .as_array()
        .unwrap()
        .iter()
        .filter(|document| document["kind"] == "PersistentVolumeClaim")
        .map(|claim| claim["metadata"]["name"].as_str().unwrap())
        .collect();
    let claimed = pod["volumes"].as_array().unwrap().iter().filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str());
    assert_eq!(claimed.collect::<BTreeSet<_>>(), claims);

    // The configuration is right, and a daemon with it answers the probes at the ports that they ask.
    let config = of_kind("ConfigMap")["data"]["dropforge.toml"].as_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("dropforge.toml"), config).unwrap();
    let (code, said, errors) = run(folder.path(), &["config", "check", "-c", "dropforge.toml"]);
    assert_eq!(code, 0, "{said}{errors}");
    assert!(!errors.contains("WARN") && !said.contains("warning"), "{said}{errors}");
    let config: toml::Table = toml::from_str(config).unwrap();
    for (name, key) in [("health", "health_port"), ("metrics", "metrics_port")] {
        let port = container["ports"].as_array().unwrap().iter().find(|port| port["name"] == name).unwrap();
        assert_eq!(port["containerPort"].as_i64(), config[key].as_integer());
    }
    let grace = pod["terminationGracePeriodSeconds"].as_f64().unwrap();
    assert!(config["drain_seconds"].as_float().unwrap() < grace);
    let in_container =
        config.iter().filter(|(key, _)| !["health_port", "metrics_port", "state_dir", "plugins_dir"].contains(&key.as_str()));
    let mut here: toml::Table = in_container.map(|(key, value)| (key.clone(), value.clone())).collect();
    here["bind_address"] = "127.0.0.1".into();
    let local = toml::to_string(&here).unwrap().replace("/files/", "{dir}/");
    let daemon = Setup::new().config(&local).plugins(&["csv"]).start();
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let get = &container[probe]["httpGet"];
        assert_eq!(get["port"], "health");
        let (status, body) = daemon.get(get["path"].as_str().unwrap());
        assert_eq!(status, 200, "{probe}: {body}");
    }
}

#[test]
fn compose_and_containerfile_pass_their_linters() {
    if let Some(mut check) = linter("check_jsonschema") {
        assert_passes(check.args(["--builtin-schema", "vendor.compose-spec"]).arg(deploy("compose.yaml")));
    }
    let hadolint = target_folder().join("venv").join("bin").join("hadolint");
    if hadolint.exists() {
        assert_passes(Command::new(hadolint).args(["--no-color"]).arg(deploy("Containerfile")));
    } else {
        eprintln!("SKIPPED: {} is not there: `cargo xtask setup` installs it from PyPI, or says why it cannot", hadolint.display());
    }
}

#[test]
fn what_compose_mounts_is_there() {
    if linter("yaml").is_none() {
        return;
    }
    let compose = python_with_packages("yaml_documents.py", &[&deploy("compose.yaml")]);
    let services = compose[0]["services"].as_object().unwrap();
    let mut mounted = 0;
    for volume in services.values().flat_map(|service| service["volumes"].as_array().unwrap()) {
        let source = volume.as_str().unwrap().split(':').next().unwrap();
        match source.strip_prefix("./") {
            // Made by the engine, for the user's files.
            Some("files") => {}
            Some(path) => {
                assert!(deploy(path).exists(), "{source} is not there");
                mounted += 1;
            }
            None => assert!(compose[0]["volumes"].as_object().unwrap().contains_key(source), "{source} is no volume"),
        }
    }
    assert!(mounted >= 5, "{mounted}");
    // With the targets that compose mounts in the place of the others, Prometheus still accepts its configuration.
    let folder = tempfile::tempdir().unwrap();
    for (from, to) in [("prometheus.yml", "prometheus.yml"), ("targets-compose/dropforge.yml", "targets/dropforge.yml")] {
        let to = folder.path().join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(deploy("prometheus").join(from), to).unwrap();
    }
    fs::create_dir(folder.path().join("rules")).unwrap();
    for rules in ["recording.yml", "alerts.yml"] {
        fs::copy(deploy("prometheus/rules").join(rules), folder.path().join("rules").join(rules)).unwrap();
    }
    promtool(&["check", "config", "prometheus.yml"], folder.path());
}

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
    let daemon = Setup::new().config(WITH_UPSTREAM).plugins(&["csv"]).start();
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
    for page in ["README.md", "docs/observability.md", "docs/operations.md", "docs/performance.md"] {
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
