//! Files that belong together: members of a file, folders that are one job, zip files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::Command;

use dropforge_tests::{Daemon, Setup, files, wait_for};
use serde_json::json;

/// One route for the guest that does what its file says.
fn config(intake: &str) -> String {
    format!(
        "
[[routes]]
name = 'default'
converter = 'probe-guest'
intake = {{ path = '{{dir}}/in', rescan_seconds = 0.1, quiet_seconds = 0.3, {intake} }}
destinations = [{{ type = 'folder', path = '{{dir}}/out' }}]
"
    )
}

/// Copies these members into one document, each after the other.
fn script(members: &[&str]) -> String {
    let mut script = "members\ncreate text/plain all.txt\n".to_owned();
    for member in members {
        script.push_str(&format!("open {member}\ncopy\nclose\n"));
    }
    script + "finish\n"
}

/// The only document.
fn document(daemon: &Daemon) -> String {
    fs::read_to_string(daemon.wait_for_document("all.txt")).unwrap()
}

/// What is below a folder of the state folder.
fn state(daemon: &Daemon, folder: &str) -> Vec<String> {
    files(&daemon.path("state").join(folder)).into_keys().collect()
}

/// What is settled in `done`, without the date.
fn done(daemon: &Daemon) -> Vec<String> {
    files(&daemon.path("in/done")).into_keys().map(|name| name.split_once('/').unwrap().1.to_owned()).collect()
}

fn wait_for_done(daemon: &Daemon, expected: &[&str]) {
    wait_for(&format!("{expected:?} in done, there is {:?}", done(daemon)), || (done(daemon) == expected).then_some(()));
}

#[test]
fn a_file_is_converted_and_settled_with_its_members() {
    let daemon =
        Setup::new().plugins(&["probe-guest"]).config(&config("include = ['*.script'], members = ['{stem}.index', '{stem}/**']")).start();
    fs::create_dir_all(daemon.path("in/line/panel7/raw")).unwrap();
    fs::write(daemon.path("in/line/panel7/raw/a.bin"), "A").unwrap();
    fs::write(daemon.path("in/line/other.index"), "other").unwrap();
    fs::write(daemon.path("in/line/panel7.script"), script(&["panel7.index", "panel7/raw/a.bin"])).unwrap();
    // It comes after the file that it belongs to.
    fs::write(daemon.path("in/line/panel7.index"), "I").unwrap();
    assert_eq!(document(&daemon), "IA");
    wait_for_done(&daemon, &["line/panel7.index", "line/panel7.script", "line/panel7/raw/a.bin"]);
    assert_eq!(files(&daemon.path("in/line")).into_keys().collect::<Vec<_>>(), ["other.index"]);
    wait_for("the empty folders to go", || (!daemon.path("in/line/panel7").exists()).then_some(()));
    daemon.assert_all_converted(&[]);
    // For replays.
    let copies = state(&daemon, "members");
    assert_eq!(copies.len(), 2, "{copies:?}");
}

