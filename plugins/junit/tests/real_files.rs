//! Every real file of `tests/data/junit`, against counts that were checked by hand.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use dropforge_plugin_junit::Junit;
use dropforge_sdk::testkit::{self, Conversion, TestInput};
use dropforge_sdk::{ErrorType, Outcome, Severity};
use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/junit")
}

fn input(file: &str) -> TestInput {
    TestInput::new(file, std::fs::read(folder().join(file)).unwrap())
}

fn convert(file: &str) -> Conversion {
    testkit::convert::<Junit>(input(file), json!({}))
}

/// Documents of a conversion that must succeed.
fn documents(run: &Conversion) -> Vec<Value> {
    assert_eq!(run.result, Ok(Outcome::Converted), "{:?}", run.problems);
    run.documents.iter().map(|document| serde_json::from_slice(&document.bytes).unwrap()).collect()
}

/// Suite, tests, failures, errors, skipped, disabled, time: of its own cases.
type Suite = (&'static str, u64, u64, u64, u64, u64, f64);

/// Every file that converts: its suites in order, and how many warnings there are.
const FILES: &[(&str, &[Suite], usize)] = &[
    ("bazel-suite-logs.xml", &[("bazel/failing_absl_test", 1, 0, 1, 0, 0, 0.0)], 0),
    ("empty-system-out-err.xml", &[("Suite", 1, 0, 0, 0, 0, 1.234)], 0),
    ("jest-jest-junit.xml", &[("widget.test.js", 2, 0, 0, 0, 0, 0.295)], 0),
    // By the worst result of each case: error, failed, skipped, passed.
    ("junit.multiresult.xml", &[("test suite", 4, 1, 1, 1, 0, 1.158)], 0),
    ("minimal-attributes.xml", &[("", 4, 1, 1, 1, 0, 0.0)], 0),
    ("mocha-latex-utensils.xml", &[("Mocha Tests", 109, 0, 0, 0, 0, 0.266)], 0),
    ("no-attributes.xml", &[("", 4, 1, 1, 1, 0, 0.0)], 0),
    // Reports tests=6 failures=1 skipped=2.
    ("no-cases-but-tests.xml", &[("pytest", 0, 0, 0, 0, 0, 0.0)], 1),
    ("no-cases.xml", &[("pytest", 0, 0, 0, 0, 0, 0.0)], 0),
    ("pytest-junit.fail.xml", &[("pytest", 5, 1, 0, 1, 0, 21.908)], 0),
    ("pytest-junit.gloo.elastic.spark.tf.xml", &[("pytest", 22, 0, 0, 2, 0, 626.968)], 0),
    ("pytest-junit.gloo.elastic.spark.torch.xml", &[("pytest", 22, 0, 0, 0, 0, 669.579)], 0),
    ("pytest-junit.gloo.elastic.xml", &[("pytest", 14, 0, 0, 4, 0, 72.024)], 0),
    ("pytest-junit.gloo.standalone.xml", &[("pytest", 97, 0, 0, 17, 0, 203.847)], 0),
    ("pytest-junit.gloo.static.xml", &[("pytest", 24, 0, 0, 12, 0, 68.896)], 0),
    ("pytest-junit.mpi.integration.xml", &[("pytest", 3, 0, 0, 0, 0, 15.296)], 0),
    ("pytest-junit.mpi.standalone.xml", &[("pytest", 97, 0, 0, 1, 0, 218.126)], 0),
    ("pytest-junit.mpi.static.xml", &[("pytest", 24, 0, 0, 0, 0, 124.439)], 0),
    ("pytest-junit.spark.integration.1.xml", &[("pytest", 35, 0, 0, 2, 0, 162.933)], 0),
    ("pytest-junit.spark.integration.2.xml", &[("pytest", 35, 0, 0, 2, 0, 170.503)], 0),
    (
        "scalatest-TEST-uk.co.gresearch.spark.diff.DiffOptionsSuite.xml",
        &[("uk.co.gresearch.spark.diff.DiffOptionsSuite", 5, 0, 0, 0, 0, 2.223)],
        0,
    ),
    ("testsuite-in-testsuite.xml", NESTED, 0),
    ("testsuite-root.xml", NESTED, 0),
    ("tst-disabled.xml", &[("factorial", 17, 5, 1, 0, 5, 0.001), ("failing_checks", 14, 14, 0, 0, 0, 0.001)], 0),
    ("unsupported-unicode.xml", &[("pytest", 7, 2, 2, 2, 0, 8.61)], 0),
    ("with-xml-entities.xml", &[("", 4, 1, 1, 2, 0, 0.0)], 0),
    // The report says tests=173 and holds 2.
    ("xunit-xunit.xml", &[("Rhino Collection", 2, 0, 0, 0, 0, 0.4580132)], 1),
];

const NESTED: &[Suite] = &[
    ("Project Test Suite", 1, 0, 0, 0, 0, 0.08817),
    ("TestSuite1", 2, 0, 0, 0, 0, 2.642909),
    ("TestSuite2", 1, 0, 0, 0, 0, 0.98817),
    ("TestSuite2.1", 1, 0, 0, 0, 0, 1.08817),
];

const BROKEN: [&str; 2] = ["non-junit.xml", "pytest-corrupt-xml.xml"];

#[test]
fn every_file_is_in_the_table() {
    let there: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".xml"))
        .collect();
    let tested = FILES.iter().map(|(file, ..)| *file).chain(BROKEN).map(str::to_owned).collect();
    assert_eq!(there, tested);
}

