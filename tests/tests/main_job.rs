//! The main job on real input: files are dropped, documents come out, and they say what the files say. Python is the judge: its `csv` for
//! cells, junitparser for counts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use dropforge_tests::{Daemon, Setup, data, files, inspect, plugin, python, python_with_packages, wait_for, without_id};
use serde_json::{Deserializer, Map, Value, json};

/// A cell of JSON Lines: its key, its value, and the value as it is written.
type Cell = (String, Value, String);

/// The cells of a line, in the order in which they are written, names that come twice included.
fn cells(line: &str) -> Vec<Cell> {
    let mut rest = line.strip_prefix('{').unwrap_or_else(|| panic!("no object: {line}"));
    let mut cells = Vec::new();
    while rest != "}" {
        rest = rest.strip_prefix(',').unwrap_or(rest);
        let (key, _, after) = first_value(rest);
        let (value, raw, after) = first_value(after.strip_prefix(':').unwrap());
        cells.push((key.as_str().unwrap().to_owned(), value, raw.to_owned()));
        rest = after;
    }
    cells
}

/// The JSON value that a text begins with, how it is written, and what follows.
fn first_value(text: &str) -> (Value, &str, &str) {
    let mut values = Deserializer::from_str(text).into_iter::<Value>();
    let value = values.next().unwrap().unwrap_or_else(|error| panic!("{error} in {text}"));
    let (raw, rest) = text.split_at(values.byte_offset());
    (value, raw.trim(), rest)
}

/// Drops every CSV file where `inbox` says, waits, and gives for each file its name, the rows that came out, and those that Python reads.
fn convert_csv_files(daemon: &Daemon, inbox: impl Fn(bool) -> &'static str) -> Vec<(String, Vec<Vec<Cell>>, Vec<Value>)> {
    let folder = data("csv");
    let dialects: Map<String, Value> = serde_json::from_slice(&fs::read(folder.join("dialects.json")).unwrap()).unwrap();
    let there = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let tables = there.filter(|name| name.ends_with(".csv") || name.ends_with(".tsv")).count();
    assert_eq!(tables, dialects.len(), "dialects.json does not name every table");
    assert!(tables > 40);
    for (name, dialect) in &dialects {
        let target = daemon.path(inbox(dialect["header"] == true)).join(name);
        // The daemon makes its inboxes too, but perhaps a moment later.
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(folder.join(name), &target).unwrap();
    }
    let expected = python("csv_cells.py", &[&folder]);
    let documents: BTreeMap<String, String> =
        daemon.wait_for_documents(tables).into_iter().map(|(name, path)| (without_id(&name), fs::read_to_string(path).unwrap())).collect();
    assert_eq!(documents.len(), tables, "two documents have the same name");
    dialects
        .keys()
        .map(|name| {
            let document = &documents[&format!("{}.jsonl", name.rsplit_once('.').unwrap().0)];
            (name.clone(), document.lines().map(cells).collect(), expected[name].as_array().unwrap().clone())
        })
        .collect()
}

#[test]
fn csv_cells_are_what_python_reads() {
    let route = |header: bool| {
        format!(
            "[[routes]]\nname = 'header-{header}'\nconverter = 'csv'\nintake = {{ path = '{{dir}}/header-{header}', create = true }}\n\
             destinations = [{{ type = 'folder', path = '{{dir}}/out' }}]\noptions = {{ infer = false, header = {header} }}\n"
        )
    };
    let daemon = Setup::new().plugins(&["csv"]).config(&(route(true) + &route(false))).start();
    for (name, rows, expected) in convert_csv_files(&daemon, |header| if header { "header-true" } else { "header-false" }) {
        let rows: Vec<Vec<(&str, &str)>> = rows
            .iter()
            .map(|row| row.iter().map(|(key, value, _)| (key.as_str(), value.as_str().expect("only strings"))).collect())
            .collect();
        assert_eq!(rows.len(), expected.len(), "{name}: the number of rows");
        for (number, (row, expected)) in rows.iter().zip(&expected).enumerate() {
            let expected = expected.as_array().unwrap().iter().map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
            assert_eq!(*row, expected.collect::<Vec<_>>(), "{name}: row {}", number + 1);
        }
    }
}

