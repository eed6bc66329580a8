//! `document` in the contract's interface `io`: what the guest writes, counted over all documents of the call.

use std::collections::HashSet;

use wasmtime::component::Resource;

use super::bindings::dropforge::converter::io::HostDocument;
use super::media_type;
use super::state::{HostError, State, failed};
use super::types::{Document, DocumentSink, DocumentWriter, ErrorType};

const MAX_MEDIA_TYPE: usize = 255;
const MAX_NAME: usize = 1_024;
const MAX_KEY: usize = 1_024;
const MAX_ATTRIBUTES: usize = 256;
const MAX_ATTRIBUTE_NAME: usize = 128;
const MAX_ATTRIBUTE_VALUE: usize = 64 << 10;
/// Names, media types, keys and attributes of all documents together. They stay in the host's memory until the call is over, unlike the
/// documents' bytes: without a bound of their own, 10,000 documents could hold 160 GB of attributes.
const MAX_METADATA: usize = 64 << 20;

/// What stands behind the guest's handle of a document: its number.
pub struct OpenDocument(u32);

/// A document from its creation on. It outlives its handle.
struct Entry {
    document: Document,
    /// `None` once it is finished, or was dropped unfinished.
    writer: Option<Box<dyn DocumentWriter>>,
    finished: bool,
}

/// The documents of one call.
pub struct Documents {
    /// `None` where documents may not be made.
    sink: Option<Box<dyn DocumentSink>>,
    entries: Vec<Entry>,
    /// The keys of finished documents.
    keys: HashSet<String>,
    /// Written to all documents, finished or not.
    bytes: u64,
    /// Held in names, media types, keys and attributes.
    metadata: usize,
}

impl Documents {
    /// No documents yet.
    pub fn new(sink: Option<Box<dyn DocumentSink>>) -> Self {
        Documents { sink, entries: Vec::new(), keys: HashSet::new(), bytes: 0, metadata: 0 }
    }

    /// The first document that was written to and is not finished.
    pub fn unfinished(&self) -> Option<&Document> {
        self.entries.iter().find(|entry| !entry.finished && entry.document.bytes > 0).map(|entry| &entry.document)
    }

    /// The finished documents in the order of their creation.
    pub fn into_finished(self) -> Vec<Document> {
        self.entries.into_iter().filter(|entry| entry.finished).map(|entry| entry.document).collect()
    }

    /// Bytes held in names, media types, keys and attributes.
    pub fn metadata(&self) -> usize {
        self.metadata
    }

    /// The entry behind a handle. The number came from `entries`, which never shrinks.
    fn get(&mut self, number: u32) -> Result<&mut Entry, HostError> {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        self.entries.get_mut(index).ok_or_else(|| HostError::Trap(wasmtime::Error::msg("a document handle without a document")))
    }

    fn get_unfinished(&mut self, number: u32) -> Result<&mut Entry, HostError> {
        let entry = self.get(number)?;
        if entry.finished { failed("the document is finished") } else { Ok(entry) }
    }
}

impl State {
    /// Begins a document.
    pub fn begin_document(&mut self, media_type: String, name: String) -> Result<Resource<OpenDocument>, HostError> {
        self.begin()?;
        self.only_in_convert("create-document")?;
        if media_type.len() > MAX_MEDIA_TYPE || !media_type::is_valid(&media_type) {
            return failed(format!("the media type must be `type/subtype` with optional parameters, at most {MAX_MEDIA_TYPE} bytes"));
        }
        if name.is_empty() || name.len() > MAX_NAME {
            return failed(format!("the document's name must have 1 to {MAX_NAME} bytes"));
        }
        let number = u32::try_from(self.documents.entries.len()).unwrap_or(u32::MAX);
        let limit = self.limits.documents;
        if number >= limit {
            let message = format!("the converter began more than {limit} documents, its limit `documents`");
            return Err(self.fail(ErrorType::OutputLimit, "documents", message));
        }
        self.charge_metadata(media_type.len() + name.len())?;
        self.open_handle()?;
        let Some(sink) = &mut self.documents.sink else { return failed("no documents can be made here") };
        let writer = match sink.create(number, &media_type, &name) {
            Ok(writer) => writer,
            Err(error) => return Err(self.fail(ErrorType::Io, "write", format!("cannot begin the document `{name}`: {error}"))),
        };
        let document = Document { number, media_type, name, attributes: Vec::new(), key: None, bytes: 0, digest: None };
        self.documents.entries.push(Entry { document, writer: Some(writer), finished: false });
        Ok(self.table.push(OpenDocument(number))?)
    }

    fn document_number(&self, this: &Resource<OpenDocument>) -> Result<u32, HostError> {
        Ok(self.table.get(this)?.0)
    }

