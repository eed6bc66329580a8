//! Why a converter could not be compiled or loaded.

use std::io;
use std::path::PathBuf;

/// Why the sandbox, or a converter in it, could not be set up. The texts are complete sentences for the person who dropped the plugin.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The engine's settings do not fit this machine.
    #[error("cannot set up the WebAssembly engine on this machine: {0}")]
    Engine(String),
    /// The thread that advances the clock of all time limits did not start.
    #[error("cannot start the thread that enforces the time limits: {0}")]
    Ticker(#[source] io::Error),
    /// The bytes are no component that this engine accepts.
    #[error("the component cannot be compiled: {0}")]
    Compile(String),
    /// The file is missing, broken, or was compiled by another version.
    #[error("cannot load the compiled component `{}`: {reason}; delete the file, and it will be compiled again", path.display())]
    Compiled {
        /// The compiled file.
        path: PathBuf,
        /// What wasmtime said.
        reason: String,
    },
    /// It imports what is not in the contract or in WASI 0.2.
    ///
    /// One text for each interface, with the functions in it.
    #[error("the component imports what this host does not offer: {}", .0.join("; "))]
    MissingImports(Vec<String>),
    /// It imports the right names with other types.
    #[error("the component was built against another version of the contract: {0}")]
    ImportType(String),
    /// It is no converter.
    #[error("the component does not export what a converter must: {}", .0.join(", "))]
    MissingExports(Vec<String>),
    /// It exports the right names with other types.
    #[error("the component exports functions of other types than the contract's: {0}")]
    ExportType(String),
}
