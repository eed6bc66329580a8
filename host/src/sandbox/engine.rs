//! The engine that all converters share: what WebAssembly they may use, and the clock of their time limits.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::Duration;

use wasmparser::WasmFeatures;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, OptLevel, WasmBacktraceDetails};

use super::bindings::PluginWithLookup;
use super::call::Converter;
use super::error::SandboxError;
use super::state::State;
use super::{link, wasi};

/// The stack that a guest's functions may use, in bytes: twice wasmtime's default, for parsers that recurse into nested input and for
/// interpreters. Beyond it the guest traps.
pub const MAX_WASM_STACK: usize = 1 << 20;

/// The stack that a thread should have which calls a [`Converter`], in bytes. The guest runs on it, and host functions run above the guest:
/// an overflow outside of WebAssembly would abort the process. A thread of the standard library has only 2 MiB.
pub const THREAD_STACK: usize = 8 << 20;

/// How often running guests look at the clock.
const TICK: Duration = Duration::from_millis(10);

/// What WebAssembly may be used, each because compilers emit it: rustc and clang by default (`lime1` and what came before), SIMD where the
/// author turns it on, reference types because wit-component's own modules have them. All else is refused, most of all what can make two
/// runs differ (threads, relaxed SIMD) and what would need limits of its own (GC, exceptions, memory64, stack switching).
const FEATURES: [WasmFeatures; 12] = [
    WasmFeatures::FLOATS,
    WasmFeatures::MUTABLE_GLOBAL,
    WasmFeatures::SIGN_EXTENSION,
    WasmFeatures::SATURATING_FLOAT_TO_INT,
    WasmFeatures::MULTI_VALUE,
    WasmFeatures::BULK_MEMORY,
    WasmFeatures::BULK_MEMORY_OPT,
    WasmFeatures::REFERENCE_TYPES,
    WasmFeatures::CALL_INDIRECT_OVERLONG,
    WasmFeatures::EXTENDED_CONST,
    WasmFeatures::SIMD,
    WasmFeatures::COMPONENT_MODEL,
];

/// The settings of the engine. The process that compiles and the one that runs must both use them.
pub fn engine_config() -> Config {
    let mut config = Config::new();
    config.wasm_features(WasmFeatures::all(), false);
    for feature in FEATURES {
        config.wasm_features(feature, true);
    }
    config
        .concurrency_support(false)
        // Equal bytes on every machine: without it the bits of a NaN depend on the processor.
        .cranelift_nan_canonicalization(true)
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .max_wasm_stack(MAX_WASM_STACK)
        .allocation_strategy(InstanceAllocationStrategy::OnDemand)
        // Names of functions come from the name section. Line numbers would mean that this process parses DWARF from an untrusted file.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config
}

/// Compiles a component for [`Sandbox::load`]. It cannot be interrupted, and may take minutes for a hostile component: call it in a process
/// of its own that can be killed.
///
/// # Errors
/// [`SandboxError::Compile`] where the bytes are no component, or use what [`engine_config`] refuses.
pub fn compile(component: &[u8]) -> Result<Vec<u8>, SandboxError> {
    let engine = Engine::new(&engine_config()).map_err(|error| SandboxError::Engine(format!("{error:#}")))?;
    engine.precompile_component(component).map_err(|error| SandboxError::Compile(format!("{error:#}")))
}

/// Where converters are loaded. One is enough for a process; it and all its converters share one engine.
pub struct Sandbox {
    engine: Engine,
    linker: Linker<State>,
}

