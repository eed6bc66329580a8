//! The queue against a real file, with restarts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};

use super::*;
use crate::identity::FileIdentity;
use crate::sandbox::{Document, ErrorType};

fn job(path: &str, priority: u8) -> NewJob {
    let identity = FileIdentity { device: u64::MAX, inode: 7, size: 3, modified_ns: -1 };
    NewJob {
        id: JobId::new("r", path.as_bytes(), identity.modified_ns, "d"),
        route: "r".into(),
        path: path.into(),
        location: Path::new("/in").join(path),
        identity,
        digest: "d".into(),
        priority,
        origin: Origin::Folder,
        members: Vec::new(),
        media_type: None,
    }
}

fn converted(documents: u32) -> Committed {
    let document = |number| Document {
        number,
        media_type: "text/plain".into(),
        name: format!("{number}.txt"),
        attributes: vec![("a".into(), "1".into())],
        key: None,
        bytes: 10,
        digest: Some(format!("{number:064}")),
    };
    Committed {
        outcome: Outcome::Converted,
        error_type: None,
        converter: "csv".into(),
        plugin: ("1.0.0".into(), "abc".into()),
        options: Some("{}".into()),
        detail: serde_json::json!({}),
        documents: (0..documents).map(document).collect(),
        destinations: vec!["folder:/out".into()],
    }
}

fn lane(route: &str) -> Lane {
    Lane { route: route.into(), at_most: None, converter: None, converter_at_most: None }
}

fn claim(store: &Store) -> Option<Job> {
    store.claim(&Arc::from([lane("r")])).unwrap()
}

/// Records what became of a job, durably.
fn ended(store: &Store, id: &JobId, committed: Committed) {
    store.commit(id, committed, || ()).unwrap();
    store.flush().unwrap();
}

impl Store {
    /// Adds one job.
    pub(super) fn enqueue(&self, job: NewJob) -> Result<Enqueued, QueueError> {
        self.enqueue_all(vec![job]).map(|enqueued| enqueued[0])
    }
}

fn store() -> (tempfile::TempDir, PathBuf, Store) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let store = Store::open(&path).unwrap().store;
    (folder, path, store)
}

#[test]
fn urgent_jobs_come_first_then_old_ones() {
    let (_folder, _, store) = store();
    for (path, priority) in [("b", 5), ("a", 5), ("urgent", 1), ("later", 10)] {
        assert_eq!(store.enqueue(job(path, priority)).unwrap(), Enqueued::New);
    }
    let claimed: Vec<String> = std::iter::from_fn(|| claim(&store)).map(|job| job.path).collect();
    assert_eq!(claimed.first().map(String::as_str), Some("urgent"));
    assert_eq!(claimed.last().map(String::as_str), Some("later"));
    assert_eq!(claimed.len(), 4);
}

#[test]
fn a_claimed_job_is_queued_again_by_a_restart_and_counts_its_attempts() {
    let (_folder, path, store) = store();
    store.enqueue(job("a", 5)).unwrap();
    let first = claim(&store).unwrap();
    assert_eq!((first.attempts, first.identity, first.location), (1, job("a", 5).identity, PathBuf::from("/in/a")));
    assert!(claim(&store).is_none());
    drop(store);
    let store = Store::open(&path).unwrap().store;
    assert_eq!(claim(&store).unwrap().attempts, 2);
}

#[test]
fn a_committed_job_survives_a_restart_with_its_documents() {
    let (_folder, path, store) = store();
    store.enqueue(job("a", 5)).unwrap();
    let id = claim(&store).unwrap().id;
    ended(&store, &id, converted(2));
    drop(store);
    let store = Store::open(&path).unwrap().store;
    assert!(claim(&store).is_none());
    assert_eq!(store.enqueue(job("a", 5)).unwrap(), Enqueued::Settling);
    assert_eq!(store.known(vec![("/in/a".into(), job("a", 5).identity)]).unwrap()[0], Some(Enqueued::Settling));
    let (deliveries, next) = store.due_deliveries("folder:/out", 10).unwrap();
    assert_eq!((deliveries.len(), next), (1, None));
    assert_eq!(deliveries[0].committed.documents, converted(2).documents);
    assert!(deliveries[0].alone);
    assert!(store.committed_ids().unwrap().contains(id.as_str()));
    assert_eq!(record(&store, [delivered(&id, "folder:/out")]), []);
    assert!(store.due_deliveries("folder:/out", 10).unwrap().0.is_empty());
    assert_eq!(store.routes_to_settle().unwrap(), (vec!["r".to_owned()], None));
    assert_eq!(store.due_sources("r", 10).unwrap().len(), 1);
    assert!(store.due_sources("other", 10).unwrap().is_empty());
    let later = now_ms() + 60_000;
    record(&store, [Progress::SourcePostponed { job: id.clone(), due_ms: later }]);
    assert_eq!(store.routes_to_settle().unwrap(), (vec![], Some(later)));
    assert_eq!(record(&store, [source_settled(&id, Some("/done/a"), false)]), [id]);
    assert!(store.due_sources("r", 10).unwrap().is_empty() && store.committed_ids().unwrap().is_empty());
}

