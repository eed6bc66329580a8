//! Spans of jobs, as a collector of OpenTelemetry gets them, and the trace context that goes with a file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use dropforge_tests::collector::{Collector, Seen};
use dropforge_tests::receiver::{Answer, Receiver};
use dropforge_tests::{Daemon, PATIENCE, Setup, wait_for};

const TABLE: &str = "row,value\n1,a\n";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// A route that takes posts and a folder's files, and delivers to a server and a folder.
fn setup(top: &str, receiver: &Receiver) -> Setup {
    Setup::new().plugins(&["csv"]).config(&format!(
        "{top}
[[routes]]
name = 'ict'
converter = 'csv'
intake = {{ path = '{{dir}}/in', http = true }}
destinations = [
    {{ type = 'http', name = 'server', url = '{}/reports' }},
    {{ type = 'folder', name = 'folder', path = '{{dir}}/out' }},
]
",
        receiver.url()
    ))
}

fn tracing(collector: &Collector, more: &str) -> String {
    format!("tracing = {{ endpoint = '{}', {more} }}", collector.url())
}

fn post(daemon: &Daemon, path: &str, traceparent: Option<&str>, body: &str) -> (u16, String) {
    let token = fs::read_to_string(daemon.path("state/token")).unwrap();
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
    let mut request = ureq::Agent::new_with_config(config).post(format!("http://127.0.0.1:{}{path}", daemon.health_port()));
    request = request.header("authorization", format!("Bearer {}", token.trim()));
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent);
    }
    let mut response = request.send(body).unwrap();
    (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
}

fn traceparents(receiver: &Receiver) -> Vec<Option<String>> {
    receiver.kept().iter().map(|request| request.headers.get("traceparent").cloned()).collect()
}

fn only<'a>(spans: &'a [Seen], name: &str) -> &'a Seen {
    let found: Vec<&Seen> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "{name}: {spans:#?}");
    found[0]
}

#[test]
fn a_posted_file_s_spans_are_one_tree_below_its_client_s_and_its_receiver_is_told() {
    let (collector, receiver) = (Collector::up(), Receiver::up());
    let daemon = setup(&format!("instance_id = 'line-3'\n{}", tracing(&collector, "headers_env = 'COLLECTOR_KEY'")), &receiver)
        .environment("COLLECTOR_KEY", "api-key=hush%20hush")
        .start();
    let (status, _) = post(&daemon, "/api/v1/routes/ict/jobs?name=a.csv", Some(&format!("00-{TRACE}-{SPAN}-01")), TABLE);
    assert_eq!(status, 202);
    wait_for("the spans of both deliveries and of the job", || {
        (collector.named("deliver").len() == 2 && collector.named("job").len() == 1).then_some(())
    });
    let spans = collector.spans();
    let job = only(&spans, "job");
    assert_eq!((job.parent.as_str(), job.kind), (SPAN, 5));
    let mut names = BTreeSet::new();
    for span in &spans {
        assert_eq!(span.trace, TRACE, "{span:#?}");
        assert!(span.name == "job" || span.parent == job.id, "{span:#?}");
        assert!(span.began <= span.ended && span.began >= job.began && span.error.is_none(), "{span:#?}");
        assert_eq!(span.attributes["dropforge.route"], "ict", "{span:#?}");
        assert_eq!((span.attributes["file.name"].as_str(), span.attributes["file.size"].as_str()), ("a.csv", "14"));
        assert_eq!(span.headers["api-key"], "hush hush");
        assert_eq!((span.resource["service.name"].as_str(), span.resource["service.instance.id"].as_str()), ("dropforge", "line-3"));
        names.insert(span.name.as_str());
    }
    assert_eq!(names, BTreeSet::from(["cache", "convert", "deliver", "instantiate", "job", "queue"]));
    assert_eq!(spans.iter().map(|span| &span.id).collect::<BTreeSet<_>>().len(), spans.len(), "{spans:#?}");
    let record = daemon.job("a.csv").unwrap();
    let (convert, instantiate) = (only(&spans, "convert"), only(&spans, "instantiate"));
    assert_eq!((only(&spans, "queue").began, instantiate.ended), (job.began, convert.began));
    assert_eq!(job.attributes["dropforge.job.id"], record["id"].as_str().unwrap());
    for span in [job, convert] {
        assert_eq!(span.attributes["dropforge.converter"], "csv");
        assert_eq!(span.attributes["dropforge.plugin.digest"], record["plugin_digest"].as_str().unwrap());
        assert_eq!((span.attributes["dropforge.outcome"].as_str(), span.attributes["dropforge.documents"].as_str()), ("converted", "1"));
    }
    assert_eq!(only(&spans, "cache").attributes["dropforge.cache.hit"], "false");
    let deliveries: BTreeMap<&str, &Seen> = collector_deliveries(&spans);
    assert_eq!((deliveries["server"].kind, deliveries["folder"].kind), (3, 1));
    assert_eq!(traceparents(&receiver), [Some(format!("00-{TRACE}-{}-01", deliveries["server"].id))]);
    daemon.assert_metric("trace_spans_total{result=\"exported\"}", spans.len() as f64);
    daemon.assert_metric("trace_spans_total{result=\"dropped\"}", 0.0);
    assert!(!daemon.log().contains("hush"));

    // The same file in the folder, so that its result is known: a trace of its own.
    daemon.drop_file("a.csv", TABLE);
    wait_for("the spans of the second file", || (collector.named("deliver").len() == 4 && collector.named("job").len() == 2).then_some(()));
    let spans: Vec<Seen> = collector.spans().into_iter().filter(|span| span.trace != TRACE).collect();
    let job = only(&spans, "job");
    assert!(job.parent.is_empty() && spans.iter().all(|span| span.trace == job.trace), "{spans:#?}");
    assert_eq!(only(&spans, "cache").attributes["dropforge.cache.hit"], "true");
    assert!(spans.iter().all(|span| span.name != "convert"), "{spans:#?}");
}

