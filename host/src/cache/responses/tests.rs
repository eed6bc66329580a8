//! The cache alone, without a server.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use reqwest::Url;

use super::*;
use crate::config::{Upstream, path_pattern};
use crate::metrics::Instance;

fn cache(change: impl FnOnce(&mut Config)) -> ResponseCache {
    let mut config = Config { upstream: Some(Upstream::new("http://server/base/")), ..Config::default() };
    change(&mut config);
    ResponseCache::new(&config, &Metrics::new(&Instance::default())).unwrap()
}

fn url(path: &str) -> Url {
    Url::parse(&format!("http://server/base{path}")).unwrap()
}

fn ask<'a>(cache: &'a ResponseCache, path: &str) -> Answer<'a> {
    let url = url(path);
    cache.ask(Key::of(&url, None, &HeaderMap::new()), Resource::of(&url))
}

fn flight<'a>(cache: &'a ResponseCache, path: &str) -> Flight<'a> {
    match ask(cache, path) {
        Answer::Unknown(flight) => flight,
        _ => panic!("{path} is known, or being asked for"),
    }
}

fn is_known(cache: &ResponseCache, path: &str) -> bool {
    matches!(ask(cache, path), Answer::Fresh(_))
}

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect()
}

fn answer(cache: &ResponseCache, path: &str, lines: &[(&'static str, &'static str)]) {
    flight(cache, path).answered(200, "text/plain", &headers(lines), path.as_bytes());
}

fn waiting(cache: &ResponseCache, path: &str) -> Waiting {
    match ask(cache, path) {
        Answer::UnderWay(waiting) => waiting,
        _ => panic!("{path} is not being asked for"),
    }
}

fn landed(waiting: Waiting) -> Option<Bytes> {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(waiting.landed()).map(|kept| kept.body.clone())
}

#[test]
fn an_answer_is_kept_and_those_who_wait_have_it() {
    let cache = cache(|_| {});
    let flight = flight(&cache, "/a");
    let waiting = waiting(&cache, "/a");
    flight.answered(200, "text/plain", &headers(&[]), b"A");
    drop(flight);
    assert_eq!(landed(waiting), Some(Bytes::from_static(b"A")));
    let Answer::Fresh(kept) = ask(&cache, "/a") else { panic!("it is not known") };
    assert_eq!((kept.status, kept.media_type.as_str(), &kept.body[..]), (200, "text/plain", b"A".as_slice()));
    // What is not for others is not waited for in vain.
    let flight = super::tests::flight(&cache, "/b");
    let waiting = super::tests::waiting(&cache, "/b");
    flight.answered(200, "", &headers(&[("cache-control", "no-store")]), b"B");
    drop(flight);
    assert_eq!(landed(waiting), None);
    assert!(!is_known(&cache, "/b"));
}

#[test]
fn what_is_written_is_forgotten_even_while_it_is_asked_for() {
    let cache = cache(|_| {});
    answer(&cache, "/a?x=1", &[]);
    answer(&cache, "/b", &[]);
    let slow = flight(&cache, "/a");
    let patient = waiting(&cache, "/a");
    cache.written(&Resource::of(&url("/a")));
    assert!(!is_known(&cache, "/a?x=1") && is_known(&cache, "/b"));
    // Who asks after the write does not get what was asked for before it.
    let later = flight(&cache, "/a");
    slow.answered(200, "", &headers(&[]), b"old");
    drop(slow);
    assert_eq!(landed(patient), Some(Bytes::from_static(b"old")));
    assert!(matches!(ask(&cache, "/a"), Answer::UnderWay(_)));
    later.answered(200, "", &headers(&[]), b"new");
    drop(later);
    let Answer::Fresh(kept) = ask(&cache, "/a") else { panic!("it is not known") };
    assert_eq!(&kept.body[..], b"new");
}

