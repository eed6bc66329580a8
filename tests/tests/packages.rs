//! What `cargo xtask dist --profile dev` has packed, unpacked and installed as users would: in a world of its own, so that nothing of this machine
//! changes. Where it was not packed, that is said.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use dropforge_tests::mounts::with_mounts;
use dropforge_tests::{data, target_folder};
use serde_json::Value;

/// The files of a release by the ends of their names; none where there is no release.
fn released() -> Option<BTreeMap<String, PathBuf>> {
    let folder = target_folder().join("dist").join("out");
    let Ok(listing) = fs::read_dir(&folder) else {
        eprintln!("SKIPPED: {} is not there: run `cargo xtask dist --profile dev`", folder.display());
        return None;
    };
    Some(listing.map(|entry| entry.unwrap()).map(|entry| (entry.file_name().into_string().unwrap(), entry.path())).collect())
}

fn one<'a>(released: &'a BTreeMap<String, PathBuf>, ending: &str) -> &'a Path {
    let found: Vec<_> = released.iter().filter(|(name, _)| name.ends_with(ending)).collect();
    assert_eq!(found.len(), 1, "one file ends in {ending}: {:?}", released.keys());
    found[0].1
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?} ended with {}:\n{said}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn check_sums_are_right_and_the_archive_converts_on_a_fresh_machine() {
    let Some(released) = released() else { return };
    let folder = target_folder().join("dist").join("out");
    succeed(Command::new("sha256sum").args(["--check", "--strict", "--quiet", "SHA256SUMS"]).current_dir(folder));
    let fresh = tempfile::tempdir().unwrap();
    succeed(Command::new("tar").arg("xzf").arg(one(&released, ".tar.gz")).arg("-C").arg(fresh.path()));
    let unpacked = fs::read_dir(fresh.path()).unwrap().next().unwrap().unwrap().path();
    for expected in
        ["LICENSE", "README.md", "THIRD-PARTY-LICENSES.txt", "docs/install.md", "systemd/dropforge.service", "completions/dropforge.bash"]
    {
        assert!(unpacked.join(expected).is_file(), "{expected}");
    }
    succeed(Command::new("bash").arg("-n").arg(unpacked.join("completions/dropforge.bash")));

    // No plugins folder, no configuration, no state.
    let work = fresh.path().join("work");
    fs::create_dir(&work).unwrap();
    let dropforge = |arguments: &[&str]| {
        let mut command = Command::new(unpacked.join("dropforge"));
        succeed(command.args(arguments).current_dir(&work).env("DROPFORGE_STATE_DIR", work.join("state")))
    };
    let rows = dropforge(&["convert", data("csv/smallpop.csv").to_str().unwrap(), "--converter", "csv", "-o", "-"]);
    assert_eq!(rows.lines().count(), 10, "{rows}");
    let text = dropforge(&["plugin", "list", "--json"]);
    let list: Value = serde_json::from_str(&text).unwrap();
    let plugins = list["plugins"].as_array().unwrap();
    let running = |plugin: &Value| plugin["bundled"] == true && plugin["refused"].is_null() && plugin["running"]["name"].is_string();
    assert!(plugins.len() >= 11 && plugins.iter().all(running), "{text}");
    assert!(!work.join("plugins").exists());
}

