//! SIGHUP while nobody listens for it: between a start and its handlers, and while the process starts anew. Its default would end the process, and
//! a service manager would take that for an end as it should be.

use nix::sys::signal::{SigSet, Signal};

/// Has SIGHUP wait until [`release`], in this thread, in those that it starts, and in what it executes. Without effect where the system refuses.
pub fn hold() {
    let _ = hang_up().thread_block();
}

/// Has what waited come, and what follows.
pub(super) fn release() {
    let _ = hang_up().thread_unblock();
}

fn hang_up() -> SigSet {
    SigSet::from(Signal::SIGHUP)
}
