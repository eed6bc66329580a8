//! The globs of a converter, and how specific a match is.

use globset::{GlobBuilder, GlobMatcher};

/// A glob that does not parse.
#[derive(Debug, PartialEq, Eq)]
pub struct PatternError {
    /// As the converter gave it.
    pub pattern: String,
    /// What is wrong.
    pub reason: String,
}

/// The patterns of one converter.
#[derive(Debug)]
pub struct Patterns(Vec<Pattern>);

#[derive(Debug)]
struct Pattern {
    matcher: GlobMatcher,
    /// It holds a `/`, so it is matched against the path below the intake, not against the name.
    whole_path: bool,
    literal: usize,
}

impl Patterns {
    /// Compiles globs.
    ///
    /// # Errors
    /// The first that does not parse.
    pub fn new(globs: &[String]) -> Result<Patterns, PatternError> {
        let compile = |glob: &String| {
            let built = GlobBuilder::new(glob).case_insensitive(true).literal_separator(true).backslash_escape(true).build();
            let failed = |error: globset::Error| PatternError { pattern: glob.clone(), reason: error.kind().to_string() };
            Ok(Pattern { matcher: built.map_err(failed)?.compile_matcher(), whole_path: glob.contains('/'), literal: literal(glob) })
        };
        globs.iter().map(compile).collect::<Result<_, _>>().map(Patterns)
    }

    /// The literal characters of the most specific pattern that matches; none where none does.
    pub fn specificity(&self, name: &str, path: &str) -> Option<usize> {
        let matches = |pattern: &&Pattern| pattern.matcher.is_match(if pattern.whole_path { path } else { name });
        self.0.iter().filter(matches).map(|pattern| pattern.literal).max()
    }
}

/// Counts the characters that stand for themselves; of alternatives, those of the shortest.
fn literal(glob: &str) -> usize {
    // One entry per open brace, below it the pattern itself: the shortest alternative so far, and the count of the present one.
    let mut levels: Vec<(Option<usize>, usize)> = vec![(None, 0)];
    let mut characters = glob.chars();
    while let Some(character) = characters.next() {
        let nested = levels.len() > 1;
        let Some((_, count)) = levels.last_mut() else { break };
        match character {
            '*' | '?' => {}
            '[' => {
                // A class; `]` as its first member stands for itself.
                let mut first = true;
                for member in characters.by_ref() {
                    if member == ']' && !first {
                        break;
                    }
                    first = first && (member == '!' || member == '^');
                }
            }
            '{' => levels.push((None, 0)),
            ',' | '}' if nested => {
                let (shortest, count) = levels.pop().unwrap_or_default();
                let shortest = shortest.map_or(count, |shortest| shortest.min(count));
                if character == ',' {
                    levels.push((Some(shortest), 0));
                } else if let Some((_, outer)) = levels.last_mut() {
                    *outer += shortest;
                }
            }
            '\\' => {
                characters.next();
                *count += 1;
            }
            _ => *count += 1,
        }
    }
    levels.first().map_or(0, |(_, count)| *count)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn literal_characters_are_counted() {
        let cases = [
            ("*.csv", 4),
            ("**/*.csv", 5),
            ("panel-?[0-9].csv", 10),
            ("*.{csv,tsv,x}", 2),
            ("{a{bb,ccc},dddd}e", 4),
            ("a,b", 3),
            (r"\*.csv", 5),
            ("[]]x", 1),
            ("[!]]x", 1),
            ("", 0),
        ];
        for (glob, expected) in cases {
            assert_eq!(literal(glob), expected, "{glob}");
        }
    }

    #[test]
    fn the_most_specific_match_counts() {
        let globs = ["*.csv", "panel-*.CSV", "ict/**/*.csv"].map(str::to_owned);
        let patterns = Patterns::new(&globs).unwrap();
        assert_eq!(patterns.specificity("x.CSV", "x.CSV"), Some(4));
        assert_eq!(patterns.specificity("Panel-7.csv", "Panel-7.csv"), Some(10));
        assert_eq!(patterns.specificity("x.csv", "ICT/2026/x.csv"), Some(9));
        assert_eq!(patterns.specificity("x.csv", "other/x.csv"), Some(4));
        assert_eq!(patterns.specificity("x.tsv", "ict/x.tsv"), None);
        // `*` stays within a folder's name.
        let one_level = Patterns::new(&["a/*.csv".to_owned()]).unwrap();
        assert_eq!(one_level.specificity("x.csv", "a/b/x.csv"), None);
        assert_eq!(Patterns::new(&["{a".to_owned()]).unwrap_err().pattern, "{a");
    }
}
