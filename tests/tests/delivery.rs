//! The way out: documents go to folders, HTTP servers and object stores, each at its own pace, whatever these do; and sources go where they
//! belong, whatever happens to them meanwhile.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::Path;

use dropforge_tests::receiver::{Answer, Received, Receiver};
use dropforge_tests::{Daemon, Setup, data, files, run, wait_for, without_id};
use serde_json::Value;

/// A route from `in` to some destinations, with further lines of configuration before it.
fn config(before: &str, destinations: &str, after: &str) -> String {
    format!(
        "{before}\n[[routes]]\nname = 'r'\ncontext = {{ station = 'ict-3' }}\nintake = {{ path = 'in' }}\ndestinations = [{destinations}]\n{after}\n"
    )
}

const FOLDER: &str = "{ type = 'folder', path = 'out' }";
/// Servers that do not answer are given up after a second.
const IMPATIENT: &str = "[http]\nread_timeout_seconds = 1.0";

fn http(receiver: &Receiver, more: &str) -> String {
    format!("{{ type = 'http', url = '{}/reports/{{id}}', method = 'PUT'{more} }}", receiver.url())
}

fn table(serial: usize) -> String {
    format!("serial,value\nSN{serial},1\n")
}

fn document(serial: usize) -> String {
    format!("{{\"serial\":\"SN{serial}\",\"value\":1}}\n")
}

/// Drops tables of one row, in this order, and waits until each is committed: their documents are of different ages.
fn drop_tables(daemon: &Daemon, serials: std::ops::Range<usize>) {
    for serial in serials {
        let name = format!("{serial}.csv");
        daemon.drop_file(&name, table(serial));
        daemon.wait_for_job_that(&name, |job| job["outcome"] == "converted");
    }
}

fn bodies(receiver: &Receiver) -> Vec<String> {
    receiver.kept().into_iter().map(|received| received.body).collect()
}

fn expected(serials: std::ops::Range<usize>) -> BTreeSet<String> {
    serials.map(document).collect()
}

/// Every document has come under one id, and under that one only once.
#[track_caller]
fn assert_kept_once(receiver: &Receiver, serials: std::ops::Range<usize>) {
    let kept = receiver.kept();
    assert_eq!(kept.iter().map(|received| received.body.clone()).collect::<BTreeSet<_>>(), expected(serials.clone()));
    let ids: BTreeSet<&String> = kept.iter().map(|received| &received.headers["idempotency-key"]).collect();
    assert_eq!((ids.len(), kept.len()), (serials.len(), serials.len()));
}

fn wait_for_kept(receiver: &Receiver, count: usize) {
    wait_for(&format!("{count} documents at the server"), || (receiver.kept().len() >= count).then_some(()));
}

fn wait_for_settled_jobs(daemon: &Daemon, count: usize) {
    wait_for(&format!("{count} jobs to be settled"), || {
        let jobs = daemon.jobs();
        (jobs.len() == count && jobs.iter().all(|job| job["state"] == "settled")).then_some(())
    });
    wait_for("the spool to be empty", || daemon.spooled().is_empty().then_some(()));
}

/// What `queue show` says of a file's job.
fn shown(daemon: &Daemon, path: &str) -> Value {
    let id = daemon.job(path).unwrap()["id"].as_str().unwrap().to_string();
    let state = daemon.path("state");
    let (code, text, errors) = run(&daemon.path(""), &["queue", "show", &id, "--json", "--state", state.to_str().unwrap()]);
    assert_eq!(code, 0, "{errors}");
    serde_json::from_str(&text).unwrap()
}

fn queue_command(daemon: &Daemon, arguments: &[&str]) {
    let state = daemon.path("state");
    let mut all = vec!["queue"];
    all.extend(arguments);
    all.extend(["--state", state.to_str().unwrap()]);
    let (code, _, errors) = run(&daemon.path(""), &all);
    assert_eq!(code, 0, "{errors}");
}

