//! Limits, and whether a value is within them.
//!
//! A NaN is no value: it fails every comparison, `NE` included. An infinity compares as the largest or smallest number. Every comparison is
//! exact; none has a tolerance.

use std::fmt;

/// The limits of a number with their comparator, so that no limit is missing and none is too many.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Limits {
    /// `LOG`: no limits; every value passes.
    #[default]
    Log,
    /// `EQ`: equal.
    Eq(f64),
    /// `EQT`: equal within a tolerance: from the lowest to the highest value that count as equal, both included.
    Eqt(f64, f64),
    /// `NE`: not equal.
    Ne(f64),
    /// `LT`: less than the limit.
    Lt(f64),
    /// `LE`: less or equal.
    Le(f64),
    /// `GT`: greater than the limit.
    Gt(f64),
    /// `GE`: greater or equal.
    Ge(f64),
    /// `GTLT`: inside, both limits excluded.
    GtLt(f64, f64),
    /// `GTLE`: inside, the low limit excluded.
    GtLe(f64, f64),
    /// `GELT`: inside, the high limit excluded.
    GeLt(f64, f64),
    /// `GELE`: inside, both limits included.
    GeLe(f64, f64),
    /// `LTGT`: outside: below the low limit or above the high one.
    LtGt(f64, f64),
    /// `LTGE`: outside, the high limit included.
    LtGe(f64, f64),
    /// `LEGT`: outside, the low limit included.
    LeGt(f64, f64),
    /// `LEGE`: outside, both limits included.
    LeGe(f64, f64),
}

impl Limits {
    /// From low to high, both included; a limit that is absent or infinite limits nothing.
    pub fn within(low: Option<f64>, high: Option<f64>) -> Limits {
        match (low.filter(|low| *low != f64::NEG_INFINITY), high.filter(|high| *high != f64::INFINITY)) {
            (None, None) => Limits::Log,
            (Some(low), None) => Limits::Ge(low),
            (None, Some(high)) => Limits::Le(high),
            (Some(low), Some(high)) => Limits::GeLe(low, high),
        }
    }

    /// The limits of a comparator by its name, without regard to case. A comparator with one limit takes it from `low`, or from `high` where
    /// only that is there.
    ///
    /// # Errors
    /// A sentence for a comparator that there is not, and for limits that are missing.
    pub fn named(comparator: &str, low: Option<f64>, high: Option<f64>) -> Result<Limits, String> {
        let one = || low.or(high).ok_or_else(|| format!("the comparator {comparator} needs a limit"));
        let two = || low.zip(high).ok_or_else(|| format!("the comparator {comparator} needs two limits"));
        Ok(match comparator.to_ascii_uppercase().as_str() {
            "LOG" => Limits::Log,
            "EQ" => Limits::Eq(one()?),
            "EQT" => two().map(|(low, high)| Limits::Eqt(low, high)).or_else(|_| one().map(|limit| Limits::Eqt(limit, limit)))?,
            "NE" => Limits::Ne(one()?),
            "LT" => Limits::Lt(one()?),
            "LE" => Limits::Le(one()?),
            "GT" => Limits::Gt(one()?),
            "GE" => Limits::Ge(one()?),
            "GTLT" => two().map(|(low, high)| Limits::GtLt(low, high))?,
            "GTLE" => two().map(|(low, high)| Limits::GtLe(low, high))?,
            "GELT" => two().map(|(low, high)| Limits::GeLt(low, high))?,
            "GELE" => two().map(|(low, high)| Limits::GeLe(low, high))?,
            "LTGT" => two().map(|(low, high)| Limits::LtGt(low, high))?,
            "LTGE" => two().map(|(low, high)| Limits::LtGe(low, high))?,
            "LEGT" => two().map(|(low, high)| Limits::LeGt(low, high))?,
            "LEGE" => two().map(|(low, high)| Limits::LeGe(low, high))?,
            _ => return Err(format!("there is no comparator {comparator}")),
        })
    }

