//! The parent's side of compiling: starts the child, waits no longer than the limit, and says in words how it ended. It knows nothing
//! of WebAssembly.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::child::{Answer, SUBCOMMAND};
use super::compiled::Report;
use super::limits::LoadLimits;

/// Threads of a child: each has a stack and an arena in its address space, and the daemon wants the other cores.
const MAX_THREADS: usize = 4;

/// What is kept of the child's output: an answer is a few KiB, a panic a few lines.
const MAX_OUTPUT: u64 = 1 << 20;

/// How often the child is looked at. It bounds what waiting adds to a load.
const LOOK: Duration = Duration::from_millis(5);

/// Why there is no compiled code.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The plugin is at fault.
    #[error("{0}")]
    Refused(String),
    /// The file changed while it was read.
    #[error("the file changed while it was being read")]
    Changed,
    /// The wall time ran out.
    #[error(
        "compiling took longer than {} s, its limit `loading.compile_seconds`, and was stopped: make the converter smaller (a huge function is \
         the usual cause)",
        .0.as_secs_f64()
    )]
    Timeout(Duration),
    /// The address space ran out.
    #[error("compiling needed more than {0} bytes of memory, its limit `loading.compile_memory_bytes`: make the converter smaller")]
    Memory(u64),
    /// The code is too large.
    #[error("the compiled code has {size} bytes, and its limit `loading.compiled_bytes` is {limit}: make the converter smaller")]
    CodeTooLarge {
        /// Bytes of the code.
        size: u64,
        /// Bytes that it may have.
        limit: u64,
    },
    /// The load was cancelled.
    #[error("loading was stopped")]
    Stopped,
    /// The child died of something else.
    #[error("the process that compiles plugins ended with {status}{}", said(.stderr))]
    Died {
        /// How it ended.
        status: ExitStatus,
        /// The end of what it said.
        stderr: String,
    },
    /// The child could not do its work, through no fault of the plugin.
    #[error("the process that compiles plugins failed: {0}")]
    Failed(String),
    /// No child.
    #[error("cannot start {} to compile the plugin: {error}", program.display())]
    Start {
        /// What was started.
        program: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl CompileError {
    /// Whether the same file may compile another time. A process that crashed, unless it was killed from outside, crashed over the plugin.
    pub fn is_passing(&self) -> bool {
        match self {
            CompileError::Start { .. } | CompileError::Failed(_) => true,
            CompileError::Died { status, .. } => was_killed(*status),
            _ => false,
        }
    }
}

#[cfg(unix)]
fn was_killed(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    [rustix::process::Signal::KILL, rustix::process::Signal::TERM, rustix::process::Signal::INT]
        .iter()
        .any(|signal| status.signal() == Some(signal.as_raw()))
}

/// Elsewhere the status does not tell.
#[cfg(not(unix))]
fn was_killed(_status: ExitStatus) -> bool {
    true
}

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Names the `dropforge` binary that compiles plugins, for programs that use this library and are not that binary themselves. The first
/// call counts.
pub fn set_compiler(program: PathBuf) {
    let _ = PROGRAM.set(program);
}

fn program() -> io::Result<PathBuf> {
    match PROGRAM.get() {
        Some(program) => Ok(program.clone()),
        // The running program itself, even if an update has replaced its file meanwhile.
        None if cfg!(target_os = "linux") => Ok(PathBuf::from("/proc/self/exe")),
        None => std::env::current_exe(),
    }
}

/// Has a child compile `plugin`, whose position is at its start, into the file `output`.
///
/// # Errors
/// [`CompileError`]; `output` may hold anything then.
pub fn compile(plugin: File, digest: &str, output: &Path, limits: &LoadLimits, stop: &AtomicBool) -> Result<Report, CompileError> {
    let program = program().map_err(|error| CompileError::Start { program: PathBuf::from("dropforge"), error })?;
    let mut command = Command::new(&program);
    command.arg(SUBCOMMAND).arg(digest).arg(output);
    command.args([limits.file_bytes, limits.compile_memory_bytes, limits.compiled_bytes].map(|bytes| bytes.to_string()));
    run(command, plugin, limits, stop)
}

fn run(mut command: Command, plugin: File, limits: &LoadLimits, stop: &AtomicBool) -> Result<Report, CompileError> {
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get).min(MAX_THREADS);
    command.env("RAYON_NUM_THREADS", threads.to_string());
    command.stdin(Stdio::from(plugin)).stdout(Stdio::piped()).stderr(Stdio::piped());
    let spawned = command.spawn();
    let mut child = spawned.map_err(|error| CompileError::Start { program: PathBuf::from(command.get_program()), error })?;
    let stdout = child.stdout.take().map(read_all);
    let stderr = child.stderr.take().map(read_all);
    let status = wait(&mut child, limits.compile_time, stop)?;
    let text = |reader: Option<JoinHandle<Vec<u8>>>| {
        let bytes = reader.and_then(|thread| thread.join().ok()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let (stdout, stderr) = (text(stdout), text(stderr));
    if !status.success() {
        // What Rust's allocator says before it aborts.
        let memory = stderr.contains("memory allocation of") || stderr.contains("Cannot allocate memory");
        return Err(if memory { CompileError::Memory(limits.compile_memory_bytes) } else { CompileError::Died { status, stderr } });
    }
    match serde_json::from_str(&stdout) {
        Ok(Answer::Compiled(report)) => Ok(report),
        Ok(Answer::Refused(why)) => Err(CompileError::Refused(why)),
        Ok(Answer::CodeTooLarge(size)) => Err(CompileError::CodeTooLarge { size, limit: limits.compiled_bytes }),
        Ok(Answer::Changed) => Err(CompileError::Changed),
        Ok(Answer::Failed(why)) => Err(CompileError::Failed(why)),
        Err(error) => Err(CompileError::Failed(format!("its answer makes no sense ({error})"))),
    }
}

/// Waits for the child, and kills it when the time is up or the load is stopped.
fn wait(child: &mut Child, wall_time: Duration, stop: &AtomicBool) -> Result<ExitStatus, CompileError> {
    let started = Instant::now();
    let verdict = loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if stop.load(Ordering::Relaxed) => break CompileError::Stopped,
            Ok(None) if started.elapsed() >= wall_time => break CompileError::Timeout(wall_time),
            Ok(None) => thread::sleep(LOOK),
            Err(error) => break CompileError::Failed(format!("cannot wait for it: {error}")),
        }
    };
    let _ = child.kill();
    let _ = child.wait();
    Err(verdict)
}

