//! The log's file: written by a thread of its own, so that a slow disk holds up nobody who logs; bounded in bytes and in number. What cannot be
//! written is counted and said. It must not know what a line says.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use tracing_subscriber::fmt::MakeWriter;

use crate::config::LogConfig;
use crate::files;
use crate::identity::FileIdentity;

/// Lines that wait for the disk, and their bytes. More are lost.
const MAX_LINES: usize = 16_384;
const MAX_BYTES: usize = 8 << 20;

/// Lines that are written together.
const TOGETHER: usize = 1024;

/// How often it is said at most that lines are lost because the disk is slow.
const SAY_AGAIN: Duration = Duration::from_secs(10);

/// Takes lines for the file.
#[derive(Debug, Clone)]
pub(super) struct LogFile {
    queue: Sender<Message>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    waiting_bytes: AtomicUsize,
    lost_lines: AtomicU64,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    /// Whoever sent it waits until everything before it is written.
    Flush(Sender<()>),
}

impl LogFile {
    /// Begins to write, on a thread of its own, into the file that the configuration names. None where it names none.
    ///
    /// # Errors
    /// Where there can be no thread. A file that cannot be opened is no error: that is said in the log, and it is tried again.
    pub(super) fn start(config: &LogConfig) -> io::Result<Option<LogFile>> {
        let Some(path) = &config.file else { return Ok(None) };
        let (queue, received) = bounded(MAX_LINES);
        let counts = Arc::<Counts>::default();
        let mut writer = Writer {
            rolling: Rolling { path: path.clone(), max_bytes: config.max_file_bytes, max_files: config.max_files, open: None, torn: false },
            counts: Arc::clone(&counts),
            failing: false,
            said: None,
        };
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.run(&received))?;
        Ok(Some(LogFile { queue, counts }))
    }

    /// Waits until what was logged is written, for at most this long.
    pub(super) fn flush(&self, patience: Duration) {
        let (done, wait) = bounded(1);
        let end = Instant::now() + patience;
        if self.queue.send_timeout(Message::Flush(done), patience).is_ok() {
            let _ = wait.recv_deadline(end);
        }
    }
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = &'a LogFile;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// Each call is one event, with the end of its line.
impl Write for &LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let Counts { waiting_bytes, lost_lines } = &*self.counts;
        let waiting = waiting_bytes.fetch_add(line.len(), Ordering::Relaxed);
        if waiting + line.len() > MAX_BYTES || self.queue.try_send(Message::Line(line.to_vec())).is_err() {
            waiting_bytes.fetch_sub(line.len(), Ordering::Relaxed);
            lost_lines.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The thread's side.
struct Writer {
    rolling: Rolling,
    counts: Arc<Counts>,
    /// The last lines could not be written, and that was said.
    failing: bool,
    /// When it was said last that lines were lost.
    said: Option<Instant>,
}

impl Writer {
    fn run(&mut self, queue: &Receiver<Message>) {
        while let Ok(first) = queue.recv() {
            let (mut lines, mut waiting) = (Vec::new(), Vec::new());
            for message in std::iter::once(first).chain(queue.try_iter().take(TOGETHER)) {
                match message {
                    Message::Line(line) => lines.push(line),
                    Message::Flush(done) => waiting.push(done),
                }
            }
            self.write(&lines);
            self.counts.waiting_bytes.fetch_sub(lines.iter().map(Vec::len).sum(), Ordering::Relaxed);
            for done in waiting {
                let _ = done.send(());
            }
        }
    }

    /// What is said here goes to standard error, and to this file once more, when it can be written again.
    fn write(&mut self, mut lines: &[Vec<u8>]) {
        // A flush alone shows nothing of the disk.
        if lines.is_empty() {
            return;
        }
        let path = self.rolling.path.display().to_string();
        while !lines.is_empty() {
            match self.rolling.write(lines) {
                Ok((written, too_long)) => {
                    self.counts.lost_lines.fetch_add(too_long, Ordering::Relaxed);
                    lines = lines.get(written..).unwrap_or_default();
                }
                Err(error) => {
                    self.counts.lost_lines.fetch_add(lines.len() as u64, Ordering::Relaxed);
                    if !std::mem::replace(&mut self.failing, true) {
                        tracing::error!(file = path, %error, "the log's file cannot be written: its lines are lost until it can be");
                    }
                    return;
                }
            }
        }
        let recovered = std::mem::take(&mut self.failing);
        let lost = self.counts.lost_lines.load(Ordering::Relaxed);
        if lost > 0 && (recovered || self.said.is_none_or(|said| said.elapsed() >= SAY_AGAIN)) {
            self.counts.lost_lines.fetch_sub(lost, Ordering::Relaxed);
            self.said = Some(Instant::now());
            tracing::warn!(file = path, lines = lost, "lines were lost from the log's file: its disk was full or slow");
        }
    }
}

/// The most files that a configuration may have kept.
const MOST_FILES: u32 = 1000;

/// A file that makes room for itself.
struct Rolling {
    path: PathBuf,
    max_bytes: u64,
    max_files: u32,
    open: Option<Open>,
    /// The file may end within a line.
    torn: bool,
}

struct Open {
    file: File,
    /// Device and number: who renames it or puts another in its place has it opened anew.
    place: (u64, u64),
    bytes: u64,
}

impl Rolling {
    /// Writes as many lines as the file has room for, and at least one. Says how many, and how many of those were left out because no file
    /// has room for them.
    fn write(&mut self, lines: &[Vec<u8>]) -> io::Result<(usize, u64)> {
        let (max_bytes, Some(first)) = (self.max_bytes, lines.first()) else { return Ok((0, 0)) };
        if first.len() as u64 > max_bytes {
            return Ok((1, 1));
        }
        if self.current()?.bytes + first.len() as u64 > max_bytes {
            self.roll()?;
            self.torn = false;
        }
        let torn = std::mem::take(&mut self.torn);
        let open = self.current()?;
        let (mut text, mut count) = (if torn { vec![b'\n'] } else { Vec::new() }, 0);
        for line in lines {
            if open.bytes + (text.len() + line.len()) as u64 > max_bytes {
                break;
            }
            text.extend_from_slice(line);
            count += 1;
        }
        if let Err(error) = open.file.write_all(&text) {
            // On a full disk a part of it may be there: no line is left cut, nor, where the system does not allow that, is another joined to it.
            self.torn = open.file.set_len(open.bytes).is_err();
            self.open = None;
            return Err(error);
        }
        open.bytes += text.len() as u64;
        Ok((count, 0))
    }

    /// The file of the name, as long as it is. Others may rename, remove or empty it.
    fn current(&mut self) -> io::Result<&mut Open> {
        let there = fs::metadata(&self.path).map(|metadata| (FileIdentity::of(&metadata), metadata.len())).ok();
        let still = self.open.take().filter(|open| there.is_some_and(|(identity, _)| open.place == place(&identity)));
        let open = match (still, there) {
            (Some(open), Some((_, bytes))) => Open { bytes, ..open },
            _ => Open::at(&self.path)?,
        };
        Ok(self.open.insert(open))
    }

    /// Makes room: `log` becomes `log.1`, which becomes `log.2`, and what is beyond the bound goes.
    fn roll(&mut self) -> io::Result<()> {
        self.open = None;
        for number in self.numbers_from(self.max_files.saturating_sub(1)) {
            gone(fs::remove_file(self.numbered(number)))?;
        }
        let renamed = |from: &Path, to: &Path| gone(fs::rename(from, to));
        for number in (1..self.max_files.saturating_sub(1)).rev() {
            renamed(&self.numbered(number), &self.numbered(number + 1))?;
        }
        if self.max_files > 1 { renamed(&self.path, &self.numbered(1)) } else { gone(fs::remove_file(&self.path)) }
    }

    /// The numbers of older files from this one on: a bound that was larger has left more of them. Files of other programs may be called like
    /// them, but for a date.
    fn numbers_from(&self, first: u32) -> Vec<u32> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let Some(own) = self.path.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
        let number = |entry: fs::DirEntry| {
            let name = entry.file_name();
            let text = name.to_str()?.strip_prefix(own)?.strip_prefix('.')?;
            let number: u32 = text.parse().ok()?;
            let is_own = number.to_string() == text && (first.max(1)..=MOST_FILES).contains(&number);
            (is_own && entry.file_type().is_ok_and(|kind| kind.is_file())).then_some(number)
        };
        fs::read_dir(folder).into_iter().flatten().flatten().filter_map(number).collect()
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

/// What is not there needs no moving.
fn gone(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

impl Open {
    fn at(path: &Path) -> io::Result<Open> {
        if let Some(folder) = path.parent() {
            files::create_folder(folder)?;
        }
        let file = File::options().create(true).append(true).open(path)?;
        let metadata = file.metadata()?;
        Ok(Open { file, place: place(&FileIdentity::of(&metadata)), bytes: metadata.len() })
    }
}

fn place(identity: &FileIdentity) -> (u64, u64) {
    (identity.device, identity.inode)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn rolling(path: &Path, max_files: u32) -> Rolling {
        Rolling { path: path.to_owned(), max_bytes: 100, max_files, open: None, torn: false }
    }

    fn write(rolling: &mut Rolling, from: usize, to: usize) {
        // 20 bytes each: five in a file.
        let lines: Vec<Vec<u8>> = (from..to).map(|number| format!("{number:019}\n").into_bytes()).collect();
        let mut rest = lines.as_slice();
        while !rest.is_empty() {
            let (written, _) = rolling.write(rest).unwrap();
            rest = &rest[written..];
        }
    }

    fn numbers(path: &Path) -> Vec<usize> {
        fs::read_to_string(path).unwrap_or_default().lines().map(|line| line.parse().unwrap()).collect()
    }

    #[test]
    fn a_full_file_makes_room_and_only_so_many_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/dropforge.log");
        let mut one = rolling(&path, 3);
        write(&mut one, 0, 22);
        assert_eq!((numbers(&path), numbers(&one.numbered(1))), ((20..22).collect(), (15..20).collect()));
        assert_eq!((numbers(&one.numbered(2)), one.numbered(3).exists()), ((10..15).collect(), false));
        // One that is started anew goes on in the same file, and one that may keep less removes the rest; nothing else of the folder.
        let others = ["old", "007", "20261101"].map(|ending| folder.path().join(format!("logs/dropforge.log.{ending}")));
        others.iter().for_each(|other| fs::write(other, "").unwrap());
        fs::create_dir(folder.path().join("logs/dropforge.log.9")).unwrap();
        let mut other = rolling(&path, 2);
        write(&mut other, 22, 26);
        assert_eq!((numbers(&path), numbers(&other.numbered(1))), (vec![25], (20..25).collect()));
        assert!(!other.numbered(2).exists() && others.iter().all(|other| other.exists()));
        let mut alone = rolling(&path, 1);
        write(&mut alone, 26, 33);
        assert_eq!((numbers(&path), alone.numbered(1).exists()), ((30..33).collect(), false));
    }

    #[test]
    fn a_file_that_others_rotate_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut rolling = rolling(&path, 3);
        write(&mut rolling, 0, 2);
        fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        write(&mut rolling, 2, 4);
        assert_eq!(numbers(&path), [2, 3]);
        File::create(&path).unwrap();
        write(&mut rolling, 4, 5);
        assert_eq!((numbers(&path), numbers(&folder.path().join("elsewhere"))), (vec![4], vec![0, 1]));
    }

    #[test]
    fn a_line_that_no_file_has_room_for_is_left_out_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut rolling = rolling(&folder.path().join("log"), 3);
        assert_eq!(rolling.write(&[vec![b'x'; 101], b"short\n".to_vec()]).unwrap(), (1, 1));
        assert!(!folder.path().join("log").exists());
    }

    /// Nobody takes from the queue, as where the disk hangs.
    #[test]
    fn whoever_logs_never_waits_for_the_disk() {
        let (queue, _held) = bounded(MAX_LINES);
        let file = LogFile { queue, counts: Arc::default() };
        let line = vec![b'x'; 1024];
        for _ in 0..MAX_LINES {
            (&file).write_all(&line).unwrap();
        }
        assert_eq!(file.counts.waiting_bytes.load(Ordering::Relaxed), MAX_BYTES);
        assert_eq!(file.counts.lost_lines.load(Ordering::Relaxed), (MAX_LINES - MAX_BYTES / 1024) as u64);
        file.flush(Duration::ZERO);
    }
}
