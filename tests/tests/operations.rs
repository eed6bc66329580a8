//! What an operator meets: ports that are taken, configurations that are wrong, signals, health, metrics and the log.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dropforge_tests::{Daemon, Setup, data, dropforge, files, get, wait_for};
use serde_json::{Value, json};

/// A step count for the guest's `work`: seconds of work, so that a test has the time to do something meanwhile.
const SECONDS_OF_WORK: &str = "1600000000";

/// A route in the folders of the flags, to be preceded by other keys.
const ROUTE: &str = "
[[routes]]
name = 'default'
intake = { path = '{dir}/in' }
destinations = [{ type = 'folder', path = '{dir}/out' }]
";

const TABLE: &str = "row,value\n1,a\n";

/// The keys of a JSON object.
fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = object.as_object().unwrap_or_else(|| panic!("{object}")).keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// A moment in UTC, to the millisecond at least, as in `2026-11-22T17:23:30.353Z`.
fn assert_is_a_moment(value: &Value) {
    let text = value.as_str().unwrap_or_else(|| panic!("no text: {value}"));
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert!(shape.starts_with("0000-00-00T00:00:00.000") && shape.ends_with('Z'), "{text}");
}

// Starting.

#[test]
fn a_health_port_that_is_taken_ends_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut daemon = Setup::new().argument(&format!("--health-port={port}")).spawn();
    assert_eq!(daemon.wait().code(), Some(1));
    let message = format!(
        "dropforge: cannot open the health port {port} on 127.0.0.1: it is taken by another program. Stop what has it, or set `health_port` \
         (DROPFORGE_HEALTH_PORT) to another"
    );
    assert_eq!(daemon.log().lines().last(), Some(message.as_str()));
}

