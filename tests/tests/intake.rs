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

/// Waits until these documents are there, and no others: a source is settled when its documents are in the spool, and they may arrive a
/// moment later.
fn wait_for_names(daemon: &Daemon, expected: &[&str]) {
    wait_for(&format!("the documents {expected:?}"), || (document_names(daemon) == expected).then_some(()));
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
    wait_for_names(
        &daemon,
        &["before.jsonl", "deep before.jsonl", "in place.jsonl", "moved folder.jsonl", "new folder.jsonl", "renamed.jsonl"],
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
    wait_for_names(&daemon, &["sentinel.jsonl"]);
    for name in temporary {
        assert!(daemon.path("in").join(name).exists(), "{name}");
    }
    fs::rename(daemon.path("in/upload.csv.part"), daemon.path("in/upload.csv")).unwrap();
    daemon.wait_for_settled("done", "upload.csv");
    wait_for_names(&daemon, &["sentinel.jsonl", "upload.jsonl"]);
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
    wait_for_names(&daemon, &["sentinel.jsonl"]);
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
    // The source is settled when its documents are in the spool; they may arrive a moment later.
    assert_eq!(daemon.wait_for_documents(1).len(), 1);
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

/// One route whose converter is not there, so that its jobs stay in the queue.
const WAITING: &str = "
{top}
[[routes]]
name = 'default'
converter = 'csv'
intake = { path = '{dir}/in', rescan_seconds = 0.2 }
destinations = [{ type = 'folder', path = '{dir}/out' }]
limits = { input_bytes = 1000000 }
";

/// The most memory that the daemon has had so far, in bytes.
#[cfg(target_os = "linux")]
fn peak_memory(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// A number that a longer run of a test takes from the environment.
#[cfg(target_os = "linux")]
fn from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[cfg(target_os = "linux")]
#[test]
fn every_name_that_a_file_can_have_comes_through() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let daemon = Setup::new().plugins(&["csv"]).config(OFTEN).start();
    // Of equal bytes, all of them: each is a file of its own. Two differ in case alone.
    let names: [&[u8]; 7] =
        [b"line\nbreak.csv", b"not \xff utf-8.csv", b"not \xfe utf-8.csv", b"Case.csv", b"case.csv", b"tab\tand \x1b[31m.csv", b" .csv"];
    for name in names {
        fs::write(daemon.path("in").join(OsStr::from_bytes(name)), "row,value\n1,a\n").unwrap();
    }
    let documents = daemon.wait_for_documents(names.len());
    assert_eq!(documents.len(), names.len(), "{documents:?}");
    wait_for("every source to be settled under its own name", || {
        let day = fs::read_dir(daemon.path("in/done")).ok()?.next()?.ok()?.path();
        names.iter().all(|name| day.join(OsStr::from_bytes(name)).exists()).then_some(())
    });
    assert_eq!(daemon.jobs().len(), names.len());
    daemon.assert_all_converted(&[]);
    assert!(!daemon.log().contains('\x1b'), "a name cannot write to the terminal");
}

#[cfg(unix)]
#[test]
fn a_link_to_another_file_of_the_inbox_is_not_converted_and_does_not_dangle() {
    let setup = Setup::new().plugins(&["csv"]).config(OFTEN);
    fs::write(setup.path("in/2026-11-22.csv"), "row,value\n1,a\n").unwrap();
    std::os::unix::fs::symlink("2026-11-22.csv", setup.path("in/latest.csv")).unwrap();
    let daemon = setup.start();
    daemon.wait_for_settled("done", "2026-11-22.csv");
    wait_for("the link to go", || (!daemon.path("in/latest.csv").is_symlink()).then_some(()));
    wait_for_names(&daemon, &["2026-11-22.jsonl"]);
    assert_eq!(daemon.jobs().len(), 1);
}

/// `DROPFORGE_SPARSE_BYTES=10737418240` for the full size.
#[cfg(target_os = "linux")]
#[test]
fn a_huge_file_is_read_in_little_memory() {
    let daemon = Setup::new().plugins(&["csv"]).config(&WAITING.replace("{top}", "")).start();
    daemon.drop_file("first.csv", "row,value\n1,a\n");
    daemon.wait_for_settled("done", "first.csv");
    let before = peak_memory(&daemon);
    let bytes = from_environment("DROPFORGE_SPARSE_BYTES", 300 << 20);
    File::create(daemon.path("in/.huge.tmp")).unwrap().set_len(bytes).unwrap();
    fs::rename(daemon.path("in/.huge.tmp"), daemon.path("in/huge.csv")).unwrap();
    let sidecar = daemon.wait_for_sidecar("huge.csv");
    assert_eq!((&sidecar["error"]["code"], &sidecar["source"]["bytes"]), (&"input_too_large".into(), &bytes.into()));
    // The kernel counts a process's pages roughly: its peak may go down by a few.
    let grown = peak_memory(&daemon).saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more for a file of {bytes}");
}

/// `DROPFORGE_MANY_FILES=200000` for the full number.
#[cfg(target_os = "linux")]
#[test]
fn any_number_of_files_at_once_is_queued_in_bounded_memory() {
    let daemon = Setup::new().config(&WAITING.replace("{top}", "workers = 1")).start();
    let files = from_environment("DROPFORGE_MANY_FILES", 5_000);
    fs::create_dir(daemon.path("elsewhere")).unwrap();
    for number in 0..files {
        fs::write(daemon.path("elsewhere").join(format!("{number}.csv")), format!("row,value\n{number},a\n")).unwrap();
    }
    let began = Instant::now();
    fs::rename(daemon.path("elsewhere"), daemon.path("in/all")).unwrap();
    while daemon.metric(r#"intake_files_total{result="queued",route="default"}"#) != Some(files as f64) {
        assert!(began.elapsed() < PATIENCE * 10);
        thread::sleep(Duration::from_millis(20));
    }
    let peak = peak_memory(&daemon);
    println!("{files} files queued in {:.1} s; at most {} MiB of memory", began.elapsed().as_secs_f64(), peak >> 20);
    // What every process of this program has, and about 600 bytes for each file that is in the folder.
    assert!(peak < (120 << 20) + files * 600, "{peak} bytes");
    daemon.assert_metric(r#"intake_files_total{result="error",route="default"}"#, 0.0);
}

#[test]
fn a_file_that_grew_after_it_was_taken_is_a_new_job_and_the_log_names_the_setting() {
    let daemon = Setup::new().config(&WAITING.replace("{top}", "")).start();
    fs::write(daemon.path("in/a.csv"), "row,value\n1,a\n").unwrap();
    daemon.wait_for_job("a.csv", "converter");
    let mut file = File::options().append(true).open(daemon.path("in/a.csv")).unwrap();
    file.write_all(b"2,a\n").unwrap();
    drop(file);
    wait_for("the second job", || (daemon.jobs().len() == 2).then_some(()));
    daemon.wait_for_log("a file changed after it was taken, and was taken again; if its writer closes it in between, set `take = ");
    daemon.drop_plugin("csv.wasm", fs::read(plugin("csv")).unwrap());
    assert_eq!(the_document(&daemon), "{\"row\":1,\"value\":\"a\"}\n{\"row\":2,\"value\":\"a\"}\n");
    daemon.wait_for_settled("done", "a.csv");
}

#[test]
fn a_file_that_is_appended_to_all_day_comes_out_whole_when_the_next_one_has_begun() {
    let config = OFTEN.replace("rescan_seconds", "take = 'superseded', quiet_seconds = 0.3, rescan_seconds");
    let daemon = Setup::new().plugins(&["csv"]).config(&config).start();
    fs::write(daemon.path("in/monday.csv"), "row,value\n").unwrap();
    for row in 1..=3 {
        let mut monday = File::options().append(true).open(daemon.path("in/monday.csv")).unwrap();
        writeln!(monday, "{row},a").unwrap();
        drop(monday);
        // The pause is what is tested: longer than `quiet_seconds`.
        thread::sleep(Duration::from_millis(700));
        assert!(daemon.jobs().is_empty());
    }
    fs::write(daemon.path("in/tuesday.csv"), "row,value\n").unwrap();
    assert_eq!(the_document(&daemon).lines().count(), 3);
    daemon.wait_for_settled("done", "monday.csv");
    let routes = daemon.json("/api/v1/routes");
    assert_eq!((&routes[0]["waiting"], &routes[0]["last_error"]), (&1.into(), &Value::Null), "{routes}");
    assert!(daemon.path("in/tuesday.csv").exists());
}

#[test]
fn a_queue_that_is_nearly_full_slows_intake_and_says_so_until_there_is_room() {
    let config = WAITING.replace("{top}", "max_queued = 50\nplugins_dir = '{dir}/plugins'");
    // Another converter, so that only the queue is a reason.
    let daemon = Setup::new().plugins(&["junit"]).config(&config).start();
    for number in 0..120 {
        daemon.drop_file(&format!("{number}.csv"), format!("row,value\n{number},a\n"));
    }
    let reasons = || -> Vec<String> {
        let ready: Value = serde_json::from_str(&daemon.get("/health/ready").1).unwrap();
        serde_json::from_value(ready.get("reasons").cloned().unwrap_or_else(|| Value::Array(Vec::new()))).unwrap()
    };
    wait_for("the queue to be full", || reasons().iter().any(|reason| reason.contains("so that nothing is taken in")).then_some(()));
    // Those before may all have been taken together, when there was room.
    daemon.drop_file("late.csv", "row,value\n120,a\n");
    let held_back = wait_for("the intake to be held back", || daemon.json("/api/v1/routes")[0]["held_back"].as_str().map(str::to_string));
    assert!(held_back.contains("`max_queued` = 50"), "{held_back}");
    assert!(daemon.jobs().len() < 121);
    daemon.drop_plugin("csv.wasm", fs::read(plugin("csv")).unwrap());
    daemon.wait_for_documents(121);
    wait_for("the daemon to be ready again", || reasons().is_empty().then_some(()));
    wait_for("intake to go on", || daemon.json("/api/v1/routes")[0]["held_back"].is_null().then_some(()));
    assert_eq!(daemon.jobs().len(), 121);
}
