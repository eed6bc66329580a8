//! A converter written with wit-bindgen alone. Its options are a script, one step a line, and it logs `step -> answer` for each: so a test
//! says in words what a guest does, and reads in the log what the host answered. `probe` takes its script from the attribute `script`.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

wit_bindgen::generate!({ path: "../../../wit/0.1.0", world: "dropforge:converter/plugin" });

use dropforge::converter::io::{Document, Input, IoError, create_document, problem};
use dropforge::converter::log::{Level, log};
use dropforge::converter::metrics::observe;
use dropforge::converter::types::{ErrorType, Location, Metric, MetricKind, Severity, Suspension};
use exports::dropforge::converter::converter::{ConversionError, Descriptor, Guest, Outcome, ProbeResult};

struct ProbeGuest;
export!(ProbeGuest);

impl Guest for ProbeGuest {
    fn describe() -> Descriptor {
        let metric = |name: &str, kind| Metric {
            name: name.into(),
            kind,
            help: "h".repeat(600),
            unit: String::new(),
            labels: vec!["kind".into()],
            buckets: vec![1.0, 10.0],
        };
        Descriptor {
            name: "probe-guest".into(),
            version: "0.1.0".into(),
            description: "Does what its options say.".into(),
            patterns: vec!["*.txt".into()],
            media_types_in: vec!["text/plain".into()],
            media_types_out: vec!["text/plain".into()],
            options_schema: String::new(),
            metrics: vec![
                metric("rows_total", MetricKind::Counter),
                metric("level", MetricKind::Gauge),
                metric("size_bytes", MetricKind::Histogram),
            ],
            extra: vec![("later".into(), "ignored".into())],
        }
    }

    fn probe(input: &Input) -> ProbeResult {
        let script = input.attributes().into_iter().find(|(name, _)| name == "script").map(|(_, script)| script);
        let mut guest = Run::new(input);
        let mut reason = String::new();
        for step in script.unwrap_or_default().lines() {
            reason = guest.step(step);
        }
        ProbeResult { confidence: 200, reason }
    }

    fn convert(input: &Input, options: String) -> Result<Outcome, ConversionError> {
        report_panics();
        let mut guest = Run::new(input);
        // Options from a configuration are JSON; there, the script is the file itself, or the attribute `steps`.
        let steps = input.attributes().into_iter().find(|(name, _)| name == "steps").map(|(_, steps)| steps);
        let script = if input.name().ends_with(".script") { guest.content() } else { steps.unwrap_or(options) };
        for step in script.lines() {
            let answer = guest.step(step);
            log(Level::Info, &format!("{step} -> {answer}"), &[]);
            if let Some(end) = guest.end.take() {
                return end;
            }
        }
        Ok(Outcome::Converted)
    }
}

fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or_default();
        log(Level::Error, &format!("panicked at {place}: {message}"), &[]);
    }));
}

thread_local! {
    /// Memory that stays allocated.
    static HELD: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

struct Run<'a> {
    job: &'a Input,
    member: Option<Input>,
    documents: Vec<Document>,
    end: Option<Result<Outcome, ConversionError>>,
}

impl<'a> Run<'a> {
    fn new(job: &'a Input) -> Self {
        Run { job, member: None, documents: Vec::new(), end: None }
    }

    fn input(&self) -> &Input {
        self.member.as_ref().unwrap_or(self.job)
    }

