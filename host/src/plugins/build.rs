//! Builds a plugin from a Rust crate: cargo, strip, wrap, check against the contract, write. It knows no folder of plugins.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use serde::Deserialize;

use crate::digest::sha256_hex;
use crate::files;
use crate::toolchain::{TARGET, Toolchain, ToolchainError};

use super::compiled::Report;
use super::wrap::{self, WrapError};
use super::{LoadLimits, child};

/// What crates of converters are called before the converter's own name.
const PREFIX: &str = "dropforge-plugin-";

/// What builds of converters set, whatever the crate's own profile says: speed counts, a panic cannot be caught, and names of functions
/// stay for the messages of traps. One profile for all also means one build of the standard library, where that has to be built.
const PROFILE: [(&str, &str); 6] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3"),
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "false"),
    ("CARGO_PROFILE_RELEASE_STRIP", "none"),
];

/// Why there is no plugin.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// No toolchain.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// There is no crate.
    #[error("{} holds no Cargo.toml: name the folder of a converter's crate", .0.display())]
    NoCrate(PathBuf),
    /// A workspace, or the like.
    #[error("{} is no package but a workspace: name the folder of one of its members", .0.display())]
    Workspace(PathBuf),
    /// No library that becomes a module.
    #[error("the crate `{0}` builds no WebAssembly module: add `crate-type = [\"cdylib\", \"rlib\"]` below `[lib]` in its Cargo.toml")]
    NoCdylib(String),
    /// Cargo said no, and why, on its own.
    #[error("cargo failed ({0}); its messages are above")]
    Cargo(ExitStatus),
    /// Cargo's answer was not understood.
    #[error("cargo's answer makes no sense: {0}")]
    Answer(String),
    /// A file.
    #[error("cannot {doing} {}: {error}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The module does not parse.
    #[error("the module that cargo built is refused: {0}")]
    Module(WrapError),
    /// The plugin breaks the contract.
    #[error("the converter is refused: {0}")]
    Contract(String),
    /// Larger than a plugin may be.
    #[error("the plugin has {size} bytes, and a daemon takes {limit} by default: leave out data or dependencies")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// What it may have.
        limit: u64,
    },
}

/// A plugin that was built.
#[derive(Debug)]
pub struct Built {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: usize,
    /// Its SHA-256 in lower hex.
    pub digest: String,
    /// What wrapping and checking found.
    pub report: Report,
    /// What built it.
    pub toolchain: Toolchain,
}

/// Builds the crate in `folder`. The plugin goes to `output`, or to `NAME.wasm` in the working directory, NAME being the crate's
/// without `dropforge-plugin-`. Cargo builds in `target`, or in a folder `wasm-plugin` in the crate's own target folder; its messages go to
/// standard error.
///
/// # Errors
/// [`BuildError`].
pub fn build_crate(folder: &Path, output: Option<&Path>, target: Option<&Path>) -> Result<Built, BuildError> {
    let manifest = folder.join("Cargo.toml");
    let io = |doing, path: &Path| {
        let path = path.to_owned();
        move |error| BuildError::Io { doing, path, error }
    };
    if !manifest.is_file() {
        return Err(BuildError::NoCrate(folder.to_owned()));
    }
    let manifest = manifest.canonicalize().map_err(io("find", &manifest))?;
    let toolchain = Toolchain::find(folder)?;
    let krate = Crate::find(&toolchain, folder, &manifest)?;
    let target = target.map_or_else(|| krate.target_folder.join("wasm-plugin"), Path::to_owned);
    let module = cargo_build(&toolchain, folder, &manifest, &krate, &target)?;

    let bytes = std::fs::read(&module).map_err(io("read", &module))?;
    let stripped = wrap::strip(&bytes).map_err(BuildError::Module)?;
    let examined = child::examine(&stripped).map_err(BuildError::Contract)?;
    let (size, limit) = (examined.component.len() as u64, LoadLimits::default().file_bytes);
    if size > limit {
        return Err(BuildError::TooLarge { size, limit });
    }
    let default = PathBuf::from(format!("{}.wasm", krate.name.strip_prefix(PREFIX).unwrap_or(&krate.name)));
    let path = output.map_or(default, Path::to_owned);
    files::write_whole(&path, &examined.component).map_err(io("write", &path))?;
    let (size, digest) = (examined.component.len(), sha256_hex(&examined.component));
    Ok(Built { path, size, digest, report: examined.report, toolchain })
}

