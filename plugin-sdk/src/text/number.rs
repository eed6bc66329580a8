//! Numbers as machines write them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What parts the whole number from its fraction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DecimalSign {
    /// `1.5`
    #[default]
    Point,
    /// `1,5`
    Comma,
}

/// Suffixes of in-circuit testers, without regard to case: `M` is milli, `MEG` mega.
pub const ICT_SUFFIXES: &[(&str, i32)] =
    &[("f", -15), ("p", -12), ("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("meg", 6), ("g", 9)];

/// Prefixes of the SI: `M` is mega, `m` milli.
pub const SI_SUFFIXES: &[(&str, i32)] = &[
    ("f", -15),
    ("p", -12),
    ("n", -9),
    ("u", -6),
    ("µ", -6),
    ("μ", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("K", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
];

/// A number: `-1.5e3`, with the decimal sign that holds for the file, `NaN` and infinity as C, .NET and Windows write them. No signs of
/// thousands: they cannot be told from a decimal sign.
///
/// ```
/// use dropforge_sdk::text::{DecimalSign, number};
/// assert_eq!(number("1,5", DecimalSign::Comma), Some(1.5));
/// assert_eq!(number("1.5", DecimalSign::Comma), None);
/// assert_eq!(number("-1.#INF", DecimalSign::Point), Some(f64::NEG_INFINITY));
/// ```
pub fn number(text: &str, sign: DecimalSign) -> Option<f64> {
    scaled(text.trim(), sign, 0)
}

/// A number with a suffix for its power of ten, such as `10.4N`; `suffixes` are compared exactly, and where none fits without regard to case,
/// if that leaves only one. The value is the double nearest to what is written: the exponent is put into the text, and nothing is multiplied.
///
/// ```
/// use dropforge_sdk::text::{DecimalSign, ICT_SUFFIXES, engineering};
/// assert_eq!(engineering("7.999999N", DecimalSign::Point, ICT_SUFFIXES), Some(7.999999e-9));
/// assert_eq!(engineering("45.1MEG", DecimalSign::Point, ICT_SUFFIXES), Some(45.1e6));
/// ```
pub fn engineering(text: &str, sign: DecimalSign, suffixes: &[(&str, i32)]) -> Option<f64> {
    let text = text.trim();
    if let Some(plain) = number(text, sign) {
        return Some(plain);
    }
    let end = text.rfind(|character: char| character.is_ascii_digit() || matches!(character, '.' | ',')).map(|at| at + 1)?;
    let (digits, suffix) = (text.get(..end)?, text.get(end..)?.trim_start());
    let exact = suffixes.iter().find(|(known, _)| *known == suffix);
    let mut similar = suffixes.iter().filter(|(known, _)| known.to_lowercase() == suffix.to_lowercase());
    let (_, exponent) = match exact {
        Some(found) => found,
        None => similar.next().filter(|(_, first)| similar.all(|(_, other)| other == first))?,
    };
    scaled(digits, sign, *exponent)
}

fn scaled(text: &str, sign: DecimalSign, exponent: i32) -> Option<f64> {
    if let Some(special) = special(text) {
        return (exponent == 0).then_some(special);
    }
    let (mantissa, own) = match text.split_once(['e', 'E']) {
        Some((mantissa, own)) => (mantissa, own.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let unsigned = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let decimal = if sign == DecimalSign::Comma { ',' } else { '.' };
    let (whole, fraction) = unsigned.split_once(decimal).unwrap_or((unsigned, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let minus = if mantissa.starts_with('-') { "-" } else { "" };
    format!("{minus}{whole}.{fraction}0e{}", own.checked_add(exponent)?).parse().ok()
}

fn special(text: &str) -> Option<f64> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = match rest.to_ascii_lowercase().as_str() {
        "nan" | "nan(ind)" | "nan(snan)" | "1.#qnan" | "1.#ind" | "1.#snan" => f64::NAN,
        "inf" | "infinity" | "1.#inf" | "∞" => f64::INFINITY,
        _ => return None,
    };
    Some(if negative { -value } else { value })
}
