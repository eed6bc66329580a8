//! The daemon is killed at every point where something could be lost or done twice, and started again. What is there in the end must be
//! what an undisturbed daemon makes of the same files: the same documents under the same names, each source settled once, each job once in
//! the history, and nothing left over.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use dropforge_tests::{Daemon, Setup, data, files, wait_for, without_id};
use serde_json::Value;

/// The points of a job's way at which a build for tests can be made to crash, in the order in which a job comes to them.
const POINTS: [&str; 7] =
    ["after_claim", "after_first_document", "before_commit", "after_commit", "before_move", "after_move", "after_settle"];

/// The signal by which a crash point ends the process.
const SIGABRT: i32 = 6;

/// Contents by name, or by path below a folder.
type Contents = BTreeMap<String, Vec<u8>>;

/// Two files with equal bytes, one in a folder, one that gives four documents, and one that fails.
fn batch() -> Contents {
    let table = "serial,value\n007,1.5\n008,\n";
    let read = |path| fs::read(data(path)).unwrap();
    [
        ("a.csv", table.into()),
        ("b.csv", table.into()),
        ("line 3/c.csv", "serial,value\n009,2\n".into()),
        ("suites.xml", read("junit/testsuite-in-testsuite.xml")),
        ("broken.xml", read("junit/pytest-corrupt-xml.xml")),
    ]
    .map(|(name, content)| (name.to_string(), content))
    .into()
}

/// What an undisturbed daemon makes of the batch.
static UNDISTURBED: LazyLock<Contents> = LazyLock::new(|| {
    let setup = Setup::new().plugins(&["csv", "junit"]);
    lay_out(&setup, &batch());
    let daemon = setup.start();
    wait_for_end(&daemon, 5);
    let documents = contents(&daemon.path("out"));
    let table = b"{\"serial\":\"007\",\"value\":1.5}\n{\"serial\":\"008\",\"value\":null}\n";
    let of_tables: Vec<&Vec<u8>> = documents.iter().filter(|(name, _)| name.starts_with(['a', 'b'])).map(|(_, content)| content).collect();
    assert_eq!(of_tables, [table, table]);
    assert_eq!(documents.len(), 3 + 4, "{:?}", documents.keys());
    documents
});

/// Puts files into the inbox of a daemon that does not run. Their times are fixed: they are part of a job's identity, and this of the names of
/// documents.
fn lay_out(setup: &Setup, contents: &Contents) {
    for (name, content) in contents {
        let path = setup.path("in").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        File::options().append(true).open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap();
    }
}

/// Every file below a folder, with its content.
fn contents(folder: &Path) -> Contents {
    files(folder).into_iter().map(|(name, path)| (name, fs::read(path).unwrap())).collect()
}

/// Every file below a folder of settled files, without the date.
fn settled(folder: &Path) -> Contents {
    contents(folder)
        .into_iter()
        .map(|(name, content)| (name.split_once('/').expect("a folder with a date").1.to_string(), content))
        .collect()
}

/// Waits until there are this many jobs, all of them at their end.
fn wait_for_end(daemon: &Daemon, count: usize) {
    wait_for(&format!("{count} jobs to be settled"), || {
        let jobs = daemon.jobs();
        (jobs.len() == count && jobs.iter().all(|job| job["state"] == "settled")).then_some(())
    });
}

/// Starts a daemon that crashes at a point, and waits until it has.
fn crash(setup: Setup, point: &str) -> Daemon {
    let mut daemon = setup.environment("DROPFORGE_CRASH_AT", point).spawn();
    assert_crashed(&mut daemon, point);
    daemon
}

fn assert_crashed(daemon: &mut Daemon, point: &str) {
    let status = daemon.wait();
    assert_eq!(status.signal(), Some(SIGABRT), "{point}: {status}");
}

/// Starts it again, without crashes.
fn recover(daemon: Daemon) -> Daemon {
    daemon.restart(|setup| setup.environment("DROPFORGE_CRASH_AT", ""))
}

/// Every source is where it belongs, once, and nothing else is anywhere: no private name, no temporary file, no document in the spool.
#[track_caller]
fn assert_settled(daemon: &Daemon, done: &Contents, failed: &Contents) {
    assert_eq!(settled(&daemon.path("in/done")), *done);
    let mut in_failed = settled(&daemon.path("in/failed"));
    for name in failed.keys() {
        let sidecar = in_failed.remove(&format!("{name}.dropforge.json")).unwrap_or_else(|| panic!("{name} has no sidecar"));
        let sidecar: Value = serde_json::from_slice(&sidecar).unwrap();
        assert_eq!(sidecar["source"]["path"], **name);
    }
    assert_eq!(in_failed, *failed);
    let left = |folder: &str| -> Vec<String> { files(&daemon.path(folder)).into_keys().collect() };
    let in_inbox: Vec<String> = left("in").into_iter().filter(|name| !name.starts_with("done/") && !name.starts_with("failed/")).collect();
    assert_eq!(in_inbox, [""; 0]);
    // Jobs that are settled give up their folders in the spool right after.
    wait_for("the spool to be empty", || daemon.spooled().is_empty().then_some(()));
    assert!(left("out").iter().all(|name| !name.starts_with('.')), "{:?}", left("out"));
}

