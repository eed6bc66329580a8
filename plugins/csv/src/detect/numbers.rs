//! How the numbers of a table are written: which sign is the decimal point, and which one groups thousands.

/// What the numbers of a table show of their signs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signs {
    points: Counts,
    commas: Counts,
    others: [usize; 3],
}

/// What a sign was seen as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    /// Surely a decimal sign: the last sign of two kinds, or not followed by exactly three digits, or after a lone zero.
    decimal: usize,
    /// Surely a thousands sign: it stands twice, or before another sign.
    thousands: usize,
    /// Either.
    open: usize,
}

/// The other signs that group thousands.
const OTHERS: [(&str, &str); 3] = [(" ", "space"), ("'", "'"), ("\u{a0}", "space")];

impl Signs {
    /// Looks at a cell that looks like a number.
    pub fn see(&mut self, cell: &[u8]) {
        let cell = cell.trim_ascii();
        if cell.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-') {
            return;
        }
        let text: Vec<u8> = cell.iter().copied().filter(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b',')).collect();
        let cell = std::str::from_utf8(cell).unwrap_or_default();
        for ((sign, _), count) in OTHERS.iter().zip(&mut self.others).filter(|((sign, _), _)| cell.contains(sign)) {
            let mut groups = cell.split(sign);
            let first = groups.next().unwrap_or_default().trim_start_matches(['-', '+']);
            let rest: Vec<&str> = groups.collect();
            let whole = |group: &str| group.split(['.', ',']).next().is_some_and(|whole| whole.len() == 3);
            let fits = (1..=3).contains(&first.len()) && first.bytes().all(|byte| byte.is_ascii_digit());
            *count += usize::from(fits && !rest.is_empty() && rest.iter().all(|group| whole(group)));
        }
        let (points, commas) = (count(&text, b'.'), count(&text, b','));
        let last = text.iter().rposition(|byte| matches!(byte, b'.' | b','));
        let Some(last) = last else { return };
        let after = text.len() - last - 1;
        let is_point = text.get(last) == Some(&b'.');
        let (own, other) = if is_point { (&mut self.points, &mut self.commas) } else { (&mut self.commas, &mut self.points) };
        let (times, others) = if is_point { (points, commas) } else { (commas, points) };
        if others > 0 && times == 1 {
            own.decimal += 1;
            other.thousands += 1;
        } else if times > 1 {
            own.thousands += 1;
        } else if after != 3 || last > 3 || last == 0 || text.first() == Some(&b'0') {
            own.decimal += 1;
        } else {
            own.open += 1;
        }
    }

    /// The decimal sign and the thousands sign, each where the table shows it. `separates` says whether a comma separates the cells: then
    /// one inside a cell rather groups.
    pub fn found(&self, separates: bool) -> (Option<&'static str>, Option<&'static str>) {
        let Signs { points, commas, others } = self;
        let decimal = if commas.decimal > commas.thousands && commas.decimal >= points.decimal {
            Some(",")
        } else if points.decimal > points.thousands {
            Some(".")
        } else if !separates && commas.open > points.open && commas.thousands == 0 && points.thousands > 0 {
            Some(",")
        } else if points.open > 0 && points.thousands == 0 {
            Some(".")
        } else {
            None
        };
        let grouping = OTHERS.iter().zip(others).find(|(_, count)| **count > 0).map(|((_, name), _)| *name);
        let thousands = if commas.thousands > 0 && decimal != Some(",") {
            Some(",")
        } else if points.thousands > 0 && decimal == Some(",") {
            Some(".")
        } else if decimal == Some(".") && commas.open > 0 && commas.decimal == 0 {
            Some(",")
        } else {
            grouping
        };
        (decimal, thousands)
    }
}

fn count(text: &[u8], wanted: u8) -> usize {
    text.iter().filter(|byte| **byte == wanted).count()
}

#[cfg(test)]
mod tests {
    use super::Signs;

    #[test]
    fn signs_are_told_by_the_numbers_around() {
        let table = [
            (&["1.5", "2.25"][..], (Some("."), None)),
            (&["1,5", "2,25"], (Some(","), None)),
            (&["1.234,5", "17"], (Some(","), Some("."))),
            (&["1,234.5", "1,234"], (Some("."), Some(","))),
            (&["1,234,567"], (None, Some(","))),
            (&["0,123", "1,234"], (Some(","), None)),
            (&["1 234,5", "12 345,0"], (Some(","), Some("space"))),
            (&["1'234.50"], (Some("."), Some("'"))),
            (&["12", "-7"], (None, None)),
        ];
        for (cells, expected) in table {
            let mut signs = Signs::default();
            cells.iter().for_each(|cell| signs.see(cell.as_bytes()));
            assert_eq!(signs.found(false), expected, "{cells:?}");
        }
    }
}
