//! How much goes to a destination at once, and how long it is left alone after a failure. It knows neither documents nor destinations.

use std::time::Duration;

/// How long a destination is left alone after its first failure; doubled with every further one.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// A server can ask for more time than this; it does not get it.
const LONGEST_WISH: Duration = Duration::from_secs(3600);
/// How many are under way at the same time after an outage, until the backlog is gone.
pub(super) const MOST_AFTER_OUTAGE: usize = 4;
/// How many are tried in one round while every one fails. Then those are set aside for a while, so that others get their turn.
const WIDEST_ROUND: u32 = 16;
/// Failed rounds after which a destination counts as down, and not as having had an accident.
const OUTAGE: u32 = 5;

/// What a failure says about its cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The destination cannot be reached: nothing else would get there.
    Destination,
    /// The destination took up the document and failed: others may fare better.
    Unclear,
    /// Something is wrong with this document alone.
    Document,
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// Go on with the next.
    GoOn,
    /// Leave the destination alone for this long, then begin with the oldest.
    Pause(Duration),
    /// The same, and set aside those that were tried.
    SetAside(Duration),
}

/// The state of the way to one destination.
#[derive(Debug)]
pub(super) enum Pace {
    /// It works.
    Usual,
    /// It failed; it is tried with the oldest, one by one: so many in a round.
    Down { rounds: u32, width: u32, tried: u32 },
    /// It works again, and there is a backlog.
    Recovering { window: usize },
}

impl Pace {
    /// How many may be under way at the same time, where `usual` are if all is well.
    pub fn window(&self, usual: usize) -> usize {
        match self {
            Pace::Usual => usual,
            Pace::Down { .. } => 1,
            Pace::Recovering { window } => *window,
        }
    }

    /// Whether everything that was tried last failed.
    pub fn is_down(&self) -> bool {
        matches!(self, Pace::Down { .. })
    }

    /// Whether that lasts.
    pub fn is_outage(&self) -> bool {
        matches!(self, Pace::Down { rounds, .. } if *rounds >= OUTAGE)
    }

    /// One got there. True where it was the first after a failure.
    pub fn succeeded(&mut self) -> bool {
        match self {
            Pace::Usual => false,
            Pace::Down { .. } => {
                *self = Pace::Recovering { window: 1 };
                true
            }
            Pace::Recovering { window } => {
                *window = (*window + 1).min(MOST_AFTER_OUTAGE);
                false
            }
        }
    }

    /// Nothing waits any more but what comes in anew.
    pub fn backlog_gone(&mut self) {
        if matches!(self, Pace::Recovering { .. }) {
            *self = Pace::Usual;
        }
    }

    /// One did not get there; `wish` is how long the destination asks to be left alone.
    pub fn failed(&mut self, trouble: Trouble, wish: Option<Duration>) -> After {
        if trouble == Trouble::Document {
            return After::GoOn;
        }
        let (rounds, width, tried) = match self {
            Pace::Down { rounds, width, tried } => (*rounds, *width, *tried + 1),
            Pace::Usual | Pace::Recovering { .. } => (0, 1, 1),
        };
        if trouble == Trouble::Unclear && tried < width && wish.is_none() {
            *self = Pace::Down { rounds, width, tried };
            return After::GoOn;
        }
        // What cannot be reached says nothing about documents, so the round does not widen.
        let widened = if trouble == Trouble::Unclear { width + 1 } else { width };
        *self = Pace::Down { rounds, width: widened.min(WIDEST_ROUND), tried };
        let pause = self.end_of_round().max(wish.unwrap_or_default().min(LONGEST_WISH));
        if widened > WIDEST_ROUND { After::SetAside(pause) } else { After::Pause(pause) }
    }

    /// Nothing is left to try in this round: how long the destination is left alone.
    pub fn end_of_round(&mut self) -> Duration {
        let Pace::Down { rounds, width, .. } = *self else { return Duration::ZERO };
        *self = Pace::Down { rounds: rounds.saturating_add(1), width, tried: 0 };
        backoff(rounds, LONGEST_DELAY)
    }
}

/// A delay that doubles with every failure before this one, up to a longest, somewhere between nothing and all of it ("full jitter"): what
/// failed together must not come back together.
pub(super) fn backoff(failures: u32, longest: Duration) -> Duration {
    jittered(doubled(FIRST_DELAY, failures).min(longest))
}

fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(1 << times.min(20))
}

fn jittered(longest: Duration) -> Duration {
    longest.mul_f64(fastrand::f64()).max(longest / 20)
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn after_an_outage_one_more_goes_with_every_success_up_to_four() {
        let mut pace = Pace::Usual;
        assert_eq!(pace.window(64), 64);
        assert!(matches!(pace.failed(Trouble::Destination, None), After::Pause(_)));
        assert_eq!(pace.window(64), 1);
        assert!(pace.succeeded());
        let windows: Vec<usize> = (0..6)
            .map(|_| {
                let window = pace.window(64);
                assert!(!pace.succeeded());
                window
            })
            .collect();
        assert_eq!(windows, [1, 2, 3, 4, 4, 4]);
        pace.backlog_gone();
        assert_eq!(pace.window(64), 64);
    }

    #[test]
    fn a_destination_that_cannot_be_reached_is_tried_with_one() {
        let mut pace = Pace::Usual;
        for round in 0..20 {
            let After::Pause(pause) = pace.failed(Trouble::Destination, None) else { panic!("round {round}") };
            assert!(pause > Duration::ZERO && pause <= LONGEST_DELAY);
            assert_eq!(pace.is_outage(), round + 1 >= OUTAGE);
        }
    }

    #[test]
    fn a_document_that_always_fails_does_not_stop_the_others() {
        let mut pace = Pace::Usual;
        // Round n tries n; when the widest has failed, those are set aside.
        for round in 1..=WIDEST_ROUND {
            for _ in 1..round {
                assert_eq!(pace.failed(Trouble::Unclear, None), After::GoOn);
            }
            match pace.failed(Trouble::Unclear, None) {
                After::Pause(_) => assert!(round < WIDEST_ROUND),
                After::SetAside(_) => assert_eq!(round, WIDEST_ROUND),
                After::GoOn => panic!("round {round} does not end"),
            }
        }
        assert_eq!(Pace::Usual.failed(Trouble::Document, None), After::GoOn);
    }

    #[test]
    fn a_server_that_asks_for_time_gets_it() {
        let wish = Duration::from_secs(120);
        assert_eq!(Pace::Usual.failed(Trouble::Unclear, Some(wish)), After::Pause(wish));
        assert_eq!(Pace::Usual.failed(Trouble::Unclear, Some(Duration::MAX)), After::Pause(LONGEST_WISH));
    }
}