#[test]
fn suites_and_counts() {
    for (file, suites, warnings) in FILES {
        let run = convert(file);
        let documents = documents(&run);
        assert_eq!(documents.len(), suites.len(), "{file}");
        for (document, (name, tests, failures, errors, skipped, disabled, time)) in documents.iter().zip(*suites) {
            assert_eq!(document["name"].as_str().unwrap_or_default(), *name, "{file}");
            let counted =
                json!({"tests": tests, "failures": failures, "errors": errors, "skipped": skipped, "disabled": disabled, "time": time});
            assert_eq!(document["counted"], counted, "{file}: {name}");
            let cases = document["cases"].as_array().unwrap();
            assert_eq!(cases.len() as u64, *tests, "{file}: {name}");
            for (status, count) in [("failed", failures), ("error", errors), ("skipped", skipped), ("disabled", disabled)] {
                assert_eq!(cases.iter().filter(|case| case["status"] == status).count() as u64, *count, "{file}: {name}: {status}");
            }
        }
        assert_eq!(run.problems.len(), *warnings, "{file}: {:?}", run.problems);
        assert!(run.problems.iter().all(|(severity, _)| *severity == Severity::Warning), "{file}");
        let keys: BTreeSet<_> = run.documents.iter().map(|document| document.key.clone().unwrap()).collect();
        assert_eq!(keys.len(), suites.len(), "{file}: {keys:?}");
        assert_eq!(testkit::probe::<Junit>(input(file)).confidence, 95, "{file}");
    }
}

#[test]
fn a_file_that_is_not_junit_is_refused() {
    let probe = testkit::probe::<Junit>(input("non-junit.xml"));
    assert_eq!((probe.confidence, probe.reason.as_str()), (0, "the root element is <suites>"));
    let error = convert("non-junit.xml").result.unwrap_err();
    assert_eq!((error.kind, error.code.as_str(), error.at.unwrap().line), (ErrorType::Unsupported, "not_junit", Some(2)));
}

#[test]
fn a_truncated_file_says_where_it_ends() {
    let run = convert("pytest-corrupt-xml.xml");
    assert!(run.documents.is_empty());
    let error = run.result.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorType::Malformed, "truncated"));
    assert_eq!(error.to_string(), "malformed: the file ends inside <skipped>, which begins in line 9 (line 11, column 22)");
    assert_eq!(testkit::probe::<Junit>(input("pytest-corrupt-xml.xml")).confidence, 95);
}

#[test]
fn a_failure_in_full() {
    let run = convert("pytest-junit.fail.xml");
    let document = &documents(&run)[0];
    assert_eq!(run.documents[0].name, "pytest-junit.fail.pytest.json");
    assert_eq!(run.documents[0].media_type, "application/json");
    assert_eq!(run.documents[0].key.as_deref(), Some("pytest@2020-09-04T16:18:04.966371"));
    assert_eq!(document["hostname"], "3f909e363d82");
    assert_eq!(document["timestamp"], "2020-09-04T16:18:04.966371");
    assert_eq!(document["time"], 2.481);
    assert_eq!(document["reported"], json!({"tests": 5, "failures": 1, "errors": 0, "skipped": 1, "time": 2.481}));
    let skipped = &document["cases"][1];
    assert_eq!(skipped["file"], "test/test_spark.py");
    assert_eq!(skipped["line"], 1641);
    assert_eq!(skipped["results"][0]["type"], "pytest.skip");
    let failed = &document["cases"][3];
    assert_eq!(failed["results"][0]["kind"], "failure");
    let message = failed["results"][0]["message"].as_str().unwrap();
    assert!(
        message.starts_with("self = <test_spark.SparkTests testMethod=test_rsh_events>  "),
        "line ends in attributes are spaces: {message}"
    );
    let text = failed["results"][0]["text"].as_str().unwrap();
    assert!(text.contains("\n                E AssertionError: 143 != 0\n"), "{text}");
}

