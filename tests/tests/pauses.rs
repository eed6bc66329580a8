//! Routes and converters that somebody pauses, and that go on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;

use dropforge_tests::{Daemon, Setup, plugin, wait_for};

const ROUTES: &str = "
[[routes]]
name = 'ict'
converter = 'csv'
intake = { path = '{dir}/in', http = true }
destinations = [{ type = 'folder', path = '{dir}/out' }]
[[routes]]
name = 'any'
intake = { path = '{dir}/any', create = true }
destinations = [{ type = 'folder', path = '{dir}/out' }]
";

fn done(daemon: &Daemon, arguments: &[&str]) -> String {
    let (code, output, errors) = daemon.command(arguments);
    assert_eq!(code, 0, "{errors}");
    output
}

fn post(daemon: &Daemon) -> (u16, String) {
    let token = fs::read_to_string(daemon.path("state/token")).unwrap();
    let agent = ureq::Agent::new_with_config(ureq::Agent::config_builder().http_status_as_error(false).build());
    let mut answer = agent
        .post(format!("http://127.0.0.1:{}/api/v1/routes/ict/jobs?name=p.csv", daemon.health_port()))
        .header("authorization", format!("Bearer {}", token.trim()))
        .send("x\n1\n")
        .unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}

#[test]
fn a_paused_route_takes_nothing_and_converts_nothing_until_it_goes_on_whatever_happens_to_the_daemon() {
    let mut daemon = Setup::new().config(ROUTES).start();
    // This one is in the queue when the route is paused: it waits for its converter.
    daemon.drop_file("queued.csv", "x\n1\n");
    daemon.wait_for_job_that("queued.csv", |job| job["waiting"] == "converter");
    let said = done(&daemon, &["route", "pause", "ict", "--reason", "station 4 is moved"]);
    assert!(said.starts_with("ict is paused"), "{said}");
    assert!(done(&daemon, &["route", "pause", "ict"]).contains("was paused already"));
    daemon.drop_plugin("csv.wasm", fs::read(plugin("csv")).unwrap());
    daemon.wait_for_job_that("queued.csv", |job| job["waiting"] == "paused");
    daemon.drop_file("left.csv", "x\n2\n");
    daemon.assert_metric("route_paused{route=\"ict\"}", 1.0);
    daemon.assert_metric("route_paused{route=\"any\"}", 0.0);
    daemon.assert_metric("queue_depth{queue_name=\"converter_queue\"}", 0.0);
    daemon.assert_metric("queue_waiting{queue_name=\"converter_queue\",reason=\"paused\"}", 1.0);
    let held_back = |daemon: &Daemon| daemon.json("/api/v1/routes")[0]["held_back"].as_str().map(str::to_owned);
    let reason = wait_for("the intake to say why", || held_back(&daemon));
    assert!(reason.contains("station 4 is moved") && reason.contains("dropforge route resume ict"), "{reason}");
    let (status, body) = post(&daemon);
    assert!(status == 503 && body.contains("route `ict` is paused"), "{status} {body}");
    // The other route goes on.
    daemon.drop_into("any", "other.csv", "x\n3\n");
    daemon.wait_for_job("other.csv", "settled");

    daemon.kill();
    let daemon = daemon.restart(|setup| setup);
    daemon.drop_into("any", "another.csv", "x\n4\n");
    daemon.wait_for_job("another.csv", "settled");
    daemon.wait_for_job_that("queued.csv", |job| job["waiting"] == "paused");
    assert!(daemon.path("in/left.csv").exists() && daemon.job("left.csv").is_none());
    let list = done(&daemon, &["route", "list"]);
    assert!(list.contains("paused since 20") && list.contains(": station 4 is moved") && list.contains("running"), "{list}");

    assert_eq!(done(&daemon, &["route", "resume", "ict"]), "ict goes on\n");
    assert_eq!(done(&daemon, &["route", "resume", "ict"]), "ict was not paused\n");
    for name in ["queued.csv", "left.csv"] {
        daemon.wait_for_job(name, "settled");
    }
    assert_eq!(post(&daemon).0, 202);
    daemon.wait_for_job("p.csv", "settled");
    daemon.assert_metric("route_paused{route=\"ict\"}", 0.0);
}

#[test]
fn nothing_is_converted_with_a_paused_converter_whatever_the_route() {
    let daemon = Setup::new().plugins(&["csv", "misbehave"]).config(ROUTES).start();
    done(&daemon, &["converter", "pause", "csv", "--reason", "wait for 1.3"]);
    // One route names it, the other chooses it; files for another converter are converted.
    daemon.drop_file("named.csv", "x\n1\n");
    daemon.drop_into("any", "chosen.csv", "x\n2\n");
    daemon.drop_into("any", "echo.1.mis", "");
    for name in ["named.csv", "chosen.csv"] {
        daemon.wait_for_job_that(name, |job| job["waiting"] == "paused");
    }
    daemon.wait_for_job("echo.1.mis", "settled");
    let status = daemon.plugin_status("csv.wasm").unwrap();
    assert!(status["paused"].as_str().unwrap().contains("wait for 1.3"), "{status}");
    done(&daemon, &["converter", "resume", "csv"]);
    for name in ["named.csv", "chosen.csv"] {
        assert_eq!(daemon.wait_for_job(name, "settled")["attempts"], 1, "{name}");
    }
}

#[test]
fn a_mistyped_name_pauses_nothing_and_names_what_there_is() {
    let daemon = Setup::new().plugins(&["csv"]).config(ROUTES).start();
    for (arguments, expected) in [
        (["route", "pause", "itc"], "there are: any, ict"),
        (["route", "resume", "itc"], "there are: any, ict"),
        (["converter", "pause", "cvs"], "there are: csv"),
    ] {
        let (code, _, errors) = daemon.command(&arguments);
        assert!(code == 1 && errors.contains(expected), "{errors}");
    }
    let (code, _, errors) = daemon.command(&["route", "pause", "../jobs"]);
    assert!(code == 2 && errors.contains("cannot be a name"), "{errors}");
}
