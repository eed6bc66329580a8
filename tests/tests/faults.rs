//! What goes wrong around the daemon: full disks, folders that cannot be written or are gone, clocks that are set back, damaged databases, strange
//! names. Whatever it is, once it is mended every file has its documents once, and nothing is lost.
//!
//! Mounts are made in the daemon's own world and looked at through `/proc`; a test that may not mount says so and does nothing.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use dropforge_tests::{Daemon, Setup, files, mounts, wait_for, without_id};

/// Two folders to deliver to, so that one can go wrong alone. Whatever the disks of this machine hold, the daemon takes files.
const CONFIG: &str = r#"
min_free_bytes = 0
[[routes]]
name = "default"
intake = { path = "in", rescan_seconds = 0.3 }
destinations = [{ type = "folder", path = "out" }]
"#;

fn setup() -> Setup {
    Setup::new().plugins(&["csv"]).config(CONFIG)
}

/// A table, and its document.
fn table(n: usize) -> (String, String) {
    (format!("serial,value\n{n},{}\n", n / 2), format!("{{\"serial\":{n},\"value\":{}}}\n", n / 2))
}

/// Drops tables `from..to`, each named by its number.
fn drop_tables(daemon: &Daemon, tables: std::ops::Range<usize>) {
    tables.for_each(|n| daemon.drop_file(&format!("{n}.csv"), table(n).0));
}

/// A path as the daemon sees it, whatever is mounted there.
fn seen(daemon: &Daemon, path: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{}", daemon.id(), daemon.path(path).display()))
}

/// Runs a program in the daemon's world of mounts.
fn among_its_mounts(daemon: &Daemon, command: &[&OsStr]) {
    let status = Command::new("nsenter").args(["--mount", "--target", &daemon.id().to_string(), "--"]).args(command).status().unwrap();
    assert!(status.success(), "{command:?}");
}

/// Fills the disk that a folder is on to the last byte, and gives the file that does.
fn fill(folder: &Path) -> PathBuf {
    let path = folder.join(".filler.tmp");
    let mut file = File::create(&path).unwrap();
    for size in [1 << 16, 1 << 10, 1] {
        let block = vec![0; size];
        while file.write_all(&block).is_ok() {}
    }
    path
}

/// What the log says of documents that cannot be delivered now.
const NOT_DELIVERED: &str = "the documents stay in the spool";

/// Has a file in the outbox's place, so that nothing can be delivered; what is in it is in `away`.
fn block_outbox(daemon: &Daemon) {
    if daemon.path("out").exists() {
        fs::rename(daemon.path("out"), daemon.path("away")).unwrap();
    }
    fs::write(daemon.path("out"), "").unwrap();
}

/// Has an empty folder there again.
fn unblock_outbox(daemon: &Daemon) {
    fs::remove_file(daemon.path("out")).unwrap();
    fs::create_dir(daemon.path("out")).unwrap();
}

/// Each of these tables has its document in the outbox, once, and nothing else is there.
#[track_caller]
fn assert_documents(outbox: &Path, tables: std::ops::Range<usize>) {
    let expected: BTreeMap<String, String> = tables.map(|n| (format!("{n}.jsonl"), table(n).1)).collect();
    let found = || -> Vec<(String, String)> {
        files(outbox).into_iter().map(|(name, path)| (name, fs::read_to_string(path).unwrap_or_default())).collect()
    };
    wait_for("the documents", || (found().iter().filter(|(name, _)| !name.starts_with('.')).count() >= expected.len()).then_some(()));
    wait_for("temporary names to go", || found().iter().all(|(name, _)| !name.starts_with('.')).then_some(()));
    let found = found();
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    let found: BTreeMap<String, String> = found.into_iter().map(|(name, content)| (without_id(&name), content)).collect();
    assert_eq!(found, expected);
}

/// The inbox holds nothing but these tables, settled as converted.
#[track_caller]
fn assert_done(daemon: &Daemon, inbox: &Path, tables: std::ops::Range<usize>) {
    let mut expected: Vec<String> = tables.map(|n| format!("done/{n}.csv")).collect();
    expected.sort();
    let undated = |name: String| match name.splitn(3, '/').collect::<Vec<_>>()[..] {
        ["done", _, name] => format!("done/{name}"),
        _ => name,
    };
    let found = || {
        let mut found: Vec<String> = files(inbox).into_keys().map(undated).collect();
        found.sort();
        found
    };
    wait_for("the sources to be settled", || found().iter().all(|name| name.contains('/')).then_some(()));
    wait_for("all sources to be settled", || (found().len() >= expected.len()).then_some(()));
    assert_eq!(found(), expected);
    daemon.assert_metric("dead_letters{route=\"default\"}", 0.0);
}

