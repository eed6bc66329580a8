//! Files that are posted: each is written to a folder of its own in the state folder, made durable, and queued. It goes to `done/` or `failed/`
//! like every other source.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::leftovers;
use super::pressure::Pressure;
use crate::config::{Config, Route};
use crate::digest::Hasher;
use crate::events::{Event, JobFile};
use crate::files;
use crate::identity::FileIdentity;
use crate::intake::Room;
use crate::metrics::Metrics;
use crate::queue::{COMING, Enqueued, JobId, NewJob, Origin, POSTED_FILE, Queue, QueueError, Store, UPLOADS_FOLDER};
use crate::server::{Receipt, Refusal, Upload, UploadRequest};
use crate::trace_context::TraceParent;

/// What a client is told to wait while there is no room, in seconds.
const RETRY_SECONDS: u64 = 10;

/// The pause before a file is taken while room is scarce.
const SCARCE_PAUSE: Duration = Duration::from_millis(250);

/// The bytes between two questions whether there is still room.
const ASK_EVERY: u64 = 16 << 20;

/// A posted file's job, as it is written down beside the file before it is queued.
#[derive(Debug, Serialize, Deserialize)]
struct Posted {
    id: String,
    route: String,
    name: String,
    digest: String,
    priority: u8,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace: Option<TraceParent>,
}

impl Posted {
    /// The job of the file in this folder.
    fn job(self, folder: &Path) -> io::Result<NewJob> {
        let location = folder.join(&self.name);
        Ok(NewJob {
            id: JobId::from_stored(self.id),
            route: self.route,
            path: self.name,
            identity: FileIdentity::at(&location)?,
            location,
            digest: self.digest,
            priority: self.priority,
            origin: Origin::Http,
            members: Vec::new(),
            media_type: self.media_type,
            trace: self.trace,
        })
    }
}

/// The folder of posted files.
pub(super) struct Uploads {
    config: Arc<Config>,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    pressure: Arc<Pressure>,
    folder: PathBuf,
    /// Held from the question whether a job is known until it is queued, so that a key is never used for two.
    deciding: Mutex<()>,
}

impl Uploads {
    /// Opens the folder, queues again what the queue has lost, and removes what belongs to no job any more: a crash left it, or the history
    /// has forgotten it.
    ///
    /// # Errors
    /// What the file system or the queue says.
    pub(super) fn open(config: Arc<Config>, store: Arc<Store>, metrics: Arc<Metrics>, pressure: Arc<Pressure>) -> anyhow::Result<Uploads> {
        let folder = config.state_dir.join(UPLOADS_FOLDER);
        files::create_folder(&folder)?;
        queue_lost(&folder, &store)?;
        leftovers::remove(&folder, &store, Duration::ZERO)?;
        Ok(Uploads { config, store, metrics, pressure, folder, deciding: Mutex::new(()) })
    }

    pub(super) fn begin(self: &Arc<Self>, request: UploadRequest) -> Result<Box<dyn Upload>, Refusal> {
        let UploadRequest { route, name, key, length, media_type, trace } = request;
        let Some(route) = self.config.routes.iter().find(|configured| configured.name == route) else {
            return Err(Refusal::NotFound(format!("There is no route `{route}`; /api/v1/routes lists those that there are.")));
        };
        if !route.intake.takes_posts() {
            return Err(Refusal::Forbidden(format!("The route `{}` takes no posted files: its `intake.http` is false.", route.name)));
        }
        if scarce(self.pressure.room_for(&route.name))? {
            std::thread::sleep(SCARCE_PAUSE);
        }
        let limit = self.config.largest_input(Some(route));
        if length.is_some_and(|length| length > limit) {
            return Err(too_large(limit));
        }
        let folder =
            tempfile::Builder::new().prefix(COMING).tempdir_in(&self.folder).map_err(|error| cannot_write(&self.folder, &error))?;
        let path = folder.path().join(&name);
        let file = File::create_new(&path).map_err(|error| cannot_write(&path, &error))?;
        let coming = Coming {
            uploads: Arc::clone(self),
            route: route.clone(),
            name,
            key,
            media_type,
            trace,
            limit,
            folder,
            path,
            file,
            hasher: Hasher::default(),
            bytes: 0,
        };
        Ok(Box::new(coming))
    }
}

/// Whether room is scarce. An error if there is none.
fn scarce(room: Room) -> Result<bool, Refusal> {
    match room {
        Room::Free => Ok(false),
        Room::Scarce(_) => Ok(true),
        Room::None(reason) => Err(Refusal::Busy(format!("Nothing is taken in now: {reason}."), RETRY_SECONDS)),
    }
}

/// A file that is being posted. Its folder goes when it is dropped.
struct Coming {
    uploads: Arc<Uploads>,
    route: Route,
    name: String,
    key: Option<String>,
    media_type: Option<String>,
    trace: Option<TraceParent>,
    limit: u64,
    folder: tempfile::TempDir,
    path: PathBuf,
    file: File,
    hasher: Hasher,
    bytes: u64,
}