impl Sandbox {
    /// Sets up the engine and starts the thread that advances its clock. The thread ends when the sandbox and all its converters are gone.
    ///
    /// # Errors
    /// [`SandboxError::Engine`] or [`SandboxError::Ticker`] where the machine cannot run WebAssembly or has no more threads.
    pub fn new() -> Result<Sandbox, SandboxError> {
        let setup = |error: wasmtime::Error| SandboxError::Engine(format!("{error:#}"));
        let engine = Engine::new(&engine_config()).map_err(setup)?;
        let mut linker = Linker::new(&engine);
        wasi::add_to_linker(&mut linker).map_err(setup)?;
        PluginWithLookup::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state).map_err(setup)?;
        start_ticker(&engine)?;
        Ok(Sandbox { engine, linker })
    }

    /// Loads what [`compile`] made, and checks it against the contract.
    ///
    /// The file must be one that this program's own compiling process wrote, unchanged: the caller keeps it in a private folder and checks
    /// its digest and [`Self::compatibility`]. It must not change while a converter from it exists.
    ///
    /// # Errors
    /// Says which imports and exports are missing or of another type, by name.
    pub fn load(&self, compiled: &Path) -> Result<Converter, SandboxError> {
        let component = deserialize(&self.engine, compiled)?;
        let pre = link::link(&self.linker, &component)?;
        Ok(Converter::new(pre, link::asked(&component)))
    }

    /// Changes whenever compiled files stop fitting: with wasmtime's version, the engine's settings and the processor. Part of the name under
    /// which a compiled file is kept.
    pub fn compatibility(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.engine.precompile_compatibility_hash().hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

/// Maps a compiled component into memory, as code. Where Windows does not map the file so (Wine does not), its bytes are copied.
#[allow(unsafe_code)]
fn deserialize(engine: &Engine, compiled: &Path) -> Result<Component, SandboxError> {
    // SAFETY: `deserialize_file` runs what is in the file as machine code, so the file must be what wasmtime wrote, unchanged, then and as
    // long as it is mapped. It is: the caller passes only files from its private cache (a folder that others cannot write), which our own
    // child process wrote with `compile`, and whose digest and engine it has checked; they are replaced by renaming, never rewritten.
    // Wasmtime itself refuses files of another version, other settings or another processor.
    let component = unsafe {
        match Component::deserialize_file(engine, compiled) {
            Err(_) if cfg!(windows) => std::fs::read(compiled).map_err(Into::into).and_then(|code| Component::deserialize(engine, code)),
            mapped => mapped,
        }
    };
    component.map_err(|error| SandboxError::Compiled { path: compiled.to_owned(), reason: format!("{error:#}") })
}

/// Starts the thread that makes running guests look at the clock. It holds the engine only for the length of a tick, so that it ends soon
/// after the last user of the engine.
fn start_ticker(engine: &Engine) -> Result<(), SandboxError> {
    let engine = engine.weak();
    let tick = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    };
    std::thread::Builder::new().name("epoch-ticker".to_owned()).spawn(tick).map_err(SandboxError::Ticker)?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::compile;

    /// A component that holds one core module with these sections.
    fn component(sections: &[(u8, &[u8])]) -> Vec<u8> {
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        for (id, content) in sections {
            module.extend([*id, u8::try_from(content.len()).unwrap()]);
            module.extend_from_slice(content);
        }
        let mut component = b"\0asm\x0d\0\x01\0".to_vec();
        component.extend([1, u8::try_from(module.len()).unwrap()]);
        component.extend(module);
        component
    }

    /// A component whose module has one function, with a memory and a table beside it.
    fn function(instructions: &[u8]) -> Vec<u8> {
        let length = u8::try_from(instructions.len()).unwrap();
        let mut code = vec![1, length + 2, 0];
        code.extend_from_slice(instructions);
        code.push(0x0b);
        component(&[(1, &[1, 0x60, 0, 0]), (3, &[1, 0]), (4, &[1, 0x70, 0, 1]), (5, &[1, 0, 1]), (10, &code)])
    }

    #[test]
    fn what_compilers_emit_is_accepted() {
        let vector = [&[0xfd, 0x0c][..], &[0; 16], &[0x1a]].concat();
        let accepted: [(&str, Vec<u8>); 8] = [
            ("SIMD", function(&vector)),
            ("sign extension", function(&[0x41, 0, 0xc0, 0x1a])),
            ("saturating conversion", function(&[0x43, 0, 0, 0, 0, 0xfc, 0x00, 0x1a])),
            ("bulk memory", function(&[0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 0x0b, 0])),
            ("reference types", function(&[0xd0, 0x70, 0x1a])),
            ("multi-value", component(&[(1, &[1, 0x60, 0, 2, 0x7f, 0x7f])])),
            ("mutable globals", component(&[(6, &[1, 0x7f, 1, 0x41, 0, 0x0b]), (7, &[1, 1, b'g', 3, 0])])),
            ("extended constants", component(&[(6, &[1, 0x7f, 0, 0x41, 1, 0x41, 2, 0x6a, 0x0b])])),
        ];
        for (feature, component) in accepted {
            assert!(compile(&component).is_ok(), "{feature}: {}", compile(&component).unwrap_err());
        }
    }

    #[test]
    fn all_else_is_refused() {
        let wide = [&[0x42, 0].repeat(4)[..], &[0xfc, 0x13, 0x1a, 0x1a]].concat();
        let vector = [&[0xfd, 0x0c][..], &[0; 16]].concat();
        let relaxed = [&vector[..], &vector, &[0xfd, 0x80, 0x02, 0x1a]].concat();
        let stream_type = b"\0asm\x0d\0\x01\0\x07\x03\x01\x66\0".to_vec();
        // Each with a part of what wasmtime says, so that it is refused for this reason and no other.
        let refused: [(&str, Vec<u8>); 14] = [
            ("threads must be enabled", component(&[(5, &[1, 3, 1, 1])])),
            ("threads support is not enabled", function(&[0xfe, 0x03, 0x00])),
            ("memory64 must be enabled", component(&[(5, &[1, 4, 1])])),
            ("multiple memories", component(&[(5, &[2, 0, 1, 0, 1])])),
            ("custom page sizes", component(&[(5, &[1, 8, 1, 0])])),
            ("the gc feature", component(&[(1, &[1, 0x5f, 0])])),
            ("gc types are disallowed", component(&[(1, &[1, 0x60, 1, 0x6f, 0])])),
            ("function references", component(&[(1, &[2, 0x60, 0, 0, 0x60, 1, 0x63, 0, 0])])),
            ("exceptions proposal not enabled", component(&[(1, &[1, 0x60, 0, 0]), (13, &[1, 0, 0])])),
            ("legacy_exceptions", function(&[0x06, 0x40, 0x0b])),
            ("tail calls support is not enabled", function(&[0x12, 0])),
            ("relaxed SIMD support is not enabled", function(&relaxed)),
            ("wide arithmetic support is not enabled", function(&wide)),
            ("component model async", stream_type),
        ];
        for (reason, component) in refused {
            let error = compile(&component).unwrap_err().to_string();
            assert!(error.contains(reason), "{error} instead of {reason}");
        }
    }
}
