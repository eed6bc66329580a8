//! Whole configurations, from files, environments and command lines: what they give, and exactly what is said of those that are wrong.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};

use super::*;
use crate::sandbox::Limits;

/// A folder with files, and what is loaded from it.
struct Case {
    folder: tempfile::TempDir,
    sources: Sources,
}

const ROUTE: &str = "[[routes]]\nname = 'a'\nintake = { path = 'in' }\ndestinations = [{ type = 'folder', path = 'out' }]\n";

fn case() -> Case {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().to_path_buf();
    let overrides = Overrides { state: Some("/state".into()), ..Overrides::default() };
    Case { folder, sources: Sources { file: None, overrides, environment: Vec::new(), directory, need: Need::Routes } }
}

impl Case {
    fn file(mut self, name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self.sources.file = Some(name.into());
        self
    }

    fn environment(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.push((name.into(), value.into()));
        self
    }

    fn overrides(mut self, change: impl FnOnce(&mut Overrides)) -> Self {
        change(&mut self.sources.overrides);
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn load(&self) -> Loaded {
        load(&self.sources).unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// The errors, with the case's folder as `DIR`.
    fn errors(&self) -> Vec<String> {
        let errors = load(&self.sources).map(|loaded| panic!("{loaded:?}")).unwrap_err();
        let folder = self.folder.path().to_str().unwrap();
        errors.iter().map(|error| error.to_string().replace(folder, "DIR")).collect()
    }
}

/// The errors of `dropforge.toml` with this text.
fn errors_of(text: &str) -> Vec<String> {
    case().file("dropforge.toml", text).errors()
}

fn warnings_of(text: &str) -> Vec<String> {
    case().file("dropforge.toml", text).load().warnings
}

/// The sample of the design, whose every key must be accepted.
const SAMPLE: &str = r#"
instance_id = "default"
state_dir = "/var/lib/dropforge"
bind_address = "127.0.0.1"
health_port = 8080
metrics_port = 9090
enable_metrics = true
enable_cache = true
cache_ttl_seconds = 300.0
cache_max_size = 1000
plugins_dir = "plugins"
[upstream]
url = "https://server"
token_file = "token"
[[routes]]
name = "ict"
converter = "auto"
timezone = "Europe/Oslo"
context = { station = "{dir1}", location = "Line 3" }
intake = { path = "drop", include = ["**/*.csv"], recursive = true, watch = "auto", take = "closed", quiet_seconds = 2.0 }
options = {}
destinations = [{ type = "folder", path = "out" }]
after = { success = "move", error = "move", keep_days = 90 }
on_problem = "deliver"
"#;

#[test]
fn the_sample_is_the_defaults_and_what_it_adds() {
    let case = case().file("etc/dropforge.toml", SAMPLE).overrides(|overrides| overrides.state = None);
    let loaded = case.load();
    let mut route = Route::new("ict", case.path("etc/drop"), case.path("etc/out"));
    route.timezone = Some("Europe/Oslo".into());
    route.context = [("station", "{dir1}"), ("location", "Line 3")].map(|(name, value)| (name.into(), value.into())).into();
    route.intake.include = vec!["**/*.csv".into()];
    let expected = Config {
        state_dir: "/var/lib/dropforge".into(),
        plugins_dir: case.path("etc/plugins"),
        upstream: Some(Upstream { token_file: Some(case.path("etc/token")), ..Upstream::new("https://server") }),
        routes: vec![route],
        ..Config::default()
    };
    assert_eq!(loaded.config, expected);
    assert_eq!(loaded.file, Some("etc/dropforge.toml".into()));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn json_gives_the_same_as_toml() {
    let toml = case().file("c.toml", SAMPLE);
    let as_json = serde_json::to_string_pretty(&toml::from_str::<serde_json::Value>(SAMPLE).unwrap()).unwrap();
    let json = case().file("c.json", as_json);
    let shown = |case: &Case| case.load().config.to_toml().unwrap().replace(case.folder.path().to_str().unwrap(), "DIR");
    assert_eq!(shown(&toml), shown(&json));
}

#[test]
fn the_flags_alone_are_enough() {
    let case = case().overrides(|overrides| {
        overrides.inbox = Some("in".into());
        overrides.outbox = Some("../out".into());
        overrides.plugins = Some("p".into());
    });
    let config = case.load().config;
    let mut route = Route::new("default", case.path("in"), case.folder.path().parent().unwrap().join("out"));
    route.intake.create = true;
    assert_eq!(config, Config { state_dir: "/state".into(), plugins_dir: case.path("p"), routes: vec![route], ..Config::default() });
}

#[test]
fn flags_go_before_the_environment_before_the_file_before_the_defaults() {
    let file = format!("health_port = 1\nmetrics_port = 1\nworkers = 1\ninstance_id = 'file'\n{ROUTE}");
    let case = case()
        .file("etc/c.toml", file)
        .environment("DROPFORGE_HEALTH_PORT", "2")
        .environment("DROPFORGE_METRICS_PORT", "2")
        .environment("DROPFORGE_WORKERS", "2")
        .environment("DROPFORGE_PLUGINS_DIR", "env")
        .overrides(|overrides| {
            overrides.health_port = Some(3);
            overrides.bind_address = Some("::".parse().unwrap());
        });
    let config = case.load().config;
    let numbers = (config.health_port, config.metrics_port, config.workers.map(|workers| workers.get()), config.instance_id.as_str());
    assert_eq!(numbers, (3, 2, Some(2), "file"));
    assert_eq!((config.bind_address.to_string().as_str(), config.drain_seconds), ("::", 30.0));
    // A path in the environment is relative to the working directory, one in the file to the file.
    assert_eq!(config.plugins_dir, case.path("env"));
    assert_eq!(config.routes[0].intake.path, case.path("etc/in"));
}

#[test]
fn inbox_and_outbox_add_a_route_or_change_the_default_one() {
    let inbox = |overrides: &mut Overrides| overrides.inbox = Some("in2".into());
    let both = |overrides: &mut Overrides| {
        inbox(overrides);
        overrides.outbox = Some("out2".into());
    };
    let added = case().file("c.toml", ROUTE).overrides(both).load().config.routes;
    assert_eq!(added.iter().map(|route| (route.name.as_str(), route.intake.create)).collect::<Vec<_>>(), [("a", false), ("default", true)]);

    let named = ROUTE.replace("'a'", "'default'\npriority = 2");
    let case = case().file("etc/c.toml", named).overrides(inbox);
    let mut expected = Route::new("default", case.path("in2"), case.path("etc/out"));
    expected.priority = 2;
    assert_eq!(case.load().config.routes, [expected]);
}

#[test]
fn the_file_of_the_working_directory_is_read_unless_another_or_an_inbox_is_named() {
    let mut case = case().file("dropforge.toml", ROUTE).file("other.toml", ROUTE.replace("'a'", "'b'"));
    let name = |case: &Case| case.load().config.routes[0].name.clone();
    assert_eq!(name(&case), "b");
    case.sources.file = None;
    assert_eq!(name(&case), "a");
    let case = case.overrides(|overrides| {
        overrides.inbox = Some("in".into());
        overrides.outbox = Some("out".into());
    });
    let loaded = case.load();
    assert_eq!((loaded.config.routes.len(), loaded.file), (1, None));
}

#[test]
fn without_a_need_for_routes_the_defaults_will_do() {
    let mut case = case();
    case.sources.need = Need::Nothing;
    let loaded = case.load();
    assert_eq!(loaded.config, Config { state_dir: "/state".into(), plugins_dir: case.path("plugins"), ..Config::default() });
}

#[test]
fn a_routes_limits_are_its_own_over_the_general_ones() {
    let text = format!("[limits]\nwall_seconds = 10\ndocuments = 7\n{ROUTE}limits = {{ wall_seconds = 0.5 }}\n");
    let config = case().file("c.toml", text).load().config;
    let limits = config.limits_for(Some(&config.routes[0]), None).to_limits();
    assert_eq!(limits, Limits { wall_time: std::time::Duration::from_millis(500), documents: 7, ..Limits::default() });
}

#[test]
fn a_converters_limits_are_over_the_general_ones_and_under_a_routes() {
    let text = format!(
        "[limits]\nwall_seconds = 10\ndocuments = 7\ninput_bytes = 100\n\
         [plugins.csv.limits]\ndocuments = 8\nlog_lines = 9\nmemories = 20\nprobe_seconds = 0.25\ninput_bytes = 300\n\
         {ROUTE}limits = {{ documents = 6 }}\n"
    );
    let config = case().file("c.toml", text).load().config;
    let limits = |route, converter| {
        let limits = config.limits_for(route, converter);
        (limits.wall_seconds, limits.documents, limits.log_lines)
    };
    let route = Some(&config.routes[0]);
    assert_eq!(limits(route, Some("csv")), (10.0, 6, 9));
    assert_eq!(limits(None, Some("csv")), (10.0, 8, 9));
    assert_eq!(limits(None, Some("junit")), (10.0, 7, 10_000));
    assert_eq!(config.limits_for(route, Some("csv")).to_probe_limits().wall_time, std::time::Duration::from_millis(250));
    assert_eq!(config.largest_input(route), 300, "any converter may take the file");
    assert_eq!(config.describe_limits().memories, 20, "before it has said its name, it may have the shape that any may have");
}

#[test]
fn a_key_is_named_with_its_place() {
    let text = format!("# c\nhealth_prot = 1\n{ROUTE}priority = 'high'\n[routes.intak]\npath = 1\n");
    assert_eq!(
        errors_of(&text),
        [
            "dropforge.toml:2: health_prot: there is no such key; did you mean `health_port`?",
            "dropforge.toml:8: routes[0].intak: there is no such key; did you mean `intake`?",
            "dropforge.toml:7: routes[0].priority: expected a whole number from 1 to 10, found \"high\"",
        ]
    );
    let json = case().file("c.json", "{\"routes\": [\n{\"nam\": 1, \"name\": \"a\",\n\"intake\": {}, \"destinations\": []}]}").errors();
    assert_eq!(
        json,
        [
            "c.json:3: routes[0].destinations: the list is empty; it needs at least one item",
            "c.json:2: routes[0].nam: there is no such key; did you mean `name`?",
        ]
    );
    let environment = case().file("c.toml", ROUTE).environment("DROPFORGE_WORKERS", "many").errors();
    assert_eq!(environment, ["DROPFORGE_WORKERS: workers: expected a whole number from 1, found \"many\""]);
    let flags = case().overrides(|overrides| {
        overrides.inbox = Some("x".into());
        overrides.outbox = Some("x".into());
    });
    assert_eq!(
        flags.errors(),
        ["--outbox: routes[0].destinations[0].path: its documents would be taken as new files; name another folder"]
    );
}

#[test]
fn a_wrong_file_that_names_no_state_folder_leads_to_no_daemon() {
    let located = |case: &Case| {
        let sources = Sources { need: Need::Nothing, ..case.sources.clone() };
        locate(&sources).map(|(config, wrong)| (config.state_dir, wrong.is_some()))
    };
    let nameless = |text: &str| case().file("line3.toml", text).overrides(|flags| flags.state = None).environment("HOME", "/h");
    for wrong in ["state_dri = '/s'\n", "state_dir = 3\n", "enable_cash = true\n", "state_dir = \n", "[routes\n"] {
        let text = format!("health_port = 8081\n{wrong}");
        let errors = located(&nameless(&text)).unwrap_err().to_string();
        assert!(errors.contains("line3.toml:2") && errors.ends_with("state folder with --state DIR"), "{errors}");
        // Whoever says which is asked no more.
        assert_eq!(located(&case().file("line3.toml", &text)).unwrap().0, Path::new("/state"), "{text}");
        assert_eq!(located(&nameless(&text).environment("DROPFORGE_STATE_DIR", "/e")).unwrap().0, Path::new("/e"), "{text}");
        located(&nameless(&text).overrides(|flags| flags.health_port = Some(8081))).unwrap();
    }
    assert_eq!(located(&nameless("enable_cash = true\nstate_dir = '/s'\n")).unwrap(), ("/s".into(), true));
    // One that is right may leave it to the default.
    assert!(!located(&nameless("health_port = 8081\n")).unwrap().1);
}

#[test]
fn what_cannot_be_read_is_said() {
    let mut nothing = case();
    let there_is_none = "there is no configuration: name a file with -c FILE, put a dropforge.toml into the working directory, or give --inbox DIR and --outbox DIR";
    assert_eq!(nothing.errors(), [there_is_none]);
    nothing.sources.file = Some("absent.toml".into());
    assert!(nothing.errors()[0].starts_with("cannot read the configuration absent.toml: "), "{:?}", nothing.errors());
    assert_eq!(case().file("c.toml", b"a = '\xff'").errors(), ["cannot read the configuration c.toml: stream did not contain valid UTF-8"]);
    assert_eq!(case().file("c.yaml", "").errors(), ["c.yaml: the name of a configuration file ends in .toml or .json"]);
    assert_eq!(case().file("c.toml", "a = [").errors(), ["c.toml:1:6: unclosed array, expected `]`"]);
    assert_eq!(
        case().overrides(|overrides| overrides.outbox = Some("out".into())).errors(),
        ["--outbox needs --inbox beside it: the two make a route; alone, it changes a route called `default`, and there is none"]
    );
    assert_eq!(
        errors_of("health_port = 1"),
        ["dropforge.toml: routes: there is no route; add a [[routes]] table, or give --inbox DIR and --outbox DIR"]
    );
}

#[test]
fn values_that_do_not_fit_are_said() {
    let route = |extra: &str| format!("{ROUTE}{extra}\n");
    let intake = |extra: &str| ROUTE.replace("path = 'in'", &format!("path = 'in', {extra}"));
    let out = |destination: &str| ROUTE.replace("path = 'out'", destination);
    let destination = |text: &str| ROUTE.replace("type = 'folder', path = 'out'", text);
    let at = |key: &str, message: &str| format!("dropforge.toml:4: routes[0].destinations[0].{key}: {message}");
    let zeros = "0".repeat(63);
    let cases = [
        // The root.
        (format!("health_port = 9090\n{ROUTE}"), "dropforge.toml: metrics_port: it is 9090 like health_port; give it another, or 0 for any free one".to_owned()),
        (format!("instance_id = '{}'\n{ROUTE}", "x".repeat(129)), "dropforge.toml:1: instance_id: it is longer than 128 bytes or has control characters; it becomes the label of a metric".into()),
        (format!("plugins_dir = ''\n{ROUTE}"), "dropforge.toml:1: plugins_dir: it is empty; write the path of a folder".into()),
        (format!("[upstream]\nurl = 'server'\n{ROUTE}"), "dropforge.toml:2: upstream.url: \"server\" is no address of a server; write one such as \"https://server\"".into()),
        (format!("[upstream]\nurl = 'https://me:hush@server'\n{ROUTE}"), "dropforge.toml:2: upstream.url: the address holds a user name or password; put a token into a file and name that as `token_file`".into()),
        (format!("[tracing]\nendpoint = 'https://me:hush@collector'\n{ROUTE}"), "dropforge.toml:2: tracing.endpoint: the address holds a user name or password; put a header for it into `headers_file`".into()),
        (format!("[tracing]\nendpoint = 'http://collector'\nheaders_file = 'a'\nheaders_env = 'B'\n{ROUTE}"), "dropforge.toml:4: tracing.headers_env: `headers_file` is there, too; write one of the two".into()),
        // Suspension and signatures.
        (
            format!("[suspension]\nfirst_seconds = 60\nlongest_seconds = 30\n{ROUTE}"),
            "dropforge.toml:3: suspension.longest_seconds: it is less than `first_seconds`, which is 60; make it that or more".into(),
        ),
        (
            format!("signatures = {{ policy = 'warn' }}\n{ROUTE}"),
            "dropforge.toml:1: signatures.trusted_keys: it is missing; write the folder of the public keys whose signatures are good".into(),
        ),
        (
            format!("signatures = {{ policy = 'require', trusted_keys = 'plugins/keys' }}\n{ROUTE}"),
            "dropforge.toml:1: signatures.trusted_keys: it is in `plugins_dir`: whoever may put a plugin there could add a key for it; write another folder".into(),
        ),
        // Names.
        (ROUTE.replace("'a'", "'A b'"), "dropforge.toml:2: routes[0].name: \"A b\" cannot be the name of a route: it has 1 to 64 of a-z, 0-9, _ and -".into()),
        (
            format!("{ROUTE}{}", ROUTE.replace("'in'", "'in2'")),
            "dropforge.toml:6: routes[1].name: routes[0] is called `a` too; give each route its own name".into(),
        ),
        (route("converter = 'Spea'"), "dropforge.toml:5: routes[0].converter: `Spea` cannot be the name of a converter: it has 1 to 64 of a-z, 0-9, - and _, and starts with a letter; or write `auto`".into()),
        (
            route(&format!("converter = 'spea@sha256:{zeros}'")),
            format!("dropforge.toml:5: routes[0].converter: `sha256:{zeros}` is not a digest: write `sha256:` and 64 hexadecimal digits, as `dropforge plugin inspect` shows them"),
        ),
        (route("timezone = 'Europe/Olso'"), "dropforge.toml:5: routes[0].timezone: there is no time zone \"Europe/Olso\"; did you mean \"Europe/Oslo\"?".into()),
        (route("timezone = 'nonsense'"), "dropforge.toml:5: routes[0].timezone: there is no time zone \"nonsense\"; write one such as \"Europe/Oslo\"".into()),
        // Context.
        (route("context.station = '{dir}'"), "dropforge.toml:5: routes[0].context.station: there is no part `{dir}`; write {dir1}, {dir2}, …, {file} or {stem}, and {{ or }} for a brace".into()),
        (route("context.station = '{dir1'"), "dropforge.toml:5: routes[0].context.station: `{dir1` has a brace without its counterpart; write {{ or }} for a brace".into()),
        (route("context.route = 'x'"), "dropforge.toml:5: routes[0].context.route: this attribute is the route's name, and set by Dropforge; use another name".into()),
        (route("context.timezone = 'x'"), "dropforge.toml:5: routes[0].context.timezone: this attribute comes from the route's key `timezone`; set that".into()),
        (route("context.'' = 'x'"), "dropforge.toml:5: routes[0].context.: the name of an attribute has 1 to 128 bytes and no control characters".into()),
        // Patterns.
        (intake("include = ['*.csv', '[a']"), "dropforge.toml:3: routes[0].intake.include[1]: `[a` is not a pattern: unclosed character class; missing ']'".into()),
        (intake(r"exclude = ['a\*']"), r"dropforge.toml:3: routes[0].intake.exclude[0]: `a\*` has a backslash; write / between folders, and [*] for the character *".into()),
        (intake("temporary_names = ['tmp/*']"), "dropforge.toml:3: routes[0].intake.temporary_names[0]: `tmp/*` is matched against names, which have no /; use `exclude` for folders".into()),
        // Folders.
        (ROUTE.replace("'in'", "''"), "dropforge.toml:3: routes[0].intake.path: it is empty; write the path of a folder, or `http = true` beside it for a route that only takes what is posted to it".into()),
        (intake("done = 'x/../in/'"), "dropforge.toml:3: routes[0].intake.done: it is the intake's own folder, so that its files would be taken again; name another".into()),
        (intake("failed = 'in'"), "dropforge.toml:3: routes[0].intake.failed: it is the intake's own folder, so that its files would be taken again; name another".into()),
        (intake("members = ['x.hdr'], include = ['*.csv']"), "dropforge.toml:3: routes[0].intake.members[0]: `x.hdr` would make the same files members of every file; it needs `{stem}` or `{file}`".into()),
        (intake("members = ['{stem}.hdr']"), "dropforge.toml:3: routes[0].intake.members: `include` admits every file, so that each is taken for itself and none is a member; name only the main files there".into()),
        (intake("bundle = {}"), "dropforge.toml:3: routes[0].intake.bundle: a folder is complete by its `marker` or by what it is to `expect`; write one of the two".into()),
        (intake("bundle = { marker = 'a/b' }"), "dropforge.toml:3: routes[0].intake.bundle.marker: \"a/b\" is not the name of a file; write one such as \"done.txt\"".into()),
        (intake("bundle = { expect = ['a/*'] }"), "dropforge.toml:3: routes[0].intake.bundle.expect[0]: `a/*` is matched against the names of the folder's files, which have no /".into()),
        (intake("bundle = { marker = 'x' }, recursive = false"), "dropforge.toml:3: routes[0].intake.bundle: bundles are folders below the intake's, which `recursive = false` leaves out".into()),
        (intake("done = 'x', failed = './x'"), "dropforge.toml:3: routes[0].intake.failed: it is the same folder as `done`; name another".into()),
        (out("path = 'in'"), "dropforge.toml:4: routes[0].destinations[0].path: its documents would be taken as new files; name another folder".into()),
        (
            out("path = 'in/x/out'"),
            "dropforge.toml:4: routes[0].destinations[0].path: its documents would be taken as new files; move it out of the intake's folder, or add \"x/out/**\" to the intake's `exclude`".into(),
        ),
        (out("path = 'in/done'"), "dropforge.toml:4: routes[0].destinations[0].path: documents would mix with the files that were converted; name another folder".into()),
        (
            format!("plugins_dir = 'in/plugins'\n{ROUTE}"),
            "dropforge.toml:4: routes[0].intake.path: `plugins_dir` is inside, and its plugins would be taken; move it out of the intake's folder, or add \"plugins/**\" to the intake's `exclude`".into(),
        ),
        (ROUTE.replace("'in'", "'/state'"), "dropforge.toml:3: routes[0].intake.path: `state_dir` is inside, and its files would be taken; name another folder".into()),
        (
            format!("{ROUTE}{}", ROUTE.replace("'a'", "'b'")),
            "dropforge.toml:7: routes[1].intake.path: routes[0] takes the same files from this folder; give the two different folders or different `include`s".into(),
        ),
        // Destinations.
        (out("path = 'out', file_name = '../x'"), "dropforge.toml:4: routes[0].destinations[0].file_name: \"../x\" is no name of a file in the folder; write one such as \"{date}/{unique_name}\"".into()),
        (destination("type = 'http', url = 'server/x'"), at("url", "\"server/x\" is no address of a server; write one such as \"https://server\"")),
        (destination("type = 'http', url = '/x'"), at("url", "it is a path on the server of `upstream`, and there is none; add an [upstream] table with its `url`")),
        (destination("type = 'http', url = 'https://{context.server}/x'"), at("url", "the server's name cannot have parts; write one destination for each server")),
        (destination("type = 'http', url = 'https://me:hush@server/'"), at("url", "the address holds a user name or password; put a token into a file and name that as `token_file`")),
        (destination("type = 'http', url = 'https://x/{id'"), at("url", "`https://x/{id` has a brace without its counterpart; write {{ or }} for a brace")),
        (
            destination("type = 'http', url = 'https://x', token_file = 't', user = 'me', password_env = 'P'"),
            at("token_file", "there is more than one of `token_file`, `token_env` and `user`; write one"),
        ),
        (destination("type = 'http', url = 'https://x', user = 'me'"), at("user", "it needs its password: write one of `password_file` and `password_env`")),
        (destination("type = 'http', url = 'https://x', password_env = 'P'"), at("user", "there is a password and no user; write `user`")),
        (
            destination("type = 'http', url = 'https://x', headers = { Authorization = 'hush' }"),
            at("headers.Authorization", "this header is set by Dropforge: name a `token_file`, a `token_env` or a `user`"),
        ),
        (destination("type = 'http', url = 'https://x', headers = { 'a b' = 'c' }"), at("headers.a b", "\"a b\" cannot be the name of a header")),
        (destination("type = 'http', url = 'https://x', method = 'DELETE'"), at("method", "expected one of \"POST\", \"PUT\", \"PATCH\", found \"DELETE\"")),
        (
            destination("type = 'object-store', url = 'ftp://x'"),
            at("url", "\"ftp://x\" is no object store; write \"s3://bucket/prefix\", \"gs://…\", \"az://…\" or \"file:///folder\""),
        ),
        (
            destination("type = 'object-store', url = 's3://x', key = '{name}'"),
            at("key", "objects of different documents could have this key, and the last would replace the others; add {id}, {short_id}, {report_id} or {unique_name}"),
        ),
        (
            ROUTE.replace("path = 'out' }", "path = 'out' }, { type = 'folder', path = 'out', file_name = '{id}' }"),
            "dropforge.toml:4: routes[0].destinations[1].name: destinations[0] has the same; give one of them another `name`".into(),
        ),
        (format!("[http]\nproxy = 'proxy:3128'\n{ROUTE}"), "dropforge.toml:2: http.proxy: \"proxy:3128\" is no address of a server; write one such as \"https://server\"".into()),
    ];
    for (text, expected) in cases {
        assert_eq!(errors_of(&text), [expected], "{text}");
    }
}

#[test]
fn everything_that_does_not_fit_is_said_at_once() {
    let text = format!("metrics_port = 8080\n{}timezone = 'x'\n", ROUTE.replace("'a'", "'A'"));
    assert_eq!(errors_of(&text).len(), 3);
}

#[test]
fn folders_inside_the_intake_are_fine_where_nothing_is_taken_from_them() {
    for (intake, out) in [
        ("path = 'in', exclude = ['out/**']", "in/out"),
        ("path = 'in', exclude = ['out/*']", "in/out"),
        ("path = 'in', recursive = false", "in/out"),
        ("path = 'in', done = 'in/old', failed = 'in/bad'", "in/done/../../elsewhere"),
        ("path = 'in/a'", "in"),
        ("path = 'in'", "in2"),
    ] {
        let text = ROUTE.replace("path = 'in'", intake).replace("'out' }", &format!("'{out}' }}"));
        assert!(warnings_of(&text).is_empty(), "{intake} and {out}");
    }
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let second = |intake: &str| ROUTE.replace("'a'", "'b'").replace("path = 'in'", intake);
    let first = |intake: &str| ROUTE.replace("path = 'in'", intake);
    let shared = "dropforge.toml:7: routes[1].intake.path: routes[0] may take files from this folder too; a file that both take goes to either of them";
    let cases = [
        (
            format!("{ROUTE}after = {{ error = 'delete' }}\n"),
            vec!["dropforge.toml:5: routes[0].after.error: files that fail are deleted: nothing of them remains, not even to try again"],
        ),
        (format!("{}{}", first("path = 'in', include = ['a*.csv']"), second("path = 'in', include = ['b*.csv']")), vec![shared]),
        (format!("{}{}", first("path = 'in', exclude = ['a*']"), second("path = 'in', include = ['a*']")), vec![shared]),
        (format!("{}{}", first("path = 'in'"), second("path = 'in/sub'")), vec![shared]),
        (format!("{}{}", first("path = 'in', include = ['*.csv']"), second("path = 'in', include = ['*.xml', '**/*.json']")), vec![]),
        (format!("{}{}", first("path = 'in', exclude = ['sub/**']"), second("path = 'in/sub'")), vec![]),
        (format!("{}{}", first("path = 'in', recursive = false"), second("path = 'in/sub'")), vec![]),
        (format!("{}{}", first("path = 'in'"), second("path = 'in/failed'")), vec![]),
    ];
    for (text, expected) in cases {
        assert_eq!(warnings_of(&text), expected, "{text}");
    }
    let environment = case().file("c.toml", ROUTE).environment("DROPFORGE_WORKRES", "3").load().warnings;
    assert_eq!(environment, ["DROPFORGE_WORKRES is ignored: it is not a setting of Dropforge; did you mean DROPFORGE_WORKERS?"]);
}

#[test]
fn metrics_that_are_off_need_no_port() {
    let text = format!("health_port = 9090\nenable_metrics = false\n{ROUTE}");
    assert_eq!(case().file("c.toml", text).load().config.health_port, 9090);
    let text = format!("health_port = 0\nmetrics_port = 0\n{ROUTE}");
    assert_eq!(case().file("c.toml", text).load().config.metrics_port, 0);
}

#[cfg(unix)]
#[test]
fn a_path_must_be_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let path = Path::new(std::ffi::OsStr::from_bytes(b"/x\xff")).to_path_buf();
    let errors = case().file("c.toml", ROUTE).overrides(|overrides| overrides.plugins = Some(path)).errors();
    assert_eq!(errors, ["the path /x\u{fffd} is not UTF-8; give the folder a name that is"]);
}