#[test]
fn a_folder_is_one_job_when_its_marker_has_come() {
    let daemon = Setup::new().plugins(&["probe-guest"]).config(&config("bundle = { marker = 'run.script' }")).start();
    fs::create_dir_all(daemon.path("in/batch 1/raw")).unwrap();
    fs::write(daemon.path("in/batch 1/b.dat"), "B").unwrap();
    fs::write(daemon.path("in/batch 1/raw/a.dat"), "A").unwrap();
    wait_for("several looks", || (daemon.metric(r#"intake_up{route="default"}"#) == Some(1.0)).then_some(()));
    assert!(daemon.jobs().is_empty());
    fs::write(daemon.path("in/batch 1/run.script"), script(&["raw/a.dat", "b.dat"])).unwrap();
    assert_eq!(document(&daemon), "AB");
    wait_for_done(&daemon, &["batch 1/b.dat", "batch 1/raw/a.dat", "batch 1/run.script"]);
    wait_for("the empty folder to go", || (!daemon.path("in/batch 1").exists()).then_some(()));
    assert_eq!(daemon.jobs().len(), 1);
}

#[test]
fn a_folder_is_one_job_when_all_that_is_expected_has_come() {
    let daemon = Setup::new().plugins(&["probe-guest"]).config(&config("bundle = { expect = ['*.script', '*.hdr'] }")).start();
    fs::create_dir_all(daemon.path("in/x")).unwrap();
    fs::write(daemon.path("in/x/a.script"), script(&["a.hdr", "more.dat"])).unwrap();
    fs::write(daemon.path("in/x/more.dat"), "M").unwrap();
    wait_for("the folder to be looked at", || (daemon.json("/api/v1/routes")[0]["up"] == true).then_some(()));
    assert!(daemon.jobs().is_empty());
    fs::write(daemon.path("in/x/a.hdr"), "H").unwrap();
    assert_eq!(document(&daemon), "HM");
    wait_for_done(&daemon, &["x/a.hdr", "x/a.script", "x/more.dat"]);
}

#[test]
fn every_attempt_sees_the_bytes_that_were_there_when_the_job_was_queued() {
    // The converter is not there yet, so the job waits.
    let daemon = Setup::new().config(&config("include = ['*.script'], members = ['{stem}.dat']")).start();
    fs::write(daemon.path("in/a.dat"), "before").unwrap();
    fs::write(daemon.path("in/a.script"), script(&["a.dat"])).unwrap();
    let job = daemon.wait_for_job("a.script", "converter");
    let id = job["id"].as_str().unwrap();
    assert_eq!(state(&daemon, "members"), [format!("{id}/0")]);
    // It is written anew while the daemon is away, and the job runs after the next start.
    let mut daemon = daemon;
    daemon.kill();
    let copy = daemon.path("state/members").join(id).join("0");
    assert_eq!(fs::read_to_string(&copy).unwrap(), "before");
    fs::create_dir_all(daemon.path("state/members/0123456789abcdef0123456789abcdef")).unwrap();
    let daemon = daemon.restart(|setup| {
        fs::remove_file(setup.path("in/a.dat")).unwrap();
        setup.plugins(&["probe-guest"])
    });
    assert_eq!(document(&daemon), "before");
    wait_for("the job to be settled", || daemon.jobs().iter().any(|job| job["id"] == id && job["state"] == "settled").then_some(()));
    assert!(!daemon.path("state/members/0123456789abcdef0123456789abcdef").exists(), "a copy of no job goes at the start");
}

#[test]
fn a_crash_between_a_file_and_its_members_separates_them_for_a_moment_only() {
    let config = config("bundle = { marker = 'run.script' }");
    // The first ends the process before the file is moved, the second between the file and its members.
    for point in ["before_move", "after_move"] {
        let setup = Setup::new().plugins(&["probe-guest"]).config(&config);
        fs::create_dir_all(setup.path("in/batch")).unwrap();
        fs::write(setup.path("in/batch/a.dat"), "A").unwrap();
        fs::write(setup.path("in/batch/run.script"), script(&["a.dat"])).unwrap();
        let mut daemon = setup.environment("DROPFORGE_CRASH_AT", point).spawn();
        assert!(!daemon.wait().success(), "{point}");
        let daemon = daemon.restart(|setup| setup.environment("DROPFORGE_CRASH_AT", ""));
        assert_eq!(document(&daemon), "A");
        wait_for_done(&daemon, &["batch/a.dat", "batch/run.script"]);
        wait_for("the empty folder to go", || (!daemon.path("in/batch").exists()).then_some(()));
        assert_eq!((daemon.jobs().len(), daemon.documents().len()), (1, 1), "{point}");
    }
}

#[test]
fn a_folder_that_fails_is_in_failed_as_a_whole_and_runs_again_when_it_is_put_back() {
    let daemon = Setup::new().plugins(&["probe-guest"]).config(&config("bundle = { marker = 'run.script' }")).start();
    fs::create_dir_all(daemon.path("in/batch")).unwrap();
    fs::write(daemon.path("in/batch/a.dat"), "A").unwrap();
    fs::write(daemon.path("in/batch/run.script"), "fail malformed no good").unwrap();
    assert_eq!(daemon.wait_for_sidecar("run.script")["error_type"], "malformed");
    wait_for("its member to follow", || {
        let failed: Vec<String> =
            files(&daemon.path("in/failed")).into_keys().map(|name| name.split_once('/').unwrap().1.to_owned()).collect();
        (failed == ["batch/a.dat", "batch/run.script", "batch/run.script.dropforge.json"] && !daemon.path("in/batch").exists())
            .then_some(())
    });
    let day = fs::read_dir(daemon.path("in/failed")).unwrap().next().unwrap().unwrap().path();
    fs::write(day.join("batch/run.script"), script(&["a.dat"])).unwrap();
    fs::rename(day.join("batch"), daemon.path("in/batch")).unwrap();
    assert_eq!(document(&daemon), "A");
}

/// A zip file as other programs write them: of texts, and of zeros where a text is a number of them.
fn zip(path: &Path, entries: &[(&str, &str)]) {
    const SCRIPT: &str = "import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as archive:
    for name, text in zip(sys.argv[2::2], sys.argv[3::2]):
        archive.writestr(name, bytes(int(text)) if text.isdigit() else text)";
    let arguments = entries.iter().flat_map(|(name, text)| [*name, *text]);
    let done = Command::new("python3").args(["-c", SCRIPT]).arg(path).args(arguments).status().unwrap();
    assert!(done.success());
}

#[test]
fn a_zip_file_is_a_bundle_of_its_entries() {
    let steps =
        "context.steps = \"members\\ncreate text/plain all.txt\\nopen sub/a.txt\\ncopy\\nclose\\nopen b.txt\\ncopy\\nclose\\nfinish\"\n";
    let config = config("").replace("destinations", &format!("{steps}destinations"));
    let daemon = Setup::new().plugins(&["probe-guest"]).config(&config).start();
    let drop_zip = |name: &str, entries: &[(&str, &str)]| {
        zip(&daemon.path("in/.zip.tmp"), entries);
        fs::rename(daemon.path("in/.zip.tmp"), daemon.path("in").join(name)).unwrap();
    };
    drop_zip("a.zip", &[("b.txt", "B"), ("sub/a.txt", "A")]);
    assert_eq!(document(&daemon), "AB");
    daemon.wait_for_settled("done", "a.zip");
    // One that leads out of itself, and one that is none, are no bundles; the log says why, and the converter gets the file itself.
    drop_zip("out.zip", &[("b.txt", "B"), ("../a.txt", "A")]);
    daemon.wait_for_job_that("out.zip", |job| job["state"] == "settled");
    daemon.wait_for_log("leads out of it");
    daemon.drop_file("none.zip", "no zip file");
    daemon.wait_for_job_that("none.zip", |job| job["state"] == "settled");
    assert_eq!(daemon.log().matches("the zip file is not offered as a bundle").count(), 2);
    // A bomb is not unpacked: opening it fails the job.
    drop_zip("bomb.zip", &[("sub/a.txt", "8388608")]);
    let sidecar = wait_for("the bomb to be retried or to fail", || {
        daemon.job("bomb.zip").filter(|job| job["waiting"] == "retry" || job["outcome"] == "failed")
    });
    assert_eq!(sidecar["documents"], json!(0));
    daemon.wait_for_log("times smaller than it is");
}
