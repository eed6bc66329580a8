//! Spans: what a job went through, and when, for a collector that speaks OpenTelemetry (OTLP over HTTP). Whoever does something for a job
//! begins a span here; where nothing is configured that is all that happens. It must not decide anything about jobs.
//!
//! A job's spans are of one trace, and children of the span that is called `job`. Its ids are a function of the job, so that spans of different
//! threads, and of a process after a restart, belong together without anything being kept for them.

mod export;
mod headers;
mod span;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1 as proto;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

pub use export::Exporter;
pub use span::{Kind, Span, Value};

use crate::metrics::Metrics;
use crate::queue::Job;
use crate::trace_context::TraceParent;

/// What is traced. Copies are one.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Shared>>);

/// What all spans need.
struct Shared {
    /// Of the traces that begin here, those whose last 63 bits are below this are recorded.
    below: u64,
    spans: mpsc::Sender<proto::Span>,
    /// Spans that found no room since somebody looked.
    lost: AtomicU64,
    metrics: Arc<Metrics>,
}

impl Shared {
    /// Hands a span over. It never waits: where there is no room, the span is lost, and counted.
    fn take(&self, span: proto::Span) {
        if self.spans.try_send(span).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
            self.metrics.trace_spans("dropped", 1);
        }
    }
}

impl Tracer {
    /// Records nothing.
    pub fn off() -> Tracer {
        Tracer(None)
    }

    /// Whether nothing is ever recorded.
    pub fn is_off(&self) -> bool {
        self.0.is_none()
    }

    /// The trace of a job.
    pub fn of_job(&self, job: &Job) -> JobTrace {
        let Some(shared) = &self.0 else { return JobTrace::off() };
        let queued = UNIX_EPOCH + Duration::from_millis(job.queued_ms().try_into().unwrap_or_default());
        let facts = Facts { id: job.id.as_str(), route: Some(&job.route), file: &job.path, bytes: job.identity.size };
        JobTrace::new(shared, &facts, queued, job.trace)
    }

    /// The trace of a conversion that is no job of the queue, and begins now.
    pub fn of_request(&self, facts: &Facts<'_>, came_with: Option<TraceParent>) -> JobTrace {
        self.0.as_ref().map_or_else(JobTrace::off, |shared| JobTrace::new(shared, facts, SystemTime::now(), came_with))
    }
}

/// What every span of a job says.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The job's id.
    pub id: &'a str,
    /// The route's name, if it has one.
    pub route: Option<&'a str>,
    /// The path of its source below the intake.
    pub file: &'a str,
    /// The size of its source.
    pub bytes: u64,
}

/// The trace of one job: its spans are begun here.
pub struct JobTrace(Option<Traced>);

struct Traced {
    shared: Arc<Shared>,
    /// The job's own span.
    root: TraceParent,
    /// What the job's span is a child of, in another system.
    remote: Option<[u8; 8]>,
    queued: SystemTime,
    /// Empty where the trace is not recorded.
    common: Vec<KeyValue>,
}

impl JobTrace {
    /// Of a job that is not traced.
    pub fn off() -> JobTrace {
        JobTrace(None)
    }

    fn new(shared: &Arc<Shared>, facts: &Facts<'_>, queued: SystemTime, came_with: Option<TraceParent>) -> JobTrace {
        let since = queued.duration_since(UNIX_EPOCH).unwrap_or_default();
        // The same file that is put back, or replayed, is another trace: it was queued at another time.
        let seed = Sha256::digest(format!("dropforge:trace {} {}", facts.id, since.as_nanos()));
        let (own_trace, rest) = seed.split_at(16);
        let array = |bytes: &[u8]| bytes.try_into().unwrap_or([1; 16]);
        let span_id = rest.split_at(8).0.try_into().unwrap_or([1; 8]);
        let trace_id: [u8; 16] = came_with.map_or_else(|| array(own_trace), |parent| parent.trace_id);
        let sampled = came_with.map_or_else(|| (u128::from_be_bytes(trace_id) as u64) >> 1 < shared.below, |parent| parent.sampled);
        let common = if sampled { span::common(facts) } else { Vec::new() };
        let root = TraceParent { trace_id, span_id, sampled };
        JobTrace(Some(Traced { shared: Arc::clone(shared), root, remote: came_with.map(|parent| parent.span_id), queued, common }))
    }

