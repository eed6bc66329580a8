//! Runs a converter natively, against memory, as the host would: for `cargo test`.
//!
//! ```
//! # use dropforge_sdk::prelude::*;
//! # struct Count;
//! # impl Converter for Count {
//! #     type Options = NoOptions;
//! #     fn describe() -> Descriptor { Descriptor::new("count", "1.0.0", "Counts lines").patterns(["*.txt"]) }
//! #     fn convert(input: &mut Input, _: NoOptions, output: &mut Output) -> Result<Outcome> {
//! #         let lines = input.lines().count();
//! #         let mut document = output.document("text/plain", &input.name_with_extension("count"))?;
//! #         write!(document, "{lines}")?;
//! #         document.finish()?;
//! #         Ok(Outcome::Converted)
//! #     }
//! # }
//! use dropforge_sdk::testkit::{TestInput, convert, probe};
//!
//! let run = convert::<Count>(TestInput::new("notes.txt", "one\ntwo\n"), serde_json::json!({}));
//! assert_eq!(run.documents[0].text(), "2");
//! assert_eq!(probe::<Count>(TestInput::new("notes.txt", "")).confidence, 50);
//! ```

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::rc::Rc;

use crate::input::{HostError, RawInput};
use crate::log::Level;
use crate::lookup::{LookupError, Response};
use crate::output::{RawDocument, RawOutput};
use crate::{Converter, Error, Input, Outcome, Output, Probe, Result, Severity};

/// Answers look-ups in a test: a path and its query to what the server would say.
type Answers = Box<dyn FnMut(&str, &[(&str, &str)]) -> Result<Response, LookupError>>;

thread_local! {
    static LOOKUPS: RefCell<Option<Answers>> = const { RefCell::new(None) };
    static LOGS: RefCell<Vec<LogLine>> = const { RefCell::new(Vec::new()) };
    static OBSERVATIONS: RefCell<Vec<Observation>> = const { RefCell::new(Vec::new()) };
}

/// An input in memory.
#[derive(Debug, Clone, Default)]
pub struct TestInput {
    path: String,
    bytes: Vec<u8>,
    media_type: Option<String>,
    modified: Option<(i64, u32)>,
    attributes: Vec<(String, String)>,
    members: Vec<(String, Vec<u8>)>,
}

impl TestInput {
    /// An input of a path (its last part is the name) and bytes.
    pub fn new(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        TestInput { path: path.into(), bytes: bytes.into(), ..TestInput::default() }
    }

    /// Sets the media type.
    pub fn media_type(mut self, media_type: impl Into<String>) -> Self {
        self.media_type = Some(media_type.into());
        self
    }

    /// Sets when the file was modified: seconds since the epoch.
    pub fn modified(mut self, seconds: i64) -> Self {
        self.modified = Some((seconds, 0));
        self
    }

    /// Adds an attribute.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self.attributes.sort();
        self
    }

    /// Adds another file of the job.
    pub fn member(mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.members.push((name.into(), bytes.into()));
        self.members.sort();
        self
    }
}

/// What one run gave.
#[derive(Debug)]
pub struct Conversion {
    /// What `convert` returned, or the error `bad_output` that the host would make of it.
    pub result: Result<Outcome>,
    /// The finished documents, in the order of creation; empty unless converted.
    pub documents: Vec<TestDocument>,
    /// What was reported.
    pub problems: Vec<(Severity, Error)>,
    /// What was logged.
    pub logs: Vec<LogLine>,
    /// What was observed.
    pub observations: Vec<Observation>,
}

/// A finished document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestDocument {
    /// The media type.
    pub media_type: String,
    /// The suggested file name.
    pub name: String,
    /// Attributes in the order in which they were first set.
    pub attributes: Vec<(String, String)>,
    /// The key, if one was set.
    pub key: Option<String>,
    /// The content.
    pub bytes: Vec<u8>,
    finished: bool,
}

impl TestDocument {
    /// The content as text, with U+FFFD in place of what is not UTF-8.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The content as JSON; null where it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }

    /// One attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How important it is.
    pub level: Level,
    /// The message.
    pub message: String,
    /// Fields besides the message.
    pub fields: Vec<(String, String)>,
}

/// One observed value.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The metric's name.
    pub name: String,
    /// The value.
    pub value: f64,
    /// The labels' values.
    pub labels: Vec<String>,
}