/// Each file of the batch has one job, which ended as it does undisturbed.
#[track_caller]
fn assert_history(daemon: &Daemon, batch: &Contents) {
    let jobs = daemon.jobs();
    let ended: BTreeMap<&str, &str> =
        jobs.iter().map(|job| (job["path"].as_str().unwrap(), job["outcome"].as_str().unwrap_or("no outcome"))).collect();
    let expected: BTreeMap<&str, &str> =
        batch.keys().map(|name| (name.as_str(), if name.contains("broken") { "failed" } else { "converted" })).collect();
    assert_eq!(ended, expected);
    assert_eq!(jobs.len(), batch.len(), "{jobs:#?}");
}

/// One more start, on what should all be settled: it must find nothing to do but a new file.
fn assert_nothing_is_repeated(mut daemon: Daemon) {
    let jobs = daemon.jobs();
    let documents = contents(&daemon.path("out"));
    assert!(daemon.terminate().success());
    let daemon = daemon.restart(|setup| setup);
    daemon.wait_for_log("is ready: drop files");
    daemon.drop_file("sentinel.csv", "a,b\n1,2\n");
    wait_for_end(&daemon, jobs.len() + 1);
    let but_the_sentinel: Vec<Value> = daemon.jobs().into_iter().filter(|job| job["path"] != "sentinel.csv").collect();
    assert_eq!(but_the_sentinel, jobs);
    let mut now = contents(&daemon.path("out"));
    now.retain(|name, _| !name.starts_with("sentinel"));
    assert_eq!(now, documents);
}

fn split(batch: Contents) -> (Contents, Contents) {
    batch.into_iter().partition(|(name, _)| !name.contains("broken"))
}

/// Several files are on their way when it crashes.
fn crash_among_several(point: &str) {
    let setup = Setup::new().plugins(&["csv", "junit"]);
    let batch = batch();
    lay_out(&setup, &batch);
    let daemon = recover(crash(setup, point));
    wait_for_end(&daemon, batch.len());
    assert_eq!(contents(&daemon.path("out")), *UNDISTURBED);
    assert_history(&daemon, &batch);
    let (done, failed) = split(batch);
    assert_settled(&daemon, &done, &failed);
    assert_nothing_is_repeated(daemon);
}

macro_rules! crash_points {
    ($($point:ident)*) => {$(
        #[test]
        fn $point() {
            assert!(POINTS.contains(&stringify!($point)));
            crash_among_several(stringify!($point));
        }
    )*};
}

crash_points!(after_claim after_first_document before_commit after_commit before_move after_move after_settle);

#[test]
fn a_file_that_fails_does_so_once_wherever_the_crash_is() {
    let mut setup = Setup::new().plugins(&["junit"]);
    let content = &batch()["broken.xml"];
    let mut batch = Contents::new();
    // Its way has no documents.
    for point in POINTS.into_iter().filter(|point| *point != "after_first_document") {
        let name = format!("broken {point}.xml");
        lay_out(&setup, &[(name.clone(), content.clone())].into());
        batch.insert(name, content.clone());
        let mut daemon = recover(crash(setup, point));
        wait_for_end(&daemon, batch.len());
        assert_history(&daemon, &batch);
        assert_settled(&daemon, &Contents::new(), &batch);
        assert!(contents(&daemon.path("out")).is_empty());
        assert!(daemon.terminate().success());
        setup = daemon.into_setup();
    }
}

#[test]
fn one_crash_after_the_other_loses_nothing() {
    let mut setup = Setup::new().plugins(&["csv"]);
    let batch: Contents = (0..20).map(|n| (format!("{n}.csv"), format!("serial,value\n{n},{}\n", n / 2).into_bytes())).collect();
    lay_out(&setup, &batch);
    for point in POINTS {
        setup = crash(setup, point).into_setup();
    }
    let daemon = setup.environment("DROPFORGE_CRASH_AT", "").start();
    wait_for_end(&daemon, batch.len());
    assert_one_document_each(&daemon, &batch);
    assert_history(&daemon, &batch);
    assert_settled(&daemon, &batch, &Contents::new());
    assert_nothing_is_repeated(daemon);
}

/// Each table of two columns has given the document of its row, and there is no other document.
#[track_caller]
fn assert_one_document_each(daemon: &Daemon, batch: &Contents) {
    let documents = contents(&daemon.path("out"));
    let mut by_source: BTreeMap<String, Vec<&Vec<u8>>> = BTreeMap::new();
    for (name, content) in &documents {
        by_source.entry(without_id(name)).or_default().push(content);
    }
    assert_eq!(documents.len(), batch.len());
    for (name, table) in batch {
        let row = std::str::from_utf8(table).unwrap().lines().nth(1).unwrap();
        let (serial, value) = row.split_once(',').unwrap();
        let expected = format!("{{\"serial\":{serial},\"value\":{value}}}\n").into_bytes();
        assert_eq!(by_source[&name.replace(".csv", ".jsonl")], [&expected], "{name}");
    }
}