#[test]
fn inference_changes_no_value() {
    let daemon = Setup::new().plugins(&["csv"]).start();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, rows, expected) in convert_csv_files(&daemon, |_| "in") {
        assert_eq!(rows.len(), expected.len(), "{name}: the number of rows");
        for (row, expected) in rows.iter().zip(&expected) {
            let expected = expected.as_array().unwrap();
            assert_eq!(row.len(), expected.len(), "{name}: {row:?}");
            for ((key, value, raw), pair) in row.iter().zip(expected) {
                let (expected_key, text) = (pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
                assert_eq!(key, expected_key, "{name}");
                let kind = match value {
                    Value::String(string) => {
                        assert_eq!(string, text, "{name}: {key}");
                        "string"
                    }
                    // A number is written as it stands in the file, and a 64-bit float gives back its decimal value.
                    Value::Number(number) => {
                        assert_eq!(raw, text, "{name}: {key}");
                        assert!(number.as_f64().unwrap().is_finite(), "{name}: {text}");
                        assert!(number.as_f64().unwrap().abs() <= 2_f64.powi(53) || text.contains(['.', 'e', 'E']), "{name}: {text}");
                        assert!(!(text.len() > 1 && text.starts_with('0') && !text.starts_with("0.")), "{name}: {text}");
                        "number"
                    }
                    Value::Bool(_) => {
                        assert_eq!(raw, text, "{name}: {key}");
                        "boolean"
                    }
                    Value::Null => {
                        assert_eq!(text, "", "{name}: {key}");
                        "null"
                    }
                    Value::Array(_) | Value::Object(_) => panic!("{name}: {key} is {value}"),
                };
                *kinds.entry(kind).or_default() += 1;
            }
        }
    }
    // All four kinds did occur: nothing above is empty talk.
    assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), ["boolean", "null", "number", "string"]);

    // The three that spreadsheets are known to break, and some that are numbers.
    daemon.drop_file(
        "identifiers.csv",
        "serial,part,big,value,count\n007,1e400,12345678901234567890,1.50,3\n008,2e400,12345678901234567891,-0.25,4\n",
    );
    let document = daemon.wait_for_document("identifiers.jsonl");
    assert_eq!(
        fs::read_to_string(document).unwrap(),
        "{\"serial\":\"007\",\"part\":\"1e400\",\"big\":\"12345678901234567890\",\"value\":1.50,\"count\":3}\n\
         {\"serial\":\"008\",\"part\":\"2e400\",\"big\":\"12345678901234567891\",\"value\":-0.25,\"count\":4}\n"
    );
}

/// What must be equal of a suite, whoever counted.
fn suite(suite: &Value) -> Value {
    let numbers = |value: &Value, names: &[&str]| -> Value {
        let numbers = names.iter().filter_map(|name| Some(((*name).to_owned(), json!(value.get(*name)?.as_f64()?))));
        Value::Object(numbers.collect())
    };
    // A case that passed has no results; retries are not junitparser's.
    let kinds = |case: &Value| -> Vec<Value> {
        let results = case["results"].as_array().cloned().unwrap_or_default();
        let kinds = results.iter().map(|result| result.get("kind").unwrap_or(result).clone());
        kinds.filter(|kind| ["failure", "error", "skipped"].iter().any(|known| kind == known)).collect()
    };
    let case = |case: &Value| json!([case["name"], case["classname"], case["time"].as_f64(), kinds(case)]);
    json!({
        "path": suite["path"],
        "timestamp": suite["timestamp"],
        "hostname": suite["hostname"],
        "reported": numbers(&suite["reported"], &["tests", "failures", "errors", "skipped", "time"]),
        "counted": numbers(&suite["counted"], &["tests", "failures", "errors", "skipped", "time"]),
        "cases": suite["cases"].as_array().unwrap().iter().map(case).collect::<Vec<_>>(),
    })
}

#[test]
fn junit_suites_are_what_junitparser_counts() {
    let reports: Vec<_> = files(&data("junit")).into_iter().filter(|(name, _)| name.ends_with(".xml")).collect();
    assert!(reports.len() > 25);
    let paths: Vec<&Path> = reports.iter().map(|(_, path)| path.as_path()).collect();
    let counted = python_with_packages("junit_counts.py", &paths);

    let daemon = Setup::new().plugins(&["csv", "junit"]).start();
    let mut suites = 0;
    for (number, (name, path)) in reports.iter().enumerate() {
        // Documents are named after their file, and some files are named like the beginning of others.
        daemon.drop_file(&format!("{number:02}-{name}"), fs::read(path).unwrap());
        suites += counted[name]["suites"].as_array().map_or(0, Vec::len);
    }
    let documents = daemon.wait_for_documents(suites);
    assert_eq!(documents.len(), suites);
    let mut unreadable = Vec::new();
    for (number, (name, source)) in reports.iter().enumerate() {
        let Some(expected) = counted[name]["suites"].as_array() else {
            unreadable.push(name.as_str());
            daemon.wait_for_sidecar(&format!("{number:02}-{name}"));
            continue;
        };
        let prefix = format!("{number:02}-");
        let ours = documents.iter().filter(|(name, _)| name.starts_with(&prefix));
        let mut ours: Vec<Value> = ours.map(|(_, path)| suite(&serde_json::from_slice(&fs::read(path).unwrap()).unwrap())).collect();
        let mut expected: Vec<Value> = expected.iter().map(suite).collect();
        // Names of documents do not tell their order.
        ours.sort_by_key(Value::to_string);
        expected.sort_by_key(Value::to_string);
        assert_eq!(ours, expected, "{name}");
        let settled = daemon.wait_for_settled("done", &format!("{number:02}-{name}"));
        assert_eq!(fs::read(settled).unwrap(), fs::read(source).unwrap(), "{name} is no longer what was dropped");
    }
    assert_eq!(unreadable, ["non-junit.xml", "pytest-corrupt-xml.xml"]);
    let cases: f64 = documents
        .values()
        .map(|path| {
            let document: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
            document["cases"].as_array().unwrap().len() as f64
        })
        .sum();
    daemon.assert_metric_sum("junit_cases_total", "converter=\"junit\"", cases);
}

