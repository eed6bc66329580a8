//! The commands that people type: what they print, what they leave, and how they exit (0 ok, 1 failed, 2 wrong usage or configuration).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dropforge_tests::{command, data, files, inspect, plugin, run, target_folder, wait_for, without_id};
use serde_json::Value;
use tempfile::TempDir;

/// A folder with a table, a report, and the plugins for both.
fn folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("dropforge-cli-").tempdir().unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    for name in ["csv", "junit", "misbehave"] {
        fs::copy(plugin(name), folder.path().join("plugins").join(format!("{name}.wasm"))).unwrap();
    }
    fs::write(folder.path().join("panel.csv"), "serial,volts\n007,5.1\n").unwrap();
    fs::copy(data("junit/testsuite-root.xml"), folder.path().join("report.xml")).unwrap();
    folder
}

const PANEL: &str = "{\"serial\":\"007\",\"volts\":5.1}\n";

/// What is in a folder besides what [`folder`] put there.
fn made(folder: &TempDir) -> Vec<String> {
    let known = |name: &String| ["panel.csv", "report.xml"].contains(&name.as_str()) || name.starts_with("plugins/");
    files(folder.path()).into_keys().filter(|name| !known(name)).collect()
}

#[test]
fn every_command_has_help_with_an_example() {
    let folder = tempfile::tempdir().unwrap();
    let (code, version, _) = run(folder.path(), &["--version"]);
    assert_eq!(code, 0);
    assert!(version.starts_with("dropforge ") && version.trim().ends_with(env!("CARGO_PKG_VERSION")), "{version}");

    let mut pending = vec![Vec::new()];
    let mut seen = Vec::new();
    while let Some(words) = pending.pop() {
        let arguments: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        let (code, help, errors) = run(folder.path(), &arguments);
        assert_eq!((code, errors.as_str()), (0, ""), "{arguments:?}");
        assert!(help.contains("Example"), "{arguments:?} shows no example:\n{help}");
        assert!(help.lines().any(|line| line.trim_start().starts_with("dropforge ") || line.contains(" dropforge ")), "{help}");
        let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        for name in commands.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).filter(|name| !["", "help"].contains(name)) {
            pending.push(words.iter().cloned().chain([name.to_owned()]).collect::<Vec<String>>());
        }
        seen.push(words.join(" "));
    }
    seen.sort();
    let expected = [
        "",
        "backup",
        "bench",
        "bench convert",
        "bench path",
        "bench plugin",
        "bench queue",
        "bench sandbox",
        "bench scrape",
        "cache",
        "cache clear",
        "cache invalidate",
        "cache stats",
        "completions",
        "config",
        "config check",
        "config import",
        "config reload",
        "config schema",
        "config show",
        "convert",
        "converter",
        "converter pause",
        "converter resume",
        "doctor",
        "log-level",
        "plugin",
        "plugin build",
        "plugin history",
        "plugin inspect",
        "plugin keygen",
        "plugin list",
        "plugin new",
        "plugin rollback",
        "plugin sign",
        "plugin verify",
        "queue",
        "queue list",
        "queue purge",
        "queue retry",
        "queue show",
        "queue status",
        "replay",
        "route",
        "route list",
        "route pause",
        "route resume",
        "run",
        "service",
        "service install",
        "service status",
        "service uninstall",
        "status",
        "top",
    ];
    assert_eq!(seen, expected);

    for wrong in [
        &["frobnicate"][..],
        &["convert"],
        &["run", "--no-such-flag"],
        &["plugin", "inspect"],
        &["plugin", "inspect", "nosuch"],
        &["--log-level", "loud", "config", "schema"],
    ] {
        let (code, out, errors) = run(folder.path(), wrong);
        assert_eq!((code, out.as_str()), (2, ""), "{wrong:?}: {errors}");
        assert!(!errors.is_empty());
    }
}

