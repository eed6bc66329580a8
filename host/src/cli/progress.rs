//! The progress bars of one-shot conversions: what the host sees being read, on a terminal only, and what is done before.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::sandbox::Source;

/// A bar over the bytes of one input; nothing where standard error is no terminal.
pub(super) fn bar(name: &str, bytes: u64) -> ProgressBar {
    let target = if io::stderr().is_terminal() { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(bytes), target).with_message(name.to_string());
    let template = "{msg:30!} {wide_bar} {bytes:>10} of {total_bytes:10} {bytes_per_sec:>12} {eta:>4}";
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A bar over steps that may be over too soon to be worth one: nothing is shown until somebody says so.
pub(super) struct Steps(ProgressBar);

/// Called with how many steps are done, and how many there are.
pub(super) type Told = Arc<dyn Fn(usize, usize) + Send + Sync>;

/// Such a bar, and what moves it.
pub(super) fn steps(what: &'static str) -> (Steps, Told) {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()).with_message(what);
    let bar = match ProgressStyle::with_template("{msg}: {pos} of {len} {wide_bar} {elapsed:>4}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    };
    let moved = bar.clone();
    let told = move |done: usize, of: usize| {
        moved.set_length(of as u64);
        moved.set_position(done as u64);
    };
    (Steps(bar), Arc::new(told))
}

impl Steps {
    /// Shows it from now on, where standard error is a terminal.
    pub(super) fn show(&self) {
        if io::stderr().is_terminal() {
            self.0.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
            self.0.enable_steady_tick(Duration::from_millis(500));
        }
    }

    /// Takes it away.
    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

/// A source that moves the bar as it is read.
pub(super) struct Watched<S> {
    pub source: S,
    pub bar: ProgressBar,
}

impl<S: Source> Source for Watched<S> {
    fn size(&self) -> u64 {
        self.source.size()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read_at(offset, buffer)?;
        self.bar.set_position(offset + count as u64);
        Ok(count)
    }
}
