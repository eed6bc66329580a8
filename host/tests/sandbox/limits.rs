//! Every limit is a typed error, and holds whatever the guest returns after it was hit.

use std::time::Duration;

use dropforge::sandbox::{ErrorType, Limits, Outcome, Source};

use crate::support::{CONVERTER, Case, SANDBOX, assert_answers, convert};

const MIB: u64 = 1 << 20;

#[test]
fn wall_time() {
    let limit = Duration::from_millis(200);
    let ran = Case::new(b"").limits(|limits| limits.wall_time = limit).convert("spin");
    assert_eq!(ran.error().error_type, ErrorType::Timeout);
    assert!(ran.error().message.contains("0.2 s"), "{}", ran.error());
    assert!(ran.conversion.usage.duration >= limit);

    // Host calls check the same deadline, and so does a guest that makes nothing but host calls.
    let ran = Case::new(b"").limits(|limits| limits.wall_time = limit).convert("repeat 1000000000000 size");
    assert_eq!(ran.error().error_type, ErrorType::Timeout);

    // No time at all: not even the instance comes to life.
    let ran = Case::new(b"").limits(|limits| limits.wall_time = Duration::ZERO).convert("size");
    assert_eq!(ran.error().error_type, ErrorType::Timeout);
    let error = CONVERTER.describe(&Limits { wall_time: Duration::ZERO, ..Limits::for_describe() }).unwrap_err();
    assert_eq!(error.error_type, ErrorType::Timeout);

    // So far away that the clock cannot say it.
    assert_answers(&Case::new(b"abc").limits(|limits| limits.wall_time = Duration::MAX).convert("size"), &["3"]);
}

#[test]
fn memory() {
    let ran = Case::new(b"").limits(|limits| limits.memory_bytes = 64 * MIB).convert("repeat 1000 allocate 1000000");
    assert_eq!(ran.error().error_type, ErrorType::MemoryLimit);
    assert!(ran.error().message.contains("67108864"), "{}", ran.error());
    let peak = ran.conversion.usage.peak_memory_bytes;
    assert!((60 * MIB..=64 * MIB).contains(&peak), "{peak}");

    // What a fresh instance has already may be too much.
    let ran = Case::new(b"").limits(|limits| limits.memory_bytes = 65_536).convert("size");
    assert_eq!(ran.error().error_type, ErrorType::MemoryLimit);
}

#[test]
fn growth_that_cannot_succeed_gives_no_memory_back() {
    // wasmtime reports a growth beyond 4 GiB as failed without having asked for it. Each round would hand back the 16 MiB before it.
    let script = "repeat 20 grow 256\ngrow 65536\n".repeat(10);
    let ran = Case::new(b"").limits(|limits| limits.memory_bytes = 400 * MIB).convert(&script);
    assert_eq!(ran.error().error_type, ErrorType::MemoryLimit);
    assert!(ran.conversion.usage.peak_memory_bytes <= 400 * MIB);
    let ran = Case::new(b"").convert("grow 65536\ngrow 1");
    assert_eq!(ran.answers()[0], "-1", "as in any other host");
}

#[test]
fn document_bytes_over_all_documents() {
    let limits = |limits: &mut Limits| limits.output_bytes = 100;
    let ran = Case::new(b"").limits(limits).convert("create text/plain a\nwrite @60\nfinish\ncreate text/plain b\nwrite @40\nfinish");
    assert_eq!(ran.conversion.result, Ok(Outcome::Converted));

    let ran =
        Case::new(b"").limits(limits).convert("create text/plain a\nwrite @60\nfinish\ncreate text/plain b\nwrite @41\nfinish\nread 1");
    assert_answers(&ran, &["ok", "ok", "ok", "ok", "limit:", "limit:", "limit:"]);
    assert_eq!((ran.error().error_type, ran.error().code.as_str()), (ErrorType::OutputLimit, "output_bytes"));
    assert!(ran.conversion.documents.is_empty());
    assert_eq!(ran.written[1].bytes.len(), 0, "what is over the limit is not written");
}

#[test]
fn a_limit_once_hit_outlives_every_other_ending() {
    for ending in ["", "\npanic oh", "\ntrap", "\nskip not mine", "\nfail upstream x", "\nreject x", "\nspin"] {
        let case = Case::new(b"").limits(|limits| {
            limits.output_bytes = 1;
            limits.wall_time = Duration::from_millis(500);
        });
        let ran = case.convert(&format!("create text/plain a\nwrite xx{ending}"));
        assert_eq!(ran.error().error_type, ErrorType::OutputLimit, "{ending}");
    }
}

#[test]
fn documents() {
    let limits = |limits: &mut Limits| limits.documents = 3;
    let ran = Case::new(b"").limits(limits).convert("repeat 3 create text/plain a\ndrop\ncreate text/plain b");
    assert_answers(&ran, &["ok", "ok", "limit:"]);
    assert_eq!((ran.error().error_type, ran.error().code.as_str()), (ErrorType::OutputLimit, "documents"));
}

