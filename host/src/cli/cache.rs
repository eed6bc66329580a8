//! `dropforge cache`: what a running daemon keeps, and making it forget. The caches are in its memory, so it is the daemon that is asked.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::api::{Api, DaemonArgs};
use super::print;
use super::table::{align, thousands};
use crate::cache::CacheStats;

/// Look into the caches of a running daemon, and empty them
///
/// `http_response` holds answers of the upstream server to look-ups, `conversion` results of conversions.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dropforge cache stats
  dropforge cache clear http_response
  dropforge cache invalidate '/api/operations/*'")]
pub(super) struct CacheArgs {
    #[command(subcommand)]
    command: CacheCommand,
}

#[derive(Debug, Subcommand)]
enum CacheCommand {
    /// How full each cache is, and how often it could answer since the daemon's start
    #[command(after_help = "Example:\n  dropforge cache stats --json")]
    Stats {
        #[command(flatten)]
        daemon: DaemonArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget everything in one cache, or in all
    #[command(after_help = "Example:\n  dropforge cache clear conversion")]
    Clear {
        #[command(flatten)]
        daemon: DaemonArgs,
        /// Which cache; all if absent
        #[arg(value_parser = ["http_response", "conversion"])]
        cache: Option<String>,
    },
    /// Forget the upstream server's answers whose path matches
    ///
    /// The pattern is that of `lookup_paths`: a path below `upstream.url` that begins with `/`; `*` stands for any part between two `/`, `**` for
    /// any number of them. What follows a `?` in an address does not matter.
    #[command(after_help = "Example:\n  dropforge cache invalidate '/api/operations/*'")]
    Invalidate {
        #[command(flatten)]
        daemon: DaemonArgs,
        /// Such as '/api/operations/*'; in quotes, so that the shell leaves it alone
        pattern: String,
    },
}

pub(super) fn run(args: CacheArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        CacheCommand::Stats { daemon, json } => {
            let answer = daemon.api()?.get("/api/v1/cache")?;
            if json {
                print(&(serde_json::to_string_pretty(&answer)? + "\n"))?;
            } else {
                let caches: Vec<CacheStats> =
                    serde_json::from_value(answer).context("the daemon's answer is not understood: is it another version of Dropforge?")?;
                print(&table(&caches))?;
            }
        }
        CacheCommand::Clear { daemon, cache } => {
            let wanted = cache.map_or(json!({}), |cache| json!({ "cache": cache }));
            forget(&daemon.api()?, "clear", &wanted)?;
        }
        CacheCommand::Invalidate { daemon, pattern } => forget(&daemon.api()?, "invalidate", &json!({ "pattern": pattern }))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn forget(api: &Api, action: &str, wanted: &Value) -> anyhow::Result<()> {
    let answer = api.post(&format!("/api/v1/cache/{action}"), wanted)?;
    let removed = answer.get("removed").and_then(Value::as_u64).unwrap_or_default();
    print(&format!("{} {} forgotten\n", thousands(removed), if removed == 1 { "entry is" } else { "entries are" }))?;
    Ok(())
}

fn table(caches: &[CacheStats]) -> String {
    if caches.is_empty() {
        return "The caches are switched off: `enable_cache` and `result_cache.enabled` are false.\n".to_owned();
    }
    let mut rows = vec![["CACHE", "ENTRIES", "OF", "BYTES", "OF", "HITS", "MISSES", "HIT RATE", "EVICTIONS"].map(str::to_owned)];
    rows.extend(caches.iter().map(|cache| {
        let [entries, most, bytes, most_bytes, hits, misses, evictions] =
            [cache.entries, cache.max_entries, cache.bytes, cache.max_bytes, cache.hits, cache.misses, cache.evictions].map(thousands);
        let rate = format!("{:.1} %", cache.hit_rate * 100.0);
        [cache.name.clone(), entries, most, bytes, most_bytes, hits, misses, rate, evictions]
    }));
    align(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_how_each_cache_is_doing() {
        let stats = CacheStats {
            name: "http_response".to_owned(),
            entries: 2,
            max_entries: 1000,
            bytes: 3456,
            max_bytes: 1 << 20,
            hits: 2,
            misses: 1,
            evictions: 0,
            hit_rate: 2.0 / 3.0,
        };
        let expected = "\
CACHE          ENTRIES  OF     BYTES  OF         HITS  MISSES  HIT RATE  EVICTIONS
http_response  2        1,000  3,456  1,048,576  2     1       66.7 %    0
";
        assert_eq!(table(&[stats]), expected);
        assert!(table(&[]).contains("enable_cache"));
    }
}
