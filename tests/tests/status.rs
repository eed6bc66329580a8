//! `dropforge status` and `dropforge top`, beside a daemon that works.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;
use std::process::Command;

use dropforge_tests::{Daemon, Setup, command, dropforge, run, wait_for};

const ROUTES: &str = "
instance_id = 'line-3'
[[routes]]
name = 'ict'
intake = { path = '{dir}/in' }
destinations = [{ type = 'folder', path = '{dir}/out' }]
[[routes]]
name = 'idle'
converter = 'junit'
intake = { path = '{dir}/idle', create = true }
destinations = [{ type = 'folder', path = '{dir}/out' }]
";

fn after_some_work() -> Daemon {
    let daemon = Setup::new().plugins(&["csv", "misbehave"]).config(ROUTES).start();
    for name in ["a.csv", "b.csv", "panic.1.mis"] {
        daemon.drop_file(name, format!("x\n{name}\n"));
        daemon.wait_for_job(name, "settled");
    }
    daemon.drop_plugin("broken.wasm", b"\0asm\x01\0\0\0 and nothing that it could be");
    wait_for("the refusal", || daemon.plugin_status("broken.wasm").filter(|status| !status["refused"].is_null()));
    daemon
}

#[test]
fn one_page_says_how_a_daemon_is_doing() {
    let mut daemon = after_some_work();
    assert_eq!(daemon.command(&["route", "pause", "idle"]).0, 0);
    let (code, page, errors) = daemon.command(&["status"]);
    assert_eq!(code, 0, "{errors}");
    // Runs of spaces are the table's.
    let words: Vec<String> = page.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let says = |expected: &str| assert!(words.iter().any(|line| line.contains(expected)), "{expected} in\n{page}");
    says("`line-3`: ready, up ");
    says("To convert: 0; waiting: none; workers: 0 of ");
    says("refused: 0; dead letters: 1");
    says("csv 0.1.0 2 0 0 ");
    says("misbehave 1.0.0-release.AAAA 0 1 0 ");
    says("broken.wasm is refused: ");
    says("paused since 20");
    let delivered = words.iter().find(|line| line.starts_with("folder:")).unwrap_or_else(|| panic!("no destination in\n{page}"));
    assert!(delivered.ends_with(" 2 0 up"), "{page}");

    let (code, text, _) = daemon.command(&["status", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &json["status"], &json["totals"]["converters"]["csv"]["conversions"]["success"]), (0, &"ready".into(), &2.into()));
    let port = daemon.health_port().to_string();
    daemon.terminate();
    let (code, _, errors) = run(&daemon.path(""), &["status", "--health-port", &port]);
    assert!(code == 1 && errors.contains("no daemon answers"), "{errors}");
}

/// On a terminal that has no room for frames, there are rows all the same.
#[test]
fn top_shows_rows_on_a_small_terminal() {
    let daemon = after_some_work();
    let socket = format!("dropforge-small-{}", daemon.health_port());
    let command = format!(
        "'{}' top --health-port {} --state '{}'; sleep 600",
        dropforge().display(),
        daemon.health_port(),
        daemon.path("state").display()
    );
    tmux(&socket, &["new-session", "-d", "-x", "60", "-y", "12", "sh", "-c", &command]);
    let screen = wait_for("the last line", || Some(tmux(&socket, &["capture-pane", "-p"])).filter(|screen| screen.contains("q: end")));
    tmux(&socket, &["kill-server"]);
    for expected in ["ready", "ROUTE", "ict", "idle", "CONVERTER", "csv", "DESTINATION", "folder:", "STATE", "running"] {
        assert!(screen.contains(expected), "{expected} in\n{screen}");
    }
}

