//! A plugin that fails again and again is left alone, and no file is lost over it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use dropforge_tests::{Daemon, Setup, misbehave, wait_for};
use serde_json::Value;

const ROUTES: &str = "
[[routes]]
name = 'named'
converter = 'misbehave'
intake = { path = '{dir}/in' }
destinations = [{ type = 'folder', path = '{dir}/out' }]
[[routes]]
name = 'any'
intake = { path = '{dir}/any' }
destinations = [{ type = 'folder', path = '{dir}/any-out' }]
";

const WAITING: &str = "queue_waiting{queue_name=\"converter_queue\",reason=\"plugin_suspended\"}";
const SUSPENDED: &str = "plugin_suspended{converter=\"misbehave\"}";

fn start(suspension: &str) -> Daemon {
    let setup = Setup::new().config(&format!("[suspension]\n{suspension}\n{ROUTES}"));
    std::fs::create_dir(setup.path("any")).unwrap();
    setup.plugins(&["misbehave", "csv"]).start()
}

fn wait_until_settled(daemon: &Daemon, name: &str, outcome: &str) -> Value {
    let job = daemon.wait_for_job(name, "settled");
    assert_eq!(job["outcome"], outcome, "{job:#}");
    job
}

#[test]
fn a_plugin_that_keeps_failing_is_suspended_until_another_version_comes() {
    let daemon = start("after_failures = 3\nfirst_seconds = 3600");
    daemon.assert_metric(SUSPENDED, 0.0);
    // What is an answer to the file is no failure of the plugin, and what fails before it does not count with what fails after it.
    for name in ["panic.0.mis", "panic.1.mis", "missing-field.2.mis", "panic.3.mis", "panic.4.mis"] {
        daemon.drop_file(name, "x");
        wait_until_settled(&daemon, name, "failed");
    }
    daemon.assert_metric(SUSPENDED, 0.0);

    daemon.drop_file("panic.5.mis", "x");
    daemon.wait_for_job("panic.5.mis", "plugin_suspended");
    daemon.assert_metric(SUSPENDED, 1.0);
    assert!(daemon.path("in/panic.5.mis").exists(), "its file is where it was");
    // Those that come after it wait too, whether their route names the plugin or its probe says that they are its own.
    for number in 0..3 {
        daemon.drop_file(&format!("echo.{number}.mis"), "x");
    }
    std::fs::write(daemon.path("any/echo.any.mis"), "x").unwrap();
    for name in ["echo.0.mis", "echo.1.mis", "echo.2.mis", "echo.any.mis"] {
        daemon.wait_for_job(name, "plugin_suspended");
    }
    wait_for("five jobs to wait", || daemon.metric(WAITING).filter(|waiting| *waiting == 5.0));

    // It is said everywhere; the daemon is ready all the same, and other plugins work.
    let status = daemon.plugin_status("misbehave.wasm").unwrap();
    assert_eq!((&status["suspended"]["failures"], &status["suspended"]["error_type"]), (&3.into(), &"trap".into()), "{status:#}");
    assert!(daemon.log().contains("plugin suspended: its last 3 conversions ended in traps or at limits"));
    assert_eq!(daemon.get("/health/ready").0, 200);
    std::fs::write(daemon.path("any/table.csv"), "a,b\n1,2\n").unwrap();
    wait_until_settled(&daemon, "table.csv", "converted");

    daemon.drop_plugin("misbehave.wasm", misbehave("BBBB"));
    for name in ["echo.0.mis", "echo.1.mis", "echo.2.mis", "echo.any.mis"] {
        wait_until_settled(&daemon, name, "converted");
    }
    // It failed with either version.
    let job = wait_until_settled(&daemon, "panic.5.mis", "failed");
    assert_eq!(job["plugin_version"], "1.0.0-release.BBBB");
    daemon.assert_metric(SUSPENDED, 0.0);
    daemon.assert_metric(WAITING, 0.0);
    assert!(daemon.plugin_status("misbehave.wasm").unwrap()["suspended"].is_null());
}

#[test]
fn a_suspended_plugin_is_tried_with_one_file_at_a_time_until_it_works() {
    let daemon = start("after_failures = 2\nfirst_seconds = 0.2\nlongest_seconds = 0.4");
    daemon.drop_file("panic.0.mis", "x");
    wait_until_settled(&daemon, "panic.0.mis", "failed");
    for name in ["panic.1.mis", "panic.2.mis"] {
        daemon.drop_file(name, "x");
        daemon.wait_for_job_that(name, |job| job["attempts"] != 0);
    }
    for number in 0..5 {
        daemon.drop_file(&format!("echo.{number}.mis"), "x");
    }
    // Nobody does anything: the files that break it fail when they have broken it twice, and the others are converted.
    for number in 0..5 {
        wait_until_settled(&daemon, &format!("echo.{number}.mis"), "converted");
    }
    for name in ["panic.1.mis", "panic.2.mis"] {
        let job = wait_until_settled(&daemon, name, "failed");
        assert_eq!((&job["attempts"], &job["error_type"]), (&2.into(), &"trap".into()), "{job:#}");
    }
    daemon.assert_metric(SUSPENDED, 0.0);
    assert!(daemon.log().contains("plugin works again: its suspension ends"));
}

#[test]
fn a_removed_plugin_leaves_its_jobs_waiting_whether_it_is_suspended_or_not() {
    let daemon = start("after_failures = 1\nfirst_seconds = 3600");
    daemon.drop_file("panic.0.mis", "x");
    daemon.wait_for_job("panic.0.mis", "plugin_suspended");
    daemon.drop_file("echo.0.mis", "x");
    daemon.wait_for_job("echo.0.mis", "plugin_suspended");
    std::fs::remove_file(daemon.path("plugins/misbehave.wasm")).unwrap();
    for name in ["panic.0.mis", "echo.0.mis"] {
        daemon.wait_for_job(name, "converter");
    }
    // It is back, and begins anew: the file that broke it breaks it once more, and that is the end of it.
    daemon.drop_plugin("misbehave.wasm", misbehave("AAAA"));
    wait_until_settled(&daemon, "panic.0.mis", "failed");
}
