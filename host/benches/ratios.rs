//! `cargo bench`: every comparison of `dropforge bench`, with the optimised binary. Each prints two figures that were taken one after the other,
//! and their ratio; only the ratio says something about another machine.

use std::path::Path;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let program = Path::new(env!("CARGO_BIN_EXE_dropforge"));
    let target = program.parent().and_then(Path::parent).unwrap_or(Path::new("target"));
    let plugins = target.join("plugins");
    let (csv, copy) = (plugins.join("csv.wasm"), plugins.join("copy.wasm"));
    if let Some(missing) = [&csv, &copy].into_iter().find(|plugin| !plugin.exists()) {
        eprintln!("{} is not there: build the plugins with `cargo xtask build` first", missing.display());
        return ExitCode::FAILURE;
    }
    let input = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/csv/comma-in-quotes.csv");
    let comparisons = [
        ("path", vec![("--converter", csv.as_path()), ("--folder", target)]),
        ("queue", vec![("--folder", target)]),
        ("sandbox", vec![("--converter", copy.as_path())]),
        ("convert", vec![("--converter", csv.as_path()), ("--input", input.as_path()), ("--beside", copy.as_path())]),
        ("plugin", vec![("--converter", csv.as_path()), ("--input", input.as_path())]),
        ("scrape", vec![]),
    ];
    for (name, options) in comparisons {
        println!("dropforge bench {name}");
        let mut command = Command::new(program);
        command.args(["bench", name]);
        for (option, value) in options {
            command.arg(option).arg(value);
        }
        match command.status() {
            Ok(status) if status.success() => {}
            Ok(status) => {
                eprintln!("it ended with {status}");
                return ExitCode::FAILURE;
            }
            Err(error) => {
                eprintln!("{} cannot be started: {error}", program.display());
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
