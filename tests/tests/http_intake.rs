//! Files that are posted: to be queued, and to be converted at once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;
use std::io::Read;
use std::thread;

use dropforge_tests::{Daemon, PATIENCE, Setup, data, files, run, wait_for, without_id};
use serde_json::{Value, json};
use ureq::SendBody;

const TABLE: &str = "row,value\n1,a\n";
const DOCUMENT: &str = "{\"row\":1,\"value\":\"a\"}\n";

/// A route with a folder that takes posts too, one that only takes posts, and one that takes none.
const ROUTES: &str = "
{top}
[[routes]]
name = 'default'
intake = { path = '{dir}/in' }
destinations = [{ type = 'folder', path = '{dir}/out' }]
limits = { input_bytes = 1000000 }

[[routes]]
name = 'posts'
converter = 'csv'
intake = { http = true }
destinations = [{ type = 'folder', path = '{dir}/out' }]

[[routes]]
name = 'closed'
intake = { path = '{dir}/closed', http = false, create = true }
destinations = [{ type = 'folder', path = '{dir}/out' }]
";

struct Answer {
    status: u16,
    headers: ureq::http::HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

fn start(top: &str) -> Daemon {
    Setup::new().plugins(&["csv", "junit"]).config(&ROUTES.replace("{top}", top)).start()
}

fn token(daemon: &Daemon) -> String {
    fs::read_to_string(daemon.path("state/token")).unwrap().trim().to_owned()
}

fn post_body(daemon: &Daemon, path: &str, headers: &[(&str, &str)], body: SendBody<'_>) -> Answer {
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
    let mut request = ureq::Agent::new_with_config(config).post(format!("http://127.0.0.1:{}{path}", daemon.health_port()));
    request = request.header("authorization", format!("Bearer {}", token(daemon)));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut response = request.send(body).unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, body: response.body_mut().read_to_string().unwrap() }
}

fn post(daemon: &Daemon, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    post_body(daemon, path, headers, SendBody::from_reader(&mut &*body))
}