#[test]
fn handles() {
    let limits = |limits: &mut Limits| limits.handles = 3;
    // Dropped ones do not count.
    let ran = Case::new(b"")
        .member("m", b"m")
        .limits(limits)
        .convert("repeat 2 create text/plain a\nopen m\nclose\nopen m\nclose\ndrop\ndrop\nrepeat 3 open-and-forget m");
    assert_eq!(ran.conversion.result, Ok(Outcome::Converted));
    // Forgotten ones do.
    let ran = Case::new(b"").member("m", b"m").limits(limits).convert("create text/plain a\nforget\nrepeat 3 open-and-forget m");
    assert_answers(&ran, &["ok", "ok", "limit:"]);
    assert_eq!((ran.error().error_type, ran.error().code.as_str()), (ErrorType::MemoryLimit, "handles"));

    // A guest that never drops a document can still make as many as there may be.
    let ran = convert("repeat 10000 create text/plain a");
    assert_eq!(ran.conversion.result, Ok(Outcome::Converted));
    let ran = convert("repeat 10001 create text/plain a");
    assert_eq!(ran.error().error_type, ErrorType::OutputLimit);
}

#[test]
fn bytes_in_one_call() {
    let limits = |limits: &mut Limits| limits.call_bytes = 1 << 20;
    let ran = Case::new(b"").limits(limits).convert("create text/plain a\nwrite @1000000\nfinish");
    assert_eq!(ran.conversion.result, Ok(Outcome::Converted));
    let ran = Case::new(b"").limits(limits).convert("create text/plain a\nwrite @1100000\nfinish");
    assert_eq!((ran.error().error_type, ran.error().code.as_str()), (ErrorType::MemoryLimit, "call_bytes"));
    assert!(ran.error().message.contains("1048576 bytes, its limit `call_bytes`"), "{}", ran.error());
}

#[test]
fn wall_time_that_passes_in_a_host_call() {
    /// A file system that answers late, and never again after that.
    struct Late(Duration);
    impl Source for Late {
        fn size(&self) -> u64 {
            1
        }
        fn read_at(&mut self, _: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
            std::thread::sleep(self.0);
            Ok(buffer.len().min(1))
        }
    }
    let limit = Duration::from_millis(200);
    // The guest's own code runs for no time at all: neither what it returns nor the host call's result saves it.
    for ending in ["read 1", "read 1\nskip not mine", "read 1\nfail upstream x", "read 1\ncreate text/plain a\nwrite x\nfinish"] {
        let mut case = Case::new(b"").limits(|limits| limits.wall_time = limit);
        case.input.source = Box::new(Late(limit));
        let ran = case.convert(ending);
        assert_eq!((ran.error().error_type, ran.error().code.as_str()), (ErrorType::Timeout, "wall_seconds"), "{ending}");
        assert!(ran.conversion.documents.is_empty());
    }
}

#[test]
fn metric_series() {
    let script: String = (0..20).map(|n| format!("observe rows_total 1 label-{n}\n")).collect();
    let ran = Case::new(b"").limits(|limits| limits.metric_series = 7).convert(&(script.clone() + &script));
    assert_eq!(ran.conversion.result, Ok(Outcome::Converted), "what is ignored fails nothing");
    assert_eq!(ran.conversion.observations.len(), 7);
    let complaint = ran.conversion.log_tail.iter().find(|line| line.message.contains("ignored")).unwrap();
    assert!(complaint.message.contains("26 metric observations were ignored"), "{complaint:?}");
    assert!(complaint.message.contains("its limit `metric_series`"), "{complaint:?}");
}

#[test]
fn problems_are_kept_up_to_a_number() {
    let ran = Case::new(b"")
        .limits(|limits| limits.problems = 5)
        .convert("repeat 7 problem warning careful\nproblem error lost\ncreate text/plain a\nwrite x");
    assert_eq!(ran.conversion.result, Ok(Outcome::Converted), "a problem that was not kept accounts for a document too");
    assert_eq!((ran.conversion.problems.len(), ran.conversion.problems_dropped), (5, 3));
}

#[test]
fn the_stack() {
    // The thread of a test is smaller than those that the host uses.
    let thread = std::thread::Builder::new().stack_size(dropforge::sandbox::THREAD_STACK);
    let ran = thread.spawn(|| convert("recurse")).unwrap().join().unwrap();
    assert_eq!(ran.error().error_type, ErrorType::Trap);
    assert!(ran.error().message.contains("call stack"), "{}", ran.error());
    assert!(ran.error().message.contains("recurse"), "{}", ran.error());
}

#[test]
#[cfg(target_os = "linux")]
fn the_ticker_ends_with_its_sandbox() {
    let tickers = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok());
        names.filter(|name| name.trim() == "epoch-ticker").count()
    };
    std::sync::LazyLock::force(&SANDBOX);
    // A thread takes its name and its leave in its own time.
    let wait_for = |condition: &dyn Fn(usize) -> bool| {
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while !condition(tickers()) {
            assert!(std::time::Instant::now() < deadline, "there are {} tickers", tickers());
            std::thread::yield_now();
        }
    };
    let sandboxes: Vec<_> = (0..20).map(|_| dropforge::sandbox::Sandbox::new().unwrap()).collect();
    wait_for(&|count| count == 21);
    drop(sandboxes);
    wait_for(&|count| count == 1);
}
