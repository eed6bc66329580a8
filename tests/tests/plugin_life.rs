//! Versions of a plugin, the way back to one, and whose plugins are loaded.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;

use dropforge_tests::{Daemon, Setup, misbehave, run, wait_for};
use serde_json::Value;

fn version(letters: &str) -> String {
    format!("1.0.0-release.{letters}")
}

/// Runs `dropforge plugin COMMAND misbehave` against a daemon's folders.
fn plugin_command(daemon: &Daemon, command: &str, more: &[&str]) -> (i32, String, String) {
    fs::write(daemon.path("list.toml"), format!("health_port = {}\n", daemon.health_port())).unwrap();
    let mut arguments = vec!["plugin", command, "misbehave", "-c", "list.toml", "--plugins", "plugins", "--state", "state"];
    arguments.extend(more);
    run(&daemon.path(""), &arguments)
}

/// The versions that history lists, each with what it says of it.
fn history(daemon: &Daemon) -> Vec<(String, bool, bool)> {
    let (code, answer, errors) = plugin_command(daemon, "history", &["--json"]);
    assert_eq!(code, 0, "{errors}");
    let rows: Vec<Value> = serde_json::from_str(&answer).unwrap();
    rows.iter().map(|row| (row["version"].as_str().unwrap().to_owned(), row["runs"] == true, row["in_file"] == true)).collect()
}

/// The version that converts a file now.
fn converts(daemon: &Daemon, name: &str) -> String {
    daemon.drop_file(name, "x");
    let job = daemon.wait_for_job(name, "settled");
    assert_eq!(job["outcome"], "converted", "{job:#}");
    job["plugin_version"].as_str().unwrap().to_owned()
}

fn wait_for_rollback(daemon: &Daemon, letters: &str) {
    daemon.wait_for_version("misbehave.wasm", &version(letters));
    assert!(daemon.plugin_status("misbehave.wasm").unwrap()["rolled_back"].is_object());
}