// Disks.

#[test]
fn a_full_disk_under_the_state_folder_loses_nothing() {
    let setup = setup();
    fs::create_dir(setup.path("state")).unwrap();
    let Some(starter) = mounts::with_mounts("mount -t tmpfs -o size=16m none \"$1\"", &[&setup.path("state")]) else { return };
    let daemon = setup.through(starter).start();
    drop_tables(&daemon, 0..10);
    assert_documents(&daemon.path("out"), 0..10);
    let filler = fill(&seen(&daemon, "state"));
    drop_tables(&daemon, 10..40);
    daemon.wait_for_log("full");
    wait_for("the daemon not to be ready", || (daemon.get("/health/ready").0 == 503).then_some(()));
    fs::remove_file(filler).unwrap();
    assert_documents(&daemon.path("out"), 0..40);
    assert_done(&daemon, &daemon.path("in"), 0..40);
    wait_for("the daemon to be ready", || (daemon.get("/health/ready").0 == 200).then_some(()));
}

#[test]
fn a_disk_that_fills_up_while_files_come_loses_nothing() {
    let setup = setup();
    fs::create_dir(setup.path("state")).unwrap();
    let Some(starter) = mounts::with_mounts("mount -t tmpfs -o size=16m none \"$1\"", &[&setup.path("state")]) else { return };
    let daemon = setup.through(starter).start();
    // In turns full and with a little space, so that it runs out at every step of a job.
    let mut tables = 0..0;
    for round in 0..10 {
        let filler = fill(&seen(&daemon, "state"));
        tables.end += 10;
        drop_tables(&daemon, tables.end - 10..tables.end);
        let length = fs::metadata(&filler).unwrap().len();
        // A little space: for some of what the files need.
        let file = File::options().write(true).open(&filler).unwrap();
        file.set_len(length - 4096 * (1 + 3 * round)).unwrap();
        wait_for("the daemon to look at the files", || (daemon.metric_sum("intake_files_total", "") > 0.0).then_some(()));
        // A process that another test starts just now holds the file for a moment, and with it the space.
        file.set_len(0).unwrap();
        fs::remove_file(filler).unwrap();
    }
    assert_documents(&daemon.path("out"), tables.clone());
    assert_done(&daemon, &daemon.path("in"), tables);
}

#[test]
fn a_full_disk_under_the_outbox_delays_documents_and_loses_none() {
    let setup = setup();
    fs::create_dir(setup.path("out")).unwrap();
    let Some(starter) = mounts::with_mounts("mount -t tmpfs -o size=1m none \"$1\"", &[&setup.path("out")]) else { return };
    let daemon = setup.through(starter).start();
    drop_tables(&daemon, 0..5);
    let outbox = seen(&daemon, "out");
    assert_documents(&outbox, 0..5);
    let filler = fill(&outbox);
    drop_tables(&daemon, 5..20);
    // The sources do not wait for a destination.
    assert_done(&daemon, &daemon.path("in"), 0..20);
    daemon.wait_for_log(NOT_DELIVERED);
    let whole = |name: &str, path: &Path| name.starts_with('.') || fs::read_to_string(path).unwrap().ends_with("}\n");
    assert!(files(&outbox).iter().all(|(name, path)| whole(name, path)), "a document that is not whole has its name");
    fs::remove_file(filler).unwrap();
    assert_documents(&outbox, 0..20);
}

// Folders that cannot be written to, or read.

#[test]
fn a_read_only_outbox_delays_documents_and_loses_none() {
    let setup = setup();
    fs::create_dir(setup.path("out")).unwrap();
    let Some(starter) = mounts::with_mounts("mount --bind \"$1\" \"$1\"; mount -o remount,ro,bind \"$1\"", &[&setup.path("out")]) else {
        return;
    };
    let daemon = setup.through(starter).start();
    drop_tables(&daemon, 0..5);
    assert_done(&daemon, &daemon.path("in"), 0..5);
    daemon.wait_for_log(NOT_DELIVERED);
    assert!(daemon.documents().is_empty());
    among_its_mounts(&daemon, &["mount".as_ref(), "-o".as_ref(), "remount,rw,bind".as_ref(), daemon.path("out").as_os_str()]);
    assert_documents(&daemon.path("out"), 0..5);
}