#[test]
fn what_is_stale_is_confirmed_or_replaced() {
    let cache = cache(|_| {});
    answer(&cache, "/a", &[("etag", "\"1\""), ("cache-control", "no-cache")]);
    let asking = flight(&cache, "/a");
    let conditions: BTreeMap<String, HeaderValue> =
        asking.conditions().into_iter().map(|(name, value)| (name.to_string(), value)).collect();
    assert_eq!(conditions, BTreeMap::from([("if-none-match".to_owned(), HeaderValue::from_static("\"1\""))]));
    assert!(asking.in_emergency().is_none());
    assert!(asking.confirmed(&headers(&[("etag", "\"2\"")])).is_none());
    let kept = asking.confirmed(&headers(&[("etag", "\"1\""), ("cache-control", "max-age=60")])).unwrap();
    drop(asking);
    assert_eq!(&kept.body[..], b"/a");
    assert!(is_known(&cache, "/a"));
    // A confirmation can also say that it is the last.
    answer(&cache, "/b", &[("etag", "\"1\""), ("cache-control", "no-cache")]);
    let asking = flight(&cache, "/b");
    assert!(asking.confirmed(&headers(&[("cache-control", "no-store")])).is_some());
    drop(asking);
    assert!(flight(&cache, "/b").conditions().is_empty());
}

#[test]
fn what_is_stale_serves_in_an_emergency_where_the_server_allowed_it() {
    let cache = cache(|_| {});
    answer(&cache, "/a", &[("cache-control", "max-age=0, stale-if-error=600")]);
    let asking = flight(&cache, "/a");
    let waiting = waiting(&cache, "/a");
    assert!(asking.conditions().is_empty());
    assert_eq!(&asking.in_emergency().unwrap().body[..], b"/a");
    drop(asking);
    assert_eq!(landed(waiting), Some(Bytes::from_static(b"/a")));
    // The server is back, and knows nothing of it any more.
    let asking = flight(&cache, "/a");
    asking.answered(404, "", &headers(&[]), b"");
    drop(asking);
    assert!(flight(&cache, "/a").in_emergency().is_none());
}

#[test]
fn operators_name_paths_below_the_server_s_address() {
    let cache = cache(|_| {});
    for path in ["/api/operations/10", "/api/operations/20?x=1", "/api/parts"] {
        answer(&cache, path, &[]);
    }
    let pattern = |text| path_pattern(text).unwrap().compile_matcher();
    assert_eq!(cache.invalidate(&pattern("/api/*")), 1);
    assert_eq!(cache.invalidate(&pattern("/base/**")), 0);
    assert_eq!(cache.stats().entries, 2);
    assert_eq!(cache.invalidate(&pattern("/api/operations/*")), 2);
    answer(&cache, "/api/parts", &[]);
    assert_eq!(cache.clear(), 1);
    let stats = cache.stats();
    assert_eq!((stats.entries, stats.bytes, stats.evictions), (0, 0, 0));
}

#[test]
fn the_bounds_hold_and_what_gave_way_is_counted() {
    let cache = cache(|config| {
        config.cache_max_size = 2;
        config.cache_max_bytes = 10_000;
    });
    for path in ["/a", "/b", "/c"] {
        answer(&cache, path, &[]);
    }
    assert!(!is_known(&cache, "/a") && is_known(&cache, "/b") && is_known(&cache, "/c"));
    flight(&cache, "/large").answered(200, "", &headers(&[]), &[0; 20_000]);
    let stats = cache.stats();
    assert_eq!((stats.entries, stats.evictions), (2, 1));
    assert!(stats.bytes > 2 * OVERHEAD && stats.bytes < 10_000, "{stats:?}");
    flight(&cache, "/large").answered(200, "", &headers(&[]), &[0; 9_400]);
    let stats = cache.stats();
    assert_eq!((stats.entries, stats.evictions), (1, 3));
    // What is of no use any more goes without being asked for.
    flight(&cache, "/short").answered(200, "", &headers(&[("cache-control", "max-age=9"), ("age", "8")]), b"");
    cache.state.lock().unwrap().store.remove_where(|kept| &*kept.resource.path != "/base/short");
    let now = Moment::now().plus(2);
    assert_eq!(cache.state.lock().unwrap().store.remove_where(|kept| !kept.is_of_use(now)), 1);
}

#[test]
fn a_cache_that_is_switched_off_is_none() {
    let config = Config { enable_cache: false, ..Config::default() };
    assert!(ResponseCache::new(&config, &Metrics::new(&Instance::default())).is_none());
}
