//! How often the metrics are written out. It knows nothing of what is in them.
//!
//! Every scrape within the rate gets what is true at that moment. One beyond it gets the last text instead of an error: whoever asks all the
//! time must not keep the host busy, and need not be told off either.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;

/// Scrapes that are answered anew, a second, in the long run. So the last text is about 50 ms older at most than the time that writing it takes.
const PER_SECOND: f64 = 20.0;
/// Scrapes that may come at once after a pause.
const BURST: f64 = 100.0;

/// The rate, and the last text.
pub(super) struct Scrapes {
    state: Mutex<State>,
}

struct State {
    /// Scrapes that may be answered anew now.
    left: f64,
    counted: Instant,
    last: Option<Bytes>,
}

impl Scrapes {
    pub(super) fn new() -> Scrapes {
        Scrapes { state: Mutex::new(State { left: BURST, counted: Instant::now(), last: None }) }
    }

    /// What `write` gives now, or gave last. Scrapes that come while it writes wait for it; they hold up nobody else.
    pub(super) fn text(&self, write: impl FnOnce() -> String) -> Bytes {
        self.text_at(Instant::now, write)
    }

    fn text_at(&self, now: impl Fn() -> Instant, write: impl FnOnce() -> String) -> Bytes {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, counted) = (now(), state.counted);
        state.left = (state.left + now.saturating_duration_since(counted).as_secs_f64() * PER_SECOND).min(BURST);
        state.counted = now;
        if state.left < 1.0
            && let Some(last) = &state.last
        {
            return last.clone();
        }
        state.left -= 1.0;
        let text = Bytes::from(write());
        state.last = Some(text.clone());
        text
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::*;

    #[test]
    fn beyond_the_rate_there_is_the_last_text_and_never_an_old_one() {
        let scrapes = Scrapes::new();
        let (start, written) = (Instant::now(), Cell::new(0));
        let scrape = |milliseconds: u64| {
            let write = || {
                written.set(written.get() + 1);
                format!("{milliseconds}")
            };
            let text = scrapes.text_at(|| start + Duration::from_millis(milliseconds), write);
            String::from_utf8_lossy(&text).parse::<u64>().unwrap_or(u64::MAX)
        };
        for _ in 0..100 {
            assert_eq!(scrape(0), 0);
        }
        assert_eq!(written.get(), 100);
        // From here on, one every 10 ms for ten seconds.
        for milliseconds in (10..10_000).step_by(10) {
            let text = scrape(milliseconds);
            assert!(milliseconds - text <= 60, "at {milliseconds} there is the text of {text}");
        }
        assert!((290..=302).contains(&written.get()), "{}", written.get());
        // After a pause, each is answered anew.
        for _ in 0..50 {
            assert_eq!(scrape(20_000), 20_000);
        }
        assert!(written.get() >= 340, "{}", written.get());
    }
}
