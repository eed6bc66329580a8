//! The words that labels have: closed sets, and who this instance is. It knows nothing of the families that they belong to.

/// The value of the label `converter` where no converter took the file.
pub const NO_CONVERTER: &str = "none";

/// The value of the label `converter` for converters beyond the most that are told apart.
pub(super) const OTHER_CONVERTERS: &str = "other";

/// The values of the label `result` of `trace_spans_total`.
pub(super) const SPAN_RESULTS: [&str; 2] = ["exported", "dropped"];

pub(super) const INTAKE_RESULTS: [&str; 4] = ["queued", "duplicate", "ignored", "error"];
pub(super) const LOAD_RESULTS: [&str; 4] = ["loaded", "unchanged", "refused", "unloaded"];
pub(super) const DELIVERY_STATUSES: [&str; 2] = ["success", "error"];

/// Who this instance is, for `instance_info`.
#[derive(Debug, Clone, Default)]
pub struct Instance {
    /// The configuration's `instance_id`.
    pub instance_id: String,
    /// The configuration's `station`.
    pub station: String,
    /// The configuration's `location`.
    pub location: String,
}

/// A queue as the label `queue_name` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueName {
    /// Jobs that wait for their conversion.
    Converter,
    /// Documents that wait for their delivery.
    Delivery,
}

impl QueueName {
    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            QueueName::Converter => "converter_queue",
            QueueName::Delivery => "delivery_queue",
        }
    }
}

/// How a conversion ended, as the label `status` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConversionStatus {
    /// Converted, and nothing is missing.
    Success,
    /// Converted, with parts of the input reported as problems.
    Partial,
    /// Failed, with an error type.
    Error,
    /// Not this converter's file.
    Skipped,
    /// To be tried again later.
    Suspended,
    /// Will never convert.
    Rejected,
}

impl ConversionStatus {
    /// Every status, in the order in which they are documented.
    pub const ALL: [ConversionStatus; 6] = [
        ConversionStatus::Success,
        ConversionStatus::Partial,
        ConversionStatus::Error,
        ConversionStatus::Skipped,
        ConversionStatus::Suspended,
        ConversionStatus::Rejected,
    ];

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            ConversionStatus::Success => "success",
            ConversionStatus::Partial => "partial",
            ConversionStatus::Error => "error",
            ConversionStatus::Skipped => "skipped",
            ConversionStatus::Suspended => "suspended",
            ConversionStatus::Rejected => "rejected",
        }
    }
}
