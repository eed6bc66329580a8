//! The lines of a log. The first character says what a line is.

use dropforge_sdk::report::Verdict;

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Record<'l> {
    /// Nothing.
    Empty,
    /// `F:\…\43420.obc[31-JUL-12  14:17:35`: a test program was loaded.
    Program { file: &'l str },
    /// `@31-JUL-12  14:18:51 SN 4711`: a board begins.
    Begin { at: &'l str, serial: &'l str },
    /// `/31-JUL-12  14:19:49`: it ended, as the first character says.
    End { verdict: Verdict, at: &'l str },
    /// `]31-JUL-12  14:32:13`: back to the diagnosis; between boards.
    Diagnose,
    /// `(F 300,301`: a test of the whole board failed, with the pins.
    Failure { test: &'static str, pins: &'l str },
    /// `202,204`: more pins.
    Pins(&'l str),
    /// `WATS_partNumber=4711`: what somebody wrote into the log for the report.
    Fact { name: &'l str, value: &'l str },
    /// `R508=100.2K(92.9K,105.1K)R `: a measurement.
    Measure(Measure<'l>),
    /// Anything else.
    Other,
}

/// A measurement, as it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Measure<'l> {
    pub name: &'l str,
    /// `=` within its limits, `<` and `>` not, `%` not either, `#` not judged.
    pub judged: char,
    pub value: &'l str,
    pub low: &'l str,
    pub high: &'l str,
    pub kind: &'l str,
    pub message: &'l str,
}

impl<'l> Record<'l> {
    /// What a line is.
    pub fn of(line: &'l str) -> Record<'l> {
        let line = line.trim();
        let Some(first) = line.chars().next() else { return Record::Empty };
        let rest = line.get(first.len_utf8()..).unwrap_or_default();
        let end = |verdict| Record::End { verdict, at: rest };
        match first {
            '@' => match rest.split_once(" SN ") {
                Some((at, serial)) => Record::Begin { at: at.trim(), serial: serial.trim() },
                None => Record::Begin { at: rest, serial: "" },
            },
            '"' => end(Verdict::Passed),
            '/' => end(Verdict::Failed),
            '*' | '&' => end(Verdict::Error),
            '?' | '!' => end(Verdict::Terminated),
            ']' => Record::Diagnose,
            '(' => failure(rest),
            _ if line.chars().all(|character| character.is_ascii_digit() || matches!(character, ',' | '+' | ' ')) => Record::Pins(line),
            _ => named(line),
        }
    }
}

fn failure(rest: &str) -> Record<'_> {
    let test = match rest.chars().next() {
        Some('S') => "Shorts",
        Some('O') => "Opens",
        Some('B') => "Bus",
        Some('C') => "Scratch probing",
        Some('F') => "Contact",
        _ => return Record::Other,
    };
    Record::Failure { test, pins: rest.get(1..).unwrap_or_default().trim() }
}

fn named(line: &str) -> Record<'_> {
    if let Some((name, value)) = line.strip_prefix("WATS_").and_then(|fact| fact.split_once('=')) {
        return Record::Fact { name, value };
    }
    let at = line.find(['=', '<', '>', '#', '%']);
    // A path may have such a character too; a program's line has its date in an open bracket.
    if let Some((file, _)) = line.rsplit_once('[')
        && (at.is_none() || file.contains(['\\', ':']))
    {
        return Record::Program { file };
    }
    let Some((name, judged, rest)) = at.and_then(|at| {
        let judged = line.get(at..)?.chars().next()?;
        Some((line.get(..at)?.trim(), judged, line.get(at + 1..)?))
    }) else {
        return Record::Other;
    };
    if name.is_empty() {
        return Record::Other;
    }
    let bare = Measure { name, judged, value: rest.trim(), low: "", high: "", kind: "", message: "" };
    let Some((value, rest)) = rest.split_once('(') else {
        // Without limits there is no value either: that line was cut.
        return if bare.value.is_empty() { Record::Measure(bare) } else { Record::Other };
    };
    let Some((limits, rest)) = rest.split_once(')') else { return Record::Other };
    let Some((low, high)) = limits.split_once(',') else { return Record::Other };
    let end = rest.find(|character: char| !character.is_ascii_alphanumeric()).unwrap_or(rest.len());
    let (kind, message) = (rest.get(..end).unwrap_or_default(), rest.get(end..).unwrap_or_default());
    let message = message.trim_start_matches([' ', '=']).trim_end();
    Record::Measure(Measure { value: value.trim(), low: low.trim(), high: high.trim(), kind, message, ..bare })
}
