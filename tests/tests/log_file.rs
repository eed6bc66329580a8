//! The log in a file: bounded, whole lines, whatever the disk and others do to it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;
use std::path::Path;

use dropforge_tests::{Setup, files, wait_for};
use serde_json::Value;

const ROUTE: &str = "
[[routes]]
name = 'first'
intake = { path = '{dir}/in' }
destinations = [{ type = 'folder', path = '{dir}/out' }]
";

/// Every line of a file, which must be JSON to its end.
fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'), "{} ends in the middle of a line", path.display());
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn the_files_of_the_log_are_bounded_and_hold_whole_lines() {
    let config = format!("log = {{ file = 'logs/dropforge.log', max_file_bytes = 65536, max_files = 3 }}\n{ROUTE}");
    let setup = Setup::new().plugins(&["csv"]).config(&config).argument("--log-format=json").argument("--log-level=debug");
    let mut daemon = setup.start();
    let logs = daemon.path("logs");
    let mut number = 0;
    // The oldest is another one once more has been removed than is kept.
    let first = |name: &str| fs::read_to_string(logs.join(name)).ok().and_then(|text| text.lines().next().map(str::to_owned));
    let began = wait_for("the log to begin", || first("dropforge.log"));
    let oldest = |daemon: &dropforge_tests::Daemon, number: &mut usize| {
        for _ in 0..20 {
            daemon.drop_file(&format!("{number}.csv"), format!("x\n{number}\n"));
            *number += 1;
        }
        first("dropforge.log.2")
    };
    wait_for("the first lines to be in the last file", || oldest(&daemon, &mut number).filter(|line| *line == began));
    wait_for("the first lines to be gone", || oldest(&daemon, &mut number).filter(|line| *line != began));
    wait_for("every file to be converted", || (daemon.documents().len() == number).then_some(()));

    // Somebody else puts it away: what follows is in a new one.
    let away = daemon.path("away.log");
    fs::rename(logs.join("dropforge.log"), &away).unwrap();
    daemon.drop_file("last.csv", "x\nlast\n");
    wait_for("a new file", || logs.join("dropforge.log").exists().then_some(()));
    assert!(daemon.terminate().success());
    let written = files(&logs);
    assert_eq!(written.keys().collect::<Vec<_>>(), ["dropforge.log", "dropforge.log.1", "dropforge.log.2"]);
    for path in written.values().chain([&away]) {
        assert!(fs::metadata(path).unwrap().len() <= 65536 && !lines(path).is_empty(), "{}", path.display());
    }
    assert_eq!(lines(&logs.join("dropforge.log")).last().unwrap()["message"], "stopped");
    // Standard error has the same lines, each with a moment of its own.
    let log = daemon.log();
    let in_file = fs::read_to_string(&away).unwrap();
    assert!(in_file.lines().all(|line| log.contains(line.split_once(',').unwrap().1)));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_of_the_log_stops_nothing_and_is_said() {
    let setup = Setup::new().plugins(&["csv"]).config(&format!("log = {{ file = 'logs/dropforge.log' }}\n{ROUTE}"));
    fs::create_dir(setup.path("logs")).unwrap();
    let file = setup.path("logs/dropforge.log");
    std::os::unix::fs::symlink("/dev/full", &file).unwrap();
    let daemon = setup.start();
    daemon.wait_for_log("the log's file cannot be written: its lines are lost until it can be");
    daemon.drop_file("a.csv", "x\n1\n");
    wait_for("the document", || (daemon.documents().len() == 1).then_some(()));
    assert_eq!(daemon.log().matches("the log's file cannot be written").count(), 1, "it is said once");

    fs::remove_file(&file).unwrap();
    daemon.drop_file("b.csv", "x\n2\n");
    daemon.wait_for_log("lines were lost from the log's file");
    wait_for("the file to say it too", || fs::read_to_string(&file).ok().filter(|text| text.contains("lines were lost from")));
    assert!(!fs::read_to_string(&file).unwrap().contains('\u{1b}'), "and without colours");
}

/// A service has no standard error that somebody reads.
#[test]
fn why_a_daemon_does_not_start_is_in_the_file() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let setup = |more: &str| {
        Setup::new()
            .config(&format!("{more}log = {{ file = 'logs/dropforge.log' }}\n{ROUTE}"))
            .argument(&format!("--health-port={port}"))
            .argument("--log-format=json")
    };
    let cases = [("", 1, "health port"), ("enable_cash = true\n", 2, "enable_cash"), ("station = \n", 2, "dropforge.toml:1")];
    for (more, code, why) in cases {
        let setup = setup(more);
        let ended = setup.command().output().unwrap();
        let (said, written) = (String::from_utf8_lossy(&ended.stderr).into_owned(), lines(&setup.path("logs/dropforge.log")));
        assert_eq!(ended.status.code(), Some(code), "{said}");
        let last = written.last().unwrap();
        assert!(last["level"] == "ERROR" && last["message"].as_str().unwrap().contains(why), "{written:?}");
        assert!(said.contains(why), "{said}");
    }
    // Where it is the file that is wrong, nothing is written anywhere.
    let setup = Setup::new().config(&format!("log = {{ file = '{{dir}}/in/dropforge.log' }}\n{ROUTE}"));
    assert_eq!(setup.command().output().unwrap().status.code(), Some(2));
    assert!(files(&setup.path("in")).is_empty());
}
