//! `dropforge log-level`: has a running daemon log more, or less.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::api::DaemonArgs;
use super::print;

/// Have a running daemon log more, or less, until its next start
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dropforge log-level debug
  dropforge log-level info,dropforge::intake=trace")]
pub(super) struct LogLevelArgs {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,dropforge::intake=debug`
    level: String,
    #[command(flatten)]
    daemon: DaemonArgs,
}

pub(super) fn run(args: &LogLevelArgs) -> anyhow::Result<ExitCode> {
    args.daemon.api()?.post("/api/v1/log-level", &json!({ "level": args.level }))?;
    print(&format!("the daemon logs by {} now\n", args.level))?;
    Ok(ExitCode::SUCCESS)
}
