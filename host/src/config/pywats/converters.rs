//! Each converter of theirs, which watches a folder, is a route of ours.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::table::Table;
use super::{Translated, advice};
use crate::config::shape::Finding;
use crate::config::text::{Document, join_index, join_key};

/// The longest name of a route.
const LONGEST_NAME: usize = 64;

/// Patterns that are theirs for every file.
const EVERYTHING: [&str; 3] = ["*", "*.*", "**"];

/// Makes the routes. Keys without a counterpart are said once, however many converters have them.
pub(super) fn translate(
    theirs: &mut Table<'_>,
    document: &Document,
    base: &Path,
    context: &Map<String, Value>,
    destination: &Value,
    ours: &mut Translated,
) {
    let enabled = theirs.take("converters_enabled").is_none_or(|enabled| enabled != json!(false));
    let converters = match theirs.take("converters") {
        Some(Value::Array(converters)) => converters,
        _ => Vec::new(),
    };
    if !enabled && !converters.is_empty() {
        let message = "the converters are switched off, so there are no routes; set it to true, or write [[routes]] yourself".to_owned();
        ours.warnings.push(Finding { path: "converters_enabled".to_owned(), message });
        return;
    }
    let (mut routes, mut left) = (Vec::new(), BTreeMap::<String, Vec<usize>>::new());
    for (index, converter) in converters.iter().enumerate() {
        let path = join_index("converters", index);
        let Some(converter) = converter.as_object() else {
            ours.warnings.push(Finding { path, message: "it is no table, so it makes no route".to_owned() });
            continue;
        };
        let mut converter = Table::new(converter);
        match route(&mut converter, index, base, &routes) {
            Ok(mut route) => {
                if !context.is_empty() {
                    route.insert("context".to_owned(), json!(context));
                }
                route.insert("destinations".to_owned(), json!([destination]));
                if let Some(line) = document.lines.get(&join_key(&path, "name")).or(document.lines.get("converters")) {
                    ours.lines.insert(join_index("routes", routes.len()), *line);
                }
                routes.push(route);
                for key in converter.left() {
                    left.entry(key).or_default().push(index);
                }
            }
            Err(message) => ours.warnings.push(Finding { path, message }),
        }
    }
    if !routes.is_empty() {
        ours.value.insert("routes".to_owned(), json!(routes));
    }
    for (key, indexes) in left {
        let others = match indexes.len() {
            1 => String::new(),
            count => format!(" (so in {count} converters)"),
        };
        let path = join_key(&join_index("converters", indexes.first().copied().unwrap_or_default()), &key);
        ours.warnings.push(Finding { path, message: format!("{}{others}", advice::of_converter(&key)) });
    }
}

/// The route of a converter, or why there is none.
fn route(theirs: &mut Table<'_>, index: usize, base: &Path, others: &[Map<String, Value>]) -> Result<Map<String, Value>, String> {
    let label = theirs.take("name").and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
    if theirs.take("enabled") == Some(json!(false)) {
        return Err(format!("{label:?} is switched off, so it makes no route"));
    }
    let kind =
        theirs.take("converter_type").and_then(|kind| kind.as_str().map(str::to_ascii_lowercase)).unwrap_or_else(|| "file".to_owned());
    if !["file", "folder"].contains(&kind.as_str()) {
        return Err(format!(
            "{label:?} runs at set times, so it makes no route: write what it fetches into a watched folder with the system's scheduler"
        ));
    }
    let mut intake = Map::new();
    let Some(folder) = theirs.take_path("watch_folder", base) else {
        return Err(format!("{label:?} watches no folder, so it makes no route"));
    };
    intake.insert("path".to_owned(), folder);
    for (key, their) in [("done", "done_folder"), ("failed", "error_folder")] {
        if let Some(folder) = theirs.take_path(their, base) {
            intake.insert(key.to_owned(), folder);
        }
    }
    let patterns = theirs.take("file_patterns");
    let every = |patterns: &Value| {
        patterns.as_array().is_some_and(|all| all.iter().any(|one| one.as_str().is_some_and(|one| EVERYTHING.contains(&one))))
    };
    if let Some(patterns) = patterns.filter(|patterns| !every(patterns) && kind == "file") {
        intake.insert("include".to_owned(), patterns);
    }
    if theirs.take("folder_patterns").is_some_and(|patterns| !every(&patterns)) {
        theirs.put_back("folder_patterns", json!(true));
    }
    let marker = theirs.take("readiness_marker");
    if let Some(marker) = marker.filter(|_| kind == "folder") {
        intake.insert("bundle".to_owned(), json!({ "marker": marker }));
    }
    let mut route = Map::new();
    route.insert("name".to_owned(), json!(name(&label, index, others)));
    if let Some(priority) = theirs.take("priority") {
        route.insert("priority".to_owned(), priority);
    }
    let action = theirs.take("post_action").unwrap_or_else(|| json!("move"));
    let archive = theirs.take_path("archive_folder", base).filter(|_| action == json!("archive"));
    if let Some(archive) = archive {
        intake.insert("done".to_owned(), archive);
    }
    // The client never deletes what it has moved.
    route.insert("after".to_owned(), json!({ "success": action, "keep_days": 0 }));
    route.insert("intake".to_owned(), Value::Object(intake));
    Ok(route)
}

/// A name as ours are, which no other route has.
fn name(label: &str, index: usize, others: &[Map<String, Value>]) -> String {
    let mut name = String::new();
    for character in label.chars().map(|character| character.to_ascii_lowercase()) {
        if character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_' {
            name.push(character);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    name.truncate(LONGEST_NAME - 5);
    let name = name.trim_end_matches('-');
    let name = if name.is_empty() { format!("converter-{index}") } else { name.to_owned() };
    let taken = |name: &str| others.iter().any(|route| route.get("name").is_some_and(|other| other == name));
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or(name)
}
