#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::config::text;

fn translated(text: &str) -> Translated {
    translate(&text::parse(Path::new("config.json"), text).unwrap(), Path::new("/c"))
}

fn warned(translated: &Translated) -> Vec<&str> {
    translated.warnings.iter().map(|warning| warning.path.as_str()).collect()
}

#[test]
fn every_key_is_applied_or_said_once() {
    let theirs = translated(
        r#"{"schema_version": "2.0", "instance_id": "A", "service_address": "https://wats", "station_name": "S{1}", "station_name_source": "hostname",
            "location": "", "purpose": "Debug", "max_queue_size": 5, "converters_folder": "conv", "sn_start": 1, "sn_prefix": "",
            "show_log_tab": true, "log_level": "INFO", "proxy_mode": "system", "proxy_port": 8080, "proxy": {"enabled": false}, "no_such": 1}"#,
    );
    let expected = json!({
        "instance_id": "A", "station": "S{1}", "max_queued": 5, "plugins_dir": "/c/conv", "upstream": { "url": "https://wats" }
    });
    assert_eq!(Value::Object(theirs.value.clone()), expected);
    assert_eq!(warned(&theirs), ["log_level", "no_such", "show_log_tab", "sn_start"]);
    assert!(theirs.warnings[1].message.contains("is not known"));
}

#[test]
fn converters_are_routes() {
    let theirs = translated(
        r#"{"service_address": "https://wats", "station_name": "S{1}", "purpose": "Debug", "converters": [
            {"name": "ICT Conv.", "module_path": "a.B", "watch_folder": "in/a", "done_folder": "/d", "error_folder": "e", "priority": 2,
             "file_patterns": ["*.txt"], "folder_patterns": ["*"], "post_action": "delete", "retry_delay_seconds": 60, "pending_folder": ""},
            {"name": "ict conv", "module_path": "a.C", "watch_folder": "in/b", "file_patterns": ["*.*"], "converter_type": "folder",
             "readiness_marker": "READY", "post_action": "archive", "archive_folder": "zip"},
            {"name": "off", "watch_folder": "in/c", "enabled": false},
            {"name": "nightly", "converter_type": "scheduled"},
            {"name": "no folder"}]}"#,
    );
    let context = json!({ "station": "S{{1}}", "purpose": "Debug" });
    let destinations = json!([{ "type": "http", "url": "/api/Report/WSJF" }]);
    let expected = json!([
        { "name": "ict-conv", "priority": 2, "context": context, "destinations": destinations,
          "intake": { "path": "/c/in/a", "done": "/d", "failed": "/c/e", "include": ["*.txt"] },
          "after": { "success": "delete", "keep_days": 0 } },
        { "name": "ict-conv-2", "context": context, "destinations": destinations,
          "intake": { "path": "/c/in/b", "bundle": { "marker": "READY" }, "done": "/c/zip" },
          "after": { "success": "archive", "keep_days": 0 } },
    ]);
    assert_eq!(theirs.value["routes"], expected);
    let paths = ["converters[2]", "converters[3]", "converters[4]", "converters[0].module_path", "converters[0].retry_delay_seconds"];
    assert_eq!(warned(&theirs), paths);
    assert!(theirs.warnings[3].message.ends_with("(so in 2 converters)"));
}

#[test]
fn without_a_server_documents_go_to_the_folder_of_reports() {
    let theirs = translated(r#"{"schema_version": "1.0", "service_address": "", "converters": [{"name": "a", "watch_folder": "in"}]}"#);
    assert_eq!(theirs.value["routes"][0]["destinations"], json!([{ "type": "folder", "path": "/c/reports" }]));
    assert!(!theirs.value.contains_key("upstream"));
    let off = translated(r#"{"schema_version": "3.1", "converters_enabled": false, "converters": [{"name": "a", "watch_folder": "in"}]}"#);
    assert!(!off.value.contains_key("routes"));
    assert_eq!(warned(&off), ["schema_version", "converters_enabled"]);
}

#[test]
fn secrets_are_neither_taken_over_nor_shown() {
    // `robot:hush` in base64.
    let theirs = translated(r#"{"service_address": "https://wats", "api_token": "cm9ib3Q6aHVzaA=="}"#);
    assert!(theirs.warnings[0].message.contains("user = \"robot\" and password_file"), "{:?}", theirs.warnings);
    let opaque = translated(r#"{"service_address": "https://wats", "api_token": "hush-hush", "username": "me"}"#);
    assert!(opaque.warnings[0].message.contains("token_file = \"FILE\""));
    assert!(opaque.warnings[1].message.contains("user = \"me\""));
    assert!(!format!("{theirs:?}{opaque:?}").contains("hush"));
}

#[test]
fn a_proxy_is_taken_over_where_it_is_set_by_hand() {
    let proxy = |text: &str| {
        let theirs = translated(&format!("{{\"schema_version\": \"2.0\", {text}}}"));
        let warned: Vec<String> = warned(&theirs).into_iter().map(str::to_owned).collect();
        (theirs.value.get("http").cloned(), warned.join(" "))
    };
    let expected = Some(json!({ "proxy": "http://p:3128" }));
    assert_eq!(proxy(r#""proxy_mode": "manual", "proxy_host": "p", "proxy_port": 3128"#), (expected.clone(), String::new()));
    assert_eq!(
        proxy(r#""proxy_mode": "manual", "proxy_host": "p", "proxy_port": 3128, "proxy_auth": true, "proxy_password": "x""#),
        (expected.clone(), "proxy_auth proxy_password".to_owned())
    );
    assert_eq!(proxy(r#""proxy": {"enabled": true, "host": "p", "port": 3128}"#), (expected, String::new()));
    assert_eq!(proxy(r#""proxy_mode": "system", "proxy_host": "p""#), (None, String::new()));
    assert_eq!(proxy(r#""proxy_mode": "none""#), (None, "proxy_mode".to_owned()));
}
