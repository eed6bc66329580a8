//! Which files are taken, when, and which very file is moved in the end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use dropforge_tests::{Daemon, PATIENCE, Setup, data, files, plugin, wait_for, without_id};
use serde_json::Value;

/// One route in the flags' folders, which looks often.
const OFTEN: &str = "
[[routes]]
name = 'default'
intake = { path = '{dir}/in', rescan_seconds = 0.2 }
destinations = [{ type = 'folder', path = '{dir}/out' }]
";

/// The only document so far, once it is there.
fn the_document(daemon: &Daemon) -> String {
    let documents = daemon.wait_for_documents(1);
    assert_eq!(documents.len(), 1, "{documents:?}");
    fs::read_to_string(documents.values().next().unwrap()).unwrap()
}

/// The names of the documents that are there, without their ids.
fn document_names(daemon: &Daemon) -> Vec<String> {
    let mut names: Vec<String> = daemon.documents().keys().map(|name| without_id(name)).collect();
    names.sort();
    names
}

/// What is settled in `done` or `failed`, below the date.
fn settled(daemon: &Daemon, folder: &str) -> Vec<String> {
    files(&daemon.path("in").join(folder)).into_keys().map(|name| name.split_once('/').unwrap().1.to_owned()).collect()
}

/// A step count for the guest's `work`: seconds of work, so that a test has the time to do something meanwhile.
const SECONDS_OF_WORK: &str = "1600000000";

#[test]
fn a_file_whose_writer_pauses_for_5_seconds_comes_out_whole() {
    let daemon = Setup::new().plugins(&["csv"]).config(OFTEN).start();
    let mut file = File::create(daemon.path("in/slow.csv")).unwrap();
    file.write_all(b"row,value\n").unwrap();
    for row in 1..=2 {
        writeln!(file, "{row},a").unwrap();
        file.flush().unwrap();
        // The pause of a station between two units: more than `quiet_seconds`, and many rescans.
        thread::sleep(Duration::from_secs(5));
        assert!(daemon.documents().is_empty(), "taken before row {}", row + 1);
        assert!(daemon.jobs().is_empty(), "queued before row {}", row + 1);
    }
    file.write_all(b"3,a\n").unwrap();
    drop(file);
    assert_eq!(the_document(&daemon), "{\"row\":1,\"value\":\"a\"}\n{\"row\":2,\"value\":\"a\"}\n{\"row\":3,\"value\":\"a\"}\n");
    daemon.wait_for_settled("done", "slow.csv");
    assert_eq!(daemon.jobs().len(), 1);
}

