//! The series of each converter, held ready: who converts finds them without a lock, whatever a scrape is doing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use prometheus::{Histogram, IntCounter, IntGauge};

use super::families::Families;
use super::labels::{ConversionStatus, NO_CONVERTER, OTHER_CONVERTERS};
use crate::sandbox::{ErrorType, Usage};

/// Names that the label `converter` takes in the life of the process, so that a folder full of plugins cannot grow the metrics for ever.
pub(super) const MAX_CONVERTERS: usize = 256;

/// How conversions ended, for one value of the label `converter`.
pub(super) struct Outcomes {
    statuses: [IntCounter; ConversionStatus::ALL.len()],
    errors: [IntCounter; ErrorType::ALL.len()],
}

/// The series of one converter.
pub(super) struct ConverterSeries {
    /// The value of the label.
    pub(super) label: String,
    pub(super) outcomes: Outcomes,
    duration: Histogram,
    input_bytes: IntCounter,
    output_bytes: IntCounter,
    documents: IntCounter,
    peak_memory: IntGauge,
    highest: AtomicU64,
}

/// The converters that were ever loaded, by their names.
pub(super) struct Converters {
    /// Conversions that belong to no converter.
    pub(super) none: Outcomes,
    known: ArcSwap<HashMap<String, Arc<ConverterSeries>>>,
    /// Whoever adds one has this.
    adding: Mutex<()>,
}

impl Outcomes {
    fn new(families: &Families, label: &str) -> Outcomes {
        Outcomes {
            statuses: ConversionStatus::ALL.map(|status| families.conversions.with_label_values(&[label, status.as_str()])),
            errors: ErrorType::ALL.map(|error_type| families.conversion_errors.with_label_values(&[label, error_type.as_str()])),
        }
    }

    /// Counts an end, and its error type where it is an error.
    pub(super) fn count(&self, status: ConversionStatus, error_type: Option<ErrorType>) {
        if let Some((_, counter)) = ConversionStatus::ALL.into_iter().zip(&self.statuses).find(|(known, _)| *known == status) {
            counter.inc();
        }
        // An error without a type would break the sum over the types.
        let error_type = (status == ConversionStatus::Error).then(|| error_type.unwrap_or(ErrorType::Internal));
        if let Some((_, counter)) = ErrorType::ALL.into_iter().zip(&self.errors).find(|(known, _)| Some(*known) == error_type) {
            counter.inc();
        }
    }
}

impl ConverterSeries {
    fn new(families: &Families, name: &str) -> ConverterSeries {
        let label = [name];
        ConverterSeries {
            label: name.to_owned(),
            outcomes: Outcomes::new(families, name),
            duration: families.conversion_duration.with_label_values(&label),
            input_bytes: families.conversion_input_bytes.with_label_values(&label),
            output_bytes: families.conversion_output_bytes.with_label_values(&label),
            documents: families.conversion_documents.with_label_values(&label),
            peak_memory: families.conversion_peak_memory.with_label_values(&label),
            highest: AtomicU64::new(0),
        }
    }

    /// Counts a run in the sandbox.
    pub(super) fn ran(&self, usage: &Usage, documents: u64) {
        self.duration.observe(usage.duration.as_secs_f64());
        self.input_bytes.inc_by(usage.input_bytes);
        self.output_bytes.inc_by(usage.output_bytes);
        self.documents.inc_by(documents);
        if self.highest.fetch_max(usage.peak_memory_bytes, Ordering::Relaxed) < usage.peak_memory_bytes {
            // Another thread may raise it before this one has set the gauge.
            loop {
                let highest = self.highest.load(Ordering::Relaxed);
                self.peak_memory.set(super::signed(highest));
                if self.highest.load(Ordering::Relaxed) == highest {
                    break;
                }
            }
        }
    }
}

impl Converters {
    pub(super) fn new(families: &Families) -> Converters {
        Converters { none: Outcomes::new(families, NO_CONVERTER), known: ArcSwap::default(), adding: Mutex::default() }
    }

    /// Whether a name has a series of its own, or could have.
    pub(super) fn has_room(&self, name: &str) -> bool {
        let known = self.known.load();
        known.contains_key(name) || known.len() < MAX_CONVERTERS
    }

    /// The series of a converter: new ones where its name is new and there is room, else those of all others.
    pub(super) fn of(&self, families: &Families, name: &str) -> Arc<ConverterSeries> {
        if let Some(series) = self.known.load().get(name) {
            return Arc::clone(series);
        }
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.known.load();
        let label = if known.len() < MAX_CONVERTERS { name } else { OTHER_CONVERTERS };
        if let Some(series) = known.get(name).or_else(|| known.get(label)) {
            return Arc::clone(series);
        }
        let series = Arc::new(ConverterSeries::new(families, label));
        let mut changed = HashMap::clone(&known);
        changed.insert(label.to_owned(), Arc::clone(&series));
        self.known.store(Arc::new(changed));
        series
    }
}
