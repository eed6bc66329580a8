//! The folder of the service. Everybody may make folders in `%ProgramData%`: one that is there already is not trusted without being asked to, and
//! never as it is. It knows nothing of services.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use walkdir::WalkDir;

/// What the service has in it.
const INSIDE: [&str; 5] = ["state", "plugins", "in", "out", "log"];
/// Administrators, and the system, in any language.
const ADMINISTRATORS: &str = "*S-1-5-32-544";
const SYSTEM: &str = "*S-1-5-18";

/// Where the service has everything.
///
/// # Errors
/// Where the environment does not say.
pub(super) fn path() -> anyhow::Result<PathBuf> {
    let folder = std::env::var_os("ProgramData").map(PathBuf::from).filter(|folder| folder.is_absolute());
    Ok(folder.context("the environment does not name %ProgramData%")?.join("Dropforge"))
}

/// Makes the folder for administrators and the system alone, and the folders in it. One that is there is taken if it is `ours`: the service is
/// installed already, which takes an administrator, or one has said so.
///
/// # Errors
/// Where it is not, or holds links; what the file system and icacls say.
pub(super) fn make(folder: &Path, ours: bool) -> anyhow::Result<()> {
    match fs::create_dir(folder) {
        Ok(()) => {
            icacls(&[folder.as_os_str(), "/inheritance:r".as_ref()], &[ADMINISTRATORS, SYSTEM], "F")?;
            // Until now it had the rights of the folder that it is in.
            if fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?.next().is_some() {
                bail!("somebody put something into {} while it was made: look at it, remove it, and run this again", folder.display());
            }
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists && ours => take_over(folder)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!(
            "{} is there already, and every user may have made it and what is in it: the service would run the converters and the configuration that it \
             finds there. Look at it; then remove it, or install with --take-over, which leaves its files and takes all rights in it from others",
            folder.display()
        ),
        Err(error) => return Err(error).with_context(|| format!("cannot make {}; run this as administrator", folder.display())),
    }
    for name in INSIDE {
        let path = folder.join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
    }
    Ok(())
}

/// Takes everybody's rights in a folder, and gives it to administrators. What is in it stays.
fn take_over(folder: &Path) -> anyhow::Result<()> {
    no_link(folder, fs::symlink_metadata(folder).with_context(|| format!("cannot look at {}", folder.display()))?.file_type())?;
    // The folder first: from then on nobody else can put anything into it. Then what is in it, where links could lead elsewhere.
    let run = |more: &[&str]| {
        let line: Vec<_> = [folder.as_os_str()].into_iter().chain(more.iter().map(|part| part.as_ref())).collect();
        icacls(&line, &[], "")
    };
    run(&["/setowner", ADMINISTRATORS, "/L"])?;
    run(&["/reset", "/L"])?;
    icacls(&[folder.as_os_str(), "/inheritance:r".as_ref()], &[ADMINISTRATORS, SYSTEM], "F")?;
    for entry in WalkDir::new(folder).min_depth(1) {
        let entry = entry.with_context(|| format!("cannot look through {}", folder.display()))?;
        no_link(entry.path(), entry.file_type())?;
    }
    let inside = folder.join("*");
    for more in [["/setowner", ADMINISTRATORS, "/T", "/L"].as_slice(), &["/reset", "/T", "/L"]] {
        if fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?.next().is_some() {
            let line: Vec<_> = [inside.as_os_str()].into_iter().chain(more.iter().map(|part| part.as_ref())).collect();
            icacls(&line, &[], "")?;
        }
    }
    Ok(())
}

/// Lets an account change everything in the folder.
///
/// # Errors
/// What icacls says.
pub(super) fn grant(folder: &Path, account: &str) -> anyhow::Result<()> {
    icacls(&[folder.as_os_str()], &[account], "M")
}

fn no_link(path: &Path, kind: fs::FileType) -> anyhow::Result<()> {
    if kind.is_symlink() {
        bail!("{} is a link, and may lead anywhere: remove it, and install again", path.display());
    }
    Ok(())
}

fn icacls(line: &[&std::ffi::OsStr], accounts: &[&str], rights: &str) -> anyhow::Result<()> {
    let mut command = Command::new(system_program("icacls.exe"));
    command.args(line);
    for account in accounts {
        command.args(["/grant:r", &format!("{account}:(OI)(CI){rights}")]);
    }
    let output = command.arg("/Q").output().context("cannot start icacls")?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&said).trim());
    }
    Ok(())
}

/// A program of the system's own, whatever else has its name.
fn system_program(name: &str) -> PathBuf {
    std::env::var_os("SystemRoot").map_or_else(|| PathBuf::from(name), |root| Path::new(&root).join("System32").join(name))
}
