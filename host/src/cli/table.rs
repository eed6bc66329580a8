//! Columns of text for a terminal.

/// Rows with their columns aligned, two spaces between them. Control characters, which may come from a plugin, are escaped.
pub(super) fn align<const N: usize>(rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.clone().map(|cell| printable(&cell))).collect();
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for row in &rows {
        let line: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A text from a plugin that is safe to print: on one line, without control characters.
pub(super) fn printable(text: &str) -> String {
    text.chars().fold(String::new(), |mut printable, character| {
        if character == '\n' {
            printable.push(' ');
        } else if character.is_control() {
            printable.extend(character.escape_default());
        } else {
            printable.push(character);
        }
        printable
    })
}

/// A number with its thousands separated.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_escapes_the_terminal() {
        let rows = [["NAME", "WHAT"], ["ä", "two\nlines"], ["longer", "\u{1b}[31mred"]].map(|row| row.map(str::to_owned));
        assert_eq!(align(&rows), "NAME    WHAT\nä       two lines\nlonger  \\u{1b}[31mred\n");
    }

    #[test]
    fn thousands_are_separated() {
        for (number, expected) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), expected);
        }
    }
}
