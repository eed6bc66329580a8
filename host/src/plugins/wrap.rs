//! Makes every input uniform: a core module with its `component-type` sections becomes a component, a component passes through, and all
//! else is refused with what to do. It knows WebAssembly's outer form and nothing of the contract.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use wasi_preview1_component_adapter_provider::{WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER};
use wasmparser::{ExternalKind, KnownCustom, Parser, Payload};

use super::bad_producers::{self, Module};

/// What cargo, `wit-bindgen` and other producers leave in a core module for whoever wraps it; more may follow in the name.
const COMPONENT_TYPE: &str = "component-type";

/// What a build needs, as the last part of several refusals.
const HOW_TO_BUILD: &str = "build it with `dropforge plugin build`, or for the world `plugin` of the contract with wit-bindgen";

/// Why bytes are no plugin.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WrapError {
    /// There is nothing in the file.
    #[error("the file is empty: copy it again, or build it again")]
    Empty,
    /// The text format.
    #[error("this is WebAssembly text, not the binary format: translate it with `wasm-tools parse`")]
    Text,
    /// Something else altogether.
    #[error("this is no WebAssembly: a plugin begins with the bytes `\\0asm`, this file with {0}; {HOW_TO_BUILD}")]
    NotWasm(String),
    /// WebAssembly that ends early or does not parse.
    #[error("the WebAssembly is truncated or damaged ({0}): copy it again, or build it again")]
    Damaged(String),
    /// A core module without a component type.
    #[error("this is a core module that does not say which interfaces it implements (no `component-type` section); {HOW_TO_BUILD}")]
    NoComponentType,
    /// A tool made it whose output is known to be bad.
    #[error("{0}")]
    BadProducer(String),
    /// What wit-component says.
    #[error("the core module cannot be wrapped into a component: {0}; {HOW_TO_BUILD}")]
    Wrap(String),
}

/// A tool that had a part in a plugin, from its `producers` sections.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Producer {
    /// `language`, `processed-by` or `sdk`.
    pub field: String,
    /// Such as `rustc`.
    pub name: String,
    /// May be empty.
    pub version: String,
}

/// A component, made uniform.
#[derive(Debug)]
pub struct Wrapped<'a> {
    /// The component's bytes.
    pub component: Cow<'a, [u8]>,
    /// Whether it was a core module.
    pub wrapped: bool,
}

/// Makes a component of a core module, and passes a component through. Only the outer form is checked here.
///
/// # Errors
/// What is wrong with the bytes, and what to do.
pub fn wrap(bytes: &[u8]) -> Result<Wrapped<'_>, WrapError> {
    check_header(bytes)?;
    let sections = survey(bytes)?;
    let is_component = Parser::is_component(bytes);
    let module = Module { preview1: sections.preview1, realloc: sections.realloc };
    if let Some(reason) = bad_producers::refusal(&producers(bytes)?, (!is_component).then_some(module)) {
        return Err(WrapError::BadProducer(reason));
    }
    if is_component {
        return Ok(Wrapped { component: Cow::Borrowed(bytes), wrapped: false });
    }
    if !sections.component_type {
        return Err(WrapError::NoComponentType);
    }
    let refused = |error: anyhow::Error| WrapError::Wrap(format!("{error:#}"));
    let mut encoder = wit_component::ComponentEncoder::default().validate(true).module(bytes).map_err(refused)?;
    if sections.preview1 {
        let adapter = WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
        encoder = encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, adapter).map_err(refused)?;
    }
    let component = encoder.encode().map_err(refused)?;
    Ok(Wrapped { component: Cow::Owned(component), wrapped: true })
}

/// Every tool named in the `producers` sections of a module or component, at any depth, each once.
///
/// # Errors
/// [`WrapError::Damaged`] where the bytes do not parse.
pub fn producers(bytes: &[u8]) -> Result<Vec<Producer>, WrapError> {
    let mut found = BTreeSet::new();
    for payload in Parser::new(0).parse_all(bytes) {
        let Payload::CustomSection(section) = payload.map_err(damaged)? else { continue };
        let KnownCustom::Producers(reader) = section.as_known() else { continue };
        for field in reader {
            let field = field.map_err(damaged)?;
            for value in field.values {
                let value = value.map_err(damaged)?;
                let owned = |text: &str| text.to_owned();
                found.insert(Producer { field: owned(field.name), name: owned(value.name), version: owned(value.version) });
            }
        }
    }
    Ok(found.into_iter().collect())
}

/// Drops a core module's custom sections but for `name` (traps name their functions by it), `producers` and the component type. Debug
/// information is most of an unstripped module.
///
/// # Errors
/// [`WrapError::Damaged`] where the bytes do not parse.
pub fn strip(module: &[u8]) -> Result<Vec<u8>, WrapError> {
    let mut kept = Vec::with_capacity(module.len());
    // Sections follow each other without a gap, so a section's header begins where the one before it ended.
    let mut from = 0;
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.map_err(damaged)?;
        let (end, keep) = match &payload {
            Payload::Version { range, .. } => (range.end, true),
            Payload::CustomSection(section) => {
                let name = section.name();
                (section.range().end, name == "name" || name == "producers" || name.starts_with(COMPONENT_TYPE))
            }
            // The bodies of functions lie inside the code section, which ends where it says itself.
            other => match other.as_section() {
                Some((_, range)) => (range.end, true),
                None => continue,
            },
        };
        if keep {
            kept.extend_from_slice(module.get(from..end).ok_or_else(|| WrapError::Damaged("a section overlaps another".to_owned()))?);
        }
        from = end;
    }
    Ok(kept)
}

