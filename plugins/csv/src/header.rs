//! The names of the columns: unique, and ready to be written in front of a cell.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::block::BLOCK;
use crate::cells::Cells;
use crate::output::quoted;

/// The names of the columns.
///
/// A name is the text of its cell in the header row. An empty one becomes `column_N`, N being its place from 1; one that another column to
/// its left has gets `_2`, `_3`… until it is unique. Names that stand in the file are never changed in favour of made-up ones.
///
/// A table may have a million columns, so no name is kept by itself: they stand in the header row and in the prefixes.
#[derive(Debug)]
pub struct Keys {
    /// The header row.
    row: Rc<Cells>,
    /// The first column of each name in it, in the order of the names.
    given: Vec<u32>,
    /// By the first column of a name: how many names were made from it. A thousand equal ones take a thousand steps.
    made: BTreeMap<u32, u64>,
    /// `{"first":`, then `,"second":`…, with padding behind for copies in steps.
    prefixes: Vec<u8>,
    /// Where each prefix begins, and the next one would.
    starts: Vec<usize>,
}

impl Keys {
    /// Names from a header row.
    pub fn named(row: Rc<Cells>) -> Self {
        let columns = row.count();
        let mut given: Vec<u32> = (0..columns as u32).filter(|column| !row.get(*column as usize).is_empty()).collect();
        given.sort_unstable_by(|a, b| row.get(*a as usize).cmp(row.get(*b as usize)).then(a.cmp(b)));
        given.dedup_by(|later, first| row.get(*later as usize) == row.get(*first as usize));
        let mut is_first = vec![false; columns];
        for column in &given {
            if let Some(first) = is_first.get_mut(*column as usize) {
                *first = true;
            }
        }
        let mut keys = Keys { given, ..Keys::none(Rc::clone(&row)) };
        keys.prefixes.reserve_exact(row.bytes() + 4 * columns + BLOCK);
        keys.starts.reserve_exact(columns);
        for (column, is_first) in is_first.into_iter().enumerate() {
            match row.text(column) {
                name if is_first => keys.add(&name),
                name if name.is_empty() => keys.add_unnamed(),
                name => {
                    let unique = keys.unique(&name);
                    keys.add(&unique);
                }
            }
        }
        keys
    }

    /// `column_1` to `column_N`.
    pub fn numbered(columns: usize) -> Self {
        let mut keys = Keys::none(Rc::default());
        keys.prefixes.reserve_exact(columns * (column_name(columns).len() + 4) + BLOCK);
        keys.starts.reserve_exact(columns);
        (0..columns).for_each(|_| keys.add_unnamed());
        keys
    }

    fn none(row: Rc<Cells>) -> Self {
        Keys { row, given: Vec::new(), made: BTreeMap::new(), prefixes: Vec::new(), starts: vec![0] }
    }

    /// Adds a column that has no name.
    pub fn add_unnamed(&mut self) {
        let name = self.unique(&column_name(self.count()));
        self.add(&name);
    }

    /// How many columns there are.
    pub fn count(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many bytes all prefixes have.
    pub fn bytes(&self) -> usize {
        self.prefixes.len()
    }

    /// The name of a column; empty where there is no such column.
    pub fn name(&self, column: usize) -> Cow<'_, str> {
        let (prefixes, from, to) = self.prefix(column).unwrap_or_default();
        let prefix = prefixes.get(from..to).unwrap_or_default();
        let name = prefix.iter().position(|byte| *byte == b'"').and_then(|quote| prefix.get(quote..prefix.len() - 1));
        name.and_then(|name| serde_json::from_slice::<String>(name).ok()).unwrap_or_default().into()
    }

    /// What stands before a column's value, as a range of padded bytes; none where there is no such column.
    #[inline(always)]
    pub fn prefix(&self, column: usize) -> Option<(&[u8], usize, usize)> {
        match self.starts.get(column..)? {
            [start, end, ..] => Some((&self.prefixes, *start, *end)),
            _ => None,
        }
    }

    /// Has rows begin with another text than `{`.
    pub fn begin_with(&mut self, opening: &[u8]) {
        if self.count() > 0 {
            self.prefixes.splice(..1, opening.iter().copied());
            self.starts.iter_mut().skip(1).for_each(|start| *start += opening.len() - 1);
        }
    }

