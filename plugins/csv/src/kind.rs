//! What the text of a cell *looks like* to a person: for guessing the dialect and the header, never for the output.

/// What a cell looks like to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing, or only spaces.
    Empty,
    /// A number in any notation: signs, separators, a percent sign, a sign of money.
    Number,
    /// A date, a time or both, months in digits or in English.
    Moment,
    /// `true`, `no` and the like.
    Truth,
    /// Anything else.
    Text,
}

/// Whether a cell says that there is no value.
pub fn is_missing(cell: &[u8]) -> bool {
    const WORDS: [&str; 10] = ["", "-", "--", "na", "n/a", "nan", "null", "none", "#n/a", "\\n"];
    let cell = cell.trim_ascii();
    cell.len() <= 4 && WORDS.iter().any(|word| cell.eq_ignore_ascii_case(word.as_bytes()))
}

impl Kind {
    /// Whether it is a value of its own kind, not words.
    pub fn is_value(self) -> bool {
        matches!(self, Kind::Number | Kind::Moment | Kind::Truth)
    }

    /// What `text` looks like.
    pub fn of(text: &[u8]) -> Kind {
        let text = text.trim_ascii();
        if text.is_empty() {
            return Kind::Empty;
        }
        // One pass tells most cells: this is asked for every cell of a head, in every dialect that is tried.
        let signs = text.iter().fold(0, |signs, byte| signs | class(*byte));
        if signs & DIGIT == 0 {
            let is_truth = text.len() <= 5 && ["true", "false", "yes", "no"].iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes()));
            return if is_truth { Kind::Truth } else { Kind::Text };
        }
        let is_plain = signs & !(DIGIT | POINT) == 0 && (signs & POINT == 0 || text.iter().filter(|byte| **byte == b'.').count() == 1);
        if is_plain || (signs & LETTER == 0 && looks_like_number(text)) {
            Kind::Number
        } else if looks_like_moment(text) {
            Kind::Moment
        } else {
            Kind::Text
        }
    }
}

const DIGIT: u8 = 1;
const POINT: u8 = 2;
/// A letter that no number has.
const LETTER: u8 = 4;
const OTHER: u8 = 8;

fn class(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => DIGIT,
        b'.' => POINT,
        b'e' | b'E' => OTHER,
        b'a'..=b'z' | b'A'..=b'Z' => LETTER,
        _ => OTHER,
    }
}

/// What money is written with, before or behind the number.
const MONEY: [&str; 5] = ["$", "€", "£", "¥", "%"];

/// A sign, digits with `.` or `,` among them, an exponent, a percent sign or one of money; thousands in groups of three.
fn looks_like_number(text: &[u8]) -> bool {
    let text = MONEY.iter().find_map(|sign| text.strip_suffix(sign.as_bytes())).unwrap_or(text).trim_ascii_end();
    let text = text.strip_prefix(b"(").and_then(|text| text.strip_suffix(b")")).unwrap_or(text);
    let text = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let text = MONEY.iter().find_map(|sign| text.strip_prefix(sign.as_bytes())).unwrap_or(text).trim_ascii_start();
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let is_grouped = text.contains(&b' ') || text.contains(&b'\'') || text.contains(&0xa0);
    let joined;
    let text = if is_grouped {
        let Some(groups) = without_groups(text) else { return false };
        joined = groups;
        &joined
    } else {
        text
    };
    let exponent = text.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(text.len());
    let (mantissa, exponent) = text.split_at(exponent);
    let exponent = exponent.get(1..).map(|rest| rest.strip_prefix(b"-").or(rest.strip_prefix(b"+")).unwrap_or(rest));
    let mut after_separator = false;
    let grouped = mantissa.iter().all(|byte| {
        let separator = matches!(byte, b'.' | b',');
        let fits = byte.is_ascii_digit() || (separator && !after_separator);
        after_separator = separator;
        fits
    });
    let points = mantissa.iter().filter(|byte| **byte == b'.').count();
    let commas = mantissa.iter().filter(|byte| **byte == b',').count();
    grouped
        && (points <= 1 || commas == 1)
        && mantissa.iter().any(u8::is_ascii_digit)
        && exponent.is_none_or(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
}

/// `1 234 567,8` without what groups it by three; none where that is not what it is.
fn without_groups(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_at(text.find(['.', ',']).unwrap_or(text.len()));
    let mut groups = whole.split([' ', '\'', '\u{a0}', '\u{202f}']);
    let first = groups.next()?;
    let digits = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    let fits = (1..=3).contains(&first.len()) && digits(first) && groups.all(|group| group.len() == 3 && digits(group));
    fits.then(|| text.bytes().filter(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b',')).collect())
        .filter(|_| !fraction.contains(' '))
}

