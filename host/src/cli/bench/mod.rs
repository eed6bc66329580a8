//! `dropforge bench`: how fast this machine takes files through the whole path, beside a bare loop that does the same by hand, and how the
//! queue's speed depends on its depth. Figures are ratios of two things that ran one after the other: absolute ones depend on the disk.

mod bare;
mod convert;
mod path;
mod plugin;
mod queue;
mod sandbox;
mod scrape;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Measure this machine: files through the whole path, the queue, the sandbox, scrapes
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dropforge bench path --converter plugins/csv.wasm
  dropforge bench queue
  dropforge bench sandbox --converter plugins/csv.wasm
  dropforge bench convert --converter plugins/csv.wasm --input large.csv
  dropforge bench plugin --converter plugins/csv.wasm --input report.csv
  dropforge bench scrape")]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Small CSV files from an inbox to an outbox, beside a bare loop that reads, converts, writes, syncs and renames
    #[command(after_help = "Example:\n  dropforge bench path --converter plugins/csv.wasm --folder /var/tmp")]
    Path(path::PathArgs),
    /// Adding, claiming and completing jobs while many others wait, beside the same while few do
    #[command(after_help = "Example:\n  dropforge bench queue --depth 1000000")]
    Queue(queue::QueueArgs),
    /// One conversion in the sandbox, beside the same on wasmtime alone
    #[command(after_help = "Example:\n  dropforge bench sandbox --converter target/plugins/copy.wasm")]
    Sandbox(sandbox::SandboxArgs),
    /// One file in the sandbox, beside another converter on the same file
    #[command(after_help = "Example:\n  dropforge bench convert --converter spea.wasm --input long.csv --runs 3")]
    Convert(convert::ConvertArgs),
    /// From a plugin's file to its first conversion, beside a bare compilation; and a start with 20 plugins, with and without the cache
    #[command(after_help = "Example:\n  dropforge bench plugin --converter plugins/csv.wasm --input report.csv")]
    Plugin(plugin::PluginArgs),
    /// A scrape with 200 plugins, beside one with 10; and what a worker records meanwhile, beside the same without scrapes
    #[command(after_help = "Example:\n  dropforge bench scrape --many 256")]
    Scrape(scrape::ScrapeArgs),
}

pub(super) fn run(args: &BenchArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        BenchCommand::Path(args) => path::run(args),
        BenchCommand::Queue(args) => queue::run(args),
        BenchCommand::Sandbox(args) => sandbox::run(args),
        BenchCommand::Convert(args) => convert::run(args),
        BenchCommand::Plugin(args) => plugin::run(args),
        BenchCommand::Scrape(args) => scrape::run(args),
    }?;
    Ok(ExitCode::SUCCESS)
}
