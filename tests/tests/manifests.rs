//! The manifests, the compose file and the image of `deploy/`, by the tools of those who read them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use dropforge_tests::deploy::{deploy, promtool, text};
use dropforge_tests::{Setup, python_with_packages, run, target_folder};
use serde_json::{Value, json};

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
    for container in pod["containers"].as_array().unwrap() {
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
