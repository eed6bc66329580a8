//! Records the file operations of a real program with strace, as operations on a [`Disk`]. It knows nothing of what the program does.
//!
//! Recorded is what happens below one folder, by a process with all its threads and children. A call that would change files in a way that is not
//! understood here fails the recording: what is not seen would be taken for durable.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use crate::disk::{Change, Disk, Node, Operation, ROOT};
use crate::wait_for;

/// The calls that are recorded: all that open, write, sync, name or close files, and those that must not occur.
const CALLS: &str = "open,openat,openat2,creat,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,fsync,fdatasync,syncfs,sync,\
    sync_file_range,msync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,symlink,symlinkat,close,close_range,dup,dup2,\
    dup3,fcntl,lseek,copy_file_range,sendfile,splice,mmap,clone,clone3,fork,vfork,chdir,fchdir,io_uring_setup,mknod,mknodat";

/// The end of SQLite's file for what its connections share: mapped memory that it rebuilds, and syncs never.
pub const SHARED_MEMORY: &str = "-shm";

/// The command line that records the program which follows it; none where strace is missing or may not trace, which it says. The
/// program is the child of whoever
/// starts it, and strace ends after it.
pub fn recorder(trace: &Path) -> Option<Vec<OsString>> {
    let works = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output().is_ok_and(|output| output.status.success());
    let calls = format!("trace={CALLS}");
    // As a grandchild, following threads, strings in hexadecimal digits and whole.
    let mut command: Vec<OsString> = ["strace", "-D", "-f", "-q", "-xx", "-s", "100000000", "-e", &calls, "-o"].map(OsString::from).into();
    command.push(trace.into());
    if !works {
        eprintln!("skipped: strace is missing or may not trace here; `cargo xtask setup` installs it");
    }
    works.then_some(command)
}

/// What a program did to the files below a folder.
pub struct Recording {
    /// The folder before the first operation.
    pub before: Disk,
    /// What was done, in the order in which it was completed.
    pub operations: Vec<Operation>,
    /// Each operation as text, for people.
    pub texts: Vec<String>,
    /// The folder after the last operation.
    pub after: Disk,
}

impl Recording {
    /// Reads what strace wrote of a process that has ended. `before` is what was below `root` before, and where the process was started.
    pub fn read(trace: &Path, process: u32, root: &Path, before: Disk) -> Recording {
        let process = format!("{process} ");
        let lines = wait_for("strace to end", || {
            let lines = fs::read_to_string(trace).ok()?;
            let its_end = |line: &str| line.strip_prefix(&process).is_some_and(|rest| rest.trim_start().starts_with("+++"));
            lines.lines().rev().any(its_end).then_some(lines)
        });
        let mut reader = Reader {
            root: root.to_owned(),
            disk: before.clone(),
            operations: Vec::new(),
            texts: Vec::new(),
            born: lines.lines().filter_map(birth).collect(),
            process_of: HashMap::new(),
            processes: Vec::new(),
            current: 0,
            unfinished: HashMap::new(),
        };
        lines.lines().for_each(|line| reader.line(line));
        Recording { before: before.with_room_for(&reader.disk), operations: reader.operations, texts: reader.texts, after: reader.disk }
    }

    /// Fails unless what was recorded leads to what is in the folder now, but for the ignored files: then nothing was overlooked.
    pub fn assert_complete(&self, root: &Path, ignored: impl Fn(&Path) -> bool) {
        let (is, recorded) = (Disk::of(root).now(), self.after.now());
        assert_eq!(is.folders(), recorded.folders());
        let (is, recorded) = (is.contents(), recorded.contents());
        let differ = |path: &&PathBuf| !ignored(path) && is.get(*path) != recorded.get(*path);
        let differing: Vec<&PathBuf> = is.keys().chain(recorded.keys()).filter(differ).collect();
        assert!(differing.is_empty(), "the recording is not what happened to {differing:?}");
    }
}

