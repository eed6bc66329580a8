//! Checks a component against the contract, by name, and links it.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, ComponentNamedList, Lift, Linker, Lower, Resource};

use super::bindings::PluginWithLookupPre as PluginPre;
use super::bindings::dropforge::converter::types::{ConversionError, Descriptor, Outcome, ProbeResult};
use super::capability::{Capabilities, Capability};
use super::error::SandboxError;
use super::input::OpenInput;
use super::state::State;
use super::text::cut;
use super::wasi;

/// The version of the contract that this host offers; every 0.1.x links to it.
const CONTRACT_VERSION: &str = "0.1.0";
/// The interfaces of the contract that a converter may import.
const CONTRACT: [&str; 5] =
    ["dropforge:converter/types", "dropforge:converter/io", "dropforge:converter/log", "dropforge:converter/metrics", LOOKUP];
const CONVERTER: &str = "dropforge:converter/converter";
const EXPORTS: [&str; 3] = ["describe", "probe", "convert"];
const LOOKUP: &str = "dropforge:converter/lookup";
/// Names from a component that go into one message, in bytes.
const MAX_NAMES: usize = 4_096;

/// Links `component`, or says by name why it is no converter for this host.
pub fn link(linker: &Linker<State>, component: &Component) -> Result<PluginPre<State>, SandboxError> {
    check_imports(linker, component)?;
    check_exports(linker, component)?;
    let instance = linker.instantiate_pre(component).map_err(|error| SandboxError::ImportType(format!("{error:#}")))?;
    PluginPre::new(instance).map_err(|error| SandboxError::ExportType(format!("{error:#}")))
}

/// The capabilities that a component has a use for, by its imports.
pub fn asked(component: &Component) -> Capabilities {
    let imports = component.component_type();
    imports.imports(component.engine()).filter_map(|(name, _)| capability_of(name)).collect()
}

/// The capability behind an import, such as `wasi:clocks/wall-clock@0.2.0`; none for an import that gives no access to anything.
pub fn capability_of(import: &str) -> Option<Capability> {
    let interface = import.split_once('@').map_or(import, |(interface, _)| interface);
    match interface.split_once('/') {
        _ if interface == LOOKUP => Some(Capability::Lookup),
        Some(("wasi:clocks", _)) => Some(Capability::Clocks),
        Some(("wasi:random", _)) => Some(Capability::Random),
        _ => None,
    }
}

fn check_imports(linker: &Linker<State>, component: &Component) -> Result<(), SandboxError> {
    let mut missing = Vec::new();
    let mut room = MAX_NAMES;
    for (name, import) in component.component_type().imports(component.engine()) {
        let text = match import.ty {
            ComponentItem::Type(_) => continue,
            ComponentItem::ComponentInstance(instance) => {
                // Not resources: one that an interface only takes over from another (`use`) looks like one of its own. One that is
                // missing shows by its functions, or when it is linked.
                let exports = instance.exports(component.engine());
                let functions = exports.filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_))).map(|(name, _)| name);
                let absent = absent_functions(linker, name, functions);
                if absent.is_empty() {
                    continue;
                }
                format!("`{name}` ({})", absent.join(", "))
            }
            _ => format!("`{name}`"),
        };
        let text = cut(text, room);
        room -= text.len();
        missing.extend(Some(text).filter(|text| !text.is_empty()));
    }
    if missing.is_empty() { Ok(()) } else { Err(SandboxError::MissingImports(missing)) }
}

/// Which of the interface's functions the linker does not have. A linker cannot be asked, but it refuses to define a name twice: what it
/// lets a copy of itself define was missing.
fn absent_functions<'a>(linker: &Linker<State>, interface: &str, functions: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut copy = linker.clone();
    let name = offered(interface).unwrap_or_else(|| interface.to_owned());
    let Ok(mut instance) = copy.instance(&name) else { return vec![interface.to_owned()] };
    functions
        .filter(|function| instance.func_new(function, |_, _, _, _| Ok(())).is_ok())
        // `[method]socket.send` is `socket.send` for people.
        .map(|function| format!("`{}`", function.split_once(']').map_or(function, |(_, name)| name)))
        .collect()
}

fn check_exports(linker: &Linker<State>, component: &Component) -> Result<(), SandboxError> {
    let name = format!("{CONVERTER}@{CONTRACT_VERSION}");
    let Some(instance) = component.get_export_index(None, name.as_str()) else {
        return Err(SandboxError::MissingExports(vec![format!("the interface `{name}`")]));
    };
    let missing = EXPORTS.iter().filter(|name| component.get_export_index(Some(&instance), name).is_none());
    let missing: Vec<String> = missing.map(|name| format!("`{CONVERTER}.{name}`")).collect();
    if !missing.is_empty() {
        return Err(SandboxError::MissingExports(missing));
    }
    let [describe, probe, convert] = EXPORTS;
    check_type::<(), (Descriptor,)>(linker, component, &instance, describe)?;
    check_type::<(Resource<OpenInput>,), (ProbeResult,)>(linker, component, &instance, probe)?;
    check_type::<(Resource<OpenInput>, String), (Result<Outcome, ConversionError>,)>(linker, component, &instance, convert)
}

/// Checks one exported function's type. Wasmtime would do it at each instantiation, when it is too late to refuse the plugin.
fn check_type<Params, Return>(
    linker: &Linker<State>,
    component: &Component,
    instance: &ComponentExportIndex,
    function: &str,
) -> Result<(), SandboxError>
where
    Params: ComponentNamedList + Lower,
    Return: ComponentNamedList + Lift,
{
    let mismatch = |reason: String| SandboxError::ExportType(format!("`{CONVERTER}.{function}`: {reason}"));
    let Some((ComponentItem::ComponentFunc(ty), _)) = component.get_export(Some(instance), function) else {
        return Err(mismatch("is no function".to_owned()));
    };
    let linked = linker.substituted_component_type(component).map_err(|error| SandboxError::ImportType(format!("{error:#}")))?;
    ty.typecheck::<Params, Return>(&linked.instance_type()).map_err(|error| mismatch(format!("{error:#}")))
}

/// The name under which the linker has the interface that a component calls `import`: the same, with the version that the host offers.
fn offered(import: &str) -> Option<String> {
    let (interface, version) = import.split_once('@')?;
    let own = if CONTRACT.contains(&interface) {
        CONTRACT_VERSION
    } else if wasi::INTERFACES.contains(&interface) {
        wasi::VERSION
    } else {
        return None;
    };
    (track(version)? == track(own)?).then(|| format!("{interface}@{own}"))
}

/// What two versions must share to be linked to each other: `0.1` of `0.1.7`. Our versions all begin with 0.
fn track(version: &str) -> Option<&str> {
    let (track, patch) = version.rsplit_once('.')?;
    patch.bytes().all(|byte| byte.is_ascii_digit()).then_some(track)
}
