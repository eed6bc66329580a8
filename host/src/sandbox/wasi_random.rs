//! WASI's randomness. It is a fixed stream, the same in every call, unless the conversion was given a real one.

use wasmtime_wasi::p2::bindings::random;

use super::state::{CallTooLarge, State};

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

    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            for (byte, random) in chunk.iter_mut().zip(self.next().to_le_bytes()) {
                *byte = random;
            }
        }
    }
}

/// Which of the two streams a guest asks.
#[derive(Clone, Copy)]
enum Stream {
    Secure,
    Insecure,
}

impl State {
    fn fill(&mut self, stream: Stream, bytes: &mut [u8]) -> wasmtime::Result<()> {
        match stream {
            _ if self.access.random => {
                getrandom::fill(bytes).map_err(|error| wasmtime::Error::msg(format!("this machine has no random numbers: {error}")))?;
            }
            Stream::Secure => self.random.fill(bytes),
            Stream::Insecure => self.insecure_random.fill(bytes),
        }
        Ok(())
    }

    fn random_number(&mut self, stream: Stream) -> wasmtime::Result<u64> {
        let mut bytes = [0; 8];
        self.fill(stream, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn random_bytes(&mut self, stream: Stream, length: u64) -> wasmtime::Result<Vec<u8>> {
        let limit = self.limits.call_bytes;
        let length = usize::try_from(length).ok().filter(|_| length <= limit);
        let Some(length) = length else { return Err(CallTooLarge.into()) };
        let mut bytes = vec![0; length];
        self.fill(stream, &mut bytes)?;
        Ok(bytes)
    }
}

impl random::random::Host for State {
    fn get_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(Stream::Secure, length)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random_number(Stream::Secure)
    }
}

impl random::insecure::Host for State {
    fn get_insecure_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(Stream::Insecure, length)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random_number(Stream::Insecure)
    }
}

impl random::insecure_seed::Host for State {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok(if self.access.random { (self.random_number(Stream::Insecure)?, self.random_number(Stream::Insecure)?) } else { (0, 0) })
    }
}
