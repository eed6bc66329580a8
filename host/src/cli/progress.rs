//! The progress bar of one-shot conversions: what the host sees being read, on a terminal only.

use std::io::{self, IsTerminal};

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
