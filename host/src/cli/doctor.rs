//! `dropforge doctor`: looks over what a daemon needs, and says what to do about each thing that is not right.

use std::process::ExitCode;

use clap::Args;

use super::config::{self, ConfigArgs};
use super::print;
use super::table::printable;
use crate::config::Need;
use crate::doctor::{self, Finding, Severity};

/// Look over everything that the daemon needs, and say what to do about what is not right
///
/// Configuration, folders and their disks, permissions, ports, plugins, servers, clock, limits: beside a running daemon or before one runs.
/// Run it as the user of the daemon.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dropforge doctor -c dropforge.toml
  dropforge doctor --inbox in --outbox out --plugins plugins

Exit codes: 0 no problem, 1 a problem, 2 the configuration is wrong.")]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let loaded = match args.config.load(Need::Routes) {
        Ok(loaded) => loaded,
        Err(errors) => return Ok(config::report(&errors)),
    };
    let findings = doctor::examine(&loaded.config, &loaded.warnings)?;
    print(&if args.json { serde_json::to_string_pretty(&findings)? + "\n" } else { page(&findings) })?;
    let well = findings.iter().all(|finding| finding.severity < Severity::Problem);
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn page(findings: &[Finding]) -> String {
    let mut page = String::new();
    for finding in findings {
        let word = match finding.severity {
            Severity::Ok => "ok",
            Severity::Warning => "WARNING",
            Severity::Problem => "PROBLEM",
        };
        page.push_str(&format!("{word:8} {}: {}\n", printable(&finding.subject), printable(&finding.text)));
        if !finding.remedy.is_empty() {
            page.push_str(&format!("         → {}\n", printable(&finding.remedy)));
        }
    }
    let count = |severity, what: &str| {
        let count = findings.iter().filter(|finding| finding.severity == severity).count();
        format!("{count} {what}{}", if count == 1 { "" } else { "s" })
    };
    page.push_str(&format!("{}, {}\n", count(Severity::Problem, "problem"), count(Severity::Warning, "warning")));
    page
}
