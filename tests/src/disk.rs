//! A model of a file system that loses power: what a sequence of file operations leaves behind, of which only what was synced is certain.
//!
//! It is as pessimistic as POSIX allows. The bytes of a file are durable once that file was synced; a name is durable once its folder was synced,
//! and the two names of a rename from folder to folder each with its own folder. That the sync of a new file makes its name durable too, as ext4
//! has it, is not counted on, nor that operations become durable in their order.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// A file or folder, whatever its names. The root folder is 0.
pub type Node = usize;

/// The folder that everything is in.
pub const ROOT: Node = 0;

/// What one system call does to one file or folder.
#[derive(Debug, Clone)]
pub enum Change {
    /// Bytes are written at an offset.
    Write(u64, Vec<u8>),
    /// A file is cut off or filled up with zeros.
    Resize(u64),
    /// A name comes to stand for something.
    Add(OsString, Node),
    /// A name is no more.
    Remove(OsString),
    /// A rename within a folder: the first name goes, the second stands for what it stood for. Both or neither become durable.
    Rename(OsString, OsString, Node),
}

/// One system call.
#[derive(Debug, Clone)]
pub enum Operation {
    /// It changes files or folders.
    Change(Vec<(Node, Change)>),
    /// It makes durable what was done to a file or folder by the operations before this number.
    Sync(Node, usize),
}

/// What a file or folder holds.
#[derive(Debug, Clone)]
enum Body {
    File(Vec<u8>),
    Folder(BTreeMap<OsString, Node>),
}

impl Body {
    fn apply(&mut self, change: &Change) {
        match (self, change) {
            (Body::File(bytes), Change::Write(offset, written)) => {
                let (from, to) = (*offset as usize, *offset as usize + written.len());
                if bytes.len() < to {
                    bytes.resize(to, 0);
                }
                bytes[from..to].copy_from_slice(written);
            }
            (Body::File(bytes), Change::Resize(length)) => bytes.resize(*length as usize, 0),
            (Body::Folder(names), Change::Add(name, node)) => drop(names.insert(name.clone(), *node)),
            (Body::Folder(names), Change::Remove(name)) => drop(names.remove(name)),
            (Body::Folder(names), Change::Rename(from, to, node)) => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
            (body, change) => panic!("{change:?} does not fit {body:?}"),
        }
    }
}

#[derive(Debug, Clone)]
struct State {
    durable: Body,
    /// Changes that no sync has made durable, with the number of their operation.
    pending: Vec<(usize, Change)>,
    /// The file of the real file system that was there before the first operation.
    origin: Option<PathBuf>,
}

/// What the power cut takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Loss {
    /// Everything that was not synced.
    Unsynced,
    /// The second half of the last write that was not synced.
    TornWrite,
    /// The bytes that were not synced; all names are there.
    Bytes,
    /// The names that were not synced; all bytes are there.
    Names,
}

impl Loss {
    /// All of them.
    pub const ALL: [Loss; 4] = [Loss::Unsynced, Loss::TornWrite, Loss::Bytes, Loss::Names];
}

/// Which of the changes that were not synced are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    None,
    All,
    /// All, but of the write of this operation its first half only.
    AllButHalf(usize),
}

/// A disk on which operations are played.
#[derive(Debug, Clone)]
pub struct Disk {
    states: Vec<State>,
    operations: usize,
}

impl Disk {
    /// A disk that holds, durably, what is in a folder now.
    pub fn of(folder: &Path) -> Disk {
        let mut disk = Disk { states: Vec::new(), operations: 0 };
        disk.read(folder, &mut HashMap::new());
        disk
    }

    fn read(&mut self, path: &Path, known: &mut HashMap<(u64, u64), Node>) -> Node {
        let metadata = fs::symlink_metadata(path).unwrap();
        let identity = (metadata.dev(), metadata.ino());
        if let Some(node) = known.get(&identity) {
            return *node;
        }
        let node = self.states.len();
        known.insert(identity, node);
        let body = if metadata.is_dir() { Body::Folder(BTreeMap::new()) } else { Body::File(fs::read(path).unwrap()) };
        let origin = metadata.is_file().then(|| path.to_owned());
        self.states.push(State { durable: body, pending: Vec::new(), origin });
        if metadata.is_dir() {
            let entries: BTreeSet<OsString> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            for name in entries {
                let child = self.read(&path.join(&name), known);
                self.states[node].durable.apply(&Change::Add(name, child));
            }
        }
        node
    }

    /// Makes room for a file or folder that an operation will give a name.
    pub fn create(&mut self, folder: bool) -> Node {
        let durable = if folder { Body::Folder(BTreeMap::new()) } else { Body::File(Vec::new()) };
        self.states.push(State { durable, pending: Vec::new(), origin: None });
        self.states.len() - 1
    }

    /// What a name in a folder stands for.
    pub fn lookup(&self, folder: Node, name: &OsStr) -> Option<Node> {
        match self.body(folder, Kept::All) {
            Body::Folder(names) => names.get(name).copied(),
            Body::File(_) => None,
        }
    }

