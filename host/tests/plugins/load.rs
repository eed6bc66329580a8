//! One file: what loads, what is refused and why, what is kept.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use dropforge::identity::FileIdentity;
use dropforge::plugins::{LoadLimits, LoadSettings, Plugin, load_file};
use dropforge::sandbox::{Capabilities, Capability, Limits, Sandbox};
use serde_json::json;

use crate::guest::{Guest, function};
use crate::sandbox;

pub fn load(bytes: &[u8], sandbox: &Sandbox, folder: &Path) -> Result<Plugin, String> {
    load_within(bytes, sandbox, folder, &LoadLimits::default())
}

fn load_within(bytes: &[u8], sandbox: &Sandbox, folder: &Path, limits: &LoadLimits) -> Result<Plugin, String> {
    let file = folder.join("plugin.wasm");
    fs::write(&file, bytes).unwrap();
    let settings = LoadSettings { limits: limits.clone(), ..LoadSettings::from(folder.join("compiled")) };
    load_file(&file, sandbox, settings).map_err(|error| error.to_string())
}

#[test]
fn a_module_is_wrapped_and_a_component_passes_through() {
    let (sandbox, folder) = (sandbox(), tempfile::tempdir().unwrap());
    let guest = Guest {
        schema: r#"{"type": "object", "properties": {"delimiter": {"type": "string", "default": ","}}}"#,
        ..Guest::named("csv", "1.2.3")
    };
    for (bytes, wrapped) in [(guest.module(), true), (guest.component(), false)] {
        let plugin = load(&bytes, &sandbox, folder.path()).unwrap();
        assert_eq!((plugin.descriptor.name.as_str(), plugin.descriptor.version.as_str()), ("csv", "1.2.3"));
        assert_eq!((plugin.report.wrapped, plugin.size), (wrapped, bytes.len() as u64));
        assert_eq!(plugin.report.interfaces.contract, "0.1.0");
        assert_eq!(plugin.report.interfaces.exports, ["dropforge:converter/converter@0.1.0"]);
        assert!(plugin.converter.asked().is_empty());
        assert_eq!(plugin.options(&serde_json::Map::new()).unwrap(), json!({"delimiter": ","}).to_string());
        assert_eq!(plugin.specificity("a.TEST", "x/a.TEST"), Some(5));
    }
}

#[test]
fn a_module_that_uses_wasi_preview_1_is_adapted() {
    let (sandbox, folder) = (sandbox(), tempfile::tempdir().unwrap());
    let imports = r#"(import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))"#;
    let plugin = load(&Guest { imports, ..Guest::default() }.module(), &sandbox, folder.path()).unwrap();
    assert!(plugin.report.interfaces.imports.iter().any(|name| name.starts_with("wasi:random/random@0.2")));
    assert_eq!(*plugin.converter.asked(), [Capability::Random].into());
    assert_eq!(plugin.check_grants(&Capabilities::new(), None), Ok(()));
}

#[test]
fn compiled_code_is_kept_and_a_damaged_copy_is_made_again() {
    let (sandbox, folder) = (sandbox(), tempfile::tempdir().unwrap());
    let bytes = Guest::default().module();
    let code = |folder: &Path| {
        let files = fs::read_dir(folder.join("compiled")).unwrap().map(|entry| entry.unwrap().path());
        let code: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "cwasm")).collect();
        assert_eq!(code.len(), 1, "{code:?}");
        code[0].clone()
    };
    load(&bytes, &sandbox, folder.path()).unwrap();
    let compiled = code(folder.path());
    let old = SystemTime::UNIX_EPOCH;
    fs::File::options().write(true).open(&compiled).unwrap().set_modified(old).unwrap();
    let made = FileIdentity::at(&compiled).unwrap().inode;
    load(&bytes, &sandbox, folder.path()).unwrap();
    assert_eq!(FileIdentity::at(&compiled).unwrap().inode, made, "it was compiled again");
    assert_ne!(fs::metadata(&compiled).unwrap().modified().unwrap(), old, "what is in use is never the oldest");

    // Another file of the same name, as a damaged disk would give it: what is mapped already must not change under the sandbox.
    let mut damaged = fs::read(&compiled).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::remove_file(&compiled).unwrap();
    fs::write(&compiled, damaged).unwrap();
    let damaged = FileIdentity::at(&compiled).unwrap().inode;
    assert_eq!(load(&bytes, &sandbox, folder.path()).unwrap().descriptor.name, "test");
    assert_ne!(FileIdentity::at(&code(folder.path())).unwrap().inode, damaged);
    #[cfg(unix)]
    assert!(crate::times_compiled(&bytes) >= 2, "it was compiled again");
}

