//! Folders on file systems that do not tell of every new file, and that can go away: a real one in user space (FUSE), where it can be mounted.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;
use std::process::{Child, Command, Stdio};

use dropforge_tests::{Daemon, Setup, mounts, wait_for};

const CONFIG: &str = "
[[routes]]
name = 'r'
intake = { path = 'in', rescan_seconds = 0.3, quiet_seconds = 0.3 }
destinations = [{ type = 'folder', path = 'out' }]
";

/// A program in the daemon's world of mounts.
fn among_its_mounts(daemon: &Daemon, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--mount", "--target", &daemon.id().to_string(), "--", program]);
    command
}

/// A folder that is seen through a file system in user space, for as long as this is.
struct Share {
    server: Child,
}

impl Share {
    /// Mounts `share` at a place; none where that cannot be done, which is said.
    fn mount(daemon: &Daemon, place: &str) -> Option<Share> {
        let server = among_its_mounts(daemon, "bindfs")
            .arg("-f")
            .args([daemon.path("share"), daemon.path(place)])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut share = Share { server: server.unwrap() };
        let there = format!("/proc/{}/root{}/.there", daemon.id(), daemon.path(place).display());
        let mounted = wait_for("the folder to be mounted, or bindfs to fail", || {
            if fs::exists(&there).unwrap_or(false) { Some(true) } else { share.server.try_wait().unwrap().map(|_| false) }
        });
        if mounted {
            return Some(share);
        }
        let mut errors = String::new();
        std::io::Read::read_to_string(&mut share.server.stderr.take().unwrap(), &mut errors).unwrap();
        eprintln!("SKIPPED: no file system in user space can be mounted here (bindfs and /dev/fuse are needed): {}", errors.trim());
        None
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn a_share_is_polled_and_its_files_are_taken_when_it_is_back() {
    let Some(starter) = mounts::with_mounts(":", &[]) else { return };
    let setup = Setup::new().plugins(&["csv"]).config(CONFIG).through(starter);
    fs::create_dir(setup.path("share")).unwrap();
    fs::write(setup.path("share/.there"), "").unwrap();
    let daemon = setup.start();
    // A folder of this machine's own disk is listened to.
    daemon.wait_for_log("notices=true remote=false");
    let Some(share) = Share::mount(&daemon, "in") else { return };
    daemon.wait_for_log("notices=false remote=true");
    daemon.drop_into("share", "a.csv", "serial,value\nSN1,1\n");
    daemon.wait_for_job("a.csv", "settled");
    assert!(!daemon.path("share/a.csv").exists() && daemon.path("share/done").is_dir());

    // Its server dies, and somebody writes to the share meanwhile.
    drop(share);
    daemon.assert_metric("intake_up{route=\"r\"}", 0.0);
    daemon.drop_into("share", "b.csv", "serial,value\nSN2,1\n");
    let gone = among_its_mounts(&daemon, "umount").arg("--lazy").arg(daemon.path("in")).status().unwrap();
    assert!(gone.success());
    let share = Share::mount(&daemon, "in").expect("it was mounted before");
    daemon.wait_for_job("b.csv", "settled");
    daemon.assert_metric("intake_up{route=\"r\"}", 1.0);
    assert_eq!(daemon.documents().len(), 2);
    drop(daemon);
    drop(share);
}

#[test]
fn a_folder_that_hangs_holds_up_the_sources_of_its_own_route_alone() {
    use rustix::process::{Pid, Signal, kill_process};

    let Some(starter) = mounts::with_mounts(":", &[]) else { return };
    let other =
        "[[routes]]\nname = 'other'\nintake = { path = 'quick', create = true }\ndestinations = [{ type = 'folder', path = 'out' }]";
    let config = format!("{}\n{other}", CONFIG.replace("path = 'in',", "path = 'in', done = 'slow',"));
    let setup = Setup::new().plugins(&["csv"]).config(&config).through(starter);
    for folder in ["share", "slow"] {
        fs::create_dir(setup.path(folder)).unwrap();
    }
    fs::write(setup.path("share/.there"), "").unwrap();
    let daemon = setup.start();
    let Some(share) = Share::mount(&daemon, "slow") else { return };
    let signal = |signal| kill_process(Pid::from_child(&share.server), signal).unwrap();
    signal(Signal::STOP);
    daemon.drop_file("a.csv", "serial,value\nSN1,1\n");
    daemon.wait_for_job("a.csv", "committed");
    for number in 0..3 {
        let name = format!("{number}.csv");
        daemon.drop_into("quick", &name, format!("serial,value\nSN{number},1\n"));
        daemon.wait_for_job(&name, "settled");
    }
    assert_eq!(daemon.job("a.csv").unwrap()["state"], "committed");
    assert_eq!(daemon.documents().len(), 4, "its documents are not held up");
    signal(Signal::CONT);
    daemon.wait_for_job("a.csv", "settled");
    assert!(dropforge_tests::files(&daemon.path("share")).keys().any(|name| name.ends_with("/a.csv")));
}
