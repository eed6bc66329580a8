//! What a power cut takes, which a kill does not show. Every file operation of the real daemon is recorded while it converts a handful of files;
//! then, for moments all along the recording, what a disk would have kept is laid out, the real daemon is started on it, and in the end every
//! file must be converted, once and whole, as if nothing had happened.
//!
//! The normal run takes the moments before every sync and every change of a name, and the last. `DROPFORGE_TEST_EVERY_MOMENT=1` takes the moment before
//! every single operation. SQLite depends on no more than the model promises: it syncs the folder of a new log itself.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use dropforge_tests::disk::{Change, Disk, Loss, Operation, Survivors};
use dropforge_tests::record::{self, Recording};
use dropforge_tests::{Daemon, Setup, data, files, mounts, wait_for};
use serde_json::Value;

/// Replays at once: they wait for the daemon's timers more than they compute.
const REPLAYS: usize = 4;
/// How long a daemon may take to finish what a power cut left: far more than it ever takes.
const RECOVERY: Duration = Duration::from_secs(30);
/// Failures after which it gives up.
const ENOUGH: usize = 8;
/// Failures that are told in full.
const TOLD: usize = 5;

/// Contents by path.
type Contents = BTreeMap<String, Vec<u8>>;

/// Files with equal bytes, in folders, with several documents, without rows, cut off (which is converted in part), and broken ones.
fn batch() -> Contents {
    let table = "serial,value\n007,1.5\n008,\n";
    let read = |path| fs::read(data(path)).unwrap();
    [
        ("a.csv", table.into()),
        ("b.csv", table.into()),
        ("line 3/c.csv", "serial,value\n009,2\n".into()),
        ("line 3/deeper/empty.csv", Vec::new()),
        ("cut.csv", "serial,value\n010,\"1\n2\n".into()),
        ("suites.xml", read("junit/testsuite-in-testsuite.xml")),
        ("line 3/suites.xml", read("junit/testsuite-in-testsuite.xml")),
        ("broken.xml", read("junit/pytest-corrupt-xml.xml")),
    ]
    .map(|(name, content)| (name.to_string(), content))
    .into()
}

/// One of each kind.
fn small_batch() -> Contents {
    batch().into_iter().filter(|(name, _)| ["a.csv", "cut.csv", "line 3/suites.xml", "broken.xml"].contains(&name.as_str())).collect()
}

/// What is in the folders in the end, but for dates and the times in sidecars.
#[derive(Debug, Default, PartialEq, Eq)]
struct End {
    out: Contents,
    second: Contents,
    done: Contents,
    failed: Contents,
    /// The outcome of each job, by the path of its source.
    jobs: BTreeMap<String, Vec<String>>,
}

/// Every file below a folder, with its content.
fn contents(folder: &Path) -> Contents {
    files(folder).into_iter().filter_map(|(name, path)| Some((name, fs::read(path).ok()?))).collect()
}

/// The same without the dates that the names begin with, and of sidecars only what is always the same.
fn settled(folder: &Path) -> Contents {
    let undated = |name: &str| name.split_once('/').map_or(name, |(_, name)| name).to_owned();
    let lasting = |name: &str, content: Vec<u8>| match serde_json::from_slice::<Value>(&content) {
        Ok(sidecar) if name.ends_with(".dropforge.json") => {
            format!("{} {} {} {}", sidecar["source"]["path"], sidecar["source"]["sha256"], sidecar["outcome"], sidecar["error"]).into()
        }
        _ => content,
    };
    contents(folder).into_iter().map(|(name, content)| (undated(&name), lasting(&name, content))).collect()
}

/// Where everything is, if the daemon is done: all jobs are settled, the spool is empty, and in the inbox is nothing but what is settled there.
fn end(daemon: &Daemon) -> Result<End, String> {
    let left =
        |folder: &str| files(&daemon.path(folder)).into_keys().filter(|name| !name.starts_with("done/") && !name.starts_with("failed/"));
    let in_inbox: Vec<String> = left("in").collect();
    if !in_inbox.is_empty() {
        return Err(format!("these are still in the inbox: {in_inbox:?}"));
    }
    let mut jobs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for job in daemon.jobs() {
        if job["state"] != "settled" {
            return Err(format!("this job is not settled: {job}"));
        }
        jobs.entry(job["path"].as_str().unwrap().into()).or_default().push(job["outcome"].as_str().unwrap_or("none").into());
    }
    let spooled = daemon.spooled();
    if !spooled.is_empty() {
        return Err(format!("the spool holds {:?}", spooled.keys()));
    }
    let (out, second) = (contents(&daemon.path("out")), contents(&daemon.path("second")));
    Ok(End { out, second, done: settled(&daemon.path("in/done")), failed: settled(&daemon.path("in/failed")), jobs })
}

/// A recorded run, and how it ended.
struct Recorded {
    /// Where it ran.
    root: Setup,
    /// The very files that were there before, by links: a replay has them with their numbers and times.
    vault: tempfile::TempDir,
    recording: Recording,
    end: End,
}

