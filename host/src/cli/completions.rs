//! `dropforge completions`: what a shell needs to complete commands and flags.

use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, print};

/// Print the completions of commands and flags for a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dropforge completions bash > dropforge.bash && source dropforge.bash
  dropforge completions zsh > ~/.zfunc/_dropforge
  dropforge completions powershell >> $PROFILE

Bash finds it by itself in ~/.local/share/bash-completion/completions/dropforge.")]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "dropforge", &mut text);
    print(&String::from_utf8(text)?)?;
    Ok(ExitCode::SUCCESS)
}
