//! kill -9 at random moments while files of every kind come in. In the end every file must have exactly its documents at every destination, and be
//! settled once, with nothing else anywhere.
//!
//! `DROPFORGE_TEST_KILLS=300` kills that many times, in place of as many times as there is time for; `DROPFORGE_TEST_SEED` repeats a run's choices.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use dropforge_tests::stream::{self, Suites};
use dropforge_tests::{Daemon, Setup, files, mounts, wait_for};

const FILES: usize = 2_000;
/// How long the kills go on where no number is given.
const TIME: Duration = Duration::from_secs(25);
/// What `Progress` counts to.
const ALL: u64 = 1_000_000;

const CONFIG: &str = r#"
[[routes]]
name = "mixed"
intake = { path = "in", rescan_seconds = 0.5 }
destinations = [{ type = "folder", path = "out" }, { type = "folder", path = "second" }]
"#;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {value}")))
}

#[test]
fn kills_at_any_moment_lose_and_repeat_nothing() {
    let seed = number("DROPFORGE_TEST_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("DROPFORGE_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let sources = stream::mixed(FILES, &mut random, &Suites::convert());
    let setup = Setup::new_in(&mounts::memory()).plugins(&["csv", "junit"]).config(CONFIG);
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

    finish(&daemon);
    assert_exact(&daemon, &sources);
    // One more start finds nothing to do.
    let before = everything(&daemon);
    assert!(daemon.terminate().success());
    let daemon = daemon.restart(|setup| setup);
    daemon.wait_for_log("is ready: drop files");
    finish(&daemon);
    let after = everything(&daemon);
    let differing: Vec<&String> = before.keys().chain(after.keys()).filter(|name| before.get(*name) != after.get(*name)).collect();
    assert!(differing.is_empty(), "a start on what is settled changed {differing:?}");
}

/// Waits until nothing is left to do: nothing in the inbox that is not settled, no job that waits, nothing in the spool.
fn finish(daemon: &Daemon) {
    let left = || files(&daemon.path("in")).keys().filter(|name| !name.starts_with("done/") && !name.starts_with("failed/")).count();
    let spooled = || fs::read_dir(daemon.path("state/spool")).unwrap().count();
    let unsettled = || daemon.metric_sum("queue_depth", "") + daemon.metric_sum("queue_waiting", "");
    wait_for("everything to be settled", || {
        thread::sleep(Duration::from_millis(90));
        (left() == 0 && spooled() == 0 && unsettled() == 0.0).then_some(())
    });
}

fn assert_exact(daemon: &Daemon, sources: &[stream::Source]) {
    let mut wrong = stream::wrong_in_inbox(&daemon.path("in"), sources);
    for outbox in ["out", "second"] {
        wrong.extend(stream::wrong_in_outbox(&daemon.path(outbox), sources).into_iter().map(|what| format!("{outbox}: {what}")));
    }
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
}

/// All files by name, with the times at which they were written. Without sidecars: every start asks again about files that no converter took.
fn everything(daemon: &Daemon) -> BTreeMap<String, SystemTime> {
    let written = |path: PathBuf| fs::metadata(path).unwrap().modified().unwrap();
    let of =
        |folder: &'static str| files(&daemon.path(folder)).into_iter().map(move |(name, path)| (format!("{folder}/{name}"), written(path)));
    ["in", "out", "second"].into_iter().flat_map(of).filter(|(name, _)| !name.ends_with(".dropforge.json")).collect()
}
