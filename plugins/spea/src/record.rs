//! The records of a result file: lines of fields between semicolons, the first of which names the kind.

use dropforge_sdk::text::Line;

/// One record, its fields as they stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record<'l> {
    /// Nothing.
    Empty,
    /// How the dates of the runs after it are written: `mmdd`, `ddmm`.
    Format(&'l str),
    /// The beginning of a run.
    Start(Start),
    /// The lot.
    Lot(&'l str),
    /// A test: `ANL` of the analog tester, `FUNC` of the functional one.
    Test(Test<'l>),
    /// The serial number.
    Serial(&'l str),
    /// The result of the board, which `END` repeats.
    BoardResult,
    /// The end of a run.
    End { result: &'l str, at: String },
    /// Any other.
    Other(&'l str),
}

/// What `START` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Start {
    pub program: String,
    pub version: String,
    pub operator: String,
    /// Date and time, with a space between.
    pub at: String,
}

/// What `ANL` and `FUNC` say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Test<'l> {
    pub site: &'l str,
    pub task: &'l str,
    pub task_number: &'l str,
    pub name: &'l str,
    pub result: &'l str,
    pub value: &'l str,
    pub low: &'l str,
    pub high: &'l str,
    pub unit: &'l str,
    /// The test points that were measured between.
    pub points: &'l str,
}

/// The fields of a line.
pub(crate) fn fields(line: &str) -> Vec<&str> {
    line.split(';').map(str::trim).collect()
}

impl<'l> Record<'l> {
    /// The record of a line. One with too few fields is `Other`, so that nothing is taken from a line that was cut.
    pub fn of(line: &'l Line) -> Record<'l> {
        match fields(&line.text).as_slice() {
            [] | [""] => Record::Empty,
            ["FORMAT", format] => Record::Format(format),
            ["START", _, program, version, _, operator, date, time] => Record::Start(Start {
                program: (*program).into(),
                version: (*version).into(),
                operator: (*operator).into(),
                at: format!("{date} {time}"),
            }),
            ["LOT", lot] => Record::Lot(lot),
            ["ANL" | "FUNC", site, task, task_number, _, name, _, result, value, low, high, rest @ ..] if !rest.is_empty() => {
                // What the tester judged by itself (shorts, opens) has no unit: the number of the test takes its field's place.
                let automatic = *value == "Automatic";
                Record::Test(Test {
                    site,
                    task,
                    task_number,
                    name,
                    result,
                    value: if automatic { "" } else { value },
                    low: if automatic { "" } else { low },
                    high: if automatic { "" } else { high },
                    unit: if automatic { "" } else { rest.first().copied().unwrap_or_default() },
                    points: rest.get(1).copied().unwrap_or_default(),
                })
            }
            ["SN", serial] => Record::Serial(serial),
            ["BOARDRESULT", ..] => Record::BoardResult,
            ["END", result, date, time] => Record::End { result, at: format!("{date} {time}") },
            [other, ..] => Record::Other(other),
        }
    }

    /// The kind's name.
    pub fn name(&self) -> &'l str {
        match self {
            Record::Empty => "",
            Record::Format(_) => "FORMAT",
            Record::Start(_) => "START",
            Record::Lot(_) => "LOT",
            Record::Test(_) => "ANL",
            Record::Serial(_) => "SN",
            Record::BoardResult => "BOARDRESULT",
            Record::End { .. } => "END",
            Record::Other(name) => name,
        }
    }
}
