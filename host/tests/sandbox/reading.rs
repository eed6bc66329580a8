//! `input`: what it says of itself, positions, members, and files that break while they are read.

use std::io::ErrorKind;
use std::sync::Arc;

use dropforge::sandbox::{ErrorType, InputId, Limits, Outcome};

use crate::support::{BrokenSource, CONVERTER, Case, assert_answers, convert};

#[test]
fn an_input_says_what_it_is() {
    let ran = convert("id\nname\npath\nsize\nmedia-type\nmodified\nattributes\nmembers");
    let attributes = r#"[("route", "ict"), ("station", "s1")]"#;
    assert_answers(&ran, &["job-1", "panel-7.txt", "line-3/panel-7.txt", "11", "None", "Some((-2, 500))", attributes, ""]);
}

#[test]
fn reading_moves_on_and_ends_with_an_empty_list() {
    let ran = convert(
        "read 5\nread 0\nread 100\nread 100\nseek 6\nread 3\nseek 1000\nread 1\nseek 18446744073709551615\nread 1\nseek 0\nread-all",
    );
    assert_answers(&ran, &["5 hello", "0 ", "6  world", "0 ", "ok", "3 wor", "ok", "0 ", "ok", "0 ", "ok", "11"]);
    assert_eq!(ran.conversion.usage.input_bytes, 5 + 6 + 3 + 11, "counted as often as it was read");
}

#[test]
fn one_read_gives_at_most_a_mebibyte() {
    let ran = Case::new(&vec![b'a'; 3 << 20]).convert("read 4294967295");
    assert_answers(&ran, &["1048576 aaaaaaaaaaaaaaaaaaaa"]);
}

#[test]
fn members_are_inputs_with_positions_of_their_own() {
    let case = Case::new(b"main").member("a/b.bin", b"member bytes").member("z.txt", b"");
    let ran = case.convert(
        "members\nread 2\nopen a/b.bin\nid\nname\npath\nsize\nread 6\nmembers\nopen z.txt\nclose\nopen a/b.bin\nread 3\nclose\nread 2",
    );
    assert_answers(
        &ran,
        &[
            "a/b.bin z.txt",
            "2 ma",
            "ok",
            "job-1/0",
            "b.bin",
            "a/b.bin",
            "12",
            "6 member",
            "",
            "not-found:",
            "ok",
            "ok",
            "3 mem",
            "ok",
            "2 in",
        ],
    );
}

#[test]
fn only_names_that_were_listed_open() {
    let ran = Case::new(b"").member("a.txt", b"a").convert("open ..\nopen /etc/passwd\nopen ./a.txt\nopen A.TXT\nopen \nopen ../a.txt");
    assert_answers(&ran, &["not-found:"; 6]);
    assert_eq!(ran.conversion.result, Ok(Outcome::Converted));
}

#[test]
fn a_probe_sees_64_kib_and_no_members_and_makes_nothing() {
    let answer = |script: &str| {
        let mut case = Case::new(&vec![b'a'; 100 << 10]).member("m", b"m");
        case.input.attributes = vec![("script".to_owned(), script.to_owned())];
        CONVERTER.probe(case.input, &Limits::for_probe()).unwrap()
    };
    assert_eq!(answer("read-all").reason, "65536");
    assert_eq!(answer("size").reason, "102400");
    assert_eq!(answer("seek 65530\nread 100").reason, "6 aaaaaa");
    assert_eq!(answer("seek 70000\nread 100").reason, "0 ");
    assert_eq!(answer("members").reason, "");
    assert!(answer("open m").reason.starts_with("not-found"));
    assert!(answer("create text/plain x").reason.starts_with("failed"));
    assert!(answer("problem error x").reason.starts_with("failed"));
    assert_eq!(answer("").confidence, 100, "more than 100 counts as 100");
}

#[test]
fn a_file_that_breaks_fails_the_job_whatever_the_guest_returns() {
    for (error, said) in [(Some(ErrorKind::Other), "bad sector"), (None, "became shorter")] {
        let mut case = Case::new(b"");
        case.input.source = Box::new(BrokenSource { size: 200_000, breaks_at: 100_000, error });
        let ran = case.convert("read-all\nread 1\ncreate text/plain x");
        assert_answers(&ran, &["failed: the host could not read or write"; 3]);
        let error = ran.error();
        assert_eq!(error.error_type, ErrorType::Io);
        assert!(
            error.message.contains("line-3/panel-7.txt") && error.message.contains("100000") && error.message.contains(said),
            "{error}"
        );
    }
}

#[test]
fn a_member_that_does_not_open_fails_the_job() {
    let mut case = Case::new(b"").member("m", b"");
    case.input.members[0].open = Box::new(|| Err(ErrorKind::PermissionDenied.into()));
    let ran = case.convert("open m");
    assert_answers(&ran, &["failed: the host could not read or write"]);
    assert_eq!(ran.error().error_type, ErrorType::Io);
}

#[test]
fn an_id_that_cannot_be_found_fails_the_job() {
    let mut case = Case::new(b"");
    case.input.id = InputId::Lazy(Arc::new(|| Err(ErrorKind::PermissionDenied.into())));
    let ran = case.convert("id");
    assert_eq!(ran.error().error_type, ErrorType::Io);
    assert!(ran.error().message.contains("for its id"), "{}", ran.error().message);
}

#[test]
fn a_read_that_was_interrupted_is_repeated() {
    struct Interrupted(bool);
    impl dropforge::sandbox::Source for Interrupted {
        fn size(&self) -> u64 {
            3
        }
        fn read_at(&mut self, _: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
            if !std::mem::replace(&mut self.0, true) {
                return Err(ErrorKind::Interrupted.into());
            }
            buffer.fill(b'z');
            Ok(buffer.len())
        }
    }
    let mut case = Case::new(b"");
    case.input.source = Box::new(Interrupted(false));
    assert_answers(&case.convert("read 10"), &["3 zzz"]);
}

#[test]
fn an_input_beyond_the_limit_is_refused_before_the_guest_runs() {
    let ran = Case::new(b"0123456789").limits(|limits| limits.input_bytes = 9).convert("log 2 ran");
    let error = ran.error();
    assert_eq!((error.error_type, error.code.as_str()), (ErrorType::Unsupported, "input_too_large"));
    assert!(ran.conversion.log_tail.is_empty());

    let ran = Case::new(b"").member("m", b"0123456789").limits(|limits| limits.input_bytes = 9).convert("open m");
    assert_answers(&ran, &["limit:"]);
    assert_eq!(ran.error().code, "input_too_large");
}
