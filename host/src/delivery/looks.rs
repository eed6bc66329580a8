//! When to look for work: soon after a sign that there is some, and not so often that each look finds one piece.

use std::time::{Duration, Instant};

use crate::queue::now_ms;

/// Pieces of work that are fetched at once.
pub(super) const FETCH: usize = 64;
/// How long after a look the next one comes at the earliest: what comes meanwhile is made durable together. What comes after a pause is not
/// held up.
const GATHER: Duration = Duration::from_millis(25);
/// How often there is a look without a sign. Another process can change the queue, and a clock can be set back.
const IDLE: Duration = Duration::from_secs(10);

/// What is known from the last look.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// When, and which generation of the wakeup was seen before it.
    last: Option<(Instant, u64)>,
    /// It found as much as it would take.
    more: bool,
    next_due_ms: Option<i64>,
}

impl Looks {
    /// Whether to look now, where the wakeup is at a generation.
    pub fn are_due(&self, generation: u64) -> bool {
        self.patience(generation).is_zero()
    }

    /// How long there is nothing to look for, unless the wakeup tells of something.
    pub fn patience(&self, generation: u64) -> Duration {
        let Some((last, seen)) = self.last else { return Duration::ZERO };
        if self.more {
            return Duration::ZERO;
        }
        let since = last.elapsed();
        let gathered = GATHER.saturating_sub(since);
        if seen != generation {
            return gathered;
        }
        let due = self.next_due_ms.map(|due| Duration::from_millis((due - now_ms()).max(0).cast_unsigned()).max(gathered));
        due.unwrap_or(IDLE).min(IDLE.saturating_sub(since))
    }

    /// There was a look: whether it found as much as it would take, and when what it did not find is due.
    pub fn looked(&mut self, generation: u64, more: bool, next_due_ms: Option<i64>) {
        *self = Looks { last: Some((Instant::now(), generation)), more, next_due_ms };
    }

    /// The next look is due at once.
    pub fn again(&mut self) {
        *self = Looks::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_look_at_a_sign_and_another_when_more_has_gathered() {
        let mut looks = Looks::default();
        assert!(looks.are_due(0));
        looks.looked(0, false, None);
        assert!(!looks.are_due(0) && looks.patience(0) > GATHER);
        assert!(looks.patience(1) <= GATHER);
        looks.looked(1, true, None);
        assert!(looks.are_due(1));
        looks.looked(1, false, Some(now_ms() + 5_000));
        assert!(looks.patience(1) <= Duration::from_secs(5) && looks.patience(1) > GATHER);
        looks.again();
        assert!(looks.are_due(1));
    }
}
