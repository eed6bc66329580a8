//! What the tests of every converter of reports check: that reports satisfy the published schema, and that of every prefix of a file no report of
//! an incomplete unit comes out. For tests only; knows no format.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "this crate exists for tests")]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use dropforge_sdk::report::MEDIA_TYPE;
use dropforge_sdk::testkit::{self, Conversion, TestDocument, TestInput};
use dropforge_sdk::{Converter, Severity};
use serde_json::{Value, json};

static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let schema: Value = serde_json::from_slice(&std::fs::read(repository().join("schemas/wsjf.schema.json")).unwrap()).unwrap();
    jsonschema::draft202012::new(&schema).unwrap()
});

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file of `tests/data`.
///
/// # Panics
/// Where it cannot be read.
pub fn data(path: &str) -> Vec<u8> {
    let path = repository().join("tests/data").join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Options that say what files often do not, with others of the test's.
pub fn options(more: &Value) -> Value {
    let mut all = json!({
        "part_number": "PN-1", "revision": "A", "operation_code": 10, "station": "ST-1", "location": "Line 1", "purpose": "Test",
        "timezone": "Europe/Oslo",
    });
    all.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    all
}

/// The reports of a conversion that went well, each checked against the schema.
///
/// # Panics
/// Where it did not go well, or a report is not valid.
pub fn reports(run: &Conversion) -> Vec<Value> {
    assert!(run.result.is_ok(), "{:?}", run.result);
    run.documents.iter().map(report).collect()
}

/// One report, checked.
///
/// # Panics
/// Where it is not valid.
pub fn report(document: &TestDocument) -> Value {
    assert_eq!(document.media_type, MEDIA_TYPE);
    let report = document.json();
    let errors: Vec<String> = SCHEMA.iter_errors(&report).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{}: {errors:?}", document.name);
    assert!(document.key.is_some(), "{} has no key", document.name);
    report
}

/// All steps of a report in their order, without the outermost.
pub fn steps(report: &Value) -> Vec<&Value> {
    fn walk<'r>(step: &'r Value, found: &mut Vec<&'r Value>) {
        for inner in step["steps"].as_array().into_iter().flatten() {
            found.push(inner);
            walk(inner, found);
        }
    }
    let mut found = Vec::new();
    walk(&report["root"], &mut found);
    found
}

/// How many measurements of each kind a report has: numbers, judgements, texts.
pub fn measurements(report: &Value) -> [usize; 3] {
    let count = |kind: &str| steps(report).iter().filter_map(|step| step[kind].as_array()).map(Vec::len).sum();
    [count("numericMeas"), count("booleanMeas"), count("stringMeas")]
}

/// A unit in a file: from the first of its bytes that shows that it is there, to the last that it needs.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// The offset of its first byte.
    pub begin: usize,
    /// The offset behind its last byte.
    pub end: usize,
}

/// The places of units, each from one text to the next of another that follows it.
///
/// # Panics
/// Where a unit has no end.
pub fn spans(bytes: &[u8], begin: &str, end: &str) -> Vec<Span> {
    let text = String::from_utf8_lossy(bytes);
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find(begin) {
        let begin = from + at;
        let length = text[begin..].find(end).unwrap_or_else(|| panic!("the unit at {begin} has no {end:?}")) + end.len();
        found.push(Span { begin, end: begin + length });
        from = begin + length;
    }
    found
}

/// The most prefixes of one file that are tried besides those at the edges of its units.
const PREFIXES: usize = 1_500;

/// The lengths of the prefixes of a file that are tried: all of a small one. Of a larger one all near `edges`, and of the others as many as a test
/// has time for, evenly: those that end beside a byte which parts something, and any.
pub fn prefixes(bytes: &[u8], edges: impl IntoIterator<Item = usize>) -> Vec<usize> {
    if bytes.len() <= PREFIXES {
        return (0..bytes.len()).collect();
    }
    let parts = |at: &usize| matches!(bytes[*at], b'\n' | b'\r' | b'\t' | b'<' | b'>' | b'"' | b';' | b',' | b'@' | b'{' | b'}');
    let beside: Vec<usize> = (0..bytes.len()).filter(parts).flat_map(|at| [at, at + 1, at + 2]).collect();
    let thin = |lengths: Vec<usize>| lengths.iter().step_by(1 + 2 * lengths.len() / PREFIXES).copied().collect::<Vec<_>>();
    let near = edges.into_iter().flat_map(|edge| edge.saturating_sub(40)..edge + 40);
    let mut lengths: Vec<usize> = near.chain(thin(beside)).chain(thin((0..bytes.len()).collect())).filter(|at| *at < bytes.len()).collect();
    lengths.sort_unstable();
    lengths.dedup();
    lengths
}

/// Converts prefixes of a file (see [`prefixes`]): a unit has a report exactly when all of it is there, the same as that of the whole file; and while a unit is
/// incomplete, an error or a problem says where.
///
/// # Panics
/// Where that does not hold.
pub fn every_prefix<C: Converter>(name: &str, bytes: &[u8], options: &Value, units: &[Span]) {
    let whole = testkit::convert::<C>(TestInput::new(name, bytes), options.clone());
    assert_eq!(reports(&whole).len(), units.len());
    for length in prefixes(bytes, units.iter().flat_map(|unit| [unit.begin, unit.end])) {
        let run = testkit::convert::<C>(TestInput::new(name, &bytes[..length]), options.clone());
        let complete = units.iter().filter(|unit| unit.end <= length).count();
        assert_eq!(run.documents.len(), complete, "of {length} bytes: {:?}", run.result);
        for (part, all) in run.documents.iter().zip(&whole.documents) {
            assert!(part.bytes == all.bytes && part.key == all.key, "of {length} bytes, {} differs", part.name);
        }
        if units.iter().any(|unit| unit.begin < length && length < unit.end) {
            let said = run.problems.iter().filter(|(severity, _)| *severity == Severity::Error).map(|(_, error)| error);
            let said: Vec<_> = said.chain(run.result.as_ref().err()).collect();
            assert!(said.iter().any(|error| error.at.is_some()), "of {length} bytes nothing is said of the rest: {said:?}");
        }
    }
}
