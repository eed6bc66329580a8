//! How full the queue is, for whoever asks often: it is counted once a second at most.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::queue::{QueueError, Sizes, Store};

/// How old a count may be.
const AGE: Duration = Duration::from_secs(1);

pub(super) struct Depths {
    store: Arc<Store>,
    counted: Mutex<Option<(Instant, Sizes)>>,
}

impl Depths {
    pub(super) fn new(store: Arc<Store>) -> Depths {
        Depths { store, counted: Mutex::default() }
    }

    /// The sizes, as they were a second ago at the earliest. Those who ask at the same time wait for one count.
    ///
    /// # Errors
    /// Where the queue cannot read.
    pub(super) fn get(&self) -> Result<Sizes, QueueError> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, sizes)) = &*counted
            && at.elapsed() < AGE
        {
            return Ok(sizes.clone());
        }
        let sizes = self.store.sizes()?;
        *counted = Some((Instant::now(), sizes.clone()));
        Ok(sizes)
    }
}
