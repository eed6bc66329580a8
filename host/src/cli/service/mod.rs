//! `dropforge service`: the daemon as a service of the system, with a user of its own. It knows nothing of what the daemon does.

#[cfg(target_os = "linux")]
mod steps;
#[cfg(target_os = "linux")]
mod systemd;
#[cfg(windows)]
pub(super) mod windows;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

/// What the service is called.
#[cfg(any(target_os = "linux", windows))]
const NAME: &str = "dropforge";

/// Install, remove and look at the daemon as a service of the system
///
/// On Linux it is a unit of systemd, on Windows a service. Packages for Debian bring their own unit.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sudo dropforge service install          # with a user and folders of its own
  dropforge service install --dry-run     # only print what would be done
  dropforge service status")]
pub(super) struct ServiceArgs {
    #[command(subcommand)]
    command: ServiceCommand,
}

#[derive(Debug, Subcommand)]
enum ServiceCommand {
    /// Install this very program as a service, and start it
    ///
    /// It makes a user for the service, its folders, and a configuration where there is none yet. Installing again takes up another place of
    /// the program or of the configuration; what is in the configuration and in the folders stays.
    #[command(after_help = "Examples:
  sudo dropforge service install
  sudo dropforge service install -c /srv/line3/dropforge.toml
  dropforge service install --root image --dry-run")]
    Install(InstallArgs),
    /// Stop the service and remove it; its configuration, state and files stay
    #[command(after_help = "Example:\n  sudo dropforge service uninstall")]
    Uninstall(UninstallArgs),
    /// Say whether the service is installed and runs; exit with 1 if it does not
    #[command(after_help = "Example:\n  dropforge service status")]
    Status,
}

/// What `service install` takes.
#[derive(Debug, Args)]
struct InstallArgs {
    /// The configuration file; one is written if it is not there [default: /etc/dropforge/dropforge.toml, on Windows
    /// %ProgramData%\Dropforge\dropforge.toml]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The user that it runs as; made if there is none of that name
    #[cfg(target_os = "linux")]
    #[arg(long, value_name = "NAME", default_value = NAME)]
    user: String,
    /// Install into the system below this folder, such as an image; nothing is started
    #[cfg(target_os = "linux")]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Use %ProgramData%\Dropforge although it is there: its files stay, and everybody else's rights in it are taken away
    #[cfg(windows)]
    #[arg(long)]
    take_over: bool,
    /// Only print what would be done
    #[arg(long)]
    dry_run: bool,
}

/// What `service uninstall` takes.
#[derive(Debug, Args)]
struct UninstallArgs {
    /// Remove it from the system below this folder
    #[cfg(target_os = "linux")]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Only print what would be done
    #[arg(long)]
    dry_run: bool,
}

#[cfg(target_os = "linux")]
pub(super) fn run(args: ServiceArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        ServiceCommand::Install(args) => systemd::install(&args),
        ServiceCommand::Uninstall(args) => systemd::uninstall(&args),
        ServiceCommand::Status => systemd::status(),
    }
}

#[cfg(windows)]
pub(super) fn run(args: ServiceArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        ServiceCommand::Install(args) => windows::install(&args),
        ServiceCommand::Uninstall(args) => windows::uninstall(&args),
        ServiceCommand::Status => windows::status(),
    }
}

#[cfg(not(any(target_os = "linux", windows)))]
pub(super) fn run(_args: ServiceArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!(
        "there are services for Linux (systemd) and Windows only; have `dropforge run -c FILE` started by what starts services here"
    )
}