#[test]
fn convert_writes_documents_beside_the_input_or_where_it_is_told() {
    let folder = folder();
    let here = folder.path();
    // Any converter of the plugins folder; the document stands beside the file, under its plain name.
    let (code, out, errors) = run(here, &["convert", "panel.csv"]);
    assert_eq!((code, out.trim_start_matches("./")), (0, "panel.jsonl\n"), "{errors}");
    assert!(errors.contains("panel.csv: converted by csv") && errors.contains("1 document,"), "{errors}");
    assert_eq!(fs::read_to_string(here.join("panel.jsonl")).unwrap(), PANEL);
    // Again: what the first run left is replaced.
    fs::write(here.join("panel.csv"), "serial,volts\n007,5.2\n").unwrap();
    assert_eq!(run(here, &["convert", "panel.csv"]).0, 0);
    assert_eq!(fs::read_to_string(here.join("panel.jsonl")).unwrap(), PANEL.replace("5.1", "5.2"));
    assert_eq!(made(&folder), ["panel.jsonl"]);
    fs::remove_file(here.join("panel.jsonl")).unwrap();
    fs::write(here.join("panel.csv"), "serial,volts\n007,5.1\n").unwrap();

    // To standard output: the bytes, and nothing besides.
    let (code, out, errors) = run(here, &["convert", "panel.csv", "-o", "-"]);
    assert_eq!((code, out.as_str(), errors.as_str()), (0, PANEL, ""));
    // By name, by file, with options.
    let (code, out, errors) =
        run(here, &["convert", "panel.csv", "--converter", "csv", "--option", "infer=false", "--option", "header=false", "-o", "-"]);
    let rows = "{\"column_1\":\"serial\",\"column_2\":\"volts\"}\n{\"column_1\":\"007\",\"column_2\":\"5.1\"}\n";
    assert_eq!((code, out.as_str()), (0, rows), "{errors}");
    let (code, out, errors) = run(here, &["convert", "panel.csv", "--converter", "plugins/csv.wasm", "-o", "-"]);
    assert_eq!((code, out.as_str()), (0, PANEL), "{errors}");

    // Several files of several kinds into a folder that is made for them; names that collide are told apart.
    fs::create_dir(here.join("other")).unwrap();
    fs::write(here.join("other/panel.csv"), "serial\n008\n").unwrap();
    let (code, out, errors) = run(here, &["convert", "panel.csv", "other/panel.csv", "report.xml", "-o", "converted/here"]);
    assert_eq!(code, 0, "{errors}");
    assert!(errors.contains("3 of 3 files converted"), "{errors}");
    let documents = files(&here.join("converted/here"));
    assert_eq!(documents.len(), 6, "{documents:?}");
    assert_eq!(out.lines().count(), 6);
    assert!(out.lines().all(|line| here.join(line).is_file()), "{out}");
    assert_eq!(fs::read_to_string(&documents["panel.jsonl"]).unwrap(), PANEL);
    let second = documents.keys().find(|name| name.starts_with("panel-")).unwrap();
    assert_eq!(without_id(second), "panel.jsonl");
    assert_eq!(fs::read_to_string(&documents[second]).unwrap(), "{\"serial\":\"008\"}\n");
}