/// Records the daemon as it converts the batch, or what is left of it by a crash before; what it compiles is there already. None where nothing
/// can be recorded here, which is said.
fn record(batch: &Contents, config: &str, crash_before: Option<&str>) -> Option<Recorded> {
    let vault = tempfile::tempdir_in(mounts::memory()).unwrap();
    let trace = vault.path().join("trace");
    let recorder = record::recorder(&trace)?;
    mounts::in_place_of(vault.path(), vault.path())?;
    let setup = Setup::new_in(&mounts::memory()).plugins(&["csv", "junit"]).config(config);
    let mut warm = setup.start();
    assert!(warm.terminate().success());
    let setup = warm.into_setup();
    for name in ["state/queue.db", "state/lock", "log"] {
        fs::remove_file(setup.path(name)).unwrap();
    }
    for (name, content) in batch {
        let path = setup.path("in").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        File::options().append(true).open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap();
    }
    let setup = match crash_before {
        None => setup,
        Some(point) => {
            let mut crashed = setup.environment("DROPFORGE_CRASH_AT", point).spawn();
            assert!(!crashed.wait().success());
            crashed.into_setup().environment("DROPFORGE_CRASH_AT", "")
        }
    };
    let (root, before) = (setup.path(""), vault.path().join("before"));
    link_all(&root, &before);
    let before = Disk::of(&before);
    let mut daemon = setup.through(recorder).start();
    let end = wait_for("the recorded daemon to finish", || end(&daemon).ok().filter(|end| end.jobs.len() == batch.len()));
    assert!(daemon.terminate().success());
    let recording = Recording::read(&trace, daemon.id(), &root, before);
    recording.assert_complete(&root, unimportant);
    Some(Recorded { root: daemon.into_setup().through(Vec::new()), vault, recording, end })
}

/// What the model cannot see, and nothing depends on: the test's own log, and memory that SQLite shares.
fn unimportant(path: &Path) -> bool {
    path == Path::new("log") || path.to_string_lossy().ends_with(record::SHARED_MEMORY)
}

/// Makes a folder with links to all files of another one.
fn link_all(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() { link_all(&entry.path(), &to) } else { fs::hard_link(entry.path(), to).unwrap() }
    }
}

/// A moment of the recording at which the power is cut.
struct Cut<'a> {
    /// The operations that had ended.
    operations: usize,
    /// What would have been next.
    next: &'a str,
    loss: Loss,
    left: Survivors,
}

