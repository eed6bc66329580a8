//! `dropforge route`: how the routes of a running daemon are doing, and which may.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde::Deserialize;

use super::api::DaemonArgs;
use super::pause::{PauseArgs, ResumeArgs, pause, resume};
use super::print;
use super::table::{align, thousands};

/// Look at the routes of a running daemon, pause one, and have it go on
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dropforge route list
  dropforge route pause ict --reason 'station 4 is being moved'
  dropforge route resume ict")]
pub(super) struct RouteArgs {
    #[command(subcommand)]
    command: RouteCommand,
}

#[derive(Debug, Subcommand)]
enum RouteCommand {
    /// Each route: its converter, its intake, its destinations, and how it is doing
    #[command(after_help = "Example:\n  dropforge route list --json")]
    List {
        #[command(flatten)]
        daemon: DaemonArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take in and convert nothing of it, also after a restart, until it is resumed; files wait where they are
    #[command(after_help = "Example:\n  dropforge route pause ict --reason 'station 4 is being moved'")]
    Pause(PauseArgs),
    /// End its pause
    #[command(after_help = "Example:\n  dropforge route resume ict")]
    Resume(ResumeArgs),
}

/// What the API says of a route, as far as it is shown.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Route {
    pub(super) name: String,
    pub(super) converter: String,
    intake: Option<String>,
    up: Option<bool>,
    pub(super) waiting: u64,
    failing: u64,
    held_back: Option<String>,
    paused: Option<Paused>,
    destinations: Vec<String>,
    dry_run: bool,
}

#[derive(Debug, Clone, Deserialize)]
struct Paused {
    since: String,
    reason: Option<String>,
}

pub(super) fn run(args: RouteArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        RouteCommand::List { daemon, json } => {
            let answer = daemon.api()?.get("/api/v1/routes")?;
            if json {
                print(&(serde_json::to_string_pretty(&answer)? + "\n"))?;
            } else {
                let routes: Vec<Route> =
                    serde_json::from_value(answer).context("the daemon's answer is not understood: is it another version of Dropforge?")?;
                print(&table(&routes))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        RouteCommand::Pause(args) => pause("routes", args),
        RouteCommand::Resume(args) => resume("routes", args),
    }
}

impl Route {
    /// How it is doing, the worst first.
    pub(super) fn state(&self) -> String {
        match self {
            Route { paused: Some(paused), .. } => {
                let reason = paused.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                format!("paused since {}{reason}", paused.since)
            }
            Route { up: Some(false), .. } => "its folder cannot be read".to_owned(),
            Route { held_back: Some(reason), .. } => format!("held back: {reason}"),
            Route { failing: 1.., .. } => format!("{} files cannot be taken", thousands(self.failing)),
            Route { dry_run: true, .. } => "dry run: nothing is delivered or moved".to_owned(),
            _ => "running".to_owned(),
        }
    }
}

/// The routes as a table.
pub(super) fn table(routes: &[Route]) -> String {
    let mut rows = vec![["ROUTE", "CONVERTER", "INTAKE", "WAITING", "DESTINATIONS", "STATE"].map(str::to_owned)];
    rows.extend(routes.iter().map(|route| {
        let intake = route.intake.clone().unwrap_or_else(|| "posted files".to_owned());
        [route.name.clone(), route.converter.clone(), intake, thousands(route.waiting), route.destinations.join(", "), route.state()]
    }));
    align(&rows)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_table_says_how_each_route_is_doing() {
        let route = |name: &str, more: serde_json::Value| {
            let mut route = json!({
                "name": name, "converter": "auto", "intake": "drop", "up": true, "waiting": 1200, "failing": 0, "held_back": null,
                "paused": null, "destinations": ["folder:out"], "dry_run": false
            });
            route.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value::<Route>(route).unwrap()
        };
        let routes = [
            route("a", json!({})),
            route(
                "b",
                json!({ "intake": null, "up": null, "waiting": 0, "paused": { "since": "2026-11-22T10:00:00.000Z", "reason": "moved" } }),
            ),
            route("c", json!({ "up": false })),
            route("d", json!({ "held_back": "the disk is full" })),
            route("e", json!({ "failing": 2 })),
            route("f", json!({ "dry_run": true })),
        ];
        let expected = "\
ROUTE  CONVERTER  INTAKE        WAITING  DESTINATIONS  STATE
a      auto       drop          1,200    folder:out    running
b      auto       posted files  0        folder:out    paused since 2026-11-22T10:00:00.000Z: moved
c      auto       drop          1,200    folder:out    its folder cannot be read
d      auto       drop          1,200    folder:out    held back: the disk is full
e      auto       drop          1,200    folder:out    2 files cannot be taken
f      auto       drop          1,200    folder:out    dry run: nothing is delivered or moved
";
        assert_eq!(table(&routes), expected);
    }
}