#[test]
fn documents_go_to_a_server_with_what_tells_them_apart_and_no_secret_is_shown() {
    let receiver = Receiver::up();
    let setup = Setup::new().plugins(&["csv"]);
    fs::write(setup.path("token"), "hush-hush\n").unwrap();
    let destination = "{ type = 'http', url = '/api/{route}/{file}?id={id}', method = 'POST', \
                       headers = { X-Station = '{context.station}', X-Report = '{report_id}' } }";
    let upstream = format!("[upstream]\nurl = '{}/base'\ntoken_file = 'token'", receiver.url());
    let setup = setup.config(&config(&upstream, destination, ""));
    let daemon = setup.start();
    daemon.drop_file("a b.csv", table(1));
    wait_for_kept(&receiver, 1);
    wait_for_settled_jobs(&daemon, 1);
    let received = receiver.kept().remove(0);
    let id = received.headers["idempotency-key"].clone();
    assert_eq!((received.method.as_str(), received.body), ("POST", document(1)));
    assert_eq!(received.path, format!("/base/api/r/a%20b.csv?id={id}"));
    let header = |name: &str| received.headers.get(name).map(String::as_str);
    assert_eq!(header("authorization"), Some("Bearer hush-hush"));
    assert_eq!(header("content-type"), shown(&daemon, "a b.csv")["made"][0]["media_type"].as_str());
    assert_eq!(header("content-length"), Some(document(1).len().to_string().as_str()));
    assert_eq!((header("x-station"), header("x-report")), (Some("ict-3"), header("dropforge-report-id")));

    // A token is read again when it has changed.
    fs::write(daemon.path("token"), "another").unwrap();
    daemon.drop_file("b.csv", table(2));
    wait_for_kept(&receiver, 2);
    assert_eq!(receiver.kept()[1].headers["authorization"], "Bearer another");

    let endpoint = format!("{}/base/api/{{route}}/{{file}}", receiver.url());
    daemon.assert_metric(&format!("http_requests_total{{endpoint=\"{endpoint}\",method=\"POST\",status=\"201\"}}"), 2.0);
    daemon.assert_metric("delivery_documents_total{destination=\"http:/api/{route}/{file}\",status=\"success\"}", 2.0);
    daemon.assert_metric("upstream_up", 1.0);
    assert_eq!(daemon.json("/health/ready")["api_status"], "online");
    let (code, text, errors) = run(&daemon.path(""), &["config", "show", "-c", "dropforge.toml"]);
    assert_eq!(code, 0, "{errors}");
    for text in [text, daemon.log(), daemon.get("/metrics").1, shown(&daemon, "b.csv").to_string()] {
        assert!(!text.contains("hush") && !text.contains("another"), "{text}");
    }
}

#[test]
fn a_server_that_is_down_holds_up_nobody_and_gets_everything_in_order_of_age_when_it_is_back() {
    const COUNT: usize = 30;
    let mut receiver = Receiver::down();
    let destinations = format!("{FOLDER}, {}", http(&receiver, ""));
    let upstream = format!("[upstream]\nurl = '{}'\nping_seconds = 1", receiver.url());
    let daemon = Setup::new().plugins(&["csv"]).config(&config(&upstream, &destinations, "")).start();
    drop_tables(&daemon, 0..COUNT);
    // The folder has them all, and every source is where it belongs.
    assert_eq!(daemon.wait_for_documents(COUNT).len(), COUNT);
    wait_for("the sources in done/", || (files(&daemon.path("in/done")).len() == COUNT).then_some(()));
    assert_eq!(daemon.jobs().iter().filter(|job| job["state"] == "committed").count(), COUNT);
    daemon.assert_metric("upstream_up", 0.0);
    assert_eq!(daemon.json("/health/ready")["api_status"], "offline");
    daemon.wait_for_log("check the address, that the server runs");

    receiver.start();
    wait_for_kept(&receiver, COUNT);
    wait_for_settled_jobs(&daemon, COUNT);
    assert_kept_once(&receiver, 0..COUNT);
    let order: Vec<usize> = bodies(&receiver).iter().map(|body| (0..COUNT).find(|serial| document(*serial) == *body).unwrap()).collect();
    assert_eq!(order[0], 0, "{order:?}");
    // Those that are under way together can overtake each other.
    assert!(order.iter().enumerate().all(|(place, serial)| place.abs_diff(*serial) <= 4), "{order:?}");
    assert!(receiver.most_active() <= 4, "{}", receiver.most_active());
    daemon.assert_metric("upstream_up", 1.0);
    daemon.assert_metric(&format!("delivery_breaker_open{{destination=\"http:{}/reports/{{id}}\"}}", receiver.url()), 0.0);
}