fn record<const N: usize>(store: &Store, steps: [Progress; N]) -> Vec<JobId> {
    store.record(steps.into(), |_| {}).unwrap().into_iter().map(|ended| ended.job).collect()
}

fn delivered(id: &JobId, destination: &str) -> Progress {
    Progress::Delivered { job: id.clone(), destination: destination.into() }
}

fn source_settled(id: &JobId, location: Option<&str>, kept: bool) -> Progress {
    Progress::SourceSettled { job: id.clone(), location: location.map(PathBuf::from), number: None, kept }
}

#[test]
fn a_job_ends_when_every_destination_has_it_or_somebody_gave_that_up() {
    let (_folder, _, store) = store();
    let destinations = || vec!["a".to_string(), "b".to_string()];
    let commit = |path: &str| {
        store.enqueue(job(path, 5)).unwrap();
        let id = claim(&store).unwrap().id;
        ended(&store, &id, Committed { destinations: destinations(), ..converted(3) });
        id
    };
    let dead = |id: &JobId| Progress::Dead {
        job: id.clone(),
        destination: "b".into(),
        error: "refused".into(),
        next_document: 2,
        refused: Some("[]".into()),
    };
    let (first, second) = (commit("first"), commit("second"));
    assert!(store.due_deliveries("b", 10).unwrap().0.iter().all(|delivery| !delivery.alone));
    assert_eq!(record(&store, [source_settled(&first, None, false), delivered(&first, "a"), dead(&first), dead(&second)]), []);
    assert!(store.due_deliveries("b", 10).unwrap().0.is_empty());
    assert_eq!(store.awaited_destinations().unwrap(), [("a".to_string(), 1)]);

    // Tried again from where it was; then it ends.
    assert_eq!(store.retry(&Filter { path: Some("first".into()), ..Filter::default() }).unwrap().delivered_again, 1);
    let again = store.due_deliveries("b", 10).unwrap().0.remove(0);
    assert_eq!((again.next_document, again.refused.as_deref(), again.attempts, again.alone), (2, Some("[]"), 0, true));
    assert_eq!(store.last_arrival_ms("r").unwrap(), None);
    assert_eq!(record(&store, [delivered(&first, "b")]), [first]);
    assert!(store.last_arrival_ms("r").unwrap().is_some_and(|ms| ms <= now_ms()));
    assert_eq!(store.last_arrival_ms("another").unwrap(), None);

    // Given up: it ends with the last of the rest, or at once.
    assert_eq!(store.give_up_deliveries(&Filter::default()).unwrap(), 1);
    assert_eq!(store.end_given_up(|_| {}).unwrap(), []);
    assert_eq!(record(&store, [source_settled(&second, None, false)]), []);
    assert_eq!(record(&store, [delivered(&second, "a")]), [second]);
    let third = commit("third");
    record(&store, [source_settled(&third, None, false), delivered(&third, "a"), dead(&third)]);
    store.give_up_deliveries(&Filter::default()).unwrap();
    assert_eq!(store.end_given_up(|_| {}).unwrap(), [Ended { job: third, documents: 3 }]);
}

#[test]
fn a_delivery_that_failed_waits_for_its_time_and_keeps_the_order_of_age() {
    let (_folder, _, store) = store();
    let ids: Vec<JobId> = ["a", "b", "c"]
        .into_iter()
        .map(|path| {
            store.enqueue(job(path, 5)).unwrap();
            let id = claim(&store).unwrap().id;
            ended(&store, &id, converted(1));
            // The order is that of the time in milliseconds.
            let committed = now_ms();
            while now_ms() == committed {}
            id
        })
        .collect();
    let due = || -> Vec<JobId> {
        store.due_deliveries("folder:/out", 10).unwrap().0.into_iter().map(|delivery| delivery.committed.job.id).collect()
    };
    assert_eq!(due(), ids);
    let due_ms = now_ms() + 1_000_000;
    let failed = Progress::Failed {
        job: ids[0].clone(),
        destination: "folder:/out".into(),
        error: "full".into(),
        due_ms,
        next_document: 0,
        refused: None,
    };
    record(&store, [failed]);
    assert_eq!(due(), ids[1..]);
    assert_eq!(store.due_deliveries("folder:/out", 10).unwrap().1, Some(due_ms));
    assert_eq!(store.sizes().unwrap().backing_off, 1);
    store.retry(&Filter::default()).unwrap();
    assert_eq!(due(), ids);
}