fn collector_deliveries(spans: &[Seen]) -> BTreeMap<&str, &Seen> {
    let deliveries = spans.iter().filter(|span| span.name == "deliver");
    deliveries.map(|span| (span.attributes["dropforge.destination"].as_str(), span)).collect()
}

#[test]
fn a_client_decides_whether_its_file_is_traced_and_else_the_ratio_does() {
    let (collector, receiver) = (Collector::up(), Receiver::up());
    let daemon = setup(&tracing(&collector, "sample_ratio = 0.0"), &receiver).start();
    for (name, flags) in [("unsampled.csv", "00"), ("sampled.csv", "01")] {
        post(&daemon, &format!("/api/v1/routes/ict/jobs?name={name}"), Some(&format!("00-{TRACE}-{SPAN}-{flags}")), TABLE);
    }
    daemon.drop_file("own.csv", TABLE);
    wait_for("the documents of all", || (receiver.kept().len() == 3).then_some(()));
    wait_for("the job that is traced", || (collector.named("deliver").len() == 2 && collector.named("job").len() == 1).then_some(()));
    for span in collector.spans() {
        assert_eq!(span.attributes["file.name"], "sampled.csv", "{span:#?}");
    }
    let told: Vec<String> = traceparents(&receiver).into_iter().map(Option::unwrap).collect();
    assert_eq!(told.iter().filter(|told| told.ends_with("-01")).count(), 1, "{told:?}");
    assert_eq!(told.iter().filter(|told| told.contains(TRACE)).count(), 2, "{told:?}");
}

#[test]
fn a_trace_survives_a_restart_and_failures_say_why() {
    let (collector, receiver) = (Collector::up(), Receiver::up());
    receiver.behave(|_| Answer::status(503));
    let mut daemon = setup(&tracing(&collector, ""), &receiver).start();
    post(&daemon, "/api/v1/routes/ict/jobs?name=a.csv", Some(&format!("00-{TRACE}-{SPAN}-01")), TABLE);
    let failed = wait_for("a delivery that failed", || collector.named("deliver").into_iter().find(|span| span.error.is_some()));
    assert_eq!(failed.attributes["error.type"], "failed");
    assert!(failed.error.as_ref().unwrap().contains("503"), "{failed:#?}");
    let job = wait_for("the job", || collector.named("job").pop());
    daemon.kill();
    receiver.behave(|_| Answer::Kept);
    let daemon = daemon.restart(|setup| setup);
    let told = wait_for("the document", || traceparents(&receiver).pop()).unwrap();
    let delivered = wait_for("the delivery", || {
        collector.named("deliver").into_iter().find(|span| span.attributes["dropforge.destination"] == "server" && span.error.is_none())
    });
    assert_eq!((delivered.trace.as_str(), &delivered.parent), (TRACE, &job.id));
    assert_eq!(told, format!("00-{TRACE}-{}-01", delivered.id));

    // A conversion that fails.
    daemon.drop_file("bad.csv", [0x50, 0x4b, 0x03, 0x04, 0x00, 0xff, 0x00, 0x01]);
    let job = wait_for("the job that failed", || collector.named("job").into_iter().find(|span| span.attributes["file.name"] == "bad.csv"));
    let sidecar = daemon.wait_for_sidecar("bad.csv");
    assert_eq!(job.error.as_deref(), sidecar["error"]["message"].as_str(), "{sidecar:#}");
    assert_eq!(job.attributes["error.type"], sidecar["error_type"].as_str().or(sidecar["error"]["error_type"].as_str()).unwrap());
}

