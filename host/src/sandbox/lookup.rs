//! The contract's `lookup`: questions to somebody outside, counted and timed.

use std::time::{Duration, Instant};

use super::bindings::dropforge::converter::lookup::{Host, LookupError as GuestError, Response};
use super::capability::LookupError;
use super::state::State;

/// What the look-ups of one call have used up.
#[derive(Debug, Default)]
pub struct LookupUsage {
    count: u32,
    bytes: u64,
    time: Duration,
}

impl State {
    fn look_up(&mut self, path: &str, query: &[(String, String)]) -> Result<Response, LookupError> {
        let Some(lookup) = self.access.lookup.clone() else {
            return Err(LookupError::Denied("looking up is possible in `convert` only, and where it is granted".to_owned()));
        };
        let (limits, used) = (&self.limits, &mut self.lookups);
        let used_up = |what: String, key: &str| Err(LookupError::Budget(format!("this job has used up {what}, its limit `{key}`")));
        if used.count >= limits.lookups {
            return used_up(format!("{} look-ups", limits.lookups), "lookups");
        }
        let bytes_left = limits.lookup_bytes.saturating_sub(used.bytes);
        if bytes_left == 0 {
            return used_up(format!("{} bytes of answers", limits.lookup_bytes), "lookup_bytes");
        }
        let time_left = limits.lookup_time.saturating_sub(used.time);
        if time_left.is_zero() {
            return used_up(format!("{} s of waiting for answers", limits.lookup_time.as_secs_f64()), "lookup_seconds");
        }
        used.count += 1;
        let started = Instant::now();
        let answer = lookup.get(path, query, self.deadline.within(started, time_left), bytes_left);
        used.time = used.time.saturating_add(started.elapsed());
        let answer = answer?;
        used.bytes = used.bytes.saturating_add(answer.body.len() as u64);
        Ok(Response { status: answer.status, media_type: answer.media_type, body: answer.body })
    }
}

impl Host for State {
    fn get(&mut self, path: String, query: Vec<(String, String)>) -> wasmtime::Result<Result<Response, GuestError>> {
        self.deadline.check()?;
        let answer = self.look_up(&path, &query);
        // Waiting counts: a guest that waited past its deadline does not come back.
        self.deadline.check()?;
        Ok(answer.map_err(|error| match error {
            LookupError::Denied(text) => GuestError::Denied(text),
            LookupError::Budget(text) => GuestError::Budget(text),
            LookupError::Unavailable(text) => GuestError::Unavailable(text),
            LookupError::Other(text) => GuestError::Other(text),
        }))
    }
}
