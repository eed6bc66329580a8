//! How the plugins inside this program stand in for what a plugins folder does not have: each gives way to a file of its name, and to a converter
//! of its name in any file, and is back when that is gone. Their keys among those of the files are of a form that no file's name has.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

use super::Folder;
use crate::plugins::bundled::{BUNDLED, Bundled};
use crate::plugins::entry::Again;

impl Folder {
    /// The plugin inside this program that a key is about.
    pub(super) fn bundled(&self, name: &OsStr) -> Option<Bundled> {
        let is_it = |bundled: &Bundled| stand_in(OsStr::new(bundled.file)) == name;
        self.settings.bundled.iter().copied().find(is_it)
    }

    /// Whether a plugin inside this program has to leave its place to a file, which is not one of those in `gone`.
    pub(super) fn has_to_yield(&self, name: &OsStr, converter: &str, gone: &BTreeSet<OsString>) -> bool {
        let stays = |file: &OsStr| !gone.contains(file);
        let runs = |file: &OsStr| self.files.get(file).is_some_and(|entry| entry.running.is_some());
        let file = file_of(name);
        is_bundled(name) && (stays(file) && runs(file) || self.holder(converter, name).is_some_and(|(holder, _)| stays(&holder)))
    }

    /// Ends what another takes the place of. What is bundled comes back when that one goes.
    pub(super) fn give_way(&mut self, name: &OsStr) {
        if self.unload(name)
            && is_bundled(name)
            && let Some(entry) = self.files.get_mut(name)
        {
            entry.again = Some(Again::Plugins);
        }
    }
}

/// The key of the plugin inside this program that stands in for a file.
pub(super) fn stand_in(file: &OsStr) -> OsString {
    let mut key = OsString::from(BUNDLED);
    key.push(file);
    key
}

/// The name of the file that a key is about, in the folder or not.
pub(super) fn file_of(key: &OsStr) -> &OsStr {
    key.to_str().and_then(|key| key.strip_prefix(BUNDLED)).map_or(key, OsStr::new)
}

/// Whether a key is of a plugin inside this program.
pub(super) fn is_bundled(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(BUNDLED.as_bytes())
}
