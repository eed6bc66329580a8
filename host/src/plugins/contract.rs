//! Checks a component against the contract: what it exports, what it imports, and every function's type, by name. It says everything
//! that is wrong at once. It knows WIT and nothing of files, caches or the sandbox.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};
use wit_component::DecodedWasm;
use wit_parser::{Interface, PackageName, Resolve, WorldItem, WorldKey};

use crate::sandbox::WASI_INTERFACES;

use super::signature::{Signature, readable_name};

/// The contract that this host speaks, as it is published.
pub const WIT: &str = include_str!("../../../wit/0.1.0/dropforge.wit");

/// Its version.
pub const VERSION: &str = "0.1.0";
const NUMBERS: (u64, u64, u64) = (0, 1, 0);

const NAMESPACE: &str = "dropforge";
const PACKAGE: &str = "converter";
/// The interface that a converter exports.
const EXPORT: &str = "converter";
/// Functions that are listed of an interface which is missing as a whole.
const MAX_LISTED: usize = 4;

/// What a component that satisfies the contract needs and offers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interfaces {
    /// The version of the contract that it was built for.
    pub contract: String,
    /// Interfaces and functions that it imports, in its own order.
    pub imports: Vec<String>,
    /// Interfaces and functions that it exports.
    pub exports: Vec<String>,
}

/// Everything about a component that breaks the contract.
#[derive(Debug, PartialEq, Eq)]
pub struct ContractError {
    /// What it was built for, where that is another version than ours, and whether ours is older or newer.
    built_for: Option<(String, Ordering)>,
    /// One sentence each.
    pub problems: Vec<String>,
}

impl fmt::Display for ContractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems = self.problems.join("; ");
        let contract = format!("{NAMESPACE}:{PACKAGE}");
        match &self.built_for {
            None => write!(f, "it does not satisfy the contract {contract}@{VERSION}: {problems}"),
            Some((version, order)) => {
                let remedy = if *order == Ordering::Less { "update Dropforge, or build" } else { "build" };
                write!(
                    f,
                    "it was built for {contract}@{version}, and this host has {contract}@{VERSION}: {problems}; {remedy} the converter for {VERSION}"
                )
            }
        }
    }
}

impl std::error::Error for ContractError {}

/// Checks a component.
///
/// # Errors
/// Every missing export, unknown import and mismatched type.
pub fn check(component: &[u8]) -> Result<Interfaces, ContractError> {
    let one = |problem: String| ContractError { built_for: None, problems: vec![problem] };
    let decoded = wit_component::decode(component).map_err(|error| one(format!("its interfaces cannot be read: {error:#}")))?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        return Err(one("it is a package of interfaces without code".to_owned()));
    };
    let contract = Contract::embedded().map_err(|error| one(format!("the embedded contract does not parse: {error:#}")))?;
    // `decode` gives the id of a world that it has just made in the same `Resolve`.
    let Some(world) = resolve.worlds.get(world) else {
        return Err(one("its interfaces cannot be read: there is no world".to_owned()));
    };

    let mut interfaces = Interfaces::default();
    let mut problems = Vec::new();
    for (key, item) in &world.imports {
        interfaces.imports.push(resolve.name_world_key(key));
        problems.extend(contract.check_import(&resolve, key, item));
    }
    for key in world.exports.keys() {
        interfaces.exports.push(resolve.name_world_key(key));
    }
    match contract.check_export(&resolve, world) {
        Ok(version) => interfaces.contract = version,
        Err(found) => problems.extend(found),
    }
    if problems.is_empty() {
        return Ok(interfaces);
    }
    // Several versions in one component: the newest is what its author had at hand.
    let items = world.imports.iter().chain(&world.exports);
    let packages = items.filter_map(|(key, item)| Some(interface_of(&resolve, key, item)?.0));
    let newest = packages.filter(|package| is_contract(package)).filter_map(|package| package.version.as_ref()).max();
    let built_for = newest.filter(|version| version.to_string() != VERSION);
    let built_for = built_for.map(|version| (version.to_string(), NUMBERS.cmp(&(version.major, version.minor, version.patch))));
    Err(ContractError { built_for, problems })
}

/// The contract, parsed.
struct Contract {
    resolve: Resolve,
}

impl Contract {
    fn embedded() -> Result<Contract, anyhow::Error> {
        let mut resolve = Resolve::default();
        resolve.push_str("dropforge.wit", WIT)?;
        Ok(Contract { resolve })
    }

    fn interface(&self, name: &str) -> Option<&Interface> {
        self.resolve.interfaces.iter().map(|(_, interface)| interface).find(|interface| interface.name.as_deref() == Some(name))
    }

    /// Gives the version of the contract that the component was built for.
    fn check_export(&self, guest: &Resolve, world: &wit_parser::World) -> Result<String, Vec<String>> {
        let exported = world.exports.iter().filter_map(|(key, item)| interface_of(guest, key, item));
        let converter = |(package, interface): &(&PackageName, &Interface)| {
            is_contract(package) && interface.name.as_deref() == Some(EXPORT) && in_track(package)
        };
        let Some(ours) = self.interface(EXPORT) else { return Err(vec!["the contract has no `converter`".to_owned()]) };
        if let Some((package, interface)) = exported.clone().find(converter) {
            let problems = compare(&self.resolve, ours, guest, interface, Every::Contract);
            let version = package.version.as_ref().map_or_else(String::new, ToString::to_string);
            return if problems.is_empty() { Ok(version) } else { Err(problems) };
        }
        let exports: Vec<String> = world.exports.keys().map(|key| format!("`{}`", guest.name_world_key(key))).collect();
        let exports = if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") };
        let mut problem = format!("it does not export `{NAMESPACE}:{PACKAGE}/{EXPORT}@{VERSION}` (it exports {exports})");
        if !exported.into_iter().any(|(package, _)| is_contract(package)) {
            problem.push_str(": build it with dropforge-sdk, or for the world `plugin` with wit-bindgen");
        }
        Err(vec![problem])
    }

