//! `dropforge queue show`: everything about one job, what is wrong with it first.

use anyhow::bail;
use clap::Args;
use serde_json::Value;

use super::super::print;
use super::super::table::align;
use super::{StateArgs, state};
use crate::queue::JobRecord;
use crate::sandbox::ConversionError;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  dropforge queue show 3f09c2a1")]
pub(super) struct ShowArgs {
    #[command(flatten)]
    state: StateArgs,
    /// The job's id, or its beginning
    id: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn show(args: &ShowArgs) -> anyhow::Result<()> {
    let (_, store) = args.state.open()?;
    let Some(job) = store.job(&args.id)? else {
        bail!("no job, or more than one, has an id that begins with {:?}; `dropforge queue list` shows them", args.id);
    };
    if args.json {
        return Ok(print(&(serde_json::to_string_pretty(&job)? + "\n"))?);
    }
    Ok(print(&text(&job))?)
}

fn text(job: &JobRecord) -> String {
    let summary = &job.summary;
    let or_dash = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
    let plugin = match (&summary.plugin_version, &summary.plugin_digest) {
        (Some(version), Some(digest)) if !digest.is_empty() => format!("{version}, sha256:{digest}"),
        _ => "-".into(),
    };
    let facts = [
        ("route", summary.route.clone()),
        ("came by", job.origin.clone()),
        ("size", format!("{} bytes", summary.size)),
        ("sha256", summary.digest.clone()),
        ("priority", summary.priority.to_string()),
        ("attempts", format!("{}, and {} ended with the process", summary.attempts, job.crashes)),
        ("queued", summary.queued_at.clone()),
        ("claimed", or_dash(&job.claimed_at)),
        ("converted", or_dash(&summary.finished_at)),
        ("settled", or_dash(&job.settled_at)),
        ("due", or_dash(&job.due_at)),
        ("converter", or_dash(&summary.converter)),
        ("plugin", plugin),
        ("options", job.options.as_ref().map_or_else(|| "-".into(), ToString::to_string)),
    ];
    let mut rows: Vec<[String; 2]> =
        vec![["job".into(), summary.id.clone()], ["path".into(), summary.path.clone()], ["state".into(), state(summary)]];
    rows.extend(trouble(job));
    rows.push(["source is at".into(), job.location.clone()]);
    rows.extend(facts.map(|(name, value)| [name.to_string(), value]));
    for document in &job.made {
        let digest = document.digest.as_deref().unwrap_or("not recorded");
        rows.push([
            format!("document {}", document.number),
            format!("{}, {}, {} bytes, sha256:{digest}", document.name, document.media_type, document.bytes),
        ]);
    }
    for delivery in &job.deliveries {
        let error = delivery.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
        let response = delivery.response.as_deref().map(|text| format!("; it answered: {text}")).unwrap_or_default();
        rows.push([
            "delivery".to_string(),
            format!("{} {}, {} failed attempts{error}{response}", delivery.destination, delivery.state, delivery.attempts),
        ]);
    }
    let mut text = align(&rows);
    if let Some(detail) = &job.detail {
        text.push_str(&serde_json::to_string_pretty(detail).unwrap_or_default());
        text.push('\n');
    }
    text
}

/// What is wrong with a job, and what to do: the first that somebody wants to know.
fn trouble(job: &JobRecord) -> Vec<[String; 2]> {
    let mut rows = Vec::new();
    let detail = job.detail.as_ref().filter(|_| job.summary.outcome.is_some());
    let said = |value: &Value| match serde_json::from_value::<ConversionError>(value.clone()) {
        Ok(error) => Some((error.error_type.as_str().to_owned(), error.to_string())),
        Err(_) => Some((String::new(), value.get("message")?.as_str()?.to_owned())),
    };
    if let Some((error_type, message)) = detail.and_then(|detail| said(detail.get("error")?)) {
        rows.push(["error".to_owned(), message]);
        let remedy = remedy(&error_type);
        if !remedy.is_empty() {
            rows.push(["what to do".to_owned(), remedy.to_owned()]);
        }
    }
    let problems = detail.and_then(|detail| detail.get("problems")?.as_array()).map(Vec::as_slice).unwrap_or_default();
    let problems: Vec<&Value> =
        problems.iter().filter(|problem| problem.get("severity").is_some_and(|severity| severity == "error")).collect();
    if let Some((_, first)) = problems.first().and_then(|problem| said(problem.get("error").unwrap_or(problem))) {
        let more = if problems.len() > 1 { format!(" (and {} more, below)", problems.len() - 1) } else { String::new() };
        rows.push(["in part".to_owned(), format!("{first}{more}")]);
        let remedy =
            "what could be read was delivered; mend the source and drop it again, or, for a newer plugin, `dropforge replay --deliver`";
        rows.push(["what to do".to_owned(), remedy.to_owned()]);
    }
    for delivery in job.deliveries.iter().filter(|delivery| delivery.state == "dead") {
        rows.push([format!("refused by {}", delivery.destination), delivery.error.clone().unwrap_or_default()]);
        rows.push([
            "what to do".to_owned(),
            format!("mend what it complains about, then `dropforge queue retry --path {}`", job.summary.path),
        ]);
    }
    rows
}

/// What to do about an error of this type; docs/operations.md has more.
fn remedy(error_type: &str) -> &'static str {
    match error_type {
        "malformed" => "look at the file at that place; was it taken before it was complete? See the route's `intake.take`",
        "encoding" => "set the converter's option for the encoding, if it has one",
        "validation" => "mend the value, the option or the line of configuration that the message names",
        "missing_field" => "set what is missing in the tester, or in the route's `context` and `options`",
        "unsupported" => "try another converter or a newer version of this one, or raise the limit that is named",
        "upstream" => "see whether the server of [upstream] is well, then `dropforge queue retry`",
        "internal" | "bad_output" => "report it to the author of the plugin, with the sidecar",
        "trap" => "report it to the author of the plugin, with the sidecar; `dropforge plugin rollback` goes back to the version before",
        "timeout" | "memory_limit" | "output_limit" => "raise the limit in `limits` of the route or the plugin, or have the plugin mended",
        "no_converter" => "put a converter for such files into the plugins folder, and it is converted",
        "io" => "check the disk, the share and the rights, then `dropforge queue retry`",
        _ => "",
    }
}