#[cfg(unix)]
#[test]
fn a_plugin_is_rolled_back_until_its_file_changes() {
    use std::os::unix::fs::PermissionsExt;

    let mut daemon = Setup::new().start();
    for letters in ["AAAA", "BBBB", "CCCC"] {
        daemon.drop_plugin("misbehave.wasm", misbehave(letters));
        daemon.wait_for_version("misbehave.wasm", &version(letters));
    }
    wait_for("the history", || {
        let expected = [(version("CCCC"), true, true), (version("BBBB"), false, false), (version("AAAA"), false, false)];
        (daemon.path("state/plugin-versions/misbehave.json").exists() && history(&daemon) == expected).then_some(())
    });
    assert_eq!(fs::metadata(daemon.path("state/plugin-versions")).unwrap().permissions().mode() & 0o777, 0o700);

    // To the one before, with the daemon running: it runs when the command ends.
    let (code, said, errors) = plugin_command(&daemon, "rollback", &[]);
    assert_eq!(code, 0, "{errors}");
    assert!(said.contains("runs now. It does so until the file changes."), "{said}");
    assert_eq!(converts(&daemon, "echo.1.mis"), version("BBBB"));
    assert_eq!(history(&daemon)[..2], [(version("CCCC"), false, true), (version("BBBB"), true, false)]);
    let (_, table, _) = run(&daemon.path(""), &["plugin", "list", "-c", "list.toml"]);
    assert!(table.contains("running, rolled back; the file holds another version"), "{table}");
    assert_eq!(fs::read(daemon.path("plugins/misbehave.wasm")).unwrap(), misbehave("CCCC"), "the file is as it was");

    // It outlives the daemon; and without one, another takes effect at the next start.
    assert!(daemon.terminate().success());
    let (code, said, errors) = plugin_command(&daemon, "rollback", &[]);
    assert_eq!(code, 0, "{errors}");
    assert!(said.contains("runs after the next start"), "{said}");
    let daemon = daemon.restart(|setup| setup);
    wait_for_rollback(&daemon, "AAAA");
    assert_eq!(converts(&daemon, "echo.2.mis"), version("AAAA"));
    let (code, _, errors) = plugin_command(&daemon, "rollback", &[]);
    assert!(code == 1 && errors.contains("no version of `misbehave` is older"), "{errors}");

    // The same bytes under a new time are the same file; other bytes end it, and it does not come back with the old ones.
    daemon.drop_plugin("misbehave.wasm", misbehave("CCCC"));
    wait_for("the unchanged file to be noticed", || {
        daemon.metric("plugin_loads_total{result=\"unchanged\"}").filter(|count| *count >= 1.0)
    });
    wait_for_rollback(&daemon, "AAAA");
    for letters in ["DDDD", "CCCC"] {
        daemon.drop_plugin("misbehave.wasm", misbehave(letters));
        daemon.wait_for_version("misbehave.wasm", &version(letters));
        assert!(daemon.plugin_status("misbehave.wasm").unwrap()["rolled_back"].is_null());
        wait_for("the end of the rollback", || {
            history(&daemon).first().is_some_and(|first| *first == (version(letters), true, true)).then_some(())
        });
    }
    assert_eq!(converts(&daemon, "echo.3.mis"), version("CCCC"));

    // To a digest, and back to what the file holds.
    let digest_of = |letters: &str| {
        let (_, answer, _) = plugin_command(&daemon, "history", &["--json"]);
        let rows: Vec<Value> = serde_json::from_str(&answer).unwrap();
        let row = rows.iter().find(|row| row["version"] == version(letters)).unwrap_or_else(|| panic!("{rows:#?}"));
        row["digest"].as_str().unwrap().to_owned()
    };
    let (code, _, errors) = plugin_command(&daemon, "rollback", &[&digest_of("BBBB")[..10]]);
    assert_eq!(code, 0, "{errors}");
    assert_eq!(converts(&daemon, "echo.4.mis"), version("BBBB"));
    let (code, said, errors) = plugin_command(&daemon, "rollback", &[&digest_of("CCCC")]);
    assert!(code == 0 && said.contains("It is what the file holds."), "{said}{errors}");
    assert_eq!(converts(&daemon, "echo.5.mis"), version("CCCC"));
    let (code, _, errors) = plugin_command(&daemon, "rollback", &["0000"]);
    assert!(code == 1 && errors.contains("has no version whose digest begins with"), "{errors}");

    // A version whose kept bytes are damaged does not run, and neither does what was rolled back from: that is said, with what to do.
    let kept = daemon.path("state/plugin-versions").join(format!("{}.wasm", digest_of("BBBB")));
    fs::write(kept, "damaged").unwrap();
    fs::write(
        daemon.path("state/plugin-versions/misbehave.rollback.json"),
        serde_json::json!({
            "name": "misbehave", "digest": digest_of("BBBB"), "file_digest": digest_of("CCCC"), "since": ""
        })
        .to_string(),
    )
    .unwrap();
    let status = wait_for("the refusal", || daemon.plugin_status("misbehave.wasm").filter(|status| status["refused"].is_object()));
    assert!(status["refused"]["reason"].as_str().unwrap().contains("its bytes are damaged"), "{status:#}");
    assert_eq!(converts(&daemon, "echo.6.mis"), version("CCCC"), "what runs goes on");
    // After a restart nothing runs in its place, until somebody decides what is to run.
    let digest = digest_of("CCCC");
    let daemon = daemon.restart(|setup| setup);
    daemon.wait_for_log("is ready: drop files");
    let status = daemon.plugin_status("misbehave.wasm").unwrap();
    assert!(status["running"].is_null() && status["refused"].is_object(), "{status:#}");
    let (code, said, errors) = plugin_command(&daemon, "rollback", &[&digest]);
    assert!(code == 0 && said.contains("It is what the file holds."), "{said}{errors}");
    assert_eq!(converts(&daemon, "echo.7.mis"), version("CCCC"));
}

