//! The connections of one port: at most so many, and none that waits for its client keeps another out. It knows nothing of what is asked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

/// The service is at work on it.
const BUSY: u64 = u64::MAX;

/// All of them.
pub(super) struct Connections {
    began: Instant,
    most: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    last: u64,
    by_number: HashMap<u64, Arc<Activity>>,
}

/// What a connection is doing.
pub(super) struct Activity {
    began: Instant,
    /// Since when the service waits for the client, in milliseconds since `began`.
    waiting_since: AtomicU64,
    /// Requests at work, with answers that are not handed over yet.
    requests: AtomicU64,
    /// Notified when another needs its place.
    pub give_way: Notify,
}

/// A place among the connections, until it is dropped.
pub(super) struct Place {
    connections: Arc<Connections>,
    number: u64,
    pub activity: Arc<Activity>,
}

/// A request at work, until it is dropped.
pub(super) struct Working(Arc<Activity>);

impl Connections {
    /// At most so many.
    pub fn new(most: usize) -> Arc<Connections> {
        Arc::new(Connections { began: Instant::now(), most, open: Mutex::default() })
    }

    /// A place for one more. Where there is none, the one gives way that has waited for its client the longest; none where all are at work.
    pub fn admit(self: &Arc<Self>) -> Option<Place> {
        let mut open = self.lock();
        if open.by_number.len() >= self.most {
            let waiting = |(number, activity): (&u64, &Arc<Activity>)| {
                let since = activity.waiting_since.load(Ordering::Acquire);
                (since != BUSY).then_some((since, *number))
            };
            let (_, longest) = open.by_number.iter().filter_map(waiting).min()?;
            if let Some(activity) = open.by_number.remove(&longest) {
                activity.give_way.notify_one();
            }
        }
        open.last += 1;
        let number = open.last;
        let activity = Arc::new(Activity {
            began: self.began,
            waiting_since: AtomicU64::new(milliseconds(self.began)),
            requests: AtomicU64::new(0),
            give_way: Notify::new(),
        });
        open.by_number.insert(number, Arc::clone(&activity));
        Some(Place { connections: Arc::clone(self), number, activity })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Nothing that holds it can panic.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Activity {
    /// A request has come.
    pub fn work(self: &Arc<Self>) -> Working {
        self.requests.fetch_add(1, Ordering::AcqRel);
        self.waiting_since.store(BUSY, Ordering::Release);
        Working(Arc::clone(self))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        if self.0.requests.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.waiting_since.store(milliseconds(self.0.began), Ordering::Release);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().by_number.remove(&self.number);
    }
}

fn milliseconds(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(BUSY - 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_has_waited_for_its_client_the_longest_gives_way() {
        let connections = Connections::new(2);
        let first = connections.admit().unwrap();
        let second = connections.admit().unwrap();
        let at_work = first.activity.work();
        let third = connections.admit().unwrap();
        second.activity.give_way.notified().await;
        let also_at_work = third.activity.work();
        assert!(connections.admit().is_none(), "all are at work");
        drop(at_work);
        let fourth = connections.admit().unwrap();
        first.activity.give_way.notified().await;
        // What has given way frees no place a second time.
        drop((first, second));
        assert_eq!(connections.lock().by_number.len(), 2);
        drop((third, fourth, also_at_work));
        assert!(connections.lock().by_number.is_empty());
    }
}
