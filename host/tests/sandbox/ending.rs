//! How a conversion can end, and what the host makes of it.

use std::time::Duration;

use dropforge::sandbox::{ErrorType, Limits, Location, Outcome, Severity};

use crate::support::{CONVERTER, Case, DESCRIPTOR, Ran, convert};

const ONE_DOCUMENT: &str = "create text/plain a\nwrite x\nfinish\nobserve rows_total 1 a\n";

fn ended(end: &str) -> Ran {
    let ran = convert(&format!("{ONE_DOCUMENT}{end}"));
    assert!(ran.conversion.documents.is_empty() && ran.conversion.observations.is_empty(), "{end}");
    ran
}

#[test]
fn converted_gives_documents_or_none() {
    let ran = convert(ONE_DOCUMENT);
    assert_eq!((ran.conversion.result, ran.conversion.documents.len(), ran.conversion.observations.len()), (Ok(Outcome::Converted), 1, 1));
    let ran = convert("size");
    assert_eq!((ran.conversion.result, ran.conversion.documents.len()), (Ok(Outcome::Converted), 0));
}

#[test]
fn skipped_and_rejected_discard_the_documents() {
    assert_eq!(ended("skip not mine").conversion.result, Ok(Outcome::Skipped("not mine".to_owned())));
    assert_eq!(ended("skip @5000").conversion.result, Ok(Outcome::Skipped("x".repeat(1024))));
    let Ok(Outcome::Rejected(error)) = ended("reject aborted").conversion.result else { panic!("not rejected") };
    assert_eq!((error.error_type, error.message.as_str()), (ErrorType::Unsupported, "aborted"));
}

#[test]
fn a_suspension_is_brought_into_its_bounds() {
    let suspended = |script: &str| match ended(script).conversion.result {
        Ok(Outcome::Suspended { reason, retry_after, awaits }) => (reason, retry_after, awaits),
        other => panic!("{other:?}"),
    };
    let (reason, after, awaits) = suspended("suspend 0 b.bin .. a/b a\\\\b . \\e c.bin");
    assert_eq!(reason.len(), 1024);
    assert_eq!(after, Duration::from_secs(1));
    assert_eq!(awaits, ["b.bin", "c.bin"], "plain file names only");
    assert_eq!(suspended("suspend 18446744073709551615 x").1, Duration::from_secs(86_400));
    assert_eq!(suspended("suspend 5000 x").1, Duration::from_secs(5));
    assert_eq!(suspended(&format!("suspend 5000 {}", "n ".repeat(100).trim())).2.len(), 64);
}

#[test]
fn errors_keep_type_code_message_and_place() {
    let types = [
        ("malformed", ErrorType::Malformed),
        ("encoding", ErrorType::Encoding),
        ("validation", ErrorType::Validation),
        ("missing-field", ErrorType::MissingField),
        ("unsupported", ErrorType::Unsupported),
        ("upstream", ErrorType::Upstream),
        ("internal", ErrorType::Internal),
    ];
    for (name, error_type) in types {
        let ran = ended(&format!("fail {name} @9000"));
        let error = ran.error();
        assert_eq!(error.error_type, error_type);
        assert_eq!((error.code.len(), error.message.len()), (64, 8192), "cut at the contract's lengths");
        assert_eq!(error.at, Some(Location { line: Some(3), column: Some(7), offset: None }));
    }
}

#[test]
fn problems_are_kept_with_their_place_however_it_ends() {
    for end in ["", "fail malformed x", "trap"] {
        let ran = convert(&format!("problem error unit 5\nproblem warning odd\n{end}"));
        let problems = &ran.conversion.problems;
        assert_eq!(
            problems.iter().map(|p| (p.severity, p.error.message.as_str())).collect::<Vec<_>>(),
            [(Severity::Error, "unit 5"), (Severity::Warning, "odd")]
        );
        assert_eq!(problems[0].error.at.unwrap().line, Some(3));
    }
}

#[test]
fn a_panic_is_told_with_its_message_line_and_function() {
    let ran = ended("panic the row has 3 fields");
    let error = ran.error();
    assert_eq!(error.error_type, ErrorType::Trap);
    assert!(error.message.starts_with("the converter panicked at src/lib.rs:"), "{error}");
    assert!(error.message.contains(": the row has 3 fields (in `"), "{error}");
    assert!(error.message.contains("probe_guest::"), "{error}");
}

#[test]
fn a_trap_leaves_nothing_behind() {
    let ran = ended("trap");
    assert_eq!(ran.error().error_type, ErrorType::Trap);
    assert!(ran.error().message.contains("unreachable"), "{}", ran.error());
    assert_eq!(convert(ONE_DOCUMENT).conversion.documents.len(), 1, "the next call is not touched by it");
}

#[test]
fn options_arrive_as_they_were_given() {
    assert_eq!(convert("").conversion.result, Ok(Outcome::Converted));
    assert_eq!(convert("{}").answers(), ["there is no step `{}`"]);
}

#[test]
fn a_descriptor_is_the_same_every_time_with_its_texts_cut() {
    let again = CONVERTER.describe(&Limits::for_describe()).unwrap();
    assert_eq!(again, *DESCRIPTOR);
    assert_eq!((again.name.as_str(), again.patterns.as_slice()), ("probe-guest", ["*.txt".to_owned()].as_slice()));
    assert_eq!(again.metrics[0].help.len(), 512);
    assert!(again.metrics[0].buckets.is_empty(), "buckets are a histogram's");
    assert_eq!(again.metrics[2].buckets, [1.0, 10.0]);
}

#[test]
fn calls_run_side_by_side() {
    std::thread::scope(|scope| {
        for n in 0..8 {
            scope.spawn(move || {
                for round in 0..20 {
                    let bytes = vec![b'a' + n; 1000 * (round + 1)];
                    let ran = Case::new(&bytes).convert("create text/plain x\ncopy\nfinish");
                    assert!(ran.written[0].bytes == bytes);
                }
            });
        }
    });
}