#[test]
fn a_metrics_port_that_is_taken_stops_nothing() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let daemon = Setup::new().plugins(&["csv"]).argument(&format!("--metrics-port={port}")).start();
    let log = daemon.log();
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(errors.len(), 1, "{log}");
    assert!(errors[0].contains(&format!("Cannot open the metrics port {port} on 127.0.0.1: it is taken by another program.")), "{log}");
    assert!(errors[0].contains("every 10 s") && errors[0].contains("`metrics_port`"), "{log}");
    daemon.drop_file("a.csv", TABLE);
    daemon.wait_for_documents(1);
    wait_for("the conversion to be counted", || {
        (daemon.metric(r#"conversions_total{converter="csv",status="success"}"#) == Some(1.0)).then_some(())
    });
    assert_eq!(daemon.get("/health/ready").0, 200);
}

#[test]
fn a_wrong_configuration_is_said_with_its_place() {
    let route = ROUTE.trim_start();
    let cases: [(String, &[&str]); 9] = [
        (
            format!("# ports\nhealth_prot = 1\n{route}"),
            &["dropforge.toml:2: health_prot: there is no such key; did you mean `health_port`?"],
        ),
        (
            route.replace("path = '{dir}/in'", "path = '{dir}/in', recursiv = true"),
            &["dropforge.toml:3: routes[0].intake.recursiv: there is no such key; did you mean `recursive`?"],
        ),
        (format!("workers = 'two'\n{route}"), &["dropforge.toml:1: workers: expected a whole number from 1, found \"two\""]),
        (format!("workers = 0\n{route}"), &["dropforge.toml:1: workers: expected a whole number from 1, found 0"]),
        ("workers = [".into(), &["dropforge.toml:1:12: "]),
        (
            "workers = 2\n".into(),
            &["dropforge.toml: routes: there is no route; add a [[routes]] table, or give --inbox DIR and --outbox DIR"],
        ),
        (
            route.replace("'folder', path = '{dir}/out'", "'http', url = 'https://me:secret@server'"),
            &["dropforge.toml:4: routes[0].destinations[0].url: the address holds a user name or password; put a token into a file"],
        ),
        (
            route.replace("{dir}/out", "{dir}/in"),
            &["dropforge.toml:4: routes[0].destinations[0].path: its documents would be taken as new files; name another folder"],
        ),
        // Everything at once.
        (
            format!("workers = 'two'\nbind_adress = '::'\n{route}"),
            &["dropforge.toml:2: bind_adress: there is no such key; did you mean `bind_address`?", "dropforge.toml:1: workers: "],
        ),
    ];
    for (toml, expected) in cases {
        let mut daemon = Setup::new().config(&toml).spawn();
        assert_eq!(daemon.wait().code(), Some(2), "{toml}");
        let log = daemon.log();
        assert_eq!(log.lines().count(), expected.len(), "{toml}\n{log}");
        for (line, expected) in log.lines().zip(expected) {
            assert!(line.starts_with(&format!("error: {expected}")), "{toml}\n{log}");
        }
        assert!(!daemon.path("state").exists(), "nothing is begun");
    }
}

/// Runs the program, which must end by itself: exit code and standard error.
fn ends(setup: &Setup, arguments: &[&str]) -> (i32, String) {
    let errors = setup.path("errors");
    let mut command = Command::new(dropforge());
    command.args(arguments).current_dir(setup.path("")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&errors).unwrap());
    let mut child = command.spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > end => {
                child.kill().unwrap();
                panic!("it goes on running: {}", fs::read_to_string(&errors).unwrap());
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    (status.code().unwrap_or(-1), fs::read_to_string(&errors).unwrap())
}

#[test]
fn a_configuration_that_is_not_there_or_not_named_is_said() {
    let setup = Setup::new();
    let (code, errors) = ends(&setup, &["run", "-c", "absent.toml"]);
    assert_eq!(code, 2);
    assert!(errors.starts_with("error: cannot read the configuration absent.toml: "), "{errors}");
    let (code, errors) = ends(&setup, &["run"]);
    assert_eq!(code, 2);
    assert!(errors.starts_with("error: there is no configuration: name a file with -c FILE"), "{errors}");
    let (code, errors) = ends(&setup, &["run", "--inbux", "in"]);
    assert_eq!(code, 2);
    assert!(errors.contains("--inbox"), "{errors}");
}

#[test]
fn a_second_daemon_on_the_same_state_names_the_first() {
    let daemon = Setup::new().plugins(&["csv"]).start();
    let second = Setup::new();
    let state = daemon.path("state").display().to_string();
    let arguments = ["run", "--inbox", "in", "--outbox", "out", "--plugins", "plugins", "--state", &state];
    let (code, errors) = ends(&second, &[&arguments[..], &["--health-port", "0", "--metrics-port", "0"]].concat());
    assert_eq!(code, 1);
    let message = format!(
        "dropforge: state_dir {state} is in use by process {}; stop that daemon, or give this one another state_dir (--state DIR)",
        daemon.id()
    );
    assert_eq!(errors.trim_end(), message);
    // The first is none the worse for it.
    daemon.drop_file("a.csv", TABLE);
    daemon.wait_for_settled("done", "a.csv");
}

// Stopping.

#[cfg(unix)]
mod stopping {
    use rustix::process::Signal;

    use super::*;

    /// One worker, which is busy with a long job, and five files behind it.
    fn busy(drain_seconds: &str) -> Daemon {
        let config = format!("workers = 1\ndrain_seconds = {drain_seconds}\n{ROUTE}");
        let daemon = Setup::new().plugins(&["misbehave", "csv"]).config(&config).start();
        daemon.drop_file("work.mis", SECONDS_OF_WORK);
        daemon.wait_for_job("work.mis", "running");
        for n in 0..5 {
            daemon.drop_file(&format!("{n}.csv"), format!("row,value\n{n},a\n"));
        }
        for n in 0..5 {
            daemon.wait_for_job(&format!("{n}.csv"), "queued");
        }
        daemon
    }

    /// After another start, everything is converted, once.
    fn assert_all_is_done_after_a_restart(daemon: Daemon, attempts_of_the_long_job: u64) {
        let daemon = daemon.restart(|setup| setup);
        wait_for("six jobs to be settled", || {
            let jobs = daemon.jobs();
            (jobs.len() == 6 && jobs.iter().all(|job| job["state"] == "settled")).then_some(())
        });
        daemon.assert_all_converted(&[]);
        assert_eq!(daemon.job("work.mis").unwrap()["attempts"], attempts_of_the_long_job);
        assert_eq!(daemon.documents().len(), 6);
        assert_eq!(files(&daemon.path("in/done")).len(), 6);
        assert_eq!(files(&daemon.path("in")).len(), 6);
    }

    fn drains(signal: Signal) {
        let mut daemon = busy("60");
        assert_eq!(daemon.get("/health/ready").0, 200);
        daemon.signal(signal);
        daemon.wait_for_log("stopping: nothing new is taken");
        let (status, body) = daemon.get("/health/ready");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["reasons"]), (503, &json!(["draining: the daemon is stopping"])));
        assert_eq!(daemon.get("/health/live").0, 200);
        daemon.drop_file("too late.csv", TABLE);
        assert_eq!(daemon.wait().code(), Some(0));
        assert!(daemon.log().trim_end().ends_with("INFO stopped"), "{}", daemon.log());
        // What ran has ended, what was queued has not begun, and what came later was not taken.
        assert_eq!(daemon.documents().keys().filter(|name| !name.starts_with("work")).count(), 0);
        for name in ["0.csv", "1.csv", "2.csv", "3.csv", "4.csv", "too late.csv"] {
            assert!(daemon.path("in").join(name).exists(), "{name}");
        }
        fs::remove_file(daemon.path("in/too late.csv")).unwrap();
        // The long job is not converted again.
        assert_all_is_done_after_a_restart(daemon, 1);
    }

    #[test]
    fn sigterm_drains() {
        drains(Signal::TERM);
    }

    #[test]
    fn sigint_drains() {
        drains(Signal::INT);
    }

    #[test]
    fn a_signal_that_comes_twice_at_once_drains_too() {
        let mut daemon = busy("60");
        daemon.signal(Signal::TERM);
        daemon.signal(Signal::INT);
        assert_eq!(daemon.wait().code(), Some(0));
        assert_all_is_done_after_a_restart(daemon, 1);
    }

    #[test]
    fn a_job_that_outlasts_the_drain_is_converted_after_the_next_start() {
        let mut daemon = busy("0.2");
        assert_eq!(daemon.terminate().code(), Some(0));
        assert!(daemon.log().contains("WARN jobs that still run are abandoned; they are converted again after the next start"));
        assert!(daemon.documents().is_empty());
        // It was given back in good order, which uses up no attempt.
        assert_all_is_done_after_a_restart(daemon, 1);
    }

    #[test]
    fn a_second_signal_ends_at_once() {
        let mut daemon = busy("60");
        daemon.signal(Signal::TERM);
        daemon.wait_for_log("stopping: nothing new is taken");
        // Two in quick succession are one request, as `timeout` sends it: so it is repeated as an impatient person does.
        let status = wait_for("the daemon to end", || {
            daemon.signal(Signal::INT);
            daemon.ended()
        });
        assert_eq!(status.code(), Some(1));
        assert!(daemon.log().contains("WARN a second signal: ending at once"), "{}", daemon.log());
        assert!(daemon.documents().is_empty());
        assert_all_is_done_after_a_restart(daemon, 2);
    }
}

