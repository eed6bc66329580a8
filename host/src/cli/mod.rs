//! The command line: one file per subcommand.

pub mod config;

use std::process::ExitCode;

/// Parses the process's arguments, runs the subcommand, and says how the process ends: 0 ok, 1 failed, 2 usage or configuration.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
