//! The `dropforge` binary: parses the command line and calls the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The process that compiles plugins limits itself before anything else happens in it.
    dropforge::plugins::child::requested(std::env::args_os()).unwrap_or_else(dropforge::cli::main)
}
