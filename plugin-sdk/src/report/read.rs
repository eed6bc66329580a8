//! Reads a report in WSJF and writes it again: nothing is lost, whatever keys there are, numbers stay as they are written, and only what is
//! open is in memory.

use std::io::{BufRead, Write};

use super::lengths;
use crate::{Error, Result};

/// How deep a report may be nested; sequences take two levels each.
const MAX_DEPTH: usize = 300;
/// The longest text or number. Attachments are texts.
const MAX_TOKEN_BYTES: usize = 32 << 20;

/// What a report says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// `id`: what the report is called by its maker.
    pub id: String,
    /// `type`: `T` for a test, `R` for a repair.
    pub kind: String,
    /// `sn`.
    pub serial: String,
    /// `start`.
    pub start: String,
    /// `machineName`.
    pub station: String,
    /// `result`.
    pub result: String,
    /// Steps, the outermost one included.
    pub steps: u64,
    /// Numbers that were measured.
    pub numbers: u64,
    /// Judgements.
    pub booleans: u64,
    /// Texts that were read.
    pub texts: u64,
    /// The keys at the top.
    keys: Vec<String>,
}

impl Facts {
    fn check(&self) -> Result<()> {
        const NEEDED: [&str; 12] =
            ["id", "type", "pn", "sn", "rev", "processCode", "result", "machineName", "location", "purpose", "start", "startUTC"];
        let more: &[&str] = if self.kind == "R" { &["uur", "subUnits"] } else { &["root", "uut"] };
        let needed = NEEDED.iter().chain(more);
        let missing: Vec<&str> = needed.filter(|key| !self.keys.iter().any(|found| found == *key)).copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::missing_field(format!("the report lacks {}", missing.join(", "))).code("header"))
    }

    /// Takes a text of the header.
    fn learn(&mut self, key: &str, value: &str) -> Result<(), Error> {
        let field = match key {
            "type" => &mut self.kind,
            "result" => &mut self.result,
            "id" => &mut self.id,
            "sn" => &mut self.serial,
            "start" => &mut self.start,
            "machineName" => &mut self.station,
            "pn" | "rev" | "location" | "purpose" => &mut String::new(),
            _ => return Ok(()),
        };
        match key {
            "type" => one_of(key, value, &["T", "R"])?,
            "result" => one_of(key, value, &["P", "F", "E", "T"])?,
            _ => {}
        }
        let length = value.chars().count();
        if !(1..=lengths::DEFAULT).contains(&length) {
            let message = format!("`{key}` has {length} characters, and a report allows 1 to {}", lengths::DEFAULT);
            return Err(Error::validation(message).code("too_long"));
        }
        *field = value.into();
        Ok(())
    }
}

fn one_of(key: &str, value: &str, allowed: &[&str]) -> Result<()> {
    if allowed.contains(&value) {
        return Ok(());
    }
    Err(Error::validation(format!("`{key}` is `{value}`, and may be {}", allowed.join(", "))).code("value"))
}

/// Copies a report from JSON to JSON without its white space, checking the header and the statuses of steps on the way.
///
/// # Errors
/// `Malformed` for what is no JSON object; `Encoding` for what is not UTF-8; `MissingField` for a report without what it needs; `Validation`
/// for a header that is too long and for a letter that there is not; `Unsupported` for one that is too deep, or a text of more than 32 MiB.
/// All with line and column.
pub fn transcode(from: impl BufRead, to: impl Write) -> Result<Facts> {
    let mut copy = Copy { from, to, token: Vec::new(), line: 1, column: 1, facts: Facts::default() };
    let copied = copy.report();
    let place = |error: Error| if error.at.is_some() { error } else { error.line(copy.line).column(copy.column) };
    copied.map_err(place)?;
    copy.facts.check()?;
    Ok(copy.facts)
}

/// Where in a report a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Report,
    Step,
    Steps,
    Numbers,
    Booleans,
    Texts,
    Other,
}

struct Copy<R, W> {
    from: R,
    to: W,
    /// The text or number that was read last, as it is written.
    token: Vec<u8>,
    line: u64,
    column: u64,
    facts: Facts,
}

impl<R: BufRead, W: Write> Copy<R, W> {
    fn report(&mut self) -> Result<()> {
        if self.from.fill_buf()?.starts_with(&[0xEF, 0xBB, 0xBF]) {
            self.from.consume(3);
        }
        if self.space()? != Some(b'{') {
            return Err(Error::malformed("a report is a JSON object, and begins with `{`").code("not_a_report"));
        }
        self.value(Context::Report, "", 0)?;
        match self.space()? {
            None => Ok(()),
            Some(_) => Err(self.unexpected("the end of the file")),
        }
    }