    fn step(&mut self, step: &str) -> String {
        let (verb, rest) = step.split_once(' ').unwrap_or((step, ""));
        let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
        let number = || first.parse::<u64>().unwrap_or_default();
        match verb {
            // Reading.
            "id" => self.input().id(),
            "name" => self.input().name(),
            "path" => self.input().path(),
            "size" => self.input().size().to_string(),
            "media-type" => format!("{:?}", self.input().media_type()),
            "modified" => format!("{:?}", self.input().modified().map(|at| (at.seconds, at.nanoseconds))),
            "attributes" => format!("{:?}", self.input().attributes()),
            "members" => self.input().members().join(" "),
            "read" => match self.input().read(number() as u32) {
                Ok(bytes) => format!("{} {}", bytes.len(), String::from_utf8_lossy(&bytes[..bytes.len().min(20)])),
                Err(error) => told(error),
            },
            "read-all" => self.read_all(),
            "seek" => answer(self.input().seek(number())),
            "open" => match self.input().open_member(rest) {
                Ok(member) => {
                    self.member = Some(member);
                    "ok".into()
                }
                Err(error) => told(error),
            },
            "open-and-forget" => answer(self.input().open_member(rest).map(std::mem::forget)),
            "close" => {
                self.member = None;
                "ok".into()
            }
            // Writing.
            "create" => match create_document(first, &text(second)) {
                Ok(document) => {
                    self.documents.push(document);
                    "ok".into()
                }
                Err(error) => told(error),
            },
            "write" => self.with_document(|document| document.write(text(rest).as_bytes())),
            "fill" => self.with_document(|document| {
                let chunk = vec![b'x'; 64 << 10];
                let mut left = number() as usize;
                while left > 0 {
                    let taken = left.min(chunk.len());
                    document.write(&chunk[..taken])?;
                    left -= taken;
                }
                Ok(())
            }),
            "copy" => self.copy(),
            "attribute" => self.with_document(|document| document.set_attribute(&text(first), &text(second))),
            "attributes-up-to" => {
                self.with_document(|document| (0..number()).try_for_each(|n| document.set_attribute(&n.to_string(), &text(second))))
            }
            "key" => self.with_document(|document| document.set_key(&text(rest))),
            "finish" => self.with_document(Document::finish),
            "drop" => {
                self.documents.pop();
                "ok".into()
            }
            "forget" => {
                self.documents.pop().map(std::mem::forget);
                "ok".into()
            }
            "older" => {
                self.documents.rotate_right(1);
                "ok".into()
            }
            "problem" => {
                let severity = if first == "error" { Severity::Error } else { Severity::Warning };
                answer(problem(severity, &problem_error(ErrorType::Validation, second)))
            }
            // The log and metrics.
            "log" => {
                let level = [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error][number() as usize];
                log(level, &text(second), &[]);
                "ok".into()
            }
            "log-fields" => {
                let fields: Vec<(String, String)> = (0..number()).map(|n| (format!("f{n}"), text(second))).collect();
                log(Level::Info, "fields", &fields);
                "ok".into()
            }
            "observe" => {
                let (value, labels) = second.split_once(' ').unwrap_or((second, ""));
                let labels: Vec<String> = labels.split(',').filter(|label| !label.is_empty()).map(text).collect();
                observe(first, value.parse().unwrap_or_default(), &labels);
                "ok".into()
            }
            // Misbehaviour.
            "spin" => loop {
                std::hint::black_box(());
            },
            "panic" => panic!("{rest}"),
            "trap" => std::arch::wasm32::unreachable(),
            "recurse" => recurse(1).to_string(),
            "allocate" => {
                HELD.with_borrow_mut(|held| held.push(vec![1; number() as usize]));
                "ok".into()
            }
            "grow" => (std::arch::wasm32::memory_grow::<0>(number() as usize) as isize).to_string(),
            "repeat" => {
                let mut last = String::new();
                for _ in 0..number() {
                    last = self.step(second);
                }
                last
            }
            // How it ends.
            "skip" => self.ends(Ok(Outcome::Skipped(text(rest)))),
            "suspend" => {
                let awaits = second.split(' ').map(text).collect();
                self.ends(Ok(Outcome::Suspended(Suspension { reason: "r".repeat(2_000), retry_after_ms: number(), awaits })))
            }
            "reject" => self.ends(Ok(Outcome::Rejected(problem_error(ErrorType::Unsupported, rest)))),
            "fail" => self.ends(Err(problem_error(error_type(first), second))),
            unknown => format!("there is no step `{unknown}`"),
        }
    }

    fn ends(&mut self, end: Result<Outcome, ConversionError>) -> String {
        self.end = Some(end);
        "ok".into()
    }

    fn with_document(&self, action: impl FnOnce(&Document) -> Result<(), IoError>) -> String {
        match self.documents.last() {
            Some(document) => answer(action(document)),
            None => "no document".into(),
        }
    }

    fn read_all(&self) -> String {
        let mut total = 0;
        loop {
            match self.input().read(64 << 10) {
                Ok(bytes) if bytes.is_empty() => return total.to_string(),
                Ok(bytes) => total += bytes.len(),
                Err(error) => return told(error),
            }
        }
    }

    fn content(&self) -> String {
        let mut content = Vec::new();
        while let Ok(bytes) = self.input().read(64 << 10)
            && !bytes.is_empty()
        {
            content.extend(bytes);
        }
        String::from_utf8_lossy(&content).into_owned()
    }

    fn copy(&self) -> String {
        let input = self.input();
        self.with_document(|document| {
            loop {
                let bytes = input.read(64 << 10)?;
                if bytes.is_empty() {
                    return Ok(());
                }
                document.write(&bytes)?;
            }
        })
    }
}

fn answer(result: Result<(), IoError>) -> String {
    result.map_or_else(told, |()| "ok".into())
}

fn told(error: IoError) -> String {
    match error {
        IoError::Limit(text) => format!("limit: {text}"),
        IoError::NotFound(text) => format!("not-found: {text}"),
        IoError::Failed(text) => format!("failed: {text}"),
    }
}

/// `@1000` is 1000 times `x`; `\n` and `\e` are a line break and an escape.
fn text(script: &str) -> String {
    match script.strip_prefix('@').and_then(|count| count.parse().ok()) {
        Some(count) => "x".repeat(count),
        None => script.replace("\\n", "\n").replace("\\e", "\u{1b}"),
    }
}

fn problem_error(kind: ErrorType, script: &str) -> ConversionError {
    let at = Some(Location { line: Some(3), column: Some(7), offset: None });
    ConversionError { kind, code: text("@100"), message: text(script), at }
}

fn error_type(name: &str) -> ErrorType {
    match name {
        "malformed" => ErrorType::Malformed,
        "encoding" => ErrorType::Encoding,
        "validation" => ErrorType::Validation,
        "missing-field" => ErrorType::MissingField,
        "unsupported" => ErrorType::Unsupported,
        "upstream" => ErrorType::Upstream,
        _ => ErrorType::Internal,
    }
}

/// Uses the engine's stack alone, not the one that Rust keeps in linear memory.
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    static BOTTOM: AtomicU64 = AtomicU64::new(u64::MAX);
    if depth == BOTTOM.load(Ordering::Relaxed) { 0 } else { recurse(depth + 1).rotate_left(3) ^ BOTTOM.load(Ordering::Relaxed) }
}