/// An open file: where the next write goes, shared by all descriptors of it.
struct Description {
    node: Node,
    position: u64,
    append: bool,
}

/// The open files of a process by descriptor.
type Open = HashMap<i64, Rc<RefCell<Description>>>;

struct Reader {
    root: PathBuf,
    disk: Disk,
    operations: Vec<Operation>,
    texts: Vec<String>,
    /// Who made a thread, and whether the two have their descriptors in common.
    born: HashMap<String, (String, bool)>,
    /// By thread, the place of its process in `processes`.
    process_of: HashMap<String, usize>,
    processes: Vec<Open>,
    /// The process whose call is being read.
    current: usize,
    /// Calls that have begun: by thread, their first part, and how many operations there were then.
    unfinished: HashMap<String, (String, usize)>,
}

impl Reader {
    /// Which process a thread belongs to. A child process begins with its parent's descriptors.
    fn process(&mut self, thread: &str) -> usize {
        if let Some(process) = self.process_of.get(thread) {
            return *process;
        }
        let parent = self.born.get(thread).cloned().map(|(parent, shared)| (self.process(&parent), shared));
        let process = match parent {
            Some((parent, true)) => parent,
            Some((parent, false)) => {
                self.processes.push(self.processes[parent].clone());
                self.processes.len() - 1
            }
            None => {
                self.processes.push(Open::new());
                self.processes.len() - 1
            }
        };
        self.process_of.insert(thread.to_owned(), process);
        process
    }

    fn open(&mut self) -> &mut Open {
        &mut self.processes[self.current]
    }

    fn file(&self, number: i64) -> Option<Rc<RefCell<Description>>> {
        self.processes[self.current].get(&number).map(Rc::clone)
    }

    fn line(&mut self, line: &str) {
        let (thread, rest) = line.split_once(' ').unwrap();
        let rest = rest.trim_start();
        if rest.starts_with("+++") || rest.starts_with("---") {
            return;
        }
        self.current = self.process(thread);
        let began = self.operations.len();
        if let Some(begun) = rest.strip_suffix(" <unfinished ...>").or_else(|| rest.strip_suffix("<unfinished ...>")) {
            // From here on the number can stand for another file.
            if let Some(number) = begun.strip_prefix("close(") {
                self.open().remove(&number.trim_end_matches(')').trim().parse().unwrap());
            }
            self.unfinished.insert(thread.to_owned(), (begun.to_owned(), began));
        } else if let Some(resumed) = rest.strip_prefix("<... ") {
            let (call, end) = resumed.split_once(" resumed>").unwrap();
            let (begun, began) = self.unfinished.remove(thread).unwrap();
            if call != "close" {
                self.call(&format!("{begun}{end}"), began);
            }
        } else {
            self.call(rest, began);
        }
    }

    fn call(&mut self, text: &str, began: usize) {
        let (call, result) = text.rsplit_once(" = ").unwrap_or_else(|| panic!("no result: {text}"));
        // A call that failed did nothing, and one that the end of the process cut short (`?`) told nobody that it had done something.
        let result = result.split(' ').next().unwrap_or_default();
        let result = result.strip_prefix("0x").map_or_else(|| result.parse().ok(), |digits| i64::from_str_radix(digits, 16).ok());
        let Some(result) = result.filter(|result| *result >= 0) else { return };
        let (name, arguments) = call.trim_end().strip_suffix(')').and_then(|call| call.split_once('(')).unwrap();
        let arguments = split(arguments);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let before = self.operations.len();
        self.understood(name, &arguments, result, began)
            .unwrap_or_else(|| panic!("a call that the recording does not understand: {text:.300}"));
        let shown = || format!("{name}({})", arguments.iter().map(|argument| shown(argument)).collect::<Vec<_>>().join(", "));
        (before..self.operations.len()).for_each(|_| self.texts.push(shown()));
    }

