//! What `dropforge route` and `dropforge converter` share: pausing a part of a running daemon, and having it go on. The daemon is asked, which
//! knows its routes and converters; it remembers a pause through restarts.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::api::DaemonArgs;
use super::{Usage, print};

/// What is to be paused, and why.
#[derive(Debug, Args)]
pub(super) struct PauseArgs {
    /// Its name
    name: String,
    /// What others are to know about it; shown with the pause
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    daemon: DaemonArgs,
}

/// What is to go on.
#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    /// Its name
    name: String,
    #[command(flatten)]
    daemon: DaemonArgs,
}

/// Pauses one of `parts`: `routes` or `converters`.
pub(super) fn pause(parts: &str, args: PauseArgs) -> anyhow::Result<ExitCode> {
    let answer = args.daemon.api()?.post(&path(parts, &args.name, "pause")?, &json!({ "reason": args.reason }))?;
    say(&args.name, &answer, "is paused: what runs ends, what is converted goes out", "was paused already, and stays so")
}

/// Has one of `parts` go on.
pub(super) fn resume(parts: &str, args: ResumeArgs) -> anyhow::Result<ExitCode> {
    let answer = args.daemon.api()?.post(&path(parts, &args.name, "resume")?, &json!({}))?;
    say(&args.name, &answer, "goes on", "was not paused")
}

fn say(name: &str, answer: &Value, changed: &str, as_before: &str) -> anyhow::Result<ExitCode> {
    let is_changed = answer.get("changed").and_then(Value::as_bool) == Some(true);
    print(&format!("{name} {}\n", if is_changed { changed } else { as_before }))?;
    Ok(ExitCode::SUCCESS)
}

/// # Errors
/// Where the name is none that a route or a converter can have, and would mean another path.
fn path(parts: &str, name: &str, action: &str) -> Result<String, Usage> {
    if name.is_empty() || !name.chars().all(|character| character.is_ascii_alphanumeric() || "_-".contains(character)) {
        return Err(Usage(format!("{name:?} cannot be a name: those have letters, digits, `_` and `-`")));
    }
    Ok(format!("/api/v1/{parts}/{name}/{action}"))
}