#[test]
fn the_list_of_what_is_inside_is_cyclonedx_and_complete() {
    let Some(released) = released() else { return };
    let list: Value = serde_json::from_str(&fs::read_to_string(one(&released, ".cdx.json")).unwrap()).unwrap();
    let schema = |name: &str| -> Value { serde_json::from_str(&fs::read_to_string(data("cyclonedx").join(name)).unwrap()).unwrap() };
    let mut registry = jsonschema::Registry::new();
    for name in ["spdx.schema.json", "jsf-0.82.schema.json"] {
        registry = registry.add(format!("http://cyclonedx.org/schema/{name}"), schema(name)).unwrap();
    }
    let registry = registry.prepare().unwrap();
    let validator = jsonschema::options().with_registry(&registry).build(&schema("bom-1.5.schema.json")).unwrap();
    let errors: Vec<String> = validator.iter_errors(&list).map(|error| format!("{error} at {}", error.instance_path())).take(5).collect();
    assert!(errors.is_empty(), "{errors:#?}");

    let names: BTreeSet<&str> =
        list["components"].as_array().unwrap().iter().map(|component| component["name"].as_str().unwrap()).collect();
    for expected in ["wasmtime", "rusqlite", "libsqlite3-sys", "rustls", "csv.wasm", "dropforge-plugin-csv", "dropforge-sdk"] {
        assert!(names.contains(expected), "{expected}");
    }
    for other in ["proptest", "wat", "windows-sys", "dropforge-plugin-opcheck", "xtask"] {
        assert!(!names.contains(other), "{other} is not in it");
    }
    // Whatever something depends on is on the list.
    let references: BTreeSet<&str> =
        list["components"].as_array().unwrap().iter().map(|component| component["bom-ref"].as_str().unwrap()).collect();
    for dependency in list["dependencies"].as_array().unwrap() {
        for on in dependency["dependsOn"].as_array().unwrap() {
            assert!(references.contains(on.as_str().unwrap()), "{on}");
        }
    }
}

