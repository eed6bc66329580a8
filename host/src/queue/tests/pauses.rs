//! Routes and converters that an operator has paused.

use super::*;

fn path_of(job: Option<Job>) -> Option<String> {
    job.map(|job| job.path)
}

#[test]
fn nothing_of_a_paused_route_is_claimed_until_it_goes_on_also_after_a_restart() {
    let (_folder, path, store) = store();
    store.enqueue(job("a", 5)).unwrap();
    store.enqueue(NewJob { route: "other".into(), ..job("b", 5) }).unwrap();
    assert!(store.pause(Pausable::Route, "r", Some("the station is moved")).unwrap());
    let since = store.pauses().of(Pausable::Route, "r").unwrap().since_ms;
    assert!(!store.pause(Pausable::Route, "r", None).unwrap(), "it is paused already");
    let pause = store.pauses().of(Pausable::Route, "r").unwrap().clone();
    assert_eq!((pause.since_ms, pause.reason.as_deref()), (since, Some("the station is moved")));
    assert!(pause.in_words().starts_with("route `r` is paused since 2"), "{}", pause.in_words());

    let lanes: Arc<[Lane]> = [lane("r"), lane("other")].into();
    assert_eq!(path_of(store.claim(&lanes).unwrap()).as_deref(), Some("b"));
    assert!(store.claim(&lanes).unwrap().is_none());
    // What comes meanwhile waits as well, and none of it is due.
    store.enqueue(job("c", 1)).unwrap();
    assert!(store.claim(&lanes).unwrap().is_none());
    let sizes = store.sizes().unwrap();
    assert_eq!((sizes.due, sizes.waiting.contains(&("paused", 2))), (0, true), "{sizes:?}");

    drop(store);
    let store = Store::open(&path).unwrap().store;
    assert_eq!(store.pauses().of(Pausable::Route, "r").unwrap().since_ms, since);
    assert_eq!(path_of(store.claim(&lanes).unwrap()).as_deref(), Some("b"), "it ran when the process ended");
    assert!(store.claim(&lanes).unwrap().is_none());

    assert!(store.end_pause(Pausable::Route, "r").unwrap());
    assert!(!store.end_pause(Pausable::Route, "r").unwrap());
    assert_eq!(store.pauses().of(Pausable::Route, "r"), None);
    assert_eq!([store.claim(&lanes).unwrap(), store.claim(&lanes).unwrap()].map(path_of), [Some("c".into()), Some("a".into())]);
}

#[test]
fn a_paused_converter_holds_up_the_routes_that_name_it_and_the_jobs_that_have_chosen_it() {
    let (_folder, _, store) = store();
    let named = Lane { converter: Some("csv".into()), ..lane("named") };
    let lanes: Arc<[Lane]> = [lane("r"), named].into();
    for (path, route) in [("a", "r"), ("b", "r"), ("c", "named")] {
        store.enqueue(NewJob { route: route.into(), ..job(path, 5) }).unwrap();
    }
    store.pause(Pausable::Converter, "csv", None).unwrap();
    let chosen = store.claim(&lanes).unwrap().unwrap();
    deferred(&store, &chosen.id, Waiting::NEVER_DUE_MS, Waiting::Paused { converter: "csv".into() });
    // The other one would choose another converter.
    let other = store.claim(&lanes).unwrap().unwrap();
    assert_eq!((chosen.path.as_str(), other.path.as_str()), ("a", "b"));
    assert!(store.claim(&lanes).unwrap().is_none());

    store.end_pause(Pausable::Converter, "csv").unwrap();
    // A worker that had seen the pause gives its job back only now: nobody would release it any more.
    deferred(&store, &other.id, Waiting::NEVER_DUE_MS, Waiting::Paused { converter: "csv".into() });
    let claimed: Vec<(String, u32)> = std::iter::from_fn(|| store.claim(&lanes).unwrap()).map(|job| (job.path, job.attempts)).collect();
    assert_eq!(claimed, [("a".into(), 1), ("b".into(), 1), ("c".into(), 1)], "waiting uses up no attempt");
}