#[test]
fn only_what_a_trusted_key_has_signed_is_loaded_where_that_is_asked_for() {
    let setup = Setup::new().config(
        "signatures = { policy = 'require', trusted_keys = '{dir}/keys' }\n[[routes]]\nname = 'default'\nintake = { path = '{dir}/in' }\n\
         destinations = [{ type = 'folder', path = '{dir}/out' }]\n",
    );
    let folder = setup.path("");
    let dropforge = |arguments: &[&str]| run(&folder, arguments);
    fs::create_dir(folder.join("keys")).unwrap();
    for name in ["alice", "eve"] {
        let (code, said, errors) = dropforge(&["plugin", "keygen", name]);
        assert!(code == 0 && said.contains("key id "), "{said}{errors}");
    }
    assert_eq!(dropforge(&["plugin", "keygen", "alice"]).0, 1, "a key is never written over");
    fs::rename(folder.join("alice.pub"), folder.join("keys/alice.pub")).unwrap();
    let signed = |letters: &str, key: &str| -> Vec<u8> {
        fs::write(folder.join("new.wasm"), misbehave(letters)).unwrap();
        let (code, _, errors) = dropforge(&["plugin", "sign", "new.wasm", "--key", key]);
        assert_eq!(code, 0, "{errors}");
        fs::read(folder.join("new.wasm.sig")).unwrap()
    };
    let by_eve = signed("AAAA", "eve.key");
    let (code, _, errors) = dropforge(&["plugin", "verify", "new.wasm", "--keys", "keys"]);
    assert!(code == 1 && errors.contains("not among the trusted keys"), "{errors}");
    let by_alice = signed("AAAA", "alice.key");
    let (code, said, errors) = dropforge(&["plugin", "verify", "new.wasm", "--keys", "keys"]);
    assert!(code == 0 && said.contains("signed with the key `alice`"), "{said}{errors}");

    let daemon = setup.start();
    let refused = |part: &str| {
        wait_for(&format!("the plugin to be refused: {part}"), || {
            daemon
                .plugin_status("misbehave.wasm")
                .filter(|status| status["refused"]["reason"].as_str().is_some_and(|reason| reason.contains(part)))
        })
    };
    daemon.drop_plugin("misbehave.wasm", misbehave("AAAA"));
    refused("it is not signed");
    // A signature that comes later is noticed, for better or worse.
    daemon.drop_plugin("misbehave.wasm.sig", &by_eve);
    refused("not among the trusted keys");
    daemon.drop_plugin("misbehave.wasm.sig", &by_alice);
    daemon.wait_for_version("misbehave.wasm", &version("AAAA"));
    assert_eq!(daemon.plugin_status("misbehave.wasm").unwrap()["running"]["signed_by"], "alice");

    // Other bytes under a good signature: what ran goes on.
    daemon.drop_plugin("misbehave.wasm", misbehave("BBBB"));
    let status = refused("is for other bytes");
    assert_eq!(status["running"]["version"], version("AAAA"));
    daemon.drop_plugin("misbehave.wasm.sig", signed("BBBB", "alice.key"));
    daemon.wait_for_version("misbehave.wasm", &version("BBBB"));
    assert_eq!(converts(&daemon, "echo.1.mis"), version("BBBB"));
    // A version that was rolled back to is signed too.
    wait_for("the history", || (history(&daemon).len() == 2).then_some(()));
    let (code, said, errors) = plugin_command(&daemon, "rollback", &[]);
    assert!(code == 0 && said.contains("runs now"), "{said}{errors}");
    assert_eq!(daemon.plugin_status("misbehave.wasm").unwrap()["running"]["signed_by"], "alice");
    // A key that is not trusted any more stops what runs, the version that was rolled back to too.
    fs::rename(daemon.path("keys/alice.pub"), daemon.path("alice.pub")).unwrap();
    assert!(refused("does not run any more")["running"].is_null());
    fs::rename(daemon.path("alice.pub"), daemon.path("keys/alice.pub")).unwrap();
    daemon.wait_for_version("misbehave.wasm", &version("AAAA"));
    assert_eq!(converts(&daemon, "echo.3.mis"), version("AAAA"));
    // Commands ask for signatures as the daemon does.
    fs::write(daemon.path("unsigned.wasm"), misbehave("EEEE")).unwrap();
    fs::write(daemon.path("echo.x.mis"), "x").unwrap();
    let (code, _, errors) =
        run(&daemon.path(""), &["convert", "echo.x.mis", "-c", "dropforge.toml", "--converter", "unsigned.wasm", "-o", "-"]);
    assert!(code == 1 && errors.contains("it is not signed"), "{errors}");
}