#[test]
fn nested_suites_have_paths_and_both_counts() {
    let documents = documents(&convert("testsuite-in-testsuite.xml"));
    assert_eq!(documents[3]["path"], json!(["Project Test Suite", "TestSuite2", "TestSuite2.1"]));
    assert_eq!(documents[3].get("counted_with_nested"), None);
    assert_eq!(documents[2]["counted_with_nested"]["tests"], 2);
    assert_eq!(documents[0]["counted_with_nested"]["tests"], 5);
    assert_eq!(documents[0]["counted_with_nested"]["time"], 4.807419);
    assert_eq!(documents[0]["attributes"], json!({"assertions": "12", "warnings": "0"}));
    assert_eq!(documents[2]["cases"][0]["attributes"], json!({"assertions": "2", "class": "someName"}));
}

#[test]
fn several_results_and_a_status_of_its_own() {
    let documents = documents(&convert("junit.multiresult.xml"));
    let kinds: Vec<_> = documents[0]["cases"][0]["results"].as_array().unwrap().iter().map(|result| &result["kind"]).collect();
    assert_eq!(kinds, ["skipped", "failure", "error"]);
    assert_eq!(documents[0]["cases"][0]["status"], "error");
    assert_eq!(documents[0]["cases"][0]["results"][2]["message"], "test teardown failure");
}

#[test]
fn output_of_a_suite() {
    let documents = documents(&convert("bazel-suite-logs.xml"));
    let out = documents[0]["system_out"].as_str().unwrap();
    assert!(out.contains("exec ${PAGER:-/usr/bin/less} \"$0\" || exit 1\n") && out.contains("line 3, in <module>"), "{out}");
    assert_eq!(documents[0]["system_err"], "\nGenerated test.err\n      ");
    let without = testkit::convert::<Junit>(input("bazel-suite-logs.xml"), json!({"include_output": false}));
    assert_eq!(without.documents[0].json().get("system_out"), None);
}

#[test]
fn properties_of_the_run_and_of_a_suite() {
    let scala = documents(&convert("scalatest-TEST-uk.co.gresearch.spark.diff.DiffOptionsSuite.xml"));
    let properties = scala[0]["properties"].as_array().unwrap();
    assert_eq!(properties[0], json!({"name": "java.runtime.name", "value": "OpenJDK Runtime Environment"}));
    let run = convert("xunit-xunit.xml");
    let xunit = documents(&run);
    assert_eq!(xunit[0]["run"]["name"], "Test results");
    assert_eq!(xunit[0]["run"]["properties"].as_array().unwrap().len(), 6);
    let (_, problem) = &run.problems[0];
    assert_eq!(problem.to_string(), "validation: the report says tests=173, counted 2 (line 2)");
}

#[test]
fn text_comes_out_as_it_is_meant() {
    let entities = documents(&convert("with-xml-entities.xml"));
    assert_eq!(entities[0]["cases"][3]["name"], "Test with < and > in the test name");
    assert_eq!(entities[0]["cases"][1]["results"][0]["text"], "Content with 'apostrophes'");
    let unicode = documents(&convert("unsupported-unicode.xml"));
    assert_eq!(unicode[0]["cases"][0]["name"], "test 1 헴䜝헱홐㣇㿷䔭\u{1237A}\u{214FF}\u{20109}㦓");
}

#[test]
fn cases_are_counted_by_a_metric() {
    let run = convert("tst-disabled.xml");
    let counts: Vec<_> = run.observations.iter().map(|observed| (observed.labels[0].as_str(), observed.value)).collect();
    assert_eq!(counts, [("passed", 6.0), ("failed", 19.0), ("error", 1.0), ("disabled", 5.0)]);
}
