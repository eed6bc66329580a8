//! A daemon under a mixed load for minutes: files of every kind, plugins dropped in live, a server that goes away, restarts and a kill. In
//! the end nothing is lost, nothing is there twice, and memory, descriptors and threads are as they were after the first minute.
//!
//! `cargo xtask soak --minutes 60` runs it for so long; what it measured is printed, and drawn in `soak/soak.svg` of the target folder.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dropforge_tests::plot::{Curve, svg};
use dropforge_tests::receiver::{Answer, Receiver};
use dropforge_tests::{Daemon, Setup, misbehave, run, target_folder, wait_for, without_id};
use serde_json::Value;

/// Files come at this pace, but while more than `MOST_WAITING` wait.
const PACE: Duration = Duration::from_millis(40);
const MOST_WAITING: f64 = 500.0;
/// Until then memory may grow: caches fill, and the daemon is stopped and started.
const WARM: Duration = Duration::from_secs(60);
/// The time that a mean is taken over.
const SPAN: f64 = 25.0;
/// How much more the last mean may be than the first.
const MOST_GROWTH: f64 = 1.1;

const CONFIG: &str = "
suspension = { after_failures = 0 }
result_cache = { max_entries = 500 }
http = { timeout_seconds = 2.0 }
[[routes]]
name = 'files'
intake = { path = '{dir}/in' }
destinations = [{ type = 'folder', path = '{dir}/out' }]
[[routes]]
name = 'sent'
converter = 'csv'
intake = { path = '{dir}/sent', create = true }
destinations = [{ type = 'http', name = 'server', url = 'URL/reports/{id}' }]
";

/// What is to become of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Delivered,
    Sent,
    Failed,
}

/// The daemon at one moment.
struct Sample {
    seconds: f64,
    memory_mb: f64,
    descriptors: f64,
    threads: f64,
    settled: f64,
}

