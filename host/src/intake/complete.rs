//! When a file is complete: the rules, without the file system.

use std::time::{Duration, Instant};

use super::signals::Heard;
use super::watch::TELLS_CLOSING;
use super::writer::Writer;

/// Between a writer's closing of a file and our taking it: programs that copy a file set its times right after they have closed it.
pub(super) const GRACE: Duration = Duration::from_millis(5);

/// How it is decided that a file is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Nobody has it open for writing.
    Closed,
    /// It has not changed for a while.
    Quiet,
}

/// What is known of the file's writers from the file system's notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    /// No notice, or some were lost.
    Unknown,
    /// It was written to, and not closed since.
    Open,
    /// It was closed after the last write, or renamed to its name.
    Closed,
}

impl Writing {
    /// What is known after something was heard of a file that has `size` bytes now.
    pub(super) fn after(self, heard: Heard, size: u64) -> Writing {
        match heard {
            Heard::Touched => self,
            Heard::Complete => Writing::Closed,
            Heard::Written => Writing::Open,
            // The writer of a new file is about to write, and will close it.
            Heard::Made if size == 0 => Writing::Open,
            // Content without a write: a hard link, whose closing nobody would hear. If it was written to in this instant, that is heard next.
            Heard::Made => Writing::Unknown,
        }
    }
}

/// Whether a file is complete.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Complete,
    /// Not yet: look again at this time; if none, when something is heard of it, at the latest at the next scan.
    Wait(Option<Instant>),
}

/// What was seen of a file's changes.
pub(super) struct Stillness {
    /// It did not change while we asked for writers.
    pub(super) unchanged: bool,
    /// When it will not have changed for long enough.
    pub(super) quiet_at: Instant,
}

/// Decides from what was seen and heard.
pub(super) fn verdict(rule: Rule, writer: Writer, writing: Writing, still: &Stillness, now: Instant) -> Verdict {
    let when_quiet = if now >= still.quiet_at { Verdict::Complete } else { Verdict::Wait(Some(still.quiet_at)) };
    match (rule, writer, writing) {
        (Rule::Quiet, _, _) => when_quiet,
        (Rule::Closed, Writer::Present, _) => Verdict::Wait(None),
        _ if !still.unchanged => Verdict::Wait(Some(now + GRACE)),
        (Rule::Closed, Writer::None, _) | (Rule::Closed, Writer::Unknown, Writing::Closed) => Verdict::Complete,
        // However long the writer pauses, its closing will be heard.
        (Rule::Closed, Writer::Unknown, Writing::Open) if TELLS_CLOSING => Verdict::Wait(None),
        (Rule::Closed, Writer::Unknown, _) => when_quiet,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_writer() {
        let cases = [
            (Heard::Made, 0, Writing::Open),
            (Heard::Made, 9, Writing::Unknown),
            (Heard::Written, 9, Writing::Open),
            (Heard::Complete, 9, Writing::Closed),
        ];
        for (heard, size, expected) in cases {
            for before in [Writing::Unknown, Writing::Open, Writing::Closed] {
                assert_eq!(before.after(heard, size), expected, "{heard:?} {size}");
                assert_eq!(before.after(Heard::Touched, size), before);
            }
        }
    }

    #[test]
    fn when_a_file_is_complete() {
        use Writing::{Closed as ClosedAgain, Open as BeingWritten, Unknown as Unheard};
        let now = Instant::now();
        let quiet = Stillness { unchanged: true, quiet_at: now };
        let later = now + Duration::from_secs(1);
        let loud = Stillness { unchanged: true, quiet_at: later };
        let changing = Stillness { unchanged: false, quiet_at: later };
        let wait_for_news = Verdict::Wait(None);
        let until_quiet = Verdict::Wait(Some(later));
        let waits = if TELLS_CLOSING { &wait_for_news } else { &until_quiet };
        let cases = [
            (Rule::Closed, Writer::None, Unheard, &loud, &Verdict::Complete),
            (Rule::Closed, Writer::None, BeingWritten, &loud, &Verdict::Complete),
            (Rule::Closed, Writer::None, ClosedAgain, &changing, &Verdict::Wait(Some(now + GRACE))),
            (Rule::Closed, Writer::Present, Unheard, &quiet, &wait_for_news),
            (Rule::Closed, Writer::Present, ClosedAgain, &quiet, &wait_for_news),
            (Rule::Closed, Writer::Unknown, ClosedAgain, &loud, &Verdict::Complete),
            (Rule::Closed, Writer::Unknown, BeingWritten, &loud, waits),
            (Rule::Closed, Writer::Unknown, Unheard, &loud, &until_quiet),
            (Rule::Closed, Writer::Unknown, Unheard, &quiet, &Verdict::Complete),
            (Rule::Quiet, Writer::Unknown, ClosedAgain, &loud, &until_quiet),
            (Rule::Quiet, Writer::Unknown, BeingWritten, &quiet, &Verdict::Complete),
        ];
        for (rule, writer, writing, still, expected) in cases {
            assert_eq!(&verdict(rule, writer, writing, still, now), expected, "{rule:?} {writer:?} {writing:?}");
        }
        if TELLS_CLOSING {
            // However long the pause.
            assert_eq!(verdict(Rule::Closed, Writer::Unknown, BeingWritten, &quiet, now), wait_for_news);
        }
    }
}
