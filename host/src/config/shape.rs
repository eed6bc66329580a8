//! Checks a configuration against its schema: unknown keys, missing keys, wrong types, values out of range.
//!
//! `serde` would stop at the first of these, and a validator of JSON Schema would say it in the schema's words. This finds all of them at
//! once, and says for each what to write instead. It knows the part of JSON Schema that `schemars` makes of our types.

use std::fmt::Write as _;
use std::net::IpAddr;

use serde_json::{Map, Value};

use super::text::{join_index, join_key};

/// One thing that is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// The path of the key.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// Everything in `value` that `schema` does not allow.
pub(super) fn check(schema: &Value, value: &Map<String, Value>) -> Vec<Finding> {
    let mut check = Check { root: schema, findings: Vec::new() };
    check.table(schema, value, "");
    check.findings
}

/// The keys of the root, each with the name of its type in JSON Schema.
pub(super) fn root_keys(schema: &Value) -> impl Iterator<Item = (&str, &str)> {
    let typed = |property| types(resolve(schema, property)).first().copied().unwrap_or_default();
    properties(schema).into_iter().flatten().map(move |(key, property)| (key.as_str(), typed(property)))
}

/// The key among `known` that is likely to be meant by `key`.
pub(super) fn nearest<'k>(key: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    // A third of the letters may be wrong; then it is another word.
    let bearable = (key.chars().count() / 3).max(2);
    let fold = |text: &str| text.to_lowercase().replace('-', "_");
    known
        .map(|candidate| (strsim::damerau_levenshtein(&fold(key), &fold(candidate)), candidate))
        .filter(|(distance, _)| *distance <= bearable)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

struct Check<'s> {
    root: &'s Value,
    findings: Vec<Finding>,
}

impl<'s> Check<'s> {
    fn find(&mut self, path: &str, message: String) {
        self.findings.push(Finding { path: path.into(), message });
    }

    fn value(&mut self, schema: &'s Value, value: &Value, path: &str) {
        if value.is_null() && allows_null(schema) {
            return;
        }
        let schema = resolve(self.root, schema);
        if let Some(variants) = schema.get("oneOf").and_then(Value::as_array) {
            return self.variant(variants, value, path);
        }
        if !is_of_type(schema, value) {
            let unquote = if value.as_str().is_some_and(|text| text.parse().is_ok_and(|bare: Value| is_of_type(schema, &bare))) {
                "; write it without quotes"
            } else {
                ""
            };
            return self.find(path, format!("expected {}, found {}{unquote}", expected(schema), found(value)));
        }
        match value {
            Value::Object(table) => self.table(schema, table, path),
            Value::Array(items) => {
                if (items.len() as u64) < schema.get("minItems").and_then(Value::as_u64).unwrap_or(0) {
                    self.find(path, "the list is empty; it needs at least one item".into());
                }
                if let Some(item_schema) = schema.get("items") {
                    for (index, item) in items.iter().enumerate() {
                        self.value(item_schema, item, &join_index(path, index));
                    }
                }
            }
            Value::Number(number) if number.as_f64().is_some_and(|number| !in_range(schema, number)) => {
                self.find(path, format!("expected {}, found {number}", expected(schema)));
            }
            Value::String(text) if schema.get("format").is_some_and(|format| format == "ip") && text.parse::<IpAddr>().is_err() => {
                self.find(path, format!("expected an IP address such as 127.0.0.1 or 0.0.0.0, found {}", found(value)));
            }
            _ => {}
        }
    }

    /// One of several words, or one of several tables that a key `type` tells apart.
    fn variant(&mut self, variants: &'s [Value], value: &Value, path: &str) {
        let words = |schemas: &mut dyn Iterator<Item = Option<&'s Value>>| -> Vec<&'s str> {
            schemas.flatten().filter_map(Value::as_str).collect()
        };
        let consts = words(&mut variants.iter().map(|variant| variant.get("const")));
        if !consts.is_empty() {
            return self.word(&consts, value, path);
        }
        let tag = |variant: &'s Value| variant.pointer("/properties/type/const");
        let tags = words(&mut variants.iter().map(tag));
        let Some(table) = value.as_object() else {
            return self.find(path, format!("expected a table, found {}", found(value)));
        };
        let Some(wanted) = table.get("type") else {
            return self.find(path, format!("the key `type` is missing: it is one of {}", alternatives(&tags)));
        };
        match variants.iter().find(|variant| tag(variant) == Some(wanted)) {
            Some(variant) => self.table(variant, table, path),
            None => self.word(&tags, wanted, &join_key(path, "type")),
        }
    }