    /// What a path below the root stands for.
    pub fn find(&self, path: &Path) -> Option<Node> {
        path.iter().try_fold(ROOT, |folder, name| self.lookup(folder, name))
    }

    /// Whether it is a folder.
    pub fn is_folder(&self, node: Node) -> bool {
        matches!(self.states[node].durable, Body::Folder(_))
    }

    /// What a file holds, synced or not.
    pub fn content(&self, node: Node) -> Vec<u8> {
        match self.body(node, Kept::All) {
            Body::File(bytes) => bytes,
            Body::Folder(_) => panic!("a folder has no bytes"),
        }
    }

    /// This disk, and room for what another one has created since it was cloned from this.
    pub fn with_room_for(mut self, later: &Disk) -> Disk {
        for node in self.states.len()..later.states.len() {
            self.create(later.is_folder(node));
        }
        self
    }

    /// Plays the next operation.
    pub fn play(&mut self, operation: &Operation) {
        match operation {
            Operation::Change(changes) => {
                for (node, change) in changes {
                    let state = &mut self.states[*node];
                    if !matches!(change, Change::Add(..) | Change::Remove(_) | Change::Rename(..)) {
                        // Its bytes are no longer those that were there before.
                        state.origin = None;
                    }
                    state.pending.push((self.operations, change.clone()));
                }
            }
            Operation::Sync(node, before) => {
                let state = &mut self.states[*node];
                let (synced, pending) = std::mem::take(&mut state.pending).into_iter().partition(|(number, _)| number < before);
                state.pending = pending;
                synced.iter().for_each(|(_, change): &(usize, Change)| state.durable.apply(change));
            }
        }
        self.operations += 1;
    }

    /// A file's or folder's body, with those changes that were not synced and are kept.
    fn body(&self, node: Node, kept: Kept) -> Body {
        let state = &self.states[node];
        let mut body = state.durable.clone();
        for (number, change) in state.pending.iter().filter(|_| kept != Kept::None) {
            match change {
                Change::Write(offset, bytes) if kept == Kept::AllButHalf(*number) => {
                    body.apply(&Change::Write(*offset, bytes[..bytes.len() / 2].to_vec()));
                }
                change => body.apply(change),
            }
        }
        body
    }

    /// The last write that was not synced.
    fn last_write(&self) -> Option<usize> {
        let pending = self.states.iter().flat_map(|state| &state.pending);
        pending.filter(|(_, change)| matches!(change, Change::Write(..))).map(|(number, _)| *number).max()
    }

    /// Everything, synced or not.
    pub fn now(&self) -> Survivors {
        self.collected(Kept::All, Kept::All)
    }

    /// What is left after the power was cut now.
    pub fn after(&self, loss: Loss) -> Survivors {
        let whole_or_torn = || self.last_write().map_or(Kept::All, Kept::AllButHalf);
        let (names, bytes) = match loss {
            Loss::Unsynced => (Kept::None, Kept::None),
            Loss::TornWrite => (Kept::All, whole_or_torn()),
            Loss::Bytes => (Kept::All, Kept::None),
            Loss::Names => (Kept::None, Kept::All),
        };
        self.collected(names, bytes)
    }

    fn collected(&self, names: Kept, bytes: Kept) -> Survivors {
        let mut survivors = Survivors { folders: BTreeSet::new(), files: BTreeMap::new() };
        self.collect(ROOT, Path::new(""), names, bytes, &mut survivors);
        survivors
    }

    fn collect(&self, node: Node, path: &Path, names: Kept, bytes: Kept, into: &mut Survivors) {
        let Body::Folder(entries) = self.body(node, names) else { panic!("{} is no folder", path.display()) };
        for (name, child) in entries {
            let path = path.join(name);
            match self.body(child, bytes) {
                Body::Folder(_) => {
                    into.folders.insert(path.clone());
                    self.collect(child, &path, names, bytes, into);
                }
                Body::File(content) => drop(into.files.insert(path, (child, content, self.states[child].origin.clone()))),
            }
        }
    }
}

/// The files and folders that are there after a power cut, by path.
pub struct Survivors {
    folders: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, (Node, Vec<u8>, Option<PathBuf>)>,
}

