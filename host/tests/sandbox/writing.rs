//! `document`: order, finishing, attributes, keys, and sinks that break.

use dropforge::sandbox::{ErrorType, Outcome};

use crate::support::{Case, Sink, assert_answers, convert};

#[test]
fn documents_keep_the_order_of_their_creation() {
    let ran = convert("create text/plain first\nwrite one\ncreate text/csv;header=present second\nwrite two\nfinish\nolder\nfinish");
    assert_eq!(ran.conversion.result, Ok(Outcome::Converted));
    let documents: Vec<_> = ran.conversion.documents.iter().map(|d| (d.number, d.name.as_str(), d.media_type.as_str(), d.bytes)).collect();
    assert_eq!(documents, [(0, "first", "text/plain", 3), (1, "second", "text/csv;header=present", 3)]);
    assert_eq!(ran.conversion.usage.output_bytes, 6);
    assert_eq!(
        (ran.written[0].media_type.as_str(), ran.written[0].name.as_str(), ran.written[0].bytes.as_slice()),
        ("text/plain", "first", b"one".as_slice())
    );
    assert!(ran.written.iter().all(|document| document.finished));
}

#[test]
fn the_input_goes_through_unchanged() {
    let bytes: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let ran = Case::new(&bytes).convert("create application/octet-stream copy\ncopy\nfinish");
    assert!(ran.written[0].bytes == bytes);
}

#[test]
fn a_document_without_finish_does_not_exist() {
    // Never written to: no loss.
    let ran = convert("create text/plain empty\ncreate text/plain whole\nwrite x\nfinish");
    assert_eq!(ran.conversion.result, Ok(Outcome::Converted));
    assert_eq!(ran.conversion.documents.len(), 1);

    // Written to, and nothing accounts for it.
    for tail in ["", "\ndrop", "\nforget", "\nproblem warning only a warning"] {
        let ran = convert(&format!("create text/plain lost\nwrite x{tail}"));
        assert_eq!(ran.error().error_type, ErrorType::BadOutput, "{tail}");
        assert!(ran.error().message.contains("`lost`"));
        assert!(ran.written[0].gone && !ran.written[0].finished, "its writer is dropped");
    }

    // A problem of severity `error` accounts for it.
    let ran = convert("create text/plain broken\nwrite x\ndrop\nproblem error unit 5 is broken\ncreate text/plain good\nwrite y\nfinish");
    assert_eq!(ran.conversion.result, Ok(Outcome::Converted));
    assert_eq!(ran.conversion.documents.iter().map(|d| d.number).collect::<Vec<_>>(), [1]);
    assert_eq!(ran.conversion.problems.len(), 1);
}

#[test]
fn a_finished_document_takes_no_more() {
    let ran = convert("create text/plain x\nfinish\nwrite x\nattribute a b\nkey k\nfinish");
    assert_answers(&ran, &["ok", "ok", "failed:", "failed:", "failed:", "failed:"]);
    assert_eq!(ran.conversion.result, Ok(Outcome::Converted));
    assert_eq!(ran.conversion.documents.len(), 1);
}

#[test]
fn media_types_and_names_are_checked() {
    let ran = convert(
        "create text x\ncreate text/ x\ncreate text/pl\u{e4}in x\ncreate @256 x\ncreate text/plain \ncreate text/plain @1025\ncreate text/plain @1024",
    );
    assert_answers(&ran, &["failed:", "failed:", "failed:", "failed:", "failed:", "failed:", "ok"]);
    assert_eq!(ran.conversion.result, Ok(Outcome::Converted), "misuse harms nobody but the guest");
}

#[test]
fn attributes_are_replaced_sorted_and_bounded() {
    let ran = convert(
        "create text/plain x\nattribute b 1\nattribute a 2\nattribute b 3\nattribute  empty-name\nattribute @128 v\nattribute @129 v\nattribute a\\nb v\nattribute big @65536\nattribute big @65537\nfinish",
    );
    assert_answers(&ran, &["ok", "ok", "ok", "ok", "failed:", "ok", "failed:", "failed:", "ok", "failed:", "ok"]);
    let attributes = &ran.conversion.documents[0].attributes;
    let names: Vec<&str> = attributes.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a", "b", "big", &"x".repeat(128)]);
    assert_eq!(attributes[1].1, "3");

    let ran = convert("create text/plain x\nattributes-up-to 256 v\nattribute 7 replaced\nattribute one-more v\nfinish");
    assert_answers(&ran, &["ok", "ok", "ok", "failed:", "ok"]);
    assert_eq!(ran.conversion.documents[0].attributes.len(), 256);
}

#[test]
fn attributes_of_all_documents_have_a_bound() {
    // 16 MiB of attributes a document, replaced once: only what is held counts.
    let one = "create text/plain x\nattributes-up-to 255 @65000\nattributes-up-to 255 @65000\nfinish\n";
    let ran = convert(&one.repeat(4));
    assert_eq!(ran.conversion.result, Ok(Outcome::Converted));
    let ran = convert(&one.repeat(5));
    assert_eq!((ran.error().error_type, ran.error().code.as_str()), (ErrorType::OutputLimit, "metadata"));
}

#[test]
fn keys_are_unique_among_finished_documents() {
    let ran = convert(
        "create text/plain a\nkey k\nfinish\ncreate text/plain b\nkey k\nfinish\nkey other\nfinish\n\
         create text/plain c\nkey discarded\ncreate text/plain d\nkey discarded\nfinish\ncreate text/plain e\nkey \nkey @1025\nkey @1024\nfinish",
    );
    let expected =
        ["ok", "ok", "ok", "ok", "ok", "failed:", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "failed:", "failed:", "ok", "ok"];
    assert_answers(&ran, &expected);
    let keys: Vec<&str> = ran.conversion.documents.iter().filter_map(|document| document.key.as_deref()).collect();
    assert_eq!(keys, ["k", "other", "discarded", &"x".repeat(1024)]);
}

#[test]
fn a_sink_that_breaks_fails_the_job_whatever_the_guest_returns() {
    let mut case = Case::new(b"");
    case.sink = Sink { fails_at: Some(100_000), ..Sink::default() };
    let ran = case.convert("create text/plain x\nfill 200000\nwrite more\nfinish");
    assert_answers(&ran, &["ok", "failed: the host could not read or write", "failed:", "failed:"]);
    assert_eq!(ran.error().error_type, ErrorType::Io);
    assert!(ran.error().message.contains("no space left"));
    assert!(ran.conversion.documents.is_empty());
}
