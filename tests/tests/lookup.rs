//! Converters that ask the server: what they may ask, what becomes of the answers, and of a server that is not there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;
use std::path::Path;

use dropforge_tests::receiver::{Answer, Received, Receiver};
use dropforge_tests::{Setup, plugin, run, wait_for};
use serde_json::{Value, json};

const LOADED: [&str; 2] = ["lookup-guest", "opcheck"];

/// A server that knows one operation, 10.
fn operations() -> Receiver {
    let server = Receiver::up();
    server.know(know);
    server
}

fn know(asked: &Received) -> Answer {
    match asked.path.as_str() {
        "/api/operations/10" => found(r#"{"code": 10, "name": "In-circuit test"}"#),
        "/api/large" => found(&"x".repeat(100_000)),
        "/api/parts?number=A%2FB%C3%B8" => found("a part"),
        "/secret" => found("hush"),
        _ => Answer::status(404),
    }
}

fn found(text: &str) -> Answer {
    Answer::Status(200, vec![("content-type", "application/json; charset=utf-8".to_owned())], text.to_owned())
}

/// A route of this name, with a folder of that name as its inbox.
fn route(name: &str, converter: &str, more: &str) -> String {
    format!(
        "[[routes]]\nname = '{name}'\nconverter = '{converter}'\nintake = {{ path = '{{dir}}/{name}', create = true }}\n\
         destinations = [{{ type = 'folder', path = '{{dir}}/out' }}]\n{more}\n"
    )
}

fn upstream(server: &Receiver) -> String {
    format!("[upstream]\nurl = '{}'\nlookup_paths = ['/api/operations/*', '/api/large', '/api/parts']\n", server.url())
}

const GRANTED: &str = "[plugins.opcheck]\nallow = ['lookup']\n[plugins.lookup-guest]\nallow = ['lookup']\n";

fn report(code: u32) -> String {
    format!("{{\"operation_code\": {code}, \"serial\": \"SN1\"}}")
}

/// What the guest was answered, line by line.
fn answers(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn an_operation_code_that_the_server_does_not_know_rejects_the_report() {
    let server = operations();
    let setup = Setup::new().plugins(&LOADED);
    fs::write(setup.path("token"), "hush-token\n").unwrap();
    // What the server says is not kept here: every request is to be seen.
    let config =
        "enable_cache = false\n".to_owned() + &upstream(&server) + "token_file = '{dir}/token'\n" + GRANTED + &route("in", "opcheck", "");
    let daemon = setup.config(&config).start();
    daemon.drop_file("known.report.json", report(10));
    daemon.wait_for_settled("done", "known.report.json");
    let document = daemon.wait_for_document("known.report.json");
    assert_eq!(fs::read_to_string(document).unwrap(), report(10));
    // The same bytes again: what the server says may have changed, so it is asked again.
    daemon.drop_file("again.report.json", report(10));
    daemon.wait_for_settled("done", "again.report.json");

    daemon.drop_file("unknown.report.json", report(99));
    let sidecar = daemon.wait_for_sidecar("unknown.report.json");
    assert_eq!((&sidecar["outcome"], &sidecar["error"]["code"]), (&json!("rejected"), &json!("unknown_operation")), "{sidecar:#}");
    assert!(sidecar["error"]["message"].as_str().unwrap().contains("the server knows no operation `99`"));
    assert_eq!(sidecar["capabilities"], json!(["lookup"]));
    daemon.assert_metric("conversions_total{converter=\"opcheck\",status=\"rejected\"}", 1.0);

    let asked = server.looked_up();
    let paths: Vec<&str> = asked.iter().map(|asked| asked.path.as_str()).collect();
    assert_eq!(paths, ["/api/operations/10", "/api/operations/10", "/api/operations/99"]);
    assert!(asked.iter().all(|asked| asked.headers["authorization"] == "Bearer hush-token"), "{asked:#?}");
    // The label is the pattern, and never what was asked for.
    daemon.assert_metric("http_requests_total{endpoint=\"/api/operations/*\",method=\"GET\",status=\"200\"}", 2.0);
    daemon.assert_metric("http_requests_total{endpoint=\"/api/operations/*\",method=\"GET\",status=\"404\"}", 1.0);
    assert!(!daemon.get("/metrics").1.contains("/api/operations/9"));
}

#[test]
fn only_paths_that_are_allowed_are_asked_for_and_no_more_than_the_budget() {
    let server = operations();
    let config =
        "limits = { lookups = 4, lookup_bytes = 100106 }\n".to_owned() + &upstream(&server) + GRANTED + &route("in", "lookup-guest", "");
    let daemon = Setup::new().plugins(&LOADED).config(&config).start();
    // What was not sent counts as well: who tries too much is stopped.
    daemon.drop_file(
        "denied.lookup",
        "/secret\n/api/operations/../../secret\n/api/operations/%2e%2e%2f%2e%2e%2fsecret\n//evil/secret\n/api/operations/10",
    );
    daemon.wait_for_settled("done", "denied.lookup");
    let denied = answers(&daemon.wait_for_document("answers.txt"));
    assert_eq!(
        denied[0],
        "denied: the path `/secret` may not be looked up: add \"/secret\", or a pattern that it matches, to `lookup_paths = [...]` below \
         [upstream] in the configuration"
    );
    assert!(denied[1..4].iter().all(|answer| answer.starts_with("other: the path ")), "{denied:#?}");
    assert_eq!(denied[4], "budget: this job has used up 4 look-ups, its limit `lookups`");
    assert!(server.looked_up().is_empty());

    fs::remove_file(daemon.wait_for_document("answers.txt")).unwrap();
    daemon.drop_file("large.lookup", "/api/parts number=A/Bø\n/api/large\n/api/large\n/api/operations/10");
    daemon.wait_for_settled("done", "large.lookup");
    let large = answers(&daemon.wait_for_document("answers.txt"));
    assert_eq!(large[0], "200 application/json a part");
    assert_eq!(large[1], "200 application/json 100000 bytes");
    assert_eq!(large[2], "budget: the answer has more than the 100 bytes that are left of the limit `lookup_bytes`");
    assert_eq!(large[3], r#"200 application/json {"code": 10, "name": "In-circuit test"}"#);
}

#[test]
fn a_server_that_is_down_is_asked_again_later() {
    let mut server = Receiver::down();
    let config = upstream(&server) + GRANTED + &route("in", "opcheck", "");
    let daemon = Setup::new().plugins(&LOADED).config(&config).start();
    daemon.drop_file("early.report.json", report(10));
    let waiting = daemon.wait_for_job_that("early.report.json", |job| job["waiting"] == "retry");
    assert_ne!(waiting["state"], "running", "{waiting:#}");
    assert!(daemon.metric("conversion_errors_total{converter=\"opcheck\",error_type=\"upstream\"}").unwrap() >= 1.0);
    server.know(know);
    server.start();
    daemon.wait_for_settled("done", "early.report.json");
}

#[test]
fn a_server_that_never_answers_holds_no_worker_beyond_the_limits() {
    let server = Receiver::up();
    server.know(|asked| if asked.path.ends_with("/10") { Answer::Stall } else { Answer::status(404) });
    let patient = route("patient", "lookup-guest", "limits = { wall_seconds = 1.0, lookup_seconds = 600.0 }");
    let budgeted = route("budgeted", "opcheck", "limits = { wall_seconds = 600.0, lookup_seconds = 0.5 }");
    let config = "workers = 1\n".to_owned() + &upstream(&server) + GRANTED + &patient + &budgeted;
    let daemon = Setup::new().plugins(&LOADED).config(&config).start();
    // The wall time is what ends the first: it is never tried again.
    daemon.drop_into("patient", "stall.lookup", "/api/operations/10");
    let sidecar = daemon.wait_for_sidecar_in("patient", "stall.lookup");
    assert_eq!(sidecar["error_type"], "timeout", "{sidecar:#}");
    // The budget for look-ups ends the second, and the converter can still say what was wrong.
    daemon.drop_into("budgeted", "stall.report.json", report(10));
    daemon.wait_for_job_that("stall.report.json", |job| job["waiting"] == "retry");
    assert!(daemon.metric("conversion_errors_total{converter=\"opcheck\",error_type=\"upstream\"}").unwrap() >= 1.0);
    // The one worker is free all the while.
    daemon.drop_into("patient", "next.lookup", "/api/operations/11");
    wait_for("the next file", || daemon.job("next.lookup").filter(|job| job["outcome"] == "converted"));
}

/// What ran when the daemon died is converted in a process of its own the next time, which has to reach the server by itself.
#[test]
fn a_job_that_was_killed_while_it_waited_asks_again() {
    let server = Receiver::up();
    server.know(|_| Answer::Stall);
    let config = upstream(&server) + GRANTED + &route("in", "opcheck", "");
    let mut daemon = Setup::new().plugins(&LOADED).config(&config).start();
    daemon.drop_file("a.report.json", report(10));
    wait_for("the server to be asked", || (!server.looked_up().is_empty()).then_some(()));
    daemon.kill();
    server.know(know);
    let daemon = daemon.restart(|setup| setup);
    daemon.wait_for_log("is ready: drop files");
    daemon.wait_for_settled("done", "a.report.json");
    assert_eq!(fs::read_to_string(daemon.wait_for_document("a.report.json")).unwrap(), report(10));
}

#[test]
fn a_plugin_that_was_not_granted_what_it_asks_for_is_refused_until_it_is() {
    let server = operations();
    let config = |granted: &str| upstream(&server) + granted + &route("in", "opcheck", "");
    let daemon = Setup::new().plugins(&LOADED).config(&config("")).start();
    let refused = daemon.plugin_status("opcheck.wasm").unwrap()["refused"]["reason"].as_str().unwrap().to_owned();
    let line = "allow = [\"lookup\"]";
    assert_eq!(
        refused,
        format!(
            "the converter `opcheck` asks for `lookup`, which is not granted: add `{line}` below [plugins.opcheck] in the configuration"
        )
    );
    daemon.drop_file("a.report.json", report(10));
    daemon.wait_for_job("a.report.json", "converter");
    assert!(server.looked_up().is_empty());
    // The line that it names is the one that helps.
    let daemon = daemon.restart(|setup| setup.config(&config(&format!("[plugins.opcheck]\n{line}\n"))));
    daemon.wait_for_log("is ready: drop files");
    daemon.wait_for_settled("done", "a.report.json");
    assert_eq!(daemon.plugin_status("opcheck.wasm").unwrap()["running"]["capabilities"], json!(["lookup"]));
}

#[test]
fn a_route_s_grant_holds_on_that_route_alone() {
    let server = operations();
    let routes = route("with", "lookup-guest", "allow = ['lookup']") + &route("without", "lookup-guest", "") + &route("auto", "auto", "");
    let daemon = Setup::new().plugins(&["lookup-guest", "junit"]).config(&(upstream(&server) + &routes)).start();
    daemon.drop_into("with", "a.lookup", "/api/operations/10");
    assert!(answers(&daemon.wait_for_document("answers.txt"))[0].starts_with("200 "));

    daemon.drop_into("without", "b.lookup", "/api/operations/10");
    let sidecar = daemon.wait_for_sidecar_in("without", "b.lookup");
    let sentence = |route: &str| {
        format!(
            "the converter `lookup-guest` asks for `lookup`, which is not granted on the route `{route}`: add `allow = [\"lookup\"]` to that \
             route or below [plugins.lookup-guest] in the configuration"
        )
    };
    assert_eq!((&sidecar["error_type"], &sidecar["error"]["code"]), (&json!("validation"), &json!("not_granted")), "{sidecar:#}");
    assert_eq!(sidecar["error"]["message"], sentence("without"));

    // Where all are asked, the others may still take the file; here none does.
    daemon.drop_into("auto", "c.lookup", "/api/operations/10");
    let sidecar = daemon.wait_for_sidecar_in("auto", "c.lookup");
    assert_eq!(sidecar["error_type"], "no_converter", "{sidecar:#}");
    let candidates = sidecar["candidates"].as_array().unwrap();
    let guest = candidates.iter().find(|candidate| candidate["converter"] == "lookup-guest").unwrap();
    assert_eq!((&guest["confidence"], &guest["reason"], &guest["asked"]), (&json!(0), &json!(sentence("auto")), &json!(false)));
    assert!(candidates.iter().any(|candidate| candidate["asked"] == true), "{sidecar:#}");
    assert_eq!(server.looked_up().len(), 1);

    // With the line that the sentence names it is asked after all.
    let granted = routes.replace("converter = 'auto'\n", "converter = 'auto'\nallow = ['lookup']\n");
    assert_ne!(granted, routes);
    let daemon = daemon.restart(|setup| setup.config(&(upstream(&server) + &granted)));
    wait_for("the file that nobody took", || daemon.job("c.lookup").filter(|job| job["outcome"] == "converted"));
    assert_eq!(server.looked_up().len(), 2);
}

#[test]
fn one_shot_conversions_and_inspect_go_by_the_same_grants() {
    let server = operations();
    let folder = tempfile::tempdir().unwrap();
    let opcheck = plugin("opcheck");
    let opcheck = opcheck.to_str().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let inspect = |config: &str| -> (String, Value) {
        let text = run(folder.path(), &["plugin", "inspect", opcheck, "--config", config]);
        let json = run(folder.path(), &["plugin", "inspect", opcheck, "--config", config, "--json"]);
        assert_eq!((text.0, json.0), (0, 0), "{} {}", text.2, json.2);
        (text.1, serde_json::from_str(&json.1).unwrap())
    };
    write("a.report.json", &report(10));
    write("without.toml", &upstream(&server));
    write("with.toml", &(upstream(&server) + GRANTED));
    let (text, facts) = inspect("without.toml");
    assert!(text.contains("capabilities  lookup (not granted)\n") && text.contains("allow = [\"lookup\"]"), "{text}");
    assert_eq!(facts["capabilities"], json!([{ "name": "lookup", "required": true, "granted": false, "granted_on_routes": [] }]));
    let (text, facts) = inspect("with.toml");
    assert!(text.contains("capabilities  lookup (granted)\n") && !text.contains("allow"), "{text}");
    assert_eq!(facts["capabilities"][0]["granted"], true);

    let convert = |config| run(folder.path(), &["convert", "a.report.json", "--converter", opcheck, "-c", config, "-o", "-"]);
    let (code, _, errors) = convert("without.toml");
    assert!(code == 1 && errors.contains("add `allow = [\"lookup\"]` below [plugins.opcheck]"), "{errors}");
    let (code, out, errors) = convert("with.toml");
    assert_eq!((code, out), (0, report(10)), "{errors}");
    assert_eq!(server.looked_up().len(), 1);
}

#[test]
fn a_grant_that_leads_nowhere_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let check = |text: &str| {
        fs::write(folder.path().join("dropforge.toml"), text).unwrap();
        let (code, out, errors) = run(folder.path(), &["config", "check"]);
        (code, out + &errors)
    };
    let route = "[[routes]]\nname = 'r'\nintake = { path = 'in' }\ndestinations = [{ type = 'folder', path = 'out' }]\n";
    let (code, said) = check(&(route.to_owned() + "[plugins.a]\nallow = ['lookup']\n"));
    assert!(code == 2 && said.contains("plugins.a.allow") && said.contains("add an [upstream] table"), "{said}");
    let (code, said) = check(&(route.to_owned() + "allow = ['lookups']\n"));
    assert!(code == 2 && said.contains("lookup"), "{said}");
    let (code, said) = check(&(route.to_owned() + "[upstream]\nurl = 'http://server'\nlookup_paths = ['api']\n"));
    assert!(code == 2 && said.contains("upstream.lookup_paths[0]") && said.contains("does not begin with /"), "{said}");
    let (code, said) = check(&(route.to_owned() + "allow = ['clocks', 'lookup']\n[upstream]\nurl = 'http://server'\n"));
    assert!(code == 0 && said.contains("no look-up will succeed") && said.contains("granted to every one"), "{said}");
}