#[test]
fn settled_files_go_when_they_are_older_than_the_route_keeps_them() {
    let today = "2999-01-01";
    let config = format!("{ROUTE}after = {{ keep_days = 30 }}\n");
    let setup = Setup::new().plugins(&["csv"]).config(&config);
    for file in ["done/2020-01-01/line 1/old.csv", "failed/2020-01-02/old.csv", "done/by hand/kept.csv", &format!("failed/{today}/new.csv")]
    {
        let path = setup.path("in").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, TABLE).unwrap();
    }
    let daemon = setup.start();
    let expected = vec!["done/by hand/kept.csv".to_owned(), format!("failed/{today}/new.csv")];
    wait_for("the old files to go", || (files(&daemon.path("in")).into_keys().collect::<Vec<_>>() == expected).then_some(()));
    assert!(!daemon.path("in/done/2020-01-01").exists());
    assert!(!daemon.log().contains("has no effect"), "{}", daemon.log());
}

// Health.

#[test]
fn the_health_endpoints_answer_as_documented() {
    let began = Instant::now();
    let daemon = Setup::new().plugins(&["csv"]).start();

    let (status, body) = daemon.get("/health");
    let healthy: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200);
    assert_eq!(keys(&healthy), ["status", "timestamp"]);
    assert_eq!(healthy["status"], "healthy");
    assert_is_a_moment(&healthy["timestamp"]);

    let (status, body) = daemon.get("/health/ready");
    let ready: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200);
    assert_eq!(keys(&ready), ["api_status", "status", "timestamp"]);
    assert_eq!((&ready["status"], &ready["api_status"]), (&"ready".into(), &"not_configured".into()));
    assert_is_a_moment(&ready["timestamp"]);

    let (status, body) = daemon.get("/health/live");
    let alive: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200);
    assert_eq!(keys(&alive), ["status", "timestamp", "uptime_seconds"]);
    assert_eq!(alive["status"], "alive");
    assert!(alive["uptime_seconds"].as_u64().unwrap() <= began.elapsed().as_secs());
    assert_is_a_moment(&alive["timestamp"]);

    // What is not there is a problem document.
    let (status, body) = daemon.get("/healthy");
    let problem: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &problem["status"], &problem["title"]), (404, &404.into(), &"Not Found".into()));
}

