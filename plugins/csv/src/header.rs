//! The names of the columns: unique, and ready to be written in front of a cell.

use std::collections::BTreeMap;

use crate::block::BLOCK;
use crate::output::quoted;

/// The names of the columns.
///
/// A name is the text of its cell in the header row. An empty one becomes `column_N`, N being its place from 1; one that another column to
/// its left has gets `_2`, `_3`… until it is unique. Names that stand in the file are never changed in favour of made-up ones.
#[derive(Debug, Default)]
pub struct Keys {
    names: Vec<String>,
    taken: BTreeMap<String, Taken>,
    /// `{"first":`, then `,"second":`…, with padding behind for copies in steps.
    prefixes: Vec<u8>,
    /// Where each prefix ends.
    ends: Vec<usize>,
}

/// What is known of a name that a column has, or that stands in the header row.
#[derive(Debug, Default)]
struct Taken {
    /// Whether a column has it already.
    used: bool,
    /// How many names were made from it: a thousand equal ones take a thousand steps.
    made: u64,
}

impl Keys {
    /// Names from a header row.
    pub fn named(cells: Vec<String>) -> Self {
        // What stands in the file comes first, so that a made-up name never takes it.
        let taken = cells.iter().filter(|name| !name.is_empty()).map(|name| (name.clone(), Taken::default())).collect();
        let mut keys = Keys { taken, ..Keys::default() };
        for (column, cell) in cells.into_iter().enumerate() {
            match keys.taken.get_mut(&cell) {
                Some(taken) if !taken.used => {
                    taken.used = true;
                    keys.add(cell);
                }
                _ if cell.is_empty() => keys.add_unique(column_name(column)),
                _ => keys.add_unique(cell),
            }
        }
        keys
    }

    /// `column_1` to `column_N`.
    pub fn numbered(columns: usize) -> Self {
        let mut keys = Keys::default();
        for _ in 0..columns {
            keys.add_unnamed();
        }
        keys
    }

    /// Adds a column that has no name.
    pub fn add_unnamed(&mut self) {
        self.add_unique(column_name(self.names.len()));
    }

    /// How many columns there are.
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// The name of a column; empty where there is no such column.
    pub fn name(&self, column: usize) -> &str {
        self.names.get(column).map(String::as_str).unwrap_or_default()
    }

    /// What stands before a column's value, as a range of padded bytes.
    #[inline(always)]
    pub fn prefix(&self, column: usize) -> (&[u8], usize, usize) {
        let start = if column == 0 { 0 } else { self.ends.get(column - 1).copied().unwrap_or_default() };
        (&self.prefixes, start, self.ends.get(column).copied().unwrap_or(start))
    }

    /// Has rows begin with another text than `{`.
    pub fn begin_with(&mut self, opening: &[u8]) {
        if !self.names.is_empty() {
            self.prefixes.splice(..1, opening.iter().copied());
            self.ends.iter_mut().for_each(|end| *end += opening.len() - 1);
        }
    }

    fn add_unique(&mut self, name: String) {
        let mut candidate = name.clone();
        while self.taken.contains_key(&candidate) {
            let taken = self.taken.entry(name.clone()).or_default();
            taken.made += 1;
            candidate = format!("{name}_{}", taken.made + 1);
        }
        self.taken.insert(candidate.clone(), Taken { used: true, made: 0 });
        self.add(candidate);
    }

    fn add(&mut self, name: String) {
        self.prefixes.truncate(self.ends.last().copied().unwrap_or_default());
        self.prefixes.push(if self.names.is_empty() { b'{' } else { b',' });
        self.prefixes.extend_from_slice(&quoted(&name));
        self.prefixes.push(b':');
        self.ends.push(self.prefixes.len());
        self.prefixes.resize(self.prefixes.len() + BLOCK, 0);
        self.names.push(name);
    }
}

/// What a column without a name is called.
pub fn column_name(column: usize) -> String {
    format!("column_{}", column + 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::Keys;

    #[test]
    fn names_are_unique() {
        let table: [(&[&str], &[&str]); 5] = [
            (&["a", "b"], &["a", "b"]),
            (&["a", "a", "a"], &["a", "a_2", "a_3"]),
            (&["a", "a", "a_2"], &["a", "a_3", "a_2"]),
            (&["", "b", ""], &["column_1", "b", "column_3"]),
            (&["", "column_1", " "], &["column_1_2", "column_1", " "]),
        ];
        for (cells, names) in table {
            let keys = Keys::named(cells.iter().map(|cell| (*cell).into()).collect());
            let got: Vec<&str> = (0..keys.count()).map(|column| keys.name(column)).collect();
            assert_eq!(got, names);
        }
    }

    #[test]
    fn extra_columns_take_no_name() {
        let mut keys = Keys::named(vec!["column_2".into()]);
        keys.add_unnamed();
        assert_eq!(keys.name(1), "column_2_2");
        let (bytes, from, to) = keys.prefix(1);
        assert_eq!(&bytes[from..to], br#","column_2_2":"#);
    }
}