#[test]
fn a_settled_file_that_is_put_back_runs_again_and_one_that_was_kept_does_not() {
    let (_folder, _, store) = store();
    for (path, kept, expected) in [("moved", false, Enqueued::Again), ("kept", true, Enqueued::Known)] {
        store.enqueue(job(path, 5)).unwrap();
        let id = claim(&store).unwrap().id;
        ended(&store, &id, converted(1));
        record(&store, [delivered(&id, "folder:/out"), source_settled(&id, None, kept)]);
        let known = store.known(vec![(Path::new("/in").join(path), job(path, 5).identity)]).unwrap()[0];
        assert_eq!(known, kept.then_some(Enqueued::Known));
        assert_eq!(store.enqueue(job(path, 5)).unwrap(), expected);
    }
}

#[test]
fn deferred_jobs_wait_for_their_time_and_only_failures_count() {
    let (_folder, _, store) = store();
    store.enqueue(job("a", 5)).unwrap();
    let id = claim(&store).unwrap().id;
    store.defer(&id, now_ms() - 1, Waiting::Suspended { awaits: vec!["b".into()] }).unwrap();
    assert_eq!(store.awaiting().unwrap().len(), 1);
    assert_eq!(claim(&store).unwrap().attempts, 1);
    store.defer(&id, now_ms() - 1, Waiting::Retry).unwrap();
    assert_eq!(claim(&store).unwrap().attempts, 2);
    let due = now_ms() + 1_000_000;
    store.defer(&id, due, Waiting::Converter).unwrap();
    assert!(claim(&store).is_none());
    assert_eq!(store.next_due_ms().unwrap(), Some(due));
    assert_eq!(store.plugins_changed(|_| false).unwrap(), 1);
    assert!(claim(&store).is_some());
}

#[test]
fn a_job_is_resumed_once_for_the_files_that_it_awaits() {
    let (_folder, _, store) = store();
    store.enqueue(job("a", 5)).unwrap();
    let due = now_ms() + 1_000_000;
    for (awaits, waiting_for_them) in [(["b"], 1), (["b"], 0), (["c"], 1)] {
        let id = claim(&store).unwrap().id;
        store.defer(&id, due, Waiting::Suspended { awaits: awaits.map(String::from).to_vec() }).unwrap();
        assert_eq!(store.awaiting().unwrap().len(), waiting_for_them, "{awaits:?}");
        assert!(claim(&store).is_none());
        store.resume(&id).unwrap();
    }
}

#[test]
fn what_no_converter_took_runs_again_when_one_wants_it() {
    let (_folder, _, store) = store();
    for path in ["a.csv", "a.xml"] {
        store.enqueue(job(path, 5)).unwrap();
        let id = claim(&store).unwrap().id;
        let failed =
            Committed { outcome: Outcome::Failed, error_type: Some(ErrorType::NoConverter), documents: Vec::new(), ..converted(0) };
        ended(&store, &id, failed);
        record(&store, [delivered(&id, "folder:/out"), source_settled(&id, Some(&format!("/failed/{path}")), false)]);
    }
    assert_eq!(store.sizes().unwrap().dead_letters.get("r"), Some(&2));
    assert_eq!(store.plugins_changed(|path| path.ends_with(".xml")).unwrap(), 1);
    let again = claim(&store).unwrap();
    assert_eq!((again.path.as_str(), again.location), ("a.xml", PathBuf::from("/failed/a.xml")));
    ended(&store, &again.id, converted(1));
    assert_eq!(store.due_sources("r", 10).unwrap()[0].outcome, Outcome::Converted);
}

