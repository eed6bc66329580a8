//! From complete files to durable jobs: read each once for its digest, make sure that it did not change meanwhile, and queue them together.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::copies::Copies;
use super::pressure::Pressure;
use crate::digest::sha256_reader;
use crate::events::{Event, JobFile};
use crate::files::path_to_bytes;
use crate::identity::FileIdentity;
use crate::intake::{Arrival, ArrivalError, Arrivals, Room};
use crate::metrics::Metrics;
use crate::queue::{Enqueued, JobId, NewJob, Origin, Queue, QueueError, Store};

/// Queues what the intakes find.
pub(super) struct QueueArrivals {
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    pressure: Arc<Pressure>,
    /// Ends the reading of files that nobody waits for any more.
    draining: Arc<AtomicBool>,
    copies: Copies,
}

type Answer = Result<(), ArrivalError>;

impl QueueArrivals {
    pub(super) fn new(
        store: Arc<Store>,
        metrics: Arc<Metrics>,
        pressure: Arc<Pressure>,
        draining: Arc<AtomicBool>,
        state_dir: PathBuf,
    ) -> Self {
        QueueArrivals { store, metrics, pressure, draining, copies: Copies::new(state_dir) }
    }

    /// Reads a file, and makes a job of it if it did not change meanwhile.
    fn read(&self, arrival: &Arrival) -> Result<NewJob, ArrivalError> {
        let path = arrival.path.display();
        let unreadable = |error: io::Error| ArrivalError::Retry(format!("cannot read {path}: {error}"));
        let file = File::open(&arrival.path).map_err(unreadable)?;
        // What is opened must be what was found complete: in between, a name can come to stand for another file, even outside the intake.
        if FileIdentity::of(&file.metadata().map_err(unreadable)?) != arrival.identity {
            return Err(ArrivalError::Retry(format!("{path} was replaced before it was read")));
        }
        let mut reader = UntilDraining { file, draining: &self.draining };
        let (digest, read) = match sha256_reader(&mut reader) {
            Err(_) if self.draining.load(Ordering::Relaxed) => return Err(ArrivalError::Later),
            other => other.map_err(unreadable)?,
        };
        // By its name and not by the open file: a job that the queue had a moment ago may have been settled since, and the file moved away.
        let now = FileIdentity::of(&fs::metadata(&arrival.path).map_err(unreadable)?);
        if now != arrival.identity || read != arrival.identity.size {
            return Err(ArrivalError::Retry(format!("{path} changed while it was read")));
        }
        let route = &arrival.route;
        let below = arrival.path.strip_prefix(&route.intake.path).unwrap_or(&arrival.path);
        let id = |digest: &str| JobId::new(&route.name, &path_to_bytes(below), arrival.identity.modified_ns, digest);
        let (id, members) = if arrival.members.is_empty() {
            (id(&digest), Vec::new())
        } else {
            let coming = self.copies.copy(arrival, &self.draining)?;
            let id = id(&coming.digest(&digest));
            let members = self.copies.keep(coming, &id)?;
            (id, members)
        };
        Ok(NewJob {
            id,
            route: route.name.clone(),
            path: arrival.relative.clone(),
            location: arrival.path.clone(),
            identity: arrival.identity,
            digest,
            priority: route.priority,
            origin: Origin::Folder,
            members,
            media_type: None,
            trace: None,
        })
    }

    fn try_all(&self, arrivals: &[Arrival]) -> Result<Vec<Answer>, QueueError> {
        let known = self.store.known(arrivals.iter().map(|arrival| (arrival.path.clone(), arrival.identity)).collect())?;
        let mut jobs = Vec::new();
        let mut answers: Vec<Option<Answer>> = Vec::with_capacity(arrivals.len());
        for (arrival, known) in arrivals.iter().zip(known) {
            let read = match known {
                // Whether its members are known, only their digests tell.
                Some(_) if !arrival.members.is_empty() => self.read(arrival).map(Some),
                None => self.read(arrival).map(Some),
                Some(Enqueued::Settling) => Err(ArrivalError::Later),
                Some(_) => Ok(None),
            };
            answers.push(match read {
                Ok(Some(job)) => {
                    jobs.push(job);
                    None
                }
                Ok(None) => {
                    self.metrics.intake_file(&arrival.route.name, "duplicate");
                    Some(Ok(()))
                }
                Err(error) => Some(Err(error)),
            });
        }
        let mut queued = if jobs.is_empty() { Vec::new() } else { self.enqueue(jobs)? }.into_iter();
        Ok(answers.into_iter().map(|answer| answer.or_else(|| queued.next()).unwrap_or(Err(ArrivalError::Later))).collect())
    }

    fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Answer>, QueueError> {
        let names: Vec<(JobId, String, String, u64)> =
            jobs.iter().map(|job| (job.id.clone(), job.route.clone(), job.path.clone(), job.identity.size)).collect();
        let enqueued = self.store.enqueue_all(jobs)?;
        let mut answers = Vec::with_capacity(names.len());
        for ((id, route, file, bytes), enqueued) in names.into_iter().zip(enqueued) {
            tracing::debug!(job = %id, route, file, ?enqueued, "arrived");
            answers.push(if enqueued == Enqueued::Settling {
                Err(ArrivalError::Later)
            } else {
                self.metrics.intake_file(&route, if enqueued == Enqueued::Known { "duplicate" } else { "queued" });
                if enqueued != Enqueued::Known {
                    let job = || JobFile { job: id.to_string(), route, file };
                    self.metrics.tell(|| Event::JobQueued { job: job(), origin: Origin::Folder.as_str(), bytes });
                }
                Ok(())
            });
        }
        Ok(answers)
    }
}

