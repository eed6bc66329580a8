//! The log: one line per event on standard error and, if the configuration says so, in a file; for people or as JSON, with UTC timestamps. It
//! must not know what is logged.

mod file;

use std::fmt;
use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;
use std::time::Duration;

use tracing::Subscriber;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{DefaultFields, FormatFields, Writer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, reload};

use crate::config::LogConfig;
use file::LogFile;

/// What a log line looks like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people, in colours on a terminal
    #[default]
    Auto,
    /// For people, without colours
    Human,
    /// One JSON object per line
    Json,
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// A part of the filter names no level.
    #[error("{0:?} is not a log level; write off, error, warn, info, debug or trace, or a filter such as info,dropforge::intake=debug")]
    Level(String),
    /// A part of the filter has no meaning.
    #[error("the log filter {filter:?} cannot be read: {reason}")]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong.
        reason: String,
    },
    /// This process does not log yet.
    #[error("the log is not set up")]
    NotYet,
    /// This process logs already.
    #[error("the log is set up already")]
    Twice,
    /// Nothing can write the file.
    #[error("cannot start the thread that writes the log's file: {0}")]
    Thread(io::Error),
}

/// Parts that say much at `info` and `debug` which concerns only their own developers. Whoever needs it names them in the filter.
const QUIET: &str = "wasmtime=warn,cranelift=warn,regalloc2=warn,hyper=warn,notify=warn,globset=warn";

/// How the filter of the log is changed.
type SetFilter = Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;

/// The filter of this process's log, once it is set up.
static FILTER: OnceLock<SetFilter> = OnceLock::new();

/// Logs by another filter from now on, with what [`init`] takes.
///
/// # Errors
/// A filter that cannot be read, or a process that has not begun to log.
pub fn set_level(level: &str) -> Result<(), LoggingError> {
    let set = FILTER.get().ok_or(LoggingError::NotYet)?;
    set(filter(level)?).map_err(|_| LoggingError::NotYet)
}

/// The file of this process's log, if it has one.
static FILE: OnceLock<LogFile> = OnceLock::new();

/// How long the end of the process waits for the last lines to be in the file.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Begins to log to standard error, and to the file that `log` names, if any. `level` is a level, or a filter in the manner of `RUST_LOG`:
/// `info,dropforge::intake=debug`.
///
/// # Errors
/// A filter that cannot be read, or a second call in one process.
pub fn init(format: LogFormat, level: &str, log: &LogConfig) -> Result<(), LoggingError> {
    let colours =
        format == LogFormat::Auto && std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // Before there is a thread for the file.
    filter(level)?;
    let file = LogFile::start(log).map_err(LoggingError::Thread)?;
    let (subscriber, handle) = subscriber(format, colours, level, std::io::stderr, file.clone())?;
    subscriber.try_init().map_err(|_| LoggingError::Twice)?;
    let _ = FILTER.set(Box::new(move |filter| handle.reload(filter)));
    if let Some(file) = file {
        let _ = FILE.set(file);
    }
    Ok(())
}

/// Whether what is logged goes to a file too.
pub fn has_file() -> bool {
    FILE.get().is_some()
}

/// Waits, for a moment at most, until what was logged is in the log's file: the process is about to end, or to become another.
pub fn flush() {
    if let Some(file) = FILE.get() {
        file.flush(LAST_LINES);
    }
}

/// The log, and how to change its filter.
fn subscriber<W>(
    format: LogFormat,
    colours: bool,
    level: &str,
    writer: W,
    file: Option<LogFile>,
) -> Result<(impl Subscriber + Send + Sync, reload::Handle<EnvFilter, Registry>), LoggingError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // A closed standard error must not end the daemon: tracing would report the failed write there, with a macro that panics.
    let (filter, handle) = reload::Layer::new(filter(level)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).log_internal_errors(false);
    let lines = match format {
        LogFormat::Auto | LogFormat::Human => lines.with_ansi(colours).with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    let file = file.map(|file| {
        let lines = tracing_subscriber::fmt::layer().with_writer(file).log_internal_errors(false).with_ansi(false);
        match format {
            LogFormat::Auto | LogFormat::Human => lines.with_target(false).fmt_fields(Plain(DefaultFields::new())).boxed(),
            LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
        }
    });
    Ok((tracing_subscriber::registry().with(filter).with(lines).with(file), handle))
}

