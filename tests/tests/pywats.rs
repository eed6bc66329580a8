//! The configuration of a pyWATS client: what a daemon makes of it, and what is said of the rest.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;

use dropforge_tests::receiver::Receiver;
use dropforge_tests::{Setup, data, run};
use serde_json::{Value, json};

fn config() -> Value {
    serde_json::from_str(&fs::read_to_string(data("pywats/config.json")).unwrap()).unwrap()
}

#[test]
fn a_daemon_runs_with_it() {
    let server = Receiver::up();
    let mut config = config();
    config["service_address"] = json!(server.url());
    let setup = Setup::new().plugins(&["csv"]).config_file("config.json", &config.to_string());
    fs::create_dir_all(setup.path("drop/probe")).unwrap();
    let daemon = setup.start();
    // One sentence for each key that is not taken over, with the line where it is.
    let log = daemon.log();
    assert_eq!(log.matches("sn_prefix").count(), 0, "{log}");
    assert_eq!(log.matches(": yield_threshold: ").count(), 1, "{log}");
    assert!(log.contains("user = \\\"line3\\\"") || log.contains("user = \"line3\""), "{log}");
    assert!(!log.contains("not-a-real-password") && !log.contains("bGluZTM6"), "{log}");

    daemon.drop_into("drop/probe", "panel.csv", "a,b\n1,2\n");
    daemon.drop_into("drop/probe", "panel.txt", "not taken");
    let document = dropforge_tests::wait_for("the document", || server.kept().into_iter().next());
    assert_eq!((document.method.as_str(), document.path.as_str()), ("POST", "/api/Report/WSJF"));
    assert_eq!(document.body, "{\"a\":1,\"b\":2}\n");
    let done = dropforge_tests::wait_for("the settled file", || dropforge_tests::files(&daemon.path("drop/probe/Done")).into_keys().next());
    assert!(done.ends_with("/panel.csv"), "{done}");
    assert!(daemon.path("drop/probe/panel.txt").exists());
    daemon.assert_metric("cache_max_entries{cache_name=\"http_response\"}", 500.0);
    daemon.assert_metric("instance_info{instance_id=\"line-3\",location=\"Hall B\",station=\"ICT-03\"}", 1.0);
    let routes = daemon.json("/api/v1/routes");
    let names: Vec<&str> = routes.as_array().unwrap().iter().map(|route| route["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["flying-probe-csv", "burn-in"]);
}

#[test]
fn what_is_imported_is_the_same_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = folder.path().join("etc");
    fs::create_dir(&elsewhere).unwrap();
    fs::copy(data("pywats/config.json"), folder.path().join("config.json")).unwrap();
    let (code, imported, said) = run(folder.path(), &["config", "import", "config.json"]);
    assert_eq!(code, 0, "{said}");
    fs::write(elsewhere.join("dropforge.toml"), &imported).unwrap();
    let shown = |arguments: &[&str]| {
        let (code, shown, errors) = run(folder.path(), &[&["config", "show", "-c"], arguments].concat());
        assert_eq!(code, 0, "{errors}");
        (shown, errors)
    };
    let (ours, warnings) = shown(&["etc/dropforge.toml"]);
    assert_eq!(ours, shown(&["config.json"]).0);
    assert_eq!(warnings, "");
    let expected = [
        "instance_id = \"line-3\"",
        "station = \"ICT-03\"",
        "cache_ttl_seconds = 120.0",
        "max_queued = 20000",
        "url = \"https://reports.example.com\"",
        "priority = 8",
        "marker = \"READY.marker\"",
        "success = \"archive\"",
        "keep_days = 0",
        "purpose = \"Production\"",
    ];
    for line in expected {
        assert!(ours.contains(line), "{line} in\n{ours}");
    }

    // Each key is applied, or named in one warning.
    let warned: Vec<String> = said
        .lines()
        .map(|line| line.strip_prefix("warning: config.json:").unwrap_or_else(|| panic!("{line}")))
        .map(|line| line.split(": ").nth(1).unwrap().to_owned())
        .collect();
    let distinct: BTreeSet<&String> = warned.iter().collect();
    assert_eq!(distinct.len(), warned.len(), "{warned:#?}");
    let applied = [
        "schema_version",
        "instance_id",
        "service_address",
        "station_name",
        "station_name_source",
        "location",
        "purpose",
        "include_station_in_reports",
        "proxy",
        "proxy_mode",
        "proxy_port",
        "proxy_auth",
        "max_queue_size",
        "enable_cache",
        "cache_ttl_seconds",
        "cache_max_size",
        "enable_metrics",
        "metrics_port",
        "converters_folder",
        "converters",
        "converters_enabled",
    ];
    for (key, value) in config().as_object().unwrap() {
        let empty = *value == json!("") || *value == json!([]);
        let expected = !empty && !applied.contains(&key.as_str());
        assert_eq!(warned.contains(key), expected, "{key}: {value}");
    }
    for key in ["converters[0].module_path", "converters[0].arguments", "converters[1].min_file_count", "converters[2]", "converters[3]"] {
        assert!(warned.iter().any(|warned| warned == key), "{key} in {warned:#?}");
    }
    assert_eq!(imported.lines().filter(|line| line.starts_with("# config.json:")).count(), warned.len());
    assert!(!imported.contains("bGluZTM6") && !said.contains("bGluZTM6"));
}

#[test]
fn what_is_wrong_in_it_is_said_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let check = |text: &str| {
        fs::write(folder.path().join("config.json"), text).unwrap();
        let (code, out, errors) = run(folder.path(), &["config", "import", "config.json"]);
        assert_eq!((code, out.as_str()), (2, ""));
        errors
    };
    let errors = check("{\n\"schema_version\": \"2.0\",\n\"metrics_port\": \"nine\"}");
    assert!(errors.starts_with("error: config.json:3: metrics_port: expected"), "{errors}");
    let errors = check("{\"service_address\": \"wats.example.com\"}");
    assert!(errors.contains("upstream.url") && errors.contains("is no address of a server"), "{errors}");
    let errors = check("{\"health_port\": 8081}");
    assert!(errors.contains("is not a pyWATS client's") && errors.contains("config show -c config.json"), "{errors}");
}
