//! The text of a configuration file, in TOML or JSON, as one value, with the line of every key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::json_lines;

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// An object, whatever the file is written in.
    pub value: Map<String, Value>,
    /// The line of each key path, from 1.
    pub lines: BTreeMap<String, usize>,
}

/// The path of `key` in the table at `path`.
pub(super) fn join_key(path: &str, key: &str) -> String {
    if path.is_empty() { key.into() } else { format!("{path}.{key}") }
}

/// The path of item `index` of the list at `path`.
pub(super) fn join_index(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// The path of the table or list that holds what is at `path`.
pub(super) fn parent(path: &str) -> Option<&str> {
    path.rfind(['.', '[']).and_then(|at| path.get(..at))
}

/// Parses a file's text, by the extension of its name.
///
/// # Errors
/// Another extension, broken syntax, or a value that cannot be: infinite numbers, integers beyond 64 bits, a JSON root that is no object.
pub(super) fn parse(path: &Path, text: &str) -> Result<Document, ConfigError> {
    // Editors on Windows begin UTF-8 files with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("toml") => parse_toml(path, text),
        Some("json") => parse_json(path, text),
        _ => Err(ConfigError::Extension { path: path.into() }),
    }
}

/// What can be read of a file with broken syntax: the keys of the root that are whole, and not on a line with an error.
pub(super) fn readable(path: &Path, text: &str) -> Map<String, Value> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Ok(document) = parse(path, text) {
        return document.value;
    }
    if path.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("toml")) {
        return Map::new();
    }
    let positions = Positions { path: path.into(), text };
    let (root, errors) = DeTable::parse_recoverable(text);
    let broken: Vec<usize> = errors.iter().filter_map(|error| error.span()).map(|span| positions.line(span.start)).collect();
    let whole = root.get_ref().iter().filter(|(key, _)| !broken.contains(&positions.line(key.span().start)));
    whole
        .filter_map(|(key, value)| Some((key.get_ref().to_string(), positions.value(value, key.get_ref(), &mut BTreeMap::new()).ok()?)))
        .collect()
}

fn parse_json(path: &Path, text: &str) -> Result<Document, ConfigError> {
    let syntax = |line, column, message: String| ConfigError::Syntax { path: path.into(), line, column, message };
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let said = error.to_string();
        let message = said.split_once(" at line ").map_or(said.as_str(), |(message, _)| message);
        syntax(error.line(), error.column(), message.into())
    })?;
    let Value::Object(value) = value else {
        return Err(syntax(1, 1, "a configuration is an object: it begins with `{`".into()));
    };
    let lines =
        json_lines::lines(text).map_err(|double| syntax(double.line, double.column, format!("`{}` is there twice", double.path)))?;
    Ok(Document { value, lines })
}

fn parse_toml(path: &Path, text: &str) -> Result<Document, ConfigError> {
    let positions = Positions { path: path.into(), text };
    let root = DeTable::parse(text).map_err(|error| positions.syntax(error.span().map_or(0, |span| span.start), error.message()))?;
    let mut lines = BTreeMap::new();
    let value = positions.table(root.get_ref(), "", &mut lines)?;
    Ok(Document { value, lines })
}

struct Positions<'t> {
    path: PathBuf,
    text: &'t str,
}

