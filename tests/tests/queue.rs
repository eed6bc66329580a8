//! The commands that look into the queue and set it going again, beside a running daemon and without one; and what goes first.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;

use dropforge_tests::{Daemon, Setup, data, files, plugin, run, wait_for};
use serde_json::Value;

/// Runs a command on the daemon's state: exit code, output, errors.
fn on_state(daemon: &Daemon, arguments: &[&str]) -> (i32, String, String) {
    let state = daemon.path("state");
    let mut all = arguments.to_vec();
    all.extend(["--state", state.to_str().unwrap()]);
    run(&daemon.path(""), &all)
}

/// The JSON that a command prints.
fn json(daemon: &Daemon, arguments: &[&str]) -> Value {
    let mut all = arguments.to_vec();
    all.push("--json");
    let (code, output, errors) = on_state(daemon, &all);
    assert_eq!(code, 0, "{errors}");
    serde_json::from_str(&output).unwrap()
}

#[test]
fn dead_letters_are_shown_tried_again_and_purged() {
    let daemon = Setup::new().plugins(&["csv", "junit"]).start();
    daemon.drop_file("good.csv", "serial,value\nSN1,1\n");
    daemon.drop_file("bad.xml", fs::read(data("junit/non-junit.xml")).unwrap());
    let source = daemon.wait_for_settled("failed", "bad.xml");
    daemon.wait_for_job("good.csv", "settled");
    daemon.wait_for_job("bad.xml", "settled");

    assert_eq!(json(&daemon, &["queue", "status"])["dead_letters"]["default"], 1);
    let dead = json(&daemon, &["queue", "list", "--dead"]);
    assert_eq!((dead.as_array().unwrap().len(), &dead[0]["path"]), (1, &"bad.xml".into()));
    let (_, text, _) = on_state(&daemon, &["queue", "list"]);
    assert!(text.contains("failed (") && text.contains("converted") && text.lines().count() == 3, "{text}");
    let id = dead[0]["id"].as_str().unwrap().to_string();
    let shown = json(&daemon, &["queue", "show", &id[..12]]);
    assert_eq!((&shown["path"], &shown["outcome"]), (&"bad.xml".into(), &"failed".into()));
    let (code, text, _) = on_state(&daemon, &["queue", "show", &id[..12]]);
    assert!(code == 0 && text.contains(source.to_str().unwrap()) && text.contains("what to do"), "{text}");

    // Nothing that nobody named is touched.
    let (code, _, errors) = on_state(&daemon, &["queue", "retry"]);
    assert!(code == 2 && errors.contains("--all"), "{errors}");
    let finished = dead[0]["finished_at"].clone();
    let (code, text, _) = on_state(&daemon, &["queue", "retry", "--path", "bad.xml"]);
    assert_eq!((code, text.as_str()), (0, "1 converted again, 0 due now, 0 deliveries tried again\n"));
    daemon.wait_for_job_that("bad.xml", |job| job["state"] == "settled" && job["finished_at"] != finished);
    let source = daemon.wait_for_settled("failed", "bad.xml");
    daemon.assert_metric("dead_letters{route=\"default\"}", 1.0);

    let (code, _, errors) = on_state(&daemon, &["queue", "purge", "--all"]);
    assert!(code == 2 && errors.contains("1 dead letter with") && errors.contains("--yes") && source.exists(), "{errors}");
    let (code, text, errors) = on_state(&daemon, &["queue", "purge", "--all", "--yes"]);
    assert_eq!((code, text.as_str()), (0, "1 dead letter deleted, 0 refused deliveries given up\n"), "{errors}");
    assert!(files(&daemon.path("in/failed")).is_empty(), "the sidecar went with its file");
    assert!(json(&daemon, &["queue", "list", "--dead"]).as_array().unwrap().is_empty());
    assert_eq!(json(&daemon, &["queue", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn the_queue_is_read_without_a_daemon_and_a_missing_one_is_said() {
    let mut daemon = Setup::new().plugins(&["csv"]).start();
    let (code, _, errors) = run(&daemon.path(""), &["queue", "list", "--state", "nowhere"]);
    assert!(code == 1 && errors.contains("there is no queue at") && errors.contains("--state"), "{errors}");
    daemon.drop_file("a.csv", "x\n1\n");
    daemon.wait_for_job("a.csv", "settled");
    daemon.terminate();
    let jobs = json(&daemon, &["queue", "list", "--path", "a.csv", "--since", "1h"]);
    assert_eq!(jobs[0]["outcome"], "converted");
    assert!(json(&daemon, &["queue", "list", "--before", "1h"]).as_array().unwrap().is_empty());
    // What is set going without a daemon runs at its next start.
    let daemon = daemon.restart(|setup| setup);
    daemon.wait_for_log("is ready");
    assert_eq!(daemon.job("a.csv").unwrap()["state"], "settled");
}

const ROUTE: &str = "
[[routes]]
name = 'default'
intake = { path = '{dir}/in' }
destinations = [{ type = 'folder', path = '{dir}/out' }]
";

#[test]
fn a_replay_says_what_would_differ_and_delivers_only_when_told() {
    let daemon = Setup::new().plugins(&["csv", "misbehave"]).config(ROUTE).start();
    daemon.drop_file("echo.a.mis", "one");
    daemon.drop_file("b.csv", "x\n1\n");
    daemon.wait_for_job("echo.a.mis", "settled");
    daemon.wait_for_job("b.csv", "settled");
    let documents = daemon.documents();
    let replay = |more: &[&str]| {
        let mut arguments = vec!["replay", "-c", "dropforge.toml", "--plugins", "plugins"];
        arguments.extend(more);
        on_state(&daemon, &arguments)
    };
    let (code, text, errors) = replay(&["--all"]);
    assert_eq!((code, text.matches("  same").count()), (0, 2), "{text}{errors}");

    // Another configuration, another plugin.
    let greeting = ROUTE
        .replace("name =", "options = { misbehave = { greeting = 'hello' } }\nname =")
        .replace("{dir}", daemon.path("").to_str().unwrap());
    fs::write(daemon.path("dropforge.toml"), greeting).unwrap();
    let (code, text, _) = replay(&["--path", "echo.a.mis"]);
    assert!(code == 1 && text.contains("document 0") && text.contains("differs"), "{text}");
    let csv = plugin("csv");
    let (code, text, _) = replay(&["--path", "echo.a.mis", "--with", csv.to_str().unwrap()]);
    assert!(code == 1 && text.contains("misbehave before, csv now"), "{text}");
    assert_eq!(daemon.documents(), documents, "nothing was delivered");
    assert!(json(&daemon, &["queue", "list", "--job-state", "settled"]).as_array().unwrap().len() == 2);

    // The daemon, with its own configuration, makes the same again: under the same id, in the same file.
    let content = |name: &str| fs::read(daemon.wait_for_document(name)).unwrap();
    let before = content("b.jsonl");
    fs::write(&documents[documents.keys().find(|name| name.starts_with("b-")).unwrap()], "spoilt").unwrap();
    let (code, text, errors) = replay(&["--path", "b.csv", "--deliver"]);
    assert!(code == 0 && text.contains("1 jobs queued again"), "{text}{errors}");
    wait_for("the document as it was", || (content("b.jsonl") == before).then_some(()));
    daemon.wait_for_job("b.csv", "settled");
    assert_eq!(daemon.documents().len(), documents.len());
    assert_eq!(files(&daemon.path("in/done")).keys().filter(|path| path.ends_with("b.csv")).count(), 1);

    // And a plugin that the daemon does not have, here and now.
    let (code, text, errors) = replay(&["--path", "b.csv", "--deliver", "--with", csv.to_str().unwrap()]);
    assert!(code == 0 && text.contains("converted, 1 documents to deliver"), "{text}{errors}");
    daemon.wait_for_job("b.csv", "settled");
    let job = json(&daemon, &["queue", "list", "--path", "b.csv"]);
    assert_eq!(json(&daemon, &["queue", "show", job[0]["id"].as_str().unwrap()])["origin"], "replay");
}

#[test]
fn what_waits_for_a_destination_that_is_no_more_can_be_given_up() {
    let config = "
[[routes]]
name = 'default'
intake = { path = '{dir}/in' }
destinations = [{ type = 'folder', path = '{dir}/out' }, { type = 'http', name = 'old', url = 'http://127.0.0.1:9/reports' }]
";
    let mut daemon = Setup::new().plugins(&["csv"]).config(config).start();
    for name in ["a.csv", "b.csv"] {
        daemon.drop_file(name, "x\n1\n");
        daemon.wait_for_job(name, "committed");
        daemon.wait_for_source("done", name);
    }
    daemon.terminate();
    let without = config.replace(", { type = 'http', name = 'old', url = 'http://127.0.0.1:9/reports' }", "");
    let daemon = daemon.restart(|setup| setup.config(&without));
    daemon.wait_for_log("queue purge --undelivered");
    wait_for("the other destination", || (daemon.documents().len() == 2).then_some(()));
    let (code, _, errors) = on_state(&daemon, &["queue", "purge", "--undelivered", "old"]);
    assert!(code == 2 && errors.contains("the documents of 2 jobs that wait for old"), "{errors}");
    let purge = |more: &[&str]| on_state(&daemon, &[&["queue", "purge", "--undelivered", "old", "--yes"], more].concat());
    assert_eq!(purge(&["--path", "a.csv"]).1, "the documents of 1 job for old given up\n");
    daemon.wait_for_job("a.csv", "settled");
    assert_eq!(daemon.job("b.csv").unwrap()["state"], "committed");
    assert_eq!(purge(&[]).1, "the documents of 1 job for old given up\n");
    daemon.wait_for_job("b.csv", "settled");
    wait_for("an empty spool", || daemon.spooled().is_empty().then_some(()));
    let (code, _, errors) = purge(&[]);
    assert!(code == 1 && errors.contains("nothing waits for any"), "{errors}");
}

#[test]
fn archived_sources_are_converted_again_and_archived_dead_letters_are_purged() {
    let config = ROUTE.replace("name =", "after = { success = 'archive', error = 'archive' }\nname =");
    let daemon = Setup::new().plugins(&["csv", "junit"]).config(&config).start();
    daemon.drop_file("a.csv", "x\n1\n");
    daemon.drop_file("bad.xml", fs::read(data("junit/pytest-corrupt-xml.xml")).unwrap());
    let (archive, letter) = (daemon.wait_for_settled("done", "a.csv.gz"), daemon.wait_for_settled("failed", "bad.xml.gz"));
    let replay = |more: &[&str]| {
        let arguments = ["replay", "-c", "dropforge.toml", "--plugins", "plugins", "--path", "a.csv"];
        on_state(&daemon, &[&arguments, more].concat())
    };
    let (packed, document) = (fs::read(&archive).unwrap(), daemon.wait_for_document("a.jsonl"));
    let (code, text, errors) = replay(&[]);
    assert!(code == 0 && text.contains("  same") && fs::read(&archive).unwrap() == packed, "{text}{errors}");

    let before = fs::read(&document).unwrap();
    let csv = plugin("csv");
    for (more, said) in [
        (vec!["--deliver"], "1 jobs queued again"),
        (vec!["--deliver", "--with", csv.to_str().unwrap()], "converted, 1 documents to deliver"),
    ] {
        fs::write(&document, "spoilt").unwrap();
        let (code, text, errors) = replay(&more);
        assert!(code == 0 && text.contains(said), "{text}{errors}");
        wait_for("the document as it was", || (fs::read(&document).unwrap() == before).then_some(()));
        daemon.wait_for_job("a.csv", "settled");
        assert_eq!(daemon.documents().len(), 1);
        // It is archived again, the same, once.
        let done: Vec<String> = files(&daemon.path("in/done")).into_keys().collect();
        assert!(done.len() == 1 && done[0].ends_with("/a.csv.gz"), "{done:?}");
        assert!(fs::read(daemon.path("in/done").join(&done[0])).unwrap() == packed);
    }

    let (code, text, errors) = on_state(&daemon, &["queue", "purge", "--all", "--yes"]);
    assert_eq!((code, text.as_str()), (0, "1 dead letter deleted, 0 refused deliveries given up\n"), "{errors}");
    assert!(!letter.exists() && files(&daemon.path("in/failed")).is_empty());
    // Whose archive is gone, or is another's, is said.
    let archive = files(&daemon.path("in/done")).into_values().next().unwrap();
    fs::write(&archive, &packed[..packed.len() / 2]).unwrap();
    let (code, text, _) = replay(&["--deliver"]);
    assert!(code == 1 && text.contains("cannot be converted again") && text.contains("0 jobs queued again"), "{text}");
    assert_eq!(files(&daemon.path("in/done")).len(), 1, "nothing half unpacked is left");
}

#[test]
fn a_backup_that_is_taken_while_it_runs_delivers_what_was_not_delivered() {
    let config = ROUTE.replace("/out'", "/out/blocked'");
    let setup = Setup::new().plugins(&["csv"]).config(&config);
    fs::create_dir(setup.path("out")).unwrap();
    fs::write(setup.path("out/blocked"), "a file where a folder should be").unwrap();
    let mut daemon = setup.start();
    for name in ["a.csv", "b.csv"] {
        daemon.drop_file(name, "x\n1\n");
        daemon.wait_for_source("done", name);
    }
    let backup = daemon.path("backup");
    let (code, text, errors) = on_state(&daemon, &["backup", backup.to_str().unwrap()]);
    assert!(code == 0 && text.contains("2 jobs"), "{text}{errors}");
    let (code, _, errors) = on_state(&daemon, &["backup", backup.to_str().unwrap()]);
    assert!(code == 1 && errors.contains("not empty"), "{errors}");
    let versions = |state: &std::path::Path| files(&state.join("plugin-versions")).into_keys().collect::<Vec<_>>();
    assert!(versions(&backup).contains(&"csv.json".to_owned()), "a rollback is possible from the copy too: {:?}", versions(&backup));
    assert_eq!(versions(&backup), versions(&daemon.path("state")));
    daemon.terminate();
    // The disk is lost; the copy takes its place.
    fs::remove_dir_all(daemon.path("state")).unwrap();
    fs::rename(&backup, daemon.path("state")).unwrap();
    fs::remove_file(daemon.path("out/blocked")).unwrap();
    let daemon = daemon.restart(|setup| setup);
    wait_for("both documents", || (files(&daemon.path("out/blocked")).len() == 2).then_some(()));
    daemon.wait_for_job("a.csv", "settled");
}

#[test]
fn a_route_and_a_converter_run_no_more_at_once_than_they_may() {
    let config = "
workers = 2
[plugins.misbehave]
concurrency = 1
[[routes]]
name = 'named'
concurrency = 1
converter = 'misbehave'
intake = { path = '{dir}/in' }
destinations = [{ type = 'folder', path = '{dir}/out' }]
[[routes]]
name = 'auto'
intake = { path = '{dir}/auto', create = true }
destinations = [{ type = 'folder', path = '{dir}/out' }]
";
    let daemon = Setup::new().plugins(&["misbehave", "csv"]).config(config).start();
    daemon.drop_file("work.1.mis", "1600000000");
    daemon.wait_for_job("work.1.mis", "running");
    daemon.drop_file("echo.2.mis", "");
    daemon.wait_for_job("echo.2.mis", "queued");
    wait_for("the other folder", || daemon.path("auto").exists().then_some(()));
    daemon.drop_into("auto", "echo.3.mis", "");
    // The second worker is free: it converts what neither bound holds up, and has found that the other file's converter is busy.
    daemon.drop_into("auto", "4.csv", "x\n1\n");
    daemon.wait_for_job("4.csv", "settled");
    daemon.wait_for_job_that("echo.3.mis", |job| job["waiting"] == "busy");
    let states = ["work.1.mis", "echo.2.mis"].map(|path| daemon.job(path).unwrap()["state"].clone());
    assert_eq!(states, ["running", "queued"]);
    for path in ["work.1.mis", "echo.2.mis", "echo.3.mis"] {
        assert_eq!(daemon.wait_for_job(path, "settled")["attempts"], 1, "{path}");
    }
}

/// `DROPFORGE_TEST_LONG=1` puts 100,000 files before it.
#[test]
fn an_urgent_file_overtakes_all_that_came_before_it() {
    let count = if std::env::var_os("DROPFORGE_TEST_LONG").is_some() { 100_000 } else { 2_000 };
    let config = "
workers = 1
[[routes]]
name = 'bulk'
converter = 'csv'
priority = 9
intake = { path = '{dir}/in' }
destinations = [{ type = 'folder', path = '{dir}/out' }]
[[routes]]
name = 'urgent'
converter = 'csv'
priority = 1
intake = { path = '{dir}/now', create = true }
destinations = [{ type = 'folder', path = '{dir}/out' }]
";
    let daemon = Setup::new().config(config).start();
    let waiting = || daemon.metric("queue_waiting{queue_name=\"converter_queue\",reason=\"converter\"}").unwrap_or_default();
    for number in 0..count {
        fs::write(daemon.path(&format!("in/{number}.csv")), format!("serial\n{number}\n")).unwrap();
    }
    // They wait for a converter, so that all of them are there, and none has gone, when the urgent one comes.
    let mut seen = 0.0;
    while waiting() < f64::from(count) {
        wait_for("more of the files to be queued", || (waiting() > seen).then(|| seen = waiting()));
    }
    daemon.drop_into("now", "urgent.csv", "serial\n1\n");
    wait_for("the urgent file to be queued", || (waiting() > f64::from(count)).then_some(()));
    daemon.drop_plugin("csv.wasm", fs::read(plugin("csv")).unwrap());
    daemon.wait_for_job("urgent.csv", "settled");
    let limit = (count + 1).to_string();
    let converted = || json(&daemon, &["queue", "list", "--outcome", "converted", "--limit", &limit]).as_array().unwrap().clone();
    let jobs = wait_for("one of the others", || Some(converted()).filter(|jobs| jobs.len() > 1));
    let finished = |job: &Value| job["finished_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let urgent = finished(jobs.iter().find(|job| job["route"] == "urgent").unwrap());
    let earlier = jobs.iter().filter(|job| job["route"] == "bulk" && finished(job) < urgent).count();
    assert_eq!(earlier, 0, "of {count}");
}

#[test]
fn a_file_that_ends_the_process_twice_is_given_up_and_the_others_go_on() {
    let mut daemon = Setup::new().plugins(&["csv"]).environment("DROPFORGE_CRASH_AT", "convert:poison.csv").start();
    daemon.drop_file("poison.csv", "x\n1\n");
    assert!(!daemon.wait().success());
    // The same fault is still there: this time it ends a process of its own.
    let daemon = daemon.restart(|setup| setup);
    daemon.wait_for_log("is ready");
    daemon.drop_file("good.csv", "x\n1\n");
    let sidecar = daemon.wait_for_sidecar("poison.csv");
    assert_eq!((&sidecar["error_type"], &sidecar["error"]["code"]), (&"internal".into(), &"poison".into()));
    assert!(sidecar["error"]["message"].as_str().unwrap().contains("signal: 6"), "{sidecar}");
    daemon.wait_for_job("good.csv", "settled");
    daemon.assert_metric("conversion_errors_total{converter=\"none\",error_type=\"internal\"}", 1.0);
    // The fault is mended: the file converts, still by itself.
    let daemon = daemon.restart(|setup| setup.environment("DROPFORGE_CRASH_AT", ""));
    daemon.wait_for_log("is ready");
    let (code, text, _) = on_state(&daemon, &["queue", "retry", "--path", "poison.csv"]);
    assert!(code == 0 && text.starts_with("1 converted again"), "{text}");
    daemon.wait_for_document("poison.jsonl");
    daemon.wait_for_job_that("poison.csv", |job| job["outcome"] == "converted" && job["state"] == "settled");
}

#[test]
fn what_was_made_before_is_not_made_again() {
    let daemon = Setup::new().plugins(&["csv", "misbehave"]).start();
    for _ in 0..2 {
        daemon.drop_file("a.csv", "serial,value\nSN1,1\n");
        daemon.wait_for_settled("done", "a.csv");
        wait_for("the job", || daemon.jobs().iter().all(|job| job["state"] == "settled").then_some(()));
        fs::remove_dir_all(daemon.path("in/done")).unwrap();
    }
    let documents: Vec<Vec<u8>> = daemon.documents().values().map(|path| fs::read(path).unwrap()).collect();
    assert_eq!(documents.len(), 2, "two files, two documents");
    assert_eq!(documents[0], documents[1]);
    daemon.assert_metric("cache_hits_total{cache_name=\"conversion\"}", 1.0);
    daemon.assert_metric("conversions_total{converter=\"csv\",status=\"success\"}", 2.0);
    daemon.assert_metric("conversion_duration_seconds_count{converter=\"csv\"}", 1.0);
    // It says what it was given, the name among it, so that each file is its own.
    for name in ["echo.1.mis", "echo.2.mis"] {
        daemon.drop_file(name, "same");
        daemon.wait_for_job(name, "settled");
    }
    daemon.assert_metric("cache_hits_total{cache_name=\"conversion\"}", 1.0);
    daemon.assert_metric("cache_misses_total{cache_name=\"conversion\"}", 3.0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_failed_to_another_file_system_is_converted_from_there() {
    use std::os::unix::fs::MetadataExt;
    let elsewhere = tempfile::Builder::new().prefix("dropforge-test-").tempdir_in("/dev/shm").unwrap();
    let setup = Setup::new();
    if fs::metadata(elsewhere.path()).unwrap().dev() == fs::metadata(setup.path("in")).unwrap().dev() {
        eprintln!("skipped: /dev/shm is on the same file system as the temporary folder");
        return;
    }
    let folder = elsewhere.path().display();
    let config = ROUTE.replace("{dir}/in'", &format!("{{dir}}/in', failed = '{folder}/failed', done = '{folder}/done'"));
    let daemon = setup.config(&config).start();
    daemon.drop_file("a.csv", "x\n1\n");
    wait_for("the dead letter", || files(elsewhere.path()).keys().any(|path| path.ends_with("a.csv")).then_some(()));
    daemon.wait_for_job("a.csv", "settled");
    daemon.drop_plugin("csv.wasm", fs::read(plugin("csv")).unwrap());
    daemon.wait_for_document("a.jsonl");
    wait_for("the file in done", || {
        files(elsewhere.path()).keys().any(|path| path.starts_with("done") && path.ends_with("a.csv")).then_some(())
    });
    assert!(!files(elsewhere.path()).keys().any(|path| path.starts_with("failed")), "{:?}", files(elsewhere.path()));
}

#[test]
fn what_somebody_should_look_at_is_one_list_and_a_job_begins_with_what_is_wrong() {
    let daemon = Setup::new().plugins(&["csv", "misbehave"]).start();
    for name in ["partial.mis", "panic.mis", "good.csv"] {
        daemon.drop_file(name, "serial,value\nSN1,1\n");
        daemon.wait_for_job(name, "settled");
    }
    let paths = |arguments: &[&str]| -> Vec<String> {
        let jobs = json(&daemon, arguments);
        jobs.as_array().unwrap().iter().map(|job| job["path"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(paths(&["queue", "list", "--dead"]), ["panic.mis"]);
    assert_eq!(paths(&["queue", "list", "--attention"]), ["panic.mis", "partial.mis"]);
    let api = daemon.json("/api/v1/jobs?attention=true");
    assert_eq!(api.as_array().unwrap().len(), 2);
    for (path, first, said) in
        [("panic.mis", "error", "the fixture is on fire"), ("partial.mis", "in part", "unit 5 of 10 is cut off (line 12, column 3)")]
    {
        let id = daemon.job(path).unwrap()["id"].as_str().unwrap().to_owned();
        let (code, text, errors) = on_state(&daemon, &["queue", "show", &id]);
        let lines: Vec<&str> = text.lines().take(5).collect();
        assert_eq!(code, 0, "{errors}");
        assert!(lines[3].starts_with(first) && lines[3].contains(said) && lines[4].starts_with("what to do"), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn a_restart_does_not_convert_again_what_its_plugins_did_not_take() {
    let mut daemon = Setup::new().plugins(&["csv"]).start();
    daemon.drop_file("prose.txt", "Dear all,\n\nnothing to convert here.\n");
    let before = daemon.wait_for_job("prose.txt", "settled");
    assert_eq!(before["error_type"], "no_converter");
    daemon.terminate();
    let daemon = daemon.restart(|setup| setup);
    daemon.wait_for_log("is ready");
    // What was queued before comes before this one.
    daemon.drop_file("a.csv", "x\n1\n");
    daemon.wait_for_job("a.csv", "settled");
    assert_eq!(daemon.job("prose.txt").unwrap()["finished_at"], before["finished_at"]);
    // A plugin that was not asked yet is.
    daemon.drop_plugin("probe-guest.wasm", fs::read(plugin("probe-guest")).unwrap());
    daemon.wait_for_job_that("prose.txt", |job| job["state"] == "settled" && job["finished_at"] != before["finished_at"]);
}
