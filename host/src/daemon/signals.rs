//! The signals that a daemon is told to stop or to reload with, and what stands for them where there are none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[cfg(unix)]
use anyhow::Context as _;

use crate::logging;

/// What a signal asks for.
pub(super) enum Request {
    Stop,
    #[cfg_attr(not(unix), allow(dead_code, reason = "only Unix has a signal for it"))]
    Reload,
}

/// The signals that the daemon listens to.
pub(super) struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hang_up: tokio::signal::unix::Signal,
}

/// Listens to them.
///
/// # Errors
/// Where the system refuses.
#[cfg(unix)]
pub(super) fn signals() -> anyhow::Result<Signals> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = "cannot listen for signals";
    Ok(Signals {
        terminate: signal(SignalKind::terminate()).context(failed)?,
        interrupt: signal(SignalKind::interrupt()).context(failed)?,
        hang_up: signal(SignalKind::hangup()).context(failed)?,
    })
}

/// There are none to listen to.
#[cfg(not(unix))]
pub(super) fn signals() -> anyhow::Result<Signals> {
    Ok(Signals {})
}

/// Signals that follow the first within this time are the same request: `timeout` and some supervisors signal a process and its group.
const SAME_REQUEST: Duration = Duration::from_millis(500);

/// Leaves a task behind that notes a signal to stop, and ends the process at the one after. One may have been `noted` already.
pub(super) fn note_stops(noted: bool) -> Arc<AtomicBool> {
    let stops = Arc::new(AtomicBool::new(noted));
    let note = Arc::clone(&stops);
    // A new listener has not heard those before it.
    let listener = (!noted).then(signals);
    tokio::spawn(async move {
        let mut listener = match listener {
            Some(listener) => listener,
            None => {
                tokio::time::sleep(SAME_REQUEST).await;
                signals()
            }
        };
        while let Ok(signals) = &mut listener {
            if matches!(signals.any().await, Request::Stop) && note.swap(true, Ordering::Relaxed) {
                tracing::warn!("a second signal: ending at once; what was running is converted again after the next start");
                logging::flush();
                std::process::exit(1);
            }
        }
    });
    stops
}

impl Signals {
    /// Waits for the next one.
    #[cfg(unix)]
    pub(super) async fn any(&mut self) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => Request::Stop,
            _ = self.interrupt.recv() => Request::Stop,
            _ = self.hang_up.recv() => Request::Reload,
        }
    }

    /// Waits for Ctrl-C, or until this process wants to stop.
    #[cfg(not(unix))]
    pub(super) async fn any(&mut self) -> Request {
        let interrupted = async {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = interrupted => {}
            () = STOP.notified() => {}
        }
        Request::Stop
    }
}

/// Where there are no signals: somebody in this process wants the daemon to stop.
#[cfg(not(unix))]
static STOP: tokio::sync::Notify = tokio::sync::Notify::const_new();

/// Has the daemon of this process drain and stop, as Ctrl-C does.
#[cfg(windows)]
pub fn stop_soon() {
    STOP.notify_one();
}
