//! The converter `junit`: JUnit XML to one JSON document per test suite. `docs/converters/junit.md` says what comes out.

mod model;
mod report;

use dropforge_sdk::prelude::*;
use dropforge_sdk::{ErrorType, Metric, MetricKind, metrics};
use dropforge_xml::{Source, Text, Token, Xml};

use report::Report;

/// The converter.
pub struct Junit;

/// What may be set.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub struct Options {
    /// Whether documents have what the tests wrote to standard output and standard error.
    #[serde(default = "yes")]
    pub include_output: bool,
    /// The most bytes that are kept of one text (a message, a stack trace, an output). What is cut is reported as a warning.
    #[serde(default = "one_mebibyte")]
    #[schemars(range(min = 1, max = 16_777_216))]
    pub max_text_bytes: u32,
}

fn yes() -> bool {
    true
}

fn one_mebibyte() -> u32 {
    1 << 20
}

const CASES: &str = "junit_cases_total";

impl Converter for Junit {
    type Options = Options;

    fn describe() -> Descriptor {
        Descriptor::new("junit", env!("CARGO_PKG_VERSION"), "JUnit XML to one JSON document per test suite")
            .patterns(["*junit*.xml", "TEST-*.xml", "*test-results*.xml", "*.xml"])
            .reads(["application/xml", "text/xml", "application/junit+xml"])
            .writes(["application/json"])
            .metric(Metric::new(MetricKind::Counter, CASES, "Test cases by how they ended.").labels(["status"]))
    }

    /// Goes by the root element: a file name ending in `.xml` says nothing.
    fn probe(input: &mut Input) -> Probe {
        let root = Source::open(input).and_then(|source| Xml::new(source).next(&mut Text::ignored()));
        match root {
            Ok(Token::Start(root)) if matches!(root.name.as_str(), "testsuites" | "testsuite") => {
                Probe::new(95, format!("the root element is <{}>", root.name))
            }
            Ok(Token::Start(root)) => Probe::no(format!("the root element is <{}>", root.name)),
            Ok(_) => Probe::no("no XML"),
            Err(error) => Probe::no(format!("no XML: {error}")),
        }
    }

    fn convert(input: &mut Input, options: Options, output: &mut Output) -> Result<Outcome> {
        let mut report = Report::open(input, options, output)?;
        let result = report.read();
        let (finished, statuses) = (report.finished, report.statuses);
        match result {
            Ok(()) => {}
            // The suites before the break are whole: they go out, and the break is reported. A host that fails is another matter.
            Err(error) if finished > 0 && error.kind != ErrorType::Internal => output.problem(Severity::Error, error)?,
            Err(error) => return Err(error),
        }
        for (status, count) in statuses {
            metrics::observe(CASES, count as f64, &[status.as_str()]);
        }
        Ok(Outcome::Converted)
    }
}

dropforge_sdk::export!(Junit);
