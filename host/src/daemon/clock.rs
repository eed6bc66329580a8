//! Notices when the system's clock is set back: what waits for a moment would wait for as much longer.

use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::queue::{QueueError, Store, now_ms};

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often it notes the time, for a clock that is set back between two starts; in looks.
const NOTE_EVERY: u32 = 60;
/// What a clock may lag behind without being set back.
const TOLERANCE_MS: i64 = 500;

/// Watches the clock for as long as there is a store, beginning with what the clock was when the last process noted it.
///
/// # Errors
/// Where the queue cannot be read or written, or no thread be started.
pub(super) fn watch(store: &Arc<Store>) -> anyhow::Result<()> {
    if let Some(noted) = store.noted_time()? {
        set_back(store, noted - now_ms())?;
    }
    store.check_writable()?;
    let store = Arc::downgrade(store);
    thread::Builder::new().name("clock".into()).spawn(move || run(&store))?;
    Ok(())
}

fn run(store: &Weak<Store>) {
    let (mut system_ms, mut steady) = (now_ms(), Instant::now());
    for look in 1u32.. {
        thread::sleep(INTERVAL);
        let Some(store) = store.upgrade() else { return };
        let passed = i64::try_from(steady.elapsed().as_millis()).unwrap_or(i64::MAX);
        let by_ms = system_ms.saturating_add(passed) - now_ms();
        (system_ms, steady) = (now_ms(), Instant::now());
        let noted = set_back(&store, by_ms).and_then(|()| if look.is_multiple_of(NOTE_EVERY) { store.check_writable() } else { Ok(()) });
        if let Err(error) = noted {
            tracing::error!(%error, "cannot note the time in the queue; trying again");
        }
    }
}

fn set_back(store: &Store, by_ms: i64) -> Result<(), QueueError> {
    if by_ms > TOLERANCE_MS {
        tracing::warn!(seconds = by_ms / 1_000, "the system's clock was set back; what waits for a moment waits no longer for that");
        store.clock_was_set_back(by_ms)?;
    }
    Ok(())
}