/// What cargo says of a crate.
struct Crate {
    name: String,
    target_folder: PathBuf,
}

impl Crate {
    fn find(toolchain: &Toolchain, folder: &Path, manifest: &Path) -> Result<Crate, BuildError> {
        #[derive(Deserialize)]
        struct Metadata {
            packages: Vec<Package>,
            target_directory: PathBuf,
        }
        #[derive(Deserialize)]
        struct Package {
            name: String,
            manifest_path: PathBuf,
            targets: Vec<Target>,
        }
        let mut command = toolchain.cargo();
        command.current_dir(folder).args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"]).arg(manifest);
        let output = command.stderr(Stdio::inherit()).output().map_err(|error| not_started(&command, error))?;
        if !output.status.success() {
            return Err(BuildError::Cargo(output.status));
        }
        let metadata: Metadata = serde_json::from_slice(&output.stdout).map_err(|error| BuildError::Answer(error.to_string()))?;
        let own = |package: &Package| package.manifest_path.canonicalize().is_ok_and(|path| path == manifest);
        let package = metadata.packages.into_iter().find(own).ok_or_else(|| BuildError::Workspace(folder.to_owned()))?;
        if !package.targets.iter().any(Target::is_module) {
            return Err(BuildError::NoCdylib(package.name));
        }
        Ok(Crate { name: package.name, target_folder: metadata.target_directory })
    }
}

#[derive(Deserialize)]
struct Target {
    crate_types: Vec<String>,
}

impl Target {
    fn is_module(&self) -> bool {
        self.crate_types.iter().any(|kind| kind == "cdylib")
    }
}

/// Runs cargo, and gives the path of the module.
fn cargo_build(toolchain: &Toolchain, folder: &Path, manifest: &Path, krate: &Crate, target: &Path) -> Result<PathBuf, BuildError> {
    /// The messages that are of interest; all others have another reason.
    #[derive(Deserialize)]
    struct Message {
        reason: String,
        #[serde(default)]
        manifest_path: PathBuf,
        #[serde(default)]
        target: Option<Target>,
        #[serde(default)]
        filenames: Vec<PathBuf>,
    }
    let mut command = toolchain.cargo();
    command
        .current_dir(folder)
        .args(["build", "--lib", "--release", "--target", TARGET, "--message-format", "json-render-diagnostics", "--manifest-path"])
        .arg(manifest)
        .args(["--package", &krate.name, "--config", &rustflags(), "--target-dir"])
        .arg(target)
        .args(toolchain.build_arguments())
        .envs(PROFILE)
        // These would replace our flags, and are meant for the machine itself.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stdout(Stdio::piped());
    let mut cargo = command.spawn().map_err(|error| not_started(&command, error))?;
    let mut module = None;
    for line in cargo.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
        let Ok(line) = line else { break };
        let Ok(message) = serde_json::from_str::<Message>(&line) else { continue };
        let ours = message.reason == "compiler-artifact" && message.target.is_some_and(|target| target.is_module());
        if ours && message.manifest_path.canonicalize().is_ok_and(|path| path == manifest) {
            module = message.filenames.into_iter().find(|name| name.extension().is_some_and(|extension| extension == "wasm"));
        }
    }
    let status = cargo.wait().map_err(|error| not_started(&command, error))?;
    if !status.success() {
        return Err(BuildError::Cargo(status));
    }
    module.ok_or_else(|| BuildError::Answer(format!("it named no module of `{}`", krate.name)))
}

/// Flags as a configuration value, because cargo joins those with the crate's own: SIMD, and panic messages without the builder's home.
fn rustflags() -> String {
    let mut flags = vec!["-C".to_owned(), "target-feature=+simd128".to_owned()];
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    if let Some(home) = cargo_home.as_deref().and_then(Path::to_str) {
        flags.push(format!("--remap-path-prefix={home}=cargo"));
    }
    // A JSON array of strings is a TOML array of strings.
    format!("target.{TARGET}.rustflags={}", serde_json::Value::from(flags))
}

fn not_started(command: &Command, error: io::Error) -> BuildError {
    BuildError::Io { doing: "run", path: PathBuf::from(command.get_program()), error }
}
