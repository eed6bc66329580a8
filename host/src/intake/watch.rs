//! Listens to the file system and tells the intake's thread what it hears. It decides nothing.

use std::path::Path;
use std::sync::Arc;

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tracing::{debug, warn};

use super::filter::{Globs, Places};
use super::signals::{Heard, Signals};

/// Whether the file system tells when a writer closes a file.
pub(super) const TELLS_CLOSING: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Listens until it is dropped.
pub(super) struct Watch {
    watcher: RecommendedWatcher,
}

impl Watch {
    /// Begins to listen to the folder of `places`. What is heard from then on reaches `signals`.
    pub(super) fn start(
        route: &str,
        places: Arc<Places>,
        globs: Arc<Globs>,
        recursive: bool,
        signals: Arc<Signals>,
    ) -> notify::Result<Watch> {
        // Without symlinks: one in the place of the folder itself would not be listened to.
        let root = places.real_root.clone();
        let mut ear = Ear { route: route.to_owned(), places, globs, signals, partly_deaf: false };
        let config = notify::Config::default().with_follow_symlinks(false);
        let mode = if recursive { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        let watcher = RecommendedWatcher::new(move |event| ear.hear(event), config)?;
        let mut watch = Watch { watcher };
        if let Err(error) = watch.watcher.watch(&root, mode) {
            // What is listened to by now is better than nothing.
            partly_deaf(route, &root, &error);
        }
        Ok(watch)
    }
}

fn partly_deaf(route: &str, folder: &Path, error: &notify::Error) {
    let hint = match error.kind {
        notify::ErrorKind::MaxFilesWatch if TELLS_CLOSING => "raise fs.inotify.max_user_watches",
        _ => "`watch = \"poll\"` silences this",
    };
    warn!(route, folder = %folder.display(), %error, "in parts of the intake new files are noticed by the rescan only; {hint}");
}

/// The watcher's callback.
struct Ear {
    route: String,
    places: Arc<Places>,
    globs: Arc<Globs>,
    signals: Arc<Signals>,
    /// It has been said that some folders are not listened to.
    partly_deaf: bool,
}

impl Ear {
    fn hear(&mut self, event: notify::Result<Event>) {
        match event {
            Ok(event) if event.need_rescan() => {
                debug!(route = self.route, "the system dropped notices; scanning the folder");
                self.signals.lost();
            }
            Ok(event) => self.tell(&event),
            Err(error) if matches!(error.kind, notify::ErrorKind::MaxFilesWatch) => {
                if !std::mem::replace(&mut self.partly_deaf, true) {
                    partly_deaf(&self.route, &self.places.root, &error);
                }
            }
            Err(error) => {
                debug!(route = self.route, %error, "the watcher failed; scanning the folder");
                self.signals.lost();
            }
        }
    }

    fn tell(&self, event: &Event) {
        let heard = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Heard::Complete),
            // Reading, ours above all.
            EventKind::Access(_) => return,
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => None,
            // Said as `From` and `To` already.
            EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => return,
            // A folder that appears is complete; what is in it is looked at file by file.
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) | EventKind::Create(CreateKind::Folder) => Some(Heard::Complete),
            EventKind::Modify(ModifyKind::Name(_) | ModifyKind::Metadata(_)) | EventKind::Any | EventKind::Other => Some(Heard::Touched),
            EventKind::Create(_) => Some(Heard::Made),
            EventKind::Modify(_) => Some(Heard::Written),
        };
        for path in &event.paths {
            let Some(relative) = self.places.relative(path) else { continue };
            if relative.as_os_str().is_empty() {
                if heard.is_none() {
                    self.signals.root();
                }
            } else if !self.places.never(&self.globs, relative) {
                match heard {
                    None => self.signals.gone(relative),
                    Some(heard) => self.signals.heard(relative, heard),
                }
            }
        }
    }
}

/// Whether `folder` is on a file system where others write without this machine being told: a network share, or one in user space.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn is_remote(folder: &Path) -> bool {
    /// From `linux/magic.h` and the file systems' own sources.
    const REMOTE: [u32; 14] = [
        0x0000_6969, // NFS
        0x0000_517b, // SMB
        0xff53_4d42, // CIFS
        0xfe53_4d42, // SMB2
        0x6573_5546, // FUSE
        0x0102_1997, // 9P
        0x00c3_6400, // Ceph
        0x5346_414f, // AFS
        0x7375_7245, // Coda
        0x0bd0_0bd0, // Lustre
        0x4750_4653, // GPFS
        0x0116_1970, // GFS2
        0x7461_636f, // OCFS2
        0x786f_4256, // a folder of VirtualBox's host
    ];
    // The type is a signed or unsigned word of 32 or 64 bits, by architecture; the magic is its low half.
    rustix::fs::statfs(folder).is_ok_and(|status| REMOTE.contains(&((status.f_type as u64 & 0xffff_ffff) as u32)))
}

/// Whether `folder` is on a file system where others write without this machine being told.
#[cfg(target_vendor = "apple")]
pub fn is_remote(folder: &Path) -> bool {
    /// From `sys/mount.h`: the file system is stored on this machine.
    const MNT_LOCAL: u32 = 0x0000_1000;
    rustix::fs::statfs(folder).is_ok_and(|status| status.f_flags & MNT_LOCAL == 0)
}

/// Whether `folder` is on a share: by its name, or by that of the share that its drive letter stands for.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub fn is_remote(folder: &Path) -> bool {
    use std::path::{Component, Prefix};
    let is_share = |path: &Path| {
        let first = path.components().next();
        matches!(first, Some(Component::Prefix(prefix)) if matches!(prefix.kind(), Prefix::UNC(..) | Prefix::VerbatimUNC(..)))
    };
    is_share(folder) || folder.canonicalize().is_ok_and(|resolved| is_share(&resolved))
}
