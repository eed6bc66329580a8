//! `dropforge doctor`: what it finds where all is well, and where nothing is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use dropforge_tests::{Setup, files, run};
use serde_json::Value;

/// The findings, each as `severity subject: text`.
fn findings(output: &str) -> Vec<String> {
    let findings: Vec<Value> = serde_json::from_str(output).unwrap_or_else(|error| panic!("{error}: {output}"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    findings
        .iter()
        .map(|finding| format!("{} {}: {}", text(&finding["severity"]), text(&finding["subject"]), text(&finding["text"])))
        .collect()
}

#[track_caller]
fn assert_found(findings: &[String], expected: &str) {
    assert!(findings.iter().any(|finding| finding.contains(expected)), "{expected} in {findings:#?}");
}

#[test]
fn beside_a_daemon_that_runs_well_there_is_no_problem() {
    let config = "
plugins_dir = '{dir}/plugins'
state_dir = '{dir}/state'
[[routes]]
name = 'ict'
converter = 'csv'
options = { delimiter = ';' }
intake = { path = '{dir}/in' }
destinations = [{ type = 'folder', path = '{dir}/out' }, { type = 'folder', path = '{dir}/new/out' }]
";
    let daemon = Setup::new().plugins(&["csv"]).config(config).start();
    let here = daemon.path("");
    let ports = [format!("--health-port={}", daemon.health_port()), format!("--metrics-port={}", daemon.metrics_port())];
    let before = files(&here);
    let (code, output, errors) = run(&here, &["doctor", "-c", "dropforge.toml", "--state", "state", "--json", &ports[0], &ports[1]]);
    let found = findings(&output);
    assert_eq!(code, 0, "{found:#?}{errors}");
    assert_found(
        &found,
        &format!(
            "ok state_dir: {}/state can be written; a daemon runs with it, process {}",
            here.display().to_string().trim_end_matches('/'),
            daemon.id()
        ),
    );
    assert_found(&found, "ok queue: its database can be read");
    assert_found(&found, "ok token: only its owner may read it");
    assert_found(&found, "ok plugins: csv.wasm loads: csv 0.1.0");
    assert_found(&found, "ok route ict: its converter `csv` takes its options");
    assert_found(&found, "in is in order");
    assert_found(&found, "new/out is not there yet; the daemon will create it");
    assert_found(&found, &format!("ok health_port: {} is in use, as it should be", daemon.health_port()));
    assert_eq!(files(&here).len(), before.len(), "nothing is left");
    let (code, output, _) = run(&here, &["doctor", "-c", "dropforge.toml", "--state", "state", &ports[0], &ports[1]]);
    assert!(code == 0 && output.contains("\nok       disk: ") && output.contains("0 problems, "), "{output}");
}

#[test]
fn each_thing_that_is_not_right_is_named_with_what_to_do() {
    // A server that lives in another year, and one that is not there.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(
                b"HTTP/1.1 404 Not Found\r\nDate: Fri, 02 Jan 2015 03:04:05 GMT\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            );
        }
    });
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::new();
    let here = setup.path("");
    fs::write(here.join("no-folder"), "a file").unwrap();
    fs::create_dir_all(here.join("plugins")).unwrap();
    fs::write(here.join("plugins/bad.wasm"), "no plugin").unwrap();
    fs::create_dir_all(here.join("state")).unwrap();
    fs::write(here.join("state/token"), "secret").unwrap();
    fs::set_permissions(here.join("state/token"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(here.join("state/queue.db"), "no database, whatever its name says").unwrap();
    let config = format!(
        "
plugins_dir = 'plugins'
state_dir = 'state'
min_free_bytes = 9000000000000000
health_port = {}
metrics_port = 0
[upstream]
url = '{url}'
[[routes]]
name = 'ict'
converter = 'spea'
intake = {{ path = 'nowhere' }}
destinations = [{{ type = 'folder', path = 'no-folder/out' }}, {{ type = 'http', url = 'http://127.0.0.1:9/reports/{{name}}' }}]
",
        taken.local_addr().unwrap().port()
    );
    fs::write(here.join("dropforge.toml"), config).unwrap();
    let (code, output, errors) = run(&here, &["doctor", "-c", "dropforge.toml", "--state", "state", "--json"]);
    let found = findings(&output);
    assert_eq!(code, 1, "{found:#?}{errors}");
    for expected in [
        "problem route ict: its inbox ",
        "no-folder/out",
        "problem queue: ",
        "problem token: others than its owner may read",
        "problem disk: ",
        "problem plugins: bad.wasm is refused: ",
        "problem plugins: no converter in",
        "problem route ict: its converter `spea` is not there",
        "problem health_port: ",
        &format!("ok server: {url} answers"),
        &format!("warning clock: the clock of {url} and this machine's differ by "),
        "problem server: http://127.0.0.1:9 does not answer",
    ] {
        assert_found(&found, expected);
    }
    // People get a remedy with each.
    let (_, output, _) = run(&here, &["doctor", "-c", "dropforge.toml", "--state", "state"]);
    assert!(output.contains("PROBLEM  token") && output.contains("→ chmod 600 "), "{output}");

    let (code, _, errors) = run(&here, &["doctor", "-c", "missing.toml"]);
    assert!(code == 2 && errors.contains("missing.toml"), "{errors}");
}