/// Starts the daemon on what a power cut left and compares its end with that of the undisturbed run.
fn recover(recorded: &Recorded, config: &str, cut: &Cut) -> Result<(), String> {
    let setup = Setup::empty_in(&mounts::memory()).config(config);
    let before = recorded.vault.path().join("before");
    let linked = |origin: &Path| ["in", "plugins", "state/compiled"].iter().any(|folder| origin.starts_with(before.join(folder)));
    cut.left.write_to(&setup.path(""), linked, unimportant);
    let starter: Vec<OsString> = mounts::in_place_of(&setup.path(""), &recorded.root.path("")).unwrap();
    let mut daemon = setup.through(starter).spawn();
    let until = Instant::now() + RECOVERY;
    loop {
        if let Some(status) = daemon.ended() {
            return Err(format!("the daemon ended: {status}\n{}", daemon.log()));
        }
        let state = if daemon.log().contains("is ready: drop files") { end(&daemon) } else { Err("it does not start".into()) };
        match state {
            Ok(end) if end == recorded.end => return Ok(()),
            Ok(end) if end.jobs.len() >= recorded.end.jobs.len() || Instant::now() > until => {
                return Err(format!("{}\n{}", difference(&end, &recorded.end), daemon.log()));
            }
            Err(reason) if Instant::now() > until => return Err(format!("{reason}\n{}", daemon.log())),
            _ => thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn difference(is: &End, expected: &End) -> String {
    let mut text = String::new();
    for (what, is, expected) in [
        ("out", &is.out, &expected.out),
        ("second", &is.second, &expected.second),
        ("done", &is.done, &expected.done),
        ("failed", &is.failed, &expected.failed),
    ] {
        let shown = |content: Option<&Vec<u8>>| content.map(|content| String::from_utf8_lossy(content).into_owned());
        for name in is.keys().chain(expected.keys()).filter(|name| is.get(*name) != expected.get(*name)) {
            text += &format!("{what}/{name}: {:?}, expected {:?}\n", shown(is.get(name)), shown(expected.get(name)));
        }
    }
    if is.jobs != expected.jobs {
        text += &format!("jobs: {:?}, expected {:?}\n", is.jobs, expected.jobs);
    }
    text
}

/// Whether the power is cut before this operation in the normal run too.
fn is_a_landmark(operation: &Operation) -> bool {
    match operation {
        Operation::Sync(..) => true,
        Operation::Change(changes) => changes.iter().any(|(_, change)| !matches!(change, Change::Write(..) | Change::Resize(_))),
    }
}

fn every_moment() -> bool {
    std::env::var_os("DROPFORGE_TEST_EVERY_MOMENT").is_some()
}

/// Cuts the power all along a recording.
fn cut_everywhere(batch: &Contents, config: &str, crash_before: Option<&str>, check: impl FnOnce(&End)) {
    let Some(recorded) = record(batch, config, crash_before) else { return };
    check(&recorded.end);
    let began = Instant::now();
    let failures: Mutex<Vec<String>> = Mutex::default();
    let (mut moments, mut replays) = (0, 0);
    let (sender, receiver) = sync_channel::<Cut>(REPLAYS);
    let receiver = Mutex::new(receiver);
    thread::scope(|scope| {
        let sender = sender;
        let (recorded, failures, receiver) = (&recorded, &failures, &receiver);
        for _ in 0..REPLAYS {
            scope.spawn(move || {
                loop {
                    let Ok(cut) = receiver.lock().unwrap().recv() else { return };
                    if let Err(reason) = recover(recorded, config, &cut) {
                        let (operations, loss, next) = (cut.operations, cut.loss, cut.next);
                        failures
                            .lock()
                            .unwrap()
                            .push(format!("--- after {operations} operations, without {loss:?}, before {next}\n{reason}"));
                    }
                }
            });
        }
        let recording = &recorded.recording;
        let mut disk = recording.before.clone();
        let mut seen = HashSet::new();
        for operations in 0..=recording.operations.len() {
            let next = recording.operations.get(operations);
            if every_moment() || next.is_none_or(is_a_landmark) {
                moments += 1;
                for loss in Loss::ALL {
                    let left = disk.after(loss);
                    if seen.insert(left.fingerprint()) && failures.lock().unwrap().len() < ENOUGH {
                        replays += 1;
                        let next = recording.texts.get(operations).map_or("the end", String::as_str);
                        sender.send(Cut { operations, next, loss, left }).unwrap();
                    }
                }
            }
            next.into_iter().for_each(|next| disk.play(next));
        }
    });
    let operations = recorded.recording.operations.len();
    let syncs = recorded.recording.operations.iter().filter(|operation| matches!(operation, Operation::Sync(..))).count();
    let seconds = began.elapsed().as_secs();
    println!(
        "{operations} operations with {syncs} syncs: the power was cut at {moments} moments, {replays} different disks were left, {seconds} s"
    );
    let failures = failures.into_inner().unwrap();
    assert!(
        failures.is_empty(),
        "{} of {replays} disks were not recovered:\n{}",
        failures.len(),
        failures[..failures.len().min(TOLD)].join("\n")
    );
}

const ROUTE: &str = r#"
[[routes]]
name = "default"
intake = { path = "in", rescan_seconds = 0.5 }
destinations = [{ type = "folder", path = "out" }, { type = "folder", path = "second" }]
"#;

const FAILED: [&str; 4] = ["broken.xml", "broken.xml.dropforge.json", "cut.csv", "cut.csv.dropforge.json"];

#[test]
fn a_power_cut_loses_and_repeats_nothing() {
    cut_everywhere(&batch(), ROUTE, None, |end| {
        // One of each table, four of each file with suites.
        assert_eq!((end.out.len(), end.second.len()), (5 + 2 * 4, 5 + 2 * 4), "{:?}", end.out.keys());
        assert_eq!(end.done.len(), 6, "{:?}", end.done.keys());
        assert!(end.failed.keys().eq(FAILED), "{:?}", end.failed.keys());
    });
}

#[test]
fn nor_one_while_a_crash_is_recovered_from() {
    // Where most is underway; all others if every moment is asked for.
    let points = ["before_move", "after_claim", "after_first_document", "before_commit", "after_commit", "after_move", "after_settle"];
    for point in points.into_iter().take(if every_moment() { points.len() } else { 1 }) {
        println!("after a crash at {point}:");
        cut_everywhere(&small_batch(), ROUTE, Some(point), |end| {
            assert_eq!((end.out.len(), end.second.len()), (2 + 4, 2 + 4), "{:?}", end.out.keys());
            assert_eq!(end.done.len(), 2, "{:?}", end.done.keys());
            assert!(end.failed.keys().eq(FAILED), "{:?}", end.failed.keys());
        });
    }
}

#[test]
fn nor_where_sources_are_deleted_and_partial_ones_held() {
    let config = format!("{ROUTE}after = {{ success = \"delete\" }}\non_problem = \"hold\"\n");
    cut_everywhere(&small_batch(), &config, None, |end| {
        assert_eq!((end.out.len(), end.second.len()), (1 + 4, 1 + 4), "{:?}", end.out.keys());
        assert!(end.done.is_empty());
        assert!(end.failed.keys().eq(FAILED), "{:?}", end.failed.keys());
    });
}
