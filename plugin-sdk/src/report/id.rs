//! The id of a report: the one that the host gives its document, so that the report says the same inside and outside.

use uuid::Uuid;

/// The host's name space of report ids: a UUIDv5 of the text `dropforge:report` in the URL name space.
const REPORTS: Uuid = Uuid::from_u128(0xb500_e6eb_9d84_5f5f_bdc5_2079_c102_b4c4);

/// A UUIDv5 of station, path and key, each preceded by its length, so that no two lists of parts give the same name.
pub(super) fn report(station: &str, path: &str, key: &str) -> String {
    let mut name = Vec::new();
    for part in [station, path, key] {
        name.extend((part.len() as u64).to_le_bytes());
        name.extend(part.as_bytes());
    }
    Uuid::new_v5(&REPORTS, &name).to_string()
}

/// A short text that stands for a long one.
pub(super) fn digest(text: &str) -> String {
    Uuid::new_v5(&REPORTS, text.as_bytes()).to_string()
}