impl Upload for Coming {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let before = self.bytes;
        self.bytes += bytes.len() as u64;
        if self.bytes > self.limit {
            return Err(too_large(self.limit));
        }
        if before / ASK_EVERY != self.bytes / ASK_EVERY {
            // A pause that began meanwhile lets it end.
            scarce(self.uploads.pressure.room())?;
        }
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(|error| cannot_write(&self.path, &error))
    }

    fn finish(self: Box<Self>) -> Result<Receipt, Refusal> {
        let written = |error: io::Error| cannot_write(&self.path, &error);
        self.file.sync_all().map_err(written)?;
        let identity = FileIdentity::of(&self.file.metadata().map_err(written)?);
        let digest = self.hasher.clone().finish();
        let id = match &self.key {
            // The digest is no part of it: a key that comes again with other bytes must be found.
            Some(key) => JobId::new(&self.route.name, format!("http-key/{key}").as_bytes(), 0, ""),
            None => {
                let unique = self.folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
                JobId::new(&self.route.name, format!("http/{unique}/{}", self.name).as_bytes(), identity.modified_ns, &digest)
            }
        };
        let uploads = Arc::clone(&self.uploads);
        let _deciding = uploads.deciding.lock().unwrap_or_else(PoisonError::into_inner);
        let receipt = |new| Receipt { job: id.to_string(), new, digest: digest.clone(), bytes: self.bytes };
        match uploads.store.digest_of(&id).map_err(|error| queue(&error))? {
            Some(known) if known == digest => {
                uploads.metrics.intake_file(&self.route.name, "duplicate");
                return Ok(receipt(false));
            }
            Some(_) => {
                return Err(Refusal::Conflict("This `Idempotency-Key` came with other bytes before; use a new one for each file.".into()));
            }
            None => {}
        }
        let receipt = receipt(true);
        self.queue(id, identity, digest)?;
        Ok(receipt)
    }
}

impl Coming {
    /// Gives the file its place and queues its job.
    fn queue(self, id: JobId, identity: FileIdentity, digest: String) -> Result<(), Refusal> {
        let Coming { uploads, route, name, media_type, trace, folder, file, bytes, .. } = self;
        // Some systems do not rename the folder of an open file.
        drop(file);
        let place = uploads.folder.join(id.as_str());
        let cannot_write = |error: io::Error| cannot_write(&place, &error);
        let posted = Posted {
            id: id.to_string(),
            route: route.name.clone(),
            name: name.clone(),
            digest: digest.clone(),
            priority: route.priority,
            media_type: media_type.clone(),
            trace,
        };
        let note = serde_json::to_vec(&posted).map_err(io::Error::from).map_err(cannot_write)?;
        files::write_whole(&folder.path().join(POSTED_FILE), &note).map_err(cannot_write)?;
        // A folder of that name is of a request that was interrupted before its job was queued.
        match fs::remove_dir_all(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot_write(error)),
            _ => {}
        }
        fs::rename(folder.path(), &place).and_then(|()| files::sync_folder(&uploads.folder)).map_err(cannot_write)?;
        let job = NewJob {
            id,
            route: route.name.clone(),
            location: place.join(&name),
            path: name,
            identity,
            digest,
            priority: route.priority,
            origin: Origin::Http,
            members: Vec::new(),
            media_type,
            trace,
        };
        let (id, path) = (job.id.clone(), job.path.clone());
        if let Err(error) = uploads.store.enqueue_all(vec![job]) {
            let _ = fs::remove_dir_all(&place);
            return Err(queue(&error));
        }
        uploads.pressure.took(1);
        uploads.metrics.intake_file(&route.name, "queued");
        let queued = || JobFile { job: id.to_string(), route: route.name.clone(), file: path.clone() };
        uploads.metrics.tell(|| Event::JobQueued { job: queued(), origin: Origin::Http.as_str(), bytes });
        tracing::debug!(job = %id, route = route.name, file = path, bytes, "posted");
        Ok(())
    }
}

/// Jobs that are queued together at the start.
const AT_ONCE: usize = 256;

/// Queues the files that say which job they are for. One whose job the queue does not know was lost with the queue, or the process ended before
/// it was queued; of one that it knows, it learns where the file is now: after a backup was restored, that is another place and another file.
fn queue_lost(folder: &Path, store: &Store) -> anyhow::Result<()> {
    let mut jobs = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // What is still coming has no name of its own, and is not complete.
        if entry.file_name().to_string_lossy().starts_with(COMING) {
            fs::remove_dir_all(entry.path())?;
            continue;
        }
        let note = entry.path().join(POSTED_FILE);
        let Ok(text) = fs::read(&note) else { continue };
        match serde_json::from_slice::<Posted>(&text).map_err(io::Error::from).and_then(|posted| posted.job(&entry.path())) {
            Ok(job) => jobs.push(job),
            // Its file went to be settled; only the note was left.
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::remove_file(&note)?,
            Err(error) => {
                tracing::error!(note = %note.display(), %error, "cannot tell which job a posted file is for; it stays where it is")
            }
        }
        if jobs.len() >= AT_ONCE {
            queue_again(store, std::mem::take(&mut jobs))?;
        }
    }
    queue_again(store, jobs)
}

fn queue_again(store: &Store, jobs: Vec<NewJob>) -> anyhow::Result<()> {
    let names: Vec<_> = jobs.iter().map(|job| (job.id.clone(), job.route.clone(), job.path.clone())).collect();
    for ((id, route, file), enqueued) in names.into_iter().zip(store.enqueue_all(jobs)?) {
        if matches!(enqueued, Enqueued::New | Enqueued::Again) {
            tracing::warn!(job = %id, route, file, "a posted file that the queue did not know is queued again");
        }
    }
    Ok(())
}

fn too_large(limit: u64) -> Refusal {
    Refusal::TooLarge(format!("The file is larger than the limit `input_bytes` of this route, {limit} bytes."))
}

fn cannot_write(path: &Path, error: &io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Refusal::Busy("The disk of state_dir is full.".into(), RETRY_SECONDS),
        _ => Refusal::Failed(format!("The file could not be kept as {}: {error}.", path.display())),
    }
}

fn queue(error: &QueueError) -> Refusal {
    Refusal::Failed(format!("The file could not be queued: {error}."))
}
