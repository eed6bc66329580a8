//! Texts with named parts in braces: `reports/{route}`, where `{{` and `}}` stand for braces. What a part means, the caller knows.

/// A piece of such a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Text(String),
    /// What stands between the braces.
    Part(&'a str),
}

/// Takes a text apart; none where a brace has no counterpart.
pub(super) fn pieces(text: &str) -> Option<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from_brace) = rest.split_at(at);
        plain.push_str(before);
        if let Some(after) = from_brace.strip_prefix("{{") {
            plain.push('{');
            rest = after;
        } else if let Some(after) = from_brace.strip_prefix("}}") {
            plain.push('}');
            rest = after;
        } else {
            let (part, after) = from_brace.strip_prefix('{')?.split_once('}')?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Part(part));
            rest = after;
        }
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Some(pieces)
}
