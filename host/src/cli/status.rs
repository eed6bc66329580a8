//! `dropforge status`: how a running daemon is doing, on one page.

use std::process::ExitCode;

use clap::Args;

use super::api::DaemonArgs;
use super::overview::{Overview, converter_state};
use super::print;
use super::route;
use super::table::{align, printable, thousands};

/// Say on one page how a running daemon is doing
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dropforge status
  dropforge status -c dropforge.toml --json

Exit codes: 0 ready, 1 not ready or no daemon, 2 wrong usage.")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    daemon: DaemonArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let (overview, answer) = Overview::ask(&args.daemon.api()?)?;
    print(&if args.json { serde_json::to_string_pretty(&answer)? + "\n" } else { page(&overview) })?;
    Ok(if overview.status == "ready" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn page(overview: &Overview) -> String {
    let mut page: String = overview.head().iter().map(|line| printable(line) + "\n").collect();
    page.push('\n');
    page.push_str(&route::table(&overview.routes));
    let mut rows = vec![["CONVERTER", "VERSION", "CONVERTED", "FAILED", "OTHER", "MEAN", "STATE"].map(str::to_owned)];
    rows.extend(overview.converters().into_iter().map(|(name, totals, plugin)| {
        let version = plugin.and_then(|plugin| plugin.running.as_ref()).map_or_else(String::new, |running| running.version.clone());
        let other = ["skipped", "suspended", "rejected"].map(|status| totals.of(status)).iter().sum();
        let [converted, failed, other] = [totals.converted(), totals.failed(), other].map(thousands);
        [name, version, converted, failed, other, totals.mean(), converter_state(plugin)]
    }));
    page.push('\n');
    page.push_str(&align(&rows));
    for (file, reason) in overview.refused() {
        page.push_str(&format!("{} is refused: {}\n", printable(file), printable(reason)));
    }
    let mut rows = vec![["DESTINATION", "DELIVERED", "FAILED", "STATE"].map(str::to_owned)];
    rows.extend(
        overview.totals.destinations.iter().map(|(name, totals)| {
            [name.clone(), thousands(totals.of("success")), thousands(totals.of("error")), totals.state().to_owned()]
        }),
    );
    page.push('\n');
    page.push_str(&align(&rows));
    page
}