/// Installs the package with dpkg in a copy of this system that is gone afterwards, runs what the service would, upgrades, removes and purges.
const INSTALL: &str = r#"
set -e
dpkg --install /package.deb
getent passwd dropforge >/dev/null
test "$(stat -c %U:%a /var/lib/dropforge/in)" = dropforge:2770
test "$(command -v dropforge)" = /usr/bin/dropforge
dpkg --verify dropforge
as_service() { exec setpriv --reuid=dropforge --regid=dropforge --clear-groups env -i PATH="$PATH" HOME=/nowhere DROPFORGE_HEALTH_PORT="$PORT" DROPFORGE_METRICS_PORT=0 "$@"; }
cd /var/lib/dropforge
dropforge config check -c /etc/dropforge/dropforge.toml
as_service $(sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/dropforge.service) 2>/var/log/dropforge-test.log &
daemon=$!
until grep -q 'is ready: drop files' /var/log/dropforge-test.log; do kill -0 $daemon; sleep 0.1; done
install -o dropforge -m 640 /sample.csv /var/lib/dropforge/in/sample.csv
until ls /var/lib/dropforge/out/*.jsonl >/dev/null 2>&1; do kill -0 $daemon; sleep 0.1; done
wc -l </var/lib/dropforge/out/sample-*.jsonl
# The job has ended, not only its document arrived.
until [ -z "$(find /var/lib/dropforge/state/spool -type f ! -name 'manifest-*')" ]; do kill -0 $daemon; sleep 0.1; done
kill $daemon; wait $daemon
echo '# mine' >>/etc/dropforge/dropforge.toml
dpkg --install /package.deb
tail -1 /etc/dropforge/dropforge.toml
dpkg --remove dropforge
test ! -e /usr/bin/dropforge && test -e /etc/dropforge/dropforge.toml && test -d /var/lib/dropforge/state
dpkg --install /package.deb
if command -v systemctl >/dev/null; then systemctl is-enabled dropforge.service; fi
dpkg --remove dropforge
install -D -o dropforge /sample.csv /var/lib/dropforge/state/uploads/posted/sample.csv
dpkg --purge dropforge
test ! -e /etc/dropforge && test ! -e /var/lib/dropforge/state/queue.db && test ! -e /var/lib/dropforge/state/spool
cmp /sample.csv /var/lib/dropforge/state/uploads/posted/sample.csv
ls /var/lib/dropforge/out
"#;

#[test]
fn the_package_installs_runs_upgrades_and_goes() {
    let Some(released) = released() else { return };
    if Command::new("dpkg").arg("--version").output().is_err() {
        eprintln!("SKIPPED: dpkg is not here");
        return;
    }
    let package = one(&released, ".deb");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let prepare = "mount -t tmpfs none /mnt; mkdir /mnt/upper /mnt/work /mnt/system; mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work \
                   /mnt/system; mount --bind /proc /mnt/system/proc; mount --bind /dev /mnt/system/dev; cp \"$1\" /mnt/system/package.deb; cp \"$2\" /mnt/system/sample.csv";
    let Some(line) = with_mounts(prepare, &[package, &data("csv/smallpop.csv")]) else { return };
    // dpkg wants root; and an overlay over this system may be refused in a container that may mount otherwise.
    let mut probe = Command::new(&line[0]);
    probe.args(&line[1..]).args([
        "chroot",
        "/mnt/system",
        "sh",
        "-c",
        "test \"$(id -u)\" = 0 && touch /var/lib/dpkg/lock && touch /etc/probe",
    ]);
    if !probe.output().unwrap().status.success() {
        eprintln!("SKIPPED: this may lay no overlay over the system: it is for root");
        return;
    }
    let mut install = Command::new(&line[0]);
    install.args(&line[1..]).args(["chroot", "/mnt/system", "bash", "-c", INSTALL]).env("PORT", port.to_string()).env("LC_ALL", "C");
    let output = install.output().unwrap();
    let said = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said).into_owned());
    assert!(output.status.success(), "{}\n{}", said[0], said[1]);
    let lines: Vec<&str> = said[0].lines().collect();
    assert!(lines.contains(&"10") && lines.contains(&"# mine"), "{}", said[0]);
    assert!(lines.last().unwrap().starts_with("sample-"), "the document stays: {}", said[0]);
    assert!(!Path::new("/usr/bin/dropforge").exists(), "nothing of it is on this machine");
}

#[test]
fn a_service_is_installed_into_another_root_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("image");
    fs::create_dir_all(root.join("etc")).unwrap();
    // The service would not see a program in a temporary or home folder, so this one is seen elsewhere.
    let place = Path::new("/mnt");
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::copy(dropforge_tests::dropforge(), bin.join("dropforge")).unwrap();
    let Some(line) = with_mounts("mount --bind \"$1\" \"$2\"", &[&bin, place]) else { return };
    let service = |arguments: &[&str]| {
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).arg("/mnt/dropforge").arg("service").args(arguments).args(["--root", root.to_str().unwrap()]);
        let output = command.current_dir(folder.path()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, plan, errors) = service(&["install", "--dry-run"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(plan.contains("ExecStart=\"/mnt/dropforge\" run -c \"/etc/dropforge/dropforge.toml\""), "{plan}");
    assert!(!root.join("etc/systemd").exists(), "a dry run makes nothing");
    if Command::new("systemctl").arg("--version").output().is_err() {
        eprintln!("SKIPPED: systemctl is not here");
        return;
    }
    let (code, said, errors) = service(&["install"]);
    assert_eq!(code, Some(0), "{said}{errors}");
    let unit = root.join("etc/systemd/system/dropforge.service");
    let enabled = root.join("etc/systemd/system/multi-user.target.wants/dropforge.service");
    assert!(fs::read_to_string(&unit).unwrap().contains("\nUser=dropforge\n") && enabled.symlink_metadata().is_ok());
    let config = root.join("etc/dropforge/dropforge.toml");
    fs::write(&config, "# mine\n").unwrap();
    assert!(root.join("var/lib/dropforge/in").is_dir());
    // Again: the configuration is somebody's now.
    let (code, said, errors) = service(&["install"]);
    assert_eq!(code, Some(0), "{said}{errors}");
    assert_eq!(fs::read_to_string(&config).unwrap(), "# mine\n");
    let (code, said, errors) = service(&["uninstall"]);
    assert_eq!(code, Some(0), "{said}{errors}");
    assert!(!unit.exists() && enabled.symlink_metadata().is_err() && config.exists());
    let (code, _, errors) = service(&["uninstall"]);
    assert!(code == Some(1) && errors.contains("the service is not installed"), "{errors}");

    let (code, _, errors) = dropforge_tests::run(folder.path(), &["service", "install", "--dry-run", "--user", "a b"]);
    assert!(code == 2 && errors.contains("cannot be the name of a user"), "{errors}");
}
