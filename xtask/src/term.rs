//! What people see: sections, steps with what they took, and lines below them. Colours only on a terminal.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

fn paint(code: &str, text: impl Display) -> String {
    if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_string()
    }
}

/// Text that stands out.
pub(crate) fn bold(text: impl Display) -> String {
    paint("1", text)
}

/// Text that stays back.
pub(crate) fn dim(text: impl Display) -> String {
    paint("2", text)
}

/// Begins a part.
pub(crate) fn section(title: &str) {
    println!("\n{}", bold(format!("== {title}")));
}

/// A line for people, indented.
pub(crate) fn say(text: impl Display) {
    for line in text.to_string().lines() {
        println!("   {line}");
    }
}

/// The last line of a command that failed.
pub(crate) fn failed(message: &str) {
    eprintln!("\n{} {message}", paint("31;1", "xtask: failed:"));
}

/// A duration as people say it.
pub(crate) fn seconds(duration: Duration) -> String {
    match duration.as_secs() {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

/// A step that is quick: says its name, does it, says what came of it and how long it took.
///
/// # Errors
/// What the step gives.
pub(crate) fn step(name: &str, work: impl FnOnce() -> Result<String>) -> Result<()> {
    print!(" - {name}: ");
    // Nobody to read it is no reason to stop.
    let _ = std::io::stdout().flush();
    let start = Instant::now();
    match work() {
        Ok(outcome) => {
            println!("{outcome} {}", dim(format!("({})", seconds(start.elapsed()))));
            Ok(())
        }
        Err(error) => {
            println!("{}", paint("31", "failed"));
            Err(error)
        }
    }
}

/// Inside a step: says what is done now that takes a while.
pub(crate) fn progress(what: &str) {
    print!("{what} ... ");
    let _ = std::io::stdout().flush();
}

/// A command whose output people want to see while it runs.
///
/// # Errors
/// Where it cannot be started, or fails; both name it.
pub(crate) fn command(name: &str, command: &mut Command) -> Result<()> {
    let line = shown(command);
    println!(" - {name}: {}", dim(&line));
    let start = Instant::now();
    let status = command.status().with_context(|| format!("cannot start `{line}`"))?;
    let took = seconds(start.elapsed());
    if !status.success() {
        bail!("{name}: `{line}` ended with {status} after {took}");
    }
    println!("   {} {}", paint("32", "ok"), dim(format!("({took})")));
    Ok(())
}

/// A command as it would be typed.
pub(crate) fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program()).file_stem().unwrap_or(command.get_program());
    let parts = std::iter::once(program).chain(command.get_args());
    parts.map(|part| part.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