#[test]
fn everything_that_breaks_the_contract_is_refused_by_name() {
    let (sandbox, folder) = (sandbox(), tempfile::tempdir().unwrap());
    let wit = Guest::default().wit;
    let probe = "probe: func(input: borrow<input>) -> probe-result;";
    let convert = function("convert", "(param i32 i32 i32) (result i32) unreachable");
    let changed = |from: &str, to: &str| {
        assert!(wit.contains(from), "the contract has no {from}");
        wit.replace(from, to)
    };
    let module = Guest::default().module();
    let no_types = wat::parse_str(Guest::default().text()).unwrap();
    let cases: Vec<(Vec<u8>, &[&str])> = vec![
        (Vec::new(), &["the file is empty"]),
        (Guest::default().text().into_bytes(), &["WebAssembly text"]),
        (b"serial,result\nA7,pass\n".to_vec(), &["this is no WebAssembly"]),
        (module[..module.len() / 2].to_vec(), &["truncated or damaged"]),
        (no_types, &["no `component-type` section", "dropforge plugin build"]),
        (
            Guest { wit: changed(probe, ""), others: convert.clone(), ..Guest::default() }.module(),
            &["it does not export the function `converter.probe`, in the contract `func(input: borrow<input>) -> probe-result`"],
        ),
        (
            Guest {
                wit: changed(probe, "probe: func(input: borrow<input>, deep: bool) -> probe-result;"),
                others: convert.clone() + &function("probe", "(param i32 i32) (result i32) unreachable"),
                ..Guest::default()
            }
            .module(),
            &[
                "the type of `converter.probe` is wrong",
                "it is `func(input: borrow<input>, deep: bool) -> probe-result`",
                "the contract says `func(input: borrow<input>) -> probe-result`",
            ],
        ),
        (
            Guest { wit: changed("confidence: u8,", "confidence: u32,"), ..Guest::default() }.module(),
            &["its type `probe-result` is `record { confidence: u32, reason: string }`", "`record { confidence: u8, reason: string }`"],
        ),
        (
            Guest {
                wit: changed("dropforge:converter@0.1.0", "dropforge:converter@0.2.0"),
                describe: "unreachable".to_owned(),
                ..Guest::default()
            }
            .module_of_version("0.2.0"),
            &[
                "it was built for dropforge:converter@0.2.0, and this host has dropforge:converter@0.1.0",
                "it does not export `dropforge:converter/converter@0.1.0` (it exports `dropforge:converter/converter@0.2.0`)",
                "update Dropforge, or build the converter for 0.1.0",
            ],
        ),
        (
            Guest {
                wit: changed("export converter;", "import wasi:http/handler@0.2.0; export converter;")
                    + "\npackage wasi:http@0.2.0 { interface handler { f: func(); } }",
                imports: r#"(import "wasi:http/handler@0.2.0" "f" (func))"#,
                ..Guest::default()
            }
            .module(),
            &["it imports `wasi:http/handler@0.2.0` (`f: func()`), which no converter gets"],
        ),
        (
            Guest { imports: r#"(import "env" "getenv" (func (param i32) (result i32)))"#, ..Guest::default() }.module(),
            &["cannot be wrapped into a component", "env"],
        ),
        (Guest { describe: "unreachable".to_owned(), ..Guest::default() }.module(), &["its `describe` failed: trap"]),
        (Guest { describe: "(loop $l br $l) unreachable".to_owned(), ..Guest::default() }.module(), &["its `describe` failed: timeout"]),
        (Guest::named("No Name", "1").module(), &["its name", "No Name"]),
        (Guest { schema: r#"{"$ref": "https://example.com/"}"#, ..Guest::default() }.module(), &["refers to `https://example.com/`"]),
        (Guest { pattern: "[", ..Guest::default() }.module(), &["its pattern \"[\" is malformed"]),
    ];
    for (bytes, expected) in cases {
        let message = load(&bytes, &sandbox, folder.path()).map(|plugin| format!("{plugin:?}")).unwrap_err();
        assert!(message.starts_with("cannot load the plugin "), "{message}");
        for part in expected {
            assert!(message.contains(part), "{part:?} was expected in: {message}");
        }
    }
}

#[test]
fn every_limit_of_loading_is_a_refusal_that_names_it() {
    let (sandbox, folder) = (sandbox(), tempfile::tempdir().unwrap());
    let bytes = Guest::default().module();
    let default = LoadLimits::default;
    let size = bytes.len() as u64;
    let bomb = compile_bomb();
    assert!(bomb.len() < 40_000, "{}", bomb.len());
    let describe = |limits: Limits| LoadLimits { describe: limits, ..default() };
    let cases = [
        (&bytes, LoadLimits { file_bytes: size - 1, ..default() }, format!("it has {size} bytes, and its limit `loading.file_bytes` is")),
        (&bomb, LoadLimits { compile_time: Duration::from_millis(100), ..default() }, "its limit `loading.compile_seconds`".to_owned()),
        (&bomb, LoadLimits { compile_memory_bytes: 300_000_000, ..default() }, "its limit `loading.compile_memory_bytes`".to_owned()),
        (&bytes, LoadLimits { compiled_bytes: 1000, ..default() }, "its limit `loading.compiled_bytes` is 1000".to_owned()),
        (&bytes, describe(Limits { wall_time: Duration::ZERO, ..Limits::for_describe() }), "its `describe` failed: timeout".to_owned()),
        (&bytes, describe(Limits { memory_bytes: 65_535, ..Limits::for_describe() }), "its `describe` failed: memory_limit".to_owned()),
        (&bytes, describe(Limits { call_bytes: 10, ..Limits::for_describe() }), "its limit `call_bytes`".to_owned()),
    ];
    for (index, (bytes, limits, expected)) in cases.iter().enumerate() {
        // Each with a cache of its own: what is compiled is not compiled again.
        let folder = folder.path().join(index.to_string());
        fs::create_dir(&folder).unwrap();
        let message = load_within(bytes, &sandbox, &folder, limits).map(|plugin| format!("{plugin:?}")).unwrap_err();
        assert!(message.contains(expected), "{expected:?} was expected in: {message}");
        let left: Vec<_> = fs::read_dir(folder.join("compiled")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().starts_with(".tmp")), "{left:?}");
    }
}

/// A module of a few kilobytes that the compiler needs gigabytes and hours for: what is live in a loop is merged at its head, and each
/// of the loops around it merges all of it again.
fn compile_bomb() -> Vec<u8> {
    const LOCALS: usize = 1000;
    let work: String =
        (0..LOCALS).map(|n| format!("(local.set {n} (i32.add (local.get {n}) (local.get {})))", (n * 7 + 1) % LOCALS)).collect();
    let loops = "(loop ".repeat(LOCALS) + &work + &"(br_if 0 (local.get 0)))".repeat(LOCALS);
    let others = format!("{}(func (local {}) {loops})", Guest::default().others, "i32 ".repeat(LOCALS));
    Guest { others, ..Guest::default() }.module()
}

#[test]
fn the_compiling_process_answers_only_to_its_parent() {
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_dropforge")).arg("compile-plugin").args(arguments).stdin(Stdio::null()).output().unwrap()
    };
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is run by Dropforge itself"));
    // What arrives has another digest than what was sent.
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("out.cwasm");
    let output = run(&["00", target.to_str().unwrap(), "1000", "4294967296", "1000"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "\"changed\"");
    assert!(!target.exists());
}
