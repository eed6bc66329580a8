//! kill -9 at random moments while files of every kind come in. In the end every file must have exactly its documents at every destination, and be
//! settled once, with nothing else anywhere.
//!
//! `DROPFORGE_TEST_KILLS=300` kills that many times, in place of as many times as there is time for; `DROPFORGE_TEST_SEED` repeats a run's choices.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use dropforge_tests::receiver::{Answer, Received, Receiver};
use dropforge_tests::stream::{self, Suites};
use dropforge_tests::{Daemon, Setup, files, mounts, wait_for};

const FILES: usize = 2_000;
/// How long the kills go on where no number is given.
const TIME: Duration = Duration::from_secs(25);
/// What `Progress` counts to.
const ALL: u64 = 1_000_000;

/// Two folders, and a server that one does not wait for long.
fn config(url: &str) -> String {
    format!(
        r#"
[http]
timeout_seconds = 1.0
[[routes]]
name = "mixed"
intake = {{ path = "in", rescan_seconds = 0.5 }}
destinations = [
    {{ type = "folder", path = "out" }},
    {{ type = "folder", path = "second" }},
    {{ type = "http", url = "{url}", headers = {{ x-name = "{{name}}" }} }},
]
"#
    )
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {value}")))
}

#[test]
fn kills_at_any_moment_lose_and_repeat_nothing() {
    let seed = number("DROPFORGE_TEST_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("DROPFORGE_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let sources = stream::mixed(FILES, &mut random, &Suites::convert());
    let server = Receiver::up();
    let reports: Arc<Mutex<Reports>> = Arc::new(Mutex::new(Reports { random: Some(random.fork()), ..Reports::default() }));
    let answering = Arc::clone(&reports);
    server.behave(move |request| answering.lock().unwrap().receive(request));
    let setup = Setup::new_in(&mounts::memory()).plugins(&["csv", "junit"]).config(&config(&format!("{}/reports", server.url())));
    // What is compiled is kept: the kills are for the files.
    let mut daemon = setup.start();
    assert!(daemon.terminate().success());

    let most_kills = number("DROPFORGE_TEST_KILLS");
    let progress = AtomicU64::new(0);
    let (inbox, began) = (daemon.path("in"), Instant::now());
    let mut kills = 0;
    let mut writer_random = random.fork();
    let mut daemon = thread::scope(|scope| {
        scope.spawn(|| {
            // The files come evenly over all kills.
            for (n, source) in sources.iter().enumerate() {
                while progress.load(Ordering::Relaxed) * FILES as u64 <= n as u64 * ALL {
                    thread::sleep(Duration::from_millis(1));
                }
                stream::put(&inbox, source, &mut writer_random);
            }
        });
        let mut daemon = daemon.restart(|setup| setup);
        while progress.load(Ordering::Relaxed) < ALL {
            // Some kills come while it starts, most while it works. These times decide where a kill falls, and nothing that is expected.
            if random.u8(..5) == 0 {
                thread::sleep(Duration::from_micros(random.u64(..60_000)));
            } else {
                daemon.wait_for_log("is ready: drop files");
                thread::sleep(Duration::from_micros(random.u64(..200_000)));
            }
            daemon = daemon.restart(|setup| setup);
            kills += 1;
            let done = match most_kills {
                Some(most) => kills * ALL / most.max(1),
                None => began.elapsed().as_micros() as u64 * ALL / TIME.as_micros() as u64,
            };
            progress.store(done.max(1), Ordering::Relaxed);
        }
        daemon
    });
    println!("{FILES} files, {kills} kills in {} s", began.elapsed().as_secs());

    reports.lock().unwrap().random = None;
    finish(&daemon);
    let requests = server.requests();
    {
        let Reports { stored, repeated, .. } = &*reports.lock().unwrap();
        println!("{} documents over HTTP in {requests} requests, {repeated} of them for what was stored already", stored.len());
    }
    assert_exact(&daemon, &reports.lock().unwrap(), &sources);
    // One more start finds nothing to do.
    let before = everything(&daemon);
    assert!(daemon.terminate().success());
    let daemon = daemon.restart(|setup| setup);
    daemon.wait_for_log("is ready: drop files");
    finish(&daemon);
    let after = everything(&daemon);
    let differing: Vec<&String> = before.keys().chain(after.keys()).filter(|name| before.get(*name) != after.get(*name)).collect();
    assert!(differing.is_empty(), "a start on what is settled changed {differing:?}");
    assert_eq!(server.requests(), requests);
}

/// What a server stores, each document under the id that comes with it; a repeated request replaces what it was for.
#[derive(Default)]
struct Reports {
    stored: BTreeMap<String, Stored>,
    /// Requests for what was stored already.
    repeated: usize,
    /// What was wrong with requests.
    complaints: Vec<String>,
    /// How it fails; none for not at all.
    random: Option<fastrand::Rng>,
}

#[derive(Debug, PartialEq, Eq)]
struct Stored {
    name: String,
    bytes: Vec<u8>,
    /// The other id: of the report, which stays when the source is converted again.
    report: String,
}

impl Reports {
    /// It fails before and after it has stored, breaks off, and stalls.
    fn receive(&mut self, request: &Received) -> Answer {
        let (stored, answer) = match self.random.as_mut().map_or(100, |random| random.u8(..100)) {
            0..2 => (false, Answer::Drop),
            2..6 => (false, Answer::status(500)),
            6..8 => (false, Answer::Stall),
            8..11 => (true, Answer::status(500)),
            11..14 => (true, Answer::Drop),
            14..16 => (true, Answer::Stall),
            _ => (true, Answer::Kept),
        };
        if stored {
            self.store(request);
        }
        answer
    }

    fn store(&mut self, request: &Received) {
        let header = |name: &str| request.headers.get(name).cloned().unwrap_or_default();
        let (id, name, report) = (header("idempotency-key"), header("x-name"), header("dropforge-report-id"));
        if id.is_empty() || name.is_empty() || report.is_empty() || request.path != "/reports" || request.method != "POST" {
            self.complaints.push(format!("not a document: {request:?}"));
            return;
        }
        let stored = Stored { name, bytes: request.body.clone().into_bytes(), report };
        if let Some(before) = self.stored.get(&id) {
            self.repeated += 1;
            if *before != stored {
                self.complaints.push(format!("{id} was {before:?} and is {stored:?}"));
            }
        }
        self.stored.insert(id, stored);
    }
}

/// Waits until nothing is left to do: nothing in the inbox that is not settled, no job that waits, nothing in the spool.
fn finish(daemon: &Daemon) {
    let left = || files(&daemon.path("in")).keys().filter(|name| !name.starts_with("done/") && !name.starts_with("failed/")).count();
    let unsettled = || daemon.metric_sum("queue_depth", "") + daemon.metric_sum("queue_waiting", "");
    wait_for("everything to be settled", || {
        thread::sleep(Duration::from_millis(90));
        (left() == 0 && daemon.spooled().is_empty() && unsettled() == 0.0).then_some(())
    });
}

fn assert_exact(daemon: &Daemon, reports: &Reports, sources: &[stream::Source]) {
    let mut wrong = stream::wrong_in_inbox(&daemon.path("in"), sources);
    for outbox in ["out", "second"] {
        wrong.extend(stream::wrong_in_outbox(&daemon.path(outbox), sources).into_iter().map(|what| format!("{outbox}: {what}")));
    }
    let of_a_key: BTreeSet<&str> = reports.stored.values().map(|stored| stored.report.as_str()).collect();
    assert_eq!(of_a_key.len(), reports.stored.len(), "a report was stored under several ids of documents");
    let over_http = stream::wrong_documents(reports.stored.values().map(|stored| (stored.name.clone(), stored.bytes.clone())), sources);
    wrong.extend(over_http.into_iter().chain(reports.complaints.clone()).map(|what| format!("over HTTP: {what}")));
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
}

/// All files by name, with the times at which they were written. Without sidecars: every start asks again about files that no converter took.
fn everything(daemon: &Daemon) -> BTreeMap<String, SystemTime> {
    let written = |path: PathBuf| fs::metadata(path).unwrap().modified().unwrap();
    let of =
        |folder: &'static str| files(&daemon.path(folder)).into_iter().map(move |(name, path)| (format!("{folder}/{name}"), written(path)));
    ["in", "out", "second"].into_iter().flat_map(of).filter(|(name, _)| !name.ends_with(".dropforge.json")).collect()
}
