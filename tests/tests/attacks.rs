//! Every plugin in `tests/attacks`, and files that are no plugins, in one daemon, three times over: each fails by its own name, and
//! afterwards the daemon converts as before, no larger, with no thread, no descriptor and no file more.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use dropforge_tests::attack::{self, Attack, Stage};
use dropforge_tests::{Daemon, Setup, files, plugin, wait_for};
use serde_json::Value;

const MEBIBYTE: u64 = 1 << 20;

/// What a process holds.
#[derive(Debug)]
struct Holdings {
    resident_bytes: u64,
    threads: usize,
    /// What its descriptors lead to, but for sockets of scrapes that are just being closed.
    descriptors: usize,
    /// Below the state folder, but for what is compiled, logged and queued, and the versions of plugins that there were.
    files: Vec<String>,
}

impl Holdings {
    fn of(daemon: &Daemon) -> Holdings {
        let process = Path::new("/proc").join(daemon.id().to_string());
        let status = fs::read_to_string(process.join("status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
        };
        let descriptors = fs::read_dir(process.join("fd")).unwrap().filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        let kept = |path: &String| {
            let is_compiled = path.starts_with("compiled/") && (path.ends_with(".cwasm") || path.ends_with(".json"));
            let is_record = ["queue.db", "spool/manifest-", "plugin-versions/"].iter().any(|record| path.starts_with(record));
            !is_record && !is_compiled
        };
        Holdings {
            resident_bytes: field("VmRSS:") * 1024,
            threads: field("Threads:") as usize,
            descriptors: descriptors.filter(|target| !target.to_string_lossy().starts_with("socket:")).count(),
            files: files(&daemon.path("state")).into_keys().filter(kept).collect(),
        }
    }
}

fn config(attacks: &[Attack]) -> String {
    // What `probe`s may use is set for all; what a job may use, for its route.
    // What takes minutes to compile is stopped; a machine with other things to do may need seconds for the others.
    let mut text =
        "workers = 2\nresult_cache = { enabled = false }\nlimits = { probe_seconds = 0.5, probe_memory_bytes = 50331648 }\nloading = { compile_seconds = 10.0 }\n".to_owned();
    let destinations = "destinations = [{ type = 'folder', path = '{dir}/out' }]";
    for Attack { name, limits, .. } in attacks.iter().filter(|attack| matches!(attack.stage, Stage::Job | Stage::Converted)) {
        text += &format!(
            "[[routes]]\nname = '{name}'\nconverter = '{name}'\nlimits = {{ {limits} }}\nintake = {{ path = '{{dir}}/in/{name}' }}\n{destinations}\n"
        );
    }
    text + &format!("[[routes]]\nname = 'anyone'\nintake = {{ path = '{{dir}}/in/anyone' }}\n{destinations}\n")
}

/// Files that are no plugins, by name, with what their refusals say.
const NO_PLUGINS: [(&str, &str); 9] = [
    ("empty.wasm", "the file is empty"),
    ("text.wasm", "this is no WebAssembly"),
    ("truncated.wasm", "truncated or damaged"),
    ("huge.wasm", "its limit `loading.file_bytes` is 134217728"),
    ("folder.wasm", "it is not a file"),
    ("pipe.wasm", "it is not a file"),
    ("loop.wasm", "symbolic links"),
    ("nowhere.wasm", "No such file"),
    ("crash.wasm", "the process that compiles plugins ended with signal: 6"),
];

fn put_no_plugins(folder: &Path) {
    let whole = fs::read(plugin("csv")).unwrap();
    fs::write(folder.join("empty.wasm"), "").unwrap();
    fs::write(folder.join("text.wasm"), "serial,result\nA7,pass\n").unwrap();
    fs::write(folder.join("truncated.wasm"), &whole[..whole.len() / 2]).unwrap();
    // What fuzzing has found: the compiling process dies of it.
    let crash = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/plugins/package-that-needs-itself");
    fs::copy(crash, folder.join("crash.wasm")).unwrap();
    File::create(folder.join("huge.wasm")).unwrap().set_len(1 << 30).unwrap();
    let _ = fs::create_dir(folder.join("folder.wasm"));
    let _ = symlink("loop.wasm", folder.join("loop.wasm"));
    let _ = symlink("nothing-here", folder.join("nowhere.wasm"));
    let _ = rustix::fs::mkfifoat(rustix::fs::CWD, folder.join("pipe.wasm"), rustix::fs::Mode::RUSR);
}

fn refusal(daemon: &Daemon, file: &str) -> Option<Value> {
    daemon.plugin_status(file).map(|status| status["refused"].clone()).filter(|refused| !refused.is_null())
}

/// Waits until a file is refused for this reason, later than `before`, and gives when.
fn wait_for_refusal(daemon: &Daemon, file: &str, says: &[String], before: Option<&String>) -> String {
    let refused = wait_for(&format!("{file} to be refused (again)"), || {
        refusal(daemon, file).filter(|refused| before.is_none_or(|before| refused["at"].as_str().unwrap() > before.as_str()))
    });
    let reason = refused["reason"].as_str().unwrap();
    for part in says {
        assert!(reason.contains(part), "{file}: {part:?} was expected in: {reason}");
    }
    refused["at"].as_str().unwrap().to_owned()
}

/// One time through all of it.
fn round(daemon: &Daemon, attacks: &[Attack], number: usize, refused: &mut BTreeMap<String, String>) {
    let plugins = daemon.path("plugins");
    if number == 1 {
        put_no_plugins(&plugins);
    }
    for attack in attacks.iter().filter(|attack| number == 1 || attack.stage == Stage::Load) {
        // The second time it is the same file once more, new by its time alone.
        fs::write(plugins.join(format!("{}.wasm", attack.name)), &attack.plugin).unwrap();
    }
    for attack in attacks.iter().filter(|attack| matches!(attack.stage, Stage::Job | Stage::Converted)) {
        // Another file each time: what was converted is not converted again.
        let name = &attack.name;
        daemon.drop_into(&format!("in/{name}"), &format!("{name}-{number}.txt"), format!("{name} in round {number}"));
    }
    if number == 1 {
        for (file, says) in NO_PLUGINS {
            wait_for_refusal(daemon, file, &[says.to_owned()], None);
        }
    }
    for attack in attacks {
        let name = &attack.name;
        let plugin = format!("{name}.wasm");
        let file = format!("{name}-{number}.txt");
        match attack.stage {
            Stage::Load => {
                let at = wait_for_refusal(daemon, &plugin, &attack.says, refused.get(&plugin));
                refused.insert(plugin, at);
            }
            Stage::Job => {
                let sidecar = daemon.wait_for_sidecar_in(&format!("in/{name}"), &file);
                assert_eq!(sidecar["error_type"], attack.error_type.as_str(), "{name}: {sidecar:#}");
                let message = sidecar["error"]["message"].as_str().unwrap();
                assert_says(name, &attack.says, message);
                assert_eq!(sidecar["documents"], 0, "{name}: {sidecar:#}");
                let series = format!("conversion_errors_total{{converter=\"{name}\",error_type=\"{}\"}}", attack.error_type);
                daemon.assert_metric(&series, number as f64);
            }
            Stage::Converted => {
                let job = daemon.wait_for_job(&file, "settled");
                assert_eq!(job["outcome"], "converted", "{name}: {job:#}");
            }
            Stage::Probe => {
                wait_for(&format!("{plugin} to run"), || daemon.plugin_status(&plugin).filter(|status| !status["running"].is_null()));
            }
        }
    }
    // Every converter that is loaded is asked whether this is its own.
    let file = format!("anyone-{number}.csv");
    daemon.drop_into("in/anyone", &file, "a,b,c\n".to_owned() + &"1,2,3\n".repeat(20_000 + number));
    let job = daemon.wait_for_job(&file, "settled");
    assert_eq!((&job["outcome"], &job["converter"]), (&"converted".into(), &"csv".into()), "{job:#}");
}

fn assert_says(name: &str, says: &[String], text: &str) {
    for part in says {
        assert!(text.contains(part), "{name}: {part:?} was expected in: {text}");
    }
}

/// What the daemon says of the attacks in its log, where that is the only place.
fn assert_logged(daemon: &Daemon, attacks: &[Attack], rounds: usize) {
    let log = daemon.log();
    for Attack { name, stage, says, .. } in attacks {
        let of = |text: &str| log.lines().filter(|line| line.contains(name.as_str()) && line.contains(text)).collect::<Vec<_>>();
        match stage {
            Stage::Converted if !says.is_empty() => {
                assert!(says.iter().all(|part| of(part).len() >= rounds), "{name}: {:#?}", of(""));
            }
            Stage::Probe => {
                let failed = of("probe failed");
                assert_eq!(failed.len(), if says.is_empty() { 0 } else { rounds }, "{name}: {failed:#?}");
                failed.iter().for_each(|line| assert_says(name, says, line));
            }
            _ => {}
        }
    }
}

#[test]
fn whatever_a_plugin_does_the_daemon_goes_on_as_before() {
    let attacks = attack::all();
    assert!(attacks.len() >= 60, "{} attacks", attacks.len());
    let setup = Setup::new().plugins(&["csv"]).config(&config(&attacks));
    for name in attacks.iter().map(|attack| attack.name.as_str()).chain(["anyone"]) {
        fs::create_dir(setup.path("in").join(name)).unwrap();
    }
    let daemon = setup.start();
    daemon.drop_into("in/anyone", "before.csv", "a,b\n".to_owned() + &"1,2\n".repeat(50_000));
    daemon.wait_for_job("before.csv", "settled");
    wait_for("the spool to be empty", || daemon.spooled().is_empty().then_some(()));
    let before = Holdings::of(&daemon);

    let mut after = Vec::new();
    let mut refused = BTreeMap::new();
    for number in 1..=3 {
        round(&daemon, &attacks, number, &mut refused);
        wait_for("the spool to be empty", || daemon.spooled().is_empty().then_some(()));
        after.push(Holdings::of(&daemon));
    }
    assert_logged(&daemon, &attacks, after.len());
    println!("before {before:?}, after {after:?}");

    // What is loaded holds its file. When it is gone, everything is; the end of a thread may lag an instant behind.
    for attack in &attacks {
        fs::remove_file(daemon.path("plugins").join(format!("{}.wasm", attack.name))).unwrap();
    }
    wait_for(&format!("no more threads than the {} before", before.threads), || {
        (Holdings::of(&daemon).threads <= before.threads).then_some(())
    });
    wait_for(&format!("no more descriptors than the {} before", before.descriptors), || {
        (Holdings::of(&daemon).descriptors <= before.descriptors).then_some(())
    });
    wait_for(&format!("no more files than before: {:?}", before.files), || {
        let files = Holdings::of(&daemon).files;
        (files == before.files).then_some(())
    });
    let grown = after.iter().map(|after| after.resident_bytes.saturating_sub(before.resident_bytes)).max().unwrap();
    assert!(grown <= 64 * MEBIBYTE, "the daemon has grown by {grown} bytes: {before:#?} {after:#?}");
    let (second, third) = (after[1].resident_bytes, after[2].resident_bytes);
    assert!(third.saturating_sub(second) <= 8 * MEBIBYTE, "it goes on growing: {after:#?}");

    // Nothing has left its folder, and nothing that failed has left a document.
    let escaped: Vec<String> = files(&daemon.path(""))
        .into_keys()
        .filter(|path| path.contains("escape") && !path.starts_with("out/") && !path.contains("names-that-escape"))
        .collect();
    assert!(escaped.is_empty(), "{escaped:?}");
    let documents = daemon.documents();
    assert!(documents.keys().all(|name| !name.contains('/')), "{documents:?}");
    assert_eq!(documents.keys().filter(|name| name.contains("escape.txt") || name.contains("absolute.txt")).count(), 0, "{documents:?}");
    assert_eq!(daemon.get("/health/ready").0, 200);
    daemon.drop_into("in/anyone", "after.csv", "a,b\n3,4\n");
    assert_eq!(daemon.wait_for_job("after.csv", "settled")["outcome"], "converted");
}

#[test]
fn a_trap_is_told_with_its_function_and_the_last_lines_of_the_log() {
    let attacks: Vec<Attack> = attack::all().into_iter().filter(|attack| attack.name == "traps").collect();
    let daemon = Setup::new().config(&config(&attacks)).start();
    daemon.drop_plugin("traps.wasm", &attacks[0].plugin);
    daemon.drop_into("in/traps", "file.txt", "x");
    let sidecar = daemon.wait_for_sidecar_in("in/traps", "file.txt");
    let message = sidecar["error"]["message"].as_str().unwrap();
    assert!(message.ends_with("it executed `unreachable`, as a panic does (in `deep_inside`)"), "{message}");
    assert_eq!(sidecar["log"][0]["message"], "about to fall", "{sidecar:#}");
    assert_eq!((&sidecar["error_type"], &sidecar["converter"]["name"]), (&"trap".into(), &"traps".into()), "{sidecar:#}");
    assert_eq!(sidecar["limits"]["call_bytes"], 128 * MEBIBYTE, "{sidecar:#}");
}

#[test]
fn a_plugin_that_is_rewritten_while_it_is_read_is_never_loaded_in_part() {
    let daemon = Setup::new().start();
    let file = daemon.path("plugins/changing.wasm");
    // Two plugins whose mixture would be neither, written over each other in place.
    let padding = format!("(data (i32.const 65536) \"{}\")", "x".repeat(60_000));
    let versions = ["one", "two"].map(|name| attack::module(name, &padding));
    let mut turn = 0;
    // Each is an event at least, and empties the file first.
    while turn < 1000 {
        fs::write(&file, &versions[turn % 2]).unwrap();
        turn += 1;
    }
    let name = ["one", "two"][(turn - 1) % 2];
    wait_for(&format!("{name} to run"), || daemon.plugin_status("changing.wasm").filter(|status| status["running"]["name"] == name));
}
