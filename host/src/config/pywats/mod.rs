//! The configuration of a pyWATS client, in our words. Keys with a counterpart are applied; of each other one sentence says what to write
//! instead. It knows the names of their keys, and no code of theirs.

mod advice;
mod converters;
mod table;

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use super::shape::Finding;
use super::text::Document;
use table::Table;

/// Where the client posts reports, below the server's address.
const REPORTS: &str = "/api/Report/WSJF";

/// The newest version of their file that is known, and those before it, by the number before the dot.
const NEWEST_SCHEMA: u32 = 2;

/// Keys that mean the same here, under the same name.
const SAME: [&str; 7] =
    ["instance_id", "location", "enable_cache", "cache_ttl_seconds", "cache_max_size", "enable_metrics", "metrics_port"];

/// Their file as ours.
#[derive(Debug, Default)]
pub(super) struct Translated {
    /// What our file would say. Its paths are absolute.
    pub value: Map<String, Value>,
    /// The line in their file that each of our keys comes from.
    pub lines: BTreeMap<String, usize>,
    /// What is not taken over, by their keys.
    pub warnings: Vec<Finding>,
}

/// Whether a file is one of theirs.
pub(super) fn is_theirs(value: &Map<String, Value>) -> bool {
    value.contains_key("schema_version") || value.contains_key("service_address")
}

/// Says it in our words; relative paths are from `base`, the file's folder.
pub(super) fn translate(document: &Document, base: &Path) -> Translated {
    let mut ours = Translated::default();
    let mut theirs = Table::new(&document.value);
    let set = |ours: &mut Translated, key: &str, their: &str, value: Value| {
        ours.value.insert(key.to_owned(), value);
        if let Some(line) = document.lines.get(their) {
            ours.lines.insert(key.to_owned(), *line);
        }
    };
    if let Some(version) = theirs.take("schema_version") {
        let text = version.as_str().map_or_else(|| version.to_string(), str::to_owned);
        let known = text.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major <= NEWEST_SCHEMA);
        if !known {
            let message = format!("the version {text} is not known, only those up to {NEWEST_SCHEMA}: check what comes of it");
            ours.warnings.push(Finding { path: "schema_version".to_owned(), message });
        }
    }
    for key in SAME {
        if let Some(value) = theirs.take(key) {
            set(&mut ours, key, key, value);
        }
    }
    if let Some(name) = theirs.take("station_name") {
        set(&mut ours, "station", "station_name", name);
        // It only says what stands in for a name.
        theirs.take("station_name_source");
    }
    // There, 0 is no bound; here the default is far beyond what anybody has.
    if let Some(size) = theirs.take("max_queue_size").filter(|size| *size != json!(0)) {
        set(&mut ours, "max_queued", "max_queue_size", size);
    }
    if let Some(folder) = theirs.take_path("converters_folder", base) {
        set(&mut ours, "plugins_dir", "converters_folder", folder);
    }
    let server = theirs.take("service_address");
    if let Some(address) = &server {
        set(&mut ours, "upstream", "service_address", json!({ "url": address }));
    }
    for key in ["api_token", "username"] {
        if let Some(value) = theirs.take(key) {
            ours.warnings.push(Finding { path: key.to_owned(), message: credential_advice(value.as_str().unwrap_or_default(), key) });
        }
    }
    if let Some(proxy) = proxy(&mut theirs) {
        set(&mut ours, "http", "proxy_host", json!({ "proxy": proxy }));
    }
    let destination = match server {
        Some(_) => json!({ "type": "http", "url": REPORTS }),
        None => {
            let reports = theirs.take_path("reports_folder", base).or_else(|| table::absolute(base, "reports"));
            json!({ "type": "folder", "path": reports })
        }
    };
    let context = context(&mut theirs, &ours.value);
    converters::translate(&mut theirs, document, base, &context, &destination, &mut ours);
    for key in theirs.left() {
        ours.warnings.push(Finding { message: advice::of(&key).to_owned(), path: key });
    }
    ours
}

/// What every converter may know, where the client puts it into every report.
fn context(theirs: &mut Table<'_>, ours: &Map<String, Value>) -> Map<String, Value> {
    let included = theirs.take("include_station_in_reports").is_none_or(|included| included != json!(false));
    let purpose = theirs.take("purpose");
    let parts = [("station", ours.get("station").cloned()), ("location", ours.get("location").cloned()), ("purpose", purpose)];
    let text = |value: Value| value.as_str().map(|text| Value::String(text.replace('{', "{{").replace('}', "}}")));
    parts.into_iter().filter(|_| included).filter_map(|(name, value)| Some((name.to_owned(), text(value?)?))).collect()
}

/// The proxy that is set by hand. Where it is not, ours comes from the environment as well.
fn proxy(theirs: &mut Table<'_>) -> Option<String> {
    let older = theirs.take("proxy");
    let mode = theirs.take("proxy_mode");
    let (host, port) = (theirs.take("proxy_host"), theirs.take("proxy_port"));
    let mode = mode.as_ref().and_then(Value::as_str);
    let address =
        |host: &Value, port: Option<&Value>| Some(format!("http://{}:{}", host.as_str()?, port.and_then(Value::as_u64).unwrap_or(8080)));
    if mode == Some("manual") {
        return address(&host?, port.as_ref());
    }
    for key in ["proxy_auth", "proxy_username", "proxy_password", "proxy_bypass"] {
        // Without a proxy set by hand they mean nothing.
        theirs.take(key);
    }
    if mode == Some("none") {
        theirs.put_back("proxy_mode", json!("none"));
        return None;
    }
    let older = older.as_ref().filter(|proxy| proxy.get("enabled") == Some(&json!(true)))?;
    address(older.get("host").filter(|host| **host != json!(""))?, older.get("port"))
}

/// What to do with a secret that does not belong into a configuration.
fn credential_advice(value: &str, key: &str) -> String {
    let user = match key {
        "username" => Some(value.to_owned()),
        _ => BASE64
            .decode(value.trim())
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|text| text.split_once(':').map(|(user, _)| user.to_owned()))
            .filter(|user| !user.is_empty() && !user.contains(char::is_control)),
    };
    match user {
        Some(user) => format!(
            "passwords are not kept in a configuration: put the password alone into a file, and write user = {user:?} and password_file = \"FILE\" \
             below [upstream]{}",
            if key == "username" { "" } else { "; this token is user and password in base64" }
        ),
        None => "tokens are not kept in a configuration: put the token alone into a file, and write token_file = \"FILE\" below [upstream]"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests;