    fn value(&mut self, context: Context, key: &str, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(Error::unsupported(format!("the report is nested deeper than {MAX_DEPTH} levels")).code("too_deep"));
        }
        match self.space()? {
            Some(b'{') => self.object(context, depth),
            Some(b'[') => self.array(context, depth),
            Some(b'"') => {
                let text = self.text()?;
                self.to.write_all(&self.token)?;
                match (context, key) {
                    (Context::Report, _) => self.facts.learn(key, &text),
                    (Context::Step, "status") => one_of("status", &text, &["P", "F", "S", "D", "E", "T"]),
                    (Context::Step, "group") => one_of("group", &text, &["S", "M", "C"]),
                    _ => Ok(()),
                }
            }
            Some(_) => self.word(),
            None => Err(self.unexpected("a value")),
        }
    }

    fn object(&mut self, context: Context, depth: usize) -> Result<()> {
        match context {
            Context::Step => self.facts.steps += 1,
            Context::Numbers => self.facts.numbers += 1,
            Context::Booleans => self.facts.booleans += 1,
            Context::Texts => self.facts.texts += 1,
            _ => {}
        }
        self.put()?;
        let mut first = true;
        loop {
            match self.space()? {
                Some(b'}') if first => return self.put(),
                Some(b',') if !first => self.put()?,
                Some(b'}') => return self.put(),
                Some(_) if first => {}
                _ => return Err(self.unexpected("`,` or `}`")),
            }
            first = false;
            if self.space()? != Some(b'"') {
                return Err(self.unexpected("a key in quotes"));
            }
            let key = self.text()?;
            self.to.write_all(&self.token)?;
            if self.space()? != Some(b':') {
                return Err(self.unexpected("`:`"));
            }
            self.put()?;
            if context == Context::Report && self.facts.keys.len() < 1000 {
                self.facts.keys.push(key.clone());
            }
            // A text of the report or of a step stands in that; whatever has a structure of its own, in its own.
            let structured = matches!(self.space()?, Some(b'{' | b'['));
            let inner = match (context, key.as_str()) {
                (Context::Report, "root") => Context::Step,
                (Context::Step, "steps") => Context::Steps,
                (Context::Step, "numericMeas") => Context::Numbers,
                (Context::Step, "booleanMeas") => Context::Booleans,
                (Context::Step, "stringMeas") => Context::Texts,
                (Context::Report | Context::Step, _) if !structured => context,
                _ => Context::Other,
            };
            self.value(inner, &key, depth + 1)?;
        }
    }

    fn array(&mut self, context: Context, depth: usize) -> Result<()> {
        let item = match context {
            Context::Steps => Context::Step,
            Context::Numbers | Context::Booleans | Context::Texts => context,
            _ => Context::Other,
        };
        self.put()?;
        let mut first = true;
        loop {
            match self.space()? {
                Some(b']') => return self.put(),
                Some(b',') if !first => self.put()?,
                Some(_) if first => {}
                _ => return Err(self.unexpected("`,` or `]`")),
            }
            first = false;
            self.value(item, "", depth + 1)?;
        }
    }

    /// A text with its quotes, into `token`; what it means comes back.
    fn text(&mut self) -> Result<String> {
        self.token.clear();
        self.take()?;
        let mut escaped = false;
        loop {
            let Some(byte) = self.peek()? else { return Err(self.unexpected("the end of a text")) };
            self.take()?;
            match byte {
                b'"' if !escaped => break,
                b'\\' => escaped = !escaped,
                _ => escaped = false,
            }
        }
        match serde_json::from_slice(&self.token) {
            Ok(text) => Ok(text),
            Err(_) if std::str::from_utf8(&self.token).is_err() => Err(Error::encoding("a text that is not UTF-8").code("text")),
            Err(error) => {
                Err(Error::malformed(format!("a text that is none in JSON: {error}")).code("json").line(self.line).column(self.column))
            }
        }
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Result<()> {
        self.token.clear();
        while self.peek()?.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')) {
            self.take()?;
        }
        if serde_json::from_slice::<serde::de::IgnoredAny>(&self.token).is_err() {
            return Err(self.unexpected("a value"));
        }
        Ok(self.to.write_all(&self.token)?)
    }

    /// The next byte that is no white space.
    fn space(&mut self) -> Result<Option<u8>> {
        loop {
            match self.peek()? {
                Some(b'\n') => {
                    self.from.consume(1);
                    (self.line, self.column) = (self.line + 1, 1);
                }
                Some(b' ' | b'\t' | b'\r') => {
                    self.from.consume(1);
                    self.column += 1;
                }
                other => return Ok(other),
            }
        }
    }

    fn peek(&mut self) -> Result<Option<u8>> {
        Ok(self.from.fill_buf()?.first().copied())
    }

    /// Copies a byte of punctuation.
    fn put(&mut self) -> Result<()> {
        if let Some(byte) = self.peek()? {
            self.from.consume(1);
            self.column += 1;
            self.to.write_all(&[byte])?;
        }
        Ok(())
    }

    /// Puts a byte into `token`.
    fn take(&mut self) -> Result<()> {
        if self.token.len() >= MAX_TOKEN_BYTES {
            return Err(Error::unsupported(format!("a text of more than {} MiB", MAX_TOKEN_BYTES >> 20)).code("too_large"));
        }
        if let Some(byte) = self.peek()? {
            self.from.consume(1);
            // A continuation byte of UTF-8 begins no character.
            self.column += u64::from(byte & 0xC0 != 0x80);
            self.token.push(byte);
        }
        Ok(())
    }

    fn unexpected(&mut self, expected: &str) -> Error {
        let found = match self.peek() {
            Ok(Some(byte)) if byte.is_ascii_graphic() => format!("`{}`", char::from(byte)),
            Ok(Some(byte)) => format!("the byte {byte}"),
            _ => "the end of the file".into(),
        };
        let token = String::from_utf8_lossy(self.token.get(..20.min(self.token.len())).unwrap_or_default());
        let code = if found.starts_with("the end") { "truncated" } else { "json" };
        Error::malformed(format!("found {found} where {expected} was expected (after `{token}`)")).code(code)
    }
}
