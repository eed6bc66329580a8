//! The service as a unit of systemd: the unit of the package, with this program's place, its configuration and its user.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};

use super::super::run::program;
use super::super::table::align;
use super::super::{Usage, print};
use super::steps::{self, Step};
use super::{InstallArgs, NAME, UninstallArgs};

/// The unit that packages install.
const UNIT: &str = include_str!("../../../../deploy/systemd/dropforge.service");
/// The configuration that they install.
const CONFIG: &str = include_str!("../../../../deploy/systemd/dropforge.toml");
/// Where it is put; a package's is in `/usr/lib`, and one of the same name here would hide it.
const UNIT_PATH: &str = "/etc/systemd/system/dropforge.service";
const PACKAGED: [&str; 2] = ["/usr/lib/systemd/system/dropforge.service", "/lib/systemd/system/dropforge.service"];
/// Where the configuration is, if nobody says otherwise.
const CONFIG_PATH: &str = "/etc/dropforge/dropforge.toml";
/// The folder of state, plugins, inbox and outbox, as unit and configuration have it.
const STATE: &str = "/var/lib/dropforge";

pub(super) fn install(args: &InstallArgs) -> anyhow::Result<ExitCode> {
    let root = args.root.as_deref();
    as_root(root, args.dry_run)?;
    no_package(root)?;
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if args.user.is_empty() || !args.user.chars().all(is_plain) {
        bail!(Usage(format!("{:?} cannot be the name of a user: it has a-z, 0-9, - and _", args.user)));
    }
    let config = match &args.config {
        Some(config) => std::path::absolute(config).context("cannot find the working directory")?,
        None => PathBuf::from(CONFIG_PATH),
    };
    let program = program().context("cannot find this program")?;
    reachable(&program, "copy the program to /usr/local/bin, and run it there")?;
    reachable(&config, "copy the configuration to /etc/dropforge, and name it there")?;
    let user = args.user.as_str();
    let mut steps = Vec::new();
    if !is_known(user) {
        steps.push(Step::run([
            "useradd",
            "--system",
            "--user-group",
            "--home-dir",
            STATE,
            "--no-create-home",
            "--shell",
            "/usr/sbin/nologin",
            user,
        ]));
    }
    let folders = [("", 0o750), ("state", 0o750), ("plugins", 0o750), ("in", 0o2770), ("out", 0o750)];
    for (name, mode) in folders {
        let path = Path::new(STATE).join(name);
        let text = path.display().to_string();
        // What is there already stays somebody's.
        let is_new = !path.exists();
        steps.push(Step::Folder { path, mode });
        if is_new {
            // The set-group bit goes with another owner.
            steps.push(Step::run(["chown", &format!("{user}:{user}"), text.trim_end_matches('/')]));
            steps.push(Step::run(["chmod", &format!("{mode:o}"), text.trim_end_matches('/')]));
        }
    }
    steps.push(Step::Write { path: config.clone(), text: CONFIG.to_owned(), keep: true });
    steps.push(Step::Write { path: UNIT_PATH.into(), text: unit(&program, &config, user)?, keep: false });
    steps.push(Step::run(["systemctl", "daemon-reload"]));
    let enable = |before: &[&str]| {
        [&["systemctl"], before, &["enable", "dropforge.service"]].concat().iter().map(|part| (*part).to_owned()).collect()
    };
    steps.push(Step::Run { line: enable(&[]), below_root: Some(enable(&["--root={}"])) });
    steps.push(Step::run(["systemctl", "restart", "dropforge.service"]));
    steps::all(&steps, root, args.dry_run)?;
    if !args.dry_run {
        print(&format!("Installed. Its configuration is {}; after a change: systemctl reload {NAME}\n", config.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn uninstall(args: &UninstallArgs) -> anyhow::Result<ExitCode> {
    let root = args.root.as_deref();
    as_root(root, args.dry_run)?;
    let unit = Path::new(UNIT_PATH);
    if !root.map_or_else(|| unit.to_owned(), |root| root.join(UNIT_PATH.trim_start_matches('/'))).exists() {
        no_package(root)?;
        bail!("the service is not installed: there is no {UNIT_PATH}");
    }
    let disable =
        |before: &[&str]| [&["systemctl"], before, &["disable"]].concat().iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
    let line = [disable(&[]), vec!["--now".to_owned(), "dropforge.service".to_owned()]].concat();
    let below_root = Some([disable(&["--root={}"]), vec!["dropforge.service".to_owned()]].concat());
    let steps = [Step::Run { line, below_root }, Step::Remove(unit.to_owned()), Step::run(["systemctl", "daemon-reload"])];
    steps::all(&steps, root, args.dry_run)?;
    if !args.dry_run {
        print(&format!("Removed. The configuration, {STATE} and the user stay; remove them if they are not needed any more.\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn status() -> anyhow::Result<ExitCode> {
    let asked = [
        ("FragmentPath", "unit"),
        ("UnitFileState", "at start-up"),
        ("ActiveState", "state"),
        ("SubState", "more exactly"),
        ("MainPID", "process"),
        ("StatusText", "says"),
        ("Result", "result"),
    ];
    let names = asked.map(|(property, _)| property).join(",");
    let output = Command::new("systemctl").args(["show", "dropforge.service", "--property", &names]).output();
    let output = output.context("cannot start systemctl: is this system run by systemd?")?;
    if !output.status.success() {
        bail!("systemctl: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let value = |property: &str| text.lines().find_map(|line| line.strip_prefix(property)?.strip_prefix('=')).unwrap_or_default();
    if value("FragmentPath").is_empty() {
        print("The service is not installed.\n")?;
        return Ok(ExitCode::FAILURE);
    }
    let rows: Vec<[String; 2]> = asked.iter().map(|(property, name)| [(*name).to_owned(), value(property).to_owned()]).collect();
    print(&align(&rows))?;
    Ok(if value("ActiveState") == "active" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The package's unit for another place of the program and its configuration.
fn unit(program: &Path, config: &Path, user: &str) -> anyhow::Result<String> {
    let quoted = |path: &Path| -> anyhow::Result<String> {
        let text = path.to_str().with_context(|| format!("the path {} is no UTF-8: choose another", path.display()))?;
        if text.chars().any(char::is_control) {
            bail!("the path {text:?} has control characters: choose another");
        }
        // What systemd reads as something else in a unit.
        Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$")))
    };
    let start = format!("ExecStart={} run -c {}", quoted(program)?, quoted(config)?);
    let lines = UNIT.lines().map(|line| match line.split_once('=') {
        Some(("ExecStart", _)) => start.clone(),
        Some(("User", _)) => format!("User={user}"),
        Some(("Group", _)) => format!("Group={user}"),
        _ => line.to_owned(),
    });
    Ok(lines.map(|line| line + "\n").collect())
}

/// Only root may change the running system.
fn as_root(root: Option<&Path>, dry_run: bool) -> anyhow::Result<()> {
    if dry_run || root.is_some() || rustix::process::geteuid().is_root() {
        return Ok(());
    }
    bail!(Usage("this changes the system: run it with sudo, or with --dry-run to see what it would do".to_owned()))
}

/// A package's service is the package's.
fn no_package(root: Option<&Path>) -> anyhow::Result<()> {
    let at = |path: &str| root.map_or_else(|| PathBuf::from(path), |root| root.join(path.trim_start_matches('/')));
    match PACKAGED.iter().map(|path| at(path)).find(|path| path.exists()) {
        Some(path) => bail!("a package has installed the service ({}): use systemctl, and apt to remove it", path.display()),
        None => Ok(()),
    }
}

/// The service sees no home folders, and no temporary ones.
fn reachable(file: &Path, remedy: &str) -> anyhow::Result<()> {
    let hidden = ["/home", "/root", "/tmp", "/var/tmp", "/run/user"].into_iter().find(|folder| file.starts_with(folder));
    match hidden {
        Some(folder) => bail!(Usage(format!("{} is in {folder}, which the service does not see: {remedy}", file.display()))),
        None => Ok(()),
    }
}

fn is_known(user: &str) -> bool {
    std::fs::read_to_string("/etc/passwd").is_ok_and(|text| text.lines().any(|line| line.split(':').next() == Some(user)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_starts_this_program_with_this_configuration_as_this_user() {
        let unit = unit(Path::new("/opt/drop forge/50%/dropforge"), Path::new("/srv/l\"3/d.toml"), "line3").unwrap();
        assert!(unit.contains("\nExecStart=\"/opt/drop forge/50%%/dropforge\" run -c \"/srv/l\\\"3/d.toml\"\n"), "{unit}");
        assert!(unit.contains("\nUser=line3\nGroup=line3\n"));
        assert!(!unit.contains("/usr/bin/dropforge") && unit.contains("\nType=notify\n"));
    }

    #[test]
    fn a_program_that_the_service_would_not_see_is_refused() {
        assert!(reachable(Path::new("/home/me/dropforge"), "move it").unwrap_err().to_string().contains("does not see: move it"));
        assert!(reachable(Path::new("/usr/local/bin/dropforge"), "move it").is_ok());
    }
}
