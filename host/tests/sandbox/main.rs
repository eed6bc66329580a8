//! The sandbox against a real guest: every promise of the contract's text about limits, misuse, cuts and order.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod ending;
mod guests;
mod limits;
mod linking;
mod lookup;
mod observing;
mod reading;
mod support;
mod wasi;
mod writing;