#[test]
fn a_read_only_inbox_gives_its_documents_once() {
    let setup = setup();
    let Some(starter) = mounts::with_mounts("mount --bind \"$1\" \"$1\"; mount -o remount,ro,bind \"$1\"", &[&setup.path("in")]) else {
        return;
    };
    let daemon = setup.through(starter).start();
    drop_tables(&daemon, 0..5);
    assert_documents(&daemon.path("out"), 0..5);
    daemon.wait_for_log("cannot settle a source");
    assert_eq!(files(&daemon.path("in")).len(), 5);
    // A second daemon, and the first one's rescans, find the files again and know them.
    let daemon = daemon.restart(|setup| setup);
    daemon.wait_for_log("cannot settle a source");
    assert_documents(&daemon.path("out"), 0..5);
    among_its_mounts(&daemon, &["mount".as_ref(), "-o".as_ref(), "remount,rw,bind".as_ref(), daemon.path("in").as_os_str()]);
    assert_done(&daemon, &daemon.path("in"), 0..5);
    assert_documents(&daemon.path("out"), 0..5);
}

/// For the daemon permissions hold even if root runs it.
fn bound_by_permissions(setup: Setup) -> Option<Setup> {
    let drop = "-dac_override,-dac_read_search";
    let starter: Vec<OsString> = ["setpriv", &format!("--bounding-set={drop}"), &format!("--inh-caps={drop}")].map(OsString::from).into();
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::set_permissions(secret.path(), Permissions::from_mode(0o000)).unwrap();
    let reads = |command: &mut Command| command.arg(secret.path()).output().is_ok_and(|output| output.status.success());
    if !reads(&mut Command::new("cat")) {
        return Some(setup);
    }
    if !reads(Command::new(&starter[0]).args(&starter[1..]).arg("cat")) {
        return Some(setup.through(starter));
    }
    eprintln!("skipped: this is root, and `setpriv` cannot take its privileges away");
    None
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_file_without_permission_is_reported_and_taken_when_it_has_it() {
    let Some(setup) = bound_by_permissions(setup()) else { return };
    let daemon = setup.start();
    let path = daemon.path("in/0.csv");
    fs::write(daemon.path("in/.0.csv.tmp"), table(0).0).unwrap();
    set_mode(&daemon.path("in/.0.csv.tmp"), 0o000);
    fs::rename(daemon.path("in/.0.csv.tmp"), &path).unwrap();
    daemon.wait_for_log("Permission denied");
    daemon.wait_for_log("0.csv");
    // Others are not held up.
    daemon.drop_file("1.csv", table(1).0);
    daemon.wait_for_document("1.jsonl");
    assert!(path.exists());
    set_mode(&path, 0o644);
    assert_documents(&daemon.path("out"), 0..2);
    assert_done(&daemon, &daemon.path("in"), 0..2);
}

#[test]
fn an_outbox_without_permission_delays_documents_and_loses_none() {
    let Some(setup) = bound_by_permissions(setup()) else { return };
    fs::create_dir(setup.path("out")).unwrap();
    set_mode(&setup.path("out"), 0o555);
    let daemon = setup.start();
    drop_tables(&daemon, 0..5);
    assert_done(&daemon, &daemon.path("in"), 0..5);
    daemon.wait_for_log(NOT_DELIVERED);
    set_mode(&daemon.path("out"), 0o755);
    assert_documents(&daemon.path("out"), 0..5);
}

#[test]
fn an_inbox_without_permission_is_down_until_it_has_it() {
    let Some(setup) = bound_by_permissions(setup()) else { return };
    let daemon = setup.start();
    drop_tables(&daemon, 0..1);
    assert_documents(&daemon.path("out"), 0..1);
    assert_done(&daemon, &daemon.path("in"), 0..1);
    set_mode(&daemon.path("in"), 0o000);
    daemon.assert_metric("intake_up{route=\"default\"}", 0.0);
    set_mode(&daemon.path("in"), 0o755);
    daemon.assert_metric("intake_up{route=\"default\"}", 1.0);
    drop_tables(&daemon, 1..3);
    assert_documents(&daemon.path("out"), 0..3);
    assert_done(&daemon, &daemon.path("in"), 0..3);
}

// Folders that go and come.

#[test]
fn an_inbox_that_is_removed_and_made_again_is_watched_again() {
    let daemon = setup().start();
    drop_tables(&daemon, 0..3);
    assert_documents(&daemon.path("out"), 0..3);
    assert_done(&daemon, &daemon.path("in"), 0..3);
    for round in 1..4 {
        fs::rename(daemon.path("in"), daemon.path(&format!("away {round}"))).unwrap();
        daemon.assert_metric("intake_up{route=\"default\"}", 0.0);
        // It is not made anew: a share that is gone must not look like an empty folder.
        assert!(!daemon.path("in").exists());
        fs::create_dir(daemon.path("in")).unwrap();
        daemon.assert_metric("intake_up{route=\"default\"}", 1.0);
        drop_tables(&daemon, 3 * round..3 * round + 3);
        assert_documents(&daemon.path("out"), 0..3 * round + 3);
        assert_done(&daemon, &daemon.path("in"), 3 * round..3 * round + 3);
    }
}

#[test]
fn an_outbox_that_is_removed_is_waited_for() {
    let daemon = setup().start();
    drop_tables(&daemon, 0..3);
    assert_documents(&daemon.path("out"), 0..3);
    assert_done(&daemon, &daemon.path("in"), 0..3);
    fs::rename(daemon.path("out"), daemon.path("gone")).unwrap();
    drop_tables(&daemon, 3..6);
    assert_done(&daemon, &daemon.path("in"), 0..6);
    daemon.wait_for_log("was there and is gone");
    // It is not made anew: what is written under the mount point of a share that is gone would be hidden when it is back.
    assert!(!daemon.path("out").exists());
    fs::rename(daemon.path("gone"), daemon.path("out")).unwrap();
    assert_documents(&daemon.path("out"), 0..6);
    // A file where the folder was.
    block_outbox(&daemon);
    drop_tables(&daemon, 6..9);
    daemon.wait_for_log(NOT_DELIVERED);
    unblock_outbox(&daemon);
    assert_documents(&daemon.path("out"), 6..9);
    assert_done(&daemon, &daemon.path("in"), 0..9);
}

#[test]
fn a_state_folder_that_is_deleted_while_it_runs_is_missed_and_loses_nothing() {
    let daemon = setup().start();
    drop_tables(&daemon, 0..3);
    assert_documents(&daemon.path("out"), 0..3);
    assert_done(&daemon, &daemon.path("in"), 0..3);
    fs::remove_dir_all(daemon.path("state")).unwrap();
    wait_for("the daemon not to be ready", || (daemon.get("/health/ready").0 == 503).then_some(()));
    // What would be noted in a database without a name would be gone with the process: these are left where they are.
    drop_tables(&daemon, 3..9);
    daemon.wait_for_log("a file could not be taken");
    daemon.wait_for_log("was deleted or replaced while this program uses it");
    assert_eq!(files(&daemon.path("in")).keys().filter(|name| !name.starts_with("done/")).count(), 6);
    let daemon = daemon.restart(|setup| setup);
    assert_documents(&daemon.path("out"), 0..9);
    assert_done(&daemon, &daemon.path("in"), 0..9);
}

// The clock.

/// A clock that a file sets: `+0`, `-2d`. The monotonic clock and the times of files stay true.
fn with_settable_clock(setup: Setup) -> Option<Setup> {
    // In a folder for the machine's architecture.
    let library = fs::read_dir("/usr/lib").unwrap().flatten().find_map(|folder| {
        let path = folder.path().join("faketime/libfaketime.so.1");
        path.exists().then_some(path)
    });
    let Some(library) = library else {
        eprintln!("skipped: libfaketime is missing; `cargo xtask setup` installs it");
        return None;
    };
    let clock = setup.path("clock");
    fs::write(&clock, "+0\n").unwrap();
    let variables = [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("NO_FAKE_STAT", "1"),
    ];
    Some(variables.into_iter().fold(setup, |setup, (name, value)| setup.environment(name, value)))
}

fn set_clock(daemon: &Daemon, offset: &str) {
    let temporary = daemon.path("clock.new");
    fs::write(&temporary, format!("{offset}\n")).unwrap();
    fs::rename(temporary, daemon.path("clock")).unwrap();
}

#[test]
fn a_clock_that_is_set_back_holds_nothing_up() {
    let Some(setup) = with_settable_clock(setup()) else { return };
    let mut daemon = setup.start();
    drop_tables(&daemon, 0..3);
    assert_documents(&daemon.path("out"), 0..3);
    assert_done(&daemon, &daemon.path("in"), 0..3);
    // A delivery that has failed and waits for its next try when the clock is set back.
    block_outbox(&daemon);
    drop_tables(&daemon, 3..6);
    daemon.wait_for_log(NOT_DELIVERED);
    set_clock(&daemon, "-2d");
    drop_tables(&daemon, 6..9);
    assert_done(&daemon, &daemon.path("in"), 0..9);
    unblock_outbox(&daemon);
    assert_documents(&daemon.path("out"), 3..9);
    // And between two starts.
    assert!(daemon.terminate().success());
    set_clock(&daemon, "-9d");
    let mut daemon = daemon.restart(|setup| setup);
    drop_tables(&daemon, 9..12);
    assert_documents(&daemon.path("out"), 3..12);
    assert_done(&daemon, &daemon.path("in"), 0..12);
    // The clock was indeed another one: settled files are in the folders of other days.
    let days = fs::read_dir(daemon.path("in/done")).unwrap().count();
    assert_eq!(days, 3);
    // libfaketime's memory outlives a kill.
    assert!(daemon.terminate().success());
}

// The database.

/// A daemon that has settled some files, has documents in its spool, and files in its inbox; then its database is damaged.
fn damage(harm: impl Fn(&Path)) {
    let mut daemon = setup().start();
    drop_tables(&daemon, 0..20);
    assert_documents(&daemon.path("out"), 0..20);
    assert_done(&daemon, &daemon.path("in"), 0..20);
    block_outbox(&daemon);
    drop_tables(&daemon, 20..40);
    assert_done(&daemon, &daemon.path("in"), 0..40);
    // A stop in good order leaves all of the database in its own file, if no reader comes last.
    while daemon.path("state/queue.db-wal").exists() {
        assert!(daemon.terminate().success());
        if daemon.path("state/queue.db-wal").exists() {
            daemon = daemon.restart(|setup| setup);
            daemon.wait_for_log("is ready: drop files");
        }
    }
    drop_tables(&daemon, 40..60);
    harm(&daemon.path("state/queue.db"));
    unblock_outbox(&daemon);
    let daemon = daemon.restart(|setup| setup);
    daemon.wait_for_log("is ready: drop files");
    let loud = daemon.log().lines().any(|line| line.contains("ERROR") && line.contains("queue.db") && line.contains("damaged"));
    assert!(loud, "{}", daemon.log());
    assert_documents(&daemon.path("out"), 20..60);
    assert_done(&daemon, &daemon.path("in"), 0..60);
    let aside = fs::read_dir(daemon.path("state"))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("damaged"));
    assert!(aside.count() > 0, "the damaged database is not kept");
    // And it works as a new one does.
    drop_tables(&daemon, 60..70);
    assert_documents(&daemon.path("out"), 20..70);
}

