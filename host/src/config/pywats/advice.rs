//! What to write instead of keys that have no counterpart.

/// By key; one that ends in `_` stands for all that begin so.
const GENERAL: &[(&str, &str)] = &[
    ("instance_name", "a daemon has one name: write it as `instance_id` if metrics should show it"),
    ("station_name_source", "nobody guesses the station's name: write it as `station`, and into each route's `context`"),
    (
        "station_description",
        "reports get what a route's `context` says: write context = { station_description = \"…\" } there if a converter asks for it",
    ),
    (
        "station_presets",
        "write one route for each station, each with its own `context`; or context = { station = \"{dir1}\" } where each station has a folder",
    ),
    ("multi_station_enabled", "write one route for each station, or context = { station = \"{dir1}\" } where each station has a folder"),
    ("active_station_key", "write the station that holds as `station`, and into each route's `context`"),
    ("auto_detect_location", "nobody guesses where a station is: write `location`"),
    ("location_services_enabled", "nobody guesses where a station is: write `location`"),
    ("sn_", "Dropforge gives out no serial numbers: leave that to the tester or the operator"),
    ("proxy_mode", "a proxy of the environment is used unless NO_PROXY says otherwise: set NO_PROXY=* in the environment of the service"),
    (
        "proxy_",
        "passwords and exceptions of a proxy are not kept in a configuration: leave `http.proxy` out, and set HTTPS_PROXY and NO_PROXY in the \
                environment of the service",
    ),
    ("sync_interval_seconds", "nothing is synchronised: converters ask the server, and answers are kept for `cache_ttl_seconds`"),
    ("process_sync_enabled", "nothing is synchronised: converters that are granted `lookup` ask the server"),
    (
        "reports_folder",
        "documents that wait for the server are in `state_dir`; write a destination { type = \"folder\", path = \"…\" } to have them in a folder too",
    ),
    ("offline_queue_enabled", "documents always wait for a server that is away, within `max_spool_bytes`"),
    ("max_retry_attempts", "deliveries are tried until they succeed or the server refuses them; `dropforge queue list --dead` shows those"),
    ("retry_interval_seconds", "deliveries are tried again after pauses that grow; nothing has to be set"),
    ("max_concurrent_uploads", "how many requests are under way adapts to the server; write `http.requests_per_second` to bound them"),
    ("yield_", "Dropforge computes no yields: that is the server's"),
    ("software_auto_update", "a converter is updated by putting its new file into `plugins_dir`; the program by your package manager"),
    ("api_host", "the API listens on `bind_address`"),
    ("api_port", "the API is on `health_port`"),
    (
        "api_auth_type",
        "the API asks for the token in `state_dir`, always for writing, and for reading where `bind_address` is not loopback",
    ),
    ("api_", "the API is always there, at `health_port` below /api/v1; nothing else of it can be set"),
    ("webhook_", "write a destination { type = \"http\", url = \"…\" } to have documents posted; for events, alert on metrics"),
    ("show_", "there is no window whose parts could be shown: delete it"),
    ("start_minimized", "there is no window: delete it"),
    ("minimize_to_tray", "there is no window: delete it"),
    ("auto_connect", "the server is always used when it is there: delete it"),
    ("was_connected", "the server is always used when it is there: delete it"),
    ("service_auto_start", "let the system start `dropforge run`: with systemd, or as a task or service on Windows"),
    ("log_level", "set DROPFORGE_LOG in the environment of the service, or give --log-level, such as debug"),
    ("log_file", "the log goes to standard error: let the service manager keep it, or redirect it"),
];

/// By key of a converter.
const CONVERTER: &[(&str, &str)] = &[
    (
        "module_path",
        "Python modules are not run: put a plugin into `plugins_dir`; the route asks every converter until you name one as its `converter`",
    ),
    ("arguments", "a plugin has options of its own, which `dropforge plugin inspect` shows: write them as the route's `options`"),
    ("pending_folder", "files that wait stay where they are, and are tried again: delete it"),
    ("folder_patterns", "every folder below the intake's is one job once it is complete: leave others out with `intake.exclude`"),
    ("alarm_threshold", "a converter says itself how sure it is; `dropforge queue show` says what each answered"),
    ("reject_threshold", "a converter says itself how sure it is; one that is not takes no file"),
    ("max_retries", "what can succeed later is tried again by itself, nothing else is: delete it"),
    ("retry_delay_seconds", "what can succeed later is tried again after pauses that grow: delete it"),
    ("schedule_interval_seconds", "nothing runs at set times: write files into the folder with the system's scheduler"),
    ("cron_expression", "nothing runs at set times: write files into the folder with the system's scheduler"),
    ("run_on_startup", "files that are there at start are taken: delete it"),
    ("min_file_count", "write `intake.bundle.expect`, with a pattern for each file that must be there"),
    ("description", "what a converter is for, its plugin says: write it as a comment"),
    ("author", "who wrote a converter, its plugin says: delete it"),
    ("version", "which version runs, the plugin says: delete it"),
];

const UNKNOWN: &str = "it is not known: `dropforge config schema` describes what can be written";

pub(super) fn of(key: &str) -> &'static str {
    find(GENERAL, key)
}

pub(super) fn of_converter(key: &str) -> &'static str {
    find(CONVERTER, key)
}

fn find(table: &[(&str, &'static str)], key: &str) -> &'static str {
    let found = table.iter().find(|(known, _)| *known == key || (known.ends_with('_') && key.starts_with(known)));
    found.map_or(UNKNOWN, |(_, advice)| advice)
}
