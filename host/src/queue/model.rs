//! The queue against a model of it: whatever is done in whatever order, through crashes and jumps of the clock, both hold the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;

use super::transitions::CLOCK_SKEW_MS;
use super::*;
use crate::identity::FileIdentity;
use crate::sandbox::Document;

/// The unit of the model's time. Whatever a case takes in real time is less.
const STEP_MS: i64 = 600_000;
const ROUTES: [&str; 3] = ["a", "b", "c"];
/// Jobs of a route that run at the same time.
const BOUNDS: [Option<u32>; 3] = [None, Some(1), Some(2)];

#[derive(Debug, Clone)]
enum Step {
    Enqueue { file: u8, priority: u8 },
    Claim,
    Commit { which: Index, documents: u8, claim_next: bool },
    Retry { which: Index, steps: i64 },
    Suspend { which: Index, steps: i64 },
    WaitForConverter { which: Index },
    PluginsChanged,
    Deliver { which: Index },
    SettleSource { which: Index },
    Crash,
    OrderlyStop,
    ClockJump { steps: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    let which = any::<Index>;
    prop_oneof![
        6 => (0..24u8, 1..=10u8).prop_map(|(file, priority)| Step::Enqueue { file, priority }),
        6 => Just(Step::Claim),
        4 => (which(), 0..3u8, any::<bool>()).prop_map(|(which, documents, claim_next)| Step::Commit { which, documents, claim_next }),
        2 => (which(), 0..5i64).prop_map(|(which, steps)| Step::Retry { which, steps }),
        1 => (which(), 1..5i64).prop_map(|(which, steps)| Step::Suspend { which, steps }),
        1 => which().prop_map(|which| Step::WaitForConverter { which }),
        1 => Just(Step::PluginsChanged),
        2 => which().prop_map(|which| Step::Deliver { which }),
        2 => which().prop_map(|which| Step::SettleSource { which }),
        1 => Just(Step::Crash),
        1 => Just(Step::OrderlyStop),
        2 => (-6..8i64).prop_map(|steps| Step::ClockJump { steps }),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Due,
    /// Until a moment in steps; none where something must release it.
    Waits(Option<i64>),
    Running,
    Committed {
        source_settled: bool,
        delivered: bool,
    },
    Settled,
}

#[derive(Debug, Clone)]
struct Modelled {
    route: usize,
    /// In milliseconds, but for what a case takes in real time.
    rank: i64,
    attempts: u32,
    crashes: u32,
    documents: u8,
    state: State,
}

/// What the queue should be.
#[derive(Default)]
struct Model {
    jobs: BTreeMap<u8, Modelled>,
    now: i64,
}

impl Model {
    /// A step of a committed job's way out; the last ends it.
    fn out(&mut self, file: u8, step: impl Fn(&mut bool, &mut bool)) {
        let job = self.jobs.get_mut(&file).unwrap();
        if let State::Committed { source_settled, delivered } = &mut job.state {
            step(source_settled, delivered);
            if *source_settled && *delivered {
                job.state = State::Settled;
            }
        }
    }

    fn in_state(&self, is: impl Fn(State) -> bool) -> Vec<u8> {
        self.jobs.iter().filter(|(_, job)| is(job.state)).map(|(file, _)| *file).collect()
    }

    /// The files of which one is claimed next: those of equal rank, as far as the model can tell.
    fn next(&mut self) -> Vec<u8> {
        for job in self.jobs.values_mut() {
            if matches!(job.state, State::Waits(Some(until)) if until <= self.now) {
                job.state = State::Due;
            }
        }
        let running = |route: usize| self.jobs.values().filter(|job| job.route == route && job.state == State::Running).count();
        let has_room = |route: usize| BOUNDS[route].is_none_or(|bound| running(route) < bound as usize);
        let due: Vec<(i64, u8)> = self
            .jobs
            .iter()
            .filter(|(_, job)| job.state == State::Due && has_room(job.route))
            .map(|(file, job)| (job.rank, *file))
            .collect();
        let first = due.iter().map(|(rank, _)| *rank).min();
        due.into_iter().filter(|(rank, _)| Some(*rank) == first).map(|(_, file)| file).collect()
    }

    fn enqueue(&mut self, file: u8, priority: u8) -> Enqueued {
        let (again, crashes) = match self.jobs.get(&file).map(|job| job.state) {
            None => (Enqueued::New, 0),
            Some(State::Settled) => (Enqueued::Again, 0),
            Some(State::Committed { .. }) => return Enqueued::Settling,
            Some(_) => return Enqueued::Known,
        };
        let rank = self.now * STEP_MS + i64::from(priority - 1) * 3_600_000;
        self.jobs.insert(
            file,
            Modelled { route: usize::from(file) % ROUTES.len(), rank, attempts: 0, crashes, documents: 0, state: State::Due },
        );
        again
    }

    fn claimed(&mut self, file: u8) {
        let job = self.jobs.get_mut(&file).unwrap();
        (job.state, job.attempts) = (State::Running, job.attempts + 1);
    }
}

fn new_job(file: u8, priority: u8) -> NewJob {
    let (route, path) = (ROUTES[usize::from(file) % ROUTES.len()], format!("{file}.csv"));
    NewJob {
        id: id_of(file),
        route: route.into(),
        location: PathBuf::from("/in").join(&path),
        path,
        identity: FileIdentity { device: 1, inode: file.into(), size: 1, modified_ns: 1 },
        digest: "d".into(),
        priority,
        origin: Origin::Folder,
        members: Vec::new(),
        media_type: None,
        trace: None,
    }
}

fn id_of(file: u8) -> JobId {
    JobId::new("r", &[file], 1, "d")
}

fn committed(documents: u8) -> Committed {
    let document = |number| Document {
        number,
        media_type: "text/plain".into(),
        name: "x".into(),
        attributes: Vec::new(),
        key: None,
        bytes: 7,
        digest: None,
    };
    Committed {
        outcome: Outcome::Converted,
        error_type: None,
        converter: "csv".into(),
        plugin: ("1".into(), "p".into()),
        options: None,
        detail: serde_json::json!({}),
        documents: (0..documents.into()).map(document).collect(),
        destinations: vec!["out".into()],
    }
}

/// The store, and the model beside it.
struct Pair {
    folder: tempfile::TempDir,
    store: Option<Store>,
    model: Model,
    lanes: Arc<[Lane]>,
}

impl Pair {
    fn new() -> Pair {
        let folder = tempfile::tempdir().unwrap();
        let lane = |(route, at_most): (&str, Option<u32>)| Lane { route: route.into(), at_most, converter: None, converter_at_most: None };
        let lanes = ROUTES.into_iter().zip(BOUNDS).map(lane).collect();
        let mut pair = Pair { folder, store: None, model: Model::default(), lanes };
        pair.reopen();
        pair
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn reopen(&mut self) {
        self.store = None;
        self.store = Some(Store::open(&self.folder.path().join("queue.db")).unwrap().store);
        self.set_clock();
    }

    fn set_clock(&self) {
        let skew = self.model.now * STEP_MS;
        let set = move || CLOCK_SKEW_MS.set(skew);
        self.store()
            .run(move |_| {
                set();
                Ok(())
            })
            .unwrap();
    }

    /// The moment in the store's time.
    fn moment(&self, steps_from_now: i64) -> i64 {
        now_ms() + (self.model.now + steps_from_now) * STEP_MS
    }

    fn record(&self, step: Progress) {
        self.store().record(vec![step], |_| {}).unwrap();
    }

    fn check_claimed(&mut self, claimed: Option<Job>) {
        let candidates = self.model.next();
        match claimed {
            None => assert!(candidates.is_empty(), "nothing was claimed, {candidates:?} are due"),
            Some(job) => {
                let file = (0..24).find(|file| id_of(*file) == job.id).unwrap();
                assert!(candidates.contains(&file), "{file} was claimed, {candidates:?} come first");
                self.model.claimed(file);
                let model = &self.model.jobs[&file];
                assert_eq!((job.attempts, job.crashes), (model.attempts, model.crashes));
            }
        }
    }

    fn apply(&mut self, step: Step) {
        let running = self.model.in_state(|state| state == State::Running);
        let committed_files = self.model.in_state(|state| matches!(state, State::Committed { .. }));
        let pick = |which: Index, files: &[u8]| if files.is_empty() { None } else { Some(*which.get(files)) };
        match step {
            Step::Enqueue { file, priority } => {
                assert_eq!(self.store().enqueue(new_job(file, priority)).unwrap(), self.model.enqueue(file, priority));
            }
            Step::Claim => {
                let claimed = self.store().claim(&self.lanes).unwrap();
                self.check_claimed(claimed);
            }
            Step::Commit { which, documents, claim_next } => {
                let Some(file) = pick(which, &running) else { return };
                self.store().commit(&id_of(file), committed(documents), || ()).unwrap();
                let job = self.model.jobs.get_mut(&file).unwrap();
                job.documents = documents;
                job.state = State::Committed { source_settled: false, delivered: false };
                self.store().flush().unwrap();
                if claim_next {
                    let next = self.store().claim(&self.lanes).unwrap();
                    self.check_claimed(next);
                }
            }
            Step::Retry { which, steps } => {
                let Some(file) = pick(which, &running) else { return };
                self.store().defer(&id_of(file), self.moment(steps), Waiting::Retry, || ()).unwrap();
                self.store().flush().unwrap();
                self.model.jobs.get_mut(&file).unwrap().state = State::Waits(Some(self.model.now + steps));
            }
            Step::Suspend { which, steps } => {
                let Some(file) = pick(which, &running) else { return };
                self.store().defer(&id_of(file), self.moment(steps), Waiting::Suspended { awaits: Vec::new() }, || ()).unwrap();
                self.store().flush().unwrap();
                let job = self.model.jobs.get_mut(&file).unwrap();
                (job.state, job.attempts) = (State::Waits(Some(self.model.now + steps)), job.attempts - 1);
            }
            Step::WaitForConverter { which } => {
                let Some(file) = pick(which, &running) else { return };
                // What runs while the plugins change asks once more.
                let changed: bool = self
                    .store()
                    .read(|connection| {
                        connection.query_row("SELECT waiting IS NOT NULL FROM jobs WHERE id = ?1", [id_of(file).as_str()], |row| row.get(0))
                    })
                    .unwrap();
                self.store().defer(&id_of(file), Waiting::NEVER_DUE_MS, Waiting::Converter, || ()).unwrap();
                self.store().flush().unwrap();
                let job = self.model.jobs.get_mut(&file).unwrap();
                (job.state, job.attempts) = (if changed { State::Due } else { State::Waits(None) }, job.attempts - 1);
            }
            Step::PluginsChanged => {
                self.store().plugins_changed(|_, _, _| false).unwrap();
                for job in self.model.jobs.values_mut().filter(|job| job.state == State::Waits(None)) {
                    job.state = State::Due;
                }
            }
            Step::Deliver { which } => {
                let Some(file) = pick(which, &committed_files) else { return };
                self.record(Progress::Delivered { job: id_of(file), destination: "out".into() });
                self.model.out(file, |_, delivered| *delivered = true);
            }
            Step::SettleSource { which } => {
                let Some(file) = pick(which, &committed_files) else { return };
                self.record(Progress::SourceSettled { job: id_of(file), location: None, number: None, kept: false });
                self.model.out(file, |source_settled, _| *source_settled = true);
            }
            Step::Crash => {
                self.reopen();
                for job in self.model.jobs.values_mut() {
                    match job.state {
                        State::Running => (job.state, job.crashes) = (State::Due, job.crashes + 1),
                        State::Waits(None) => job.state = State::Due,
                        _ => {}
                    }
                }
            }
            Step::OrderlyStop => {
                self.store().release_running().unwrap();
                self.reopen();
                for job in self.model.jobs.values_mut() {
                    match job.state {
                        State::Running => (job.state, job.attempts) = (State::Due, job.attempts - 1),
                        State::Waits(None) => job.state = State::Due,
                        _ => {}
                    }
                }
            }
            Step::ClockJump { steps } => {
                self.model.now += steps;
                self.set_clock();
            }
        }
    }

    /// Everything that can be seen of the queue is what the model says.
    fn check(&self) {
        let model = &self.model;
        let count = |is: &dyn Fn(State) -> bool| model.in_state(is).len() as u64;
        let sizes = self.store().sizes().unwrap();
        let waiting: u64 = sizes.waiting.iter().map(|(_, count)| count).sum();
        assert_eq!(sizes.due + waiting, count(&|state| matches!(state, State::Due | State::Waits(_))));
        assert_eq!(sizes.deliverable + sizes.backing_off + sizes.refused, count(&|state| matches!(state, State::Committed { .. })));
        let in_spool = |job: &&Modelled| matches!(job.state, State::Committed { .. });
        let spooled: u64 = model.jobs.values().filter(in_spool).map(|job| u64::from(job.documents) * 7).sum();
        assert_eq!(sizes.spool_bytes, spooled);
        assert_eq!(self.store().in_spool().unwrap().len() as u64, count(&|state| matches!(state, State::Committed { .. })));
        let running = self.store().jobs(&Filter { state: Some("running".into()), ..Filter::default() }, 100).unwrap().len() as u64;
        assert_eq!(running, count(&|state| state == State::Running));
        let settled = self.store().jobs(&Filter { state: Some("settled".into()), ..Filter::default() }, 100).unwrap();
        assert_eq!(settled.len() as u64, count(&|state| state == State::Settled));
        for job in settled {
            let file = (0..24).find(|file| id_of(*file).as_str() == job.id).unwrap();
            assert_eq!(job.documents, u64::from(model.jobs[&file].documents));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("DROPFORGE_MODEL_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(48),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_queue_is_what_the_model_says(steps in prop::collection::vec(step(), 1..80)) {
        let mut pair = Pair::new();
        for step in steps {
            pair.apply(step);
            pair.check();
        }
    }
}
