//! What is found, tried again, and forgotten.

use super::*;

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
    deferred(&store, &jobs["waits"], now_ms() + 1_000_000, Waiting::Retry);
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
