//! Checks a component against the contract: what it exports, what it imports, and every function's type, by name. It says everything
//! that is wrong at once. It knows WIT and nothing of files, caches or the sandbox.

use std::fmt;

use serde::{Deserialize, Serialize};
use wit_component::DecodedWasm;
use wit_parser::{Interface, PackageName, Resolve, WorldItem, WorldKey};

use crate::sandbox::WASI_INTERFACES;

use super::signature;

/// The contract that this host speaks, as it is published.
pub const WIT: &str = include_str!("../../../wit/0.1.0/dropforge.wit");

/// Its version.
pub const VERSION: &str = "0.1.0";

const NAMESPACE: &str = "dropforge";
const PACKAGE: &str = "converter";
/// The interface that a converter exports.
const EXPORT: &str = "converter";
/// Interfaces of the contract that every converter may import. All others are capabilities.
const FREE: [&str; 4] = ["io", "log", "metrics", "types"];

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

impl Interfaces {
    /// The imports that give access to something: none, unless it was granted.
    pub fn capabilities(&self) -> Vec<String> {
        let free = |name: &str| {
            let interface = name.split_once('@').map_or(name, |(interface, _)| interface);
            let of_contract = interface.strip_prefix("dropforge:converter/").is_some_and(|short| FREE.contains(&short));
            of_contract || WASI_INTERFACES.contains(&interface)
        };
        self.imports.iter().filter(|name| !free(name)).cloned().collect()
    }
}

/// Everything about a component that breaks the contract.
#[derive(Debug, PartialEq, Eq)]
pub struct ContractError {
    /// One sentence each.
    pub problems: Vec<String>,
}

impl fmt::Display for ContractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it does not satisfy the contract dropforge:converter@{VERSION}: {}", self.problems.join("; "))
    }
}

impl std::error::Error for ContractError {}

/// Checks a component.
///
/// # Errors
/// Every missing export, unknown import and mismatched type.
pub fn check(component: &[u8]) -> Result<Interfaces, ContractError> {
    let one = |problem: String| ContractError { problems: vec![problem] };
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
    if problems.is_empty() { Ok(interfaces) } else { Err(ContractError { problems }) }
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
        let mut found = Vec::new();
        for (key, item) in &world.exports {
            let Some((package, interface)) = interface_of(guest, key, item) else { continue };
            if !is_contract(package) || interface.name.as_deref() != Some(EXPORT) {
                continue;
            }
            if in_track(package) {
                let Some(ours) = self.interface(EXPORT) else { return Err(vec!["the contract has no `converter`".to_owned()]) };
                let problems = compare(&self.resolve, ours, guest, interface, Every::Contract);
                let version = package.version.as_ref().map_or_else(String::new, ToString::to_string);
                return if problems.is_empty() { Ok(version) } else { Err(problems) };
            }
            found.push(format!("it was built for `{}`, and this host speaks 0.1: {}", guest.name_world_key(key), other_track(package)));
        }
        if !found.is_empty() {
            return Err(found);
        }
        let exports: Vec<String> = world.exports.keys().map(|key| format!("`{}`", guest.name_world_key(key))).collect();
        let exports = if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") };
        Err(vec![format!(
            "it does not export `{NAMESPACE}:{PACKAGE}/{EXPORT}@{VERSION}` (it exports {exports}): \
             build it with dropforge-sdk, or for the world `plugin` with wit-bindgen"
        )])
    }

    fn check_import(&self, guest: &Resolve, key: &WorldKey, item: &WorldItem) -> Vec<String> {
        let name = guest.name_world_key(key);
        let Some((package, interface)) = interface_of(guest, key, item) else {
            // A type of the world itself is no import that anyone has to satisfy.
            return if matches!(item, WorldItem::Type { .. }) { Vec::new() } else { vec![unknown_import(&name)] };
        };
        let short = interface.name.as_deref().unwrap_or_default();
        if is_contract(package) {
            if !in_track(package) {
                return vec![format!("it imports `{name}`, and this host speaks 0.1: {}", other_track(package))];
            }
            if !FREE.contains(&short) && self.interface(short).is_some() {
                return vec![format!(
                    "it imports the capability `{short}` (`{name}`), which is not granted: this version of Dropforge grants none; \
                     build it for the world `plugin`"
                )];
            }
            return match self.interface(short) {
                Some(ours) => compare(&self.resolve, ours, guest, interface, Every::Guest),
                None => vec![format!("it imports `{name}`, which the contract {VERSION} does not have: a newer Dropforge may")],
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
        vec![unknown_import(&name)]
    }
}

fn unknown_import(name: &str) -> String {
    format!("it imports `{name}`, which no converter gets: remove what needs it from the converter")
}

fn other_track(package: &PackageName) -> &'static str {
    match &package.version {
        Some(version) if (version.major, version.minor) > (0, 1) => "update Dropforge, or build the converter for 0.1",
        _ => "build the converter for 0.1",
    }
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
    package.version.as_ref().is_some_and(|version| (version.major, version.minor) == (0, 1) && version.pre.is_empty())
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
        let readable = format!("{interface}.{}", signature::readable_name(name));
        match (ours.functions.get(name), theirs.functions.get(name)) {
            (Some(_), None) => problems.push(format!("it does not export the function `{readable}`")),
            (None, _) => problems
                .push(format!("it imports the function `{readable}`, which the contract {VERSION} does not have: a newer Dropforge may")),
            (Some(expected), Some(found)) => {
                let expected = signature::Signature::of(contract, expected);
                let found = signature::Signature::of(guest, found);
                if let Some(difference) = expected.difference(&found) {
                    problems.push(format!("the type of `{readable}` is wrong: {difference}"));
                }
            }
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
        for interface in FREE.into_iter().chain([EXPORT]) {
            assert!(contract.interface(interface).is_some(), "{interface}");
        }
    }

    #[test]
    fn what_is_not_free_is_a_capability() {
        let imports =
            ["dropforge:converter/io@0.1.0", "wasi:io/streams@0.2.3", "dropforge:converter/lookup@0.1.0", "wasi:http/handler@0.2.0"];
        let interfaces = Interfaces { imports: imports.map(str::to_owned).to_vec(), ..Interfaces::default() };
        assert_eq!(interfaces.capabilities(), ["dropforge:converter/lookup@0.1.0", "wasi:http/handler@0.2.0"]);
    }
}