#[test]
fn a_database_with_flipped_bytes_is_set_aside_and_rebuilt() {
    damage(|database| {
        let mut bytes = fs::read(database).unwrap();
        let middle = bytes.len() / 4..bytes.len() * 3 / 4;
        bytes[middle].iter_mut().for_each(|byte| *byte ^= 0x55);
        fs::write(database, bytes).unwrap();
    });
}

#[test]
fn a_database_that_is_cut_off_is_set_aside_and_rebuilt() {
    damage(|database| {
        let file = File::options().write(true).open(database).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    });
}

#[test]
fn a_database_that_is_text_is_set_aside_and_rebuilt() {
    damage(|database| fs::write(database, "This is no database.\n".repeat(1000)).unwrap());
}

/// A daemon whose database is gone, or older than its spool: it has nothing that SQLite could find wrong.
fn forget(harm: impl Fn(&Path)) {
    let mut daemon = setup().start();
    drop_tables(&daemon, 0..5);
    assert_documents(&daemon.path("out"), 0..5);
    assert_done(&daemon, &daemon.path("in"), 0..5);
    assert!(daemon.terminate().success());
    let mut daemon = daemon.restart(|setup| setup);
    block_outbox(&daemon);
    drop_tables(&daemon, 5..15);
    assert_done(&daemon, &daemon.path("in"), 0..15);
    daemon.kill();
    harm(&daemon.path("state"));
    drop_tables(&daemon, 15..20);
    unblock_outbox(&daemon);
    let daemon = daemon.restart(|setup| setup);
    assert_documents(&daemon.path("out"), 5..20);
    assert_done(&daemon, &daemon.path("in"), 0..20);
    assert!(daemon.log().lines().any(|line| line.contains("ERROR") && line.contains("spool")), "{}", daemon.log());
}

