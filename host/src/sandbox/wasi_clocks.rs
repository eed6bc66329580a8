//! WASI's clocks. They stand still, and waiting for them traps, unless the conversion was given real ones.

use std::time::{Duration, Instant, SystemTime};

use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use super::state::State;

/// A point in time to wait for. It is ready no later than the call's deadline: then the guest goes on for an instant, and is stopped.
struct Timer {
    at: Instant,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Timer {
    async fn ready(&mut self) {
        tokio::time::sleep_until(self.at.into()).await;
    }
}

impl State {
    /// Nanoseconds since the beginning of the call.
    fn monotonic(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn timer(&mut self, nanoseconds: u64) -> wasmtime::Result<Resource<DynPollable>> {
        if !self.access.clocks {
            wasmtime::bail!("waiting for a clock is not available to converters, unless `clocks` is granted");
        }
        let at = self.deadline.within(Instant::now(), Duration::from_nanos(nanoseconds));
        let timer = self.table.push(Timer { at })?;
        subscribe(&mut self.table, timer)
    }
}

impl monotonic_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(if self.access.clocks { self.monotonic() } else { 0 })
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.timer(when.saturating_sub(self.monotonic()))
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.timer(duration)
    }
}

impl wall_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        // A machine whose clock is before 1970 shows 1970.
        let since =
            if self.access.clocks { SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() } else { Duration::ZERO };
        Ok(wall_clock::Datetime { seconds: since.as_secs(), nanoseconds: since.subsec_nanos() })
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(wall_clock::Datetime { seconds: 0, nanoseconds: 1 })
    }
}