#[test]
fn a_plugin_that_comes_while_a_job_runs_is_not_missed() {
    let (_folder, _, store) = store();
    let no_converter = || Committed {
        outcome: Outcome::Failed,
        error_type: Some(ErrorType::NoConverter),
        documents: Vec::new(),
        destinations: Vec::new(),
        ..converted(0)
    };
    for path in ["refused while they change", "refused before they change", "converted", "waits for its converter"] {
        store.enqueue(job(path, 5)).unwrap();
    }
    let claim = || claim(&store).map(|job| (job.path, job.id));
    let jobs: std::collections::HashMap<String, JobId> = std::iter::from_fn(claim).collect();
    ended(&store, &jobs["refused before they change"], no_converter());
    store.plugins_changed(|_| true).unwrap();
    ended(&store, &jobs["refused while they change"], no_converter());
    ended(&store, &jobs["converted"], converted(1));
    store.defer(&jobs["waits for its converter"], now_ms() + 1_000_000, Waiting::Converter).unwrap();
    assert_eq!(claim().unwrap().0, "waits for its converter");
    assert!(claim().is_none());
    for id in jobs.values() {
        record(&store, [delivered(id, "folder:/out"), source_settled(id, None, false)]);
    }
    let mut again: Vec<String> = std::iter::from_fn(claim).map(|(path, _)| path).collect();
    again.sort();
    assert_eq!(again, ["refused before they change", "refused while they change"]);
    for path in again {
        ended(&store, &jobs[&path], no_converter());
        record(&store, [source_settled(&jobs[&path], None, false)]);
    }
    assert!(claim().is_none(), "each asks once more, and not for ever");
}

#[test]
fn a_queued_job_follows_its_file() {
    let (_folder, _, store) = store();
    store.enqueue(job("a", 5)).unwrap();
    let moved = NewJob { location: "/failed/a".into(), ..job("a", 5) };
    assert_eq!(store.enqueue(moved).unwrap(), Enqueued::Known);
    assert_eq!(claim(&store).unwrap().location, PathBuf::from("/failed/a"));
}

#[test]
fn sizes_are_those_of_the_moment() {
    let (_folder, _, store) = store();
    for path in ["a", "b", "c"] {
        store.enqueue(job(path, 5)).unwrap();
    }
    let a = claim(&store).unwrap().id;
    ended(&store, &a, converted(3));
    record(&store, [Progress::SourcePostponed { job: a, due_ms: now_ms() + 1_000_000 }]);
    let b = claim(&store).unwrap().id;
    store.defer(&b, now_ms() + 1_000_000, Waiting::Retry).unwrap();
    let sizes = store.sizes().unwrap();
    assert_eq!((sizes.due, sizes.deliverable, sizes.backing_off, sizes.spool_bytes), (1, 0, 1, 30));
    assert_eq!(sizes.waiting, [("retry", 1), ("suspended", 0), ("converter", 0), ("plugin_suspended", 0), ("busy", 0), ("route", 0)]);
    let newest = store.jobs(&Filter::default(), 2).unwrap();
    assert_eq!(newest.len(), 2);
}

#[test]
fn what_is_held_up_or_refused_is_not_due_and_a_refusal_is_a_dead_letter() {
    let (_folder, _, store) = store();
    let commit = |path: &str, destinations: &[&str]| {
        store.enqueue(job(path, 5)).unwrap();
        let id = claim(&store).unwrap().id;
        ended(&store, &id, Committed { destinations: destinations.iter().map(ToString::to_string).collect(), ..converted(3) });
        id
    };
    let (both, up) = (commit("both", &["down", "up"]), commit("up", &["up"]));
    let down = ["down".to_string()];
    let sizes = |down: &[String]| {
        let sizes = store.sizes_while_down(down).unwrap();
        (sizes.deliverable, sizes.backing_off, sizes.held_up, sizes.refused)
    };
    assert_eq!(sizes(&[]), (2, 0, 0, 0));
    assert_eq!(sizes(&down), (1, 0, 1, 0));

    // What waits for a try of its own, too, counts once.
    let due_ms = now_ms() + 1_000_000;
    let postponed =
        Progress::Failed { job: both.clone(), destination: "up".into(), error: "full".into(), due_ms, next_document: 0, refused: None };
    record(&store, [postponed]);
    assert_eq!(sizes(&down), (1, 1, 0, 0));

    // A refusal is a dead letter at once, and all that is left when everything else is done.
    let refused =
        Progress::Dead { job: up.clone(), destination: "up".into(), error: "no".into(), next_document: 3, refused: Some("[]".into()) };
    record(&store, [refused]);
    assert_eq!(store.sizes().unwrap().dead_letters.get("r"), Some(&1));
    assert_eq!(sizes(&[]), (1, 1, 0, 0));
    record(&store, [source_settled(&up, None, false)]);
    assert_eq!(sizes(&[]), (0, 1, 0, 1));
    record(&store, [delivered(&both, "up"), delivered(&both, "down"), source_settled(&both, None, false)]);
    let sizes = store.sizes().unwrap();
    assert_eq!((sizes.deliverable, sizes.refused, sizes.oldest_undelivered_ms), (0, 1, 0), "only a person can do something about the rest");
}

