//! Converters that misbehave: each fails its own job, with the right type, and nobody else's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;

use dropforge_tests::{Daemon, Setup, files, wait_for, without_id};
use serde_json::{Value, json};

const MEBIBYTE: u64 = 1 << 20;

/// A daemon with one route to `misbehave`, limits that are soon hit, and no suspension: its jobs are to fail.
fn daemon(limits: &str) -> Daemon {
    let config = format!(
        "workers = 2\nlimits = {{ {limits} }}\nsuspension = {{ after_failures = 0 }}\n\
         [[routes]]\nname = 'r'\nconverter = 'misbehave'\nintake = {{ path = '{{dir}}/in' }}\n\
         destinations = [{{ type = 'folder', path = '{{dir}}/out' }}]\n"
    );
    Setup::new().plugins(&["misbehave"]).config(&config).start()
}

fn errors(daemon: &Daemon, error_type: &str) -> f64 {
    daemon.metric(&format!("conversion_errors_total{{converter=\"misbehave\",error_type=\"{error_type}\"}}")).unwrap_or(0.0)
}

/// Whatever has happened: the daemon is ready, and converts.
fn assert_well(daemon: &Daemon, name: &str) {
    daemon.drop_file(name, "x");
    daemon.wait_for_settled("done", name);
    assert_eq!(daemon.get("/health/ready").0, 200);
    assert_eq!(daemon.get("/health/live").0, 200);
}

/// No job that failed leaves a document, or bytes in the spool.
fn assert_nothing_left(daemon: &Daemon) {
    wait_for("the spool to be empty", || daemon.spooled().is_empty().then_some(()));
    daemon.assert_metric("spool_bytes", 0.0);
    daemon.assert_metric("queue_active_workers{queue_name=\"converter_queue\"}", 0.0);
}

#[test]
fn spinning_and_hungry_and_panicking_jobs_fail_alone() {
    let daemon = daemon(&format!("wall_seconds = 5.0, memory_bytes = {}", 32 * MEBIBYTE));
    // One spins on one worker, and the other worker goes on meanwhile.
    daemon.drop_file("spin.mis", "");
    daemon.wait_for_job("spin.mis", "running");
    for number in 0..10 {
        daemon.drop_file(&format!("echo.meanwhile-{number}.mis"), "x");
    }
    for number in 0..10 {
        daemon.wait_for_settled("done", &format!("echo.meanwhile-{number}.mis"));
    }
    let spinning = daemon.job("spin.mis").unwrap();
    let during = spinning["state"] == "running";
    daemon.drop_file("memory.mis", "");
    daemon.drop_file("panic.mis", "42 degrees");
    daemon.drop_file("deep.mis", "");
    daemon.drop_file("panic-after-document.mis", "");

    let spin = daemon.wait_for_sidecar("spin.mis");
    assert_eq!(spin["error_type"], "timeout", "{spin:#}");
    assert!(spin["error"]["message"].as_str().unwrap().contains("5 s"), "{spin:#}");
    assert!(spin["milliseconds"].as_f64().unwrap() >= 4_999.0, "{spin:#}");
    let job = daemon.job("spin.mis").unwrap();
    assert_eq!(job["attempts"], 1, "a timeout is not tried again");
    // Ten small files take milliseconds; that they were done while it span is what this test is about.
    let last = daemon.job("echo.meanwhile-9.mis").unwrap();
    assert!(during || last["finished_at"].as_str() < job["finished_at"].as_str(), "{last:#} {job:#}");

    let memory = daemon.wait_for_sidecar("memory.mis");
    assert_eq!(memory["error_type"], "memory_limit", "{memory:#}");
    let peak = memory["peak_memory_bytes"].as_u64().unwrap();
    assert!(peak > 16 * MEBIBYTE && peak <= 32 * MEBIBYTE, "{memory:#}");

    // The message and the source line reach the sidecar and the daemon's log.
    let panic = daemon.wait_for_sidecar("panic.mis");
    assert_eq!(panic["error_type"], "trap", "{panic:#}");
    let message = panic["error"]["message"].as_str().unwrap();
    assert!(message.contains("the fixture is on fire: 42 degrees"), "{message}");
    let source = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/guests/misbehave/src/lib.rs")).unwrap();
    let line = source.lines().position(|line| line.contains("the fixture is on fire")).unwrap() + 1;
    assert!(message.contains(&format!("src/lib.rs:{line}")), "{message}");
    let logged = panic["log"].as_array().unwrap().iter().any(|line| line["message"].as_str().unwrap().contains("the fixture is on fire"));
    assert!(logged, "{panic:#}");
    assert!(
        daemon
            .log()
            .lines()
            .any(|logged| logged.contains("the fixture is on fire: 42 degrees") && logged.contains(&format!("src/lib.rs:{line}")))
    );

    let deep = daemon.wait_for_sidecar("deep.mis");
    assert_eq!(deep["error_type"], "trap", "{deep:#}");
    assert!(deep["error"]["message"].as_str().unwrap().contains("stack"), "{deep:#}");
    assert_eq!(daemon.wait_for_sidecar("panic-after-document.mis")["error_type"], "trap");

    assert_eq!((errors(&daemon, "timeout"), errors(&daemon, "memory_limit"), errors(&daemon, "trap")), (1.0, 1.0, 3.0));
    daemon.assert_metric("conversions_total{converter=\"misbehave\",status=\"error\"}", 5.0);
    daemon.assert_metric("conversions_total{converter=\"misbehave\",status=\"success\"}", 10.0);
    assert_well(&daemon, "echo.after.mis");
    assert_eq!(daemon.documents().len(), 11, "only what succeeded came out: {:?}", daemon.documents());
    assert_nothing_left(&daemon);
}

