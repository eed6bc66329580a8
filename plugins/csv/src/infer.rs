//! Whether the text of a cell may be *written* as a JSON number: strictly, so that no reader sees another value. What it looks like to a
//! person is the question of [`crate::kind`].

use crate::block::{digits, in_numbers, load};

/// The largest whole number up to which every JSON reader is exact (RFC 8259, section 6).
const MAX_EXACT: u64 = (1 << 53) - 1;

/// Decimal numbers of up to so many digits survive a 64-bit float unchanged.
const SAFE_DIGITS: usize = 15;

/// Whether `text[from..to]` may be written as a JSON number, byte for byte: it has the form of one, and every reader that keeps numbers as
/// 64-bit floats gets exactly the value that is written.
///
/// So `007`, `+5`, `.5`, `5.`, `1_000`, ` 12`, `0x1F` and `NaN` are not (no JSON numbers), nor are `1e400` (infinite), `1e-400` (zero), a
/// whole number beyond 2^53 - 1, or a decimal that no float prints as. A whole number with an unsigned exponent (`12E4`) is not either:
/// software writes `1e+5` or `1.2E4`, and people write identifiers like that.
#[inline(always)]
pub fn is_exact_number(text: &[u8], from: usize, to: usize) -> bool {
    is_usual_number(&load(text, from), to - from).unwrap_or_else(|| is_other_number(text, from, to))
}

/// The same for a text of this length that begins with these bytes: whether it is a number of up to [`SAFE_DIGITS`] characters
/// after its sign, digits and a point. None where it may be another, which is for [`is_other_number`].
#[inline(always)]
pub fn is_usual_number(bytes: &[u8; 16], length: usize) -> Option<bool> {
    let sign = usize::from(bytes[0] == b'-');
    let (digits, leading_zero) = (digits(bytes) >> sign, bytes.get(sign) == Some(&b'0'));
    if digits & 1 == 0 || length <= sign {
        return Some(false);
    }
    let length = length - sign;
    if length > SAFE_DIGITS {
        return None;
    }
    let others = !digits & ((1 << length) - 1);
    if others == 0 {
        return Some(!leading_zero || length == 1);
    }
    let point = others.trailing_zeros() as usize;
    if others & (others - 1) == 0 && bytes.get((sign + point) & 15) == Some(&b'.') {
        return Some(point + 1 < length && (!leading_zero || point == 1));
    }
    None
}

/// The same for what [`is_usual_number`] leaves open, which begins with a digit after its sign. Most of that is no number: a date, say.
#[inline(always)]
pub fn is_other_number(text: &[u8], from: usize, to: usize) -> bool {
    let start = if text.get(from) == Some(&b'-') { from + 1 } else { from };
    let looked_at = (1u32 << (to - start).min(16)) - 1;
    in_numbers(&load(text, start)) & looked_at == looked_at && is_exact_number_slow(text.get(start..to).unwrap_or_default())
}

/// As [`is_exact_number`], for anything without a sign.
#[cold]
fn is_exact_number_slow(text: &[u8]) -> bool {
    let (whole, rest) = text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count());
    if whole.is_empty() || (whole.len() > 1 && whole.starts_with(b"0")) {
        return false;
    }
    let (fraction, rest) = match rest.split_first() {
        Some((b'.', rest)) => rest.split_at(rest.iter().take_while(|byte| byte.is_ascii_digit()).count()),
        _ => (b"".as_slice(), rest),
    };
    let has_point = whole.len() + rest.len() < text.len();
    if has_point && fraction.is_empty() {
        return false;
    }
    let has_exponent = !rest.is_empty();
    if let Some((e, exponent)) = rest.split_first() {
        let (signed, exponent) = match exponent.split_first() {
            Some((b'+' | b'-', digits)) => (true, digits),
            _ => (false, exponent),
        };
        let well_formed = matches!(e, b'e' | b'E') && !exponent.is_empty() && exponent.iter().all(u8::is_ascii_digit);
        if !well_formed || !(signed || has_point) {
            return false;
        }
    }
    let Ok(text) = std::str::from_utf8(text) else { return false };
    if !has_point && !has_exponent {
        return text.parse::<u64>().is_ok_and(|value| value <= MAX_EXACT);
    }
    // More digits than a float has never come back, and bounding them here bounds the work below.
    let shortest = |value: f64| serde_json::Number::from_f64(value).map(|number| number.to_string());
    text.len() <= 400 && text.parse().ok().and_then(shortest).is_some_and(|shortest| decimal(&shortest) == decimal(text))
}

/// The digits of a number without leading and trailing zeros, and the power of ten that the first of them stands for.
fn decimal(number: &str) -> (String, i64) {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return (String::new(), 0);
    }
    let leading_zeros = (digits.len() - significant.len()) as i64;
    let power = exponent.parse::<i64>().unwrap_or(i64::MAX / 2) + whole.len() as i64 - 1 - leading_zeros;
    (significant.trim_end_matches('0').into(), power)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn exact(text: &str) -> bool {
        let padded = [text.as_bytes(), &[b'9'; 64]].concat();
        is_exact_number(&padded, 0, text.len())
    }

    #[test]
    fn numbers_that_every_reader_gets() {
        let numbers = [
            "0",
            "7",
            "-1",
            "10",
            "0.1",
            "-0.25",
            "1.50",
            "65.2419444",
            "-165.2716667",
            "-0",
            "-0.00",
            "123456789012345",
            "9007199254740991",
            "-9007199254740991",
            "1e+5",
            "1E-05",
            "1.5e7",
            "2.5E+300",
            "1.7976931348623157e+308",
            "0.30000000000000004",
            "3.141592653589793",
            "1.0000000000000000000",
            "100000000000000.00",
            "5e-324",
            "0.0e+0",
            "12345.678901234",
        ];
        for number in numbers {
            assert!(exact(number), "{number}");
            let read: f64 = serde_json::from_str(number).unwrap();
            assert_eq!(read, number.parse::<f64>().unwrap());
        }
    }

    #[test]
    fn texts_that_stay_texts() {
        let texts = [
            "",
            "-",
            "007",
            "00",
            "-01",
            "+5",
            "1e400",
            "1e-400",
            "2.5e+999",
            "12345678901234567890",
            "9007199254740992",
            "1_000",
            " 12",
            "12 ",
            "0x1F",
            "NaN",
            "Infinity",
            ".5",
            "5.",
            "-.5",
            "1.e5",
            "1e",
            "1e+",
            "1.5e",
            "12E4",
            "1e5",
            "00.5",
            "1.2.3",
            "1,5",
            "1-2",
            "--1",
            "0.1000000000000000055511151231257827",
            "3.14159265358979312",
            "9007199254740993.0",
            "1.00000000000000000001",
            "1\u{0661}",
            "4.9e-324x",
            "123456789012345678901234567890.5",
        ];
        for text in texts {
            assert!(!exact(text), "{text}");
        }
    }
}