#[test]
fn readiness_says_what_is_missing() {
    let reasons = |daemon: &Daemon| -> (u16, Vec<String>) {
        let (status, body) = daemon.get("/health/ready");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["status"], if status == 200 { "ready" } else { "not_ready" }, "{body}");
        assert_eq!(body["api_status"], "not_configured");
        let reasons = body["reasons"].as_array().cloned().unwrap_or_default();
        (status, reasons.iter().map(|reason| reason.as_str().unwrap().to_owned()).collect())
    };

    // While it starts, it lives and is not ready.
    let daemon = Setup::new().plugins(&["csv"]).spawn();
    daemon.wait_for_log("Health server started");
    let answers: Vec<(u16, Vec<String>)> = std::iter::from_fn(|| Some(reasons(&daemon)).filter(|(status, _)| *status != 200)).collect();
    for answer in answers {
        assert_eq!(answer, (503, vec!["starting: plugins are being loaded".to_owned()]));
    }

    // Without a converter.
    let csv = daemon.path("plugins/csv.wasm");
    let plugin = fs::read(&csv).unwrap();
    fs::remove_file(&csv).unwrap();
    wait_for("the converter to be unloaded", || (reasons(&daemon).0 == 503).then_some(()));
    let missing = format!("no converter is loaded: put a .wasm file into {}", daemon.path("plugins").display());
    assert_eq!(reasons(&daemon), (503, vec![missing]));
    daemon.drop_plugin("csv.wasm", plugin);
    wait_for("the converter to be loaded", || (reasons(&daemon).0 == 200).then_some(()));
}

#[test]
fn a_full_disk_is_a_reason_and_takes_nothing_in() {
    let floor = 1_u64 << 60;
    let daemon = Setup::new().plugins(&["csv"]).config(&format!("min_free_bytes = {floor}\n{ROUTE}")).start();
    let (status, body) = daemon.get("/health/ready");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, body["reasons"].as_array().unwrap().len()), (503, 1), "{body}");
    let reason = body["reasons"][0].as_str().unwrap();
    assert!(reason.contains("needs `min_free_bytes`, ") && reason.ends_with("so that nothing is taken in; free some"), "{body}");
    daemon.drop_file("a.csv", TABLE);
    daemon.wait_for_log("the intake is held back");
    let routes = daemon.json("/api/v1/routes");
    assert!(routes[0]["held_back"].as_str().unwrap().contains("min_free_bytes"), "{routes}");
    assert!(daemon.jobs().is_empty());
    // With room again, it is taken.
    let daemon = daemon.restart(|setup| setup.config(ROUTE));
    daemon.wait_for_settled("done", "a.csv");
}

// Metrics.

/// A known mix of files, all of which have come to their end, but for one that waits for another.
fn after_a_mix(config: &str, change: impl FnOnce(Setup) -> Setup) -> Daemon {
    let setup = change(Setup::new().plugins(&["csv", "junit", "misbehave"]).config(&format!("{config}\n{ROUTE}")));
    let put = |name: &str, content: &[u8]| fs::write(setup.path("in").join(name), content).unwrap();
    put("a.csv", TABLE.as_bytes());
    put("b.csv", TABLE.as_bytes());
    put("suites.xml", &fs::read(data("junit/testsuite-in-testsuite.xml")).unwrap());
    put("broken.xml", &fs::read(data("junit/pytest-corrupt-xml.xml")).unwrap());
    for verb in ["panic", "partial", "reject", "skip"] {
        put(&format!("{verb}.mis"), b"x");
    }
    put("suspend.mis", b"sibling.txt");
    put("nobodys.bin", b"x");
    let daemon = setup.start();
    wait_for("the mix to be converted", || {
        let jobs = daemon.jobs();
        (jobs.len() == 10 && jobs.iter().all(|job| job["state"] == "settled" || job["waiting"] == "suspended")).then_some(())
    });
    daemon
}