#[test]
fn broken_files_fail_with_a_type_and_a_place() {
    let daemon = Setup::new()
        .plugins(&["csv", "junit"])
        .config(
            "[[routes]]\nname = 'named'\nconverter = 'junit'\nintake = { path = '{dir}/in' }\ndestinations = [{ type = 'folder', path = '{dir}/out' }]\n\
             [[routes]]\nname = 'auto'\nintake = { path = '{dir}/auto', create = true }\ndestinations = [{ type = 'folder', path = '{dir}/out' }]\n",
        )
        .start();
    for name in ["non-junit.xml", "pytest-corrupt-xml.xml"] {
        daemon.drop_file(name, fs::read(data("junit").join(name)).unwrap());
    }
    let foreign = daemon.wait_for_sidecar("non-junit.xml");
    assert_eq!(foreign["outcome"], "failed");
    assert_eq!(foreign["error_type"], "unsupported");
    assert_eq!(foreign["error"]["code"], "not_junit");
    assert_eq!(foreign["converter"]["name"], "junit");
    assert_eq!(foreign["converter"]["digest"].as_str().unwrap().len(), 64);
    let corrupt = daemon.wait_for_sidecar("pytest-corrupt-xml.xml");
    assert_eq!(corrupt["error_type"], "malformed");
    // Where Python's parser stops, too.
    assert_eq!(corrupt["error"]["at"]["line"], 11, "{corrupt:#}");
    assert!(corrupt["error"]["at"]["column"].as_u64().is_some_and(|column| column > 1), "{corrupt:#}");
    assert_eq!(corrupt["source"]["path"], "pytest-corrupt-xml.xml");
    for error_type in ["unsupported", "malformed"] {
        daemon.assert_metric(&format!("conversion_errors_total{{converter=\"junit\",error_type=\"{error_type}\"}}"), 1.0);
    }
    daemon.assert_metric("conversions_total{converter=\"junit\",status=\"error\"}", 2.0);

    // On a route that asks everybody, a foreign file is nobody's, and the sidecar says who was asked and what they answered.
    let foreign = fs::read(data("junit").join("non-junit.xml")).unwrap();
    daemon.drop_into("auto", "foreign.xml", foreign);
    let sidecar = daemon.wait_for_sidecar_in("auto", "foreign.xml");
    assert_eq!(sidecar["error_type"], "no_converter");
    // The one with the more specific pattern stands first.
    let candidates = sidecar["candidates"].as_array().unwrap();
    let answers: Vec<(&Value, &Value)> = candidates.iter().map(|one| (&one["converter"], &one["confidence"])).collect();
    assert_eq!(answers, [(&json!("junit"), &json!(0)), (&json!("csv"), &json!(0))]);
    assert!(candidates[0]["reason"].as_str().unwrap().contains("<suites>"), "{sidecar:#}");
    daemon.assert_metric("conversions_total{converter=\"none\",status=\"error\"}", 1.0);
    assert!(daemon.documents().is_empty());
}

