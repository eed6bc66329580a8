//! The ports under attack: whoever is slow, silent, greedy or makes no sense keeps nobody else out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use dropforge_tests::{Daemon, PATIENCE, Setup, get, wait_for};

const ROUTES: &str = "
[server]
max_connections = 16
head_seconds = 1.0
idle_seconds = 1.0
[[routes]]
name = 'ict'
intake = { path = '{dir}/in', http = true }
destinations = [{ type = 'folder', path = '{dir}/out' }]
";

fn connect(daemon: &Daemon) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", daemon.health_port())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Everything that comes until the server closes the connection, in whatever way.
fn until_closed(stream: &mut TcpStream) -> String {
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => panic!("it was not closed: {error}"),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn is_well(daemon: &Daemon) {
    assert_eq!(get(daemon.health_port(), "/health").0, 200);
}

fn token(daemon: &Daemon) -> String {
    format!("Authorization: Bearer {}\r\n", fs::read_to_string(daemon.path("state/token")).unwrap().trim())
}

#[test]
fn silent_and_slow_connections_keep_nobody_out_and_are_closed() {
    let daemon = Setup::new().config(ROUTES).start();
    // Twenty times what is admitted, and they say nothing.
    let mut silent: Vec<TcpStream> = (0..320).map(|_| connect(&daemon)).collect();
    for _ in 0..20 {
        is_well(&daemon);
    }
    assert!(silent.iter_mut().all(|stream| until_closed(stream).is_empty()));

    // Those that send their head a byte at a time are many, and begin anew whenever they are thrown out.
    let stop = Arc::new(AtomicBool::new(false));
    let port = daemon.health_port();
    let closed = Arc::new(AtomicBool::new(false));
    let dripping: Vec<_> = (0..32)
        .map(|_| {
            let (stop, closed) = (Arc::clone(&stop), Arc::clone(&closed));
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                    let _ = stream.write_all(b"GET /health HTTP/1.1\r\n");
                    while !stop.load(Ordering::Relaxed) && stream.write_all(b"x: y\r\n").is_ok() {
                        thread::sleep(Duration::from_millis(20));
                    }
                    closed.store(true, Ordering::Relaxed);
                }
            })
        })
        .collect();
    wait_for("a slow one to be closed", || {
        is_well(&daemon);
        closed.load(Ordering::Relaxed).then_some(())
    });
    for _ in 0..50 {
        is_well(&daemon);
    }
    stop.store(true, Ordering::Relaxed);
    dripping.into_iter().for_each(|thread| thread.join().unwrap());
    is_well(&daemon);
}

#[test]
fn a_body_that_stops_and_an_answer_that_is_not_read_are_given_up() {
    let daemon = Setup::new().config(ROUTES).start();
    for path in ["/api/v1/routes/ict/jobs", "/api/v1/convert", "/api/v1/queue/retry"] {
        let mut slow = connect(&daemon);
        write!(slow, "POST {path} HTTP/1.1\r\nhost: x\r\n{}content-length: 100\r\n\r\n{{\"all\"", token(&daemon)).unwrap();
        let answer = until_closed(&mut slow);
        assert!(answer.starts_with("HTTP/1.1 408 "), "{path}: {answer}");
        assert!(answer.contains("application/problem+json") && answer.contains("Nothing came for 1 s."), "{path}: {answer}");
    }
    assert_eq!(daemon.jobs().len(), 0);
    // It asks and asks, and reads nothing: once the buffers are full, nothing more is made for it.
    let mut greedy = connect(&daemon);
    let asking = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100);
    while greedy.write_all(&asking).is_ok() {}
    is_well(&daemon);
}

#[test]
fn heads_that_are_too_large_or_make_no_sense_are_refused() {
    let daemon = Setup::new().config(ROUTES).start();
    let long = "x".repeat(200_000);
    let many: String = (0..200).map(|number| format!("x-{number}: y\r\n")).collect();
    for (request, statuses) in [
        (format!("GET /health HTTP/1.1\r\nhost: x\r\nlong: {long}\r\n\r\n"), [431, 431]),
        (format!("GET /health HTTP/1.1\r\nhost: x\r\n{many}\r\n"), [431, 431]),
        (format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n"), [414, 431]),
        ("BREW\r\n\r\n".to_owned(), [400, 400]),
        ("GET /health HTTP/9.9\r\n\r\n".to_owned(), [400, 505]),
        ("\u{16}\u{3}\u{1} no TLS here\r\n\r\n".to_owned(), [400, 400]),
        ("GET /health HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n".to_owned(), [400, 400]),
        ("POST /api/v1/convert HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n12345".to_owned(), [400, 400]),
        ("POST /api/v1/convert HTTP/1.1\r\nhost: x\r\ncontent-length: many\r\n\r\n".to_owned(), [400, 400]),
    ] {
        let mut stream = connect(&daemon);
        // What is refused early breaks the connection while it is still being sent.
        let _ = stream.write_all(request.as_bytes());
        let answer = until_closed(&mut stream);
        let status = answer.get(9..12).and_then(|status| status.parse().ok());
        let shown: String = request.chars().take(80).collect();
        assert!(answer.is_empty() || status.is_some_and(|status| statuses.contains(&status)), "{shown}: {answer}");
        is_well(&daemon);
    }
    let mut stream = connect(&daemon);
    let body = "x".repeat(300_000);
    write!(
        stream,
        "POST /api/v1/queue/retry HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{}content-length: 300000\r\n\r\n{body}",
        token(&daemon)
    )
    .unwrap();
    let answer = until_closed(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("application/problem+json"), "{answer}");
}

#[test]
fn requests_in_one_piece_are_answered_one_by_one() {
    let daemon = Setup::new().config(ROUTES).start();
    let mut stream = connect(&daemon);
    let mut requests = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n".repeat(499);
    requests.extend_from_slice(b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let mut writing = stream.try_clone().unwrap();
    let writer = thread::spawn(move || writing.write_all(&requests).unwrap());
    let answers = until_closed(&mut stream);
    writer.join().unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 500);
    assert!(answers.ends_with('}') && answers.rsplit_once("\r\n\r\n").unwrap().1.contains("alive"), "in their order");
}

#[cfg(target_os = "linux")]
#[test]
fn a_flood_takes_a_bounded_amount_of_memory() {
    let daemon = Setup::new().start();
    let resident = || -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    };
    is_well(&daemon);
    let before = resident();
    // Heads that come almost to their bound and never end: together 120 MB.
    let mut flood = Vec::new();
    let most = "x".repeat(60_000);
    for _ in 0..2_000 {
        let mut stream = connect(&daemon);
        let _ = write!(stream, "GET /health HTTP/1.1\r\nhost: x\r\nlong: {most}");
        flood.push(stream);
        if flood.len() % 100 == 0 {
            is_well(&daemon);
        }
        // As many descriptors as a test may have open.
        if flood.len() > 500 {
            flood.remove(0);
        }
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
    is_well(&daemon);
}
