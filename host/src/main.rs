//! The `dropforge` binary: parses the command line and calls the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    dropforge::memory::bound_what_is_kept();
    // The processes that compile plugins and convert suspects limit themselves before anything else happens in them.
    dropforge::plugins::child::requested(std::env::args_os())
        .or_else(|| dropforge::worker::suspect::requested(std::env::args_os()))
        .unwrap_or_else(dropforge::cli::main)
}
