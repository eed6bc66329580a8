//! `dropforge plugin build`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::plugins::build::build_crate;

use super::super::print;
use super::super::table::thousands;

/// Build a converter's crate into a plugin
///
/// Runs cargo in release mode for WebAssembly with SIMD, makes a component of the result, and checks it against the contract. The
/// toolchain is the active one where it has the target wasm32-unknown-unknown, else Debian's rustc-web.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  dropforge plugin build my-converter -o plugins/my-converter.wasm")]
pub(super) struct BuildArgs {
    /// The folder of the crate
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Where the plugin goes [default: the crate's name, less `dropforge-plugin-`, with .wasm, in the working directory]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(args: &BuildArgs) -> anyhow::Result<ExitCode> {
    let built = build_crate(&args.folder, args.output.as_deref(), None)?;
    let (path, size, toolchain) = (built.path.display(), thousands(built.size as u64), built.toolchain.name());
    print(&format!("{path}: {size} bytes, sha256 {}, built with {toolchain}\n", built.digest))?;
    Ok(ExitCode::SUCCESS)
}
