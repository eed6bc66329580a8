//! The job's log: lines from the contract's `log` and from WASI's standard streams, cut, escaped, counted, and passed on to `tracing`.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::bindings::dropforge::converter::log::{Host, Level};
use super::state::State;
use super::text::cut;
use super::types::{LogLevel, LogLine};

const MAX_MESSAGE: usize = 8_192;
const MAX_FIELDS: usize = 32;
/// A field's name and value together.
const MAX_FIELD: usize = 1_024;
/// Lines that are kept for the job's history.
const TAIL: usize = 50;

/// The log of one call, shared with the guest's standard streams.
#[derive(Clone)]
pub struct SharedLog(Arc<Mutex<JobLog>>);

impl SharedLog {
    /// An empty log that takes `lines` lines of `bytes` bytes in all, from the converter called `converter` (empty: not known yet).
    pub fn new(converter: &str, lines: u32, bytes: u64) -> Self {
        let log = JobLog { converter: converter.to_owned(), lines, bytes, dropped: 0, tail: VecDeque::new(), partial: Default::default() };
        SharedLog(Arc::new(Mutex::new(log)))
    }

    /// The log itself. A panic elsewhere leaves it whole, so poisoning does not matter.
    pub fn lock(&self) -> MutexGuard<'_, JobLog> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The two standard streams that a guest may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Output,
    Error,
}

/// The log of one call.
pub struct JobLog {
    converter: String,
    /// Lines and bytes that may still come.
    lines: u32,
    bytes: u64,
    dropped: u64,
    tail: VecDeque<LogLine>,
    /// Lines that the standard streams have begun.
    partial: [Vec<u8>; 2],
}

impl JobLog {
    /// Adds one line, or counts it where the limits are used up.
    pub fn line(&mut self, level: LogLevel, message: String, fields: Vec<(String, String)>) {
        if self.lines == 0 {
            self.dropped += 1;
            return;
        }
        let message = escape(cut(message, MAX_MESSAGE));
        let fields: Vec<(String, String)> = fields.into_iter().take(MAX_FIELDS).map(cut_field).collect();
        let size = message.len() + fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if size as u64 > self.bytes {
            self.dropped += 1;
            return;
        }
        self.lines -= 1;
        self.bytes -= size as u64;
        self.keep(LogLine { level, message, fields });
    }

    /// Adds what the guest wrote to a standard stream: each line break ends a line.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let partial = self.partial_mut(stream);
            let room = MAX_MESSAGE.saturating_sub(partial.len());
            let end = rest.iter().take(room).position(|byte| *byte == b'\n');
            let taken = end.unwrap_or_else(|| rest.len().min(room));
            partial.extend_from_slice(rest.get(..taken).unwrap_or_default());
            let complete = end.is_some() || partial.len() >= MAX_MESSAGE;
            rest = rest.get(taken + usize::from(end.is_some())..).unwrap_or_default();
            if complete {
                self.end_line(stream);
            }
        }
    }

    /// Ends the log: begun lines are written, and what was dropped is said.
    pub fn close(&mut self) {
        for stream in [Stream::Output, Stream::Error] {
            if !self.partial_mut(stream).is_empty() {
                self.end_line(stream);
            }
        }
        if self.dropped > 0 {
            let message = format!("{} more log lines were dropped: the limit of the log was reached", self.dropped);
            self.keep(LogLine { level: LogLevel::Warn, message, fields: Vec::new() });
        }
    }

    /// Adds a line of the host's own, whatever the limits.
    pub fn note(&mut self, message: String) {
        self.keep(LogLine { level: LogLevel::Warn, message, fields: Vec::new() });
    }

    /// The last lines, oldest first.
    pub fn tail(&self) -> Vec<LogLine> {
        self.tail.iter().cloned().collect()
    }

    /// What the guest said last about its own panic: the line of an SDK or of Rust's standard library that holds `panicked at`, with the
    /// line after it where that has the message.
    pub fn panic_message(&self) -> Option<String> {
        let index = self.tail.iter().rposition(|line| line.message.contains("panicked at"))?;
        let line = &self.tail.get(index)?.message;
        let (_, place) = line.split_once("panicked at")?;
        let next = self.tail.get(index + 1).filter(|_| place.ends_with(':'));
        Some(format!("panicked at{place}{}", next.map(|next| format!(" {}", next.message)).unwrap_or_default()))
    }

    fn partial_mut(&mut self, stream: Stream) -> &mut Vec<u8> {
        let [output, error] = &mut self.partial;
        match stream {
            Stream::Output => output,
            Stream::Error => error,
        }
    }

    fn end_line(&mut self, stream: Stream) {
        let bytes = std::mem::take(self.partial_mut(stream));
        let text = String::from_utf8_lossy(&bytes);
        let level = if stream == Stream::Output { LogLevel::Info } else { LogLevel::Warn };
        self.line(level, text.strip_suffix('\r').unwrap_or(&text).to_owned(), Vec::new());
    }

    fn keep(&mut self, line: LogLine) {
        emit(&self.converter, &line);
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }
}

/// Passes a line on. `tracing` wants its level as a constant.
fn emit(converter: &str, line: &LogLine) {
    macro_rules! event {
        ($level:ident) => {
            if tracing::enabled!(target: "converter", tracing::Level::$level) {
                let converter = Some(converter).filter(|name| !name.is_empty());
                let fields = join(&line.fields);
                tracing::event!(target: "converter", tracing::Level::$level, converter, fields, "{}", line.message);
            }
        };
    }
    match line.level {
        LogLevel::Trace => event!(TRACE),
        LogLevel::Debug => event!(DEBUG),
        LogLevel::Info => event!(INFO),
        LogLevel::Warn => event!(WARN),
        LogLevel::Error => event!(ERROR),
    }
}

fn join(fields: &[(String, String)]) -> Option<String> {
    let mut joined = String::new();
    for (name, value) in fields {
        let separator = if joined.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = write!(joined, "{separator}{name}={value:?}");
    }
    Some(joined).filter(|joined| !joined.is_empty())
}

fn cut_field((name, value): (String, String)) -> (String, String) {
    let name = cut(name, MAX_FIELD);
    let value = cut(value, MAX_FIELD - name.len());
    (escape(name), escape(value))
}

/// Escapes line breaks and every other control character but the tab, so that a line stays one line and drives no terminal.
fn escape(text: String) -> String {
    let is_plain = |c: char| !c.is_control() || c == '\t';
    if text.chars().all(is_plain) {
        return text;
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_plain(character) { escaped.push(character) } else { escaped.extend(character.escape_default()) }
    }
    escaped
}

impl Host for State {
    fn log(&mut self, level: Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        self.deadline.check()?;
        let level = match level {
            Level::Trace => LogLevel::Trace,
            Level::Debug => LogLevel::Debug,
            Level::Info => LogLevel::Info,
            Level::Warn => LogLevel::Warn,
            Level::Error => LogLevel::Error,
        };
        self.log.lock().line(level, message, fields);
        Ok(())
    }
}
