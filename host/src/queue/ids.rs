//! The identities of jobs and documents.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::digest::sha256_hex;

/// Names a job: a function of route, path relative to the intake, modified time and input digest. The same through retries, restarts and
/// replays; different for every other file, even with equal bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(String);

impl JobId {
    /// The id of a job, from the bytes of its path (a name need not be text) and its modified time in nanoseconds since the epoch.
    pub fn new(route: &str, path: &[u8], modified_ns: i64, digest: &str) -> Self {
        let mut text = Vec::with_capacity(path.len() + 160);
        // Each part is preceded by its length, so that no two lists of parts give the same text.
        for part in [route.as_bytes(), path, &modified_ns.to_le_bytes(), digest.as_bytes()] {
            text.extend((part.len() as u64).to_le_bytes());
            text.extend(part);
        }
        let mut id = sha256_hex(&text);
        id.truncate(32);
        JobId(id)
    }

    /// An id as it is stored.
    pub fn from_stored(id: String) -> Self {
        JobId(id)
    }

    /// 32 lower-case hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names a document: a UUIDv5 of (job id, number). The plugin is not part of it, because a job commits the documents of one conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DocumentId(Uuid);

impl DocumentId {
    /// The name space of document ids: a UUIDv5 of the text `dropforge:document` in the URL name space, written out.
    const NAMESPACE: Uuid = Uuid::from_u128(0x3bc4_98a3_dcc6_5b88_8d42_9013_dd32_5d2c);

    /// The id of document `number` of a job.
    pub fn new(job: &JobId, number: u32) -> Self {
        DocumentId(Uuid::new_v5(&Self::NAMESPACE, format!("{job}/{number}").as_bytes()))
    }

    /// The first 16 hexadecimal digits: enough to keep file names apart, short enough to read.
    pub fn short(self) -> String {
        let mut text = self.0.simple().to_string();
        text.truncate(16);
        text
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts() {
        let base = JobId::new("r", b"a/b.csv", 7, "d");
        assert_eq!(base, JobId::new("r", b"a/b.csv", 7, "d"));
        let others = [
            JobId::new("s", b"a/b.csv", 7, "d"),
            JobId::new("r", b"b.csv", 7, "d"),
            JobId::new("r", b"a/b.csv", 8, "d"),
            JobId::new("r", b"a/b.csv", 7, "e"),
        ];
        assert!(others.iter().all(|other| *other != base));
        assert_ne!(JobId::new("ra", b"b", 7, "d"), JobId::new("r", b"ab", 7, "d"));
        assert_ne!(DocumentId::new(&base, 0), DocumentId::new(&base, 1));
    }
}
