//! WASI 0.2 as an empty and unchanging world. Guests import it because their language's runtime does; it gives them no access.
//!
//! Everything is wasmtime-wasi with an empty context, but for what would let the world outside in: clocks, randomness and the standard
//! streams are ours (see `wasi_clocks` and `wasi_random`). No call here can wait for long. Only pollables can be waited for, and the only ones
//! to be had are those of the standard streams, which are always ready, and timers, which trap unless real clocks were granted, and then
//! end at the deadline. Sockets and name look-ups are denied before they exist, and there is no file to open.

use bytes::Bytes;
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::p2::bindings::{cli, clocks, random};
use wasmtime_wasi::p2::{self, DynOutputStream, OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::log::{SharedLog, Stream};
use super::state::State;

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
