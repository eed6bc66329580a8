//! Spans of deliveries: one for each attempt at a destination. It knows nothing of how documents are carried.

use super::courier::{Attempt, Courier};
use crate::queue::Delivery;
use crate::spans::{Kind, Span, Tracer};

/// Begins the spans of deliveries that are about to be carried, and has their receivers told of them.
pub(super) fn begin(tracer: &Tracer, courier: &dyn Courier, deliveries: &mut [Delivery]) -> Vec<Span> {
    if tracer.is_off() {
        return Vec::new();
    }
    let kind = if courier.is_remote() { Kind::Client } else { Kind::Internal };
    let begin = |delivery: &mut Delivery| {
        let span = tracer.of_job(&delivery.committed.job).begin_as("deliver", kind);
        delivery.trace = span.context();
        span
    };
    deliveries.iter_mut().map(begin).collect()
}

/// Ends them as the attempts have ended.
pub(super) fn end(spans: Vec<Span>, deliveries: &[Delivery], attempts: &[Attempt]) {
    for ((mut span, delivery), attempt) in spans.into_iter().zip(deliveries).zip(attempts).filter(|((span, _), _)| span.is_recorded()) {
        let documents = &delivery.committed.documents;
        span.set("dropforge.destination", delivery.destination.as_str());
        span.set("dropforge.attempt", u64::from(delivery.attempts) + 1);
        span.set("dropforge.converter", delivery.committed.converter.as_str());
        span.set("dropforge.documents", documents.len() as u64);
        span.set("dropforge.output.bytes", documents.iter().map(|document| document.bytes).sum::<u64>());
        match (&attempt.end, attempt.refused.first()) {
            (Err(failure), _) => span.failed("failed", &failure.message),
            (Ok(()), Some(refusal)) => span.failed("refused", &refusal.reason),
            (Ok(()), None) => {}
        }
    }
}
