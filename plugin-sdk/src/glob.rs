//! The file name globs of a descriptor, without regard to case: `*` and `?` within a folder, `**` across folders, `[a-z]`, `[!a-z]`,
//! `{csv,tsv}`. Small on purpose: it is part of every plugin.

/// Whether a pattern fits a file: one without `/` against the name, one with `/` against the path.
pub(crate) fn matches_file(pattern: &str, name: &str, path: &str) -> bool {
    let text = if pattern.contains('/') { path } else { name };
    let pattern: Vec<char> = pattern.chars().flat_map(char::to_lowercase).collect();
    let text: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    expand(&pattern).iter().any(|pattern| matches(pattern, &text))
}

/// Writes out the alternatives of `{a,b}`, nested ones too. A brace without its partner stands for itself.
fn expand(pattern: &[char]) -> Vec<Vec<char>> {
    let Some(open) = pattern.iter().position(|c| *c == '{') else { return vec![pattern.to_vec()] };
    let (head, rest) = pattern.split_at(open);
    let (mut depth, mut start, mut alternatives) = (0usize, 1usize, Vec::new());
    for (at, c) in rest.iter().enumerate() {
        match c {
            '{' => depth += 1,
            ',' if depth == 1 => {
                alternatives.push(rest.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            '}' => {
                depth -= 1;
                if depth == 0 {
                    alternatives.push(rest.get(start..at).unwrap_or_default());
                    let tail = rest.get(at + 1..).unwrap_or_default();
                    return alternatives.iter().flat_map(|middle| expand(&[head, middle, tail].concat())).collect();
                }
            }
            _ => {}
        }
    }
    vec![pattern.to_vec()]
}

fn matches(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        // `**/` also stands for no folder at all.
        ['*', '*', '/', rest @ ..] if matches(rest, text) => true,
        ['*', '*', rest @ ..] => (0..=text.len()).any(|skip| matches(rest, text.get(skip..).unwrap_or_default())),
        ['*', rest @ ..] => {
            let segment = text.iter().position(|c| *c == '/').unwrap_or(text.len());
            (0..=segment).any(|skip| matches(rest, text.get(skip..).unwrap_or_default()))
        }
        ['?', rest @ ..] => text.split_first().is_some_and(|(c, text)| *c != '/' && matches(rest, text)),
        ['[', rest @ ..] => match (rest.iter().skip(1).position(|c| *c == ']'), text.split_first()) {
            (Some(close), Some((c, text))) => {
                let (class, rest) = rest.split_at(close + 1);
                in_class(class, *c) && matches(rest.get(1..).unwrap_or_default(), text)
            }
            _ => false,
        },
        [literal, rest @ ..] => text.split_first().is_some_and(|(c, text)| c == literal && matches(rest, text)),
    }
}

fn in_class(class: &[char], c: char) -> bool {
    let (negated, mut class) = match class {
        ['!' | '^', rest @ ..] => (true, rest),
        _ => (false, class),
    };
    let mut found = false;
    loop {
        match class {
            [low, '-', high, rest @ ..] => {
                found |= (*low..=*high).contains(&c);
                class = rest;
            }
            [one, rest @ ..] => {
                found |= *one == c;
                class = rest;
            }
            [] => return found != negated && c != '/',
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches_file;

    #[test]
    fn fits_as_documented() {
        let table = [
            ("*.csv", "a.csv", "in/a.csv", true),
            ("*.CSV", "a.csv", "a.csv", true),
            ("*.csv", "a.csv.bak", "a.csv.bak", false),
            ("*.{csv,tsv}", "a.tsv", "a.tsv", true),
            ("*.{csv,{ts,ps}v}", "a.psv", "a.psv", true),
            ("TEST-?.xml", "test-1.xml", "test-1.xml", true),
            ("TEST-?.xml", "test-12.xml", "test-12.xml", false),
            ("[a-c]*.log", "b7.log", "b7.log", true),
            ("[!a-c]*.log", "b7.log", "b7.log", false),
            ("spea/**/*.csv", "a.csv", "spea/x/y/a.csv", true),
            ("spea/**/*.csv", "a.csv", "spea/a.csv", true),
            ("spea/*.csv", "a.csv", "spea/x/a.csv", false),
            ("**/*.csv", "a.csv", "a.csv", true),
            ("{", "{", "{", true),
            ("a*b*c", "aXbXbc", "aXbXbc", true),
        ];
        for (pattern, name, path, expected) in table {
            assert_eq!(matches_file(pattern, name, path), expected, "{pattern} on {path}");
        }
    }
}
