//! Every command in the README's `sh` blocks works as it stands, in the order in which it is there. (`console` blocks hold `cargo xtask`,
//! which runs these tests itself; `cargo test` in a new crate is what `cli.rs` tries.)

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use dropforge_tests::{Setup, dropforge, files, plugin, wait_for};

fn commands(readme: &str) -> Vec<String> {
    let mut within = false;
    let mut commands = Vec::new();
    for line in readme.lines() {
        match line {
            "```sh" => within = true,
            "```" => within = false,
            line if within => commands.push(line.to_string()),
            _ => {}
        }
    }
    commands
}

#[test]
fn every_command_of_the_readme_works() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    // The daemon runs on ports of its own: those of the README may be taken on this machine.
    let mut setup = Some(Setup::new());
    let folder = setup.as_ref().unwrap().path("");
    symlink(root.join("tests"), folder.join("tests")).unwrap();
    symlink(root.join("plugin-sdk"), folder.join("plugin-sdk")).unwrap();
    symlink(plugin("csv").parent().unwrap().parent().unwrap(), folder.join("target")).unwrap();
    let path = format!("{}:{}", dropforge().parent().unwrap().display(), std::env::var("PATH").unwrap());

    let mut daemon = None;
    let mut run = 0;
    for command in commands(&readme) {
        if command.contains("cargo test") {
            continue;
        }
        run += 1;
        if let Some(flags) = command.strip_prefix("dropforge run ") {
            assert_eq!(flags, "--inbox in --outbox out --plugins plugins --state state", "the test starts what the README says");
            daemon = Some(setup.take().unwrap().start());
            continue;
        }
        let daemon = daemon.as_ref();
        // Without a configuration file, `plugin list` asks the default port.
        let health = daemon.map_or(8080, dropforge_tests::Daemon::health_port).to_string();
        let metrics = daemon.map_or(9090, dropforge_tests::Daemon::metrics_port).to_string();
        let command = command.replace(":8080/", &format!(":{health}/")).replace(":9090/", &format!(":{metrics}/"));
        let output = Command::new("sh")
            .args(["-euc", &command])
            .current_dir(&folder)
            .env("PATH", &path)
            // Each command has a shell of its own, and they are all in the folder to which the README goes.
            .env("SRC", &folder)
            .env("DROPFORGE_HEALTH_PORT", &health)
            .env("DROPFORGE_METRICS_PORT", &metrics)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "`{command}` failed:\n{out}{err}");
        if command.starts_with("cp ") && command.ends_with(" in/") {
            daemon.unwrap().wait_for_settled("done", "smallpop.csv");
            assert!(files(&folder.join("out")).keys().any(|name| name.starts_with("smallpop-") && name.ends_with(".jsonl")));
        }
        if command.contains("> in/panel-7.keyvalue") {
            daemon.unwrap().wait_for_settled("done", "panel-7.keyvalue");
        }
        if command.starts_with("curl") && command.contains("/health/ready") {
            assert!(out.contains(r#""status":"ready""#), "{out}");
        }
        if command.starts_with("dropforge status") {
            assert!(out.contains("ready, up ") && out.contains("default"), "{out}");
        }
        if command.starts_with("dropforge plugin list") {
            assert!(out.contains("csv") && out.contains("junit"), "{out}");
        }
    }
    assert!(run >= 12, "the README's commands were found: {run}");
    let mut daemon = daemon.expect("the README starts the daemon");
    wait_for("an empty inbox", || files(&folder.join("in")).keys().all(|name| name.starts_with("done/")).then_some(()));
    assert!(daemon.interrupt().success());
}
