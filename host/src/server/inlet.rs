//! What the server needs of the service to take files that are posted. The server knows how requests look; what becomes of a file it asks here.

use serde_json::{Map, Value};

use crate::trace_context::TraceParent;

/// Takes files that are posted. Calls come from threads that may block.
pub trait Inlet: Send + Sync {
    /// Begins to take a file for a route; bytes follow through the [`Upload`].
    ///
    /// # Errors
    /// Why it is not taken.
    fn begin(&self, request: UploadRequest) -> Result<Box<dyn Upload>, Refusal>;

    /// The bytes that [`Inlet::convert`] takes at most.
    fn convert_limit(&self) -> u64;

    /// Converts a file and gives its documents. Nothing is queued or kept.
    ///
    /// # Errors
    /// Why there are no documents.
    fn convert(&self, request: ConvertRequest, content: Vec<u8>) -> Result<Converted, Refusal>;
}

/// A file on its way in. Dropping it discards what has come.
pub trait Upload: Send {
    /// Appends bytes.
    ///
    /// # Errors
    /// Why no more is taken.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal>;

    /// All bytes have come: makes the file and its job durable.
    ///
    /// # Errors
    /// Why that did not go.
    fn finish(self: Box<Self>) -> Result<Receipt, Refusal>;
}

/// A file that is about to be posted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UploadRequest {
    /// The route that it is for.
    pub route: String,
    /// Its name, without folders.
    pub name: String,
    /// What the client calls this request, so that it may repeat it.
    pub key: Option<String>,
    /// Its size, if the client says.
    pub length: Option<u64>,
    /// What the client says that it is: lower case, without parameters.
    pub media_type: Option<String>,
    /// The span of the client that it is a part of.
    pub trace: Option<TraceParent>,
}

/// What became of a posted file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The id of its job.
    pub job: String,
    /// False where an earlier request with the same key had brought it.
    pub new: bool,
    /// SHA-256 of the file, in lower-case hexadecimal.
    pub digest: String,
    /// Its size.
    pub bytes: u64,
}

/// A file that is to be converted at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConvertRequest {
    /// The converter's name; none asks all of them.
    pub converter: Option<String>,
    /// The route whose converter, options, context and limits hold.
    pub route: Option<String>,
    /// The converter's options, as the text of a JSON object; they go before those of the route.
    pub options: Option<String>,
    /// The file's name, without folders.
    pub name: String,
    /// What the client says that it is: lower case, without parameters.
    pub media_type: Option<String>,
    /// The span of the client that it is a part of.
    pub trace: Option<TraceParent>,
}

/// What a file was converted to.
#[derive(Debug, Clone, PartialEq)]
pub struct Converted {
    /// Who converted it.
    pub converter: String,
    /// That one's version.
    pub version: String,
    /// False where parts of the file could not be converted.
    pub whole: bool,
    /// What could not, and what was noticed: a JSON list.
    pub problems: Value,
    /// In their order.
    pub documents: Vec<ConvertedDocument>,
}

/// A document, with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvertedDocument {
    /// As the converter suggested it.
    pub name: String,
    /// As the converter said.
    pub media_type: String,
    /// In the order of their names.
    pub attributes: Vec<(String, String)>,
    /// What it is about.
    pub key: Option<String>,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// Why a file was not taken or not converted. Each text is a sentence for the person who reads it.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// The request makes no sense.
    Bad(String),
    /// The route takes no files this way.
    Forbidden(String),
    /// There is no such route or converter.
    NotFound(String),
    /// The same key came with other bytes before.
    Conflict(String),
    /// It is larger than the limit.
    TooLarge(String),
    /// It was understood and cannot be converted; with what a program may read of that.
    Unprocessable(String, Map<String, Value>),
    /// Not now: try again after so many seconds.
    Busy(String, u64),
    /// The service failed.
    Failed(String),
}

impl Refusal {
    /// Its kind in one word, out of a closed set.
    pub fn kind(&self) -> &'static str {
        match self {
            Refusal::Bad(_) => "bad",
            Refusal::Forbidden(_) => "forbidden",
            Refusal::NotFound(_) => "not_found",
            Refusal::Conflict(_) => "conflict",
            Refusal::TooLarge(_) => "too_large",
            Refusal::Unprocessable(..) => "unprocessable",
            Refusal::Busy(..) => "busy",
            Refusal::Failed(_) => "failed",
        }
    }

    /// The sentence.
    pub fn detail(&self) -> &str {
        match self {
            Refusal::Bad(detail)
            | Refusal::Forbidden(detail)
            | Refusal::NotFound(detail)
            | Refusal::Conflict(detail)
            | Refusal::TooLarge(detail)
            | Refusal::Unprocessable(detail, _)
            | Refusal::Busy(detail, _)
            | Refusal::Failed(detail) => detail,
        }
    }
}