#[test]
fn a_load_that_changes_what_a_route_picks_is_logged_and_listed() {
    let setup = Setup::new().config(
        "[[routes]]\nname = 'any'\nintake = { path = '{dir}/in' }\ndestinations = [{ type = 'folder', path = '{dir}/out' }]\n\
         [[routes]]\nname = 'named'\nconverter = 'misbehave'\nintake = { path = '{dir}/named' }\n\
         destinations = [{ type = 'folder', path = '{dir}/out' }]\n",
    );
    fs::create_dir(setup.path("named")).unwrap();
    let daemon = setup.plugins(&["misbehave"]).start();
    assert_eq!(converts(&daemon, "line-1/echo.first.mis"), version("AAAA"));
    assert_eq!(daemon.plugin_status("misbehave.wasm").unwrap()["picks"], serde_json::json!([]));

    // Another version is another pick for who names it. Who asks all converters gets the same one.
    daemon.drop_plugin("misbehave.wasm", misbehave("BBBB"));
    let picks = wait_for("the pick to be listed", || {
        daemon
            .plugin_status("misbehave.wasm")
            .map(|status| status["picks"].clone())
            .filter(|picks| picks.as_array().is_some_and(|picks| !picks.is_empty()))
    });
    let said = picks[0].as_str().unwrap();
    assert!(said.starts_with("route `named` picks `misbehave` version 1.0.0-release.BBBB (") && said.ends_with(") before"), "{picks:#}");
    assert_eq!(picks.as_array().unwrap().len(), 1, "{picks:#}");
    assert!(daemon.log().contains(said));

    // The same converter under another name, which comes before it in the alphabet, and so takes its files.
    let mut rival = misbehave("CCCC");
    let name = b"misbehave";
    let places: Vec<usize> = rival.windows(name.len()).enumerate().filter(|(_, window)| window == name).map(|(at, _)| at).collect();
    for at in places {
        rival[at..at + 4].copy_from_slice(b"able");
    }
    daemon.drop_plugin("rival.wasm", &rival);
    let expected = "files like line-1/echo.first.mis of route `any` go to `ableehave` now, to `misbehave` before";
    let status = wait_for("the rival's pick to be listed", || {
        daemon
            .plugin_status("rival.wasm")
            .filter(|status| status["picks"].as_array().is_some_and(|picks| !picks.is_empty()) || status["refused"].is_object())
    });
    assert_eq!(status["picks"], serde_json::json!([expected]), "{status:#}");
    assert!(daemon.log().contains(expected));
    fs::write(daemon.path("list.toml"), format!("health_port = {}\n", daemon.health_port())).unwrap();
    let (_, table, _) = run(&daemon.path(""), &["plugin", "list", "-c", "list.toml"]);
    assert!(table.contains(expected), "{table}");
    assert_eq!(converts(&daemon, "line-1/echo.second.mis"), version("CCCC"));

    // It goes, and they go back. What has no history of it to compare with is not guessed at.
    fs::remove_file(daemon.path("plugins/rival.wasm")).unwrap();
    daemon.wait_for_log("of route `any` go to `misbehave` now, to `ableehave` before");
}
