//! What waits, for what, and who releases it.

use super::*;

#[test]
fn deferred_jobs_wait_for_their_time_and_only_failures_count() {
    let (_folder, _, store) = store();
    store.enqueue(job("a", 5)).unwrap();
    let id = claim(&store).unwrap().id;
    deferred(&store, &id, now_ms() - 1, Waiting::Suspended { awaits: vec!["b".into()] });
    assert_eq!(store.awaiting().unwrap().len(), 1);
    assert_eq!(claim(&store).unwrap().attempts, 1);
    deferred(&store, &id, now_ms() - 1, Waiting::Retry);
    assert_eq!(claim(&store).unwrap().attempts, 2);
    let due = now_ms() + 1_000_000;
    deferred(&store, &id, due, Waiting::Converter);
    assert!(claim(&store).is_none());
    assert_eq!(store.next_due_ms().unwrap(), Some(due));
    assert_eq!(store.plugins_changed(|_, _, _| false).unwrap(), 1);
    assert!(claim(&store).is_some());
}

#[test]
fn a_job_is_resumed_once_for_the_files_that_it_awaits() {
    let (_folder, _, store) = store();
    store.enqueue(job("a", 5)).unwrap();
    let due = now_ms() + 1_000_000;
    for (awaits, waiting_for_them) in [(["b"], 1), (["b"], 0), (["c"], 1)] {
        let id = claim(&store).unwrap().id;
        deferred(&store, &id, due, Waiting::Suspended { awaits: awaits.map(String::from).to_vec() });
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
    assert_eq!(store.plugins_changed(|_, path, _| path.ends_with(".xml")).unwrap(), 1);
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
    store.plugins_changed(|_, _, _| true).unwrap();
    ended(&store, &jobs["refused while they change"], no_converter());
    ended(&store, &jobs["converted"], converted(1));
    deferred(&store, &jobs["waits for its converter"], now_ms() + 1_000_000, Waiting::Converter);
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
    deferred(&store, &claimed[0].id, now_ms() + 1_000_000, Waiting::Retry);
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
    assert!(store.sizes().unwrap().waiting.contains(&("route", 1)));
    drop(store);
    let store = Store::open(&path).unwrap().store;
    assert_eq!(store.wait_for_routes(&[lane("r")]).unwrap(), 0);
    assert!(claim(&store).is_some());
}

#[test]
fn jobs_of_a_suspended_plugin_wait_and_are_released_in_their_turn() {
    let (_folder, path, store) = store();
    for name in ["a", "b", "c", "d"] {
        store.enqueue(job(name, 5)).unwrap();
    }
    let tried = claim(&store).unwrap();
    let suspended = |tried| Waiting::PluginSuspended { converter: "csv".into(), tried };
    deferred(&store, &tried.id, Waiting::NEVER_DUE_MS, suspended(true));
    let chosen = claim(&store).unwrap();
    deferred(&store, &chosen.id, Waiting::NEVER_DUE_MS, suspended(false));
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
    deferred(&store, &again.id, Waiting::NEVER_DUE_MS, suspended(true));
    assert_eq!(store.release_for_plugin("csv", None).unwrap(), 4);
    assert_eq!([claim(&store), claim(&store)].map(|job| job.unwrap().attempts), [3, 1]);

    // What is known of a plugin's failures is gone with the process.
    let third = claim(&store).unwrap();
    deferred(&store, &third.id, Waiting::NEVER_DUE_MS, suspended(false));
    drop(store);
    let store = Store::open(&path).unwrap().store;
    assert_eq!(store.sizes().unwrap().due, 4);
}

#[test]
fn what_is_queued_again_of_a_route_that_is_gone_waits_for_it_too() {
    let (_folder, _, store) = store();
    store.wait_for_routes(&[lane("other")]).unwrap();
    store.enqueue(job("a", 5)).unwrap();
    assert!(store.claim(&Arc::from([lane("other")])).unwrap().is_none());
    let sizes = store.sizes().unwrap();
    assert_eq!((sizes.due, sizes.waiting.contains(&("route", 1))), (0, true), "{sizes:?}");
}