/// Reads a pipe to its end on a thread of its own, and keeps the beginning.
fn read_all(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut kept = Vec::new();
        let _ = pipe.by_ref().take(MAX_OUTPUT).read_to_end(&mut kept);
        let _ = io::copy(&mut pipe, &mut io::sink());
        kept
    })
}

fn said(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).take(4).collect();
    if lines.is_empty() { String::new() } else { format!(": {}", lines.join(" / ")) }
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn sh(script: &str, wall_time: Duration, stop: bool) -> CompileError {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        let plugin = tempfile::tempfile().unwrap();
        let limits = LoadLimits { compile_time: wall_time, ..LoadLimits::default() };
        run(command, plugin, &limits, &AtomicBool::new(stop)).unwrap_err()
    }

    #[test]
    fn only_what_was_no_fault_of_the_plugin_is_tried_again() {
        let long = Duration::from_secs(30);
        for (script, passing) in [("kill -9 $$", true), ("kill -6 $$", false), ("kill -11 $$", false), ("exit 101", false)] {
            assert_eq!(sh(script, long, false).is_passing(), passing, "{script}");
        }
        assert!(!sh("echo '{\"refused\":\"it is pink\"}'", long, false).is_passing());
        assert!(!sh("exec sleep 30", Duration::from_millis(1), false).is_passing());
    }

    #[test]
    fn every_way_that_a_child_can_end_is_said() {
        let long = Duration::from_secs(30);
        let cases = [
            ("kill -9 $$", long, false, "ended with signal: 9"),
            ("echo 'thread main panicked' >&2; exit 101", long, false, "exit status: 101: thread main panicked"),
            ("echo 'memory allocation of 99 bytes failed' >&2; kill -6 $$", long, false, "more than 4294967296 bytes of memory"),
            ("echo nonsense", long, false, "makes no sense"),
            ("echo '{\"refused\":\"it is pink\"}'", long, false, "it is pink"),
            ("echo '\"changed\"'", long, false, "changed while"),
            (
                "echo '{\"code_too_large\":2000000000}'",
                long,
                false,
                "has 2000000000 bytes, and its limit `loading.compiled_bytes` is 1073741824",
            ),
            ("exec sleep 30", Duration::from_millis(1), false, "longer than 0.001 s"),
            ("exec sleep 30", long, true, "stopped"),
            // More than a pipe holds on both outputs.
            ("head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; exit 3", long, false, "exit status: 3"),
        ];
        for (script, wall_time, stop, expected) in cases {
            let message = sh(script, wall_time, stop).to_string();
            assert!(message.contains(expected), "{script} gave: {message}");
        }
        let missing = run(Command::new("/no/such/program"), tempfile::tempfile().unwrap(), &LoadLimits::default(), &AtomicBool::new(false));
        assert!(missing.unwrap_err().to_string().contains("cannot start /no/such/program"));
    }
}
