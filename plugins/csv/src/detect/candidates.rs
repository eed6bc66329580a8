//! Which dialects a text gives reason to try: cheap looks at its bytes, so that few of them are read as tables.

use crate::delimiter::{Delimiter, Word};
use crate::options::{Choice, DelimiterChoice, Toggle};

/// A delimiter, and how much it is believed before the table is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The delimiter.
    pub delimiter: Delimiter,
    /// From 0 to 1.
    pub belief: f64,
    /// Whether it is so often something else that only a table without doubt is one of it.
    pub is_doubtful: bool,
}

/// The usual ones: tried wherever they stand. A colon is more often part of a time.
const USUAL: [(u8, f64, bool); 5] = [(b',', 1.0, false), (b';', 1.0, false), (b'\t', 1.0, false), (b'|', 0.98, false), (b':', 0.5, true)];

/// How many lines are looked at for the others.
const LINES: usize = 60;

/// Which delimiters are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// The usual ones.
    First,
    /// All others, where none of the usual ones gives a clear table.
    Second,
}

/// The delimiters to try, the most usual first. `skips` says whether spaces after them belong to them.
pub fn delimiters(text: &[u8], choice: DelimiterChoice, skips: Toggle, round: Round) -> Vec<Candidate> {
    let mut found = match (choice, round) {
        (DelimiterChoice::Is(delimiter), Round::First) => vec![Candidate { delimiter, belief: 1.0, is_doubtful: false }],
        (DelimiterChoice::Is(_), Round::Second) => Vec::new(),
        (DelimiterChoice::Auto, Round::First) => usual(text),
        (DelimiterChoice::Auto, Round::Second) => others(text),
    };
    match skips {
        Toggle::Given(true) => {
            for candidate in &mut found {
                if let Delimiter::Byte(byte) = candidate.delimiter {
                    candidate.delimiter = Delimiter::Spaced(byte);
                }
            }
        }
        Toggle::Given(false) => {
            found.retain(|candidate| choice != DelimiterChoice::Auto || !matches!(candidate.delimiter, Delimiter::Spaced(_)))
        }
        Toggle::Auto(_) => {}
    }
    found
}

fn usual(text: &[u8]) -> Vec<Candidate> {
    let mut found = Vec::new();
    for (byte, belief, is_doubtful) in USUAL {
        if !text.contains(&byte) {
            continue;
        }
        found.push(Candidate { delimiter: Delimiter::Byte(byte), belief, is_doubtful });
        if is_spaced(text, byte) {
            found.push(Candidate { delimiter: Delimiter::Spaced(byte), belief, is_doubtful });
        }
    }
    found.extend(repeated(text, &lines(text)));
    found
}

fn others(text: &[u8]) -> Vec<Candidate> {
    let lines = lines(text);
    let mut found = runs(&lines);
    found.extend(signs(&lines));
    if text.contains(&b' ') {
        found.push(Candidate { delimiter: Delimiter::Byte(b' '), belief: 0.6, is_doubtful: true });
        if text.windows(2).any(|pair| matches!(pair, b"  " | b" \t" | b"\t " | b"\n ")) || text.starts_with(b" ") {
            found.push(Candidate { delimiter: Delimiter::Blanks, belief: 0.6, is_doubtful: true });
        }
    }
    // For what is no table, or has one column. A delimiter that is there is likelier.
    let absent = [b',', b';', b'\t', b'|', 0x1f].into_iter().find(|byte| !text.contains(byte));
    found.extend(absent.map(|byte| Candidate {
        delimiter: Delimiter::Byte(byte),
        belief: if byte == b',' { 1.0 } else { 0.3 },
        is_doubtful: false,
    }));
    found
}

/// The first lines that are not empty.
fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty()).take(LINES).collect()
}

/// Whether nearly every one of these bytes has a space after it, and text after that.
fn is_spaced(text: &[u8], byte: u8) -> bool {
    let pairs = || text.windows(2).filter(|pair| pair.first() == Some(&byte));
    let spaced = pairs().filter(|pair| pair.last() == Some(&b' ')).count();
    byte != b'\t' && spaced > 0 && spaced * 10 >= pairs().count() * 8
}

/// A usual delimiter that hardly ever stands alone: `||`, `;;`, `::`. Read one by one, they would give a table with an empty cell beside each
/// other one, which is believed less.
fn repeated(text: &[u8], lines: &[&[u8]]) -> Vec<Candidate> {
    let alone = |byte: u8| {
        let runs = || text.chunk_by(|a, b| a == b).filter(|run| run.first() == Some(&byte));
        runs().filter(|run| run.len() % 2 == 1).count() * 5 > runs().count()
    };
    let doubles = *b",;|:~^#@!$%&*+";
    let twice = |byte: &u8| lines.iter().filter(|line| line.windows(2).any(|pair| pair == [*byte, *byte])).count() * 10 >= lines.len() * 6;
    doubles
        .into_iter()
        .filter(|byte| stands_twice(text, *byte) && !alone(*byte) && twice(byte))
        .filter_map(|byte| std::str::from_utf8(&[byte, byte]).ok().and_then(Word::new))
        .map(|word| Candidate { delimiter: Delimiter::Text(word), belief: 1.5, is_doubtful: false })
        .collect()
}

