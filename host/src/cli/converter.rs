//! `dropforge converter`: which converters may convert. What is loaded, and how it came there, is the matter of `dropforge plugin`.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::pause::{PauseArgs, ResumeArgs, pause, resume};

/// Pause a converter of a running daemon, and have it go on
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dropforge converter pause spea --reason 'limits are wrong, wait for 1.3'
  dropforge converter resume spea")]
pub(super) struct ConverterArgs {
    #[command(subcommand)]
    command: ConverterCommand,
}

#[derive(Debug, Subcommand)]
enum ConverterCommand {
    /// Convert nothing with it, also after a restart, until it is resumed; its files wait
    #[command(after_help = "Example:\n  dropforge converter pause spea --reason 'limits are wrong, wait for 1.3'")]
    Pause(PauseArgs),
    /// End its pause
    #[command(after_help = "Example:\n  dropforge converter resume spea")]
    Resume(ResumeArgs),
}

pub(super) fn run(args: ConverterArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        ConverterCommand::Pause(args) => pause("converters", args),
        ConverterCommand::Resume(args) => resume("converters", args),
    }
}