/// Runs `convert` on an input with options (a JSON object; absent ones take their defaults).
pub fn convert<C: Converter>(input: TestInput, options: serde_json::Value) -> Conversion {
    LOGS.take();
    OBSERVATIONS.take();
    let written = Rc::new(RefCell::new(Written::default()));
    let result = crate::converter::parse_options::<C>(&options.to_string()).and_then(|options| {
        let mut output = Output::new(Box::new(Memory(Rc::clone(&written))));
        C::convert(&mut Input::new(Box::new(MemoryInput::new(input, u64::MAX))), options, &mut output)
    });
    let Written { documents, problems } = written.take();
    let forgotten = documents.iter().find(|document| !document.finished && !document.bytes.is_empty());
    let result = match (result, forgotten) {
        (Ok(Outcome::Converted), Some(document)) if !problems.iter().any(|(severity, _)| *severity == Severity::Error) => {
            Err(Error::internal(format!("document `{}` was written to and not finished", document.name)).code("bad_output"))
        }
        (result, _) => result,
    };
    let converted = matches!(result, Ok(Outcome::Converted));
    let documents = documents.into_iter().filter(|document| converted && document.finished).collect();
    Conversion { result, documents, problems, logs: LOGS.take(), observations: OBSERVATIONS.take() }
}

/// Runs `convert` on a file and writes its documents into another, one after the other, in the pieces in which they go to the host: what a
/// converter costs without a sandbox, for benchmarks.
///
/// # Errors
/// The converter's own; [`crate::ErrorType::Internal`] for a file that cannot be read or written.
pub fn convert_file<C: Converter>(input: &Path, options: serde_json::Value, output: &Path) -> Result<Outcome> {
    let options = crate::converter::parse_options::<C>(&options.to_string())?;
    let input = FileInput { name: input.file_name().unwrap_or_default().to_string_lossy().into_owned(), file: File::open(input)? };
    let file = Rc::new(File::create(output)?);
    C::convert(&mut Input::new(Box::new(input)), options, &mut Output::new(Box::new(FileOutput(file))))
}

/// The same for a converter that looks things up: `answers` is what the server would say.
pub fn convert_with_lookup<C: Converter>(
    input: TestInput,
    options: serde_json::Value,
    answers: impl FnMut(&str, &[(&str, &str)]) -> Result<Response, LookupError> + 'static,
) -> Conversion {
    LOOKUPS.set(Some(Box::new(answers)));
    let conversion = convert::<C>(input, options);
    LOOKUPS.take();
    conversion
}

/// Runs `probe` on an input, of which it sees the first 64 KiB and no members.
pub fn probe<C: Converter>(mut input: TestInput) -> Probe {
    input.members.clear();
    C::probe(&mut Input::new(Box::new(MemoryInput::new(input, 64 * 1024))))
}

/// The JSON Schema that the descriptor will hold.
pub fn options_schema<C: Converter>() -> serde_json::Value {
    serde_json::from_str(&crate::converter::options_schema::<C>()).unwrap_or_default()
}

pub(crate) fn look_up(path: &str, query: &[(&str, &str)]) -> Result<Response, LookupError> {
    LOOKUPS.with_borrow_mut(|answers| match answers {
        Some(answers) => answers(path, query),
        None => Err(LookupError::Denied("this test answers no look-ups: use `testkit::convert_with_lookup`".into())),
    })
}

pub(crate) fn record_log(level: Level, message: &str, fields: &[(&str, &str)]) {
    let fields = fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    LOGS.with_borrow_mut(|logs| logs.push(LogLine { level, message: message.into(), fields }));
}

pub(crate) fn record_observation(name: &str, value: f64, labels: &[&str]) {
    let labels = labels.iter().map(|label| (*label).into()).collect();
    OBSERVATIONS.with_borrow_mut(|all| all.push(Observation { name: name.into(), value, labels }));
}

struct MemoryInput {
    input: TestInput,
    readable: u64,
    at: Cell<u64>,
}

impl MemoryInput {
    fn new(input: TestInput, readable: u64) -> Self {
        MemoryInput { input, readable, at: Cell::new(0) }
    }
}

impl RawInput for MemoryInput {
    fn id(&self) -> String {
        format!("test:{}", self.input.path)
    }
    fn name(&self) -> String {
        self.input.path.rsplit('/').next().unwrap_or_default().into()
    }
    fn path(&self) -> String {
        self.input.path.clone()
    }
    fn size(&self) -> u64 {
        self.input.bytes.len() as u64
    }
    fn media_type(&self) -> Option<String> {
        self.input.media_type.clone()
    }
    fn modified(&self) -> Option<(i64, u32)> {
        self.input.modified
    }
    fn attributes(&self) -> Vec<(String, String)> {
        self.input.attributes.clone()
    }
    fn read(&self, max: u32) -> Result<Vec<u8>> {
        let end = self.readable.min(self.size());
        let from = self.at.get().min(end);
        let to = from.saturating_add(max.into()).min(end);
        self.at.set(to.max(self.at.get()));
        Ok(self.input.bytes.get(from as usize..to as usize).unwrap_or_default().to_vec())
    }
    fn seek(&self, offset: u64) -> Result<()> {
        self.at.set(offset);
        Ok(())
    }
    fn members(&self) -> Vec<String> {
        self.input.members.iter().map(|(name, _)| name.clone()).collect()
    }
    fn open_member(&self, name: &str) -> Result<Box<dyn RawInput>> {
        let member = self.input.members.iter().find(|(member, _)| member == name);
        let (name, bytes) = member.ok_or_else(|| Error::from_host(HostError::NotFound, format!("there is no member `{name}`")))?;
        let input = TestInput { attributes: self.input.attributes.clone(), ..TestInput::new(name.clone(), bytes.clone()) };
        Ok(Box::new(MemoryInput::new(input, u64::MAX)))
    }
}