    /// The name itself where no other column has it; else the next one that is made from it.
    ///
    /// Names that are made from two different ones differ: they end in a number, and differ before it. So it is enough to compare with those
    /// of the header row, and with what columns without a name are called.
    fn unique(&mut self, name: &str) -> String {
        let mut candidate = name.to_owned();
        while self.is_taken(&candidate) {
            let first = self.given_at(name).unwrap_or(u32::MAX);
            let made = self.made.entry(first).or_default();
            *made += 1;
            candidate = format!("{name}_{}", *made + 1);
        }
        candidate
    }

    fn is_taken(&self, name: &str) -> bool {
        if self.given_at(name).is_some() {
            return true;
        }
        let Some(number) = name.strip_prefix(COLUMN).and_then(|number| number.parse::<usize>().ok()) else { return false };
        // Only that column may have it, if it has no name.
        let is_own = number == self.count() + 1;
        let is_unnamed = number > self.row.count() || self.row.get(number.saturating_sub(1)).is_empty();
        is_unnamed && !is_own
    }

    /// The first column that has this name in the header row.
    fn given_at(&self, name: &str) -> Option<u32> {
        let found = self.given.binary_search_by(|column| self.row.get(*column as usize).cmp(name.as_bytes()));
        found.ok().and_then(|at| self.given.get(at)).copied()
    }

    fn add(&mut self, name: &str) {
        self.prefixes.truncate(self.starts.last().copied().unwrap_or_default());
        self.prefixes.push(if self.count() == 0 { b'{' } else { b',' });
        self.prefixes.extend_from_slice(&quoted(name));
        self.prefixes.push(b':');
        self.starts.push(self.prefixes.len());
        self.prefixes.resize(self.prefixes.len() + BLOCK, 0);
    }
}

/// What the names of columns without one begin with.
const COLUMN: &str = "column_";

/// What a column without a name is called.
pub fn column_name(column: usize) -> String {
    format!("{COLUMN}{}", column + 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn row(names: &[&str]) -> Rc<Cells> {
        let mut cells = Cells::default();
        names.iter().for_each(|name| cells.add(&[name.as_bytes()]));
        Rc::new(cells)
    }

    #[test]
    fn no_two_names_are_equal_whatever_stands_in_the_file() {
        // All headers of five columns of these words.
        let words = ["", "column", "column_2", "column_4", "column_2_2", "column_6"];
        for number in 0..words.len().pow(5) {
            let cells: Vec<&str> = (0..5).map(|column| words[number / words.len().pow(column) % words.len()]).collect();
            let mut keys = Keys::named(row(&cells));
            keys.add_unnamed();
            keys.add_unnamed();
            let names: std::collections::BTreeSet<String> = (0..7).map(|column| keys.name(column).into_owned()).collect();
            assert!(names.len() == 7 && !names.contains(""), "{cells:?} became {names:?}");
            assert!(cells.iter().all(|cell| cell.is_empty() || names.contains(*cell)), "{cells:?} became {names:?}");
        }
    }

    #[test]
    fn names_are_unique() {
        let table: [(&[&str], &[&str]); 9] = [
            (&["a", "b"], &["a", "b"]),
            (&["a", "a", "a"], &["a", "a_2", "a_3"]),
            (&["a", "a", "a_2"], &["a", "a_3", "a_2"]),
            (&["", "b", ""], &["column_1", "b", "column_3"]),
            (&["", "column_1", " "], &["column_1_2", "column_1", " "]),
            (&["column", "column", "", "column"], &["column", "column_2", "column_3", "column_4"]),
            (&["", "", "column", "column"], &["column_1", "column_2", "column", "column_3"]),
            (&["column", "column", "column_2", "column_3"], &["column", "column_4", "column_2", "column_3"]),
            (&["a\"b", "a\"b", "\n", "\u{e5}"], &["a\"b", "a\"b_2", "\n", "\u{e5}"]),
        ];
        for (cells, names) in table {
            let keys = Keys::named(row(cells));
            let got: Vec<Cow<str>> = (0..keys.count()).map(|column| keys.name(column)).collect();
            assert_eq!(got, names);
        }
    }

    #[test]
    fn extra_columns_take_no_name() {
        let mut keys = Keys::named(row(&["column_2"]));
        keys.add_unnamed();
        assert_eq!(keys.name(1), "column_2_2");
        let (bytes, from, to) = keys.prefix(1).unwrap();
        assert_eq!(&bytes[from..to], br#","column_2_2":"#);
    }
}