/// Every sample of an exposition: its series and its value.
fn samples(exposition: &str) -> BTreeMap<String, f64> {
    let lines = exposition.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.rsplit_once(' ').unwrap()).map(|(series, value)| (series.to_owned(), value.parse().unwrap())).collect()
}

#[test]
fn metrics_say_what_happened() {
    let daemon = after_a_mix("instance_id = 'line-7'\nstation = 'ict-3'\nlocation = 'Hall 2'\nworkers = 3", |setup| setup);
    for _ in 0..3 {
        daemon.get("/health");
    }
    // A job is settled an instant before it is counted.
    let settled = r#"queue_items_processed_total{queue_name="delivery_queue"}"#;
    wait_for("all jobs to be counted", || (daemon.metric(settled) == Some(9.0)).then_some(()));
    let (status, exposition) = daemon.get("/metrics");
    assert_eq!(status, 200);
    let samples = samples(&exposition);
    let out = daemon.path("out").display().to_string();
    let expected = [
        (r#"conversions_total{converter="csv",status="success"}"#, 2.0),
        (r#"conversions_total{converter="csv",status="error"}"#, 0.0),
        (r#"conversions_total{converter="junit",status="success"}"#, 1.0),
        (r#"conversions_total{converter="junit",status="error"}"#, 1.0),
        (r#"conversions_total{converter="misbehave",status="success"}"#, 0.0),
        (r#"conversions_total{converter="misbehave",status="error"}"#, 1.0),
        (r#"conversions_total{converter="misbehave",status="partial"}"#, 1.0),
        (r#"conversions_total{converter="misbehave",status="rejected"}"#, 1.0),
        (r#"conversions_total{converter="misbehave",status="skipped"}"#, 1.0),
        (r#"conversions_total{converter="misbehave",status="suspended"}"#, 1.0),
        // Skipped by the only candidate, and taken by none.
        (r#"conversions_total{converter="none",status="error"}"#, 2.0),
        (r#"conversion_errors_total{converter="junit",error_type="malformed"}"#, 1.0),
        (r#"conversion_errors_total{converter="misbehave",error_type="trap"}"#, 1.0),
        (r#"conversion_errors_total{converter="none",error_type="no_converter"}"#, 2.0),
        (r#"conversion_errors_total{converter="csv",error_type="malformed"}"#, 0.0),
        (r#"conversion_documents_total{converter="csv"}"#, 2.0),
        (r#"conversion_documents_total{converter="junit"}"#, 4.0),
        (r#"conversion_documents_total{converter="misbehave"}"#, 1.0),
        (r#"conversion_output_bytes_total{converter="csv"}"#, 2.0 * "{\"row\":1,\"value\":\"a\"}\n".len() as f64),
        (r#"conversion_duration_seconds_count{converter="csv"}"#, 2.0),
        (r#"conversion_duration_seconds_count{converter="junit"}"#, 2.0),
        (r#"conversion_duration_seconds_count{converter="misbehave"}"#, 5.0),
        (r#"intake_files_total{result="queued",route="default"}"#, 10.0),
        (r#"intake_files_total{result="duplicate",route="default"}"#, 0.0),
        (r#"intake_files_total{result="error",route="default"}"#, 0.0),
        (r#"intake_up{route="default"}"#, 1.0),
        (r#"queue_items_processed_total{queue_name="converter_queue"}"#, 9.0),
        (r#"queue_processing_duration_seconds_count{queue_name="converter_queue"}"#, 9.0),
        (r#"queue_processing_duration_seconds_count{queue_name="delivery_queue"}"#, 9.0),
        (r#"queue_depth{queue_name="converter_queue"}"#, 0.0),
        (r#"queue_depth{queue_name="delivery_queue"}"#, 0.0),
        (r#"queue_oldest_age_seconds{queue_name="converter_queue"}"#, 0.0),
        (r#"queue_active_workers{queue_name="converter_queue"}"#, 0.0),
        (r#"queue_workers{queue_name="converter_queue"}"#, 3.0),
        (r#"queue_waiting{queue_name="converter_queue",reason="suspended"}"#, 1.0),
        (r#"queue_waiting{queue_name="converter_queue",reason="retry"}"#, 0.0),
        (r#"dead_letters{route="default"}"#, 5.0),
        ("spool_bytes", 0.0),
        (r#"plugin_loads_total{result="loaded"}"#, 3.0),
        (r#"plugin_loads_total{result="refused"}"#, 0.0),
        ("plugin_load_duration_seconds_count", 3.0),
        (r#"http_probe_requests_total{endpoint="/health",status="200"}"#, 3.0),
        (r#"instance_info{instance_id="line-7",location="Hall 2",station="ict-3"}"#, 1.0),
    ];
    for (series, value) in expected {
        assert_eq!(samples.get(series), Some(&value), "{series}");
    }
    assert_eq!(samples[&format!(r#"delivery_documents_total{{destination="folder:{out}",status="success"}}"#)], 7.0);
    assert_eq!(samples[&format!(r#"delivery_documents_total{{destination="folder:{out}",status="error"}}"#)], 0.0);
    assert_eq!(samples[&format!(r#"delivery_duration_seconds_count{{destination="folder:{out}"}}"#)], 4.0);
    assert!(samples[r#"conversion_input_bytes_total{converter="csv"}"#] >= 2.0 * TABLE.len() as f64);
    assert!(samples[r#"conversion_peak_memory_bytes{converter="csv"}"#] >= 65_536.0);
    assert!(samples[&format!(r#"disk_free_bytes{{path="{}"}}"#, daemon.path("state").display())] > 0.0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let last_file = samples[r#"intake_last_file_timestamp_seconds{route="default"}"#];
    assert!((now - 600.0..=now).contains(&last_file), "{last_file}");
    let build = samples.keys().find(|series| series.starts_with("build_info{")).unwrap();
    let (_, version, _) = dropforge_tests::run(&daemon.path(""), &["--version"]);
    assert_eq!(format!("dropforge {}", build.split('"').nth(1).unwrap()), version.trim());

    // The error share of conversions is the sum over the error types.
    let sum = |family: &str, label: &str| -> f64 {
        samples.iter().filter(|(series, _)| series.starts_with(family) && series.contains(label)).map(|(_, value)| value).sum()
    };
    assert_eq!(sum("conversions_total{", r#"status="error""#), 4.0);
    assert_eq!(sum("conversion_errors_total{", ""), 4.0);

    // Every loaded plugin, with the version and the digest that the API says.
    for plugin in daemon.json("/api/v1/plugins").as_array().unwrap() {
        let running = &plugin["running"];
        let text = |name: &str| running[name].as_str().unwrap().to_owned();
        let series = format!(r#"plugin_info{{converter="{}",digest="{}",version="{}"}}"#, text("name"), text("digest"), text("version"));
        assert_eq!(samples.get(&series), Some(&1.0), "{series}");
    }
    assert_eq!(sum("plugin_info{", ""), 3.0);

    // A histogram is cumulative, from 100 µs to 300 s, and its last bucket is its count.
    let buckets: Vec<(f64, f64)> = exposition
        .lines()
        .filter_map(|line| line.strip_prefix(r#"conversion_duration_seconds_bucket{converter="misbehave",le=""#)?.split_once("\"} "))
        .map(|(bound, count)| (bound.parse().unwrap(), count.parse().unwrap()))
        .collect();
    assert!(buckets.is_sorted_by(|(bound, count), (next_bound, next_count)| bound < next_bound && count <= next_count), "{buckets:?}");
    let bounds: Vec<f64> = buckets.iter().map(|(bound, _)| *bound).collect();
    assert_eq!((bounds[0], bounds[1], bounds[bounds.len() - 2], bounds[bounds.len() - 1]), (0.0001, 0.00025, 300.0, f64::INFINITY));
    assert_eq!(buckets[buckets.len() - 1].1, 5.0);

    // The metrics port says the same.
    let (status, other) = get(daemon.metrics_port(), "/metrics");
    assert_eq!(status, 200);
    assert!(self::samples(&other).keys().eq(samples.keys()));
    assert_eq!(get(daemon.metrics_port(), "/health").0, 404);

    check_with_promtool(&daemon);
}

/// Lets Prometheus's own tool judge the exposition, where it is installed.
fn check_with_promtool(daemon: &Daemon) {
    let file = daemon.path("exposition");
    fs::write(&file, daemon.get("/metrics").1).unwrap();
    let promtool = Command::new("promtool").args(["check", "metrics"]).stdin(File::open(file).unwrap()).output();
    match promtool {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.trim().is_empty(), "promtool check metrics: {}\n{said}", output.status);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => println!("promtool is not installed: its check of /metrics was left out"),
        Err(error) => panic!("promtool: {error}"),
    }
}

#[test]
fn metrics_that_are_off_leave_a_short_form() {
    let daemon = after_a_mix("enable_metrics = false\nworkers = 2", |setup| setup);
    let cache = json!({
        "enabled": true, "size": 0, "max_size": 1000, "hit_rate": 0.0, "total_requests": 0, "hits": 0, "misses": 0, "evictions": 0,
    });
    let expected = json!({ "cache": cache, "queue": { "size": 0, "active_workers": 0, "total_processed": 9 } });
    assert_eq!(daemon.json("/metrics"), expected);
    let log = daemon.log();
    assert!(!log.contains("Metrics server started") && !log.contains("Metrics collection enabled"), "{log}");
}

// The log.

#[test]
fn the_log_has_one_line_for_each_job_in_json_too() {
    let daemon = after_a_mix("", |setup| setup.argument("--log-format=json"));
    // A job's line follows what is recorded of it.
    for file in
        ["a.csv", "b.csv", "suites.xml", "broken.xml", "panic.mis", "partial.mis", "reject.mis", "skip.mis", "suspend.mis", "nobodys.bin"]
    {
        daemon.wait_for_log(&format!("\"file\":\"{file}\""));
    }
    let log = daemon.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect();
    for line in &lines {
        assert_is_a_moment(&line["timestamp"]);
        assert!(["INFO", "WARN", "ERROR"].contains(&line["level"].as_str().unwrap()), "{line}");
        // What a converter logs has its own target.
        let target = line["target"].as_str().unwrap();
        assert!(line["message"].is_string() && (target.starts_with("dropforge") || target == "converter"), "{line}");
    }
    let said = |message: &str| lines.iter().filter(|line| line["message"] == message).count();
    assert_eq!(said("Metrics collection enabled"), 1);
    assert_eq!(said(&format!("Health server started on port {}", daemon.health_port())), 1);
    let expected = [
        ("a.csv", "converted", "csv", 1),
        ("b.csv", "converted", "csv", 1),
        ("suites.xml", "converted", "junit", 4),
        ("broken.xml", "failed", "junit", 0),
        ("panic.mis", "failed", "misbehave", 0),
        ("partial.mis", "partial", "misbehave", 1),
        ("reject.mis", "rejected", "misbehave", 0),
        ("skip.mis", "failed", "none", 0),
        ("suspend.mis", "suspended", "misbehave", 0),
        ("nobodys.bin", "failed", "none", 0),
    ];
    for (file, message, converter, documents) in expected {
        let of_job: Vec<&Value> = lines.iter().filter(|line| line["file"] == file && line["level"] == "INFO").collect();
        assert_eq!(of_job.len(), 1, "{of_job:#?}");
        let line = of_job[0];
        assert_eq!(
            (&line["message"], &line["converter"], &line["route"]),
            (&message.into(), &converter.into(), &"default".into()),
            "{line}"
        );
        if message == "suspended" {
            continue;
        }
        assert_eq!(line["documents"], documents, "{line}");
        assert!(line["milliseconds"].is_number(), "{line}");
        let settled = if message == "converted" { "done" } else { "failed" };
        let source = line["source"].as_str().unwrap();
        assert!(source.starts_with(daemon.path("in").join(settled).to_str().unwrap()) && fs::exists(source).unwrap(), "{line}");
        assert_eq!(line["id"], daemon.job(file).unwrap()["id"], "{line}");
    }
}