    /// None for what is not understood.
    fn understood(&mut self, name: &str, arguments: &[&str], result: i64, began: usize) -> Option<()> {
        let number = |at: usize| arguments.get(at)?.parse::<i64>().ok();
        match name {
            "open" => self.opened(self.path("AT_FDCWD", arguments[0])?, arguments[1], result)?,
            "openat" => self.opened(self.path(arguments[0], arguments[1])?, arguments[2], result)?,
            "close" => drop(self.open().remove(&number(0)?)),
            "dup" => self.duplicate(number(0)?, result),
            "dup2" | "dup3" => self.duplicate(number(0)?, number(1)?),
            "fcntl" if arguments[1].starts_with("F_DUPFD") => self.duplicate(number(0)?, result),
            "fcntl" if arguments[1] == "F_SETFL" && self.file(number(0)?).is_some() => return None,
            "fcntl" => {}
            "lseek" => {
                if let Some(file) = self.file(number(0)?) {
                    file.borrow_mut().position = result as u64;
                }
            }
            "write" => self.write(number(0)?, None, bytes(arguments[1])?, result),
            "pwrite64" => self.write(number(0)?, Some(number(3)? as u64), bytes(arguments[1])?, result),
            "writev" => self.write(number(0)?, None, vectors(arguments[1])?, result),
            "pwritev" => self.write(number(0)?, Some(number(3)? as u64), vectors(arguments[1])?, result),
            "copy_file_range" if arguments[1] == "NULL" && arguments[3] == "NULL" => self.copy(number(0)?, number(2)?, result)?,
            "ftruncate" => {
                if let Some(node) = self.node(number(0)?) {
                    self.change(vec![(node, Change::Resize(number(1)? as u64))]);
                }
            }
            "fsync" | "fdatasync" => {
                if let Some(node) = self.node(number(0)?) {
                    self.push(Operation::Sync(node, began));
                }
            }
            "rename" => self.rename(self.path("AT_FDCWD", arguments[0])?, self.path("AT_FDCWD", arguments[1])?)?,
            "renameat" => self.rename(self.path(arguments[0], arguments[1])?, self.path(arguments[2], arguments[3])?)?,
            "renameat2" if matches!(arguments[4], "0" | "RENAME_NOREPLACE") => {
                self.rename(self.path(arguments[0], arguments[1])?, self.path(arguments[2], arguments[3])?)?;
            }
            "link" => self.link(self.path("AT_FDCWD", arguments[0])?, self.path("AT_FDCWD", arguments[1])?)?,
            "linkat" if arguments[4] == "0" => {
                self.link(self.path(arguments[0], arguments[1])?, self.path(arguments[2], arguments[3])?)?;
            }
            "unlink" | "rmdir" => self.unlink(self.path("AT_FDCWD", arguments[0])?)?,
            "unlinkat" => self.unlink(self.path(arguments[0], arguments[1])?)?,
            "mkdir" => self.mkdir(self.path("AT_FDCWD", arguments[0])?)?,
            "mkdirat" => self.mkdir(self.path(arguments[0], arguments[1])?)?,
            // Memory that is shared with a file would change it unseen.
            "mmap" => {
                let writes = arguments[2].contains("PROT_WRITE") && arguments[3].contains("MAP_SHARED");
                if writes && self.node(number(4)?).is_some_and(|node| !self.is_shared_memory(node)) {
                    return None;
                }
            }
            // `birth` has seen them.
            "clone" | "clone3" | "fork" | "vfork" => {}
            _ => return None,
        }
        Some(())
    }

    fn push(&mut self, operation: Operation) {
        self.disk.play(&operation);
        self.operations.push(operation);
    }

    fn change(&mut self, changes: Vec<(Node, Change)>) {
        self.push(Operation::Change(changes));
    }

    fn node(&self, number: i64) -> Option<Node> {
        self.file(number).map(|file| file.borrow().node)
    }