#[test]
fn convert_says_what_failed_and_leaves_nothing_of_it() {
    let folder = folder();
    let here = folder.path();
    fs::copy(data("junit/pytest-corrupt-xml.xml"), here.join("corrupt.xml")).unwrap();
    fs::write(here.join("prose.txt"), "Dear all,\n\nnothing to convert here.\n").unwrap();
    fs::write(here.join("panic.mis"), "x").unwrap();
    fs::write(here.join("partial.mis"), "x").unwrap();
    fs::write(here.join("reject.mis"), "x").unwrap();
    let before = made(&folder);

    // One that fails does not keep the others from being converted.
    let (code, out, errors) = run(here, &["convert", "corrupt.xml", "panel.csv", "missing.csv", "prose.txt", "panic.mis", "reject.mis"]);
    assert_eq!(code, 1, "{errors}");
    assert_eq!(out.trim_start_matches("./"), "panel.jsonl\n");
    let said = |start: &str, text: &str| {
        assert!(errors.lines().any(|line| line.starts_with(start) && line.contains(text)), "`{start}` … `{text}` is not in:\n{errors}");
    };
    said("corrupt.xml: malformed: ", "line 11");
    said("missing.csv: ", "cannot open the file");
    said("prose.txt: ", "no converter takes this file (asked: csv, junit, misbehave)");
    said("panic.mis: trap: ", "the fixture is on fire");
    said("reject.mis: rejected: validation: ", "an aborted test (line 7)");
    said("1 of 6 files converted", "");
    fs::remove_file(here.join("panel.jsonl")).unwrap();
    assert_eq!(made(&folder), before, "something was left behind");

    // A conversion in part gives its good documents, and the exit code says that something is missing.
    let (code, out, errors) = run(here, &["convert", "partial.mis", "-o", "-"]);
    assert_eq!((code, out.as_str()), (1, "the good part\n"), "{errors}");
    assert!(errors.contains("partial.mis: error: malformed: unit 5 of 10 is cut off (line 12, column 3)"), "{errors}");
    assert_eq!(made(&folder), before);

    // What is wrong with the command itself is usage, said before anything is converted.
    for (arguments, message) in [
        (&["convert", "panel.csv", "--converter", "nosuch"][..], "there is no converter `nosuch`"),
        (&["convert", "panel.csv", "--converter", "csv", "--option", "delimitr=;"], "delimiter"),
        (
            &["convert", "panel.csv", "--converter", "csv", "--option", "infer=perhaps"],
            "the option `infer` cannot be \"perhaps\": it takes boolean",
        ),
        (&["convert", "panel.csv", "--converter", "csv", "--option", "delimiter"], "NAME=VALUE"),
        (&["convert", "panel.csv", "--plugins", "empty"], "no converter"),
        (&["convert", "panel.csv", "-c", "broken.toml"], "broken.toml:1"),
    ] {
        fs::create_dir_all(here.join("empty")).unwrap();
        fs::write(here.join("broken.toml"), "no_such_key = 1\n").unwrap();
        let (code, out, errors) = run(here, arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {errors}");
        assert!(errors.contains(message), "{arguments:?}: {errors}");
    }
    // A plugin that is none, or not there, is a failure with its reason.
    for (file, message) in [("panel.csv.wasm", "panel.csv.wasm"), ("text.wasm", "text.wasm")] {
        fs::write(here.join("text.wasm"), "no plugin").unwrap();
        let (code, out, errors) = run(here, &["convert", "panel.csv", "--converter", file]);
        assert_eq!((code, out.as_str()), (1, ""), "{errors}");
        assert!(errors.contains(message), "{errors}");
    }
    let left: Vec<String> = made(&folder).into_iter().filter(|name| !["broken.toml", "text.wasm"].contains(&name.as_str())).collect();
    assert_eq!(left, before);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let folder = folder();
    let table: String = (0..200_000).map(|row| format!("{row},{row}\n")).collect();
    fs::write(folder.path().join("large.csv"), format!("a,b\n{table}")).unwrap();
    let schema = ["config", "schema"];
    let inspect = ["plugin", "inspect", "plugins/csv.wasm"];
    for arguments in [&["convert", "large.csv", "-o", "-"][..], &["convert", "large.csv", "-o", "out"], &schema, &inspect] {
        let mut child = command(folder.path()).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // What `head -1` does: read a little, and close the pipe. The short answers may have come whole by then; large.csv cannot.
        let mut stdout = child.stdout.take().unwrap();
        if arguments.last() == Some(&"-") {
            stdout.read_exact(&mut [0; 8]).unwrap();
        }
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {errors}");
        assert!(!errors.contains("panicked") && !errors.contains("roken pipe"), "{arguments:?}: {errors}");
    }
    assert_eq!(fs::read_to_string(folder.path().join("out/large.jsonl")).unwrap().lines().count(), 200_000);
    let left: Vec<String> = made(&folder).into_iter().filter(|name| name != "large.csv" && name != "out/large.jsonl").collect();
    assert_eq!(left, [""; 0]);
}

#[test]
fn inspect_and_list_say_what_a_plugin_is() {
    let folder = folder();
    let here = folder.path();
    let (code, text, errors) = run(here, &["plugin", "inspect", "plugins/junit.wasm"]);
    assert_eq!(code, 0, "{errors}");
    let fact =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name).map(str::trim)).unwrap_or_else(|| panic!("no {name} in {text}"));
    assert_eq!((fact("name"), fact("capabilities"), fact("form")), ("junit", "none", "component"));
    assert_eq!(fact("contract"), "dropforge:converter@0.1.0");
    assert!(fact("producers").contains("rustc"), "{text}");
    assert!(text.contains("include_output") && text.contains("junit_cases_total"), "{text}");
    let facts = inspect(&here.join("plugins/junit.wasm"));
    assert_eq!(facts["sha256"], fact("sha256"));
    assert_eq!(facts["size_bytes"], fs::metadata(here.join("plugins/junit.wasm")).unwrap().len());

    fs::write(here.join("plugins/broken.wasm"), b"\0asm").unwrap();
    let (code, text, errors) = run(here, &["plugin", "list", "--plugins", "plugins"]);
    assert_eq!(code, 0, "{errors}");
    let row = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
    assert!(row("csv ").contains("csv.wasm") && row("csv ").ends_with("running"), "{text}");
    assert!(row("- ").contains("broken.wasm") && row("- ").contains("refused: "), "{text}");
    let (code, text, _) = run(here, &["plugin", "list", "--plugins", "plugins", "--json"]);
    let list: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, list["source"].as_str()), (0, Some("folder")));
    let digests: Vec<&str> = list["plugins"].as_array().unwrap().iter().filter_map(|plugin| plugin["running"]["digest"].as_str()).collect();
    assert!(digests.len() == 3 && digests.contains(&facts["sha256"].as_str().unwrap()), "{list:#}");

    let (code, out, errors) = run(here, &["plugin", "inspect", "panel.csv"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(errors.contains("panel.csv"), "{errors}");
}

#[test]
fn a_new_plugin_tests_builds_and_converts_as_it_stands() {
    let folder = folder();
    let here = folder.path();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let sdk = root.join("plugin-sdk");
    let (code, out, errors) = run(here, &["plugin", "new", "keyvalue", "--sdk", sdk.to_str().unwrap()]);
    assert_eq!(code, 0, "{errors}");
    assert!(out.contains("cargo test") && out.contains("dropforge plugin build"), "{out}");
    let again = run(here, &["plugin", "new", "keyvalue", "--sdk", sdk.to_str().unwrap()]);
    assert!(again.0 == 1 && again.2.contains("--dir"), "an existing folder is left alone: {again:?}");

    // The versions that this workspace was built with are there: nothing is downloaded.
    fs::copy(root.join("Cargo.lock"), here.join("keyvalue/Cargo.lock")).unwrap();
    let cargo = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let output = Command::new(cargo)
        .args(["test", "--offline", "--color=never"])
        .current_dir(here.join("keyvalue"))
        .env("CARGO_TARGET_DIR", target_folder().join("plugin-new"))
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    assert!(text.contains("3 passed") && !text.contains("warning:"), "{text}");

    // Built where the bundled plugins were, so that the SDK is not compiled once more.
    let built = command(here)
        .args(["plugin", "build", "keyvalue", "-o", "plugins/keyvalue.wasm"])
        .env("CARGO_TARGET_DIR", target_folder())
        .env("CARGO_NET_OFFLINE", "true")
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let said = String::from_utf8_lossy(&built.stdout).into_owned();
    let facts = inspect(&here.join("plugins/keyvalue.wasm"));
    assert!(said.contains(facts["sha256"].as_str().unwrap()), "{said}");
    assert_eq!(facts["name"], "keyvalue");
    assert_eq!(facts["options"][0]["name"], "comment");

    fs::write(here.join("panel-7.keyvalue"), "serial = A7\nvolts = 5.1\n").unwrap();
    let (code, out, errors) = run(here, &["convert", "panel-7.keyvalue", "-o", "-"]);
    assert_eq!(code, 0, "{errors}");
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), serde_json::json!({"serial": "A7", "volts": "5.1"}));

    // What is no crate, or builds no plugin, is said.
    for (name, lib, message) in [("nothing", None, "Cargo.toml"), ("library", Some(""), "cdylib")] {
        let path = here.join(name);
        fs::create_dir_all(path.join("src")).unwrap();
        if let Some(lib) = lib {
            fs::write(path.join("Cargo.toml"), format!("[package]\nname = '{name}'\nedition = '2024'\n[workspace]\n")).unwrap();
            fs::write(path.join("src/lib.rs"), lib).unwrap();
        }
        let (code, _, errors) = run(here, &["plugin", "build", name]);
        assert_eq!(code, 1);
        assert!(errors.contains(message), "{errors}");
    }
}

