//! One span, in the form in which it is sent.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue as AnyValueMessage, KeyValue};
use opentelemetry_proto::tonic::trace::v1 as proto;

use super::{Facts, Shared};
use crate::trace_context::TraceParent;

/// The longest text of an attribute or a status, in bytes: what files and servers say has no bound.
const MAX_TEXT: usize = 1024;
/// The bit of a span's flags that says that the next is known, and the next, that its parent is in another process.
const HAS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// What a span is among those of other systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Within Dropforge.
    Internal,
    /// It answers a request.
    Server,
    /// It makes requests.
    Client,
    /// It takes what somebody else has sent, later.
    Consumer,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text; what is long is cut.
    Text(String),
    /// A number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(cut(text))
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Value {
        Value::Flag(flag)
    }
}

/// A part of a job's way that is under way. It ends when it is dropped.
#[must_use = "a span ends as soon as it is dropped"]
pub struct Span(State);

enum State {
    Off,
    /// Nothing is recorded, but others are told of the trace.
    Unrecorded(TraceParent),
    Recorded(Box<Recorded>),
}

struct Recorded {
    shared: Arc<Shared>,
    context: TraceParent,
    span: proto::Span,
}

impl Span {
    pub(super) fn off() -> Span {
        Span(State::Off)
    }

    pub(super) fn unrecorded(context: TraceParent) -> Span {
        Span(State::Unrecorded(context))
    }

    pub(super) fn begin(
        shared: &Arc<Shared>,
        context: TraceParent,
        parent: Option<[u8; 8]>,
        kind: Kind,
        name: &str,
        began: SystemTime,
        attributes: &[KeyValue],
    ) -> Span {
        let span = proto::Span {
            trace_id: context.trace_id.to_vec(),
            span_id: context.span_id.to_vec(),
            parent_span_id: parent.map(|id| id.to_vec()).unwrap_or_default(),
            name: name.to_owned(),
            kind: match kind {
                Kind::Internal => proto::span::SpanKind::Internal,
                Kind::Server => proto::span::SpanKind::Server,
                Kind::Client => proto::span::SpanKind::Client,
                Kind::Consumer => proto::span::SpanKind::Consumer,
            } as i32,
            // Only the span of a job itself can be the child of another process's.
            flags: u32::from(context.sampled) | HAS_REMOTE | if name == "job" && parent.is_some() { IS_REMOTE } else { 0 },
            start_time_unix_nano: nanoseconds(began),
            attributes: attributes.to_vec(),
            ..proto::Span::default()
        };
        Span(State::Recorded(Box::new(Recorded { shared: Arc::clone(shared), context, span })))
    }

    /// What others are told whose work is a part of this one; none where nothing is traced.
    pub fn context(&self) -> Option<TraceParent> {
        match &self.0 {
            State::Off => None,
            State::Unrecorded(context) => Some(*context),
            State::Recorded(recorded) => Some(recorded.context),
        }
    }

    /// Whether anybody will see what is set.
    pub fn is_recorded(&self) -> bool {
        matches!(self.0, State::Recorded(_))
    }

    /// As if it had begun at this time.
    pub fn since(mut self, began: SystemTime) -> Span {
        if let State::Recorded(recorded) = &mut self.0 {
            recorded.span.start_time_unix_nano = nanoseconds(began);
        }
        self
    }

    /// Sets an attribute.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let State::Recorded(recorded) = &mut self.0 {
            recorded.span.attributes.push(attribute(name, value.into()));
        }
    }

    /// Says that it did not come to a good end: the kind of error, out of a closed set, and in words.
    pub fn failed(&mut self, error_type: &str, message: &str) {
        self.set("error.type", error_type);
        if let State::Recorded(recorded) = &mut self.0 {
            recorded.span.status = Some(proto::Status { code: proto::status::StatusCode::Error as i32, message: cut(message) });
        }
    }

    /// Ends it at another time than now.
    pub fn end_at(mut self, ended: SystemTime) {
        if let State::Recorded(recorded) = &mut self.0 {
            recorded.span.end_time_unix_nano = nanoseconds(ended);
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let State::Recorded(recorded) = &mut self.0 {
            let mut span = std::mem::take(&mut recorded.span);
            if span.end_time_unix_nano == 0 {
                span.end_time_unix_nano = nanoseconds(SystemTime::now());
            }
            // A clock that was set back must not give a span that ends before it begins.
            span.end_time_unix_nano = span.end_time_unix_nano.max(span.start_time_unix_nano);
            recorded.shared.take(span);
        }
    }
}

/// What every span of a job says.
pub(super) fn common(facts: &Facts<'_>) -> Vec<KeyValue> {
    let route = facts.route.map(|route| attribute("dropforge.route", route.into()));
    let file = facts.file.rsplit('/').next().unwrap_or(facts.file);
    let others = [
        attribute("dropforge.job.id", facts.id.into()),
        attribute("file.name", file.into()),
        attribute("file.path", facts.file.into()),
        attribute("file.size", facts.bytes.into()),
    ];
    route.into_iter().chain(others).collect()
}

pub(super) fn attribute(name: &str, value: Value) -> KeyValue {
    let value = match value {
        Value::Text(text) => AnyValue::StringValue(text),
        Value::Number(number) => AnyValue::IntValue(number),
        Value::Flag(flag) => AnyValue::BoolValue(flag),
    };
    KeyValue { key: name.to_owned(), value: Some(AnyValueMessage { value: Some(value) }), ..KeyValue::default() }
}

fn cut(text: &str) -> String {
    text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or_default().to_owned()
}

fn nanoseconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().try_into().unwrap_or(u64::MAX)
}