    fn word(&mut self, words: &[&str], value: &Value, path: &str) {
        let Some(text) = value.as_str() else {
            return self.find(path, format!("expected one of {}, found {}", alternatives(words), found(value)));
        };
        if !words.contains(&text) {
            let meant = nearest(text, words.iter().copied()).map(|word| format!("; did you mean \"{word}\"?")).unwrap_or_default();
            self.find(path, format!("expected one of {}, found {}{meant}", alternatives(words), found(value)));
        }
    }

    fn table(&mut self, schema: &'s Value, table: &Map<String, Value>, path: &str) {
        let property = |key: &str| properties(schema).and_then(|known| known.get(key));
        let others = schema.get("additionalProperties");
        for (key, value) in table {
            let path = join_key(path, key);
            match (property(key), others) {
                (Some(known), _) => self.value(known, value, &path),
                (None, Some(Value::Bool(false))) => {
                    let message = format!("there is no such key{}", self.advice(schema, key));
                    self.find(&path, message);
                }
                (None, Some(any @ Value::Object(_))) => self.value(any, value, &path),
                (None, _) => {}
            }
        }
        for key in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if !table.contains_key(key) {
                let expected = property(key).map(|known| expected(resolve(self.root, known))).unwrap_or_default();
                self.find(path, format!("the key `{key}` is missing: it is {expected}"));
            }
        }
    }

    /// What was likely meant by a key that the table of `schema` does not have: the same key elsewhere, or a similar one here.
    fn advice(&self, schema: &'s Value, key: &str) -> String {
        let none = Map::new();
        let known = properties(schema).unwrap_or(&none);
        let holder = known.iter().find(|(_, child)| {
            let child = resolve(self.root, child);
            properties(child).is_some_and(|keys| keys.contains_key(key))
        });
        if let Some((holder, _)) = holder {
            return format!("; it belongs in `{holder}`");
        }
        if let Some(near) = nearest(key, known.keys().map(String::as_str)) {
            return format!("; did you mean `{near}`?");
        }
        if !std::ptr::eq(schema, self.root) && properties(self.root).is_some_and(|keys| keys.contains_key(key)) {
            return "; it belongs at the beginning of the file, before the first [table]".into();
        }
        if known.len() <= 12 {
            return format!("; there are {}", known.keys().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", "));
        }
        "; `dropforge config schema` lists all".into()
    }
}

fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties").and_then(Value::as_object)
}

/// Follows a reference, and the reference of something optional.
fn resolve<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let target = match schema.get("anyOf").and_then(Value::as_array) {
        Some(alternatives) => alternatives.iter().find(|alternative| alternative.get("$ref").is_some()).unwrap_or(schema),
        None => schema,
    };
    target.get("$ref").and_then(Value::as_str).and_then(|reference| root.pointer(reference.strip_prefix('#')?)).unwrap_or(target)
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn allows_null(schema: &Value) -> bool {
    let alternatives = schema.get("anyOf").and_then(Value::as_array);
    types(schema).contains(&"null") || alternatives.into_iter().flatten().any(allows_null)
}

fn is_of_type(schema: &Value, value: &Value) -> bool {
    let types = types(schema);
    types.is_empty()
        || types.iter().any(|name| match *name {
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            _ => false,
        })
}

fn bounds(schema: &Value) -> (Option<f64>, Option<f64>, Option<f64>) {
    let bound = |name| schema.get(name).and_then(Value::as_f64);
    (bound("minimum"), bound("exclusiveMinimum"), bound("maximum"))
}

fn in_range(schema: &Value, number: f64) -> bool {
    let (minimum, above, maximum) = bounds(schema);
    minimum.is_none_or(|minimum| number >= minimum)
        && above.is_none_or(|above| number > above)
        && maximum.is_none_or(|maximum| number <= maximum)
}

