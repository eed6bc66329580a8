//! Cuts texts of the guest to the lengths that the contract names, at a character's boundary.

/// Shortens `text` to at most `limit` bytes.
pub fn cut(mut text: String, limit: usize) -> String {
    text.truncate(text.floor_char_boundary(limit));
    text
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn cuts_between_characters() {
        for (text, limit, expected) in [("abc", 3, "abc"), ("abc", 2, "ab"), ("aß", 2, "a"), ("€", 2, ""), ("", 0, "")] {
            assert_eq!(cut(text.to_owned(), limit), expected);
        }
    }
}
