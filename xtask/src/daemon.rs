//! A running `dropforge run`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::http;
use crate::workspace::Workspace;

/// How long anything may take that is waited for: compiling a plugin on a slow machine is the longest.
const PATIENCE: Duration = Duration::from_secs(120);

/// The daemon, with its folders. It is killed if this value is dropped before [`Daemon::stop`].
pub(crate) struct Daemon {
    child: Child,
    /// The folder that holds all others.
    pub folder: PathBuf,
    /// Health, metrics and the page.
    pub port: u16,
}

impl Daemon {
    /// Starts it with nothing but the three flags, its own state and free ports, and waits until it is ready.
    ///
    /// # Errors
    /// Where it cannot be started, ends, or does not become ready; with the end of its log.
    pub(crate) fn start(workspace: &Workspace, folder: &Path) -> Result<Self> {
        let log = File::create(folder.join("daemon.log"))?;
        let (health, metrics) = (http::free_port()?, http::free_port()?);
        let mut command = Command::new(workspace.binary("debug"));
        command.arg("run").current_dir(folder);
        for (flag, value) in [("--inbox", "in"), ("--outbox", "out"), ("--plugins", "plugins"), ("--state", "state")] {
            command.args([flag, value]);
        }
        command.env("DROPFORGE_HEALTH_PORT", health.to_string()).env("DROPFORGE_METRICS_PORT", metrics.to_string());
        let child = command.stdout(log.try_clone()?).stderr(log).spawn().context("cannot start dropforge")?;
        let mut daemon = Daemon { child, folder: folder.to_owned(), port: health };
        daemon.wait("the daemon to be ready", || http::get(health, "/health/ready").is_ok_and(|(status, _)| status == 200))?;
        Ok(daemon)
    }

    /// A file or folder of the daemon's.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Puts a copy of a file where the daemon looks, whole at once: as a careful writer does.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn drop_file(&self, from: &Path, folder: &str) -> Result<()> {
        drop_file(from, &self.path(folder))
    }

    /// Waits for a condition.
    ///
    /// # Errors
    /// Where the daemon ends or patience does; with the end of its log.
    pub(crate) fn wait(&mut self, what: &str, condition: impl Fn() -> bool) -> Result<()> {
        let start = Instant::now();
        while !condition() {
            let ended = self.child.try_wait()?;
            if ended.is_some() || start.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.path("daemon.log")).unwrap_or_default();
                let lines: Vec<_> = log.lines().collect();
                let tail = lines.iter().skip(lines.len().saturating_sub(20)).copied().collect::<Vec<_>>().join("\n");
                match ended {
                    Some(status) => bail!("waited for {what}, and the daemon ended with {status}; its log ends:\n{tail}"),
                    None => bail!("waited {} s for {what}; the log ends:\n{tail}", PATIENCE.as_secs()),
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Asks it to end, as a service manager would, and waits until it has.
    ///
    /// # Errors
    /// Where it cannot be asked, or does not end.
    pub(crate) fn stop(mut self) -> Result<ExitStatus> {
        if cfg!(unix) {
            let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
            if !asked.success() {
                bail!("cannot send SIGTERM to the daemon");
            }
        } else {
            self.child.kill()?;
        }
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if start.elapsed() > PATIENCE {
                bail!("the daemon did not end within {} s of SIGTERM", PATIENCE.as_secs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it ends by itself, or by the Ctrl-C that everything in the terminal gets.
    ///
    /// # Errors
    /// Where it cannot be waited for.
    pub(crate) fn wait_for_end(mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already; nothing can be done about anything else.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Copies a file under a hidden name and renames it.
///
/// # Errors
/// What the file system says.
pub(crate) fn drop_file(from: &Path, folder: &Path) -> Result<()> {
    let name = from.file_name().context("a file has a name")?.to_string_lossy();
    let temporary = folder.join(format!(".{name}.part"));
    fs::copy(from, &temporary).with_context(|| format!("cannot copy {} to {}", from.display(), folder.display()))?;
    fs::rename(&temporary, folder.join(&*name))?;
    Ok(())
}
