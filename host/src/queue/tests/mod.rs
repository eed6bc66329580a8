//! The queue against a real file, with restarts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod database;
mod deliveries;
mod history;
mod pauses;
mod states;
mod waiting;

use std::path::{Path, PathBuf};

use super::*;
use crate::identity::FileIdentity;
use crate::sandbox::{Document, ErrorType};

fn job(path: &str, priority: u8) -> NewJob {
    let identity = FileIdentity { device: u64::MAX, inode: 7, size: 3, modified_ns: -1 };
    NewJob {
        id: JobId::new("r", path.as_bytes(), identity.modified_ns, "d"),
        route: "r".into(),
        path: path.into(),
        location: Path::new("/in").join(path),
        identity,
        digest: "d".into(),
        priority,
        origin: Origin::Folder,
        members: Vec::new(),
        media_type: None,
        trace: None,
    }
}

fn converted(documents: u32) -> Committed {
    let document = |number| Document {
        number,
        media_type: "text/plain".into(),
        name: format!("{number}.txt"),
        attributes: vec![("a".into(), "1".into())],
        key: None,
        bytes: 10,
        digest: Some(format!("{number:064}")),
    };
    Committed {
        outcome: Outcome::Converted,
        error_type: None,
        converter: "csv".into(),
        plugin: ("1.0.0".into(), "abc".into()),
        options: Some("{}".into()),
        detail: serde_json::json!({}),
        documents: (0..documents).map(document).collect(),
        destinations: vec!["folder:/out".into()],
    }
}

fn lane(route: &str) -> Lane {
    Lane { route: route.into(), at_most: None, converter: None, converter_at_most: None }
}

fn claim(store: &Store) -> Option<Job> {
    store.claim(&Arc::from([lane("r")])).unwrap()
}

/// Records what became of a job, durably.
fn ended(store: &Store, id: &JobId, committed: Committed) {
    store.commit(id, committed, || ()).unwrap();
    store.flush().unwrap();
}

/// Gives a job back, durably.
fn deferred(store: &Store, id: &JobId, due_ms: i64, waiting: Waiting) {
    store.defer(id, due_ms, waiting, || ()).unwrap();
    store.flush().unwrap();
}

impl Store {
    /// Adds one job.
    pub(super) fn enqueue(&self, job: NewJob) -> Result<Enqueued, QueueError> {
        self.enqueue_all(vec![job]).map(|enqueued| enqueued[0])
    }
}

fn store() -> (tempfile::TempDir, PathBuf, Store) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let store = Store::open(&path).unwrap().store;
    (folder, path, store)
}

fn record<const N: usize>(store: &Store, steps: [Progress; N]) -> Vec<JobId> {
    store.record(steps.into(), |_| {}).unwrap().into_iter().map(|ended| ended.job).collect()
}

fn delivered(id: &JobId, destination: &str) -> Progress {
    Progress::Delivered { job: id.clone(), destination: destination.into() }
}

fn source_settled(id: &JobId, location: Option<&str>, kept: bool) -> Progress {
    Progress::SourceSettled { job: id.clone(), location: location.map(PathBuf::from), number: None, kept }
}