impl Survivors {
    /// Equal for equal survivors, as good as always different for others.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.folders, &self.files).hash(&mut hasher);
        hasher.finish()
    }

    /// The bytes of every file.
    pub fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.files.iter().map(|(path, (_, bytes, _))| (path.clone(), bytes.clone())).collect()
    }

    /// The folders.
    pub fn folders(&self) -> &BTreeSet<PathBuf> {
        &self.folders
    }

    /// Makes them real. Files that had several names have them again; those that were there at the beginning and kept their bytes are links to the
    /// very files where `linked` says so, and so have the same number and times. Files for which `left_out` holds are not made.
    pub fn write_to(&self, target: &Path, linked: impl Fn(&Path) -> bool, left_out: impl Fn(&Path) -> bool) {
        let mut private = DirBuilder::new();
        private.mode(0o700);
        self.folders.iter().for_each(|folder| private.create(target.join(folder)).unwrap());
        let mut made: HashMap<Node, PathBuf> = HashMap::new();
        for (path, (node, bytes, origin)) in self.files.iter().filter(|(path, _)| !left_out(path)) {
            let to = target.join(path);
            match (made.get(node), origin) {
                (Some(first), _) => fs::hard_link(first, &to).unwrap(),
                (None, Some(origin)) if linked(origin) => fs::hard_link(origin, &to).unwrap(),
                _ => fs::write(&to, bytes).unwrap(),
            }
            made.insert(*node, to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Played(Disk);

    impl Played {
        fn new() -> Played {
            Played(Disk::of(tempfile::tempdir().unwrap().path()))
        }

        fn make(&mut self, folder: Node, name: &str, is_folder: bool) -> Node {
            let node = self.0.create(is_folder);
            self.change(folder, Change::Add(name.into(), node));
            node
        }

        fn change(&mut self, node: Node, change: Change) {
            self.0.play(&Operation::Change(vec![(node, change)]));
        }

        fn sync(&mut self, node: Node) {
            self.0.play(&Operation::Sync(node, self.0.operations));
        }

        fn left(&self, loss: Loss) -> Vec<(String, String)> {
            let text = |path: PathBuf| path.to_str().unwrap().to_owned();
            self.0.after(loss).contents().into_iter().map(|(path, bytes)| (text(path), String::from_utf8(bytes).unwrap())).collect()
        }
    }

    fn files(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(path, bytes)| (path.to_string(), bytes.to_string())).collect()
    }

    #[test]
    fn bytes_need_the_files_sync_and_names_their_folders() {
        let mut disk = Played::new();
        let file = disk.make(ROOT, "a", false);
        disk.change(file, Change::Write(0, b"1234".into()));
        assert_eq!(disk.left(Loss::Unsynced), []);
        assert_eq!(disk.left(Loss::TornWrite), files(&[("a", "12")]));
        assert_eq!(disk.left(Loss::Bytes), files(&[("a", "")]));
        assert_eq!(disk.left(Loss::Names), []);
        disk.sync(file);
        assert_eq!(disk.left(Loss::Unsynced), []);
        disk.sync(ROOT);
        assert_eq!(disk.left(Loss::Unsynced), files(&[("a", "1234")]));
        disk.change(file, Change::Write(1, b"xy".into()));
        assert_eq!(disk.left(Loss::Unsynced), files(&[("a", "1234")]));
        assert_eq!(disk.left(Loss::TornWrite), files(&[("a", "1x34")]));
        assert_eq!(disk.left(Loss::Names), files(&[("a", "1xy4")]));
    }

    #[test]
    fn a_sync_covers_what_was_done_before_it_began() {
        let mut disk = Played::new();
        let file = disk.make(ROOT, "a", false);
        disk.sync(ROOT);
        disk.change(file, Change::Write(0, b"1".into()));
        let began = disk.0.operations;
        disk.change(file, Change::Write(1, b"2".into()));
        disk.0.play(&Operation::Sync(file, began));
        assert_eq!(disk.left(Loss::Unsynced), files(&[("a", "1")]));
    }

    #[test]
    fn a_rename_between_folders_is_durable_name_by_name() {
        let mut disk = Played::new();
        let (from, to) = (disk.make(ROOT, "from", true), disk.make(ROOT, "to", true));
        disk.sync(ROOT);
        let file = disk.make(from, "a", false);
        disk.sync(from);
        disk.0.play(&Operation::Change(vec![(from, Change::Remove("a".into())), (to, Change::Add("b".into(), file))]));
        assert_eq!(disk.left(Loss::Unsynced), files(&[("from/a", "")]));
        disk.sync(to);
        assert_eq!(disk.left(Loss::Unsynced), files(&[("from/a", ""), ("to/b", "")]));
        disk.sync(from);
        assert_eq!(disk.left(Loss::Unsynced), files(&[("to/b", "")]));
    }

    #[test]
    fn several_names_stay_one_file_and_old_files_keep_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let (source, target) = (folder.path().join("source"), folder.path().join("target"));
        fs::create_dir_all(source.join("in")).unwrap();
        fs::create_dir(&target).unwrap();
        fs::write(source.join("in/old"), "old").unwrap();
        let mut disk = Played(Disk::of(&source));
        let new = disk.make(ROOT, "new", false);
        disk.change(ROOT, Change::Add("again".into(), new));
        disk.0.after(Loss::TornWrite).write_to(&target, |_| true, |_| false);
        let number = |path: PathBuf| fs::metadata(path).unwrap().ino();
        assert_eq!(number(target.join("new")), number(target.join("again")));
        assert_eq!(number(target.join("in/old")), number(source.join("in/old")));
    }
}
