//! The daemon as systemd sees it: through the socket that it names, and by its own tools over the unit.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use dropforge_tests::deploy::deploy;
use dropforge_tests::{PATIENCE, Setup, dropforge};
use rustix::process::Signal;

const ROUTE: &str = "
[[routes]]
name = 'first'
intake = { path = '{dir}/in' }
destinations = [{ type = 'folder', path = '{dir}/out' }]
";

/// The next message of the daemon's that is not only a sign of life; and how many of those came before it.
fn next(socket: &UnixDatagram) -> (String, usize) {
    let mut alive = 0;
    loop {
        let mut message = [0; 4096];
        let length = socket.recv(&mut message).expect("the daemon to say something");
        let message = String::from_utf8(message[..length].to_vec()).unwrap();
        if message.trim_end() != "WATCHDOG=1" {
            return (message, alive);
        }
        alive += 1;
    }
}

#[test]
fn systemd_is_told_of_readiness_reloads_life_and_the_end() {
    let setup = Setup::new().plugins(&["csv"]).config(ROUTE);
    let path = setup.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // Far more often than the unit asks for: the test waits for each.
    let setup = setup.environment("NOTIFY_SOCKET", path.to_str().unwrap()).environment("WATCHDOG_USEC", "300000");
    let mut daemon = setup.spawn();
    let ready = "READY=1\nSTATUS=Ready: converters 1, routes 1\n";
    assert_eq!(next(&socket).0, ready);
    assert_eq!(daemon.get("/health/ready").0, 200, "and so it is");
    let process = daemon.id();

    let config = daemon.path("dropforge.toml");
    let good = fs::read_to_string(&config).unwrap();
    let reload = |text: &str| {
        fs::write(&config, text).unwrap();
        daemon.signal(Signal::HUP);
        let (reloading, _) = next(&socket);
        assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    };
    reload("nonsense");
    assert_eq!(next(&socket).0, ready, "it goes on as it was");
    reload(&good.replace("'first'", "'second'"));
    // It says so once more when it begins to.
    assert!(next(&socket).0.starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(next(&socket).0, ready, "from the new start");
    assert_eq!(daemon.id(), process, "in the process that systemd watches");

    // It is alive, before and after.
    let mut message = [0; 64];
    let length = socket.recv(&mut message).unwrap();
    assert_eq!(&message[..length], b"WATCHDOG=1\n");
    daemon.signal(Signal::TERM);
    assert_eq!(next(&socket).0, "STOPPING=1\nSTATUS=Stopping: running jobs end\n");
    assert!(daemon.wait().success());
}

/// The unit in a folder of its own, with the binary under test in it. None where there is no systemd-analyze, which is said.
fn analyze(arguments: &[&str]) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let unit = fs::read_to_string(deploy("systemd/dropforge.service")).unwrap();
    let unit = unit.replace("/usr/bin/dropforge", dropforge().to_str().unwrap());
    fs::write(folder.path().join("dropforge.service"), unit).unwrap();
    let output = match Command::new("systemd-analyze").args(arguments).arg(folder.path().join("dropforge.service")).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("SKIPPED: systemd-analyze is not here (Debian's package systemd)");
            return None;
        }
        output => output.unwrap(),
    };
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(output.status.success(), "systemd-analyze {}:\n{said}", arguments.join(" "));
    Some(said)
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let Some(said) = analyze(&["verify", "--recursive-errors=no", "--man=no"]) else { return };
    assert!(!said.contains("dropforge.service"), "{said}");
}

#[test]
fn the_unit_leaves_little_open() {
    // In hundredths: 10 is what systemd calls exposed least, 100 most.
    let Some(said) = analyze(&["security", "--offline=true", "--threshold=20"]) else { return };
    assert!(said.contains("Overall exposure level for dropforge.service"), "{said}");
}
