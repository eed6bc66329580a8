//! WASI as guests find it: empty, unchanging, and never waiting.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use dropforge::sandbox::{Access, Capability, Conversion, Converter, ErrorType, Limits, LogLevel};

use crate::guests;
use crate::support::{Case, load};

static WASI: LazyLock<Converter> = LazyLock::new(|| load(&guests::component("wasi-guest", &[])));

fn run(script: &str) -> Conversion {
    run_with(script, Access::default(), &Limits::default())
}

fn run_with(script: &str, access: Access, limits: &Limits) -> Conversion {
    let case = Case::new(b"");
    WASI.with(access).convert(case.input, script, &[], Box::new(case.sink), limits)
}

fn answer(step: &str) -> String {
    answer_with(step, Access::default())
}

fn answer_with(step: &str, access: Access) -> String {
    let conversion = run_with(step, access, &Limits::default());
    let found = conversion.log_tail.iter().find_map(|line| Some(line.message.split_once(" -> ")?.1.to_owned()));
    found.unwrap_or_else(|| panic!("{step}: {:?}", conversion.result))
}

#[test]
fn it_is_never_required() {
    // It has a use for them, and gets by without.
    assert_eq!(*WASI.asked(), [Capability::Clocks, Capability::Random].into());
    assert!(WASI.asked().iter().all(|capability| !capability.is_required()) && WASI.capabilities().is_empty());
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
        assert!(error.message.contains("waiting for a clock is not available to converters, unless `clocks` is granted"), "{error}");
    }
}

#[test]
fn granted_clocks_show_the_time_and_can_be_waited_for() {
    let clocks = || Access { clocks: true, ..Access::default() };
    let now = answer_with("now", clocks());
    let parts: Vec<u64> = now.split(' ').map(|part| part.parse().unwrap()).collect();
    let real = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    assert!(parts[0] > 0 && parts[1].abs_diff(real) < 60, "{now} and not {real}");
    for step in ["sleep 0", "sleep 1000000", "sleep-until 0", "sleep-until 2000000"] {
        assert_eq!(answer_with(step, clocks()), "slept", "{step}");
    }
    assert_eq!(answer_with("random 20", clocks()), answer("random 20"), "clocks alone are granted");
}

#[test]
fn who_sleeps_for_ever_is_woken_at_the_deadline_and_stopped() {
    let limits = Limits { wall_time: Duration::from_millis(200), ..Limits::default() };
    for step in ["sleep 18446744073709551615", "sleep-until 18446744073709551615"] {
        let conversion = run_with(step, Access { clocks: true, ..Access::default() }, &limits);
        assert_eq!(conversion.result.unwrap_err().error_type, ErrorType::Timeout, "{step}");
        assert!(conversion.usage.duration >= limits.wall_time);
    }
}

#[test]
fn granted_random_numbers_are_never_the_same() {
    let random = || Access { random: true, ..Access::default() };
    for step in ["random 20", "insecure"] {
        assert_ne!(answer_with(step, random()), answer_with(step, random()), "{step}");
    }
    assert_eq!(answer_with("now", random()), "0 0 0", "random numbers alone are granted");
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