    fn is_shared_memory(&self, node: Node) -> bool {
        self.disk
            .now()
            .contents()
            .keys()
            .any(|path| self.disk.find(path) == Some(node) && path.as_os_str().as_bytes().ends_with(SHARED_MEMORY.as_bytes()))
    }

    /// A path below the root as its folder and name; the root itself has no name. Some(None) for what is elsewhere, None for what is not understood.
    fn path(&self, folder: &str, path: &str) -> Option<Option<(Node, OsString)>> {
        let path = PathBuf::from(OsString::from_vec(bytes(path)?));
        let (mut node, relative) = if path.is_absolute() || folder == "AT_FDCWD" {
            let path = self.root.join(path);
            match path.strip_prefix(&self.root) {
                Ok(relative) => (ROOT, relative.to_owned()),
                Err(_) => return Some(None),
            }
        } else {
            match self.node(folder.parse().ok()?) {
                Some(node) => (node, path),
                None => return Some(None),
            }
        };
        let mut name: Option<&OsStr> = None;
        for component in relative.components() {
            let next = match component {
                Component::CurDir => continue,
                Component::Normal(next) => next,
                _ => return None,
            };
            if let Some(folder) = name.replace(next) {
                node = self.disk.lookup(node, folder).unwrap_or_else(|| panic!("{} is not there", relative.display()));
            }
        }
        Some(Some((node, name.unwrap_or_default().to_owned())))
    }

    fn existing(&self, folder: Node, name: &OsStr) -> Option<Node> {
        if name.is_empty() { Some(folder) } else { self.disk.lookup(folder, name) }
    }

    fn opened(&mut self, path: Option<(Node, OsString)>, flags: &str, number: i64) -> Option<()> {
        self.open().remove(&number);
        let Some((folder, name)) = path else { return Some(()) };
        let has = |flag: &str| flags.split('|').any(|one| one == flag);
        if ["O_TMPFILE", "O_SYNC", "O_DSYNC", "O_DIRECT"].into_iter().any(has) {
            return None;
        }
        let node = match self.existing(folder, &name) {
            Some(node) => node,
            None if has("O_CREAT") => {
                let node = self.disk.create(false);
                self.change(vec![(folder, Change::Add(name, node))]);
                node
            }
            None => panic!("{} was opened, and is not there", name.display()),
        };
        if has("O_TRUNC") && !self.disk.content(node).is_empty() {
            self.change(vec![(node, Change::Resize(0))]);
        }
        self.open().insert(number, Rc::new(RefCell::new(Description { node, position: 0, append: has("O_APPEND") })));
        Some(())
    }

    fn duplicate(&mut self, from: i64, to: i64) {
        match self.file(from) {
            Some(file) => drop(self.open().insert(to, file)),
            None => drop(self.open().remove(&to)),
        }
    }

    fn write(&mut self, number: i64, at: Option<u64>, mut bytes: Vec<u8>, written: i64) {
        let Some(file) = self.file(number) else { return };
        bytes.truncate(written as usize);
        let mut file = file.borrow_mut();
        let offset = match at {
            Some(offset) => offset,
            None if file.append => self.disk.content(file.node).len() as u64,
            None => file.position,
        };
        if at.is_none() {
            file.position = offset + bytes.len() as u64;
        }
        if !bytes.is_empty() {
            self.change(vec![(file.node, Change::Write(offset, bytes))]);
        }
    }

    fn copy(&mut self, from: i64, to: i64, count: i64) -> Option<()> {
        let Some(target) = self.file(to) else { return Some(()) };
        // From elsewhere: its bytes are not known.
        let source = self.file(from)?;
        let (node, position) = (source.borrow().node, source.borrow().position as usize);
        source.borrow_mut().position += count as u64;
        let bytes = self.disk.content(node).get(position..position + count as usize)?.to_vec();
        let offset = target.borrow().position;
        target.borrow_mut().position += count as u64;
        if !bytes.is_empty() {
            let node = target.borrow().node;
            self.change(vec![(node, Change::Write(offset, bytes))]);
        }
        Some(())
    }