#[test]
fn whatever_a_server_does_everything_arrives_once_per_id() {
    let receiver = Receiver::up();
    let mut answers = vec![
        Answer::status(500),
        Answer::status(500),
        Answer::Drop,
        Answer::Status(429, vec![("retry-after", "1".into())], String::new()),
        Answer::Stall,
        Answer::status(503),
        Answer::Status(307, vec![("location", "https://elsewhere/x?token=hush".into())], String::new()),
        Answer::status(408),
    ]
    .into_iter();
    receiver.behave(move |_| answers.next().unwrap_or(Answer::Kept));
    let destinations = format!("{FOLDER}, {}", http(&receiver, ", name = 'server'"));
    let daemon = Setup::new().plugins(&["csv"]).config(&config(IMPATIENT, &destinations, "")).start();
    for serial in 0..8 {
        daemon.drop_file(&format!("{serial}.csv"), table(serial));
    }
    daemon.wait_for_documents(8);
    wait_for_kept(&receiver, 8);
    wait_for_settled_jobs(&daemon, 8);
    assert_kept_once(&receiver, 0..8);
    let endpoint = format!("{}/reports/{{id}}", receiver.url());
    for (status, count) in
        [("500", 2.0), ("connect", 1.0), ("429", 1.0), ("timeout", 1.0), ("503", 1.0), ("307", 1.0), ("408", 1.0), ("201", 8.0)]
    {
        daemon.assert_metric(&format!("http_requests_total{{endpoint=\"{endpoint}\",method=\"PUT\",status=\"{status}\"}}"), count);
    }
    daemon.assert_metric("delivery_documents_total{destination=\"server\",status=\"success\"}", 8.0);
    assert!(!daemon.log().contains("hush"), "{}", daemon.log());
}

#[test]
fn a_refused_document_waits_for_a_person_and_the_others_of_its_job_do_not() {
    let receiver = Receiver::up();
    let refuse = |received: &Received| match received.body.contains("SN2") {
        true => Answer::Status(422, Vec::new(), "the serial number SN2 is not known".into()),
        false => Answer::Kept,
    };
    receiver.behave(refuse);
    let destinations = format!("{FOLDER}, {}", http(&receiver, ", name = 'server'"));
    let daemon = Setup::new().plugins(&["csv"]).config(&config("", &destinations, "")).start();
    drop_tables(&daemon, 1..4);
    wait_for_kept(&receiver, 2);
    daemon.wait_for_job("1.csv", "settled");
    daemon.wait_for_job("3.csv", "settled");
    let dead = wait_for("the dead letter", || {
        let shown = shown(&daemon, "2.csv");
        shown["deliveries"].as_array().unwrap().iter().find(|delivery| delivery["state"] == "dead").cloned()
    });
    assert_eq!(dead["destination"], "server");
    assert!(dead["error"].as_str().unwrap().contains("422"), "{dead}");
    assert!(dead.to_string().contains("the serial number SN2 is not known"), "{dead}");
    // Nothing else is sent, its document stays, and its source is settled all the same.
    let requests = receiver.requests();
    daemon.wait_for_source("done", "2.csv");
    assert_eq!(daemon.job("2.csv").unwrap()["state"], "committed");
    let spooled: Vec<Vec<u8>> = daemon.spooled().values().map(|path| fs::read(path).unwrap()).collect();
    assert!(spooled.contains(&document(2).into_bytes()));

    // It survives a restart, and goes when the server has learnt better and somebody says so.
    let daemon = daemon.restart(|setup| setup);
    daemon.wait_for_log("is ready: drop files");
    drop_tables(&daemon, 4..5);
    wait_for_kept(&receiver, 3);
    assert_eq!(receiver.requests(), requests + 1);
    receiver.behave(|_| Answer::Kept);
    queue_command(&daemon, &["retry", "--path", "2.csv"]);
    wait_for_kept(&receiver, 4);
    wait_for_settled_jobs(&daemon, 4);
    assert_kept_once(&receiver, 1..5);

    // What nobody wants is given up.
    receiver.behave(|_| Answer::status(400));
    drop_tables(&daemon, 5..6);
    wait_for("the dead letter", || (shown(&daemon, "5.csv").to_string().contains("\"dead\"")).then_some(()));
    queue_command(&daemon, &["purge", "--all", "--yes"]);
    wait_for_settled_jobs(&daemon, 5);
}

