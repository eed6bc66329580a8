//! With the feature `bundled`, puts the plugins of the folder that the environment variable `DROPFORGE_BUNDLE` names into the program.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=DROPFORGE_BUNDLE");
    if env::var_os("CARGO_FEATURE_BUNDLED").is_none() {
        return Ok(());
    }
    let folder = env::var_os("DROPFORGE_BUNDLE").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let folder =
        folder.ok_or_else(|| io::Error::other("DROPFORGE_BUNDLE must name, from the root, the folder of the plugins to bundle"))?;
    println!("cargo::rerun-if-changed={}", folder.display());
    let output = env::var_os("OUT_DIR").map(PathBuf::from).ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(output.join("bundled.rs"), listing(&folder)?)
}

/// The plugins of a folder, in the order of their names, as the source of a list.
fn listing(folder: &Path) -> io::Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().into_string().map_err(|_| io::Error::other("the name of a file to bundle is no UTF-8"))?;
        if name.ends_with(".wasm") {
            names.push(name);
        }
    }
    names.sort();
    let mut text = format!("static FILES: [Bundled; {}] = [\n", names.len());
    for name in names {
        let path = folder.join(&name);
        println!("cargo::rerun-if-changed={}", path.display());
        let _ = writeln!(text, "    Bundled {{ file: {name:?}, bytes: include_bytes!({:?}) }},", path.display().to_string());
    }
    text.push_str("];\n");
    Ok(text)
}