    fn rename(&mut self, from: Option<(Node, OsString)>, to: Option<(Node, OsString)>) -> Option<()> {
        match (from, to) {
            (None, None) => {}
            (Some((from, old)), Some((to, new))) => {
                let node = self.disk.lookup(from, &old)?;
                if self.disk.lookup(to, &new) == Some(node) {
                    // Of a name onto another of the same file: nothing happens.
                } else if from == to {
                    self.change(vec![(from, Change::Rename(old, new, node))]);
                } else {
                    self.change(vec![(from, Change::Remove(old)), (to, Change::Add(new, node))]);
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn link(&mut self, from: Option<(Node, OsString)>, to: Option<(Node, OsString)>) -> Option<()> {
        match (from, to) {
            (None, None) => {}
            (Some((from, old)), Some((to, new))) => {
                let node = self.disk.lookup(from, &old)?;
                self.change(vec![(to, Change::Add(new, node))]);
            }
            _ => return None,
        }
        Some(())
    }

    fn unlink(&mut self, path: Option<(Node, OsString)>) -> Option<()> {
        if let Some((folder, name)) = path {
            self.disk.lookup(folder, &name)?;
            self.change(vec![(folder, Change::Remove(name))]);
        }
        Some(())
    }

    fn mkdir(&mut self, path: Option<(Node, OsString)>) -> Option<()> {
        if let Some((folder, name)) = path {
            let node = self.disk.create(true);
            self.change(vec![(folder, Change::Add(name, node))]);
        }
        Some(())
    }
}

/// The thread that a line tells the birth of, who made it, and whether they have their descriptors in common.
fn birth(line: &str) -> Option<(String, (String, bool))> {
    let (parent, rest) = line.split_once(' ')?;
    let rest = rest.trim_start().trim_start_matches("<... ");
    if !["clone", "fork", "vfork"].iter().any(|call| rest.starts_with(call)) {
        return None;
    }
    let child = rest.rsplit_once(" = ")?.1.trim();
    // The flags may be in the first part of a call that was not finished at once; all that have a place for `parent_tid` are threads.
    let shared = rest.contains("CLONE_FILES") || rest.contains("parent_tid=[");
    child.bytes().all(|digit| digit.is_ascii_digit()).then(|| (child.to_owned(), (parent.to_owned(), shared)))
}

/// The arguments of a call.
fn split(arguments: &str) -> Vec<String> {
    let (mut found, mut depth, mut quoted) = (vec![String::new()], 0, false);
    for c in arguments.chars() {
        match c {
            // All bytes of a string are in digits, quotes too.
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                found.push(String::new());
                continue;
            }
            _ => {}
        }
        found.last_mut().unwrap().push(c);
    }
    found.iter().map(|argument| argument.trim().to_owned()).collect()
}

/// The bytes of a string argument, `"\x61\x62"`; none where it was cut off.
fn bytes(argument: &str) -> Option<Vec<u8>> {
    let digits = argument.strip_prefix('"')?.strip_suffix('"')?;
    digits.split("\\x").skip(1).map(|digits| u8::from_str_radix(digits, 16).ok()).collect()
}

/// The bytes of `[{iov_base="\x61", iov_len=1}, …]`.
fn vectors(argument: &str) -> Option<Vec<u8>> {
    let parts = argument.split("iov_base=").skip(1).map(|part| bytes(part.split_once(", iov_len")?.0));
    Some(parts.collect::<Option<Vec<_>>>()?.concat())
}

/// An argument for people: text as text, what is long by its length.
fn shown(argument: &str) -> String {
    match bytes(argument) {
        Some(bytes) if bytes.len() <= 200 && !bytes.contains(&0) => format!("{:?}", OsStr::from_bytes(&bytes)),
        Some(bytes) => format!("{} bytes", bytes.len()),
        None => argument.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::os::unix::fs::FileExt;
    use std::thread;

    use super::*;
    use crate::disk::Loss;

    /// Says to the test, when it runs as the program that is recorded, which of the cases it is.
    const CASE: &str = "DROPFORGE_TEST_CASE";

    fn sync_folder(path: &str) {
        File::open(path).unwrap().sync_all().unwrap();
    }

    fn written() -> File {
        let mut file = File::options().create(true).truncate(true).read(true).write(true).open("new").unwrap();
        file.write_all(b"123").unwrap();
        file.write_all(b"45").unwrap();
        file
    }

    /// Programs, and what a power cut after their end leaves.
    type Case = (fn(), &'static [&'static str]);
    const CASES: &[Case] = &[
        (
            || {
                written().sync_all().unwrap();
                fs::rename("new", "name").unwrap();
                sync_folder(".");
            },
            &["name 12345"],
        ),
        (
            || {
                written();
                fs::rename("new", "name").unwrap();
                sync_folder(".");
            },
            &["name "],
        ),
        (
            || {
                written().sync_data().unwrap();
                sync_folder(".");
                fs::rename("new", "name").unwrap();
            },
            &["new 12345"],
        ),
        (
            || {
                let file = written();
                file.write_at(b"x", 1).unwrap();
                file.set_len(4).unwrap();
                file.sync_all().unwrap();
                file.write_at(b"y", 2).unwrap();
                sync_folder(".");
            },
            &["new 1x34"],
        ),
        (
            || {
                written();
                fs::remove_file("new").unwrap();
                fs::create_dir("d").unwrap();
                let mut file = File::create("d/a").unwrap();
                assert_eq!(file.write_vectored(&[std::io::IoSlice::new(b"a"), std::io::IoSlice::new(b"b")]).unwrap(), 2);
                file.sync_all().unwrap();
                fs::hard_link("d/a", "d/b").unwrap();
                fs::copy("d/a", "d/c").unwrap();
                sync_folder("d");
                sync_folder(".");
            },
            &["d/a ab", "d/b ab", "d/c "],
        ),
        (
            || {
                let file = written();
                let mut same = file.try_clone().unwrap();
                thread::spawn(move || same.write_all(b"6").unwrap()).join().unwrap();
                file.sync_all().unwrap();
                sync_folder(".");
                let mut append = File::options().append(true).open("new").unwrap();
                append.write_all(b"7").unwrap();
                append.sync_all().unwrap();
                let command = "printf 8 >> new; printf x > other";
                assert!(Command::new("sh").args(["-c", command]).status().unwrap().success());
                file.sync_all().unwrap();
            },
            &["new 12345678"],
        ),
    ];

    #[test]
    fn a_careful_program_loses_nothing_and_others_do() {
        if let Ok(case) = std::env::var(CASE) {
            return CASES[case.parse::<usize>().unwrap()].0();
        }
        for (number, (_, expected)) in CASES.iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            let (root, trace) = (folder.path().join("root"), folder.path().join("trace"));
            fs::create_dir(&root).unwrap();
            let before = Disk::of(&root);
            let Some(recorder) = recorder(&trace) else { return };
            let mut command = Command::new(&recorder[0]);
            command.args(&recorder[1..]).arg(std::env::current_exe().unwrap());
            command.args(["--exact", "record::tests::a_careful_program_loses_nothing_and_others_do"]).env(CASE, number.to_string());
            let mut child = command.current_dir(&root).spawn().unwrap();
            assert!(child.wait().unwrap().success());
            let recording = Recording::read(&trace, child.id(), &root, before);
            recording.assert_complete(&root, |_| false);
            assert_eq!(recording.operations.len(), recording.texts.len());
            let text = |(path, bytes): (PathBuf, Vec<u8>)| format!("{} {}", path.display(), String::from_utf8(bytes).unwrap());
            let left: Vec<String> = recording.after.after(Loss::Unsynced).contents().into_iter().map(text).collect();
            assert_eq!(left, *expected, "case {number}");
        }
    }
}