#[test]
fn one_document_of_many_is_refused_and_only_that_is_sent_again() {
    let receiver = Receiver::up();
    let mut refused: Option<String> = None;
    receiver.behave(move |received| {
        // The second that comes.
        match &refused {
            None => {
                refused = Some(String::new());
                Answer::Kept
            }
            Some(id) if id.is_empty() || *id == received.headers["idempotency-key"] => {
                refused = Some(received.headers["idempotency-key"].clone());
                Answer::status(409)
            }
            Some(_) => Answer::Kept,
        }
    });
    let daemon = Setup::new().plugins(&["junit"]).config(&config("", &http(&receiver, ""), "")).start();
    daemon.drop_file("suites.xml", fs::read(data("junit/testsuite-in-testsuite.xml")).unwrap());
    wait_for_kept(&receiver, 3);
    wait_for("the dead letter", || shown(&daemon, "suites.xml").to_string().contains("\"dead\"").then_some(()));
    assert_eq!((receiver.kept().len(), receiver.requests()), (3, 4));
    receiver.behave(|_| Answer::Kept);
    queue_command(&daemon, &["retry", "--all"]);
    wait_for_kept(&receiver, 4);
    wait_for_settled_jobs(&daemon, 1);
    assert_eq!(receiver.requests(), 5);
}

#[test]
fn a_document_that_a_server_always_fails_with_does_not_hold_up_the_others() {
    let receiver = Receiver::up();
    receiver.behave(|received| if received.body.contains("SN0") { Answer::status(500) } else { Answer::Kept });
    let daemon = Setup::new().plugins(&["csv"]).config(&config("", &http(&receiver, ""), "")).start();
    drop_tables(&daemon, 0..6);
    wait_for_kept(&receiver, 5);
    assert_eq!(bodies(&receiver).into_iter().collect::<BTreeSet<_>>(), expected(1..6));
    assert_eq!(daemon.wait_for_job("0.csv", "committed")["outcome"], "converted");
    receiver.behave(|_| Answer::Kept);
    // Its time comes by itself; an operator need not wait for it.
    queue_command(&daemon, &["retry", "--all"]);
    wait_for_settled_jobs(&daemon, 6);
    assert_kept_once(&receiver, 0..6);
}

#[test]
fn a_crash_amid_deliveries_repeats_them_under_the_same_ids() {
    let mut receiver = Receiver::up();
    receiver.behave(|_| Answer::Stall);
    let destinations = format!("{FOLDER}, {}", http(&receiver, ""));
    let daemon = Setup::new().plugins(&["csv"]).config(&config("", &destinations, "")).start();
    drop_tables(&daemon, 0..10);
    wait_for("a request to be under way", || (receiver.requests() > 0).then_some(()));
    // Killed, and what it had sent is gone with its connections, before the server keeps anything: else one that is kept in between comes
    // again under its id, which is allowed and would be counted here.
    let setup = daemon.into_setup();
    receiver.stop();
    receiver.behave(|_| Answer::Kept);
    receiver.start();
    let daemon = setup.start();
    wait_for_kept(&receiver, 10);
    wait_for_settled_jobs(&daemon, 10);
    assert_kept_once(&receiver, 0..10);
    assert_eq!(daemon.documents().len(), 10);
    receiver.stop();
}

