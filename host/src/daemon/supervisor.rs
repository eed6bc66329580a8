//! What a service manager is told: that the daemon is ready, takes its configuration anew, stops, and is alive. On Linux it is systemd's protocol; where
//! nobody listens (`NOTIFY_SOCKET` is not set), nothing happens. On Windows the service tells the service manager. It decides nothing.

use tokio::runtime::Runtime;

/// What the daemon does now.
#[derive(Debug, Clone, Copy)]
pub enum Moment {
    /// It does its work.
    Ready {
        /// So many converters run.
        converters: usize,
        /// So many routes are served.
        routes: usize,
    },
    /// It looks at its configuration, and may start anew. [`Moment::Ready`] follows, from this start or from the next.
    Reloading,
    /// It ends.
    Stopping,
}

#[cfg(target_os = "linux")]
pub(super) fn tell(moment: Moment) {
    use sd_notify::NotifyState as State;
    let told = match moment {
        Moment::Ready { converters, routes } => {
            let status = format!("Ready: converters {converters}, routes {routes}");
            sd_notify::notify(&[State::Ready, State::Status(&status)])
        }
        // systemd wants to know when that began: an answer that was under way then is none.
        Moment::Reloading => State::monotonic_usec_now().and_then(|now| sd_notify::notify(&[State::Reloading, now])),
        Moment::Stopping => sd_notify::notify(&[State::Stopping, State::Status("Stopping: running jobs end")]),
    };
    if let Err(error) = told {
        tracing::warn!(%error, ?moment, "the service manager cannot be told; it may take the daemon for one that hangs");
    }
}

/// Says again and again, for as long as the daemon's threads for requests are not stuck, that it is alive, where the service manager wants
/// to know that (`WATCHDOG_USEC`).
#[cfg(target_os = "linux")]
pub(super) fn keep_alive(runtime: &Runtime) {
    let Some(patience) = sd_notify::watchdog_enabled() else { return };
    runtime.spawn(async move {
        let mut ticks = tokio::time::interval(patience / 3);
        loop {
            ticks.tick().await;
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
        }
    });
}

/// Who is told on Windows.
#[cfg(windows)]
static LISTENER: std::sync::OnceLock<Box<dyn Fn(Moment) + Send + Sync>> = std::sync::OnceLock::new();

/// Has somebody be told of every moment of this process's daemon. The first who asks is.
#[cfg(windows)]
pub fn listen(listener: Box<dyn Fn(Moment) + Send + Sync>) {
    let _ = LISTENER.set(listener);
}

#[cfg(windows)]
pub(super) fn tell(moment: Moment) {
    if let Some(listener) = LISTENER.get() {
        listener(moment);
    }
}

/// There is nobody to tell elsewhere.
#[cfg(not(any(target_os = "linux", windows)))]
pub(super) fn tell(moment: Moment) {
    tracing::debug!(?moment, "nobody is told");
}

/// Nobody wants to know elsewhere.
#[cfg(not(target_os = "linux"))]
pub(super) fn keep_alive(_runtime: &Runtime) {}
