//! How much sense a cell makes by itself: whether it is one thing, or looks like a piece of something that should have been cut elsewhere.

use crate::kind::Kind;

/// From 0, a piece of something else, to 1, surely a cell. `quote` is what the dialect takes for a quote.
pub fn of(cell: &[u8], kind: Kind, quote: Option<u8>) -> f64 {
    let padded = matches!(cell.first(), Some(b' ')) || matches!(cell.last(), Some(b' '));
    let sense: f64 = match kind {
        Kind::Number | Kind::Moment | Kind::Truth => 1.0,
        // Nothing is a cell often enough; but a delimiter that is too short makes many.
        Kind::Empty => 0.9,
        Kind::Text => text(cell, quote),
    };
    if padded && kind != Kind::Empty { 0.95 * sense } else { sense }
}

fn text(cell: &[u8], quote: Option<u8>) -> f64 {
    // Most texts are words, and nothing below says anything about these.
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii() || matches!(byte, b' ' | b'_' | b'-' | b'.' | b':' | b'/');
    if cell.first().is_some_and(u8::is_ascii_alphanumeric) && cell.iter().all(is_word) {
        return 0.9;
    }
    let begins_with = |quote: u8| cell.first() == Some(&quote) && cell.iter().skip(1).any(|byte| *byte == quote);
    let commas = cell.iter().filter(|byte| **byte == b',').count();
    let in_prose = cell.windows(2).filter(|pair| pair == b", ").count();
    let trimmed = cell.trim_ascii();
    if begins_with(b'"') || cell.contains(&b'\t') {
        0.1
    } else if commas > in_prose || cell.iter().any(|byte| matches!(byte, b'|')) || semicolons(cell) {
        0.2
    } else if commas > 0 {
        0.6
    } else if cell.contains(&b'"') || begins_with(b'\'') || (quote == Some(b'\'') && cell.contains(&b'\'')) {
        0.5
    } else if trimmed.iter().any(|byte| matches!(byte, 1..=8 | 0x0e..=0x1f)) {
        0.3
    } else if trimmed.iter().all(|byte| byte.is_ascii_punctuation()) && !matches!(trimmed, b"-" | b"--" | b"?" | b"*") {
        0.6
    } else {
        0.9
    }
}

/// Whether a semicolon separates rather than ends a phrase (`&amp;` is neither).
fn semicolons(cell: &[u8]) -> bool {
    let separates = |at: usize| {
        let entity = cell.get(..at).and_then(|before| before.rsplit(|byte| *byte == b'&').next());
        let is_entity = cell.get(..at).is_some_and(|before| before.contains(&b'&'))
            && entity.is_some_and(|word| {
                !word.is_empty() && word.len() < 8 && word.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'#')
            });
        cell.get(at + 1) != Some(&b' ') && !is_entity
    };
    cell.iter().enumerate().any(|(at, byte)| *byte == b';' && separates(at))
}
