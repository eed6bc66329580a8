//! Dates in a given format.

use std::fmt;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

/// A format of dates and times, written with the letters that .NET and Java use: `dd/MM/yyyy HH:mm:ss`.
///
/// `yyyy` and `yy` (1970 to 2069), `MMM` (an English name of three letters), `MM` and `M`, `dd` and `d`, `HH` and `H`, `hh` and `h` with `tt`
/// (`AM`), `mm`, `ss`, `f` to `fffffffff` (so many digits at most, and at least one), `zzz` (`+02:00`, `+0200` or `Z`). Two letters take exactly two digits, one letter takes one or two.
/// A space stands for one or more; every other character for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateFormat(Vec<Part>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Field { letter: char, width: usize },
    Literal(char),
}

/// What a text said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parsed {
    /// The date and the time on the clock; midnight where the format has no time.
    pub local: DateTime,
    /// How far the clock was from UTC, where the format has `zzz`.
    pub offset: Option<Offset>,
}

impl DateFormat {
    /// Reads a format.
    ///
    /// # Errors
    /// A sentence that names the part which is none.
    pub fn new(format: &str) -> Result<Self, String> {
        let mut parts: Vec<Part> = Vec::new();
        for character in format.chars() {
            match parts.last_mut() {
                Some(Part::Field { letter, width }) if *letter == character => *width += 1,
                _ if character.is_ascii_alphabetic() && character != 'T' => parts.push(Part::Field { letter: character, width: 1 }),
                _ => parts.push(Part::Literal(character)),
            }
        }
        let known = |letter: char, width: usize| match letter {
            'y' => matches!(width, 2 | 4),
            'M' => width <= 3,
            'd' | 'H' | 'h' | 'm' | 's' => width <= 2,
            't' => width == 2,
            'f' => width <= 9,
            'z' => width == 3,
            _ => false,
        };
        for part in &parts {
            if let Part::Field { letter, width } = *part
                && !known(letter, width)
            {
                let found: String = std::iter::repeat_n(letter, width).collect();
                return Err(format!("`{found}` is no part of a date format: write one such as `dd/MM/yyyy HH:mm:ss`"));
            }
        }
        Ok(DateFormat(parts))
    }

    /// What a text says in this format; none where it is written otherwise, or says no date that there is.
    pub fn parse(&self, text: &str) -> Option<Parsed> {
        let mut rest = text.trim();
        let (mut year, mut month, mut day) = (None, None, None);
        let (mut hour, mut minute, mut second, mut nanosecond) = (0, 0, 0, 0);
        let (mut afternoon, mut offset) = (None, None);
        for part in &self.0 {
            match *part {
                Part::Literal(' ') => {
                    let trimmed = rest.trim_start();
                    if trimmed.len() == rest.len() {
                        return None;
                    }
                    rest = trimmed;
                }
                Part::Literal(literal) => rest = rest.strip_prefix(literal)?,
                Part::Field { letter: 'M', width: 3 } => {
                    month = Some(month_named(rest.get(..3)?)?);
                    rest = rest.get(3..)?;
                }
                Part::Field { letter: 't', .. } => {
                    afternoon = Some(rest.get(..2)?.eq_ignore_ascii_case("pm"));
                    if afternoon == Some(false) && !rest.get(..2)?.eq_ignore_ascii_case("am") {
                        return None;
                    }
                    rest = rest.get(2..)?;
                }
                Part::Field { letter: 'z', .. } => {
                    let (found, after) = utc_offset(rest)?;
                    (offset, rest) = (Some(found), after);
                }
                Part::Field { letter: 'f', width } => {
                    let count = rest.bytes().take(width).take_while(u8::is_ascii_digit).count();
                    let digits = rest.get(..count).filter(|digits| !digits.is_empty())?;
                    nanosecond = format!("{digits:0<9}").parse::<i32>().ok()?;
                    rest = rest.get(count..)?;
                }
                Part::Field { letter, width } => {
                    let (least, most) = if width == 1 { (1, 2) } else { (width, width) };
                    let count = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
                    if count < least {
                        return None;
                    }
                    let value: i16 = rest.get(..count)?.parse().ok()?;
                    rest = rest.get(count..)?;
                    let small = i8::try_from(value);
                    match letter {
                        'y' if width == 2 => year = Some(value + if value < 70 { 2000 } else { 1900 }),
                        'y' => year = Some(value),
                        'M' => month = Some(small.ok()?),
                        'd' => day = Some(small.ok()?),
                        'H' | 'h' => hour = small.ok()?,
                        'm' => minute = small.ok()?,
                        _ => second = small.ok()?,
                    }
                }
            }
        }
        if !rest.is_empty() {
            return None;
        }
        if let Some(afternoon) = afternoon {
            if !(1..=12).contains(&hour) {
                return None;
            }
            hour = hour % 12 + if afternoon { 12 } else { 0 };
        }
        let date = Date::new(year?, month?, day?).ok()?;
        let time = Time::new(hour, minute, second, nanosecond).ok()?;
        Some(Parsed { local: date.to_datetime(time), offset })
    }
}

impl fmt::Display for DateFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match *part {
            Part::Literal(literal) => write!(f, "{literal}"),
            Part::Field { letter, width } => (0..width).try_for_each(|_| write!(f, "{letter}")),
        })
    }
}

fn month_named(name: &str) -> Option<i8> {
    const NAMES: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let at = NAMES.iter().position(|known| name.eq_ignore_ascii_case(known))?;
    i8::try_from(at + 1).ok()
}

/// An offset at the beginning of a text, and what follows it.
fn utc_offset(text: &str) -> Option<(Offset, &str)> {
    if let Some(rest) = text.strip_prefix(['Z', 'z']) {
        return Some((Offset::UTC, rest));
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let unsigned = text.strip_prefix(['+', '-'])?;
    let two = |text: &str| -> Option<i32> {
        let digits = text.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        digits.parse().ok()
    };
    let hours = two(unsigned)?;
    let after = unsigned.get(2..)?;
    let after = after.strip_prefix(':').unwrap_or(after);
    let minutes = two(after).filter(|minutes| *minutes < 60)?;
    Some((Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()?, after.get(2..)?))
}