/// The fields of spans are kept by the type of what formats them: those on a terminal have colours, those in the file have none.
struct Plain(DefaultFields);

impl<'w> FormatFields<'w> for Plain {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        self.0.format_fields(writer, fields)
    }
}

fn filter(level: &str) -> Result<EnvFilter, LoggingError> {
    // To EnvFilter a word that is no level is a target, and then nothing else is logged: a slip of the pen must not silence the daemon.
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let parts = || level.split(',').map(str::trim).filter(|part| !part.is_empty());
    let is_level = |part: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(part));
    if let Some(part) = parts().find(|part| !part.contains(['=', '[']) && !is_level(part)) {
        return Err(LoggingError::Level(part.into()));
    }
    if parts().next().is_none() {
        return Err(LoggingError::Level(level.into()));
    }
    EnvFilter::builder()
        .parse(format!("{QUIET},{level}"))
        .map_err(|error| LoggingError::Filter { filter: level.into(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, level: &str, log: impl FnOnce()) -> Vec<String> {
        let lines = Lines::default();
        let writer = lines.clone();
        let (subscriber, _) = subscriber(format, false, level, move || writer.clone(), None).unwrap();
        tracing::subscriber::with_default(subscriber, log);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(String::from).collect()
    }

    fn some_events() {
        tracing::info!(target: "dropforge::daemon", port = 8080, "Health server started");
        tracing::debug!(target: "dropforge::intake", "looked");
        tracing::info!(target: "wasmtime::engine", "chatter");
        tracing::info!(target: "cranelift_codegen", "chatter");
        tracing::warn!(target: "wasmtime::engine", "trouble");
    }

    #[test]
    fn a_line_for_people_has_time_level_message_and_fields() {
        let lines = logged(LogFormat::Human, "info", some_events);
        let (time, rest) = lines[0].split_once(' ').unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok() && time.ends_with('Z'), "{time}");
        assert_eq!(rest.trim(), "INFO Health server started port=8080");
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[1].ends_with("WARN trouble"), "{lines:?}");
    }

    #[test]
    fn a_json_line_has_the_same() {
        let lines = logged(LogFormat::Json, "info", some_events);
        let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(line["message"], "Health server started");
        assert_eq!((&line["level"], &line["port"], &line["target"]), (&"INFO".into(), &8080.into(), &"dropforge::daemon".into()));
        assert!(line["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    }

    #[test]
    fn the_filter_chooses() {
        let cases = [
            ("info", 2),
            ("INFO", 2),
            ("debug", 3),
            ("warn", 1),
            ("off", 1),
            ("off,wasmtime=off", 0),
            ("info,dropforge::intake=debug", 3),
            ("info,wasmtime=info", 3),
            ("dropforge=trace", 3),
        ];
        for (level, expected) in cases {
            let lines = logged(LogFormat::Human, level, some_events);
            assert_eq!(lines.len(), expected, "{level}: {lines:?}");
        }
    }

    #[test]
    fn what_is_no_filter_is_said() {
        let no_level = |word: &str| {
            format!(
                "{word:?} is not a log level; write off, error, warn, info, debug or trace, or a filter such as info,dropforge::intake=debug"
            )
        };
        let cases = [
            ("verbose", no_level("verbose")),
            ("", no_level("")),
            ("info, dropforge", no_level("dropforge")),
            ("dropforge=loud", "the log filter \"dropforge=loud\" cannot be read: error parsing level filter: expected one of \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\", or a number 0-5".to_owned()),
        ];
        for (level, expected) in cases {
            assert_eq!(filter(level).unwrap_err().to_string(), expected);
        }
    }
}
