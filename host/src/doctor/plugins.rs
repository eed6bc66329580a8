//! The plugins: do they load, and is there one for every route.

use std::sync::Arc;

use super::Findings;
use crate::config::{Config, ConverterChoice};
use crate::plugins::{LoadSettings, load_folder};
use crate::sandbox::Sandbox;

pub(super) fn examine(config: &Config, findings: &mut Findings) -> anyhow::Result<()> {
    let (subject, folder) = ("plugins", config.plugins_dir.display());
    // The daemon keeps compiled code and versions to go back to, in folders of its own; somebody who looks makes none of them.
    let compiled = tempfile::tempdir()?;
    let settings = LoadSettings { versions_dir: None, compiled_dir: compiled.path().to_owned(), ..LoadSettings::of(config) };
    let registry = match load_folder(&config.plugins_dir, Arc::new(Sandbox::new()?), settings) {
        Ok(registry) => registry,
        Err(error) => {
            findings.problem(subject, error.to_string(), "create the folder, or set `plugins_dir`");
            return Ok(());
        }
    };
    for plugin in registry.status() {
        match (&plugin.running, &plugin.refused) {
            (_, Some(refused)) => findings.problem(subject, format!("{} is refused: {}", plugin.file, refused.reason), ""),
            (Some(running), None) => {
                let file = if plugin.bundled { "bundled" } else { &plugin.file };
                findings.ok(subject, format!("{file} loads: {} {}", running.name, running.version));
            }
            (None, None) => {}
        }
    }
    if registry.is_empty() {
        findings.problem(subject, format!("no converter in {folder}"), "put a .wasm file there");
    }
    for route in &config.routes {
        let subject = format!("route {}", route.name);
        let ConverterChoice::Named { name, digest } = &route.converter else {
            for name in route.options.keys() {
                let remedy = "mend `options`: on an `auto` route it has a table for each converter; `dropforge plugin inspect` shows what that may hold";
                match registry.get(name).map(|plugin| plugin.options(&route.options_for(name))) {
                    None => {
                        findings.warning(&subject, format!("its `options` have some for `{name}`, and there is no such converter"), remedy)
                    }
                    Some(Err(error)) => findings.problem(&subject, error.to_string(), remedy),
                    Some(Ok(_)) => findings.ok(&subject, format!("`{name}` takes its options")),
                }
            }
            continue;
        };
        match registry.get(name) {
            None => {
                let remedy = format!("put it into {folder}, or name another; until then the route's files wait");
                findings.problem(&subject, format!("its converter `{name}` is not there"), remedy);
            }
            Some(plugin) if digest.as_ref().is_some_and(|digest| *digest != plugin.digest) => {
                let text = format!("it pins `{}`; there is sha256:{}", route.converter, plugin.digest);
                findings.problem(&subject, text, "put that version there, or pin this one; until then the route's files wait");
            }
            Some(plugin) => match plugin.options(&route.options_for(name)) {
                Ok(_) => findings.ok(&subject, format!("its converter `{name}` takes its options")),
                Err(error) => {
                    findings.problem(&subject, error.to_string(), "mend `options`; `dropforge plugin inspect` shows which there are")
                }
            },
        }
    }
    Ok(())
}
