//! The cache of the server's answers to look-ups: when the server is asked, and when it is not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc;

use dropforge_tests::receiver::{Answer, Receiver};
use dropforge_tests::{Daemon, Setup, run, wait_for};
use serde_json::{Value, json};

/// A daemon whose files are lists of paths to look up. What was answered goes to the folder `out`.
fn daemon(server: &Receiver, first: &str, upstream: &str) -> Daemon {
    let folder = "destinations = [{ type = 'folder', path = '{dir}/out' }]";
    daemon_with(server, first, upstream, folder)
}

fn daemon_with(server: &Receiver, first: &str, upstream: &str, destinations: &str) -> Daemon {
    let config = format!(
        "{first}\n[upstream]\nurl = '{}'\nlookup_paths = ['/api/**']\n{upstream}\n[plugins.lookup-guest]\nallow = ['lookup']\n[[routes]]\n\
         name = 'in'\nconverter = 'lookup-guest'\nintake = {{ path = '{{dir}}/in' }}\n{destinations}\n",
        server.url()
    );
    Setup::new().plugins(&["lookup-guest"]).config(&config).argument("--log-level=info,dropforge=debug").start()
}

fn answer(headers: &[(&'static str, &str)], text: &str) -> Answer {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).chain([("content-type", "text/plain".to_owned())]);
    Answer::Status(200, headers.collect(), text.to_owned())
}

/// Looks paths up, and says what the converter was answered, line by line.
fn look_up(daemon: &Daemon, file: &str, paths: &str) -> String {
    let before = daemon.documents();
    daemon.drop_file(file, paths);
    daemon.wait_for_settled("done", file);
    let new = wait_for("the answers", || daemon.documents().into_iter().find(|(name, _)| !before.contains_key(name)));
    fs::read_to_string(new.1).unwrap().trim_end().to_owned()
}

fn asked(server: &Receiver, path: &str) -> usize {
    server.looked_up().iter().filter(|asked| asked.path == path).count()
}

fn assert_counted(daemon: &Daemon, hits: f64, misses: f64) {
    daemon.assert_metric("cache_hits_total{cache_name=\"http_response\"}", hits);
    daemon.assert_metric("cache_misses_total{cache_name=\"http_response\"}", misses);
    let rate = daemon.metric("cache_hit_rate{cache_name=\"http_response\"}").unwrap();
    assert!((rate - hits / (hits + misses)).abs() < 1e-9, "{rate}");
}

/// What `dropforge cache` prints to these arguments.
fn command(daemon: &Daemon, arguments: &[&str]) -> (i32, String, String) {
    daemon.command(&[&["cache"], arguments].concat())
}

fn stats(daemon: &Daemon) -> Value {
    let (code, text, errors) = command(daemon, &["stats", "--json"]);
    assert_eq!(code, 0, "{errors}");
    let caches: Value = serde_json::from_str(&text).unwrap();
    caches.as_array().unwrap().iter().find(|cache| cache["name"] == "http_response").unwrap().clone()
}

#[test]
fn equal_look_ups_at_the_same_time_are_one_request() {
    let server = Receiver::up();
    let (release, wait) = mpsc::channel();
    server.know(move |_| {
        let _: Result<(), _> = wait.recv();
        answer(&[], "ten")
    });
    let daemon = daemon(&server, "workers = 3", "");
    for file in ["a.lookup", "b.lookup", "c.lookup"] {
        // Not the same bytes: only the question is the same.
        daemon.drop_file(file, format!("/api/operations/10\n/api/operations/10 file={file}"));
    }
    wait_for("two to wait for the third", || (daemon.log().matches("somebody is asking the same").count() >= 2).then_some(()));
    drop(release);
    for document in daemon.wait_for_documents(3).values() {
        assert_eq!(fs::read_to_string(document).unwrap().lines().next(), Some("200 text/plain ten"));
    }
    assert_eq!(asked(&server, "/api/operations/10"), 1);
    assert_eq!(server.looked_up().len(), 4);
    assert_counted(&daemon, 2.0, 4.0);
    let stats = stats(&daemon);
    assert_eq!(
        (&stats["entries"], &stats["hits"], &stats["misses"], &stats["evictions"], &stats["max_entries"]),
        (&json!(4), &json!(2), &json!(4), &json!(0), &json!(1000))
    );
    daemon.assert_metric("cache_entries{cache_name=\"http_response\"}", 4.0);
    daemon.assert_metric("cache_size_bytes{cache_name=\"http_response\"}", stats["bytes"].as_f64().unwrap());
    assert!(daemon.log().contains("HTTP cache: miss") && daemon.log().contains("HTTP cache: hit"), "{}", daemon.log());
    daemon.assert_metric("http_requests_total{endpoint=\"/api/**\",method=\"GET\",status=\"200\"}", 4.0);
}

#[test]
fn what_the_server_confirms_is_not_sent_again() {
    let server = Receiver::up();
    server.know(|asked| match asked.headers.get("if-none-match").map(String::as_str) {
        Some("\"v1\"") => Answer::Status(304, vec![("etag", "\"v1\"".to_owned())], String::new()),
        Some(other) => panic!("{other}"),
        None => answer(&[("etag", "\"v1\""), ("cache-control", "no-cache")], "ten"),
    });
    let daemon = daemon(&server, "", "");
    for file in ["a.lookup", "b.lookup", "c.lookup"] {
        assert_eq!(look_up(&daemon, file, "/api/operations/10"), "200 text/plain ten");
    }
    daemon.assert_metric("http_requests_total{endpoint=\"/api/**\",method=\"GET\",status=\"200\"}", 1.0);
    daemon.assert_metric("http_requests_total{endpoint=\"/api/**\",method=\"GET\",status=\"304\"}", 2.0);
    assert_counted(&daemon, 2.0, 1.0);
}

#[test]
fn what_must_not_be_kept_is_asked_for_each_time() {
    let server = Receiver::up();
    server.know(|asked| match asked.path.split('?').next().unwrap() {
        "/api/cookie" => answer(&[("set-cookie", "a=b"), ("cache-control", "max-age=60")], "x"),
        "/api/private" => answer(&[("cache-control", "private, max-age=60")], "x"),
        "/api/no-store" => answer(&[("cache-control", "No-Store")], "x"),
        "/api/vary" => answer(&[("vary", "*")], "x"),
        "/api/kept" => answer(&[("vary", "accept-language")], "x"),
        _ => Answer::status(404),
    });
    let daemon = daemon(&server, "cache_max_size = 2", "");
    let paths = ["/api/cookie", "/api/private", "/api/no-store", "/api/vary", "/api/missing"];
    let list = [&paths[..], &["/api/kept", "/api/kept?x=1"]].concat().join("\n").replace("?x=1", " x=1");
    for file in ["a.lookup", "b.lookup"] {
        look_up(&daemon, file, &list);
    }
    for path in paths {
        assert_eq!(asked(&server, path), 2, "{path}");
    }
    assert_eq!((asked(&server, "/api/kept"), stats(&daemon)["entries"].clone()), (1, json!(2)));
    // A third answer makes the one that was not used for longest give way.
    server.know(|_| answer(&[], "x"));
    look_up(&daemon, "c.lookup", "/api/one\n/api/two\n/api/kept");
    assert_eq!(asked(&server, "/api/kept"), 2);
    daemon.assert_metric("cache_evictions_total{cache_name=\"http_response\"}", 3.0);
    daemon.assert_metric("cache_entries{cache_name=\"http_response\"}", 2.0);
}

#[test]
fn a_write_that_succeeds_makes_the_path_be_asked_for_again_and_one_that_fails_does_not() {
    let server = Receiver::up();
    server.know(|_| answer(&[], "ten"));
    let destinations = "destinations = [{ type = 'http', url = '/api/operations/10' }]";
    let daemon = daemon_with(&server, "", "", destinations);
    let convert = |file: &str, deliveries: f64, status: &str| {
        daemon.drop_file(file, format!("/api/operations/10\n/api/operations/20\n/api/{file}"));
        daemon.wait_for_source("done", file);
        daemon.assert_metric_sum("delivery_documents_total", &format!("status=\"{status}\""), deliveries);
        asked(&server, "/api/operations/10")
    };
    assert_eq!(convert("a.lookup", 1.0, "success"), 1);
    assert_eq!(convert("b.lookup", 2.0, "success"), 2);
    server.behave(|_| Answer::status(400));
    assert_eq!(convert("c.lookup", 1.0, "error"), 3);
    assert_eq!(convert("d.lookup", 2.0, "error"), 3);
    assert_eq!(asked(&server, "/api/operations/20"), 1);
}

#[test]
fn a_server_that_is_down_is_stood_in_for_where_it_allowed_that() {
    let mut server = Receiver::up();
    server.know(|asked| match asked.path.as_str() {
        "/api/lasting" => answer(&[("cache-control", "max-age=0, stale-if-error=600")], "lasting"),
        _ => answer(&[("cache-control", "max-age=0"), ("etag", "\"1\"")], "passing"),
    });
    let daemon = daemon(&server, "", "");
    assert_eq!(look_up(&daemon, "a.lookup", "/api/lasting\n/api/passing"), "200 text/plain lasting\n200 text/plain passing");
    server.stop();
    assert_eq!(look_up(&daemon, "b.lookup", "/api/lasting"), "200 text/plain lasting");
    assert!(daemon.log().contains("stale: the server fails"), "{}", daemon.log());
    assert_counted(&daemon, 1.0, 2.0);
    let answer = look_up(&daemon, "c.lookup", "/api/passing");
    assert!(answer.starts_with("unavailable: "), "{answer}");
    assert_counted(&daemon, 1.0, 3.0);
}

#[test]
fn who_asks_for_the_server_itself_gets_it_and_operators_make_it_be_asked_again() {
    let server = Receiver::up();
    server.know(|asked| answer(&[("cache-control", "max-age=300")], &asked.path));
    // The server is asked whether it is there: an answer from before would say nothing.
    let daemon = daemon(&server, "", "ping_seconds = 1");
    wait_for("three requests for the same", || (daemon.metric_sum("http_requests_total", &server.url()) >= 3.0).then_some(()));
    look_up(&daemon, "a.lookup", "/api/operations/10\n/api/operations/20\n/api/parts");
    assert_eq!(stats(&daemon)["entries"], 3);

    let (code, out, errors) = command(&daemon, &["invalidate", "/api/operations/*"]);
    assert_eq!((code, out.as_str()), (0, "2 entries are forgotten\n"), "{errors}");
    look_up(&daemon, "b.lookup", "/api/operations/10\n/api/parts");
    assert_eq!((asked(&server, "/api/operations/10"), asked(&server, "/api/parts")), (2, 1));
    let (code, out, _) = command(&daemon, &["clear", "http_response"]);
    assert_eq!((code, out.as_str()), (0, "2 entries are forgotten\n"));
    daemon.assert_metric("cache_entries{cache_name=\"http_response\"}", 0.0);
    daemon.assert_metric("cache_size_bytes{cache_name=\"http_response\"}", 0.0);
    // What was forgotten did not give way to anything.
    daemon.assert_metric("cache_evictions_total{cache_name=\"http_response\"}", 0.0);

    let (code, out, _) = command(&daemon, &["stats"]);
    assert!(code == 0 && out.lines().any(|line| line.starts_with("http_response  0  ")), "{out}");
    let (code, _, errors) = command(&daemon, &["invalidate", "api"]);
    assert!(code == 1 && errors.contains("does not begin with /"), "{errors}");
}

#[test]
fn results_of_conversions_are_forgotten_too() {
    let daemon = Setup::new().plugins(&["csv"]).start();
    // Another time makes another job of it.
    let convert = |hits: f64, misses: f64| {
        daemon.drop_file("a.csv", "a,b\n1,2\n");
        daemon.assert_metric("cache_hits_total{cache_name=\"conversion\"}", hits);
        daemon.assert_metric("cache_misses_total{cache_name=\"conversion\"}", misses);
        daemon.assert_metric("queue_items_processed_total{queue_name=\"converter_queue\"}", hits + misses);
    };
    convert(0.0, 1.0);
    convert(1.0, 1.0);
    let (code, out, errors) = command(&daemon, &["clear", "conversion"]);
    assert_eq!((code, out.as_str()), (0, "1 entry is forgotten\n"), "{errors}");
    convert(1.0, 2.0);
    daemon.assert_metric("cache_evictions_total{cache_name=\"conversion\"}", 0.0);
}

#[test]
fn a_cache_that_is_switched_off_asks_each_time_and_says_so() {
    let server = Receiver::up();
    server.know(|_| answer(&[], "ten"));
    let off = daemon(&server, "enable_cache = false", "");
    look_up(&off, "a.lookup", "/api/operations/10\n/api/operations/10");
    assert_eq!(asked(&server, "/api/operations/10"), 2);
    let (code, _, errors) = command(&off, &["clear", "http_response"]);
    assert!(code == 1 && errors.contains("No cache \"http_response\" is at work; there is `conversion`."), "{errors}");
    assert_eq!(off.metric("cache_hits_total{cache_name=\"http_response\"}"), None);

    let on = daemon(&server, "enable_metrics = false\ncache_max_size = 7", "");
    look_up(&on, "a.lookup", "/api/operations/10\n/api/operations/10\n/api/operations/10");
    let expected = json!({
        "enabled": true, "size": 1, "max_size": 7, "hit_rate": 2.0 / 3.0, "total_requests": 3, "hits": 2, "misses": 1, "evictions": 0
    });
    assert_eq!(on.json("/metrics")["cache"], expected);
}

#[test]
fn a_command_says_what_is_wrong_where_no_daemon_answers() {
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port().to_string();
    let (code, out, errors) = run(folder.path(), &["cache", "stats", "--health-port", &port]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(errors.contains(&format!("no daemon answers at http://127.0.0.1:{port}")) && errors.contains("dropforge run"), "{errors}");

    let server = Receiver::up();
    let (code, _, errors) = run(folder.path(), &["cache", "clear", "--health-port", &server.port().to_string()]);
    assert!(code == 1 && errors.contains("is no daemon of this version of Dropforge"), "{errors}");

    let daemon = Setup::new().start();
    let (port, elsewhere) = (daemon.health_port().to_string(), folder.path().to_str().unwrap());
    let (code, _, errors) = run(folder.path(), &["cache", "clear", "--health-port", &port, "--state", elsewhere]);
    assert!(code == 1 && errors.contains("does not take the token in") && errors.contains("--state"), "{errors}");
}