#[test]
fn the_configuration_is_checked_described_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let (code, schema, _) = run(here, &["config", "schema"]);
    assert_eq!(code, 0);
    let validator = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();

    // The sample in the README is a configuration, for the schema and for the daemon.
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let (_, rest) = readme.split_once("```toml\n").expect("the README has a configuration");
    let sample = rest.split("```").next().unwrap();
    let as_json = |toml: &str| serde_json::to_value(toml.parse::<toml::Table>().unwrap()).unwrap();
    let mistakes = |toml: &str| validator.iter_errors(&as_json(toml)).map(|error| error.to_string()).collect::<Vec<_>>();
    assert_eq!(mistakes(sample), [""; 0]);
    fs::write(here.join("dropforge.toml"), sample).unwrap();
    let (code, out, errors) = run(here, &["config", "check"]);
    assert_eq!(code, 0, "{errors}");
    assert!(out.ends_with("dropforge.toml: ok\n"), "{out}");

    // What `show` prints is a configuration that means the same.
    let (code, shown, errors) = run(here, &["config", "show"]);
    assert_eq!(code, 0, "{errors}");
    assert_eq!(mistakes(&shown), [""; 0]);
    fs::write(here.join("shown.toml"), &shown).unwrap();
    assert_eq!(run(here, &["config", "show", "-c", "shown.toml"]).1, shown);
    let (code, shown, _) = run(here, &["config", "show", "--inbox", "in", "--outbox", "out", "--health-port", "18080"]);
    assert_eq!((code, as_json(&shown)["health_port"].as_u64()), (0, Some(18080)));

    // Everything that is wrong is said at once, with its place and what to write instead.
    let broken = sample.replace("wall_seconds", "wall_secnds").replace("on_problem = \"deliver\"", "on_problem = \"maybe\"");
    assert!(!mistakes(&broken).is_empty());
    fs::write(here.join("broken.toml"), &broken).unwrap();
    for command in [&["config", "check", "-c", "broken.toml"][..], &["run", "-c", "broken.toml"], &["convert", "x", "-c", "broken.toml"]] {
        let (code, out, errors) = run(here, command);
        assert_eq!((code, out.as_str()), (2, ""), "{command:?}: {errors}");
        let line = broken.lines().position(|line| line.starts_with("wall_secnds")).unwrap() + 1;
        assert!(errors.contains(&format!("broken.toml:{line}: ")) && errors.contains("did you mean `wall_seconds`?"), "{errors}");
        assert!(errors.contains("on_problem"), "{errors}");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_conversion_leaves_nothing() {
    use rustix::process::{Pid, Signal, kill_process};

    for (signal, expected) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let folder = folder();
        fs::write(folder.path().join("spin.mis"), "").unwrap();
        let arguments = ["convert", "spin.mis", "--converter", "misbehave", "-o", "made"];
        let mut converting = command(folder.path()).args(arguments).stderr(Stdio::null()).spawn().unwrap();
        // The folder of its documents is there while it runs.
        let made = folder.path().join("made");
        wait_for("the conversion to begin", || fs::read_dir(&made).ok()?.next().map(drop));
        kill_process(Pid::from_child(&converting), signal).unwrap();
        assert_eq!(converting.wait().unwrap().code(), Some(expected));
        assert_eq!(fs::read_dir(&made).unwrap().count(), 0);
    }
}