    fn check_import(&self, guest: &Resolve, key: &WorldKey, item: &WorldItem) -> Vec<String> {
        let name = guest.name_world_key(key);
        let Some((package, interface)) = interface_of(guest, key, item) else {
            return match item {
                // A type of the world itself is no import that anyone has to satisfy.
                WorldItem::Type { .. } => Vec::new(),
                WorldItem::Function(function) => {
                    vec![unknown_import(&format!("`{name}: {}`", Signature::of(guest, function)))]
                }
                WorldItem::Interface { .. } => vec![unknown_import(&format!("`{name}`"))],
            };
        };
        let short = interface.name.as_deref().unwrap_or_default();
        let with_functions = || {
            let functions = interface.functions.iter();
            let mut functions: Vec<String> =
                functions.map(|(name, function)| format!("`{}: {}`", readable_name(name), Signature::of(guest, function))).collect();
            let more = functions.len().saturating_sub(MAX_LISTED);
            functions.truncate(MAX_LISTED);
            if more > 0 {
                functions.push(format!("and {more} more"));
            }
            if functions.is_empty() { format!("`{name}`") } else { format!("`{name}` ({})", functions.join(", ")) }
        };
        if is_contract(package) {
            let ours = self.interface(short).filter(|_| in_track(package));
            return match ours {
                Some(ours) => compare(&self.resolve, ours, guest, interface, Every::Guest),
                None => vec![format!("it imports {}, which this host does not have", with_functions())],
            };
        }
        let interface = format!("{}:{}/{short}", package.namespace, package.name);
        if WASI_INTERFACES.contains(&interface.as_str())
            && let Some(version) = &package.version
        {
            let (major, minor) = (version.major, version.minor);
            return if (major, minor) == (0, 2) {
                Vec::new()
            } else {
                vec![format!("it imports `{name}`, and this host satisfies WASI 0.2, not {major}.{minor}: build it for WASI 0.2")]
            };
        }
        vec![unknown_import(&with_functions())]
    }
}

fn unknown_import(name: &str) -> String {
    // What componentize-js imports unless it is told otherwise.
    let remedy = if name.starts_with("`wasi:http/") { ", with componentize-js by `--disable http fetch-event`" } else { "" };
    format!("it imports {name}, which no converter gets: remove what needs it from the converter{remedy}")
}

/// The interface that a world's item names, with its package; none for functions, types and interfaces without a name.
fn interface_of<'a>(resolve: &'a Resolve, key: &WorldKey, item: &WorldItem) -> Option<(&'a PackageName, &'a Interface)> {
    let (WorldKey::Interface(_), WorldItem::Interface { id, .. }) = (key, item) else { return None };
    let interface = resolve.interfaces.get(*id)?;
    let package = resolve.packages.get(interface.package?)?;
    Some((&package.name, interface))
}

fn is_contract(package: &PackageName) -> bool {
    package.namespace == NAMESPACE && package.name == PACKAGE
}

/// Whether wasmtime links this version to ours: all of 0.1.x.
fn in_track(package: &PackageName) -> bool {
    let (major, minor, _) = NUMBERS;
    package.version.as_ref().is_some_and(|version| (version.major, version.minor) == (major, minor) && version.pre.is_empty())
}

/// Which side says what must be there: an export has all that the contract names, an import only what the guest uses.
#[derive(Clone, Copy, PartialEq)]
enum Every {
    Contract,
    Guest,
}

fn compare(contract: &Resolve, ours: &Interface, guest: &Resolve, theirs: &Interface, every: Every) -> Vec<String> {
    let interface = ours.name.as_deref().unwrap_or_default();
    let names = match every {
        Every::Contract => &ours.functions,
        Every::Guest => &theirs.functions,
    };
    let mut problems = Vec::new();
    for name in names.keys() {
        let readable = format!("{interface}.{}", readable_name(name));
        let expected = ours.functions.get(name).map(|function| Signature::of(contract, function));
        let found = theirs.functions.get(name).map(|function| Signature::of(guest, function));
        match (expected, found) {
            (Some(expected), Some(found)) => {
                let differences = expected.differences(&found);
                if !differences.is_empty() {
                    problems.push(format!("the type of `{readable}` is wrong: {}", differences.join(", ")));
                }
            }
            (Some(expected), None) => {
                problems.push(format!("it does not export the function `{readable}`, in the contract `{expected}`"));
            }
            (None, Some(found)) => {
                problems.push(format!("it imports the function `{readable}` as `{found}`, which the contract {VERSION} does not have"));
            }
            (None, None) => {}
        }
    }
    problems
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_parses_and_is_of_the_version_that_is_said() {
        let contract = Contract::embedded().unwrap();
        let package = contract.resolve.packages.iter().next().unwrap().1;
        assert_eq!(package.name.to_string(), format!("{NAMESPACE}:{PACKAGE}@{VERSION}"));
        let (major, minor, patch) = NUMBERS;
        assert_eq!(VERSION, format!("{major}.{minor}.{patch}"));
        for interface in ["io", "log", "metrics", "lookup", "types", EXPORT] {
            assert!(contract.interface(interface).is_some(), "{interface}");
        }
    }
}