#[test]
fn a_database_that_is_gone_is_rebuilt() {
    forget(|state| {
        for name in ["queue.db", "queue.db-wal", "queue.db-shm"] {
            fs::remove_file(state.join(name)).unwrap();
        }
    });
}

#[test]
fn a_database_that_lost_its_log_is_completed_from_the_spool() {
    forget(|state| {
        for name in ["queue.db-wal", "queue.db-shm"] {
            fs::remove_file(state.join(name)).unwrap();
        }
    });
}

// Names.

#[test]
fn strange_names_are_names_like_others() {
    let daemon = setup().start();
    let names: [&[u8]; 9] = [
        b"case.csv",
        b"CASE.csv",
        b"Case.csv",
        b"line\nbreak.csv",
        b"\xff.csv",
        b"\xfe.csv",
        "\u{202e}vsc.backwards.csv".as_bytes(),
        b" spaces .csv",
        b"-dash$(x)'\".csv",
    ];
    let long = [b"x".repeat(251), b".csv".to_vec()].concat();
    let names: Vec<&[u8]> = names.into_iter().chain([long.as_slice()]).collect();
    // Those that fail, too.
    let broken: [&[u8]; 3] = [b"line\nbreak.nobody", b"\xff.nobody", b"\xfe.nobody"];
    for (n, name) in names.iter().enumerate() {
        fs::write(daemon.path("in/.new.tmp"), table(n).0).unwrap();
        fs::rename(daemon.path("in/.new.tmp"), daemon.path("in").join(OsStr::from_bytes(name))).unwrap();
    }
    for name in broken {
        fs::write(daemon.path("in").join(OsStr::from_bytes(name)), "x").unwrap();
    }
    let names_in = |folder: &Path| -> Vec<Vec<u8>> {
        let days = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<Vec<u8>> =
            days.flat_map(|day| fs::read_dir(day.path()).unwrap().flatten()).map(|entry| entry.file_name().as_bytes().to_vec()).collect();
        names.sort();
        names
    };
    let sorted = |names: &[&[u8]]| {
        let mut names: Vec<Vec<u8>> = names.iter().map(|name| name.to_vec()).collect();
        names.sort();
        names
    };
    let expected = sorted(&names);
    wait_for("all to be done", || (names_in(&daemon.path("in/done")).len() >= expected.len()).then_some(()));
    assert_eq!(names_in(&daemon.path("in/done")), expected);
    let failed = wait_for("the others to have failed", || Some(names_in(&daemon.path("in/failed"))).filter(|names| names.len() >= 6));
    let (sidecars, failed): (Vec<_>, Vec<_>) = failed.into_iter().partition(|name| name.ends_with(b".dropforge.json"));
    assert_eq!(failed, sorted(&broken));
    assert_eq!(sidecars.len(), broken.len());
    let mut documents: Vec<String> =
        daemon.wait_for_documents(names.len()).into_values().map(|path| fs::read_to_string(path).unwrap()).collect();
    documents.sort();
    let mut expected: Vec<String> = (0..names.len()).map(|n| table(n).1).collect();
    expected.sort();
    assert_eq!(documents, expected);
}

#[test]
fn equal_bytes_under_other_names_give_documents_each() {
    let setup = setup();
    // The same times, too.
    let bytes = table(7).0;
    for name in ["a.csv", "b.csv", "folder/a.csv"] {
        let path = setup.path("in").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &bytes).unwrap();
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
    }
    // Two names of one file, too.
    fs::hard_link(setup.path("in/a.csv"), setup.path("in/link.csv")).unwrap();
    let daemon = setup.start();
    let documents = daemon.wait_for_documents(4);
    let mut names: Vec<String> = documents.keys().map(|name| without_id(name)).collect();
    names.sort();
    assert_eq!(names, ["a.jsonl", "a.jsonl", "b.jsonl", "link.jsonl"]);
    assert!(documents.values().all(|path| fs::read_to_string(path).unwrap() == table(7).1));
    wait_for("the sources to be settled", || (files(&daemon.path("in/done")).len() == 4).then_some(()));
}
