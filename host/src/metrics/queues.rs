//! The series of each queue that workers record, held ready: they find them without a lock.

use std::sync::OnceLock;

use prometheus::{Histogram, IntCounter, IntGauge};

use super::families::Families;
use super::labels::QueueName;

/// What workers record of one queue.
pub(super) struct QueueSeries {
    pub(super) active_workers: IntGauge,
    pub(super) processed: IntCounter,
    pub(super) duration: Histogram,
}

/// Both queues, each from when it is known.
#[derive(Default)]
pub(super) struct Queues {
    converter: OnceLock<QueueSeries>,
    delivery: OnceLock<QueueSeries>,
}

impl Queues {
    /// The series of a queue; the first call makes them and its others known.
    pub(super) fn of(&self, families: &Families, queue: QueueName) -> &QueueSeries {
        let cell = match queue {
            QueueName::Converter => &self.converter,
            QueueName::Delivery => &self.delivery,
        };
        cell.get_or_init(|| {
            let name = [queue.as_str()];
            families.queue_depth.with_label_values(&name);
            families.queue_oldest_age.with_label_values(&name);
            families.queue_workers.with_label_values(&name);
            if queue == QueueName::Converter {
                families.queue_workers_lost.with_label_values(&name);
            }
            QueueSeries {
                active_workers: families.queue_active_workers.with_label_values(&name),
                processed: families.queue_processed.with_label_values(&name),
                duration: families.queue_duration.with_label_values(&name),
            }
        })
    }
}
