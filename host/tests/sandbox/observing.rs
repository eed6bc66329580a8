//! The log and the metrics: cut, counted, checked.

use dropforge::sandbox::LogLevel;

use crate::support::{Case, convert};

#[test]
fn lines_are_cut_and_stay_one_line() {
    let ran = convert("log 4 two\\nlines and \\e[31m colour\nlog 0 @9000\nlog-fields 40 @2000");
    let lines: Vec<_> = ran.conversion.log_tail.iter().filter(|line| !line.message.contains(" -> ")).collect();
    assert_eq!((lines[0].level, lines[0].message.as_str()), (LogLevel::Error, "two\\nlines and \\u{1b}[31m colour"));
    assert_eq!((lines[1].level, lines[1].message.len()), (LogLevel::Trace, 8192));
    assert_eq!(lines[2].fields.len(), 32);
    assert!(lines[2].fields.iter().all(|(name, value)| name.len() + value.len() == 1024));
}

#[test]
fn the_tail_holds_the_last_50() {
    let ran = convert("repeat 100 log 2 before\nlog 2 last");
    let tail = &ran.conversion.log_tail;
    assert_eq!(tail.len(), 50);
    assert_eq!(tail[48].message, "last");
}

#[test]
fn lines_beyond_the_limits_are_dropped_and_counted() {
    let ran = Case::new(b"").limits(|limits| limits.log_lines = 10).convert("repeat 100 log 2 x");
    let tail = &ran.conversion.log_tail;
    assert_eq!(tail.len(), 11);
    assert!(tail[10].message.starts_with("91 more log lines were dropped"), "{:?}", tail[10]);
    assert!(ran.conversion.result.is_ok(), "a long log is no failure");

    let ran = Case::new(b"").limits(|limits| limits.log_bytes = 1000).convert("repeat 100 log 2 @90");
    assert_eq!(ran.conversion.log_tail.len(), 11 + 1, "11 lines of 90 bytes, and what was dropped");
}

#[test]
fn observations_are_checked_against_the_declarations() {
    let ran = convert(
        "observe rows_total 2 a\nobserve rows_total 3 a\nobserve rows_total 1 b\nobserve level 5 a\nobserve level -2 a\n\
         observe size_bytes 4 a\nobserve size_bytes 4 a\nobserve size_bytes 1 @200\n\
         observe rows_total -1 a\nobserve rows_total NaN a\nobserve rows_total inf a\nobserve rows_total 1 a,b\nobserve rows_total 1\nobserve unknown 1 a",
    );
    let observed: Vec<_> = ran.conversion.observations.iter().map(|o| (o.metric, o.value, o.labels[0].len())).collect();
    assert_eq!(observed, [(0, 5.0, 1), (0, 1.0, 1), (1, -2.0, 1), (2, 4.0, 1), (2, 4.0, 1), (2, 1.0, 128)]);
    let notes: Vec<_> = ran.conversion.log_tail.iter().filter(|line| line.message.contains("ignored")).collect();
    assert_eq!(notes.len(), 1, "said once");
    assert!(notes[0].message.starts_with("6 metric observations were ignored; the first: `rows_total` is a counter"), "{notes:?}");
}

#[test]
fn series_and_observations_have_a_bound() {
    let ran = convert("repeat 20000 observe size_bytes 1 a\nrepeat 20000 observe rows_total 1 a");
    assert_eq!(ran.conversion.observations.len(), 10_000);
    let ran = convert("repeat 20000 observe rows_total 1 a");
    assert_eq!(ran.conversion.observations[0].value, 20_000.0, "counters are added up, so their number has no bound");
}
