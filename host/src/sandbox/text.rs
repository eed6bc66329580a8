//! Cuts texts of the guest to the lengths that the contract names, at a character's boundary.

/// Shortens `text` to at most `limit` bytes.
pub fn cut(mut text: String, limit: usize) -> String {
    text.truncate(text.floor_char_boundary(limit));
    text
}