#[test]
fn a_newer_database_is_refused_with_both_versions() {
    let (_folder, path, store) = store();
    drop(store);
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = Store::open(&path).err().unwrap().to_string();
    assert!(error.contains("version 99") && error.contains("up to 4"), "{error}");
}

#[test]
fn commands_of_many_threads_share_transactions_and_all_arrive() {
    let (_folder, path, store) = store();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let store = &store;
            scope.spawn(move || (0..50).for_each(|n| assert_eq!(store.enqueue(job(&format!("{thread}/{n}"), 5)).unwrap(), Enqueued::New)));
        }
    });
    drop(store);
    assert_eq!(Store::open(&path).unwrap().store.sizes().unwrap().due, 400);
}

#[test]
fn no_lane_runs_more_than_it_may() {
    let (_folder, _, store) = store();
    for (route, path) in [("a", "1"), ("a", "2"), ("a", "3"), ("b", "4"), ("c", "5")] {
        store.enqueue(NewJob { id: JobId::new(route, path.as_bytes(), 0, "d"), route: route.into(), ..job(path, 5) }).unwrap();
    }
    let spea = Some("spea".to_string());
    let lanes: Arc<[Lane]> = Arc::from([
        Lane { at_most: Some(2), ..lane("a") },
        Lane { converter: spea.clone(), converter_at_most: Some(1), ..lane("b") },
        Lane { converter: spea, converter_at_most: Some(1), ..lane("c") },
    ]);
    let claim = || store.claim(&lanes).unwrap();
    let claimed: Vec<Job> = std::iter::from_fn(claim).collect();
    assert_eq!(claimed.iter().map(|job| job.route.as_str()).collect::<Vec<_>>(), ["a", "a", "b"]);
    ended(&store, &claimed[2].id, converted(0));
    let next = claim().unwrap();
    assert_eq!(next.route, "c", "the converter's place went to the next route that names it");
    store.defer(&claimed[0].id, now_ms() + 1_000_000, Waiting::Retry).unwrap();
    let next = claim().unwrap();
    assert_eq!(next.path, "3");
    assert!(claim().is_none());
}

#[test]
fn a_job_whose_converter_is_busy_waits_for_its_end_and_uses_up_no_attempt() {
    let (_folder, _, store) = store();
    for path in ["first", "second", "third"] {
        store.enqueue(job(path, 5)).unwrap();
    }
    let jobs: Vec<Job> = std::iter::from_fn(|| claim(&store)).collect();
    assert!(store.reserve(&jobs[0].id, "spea", 1).unwrap());
    for job in &jobs[1..] {
        assert!(!store.reserve(&job.id, "spea", 1).unwrap());
    }
    assert!(claim(&store).is_none());
    ended(&store, &jobs[0].id, converted(0));
    let freed = claim(&store).unwrap();
    assert_eq!(freed.attempts, 1);
    assert!(claim(&store).is_none(), "one place, one job");
    assert!(store.reserve(&freed.id, "spea", 1).unwrap());
}

#[test]
fn jobs_of_a_route_that_is_gone_wait_for_it() {
    let (_folder, path, store) = store();
    store.enqueue(job("a", 5)).unwrap();
    assert_eq!(store.wait_for_routes(&[lane("other")]).unwrap(), 1);
    assert_eq!(store.sizes().unwrap().waiting.last(), Some(&("route", 1)));
    drop(store);
    let store = Store::open(&path).unwrap().store;
    assert_eq!(store.wait_for_routes(&[lane("r")]).unwrap(), 0);
    assert!(claim(&store).is_some());
}

#[test]
fn only_a_process_that_ends_in_disorder_counts_against_its_jobs() {
    let (_folder, path, store) = store();
    store.enqueue(job("a", 5)).unwrap();
    claim(&store).unwrap();
    store.release_running().unwrap();
    drop(store);
    let store = Store::open(&path).unwrap().store;
    let again = claim(&store).unwrap();
    assert_eq!((again.attempts, again.crashes), (1, 0));
    drop(store);
    let store = Store::open(&path).unwrap().store;
    assert_eq!(claim(&store).unwrap().crashes, 1);
}