#[test]
fn too_much_output_fails_the_job() {
    let daemon = daemon(&format!("wall_seconds = 60.0, output_bytes = {}, documents = 50, log_lines = 100", 8 * MEBIBYTE));
    for name in ["terabyte.mis", "swallow-limit.mis", "unfinished.mis", "log-flood.mis", "names.mis"] {
        daemon.drop_file(name, "");
    }
    let terabyte = daemon.wait_for_sidecar("terabyte.mis");
    assert_eq!(terabyte["error_type"], "output_limit", "{terabyte:#}");
    assert_eq!(
        (&terabyte["limits"]["output_bytes"], &terabyte["limits"]["documents"]),
        (&(8 * MEBIBYTE).into(), &50.into()),
        "{terabyte:#}"
    );
    // A converter that takes no notice of the refusal fails all the same.
    let swallowed = daemon.wait_for_sidecar("swallow-limit.mis");
    assert_eq!(swallowed["error_type"], "output_limit", "{swallowed:#}");
    assert_eq!(swallowed["documents"], 0);
    let unfinished = daemon.wait_for_sidecar("unfinished.mis");
    assert_eq!(unfinished["error_type"], "bad_output", "{unfinished:#}");
    assert!(unfinished["error"]["message"].as_str().unwrap().contains("unfinished.txt"), "{unfinished:#}");
    assert_eq!((errors(&daemon, "output_limit"), errors(&daemon, "bad_output")), (2.0, 1.0));

    // A flood of log lines costs nothing but the lines.
    daemon.wait_for_settled("done", "log-flood.mis");
    let flood = daemon.log().lines().filter(|line| line.contains("of a flood")).count();
    assert!(flood <= 100, "{flood} lines of the flood are in the log");
    assert!(daemon.log().contains("more log lines were dropped"), "the log does not say what it left out");

    // Names that would escape the outbox, or collide, do neither.
    daemon.wait_for_job("names.mis", "settled");
    daemon.wait_for_job("log-flood.mis", "settled");
    let names: Vec<String> = daemon.documents().into_keys().collect();
    let mut plain: Vec<String> = names.iter().map(|name| without_id(name)).collect();
    plain.sort();
    assert_eq!(plain, ["CON", "_.._escape.txt", "_etc_absolute.txt", "document", "flood.txt", "nul_and_line.txt", "same.txt", "same.txt"]);
    assert!(names.iter().all(|name| !name.contains('/')), "{names:?}");
    let outside: Vec<String> =
        files(&daemon.path("")).into_keys().filter(|path| path.contains("escape") || path.contains("absolute")).collect();
    assert_eq!(outside.len(), 2, "{outside:?}");
    assert_nothing_left(&daemon);
}

