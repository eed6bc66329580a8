//! Converters that were built for other versions of the contract, or against something that only resembles it.

use dropforge::plugins::Plugin;

use crate::guest::{Guest, function};
use crate::load::load;
use crate::sandbox;

/// What the next patch version might add: a function, a method and an interface.
const ADDITIONS: [(&str, &str); 3] = [
    ("interface log {", "interface log { flush: func(deep: bool) -> result<u64, string>;"),
    ("resource input {", "resource input { checksum: func() -> string;"),
    ("world plugin {", "interface clock { now: func() -> u64; } world plugin { import clock;"),
];

/// The contract as a later version might have it.
fn later(version: &str) -> String {
    let mut wit = Guest::default().wit.replace("dropforge:converter@0.1.0", &format!("dropforge:converter@{version}"));
    for (from, to) in ADDITIONS {
        assert!(wit.contains(from), "the contract has no {from}");
        wit = wit.replacen(from, to, 1);
    }
    wit
}

fn load_module(module: &[u8]) -> Result<Plugin, String> {
    load(module, &sandbox(), tempfile::tempdir().unwrap().path())
}

fn assert_refused(module: &[u8], parts: &[&str]) {
    let message = load_module(module).map(|plugin| format!("{plugin:?}")).unwrap_err();
    for part in parts {
        assert!(message.contains(part), "{part:?} was expected in: {message}");
    }
}

#[test]
fn one_for_a_later_patch_version_loads_if_it_needs_nothing_new() {
    for version in ["0.1.1", "0.1.17"] {
        let log = format!(r#"(import "dropforge:converter/log@{version}" "log" (func (param i32 i32 i32 i32 i32)))"#);
        let plugin = load_module(&Guest { wit: later(version), imports: &log, ..Guest::default() }.module_of_version(version)).unwrap();
        assert_eq!((plugin.descriptor.name.as_str(), plugin.report.interfaces.contract.as_str()), ("test", version));
        assert!(plugin.report.interfaces.imports.contains(&format!("dropforge:converter/log@{version}")));
    }
}

#[test]
fn one_that_needs_something_new_is_told_what_and_both_versions() {
    let imports = r#"
        (import "dropforge:converter/log@0.1.1" "flush" (func (param i32 i32)))
        (import "dropforge:converter/io@0.1.1" "[method]input.checksum" (func (param i32 i32)))
        (import "dropforge:converter/clock@0.1.1" "now" (func (result i64)))"#;
    assert_refused(
        &Guest { wit: later("0.1.1"), imports, ..Guest::default() }.module_of_version("0.1.1"),
        &[
            "it was built for dropforge:converter@0.1.1, and this host has dropforge:converter@0.1.0",
            "it imports the function `log.flush` as `func(deep: bool) -> result<u64, string>`, which the contract 0.1.0 does not have",
            "it imports the function `io.input.checksum` as `func() -> string`, which the contract 0.1.0 does not have",
            "it imports `dropforge:converter/clock@0.1.1` (`now: func() -> u64`), which this host does not have",
            "update Dropforge, or build the converter for 0.1.0",
        ],
    );
}

#[test]
fn another_track_is_refused_with_everything_that_it_needs_of_it() {
    let imports = r#"(import "dropforge:converter/log@0.2.0" "log" (func (param i32 i32 i32 i32 i32)))"#;
    assert_refused(
        &Guest { wit: later("0.2.0"), imports, ..Guest::default() }.module_of_version("0.2.0"),
        &[
            "it was built for dropforge:converter@0.2.0, and this host has dropforge:converter@0.1.0",
            "it imports `dropforge:converter/log@0.2.0` (`log: func(level: level, message: string, fields: list<tuple<string, string>>)`), which this \
         host does not have",
            "it does not export `dropforge:converter/converter@0.1.0` (it exports `dropforge:converter/converter@0.2.0`)",
            "update Dropforge, or build the converter for 0.1.0",
        ],
    );
    assert_refused(
        &Guest { wit: later("0.0.9"), ..Guest::default() }.module_of_version("0.0.9"),
        &["0.0.9", "; build the converter for 0.1.0"],
    );
}

#[test]
fn what_it_exports_besides_is_nobodys_business() {
    let extra = r#"(func (export "more:things/extra@2.0.0#go")) (func (export "bare"))"#;
    let wit = Guest::default()
        .wit
        .replace("  export converter;\n}", "  export converter;\n  export more:things/extra@2.0.0;\n  export bare: func();\n}")
        + "\npackage more:things@2.0.0 { interface extra { go: func(); } }";
    let others = Guest::default().others + extra;
    let plugin = load_module(&Guest { wit, others, ..Guest::default() }.module()).unwrap();
    assert_eq!(plugin.report.interfaces.exports.len(), 3, "{:?}", plugin.report.interfaces.exports);
}

/// One refusal names all of it, with both signatures.
#[test]
fn everything_that_does_not_fit_is_named_at_once() {
    let wit = Guest::default()
        .wit
        .replace("log: func(level: level, message: string, fields: list<tuple<string, string>>);", "log: func(message: string) -> bool;")
        .replace("probe: func(input: borrow<input>) -> probe-result;", "")
        .replace("retry-after-ms: u64,", "retry-after-ms: u32,")
        .replace("    malformed,\n", "    malformed, mangled,\n");
    let imports = r#"
        (import "dropforge:converter/log@0.1.0" "log" (func (param i32 i32) (result i32)))
        (import "wasi:clocks/wall-clock@0.3.0" "now" (func (result i64)))
        (import "$root" "now" (func (result i64)))"#;
    let wit = wit
        .replace("  export converter;\n}", "  export converter;\n  import wasi:clocks/wall-clock@0.3.0;\n  import now: func() -> u64;\n}")
        + "\npackage wasi:clocks@0.3.0 { interface wall-clock { now: func() -> u64; } }";
    let others = function("convert", "(param i32 i32 i32) (result i32) unreachable");
    assert_refused(
        &Guest { wit, imports, others, ..Guest::default() }.module(),
        &[
            "it does not satisfy the contract dropforge:converter@0.1.0: ",
            "the type of `log.log` is wrong: it is `func(message: string) -> bool`, the contract says `func(level: level, message: string, fields: \
         list<tuple<string, string>>)`",
            "it imports `wasi:clocks/wall-clock@0.3.0`, and this host satisfies WASI 0.2, not 0.3",
            "it imports `now: func() -> u64`, which no converter gets",
            "it does not export the function `converter.probe`, in the contract `func(input: borrow<input>) -> probe-result`",
            "the type of `converter.convert` is wrong: its type `error-type` is `enum { malformed, mangled, encoding, validation, missing-field, \
         unsupported, upstream, internal }`, the contract says `enum { malformed, encoding, validation, missing-field, unsupported, upstream, \
         internal }`",
            "its type `suspension` is `record { reason: string, retry-after-ms: u32, awaits: list<string> }`, the contract says `record { reason: \
         string, retry-after-ms: u64, awaits: list<string> }`",
        ],
    );
}
