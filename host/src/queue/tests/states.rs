//! From arrival to the end of a conversion, through restarts.

use super::*;

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
    assert_eq!(store.in_spool().unwrap(), [InSpool { job: id.clone(), documents: 2 }]);
    assert_eq!(record(&store, [delivered(&id, "folder:/out")]), []);
    assert!(store.due_deliveries("folder:/out", 10).unwrap().0.is_empty());
    assert_eq!(store.routes_to_settle().unwrap(), (vec!["r".to_owned()], None));
    assert_eq!(store.due_sources("r", 10).unwrap().len(), 1);
    assert!(store.due_sources("other", 10).unwrap().is_empty());
    let later = now_ms() + 60_000;
    record(&store, [Progress::SourcePostponed { job: id.clone(), due_ms: later }]);
    assert_eq!(store.routes_to_settle().unwrap(), (vec![], Some(later)));
    assert_eq!(record(&store, [source_settled(&id, Some("/done/a"), false)]), [id]);
    assert!(store.due_sources("r", 10).unwrap().is_empty() && store.in_spool().unwrap().is_empty());
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
fn a_queued_job_follows_its_file() {
    let (_folder, _, store) = store();
    store.enqueue(job("a", 5)).unwrap();
    let moved = NewJob { location: "/failed/a".into(), ..job("a", 5) };
    assert_eq!(store.enqueue(moved).unwrap(), Enqueued::Known);
    assert_eq!(claim(&store).unwrap().location, PathBuf::from("/failed/a"));
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
