//! The name of a posted file: from `Content-Disposition` (RFC 6266) or the query, without folders and fit to be a file's name everywhere.

/// The longest name, in bytes: a file system's bound, less what settling may add.
const MAX_BYTES: usize = 200;

/// The name that a `Content-Disposition` header gives: `filename*` before `filename`.
pub(super) fn from_disposition(header: &str) -> Option<String> {
    let mut plain = None;
    for parameter in parameters(header).skip(1) {
        let Some((key, value)) = parameter.split_once('=') else { continue };
        let value = value.trim();
        match key.trim().to_ascii_lowercase().as_str() {
            "filename*" => {
                if let Some(name) = extended(value) {
                    return Some(name);
                }
            }
            "filename" => plain = Some(unquoted(value)),
            _ => {}
        }
    }
    plain
}

/// The last part of a path as its name, if that can be a file's name on every platform and is not one of the host's own.
pub(super) fn checked(name: &str) -> Result<String, String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let bad = |reason: &str| Err(format!("The file's name {name:?} {reason}; give another as the query's `name`."));
    let reserved = |c: char| c.is_control() || matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*');
    match last {
        "" | "." | ".." => bad("is none"),
        _ if last.len() > MAX_BYTES => bad(&format!("is longer than {MAX_BYTES} bytes")),
        _ if last.contains(reserved) || last.ends_with(['.', ' ']) => bad("has characters that not every file system takes"),
        _ if crate::files::is_device_name(last) => bad("is that of a device on Windows"),
        _ if last.starts_with(crate::intake::PRIVATE_PREFIX) => bad("begins like those of Dropforge's own files"),
        _ => Ok(last.to_owned()),
    }
}

/// The parts between semicolons that are in no quotes.
fn parameters(header: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    header.split(move |c| {
        let ends = c == ';' && !quoted;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        ends
    })
}

fn unquoted(value: &str) -> String {
    let Some(inside) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return value.to_owned() };
    let mut name = String::new();
    let mut characters = inside.chars();
    while let Some(c) = characters.next() {
        name.extend(if c == '\\' { characters.next() } else { Some(c) });
    }
    name
}

/// RFC 8187: `UTF-8''na%C3%AFve.csv`.
fn extended(value: &str) -> Option<String> {
    let (charset, rest) = value.split_once('\'')?;
    let (_language, encoded) = rest.split_once('\'')?;
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    let mut bytes = Vec::new();
    let mut rest = encoded.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = tail.get(2..)?;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_out_of_the_header() {
        let cases = [
            ("attachment; filename=\"a b.csv\"", Some("a b.csv")),
            ("attachment; filename=a.csv", Some("a.csv")),
            (r#"form-data; name="x"; filename="a\"b;c.csv""#, Some("a\"b;c.csv")),
            ("attachment; filename=\"plain\"; filename*=UTF-8''na%C3%AFve%20x.csv", Some("naïve x.csv")),
            ("attachment; filename*=UTF-8''bad%zz; filename=good", Some("good")),
            ("attachment; filename*=latin1''x; filename=\"good\"", Some("good")),
            ("attachment", None),
            ("", None),
        ];
        for (header, expected) in cases {
            assert_eq!(from_disposition(header).as_deref(), expected, "{header}");
        }
    }

    #[test]
    fn a_name_is_the_last_part_and_fit_for_every_file_system() {
        for (name, expected) in [("a.csv", "a.csv"), ("../../etc/passwd", "passwd"), ("C:\\data\\x.csv", "x.csv"), (".hidden", ".hidden")] {
            assert_eq!(checked(name).as_deref(), Ok(expected));
        }
        for name in ["", "a/", "..", "a/..", "a\nb", "a:b", "what?", "trailing.", ".dropforge-x", "\u{0}", &"x".repeat(201)] {
            assert!(checked(name).is_err(), "{name:?}");
        }
    }
}