#[test]
fn a_server_that_speaks_no_tls_is_said_with_what_to_do_and_a_proxy_is_used() {
    let receiver = Receiver::up();
    let secure = format!("{{ type = 'http', url = 'https://127.0.0.1:{}/x' }}", receiver.port());
    let daemon = Setup::new().plugins(&["csv"]).config(&config("", &secure, "")).start();
    daemon.drop_file("a.csv", table(1));
    daemon.wait_for_log("http.ca_file");
    let series = format!("http_requests_total{{endpoint=\"https://127.0.0.1:{}/x\",method=\"POST\",status=\"tls\"}}", receiver.port());
    wait_for(&series, || (daemon.metric(&series)? > 0.0).then_some(()));
    drop(daemon);

    let proxy = format!("[http]\nproxy = '{}'", receiver.url());
    let daemon =
        Setup::new().plugins(&["csv"]).config(&config(&proxy, "{ type = 'http', url = 'http://server.invalid/reports' }", "")).start();
    daemon.drop_file("a.csv", table(1));
    wait_for_kept(&receiver, 1);
    assert_eq!(receiver.kept()[0].headers["host"], "server.invalid");
}

#[test]
fn a_folder_that_is_gone_is_waited_for_and_not_made_again() {
    let daemon = Setup::new().plugins(&["csv"]).start();
    drop_tables(&daemon, 0..1);
    daemon.wait_for_job("0.csv", "settled");
    fs::remove_dir_all(daemon.path("out")).unwrap();
    drop_tables(&daemon, 1..4);
    daemon.wait_for_log("was there and is gone; if it is a share, mount it");
    wait_for("the sources in done/", || (files(&daemon.path("in/done")).len() == 4).then_some(()));
    assert!(!daemon.path("out").exists());
    // Not after a restart either.
    let daemon = daemon.restart(|setup| setup);
    daemon.wait_for_log("was there and is gone");
    assert!(!daemon.path("out").exists());
    fs::create_dir(daemon.path("out")).unwrap();
    daemon.wait_for_documents(3);
    wait_for_settled_jobs(&daemon, 4);
}

#[test]
fn files_have_the_names_that_the_destination_says_and_none_replaces_another() {
    let destination = "{ type = 'folder', path = 'out', file_name = '{context.station}/{dir1|none}/{name}' }";
    let daemon = Setup::new().plugins(&["csv"]).config(&config("", destination, "")).start();
    for (folder, serial) in [("x", 1), ("y", 2)] {
        daemon.drop_file(&format!("{folder}/a.csv"), table(serial));
    }
    daemon.drop_file("a.csv", table(3));
    wait_for_settled_jobs(&daemon, 3);
    // The same name again, with another content.
    daemon.drop_file("x/a.csv", table(4));
    wait_for_settled_jobs(&daemon, 4);
    let contents: BTreeMap<String, String> =
        daemon.documents().into_iter().map(|(name, path)| (name, fs::read_to_string(path).unwrap())).collect();
    let names: Vec<&str> = contents.keys().map(String::as_str).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    for (name, serial) in [("ict-3/x/a.jsonl", 1), ("ict-3/y/a.jsonl", 2), ("ict-3/none/a.jsonl", 3)] {
        assert_eq!(contents[name], document(serial), "{name}");
    }
    let other = names.iter().find(|name| name.starts_with("ict-3/x/a-")).unwrap();
    assert_eq!((without_id(other).as_str(), &contents[*other]), ("ict-3/x/a.jsonl", &document(4)));
}