impl Arrivals for QueueArrivals {
    fn arrived(&self, arrivals: &[Arrival]) -> Vec<Answer> {
        match self.try_all(arrivals) {
            Ok(answers) => {
                self.pressure.took(answers.iter().filter(|answer| answer.is_ok()).count());
                answers
            }
            Err(error) => arrivals.iter().map(|_| Err(ArrivalError::Retry(error.to_string()))).collect(),
        }
    }

    fn room(&self, route: &str) -> Room {
        self.pressure.room_for(route)
    }
}

/// A file that stops giving bytes when the daemon stops: reading a large one may take longer than it has to end.
struct UntilDraining<'a> {
    file: File,
    draining: &'a AtomicBool,
}

impl Read for UntilDraining<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(io::Error::other("the daemon is stopping"));
        }
        self.file.read(buffer)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::config::{Config, Route};
    use crate::metrics::Instance;
    use crate::queue::{Lane, Queue};

    struct Station {
        dir: tempfile::TempDir,
        store: Arc<Store>,
        arrivals: QueueArrivals,
        route: Arc<Route>,
    }

    impl Station {
        fn new() -> Station {
            let dir = tempfile::tempdir().unwrap();
            let inbox = dir.path().join("in");
            fs::create_dir(&inbox).unwrap();
            let store = Arc::new(Store::open(&dir.path().join("queue.db")).unwrap().store);
            let metrics = Arc::new(Metrics::new(&Instance { instance_id: "i".into(), station: String::new(), location: String::new() }));
            let config = Arc::new(Config { state_dir: dir.path().into(), min_free_bytes: 0, ..Config::default() });
            let pressure = Arc::new(Pressure::new(config, Arc::clone(&store), Arc::clone(&metrics)));
            let arrivals = QueueArrivals::new(Arc::clone(&store), metrics, pressure, Arc::default(), dir.path().into());
            let route = Arc::new(Route::new("r", &inbox, dir.path().join("out")));
            Station { dir, store, arrivals, route }
        }

        fn put(&self, name: &str, content: &str) -> Arrival {
            let path = self.dir.path().join("in").join(name);
            fs::write(&path, content).unwrap();
            self.arrival(path)
        }

        fn arrival(&self, path: PathBuf) -> Arrival {
            let relative = path.file_name().unwrap().to_string_lossy().into_owned();
            Arrival { route: Arc::clone(&self.route), identity: FileIdentity::at(&path).unwrap(), path, relative, members: Vec::new() }
        }

        fn queued(&self) -> Vec<String> {
            let lanes: Arc<[Lane]> = [Lane { route: "r".into(), at_most: None, converter: None, converter_at_most: None }].into();
            std::iter::from_fn(|| self.store.claim(&lanes).unwrap()).map(|job| job.path).collect()
        }
    }

    #[test]
    fn files_of_a_batch_are_answered_for_and_claimed_in_their_order() {
        let station = Station::new();
        let mut batch: Vec<Arrival> = ["z", "gone", "a", "changed", "m"].map(|name| station.put(name, name)).into();
        fs::remove_file(&batch[1].path).unwrap();
        fs::write(&batch[3].path, "other").unwrap();
        let answers = station.arrivals.arrived(&batch);
        let said: Vec<String> =
            answers.iter().map(|answer| answer.as_ref().map_or_else(ToString::to_string, |()| "taken".into())).collect();
        assert_eq!([&said[0], &said[2], &said[4]], ["taken"; 3]);
        assert!(said[1].contains("cannot read") && said[3].contains("was replaced before it was read"), "{said:?}");
        // Equal bytes under another name are another job; the same file is not.
        batch.push(station.put("twin", "z"));
        batch.remove(3);
        batch.remove(1);
        assert!(station.arrivals.arrived(&batch).iter().all(Result::is_ok));
        assert_eq!(station.queued(), ["z", "a", "m", "twin"]);
    }

    #[test]
    fn nothing_is_read_once_the_daemon_stops() {
        let station = Station::new();
        let arrival = station.put("a", "a");
        station.arrivals.draining.store(true, Ordering::Relaxed);
        assert_eq!(station.arrivals.arrived(&[arrival]), [Err(ArrivalError::Later)]);
        assert_eq!(station.queued(), [""; 0]);
    }

    /// Drops files and has them queued in batches of so many; how long that took.
    fn time_to_queue(files: u32, batch: usize) -> Duration {
        let station = Station::new();
        let content = "x".repeat(1_000);
        let arrivals: Vec<Arrival> = (0..files).map(|number| station.put(&number.to_string(), &content)).collect();
        let began = Instant::now();
        for batch in arrivals.chunks(batch) {
            assert!(station.arrivals.arrived(batch).iter().all(Result::is_ok));
        }
        let took = began.elapsed();
        assert_eq!(station.store.fill().unwrap().jobs, u64::from(files));
        took
    }

    /// `DROPFORGE_FILES=10000 cargo test -p dropforge --lib whatever_the_size_of_a_batch -- --nocapture` says by how much.
    #[test]
    fn all_files_are_queued_whatever_the_size_of_a_batch() {
        let files = std::env::var("DROPFORGE_FILES").ok().and_then(|files| files.parse().ok()).unwrap_or(1_000);
        let (single, together) = (time_to_queue(files, 1), time_to_queue(files, 256));
        let rate = |took: Duration| f64::from(files) / took.as_secs_f64();
        println!(
            "{files} files of 1 kB queued: {:.0}/s one by one, {:.0}/s in batches of 256: {:.1} times as many",
            rate(single),
            rate(together),
            single.as_secs_f64() / together.as_secs_f64()
        );
    }
}
