//! The document's JSON, and how cases are counted.

use std::collections::BTreeMap;

use serde::Serialize;

use dropforge_xml::Element;

/// How a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Passed,
    Failed,
    Error,
    Skipped,
    Disabled,
}

impl Status {
    /// The name in documents and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Status::Passed => "passed",
            Status::Failed => "failed",
            Status::Error => "error",
            Status::Skipped => "skipped",
            Status::Disabled => "disabled",
        }
    }
}

/// What a result element says; the retries are Surefire's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Failure,
    Error,
    Skipped,
    RerunFailure,
    RerunError,
    FlakyFailure,
    FlakyError,
}

impl Kind {
    /// The kind of an element.
    pub(crate) fn of(name: &str) -> Option<Kind> {
        Some(match name {
            "failure" => Kind::Failure,
            "error" => Kind::Error,
            "skipped" => Kind::Skipped,
            "rerunFailure" => Kind::RerunFailure,
            "rerunError" => Kind::RerunError,
            "flakyFailure" => Kind::FlakyFailure,
            "flakyError" => Kind::FlakyError,
            _ => return None,
        })
    }
}

/// One result of a case.
#[derive(Debug, Serialize)]
pub(crate) struct CaseResult {
    pub kind: Kind,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_out: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_err: Option<String>,
}

/// A named value.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Property {
    pub name: Option<String>,
    pub value: Option<String>,
}

/// One test case.
#[derive(Debug, Serialize)]
pub(crate) struct Case {
    pub name: Option<String>,
    pub classname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    pub time: Option<f64>,
    pub status: Status,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<CaseResult>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<Property>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_out: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_err: Option<String>,
}

impl Case {
    /// The worst of the results; a case without any passed, unless an attribute says that it was not run.
    pub(crate) fn judge(&mut self) {
        let has = |kind| self.results.iter().any(|result| result.kind == kind);
        let not_run = self.attributes.get("status").is_some_and(|status| matches!(status.as_str(), "disabled" | "notrun"));
        self.status = match () {
            () if has(Kind::Error) => Status::Error,
            () if has(Kind::Failure) => Status::Failed,
            () if has(Kind::Skipped) => Status::Skipped,
            () if not_run => Status::Disabled,
            () => Status::Passed,
        };
    }
}

/// What the attributes of a suite claim, as far as they are there.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Reported {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tests: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<f64>,
}

impl Reported {
    /// Takes the numbers out of a tag. One that cannot be read stays there.
    pub(crate) fn take(element: &mut Element) -> Reported {
        let number = |text: &str| text.trim().parse().ok();
        Reported {
            tests: element.take_as("tests", number),
            failures: element.take_as("failures", number),
            errors: element.take_as("errors", number),
            skipped: element.take_as("skipped", number).or_else(|| element.take_as("skips", number)),
            disabled: element.take_as("disabled", number),
            time: element.take_as("time", seconds),
        }
    }

    /// The claims that none of the ways to count bears out, in words.
    ///
    /// Writers differ in whether a suite counts the cases of the suites inside it, whether a case with a failure and an error counts as
    /// both, and whether a disabled case counts as skipped: any of these is right.
    pub(crate) fn differences(&self, own: &Counts, all: &Counts) -> Vec<String> {
        let check = |name, claimed: Option<u64>, ways: fn(&Counts) -> [u64; 3]| {
            let (claimed, own, all) = (claimed?, ways(own), ways(all));
            let right = own.contains(&claimed) || all.contains(&claimed);
            (!right).then(|| format!("{name}={claimed}, counted {}", all[0]))
        };
        let checks = [
            check("tests", self.tests, |counts| [counts.tests, counts.tests - counts.disabled, counts.tests]),
            check("failures", self.failures, |counts| [counts.failures, counts.any_failure, counts.failures + counts.errors]),
            check("errors", self.errors, |counts| [counts.errors, counts.any_error, counts.errors]),
            check("skipped", self.skipped, |counts| [counts.skipped, counts.any_skipped, counts.skipped + counts.disabled]),
            check("disabled", self.disabled, |counts| [counts.disabled, counts.skipped, counts.skipped + counts.disabled]),
        ];
        checks.into_iter().flatten().collect()
    }
}

/// What the cases add up to: every case is in `tests` and, unless it passed, in one of the others.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Counts {
    pub tests: u64,
    pub failures: u64,
    pub errors: u64,
    pub skipped: u64,
    pub disabled: u64,
    #[serde(serialize_with = "to_the_nanosecond")]
    pub time: f64,
    /// Cases that have such a result, whatever else they have.
    #[serde(skip)]
    any_failure: u64,
    #[serde(skip)]
    any_error: u64,
    #[serde(skip)]
    any_skipped: u64,
}

impl Counts {
    /// Counts a case in.
    pub(crate) fn add(&mut self, case: &Case) {
        self.tests += 1;
        self.time += case.time.unwrap_or_default();
        match case.status {
            Status::Passed => {}
            Status::Failed => self.failures += 1,
            Status::Error => self.errors += 1,
            Status::Skipped => self.skipped += 1,
            Status::Disabled => self.disabled += 1,
        }
        let has = |kind| u64::from(case.results.iter().any(|result| result.kind == kind));
        self.any_failure += has(Kind::Failure);
        self.any_error += has(Kind::Error);
        self.any_skipped += has(Kind::Skipped);
    }

    /// Adds what another suite counted.
    pub(crate) fn merge(&mut self, other: &Counts) {
        self.tests += other.tests;
        self.failures += other.failures;
        self.errors += other.errors;
        self.skipped += other.skipped;
        self.disabled += other.disabled;
        self.time += other.time;
        self.any_failure += other.any_failure;
        self.any_error += other.any_error;
        self.any_skipped += other.any_skipped;
    }
}

/// Seconds with at most nine decimals: sums of binary fractions would show more.
fn to_the_nanosecond<S: serde::Serializer>(seconds: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((seconds * 1e9).round() / 1e9)
}

/// The element `testsuites`: what holds for all suites of the file.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    pub name: Option<String>,
    pub reported: Reported,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Those that stand before the suite.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<Property>,
}

/// What a document begins with: known before the first case.
#[derive(Debug, Serialize)]
pub(crate) struct Head<'a> {
    pub name: Option<&'a str>,
    /// The names from the outermost suite to this one.
    pub path: &'a [Option<String>],
    pub timestamp: Option<&'a str>,
    pub hostname: Option<&'a str>,
    pub time: Option<f64>,
    pub reported: &'a Reported,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<&'a Run>,
}

/// What a document ends with: known behind the last case.
#[derive(Debug, Serialize)]
pub(crate) struct Tail<'a> {
    pub counted: &'a Counts,
    /// With the suites inside this one, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted_with_nested: Option<&'a Counts>,
    pub properties: &'a [Property],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_out: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_err: Option<String>,
}

/// Seconds as they stand in reports: `1.25`, `1,234.5` (thousands, as Surefire writes them), `0,25` (a decimal comma).
pub(crate) fn seconds(text: &str) -> Option<f64> {
    let text = text.trim();
    let value: f64 = match text.split_once(',') {
        None => text.parse().ok()?,
        Some((whole, fraction)) if !text.contains('.') && (whole.trim_start_matches('0').is_empty() || fraction.len() != 3) => {
            format!("{whole}.{fraction}").parse().ok()?
        }
        Some(_) => text.replace(',', "").parse().ok()?,
    };
    (value.is_finite() && value >= 0.0).then_some(value)
}