#[test]
fn json_texts_on_standard_output_do_not_run_together() {
    let folder = folder();
    for name in ["a.json", "b.json"] {
        fs::copy(data("wats/new_report_example.json"), folder.path().join(name)).unwrap();
    }
    let converter = plugin("wats");
    let converter = ["--converter", converter.to_str().unwrap(), "-o", "-"];
    let (code, out, errors) = run(folder.path(), &[&["convert", "a.json", "b.json"], &converter[..]].concat());
    assert_eq!(code, 0, "{errors}");
    let reports: Vec<Value> = serde_json::Deserializer::from_str(&out).into_iter().collect::<Result<_, _>>().unwrap();
    assert_eq!(reports.len(), 2);
    assert!(!out.contains("}{"), "{out}");
    // A document alone is written as it is.
    let (_, alone, _) = run(folder.path(), &[&["convert", "a.json"], &converter[..]].concat());
    assert!(!alone.ends_with('\n') && out == format!("{alone}\n{alone}"));
}

#[test]
fn what_a_file_lacks_is_said_once_and_how_to_give_it() {
    let folder = folder();
    let converter = plugin("stdf");
    let lot = data("stdf/lot2.stdf.bz2");
    let arguments = ["convert", lot.to_str().unwrap(), "--converter", converter.to_str().unwrap(), "-o", "made"];
    let (code, out, errors) = run(folder.path(), &arguments);
    assert_eq!((code, out.as_str()), (1, ""), "{errors}");
    let count = |text: &str| errors.lines().filter(|line| line.contains(text)).count();
    assert_eq!((count(": error: "), count(" more problems"), count("--option timezone=Europe/Oslo")), (20, 1, 1), "{errors}");
    let (_, _, errors) = run(folder.path(), &[&arguments[..], &["--option", "timezone=Europe/Oslo"]].concat());
    assert!(!errors.contains("has no time zone"), "{errors}");
}

