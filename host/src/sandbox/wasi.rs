//! WASI 0.2 as an empty and unchanging world. Guests import it because their language's runtime does; it gives them no access.
//!
//! Everything is wasmtime-wasi with an empty context, but for what would let the world outside in: clocks, randomness and the standard
//! streams are ours. No call here can wait. Only pollables can be waited for, and the only ones to be had are those of the standard streams,
//! which are always ready: timers trap, sockets and name look-ups are denied before they exist, and there is no file to open.

use bytes::Bytes;
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::p2::bindings::{cli, clocks, random};
use wasmtime_wasi::p2::{self, DynOutputStream, DynPollable, OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::log::{SharedLog, Stream};
use super::state::{CallTooLarge, State};

/// The version of WASI that wasmtime-wasi links. Components that import any other 0.2.x are linked to it.
pub const VERSION: &str = "0.2.12";

/// What a component may import of WASI.
pub const INTERFACES: [&str; 27] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// The most that a standard stream takes at once: what fits into a line of the log.
const STREAM_ROOM: usize = 8_192;

/// Adds WASI to `linker`.
pub fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    p2::add_to_linker_sync(linker)?;
    linker.allow_shadowing(true);
    clocks::monotonic_clock::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    clocks::wall_clock::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    random::random::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    random::insecure::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    random::insecure_seed::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    cli::stdout::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    cli::stderr::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// No arguments, environment, folders or sockets. That is wasmtime-wasi's default; for the network it is said once more.
pub fn empty_context() -> WasiCtx {
    WasiCtx::builder().allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false).build()
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Clocks stand still at the epoch.
impl clocks::monotonic_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(0)
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, _when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        Err(waiting())
    }

    fn subscribe_duration(&mut self, _duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        Err(waiting())
    }
}

fn waiting() -> wasmtime::Error {
    wasmtime::Error::msg("waiting for a clock is not available to converters")
}

impl clocks::wall_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<clocks::wall_clock::Datetime> {
        Ok(clocks::wall_clock::Datetime { seconds: 0, nanoseconds: 0 })
    }

    fn resolution(&mut self) -> wasmtime::Result<clocks::wall_clock::Datetime> {
        Ok(clocks::wall_clock::Datetime { seconds: 0, nanoseconds: 1 })
    }
}

/// A stream of numbers that begins the same in every call: SplitMix64.
#[derive(Debug)]
pub struct FixedStream(u64);

impl FixedStream {
    /// The stream behind `wasi:random/random`.
    pub fn secure() -> Self {
        FixedStream(0)
    }

    /// The stream behind `wasi:random/insecure`.
    pub fn insecure() -> Self {
        FixedStream(1)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn bytes(&mut self, length: u64, limit: u64) -> wasmtime::Result<Vec<u8>> {
        let length = usize::try_from(length).ok().filter(|_| length <= limit);
        let Some(length) = length else { return Err(CallTooLarge.into()) };
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(length);
        Ok(bytes)
    }
}

impl random::random::Host for State {
    fn get_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.random.bytes(length, self.limits.call_bytes)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.random.next())
    }
}

impl random::insecure::Host for State {
    fn get_insecure_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.insecure_random.bytes(length, self.limits.call_bytes)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.insecure_random.next())
    }
}

impl random::insecure_seed::Host for State {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((0, 0))
    }
}

impl cli::stdout::Host for State {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        let stream: DynOutputStream = Box::new(LogStream { log: self.log.clone(), stream: Stream::Output });
        Ok(self.table.push(stream)?)
    }
}

impl cli::stderr::Host for State {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        let stream: DynOutputStream = Box::new(LogStream { log: self.log.clone(), stream: Stream::Error });
        Ok(self.table.push(stream)?)
    }
}

/// A standard stream that ends in the job's log.
struct LogStream {
    log: SharedLog,
    stream: Stream,
}

#[wasmtime_wasi::async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.log.lock().write(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(STREAM_ROOM)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use wasmtime::Engine;
    use wasmtime::component::Linker;

    use super::{INTERFACES, VERSION, add_to_linker};
    use crate::sandbox::engine_config;

    /// The list and the version are written down here and not asked of wasmtime-wasi, which cannot say them.
    #[test]
    fn the_list_is_what_the_linker_has() {
        let mut linker = Linker::new(&Engine::new(&engine_config()).unwrap());
        add_to_linker(&mut linker).unwrap();
        let known = [
            ("wasi:cli/environment", "get-environment"),
            ("wasi:cli/stdin", "get-stdin"),
            ("wasi:clocks/wall-clock", "now"),
            ("wasi:filesystem/preopens", "get-directories"),
            ("wasi:io/poll", "poll"),
            ("wasi:random/insecure-seed", "insecure-seed"),
            ("wasi:sockets/udp-create-socket", "create-udp-socket"),
        ];
        for (interface, function) in known {
            assert!(INTERFACES.contains(&interface));
            let mut instance = linker.instance(&format!("{interface}@{VERSION}")).unwrap();
            assert!(instance.func_new(function, |_, _, _, _| Ok(())).is_err(), "{interface}@{VERSION} has no {function}");
        }
    }
}
