//! Intakes on real folders: what the tests of this folder share.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod files;
mod folders;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;

use super::*;
use crate::config::{self, Take, Watch};
use crate::metrics::Instance;

/// So long that a test which needs it fails.
const NEVER: f64 = 3_600.0;

/// How long a condition may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

type Answer = dyn Fn(&Arrival) -> Result<(), ArrivalError> + Send + Sync;

/// Records what arrives, and answers as it is told.
struct Recorder {
    arrivals: Mutex<Vec<Arrival>>,
    more: Condvar,
    answer: Box<Answer>,
    room: Mutex<Room>,
    /// How many came together.
    batches: Mutex<Vec<usize>>,
}

impl Arrivals for Recorder {
    fn arrived(&self, arrivals: &[Arrival]) -> Vec<Result<(), ArrivalError>> {
        let answer = |arrival: &Arrival| {
            let answer = (self.answer)(arrival);
            self.arrivals.lock().unwrap().push(arrival.clone());
            self.more.notify_all();
            answer
        };
        self.batches.lock().unwrap().push(arrivals.len());
        arrivals.iter().map(answer).collect()
    }

    fn room(&self, _: &str) -> Room {
        self.room.lock().unwrap().clone()
    }
}

impl Recorder {
    /// The relative paths, as soon as there are `count`.
    fn wait(&self, count: usize) -> Vec<String> {
        let guard = self.arrivals.lock().unwrap();
        let (guard, timeout) = self.more.wait_timeout_while(guard, PATIENCE, |arrivals| arrivals.len() < count).unwrap();
        let names: Vec<String> = guard.iter().map(|arrival| arrival.relative.clone()).collect();
        assert!(!timeout.timed_out(), "waited for {count} arrivals, got {names:?}");
        names
    }

    fn count(&self) -> usize {
        self.arrivals.lock().unwrap().len()
    }

    fn last(&self) -> Arrival {
        self.arrivals.lock().unwrap().last().unwrap().clone()
    }
}

/// A folder that is about to be watched.
struct Station {
    dir: TempDir,
    inbox: PathBuf,
    route: Route,
    metrics: Arc<Metrics>,
    report: Arc<Report>,
}

impl Station {
    /// With an intake that hears of changes and does not rescan, unless `configure` changes that.
    fn new(configure: impl FnOnce(&mut config::Intake)) -> Station {
        let dir = tempfile::tempdir().unwrap();
        let inbox = dir.path().join("in");
        fs::create_dir(&inbox).unwrap();
        let mut route = Route::new("r", &inbox, dir.path().join("out"));
        route.intake.rescan_seconds = NEVER;
        route.intake.quiet_seconds = 0.3;
        configure(&mut route.intake);
        let metrics = Arc::new(Metrics::new(&Instance { instance_id: "i".into(), station: "s".into(), location: "l".into() }));
        Station { dir, inbox, route, metrics, report: Arc::default() }
    }

    fn start(&self) -> (Intake, Arc<Recorder>) {
        self.start_with(|_| Ok(()))
    }

    fn start_with(&self, answer: impl Fn(&Arrival) -> Result<(), ArrivalError> + Send + Sync + 'static) -> (Intake, Arc<Recorder>) {
        let recorder = Arc::new(Recorder {
            arrivals: Mutex::default(),
            more: Condvar::new(),
            answer: Box::new(answer),
            room: Mutex::new(Room::Free),
            batches: Mutex::default(),
        });
        let arrivals = Arc::clone(&recorder) as Arc<dyn Arrivals>;
        let intake = Intake::start(Arc::new(self.route.clone()), arrivals, Arc::clone(&self.metrics), Arc::clone(&self.report)).unwrap();
        (intake, recorder)
    }

    /// Drops a file, and gives its path.
    fn drop_file(&self, name: &str) -> PathBuf {
        let path = self.inbox.join(name);
        fs::write(&path, name).unwrap();
        path
    }

    /// Drops a file that was modified at this second.
    fn drop_old(&self, name: &str, second: u64) -> PathBuf {
        let path = self.drop_file(name);
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        OpenOptions::new().append(true).open(&path).unwrap().set_modified(modified).unwrap();
        path
    }

    /// Waits until the metrics have this line.
    fn wait_for_metric(&self, line: &str) {
        wait_until(line, || self.metrics.exposition().lines().any(|there| there == line));
    }
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "waited for: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

const POLLING: fn(&mut config::Intake) = |intake| {
    intake.watch = Watch::Poll;
    intake.rescan_seconds = 0.02;
};