#[test]
fn history_finds_jobs_by_what_people_know_of_them() {
    let (_folder, _, store) = store();
    for path in ["line1/a[1].csv", "line2/b.csv", "c.csv"] {
        store.enqueue(job(path, 5)).unwrap();
        let id = claim(&store).unwrap().id;
        let mut committed = converted(2);
        committed.documents[1].attributes.push(("serial".into(), format!("SN-{path}")));
        ended(&store, &id, committed);
    }
    let found = |filter: Filter| {
        let mut paths: Vec<String> = store.jobs(&filter, 10).unwrap().into_iter().map(|job| job.path).collect();
        paths.sort();
        paths
    };
    let path = |text: &str| Filter { path: Some(text.into()), ..Filter::default() };
    assert_eq!(found(path("b.csv")), ["line2/b.csv"]);
    assert_eq!(found(path("line1/a[1].csv")), ["line1/a[1].csv"]);
    assert_eq!(found(path("*.csv")).len(), 3);
    assert!(found(path(".csv")).is_empty());
    assert_eq!(found(Filter { attribute: Some("serial=SN-c.csv".into()), ..Filter::default() }), ["c.csv"]);
    assert_eq!(found(Filter { digest: Some("d".into()), ..Filter::default() }).len(), 3);
    assert_eq!(found(Filter { digest: Some(format!("{:064}", 1)), ..Filter::default() }).len(), 3);
    assert!(found(Filter { outcome: Some("failed".into()), ..Filter::default() }).is_empty());
    let id = store.jobs(&path("c.csv"), 1).unwrap()[0].id.clone();
    let record = store.job(&id[..10]).unwrap().unwrap();
    assert_eq!((record.made.len(), record.deliveries[0].state.as_str(), record.options), (2, "pending", Some(serde_json::json!({}))));
    assert!(store.job("").unwrap().is_none(), "several begin with nothing");
}

#[test]
fn an_urgent_job_overtakes_a_hundred_thousand() {
    let (_folder, _, store) = store();
    for start in (0..100_000).step_by(10_000) {
        store.enqueue_all((start..start + 10_000).map(|number| job(&number.to_string(), 5)).collect()).unwrap();
    }
    assert_eq!(claim(&store).unwrap().path, "0");
    store.enqueue(job("urgent", 1)).unwrap();
    assert_eq!(claim(&store).unwrap().path, "urgent", "it is the very next that a free worker gets");
    assert_eq!(claim(&store).unwrap().path, "1");
}

#[test]
fn what_is_done_to_many_jobs_is_done_to_all_of_them() {
    const MANY: usize = 1_203;
    let (_folder, _, store) = store();
    store.enqueue_all((0..MANY).map(|number| job(&number.to_string(), 5)).collect()).unwrap();
    let failed =
        || Committed { outcome: Outcome::Failed, error_type: Some(ErrorType::Malformed), destinations: Vec::new(), ..converted(0) };
    while let Some(job) = claim(&store) {
        store.commit(&job.id, failed(), || ()).unwrap();
    }
    store.flush().unwrap();
    let settle = |job: &CommittedJob| Progress::SourceSettled { job: job.job.id.clone(), location: None, number: None, kept: false };
    store.record(store.due_sources("r", MANY).unwrap().iter().map(settle).collect(), |_| {}).unwrap();
    let paths: Vec<String> = store.settled(&Filter::default()).map(|job| job.unwrap().path).collect();
    assert_eq!(paths, (0..MANY).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(store.count_dead(&Filter::default()).unwrap(), (MANY as u64, 0));
    assert_eq!(store.retry(&Filter::default()).unwrap().converted_again, MANY as u64);
    assert_eq!(store.sizes().unwrap().due, MANY as u64);
}

#[test]
fn a_retry_sets_going_what_waits_or_failed_and_nothing_else() {
    let (_folder, _, store) = store();
    for path in ["failed", "went well", "waits", "refused"] {
        store.enqueue(job(path, 5)).unwrap();
    }
    let jobs: std::collections::HashMap<String, JobId> = std::iter::from_fn(|| claim(&store)).map(|job| (job.path, job.id)).collect();
    let failed =
        || Committed { outcome: Outcome::Failed, error_type: Some(ErrorType::Malformed), destinations: Vec::new(), ..converted(0) };
    for (path, committed) in [("failed", failed()), ("went well", converted(0)), ("refused", converted(1))] {
        ended(&store, &jobs[path], committed);
    }
    store.defer(&jobs["waits"], now_ms() + 1_000_000, Waiting::Retry).unwrap();
    for path in ["failed", "went well"] {
        record(&store, [delivered(&jobs[path], "folder:/out"), source_settled(&jobs[path], None, false)]);
    }
    let refuse = "UPDATE deliveries SET state = 'dead' WHERE job = (SELECT seq FROM jobs WHERE path = 'refused')";
    store.run(move |connection| connection.execute(refuse, [])).unwrap();
    let retried = store.retry(&Filter::default()).unwrap();
    assert_eq!(retried, Retried { converted_again: 1, due_now: 1, delivered_again: 1 });
    let mut again: Vec<String> = std::iter::from_fn(|| claim(&store)).map(|job| job.path).collect();
    again.sort();
    assert_eq!(again, ["failed", "waits"]);
}

#[test]
fn a_database_of_the_first_version_is_copied_and_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(schema::VERSION_1).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    old.execute_batch(
        "INSERT INTO jobs (id, route, path, location, device, inode, size, modified_ns, digest, priority, state, due_ms, created_ms, finished_ms,
             outcome, converter, plugin_version, plugin_digest, detail)
         VALUES ('q', 'r', 'q.csv', x'2f71', 1, 2, 3, 4, 'd', 5, 'queued', 0, 1000, NULL, NULL, NULL, NULL, NULL, NULL),
                ('c', 'r', 'c.csv', x'2f63', 1, 2, 3, 4, 'd', 5, 'committed', 0, 1000, 2000, 'converted', 'csv', '1', 'p', '{}');
         INSERT INTO documents VALUES ('c', 0, 'c.jsonl', 'text/plain', '[[\"serial\",\"SN7\"]]', NULL, 42);
         INSERT INTO deliveries VALUES ('c', 'folder:/a', 3000, 0, NULL), ('c', 'folder:/b', NULL, 2, 'full');",
    )
    .unwrap();
    drop(old);
    let store = Store::open(&path).unwrap().store;
    assert_eq!(claim(&store).unwrap().path, "q.csv");
    let found = store.jobs(&Filter { attribute: Some("serial=SN7".into()), ..Filter::default() }, 5).unwrap();
    assert_eq!(found.len(), 1);
    let record = store.job("c").unwrap().unwrap();
    let states: Vec<(&str, &str)> = record.deliveries.iter().map(|d| (d.destination.as_str(), d.state.as_str())).collect();
    assert_eq!(states, [("folder:/a", "delivered"), ("folder:/b", "pending")]);
    assert_eq!(store.sizes().unwrap().spool_bytes, 42);
    let copy = rusqlite::Connection::open(folder.path().join("queue.db.version-1")).unwrap();
    assert_eq!(copy.query_row("SELECT count(*) FROM jobs", [], |row| row.get::<_, i64>(0)).unwrap(), 2);
}

