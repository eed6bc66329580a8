//! `dropforge queue`: what waits, what failed, and what became of every job. It reads the queue itself, so it works whether a daemon runs
//! or not; a running one notices what is changed.

mod show;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};

use super::config::ConfigArgs;
use super::table::align;
use super::{Usage, print};
use crate::config::Config;
use crate::delivery::purge as purge_dead;
use crate::queue::{Filter, JobSummary, QUEUE_FILE, Store};

/// Look into the queue, and set failed jobs going again
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dropforge queue status
  dropforge queue list --attention
  dropforge queue list --attribute serial=SN0042
  dropforge queue show 3f09c2a1
  dropforge queue retry --route ict --error-type upstream
  dropforge queue purge --undelivered http:/api/reports --yes")]
pub(super) struct QueueArgs {
    #[command(subcommand)]
    command: QueueCommand,
}

#[derive(Debug, Subcommand)]
enum QueueCommand {
    /// How much waits, and for what
    Status(StatusArgs),
    /// The jobs that match, the newest first
    List(ListArgs),
    /// Everything about one job: its source, plugin, options, error, documents and deliveries
    Show(show::ShowArgs),
    /// Convert dead letters again, deliver again what was refused, and make due what waits
    Retry(RetryArgs),
    /// Give up dead letters: their files in `failed/`, their documents in the spool and their history are deleted
    Purge(PurgeArgs),
}

/// Where the queue is.
#[derive(Debug, Args)]
pub(super) struct StateArgs {
    /// The configuration of the daemon: it says where its state folder is
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The state folder of the daemon
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl StateArgs {
    /// As much of the configuration as says where the daemon is.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        let args = ConfigArgs { config: self.config.clone(), state: self.state.clone(), ..ConfigArgs::default() };
        args.locate()
    }

    /// The configuration, and the queue beside the daemon.
    ///
    /// # Errors
    /// Where there is no queue, or it is of another version.
    pub(super) fn open(&self) -> anyhow::Result<(Config, Store)> {
        let config = self.config()?;
        let store = Store::beside(&config.state_dir.join(QUEUE_FILE))?;
        Ok((config, store))
    }
}

/// Which jobs are meant.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which jobs")]
pub(super) struct FilterArgs {
    /// Of this route
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// Whose source has this path below the intake, or this file name; `*` and `?` stand for anything
    #[arg(long, value_name = "PATTERN")]
    path: Option<String>,
    /// Whose source or document has a SHA-256 that begins so
    #[arg(long, value_name = "HEX")]
    digest: Option<String>,
    /// With a document that has this attribute, such as `serial=SN0042`
    #[arg(long, value_name = "NAME=VALUE")]
    attribute: Option<String>,
    /// In this state
    #[arg(long, value_parser = ["queued", "running", "committed", "settled"])]
    job_state: Option<String>,
    /// That ended so
    #[arg(long, value_parser = ["converted", "partial", "skipped", "rejected", "failed"])]
    outcome: Option<String>,
    /// That failed with this error type
    #[arg(long, value_name = "TYPE")]
    error_type: Option<String>,
    /// That this converter took
    #[arg(long, value_name = "NAME")]
    converter: Option<String>,
    /// Converted by a plugin whose digest begins so
    #[arg(long, value_name = "HEX")]
    plugin: Option<String>,
    /// That wait for somebody: failed, rejected or skipped, or refused by a destination
    #[arg(long)]
    dead: bool,
    /// That somebody should look at: those, and files that were converted only in part
    #[arg(long)]
    attention: bool,
    /// Queued at this time or later: `2026-11-22`, `2026-11-22T08:00:00Z`, or `3h` and `2d` for so long ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<i64>,
    /// Queued before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    before: Option<i64>,
}

impl FilterArgs {
    /// The filter that the arguments mean.
    pub(super) fn filter(&self) -> Filter {
        Filter {
            route: self.route.clone(),
            path: self.path.clone(),
            digest: self.digest.clone(),
            attribute: self.attribute.clone(),
            state: self.job_state.clone(),
            outcome: self.outcome.clone(),
            error_type: self.error_type.clone(),
            converter: self.converter.clone(),
            plugin: self.plugin.clone(),
            dead: self.dead,
            attention: self.attention,
            since_ms: self.since,
            before_ms: self.before,
        }
    }
}

