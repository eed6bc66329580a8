//! The API does what its document says, whatever it is asked: schemathesis makes the requests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

use std::fs;
use std::process::Command;

use dropforge_tests::{Setup, get, target_folder};

/// A route whose name the document's examples have.
const ROUTES: &str = "
[[routes]]
name = 'ict'
intake = { path = '{dir}/in', http = true }
destinations = [{ type = 'folder', path = '{dir}/out' }]
";

/// No answer is a server error, or of a status, media type, header or shape that the document does not have; what the document does not allow is
/// refused; what needs the token is refused without.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance,ignored_auth";

#[test]
fn every_answer_is_what_the_document_says() {
    let venv = target_folder().join("venv");
    let schemathesis = venv.join(if cfg!(windows) { "Scripts/schemathesis.exe" } else { "bin/schemathesis" });
    assert!(
        schemathesis.exists(),
        "{} is not there: run `cargo xtask setup`, which installs it from PyPI; where that cannot be had, this test cannot run",
        schemathesis.display()
    );
    let mut daemon = Setup::new().plugins(&["csv", "junit"]).config(ROUTES).start();
    // There is a job to be found, and one that failed.
    daemon.drop_file("panel7.csv", "x\n1\n");
    daemon.wait_for_job("panel7.csv", "settled");
    daemon.drop_file("panel8.txt", "for nobody");
    daemon.wait_for_job("panel8.txt", "settled");
    let token = fs::read_to_string(daemon.path("state/token")).unwrap();
    let output = Command::new(&schemathesis)
        .args(["run", &format!("http://127.0.0.1:{}/api/v1/openapi.json", daemon.health_port())])
        .args(["--header", &format!("Authorization: Bearer {}", token.trim())])
        .args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--max-examples", "40", "--seed", "8", "--workers", "1"])
        // A stream has no end; that of events has tests of its own.
        .args(["--exclude-path", "/api/v1/events"])
        .args([
            "--generation-database",
            "none",
            "--continue-on-failure",
            "--request-timeout",
            "60",
            "--suppress-health-check",
            "all",
            "--warnings",
            "off",
            "--no-color",
        ])
        .current_dir(daemon.path("."))
        .env("HYPOTHESIS_STORAGE_DIRECTORY", daemon.path("hypothesis"))
        .env("NO_PROXY", "*")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "schemathesis says:\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let cases = said.split(" generated").next().and_then(|before| before.split_whitespace().last()?.parse::<u32>().ok());
    assert!(cases.is_some_and(|cases| cases > 500), "{said}");
    // And after all that it works as before, once what was paused goes on.
    daemon.command(&["route", "resume", "ict"]);
    daemon.command(&["converter", "resume", "csv"]);
    assert_eq!(get(daemon.health_port(), "/health").0, 200);
    daemon.drop_file("panel9.csv", "x\n2\n");
    daemon.wait_for_job("panel9.csv", "settled");
    let log = daemon.log();
    assert!(!log.contains("panicked") && !log.contains("An HTTP answer failed"), "{log}");
    assert!(daemon.terminate().success());
}
