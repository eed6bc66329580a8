//! Hands large files over on a thread of its own, one at a time, so that reading one for minutes holds up no small one.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Sender, TrySendError, bounded};

use super::handing::Ready;
use super::signals::Signals;
use super::{ArrivalError, Arrivals};

/// Files of more bytes than this are large: reading one takes about as long as making a few hundred small ones durable.
pub(super) const LARGE_BYTES: u64 = 16 << 20;

/// A large file with what became of it.
pub(super) type Answer = (Ready, Result<(), ArrivalError>);

/// The thread. Dropping it waits for the file in hand.
pub(super) struct Large {
    files: Option<Sender<Ready>>,
    thread: Option<JoinHandle<()>>,
}

impl Large {
    /// Starts the thread; its answers go to `signals`.
    pub(super) fn start(route: &str, arrivals: Arc<dyn Arrivals>, signals: Arc<Signals>) -> std::io::Result<Large> {
        // No file waits in the channel: who waits for its turn stays with the tracker, and is looked at again before it is read.
        let (files, inbox) = bounded::<Ready>(0);
        let thread = thread::Builder::new().name(format!("large {route}")).spawn(move || {
            for ready in inbox {
                let answer = arrivals.arrived(std::slice::from_ref(&ready.arrival)).pop();
                signals.answered((ready, answer.unwrap_or(Err(ArrivalError::Later))));
            }
        })?;
        Ok(Large { files: Some(files), thread: Some(thread) })
    }

    /// Hands a file over, unless another is still in hand: then it comes back.
    pub(super) fn hand_over(&self, ready: Ready) -> Option<Ready> {
        let Some(files) = &self.files else { return Some(ready) };
        match files.try_send(ready) {
            Ok(()) => None,
            Err(TrySendError::Full(ready) | TrySendError::Disconnected(ready)) => Some(ready),
        }
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        self.files = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
