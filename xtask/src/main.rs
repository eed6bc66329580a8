//! The project's own commands: `cargo xtask setup|build|demo|test|soak|bench|dist`.
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

const USAGE: &str = "\
usage: cargo xtask COMMAND

  setup            installs what is missing to build plugins and to run the tests
  build            builds host, plugins and the guests of the tests: a plain `cargo test --workspace` works after it
  demo [--stay]    starts Dropforge on real files, hot-drops a converter, and shows what comes out
                   --stay keeps it running until Ctrl-C
  test [ARG...]    runs everything that must pass: format, lints, Windows, dependencies, unit, doc and end-to-end tests
                   arguments go to `cargo test --workspace`
  soak [--minutes N]  runs a daemon under a mixed load, 3 minutes if not told otherwise; prints what it measured, and draws it
  bench [ROWS]     converts large tables (2,000,000 rows, 139 MB) and shows speed and memory beside the same code natively, xan, DuckDB,
                   Polars and Miller, whichever of them are there
  bench converters converts what stations write, made longer, with each converter of reports, beside a mere copy
  dist [--profile dev|release] [--targets TARGET,...] [--twice]
                   builds the binary with the converters inside, and packs it: .tar.gz, .deb or .zip, check sums, a list of what is inside
                   --targets  such as x86_64-unknown-linux-gnu,x86_64-pc-windows-gnu; this machine's own if not said
                   --twice    packs everything a second time, and fails where a byte differs

Everything that these commands make is in the target folder.";

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
    match arguments.as_slice() {
        ["setup"] => setup::all(&workspace()?),
        ["build"] => setup::wasm_section(&workspace()?).and_then(|()| build::all(&workspace()?)),
        ["demo"] => demo::run(&workspace()?, false),
        ["demo", "--stay"] => demo::run(&workspace()?, true),
        ["test", rest @ ..] => test::run(&workspace()?, rest),
        ["dist", rest @ ..] => dist::run(&workspace()?, rest),
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
            println!("{USAGE}");
            Ok(())
        }
        other => bail!("`{}` is not a command\n\n{USAGE}", other.join(" ")),
    }
}
