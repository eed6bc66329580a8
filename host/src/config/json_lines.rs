//! The line of every key in a JSON text, which `serde_json` does not tell.
//!
//! The text is known to be valid JSON when it comes here, so the walk only has to tell strings from brackets: it goes through the bytes
//! once, with a stack of the tables and lists that are open. Whatever an invalid text would give, it neither panics nor runs for long.

use std::collections::{BTreeMap, BTreeSet};

use super::text::{join_index, join_key};

/// A key that its table holds twice.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Double {
    /// The key's path.
    pub path: String,
    /// From 1.
    pub line: usize,
    /// From 1, in bytes.
    pub column: usize,
}

enum Open {
    Table {
        path: String,
        /// The key whose value comes next; none where a key comes next.
        key: Option<String>,
        seen: BTreeSet<String>,
    },
    List {
        path: String,
        index: usize,
    },
}

/// The line of each key path and list item in valid JSON, from 1.
///
/// # Errors
/// The first key that a table holds twice.
pub(super) fn lines(text: &str) -> Result<BTreeMap<String, usize>, Double> {
    let mut lines = BTreeMap::new();
    let mut open: Vec<Open> = Vec::new();
    let mut line = 1;
    let mut line_start = 0;
    let mut offset = 0;
    let bytes = text.as_bytes();
    while let Some(byte) = bytes.get(offset) {
        let start = offset;
        offset += 1;
        match byte {
            b'\n' => {
                line += 1;
                line_start = offset;
            }
            b',' => match open.last_mut() {
                Some(Open::Table { key, .. }) => *key = None,
                Some(Open::List { index, .. }) => *index += 1,
                None => {}
            },
            b'}' | b']' => {
                open.pop();
            }
            b'{' | b'[' => {
                let path = here(&open);
                note_item(&open, line, &mut lines);
                open.push(if *byte == b'{' {
                    Open::Table { path, key: None, seen: BTreeSet::new() }
                } else {
                    Open::List { path, index: 0 }
                });
            }
            b'"' => {
                offset = string_end(bytes, offset);
                if let Some(Open::Table { path, key: key @ None, seen }) = open.last_mut() {
                    let name: String = text.get(start..offset).and_then(|quoted| serde_json::from_str(quoted).ok()).unwrap_or_default();
                    let path = join_key(path, &name);
                    if !seen.insert(name.clone()) {
                        return Err(Double { path, line, column: start - line_start + 1 });
                    }
                    *key = Some(name);
                    lines.insert(path, line);
                } else {
                    note_item(&open, line, &mut lines);
                }
            }
            byte if byte.is_ascii_alphanumeric() || *byte == b'-' => note_item(&open, line, &mut lines),
            _ => {}
        }
    }
    Ok(lines)
}

/// The path of the value that begins here.
fn here(open: &[Open]) -> String {
    match open.last() {
        Some(Open::Table { path, key, .. }) => join_key(path, key.as_deref().unwrap_or_default()),
        Some(Open::List { path, index }) => join_index(path, *index),
        None => String::new(),
    }
}

/// Notes where an item of a list begins. The value of a key has its key's line.
fn note_item(open: &[Open], line: usize, lines: &mut BTreeMap<String, usize>) {
    if let Some(Open::List { path, index }) = open.last() {
        lines.entry(join_index(path, *index)).or_insert(line);
    }
}

/// The offset after the closing quote of a string whose content begins at `offset`.
fn string_end(bytes: &[u8], mut offset: usize) -> usize {
    while let Some(byte) = bytes.get(offset) {
        offset += match byte {
            b'\\' => 2,
            b'"' => return offset + 1,
            _ => 1,
        };
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn strings_hide_brackets_quotes_and_commas() {
        let text = "{\"a\": \"},\\\"[\\\\\",\n\"b\": [\"x,y\",\n \"]\", [1,\n2], {\"c\": -1}]}";
        let found = lines(text).unwrap();
        let expected =
            [("a", 1), ("b", 2), ("b[0]", 2), ("b[1]", 3), ("b[2]", 3), ("b[2][0]", 3), ("b[2][1]", 4), ("b[3]", 4), ("b[3].c", 4)];
        assert_eq!(found.into_iter().collect::<Vec<_>>(), expected.map(|(path, line)| (path.to_owned(), line)));
    }

    #[test]
    fn equal_keys_of_different_tables_are_no_doubles() {
        assert!(lines(r#"[{"a": 1}, {"a": {"a": 2}, "a.a": 3}]"#).is_ok());
        assert_eq!(lines("{\"a\": 1,\n  \"a\": 2}"), Err(Double { path: "a".into(), line: 2, column: 3 }));
    }
}