#[test]
fn a_damaged_database_is_set_aside_with_its_log() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 3] = [
        ("replaced by text", |bytes| *bytes = b"not a database at all, but long enough to be read as one".repeat(100)),
        ("overwritten in the middle", |bytes| {
            let length = bytes.len();
            bytes[4096..length].fill(0x5a);
        }),
        ("cut off", |bytes| bytes.truncate(5000)),
    ];
    for (what, damage) in damages {
        let (folder, path, store) = store();
        for n in 0..200 {
            store.enqueue(job(&n.to_string(), 5)).unwrap();
        }
        drop(store);
        let mut bytes = std::fs::read(&path).unwrap();
        damage(&mut bytes);
        std::fs::write(&path, &bytes).unwrap();
        let opened = Store::open(&path).unwrap();
        let aside = opened.set_aside.clone().expect(what);
        assert_eq!(std::fs::read(&aside).unwrap(), bytes, "{what}");
        assert_eq!(opened.store.sizes().unwrap().due, 0);
        assert_eq!(opened.store.enqueue(job("0", 5)).unwrap(), Enqueued::New);
        drop(opened);
        assert!(Store::open(&path).unwrap().set_aside.is_none());
        drop(folder);
    }
}

#[test]
fn a_copy_is_of_one_moment_and_opens() {
    let (folder, path, store) = store();
    store.enqueue(job("a", 5)).unwrap();
    let copy = folder.path().join("copy.db");
    store.copy_to(&copy, |_| Ok(())).unwrap();
    store.enqueue(job("b", 5)).unwrap();
    assert!(Store::beside(&path).unwrap().sizes().unwrap().due == 2);
    assert_eq!(Store::open(&copy).unwrap().store.sizes().unwrap().due, 1);
    assert!(store.copy_to(&copy, |_| Ok(())).is_err(), "what is there is not replaced");
    assert!(matches!(Store::beside(&folder.path().join("none.db")), Err(QueueError::Absent { .. })));
}