#[test]
fn objects_go_to_a_folder_and_to_a_server_that_speaks_s3() {
    let receiver = Receiver::up();
    let mut first = true;
    receiver.behave(move |_| if std::mem::take(&mut first) { Answer::status(503) } else { Answer::Kept });
    let destinations = "{ type = 'object-store', url = 'file://{dir}/objects', key = '{route}/{file}/{id}.jsonl' }, \
                        { type = 'object-store', url = 's3://bucket/prefix', key = '{context.station}/{unique_name}' }";
    let endpoint = receiver.url();
    let environment = [
        ("AWS_ENDPOINT", endpoint.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "eu-north-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "hush-hush"),
    ];
    let mut setup = Setup::new().plugins(&["csv"]).config(&config("", destinations, ""));
    for (name, value) in environment {
        setup = setup.environment(name, value);
    }
    fs::create_dir(setup.path("objects")).unwrap();
    let daemon = setup.start();
    drop_tables(&daemon, 0..3);
    wait_for_settled_jobs(&daemon, 3);
    let objects = files(&daemon.path("objects"));
    let contents: BTreeSet<String> = objects.values().map(|path| fs::read_to_string(path).unwrap()).collect();
    assert_eq!((objects.len(), contents), (3, expected(0..3)));
    assert!(objects.keys().all(|key| key.starts_with("r/") && key.ends_with(".jsonl")), "{objects:?}");
    let kept = receiver.kept();
    assert_eq!(kept.iter().map(|received| received.body.clone()).collect::<BTreeSet<_>>(), expected(0..3));
    for received in kept {
        assert!(received.method == "PUT" && received.path.starts_with("/bucket/prefix/ict-3/"), "{received:?}");
        let authorization = &received.headers["authorization"];
        assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") && authorization.contains("/eu-north-1/s3/"));
        assert!(received.headers.contains_key("x-amz-meta-dropforge-id") && received.headers.contains_key("content-type"));
    }
    assert!(!daemon.log().contains("hush"));
    // The store's own client counts as ours does: what the server saw.
    for (status, count) in [("503", 1.0), ("201", 3.0)] {
        daemon.assert_metric(&format!("http_requests_total{{endpoint=\"s3://bucket/prefix\",method=\"PUT\",status=\"{status}\"}}"), count);
    }
    daemon.assert_metric("http_requests_active{endpoint=\"s3://bucket/prefix\",method=\"PUT\"}", 0.0);
}

/// Holds whoever comes to a point until it is released.
struct Hold<'a> {
    daemon: &'a Daemon,
}

fn holding(setup: Setup, point: &str) -> Setup {
    let file = setup.path("hold");
    fs::write(&file, "").unwrap();
    setup.environment("DROPFORGE_HOLD_AT", point).environment("DROPFORGE_HOLD_FILE", file.to_str().unwrap())
}

impl Hold<'_> {
    fn wait(daemon: &Daemon) -> Hold<'_> {
        wait_for("the point to be reached", || daemon.path("hold.reached").exists().then_some(()));
        Hold { daemon }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.daemon.path("hold"));
    }
}

#[test]
fn a_source_that_is_overwritten_at_any_step_of_its_job_comes_out_old_and_new() {
    // Between claim and commit, between commit and settling, and at every step of that.
    for point in ["after_first_document", "before_commit", "after_commit", "before_move", "after_move", "after_settle"] {
        for (success, where_to) in [("move", "in/done"), ("archive", "in/done"), ("delete", "")] {
            let after = format!("after = {{ success = '{success}' }}");
            let daemon = holding(Setup::new().plugins(&["csv"]).config(&config("", FOLDER, &after)), point).start();
            daemon.drop_file("a.csv", table(1));
            drop(Hold::wait(&daemon).overwrite("in/a.csv", &table(2)));
            let documents = daemon.wait_for_documents(2);
            let contents: BTreeSet<String> = documents.values().map(|path| fs::read_to_string(path).unwrap()).collect();
            assert_eq!(contents, expected(1..3), "{point}, {success}");
            wait_for_settled_jobs(&daemon, 2);
            assert_eq!(daemon.documents().len(), 2, "{point}, {success}");
            assert!(!daemon.path("in/a.csv").exists(), "{point}, {success}");
            // The old source can only be settled if it was not replaced before it had its private name. A worker that is held after the
            // commit does not hold up whoever settles.
            let (old, new) = (table(1), table(2));
            let possible: &[&[&String]] = match point {
                "before_move" | "after_move" | "after_settle" => &[&[&old, &new]],
                "after_commit" => &[&[&old, &new], &[&new]],
                _ => &[&[&new]],
            };
            if !where_to.is_empty() {
                let mut sources: Vec<String> = files(&daemon.path(where_to)).values().map(|path| unpacked(path)).collect();
                sources.sort();
                assert!(possible.contains(&sources.iter().collect::<Vec<_>>().as_slice()), "{point}, {success}: {sources:?}");
            }
        }
    }
}

