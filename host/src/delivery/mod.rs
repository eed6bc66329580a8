//! What happens after a conversion: documents wait in the spool until every destination has them, and the source goes where it belongs.
//! This module knows no converters.

mod dead_letter;
mod deliverer;
mod folder;
mod manifest;
mod members;
mod retention;
mod settle;
mod sidecar;
mod spool;

pub use dead_letter::{Purged, purge};
pub use deliverer::Deliverer;
pub use folder::{plain_file_name, unique_file_name};
pub use retention::remove_surplus;
pub use settle::remove_expired;
pub use spool::{SPOOL_FOLDER, Spool};
