//! What the HTTP client promises of every request: whom it believes, over what it speaks, and how often it asks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;
use std::time::{Duration, Instant};

use dropforge_tests::receiver::Receiver;
use dropforge_tests::secure::SecureServer;
use dropforge_tests::{Setup, wait_for};

/// A route whose documents go to a server, with `[http]` settings.
fn config(url: &str, http: &str) -> String {
    format!(
        "[http]\n{http}\n[[routes]]\nname = 'r'\nintake = {{ path = 'in' }}\n\
         destinations = [{{ type = 'http', url = '{url}/reports/{{id}}', method = 'PUT' }}]\n"
    )
}

#[test]
fn a_server_is_believed_by_its_own_authority_alone_and_spoken_to_over_http_2() {
    let server = SecureServer::up();
    let setup = Setup::new().plugins(&["csv"]).config(&config(&server.url(), ""));
    fs::write(setup.path("ca.pem"), server.authority()).unwrap();
    let daemon = setup.start();
    daemon.drop_file("a.csv", "serial,value\nSN1,1\n");
    daemon.wait_for_log("name that authority's PEM file as `http.ca_file`");
    let series = format!("http_requests_total{{endpoint=\"{}/reports/{{id}}\",method=\"PUT\",status=\"tls\"}}", server.url());
    wait_for("the refusal to be counted", || (daemon.metric(&series)? >= 1.0).then_some(()));
    assert_eq!(server.seen(), []);

    let trusting = config(&server.url(), "ca_file = 'ca.pem'");
    let daemon = daemon.restart(|setup| setup.config(&trusting));
    wait_for("the document at the server", || (!server.seen().is_empty()).then_some(()));
    daemon.wait_for_job("a.csv", "settled");
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!((format!("{:?}", seen[0].0).as_str(), seen[0].1.as_str()), ("HTTP/2.0", "{\"serial\":\"SN1\",\"value\":1}\n"));
}

#[test]
fn a_server_gets_no_more_requests_a_second_than_it_may() {
    const COUNT: u32 = 11;
    let receiver = Receiver::up();
    let daemon = Setup::new().plugins(&["csv"]).config(&config(&receiver.url(), "requests_per_second = 10.0")).start();
    let began = Instant::now();
    for serial in 0..COUNT {
        daemon.drop_file(&format!("{serial}.csv"), format!("serial,value\nSN{serial},1\n"));
    }
    wait_for("the documents at the server", || (receiver.kept().len() >= COUNT as usize).then_some(()));
    // However slow the machine is: the last of them may not come earlier.
    assert!(began.elapsed() >= Duration::from_millis(100) * (COUNT - 1), "{:?}", began.elapsed());
    assert_eq!(receiver.requests(), COUNT as usize);
}
