//! The engine that all converters share: what WebAssembly they may use, and the clock of their time limits.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::Duration;

use wasmparser::WasmFeatures;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, OptLevel, WasmBacktraceDetails};

use super::bindings::Plugin;
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
        Plugin::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state).map_err(setup)?;
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
        Ok(Converter::new(pre, link::has_capability(&component)))
    }

    /// Changes whenever compiled files stop fitting: with wasmtime's version, the engine's settings and the processor. Part of the name under
    /// which a compiled file is kept.
    pub fn compatibility(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.engine.precompile_compatibility_hash().hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

/// Maps a compiled component into memory, as code.
#[allow(unsafe_code)]
fn deserialize(engine: &Engine, compiled: &Path) -> Result<Component, SandboxError> {
    // SAFETY: `deserialize_file` runs what is in the file as machine code, so the file must be what wasmtime wrote, unchanged, then and as
    // long as it is mapped. It is: the caller passes only files from its private cache (a folder that others cannot write), which our own
    // child process wrote with `compile`, and whose digest and engine it has checked; they are replaced by renaming, never rewritten.
    // Wasmtime itself refuses files of another version, other settings or another processor.
    let component = unsafe { Component::deserialize_file(engine, compiled) };
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