/// What a schema wants, in words.
fn expected(schema: &Value) -> String {
    let mut words = match types(schema).first().copied() {
        Some("string") => "text in quotes",
        Some("boolean") => "true or false",
        Some("integer") => "a whole number",
        Some("number") => "a number",
        Some("array") => "a list",
        Some("object") => "a table",
        _ => "another value",
    }
    .to_owned();
    let (minimum, above, maximum) = bounds(schema);
    // Writing to a String does not fail.
    let _ = match (minimum, above, maximum) {
        (Some(minimum), _, Some(maximum)) => write!(words, " from {minimum} to {maximum}"),
        (_, Some(above), Some(maximum)) => write!(words, " above {above}, at most {maximum}"),
        (Some(minimum), _, None) => write!(words, " from {minimum}"),
        _ => Ok(()),
    };
    words
}

/// What was found, in words, cut so that a message stays a line.
fn found(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.chars().count() > 60 => format!("{:?}", text.chars().take(60).chain(['…']).collect::<String>()),
        Value::String(text) => format!("{text:?}"),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a table".into(),
    }
}

fn alternatives(words: &[&str]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use serde_json::json;

    use super::*;
    use crate::config::schema;

    fn findings(value: Value) -> Vec<String> {
        let Value::Object(value) = value else { panic!("the test's value is no table") };
        check(&schema(), &value).into_iter().map(|finding| format!("{}: {}", finding.path, finding.message)).collect()
    }

    fn route(extra: Value) -> Value {
        let mut route = json!({ "name": "a", "intake": { "path": "in" }, "destinations": [{ "type": "folder", "path": "out" }] });
        let (Value::Object(route), Value::Object(extra)) = (&mut route, extra) else { panic!("the test's value is no table") };
        route.extend(extra);
        json!({ "routes": [route] })
    }

    #[test]
    fn what_is_right_passes() {
        for value in [
            json!({}),
            json!({ "workers": null, "upstream": null, "drain_seconds": 0, "cache_ttl_seconds": 300, "bind_address": "::1" }),
            route(json!({})),
            route(json!({ "options": { "any": [1, { "thing": null }] }, "limits": { "documents": 1 }, "context": { "a": "{dir1}" } })),
            route(json!({ "intake": { "path": "in", "watch": "poll", "take": "superseded" }, "after": { "success": "archive" } })),
            route(json!({ "destinations": [{ "type": "http", "url": "https://x" }, { "type": "object-store", "url": "s3://x" }] })),
        ] {
            assert_eq!(findings(value.clone()), [""; 0], "{value}");
        }
    }

    #[test]
    fn wrong_input_is_said_in_one_sentence() {
        let cases = [
            // Unknown keys.
            (json!({ "health_prot": 1 }), "health_prot: there is no such key; did you mean `health_port`?"),
            (json!({ "Health-Port": 1 }), "Health-Port: there is no such key; did you mean `health_port`?"),
            (json!({ "wall_seconds": 1 }), "wall_seconds: there is no such key; it belongs in `limits`"),
            (json!({ "frobnicate": 1 }), "frobnicate: there is no such key; `dropforge config schema` lists all"),
            (
                json!({ "result_cache": { "memory": 1 } }),
                "result_cache.memory: there is no such key; there are `enabled`, `max_bytes`, `max_entries`, `ttl_seconds`",
            ),
            (route(json!({ "recursive": true })), "routes[0].recursive: there is no such key; it belongs in `intake`"),
            (
                route(json!({ "plugins_dir": "p" })),
                "routes[0].plugins_dir: there is no such key; it belongs at the beginning of the file, before the first [table]",
            ),
            (
                route(json!({ "intake": { "path": "in", "includ": [] } })),
                "routes[0].intake.includ: there is no such key; did you mean `include`?",
            ),
            (
                route(json!({ "destinations": [{ "type": "folder", "path": "o", "pth": "o" }] })),
                "routes[0].destinations[0].pth: there is no such key; did you mean `path`?",
            ),
            // Missing keys.
            (
                json!({ "routes": [{ "name": "a", "intake": { "path": "in" } }] }),
                "routes[0]: the key `destinations` is missing: it is a list",
            ),
            (
                route(json!({ "destinations": [{ "path": "o" }] })),
                "routes[0].destinations[0]: the key `type` is missing: it is one of \"folder\", \"http\", \"object-store\"",
            ),
            (route(json!({ "destinations": [] })), "routes[0].destinations: the list is empty; it needs at least one item"),
            (
                route(json!({ "intake": { "path": "in", "include": [] } })),
                "routes[0].intake.include: the list is empty; it needs at least one item",
            ),
            // Types.
            (
                json!({ "health_port": "8080" }),
                "health_port: expected a whole number from 0 to 65535, found \"8080\"; write it without quotes",
            ),
            (json!({ "health_port": "web" }), "health_port: expected a whole number from 0 to 65535, found \"web\""),
            (json!({ "health_port": 80.5 }), "health_port: expected a whole number from 0 to 65535, found 80.5"),
            (json!({ "health_port": null }), "health_port: expected a whole number from 0 to 65535, found null"),
            (json!({ "enable_metrics": "true" }), "enable_metrics: expected true or false, found \"true\"; write it without quotes"),
            (json!({ "enable_metrics": 1 }), "enable_metrics: expected true or false, found 1"),
            (json!({ "instance_id": 7 }), "instance_id: expected text in quotes, found 7"),
            (json!({ "routes": {} }), "routes: expected a list, found a table"),
            (json!({ "routes": ["a"] }), "routes[0]: expected a table, found \"a\""),
            (json!({ "upstream": "https://x" }), "upstream: expected a table, found \"https://x\""),
            (route(json!({ "destinations": ["out"] })), "routes[0].destinations[0]: expected a table, found \"out\""),
            (route(json!({ "context": { "line": 3 } })), "routes[0].context.line: expected text in quotes, found 3"),
            (
                route(json!({ "intake": { "path": "in", "exclude": "*.bak" } })),
                "routes[0].intake.exclude: expected a list, found \"*.bak\"",
            ),
            // Words.
            (
                route(json!({ "intake": { "path": "in", "watch": "pol" } })),
                "routes[0].intake.watch: expected one of \"auto\", \"native\", \"poll\", found \"pol\"; did you mean \"poll\"?",
            ),
            (route(json!({ "on_problem": true })), "routes[0].on_problem: expected one of \"deliver\", \"hold\", found true"),
            (
                route(json!({ "destinations": [{ "type": "ftp", "path": "o" }] })),
                "routes[0].destinations[0].type: expected one of \"folder\", \"http\", \"object-store\", found \"ftp\"; did you mean \"http\"?",
            ),
            // Ranges.
            (json!({ "metrics_port": 65536 }), "metrics_port: expected a whole number from 0 to 65535, found 65536"),
            (json!({ "metrics_port": -1 }), "metrics_port: expected a whole number from 0 to 65535, found -1"),
            (json!({ "workers": 0 }), "workers: expected a whole number from 1, found 0"),
            (json!({ "cache_ttl_seconds": 0 }), "cache_ttl_seconds: expected a number above 0, at most 31536000, found 0"),
            (json!({ "drain_seconds": -0.5 }), "drain_seconds: expected a number from 0 to 31536000, found -0.5"),
            (
                json!({ "limits": { "wall_seconds": 1e9 } }),
                "limits.wall_seconds: expected a number above 0, at most 31536000, found 1000000000.0",
            ),
            (route(json!({ "priority": 11 })), "routes[0].priority: expected a whole number from 1 to 10, found 11"),
            (
                route(json!({ "expected_interval_seconds": 0 })),
                "routes[0].expected_interval_seconds: expected a number above 0, at most 31536000, found 0",
            ),
            (route(json!({ "limits": { "documents": 0 } })), "routes[0].limits.documents: expected a whole number from 1, found 0"),
            // Formats.
            (
                json!({ "bind_address": "localhost" }),
                "bind_address: expected an IP address such as 127.0.0.1 or 0.0.0.0, found \"localhost\"",
            ),
            (
                json!({ "bind_address": "1.2.3.4:80" }),
                "bind_address: expected an IP address such as 127.0.0.1 or 0.0.0.0, found \"1.2.3.4:80\"",
            ),
        ];
        for (value, expected) in cases {
            assert_eq!(findings(value.clone()), [expected], "{value}");
        }
    }

    #[test]
    fn everything_wrong_is_found_at_once() {
        let value = json!({ "health_port": "x", "colour": 1, "routes": [{ "intake": { "path": 3, "wach": 1 } }] });
        let paths: Vec<_> = findings(value).iter().map(|line| line.split(": ").next().unwrap().to_owned()).collect();
        assert_eq!(paths, ["colour", "health_port", "routes[0].intake.path", "routes[0].intake.wach", "routes[0]", "routes[0]"]);
    }

    #[test]
    fn long_text_is_cut() {
        let message = findings(json!({ "health_port": "x".repeat(500) })).remove(0);
        assert_eq!(message.matches('x').count(), 61, "{message}"); // 60, and one in `expected`
    }
}