fn tmux(socket: &str, arguments: &[&str]) -> String {
    let output = Command::new("tmux").args(["-L", socket, "-f", "/dev/null"]).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// In a real terminal, by tmux, which `cargo xtask setup` installs.
#[test]
fn top_shows_the_same_live_and_leaves_the_terminal_as_it_was() {
    let daemon = after_some_work();
    let (code, _, errors) = daemon.command(&["top"]);
    assert!(code == 2 && errors.contains("no terminal"), "{errors}");

    let socket = format!("dropforge-{}", daemon.health_port());
    let command = format!(
        "echo before; '{}' top --interval 0.1 --health-port {} --state '{}'; echo ended with $?; sleep 600",
        dropforge().display(),
        daemon.health_port(),
        daemon.path("state").display()
    );
    tmux(&socket, &["new-session", "-d", "-x", "110", "-y", "40", "sh", "-c", &command]);
    let screen = || tmux(&socket, &["capture-pane", "-p"]);
    let wait_for_screen = |expected: &str| wait_for(expected, || Some(screen()).filter(|screen| screen.contains(expected)));
    // The last line is drawn last.
    let first = wait_for_screen("q: end");

    for expected in ["`line-3`: ready", "Conversions: 0.0/s", "ROUTE", "idle", "junit", "CONVERTER", "misbehave", "DESTINATION", "q: end"] {
        assert!(first.contains(expected), "{expected} in\n{first}");
    }
    daemon.drop_file("c.csv", "x\n3\n");
    daemon.wait_for_job("c.csv", "settled");
    wait_for("the new numbers", || {
        let screen = screen();
        screen.lines().any(|line| line.contains("│csv ") && line.split_whitespace().any(|word| word == "3")).then_some(())
    });
    // A daemon that goes is waited for.
    let (port, setup) = (daemon.health_port(), daemon.into_setup());
    wait_for_screen("no daemon answers");
    let daemon = setup.argument(&format!("--health-port={port}")).start();
    wait_for("the daemon that was started again", || Some(screen()).filter(|screen| screen.contains("q: end")));
    tmux(&socket, &["send-keys", "q"]);
    let after = wait_for_screen("ended with 0");
    assert!(after.contains("before") && !after.contains("CONVERTER"), "{after}");
    tmux(&socket, &["kill-server"]);
    drop(daemon);
}

#[test]
fn commands_find_the_daemon_of_a_state_folder_whatever_is_wrong_with_its_configuration() {
    let mut daemon = Setup::new().plugins(&["csv"]).config(&format!("state_dir = '{{dir}}/state'\n{ROUTES}")).start();
    daemon.drop_file("a.csv", "x\n1\n");
    daemon.wait_for_job("a.csv", "settled");
    let here = daemon.path("");
    let state = daemon.path("state");
    let state = state.to_str().unwrap();
    // Without its port.
    for arguments in [&["status"][..], &["plugin", "list"], &["route", "list"], &["queue", "list"]] {
        let (code, out, errors) = run(&here, &[arguments, &["--state", state]].concat());
        assert!(code == 0 && !errors.contains("No daemon"), "{arguments:?}: {errors}");
        assert!(["ready", "running", "ict"].iter().any(|word| out.contains(word)), "{arguments:?}: {out}");
    }
    // A key that is misspelt, and a text that is no TOML.
    let config = fs::read_to_string(daemon.path("dropforge.toml")).unwrap();
    for (broken, what) in [(format!("enable_cash = true\n{config}"), "enable_cash"), (format!("{config}\nname = \n"), "dropforge.toml:")] {
        fs::write(daemon.path("dropforge.toml"), broken).unwrap();
        for arguments in [&["status"][..], &["plugin", "list"], &["queue", "list"], &["cache", "stats"]] {
            let mut asking = command(&here);
            // The tests' own state folder is not the daemon's.
            let asked = asking.args(arguments).args(["-c", "dropforge.toml"]).env_remove("DROPFORGE_STATE_DIR").output().unwrap();
            let (code, errors) = (asked.status.code().unwrap(), String::from_utf8(asked.stderr).unwrap());
            let warnings: Vec<&str> = errors.lines().filter(|line| line.starts_with("warning: ")).collect();
            assert!(code == 0 && warnings.len() == 1, "{arguments:?}: {errors}");
            assert!(warnings[0].contains(what) && warnings[0].ends_with("only where the daemon is counts here"), "{errors}");
        }
        assert_eq!(run(&here, &["config", "check", "-c", "dropforge.toml"]).0, 2);
    }
    // Where it names no state folder, nobody takes the default's for the daemon's.
    fs::write(daemon.path("dropforge.toml"), config.replace("state_dir", "state_dri")).unwrap();
    for arguments in
        [&["queue", "purge", "--all", "--yes"][..], &["queue", "list"], &["route", "pause", "ict"], &["plugin", "rollback", "csv"]]
    {
        let asked = command(&here).args(arguments).args(["-c", "dropforge.toml"]).env_remove("DROPFORGE_STATE_DIR").output().unwrap();
        let errors = String::from_utf8(asked.stderr).unwrap();
        assert!(asked.status.code() == Some(2) && errors.contains("did you mean `state_dir`"), "{arguments:?}: {errors}");
        assert!(errors.contains("--state DIR"), "{arguments:?}: {errors}");
    }
    // One that was killed left its note; one that stops takes it along.
    daemon.kill();
    assert!(daemon.path("state/daemon.json").exists());
    let (code, _, errors) = run(&here, &["status", "--state", state]);
    assert!(code == 1 && errors.contains("no daemon answers"), "{errors}");
    fs::write(daemon.path("dropforge.toml"), config).unwrap();
    let mut daemon = daemon.restart(|setup| setup);
    daemon.wait_for_log("is ready");
    assert_eq!(run(&here, &["status", "--state", state]).0, 0);
    daemon.terminate();
    assert!(!daemon.path("state/daemon.json").exists());
}
