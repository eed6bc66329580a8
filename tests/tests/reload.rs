//! A configuration that changes while the daemon runs: all of it is taken, or nothing; and a log that is told to say more.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;

use dropforge_tests::{Daemon, Setup, wait_for};
use rustix::process::Signal;

const CONFIG: &str = "
[[routes]]
name = 'first'
intake = { path = '{dir}/in' }
destinations = [{ type = 'folder', path = '{dir}/out' }]
";

const SECOND: &str = "
[[routes]]
name = 'second'
intake = { path = '{dir}/second', create = true }
destinations = [{ type = 'folder', path = '{dir}/out' }]
";

fn configure(daemon: &Daemon, config: &str) {
    fs::write(daemon.path("dropforge.toml"), config.replace("{dir}", daemon.path("").to_str().unwrap())).unwrap();
}

fn starts(daemon: &Daemon) -> usize {
    daemon.log().matches("is ready: drop files").count()
}

#[test]
fn a_new_configuration_is_taken_in_the_same_process_and_nothing_is_lost() {
    let daemon = Setup::new().plugins(&["csv", "misbehave"]).config(CONFIG).start();
    daemon.wait_for_log("is ready");
    let process = daemon.id();
    let (code, output, errors) = daemon.command(&["config", "reload"]);
    assert!(code == 0 && output == "nothing has changed\n", "{output}{errors}");

    // While a job runs and others wait.
    daemon.drop_file("work.1.mis", "400000000");
    daemon.wait_for_job("work.1.mis", "running");
    for number in 0..50 {
        daemon.drop_file(&format!("{number}.csv"), format!("x\n{number}\n"));
    }
    configure(&daemon, &format!("{}{SECOND}", CONFIG.replace("name = 'first'", "name = 'first'\npriority = 2")));
    daemon.signal(Signal::HUP);
    daemon.wait_for_log("change=\"routes[first].priority: 5 → 2\"");
    daemon.wait_for_log("change=\"routes[second]: added\"");
    wait_for("the new start", || (starts(&daemon) == 2).then_some(()));
    assert_eq!(daemon.id(), process, "and it is the same process");
    wait_for("the new route's folder", || daemon.path("second").exists().then_some(()));
    daemon.drop_into("second", "new.csv", "x\nnew\n");
    for name in ["work.1.mis", "49.csv", "new.csv"] {
        daemon.wait_for_job(name, "settled");
    }
    wait_for("every job to be settled", || daemon.jobs().iter().all(|job| job["state"] == "settled").then_some(()));
    assert_eq!(daemon.documents().len(), 52);
    assert!(
        daemon.jobs().iter().all(|job| job["attempts"] == 1 && job["crashes"].as_u64().unwrap_or_default() == 0),
        "{:#?}",
        daemon.jobs()
    );

    // By the command, and back.
    configure(&daemon, CONFIG);
    let (code, output, errors) = daemon.command(&["config", "reload"]);
    assert!(
        code == 0 && output.contains("routes[first].priority: 2 → 5\n") && output.ends_with("starts anew with this\n"),
        "{output}{errors}"
    );
    wait_for("the third start", || (starts(&daemon) == 3).then_some(()));
    assert_eq!(daemon.json("/api/v1/routes").as_array().unwrap().len(), 1);
}

#[test]
fn a_configuration_that_cannot_be_used_changes_nothing() {
    let daemon = Setup::new().plugins(&["csv"]).config(CONFIG).start();
    daemon.wait_for_log("is ready");
    let own_folder = CONFIG.replace("intake = { path = '{dir}/in' }", "intake = { path = '{dir}/in', done = '{dir}/in' }");
    let no_certificate = CONFIG.replace("type = 'folder', path = '{dir}/out'", "type = 'http', url = 'https://x'");
    let no_certificate = format!("http = {{ ca_file = '{{dir}}/nowhere' }}\n{no_certificate}");
    for (config, expected) in
        [("wrokers = 2", "wrokers"), ("[[routes", "dropforge.toml"), (own_folder.as_str(), "in"), (no_certificate.as_str(), "nowhere")]
    {
        configure(&daemon, config);
        let (code, output, errors) = daemon.command(&["config", "reload"]);
        assert!(
            code == 1 && output.is_empty() && errors.contains("is not taken") && errors.contains(expected),
            "{config}: {output}{errors}"
        );
        daemon.signal(Signal::HUP);
        wait_for("the log to say so", || daemon.log().contains("is not taken anew").then_some(()));
    }
    assert_eq!(starts(&daemon), 1);
    daemon.drop_file("a.csv", "x\n1\n");
    daemon.wait_for_document("a.jsonl");
}

#[test]
fn what_happens_while_running_jobs_end_is_kept_to() {
    let daemon = Setup::new().plugins(&["csv", "misbehave"]).config(CONFIG).start();
    daemon.wait_for_log("is ready");
    let busy = |daemon: &Daemon, name: &str| {
        daemon.drop_file(name, "400000000");
        daemon.wait_for_job(name, "running");
    };
    // A file that is broken after it was checked: the daemon has what was checked.
    busy(&daemon, "work.1.mis");
    configure(&daemon, &format!("{CONFIG}{SECOND}"));
    assert_eq!(daemon.command(&["config", "reload"]).0, 0);
    configure(&daemon, "wrokers = 2");
    wait_for("the new start", || (starts(&daemon) == 2).then_some(()));
    daemon.wait_for_log("the configuration was broken since it was taken anew");
    assert_eq!(daemon.json("/api/v1/routes").as_array().unwrap().len(), 2);
    daemon.wait_for_job("work.1.mis", "settled");

    // A signal to stop: it stops.
    busy(&daemon, "work.2.mis");
    configure(&daemon, CONFIG);
    daemon.signal(Signal::HUP);
    daemon.wait_for_log("change=\"routes[second]: removed\"");
    let mut daemon = daemon;
    assert!(daemon.terminate().success());
    assert_eq!(starts(&daemon), 2);
}

#[test]
fn the_log_says_more_when_it_is_told_to() {
    let daemon = Setup::new().plugins(&["csv"]).start();
    daemon.drop_file("a.csv", "x\n1\n");
    daemon.wait_for_job("a.csv", "settled");
    assert!(!daemon.log().contains("DEBUG"), "{}", daemon.log());
    let (code, output, errors) = daemon.command(&["log-level", "debug"]);
    assert!(code == 0 && output.contains("logs by debug"), "{output}{errors}");
    daemon.drop_file("b.csv", "x\n2\n");
    daemon.wait_for_log("DEBUG arrived");
    let (code, _, errors) = daemon.command(&["log-level", "loud"]);
    assert!(code == 1 && errors.contains("not a log level"), "{errors}");
}

#[test]
fn options_that_a_plugin_does_not_take_are_not_taken_and_a_start_with_them_says_so() {
    let daemon = Setup::new().plugins(&["csv"]).config(CONFIG).start();
    daemon.wait_for_log("is ready");
    let wrong = format!("{CONFIG}options = {{ csv = {{ delimitr = ';' }} }}\n");
    configure(&daemon, &wrong);
    let (code, _, errors) = daemon.command(&["config", "reload"]);
    assert!(code == 1 && errors.contains("routes[0].options") && errors.contains("did you mean `delimiter`?"), "{errors}");
    assert_eq!(starts(&daemon), 1);
    let daemon = daemon.restart(|setup| setup.config(&wrong));
    daemon.wait_for_log("the `options` of a route are wrong");
}
