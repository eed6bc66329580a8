//! What carries documents to a destination, and how that can end.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pace::Trouble;
use crate::queue::Delivery;
use crate::sandbox::Document;

/// Refusals that are kept for one job; after so many the rest of its documents is not tried.
const MOST_REFUSALS: usize = 32;

/// Carries documents to one destination. Several threads may call it at the same time.
pub(super) trait Courier: Send + Sync {
    /// How many deliveries it takes at once: more than one where it is cheaper to make many durable together.
    fn at_once(&self) -> usize;

    /// How many calls may be under way at the same time.
    fn in_flight(&self) -> usize;

    /// Whether it sends them to another machine's server.
    fn is_remote(&self) -> bool;

    /// Carries the documents of some deliveries, the oldest first, and says of each how that ended. What is reported as there is durable.
    fn carry(&self, deliveries: &[Delivery]) -> Vec<Attempt>;
}

/// How an attempt at a delivery ended.
#[derive(Debug)]
pub(super) struct Attempt {
    /// The documents before this number are there, or refused.
    pub next_document: u32,
    /// What the destination refused for good.
    pub refused: Vec<Refusal>,
    /// Whether it came to its end.
    pub end: Result<(), Failure>,
}

/// Why a document did not get there this time.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// Where the trouble is.
    pub trouble: Trouble,
    /// What was tried, what was wrong and what to do.
    pub message: String,
    /// How long the destination asks to be left alone.
    pub wish: Option<Duration>,
}

/// A document that a destination will not take however often it is sent. The list of a delivery's refusals is kept as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refusal {
    /// The document's number.
    pub document: u32,
    /// Why, in words.
    pub reason: String,
    /// What the server answered, as far as it is kept.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub answer: String,
}

/// How the attempt at one document ended.
pub(super) enum DocumentError {
    Refused { reason: String, answer: String },
    Failed(Failure),
}

impl Failure {
    pub fn new(trouble: Trouble, message: impl Into<String>) -> Self {
        Failure { trouble, message: message.into(), wish: None }
    }

    /// The configuration has no such destination for the job's route.
    pub fn not_configured() -> Self {
        Failure::new(
            Trouble::Document,
            "this destination is not in the route's configuration any more; put it back, or the documents stay in the spool",
        )
    }
}

impl Attempt {
    pub fn failed(delivery: &Delivery, failure: Failure) -> Self {
        Attempt { next_document: delivery.next_document, refused: refusals(delivery), end: Err(failure) }
    }
}

/// Takes the documents of a delivery that are not there yet to `send`, in order: those that were refused before, then the others. A refused
/// document does not keep back those after it.
pub(super) fn each_document(delivery: &Delivery, mut send: impl FnMut(&Document) -> Result<(), DocumentError>) -> Attempt {
    let before = refusals(delivery);
    let mut attempt = Attempt { next_document: delivery.next_document, refused: Vec::new(), end: Ok(()) };
    let mut open = before.iter().map(|refusal| refusal.document).collect::<Vec<_>>();
    let documents = &delivery.committed.documents;
    let again = documents.iter().filter(|document| before.iter().any(|refusal| refusal.document == document.number));
    let others = documents.iter().filter(|document| document.number >= delivery.next_document);
    for document in again.chain(others) {
        if attempt.refused.len() >= MOST_REFUSALS {
            break;
        }
        match send(document) {
            Ok(()) => {}
            Err(DocumentError::Refused { reason, answer }) => {
                attempt.refused.push(Refusal { document: document.number, reason, answer });
            }
            Err(DocumentError::Failed(failure)) => {
                attempt.end = Err(failure);
                break;
            }
        }
        open.retain(|number| *number != document.number);
        attempt.next_document = attempt.next_document.max(document.number + 1);
    }
    // Those that were refused before and not tried again are still to be.
    attempt.refused.extend(before.into_iter().filter(|refusal| open.contains(&refusal.document)));
    attempt.refused.sort_by_key(|refusal| refusal.document);
    attempt
}

fn refusals(delivery: &Delivery) -> Vec<Refusal> {
    delivery.refused.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::delivery;
    use super::*;

    fn refuse(reason: &str) -> Result<(), DocumentError> {
        Err(DocumentError::Refused { reason: reason.into(), answer: String::new() })
    }

    fn numbers(refused: &[Refusal]) -> Vec<u32> {
        refused.iter().map(|refusal| refusal.document).collect()
    }

    #[test]
    fn a_refused_document_does_not_keep_back_the_others_and_alone_is_tried_again() {
        let mut delivery = delivery(4);
        let first = each_document(&delivery, |document| if document.number == 1 { refuse("no") } else { Ok(()) });
        assert!(first.end.is_ok());
        assert_eq!((first.next_document, numbers(&first.refused)), (4, vec![1]));

        delivery.next_document = first.next_document;
        delivery.refused = Some(serde_json::to_string(&first.refused).unwrap());
        let mut sent = Vec::new();
        let again = each_document(&delivery, |document| {
            sent.push(document.number);
            Ok(())
        });
        assert_eq!(sent, [1]);
        assert_eq!((again.next_document, again.refused.len()), (4, 0));
    }

    #[test]
    fn what_failed_goes_on_where_it_was() {
        let mut delivery = delivery(4);
        delivery.next_document = 2;
        delivery.refused = Some(r#"[{"document":0,"reason":"no"},{"document":1,"reason":"no"}]"#.into());
        let mut sent = Vec::new();
        let attempt = each_document(&delivery, |document| {
            sent.push(document.number);
            if document.number == 1 { Err(DocumentError::Failed(Failure::new(Trouble::Unclear, "busy"))) } else { Ok(()) }
        });
        assert_eq!(sent, [0, 1]);
        assert!(attempt.end.is_err());
        assert_eq!((attempt.next_document, numbers(&attempt.refused)), (2, vec![1]));
    }

    #[test]
    fn a_destination_that_refuses_everything_is_not_sent_everything() {
        let attempt = each_document(&delivery(100), |_| refuse("no"));
        assert_eq!((attempt.next_document as usize, attempt.refused.len()), (MOST_REFUSALS, MOST_REFUSALS));
    }
}