/// What is measured at a moment, and shown: its name, and how it is taken from a sample.
type Measure = (&'static str, fn(&Sample) -> f64);

const MEASURES: [Measure; 3] =
    [("memory, MB", |sample| sample.memory_mb), ("descriptors", |sample| sample.descriptors), ("threads", |sample| sample.threads)];

/// What there was to see.
#[derive(Default)]
struct Seen {
    dropped: BTreeMap<String, Fate>,
    samples: Vec<Sample>,
    marks: Vec<(f64, &'static str)>,
}

#[test]
fn nothing_is_lost_and_nothing_grows() {
    let minutes = std::env::var("SOAK_MINUTES").ok().map_or(3.0, |minutes| minutes.parse::<f64>().unwrap());
    assert!(minutes >= 2.0, "below two minutes there is nothing to compare");
    let (server, is_down) = (Receiver::up(), Arc::new(AtomicBool::new(false)));
    let down = Arc::clone(&is_down);
    let mut odd = false;
    server.behave(move |_| {
        odd = !odd;
        match (down.load(Ordering::Relaxed), odd) {
            (false, _) => Answer::Kept,
            (true, false) => Answer::status(503),
            (true, true) => Answer::Drop,
        }
    });
    let mut daemon = Setup::new().plugins(&["csv", "misbehave"]).config(&CONFIG.replace("URL", &server.url())).start();
    wait_for("the folder of the second route", || daemon.path("sent").exists().then_some(()));
    let mut seen = Seen::default();
    let (began, end) = (Instant::now(), Duration::from_secs_f64(minutes * 60.0));
    let mut restarts = [(10, "kill"), (20, "restart")].into_iter().peekable();
    let (mut next_sample, mut next_drop, mut next_outage, mut versions) = (0.0, 10.0, 15.0, 0);
    while began.elapsed() < end {
        let now = began.elapsed().as_secs_f64();
        if let Some((_, how)) = restarts.next_if(|(at, _)| now >= f64::from(*at)) {
            seen.marks.push((now, how));
            if how == "kill" {
                daemon.kill()
            } else {
                daemon.terminate();
            }
            daemon = daemon.restart(|setup| setup);
            wait_for("the daemon to be back", || daemon.log().contains("is ready").then_some(()));
        }
        if now >= next_drop {
            (next_drop, versions) = (now + 12.0, versions + 1);
            daemon.drop_plugin("misbehave.wasm", misbehave(&letters(versions)));
        }
        if now >= next_outage {
            let down = !is_down.fetch_xor(true, Ordering::Relaxed);
            next_outage = now + if down { 5.0 } else { 20.0 };
            seen.marks.push((now, if down { "down" } else { "up" }));
        }
        if now >= next_sample {
            next_sample = now + 1.0;
            seen.samples.push(sample(&daemon, now));
        }
        let waiting = (seen.dropped.len() % 25 == 0).then(|| daemon.metric("queue_depth{queue_name=\"converter_queue\"}")).flatten();
        if waiting.is_none_or(|waiting| waiting < MOST_WAITING) {
            drop_one(&daemon, &mut seen.dropped);
        }
        thread::sleep(PACE);
    }
    is_down.store(false, Ordering::Relaxed);
    let jobs = all_settled(&daemon, seen.dropped.len());
    let repeated = nothing_is_lost(&daemon, &server, &seen.dropped, &jobs);
    report(&seen, &jobs, repeated, minutes);
    nothing_grows(&seen);
}

fn letters(number: usize) -> String {
    ['S', char::from(b'A' + (number / 676 % 26) as u8), char::from(b'A' + (number / 26 % 26) as u8), char::from(b'A' + (number % 26) as u8)]
        .iter()
        .collect()
}

fn drop_one(daemon: &Daemon, dropped: &mut BTreeMap<String, Fate>) {
    let number = dropped.len();
    // Equal content comes again now and then, for the cache.
    let table = || format!("serial,value\nSN{},{}\n", if number.is_multiple_of(10) { 0 } else { number }, number % 7);
    let (inbox, name, content, fate) = match number % 40 {
        39 => ("in", format!("panic.{number}.mis"), String::new(), Fate::Failed),
        3 | 11 | 19 | 27 | 35 => ("in", format!("echo.{number}.mis"), number.to_string(), Fate::Delivered),
        part if part % 4 == 1 => ("sent", format!("{number}.csv"), format!("serial\nSN{number}\n"), Fate::Sent),
        _ => ("in", format!("{number}.csv"), table(), Fate::Delivered),
    };
    daemon.drop_into(inbox, &name, content);
    dropped.insert(name, fate);
}

fn sample(daemon: &Daemon, seconds: f64) -> Sample {
    let process = format!("/proc/{}", daemon.id());
    let status = fs::read_to_string(format!("{process}/status")).unwrap();
    let field = |name: &str| -> f64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    Sample {
        seconds,
        memory_mb: field("VmRSS:") / 1e3,
        descriptors: fs::read_dir(format!("{process}/fd")).unwrap().count() as f64,
        threads: field("Threads:"),
        settled: daemon.metric("queue_items_processed_total{queue_name=\"delivery_queue\"}").unwrap_or_default(),
    }
}

/// Every job, by its path, once all have ended.
fn all_settled(daemon: &Daemon, files: usize) -> BTreeMap<String, Value> {
    let limit = (2 * files).to_string();
    let jobs = || {
        let (code, answer, errors) = run(&daemon.path(""), &["queue", "list", "--state", "state", "--limit", &limit, "--json"]);
        assert_eq!(code, 0, "{errors}");
        serde_json::from_str::<Vec<Value>>(&answer).unwrap()
    };
    wait_for("every job to be settled", || {
        let jobs = jobs();
        let settled = jobs.iter().all(|job| job["state"] == "settled");
        if !settled || jobs.len() < files {
            thread::sleep(Duration::from_millis(500));
            return None;
        }
        Some(jobs.into_iter().map(|job| (job["path"].as_str().unwrap().to_owned(), job)).collect())
    })
}

/// Gives how often the server got something once more.
fn nothing_is_lost(daemon: &Daemon, server: &Receiver, dropped: &BTreeMap<String, Fate>, jobs: &BTreeMap<String, Value>) -> usize {
    assert_eq!(jobs.len(), dropped.len());
    for (name, fate) in dropped {
        let expected = if *fate == Fate::Failed { "failed" } else { "converted" };
        assert_eq!(jobs[name]["outcome"], expected, "{name}: {:#}", jobs[name]);
    }
    let of = |wanted: Fate| dropped.iter().filter(move |(_, fate)| **fate == wanted).map(|(name, _)| name);
    let documents = daemon.documents();
    let delivered: BTreeSet<String> = documents.keys().map(|name| without_id(name).to_owned()).filter(|name| name != "echo.json").collect();
    let expected: BTreeSet<String> =
        of(Fate::Delivered).filter(|name| name.ends_with(".csv")).map(|name| name.replace(".csv", ".jsonl")).collect();
    assert_eq!(delivered, expected);
    assert_eq!(documents.len(), of(Fate::Delivered).count(), "each once");
    let kept = server.kept();
    let sent: BTreeSet<&str> = kept.iter().map(|request| request.body.as_str()).collect();
    assert_eq!(sent.len(), of(Fate::Sent).count());
    let ids: BTreeSet<&str> = kept.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(ids.len(), sent.len(), "what comes again has the same id");
    wait_for("an empty spool", || daemon.spooled().is_empty().then_some(()));
    kept.len() - sent.len()
}

/// The mean of a value over the first span after the warm-up, and over the last.
fn means(samples: &[Sample], value: impl Fn(&Sample) -> f64) -> (f64, f64) {
    let end = samples.last().unwrap().seconds;
    let mean = |from: f64, to: f64| {
        let values: Vec<f64> = samples.iter().filter(|sample| (from..=to).contains(&sample.seconds)).map(&value).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    let warm = WARM.as_secs_f64();
    (mean(warm, warm + SPAN), mean(end - SPAN, end))
}

fn nothing_grows(seen: &Seen) {
    for (what, value) in MEASURES {
        let (first, last) = means(&seen.samples, value);
        assert!(last <= first * MOST_GROWTH, "{what}: {first:.1} after the first minute, {last:.1} in the end");
    }
}

fn report(seen: &Seen, jobs: &BTreeMap<String, Value>, repeated: usize, minutes: f64) {
    let moment = |job: &Value, key: &str| job[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let mut latencies: Vec<i64> = jobs
        .iter()
        .filter(|(name, _)| seen.dropped[*name] == Fate::Delivered)
        .map(|(_, job)| moment(job, "finished_at") - moment(job, "queued_at"))
        .collect();
    latencies.sort_unstable();
    let percentile = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize];
    println!("{minutes} minutes, {} files, {:.0} a second", jobs.len(), jobs.len() as f64 / minutes / 60.0);
    println!("lost: 0; there twice: 0; sent once more, with the same id: {repeated}");
    println!("from queued to converted: p50 {} ms, p95 {} ms, p99 {} ms", percentile(0.5), percentile(0.95), percentile(0.99));
    println!("{:<16}{:>24}{:>16}", "", "after the first minute", "in the end");
    let curve = |value: fn(&Sample) -> f64| seen.samples.iter().map(|sample| (sample.seconds, value(sample))).collect::<Vec<_>>();
    for (title, value) in MEASURES {
        let (first, last) = means(&seen.samples, value);
        println!("{title:<16}{first:>24.1}{last:>16.1}");
    }
    let mut curves: Vec<Curve<'_>> = MEASURES.iter().map(|(title, value)| Curve { title, points: curve(*value) }).collect();
    let rate = |pair: &[Sample]| (pair[1].seconds, (pair[1].settled - pair[0].settled).max(0.0) / (pair[1].seconds - pair[0].seconds));
    curves.push(Curve { title: "files settled a second", points: seen.samples.windows(2).map(rate).collect() });
    let folder = target_folder().join("soak");
    fs::create_dir_all(&folder).unwrap();
    fs::write(Path::new(&folder).join("soak.svg"), svg(&curves, &seen.marks)).unwrap();
    println!("drawn in {}", folder.join("soak.svg").display());
}
