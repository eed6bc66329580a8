//! What is refused at load, and what the refusal says.

use std::path::Path;

use dropforge::sandbox::{SandboxError, compile};

use crate::guests;
use crate::support::{CONVERTER, SANDBOX, everything};

fn refused(feature: &str) -> SandboxError {
    let folder = tempfile::tempdir().unwrap();
    let compiled = folder.path().join("compiled");
    std::fs::write(&compiled, compile(&guests::component("misfit-guest", &[feature])).unwrap()).unwrap();
    SANDBOX.load(&compiled).err().unwrap()
}

#[test]
fn a_converter_of_the_plain_world_has_no_capability() {
    assert!(CONVERTER.asked().is_empty() && CONVERTER.with(everything()).capabilities().is_empty());
}

#[test]
fn every_unknown_import_is_named_and_no_known_one() {
    let SandboxError::MissingImports(imports) = refused("unknown") else { panic!("another refusal") };
    assert_eq!(imports.len(), 3, "{imports:?}");
    for expected in ["`example:net/sockets@1.0.0` (`socket.send`, `open`)", "`dropforge:converter/log@0.1.0` (`flush`)", "`now`"] {
        assert!(imports.iter().any(|import| import == expected), "{expected} in {imports:?}");
    }
}

#[test]
fn an_import_of_another_type_is_named() {
    let error = refused("import-type");
    assert!(matches!(error, SandboxError::ImportType(_)), "{error}");
    assert!(error.to_string().contains("dropforge:converter/log@0.1.0") && error.to_string().contains("`log`"), "{error}");
}

#[test]
fn missing_exports_are_named() {
    let error = refused("no-export").to_string();
    assert!(error.contains("the interface `dropforge:converter/converter@0.1.0`"), "{error}");
    let error = refused("few-exports").to_string();
    assert!(error.contains("`dropforge:converter/converter.probe`, `dropforge:converter/converter.convert`"), "{error}");
}

#[test]
fn an_export_of_another_type_is_named() {
    let error = refused("export-type");
    assert!(matches!(error, SandboxError::ExportType(_)), "{error}");
    assert!(error.to_string().contains("describe"), "{error}");
}

#[test]
fn a_file_that_is_not_compiled_code_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [("empty", b"".as_slice()), ("text", b"hello"), ("component", b"\0asm\x0d\0\x01\0")] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = SANDBOX.load(&path).err().unwrap();
        assert!(matches!(&error, SandboxError::Compiled { path: named, .. } if *named == path), "{error}");
    }
    assert!(matches!(SANDBOX.load(Path::new("no-such-file")).err().unwrap(), SandboxError::Compiled { .. }));
}
