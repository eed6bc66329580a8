//! Checks media types as RFC 9110 writes them: `type/subtype` and parameters.

/// Is `text` a `type/subtype` with optional parameters?
pub fn is_valid(text: &str) -> bool {
    let mut parts = Parts(text);
    if !(parts.token() && parts.skip('/') && parts.token()) {
        return false;
    }
    loop {
        parts.spaces();
        if parts.0.is_empty() {
            return true;
        }
        if !parts.skip(';') {
            return false;
        }
        parts.spaces();
        if !(parts.token() && parts.skip('=') && (parts.quoted() || parts.token())) {
            return false;
        }
    }
}

/// What is left of a text that is read from its beginning.
struct Parts<'a>(&'a str);

impl Parts<'_> {
    fn skip(&mut self, character: char) -> bool {
        match self.0.strip_prefix(character) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn spaces(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    fn token(&mut self) -> bool {
        let rest = self.0.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c));
        let found = rest.len() < self.0.len();
        self.0 = rest;
        found
    }

    fn quoted(&mut self) -> bool {
        let mut characters = self.0.char_indices();
        if characters.next().is_none_or(|(_, c)| c != '"') {
            return false;
        }
        let mut escaped = false;
        for (index, character) in characters {
            match character {
                '"' if !escaped => {
                    self.0 = self.0.get(index + 1..).unwrap_or_default();
                    return true;
                }
                c if c.is_control() && c != '\t' => return false,
                c => escaped = c == '\\' && !escaped,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn takes_what_the_rfc_allows_and_nothing_else() {
        for good in
            ["text/csv", "application/vnd.x+json", "text/csv; charset=utf-8", "text/csv ;header=present;a=\"x;\\\"y\"", "a/b\t; c=d"]
        {
            assert!(is_valid(good), "{good}");
        }
        for bad in [
            "",
            "text",
            "text/",
            "/csv",
            "text/csv/x",
            "text/csv;",
            "text/csv; charset",
            "text/csv; a=",
            "text /csv",
            "tëxt/csv",
            "a/b; c=\"d",
            "a/b\n",
        ] {
            assert!(!is_valid(bad), "{bad:?}");
        }
    }
}