impl Positions<'_> {
    fn line(&self, offset: usize) -> usize {
        self.before(offset).matches('\n').count() + 1
    }

    fn before(&self, offset: usize) -> &str {
        self.text.get(..offset).unwrap_or(self.text)
    }

    fn syntax(&self, offset: usize, message: &str) -> ConfigError {
        let before = self.before(offset);
        let column = before.rsplit('\n').next().unwrap_or(before).chars().count() + 1;
        ConfigError::Syntax { path: self.path.clone(), line: self.line(offset), column, message: message.into() }
    }

    fn table(&self, table: &DeTable<'_>, path: &str, lines: &mut BTreeMap<String, usize>) -> Result<Map<String, Value>, ConfigError> {
        let mut map = Map::new();
        for (key, value) in table {
            let path = join_key(path, key.get_ref());
            lines.insert(path.clone(), self.line(key.span().start));
            map.insert(key.get_ref().to_string(), self.value(value, &path, lines)?);
        }
        Ok(map)
    }

    fn value(&self, value: &Spanned<DeValue<'_>>, path: &str, lines: &mut BTreeMap<String, usize>) -> Result<Value, ConfigError> {
        let bad = |message: &str| self.syntax(value.span().start, message);
        Ok(match value.get_ref() {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Boolean(truth) => Value::Bool(*truth),
            DeValue::Datetime(time) => Value::String(time.to_string()),
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                .map(Value::from)
                .map_err(|_| bad(&format!("the integer {integer} does not fit into 64 bits")))?,
            DeValue::Float(float) => float
                .as_str()
                .parse()
                .ok()
                .and_then(Number::from_f64)
                .map(Value::Number)
                .ok_or_else(|| bad(&format!("the number {float} is not finite")))?,
            DeValue::Array(items) => {
                let mut array = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    let path = join_index(path, index);
                    lines.insert(path.clone(), self.line(item.span().start));
                    array.push(self.value(item, &path, lines)?);
                }
                Value::Array(array)
            }
            DeValue::Table(table) => Value::Object(self.table(table, path, lines)?),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    const TOML: &str = "\u{feff}# a comment\nhealth_port = 8081\n\n[limits]\nwall_seconds = 1_0.5\n[[routes]]\nname = 'a'\nintake = { path = 'in',\n  create = true }\noptions.since = 2026-11-22\n[[routes]]\nname = \"b\"\n";
    const JSON: &str =
        "{\"health_port\": 8081,\n\"limits\": {\n \"wall_seconds\": 10.5}, \"routes\": [\n{\"name\": \"a\"},\n{\n\"na\\u006de\": \"b\"}]}";

    #[test]
    fn toml_becomes_a_value_with_lines() {
        let document = parse(Path::new("a.TOML"), TOML).unwrap();
        let routes =
            json!([{ "name": "a", "intake": { "path": "in", "create": true }, "options": { "since": "2026-11-22" } }, { "name": "b" }]);
        assert_eq!(Value::Object(document.value), json!({ "health_port": 8081, "limits": { "wall_seconds": 10.5 }, "routes": routes }));
        let expected = [
            ("health_port", 2),
            ("limits", 4),
            ("limits.wall_seconds", 5),
            ("routes[0]", 6),
            ("routes[0].name", 7),
            ("routes[0].intake.path", 8),
            ("routes[0].intake.create", 9),
            ("routes[0].options.since", 10),
            ("routes[1]", 11),
            ("routes[1].name", 12),
        ];
        for (path, line) in expected {
            assert_eq!(document.lines.get(path), Some(&line), "{path}");
        }
    }

    #[test]
    fn json_becomes_a_value_with_lines() {
        let document = parse(Path::new("a.json"), JSON).unwrap();
        assert_eq!(document.value.get("routes"), Some(&json!([{ "name": "a" }, { "name": "b" }])));
        let expected =
            [("health_port", 1), ("limits", 2), ("limits.wall_seconds", 3), ("routes[0].name", 4), ("routes[1]", 5), ("routes[1].name", 6)];
        for (path, line) in expected {
            assert_eq!(document.lines.get(path), Some(&line), "{path}");
        }
    }

    #[test]
    fn broken_text_is_said_with_its_place() {
        let cases = [
            ("c.toml", "a = 1\nb = \n", "c.toml:2:5: string values must be quoted, expected literal string"),
            ("c.toml", "a = 1\na = 2\n", "c.toml:2:1: duplicate key"),
            ("c.toml", "é = 1\n[x\n", "c.toml:2:3: unclosed table, expected `]`"),
            ("c.toml", "\"é\" = inf\n", "c.toml:1:7: the number inf is not finite"),
            ("c.toml", "a = 1\nb = [1, 99999999999999999999]\n", "c.toml:2:9: the integer 99999999999999999999 does not fit into 64 bits"),
            ("c.json", "{\n \"a\": 1,\n}", "c.json:3:1: trailing comma"),
            ("c.json", "", "c.json:1:0: EOF while parsing a value"),
            ("c.json", "[]", "c.json:1:1: a configuration is an object: it begins with `{`"),
            ("c.json", "{\"a\": [{\"b\": 1,\n \"b\": 2}]}", "c.json:2:2: `a[0].b` is there twice"),
            ("c.yaml", "a: 1", "c.yaml: the name of a configuration file ends in .toml or .json"),
            ("config", "", "config: the name of a configuration file ends in .toml or .json"),
        ];
        for (file, text, expected) in cases {
            assert_eq!(parse(Path::new(file), text).unwrap_err().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn a_path_knows_what_holds_it() {
        for (path, expected) in [("a", None), ("a.b", Some("a")), ("a[0]", Some("a")), ("a[0].b", Some("a[0]"))] {
            assert_eq!(parent(path), expected, "{path}");
        }
    }
}
