//! What is inside a binary: every crate that is linked into it or into a plugin in it, as a CycloneDX list, and their licences' texts. It comes
//! from cargo's own account of the dependencies.

#![expect(clippy::indexing_slicing, reason = "a JSON value that lacks a key gives null")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::archive::files;
use super::{Release, VERSION, sha256};
use crate::setup::quietly;
use crate::workspace::Workspace;

/// A list, and the licences of what is on it.
pub(super) struct List {
    /// CycloneDX 1.5, as JSON.
    pub(super) text: String,
    /// The texts.
    pub(super) licences: String,
}

/// A crate, as cargo describes it.
struct Krate {
    name: String,
    version: String,
    licence: String,
    description: String,
    repository: Option<String>,
    /// None for those of this repository.
    source: Option<String>,
    manifest: String,
    /// The ids of those that it is linked with.
    needs: Vec<String>,
}

/// Makes the list of a release.
///
/// # Errors
/// Where cargo does not say, or a crate names no licence.
pub(super) fn make(workspace: &Workspace, release: &Release) -> Result<List> {
    let mut crates = BTreeMap::new();
    let mut roots = reach(workspace, &release.target, &["host".to_owned()], &mut crates)?;
    let plugins = files(&release.bundle)?;
    let stems: Vec<String> = plugins.iter().map(|file| file.file_stem().unwrap_or_default().to_string_lossy().into_owned()).collect();
    let folders: Vec<String> = stems.iter().map(|stem| format!("plugins/{stem}")).collect();
    let plugin_ids = reach(workspace, "wasm32-unknown-unknown", &folders, &mut crates)?;
    let root = roots.pop().context("the host is a crate")?;

    let mut components: Vec<Value> = crates.iter().filter(|(id, _)| **id != root).map(|(_, krate)| component(krate)).collect();
    // The very files, beside the crates that they are made of.
    for (file, stem) in plugins.iter().zip(&stems) {
        let hash = json!([{ "alg": "SHA-256", "content": sha256(file)? }]);
        components.push(json!({ "type": "file", "bom-ref": format!("file:{stem}.wasm"), "name": format!("{stem}.wasm"), "version": VERSION, "hashes": hash }));
    }
    let mut dependencies: Vec<Value> = crates
        .iter()
        .map(|(id, krate)| {
            let mut needs: Vec<String> =
                krate.needs.iter().filter(|id| crates.contains_key(*id)).map(|id| reference(id, &crates)).collect();
            if *id == root {
                needs.extend(stems.iter().map(|stem| format!("file:{stem}.wasm")));
            }
            json!({ "ref": reference(id, &crates), "dependsOn": needs })
        })
        .collect();
    for (stem, id) in stems.iter().zip(&plugin_ids) {
        dependencies.push(json!({ "ref": format!("file:{stem}.wasm"), "dependsOn": [reference(id, &crates)] }));
    }
    let product = crates.get(&root).context("the host is a crate")?;
    let mut main = component(product);
    main["type"] = json!("application");
    main["properties"] = json!([{ "name": "dropforge:target", "value": release.target }]);
    let time = quietly(std::process::Command::new("date").args(["-u", "-d", &format!("@{}", release.epoch), "+%Y-%m-%dT%H:%M:%SZ"]))?;
    let time = String::from_utf8_lossy(&time.stdout).trim().to_owned();
    let tool = json!({ "components": [{ "type": "application", "name": "cargo xtask dist", "version": VERSION }] });
    let list = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "timestamp": time, "tools": tool, "component": main },
        "components": components,
        "dependencies": dependencies,
    });
    let others: Vec<&Krate> = crates.values().filter(|krate| krate.source.is_some()).collect();
    Ok(List { text: serde_json::to_string_pretty(&list)? + "\n", licences: licences(&others)? })
}