#[test]
fn every_outcome_ends_as_the_contract_says() {
    let daemon = daemon("wall_seconds = 60.0");
    for verb in ["reject", "skip", "missing-field", "no-such-verb", "upstream", "internal", "metrics", "metrics-and-panic"] {
        daemon.drop_file(&format!("{verb}.mis"), "");
    }
    daemon.drop_file("suspend.first.mis", "sibling-a.txt\nsibling-b.txt");
    daemon.drop_file("documents.mis", "");

    let reject = daemon.wait_for_sidecar("reject.mis");
    assert_eq!((&reject["outcome"], &reject["error_type"]), (&json!("rejected"), &Value::Null));
    assert_eq!(
        (&reject["error"]["error_type"], &reject["error"]["code"], &reject["error"]["at"]),
        (&json!("validation"), &json!("aborted"), &json!({"line": 7}))
    );
    let skip = daemon.wait_for_sidecar("skip.mis");
    assert_eq!(skip["outcome"], "skipped");
    assert_eq!(skip["skipped"][0]["reason"], "not for me after all");
    let missing = daemon.wait_for_sidecar("missing-field.mis");
    assert_eq!((&missing["error_type"], &missing["error"]["at"]), (&json!("missing_field"), &json!({"line": 3, "column": 5})));
    assert_eq!(daemon.wait_for_sidecar("no-such-verb.mis")["error_type"], "unsupported");

    // An internal error is tried once more, and no oftener.
    let internal = daemon.wait_for_sidecar("internal.mis");
    assert_eq!(
        (&internal["error_type"], &internal["attempts"], &internal["error"]["code"]),
        (&json!("internal"), &json!(2), &json!("noticed"))
    );
    assert_eq!(errors(&daemon, "internal"), 2.0);

    // An upstream error is tried again, later and later.
    let upstream = daemon.wait_for_job_that("upstream.mis", |job| job["attempts"].as_u64() >= Some(2) && job["waiting"] == "retry");
    assert_eq!(upstream["state"], "queued", "{upstream:#}");
    assert!(daemon.path("in/upstream.mis").exists(), "the source stays in the inbox meanwhile");

    // A suspended job goes on as soon as all that it waits for is there, long before its time.
    daemon.wait_for_job("suspend.first.mis", "suspended");
    fs::write(daemon.path("in/.sibling"), "").unwrap();
    fs::rename(daemon.path("in/.sibling"), daemon.path("in/sibling-a.txt")).unwrap();
    daemon.wait_for_sidecar("sibling-a.txt");
    assert_eq!(daemon.job("suspend.first.mis").unwrap()["waiting"], "suspended");
    daemon.assert_metric("queue_waiting{queue_name=\"converter_queue\",reason=\"suspended\"}", 1.0);
    wait_for("every attempt to be counted", || {
        (daemon.job("upstream.mis").unwrap()["attempts"].as_f64() == Some(errors(&daemon, "upstream"))).then_some(())
    });

    // Documents keep their number, and each has its own bytes.
    daemon.wait_for_settled("done", "documents.mis");
    for number in 0..3 {
        let document = daemon.wait_for_document(&format!("part-{number}.txt"));
        assert_eq!(fs::read_to_string(document).unwrap(), format!("document {number} by 1.0.0-release.AAAA\n"));
    }

    // Metrics of the converter's own: those of conversions that succeeded, and no others.
    daemon.wait_for_settled("done", "metrics.mis");
    daemon.wait_for_sidecar("metrics-and-panic.mis");
    let series = [
        ("misbehave_rows_total{converter=\"misbehave\",kind=\"good\"}", 5.0),
        ("misbehave_rows_total{converter=\"misbehave\",kind=\"bad\"}", 1.0),
        ("misbehave_level{converter=\"misbehave\"}", 4.5),
        ("misbehave_size_bytes_bucket{converter=\"misbehave\",le=\"1\"}", 1.0),
        ("misbehave_size_bytes_bucket{converter=\"misbehave\",le=\"10\"}", 2.0),
        ("misbehave_size_bytes_bucket{converter=\"misbehave\",le=\"+Inf\"}", 4.0),
        ("misbehave_size_bytes_sum{converter=\"misbehave\"}", 555.5),
        ("misbehave_size_bytes_count{converter=\"misbehave\"}", 4.0),
    ];
    let exposition = daemon.get("/metrics").1;
    for (series, value) in series {
        daemon.assert_metric(series, value);
    }
    assert!(!exposition.contains("misbehave_undeclared_total"));
    for (status, count) in [("rejected", 1.0), ("skipped", 1.0), ("suspended", 1.0), ("success", 2.0)] {
        daemon.assert_metric(&format!("conversions_total{{converter=\"misbehave\",status=\"{status}\"}}"), count);
    }
    // What sums up to what: errors by type are the errors.
    assert_eq!(
        daemon.metric("conversions_total{converter=\"misbehave\",status=\"error\"}").unwrap(),
        daemon.metric_sum("conversion_errors_total", "converter=\"misbehave\"")
    );
}

