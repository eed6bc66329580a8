//! The project's own commands: `cargo xtask setup|build|demo|test|windows|soak|bench|dist`.
//!
//! It must stay quick to compile, so it depends on little, and on no other crate of the workspace: what it needs of Dropforge, it
//! gets from the binary.

mod bench;
mod build;
mod converters;
mod daemon;
mod demo;
mod dependencies;
mod dist;
mod emulators;
mod http;
mod languages;
mod linters;
mod setup;
mod soak;
mod term;
mod test;
mod windows;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};
use workspace::Workspace;

/// A command: its name, what may follow it, what it does, and an example.
struct Help {
    name: &'static str,
    arguments: &'static str,
    says: &'static str,
    example: &'static str,
}

const COMMANDS: [Help; 8] = [
    Help {
        name: "setup",
        arguments: "",
        says: "installs what is missing to build plugins and to run the tests",
        example: "cargo xtask setup",
    },
    Help {
        name: "build",
        arguments: "",
        says: "builds host, plugins and the guests of the tests: a plain `cargo test --workspace` works after it",
        example: "cargo xtask build && cargo test -p dropforge-tests --test intake",
    },
    Help {
        name: "demo",
        arguments: " [--stay]",
        says: "starts Dropforge on real files, hot-drops a converter, and shows what comes out
--stay keeps it running until Ctrl-C",
        example: "cargo xtask demo --stay",
    },
    Help {
        name: "test",
        arguments: " [ARG...]",
        says: "runs everything that must pass: format, lints, Windows, dependencies, unit, doc and end-to-end tests
arguments go to `cargo test --workspace`",
        example: "cargo xtask test --no-fail-fast",
    },
    Help {
        name: "windows",
        arguments: "",
        says: "builds the program for Windows, and has an end-to-end test run it under Wine; so does `test` with DROPFORGE_TEST_WINE=1",
        example: "cargo xtask windows",
    },
    Help {
        name: "soak",
        arguments: " [--minutes N]",
        says: "runs a daemon under a mixed load, 3 minutes if not told otherwise; prints what it measured, and draws it",
        example: "cargo xtask soak --minutes 60",
    },
    Help {
        name: "bench",
        arguments: " [ROWS|converters]",
        says: "converts large tables (2,000,000 rows, 139 MB) and shows speed and memory beside the same code natively, xan, DuckDB,
Polars and Miller, whichever of them are there
`converters`: converts what stations write, made longer, with each converter of reports, beside a mere copy",
        example: "cargo xtask bench 500,000",
    },
    Help {
        name: "dist",
        arguments: " [--profile dev|release] [--targets TARGET,...] [--twice]",
        says: "builds the binary with the converters inside, and packs it: .tar.gz, .deb or .zip, check sums, a list of what is inside
--targets  such as x86_64-unknown-linux-gnu,x86_64-pc-windows-gnu; this machine's own if not said
--twice    packs everything a second time, and fails where a byte differs",
        example: "cargo xtask dist --twice",
    },
];

impl Help {
    fn text(&self) -> String {
        let Help { name, arguments, says, example } = self;
        format!("usage: cargo xtask {name}{arguments}\n\n{says}\n\nExample:\n  {example}")
    }
}

fn usage() -> String {
    let commands: String = COMMANDS
        .iter()
        .map(|Help { name, arguments, says, .. }| format!("  {name}{arguments}\n      {}\n", says.replace('\n', "\n      ")))
        .collect();
    format!(
        "usage: cargo xtask COMMAND\n\n{commands}\nEverything that these commands make is in the target folder. `cargo xtask COMMAND --help` has an example."
    )
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            term::failed(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let workspace = || Workspace::find();
    if let [name, "--help" | "-h"] | ["help", name] = arguments.as_slice()
        && let Some(help) = COMMANDS.iter().find(|help| help.name == *name)
    {
        println!("{}", help.text());
        return Ok(());
    }
    match arguments.as_slice() {
        ["setup"] => setup::all(&workspace()?),
        ["build"] => setup::wasm_section(&workspace()?).and_then(|()| build::all(&workspace()?)),
        ["demo"] => demo::run(&workspace()?, false),
        ["demo", "--stay"] => demo::run(&workspace()?, true),
        ["test", rest @ ..] => test::run(&workspace()?, rest),
        ["dist", rest @ ..] => dist::run(&workspace()?, rest),
        ["windows"] => windows::run(&workspace()?),
        ["soak"] => soak::run(&workspace()?, "3"),
        ["soak", "--minutes", minutes] => match minutes.parse::<f64>() {
            Ok(number) if number >= 2.0 => soak::run(&workspace()?, minutes),
            _ => bail!("`{minutes}` is no number of minutes from 2 on"),
        },
        ["bench"] => bench::run(&workspace()?, bench::ROWS),
        ["bench", "converters"] => converters::run(&workspace()?),
        ["bench", rows] => match rows.replace(['_', ','], "").parse() {
            Ok(rows) if rows > 0 => bench::run(&workspace()?, rows),
            _ => bail!("`{rows}` is no number of rows"),
        },
        ["help" | "-h" | "--help"] | [] => {
            println!("{}", usage());
            Ok(())
        }
        other => bail!("`{}` is not a command\n\n{}", other.join(" "), usage()),
    }
}