#[test]
fn history_is_forgotten_by_age_and_by_number_and_only_what_is_settled() {
    let (_folder, _, store) = store();
    for n in 0..1_200 {
        store.enqueue(job(&n.to_string(), 5)).unwrap();
        let id = claim(&store).unwrap().id;
        ended(&store, &id, converted(1));
        if n >= 100 {
            record(&store, [delivered(&id, "folder:/out"), source_settled(&id, None, false)]);
        }
    }
    assert_eq!(store.forget_before("other", now_ms() + 1).unwrap(), 0);
    assert_eq!(store.forget_beyond(2_000).unwrap(), 0);
    assert_eq!(store.forget_beyond(300).unwrap(), 800);
    let left = |state: &str| store.jobs(&Filter { state: Some(state.into()), ..Filter::default() }, 5_000).unwrap();
    assert_eq!((left("settled").len(), left("committed").len()), (300, 100));
    assert!(left("settled").iter().any(|job| job.path == "1199"), "the newest are kept");
    assert_eq!(store.forget_before("r", now_ms() + 1).unwrap(), 300);
    assert_eq!(left("committed").len(), 100);
    let documents = store.run(|connection| connection.query_row("SELECT count(*) FROM documents", [], |row| row.get::<_, i64>(0))).unwrap();
    assert_eq!(documents, 100, "documents go with their jobs");
}

#[test]
fn jobs_of_a_suspended_plugin_wait_and_are_released_in_their_turn() {
    let (_folder, path, store) = store();
    for name in ["a", "b", "c", "d"] {
        store.enqueue(job(name, 5)).unwrap();
    }
    let tried = claim(&store).unwrap();
    let suspended = |tried| Waiting::PluginSuspended { converter: "csv".into(), tried };
    store.defer(&tried.id, Waiting::NEVER_DUE_MS, suspended(true)).unwrap();
    let chosen = claim(&store).unwrap();
    store.defer(&chosen.id, Waiting::NEVER_DUE_MS, suspended(false)).unwrap();
    let route = store.job(tried.id.as_str()).unwrap().unwrap().summary.route;
    assert_eq!(store.hold_for_plugin("csv", &["another"]).unwrap(), 0);
    assert_eq!(store.hold_for_plugin("csv", &[&route]).unwrap(), 2);
    assert!(claim(&store).is_none());

    // One at a time, the oldest first; only what was tried has used an attempt up.
    assert_eq!(store.release_for_plugin("junit", None).unwrap(), 0);
    assert_eq!(store.release_for_plugin("csv", Some(1)).unwrap(), 1);
    let again = claim(&store).unwrap();
    assert_eq!((&again.id, again.attempts), (&tried.id, 2));
    assert!(claim(&store).is_none());
    store.defer(&again.id, Waiting::NEVER_DUE_MS, suspended(true)).unwrap();
    assert_eq!(store.release_for_plugin("csv", None).unwrap(), 4);
    assert_eq!([claim(&store), claim(&store)].map(|job| job.unwrap().attempts), [3, 1]);

    // What is known of a plugin's failures is gone with the process.
    let third = claim(&store).unwrap();
    store.defer(&third.id, Waiting::NEVER_DUE_MS, suspended(false)).unwrap();
    drop(store);
    let store = Store::open(&path).unwrap().store;
    assert_eq!(store.sizes().unwrap().due, 4);
}

#[test]
fn nothing_is_written_in_a_transaction_that_an_error_has_taken_back() {
    fn owe(store: &Store, record: impl Fn(&rusqlite::Connection) -> rusqlite::Result<()> + Send + 'static) {
        store.owe(writer::Owed { record: Box::new(record), synced: Box::new(|| ()) }).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("queue.db")).unwrap().store;
    store.run(|connection| connection.execute_batch("CREATE TABLE times (n INTEGER CHECK (n > 0))")).unwrap();
    // All three are in one transaction, because the first waits for the others.
    let (go, waiting) = std::sync::mpsc::channel::<()>();
    owe(&store, move |connection| {
        let _ = waiting.recv();
        connection.execute("INSERT INTO times VALUES (1)", []).map(drop)
    });
    let again = std::sync::atomic::AtomicBool::new(false);
    owe(&store, move |connection| {
        let n = i32::from(again.swap(true, std::sync::atomic::Ordering::Relaxed));
        connection.execute("INSERT OR ROLLBACK INTO times VALUES (?1)", [n]).map(drop)
    });
    owe(&store, |connection| connection.execute("INSERT INTO times VALUES (1)", []).map(drop));
    drop(go);
    let path = folder.path().join("queue.db");
    // Closing it tries again what could not be written.
    drop(store);
    let store = Store::open(&path).unwrap().store;
    let times: i64 = store.run(|connection| connection.query_row("SELECT count(*) FROM times", [], |row| row.get(0))).unwrap();
    assert_eq!(times, 3);
}
