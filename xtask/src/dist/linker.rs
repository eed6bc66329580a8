//! The linker of a release for Windows. mingw's sorts imported libraries by the paths of the files that it has them from, so that a target folder
//! that comes before `/usr` in the alphabet gives another program than one that comes after it. Here it gets what is in the target folder by
//! relative paths, which are the same wherever that folder is.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// What rustc calls to link for `x86_64-pc-windows-gnu`; build scripts call it too, to compile C, and that goes on as it comes.
const NAME: &str = "x86_64-w64-mingw32-gcc";
const SCRIPT: &str = r#"#!/bin/sh
case " $*" in
*" $DROPFORGE_BUILD/"*"/deps/"*) ;;
*) exec "$DROPFORGE_LINKER" "$@" ;;
esac
cd "$DROPFORGE_BUILD" || exit
for argument do
  shift
  set -- "$@" "${argument#"$DROPFORGE_BUILD/"}"
done
exec "$DROPFORGE_LINKER" "$@"
"#;

/// Has the command find a linker in `tools` that gets what is in `build` by relative paths. By PATH: a linker that cargo is told of has everything
/// built again.
///
/// # Errors
/// Where mingw's is not installed, and what the file system says.
pub(super) fn relative(cargo: &mut Command, build: &Path, tools: &Path) -> Result<()> {
    let path = env::var_os("PATH").unwrap_or_default();
    let real = env::split_paths(&path).map(|folder| folder.join(NAME)).find(|file| file.is_file());
    let real = real.with_context(|| format!("{NAME} is not in PATH: Debian has it in gcc-mingw-w64-x86-64"))?;
    fs::create_dir_all(tools).with_context(|| format!("cannot create {}", tools.display()))?;
    let script = tools.join(NAME);
    fs::write(&script, SCRIPT).with_context(|| format!("cannot write {}", script.display()))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    }
    let folders = std::iter::once(PathBuf::from(tools)).chain(env::split_paths(&path));
    cargo.env("PATH", env::join_paths(folders)?).env("DROPFORGE_BUILD", build).env("DROPFORGE_LINKER", real);
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// What the linker gets, when rustc or a build script calls it so. `BUILD` is a target folder with a space in its name.
    fn gets(arguments: &[&str]) -> Result<String> {
        let build = env::temp_dir().join(format!("dropforge link {}", std::process::id()));
        fs::create_dir_all(&build)?;
        let arguments = arguments.iter().map(|argument| argument.replace("BUILD", &build.to_string_lossy()));
        let mut script = Command::new("sh");
        script.args(["-c", SCRIPT, NAME]).args(arguments).env("DROPFORGE_BUILD", &build).env("DROPFORGE_LINKER", "echo");
        let text = String::from_utf8(script.output()?.stdout)?;
        fs::remove_dir(&build)?;
        Ok(text.trim_end().replace(&*build.to_string_lossy(), "BUILD"))
    }

    #[test]
    fn paths_in_the_target_folder_are_relative_where_rustc_links_and_nowhere_else() -> Result<()> {
        let link = ["BUILD/t/release/deps/rustcX/a.o", "/usr/lib/k.a", "-L", "BUILD/t/release/deps", "-o", "BUILD/t/release/deps/d f.exe"];
        assert_eq!(gets(&link)?, "t/release/deps/rustcX/a.o /usr/lib/k.a -L t/release/deps -o t/release/deps/d f.exe");
        let compile = ["-ffile-prefix-map=BUILD=/target", "-c", "a.c", "-o", "BUILD/t/release/build/ring/out/a.o"];
        assert_eq!(gets(&compile)?, compile.join(" "));
        Ok(())
    }
}