#[test]
fn what_is_converted_at_once_is_traced_too() {
    let (collector, receiver) = (Collector::up(), Receiver::up());
    let daemon = setup(&tracing(&collector, "service_name = 'hub'"), &receiver).start();
    let traceparent = format!("00-{TRACE}-{SPAN}-01");
    assert_eq!(post(&daemon, "/api/v1/convert?route=ict&name=a.csv", Some(&traceparent), TABLE).0, 200);
    wait_for("the spans", || collector.named("job").pop());
    let spans = collector.spans();
    let job = only(&spans, "job");
    assert_eq!((job.parent.as_str(), job.kind, job.resource["service.name"].as_str()), (SPAN, 2, "hub"));
    assert_eq!(only(&spans, "convert").parent, job.id);
    assert_eq!(post(&daemon, "/api/v1/convert?converter=csv&name=a.csv&options={%22delimiter%22:5}", None, TABLE).0, 400);
    let refused = wait_for("the span of what was refused", || collector.named("job").into_iter().find(|span| span.error.is_some()));
    assert_eq!(refused.attributes["error.type"], "bad");
}

#[test]
fn without_a_collector_in_the_configuration_the_context_is_passed_on_as_it_came() {
    let (collector, receiver) = (Collector::up(), Receiver::up());
    let daemon = setup("", &receiver).environment("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url()).start();
    let traceparent = format!("00-{TRACE}-{SPAN}-01");
    post(&daemon, "/api/v1/routes/ict/jobs?name=a.csv", Some(&traceparent), TABLE);
    wait_for("the document", || (receiver.kept().len() == 1).then_some(()));
    daemon.drop_file("b.csv", TABLE);
    wait_for("the other document", || (receiver.kept().len() == 2).then_some(()));
    assert_eq!(traceparents(&receiver), [Some(traceparent), None]);
    assert_eq!((collector.requests(), daemon.metric("trace_spans_total{result=\"exported\"}")), (0, None));
    assert!(daemon.log().contains("OTEL_EXPORTER_OTLP_ENDPOINT is not read"), "{}", daemon.log());
}

#[cfg(unix)]
#[test]
fn a_collector_that_is_down_or_hangs_holds_up_nothing() {
    for (collector, said) in
        [(Collector::down(), "spans do not get to the collector"), (Collector::stalling(), "the last spans did not get to the collector")]
    {
        let receiver = Receiver::up();
        let mut daemon = setup(&tracing(&collector, "timeout_seconds = 600.0"), &receiver).start();
        for n in 0..20 {
            daemon.drop_file(&format!("{n}.csv"), format!("row,value\n{n},a\n"));
        }
        wait_for("all documents", || (receiver.kept().len() == 20).then_some(()));
        daemon.wait_for_documents(20);
        daemon.assert_all_converted(&[]);
        if said.contains("do not") {
            wait_for("spans to be counted as lost", || {
                daemon.metric("trace_spans_total{result=\"dropped\"}").filter(|dropped| *dropped >= 20.0)
            });
        } else {
            wait_for("the collector to be asked", || (collector.requests() > 0).then_some(()));
        }
        assert!(daemon.terminate().success(), "{}", daemon.log());
        assert!(daemon.log().contains(said), "{}", daemon.log());
    }
}

#[test]
fn what_a_collector_refuses_is_counted_and_said() {
    let (collector, receiver) = (Collector::refusing("the quota is used up"), Receiver::up());
    let daemon = setup(&tracing(&collector, ""), &receiver).start();
    daemon.drop_file("a.csv", TABLE);
    daemon.wait_for_log("the collector refuses some: the quota is used up");
    wait_for("all its spans to be counted", || daemon.metric("trace_spans_total{result=\"dropped\"}").filter(|dropped| *dropped >= 7.0));
    assert_eq!(daemon.metric("trace_spans_total{result=\"exported\"}"), Some(0.0));
    daemon.wait_for_document("a.jsonl");
}
