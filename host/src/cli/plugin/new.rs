//! `dropforge plugin new`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::Args;

use super::super::print;
use crate::plugins::is_name;

const MANIFEST: &str = include_str!("template/Cargo.toml.template");
const LIBRARY: &str = include_str!("template/lib.rs.template");

/// Begin a converter: a crate that builds, tests and runs as it stands
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  dropforge plugin new spea\n  cd spea && cargo test && dropforge plugin build .")]
pub(super) struct NewArgs {
    /// The converter's name: lower-case letters, digits, `-` and `_`, starting with a letter
    name: String,
    /// The folder to create [default: the name, in the working directory]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Use the SDK in this folder, instead of the published one of this version
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
}

pub(super) fn run(args: &NewArgs) -> anyhow::Result<ExitCode> {
    let folder = args.dir.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    create(&args.name, &folder, args.sdk.as_deref())?;
    let (name, shown) = (&args.name, folder.display());
    print(&format!(
        "Created the converter `{name}` in {shown}. What it does is in {shown}/src/lib.rs. Next:
  cd {shown}
  cargo test
  dropforge plugin build .        # makes {name}.wasm; drop it into the plugins folder
"
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn create(name: &str, folder: &Path, sdk: Option<&Path>) -> anyhow::Result<()> {
    ensure!(
        is_name(name),
        "`{name}` is no name for a converter: it needs lower-case letters, digits, `-` and `_`, has to start with a letter, and may have 64 bytes"
    );
    let sdk = match sdk {
        None => format!("\"{}.{}\"", env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR")),
        Some(path) => {
            let manifest = path.join("Cargo.toml");
            let text =
                fs::read_to_string(&manifest).with_context(|| format!("cannot read {}; name the folder of the SDK", manifest.display()))?;
            ensure!(text.contains("name = \"dropforge-sdk\""), "{} is not dropforge-sdk; name the folder of the SDK", manifest.display());
            let path = path.canonicalize().with_context(|| format!("cannot find {}", path.display()))?;
            let Some(path) = path.to_str() else { bail!("{} cannot be written in a Cargo.toml: it is not Unicode", path.display()) };
            format!("{{ path = {} }}", toml::Value::from(path))
        }
    };
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    }
    // Never into a folder that is there already.
    fs::create_dir(folder).with_context(|| format!("cannot create the folder {}; choose another with --dir", folder.display()))?;
    let fill = |template: &str| template.replace("{{name}}", name).replace("{{type}}", &type_name(name)).replace("{{sdk}}", &sdk);
    for (file, content) in [("Cargo.toml", fill(MANIFEST)), ("src/lib.rs", fill(LIBRARY)), (".gitignore", "/target\n/*.wasm\n".to_owned())]
    {
        let path = folder.join(file);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, content));
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// `in-circuit_test2` as `InCircuitTest2`.
fn type_name(name: &str) -> String {
    let capitalize = |word: &str| {
        let mut characters = word.chars();
        characters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + characters.as_str())
    };
    let name: String = name.split(['-', '_']).map(capitalize).collect();
    // Names that the prelude has.
    if ["Converter", "Descriptor", "Document", "Error", "Input", "Options", "Outcome", "Output", "Probe", "Result", "Self", "Severity"]
        .contains(&name.as_str())
    {
        name + "Files"
    } else {
        name
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_made_of_the_name_and_nothing_is_overwritten() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("a/in-circuit");
        create("in-circuit", &folder, None).unwrap();
        let manifest: toml::Table = fs::read_to_string(folder.join("Cargo.toml")).unwrap().parse().unwrap();
        assert_eq!(manifest.get("package").unwrap().get("name").unwrap().as_str(), Some("dropforge-plugin-in-circuit"));
        assert_eq!(manifest.get("dependencies").unwrap().get("dropforge-sdk").unwrap().as_str(), Some("0.1"));
        let library = fs::read_to_string(folder.join("src/lib.rs")).unwrap();
        assert!(library.contains("pub struct InCircuit;") && !library.contains("{{"));
        let message = format!("{:#}", create("in-circuit", &folder, None).unwrap_err());
        assert!(message.contains("choose another with --dir"), "{message}");
    }

    #[test]
    fn the_sdk_may_be_a_folder() {
        let parent = tempfile::tempdir().unwrap();
        let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugin-sdk");
        create("x", &parent.path().join("x"), Some(&sdk)).unwrap();
        let manifest: toml::Table = fs::read_to_string(parent.path().join("x/Cargo.toml")).unwrap().parse().unwrap();
        let path = manifest.get("dependencies").unwrap().get("dropforge-sdk").unwrap().get("path").unwrap().as_str().unwrap();
        assert!(Path::new(path).is_absolute() && Path::new(path).ends_with("plugin-sdk"));
        let message = create("y", &parent.path().join("y"), Some(parent.path())).unwrap_err().to_string();
        assert!(message.contains("name the folder of the SDK"), "{message}");
    }

    #[test]
    fn names_become_types() {
        for (name, expected) in [("spea", "Spea"), ("in-circuit_test2", "InCircuitTest2"), ("input", "InputFiles"), ("a-", "A")] {
            assert_eq!(type_name(name), expected);
        }
        assert!(create("Spea", Path::new("unused"), None).unwrap_err().to_string().contains("is no name for a converter"));
    }
}