#[derive(Default)]
struct Written {
    documents: Vec<TestDocument>,
    problems: Vec<(Severity, Error)>,
}

struct Memory(Rc<RefCell<Written>>);

struct MemoryDocument {
    written: Rc<RefCell<Written>>,
    index: usize,
}

impl RawOutput for Memory {
    fn create(&mut self, media_type: &str, name: &str) -> Result<Box<dyn RawDocument>> {
        let well_formed = media_type.split_once('/').is_some_and(|(kind, rest)| !kind.is_empty() && !rest.is_empty());
        if !well_formed || name.is_empty() || name.len() > 1024 {
            return Err(refused(format!("cannot create a document `{name}` of media type `{media_type}`")));
        }
        let mut written = self.0.borrow_mut();
        written.documents.push(TestDocument { media_type: media_type.into(), name: name.into(), ..TestDocument::default() });
        Ok(Box::new(MemoryDocument { written: Rc::clone(&self.0), index: written.documents.len() - 1 }))
    }
    fn problem(&mut self, severity: Severity, error: Error) -> Result<()> {
        self.0.borrow_mut().problems.push((severity, error));
        Ok(())
    }
}

impl MemoryDocument {
    fn open<T>(&self, change: impl FnOnce(&mut TestDocument) -> T) -> Result<T> {
        match self.written.borrow_mut().documents.get_mut(self.index) {
            Some(document) if !document.finished => Ok(change(document)),
            _ => Err(refused("the document is finished already".into())),
        }
    }
}

impl RawDocument for MemoryDocument {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.open(|document| document.bytes.extend_from_slice(bytes))
    }
    fn set_attribute(&mut self, name: &str, value: &str) -> Result<()> {
        self.open(|document| match document.attributes.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = value.into(),
            None => document.attributes.push((name.into(), value.into())),
        })
    }
    fn set_key(&mut self, key: &str) -> Result<()> {
        if key.is_empty() || key.len() > 1024 {
            return Err(refused("a key has 1 to 1,024 bytes".into()));
        }
        self.open(|document| document.key = Some(key.into()))
    }
    fn finish(&mut self) -> Result<()> {
        let key = self.open(|document| document.key.clone())?;
        let taken = key.is_some() && self.written.borrow().documents.iter().any(|other| other.finished && other.key == key);
        if taken {
            return Err(refused(format!("another document of this conversion has the key `{}`", key.unwrap_or_default())));
        }
        self.open(|document| document.finished = true)
    }
}

/// A file without members and attributes.
struct FileInput {
    name: String,
    file: File,
}

impl RawInput for FileInput {
    fn id(&self) -> String {
        self.name.clone()
    }
    fn name(&self) -> String {
        self.name.clone()
    }
    fn path(&self) -> String {
        self.name.clone()
    }
    fn size(&self) -> u64 {
        self.file.metadata().map_or(0, |metadata| metadata.len())
    }
    fn media_type(&self) -> Option<String> {
        None
    }
    fn modified(&self) -> Option<(i64, u32)> {
        None
    }
    fn attributes(&self) -> Vec<(String, String)> {
        Vec::new()
    }
    fn read(&self, max: u32) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(max as usize);
        (&self.file).take(max.into()).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
    fn seek(&self, offset: u64) -> Result<()> {
        (&self.file).seek(SeekFrom::Start(offset))?;
        Ok(())
    }
    fn members(&self) -> Vec<String> {
        Vec::new()
    }
    fn open_member(&self, name: &str) -> Result<Box<dyn RawInput>> {
        Err(Error::from_host(HostError::NotFound, format!("there is no member `{name}`")))
    }
}

/// Documents in one file.
struct FileOutput(Rc<File>);

impl RawOutput for FileOutput {
    fn create(&mut self, _: &str, _: &str) -> Result<Box<dyn RawDocument>> {
        Ok(Box::new(FileOutput(Rc::clone(&self.0))))
    }
    fn problem(&mut self, _: Severity, _: Error) -> Result<()> {
        Ok(())
    }
}

impl RawDocument for FileOutput {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        Ok((&*self.0).write_all(bytes)?)
    }
    fn set_attribute(&mut self, _: &str, _: &str) -> Result<()> {
        Ok(())
    }
    fn set_key(&mut self, _: &str) -> Result<()> {
        Ok(())
    }
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

fn refused(message: String) -> Error {
    Error::from_host(HostError::Failed, message)
}