    fn charge_metadata(&mut self, bytes: usize) -> Result<(), HostError> {
        let total = self.documents.metadata.saturating_add(bytes);
        if total > MAX_METADATA {
            let message = format!("the names, keys and attributes of all documents have more than {MAX_METADATA} bytes in all");
            return Err(self.fail(ErrorType::OutputLimit, "metadata", message));
        }
        self.documents.metadata = total;
        Ok(())
    }

    fn write_failed(&mut self, number: u32, error: &std::io::Error) -> HostError {
        self.fail(ErrorType::Io, "write", format!("cannot write document {number}: {error}"))
    }
}

impl HostDocument for State {
    fn write(&mut self, this: Resource<OpenDocument>, bytes: Vec<u8>) -> Result<(), HostError> {
        self.begin()?;
        let number = self.document_number(&this)?;
        self.documents.get_unfinished(number)?;
        let added = bytes.len() as u64;
        let limit = self.limits.output_bytes;
        if self.documents.bytes.saturating_add(added) > limit {
            let message = format!("the converter wrote more than {limit} bytes of documents, its limit `output_bytes`");
            return Err(self.fail(ErrorType::OutputLimit, "output_bytes", message));
        }
        self.documents.bytes += added;
        let entry = self.documents.get_unfinished(number)?;
        entry.document.bytes += added;
        match entry.writer.as_mut().map_or(Ok(()), |writer| writer.write(&bytes)) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.write_failed(number, &error)),
        }
    }

    fn set_attribute(&mut self, this: Resource<OpenDocument>, name: String, value: String) -> Result<(), HostError> {
        self.begin()?;
        let number = self.document_number(&this)?;
        let attributes = &self.documents.get_unfinished(number)?.document.attributes;
        if name.is_empty() || name.len() > MAX_ATTRIBUTE_NAME || name.chars().any(char::is_control) {
            return failed(format!("an attribute's name must have 1 to {MAX_ATTRIBUTE_NAME} bytes without control characters"));
        }
        if value.len() > MAX_ATTRIBUTE_VALUE {
            return failed(format!("the value of the attribute `{name}` has more than {MAX_ATTRIBUTE_VALUE} bytes"));
        }
        let place = attributes.binary_search_by(|(other, _)| other.as_str().cmp(&name));
        if place.is_err() && attributes.len() >= MAX_ATTRIBUTES {
            return failed(format!("the document has {MAX_ATTRIBUTES} attributes already"));
        }
        self.charge_metadata(name.len() + value.len())?;
        let attributes = &mut self.documents.get_unfinished(number)?.document.attributes;
        match place {
            Ok(index) => {
                let replaced = attributes.get_mut(index).map(|attribute| std::mem::replace(attribute, (name, value)));
                self.documents.metadata -= replaced.map_or(0, |(name, value)| name.len() + value.len());
            }
            Err(index) => attributes.insert(index, (name, value)),
        }
        Ok(())
    }

    fn set_key(&mut self, this: Resource<OpenDocument>, key: String) -> Result<(), HostError> {
        self.begin()?;
        let number = self.document_number(&this)?;
        self.documents.get_unfinished(number)?;
        if key.is_empty() || key.len() > MAX_KEY {
            return failed(format!("a key must have 1 to {MAX_KEY} bytes"));
        }
        self.charge_metadata(key.len())?;
        let replaced = self.documents.get_unfinished(number)?.document.key.replace(key);
        self.documents.metadata -= replaced.map_or(0, |key| key.len());
        Ok(())
    }

    fn finish(&mut self, this: Resource<OpenDocument>) -> Result<(), HostError> {
        self.begin()?;
        let number = self.document_number(&this)?;
        let key = self.documents.get_unfinished(number)?.document.key.clone();
        if key.as_ref().is_some_and(|key| self.documents.keys.contains(key)) {
            return failed("another document of this conversion has the same key");
        }
        let entry = self.documents.get_unfinished(number)?;
        match entry.writer.take().map_or(Ok(None), |writer| writer.finish()) {
            Ok(digest) => entry.document.digest = digest,
            Err(error) => return Err(self.write_failed(number, &error)),
        }
        entry.finished = true;
        self.documents.keys.extend(key);
        Ok(())
    }

    fn drop(&mut self, this: Resource<OpenDocument>) -> wasmtime::Result<()> {
        let OpenDocument(number) = self.table.delete(this)?;
        self.handles = self.handles.saturating_sub(1);
        if let Ok(entry) = self.documents.get_unfinished(number) {
            entry.writer = None;
            let attributes = std::mem::take(&mut entry.document.attributes);
            self.documents.metadata -= attributes.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        }
        Ok(())
    }
}
