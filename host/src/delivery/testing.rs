//! What the tests of this module share.

use crate::identity::FileIdentity;
use crate::queue::{CommittedJob, Delivery, Job, JobId, Origin, Outcome};
use crate::sandbox::Document;

/// A delivery of so many documents of the route `r`.
pub(super) fn delivery(documents: u32) -> Delivery {
    let document = |number| Document {
        number,
        media_type: "text/plain".into(),
        name: format!("{number}.txt"),
        attributes: Vec::new(),
        key: None,
        bytes: 3,
        digest: None,
    };
    let job = Job {
        id: JobId::from_stored("0".into()),
        route: "r".into(),
        path: "a.csv".into(),
        location: "/in/a.csv".into(),
        identity: FileIdentity { device: 0, inode: 1, size: 3, modified_ns: 0 },
        digest: "d".into(),
        attempts: 1,
        crashes: 0,
        created_ms: 0,
        members: Vec::new(),
        media_type: None,
        trace: None,
        again_ms: 0,
        origin: Origin::Folder,
    };
    let committed = CommittedJob {
        job,
        outcome: Outcome::Converted,
        error_type: None,
        converter: "csv".into(),
        plugin: ("1".into(), "d".into()),
        detail: serde_json::json!({}),
        finished_ms: 0,
        source_settled: false,
        documents: (0..documents).map(document).collect(),
    };
    Delivery { committed, destination: "d".into(), attempts: 0, next_document: 0, refused: None, trace: None, alone: true }
}