/// What the sections of a module say about how to wrap it.
#[derive(Default)]
struct Sections {
    component_type: bool,
    /// It imports WASI preview 1.
    preview1: bool,
    /// It exports the function that allocates what the host passes in.
    realloc: bool,
}

/// Reads over all sections, so that a truncated file is named as that and not as what its first half lacks.
fn survey(bytes: &[u8]) -> Result<Sections, WrapError> {
    let mut sections = Sections::default();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(damaged)? {
            Payload::CustomSection(section) => sections.component_type |= section.name().starts_with(COMPONENT_TYPE),
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export.map_err(damaged)?;
                    sections.realloc |= export.kind == ExternalKind::Func && export.name == "cabi_realloc";
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    sections.preview1 |= import.map_err(damaged)?.module == WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME;
                }
            }
            _ => {}
        }
    }
    Ok(sections)
}

fn check_header(bytes: &[u8]) -> Result<(), WrapError> {
    const MAGIC: &[u8] = b"\0asm";
    if bytes.is_empty() {
        return Err(WrapError::Empty);
    }
    if Parser::is_component(bytes) || Parser::is_core_wasm(bytes) {
        return Ok(());
    }
    if bytes.starts_with(MAGIC) || MAGIC.starts_with(bytes) {
        let version = bytes.get(4..8).map_or("it ends in the header".to_owned(), |v| format!("unknown version {v:02x?}"));
        return Err(WrapError::Damaged(version));
    }
    let start = bytes.trim_ascii_start();
    if [&b"(module"[..], b"(component", b";;", b"(;"].iter().any(|text| start.starts_with(text)) {
        return Err(WrapError::Text);
    }
    Err(WrapError::NotWasm(format!("`{}`", bytes.iter().take(8).copied().collect::<Vec<_>>().escape_ascii())))
}

fn damaged(error: wasmparser::BinaryReaderError) -> WrapError {
    WrapError::Damaged(error.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// A module without any section, and the same with custom sections.
    const MODULE: &[u8] = b"\0asm\x01\0\0\0";

    fn custom(name: &str, data: &[u8]) -> Vec<u8> {
        let mut section = vec![0, u8::try_from(1 + name.len() + data.len()).unwrap(), u8::try_from(name.len()).unwrap()];
        section.extend_from_slice(name.as_bytes());
        section.extend_from_slice(data);
        section
    }

    #[test]
    fn everything_that_is_no_plugin_is_refused_by_its_kind() {
        let truncated = [MODULE, &[1, 200, 1, 0]].concat();
        let cases: &[(&[u8], &str)] = &[
            (b"", "empty"),
            (b"  (module)", "WebAssembly text"),
            (b"\x7fELF\x02\x01", "this is no WebAssembly: a plugin begins with the bytes `\\0asm`, this file with `\\x7fELF\\x02\\x01`"),
            (b"serial,value\n", "this is no WebAssembly"),
            (b"\0as", "ends in the header"),
            (b"\0asm\x0f\0\0\0", "unknown version [0f, 00, 00, 00]"),
            (&truncated, "truncated or damaged"),
            (MODULE, "no `component-type` section"),
        ];
        for (bytes, expected) in cases {
            let message = wrap(bytes).unwrap_err().to_string();
            assert!(message.contains(expected), "{:?} gave: {message}", bytes.escape_ascii().to_string());
        }
    }

    #[test]
    fn what_a_known_bad_tool_made_is_refused_by_name_whatever_else_it_is() {
        let section = custom("producers", b"\x01\x0cprocessed-by\x01\x0cwasm-bindgen\x070.2.100");
        let module = [MODULE, &section].concat();
        let mut component = b"\0asm\x0d\0\x01\0\x01".to_vec();
        component.push(u8::try_from(module.len()).unwrap());
        component.extend_from_slice(&module);
        for bytes in [module, component] {
            let message = wrap(&bytes).unwrap_err().to_string();
            assert!(message.contains("it was made by wasm-bindgen 0.2.100, whose modules only run beside its own JavaScript"), "{message}");
        }
    }

    #[test]
    fn strip_keeps_names_producers_and_the_component_type() {
        let kept = [custom("name", b"\x00\x02\x01m"), custom("component-type:x", b"1"), custom("producers", b"\0")].concat();
        let module = [MODULE, &custom(".debug_info", b"abc"), &kept, &custom("linking", b"z")].concat();
        assert_eq!(strip(&module).unwrap(), [MODULE, &kept].concat());
    }

    #[test]
    fn producers_are_read_at_any_depth() {
        // One field "language" with one value "Rust" of version "2024".
        let section = custom("producers", b"\x01\x08language\x01\x04Rust\x042024");
        let module = [MODULE, &section].concat();
        let mut component = b"\0asm\x0d\0\x01\0\x01".to_vec();
        component.push(u8::try_from(module.len()).unwrap());
        component.extend_from_slice(&module);
        let rust = Producer { field: "language".to_owned(), name: "Rust".to_owned(), version: "2024".to_owned() };
        assert_eq!(producers(&component).unwrap(), [rust]);
    }
}