/// A moment in milliseconds since the epoch: a time, a UTC day, or how long ago.
fn moment(text: &str) -> Result<i64, String> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(time.as_millisecond());
    }
    if let Ok(day) = text.parse::<jiff::civil::Date>() {
        return day.to_zoned(jiff::tz::TimeZone::UTC).map(|start| start.timestamp().as_millisecond()).map_err(|error| error.to_string());
    }
    let ago: jiff::SignedDuration = text.parse().or_else(|_| days(text)).map_err(|()| {
        "write a time such as 2026-11-22T08:00:00Z, a day such as 2026-11-22, or how long ago, such as 3h or 2d".to_string()
    })?;
    Ok((jiff::Timestamp::now() - ago).as_millisecond())
}

/// `2d`: jiff's durations have no days, because days differ in length; ours have 24 hours.
fn days(text: &str) -> Result<jiff::SignedDuration, ()> {
    let days: i64 = text.strip_suffix('d').and_then(|number| number.trim().parse().ok()).ok_or(())?;
    days.checked_mul(24).map(jiff::SignedDuration::from_hours).ok_or(())
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  dropforge queue status --state /var/lib/dropforge")]
struct StatusArgs {
    #[command(flatten)]
    state: StateArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dropforge queue list --attention
  dropforge queue list --attribute serial=SN0042 --since 30d
  dropforge queue list --outcome failed --json")]
struct ListArgs {
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 50, value_name = "N")]
    limit: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dropforge queue retry --path panel7.csv
  dropforge queue retry --error-type upstream --since 1d")]
struct RetryArgs {
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// All that failed or waits, where nothing says which
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dropforge queue purge --route ict --before 90d      # only say what
  dropforge queue purge --route ict --before 90d --yes")]
struct PurgeArgs {
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// Every dead letter, where nothing says which
    #[arg(long)]
    all: bool,
    /// Instead of dead letters, give up what waits for this destination, as `queue show` calls it: it will never take it
    #[arg(long, value_name = "DESTINATION")]
    undelivered: Option<String>,
    /// Do it: what is deleted does not come back
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(args: QueueArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        QueueCommand::Status(args) => status(&args),
        QueueCommand::List(args) => list(&args),
        QueueCommand::Show(args) => show::show(&args),
        QueueCommand::Retry(args) => retry(&args),
        QueueCommand::Purge(args) => purge(&args),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn status(args: &StatusArgs) -> anyhow::Result<()> {
    let (_, store) = args.state.open()?;
    let sizes = store.sizes()?;
    if args.json {
        return Ok(print(&(serde_json::to_string_pretty(&sizes.form())? + "\n"))?);
    }
    let mut rows = vec![["to convert".to_string(), sizes.due.to_string(), age(sizes.oldest_ms, sizes.due)]];
    for (reason, count) in &sizes.waiting {
        rows.push([format!("waiting: {reason}"), count.to_string(), meaning(reason).to_string()]);
    }
    rows.push(["to deliver".to_string(), sizes.deliverable.to_string(), age(sizes.oldest_undelivered_ms, sizes.deliverable)]);
    rows.push(["delivery failed, tried again".to_string(), sizes.backing_off.to_string(), String::new()]);
    rows.push(["delivery refused".to_string(), sizes.refused.to_string(), "see `dropforge queue list --dead`".into()]);
    rows.push(["in the spool".to_string(), format!("{} bytes", sizes.spool_bytes), String::new()]);
    let mut routes: Vec<_> = sizes.dead_letters.iter().collect();
    routes.sort();
    for (route, count) in routes {
        rows.push([format!("dead letters of {route}"), count.to_string(), "see `dropforge queue list --dead`".into()]);
    }
    Ok(print(&align(&rows))?)
}

/// A number with its noun.
fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn age(milliseconds: u64, count: u64) -> String {
    if count == 0 { String::new() } else { format!("the oldest for {:.1} s", milliseconds as f64 / 1e3) }
}

fn meaning(reason: &str) -> &'static str {
    match reason {
        "retry" => "an error that may pass",
        "suspended" => "their converter asked for time, or for another file",
        "converter" => "the converter that their route names is not loaded",
        "plugin_suspended" => "their converter failed again and again, and is left alone for a while",
        "busy" => "as many run with their converter as may",
        "route" => "their route is not configured",
        "paused" => "somebody has paused their route or their converter",
        _ => "",
    }
}

fn list(args: &ListArgs) -> anyhow::Result<()> {
    let (_, store) = args.state.open()?;
    let jobs = store.jobs(&args.filter.filter(), args.limit)?;
    if args.json {
        return Ok(print(&(serde_json::to_string_pretty(&jobs)? + "\n"))?);
    }
    if jobs.is_empty() {
        return Ok(print("No job matches.\n")?);
    }
    let mut rows = vec![["JOB", "QUEUED", "ROUTE", "STATE", "CONVERTER", "DOCUMENTS", "PATH"].map(str::to_owned)];
    rows.extend(jobs.iter().map(row));
    print(&align(&rows))?;
    if jobs.len() == args.limit && io::stderr().is_terminal() {
        eprintln!("There may be more: --limit N, or a filter.");
    }
    Ok(())
}

fn row(job: &JobSummary) -> [String; 7] {
    let seconds: String = job.queued_at.chars().take(19).collect();
    [
        job.id.chars().take(12).collect(),
        seconds + "Z",
        job.route.clone(),
        state(job),
        job.converter.clone().unwrap_or_default(),
        job.documents.to_string(),
        job.path.clone(),
    ]
}

/// The state in words that fit a column.
fn state(job: &JobSummary) -> String {
    let outcome = match (&job.outcome, &job.error_type) {
        (Some(outcome), Some(error_type)) => format!("{outcome} ({error_type})"),
        (Some(outcome), None) => outcome.clone(),
        (None, _) => String::new(),
    };
    match (job.state.as_str(), &job.waiting) {
        ("queued", Some(reason)) => format!("waits ({reason})"),
        ("settled", _) => outcome,
        ("committed", _) if job.dead_deliveries > 0 => format!("{outcome}, refused"),
        ("committed", _) => format!("{outcome}, to deliver"),
        (state, _) => state.into(),
    }
}

fn retry(args: &RetryArgs) -> anyhow::Result<()> {
    let filter = chosen(&args.filter, args.all)?;
    let (_, store) = args.state.open()?;
    let retried = store.retry(&filter)?;
    Ok(print(&format!(
        "{} converted again, {} due now, {} tried again\n",
        retried.converted_again,
        retried.due_now,
        counted(retried.delivered_again, "delivery", "deliveries")
    ))?)
}

/// The filter, which must mean something: a forgotten argument must not mean everything.
pub(super) fn chosen(args: &FilterArgs, all: bool) -> Result<Filter, Usage> {
    let filter = args.filter();
    if filter == Filter::default() && !all {
        return Err(Usage("say which jobs are meant, with --path, --route or another filter, or --all".into()));
    }
    Ok(filter)
}

fn purge(args: &PurgeArgs) -> anyhow::Result<()> {
    if let Some(destination) = &args.undelivered {
        return give_up(args, destination);
    }
    let filter = Filter { dead: true, ..chosen(&args.filter, args.all)? };
    let (_, store) = args.state.open()?;
    if !args.yes {
        let (dead_letters, deliveries) = store.count_dead(&filter)?;
        bail!(Usage(format!(
            "this would delete {} with their files, and give up {} with their documents; add --yes to do it",
            counted(dead_letters, "dead letter", "dead letters"),
            counted(deliveries, "refused delivery", "refused deliveries")
        )));
    }
    let purged = purge_dead(&store, &filter)?;
    Ok(print(&format!(
        "{} deleted, {} given up\n",
        counted(purged.dead_letters, "dead letter", "dead letters"),
        counted(purged.deliveries, "refused delivery", "refused deliveries")
    ))?)
}

fn give_up(args: &PurgeArgs, destination: &str) -> anyhow::Result<()> {
    let (filter, (_, store)) = (args.filter.filter(), args.state.open()?);
    let jobs = store.count_undelivered(&filter, destination)?;
    if jobs == 0 {
        let awaited: Vec<String> = store.awaited_destinations()?.into_iter().map(|(name, jobs)| format!("{name} ({jobs})")).collect();
        let awaited = if awaited.is_empty() { "nothing waits for any".to_owned() } else { format!("jobs wait for {}", awaited.join(", ")) };
        bail!("nothing that was meant waits for {destination}; {awaited}");
    }
    if !args.yes {
        bail!(Usage(format!(
            "this would give up the documents of {} for {destination}; add --yes to do it",
            counted(jobs, "job that waits", "jobs that wait")
        )));
    }
    let given_up = store.give_up_destination(&filter, destination)?;
    Ok(print(&format!("the documents of {} for {destination} given up\n", counted(given_up, "job", "jobs")))?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_times_days_or_how_long_ago() {
        assert_eq!(moment("1970-01-01T00:00:01Z"), Ok(1_000));
        assert_eq!(moment("1970-01-02"), Ok(86_400_000));
        for (text, minutes) in [("3h", 180), ("2d", 2_880), ("90m", 90)] {
            let then = moment(text).unwrap();
            let ago = jiff::Timestamp::now().as_millisecond() - then;
            assert!((minutes * 60_000..minutes * 60_000 + 60_000).contains(&ago), "{text}: {ago} ms");
        }
        assert!(moment("yesterday").unwrap_err().contains("2d"));
    }
}
