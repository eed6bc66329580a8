//! Looks over everything that a daemon needs before one runs, or beside it: each finding says what is so, and what to do where it is not
//! right. It changes nothing but for files that it writes to see whether it may, and removes at once.

mod folders;
mod network;
mod plugins;
mod system;

use serde::Serialize;

use crate::config::Config;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It is as it should be.
    Ok,
    /// It works, but hardly as somebody meant it.
    Warning,
    /// It does not work.
    Problem,
}

/// What was found in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was looked at: `route ict`, `disk`.
    pub subject: String,
    /// What is so.
    pub text: String,
    /// What to do; empty where nothing is to be done.
    pub remedy: String,
}

/// What was found, in the order in which it was looked at.
#[derive(Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, subject: &str, text: impl Into<String>) {
        self.add(Severity::Ok, subject, text.into(), String::new());
    }

    fn warning(&mut self, subject: &str, text: impl Into<String>, remedy: impl Into<String>) {
        self.add(Severity::Warning, subject, text.into(), remedy.into());
    }

    fn problem(&mut self, subject: &str, text: impl Into<String>, remedy: impl Into<String>) {
        self.add(Severity::Problem, subject, text.into(), remedy.into());
    }

    fn add(&mut self, severity: Severity, subject: &str, text: String, remedy: String) {
        self.0.push(Finding { severity, subject: subject.to_owned(), text, remedy });
    }
}

/// Looks at everything that this configuration needs. It may take half a minute where a server does not answer.
///
/// # Errors
/// Where the program itself cannot start what it needs to look: threads, a sandbox.
pub fn examine(config: &Config, warnings: &[String]) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Findings::default();
    match warnings {
        [] => findings.ok("configuration", "it is valid"),
        warnings => {
            for warning in warnings {
                findings.warning("configuration", warning.clone(), "mend it; `dropforge config check` says whether you have");
            }
        }
    }
    folders::examine(config, &mut findings);
    plugins::examine(config, &mut findings)?;
    network::examine(config, &mut findings)?;
    system::examine(config, &mut findings);
    Ok(findings.0)
}