impl Hold<'_> {
    /// Puts another file in a file's place, as somebody does who writes it anew.
    fn overwrite(self, path: &str, content: &str) -> Self {
        let target = self.daemon.path(path);
        let temporary = target.with_file_name(".new.tmp");
        fs::write(&temporary, content).unwrap();
        fs::rename(temporary, target).unwrap();
        self
    }
}

fn unpacked(path: &Path) -> String {
    let bytes = fs::read(path).unwrap();
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut text = String::new();
        flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
        return text;
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn an_archived_source_is_there_once_wherever_the_crash_is() {
    for point in ["before_move", "after_move", "after_settle"] {
        let setup =
            Setup::new().plugins(&["csv", "junit"]).config(&config("", FOLDER, "after = { success = 'archive', error = 'archive' }"));
        fs::write(setup.path("in/a.csv"), table(1)).unwrap();
        let broken = fs::read(data("junit/pytest-corrupt-xml.xml")).unwrap();
        fs::write(setup.path("in/broken.xml"), &broken).unwrap();
        let mut daemon = setup.environment("DROPFORGE_CRASH_AT", point).spawn();
        daemon.wait();
        let daemon = daemon.restart(|setup| setup.environment("DROPFORGE_CRASH_AT", ""));
        wait_for_settled_jobs(&daemon, 2);
        let settled: BTreeMap<String, String> = ["in/done", "in/failed"]
            .into_iter()
            .flat_map(|folder| files(&daemon.path(folder)))
            .map(|(name, path)| (name.split_once('/').unwrap().1.to_string(), unpacked(&path)))
            .collect();
        assert_eq!(settled.keys().collect::<Vec<_>>(), ["a.csv.gz", "broken.xml.gz", "broken.xml.gz.dropforge.json"], "{point}");
        assert_eq!((&settled["a.csv.gz"], settled["broken.xml.gz"].as_bytes()), (&table(1), broken.as_slice()), "{point}");
        let left: Vec<String> = files(&daemon.path("in")).into_keys().filter(|name| !name.contains('/')).collect();
        assert_eq!(left, [""; 0], "{point}");
        assert_eq!(daemon.documents().len(), 1, "{point}");
    }
}

#[test]
fn a_source_that_cannot_be_moved_is_delivered_once_and_moved_later() {
    let setup = Setup::new().plugins(&["csv"]);
    // Where `done` is to be made is a file.
    fs::write(setup.path("full"), "").unwrap();
    let text = config("", FOLDER, "").replace("path = 'in'", "path = 'in', done = 'full/done'");
    let daemon = setup.config(&text).start();
    drop_tables(&daemon, 0..3);
    daemon.wait_for_documents(3);
    daemon.wait_for_log("cannot settle a source");
    let ids: Vec<String> = daemon.documents().into_keys().collect();
    fs::remove_file(daemon.path("full")).unwrap();
    wait_for_settled_jobs(&daemon, 3);
    assert_eq!(files(&daemon.path("full/done")).len(), 3);
    assert_eq!(daemon.documents().into_keys().collect::<Vec<_>>(), ids);
    assert_eq!(daemon.jobs().len(), 3);
}