/// Adds the crates in some folders and all that they are linked with. Gives the ids of the first.
fn reach(workspace: &Workspace, target: &str, folders: &[String], crates: &mut BTreeMap<String, Krate>) -> Result<Vec<String>> {
    let arguments = ["metadata", "--format-version", "1", "--locked", "--filter-platform", target, "--features", "dropforge/bundled"];
    let output = quietly(&mut workspace.cargo(&arguments))?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata is no JSON")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages: BTreeMap<String, Value> =
        list(&metadata["packages"]).into_iter().map(|package| (text(&package["id"]), package)).collect();
    let nodes: BTreeMap<String, Value> = list(&metadata["resolve"]["nodes"]).into_iter().map(|node| (text(&node["id"]), node)).collect();
    let roots: Vec<String> = folders
        .iter()
        .map(|folder| {
            let manifest = workspace.root.join(folder).join("Cargo.toml").display().to_string();
            let is_it = |(_, package): &(&String, &Value)| package["manifest_path"] == manifest.as_str();
            packages.iter().find(is_it).map(|(id, _)| id.clone()).with_context(|| format!("cargo knows no crate in {folder}"))
        })
        .collect::<Result<_>>()?;
    let mut pending = roots.clone();
    let mut seen = BTreeSet::new();
    while let Some(id) = pending.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        let (package, node) = packages.get(&id).zip(nodes.get(&id)).with_context(|| format!("cargo does not describe {id}"))?;
        // What only builds or tests is not in it.
        let is_linked = |dependency: &&Value| list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
        let needs: Vec<String> = list(&node["deps"]).iter().filter(is_linked).map(|dependency| text(&dependency["pkg"])).collect();
        pending.extend(needs.iter().cloned());
        let krate = Krate {
            name: text(&package["name"]),
            version: text(&package["version"]),
            // An old way to write it.
            licence: text(&package["license"]).replace('/', " OR "),
            description: text(&package["description"]).split_whitespace().collect::<Vec<_>>().join(" "),
            repository: package["repository"].as_str().map(str::to_owned),
            source: package["source"].as_str().map(str::to_owned),
            manifest: text(&package["manifest_path"]),
            needs,
        };
        if krate.licence.is_empty() {
            bail!("the crate {} names no licence", krate.name);
        }
        // For another target it may need others.
        let needs = crates.get(&id).map(|known| known.needs.clone()).unwrap_or_default();
        let needs = needs.into_iter().chain(krate.needs).collect::<BTreeSet<_>>().into_iter().collect();
        crates.insert(id, Krate { needs, ..krate });
    }
    Ok(roots)
}

/// What a crate is called in the list.
fn reference(id: &str, crates: &BTreeMap<String, Krate>) -> String {
    crates.get(id).map_or_else(|| id.to_owned(), |krate| format!("pkg:cargo/{}@{}", krate.name, krate.version))
}

fn component(krate: &Krate) -> Value {
    let purl = format!("pkg:cargo/{}@{}", krate.name, krate.version);
    let mut component = json!({
        "type": "library",
        "bom-ref": purl,
        "name": krate.name,
        "version": krate.version,
        "description": krate.description,
        "licenses": [{ "expression": krate.licence }],
        "purl": purl,
    });
    if let Some(repository) = krate.repository.as_deref().filter(|repository| repository.starts_with("http")) {
        component["externalReferences"] = json!([{ "type": "vcs", "url": repository }]);
    }
    component
}

/// Every licence's text once, with those who are under it.
fn licences(crates: &[&Krate]) -> Result<String> {
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut without = BTreeSet::new();
    for krate in crates {
        let name = format!("{} {} ({})", krate.name, krate.version, krate.licence);
        let folder = Path::new(&krate.manifest).parent().context("a manifest is in a folder")?;
        let mut found = false;
        for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            let upper = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
            let is_licence =
                ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"].iter().any(|word| upper.starts_with(word));
            if is_licence && path.is_file() {
                let text = String::from_utf8_lossy(&fs::read(&path)?).replace("\r\n", "\n");
                texts.entry(text.trim_end().to_owned()).or_default().insert(name.clone());
                found = true;
            }
        }
        if !found {
            without.insert(name);
        }
    }
    let mut all = String::from(
        "Dropforge is under the Apache License 2.0. Parts of it were written by others and are under licences of their own. Each text below\n\
         comes after the names and versions of the crates that it came with.\n",
    );
    let mut texts: Vec<(String, BTreeSet<String>)> = texts.into_iter().collect();
    // By the first name, so that a new crate changes little.
    texts.sort_by(|(_, one), (_, other)| one.first().cmp(&other.first()));
    for (text, names) in texts {
        let _ = write!(all, "\n{}\n", "=".repeat(100));
        for name in names {
            let _ = writeln!(all, "{name}");
        }
        let _ = write!(all, "{}\n\n{text}\n", "-".repeat(100));
    }
    if !without.is_empty() {
        let _ = write!(all, "\n{}\nThese come without a text; the texts of their licences are above.\n", "=".repeat(100));
        for name in without {
            let _ = writeln!(all, "{name}");
        }
    }
    Ok(all)
}