fn stands_twice(text: &[u8], byte: u8) -> bool {
    text.contains(&byte) && text.windows(2).any(|pair| pair == [byte, byte])
}

/// A mark of two to four different signs that every line has equally often: `|~|`, `<>`, `::=`.
fn runs(lines: &[&[u8]]) -> Vec<Candidate> {
    let is_sign = |byte: &u8| byte.is_ascii_punctuation() && !matches!(byte, b'"' | b'\'' | b'.' | b'(' | b')' | b'/' | b'\\' | b'_');
    let runs_of = |line: &[u8]| -> Vec<Vec<u8>> {
        let runs = line.chunk_by(|a, b| is_sign(a) && is_sign(b)).filter(|run| (2..=4).contains(&run.len()) && run.iter().all(is_sign));
        runs.map(<[u8]>::to_vec).collect()
    };
    let Some(first) = lines.first() else { return Vec::new() };
    let count = |line: &[u8], run: &[u8]| line.windows(run.len()).filter(|window| *window == run).count();
    let mut tried: Vec<Vec<u8>> = Vec::new();
    for run in runs_of(first) {
        let is_new = !tried.contains(&run) && run.iter().any(|byte| Some(byte) != run.first());
        // Lines inside quotes have fewer.
        let same = lines.iter().filter(|line| count(line, &run) == count(first, &run)).count();
        if is_new && lines.len() > 1 && same * 10 >= lines.len() * 3 && tried.len() < 2 {
            tried.push(run);
        }
    }
    let word = |run: Vec<u8>| std::str::from_utf8(&run).ok().and_then(Word::new);
    tried.into_iter().filter_map(word).map(|word| Candidate { delimiter: Delimiter::Text(word), belief: 1.0, is_doubtful: true }).collect()
}

/// Characters that are no usual delimiters, and that nearly every line has equally often; control characters wherever they are.
fn signs(lines: &[&[u8]]) -> Vec<Candidate> {
    let mut found = Vec::new();
    let is_possible =
        |byte: u8| matches!(byte, 1..=8 | 0x0b | 0x0e..=0x1f | b'!' | b'#'..=b'&' | b'*' | b'+' | b'<'..=b'>' | b'@' | b'\\' | b'^' | b'~');
    for byte in (1..0x7f).filter(|byte| is_possible(*byte)) {
        let count = |line: &&[u8]| line.iter().filter(|other| **other == byte).count();
        let counts: Vec<usize> = lines.iter().map(count).filter(|count| *count > 0).collect();
        if counts.len() * 10 < lines.len() * 6 || lines.len() < 2 {
            continue;
        }
        let most = counts.iter().map(|count| counts.iter().filter(|other| *other == count).count()).max().unwrap_or_default();
        if most * 10 >= lines.len() * 4 {
            let is_control = byte < 0x20;
            let belief = match byte {
                _ if is_control => 1.0,
                b'^' | b'~' => 0.9,
                b'*' | b'#' | b'&' | b'$' | b'!' | b'@' | b'+' => 0.6,
                _ => 0.4,
            };
            found.push(Candidate { delimiter: Delimiter::Byte(byte), belief, is_doubtful: !is_control });
        }
    }
    found
}

/// The quotes to try.
pub fn quotes(text: &[u8], choice: Choice) -> Vec<Option<u8>> {
    match choice {
        Choice::Is(byte) => vec![Some(byte)],
        Choice::None => vec![None],
        Choice::Auto => {
            let mut found = vec![Some(b'"')];
            if text.contains(&b'\'') {
                found.push(Some(b'\''));
            }
            // An opening backquote is rare, and a closing one is the same character.
            if text.contains(&b'`') && text.windows(2).any(|pair| matches!(pair, [b'`', b',' | b';' | b'|' | b'\t' | b'\n' | b'\r'])) {
                found.push(Some(b'`'));
            }
            if text.contains(&b'"') {
                found.push(None);
            }
            found
        }
    }
}

/// The escapes to try.
pub fn escapes(text: &[u8], choice: Choice) -> Vec<Option<u8>> {
    match choice {
        Choice::Is(byte) => vec![Some(byte)],
        Choice::None => vec![None],
        // A backslash alone is part of a path; before a quote it most likely is an escape.
        Choice::Auto => {
            let quoted = text.contains(&b'\\') && text.windows(2).any(|pair| matches!(pair, b"\\\"" | b"\\'"));
            if quoted { vec![None, Some(b'\\')] } else { vec![None] }
        }
    }
}

/// What comments begin with, where the first line is one.
const COMMENTS: [&str; 6] = ["#", "//", "--", "%", "!", "*"];

/// What the text's comments begin with: its first line begins so, and some other line does not.
pub fn comment(text: &[u8]) -> Option<Word> {
    let starts = |line: &[u8], marker: &str| line.trim_ascii_start().starts_with(marker.as_bytes());
    let lines = || text.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.trim_ascii().is_empty()).take(1000);
    let first = lines().next()?;
    let marker = COMMENTS.into_iter().find(|marker| starts(first, marker))?;
    let marked = lines().filter(|line| starts(line, marker)).count();
    let plain = lines().count() - marked;
    // In a table whose rows begin so, many do; and a single line above a table may be its header.
    (plain > 0 && marked <= 20 + plain).then(|| Word::new(marker)).flatten()
}