/// Digits in groups, joined by what joins dates and times: `2026-11-22T10:00:00.5Z`, `22.11.2026`, `10:00`, `11/22/26 10:00`.
fn looks_like_moment(text: &[u8]) -> bool {
    let text = text.strip_suffix(b"Z").unwrap_or(text);
    let is_half = matches!(text.last(), Some(b'm' | b'M'));
    let half = [" AM", " PM", " am", " pm", "AM", "PM"].iter().filter(|_| is_half).find_map(|half| text.strip_suffix(half.as_bytes()));
    let text = half.unwrap_or(text);
    if text.iter().any(u8::is_ascii_alphabetic) && text.len() <= 32 && names_a_month(text) {
        return true;
    }
    let bounded = text.first().is_some_and(u8::is_ascii_digit) && text.last().is_some_and(u8::is_ascii_digit);
    if !bounded {
        return false;
    }
    let joins = text.iter().filter(|byte| matches!(byte, b'-' | b'/' | b':' | b'.')).count();
    let digits = text.iter().filter(|byte| byte.is_ascii_digit()).count();
    // Minutes and seconds have two digits.
    let in_pairs = |colon: usize| text.get(colon + 1..colon + 3).is_some_and(|pair| pair.iter().all(u8::is_ascii_digit));
    text.iter().enumerate().all(|(at, byte)| *byte != b':' || in_pairs(at))
        && (2..=20).contains(&digits)
        && (text.contains(&b':') || (joins >= 2 && !text.contains(&b' ')))
        && text.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'/' | b':' | b'.' | b' ' | b'T' | b'+' | b','))
}

/// `12 Jan 2026`, `Jan 5, 2026 10:30`, `22-NOV-26`: a month in English, and otherwise digits.
fn names_a_month(text: &[u8]) -> bool {
    const MONTHS: [&[u8; 3]; 12] = [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];
    let parts = text.split(|byte| matches!(byte, b' ' | b'-' | b'/' | b',' | b':' | b'.')).filter(|part| !part.is_empty());
    let is_month = |part: &[u8]| part.get(..3).is_some_and(|start| MONTHS.iter().any(|month| start.eq_ignore_ascii_case(*month)));
    let (mut digits, mut months) = (0, 0);
    for part in parts {
        match part.iter().all(u8::is_ascii_digit) {
            true => digits += 1,
            false if is_month(part) => months += 1,
            false => return false,
        }
    }
    digits >= 1 && months == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks() {
        let table = [
            (Kind::Empty, &["", "  "][..]),
            (
                Kind::Number,
                &[
                    "1",
                    "-1.5",
                    "+5",
                    "007",
                    "1,5",
                    "1.234,5",
                    "1,234,567.8",
                    "12 %",
                    "1e5",
                    ".5",
                    "5.",
                    "$74.69",
                    "12 €",
                    "(1,250.00)",
                    "1 234 567,8",
                    "1'000",
                ],
            ),
            (
                Kind::Moment,
                &["2026-11-22", "2026-11-22T10:00:00.5Z", "22.11.2026", "10:00", "11/22/26 10:00:01", "22-NOV-26", "Jan 5, 2026 10:30 PM"],
            ),
            (Kind::Truth, &["true", "FALSE", "yes", "No"]),
            (Kind::Text, &["a", "1a", "e5", "1 2", "-", "10-", "SN-2026-1", "1;5", "192.168.0.1.7x"]),
        ];
        for (kind, texts) in table {
            for text in texts {
                assert_eq!(Kind::of(text.as_bytes()), kind, "{text}");
            }
        }
    }
}