#[test]
fn kill_9_under_a_stream_of_files() {
    let setup = Setup::new().plugins(&["csv"]);
    let batch: Contents = (0..100).map(|n| (format!("{n:03}.csv"), format!("serial,value\n{n},{}\n", n / 2).into_bytes())).collect();
    let inbox = setup.path("in");
    let stream = batch.clone();
    let mut daemon = setup.start();
    let stream = std::thread::spawn(move || {
        for (name, content) in stream {
            let temporary = inbox.join(format!(".{name}.tmp"));
            fs::write(&temporary, content).unwrap();
            fs::rename(temporary, inbox.join(name)).unwrap();
            // The pace of the stream, so that the kills fall into its midst.
            std::thread::sleep(Duration::from_millis(15));
        }
    });
    let restart = |daemon: Daemon| daemon.restart(|setup| setup);
    daemon.wait_for_documents(1);
    daemon = restart(daemon);
    // While it starts, too.
    daemon.wait_for_log("Health server started");
    daemon = restart(daemon);
    for documents in [10, 20, 35, 50, 70, 85] {
        daemon.wait_for_documents(documents);
        daemon = restart(daemon);
    }
    stream.join().unwrap();
    wait_for_end(&daemon, batch.len());
    assert_one_document_each(&daemon, &batch);
    assert_history(&daemon, &batch);
    assert_settled(&daemon, &batch, &Contents::new());
    assert_nothing_is_repeated(daemon);
}

#[test]
fn a_file_that_took_the_sources_place_before_the_restart_is_left_and_converted() {
    // Before the source has its private name, and after.
    for point in ["after_commit", "before_move"] {
        let setup = Setup::new().plugins(&["csv"]);
        let old: Contents = [("a.csv".to_string(), b"serial,value\n1,1\n".to_vec())].into();
        lay_out(&setup, &old);
        let daemon = crash(setup, point);
        fs::write(daemon.path("in/new"), "serial,value\n2,2\n").unwrap();
        fs::rename(daemon.path("in/new"), daemon.path("in/a.csv")).unwrap();
        let daemon = recover(daemon);
        wait_for_end(&daemon, 2);
        let documents: BTreeSet<Vec<u8>> = contents(&daemon.path("out")).into_values().collect();
        assert_eq!(documents, [b"{\"serial\":1,\"value\":1}\n".to_vec(), b"{\"serial\":2,\"value\":2}\n".to_vec()].into(), "{point}");
        let done: Vec<Vec<u8>> = settled(&daemon.path("in/done")).into_values().collect();
        let mut expected = vec![b"serial,value\n2,2\n".to_vec()];
        if point == "before_move" {
            expected.insert(0, old["a.csv"].clone());
        }
        assert_eq!(done.into_iter().collect::<BTreeSet<_>>(), expected.into_iter().collect(), "{point}");
        let paths: Vec<Value> = daemon.jobs().into_iter().map(|job| job["outcome"].clone()).collect();
        assert_eq!(paths, ["converted", "converted"], "{point}");
    }
}

#[test]
fn a_failed_file_whose_move_was_not_recorded_is_still_converted_when_its_plugin_comes() {
    let setup = Setup::new();
    lay_out(&setup, &[("a.csv".to_string(), b"serial,value\n1,1\n".to_vec())].into());
    let daemon = recover(crash(setup, "after_move"));
    wait_for_end(&daemon, 1);
    assert_eq!(daemon.jobs()[0]["error_type"], "no_converter");
    daemon.drop_plugin("csv.wasm", fs::read(dropforge_tests::plugin("csv")).unwrap());
    daemon.wait_for_documents(1);
    wait_for_end(&daemon, 1);
    let batch: Contents = [("a.csv".to_string(), b"serial,value\n1,1\n".to_vec())].into();
    assert_one_document_each(&daemon, &batch);
    assert_history(&daemon, &batch);
    assert_settled(&daemon, &batch, &Contents::new());
}

#[test]
fn a_crash_on_the_way_out_of_failed_leaves_no_sidecar() {
    let mut setup = Setup::new();
    let mut batch = Contents::new();
    for point in POINTS {
        let (name, content) = (format!("{point}.csv"), b"serial,value\n1,1\n".to_vec());
        lay_out(&setup, &[(name.clone(), content.clone())].into());
        batch.insert(name.clone(), content);
        let mut daemon = setup.start();
        assert_eq!(daemon.wait_for_sidecar(&name)["error_type"], "no_converter");
        assert!(daemon.terminate().success());
        let mut daemon = recover(crash(daemon.into_setup().plugins(&["csv"]), point));
        daemon.wait_for_documents(batch.len());
        wait_for_end(&daemon, batch.len());
        assert_one_document_each(&daemon, &batch);
        assert_history(&daemon, &batch);
        assert_settled(&daemon, &batch, &Contents::new());
        assert!(daemon.terminate().success());
        fs::remove_file(daemon.path("plugins/csv.wasm")).unwrap();
        setup = daemon.into_setup();
    }
}
