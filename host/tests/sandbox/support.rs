//! A converter that follows a script, and a sink that keeps what it writes.

use std::io;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Instant;

use dropforge::sandbox::{
    Access, Conversion, ConversionError, Converter, Descriptor, DocumentSink, DocumentWriter, Input, InputId, Limits, Lookup, LookupError,
    LookupResponse, Member, MemorySource, Sandbox, Source, compile,
};

use crate::guests;

/// One sandbox for all tests, as the daemon has one.
pub static SANDBOX: LazyLock<Sandbox> = LazyLock::new(|| Sandbox::new().unwrap());
/// The guest that follows scripts.
pub static CONVERTER: LazyLock<Converter> = LazyLock::new(|| load(&guests::component("probe-guest", &[])));
pub static DESCRIPTOR: LazyLock<Descriptor> = LazyLock::new(|| CONVERTER.describe(&Limits::for_describe()).unwrap());

/// Compiles and loads a component.
pub fn load(component: &[u8]) -> Converter {
    let folder = tempfile::tempdir().unwrap();
    let compiled = folder.path().join("compiled");
    std::fs::write(&compiled, compile(component).unwrap()).unwrap();
    SANDBOX.load(&compiled).unwrap()
}

/// A server that says back what it was asked.
pub struct Echo;

impl Lookup for Echo {
    fn get(&self, path: &str, query: &[(String, String)], until: Instant, most_bytes: u64) -> Result<LookupResponse, LookupError> {
        match path {
            "/stall" => {
                std::thread::sleep(until.saturating_duration_since(Instant::now()));
                return Err(LookupError::Unavailable("it did not answer".to_owned()));
            }
            "/denied" => return Err(LookupError::Denied("not this one".to_owned())),
            "/other" => return Err(LookupError::Other("something else".to_owned())),
            _ => {}
        }
        let body = format!("{path} {query:?}").into_bytes();
        if body.len() as u64 > most_bytes {
            return Err(LookupError::Budget(format!("more than {most_bytes} bytes")));
        }
        Ok(LookupResponse { status: 203, media_type: "text/plain".to_owned(), body })
    }
}

/// Every capability.
pub fn everything() -> Access {
    Access { clocks: true, random: true, lookup: Some(Arc::new(Echo)) }
}

/// A document as the sink saw it.
#[derive(Debug, Clone, Default)]
pub struct Written {
    pub media_type: String,
    pub name: String,
    pub bytes: Vec<u8>,
    pub finished: bool,
    pub gone: bool,
}

/// A sink in memory. `fails_at` bytes it gives an error.
#[derive(Clone, Default)]
pub struct Sink {
    pub documents: Arc<Mutex<Vec<Written>>>,
    pub fails_at: Option<usize>,
}

struct Writer(Sink, usize);

impl DocumentSink for Sink {
    fn create(&mut self, number: u32, media_type: &str, name: &str) -> io::Result<Box<dyn DocumentWriter>> {
        let mut documents = self.documents.lock().unwrap();
        assert_eq!(documents.len(), number as usize, "numbers follow each other");
        documents.push(Written { media_type: media_type.to_owned(), name: name.to_owned(), ..Written::default() });
        Ok(Box::new(Writer(self.clone(), number as usize)))
    }
}

impl DocumentWriter for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let document = &mut self.0.documents.lock().unwrap()[self.1];
        document.bytes.extend_from_slice(bytes);
        if self.0.fails_at.is_some_and(|limit| document.bytes.len() >= limit) {
            return Err(io::Error::other("no space left on /secret/place"));
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<Option<String>> {
        self.0.documents.lock().unwrap()[self.1].finished = true;
        Ok(None)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.documents.lock().unwrap()[self.1].gone = true;
    }
}

/// A source whose file breaks or ends at `breaks_at`.
pub struct BrokenSource {
    pub size: u64,
    pub breaks_at: u64,
    pub error: Option<io::ErrorKind>,
}

impl Source for BrokenSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if offset < self.breaks_at {
            return Ok(buffer.len().min((self.breaks_at - offset) as usize));
        }
        self.error.map_or(Ok(0), |kind| Err(io::Error::new(kind, "bad sector of /secret/place")))
    }
}

/// One call of the converter, as a test describes it.
pub struct Case {
    pub input: Input,
    pub limits: Limits,
    pub sink: Sink,
}

/// What came of it.
pub struct Ran {
    pub conversion: Conversion,
    pub written: Vec<Written>,
}

impl Case {
    pub fn new(bytes: &[u8]) -> Case {
        Case {
            input: Input {
                id: InputId::Known("job-1".to_owned()),
                name: "panel-7.txt".to_owned(),
                path: "line-3/panel-7.txt".to_owned(),
                media_type: None,
                modified: Some((-2, 500)),
                attributes: vec![("route".to_owned(), "ict".to_owned()), ("station".to_owned(), "s1".to_owned())],
                source: Box::new(MemorySource(bytes.into())),
                members: Vec::new(),
            },
            limits: Limits::default(),
            sink: Sink::default(),
        }
    }

    pub fn member(mut self, name: &str, bytes: &'static [u8]) -> Case {
        let open = move || -> io::Result<Box<dyn Source>> { Ok(Box::new(MemorySource(bytes.into()))) };
        self.input.members.push(Member { name: name.to_owned(), open: Box::new(open) });
        self
    }

    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Case {
        change(&mut self.limits);
        self
    }

    pub fn convert(self, script: &str) -> Ran {
        let sink = Box::new(self.sink.clone());
        let conversion = CONVERTER.convert(self.input, script, &DESCRIPTOR.metrics, sink, &self.limits);
        let written = self.sink.documents.lock().unwrap().clone();
        Ran { conversion, written }
    }
}

/// Runs a script on an input of a few bytes.
pub fn convert(script: &str) -> Ran {
    Case::new(b"hello world").convert(script)
}

impl Ran {
    /// What the guest logged as the answer to each step.
    pub fn answers(&self) -> Vec<String> {
        let lines = self.conversion.log_tail.iter();
        lines.filter_map(|line| Some(line.message.split_once(" -> ")?.1.to_owned())).collect()
    }

    /// The error that it ended with.
    pub fn error(&self) -> &ConversionError {
        self.conversion.result.as_ref().expect_err("the conversion should have failed")
    }
}

/// Checks that each answer begins with what is expected.
#[track_caller]
pub fn assert_answers(ran: &Ran, expected: &[&str]) {
    let answers = ran.answers();
    assert_eq!(answers.len(), expected.len(), "{answers:#?}, {:?}", ran.conversion.result);
    for (answer, expected) in answers.iter().zip(expected) {
        let fits = if expected.ends_with(':') { answer.starts_with(expected) } else { answer == expected };
        assert!(fits, "{answer:?} instead of {expected:?} in {answers:#?}");
    }
}