#[test]
fn a_partial_conversion_is_delivered_or_held() {
    let route = |name: &str, on_problem: &str| {
        format!(
            "[[routes]]\nname = '{name}'\nconverter = 'misbehave'\non_problem = '{on_problem}'\n\
             intake = {{ path = '{{dir}}/{name}', create = true }}\ndestinations = [{{ type = 'folder', path = '{{dir}}/out-{name}' }}]\n"
        )
    };
    let daemon = Setup::new().plugins(&["misbehave"]).config(&(route("deliver", "deliver") + &route("hold", "hold"))).start();
    for (inbox, outbox, delivered) in [("deliver", "out-deliver", 1), ("hold", "out-hold", 0)] {
        daemon.drop_into(inbox, "partial.mis", "x");
        let sidecar = daemon.wait_for_sidecar_in(inbox, "partial.mis");
        assert_eq!(sidecar["outcome"], "partial");
        let problems = sidecar["problems"].as_array().unwrap();
        assert_eq!(problems.len(), 2);
        let problem = &problems[0];
        assert_eq!(
            (&problem["severity"], &problem["error_type"], &problem["code"]),
            (&json!("error"), &json!("malformed"), &json!("cut_off"))
        );
        assert_eq!(problem["at"], json!({"line": 12, "column": 3}));
        assert_eq!(problem["message"], "unit 5 of 10 is cut off");
        assert_eq!(problems[1]["severity"], "warning");
        let documents = files(&daemon.path(outbox));
        assert_eq!(documents.len(), delivered, "{documents:?}");
        for (name, path) in documents {
            assert_eq!(without_id(&name), "whole.txt");
            assert_eq!(fs::read_to_string(path).unwrap(), "the good part\n");
        }
    }
    daemon.assert_metric("conversions_total{converter=\"misbehave\",status=\"partial\"}", 2.0);
    daemon.assert_metric_sum("conversion_errors_total", "misbehave", 0.0);
}

#[test]
fn routes_give_converters_their_context_and_options() {
    let inspected = inspect(&plugin("misbehave"));
    let digest = inspected["sha256"].as_str().unwrap();
    let daemon = Setup::new()
        .plugins(&["csv", "misbehave"])
        .config(&format!(
            "station = 'hub-2'\n\
             [[routes]]\nname = 'first'\nconverter = 'misbehave@sha256:{digest}'\ntimezone = 'Europe/Oslo'\n\
             context = {{ station = '{{dir1}}', batch = '{{dir2}}-{{stem}}', operator = '{{dir9}}', location = 'Line 3' }}\n\
             options = {{ greeting = 'hei' }}\n\
             intake = {{ path = '{{dir}}/first', create = true }}\ndestinations = [{{ type = 'folder', path = '{{dir}}/out-first' }}, {{ type = 'folder', path = '{{dir}}/copy' }}]\n\
             [[routes]]\nname = 'second'\nconverter = 'auto'\noptions = {{ misbehave = {{ count = 9 }} }}\n\
             intake = {{ path = '{{dir}}/second', create = true, include = ['*.mis'], recursive = false }}\ndestinations = [{{ type = 'folder', path = '{{dir}}/out-second' }}]\n\
             [[routes]]\nname = 'pinned'\nconverter = 'misbehave@sha256:{}'\n\
             intake = {{ path = '{{dir}}/pinned', create = true }}\ndestinations = [{{ type = 'folder', path = '{{dir}}/out-pinned' }}]\n",
            "0".repeat(64)
        ))
        .start();
    // Another digest than the pinned one never converts; the job waits for the right one.
    daemon.drop_into("pinned", "echo.mis", "x");
    daemon.wait_for_job("echo.mis", "converter");

    daemon.drop_into("first", "ict-4/2026-11/echo.a.mis", "hello");
    daemon.drop_into("second", "echo.b.mis", "old");
    daemon.drop_into("second", "below/echo.c.mis", "not taken: the route is not recursive");
    daemon.drop_into("second", "echo.d.csv", "not taken: the route does not include it");

    let first = wait_for_json(&daemon.path("out-first"));
    assert_eq!(first["path"], "ict-4/2026-11/echo.a.mis");
    assert_eq!((&first["name"], &first["size"], &first["text"]), (&json!("echo.a.mis"), &json!(5), &json!("hello")));
    assert_eq!(
        first["attributes"],
        json!({"batch": "2026-11-echo.a", "location": "Line 3", "route": "first", "station": "ict-4", "timezone": "Europe/Oslo"})
    );
    assert_eq!(first["options"], json!({"greeting": "hei", "count": 3}));
    assert_eq!(first["members"], json!([]));
    assert_eq!(first["media_type"], Value::Null);
    assert_eq!(wait_for_json(&daemon.path("copy")), first, "every destination has the document");

    let second = wait_for_json(&daemon.path("out-second"));
    assert_eq!(second["attributes"], json!({"route": "second", "station": "hub-2"}));
    assert_eq!(second["options"], json!({"greeting": "none", "count": 9}));
    assert_ne!(second["id"], first["id"]);
    let jobs = daemon.jobs();
    assert_eq!(jobs.len(), 3, "{jobs:#?}");
}

fn wait_for_json(folder: &Path) -> Value {
    let path = wait_for(&format!("a document in {}", folder.display()), || {
        files(folder).into_iter().find(|(name, _)| !name.contains(".dropforge-")).map(|(_, path)| path)
    });
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}
