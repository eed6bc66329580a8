//! `dropforge bench queue`: how the queue's speed depends on its depth.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;

use super::super::print;
use crate::identity::FileIdentity;
use crate::queue::{Committed, JobId, Lane, NewJob, Origin, Outcome, QUEUE_FILE, Queue, Store};

/// What is measured.
#[derive(Debug, Args)]
pub(super) struct QueueArgs {
    /// How many jobs wait in the deep queue; in the shallow one, 1,000 do
    #[arg(long, default_value_t = 1_000_000)]
    depth: usize,
    /// How many jobs are added, claimed and completed
    #[arg(long, default_value_t = 5_000)]
    operations: usize,
    /// Where to make a folder for it: on the disk that counts
    #[arg(long, default_value = ".", value_name = "DIR")]
    folder: PathBuf,
}

pub(super) fn run(args: &QueueArgs) -> anyhow::Result<()> {
    const SHALLOW: usize = 1_000;
    let folder = tempfile::Builder::new().prefix("dropforge-bench-").tempdir_in(&args.folder).context("cannot make a folder")?;
    let mut costs = Vec::new();
    for depth in [SHALLOW, args.depth] {
        let here = folder.path().join(depth.to_string());
        fs::create_dir_all(&here)?;
        let store = Store::open(&here.join(QUEUE_FILE))?.store;
        fill_queue(&store, depth)?;
        // A log that has to grow costs more than one that is written over: both queues begin with one that has grown.
        operate(&store, depth, args.operations)?;
        let start = Instant::now();
        operate(&store, depth + args.operations, args.operations)?;
        let each = start.elapsed().as_secs_f64() * 1e6 / args.operations as f64;
        print(&format!("{depth:>10} jobs wait: {each:>8.0} µs to add, claim and complete one\n"))?;
        costs.push(each);
    }
    if let [shallow, deep] = costs.as_slice() {
        print(&format!("     ratio {:>8.2}\n", deep / shallow))?;
    }
    Ok(())
}

fn waiting_job(number: usize) -> NewJob {
    let path = format!("{number:09}.csv");
    NewJob {
        id: JobId::new("bench", path.as_bytes(), 0, ""),
        route: "bench".into(),
        location: PathBuf::from("/inbox").join(&path),
        path,
        identity: FileIdentity { device: 1, inode: number as u64, size: 1000, modified_ns: 0 },
        digest: format!("{number:064x}"),
        priority: 5,
        origin: Origin::Folder,
        members: Vec::new(),
        media_type: None,
        trace: None,
    }
}

fn fill_queue(store: &Store, depth: usize) -> anyhow::Result<()> {
    const AT_ONCE: usize = 10_000;
    for start in (0..depth).step_by(AT_ONCE) {
        store.enqueue_all((start..depth.min(start + AT_ONCE)).map(waiting_job).collect())?;
    }
    Ok(())
}

/// Adds, claims and completes jobs, as many threads as the machine has cores.
fn operate(store: &Store, depth: usize, operations: usize) -> anyhow::Result<()> {
    let lane = Lane { route: "bench".into(), at_most: None, converter: None, converter_at_most: None };
    let lanes = std::sync::Arc::from([lane]);
    let next = AtomicUsize::new(0);
    let work = || -> anyhow::Result<()> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= operations {
                return Ok(());
            }
            store.enqueue_all(vec![waiting_job(depth + number)])?;
            let job = store.claim(&lanes)?.context("there is nothing to claim")?;
            store.commit(&job.id, ended(), || ())?;
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| bail!("a thread panicked")))
    })
}

fn ended() -> Committed {
    Committed {
        outcome: Outcome::Converted,
        error_type: None,
        converter: "csv".into(),
        plugin: ("1.0.0".into(), "0".repeat(64)),
        options: Some("{}".into()),
        detail: serde_json::json!({ "milliseconds": 1.0 }),
        documents: Vec::new(),
        destinations: vec!["folder:/outbox".into()],
    }
}
