//! Deliveries, and what the sizes say of them.

use super::*;

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
    assert_eq!(store.end_given_up(|_| {}).unwrap(), [InSpool { job: third, documents: 3 }]);
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
fn sizes_are_those_of_the_moment() {
    let (_folder, _, store) = store();
    for path in ["a", "b", "c"] {
        store.enqueue(job(path, 5)).unwrap();
    }
    let a = claim(&store).unwrap().id;
    ended(&store, &a, converted(3));
    record(&store, [Progress::SourcePostponed { job: a, due_ms: now_ms() + 1_000_000 }]);
    let b = claim(&store).unwrap().id;
    deferred(&store, &b, now_ms() + 1_000_000, Waiting::Retry);
    let sizes = store.sizes().unwrap();
    assert_eq!((sizes.due, sizes.deliverable, sizes.backing_off, sizes.spool_bytes), (1, 0, 1, 30));
    assert_eq!(
        sizes.waiting,
        [("retry", 1), ("suspended", 0), ("converter", 0), ("plugin_suspended", 0), ("busy", 0), ("route", 0), ("paused", 0)]
    );
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
