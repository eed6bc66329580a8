//! What happens, for whoever watches: the newest events, numbered, in a ring that every watcher reads at its own pace. Whoever tells an event
//! waits for nobody, and nothing is kept while nobody watches. It knows nothing of HTTP, nor of who tells what.

mod kinds;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

pub use kinds::{Event, JobFile, PluginFile, TimedEvent, short};

/// Events that are kept at most.
const MOST: usize = 8_192;

/// Bytes of events that are kept at most.
const MOST_BYTES: usize = 4 << 20;

/// What an event takes in memory besides its text, about.
const OVERHEAD: usize = 128;

/// Events that a watcher takes at a time: so long is whoever tells one held up at most.
const AT_ONCE: usize = 64;

/// How long after the last watcher has gone events are kept: it may come back and ask for what it has missed.
const LINGER: Duration = Duration::from_secs(60);

/// An event as it is told.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    /// Which it is: one more than the one before.
    pub number: u64,
    /// The name of its kind.
    pub kind: &'static str,
    /// The route that it is about, where it is about one.
    pub route: Option<String>,
    /// All of it, as a JSON object.
    pub json: String,
}

/// Where a watcher is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The series of events that the number belongs to: numbers begin anew when the daemon does, and when nobody watched for a while.
    pub series: u64,
    /// The last event that was seen.
    pub number: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}-{}", self.series, self.number)
    }
}

impl std::str::FromStr for Place {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Place, Self::Err> {
        let (series, number) = text.split_once('-').unwrap_or((text, ""));
        Ok(Place { series: u64::from_str_radix(series, 16)?, number: number.parse()? })
    }
}

/// What a watcher has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// These have happened since, in their order.
    Events(Vec<Arc<Told>>),
    /// So many have happened that are kept no longer; none where nobody knows how many. The watcher goes on after them.
    Missed(Option<u64>),
}

/// The newest events.
#[derive(Debug, Default)]
pub struct Events {
    /// Somebody watches, or did a moment ago.
    wanted: AtomicBool,
    ring: Mutex<Ring>,
    told: Notify,
}

#[derive(Debug, Default)]
struct Ring {
    series: u64,
    /// The number of the last event of this series.
    last: u64,
    events: VecDeque<Arc<Told>>,
    bytes: usize,
    watchers: usize,
    /// When the last watcher went.
    left: Option<Instant>,
}

impl Events {
    /// Tells an event to those who watch. It is not even made where nobody does.
    pub fn tell(&self, event: impl FnOnce() -> Event) {
        if !self.is_watched() {
            return;
        }
        // Made before the lock is taken.
        let event = event();
        let json = event.to_json();
        let (kind, route) = (event.kind(), event.route().map(str::to_owned));
        let mut ring = self.lock();
        if ring.watchers == 0 && ring.left.is_none_or(|left| left.elapsed() > LINGER) {
            self.wanted.store(false, Ordering::Relaxed);
            let series = ring.series;
            *ring = Ring { series, ..Ring::default() };
            return;
        }
        ring.last += 1;
        ring.bytes += json.len() + OVERHEAD;
        let number = ring.last;
        ring.events.push_back(Arc::new(Told { number, kind, route, json }));
        while (ring.events.len() > MOST || ring.bytes > MOST_BYTES)
            && let Some(oldest) = ring.events.pop_front()
        {
            ring.bytes -= oldest.json.len() + OVERHEAD;
        }
        drop(ring);
        self.told.notify_waiters();
    }

