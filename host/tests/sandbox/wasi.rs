//! WASI as guests find it: empty, unchanging, and never waiting.

use std::sync::LazyLock;

use dropforge::sandbox::{Conversion, Converter, ErrorType, Limits, LogLevel};

use crate::guests;
use crate::support::{Case, load};

static WASI: LazyLock<Converter> = LazyLock::new(|| load(&guests::component("wasi-guest", &[])));

fn run(script: &str) -> Conversion {
    let case = Case::new(b"");
    WASI.convert(case.input, script, &[], Box::new(case.sink), &Limits::default())
}

fn answer(step: &str) -> String {
    let conversion = run(step);
    let found = conversion.log_tail.iter().find_map(|line| Some(line.message.split_once(" -> ")?.1.to_owned()));
    found.unwrap_or_else(|| panic!("{step}: {:?}", conversion.result))
}

#[test]
fn it_is_no_capability() {
    assert!(!WASI.has_capability());
}

#[test]
fn clocks_stand_still() {
    assert_eq!(answer("now"), "0 0 0");
}

#[test]
fn waiting_for_a_clock_traps_at_once() {
    for step in ["sleep 0", "sleep 1", "sleep 18446744073709551615", "sleep-until 0", "sleep-until 5000000000"] {
        let error = run(step).result.unwrap_err();
        assert_eq!(error.error_type, ErrorType::Trap, "{step}");
        assert!(error.message.contains("waiting for a clock is not available to converters"), "{error}");
    }
}

#[test]
fn random_numbers_are_the_same_in_every_call() {
    for step in ["random 20", "insecure"] {
        assert_eq!(answer(step), answer(step));
    }
    assert_ne!(answer("random 20"), answer("insecure"));
    assert!(!answer("random 20").starts_with("[0, 0, 0"));
    assert_eq!(answer("many-random 1000001"), "1000001");
    assert_eq!(run("many-random 18446744073709551615").result.unwrap_err().code, "call_bytes");
}

#[test]
fn there_is_nothing_to_reach() {
    assert_eq!(answer("environment"), "[] []");
    assert_eq!(answer("folders"), "0");
    assert!(answer("socket").starts_with("Err("), "{}", answer("socket"));
    for name in ["localhost", "127.0.0.1", "example.org"] {
        assert!(answer(&format!("resolve {name}")).starts_with("Err("));
    }
}

#[test]
fn what_can_be_waited_for_is_ready() {
    assert_eq!(answer("in"), r#"Err("ended")"#);
    assert_eq!(answer("poll"), "[0, 1]");
}

#[test]
fn standard_streams_go_line_by_line_to_the_log() {
    let conversion = run("out one\\ntwo \nerr warned\\r\\n\nout and a half\\nleft over\nerr \\e[1m");
    let lines: Vec<_> = conversion.log_tail.iter().filter(|line| !line.message.contains(" -> ")).collect();
    let lines: Vec<_> = lines.iter().map(|line| (line.level, line.message.as_str())).collect();
    let expected = [
        (LogLevel::Info, "one"),
        (LogLevel::Warn, "warned\\r"),
        (LogLevel::Info, "two and a half"),
        (LogLevel::Info, "left over"),
        (LogLevel::Warn, "\\e[1m"),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn exit_is_a_trap_that_says_so() {
    let error = run("exit").result.unwrap_err();
    assert_eq!(error.error_type, ErrorType::Trap);
    assert!(error.message.contains("ended its process with status 1"), "{error}");
}