#[test]
fn awaited_files_resume_a_suspended_job() {
    // The siblings are no input of their own here.
    let daemon = Setup::new()
        .plugins(&["misbehave"])
        .config(
            "[[routes]]\nname = 'r'\nconverter = 'misbehave'\nintake = { path = '{dir}/in', include = ['*.mis'] }\n\
             destinations = [{ type = 'folder', path = '{dir}/out' }]\n",
        )
        .start();
    daemon.drop_file("suspend.mis", "sibling-a.txt\nsibling-b.txt");
    daemon.wait_for_job("suspend.mis", "suspended");
    daemon.drop_file("sibling-a.txt", "");
    daemon.drop_file("sibling-b.txt", "");
    // It is asked again at once, an hour before its time, and suspends again.
    let suspensions = || daemon.metric("conversions_total{converter=\"misbehave\",status=\"suspended\"}").unwrap_or(0.0);
    wait_for("the job to be resumed", || (suspensions() >= 2.0).then_some(()));
    // But not a third time for the same files: another job that is resumed meanwhile shows that they were looked for.
    daemon.drop_file("suspend.other.mis", "sibling-c.txt");
    daemon.wait_for_job("suspend.other.mis", "suspended");
    daemon.drop_file("sibling-c.txt", "");
    wait_for("the other job to be resumed", || (suspensions() >= 4.0).then_some(()));
    daemon.wait_for_job("suspend.other.mis", "suspended");
    assert_eq!(suspensions(), 4.0, "a job is resumed again and again for files that it has been told of");
    assert_eq!(daemon.job("suspend.mis").unwrap()["waiting"], "suspended");
    daemon.assert_metric_sum("conversion_errors_total", "misbehave", 0.0);
}

#[test]
fn a_probe_that_misbehaves_costs_its_converter_the_file_and_nobody_else() {
    let daemon = Setup::new().plugins(&["csv", "misbehave"]).start();
    // The content is a table, so that `csv` wants it; `misbehave` is asked too, and fails over it.
    let table = "a,b,c\n1,2,3\n4,5,6\n";
    daemon.drop_file("probe-panics.csv", table);
    daemon.drop_file("probe-spins.csv", table);
    for name in ["probe-panics", "probe-spins"] {
        let document = daemon.wait_for_document(&format!("{name}.jsonl"));
        assert_eq!(fs::read_to_string(document).unwrap().lines().count(), 2);
        assert!(daemon.log().lines().any(|line| line.contains("probe failed") && line.contains(name)), "{name}");
    }
    assert!(daemon.log().contains("the probe panics on purpose"));
    daemon.assert_all_converted(&[]);
    daemon.assert_metric_sum("conversion_errors_total", "", 0.0);
}
