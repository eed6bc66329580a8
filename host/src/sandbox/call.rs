//! A loaded converter, and its three calls. Each runs in a fresh store, which is thrown away.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use wasmtime::component::{Resource, ResourceTableError};
use wasmtime::{Store, Trap, UpdateDeadline, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::memory;

use super::bindings::{PluginWithLookup as Plugin, PluginWithLookupPre as PluginPre};
use super::capability::{Access, Capabilities};
use super::from_guest;
use super::input::OpenInput;
use super::limits::MemoryLimitExceeded;
use super::log::{JobLog, SharedLog};
use super::state::{Call, CallTooLarge, DeadlinePassed, State};
use super::text::cut;
use super::types::{
    Conversion, ConversionError, Descriptor, DocumentSink, ErrorType, Input, Limits, MetricDeclaration, Outcome, Probe, Usage,
};

/// Handles in the guest's own tables, beside those that the host counts: borrowed ones, and those of resources that it defines itself.
const EXTRA_HANDLES: usize = 10_000;
/// The longest name that goes into the log, in bytes.
const MAX_NAME: usize = 64;
/// The longest message that comes from a trap, in bytes.
const MAX_TRAP_MESSAGE: usize = 8_192;
/// Attributes, names and keys of all documents, in bytes, beyond which the host gives memory back after a call.
const MUCH_METADATA: usize = 4 << 20;
/// A guest's memory in bytes beyond which it may have passed texts that took several times as much in the host.
const MUCH_MEMORY: u64 = 64 << 20;
/// The longest function name in a message, in bytes.
const MAX_FUNCTION: usize = 256;

/// A converter, checked against the contract and ready to be called, from many threads at once. Copies share the code.
///
/// A call runs on the thread that makes it, which needs [`super::THREAD_STACK`] and must not be one that runs asynchronous tasks.
#[derive(Clone)]
pub struct Converter {
    shared: Arc<Shared>,
    access: Access,
}

struct Shared {
    pre: PluginPre<State>,
    asked: Capabilities,
    /// For the log; known once `describe` has succeeded.
    name: OnceLock<String>,
}

impl Converter {
    pub(super) fn new(pre: PluginPre<State>, asked: Capabilities) -> Self {
        Converter { shared: Arc::new(Shared { pre, asked, name: OnceLock::new() }), access: Access::default() }
    }

    /// The capabilities that it has a use for, by its imports.
    pub fn asked(&self) -> &Capabilities {
        &self.shared.asked
    }

    /// The same converter, whose conversions may reach what they ask for of this. The copy that was loaded reaches nothing.
    pub fn with(&self, access: Access) -> Converter {
        Converter { shared: Arc::clone(&self.shared), access: access.of_asked(&self.shared.asked) }
    }

    /// What its conversions can reach beyond their input, output, log and metrics. If that is nothing, a conversion is a function of its
    /// input and options.
    pub fn capabilities(&self) -> Capabilities {
        self.access.capabilities()
    }

    /// Asks the converter what it is. Long texts are cut; whether the answer is well formed is for the caller to check.
    ///
    /// # Errors
    /// How the call failed.
    pub fn describe(&self, limits: &Limits) -> Result<Descriptor, ConversionError> {
        let state = State::new(Call::Describe, limits, &[], None, self.log(limits));
        let (result, _) = self.call(state, |plugin, store| plugin.dropforge_converter_converter().call_describe(store));
        let descriptor = from_guest::descriptor(result?);
        if descriptor.name.len() <= MAX_NAME && descriptor.name.chars().all(|c| c.is_ascii_graphic()) {
            // A second answer must be the same; the first stays.
            let _ = self.shared.name.set(descriptor.name.clone());
        }
        Ok(descriptor)
    }

    /// Asks the converter whether `input` is one of its own. It sees the first 64 KiB and no members.
    ///
    /// # Errors
    /// How the call failed.
    pub fn probe(&self, mut input: Input, limits: &Limits) -> Result<Probe, ConversionError> {
        let mut state = State::new(Call::Probe, limits, &[], None, self.log(limits));
        input.members.clear();
        state.set_job(&mut input);
        let (result, _) =
            self.call_with_input(state, input, |plugin, store, input| plugin.dropforge_converter_converter().call_probe(store, input));
        Ok(from_guest::probe(result?))
    }

    /// Converts `input`. `options` is a JSON object, valid against the converter's schema; `metrics` are its descriptor's.
    ///
    /// Documents go to `sink` while the converter runs. They count only if the result is [`Outcome::Converted`], and only those in
    /// [`Conversion::documents`]: the caller throws away the others.
    pub fn convert(
        &self,
        mut input: Input,
        options: &str,
        metrics: &[MetricDeclaration],
        sink: Box<dyn DocumentSink>,
        limits: &Limits,
    ) -> Conversion {
        let started = Instant::now();
        let mut state = State::new(Call::Convert, limits, metrics, Some(sink), self.log(limits));
        state.access = self.access.clone();
        state.set_job(&mut input);
        // Too large an input is remembered as the call's failure, and the guest never runs.
        let _ = state.check_size(&input.path, input.source.size());
        let (result, state) = self.call_with_input(state, input, |plugin, store, input| {
            plugin.dropforge_converter_converter().call_convert(store, input, options)
        });
        let result = match result {
            Ok(Ok(outcome)) => accept(from_guest::outcome(outcome), &state),
            Ok(Err(error)) => Err(from_guest::conversion_error(error)),
            Err(error) => Err(error),
        };
        finish(result, state, started)
    }

    fn log(&self, limits: &Limits) -> SharedLog {
        SharedLog::new(self.shared.name.get().map_or("", String::as_str), limits.log_lines, limits.log_bytes)
    }

    fn call_with_input<R>(
        &self,
        mut state: State,
        input: Input,
        call: impl FnOnce(&Plugin, &mut Store<State>, Resource<OpenInput>) -> wasmtime::Result<R>,
    ) -> (Result<R, ConversionError>, State) {
        let input = OpenInput::of_job(input, state.call);
        match state.table.push(input) {
            // The host keeps the handle, and lends it for the length of the call.
            Ok(input) => self.call(state, |plugin, store| call(plugin, store, Resource::new_borrow(input.rep()))),
            Err(error) => (Err(bad_output(error.to_string())), state),
        }
    }

    /// Runs `call` in a fresh instance. What the instance allocated is gone when this returns.
    fn call<R>(
        &self,
        state: State,
        call: impl FnOnce(&Plugin, &mut Store<State>) -> wasmtime::Result<R>,
    ) -> (Result<R, ConversionError>, State) {
        if let Some(failure) = state.failure.clone() {
            return (Err(failure), state);
        }
        let limits = &state.limits;
        let call_bytes = usize::try_from(limits.call_bytes).unwrap_or(usize::MAX);
        let handles = usize::try_from(limits.handles).unwrap_or(usize::MAX).saturating_add(EXTRA_HANDLES);
        let mut store = Store::new(self.shared.pre.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(call_bytes);
        store.set_max_component_handles(handles);
        // At each tick the guest looks at the real clock: ticks may come late on a busy machine.
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|context| {
            context.data().deadline.check()?;
            Ok(UpdateDeadline::Continue(1))
        });
        let instance = self.shared.pre.instantiate(&mut store);
        let state = store.data_mut();
        state.instantiation = state.started.elapsed();
        let result = match instance {
            Ok(plugin) => call(&plugin, &mut store).map_err(|error| explain(&error, &store, false)),
            Err(error) => Err(explain(&error, &store, true)),
        };
        let state = store.into_data();
        // The last host call may have taken too long, with no guest code after it that looked at the clock.
        let result = result.and_then(|answer| state.deadline.check().map(|()| answer).map_err(|passed| timeout(&passed)));
        let mut log = state.log.lock();
        if let Some(complaint) = state.observed.complaint() {
            log.note(complaint);
        }
        log.close();
        drop(log);
        // The first limit that the guest hit, or the first failure of the host, outlives what the guest made of it.
        let result = match state.failure.clone() {
            Some(failure) => Err(failure),
            None => result,
        };
        (result, state)
    }
}

/// `converted` loses nothing in silence: a document that was written to is finished, or a problem accounts for it.
fn accept(outcome: Outcome, state: &State) -> Result<Outcome, ConversionError> {
    match state.documents.unfinished() {
        Some(document) if outcome == Outcome::Converted && !state.problems.broken_part => Err(bad_output(format!(
            "document {} (`{}`) was written to but never finished, and no problem of severity `error` accounts for it",
            document.number, document.name
        ))),
        _ => Ok(outcome),
    }
}

fn finish(result: Result<Outcome, ConversionError>, state: State, started: Instant) -> Conversion {
    let converted = matches!(result, Ok(Outcome::Converted));
    let peak_memory_bytes = state.memory.peak();
    // A call that was made to fail, or one for which the host held much, is rare: what it left in the allocator's heap goes back.
    let held_much = result.is_err() || state.documents.metadata() > MUCH_METADATA || peak_memory_bytes > MUCH_MEMORY;
    let finished = state.documents.into_finished();
    let usage = Usage {
        duration: started.elapsed(),
        instantiation: state.instantiation,
        input_bytes: state.input_bytes,
        output_bytes: finished.iter().map(|document| document.bytes).sum(),
        peak_memory_bytes,
    };
    let conversion = Conversion {
        result,
        documents: if converted { finished } else { Vec::new() },
        problems: state.problems.kept,
        problems_dropped: state.problems.dropped,
        observations: if converted { state.observed.into_observations() } else { Vec::new() },
        log_tail: state.log.lock().tail(),
        asked: state.asked,
        usage,
    };
    if held_much {
        memory::give_back();
    }
    conversion
}

fn timeout(passed: &DeadlinePassed) -> ConversionError {
    ConversionError { error_type: ErrorType::Timeout, code: "wall_seconds".to_owned(), message: passed.to_string(), at: None }
}

fn bad_output(message: String) -> ConversionError {
    ConversionError { error_type: ErrorType::BadOutput, code: String::new(), message, at: None }
}

/// What ended a call, for the person who has to mend the file or the converter.
fn explain(error: &wasmtime::Error, store: &Store<State>, instantiating: bool) -> ConversionError {
    let place = error.downcast_ref::<WasmBacktrace>().and_then(function_name);
    let place = place.map(|name| format!(" (in `{name}`)")).unwrap_or_default();
    let (error_type, code, message) = if let Some(passed) = error.downcast_ref::<DeadlinePassed>() {
        (ErrorType::Timeout, "wall_seconds", passed.to_string())
    } else if let Some(exceeded) = error.downcast_ref::<MemoryLimitExceeded>() {
        (ErrorType::MemoryLimit, exceeded.name(), exceeded.to_string())
    } else if let Some((name, message)) = exceeded_limit(error, &store.data().limits) {
        (ErrorType::MemoryLimit, name, message)
    } else if let Some(I32Exit(status)) = error.downcast_ref::<I32Exit>() {
        (ErrorType::Trap, "", format!("the converter ended its process with status {status}"))
    } else if let Some(trap) = error.downcast_ref::<Trap>() {
        (ErrorType::Trap, "", trap_message(*trap, &store.data().log.lock()))
    } else if instantiating {
        // No trap and none of our own limits: wasmtime refused to allocate.
        (ErrorType::MemoryLimit, "", format!("the converter could not be instantiated: {}", error.root_cause()))
    } else {
        (ErrorType::Trap, "", format!("the converter was stopped: {}", error.root_cause()))
    };
    ConversionError { error_type, code: code.to_owned(), message: cut(message, MAX_TRAP_MESSAGE) + &place, at: None }
}

/// The limit that wasmtime itself enforces for us and that was hit: its name, and a sentence. Wasmtime's errors have no type here, so
/// that they are told apart by their texts; tests hit every one of these limits, and fail when an upgrade words one otherwise.
fn exceeded_limit(error: &wasmtime::Error, limits: &Limits) -> Option<(&'static str, String)> {
    let cause = error.root_cause();
    let text = cause.to_string();
    let full = matches!(cause.downcast_ref(), Some(ResourceTableError::Full));
    let counts = [("instance", "instances", limits.instances), ("memory", "memories", limits.memories), ("table", "tables", limits.tables)];
    if full || text.ends_with("store handle limit exceeded") {
        return Some(("handles", format!("the converter holds more handles open than its limit `handles` of {} admits", limits.handles)));
    }
    if cause.is::<CallTooLarge>() || text.starts_with("too much data is being copied between the host and the guest") {
        let message = format!("the converter passed more in one call of the host than {} bytes, its limit `call_bytes`", limits.call_bytes);
        return Some(("call_bytes", message));
    }
    let (_, name, limit) = *counts.iter().find(|(what, ..)| text.starts_with(&format!("resource limit exceeded: {what} count")))?;
    Some((name, format!("the converter has more {name} than {limit}, its limit `{name}`")))
}

/// A panic says more than the `unreachable` that it ends in.
fn trap_message(trap: Trap, log: &JobLog) -> String {
    match trap {
        Trap::UnreachableCodeReached => match log.panic_message() {
            Some(panic) => format!("the converter {panic}"),
            None => "the converter trapped: it executed `unreachable`, as a panic does".to_owned(),
        },
        Trap::StackOverflow => "the converter used up its call stack".to_owned(),
        // Languages keep a stack of their own at the bottom of the memory; what grows beyond it lands here.
        Trap::MemoryOutOfBounds => "the converter reached outside of its memory: it used up its stack, or has a defect".to_owned(),
        trap => format!("the converter trapped: {trap}"),
    }
}

/// The innermost function that is the converter's own, and not its language's machinery of panics.
fn function_name(backtrace: &WasmBacktrace) -> Option<String> {
    const MACHINERY: [&str; 7] = ["std::", "core::", "alloc::", "dlmalloc::", "__", "rust_", "abort"];
    let names = backtrace.frames().iter().filter_map(|frame| frame.func_name());
    // `{:#}` leaves out the hash that the compiler appended.
    let names: Vec<String> = names.map(|name| format!("{:#}", rustc_demangle::demangle(name))).collect();
    let is_own = |name: &&String| !MACHINERY.iter().any(|prefix| name.trim_start_matches('<').starts_with(prefix));
    names.iter().find(is_own).or_else(|| names.first()).map(|name| cut(name.clone(), MAX_FUNCTION))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use wasmtime::component::{Component, Linker, ResourceTable};
    use wasmtime::{Engine, Store};

    use super::{Limits, exceeded_limit};
    use crate::sandbox::engine_config;

    /// Handles of resources that the guest defines itself, which no other test reaches: wasmtime alone counts them.
    #[test]
    fn handles_of_the_guest_s_own_end_at_the_limit() {
        let text = r#"(component
            (type $own (resource (rep i32)))
            (core func $new (canon resource.new $own))
            (core module $module
                (import "" "new" (func $new (param i32) (result i32)))
                (func (export "run") (loop $again (drop (call $new (i32.const 1))) (br $again))))
            (core instance $instance (instantiate $module (with "" (instance (export "new" (func $new))))))
            (func (export "run") (canon lift (core func $instance "run"))))"#;
        let engine = Engine::new(&engine_config()).unwrap();
        let component = Component::new(&engine, wat::parse_str(text).unwrap()).unwrap();
        let mut store = Store::new(&engine, ());
        store.set_max_component_handles(100);
        store.set_epoch_deadline(u64::MAX);
        let instance = Linker::new(&engine).instantiate(&mut store, &component).unwrap();
        let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
        let error = run.call(&mut store, ()).unwrap_err();
        assert_eq!(exceeded_limit(&error, &Limits::default()).unwrap().0, "handles", "{error:?}");
    }

    /// Handles that a guest gets from WASI: the table of the host is full.
    #[test]
    fn a_full_table_of_the_host_is_the_limit_of_handles() {
        let mut table = ResourceTable::new();
        table.set_max_capacity(1);
        table.push(()).unwrap();
        let error = wasmtime::Error::from(table.push(()).unwrap_err());
        assert_eq!(exceeded_limit(&error, &Limits::default()).unwrap().0, "handles", "{error:?}");
    }
}