    /// Whether somebody watches, or did a moment ago.
    pub fn is_watched(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Begins to watch: what happens from now on, or after a `place` where an earlier watch was.
    pub fn watch(self: &Arc<Self>, place: Option<Place>) -> Watcher {
        let mut ring = self.lock();
        if !self.wanted.swap(true, Ordering::Relaxed) {
            // A series that begins later must not be taken for an earlier one.
            let now = jiff::Timestamp::now().as_microsecond().cast_unsigned();
            *ring = Ring { series: now.max(ring.series + 1), ..Ring::default() };
        }
        ring.watchers += 1;
        let here = Place { series: ring.series, number: ring.last };
        Watcher {
            events: Arc::clone(self),
            place: place.filter(|place| place.number <= here.number || place.series != here.series).unwrap_or(here),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        // Nothing that holds it can panic.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who watches, at its own pace.
#[derive(Debug)]
pub struct Watcher {
    events: Arc<Events>,
    place: Place,
}

impl Watcher {
    /// Where it is.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Waits for what comes next.
    pub async fn next(&mut self) -> Next {
        loop {
            let events = Arc::clone(&self.events);
            let mut told = std::pin::pin!(events.told.notified());
            // Before it is looked: what is told between the two must not be missed.
            told.as_mut().enable();
            if let Some(next) = self.look() {
                return next;
            }
            told.await;
        }
    }

    /// What there is by now.
    fn look(&mut self) -> Option<Next> {
        let ring = self.events.lock();
        if self.place.series != ring.series {
            let first = ring.events.front().map_or(ring.last, |first| first.number - 1);
            self.place = Place { series: ring.series, number: first };
            return Some(Next::Missed(None));
        }
        let first = ring.events.front()?.number;
        let wanted = self.place.number + 1;
        if wanted < first {
            self.place.number = first - 1;
            return Some(Next::Missed(Some(first - wanted)));
        }
        let skip = usize::try_from(wanted - first).unwrap_or(usize::MAX);
        let events: Vec<Arc<Told>> = ring.events.iter().skip(skip).take(AT_ONCE).cloned().collect();
        self.place.number = events.last()?.number;
        Some(Next::Events(events))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut ring = self.events.lock();
        ring.watchers -= 1;
        ring.left = Some(Instant::now());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn paused(name: &str) -> Event {
        Event::RoutePaused { route: name.to_owned(), reason: None }
    }

    fn names(next: Next) -> Vec<String> {
        match next {
            Next::Events(events) => events.iter().map(|told| told.route.clone().unwrap()).collect(),
            Next::Missed(missed) => panic!("missed {missed:?}"),
        }
    }

    #[tokio::test]
    async fn everyone_who_watches_sees_what_happens_from_then_on_in_its_order() {
        let events = Arc::new(Events::default());
        events.tell(|| panic!("nobody watches, so no event is made"));
        let mut early = events.watch(None);
        events.tell(|| paused("a"));
        let mut late = events.watch(None);
        events.tell(|| paused("b"));
        assert_eq!(names(early.next().await), ["a", "b"]);
        assert_eq!(names(late.next().await), ["b"]);
        let waiting = tokio::spawn(async move { names(late.next().await) });
        tokio::task::yield_now().await;
        events.tell(|| paused("c"));
        assert_eq!(waiting.await.unwrap(), ["c"]);
    }

    #[tokio::test]
    async fn who_is_slow_loses_the_oldest_and_is_told_how_many() {
        let events = Arc::new(Events::default());
        let mut slow = events.watch(None);
        let many = MOST as u64 + 100;
        for number in 0..many {
            events.tell(|| paused(&number.to_string()));
        }
        assert_eq!(slow.next().await, Next::Missed(Some(100)));
        let mut seen = 100;
        while seen < many {
            for name in names(slow.next().await) {
                assert_eq!(name, seen.to_string());
                seen += 1;
            }
        }
        // Large events are fewer.
        for _ in 0..20 {
            events.tell(|| paused(&"x".repeat(1 << 20)));
        }
        let ring = events.lock();
        assert!(ring.bytes <= MOST_BYTES && ring.events.len() < 5, "{} bytes of {}", ring.bytes, ring.events.len());
    }

    #[tokio::test]
    async fn who_comes_back_goes_on_where_it_was() {
        let events = Arc::new(Events::default());
        let mut watcher = events.watch(None);
        events.tell(|| paused("a"));
        assert_eq!(names(watcher.next().await), ["a"]);
        let place: Place = watcher.place().to_string().parse().unwrap();
        assert_eq!(place, watcher.place());
        drop(watcher);
        events.tell(|| paused("b"));
        assert_eq!(names(events.watch(Some(place)).next().await), ["b"]);
        // Of another daemon's events nobody knows how many there were.
        let mut stranger = events.watch(Some(Place { series: 1, number: 7 }));
        assert_eq!(stranger.next().await, Next::Missed(None));
        assert_eq!(names(stranger.next().await), ["a", "b"]);
        for text in ["", "7", "x-1", "1-", "1--1", "1-2-3"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
        // Of a number that was never reached there is nothing to go on from: it watches from now on.
        let mut ahead = events.watch(Some(Place { number: 1_000, ..place }));
        events.tell(|| paused("c"));
        assert_eq!(names(ahead.next().await), ["c"]);
    }

    #[tokio::test]
    async fn nothing_is_kept_when_nobody_has_watched_for_a_while() {
        let events = Arc::new(Events::default());
        let place = events.watch(None).place();
        events.tell(|| paused("kept"));
        events.lock().left = Instant::now().checked_sub(LINGER + Duration::from_secs(1));
        events.tell(|| paused("not kept"));
        assert!(events.lock().events.is_empty());
        events.tell(|| panic!("nobody watches any more"));
        let mut back = events.watch(Some(place));
        assert_eq!(back.next().await, Next::Missed(None));
    }
}