#[test]
fn convert_works_beside_a_state_folder_that_it_cannot_use() {
    let folder = folder();
    let here = folder.path();
    fs::write(here.join("blocked"), "").unwrap();
    for arguments in [&["convert", "panel.csv", "-o", "-"][..], &["convert", "panel.csv", "-o", "-", "--converter", "plugins/csv.wasm"]] {
        let output = command(here).args(arguments).env("DROPFORGE_STATE_DIR", "blocked/state").output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout).as_ref()), (Some(0), PANEL), "{errors}");
    }
    assert_eq!(made(&folder), ["blocked"]);
}

#[test]
fn a_converter_that_misses_what_belongs_to_its_file_says_how_a_route_gives_it() {
    let folder = folder();
    let header = data("klippel/DUT xyz115 2020-05-14 10-01-37-5 UTC+0200.txt");
    let converter = plugin("klippel");
    let mut arguments = vec!["convert", header.to_str().unwrap(), "--converter", converter.to_str().unwrap(), "-o", "made"];
    for option in ["part_number=PN-1", "revision=A", "operation_code=10"] {
        arguments.extend(["--option", option]);
    }
    let (code, _, errors) = run(folder.path(), &arguments);
    assert!(code == 1 && errors.contains("`include` and `members`"), "{errors}");
}

#[test]
fn the_options_of_routes_are_checked_by_the_plugins_that_get_them() {
    let folder = folder();
    let here = folder.path();
    let check = |options: &str, plugins: &str| {
        let route = format!(
            "[[routes]]\nname = 'a'\nintake = {{ path = 'in' }}\ndestinations = [{{ type = 'folder', path = 'out' }}]\noptions = {options}\n"
        );
        fs::write(here.join("routes.toml"), format!("plugins_dir = '{plugins}'\n{route}")).unwrap();
        run(here, &["config", "check", "-c", "routes.toml"])
    };
    assert_eq!(check("{ csv = { delimiter = ';' } }", "plugins"), (0, "routes.toml: ok\n".to_owned(), String::new()));
    let (code, out, errors) = check("{ csv = { delimitr = ';' } }", "plugins");
    assert_eq!((code, out.as_str()), (2, ""), "{errors}");
    assert!(errors.starts_with("error: routes[0].options: ") && errors.contains("did you mean `delimiter`?"), "{errors}");
    // What cannot be asked is said.
    for (options, plugins, said) in [
        ("{ nosuch = { x = 1 } }", "plugins", "those for `nosuch` are not checked"),
        ("{ csv = { delimitr = ';' } }", "nowhere", "are not checked, because the plugins cannot be loaded"),
    ] {
        let (code, _, errors) = check(options, plugins);
        assert!(code == 0 && errors.starts_with("warning: ") && errors.contains(said), "{errors}");
    }
}