    /// Begins a part of the job's way, now. It ends when it is dropped.
    pub fn begin(&self, name: &'static str) -> Span {
        self.begin_as(name, Kind::Internal)
    }

    /// The same for a part of another kind.
    pub fn begin_as(&self, name: &'static str, kind: Kind) -> Span {
        let Some(traced) = &self.0 else { return Span::off() };
        if !traced.root.sampled {
            return Span::unrecorded(traced.root);
        }
        let span_id = fastrand::u64(1..).to_be_bytes();
        Span::begin(
            &traced.shared,
            TraceParent { span_id, ..traced.root },
            Some(traced.root.span_id),
            kind,
            name,
            SystemTime::now(),
            &traced.common,
        )
    }

    /// Begins a part that began at another time.
    pub fn begin_at(&self, name: &'static str, began: SystemTime) -> Span {
        self.begin(name).since(began)
    }

    /// Begins the part from when the job was queued.
    pub fn begin_when_queued(&self, name: &'static str) -> Span {
        self.0.as_ref().map_or_else(Span::off, |traced| self.begin_at(name, traced.queued))
    }

    /// The job's own span, from when it was queued until this is dropped. What follows of the job is a child of it nevertheless.
    pub fn job(&self, kind: Kind) -> Span {
        let Some(traced) = self.0.as_ref().filter(|traced| traced.root.sampled) else { return Span::off() };
        Span::begin(&traced.shared, traced.root, traced.remote, kind, "job", traced.queued, &traced.common)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::metrics::Instance;

    fn tracer(ratio: f64, room: usize) -> (Tracer, mpsc::Receiver<proto::Span>) {
        let (spans, waiting) = mpsc::channel(room);
        let metrics = Arc::new(Metrics::new(&Instance::default()));
        let below = (ratio * (1_u64 << 63) as f64) as u64;
        (Tracer(Some(Arc::new(Shared { below, spans, lost: AtomicU64::new(0), metrics }))), waiting)
    }

    fn trace(tracer: &Tracer, id: &str, queued_ms: u64, came_with: Option<TraceParent>) -> JobTrace {
        let facts = Facts { id, route: None, file: "a/b.csv", bytes: 1 };
        JobTrace::new(tracer.0.as_ref().unwrap(), &facts, UNIX_EPOCH + Duration::from_millis(queued_ms), came_with)
    }

    fn root(trace: &JobTrace) -> TraceParent {
        trace.0.as_ref().unwrap().root
    }

    #[test]
    fn the_ids_of_a_job_are_a_function_of_it_and_of_when_it_was_queued() {
        let (tracer, _waiting) = tracer(1.0, 8);
        let first = root(&trace(&tracer, "a", 5, None));
        assert_eq!(first, root(&trace(&tracer, "a", 5, None)));
        for other in [root(&trace(&tracer, "b", 5, None)), root(&trace(&tracer, "a", 6, None))] {
            assert!(other.trace_id != first.trace_id && other.span_id != first.span_id);
        }
        let client = TraceParent { trace_id: [7; 16], span_id: [8; 8], sampled: true };
        assert_eq!(root(&trace(&tracer, "a", 5, Some(client))), TraceParent { trace_id: [7; 16], ..first });
    }

    #[test]
    fn the_ratio_is_the_share_of_traces_that_begin_here() {
        for (ratio, least, most) in [(0.0, 0, 0), (0.5, 400, 600), (1.0, 1000, 1000)] {
            let (tracer, _waiting) = tracer(ratio, 1);
            let sampled = (0..1000).filter(|n| root(&trace(&tracer, &n.to_string(), 0, None)).sampled).count();
            assert!((least..=most).contains(&sampled), "{ratio}: {sampled}");
        }
    }

    #[test]
    fn a_span_that_finds_no_room_is_lost_and_counted() {
        let (tracer, mut waiting) = tracer(1.0, 1);
        let trace = trace(&tracer, "a", 0, None);
        drop((trace.begin("first"), trace.begin("second")));
        let shared = tracer.0.as_ref().unwrap();
        assert_eq!(shared.lost.load(Ordering::Relaxed), 1);
        assert!(shared.metrics.exposition().contains("trace_spans_total{result=\"dropped\"} 1"));
        assert_eq!(waiting.try_recv().unwrap().name, "first");
    }
}