    /// The comparator's name.
    pub fn comparator(&self) -> &'static str {
        match self {
            Limits::Log => "LOG",
            Limits::Eq(_) => "EQ",
            Limits::Eqt(..) => "EQT",
            Limits::Ne(_) => "NE",
            Limits::Lt(_) => "LT",
            Limits::Le(_) => "LE",
            Limits::Gt(_) => "GT",
            Limits::Ge(_) => "GE",
            Limits::GtLt(..) => "GTLT",
            Limits::GtLe(..) => "GTLE",
            Limits::GeLt(..) => "GELT",
            Limits::GeLe(..) => "GELE",
            Limits::LtGt(..) => "LTGT",
            Limits::LtGe(..) => "LTGE",
            Limits::LeGt(..) => "LEGT",
            Limits::LeGe(..) => "LEGE",
        }
    }

    /// What is written as `lowLimit` and `highLimit`. A single limit, whatever it limits, is the low one: so the format has it.
    pub fn bounds(&self) -> (Option<f64>, Option<f64>) {
        use Limits::*;
        match *self {
            Log => (None, None),
            Eq(limit) | Ne(limit) | Lt(limit) | Le(limit) | Gt(limit) | Ge(limit) => (Some(limit), None),
            Eqt(low, high)
            | GtLt(low, high)
            | GtLe(low, high)
            | GeLt(low, high)
            | GeLe(low, high)
            | LtGt(low, high)
            | LtGe(low, high)
            | LeGt(low, high)
            | LeGe(low, high) => (Some(low), Some(high)),
        }
    }

    /// Whether a limit is NaN, so that there is nothing to compare with.
    pub fn is_nan(&self) -> bool {
        let (low, high) = self.bounds();
        [low, high].into_iter().flatten().any(f64::is_nan)
    }

    /// Whether a value passes. NaN passes `LOG` only.
    pub fn passes(&self, value: f64) -> bool {
        use Limits::*;
        match *self {
            Log => true,
            _ if value.is_nan() => false,
            Eq(limit) => value == limit,
            Ne(limit) => value != limit,
            Lt(limit) => value < limit,
            Le(limit) => value <= limit,
            Gt(limit) => value > limit,
            Ge(limit) => value >= limit,
            GtLt(low, high) => low < value && value < high,
            GtLe(low, high) => low < value && value <= high,
            GeLt(low, high) => low <= value && value < high,
            Eqt(low, high) | GeLe(low, high) => low <= value && value <= high,
            LtGt(low, high) => value < low || high < value,
            LtGe(low, high) => value < low || high <= value,
            LeGt(low, high) => value <= low || high < value,
            LeGe(low, high) => value <= low || high <= value,
        }
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.comparator())
    }
}

/// What a text is compared with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TextLimit {
    /// `LOG`: nothing; every text passes.
    #[default]
    Log,
    /// `CASESENSIT`: the same text.
    CaseSensitive(String),
    /// `IGNORECASE`: the same text, lower case and upper case being one.
    IgnoreCase(String),
}

impl TextLimit {
    /// The comparator's name.
    pub fn comparator(&self) -> &'static str {
        match self {
            TextLimit::Log => "LOG",
            TextLimit::CaseSensitive(_) => "CASESENSIT",
            TextLimit::IgnoreCase(_) => "IGNORECASE",
        }
    }

    /// The text to compare with.
    pub fn limit(&self) -> Option<&str> {
        match self {
            TextLimit::Log => None,
            TextLimit::CaseSensitive(limit) | TextLimit::IgnoreCase(limit) => Some(limit),
        }
    }

    /// Whether a text passes.
    pub fn passes(&self, value: &str) -> bool {
        match self {
            TextLimit::Log => true,
            TextLimit::CaseSensitive(limit) => value == limit,
            TextLimit::IgnoreCase(limit) => value.to_lowercase() == limit.to_lowercase(),
        }
    }
}