fn uploads(daemon: &Daemon) -> Vec<String> {
    fs::read_dir(daemon.path("state/uploads")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_posted_file_goes_the_way_of_every_other() {
    let daemon = start("");
    let answer = post(&daemon, "/api/v1/routes/default/jobs?name=a.csv", &[], TABLE.as_bytes());
    assert_eq!(answer.status, 202, "{}", answer.body);
    let receipt = answer.json();
    assert_eq!((&receipt["new"], &receipt["bytes"]), (&json!(true), &json!(TABLE.len())));
    assert_eq!(fs::read_to_string(daemon.wait_for_document("a.jsonl")).unwrap(), DOCUMENT);
    assert_eq!(fs::read_to_string(daemon.wait_for_settled("done", "a.csv")).unwrap(), TABLE);
    let job = daemon.wait_for_job("a.csv", "settled");
    assert_eq!((&job["id"], &job["digest"]), (&receipt["job"], &receipt["sha256"]));
    wait_for("nothing of it to be left in the state folder", || uploads(&daemon).is_empty().then_some(()));

    // One that fails, under the name of a header, with folders that are none of ours.
    let broken = fs::read(data("junit/pytest-corrupt-xml.xml")).unwrap();
    let headers = [("content-disposition", "attachment; filename=\"../../x.xml\"")];
    assert_eq!(post(&daemon, "/api/v1/routes/default/jobs", &headers, &broken).status, 202);
    assert_eq!(daemon.wait_for_sidecar("x.xml")["error_type"], "malformed");
    // Equal bytes without a key are another file.
    assert_eq!(post(&daemon, "/api/v1/routes/default/jobs?name=a.csv", &[], TABLE.as_bytes()).json()["new"], true);
    daemon.wait_for_documents(2);
    daemon.assert_metric(r#"intake_files_total{result="queued",route="default"}"#, 3.0);
    daemon.assert_metric(r#"http_requests_total{endpoint="/api/v1/routes/{name}/jobs",method="POST",status="202"}"#, 3.0);
}

#[test]
fn what_a_client_says_that_a_file_is_reaches_the_converter_every_time() {
    let daemon = Setup::new().plugins(&["misbehave"]).config(&ROUTES.replace("{top}", "")).start();
    let said = [("content-type", "Text/X-Station; charset=utf-8")];
    let path = "/api/v1/routes/default/jobs?name=media-type.1.mis";
    let answer = post(&daemon, path, &said, b"x");
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert_eq!(fs::read_to_string(daemon.wait_for_document("type.json")).unwrap(), "\"text/x-station\"");
    // What clients send by themselves says nothing.
    let unsaid = post(&daemon, "/api/v1/convert?name=media-type.2.mis", &[("content-type", "application/x-www-form-urlencoded")], b"x");
    assert_eq!(unsaid.body, "\"\"");
    assert_eq!(post(&daemon, "/api/v1/convert?name=media-type.2.mis", &said, b"x").body, "\"text/x-station\"");
    // It is kept with the job.
    daemon.wait_for_job("media-type.1.mis", "settled");
    let (code, text, errors) =
        run(&daemon.path(""), &["replay", "-c", "dropforge.toml", "--plugins", "plugins", "--state", "state", "--all"]);
    assert!(code == 0 && text.contains("  same"), "{text}{errors}");
    let id = answer.json()["job"].as_str().unwrap().to_owned();
    assert_eq!(daemon.json(&format!("/api/v1/jobs/{id}"))["media_type"], "text/x-station");
}

#[test]
fn a_route_may_have_no_folder() {
    let daemon = start("");
    let answer = post(&daemon, "/api/v1/routes/posts/jobs?name=a.csv", &[], TABLE.as_bytes());
    assert_eq!(answer.status, 202, "{}", answer.body);
    daemon.wait_for_document("a.jsonl");
    wait_for("the source to be settled", || {
        files(&daemon.path("state/routes/posts/done")).into_keys().find(|name| name.ends_with("/a.csv")).map(drop)
    });
    let routes = daemon.json("/api/v1/routes");
    assert_eq!((&routes[1]["name"], &routes[1]["intake"], &routes[1]["up"]), (&json!("posts"), &Value::Null, &Value::Null));
    assert_eq!(daemon.metric(r#"intake_up{route="posts"}"#), None, "nothing is down where nothing is watched");
}

#[test]
fn a_request_that_is_repeated_with_its_key_is_one_job() {
    let mut daemon = start("");
    let path = "/api/v1/routes/default/jobs?name=a.csv";
    let with_key = [("idempotency-key", "7f3c")];
    // Many at once: one of them queues it, and all name the same job.
    let answers: Vec<Answer> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| post(&daemon, path, &with_key, TABLE.as_bytes()))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let job = answers[0].json()["job"].clone();
    assert!(answers.iter().all(|answer| answer.json()["job"] == job));
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 202]);
    daemon.wait_for_job("a.csv", "settled");
    // After its end, and after a crash.
    for _ in 0..2 {
        let again = post(&daemon, path, &with_key, TABLE.as_bytes());
        assert_eq!((again.status, &again.json()["job"], &again.json()["new"]), (200, &job, &json!(false)));
        let other = post(&daemon, path, &with_key, b"row,value\n2,b\n");
        assert_eq!((other.status, other.header("content-type")), (409, "application/problem+json"));
        daemon = daemon.restart(|setup| setup);
        daemon.wait_for_log("is ready: drop files");
    }
    // The key of another route is another key.
    assert_eq!(post(&daemon, "/api/v1/routes/posts/jobs?name=a.csv", &with_key, TABLE.as_bytes()).status, 202);
    daemon.wait_for_documents(2);
    assert_eq!(daemon.jobs().len(), 2);
    assert_eq!(daemon.documents().len(), 2);
}

#[test]
fn what_is_not_taken_says_why() {
    let daemon = start("");
    let refused = |path: &str, headers: &[(&str, &str)], body: SendBody<'_>, status: u16, says: &str| {
        let answer = post_body(&daemon, path, headers, body);
        assert_eq!((answer.status, answer.header("content-type")), (status, "application/problem+json"), "{path}: {}", answer.body);
        assert!(answer.json()["detail"].as_str().unwrap().contains(says), "{}", answer.body);
    };
    let jobs = "/api/v1/routes/default/jobs";
    refused("/api/v1/routes/other/jobs", &[], SendBody::none(), 404, "no route `other`");
    refused("/api/v1/routes/closed/jobs", &[], SendBody::none(), 403, "`intake.http` is false");
    refused(&format!("{jobs}?name=a%0Ab"), &[], SendBody::none(), 400, "give another");
    let large = vec![b'x'; 1_000_001];
    refused(jobs, &[("content-length", "1000001")], SendBody::from_reader(&mut &*large), 413, "`input_bytes`");
    // Without a length, it is found out on the way.
    refused(jobs, &[], SendBody::from_reader(&mut std::io::repeat(b'x').take(1_000_001)), 413, "`input_bytes`");
    assert_eq!(daemon.get(jobs).0, 405);
    let without_token = ureq::Agent::new_with_config(ureq::Agent::config_builder().http_status_as_error(false).build());
    for path in [jobs, "/api/v1/convert"] {
        let answer = without_token.post(format!("http://127.0.0.1:{}{path}", daemon.health_port())).send(TABLE).unwrap();
        assert_eq!(answer.status().as_u16(), 401);
    }
    assert!(daemon.jobs().is_empty());
    wait_for("nothing of it to be left in the state folder", || uploads(&daemon).is_empty().then_some(()));
}

#[test]
fn nothing_is_taken_while_there_is_no_room_and_the_client_is_told_when_to_come_back() {
    let daemon = start(&format!("min_free_bytes = {}", 1_u64 << 60));
    let answer = post(&daemon, "/api/v1/routes/default/jobs", &[], TABLE.as_bytes());
    assert_eq!((answer.status, answer.header("retry-after")), (503, "10"), "{}", answer.body);
    assert!(answer.json()["detail"].as_str().unwrap().contains("`min_free_bytes`"), "{}", answer.body);
    assert!(uploads(&daemon).is_empty());
}

#[test]
fn what_a_crash_left_of_a_post_goes_at_the_next_start() {
    let setup = Setup::new().plugins(&["csv"]).config(&ROUTES.replace("{top}", ""));
    for folder in ["coming-x1", "0123456789abcdef0123456789abcdef"] {
        fs::create_dir_all(setup.path("state/uploads").join(folder)).unwrap();
        fs::write(setup.path("state/uploads").join(folder).join("a.csv"), TABLE).unwrap();
    }
    let daemon = setup.start();
    assert!(uploads(&daemon).is_empty());
    assert!(daemon.jobs().is_empty());
}

#[test]
fn a_posted_file_that_waits_outlives_a_crash() {
    let mut daemon = Setup::new().config(&ROUTES.replace("{top}", "")).start();
    let answer = post(&daemon, "/api/v1/routes/posts/jobs?name=a.csv", &[], TABLE.as_bytes());
    assert_eq!(answer.status, 202);
    daemon.wait_for_job("a.csv", "converter");
    daemon.kill();
    let daemon = daemon.restart(|setup| setup.plugins(&["csv"]));
    assert_eq!(fs::read_to_string(daemon.wait_for_document("a.jsonl")).unwrap(), DOCUMENT);
}

#[test]
fn a_posted_file_outlives_the_loss_of_the_queue() {
    let mut daemon = Setup::new().config(&ROUTES.replace("{top}", "")).start();
    let path = "/api/v1/routes/posts/jobs?name=a.csv";
    let receipt = post(&daemon, path, &[("idempotency-key", "k")], TABLE.as_bytes()).json();
    daemon.wait_for_job("a.csv", "converter");
    daemon.kill();
    for name in ["queue.db", "queue.db-wal", "queue.db-shm"] {
        let _ = fs::remove_file(daemon.path("state").join(name));
    }
    let daemon = daemon.restart(|setup| setup.plugins(&["csv"]));
    assert_eq!(fs::read_to_string(daemon.wait_for_document("a.jsonl")).unwrap(), DOCUMENT);
    let job = daemon.wait_for_job("a.csv", "settled");
    assert_eq!(job["id"], receipt["job"]);
    // Its key is known still.
    assert_eq!(post(&daemon, path, &[("idempotency-key", "k")], TABLE.as_bytes()).status, 200);
    wait_for("nothing of it to be left in the state folder", || uploads(&daemon).is_empty().then_some(()));
}

#[test]
fn a_posted_file_that_waits_is_in_a_backup() {
    let mut daemon = Setup::new().config(&ROUTES.replace("{top}", "")).start();
    let receipt = post(&daemon, "/api/v1/routes/posts/jobs?name=a.csv", &[], TABLE.as_bytes()).json();
    daemon.wait_for_job("a.csv", "converter");
    let (state, backup) = (daemon.path("state"), daemon.path("backup"));
    let (code, _, errors) = run(&daemon.path(""), &["backup", "--state", state.to_str().unwrap(), backup.to_str().unwrap()]);
    assert_eq!(code, 0, "{errors}");
    daemon.kill();
    fs::remove_dir_all(&state).unwrap();
    fs::rename(&backup, &state).unwrap();
    let daemon = daemon.restart(|setup| setup.plugins(&["csv"]));
    assert_eq!(fs::read_to_string(daemon.wait_for_document("a.jsonl")).unwrap(), DOCUMENT);
    assert_eq!(daemon.wait_for_job("a.csv", "settled")["id"], receipt["job"]);
    assert_eq!(daemon.jobs().len(), 1);
}

#[test]
fn a_posted_file_that_is_kept_is_not_converted_again_when_the_queue_is_lost() {
    let config = ROUTES.replace("{top}", "").replace("intake = { http = true }", "intake = { http = true }\nafter = { success = 'keep' }");
    let mut daemon = Setup::new().plugins(&["csv"]).config(&config).start();
    assert_eq!(post(&daemon, "/api/v1/routes/posts/jobs?name=a.csv", &[], TABLE.as_bytes()).status, 202);
    daemon.wait_for_job("a.csv", "settled");
    assert_eq!(uploads(&daemon).len(), 1);
    // It is settled an instant before its documents are gone, and in that instant the spool would bring it back.
    wait_for("the spool to be empty", || daemon.spooled().is_empty().then_some(()));
    daemon.kill();
    for name in ["queue.db", "queue.db-wal", "queue.db-shm"] {
        let _ = fs::remove_file(daemon.path("state").join(name));
    }
    let daemon = daemon.restart(|setup| setup);
    daemon.wait_for_log("is ready: drop files");
    assert!(daemon.jobs().is_empty());
    assert!(uploads(&daemon).is_empty(), "nobody knows it any more");
}

#[cfg(target_os = "linux")]
#[test]
fn a_large_body_is_streamed_to_the_disk() {
    let daemon = start("[limits]\ninput_bytes = 4000000000");
    let peak = || {
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    };
    assert_eq!(post(&daemon, "/api/v1/routes/posts/jobs?name=a.csv", &[], TABLE.as_bytes()).status, 202);
    daemon.wait_for_document("a.jsonl");
    let before = peak();
    // One line of one field: nothing for a converter, much for the disk.
    let answer =
        post_body(&daemon, "/api/v1/routes/posts/jobs?name=b.csv", &[], SendBody::from_reader(&mut std::io::repeat(b'\n').take(200 << 20)));
    assert_eq!((answer.status, answer.json()["bytes"].as_u64()), (202, Some(200 << 20)), "{}", answer.body);
    let grown = peak() - before;
    assert!(grown < 64 << 20, "{grown} bytes");
}

#[test]
fn a_file_is_converted_at_once_and_nothing_is_kept() {
    let daemon = start("");
    let one = post(&daemon, "/api/v1/convert?converter=csv&name=a.csv", &[], TABLE.as_bytes());
    assert_eq!((one.status, one.body.as_str()), (200, DOCUMENT));
    assert_eq!(one.header("content-type"), "application/x-ndjson");
    assert_eq!(one.header("content-disposition"), "attachment; filename*=UTF-8''a.jsonl");
    assert!(one.header("dropforge-converter").starts_with("csv "));
    // Whoever wants the file gets it; a report of several suites is several documents.
    let two = post(&daemon, "/api/v1/convert?name=x.xml", &[], &fs::read(data("junit/testsuite-root.xml")).unwrap());
    assert_eq!((two.status, two.json()["converter"].as_str()), (200, Some("junit")), "{}", two.body);
    assert!(two.json()["documents"].as_array().unwrap().len() > 1, "{}", two.body);
    let options = post(&daemon, "/api/v1/convert?converter=csv&options=%7B%22delimiter%22%3A%22%3B%22%7D", &[], b"row;value\n1;a\n");
    assert_eq!((options.status, options.body.as_str()), (200, DOCUMENT), "{}", options.body);
    let as_json = post(&daemon, "/api/v1/convert?route=posts&form=json&name=a.csv", &[], TABLE.as_bytes()).json();
    assert_eq!((&as_json["outcome"], &as_json["documents"][0]["text"]), (&json!("converted"), &json!(DOCUMENT)));

    let broken = fs::read(data("junit/pytest-corrupt-xml.xml")).unwrap();
    let failed = post(&daemon, "/api/v1/convert?converter=junit&name=x.xml", &[], &broken);
    assert_eq!((failed.status, failed.json()["error_type"].as_str()), (422, Some("malformed")), "{}", failed.body);
    for (query, status) in [("converter=other", 404), ("route=other", 404), ("converter=csv&options=x", 400), ("name=a.bin", 422)] {
        let answer = post(&daemon, &format!("/api/v1/convert?{query}"), &[], &[0, 255, 0, 1]);
        assert_eq!(answer.status, status, "{query}: {}", answer.body);
    }
    let large = post(&daemon, "/api/v1/convert", &[], &vec![b'x'; (16 << 20) + 1]);
    assert_eq!(large.status, 413, "{}", large.body);
    assert!(daemon.jobs().is_empty());
    assert!(daemon.documents().keys().map(|name| without_id(name)).next().is_none());
    assert!(uploads(&daemon).is_empty());
    daemon.assert_metric(r#"conversions_total{converter="csv",status="success"}"#, 3.0);
}
