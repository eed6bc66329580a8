//! A folder of plugins that changes while it is watched.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use dropforge::config::{Config, Grants, PluginConfig};
use dropforge::metrics::{Instance, Metrics};
use dropforge::plugins::bundled::Bundled;
use dropforge::plugins::{LoadSettings, PluginFolder, PluginStatus, Registry, load_folder};
use dropforge::sandbox::{Capability, Limits};

use crate::guest::{Guest, LOOKUP};
use crate::{sandbox, until};

struct Watched {
    root: tempfile::TempDir,
    folder: Option<PluginFolder>,
    registry: Arc<Registry>,
    metrics: Arc<Metrics>,
    changes: Arc<AtomicUsize>,
}

impl Watched {
    /// Starts to watch a folder that holds `files`.
    fn start(files: &[(&str, Vec<u8>)]) -> Watched {
        Watched::start_with(files, Grants::default(), Vec::new())
    }

    fn start_with(files: &[(&str, Vec<u8>)], grants: Grants, bundled: Vec<Bundled>) -> Watched {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("plugins")).unwrap();
        for (name, bytes) in files {
            fs::write(root.path().join("plugins").join(name), bytes).unwrap();
        }
        let instance = Instance { instance_id: "test".to_owned(), station: String::new(), location: String::new() };
        let metrics = Arc::new(Metrics::new(&instance));
        let changes = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&changes);
        let on_change = Box::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let (plugins, compiled) = (root.path().join("plugins"), root.path().join("compiled"));
        let settings = LoadSettings { grants, bundled, ..LoadSettings::from(compiled) };
        let folder = PluginFolder::start(plugins, sandbox(), settings, Arc::clone(&metrics), on_change).unwrap();
        Watched { registry: folder.registry(), folder: Some(folder), root, metrics, changes }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("plugins").join(name)
    }

    /// Puts a file there in one step, as `dropforge plugin build` does.
    fn put(&self, name: &str, bytes: &[u8]) {
        let temporary = self.path(&format!(".{name}.tmp"));
        fs::write(&temporary, bytes).unwrap();
        fs::rename(temporary, self.path(name)).unwrap();
    }

    fn version(&self, converter: &str) -> Option<String> {
        self.registry.get(converter).map(|plugin| plugin.descriptor.version.clone())
    }

    fn status(&self, file: &str) -> Option<PluginStatus> {
        self.registry.status().into_iter().find(|status| status.file == file)
    }

    fn refusal(&self, file: &str) -> String {
        self.status(file).and_then(|status| status.refused).map(|refusal| refusal.reason).unwrap_or_default()
    }

    /// What the exposition says of one series; 0 where it is not there.
    fn metric(&self, series: &str) -> u64 {
        let text = self.metrics.exposition();
        text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok()).unwrap_or(0)
    }
}

