//! Object stores that speak the real protocols: emulators of S3 (moto) and Azure (azurite), which `cargo xtask setup` installs. A test whose emulator is not there says so.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use dropforge_tests::{Daemon, Setup, python, run, target_folder, wait_for};

/// moto asks who wants to read, and believes every answer.
const ANYBODY: &str = "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

/// An emulator, which is down until it is started.
struct Emulator {
    command: Command,
    port: u16,
    /// What a reader says of itself.
    reader: Option<&'static str>,
    process: Option<Child>,
}

impl Emulator {
    /// The emulator that this command line starts, with its port after it.
    fn new(program: PathBuf, arguments: &[&str]) -> Emulator {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let mut command = Command::new(program);
        command.args(arguments).arg(port.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
        Emulator { command, port, reader: None, process: None }
    }

    /// One that is a package of Python; none where it is not installed.
    fn of_python(module: &str, arguments: &[&str]) -> Option<Emulator> {
        let python = target_folder().join("venv/bin/python");
        let import = Command::new(&python).args(["-c", &format!("import {module}")]).stderr(Stdio::null()).status();
        if !import.is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: {module} is not installed: `cargo xtask setup` says why");
            return None;
        }
        let mut emulator = Emulator::new(python, arguments);
        emulator.reader = Some(ANYBODY);
        Some(emulator)
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn start(&mut self) {
        self.process = Some(self.command.spawn().unwrap());
        let address = (Ipv4Addr::LOCALHOST, self.port);
        wait_for("the emulator to listen", || std::net::TcpStream::connect(address).ok().map(drop));
    }

    fn read(&self, path: &str) -> String {
        let request = ureq::get(format!("{}{path}", self.url()));
        let request = self.reader.iter().fold(request, |request, reader| request.header("authorization", *reader));
        request.call().unwrap_or_else(|error| panic!("{path}: {error}")).body_mut().read_to_string().unwrap()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A daemon whose documents go to a store, each under its id.
fn daemon(url: &str, environment: &[(&str, &str)]) -> Daemon {
    let setup = Setup::new().plugins(&["csv"]).config(&format!(
        "[[routes]]\nname = 'r'\nconverter = 'csv'\nintake = {{ path = 'in' }}\n\
         destinations = [{{ type = 'object-store', url = '{url}/kept', key = '{{file}}/{{id}}.jsonl' }}]\n"
    ));
    environment.iter().fold(setup, |setup, (name, value)| setup.environment(name, value)).start()
}

/// Tables, by name, and the documents that they become: small ones, and one that goes in parts.
fn tables() -> BTreeMap<String, (String, String)> {
    let sizes = [("a.csv", 1), ("b c+ø.csv", 2), ("empty.csv", 0), ("large.csv", 250_000)];
    let table = |rows: u32| {
        let lines = |line: fn(u32) -> String| (0..rows).map(line).collect::<String>();
        let documents = lines(|row| format!("{{\"serial\":\"SN{row}\",\"value\":{row}}}\n"));
        (format!("serial,value\n{}", lines(|row| format!("SN{row},{row}\n"))), documents)
    };
    sizes.into_iter().map(|(name, rows)| (name.to_owned(), table(rows))).collect()
}

fn wait_until_delivered(daemon: &Daemon, count: usize) {
    wait_for("everything to be delivered", || {
        let jobs = daemon.jobs();
        (jobs.len() == count && jobs.iter().all(|job| job["state"] == "settled")).then_some(())
    });
}

fn command(daemon: &Daemon, arguments: &[&str]) {
    let state = daemon.path("state");
    let (code, _, errors) = run(&daemon.path(""), &[arguments, &["--state", state.to_str().unwrap()]].concat());
    assert_eq!(code, 0, "{errors}");
}

/// Documents wait while the store is down, arrive whole when it is up, and are overwritten when they are made again.
fn documents_arrive_once(
    url: &str,
    environment: &[(&str, &str)],
    emulator: &mut Emulator,
    make_bucket: impl Fn(&Emulator),
    objects: impl Fn(&Emulator) -> BTreeMap<String, String>,
) {
    let daemon = daemon(url, environment);
    let tables = tables();
    for (name, (table, _)) in &tables {
        daemon.drop_file(name, table);
        daemon.wait_for_source("done", name);
    }
    daemon.wait_for_log("cannot deliver; the documents stay in the spool");
    assert!(daemon.jobs().iter().all(|job| job["state"] == "committed"));

    emulator.start();
    make_bucket(emulator);
    command(&daemon, &["queue", "retry", "--all"]);
    wait_until_delivered(&daemon, tables.len());
    let first = objects(emulator);
    let expected: BTreeMap<&str, &str> = tables.iter().map(|(name, (_, document))| (name.as_str(), document.as_str())).collect();
    let found: BTreeMap<&str, &str> = first
        .iter()
        .map(|(key, content)| {
            let (file, id) = key.strip_prefix("kept/").unwrap().rsplit_once('/').unwrap();
            assert_eq!(id.len(), "00000000-0000-0000-0000-000000000000.jsonl".len(), "{key}");
            (file, content.as_str())
        })
        .collect();
    assert!(found == expected, "{:?}", first.keys());

    command(&daemon, &["replay", "-c", "dropforge.toml", "--plugins", "plugins", "--all", "--deliver"]);
    for name in tables.keys() {
        daemon.wait_for_job_that(name, |job| job["state"] == "settled");
    }
    daemon.assert_metric_sum("delivery_documents_total", "status=\"success\"", 2.0 * tables.len() as f64);
    assert!(objects(emulator) == first);
}

/// What stands between two texts, each time.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split_once(after)).map(|(found, _)| found).collect()
}

/// A key as a part of an address.
fn encoded(key: &str) -> String {
    key.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() || b"/.-".contains(&byte) { char::from(byte).into() } else { format!("%{byte:02X}") })
        .collect()
}

fn put(url: &str) {
    let response = ureq::put(url).send_empty().unwrap();
    assert_eq!(response.status(), 200);
}

#[test]
fn s3() {
    let Some(mut emulator) = Emulator::of_python("moto.server", &["-m", "moto.server", "-H", "127.0.0.1", "-p"]) else { return };
    let url = emulator.url();
    let environment = [
        ("AWS_ENDPOINT", url.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let make_bucket = |emulator: &Emulator| put(&format!("{}/bucket", emulator.url()));
    documents_arrive_once("s3://bucket", &environment, &mut emulator, make_bucket, |emulator| {
        let list = emulator.read("/bucket?list-type=2");
        let keys = between(&list, "<Key>", "</Key>");
        keys.into_iter().map(|key| (key.to_owned(), emulator.read(&format!("/bucket/{}", encoded(key))))).collect()
    });
    let list = emulator.read("/bucket?list-type=2");
    let object = ureq::head(format!("{}/bucket/{}", emulator.url(), encoded(between(&list, "<Key>", "</Key>")[0])))
        .header("authorization", ANYBODY)
        .call()
        .unwrap();
    let header = |name: &str| object.headers().get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "application/x-ndjson");
    assert!(list.contains(&header("x-amz-meta-dropforge-id")));
}

#[test]
fn azure() {
    let program = target_folder().join("emulators/node_modules/azurite/dist/src/blob/main.js");
    if !program.exists() {
        return eprintln!("SKIPPED: azurite is not installed: `cargo xtask setup` says why");
    }
    let folder = tempfile::tempdir().unwrap();
    let location = folder.path().to_str().unwrap();
    let arguments =
        [program.to_str().unwrap(), "--silent", "--disableTelemetry", "--skipApiVersionCheck", "--location", location, "--blobPort"];
    let mut emulator = Emulator::new("node".into(), &arguments);
    let url = emulator.url();
    let environment = [("AZURE_STORAGE_USE_EMULATOR", "true"), ("AZURITE_BLOB_STORAGE_URL", url.as_str())];
    let make_container = |emulator: &Emulator| {
        let made = python("azure_container.py", &[emulator.url().as_ref(), "bucket".as_ref()]);
        assert_eq!(made["status"], 201);
    };
    documents_arrive_once("az://bucket", &environment, &mut emulator, make_container, |emulator| {
        let list = emulator.read("/devstoreaccount1/bucket?restype=container&comp=list");
        let names = between(&list, "<Name>", "</Name>");
        names.into_iter().map(|name| (name.to_owned(), emulator.read(&format!("/devstoreaccount1/bucket/{}", encoded(name))))).collect()
    });
    let list = emulator.read("/devstoreaccount1/bucket?restype=container&comp=list&include=metadata");
    for (name, id) in between(&list, "<Name>", "</Name>").into_iter().zip(between(&list, "<dropforge_id>", "</dropforge_id>")) {
        assert!(name.contains(id), "{list}");
    }
    assert!(list.contains("<dropforge_report_id>") && list.contains("application/x-ndjson"), "{list}");
}