#[test]
fn files_arrive_in_every_way() {
    let setup = Setup::new().plugins(&["csv"]);
    let table = |n: u32| format!("row,value\n{n},a\n");
    // There before the start, at the top and deep below.
    fs::create_dir_all(setup.path("in/line 1/monday")).unwrap();
    fs::write(setup.path("in/before.csv"), table(1)).unwrap();
    fs::write(setup.path("in/line 1/monday/deep before.csv"), table(2)).unwrap();
    fs::create_dir(setup.path("elsewhere")).unwrap();
    let daemon = setup.start();
    daemon.wait_for_documents(2);
    // Written in place, renamed into the inbox, in a new folder, and in a folder that is itself moved into the inbox.
    fs::write(daemon.path("in/in place.csv"), table(3)).unwrap();
    fs::write(daemon.path("elsewhere/renamed.csv"), table(4)).unwrap();
    fs::rename(daemon.path("elsewhere/renamed.csv"), daemon.path("in/renamed.csv")).unwrap();
    fs::create_dir_all(daemon.path("in/line 2/tuesday")).unwrap();
    fs::write(daemon.path("in/line 2/tuesday/new folder.csv"), table(5)).unwrap();
    fs::create_dir_all(daemon.path("elsewhere/line 3/wednesday")).unwrap();
    fs::write(daemon.path("elsewhere/line 3/wednesday/moved folder.csv"), table(6)).unwrap();
    fs::rename(daemon.path("elsewhere/line 3"), daemon.path("in/line 3")).unwrap();
    daemon.wait_for_documents(6);
    for name in ["before", "line 1/monday/deep before", "in place", "renamed", "line 2/tuesday/new folder", "line 3/wednesday/moved folder"]
    {
        daemon.wait_for_settled("done", &format!("{name}.csv"));
    }
    assert_eq!(
        document_names(&daemon),
        ["before.jsonl", "deep before.jsonl", "in place.jsonl", "moved folder.jsonl", "new folder.jsonl", "renamed.jsonl"]
    );
    daemon.assert_metric(r#"intake_files_total{result="queued",route="default"}"#, 6.0);
}

#[test]
fn temporary_names_are_not_taken_until_they_are_renamed() {
    let setup = Setup::new().plugins(&["csv"]).config(OFTEN);
    let table = "row,value\n1,a\n";
    let temporary = [".hidden.csv", "~lock.csv", "backup.csv~", "upload.csv.tmp", "upload.csv.part", ".folder/x.csv"];
    fs::create_dir(setup.path("in/.folder")).unwrap();
    let put = |at: PathBuf| temporary.map(|name| fs::write(at.join(name), table).unwrap());
    put(setup.path("in"));
    let daemon = setup.start();
    // Those that were there before are passed over, and so are those that come now: a file that comes later is taken first.
    put(daemon.path("in"));
    daemon.drop_file("sentinel.csv", table);
    daemon.wait_for_settled("done", "sentinel.csv");
    assert_eq!(document_names(&daemon), ["sentinel.jsonl"]);
    for name in temporary {
        assert!(daemon.path("in").join(name).exists(), "{name}");
    }
    fs::rename(daemon.path("in/upload.csv.part"), daemon.path("in/upload.csv")).unwrap();
    daemon.wait_for_settled("done", "upload.csv");
    assert_eq!(document_names(&daemon), ["sentinel.jsonl", "upload.jsonl"]);
}

#[cfg(unix)]
#[test]
fn pipes_and_symlinks_out_of_the_folder_are_left_alone() {
    use std::os::unix::fs::symlink;
    let setup = Setup::new().plugins(&["csv"]).config(OFTEN);
    fs::write(setup.path("secret.csv"), "secret,value\n1,a\n").unwrap();
    symlink(setup.path("secret.csv"), setup.path("in/link.csv")).unwrap();
    symlink("/etc/passwd", setup.path("in/passwd.csv")).unwrap();
    // Its name need not be one that exists.
    symlink("nowhere.csv", setup.path("in/dangling.csv")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, setup.path("in/pipe.csv"), rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    let daemon = setup.start();
    wait_for("four files to be left alone", || {
        (daemon.metric(r#"intake_files_total{result="ignored",route="default"}"#) == Some(4.0)).then_some(())
    });
    daemon.drop_file("sentinel.csv", "row,value\n1,a\n");
    daemon.wait_for_settled("done", "sentinel.csv");
    assert_eq!(document_names(&daemon), ["sentinel.jsonl"]);
    assert_eq!(daemon.jobs().len(), 1);
    for name in ["link.csv", "passwd.csv", "dangling.csv", "pipe.csv"] {
        assert!(daemon.path("in").join(name).symlink_metadata().is_ok(), "{name}");
        assert!(daemon.log().contains(&format!("in/{name} reason=")), "the log says why {name} is left alone");
    }
}

#[test]
fn a_file_that_is_replaced_while_its_job_runs_is_not_taken_for_the_old_one() {
    let daemon = Setup::new().plugins(&["misbehave", "csv"]).config(OFTEN).start();
    let mut documents = 0;
    // In the one case another file comes to stand under the name, in the other the same file is written anew.
    for in_place in [false, true] {
        let name = if in_place { "work.in-place.mis" } else { "work.replaced.mis" };
        let target = daemon.path("in").join(name);
        daemon.drop_file(name, SECONDS_OF_WORK);
        daemon.wait_for_job(name, "running");
        if in_place {
            fs::write(&target, "2").unwrap();
        } else {
            daemon.drop_file(name, "2");
        }
        let done = daemon.wait_for_settled("done", name);
        assert_eq!(fs::read_to_string(done).unwrap(), "2", "{name}");
        // A job that had opened the file before another took its name converts what it opened, whole. One that finds other bytes, or another
        // file, delivers nothing of it.
        let old = wait_for("the old job to end or to notice", || {
            let jobs = daemon.jobs();
            let old = jobs.into_iter().find(|job| job["path"] == name && job["size"] != 1)?;
            (old["waiting"] == "retry" || old["state"] == "settled").then_some(old)
        });
        let converted = old["outcome"] == "converted";
        assert!(!(in_place && converted), "{old}");
        assert_eq!(old["documents"], u64::from(converted), "{old}");
        documents += 1 + usize::from(converted);
        let jobs: Vec<Value> = daemon.jobs().into_iter().filter(|job| job["path"] == name).collect();
        assert_eq!(jobs.len(), 2);
    }
    assert_eq!(settled(&daemon, "done"), ["work.in-place.mis", "work.replaced.mis"]);
    assert_eq!(daemon.documents().len(), documents);
}

#[test]
fn a_file_that_is_put_back_from_failed_is_converted_again() {
    let daemon = Setup::new().plugins(&["junit"]).start();
    daemon.drop_file("x.xml", fs::read(data("junit/pytest-corrupt-xml.xml")).unwrap());
    // Unchanged, again and again, each time in the very moment in which it comes to failed/: it fails each time.
    let put_back = || {
        let source = files(&daemon.path("in/failed")).into_values().find(|path| path.ends_with("x.xml"))?;
        fs::rename(source, daemon.path("in/x.xml")).ok()
    };
    let end = Instant::now() + PATIENCE;
    for time in 0..10 {
        while put_back().is_none() {
            assert!(Instant::now() < end, "it did not come to failed/ after it was put back {time} times");
            thread::yield_now();
        }
    }
    assert_eq!(daemon.wait_for_sidecar("x.xml")["error_type"], "malformed");
    // Mended.
    let source = daemon.wait_for_settled("failed", "x.xml");
    fs::remove_file(&source).unwrap();
    daemon.drop_file("x.xml", fs::read(data("junit/no-cases.xml")).unwrap());
    daemon.wait_for_settled("done", "x.xml");
    assert_eq!(document_names(&daemon).len(), 1);
}

#[test]
fn a_file_that_came_before_its_converter_is_converted_from_failed() {
    let daemon = Setup::new().plugins(&["junit"]).start();
    daemon.drop_file("line 4/early.csv", "row,value\n1,a\n");
    let sidecar = daemon.wait_for_sidecar("line 4/early.csv");
    assert_eq!((&sidecar["outcome"], &sidecar["error_type"]), (&"failed".into(), &"no_converter".into()));
    // Who was asked, and what they answered.
    let candidates = sidecar["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 1);
    assert_eq!((&candidates[0]["converter"], &candidates[0]["confidence"]), (&"junit".into(), &0.into()));
    assert!(candidates[0]["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{sidecar}");
    assert!(sidecar["error"]["message"].as_str().unwrap().contains("asked: junit"), "{sidecar}");
    wait_for("the dead letter to be counted", || (daemon.metric(r#"dead_letters{route="default"}"#) == Some(1.0)).then_some(()));

    daemon.drop_plugin("csv.wasm", fs::read(plugin("csv")).unwrap());
    assert_eq!(the_document(&daemon), "{\"row\":1,\"value\":\"a\"}\n");
    daemon.wait_for_settled("done", "line 4/early.csv");
    daemon.wait_for_job("line 4/early.csv", "settled");
    assert_eq!(settled(&daemon, "failed"), [""; 0], "neither the file nor its sidecar");
    assert_eq!(daemon.jobs().len(), 1);
    daemon.assert_all_converted(&[]);
    daemon.assert_metric(r#"dead_letters{route="default"}"#, 0.0);
}

#[test]
fn a_file_that_fails_again_once_its_converter_is_there_keeps_a_sidecar() {
    let daemon = Setup::new().start();
    daemon.drop_file("x.xml", fs::read(data("junit/pytest-corrupt-xml.xml")).unwrap());
    let sidecar = daemon.wait_for_sidecar("x.xml");
    assert_eq!(sidecar["error"]["message"], "no converter is loaded; put one into the plugins folder, and this file is converted");
    daemon.drop_plugin("junit.wasm", fs::read(plugin("junit")).unwrap());
    daemon.wait_for_job_that("x.xml", |job| job["state"] == "settled" && job["error_type"] == "malformed");
    assert_eq!(settled(&daemon, "failed"), ["x.xml", "x.xml.dropforge.json"]);
    let sidecar = daemon.wait_for_sidecar("x.xml");
    assert_eq!((&sidecar["error_type"], &sidecar["converter"]["name"]), (&"malformed".into(), &"junit".into()));
    assert_eq!(sidecar["attempts"], 1);
}

#[test]
fn a_converter_that_comes_while_its_file_is_being_refused_gets_it() {
    let daemon = Setup::new().plugins(&["misbehave"]).start();
    // The only converter that is there takes as long as a probe may; meanwhile another comes.
    daemon.drop_file("probe-spins.csv", "row,value\n1,a\n");
    daemon.wait_for_job("probe-spins.csv", "running");
    daemon.drop_plugin("csv.wasm", fs::read(plugin("csv")).unwrap());
    assert_eq!(the_document(&daemon), "{\"row\":1,\"value\":\"a\"}\n");
    daemon.wait_for_settled("done", "probe-spins.csv");
    daemon.wait_for_job("probe-spins.csv", "settled");
    assert_eq!(settled(&daemon, "failed"), [""; 0]);
}