#[test]
fn what_is_there_at_start_is_loaded_or_refused_when_start_returns() {
    let watched = Watched::start(&[
        ("a.wasm", Guest::named("one", "1.0.0").module()),
        ("b.wasm", Guest::named("two", "2.0.0").component()),
        ("c.wasm", b"no plugin".to_vec()),
        ("d.wasm", Guest::named("one", "9.0.0").module()),
        (".hidden.wasm", Guest::named("hidden", "1.0.0").module()),
        ("readme.txt", b"text".to_vec()),
    ]);
    let names: Vec<String> = watched.registry.all().iter().map(|plugin| plugin.descriptor.name.clone()).collect();
    assert_eq!(names, ["one", "two"]);
    let files: Vec<String> = watched.registry.status().into_iter().map(|status| status.file).collect();
    assert_eq!(files, ["a.wasm", "b.wasm", "c.wasm", "d.wasm"]);
    assert!(watched.refusal("c.wasm").contains("this is no WebAssembly"));
    assert!(watched.refusal("d.wasm").contains("the name `one` is taken by a.wasm (version 1.0.0)"));
    assert_eq!(watched.metric(r#"plugin_loads_total{result="loaded"}"#), 2);
    assert_eq!(watched.metric(r#"plugin_loads_total{result="refused"}"#), 2);
}

#[test]
fn a_plugin_comes_changes_breaks_and_goes_while_jobs_hold_it() {
    let watched = Watched::start(&[]);
    assert!(watched.registry.is_empty());

    watched.put("csv.wasm", &Guest::named("csv", "1.0.0").module());
    until("it is loaded", || watched.version("csv").as_deref() == Some("1.0.0"));
    let held = watched.registry.get("csv").unwrap();

    watched.put("csv.wasm", &Guest::named("csv", "2.0.0").module());
    until("it is replaced", || watched.version("csv").as_deref() == Some("2.0.0"));
    assert_eq!(held.converter.describe(&Limits::for_describe()).unwrap().version, "1.0.0");
    assert_eq!(watched.metric(&format!(r#"plugin_info{{converter="csv",digest="{}",version="1.0.0"}}"#, held.digest)), 0);

    watched.put("csv.wasm", b"\0asm\x01\0\0\0");
    until("the broken one is refused", || watched.refusal("csv.wasm").contains("component-type"));
    let status = watched.status("csv.wasm").unwrap();
    assert_eq!(status.running.unwrap().version, "2.0.0");
    assert_eq!(watched.version("csv").as_deref(), Some("2.0.0"));

    // The old content again: nothing is loaded, and the refusal is gone.
    let loaded_at = watched.registry.get("csv").unwrap().loaded_at;
    watched.put("csv.wasm", &Guest::named("csv", "2.0.0").module());
    until("it is what runs", || watched.status("csv.wasm").is_some_and(|status| status.refused.is_none()));
    assert_eq!(watched.registry.get("csv").unwrap().loaded_at, loaded_at);
    assert_eq!(watched.metric(r#"plugin_loads_total{result="unchanged"}"#), 1);

    fs::remove_file(watched.path("csv.wasm")).unwrap();
    until("it is unloaded", || watched.registry.is_empty() && watched.registry.status().is_empty());
    until("everyone was told", || watched.changes.load(Ordering::SeqCst) == 3);
    assert_eq!(watched.metric(r#"plugin_loads_total{result="unloaded"}"#), 1);
    assert_eq!(held.converter.describe(&Limits::for_describe()).unwrap().version, "1.0.0");
}

#[test]
fn a_new_name_for_a_file_leaves_no_gap() {
    let watched = Watched::start(&[("old.wasm", Guest::named("csv", "1.0.0").module())]);
    let digest = watched.registry.get("csv").unwrap().digest.clone();
    let registry = Arc::clone(&watched.registry);
    let stop = Arc::new(AtomicUsize::new(0));
    let stopped = Arc::clone(&stop);
    let gaps = thread::spawn(move || {
        let mut gaps = 0;
        while stopped.load(Ordering::SeqCst) == 0 {
            gaps += usize::from(registry.get("csv").is_none());
            thread::yield_now();
        }
        gaps
    });
    fs::rename(watched.path("old.wasm"), watched.path("new.wasm")).unwrap();
    until("it runs from the new file", || watched.status("new.wasm").is_some() && watched.status("old.wasm").is_none());
    stop.store(1, Ordering::SeqCst);
    assert_eq!(gaps.join().unwrap(), 0);
    assert_eq!(watched.metric(&format!(r#"plugin_info{{converter="csv",digest="{digest}",version="1.0.0"}}"#)), 1);
}

#[test]
fn a_name_that_becomes_free_goes_to_the_file_that_waits_for_it() {
    let watched = Watched::start(&[("a.wasm", Guest::named("csv", "1.0.0").module()), ("b.wasm", Guest::named("csv", "2.0.0").module())]);
    assert_eq!(watched.version("csv").as_deref(), Some("1.0.0"));
    fs::remove_file(watched.path("a.wasm")).unwrap();
    until("the other runs", || watched.version("csv").as_deref() == Some("2.0.0"));
    assert_eq!(watched.status("b.wasm").unwrap().refused, None);
}

#[test]
fn a_file_that_is_written_slowly_is_loaded_when_it_is_whole() {
    let watched = Watched::start(&[]);
    let bytes = Guest::named("slow", "1.0.0").module();
    let mut file = fs::File::create(watched.path("slow.wasm")).unwrap();
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    file.write_all(first).unwrap();
    // A writer that pauses so long looks like one that has died.
    until("the part is refused", || watched.refusal("slow.wasm").contains("truncated or damaged"));
    file.write_all(rest).unwrap();
    drop(file);
    until("it is loaded", || watched.version("slow").is_some());
    assert_eq!(watched.refusal("slow.wasm"), "");
}

#[cfg(unix)]
#[test]
fn a_folder_that_is_replaced_by_another_is_watched_again() {
    let watched = Watched::start(&[("csv.wasm", Guest::named("csv", "1.0.0").module())]);
    let (folder, aside) = (watched.root.path().join("plugins"), watched.root.path().join("aside"));
    fs::rename(&folder, &aside).unwrap();
    fs::create_dir(&folder).unwrap();
    until("it is unloaded", || watched.registry.is_empty());
    watched.put("csv.wasm", &Guest::named("csv", "2.0.0").module());
    until("it is loaded", || watched.version("csv").as_deref() == Some("2.0.0"));
}

#[test]
fn stopping_ends_the_watching_and_keeps_what_is_loaded() {
    let mut watched = Watched::start(&[("csv.wasm", Guest::named("csv", "1.0.0").module())]);
    watched.folder.take().unwrap().stop();
    assert_eq!(watched.version("csv").as_deref(), Some("1.0.0"));
}

#[test]
fn what_was_not_granted_is_refused_with_the_line_that_grants_it() {
    let asking = |name| Guest { world: "plugin-with-lookup", imports: LOOKUP, ..Guest::named(name, "1.0.0") }.module();
    let allow = |capability| PluginConfig { allow: [capability].into(), ..PluginConfig::default() };
    let plugins = [("granted".to_owned(), allow(Capability::Lookup)), ("half".to_owned(), allow(Capability::Clocks))].into();
    let grants = Config { plugins, ..Config::default() }.grants();
    let files = [("a.wasm", asking("granted")), ("b.wasm", asking("half")), ("c.wasm", asking("without"))];
    let watched = Watched::start_with(&files, grants, Vec::new());
    assert_eq!(watched.version("granted").as_deref(), Some("1.0.0"));
    assert_eq!(watched.status("a.wasm").unwrap().running.unwrap().capabilities, [Capability::Lookup].into());
    assert_eq!(
        watched.refusal("b.wasm"),
        "the converter `half` asks for `lookup`, which is not granted: add `allow = [\"clocks\", \"lookup\"]` below [plugins.half] in the \
         configuration"
    );
    assert!(watched.refusal("c.wasm").contains("add `allow = [\"lookup\"]` below [plugins.without] in the configuration"));
    assert_eq!(watched.metric(r#"plugin_loads_total{result="refused"}"#), 2);
}

#[test]
fn a_folder_can_be_loaded_without_watching_it() {
    let root = tempfile::tempdir().unwrap();
    let compiled = root.path().join("compiled");
    fs::create_dir(root.path().join("plugins")).unwrap();
    fs::write(root.path().join("plugins/csv.wasm"), Guest::named("csv", "1.0.0").module()).unwrap();
    let registry = load_folder(&root.path().join("plugins"), sandbox(), &compiled).unwrap();
    assert_eq!(registry.all().len(), 1);
    let missing = load_folder(Path::new("/no/such/folder"), sandbox(), &compiled).unwrap_err().to_string();
    assert!(missing.contains("cannot list the plugins folder /no/such/folder"), "{missing}");
}

#[cfg(unix)]
#[test]
fn equal_files_are_compiled_once_however_many_load_at_the_same_time() {
    let bytes = Guest::named("shared", "1.0.0").module();
    // Names that come together are loaded together; all but the first are refused because their name is taken.
    let watched = Watched::start(&["a.wasm", "b.wasm", "c.wasm", "d.wasm"].map(|name| (name, bytes.clone())));
    assert_eq!(watched.version("shared").as_deref(), Some("1.0.0"));
    assert_eq!(watched.registry.status().iter().filter(|status| status.refused.is_some()).count(), 3);
    assert_eq!(crate::times_compiled(&bytes), 1);

    // Nor does a new name, a new time or a second start have it compiled again.
    fs::rename(watched.path("a.wasm"), watched.path("z.wasm")).unwrap();
    until("it runs from another file", || watched.status("a.wasm").is_none() && watched.version("shared").is_some());
    load_folder(&watched.root.path().join("plugins"), sandbox(), watched.root.path().join("compiled")).unwrap();
    assert_eq!(crate::times_compiled(&bytes), 1);
}

#[test]
fn the_digest_decides_and_not_the_version() {
    let watched = Watched::start(&[("csv.wasm", Guest::named("csv", "1.0.0").module())]);
    let before = watched.registry.get("csv").unwrap().digest.clone();
    // Another pattern makes other bytes.
    watched.put("csv.wasm", &Guest { pattern: "*.other", ..Guest::named("csv", "1.0.0") }.module());
    until("other bytes of the same version run", || watched.registry.get("csv").is_some_and(|plugin| plugin.digest != before));
    assert_eq!(watched.version("csv").as_deref(), Some("1.0.0"));
    assert_eq!(watched.metric(r#"plugin_loads_total{result="loaded"}"#), 2);
}

/// One that is inside the program.
fn bundled(file: &'static str, converter: &'static str, version: &'static str) -> Bundled {
    Bundled { file, bytes: Box::leak(Guest::named(converter, version).module().into_boxed_slice()) }
}

#[test]
fn what_is_bundled_stands_in_for_files_that_are_not_there() {
    let inside = vec![bundled("csv.wasm", "csv", "1.0.0"), bundled("spea.wasm", "spea", "1.0.0"), bundled("xjtag.wasm", "xjtag", "1.0.0")];
    let watched = Watched::start_with(
        &[("xjtag.wasm", Guest::named("xjtag", "9.0.0").module()), ("spea.wasm", b"broken".to_vec())],
        Grants::default(),
        inside,
    );
    let status = |converter: &str| {
        let runs = |status: &PluginStatus| status.running.as_ref().is_some_and(|running| running.name == converter);
        watched.registry.status().into_iter().find(runs).map(|status| (status.file, status.bundled, status.running.unwrap().version))
    };
    let of = |file: &str, bundled, version: &str| Some((file.to_owned(), bundled, version.to_owned()));
    assert_eq!(status("csv"), of("csv.wasm", true, "1.0.0"));
    assert_eq!(status("xjtag"), of("xjtag.wasm", false, "9.0.0"), "a file goes before what is bundled");
    assert_eq!(status("spea"), of("spea.wasm", true, "1.0.0"), "one that is refused does not");
    assert_eq!(watched.metric(r#"plugin_loads_total{result="refused"}"#), 1, "to give way is no refusal");
    assert_eq!(watched.registry.all().len(), 3);

    // By the name of its file, by the name of its converter, and with another converter in a file of that name.
    watched.put("csv.wasm", &Guest::named("csv", "2.0.0").module());
    until("the file's runs", || status("csv") == of("csv.wasm", false, "2.0.0"));
    fs::rename(watched.path("csv.wasm"), watched.path("mine.wasm")).unwrap();
    until("the renamed file's runs", || status("csv") == of("mine.wasm", false, "2.0.0"));
    fs::remove_file(watched.path("mine.wasm")).unwrap();
    until("the bundled one is back", || status("csv") == of("csv.wasm", true, "1.0.0"));
    watched.put("spea.wasm", &Guest::named("mine", "1.0.0").module());
    until("the file's runs", || status("mine").is_some());
    assert_eq!(status("spea"), None, "the file has its name");
    fs::remove_file(watched.path("spea.wasm")).unwrap();
    until("the bundled one is back", || status("spea") == of("spea.wasm", true, "1.0.0") && status("mine").is_none());

    // One that is there now and broken changes nothing, and is refused.
    watched.put("csv.wasm", b"broken");
    until("it is refused", || {
        !watched.refusal("csv.wasm").is_empty() || watched.registry.status().iter().any(|status| status.refused.is_some())
    });
    assert_eq!(status("csv"), of("csv.wasm", true, "1.0.0"));
}

#[test]
fn there_is_always_a_converter_of_the_name_while_files_come_and_go() {
    let watched = Watched::start_with(&[], Grants::default(), vec![bundled("csv.wasm", "csv", "1.0.0")]);
    let stop = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        let missed = scope.spawn(|| {
            let mut missed = 0;
            while !stop.load(Ordering::Relaxed) {
                missed += usize::from(watched.registry.get("csv").is_none());
            }
            missed
        });
        for version in ["2.0.0", "2.0.1", "2.0.2"] {
            watched.put("csv.wasm", &Guest::named("csv", version).module());
            until("the file's runs", || watched.version("csv").as_deref() == Some(version));
            fs::remove_file(watched.path("csv.wasm")).unwrap();
            until("the bundled one is back", || watched.version("csv").as_deref() == Some("1.0.0"));
        }
        stop.store(true, Ordering::Relaxed);
        assert_eq!(missed.join().unwrap(), 0);
    });
}

#[test]
fn a_fresh_machine_has_what_is_bundled_and_no_folder() {
    let root = tempfile::tempdir().unwrap();
    let settings = LoadSettings { bundled: vec![bundled("csv.wasm", "csv", "1.0.0")], ..LoadSettings::from(root.path().join("compiled")) };
    let registry = load_folder(&root.path().join("plugins"), sandbox(), settings).unwrap();
    assert_eq!(registry.get("csv").unwrap().descriptor.version, "1.0.0");
    assert!(!root.path().join("plugins").exists());
    assert!(
        load_folder(&root.path().join("plugins"), sandbox(), root.path().join("compiled")).is_err(),
        "with nothing bundled, it is missed"
    );
}
