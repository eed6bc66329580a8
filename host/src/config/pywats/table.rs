//! A table of theirs, of which one key after the other is taken: what is left at the end has no counterpart.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use crate::config::paths;

pub(super) struct Table<'a> {
    left: BTreeMap<&'a str, Value>,
}

impl<'a> Table<'a> {
    /// Values that are empty say nothing, and are left out.
    pub fn new(table: &'a Map<String, Value>) -> Table<'a> {
        Table { left: table.iter().filter(|(_, value)| !is_empty(value)).map(|(key, value)| (key.as_str(), value.clone())).collect() }
    }

    pub fn take(&mut self, key: &str) -> Option<Value> {
        self.left.remove(key)
    }

    /// A path, absolute; what is no text is given as it is, for the check of the shape to find.
    pub fn take_path(&mut self, key: &str, base: &Path) -> Option<Value> {
        let value = self.take(key)?;
        let path = value.as_str().and_then(|path| absolute(base, path));
        Some(path.unwrap_or(value))
    }

    pub fn put_back(&mut self, key: &'a str, value: Value) {
        self.left.insert(key, value);
    }

    /// The keys that nobody took.
    pub fn left(self) -> impl Iterator<Item = String> {
        self.left.into_keys().map(str::to_owned)
    }
}

pub(super) fn absolute(base: &Path, path: &str) -> Option<Value> {
    paths::absolute(base, Path::new(path)).to_str().map(|path| Value::String(path.to_owned()))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(table) => table.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
