//! The way to one destination. Each destination has its own, so that one which is down or slow holds up no other: a thread fetches what is
//! due, others carry it, and what came of it is recorded together.

use std::collections::{HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::Shared;
use super::courier::{Attempt, Courier, Failure};
use super::looks::{FETCH, Looks};
use super::pace::{After, MOST_AFTER_OUTAGE, Pace, Trouble, backoff};
use super::traced;
use crate::events::{Event, short};
use crate::metrics::QueueName;
use crate::queue::{Delivery, JobId, Progress, Wakeup, now_ms};

/// How long a delivery is left alone that fails where others do not.
const LONGEST_ASIDE: Duration = Duration::from_secs(300);
/// Whoever carries says when it is done; this is only for the case that it does not.
const UNTIL_ANSWERED: Duration = Duration::from_secs(10);
/// The pause after the queue could not be read or written.
const QUEUE_RETRY: Duration = Duration::from_secs(1);

/// The way to one destination.
pub(super) struct Lane {
    label: String,
    shared: Arc<Shared>,
    wakeup: Arc<Wakeup>,
    courier: Arc<dyn Courier>,
    pace: Pace,
    /// Fetched and not yet under way.
    waiting: VecDeque<Delivery>,
    /// Fetched: they are not fetched again until what came of them is recorded.
    held: HashSet<JobId>,
    /// Failed in this round.
    tried: Vec<(Delivery, Attempt)>,
    in_flight: usize,
    /// Counts the times that the destination went down: what was under way then says nothing new.
    downs: u64,
    paused_until: Option<Instant>,
    looks: Looks,
    parcels: Sender<Parcel>,
    answers: Receiver<Answer>,
}

struct Parcel {
    deliveries: Vec<Delivery>,
    downs: u64,
}

struct Answer {
    parcel: Parcel,
    attempts: Vec<Attempt>,
    took: Duration,
}

impl Lane {
    /// Starts the threads that carry, and gives the lane, to be run on a thread of its own.
    ///
    /// # Errors
    /// Where a thread cannot be started.
    pub fn new(label: String, shared: Arc<Shared>, wakeup: Arc<Wakeup>, courier: Arc<dyn Courier>) -> std::io::Result<Lane> {
        let (parcels, work) = unbounded::<Parcel>();
        let (done, answers) = unbounded();
        for _ in 0..courier.in_flight() {
            let (work, done, courier, wakeup, shared) =
                (work.clone(), done.clone(), Arc::clone(&courier), Arc::clone(&wakeup), Arc::clone(&shared));
            thread::Builder::new().name("delivery".into()).spawn(move || {
                for mut parcel in work {
                    let _busy = shared.metrics.worker_busy(QueueName::Delivery);
                    let began = Instant::now();
                    let spans = traced::begin(&shared.tracer, courier.as_ref(), &mut parcel.deliveries);
                    let attempts = carry(courier.as_ref(), &parcel.deliveries);
                    traced::end(spans, &parcel.deliveries, &attempts);
                    if done.send(Answer { parcel, attempts, took: began.elapsed() }).is_err() {
                        return;
                    }
                    wakeup.notify();
                }
            })?;
        }
        Ok(Lane {
            label,
            shared,
            wakeup,
            courier,
            pace: Pace::Usual,
            waiting: VecDeque::new(),
            held: HashSet::new(),
            tried: Vec::new(),
            in_flight: 0,
            downs: 0,
            paused_until: None,
            looks: Looks::default(),
            parcels,
            answers,
        })
    }

    /// Delivers until told to stop, and then finishes what is under way.
    pub fn run(mut self) {
        loop {
            let seen = self.wakeup.generation();
            self.take_answers();
            let stopping = self.shared.stopping.load(Ordering::Relaxed);
            if stopping && self.in_flight == 0 {
                return self.end_round(Duration::ZERO);
            }
            if !stopping {
                self.look(seen);
                self.send_off();
            }
            self.wakeup.wait(seen, self.patience(seen));
        }
    }

    /// How many calls may be under way, with how many deliveries each.
    fn window(&self) -> (usize, usize) {
        match self.courier.at_once() {
            1 => (self.pace.window(self.courier.in_flight()), 1),
            most => (1, self.pace.window(most)),
        }
    }

    /// Whether there is use for more.
    fn has_room(&self) -> bool {
        self.waiting.is_empty() && self.in_flight < self.window().0
    }

    /// How long there is nothing to do, unless something comes.
    fn patience(&self, seen: u64) -> Duration {
        match self.paused_until {
            _ if !self.has_room() => UNTIL_ANSWERED,
            Some(pause) => pause.saturating_duration_since(Instant::now()),
            None => self.looks.patience(seen),
        }
    }

    /// Fetches what is due, the oldest first.
    fn look(&mut self, seen: u64) {
        if self.paused_until.is_some_and(|pause| Instant::now() >= pause) {
            self.paused_until = None;
            self.looks.again();
        }
        if !self.has_room() || self.paused_until.is_some() || !self.looks.are_due(seen) {
            return;
        }
        let limit = self.held.len() + FETCH;
        match self.shared.store.due_deliveries(&self.label, limit) {
            Ok((deliveries, next_due_ms)) => {
                let more = deliveries.len() >= limit;
                self.looks.looked(seen, more, next_due_ms);
                self.waiting.extend(deliveries.into_iter().filter(|delivery| !self.held.contains(&delivery.committed.job.id)));
                if !more && self.waiting.len() < MOST_AFTER_OUTAGE {
                    self.pace.backlog_gone();
                }
                self.held.extend(self.waiting.iter().map(|delivery| delivery.committed.job.id.clone()));
                if self.waiting.is_empty() && !self.tried.is_empty() {
                    // Everything that is due has been tried.
                    let pause = self.pace.end_of_round();
                    self.end_round(pause);
                }
            }
            Err(error) => {
                tracing::error!(destination = self.label, %error, "cannot read what is to be delivered; trying again");
                self.paused_until = Some(Instant::now() + QUEUE_RETRY);
            }
        }
    }

    fn send_off(&mut self) {
        if self.paused_until.is_some() {
            return;
        }
        let (calls, size) = self.window();
        while self.in_flight < calls && !self.waiting.is_empty() {
            let deliveries = self.waiting.drain(..size.min(self.waiting.len())).collect();
            // The threads that carry outlive the lane.
            let _ = self.parcels.send(Parcel { deliveries, downs: self.downs });
            self.in_flight += 1;
        }
    }

    /// Records what has come of what was under way.
    fn take_answers(&mut self) {
        let mut steps = Vec::new();
        let mut recorded = Vec::new();
        let mut took = Duration::ZERO;
        while let Ok(answer) = self.answers.try_recv() {
            self.in_flight -= 1;
            took = took.max(answer.took);
            let old = answer.parcel.downs != self.downs;
            for (delivery, attempt) in answer.parcel.deliveries.into_iter().zip(answer.attempts) {
                self.count(&delivery, &attempt, answer.took);
                match &attempt.end {
                    Ok(()) => {
                        if self.pace.succeeded() {
                            tracing::info!(destination = self.label, "documents get there again");
                            self.shared.metrics.tell(|| Event::DestinationWorks { destination: self.label.clone() });
                            self.set_aside(&mut steps, &mut recorded);
                        }
                        steps.push(ended(&self.label, &delivery, &attempt));
                        recorded.push(delivery.committed.job.id.clone());
                    }
                    Err(failure) => {
                        let failure = failure.clone();
                        self.failed(delivery, attempt, &failure, old, &mut steps, &mut recorded);
                    }
                }
            }
        }
        self.record(steps, &recorded, took);
        self.shared.metrics.delivery_breaker(&self.label, self.pace.is_outage());
    }

    fn failed(
        &mut self,
        delivery: Delivery,
        attempt: Attempt,
        failure: &Failure,
        old: bool,
        steps: &mut Vec<Progress>,
        recorded: &mut Vec<JobId>,
    ) {
        let job = delivery.committed.job.id.clone();
        let aside = failure.trouble == Trouble::Document;
        if aside || (old && self.pace.is_down()) {
            let delay = if aside { backoff(delivery.attempts, LONGEST_ASIDE) } else { Duration::ZERO };
            if aside {
                tracing::warn!(%job, destination = self.label, error = failure.message, retry_seconds = delay.as_secs_f32(),
                    "cannot deliver; the documents stay in the spool");
            }
            steps.push(put_off(&self.label, &delivery, &attempt, failure, delay));
            return recorded.push(job);
        }
        if !self.pace.is_down() {
            self.downs += 1;
        }
        let after = self.pace.failed(failure.trouble, failure.wish);
        let pause = match after {
            After::GoOn => None,
            After::Pause(pause) | After::SetAside(pause) => Some(pause),
        };
        tracing::warn!(%job, destination = self.label, error = failure.message, retry_seconds = pause.map(|pause| pause.as_secs_f32()),
            "cannot deliver; the documents stay in the spool");
        self.tried.push((delivery, attempt));
        match after {
            After::GoOn => {}
            After::Pause(pause) => self.end_round(pause),
            After::SetAside(pause) => {
                self.set_aside(steps, recorded);
                self.end_round(pause);
            }
        }
    }

    /// What failed in this round, while another got there, or too many did, waits for a time of its own.
    fn set_aside(&mut self, steps: &mut Vec<Progress>, recorded: &mut Vec<JobId>) {
        for (delivery, attempt) in self.tried.drain(..) {
            if let Err(failure) = &attempt.end {
                steps.push(put_off(&self.label, &delivery, &attempt, failure, backoff(delivery.attempts, LONGEST_ASIDE)));
                recorded.push(delivery.committed.job.id);
            }
        }
    }

    /// Leaves the destination alone, and begins with the oldest afterwards.
    fn end_round(&mut self, pause: Duration) {
        let steps: Vec<Progress> = self
            .tried
            .iter()
            .filter_map(|(delivery, attempt)| {
                let failure = attempt.end.as_ref().err()?;
                Some(put_off(&self.label, delivery, attempt, failure, Duration::ZERO))
            })
            .collect();
        let mut recorded: Vec<JobId> = self.tried.drain(..).map(|(delivery, _)| delivery.committed.job.id).collect();
        recorded.extend(self.waiting.drain(..).map(|delivery| delivery.committed.job.id));
        self.record(steps, &recorded, Duration::ZERO);
        self.paused_until = (!pause.is_zero()).then(|| Instant::now() + pause);
    }

    fn record(&mut self, steps: Vec<Progress>, recorded: &[JobId], took: Duration) {
        if !steps.is_empty() {
            self.shared.record(steps, took);
        }
        for job in recorded {
            self.held.remove(job);
        }
    }

    fn count(&self, delivery: &Delivery, attempt: &Attempt, took: Duration) {
        self.shared.metrics.tell(|| self.event(delivery, attempt));
        let documents = delivery.committed.documents.len() as u64;
        let there = u64::from(attempt.next_document.saturating_sub(delivery.next_document)).saturating_sub(attempt.refused.len() as u64);
        let metrics = &self.shared.metrics;
        if attempt.end.is_ok() && attempt.refused.is_empty() {
            metrics.delivery(&self.label, "success", documents.saturating_sub(u64::from(delivery.next_document)), took);
        } else {
            metrics.delivery(&self.label, "success", there, took);
            metrics.delivery_documents(
                &self.label,
                "error",
                documents.saturating_sub(u64::from(delivery.next_document)).saturating_sub(there),
            );
        }
    }
}

impl Lane {
    /// What came of an attempt, as those who watch are told.
    fn event(&self, delivery: &Delivery, attempt: &Attempt) -> Event {
        let (job, destination) = ((&delivery.committed.job).into(), self.label.clone());
        match (&attempt.end, attempt.refused.first()) {
            (Err(failure), _) => Event::DeliveryFailed { job, destination, reason: short(&failure.message) },
            (Ok(()), Some(first)) => {
                Event::DeliveryRefused { job, destination, documents: attempt.refused.len(), reason: short(&first.reason) }
            }
            (Ok(()), None) => Event::Delivered { job, destination, documents: delivery.committed.documents.len() },
        }
    }
}

/// A defect costs one attempt and no thread.
fn carry(courier: &dyn Courier, deliveries: &[Delivery]) -> Vec<Attempt> {
    catch_unwind(AssertUnwindSafe(|| courier.carry(deliveries))).unwrap_or_else(|_| {
        let failure =
            Failure::new(Trouble::Document, "a defect of Dropforge interrupted the delivery; its log has the place, please report it");
        deliveries.iter().map(|delivery| Attempt::failed(delivery, failure.clone())).collect()
    })
}

fn ended(label: &str, delivery: &Delivery, attempt: &Attempt) -> Progress {
    let (job, destination) = (delivery.committed.job.id.clone(), label.to_string());
    let Some(first) = attempt.refused.first() else { return Progress::Delivered { job, destination } };
    tracing::error!(%job, destination, document = first.document, error = first.reason, answer = first.answer, refused = attempt.refused.len(),
        "documents were refused; they stay in the spool until somebody sends them again or gives them up");
    let error = match attempt.refused.len() {
        1 => first.reason.clone(),
        more => format!("{} (and {} more documents)", first.reason, more - 1),
    };
    Progress::Dead { job, destination, error, next_document: attempt.next_document, refused: refused(attempt) }
}

fn put_off(label: &str, delivery: &Delivery, attempt: &Attempt, failure: &Failure, delay: Duration) -> Progress {
    Progress::Failed {
        job: delivery.committed.job.id.clone(),
        destination: label.into(),
        error: failure.message.clone(),
        due_ms: if delay.is_zero() { 0 } else { now_ms().saturating_add(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX)) },
        next_document: attempt.next_document,
        refused: refused(attempt),
    }
}

/// As the queue keeps it.
fn refused(attempt: &Attempt) -> Option<String> {
    (!attempt.refused.is_empty()).then(|| serde_json::to_string(&attempt.refused).unwrap_or_default())
}
