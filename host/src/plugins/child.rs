//! The child process that wraps, checks and compiles one plugin: what `dropforge compile-plugin` does. Compiling code from strangers can
//! take any amount of time and memory and cannot be cancelled, so it happens where it can be killed. The child knows no configuration.
//!
//! The plugin comes on standard input, the compiled code goes to a file, the answer to standard output as one JSON object.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use crate::digest::sha256_hex;
use crate::sandbox::{self, SandboxError};

use super::compiled::Report;
use super::{contract, wrap};

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "compile-plugin";

/// What the child says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The code was written.
    Compiled(Report),
    /// The plugin is at fault; one or more sentences say how.
    Refused(String),
    /// The code has this many bytes, which is more than it may have.
    CodeTooLarge(u64),
    /// The bytes were not those of the digest: the file has changed since.
    Changed,
    /// Something else went wrong.
    Failed(String),
}

/// Runs the child if the process's arguments (with the program's name first) ask for it; to be called before anything else in `main`.
pub fn requested(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    (arguments.next()? == SUBCOMMAND).then(|| main(arguments))
}

/// What the parent asks for.
struct Order {
    digest: String,
    output: PathBuf,
    file_bytes: u64,
    memory_bytes: u64,
    compiled_bytes: u64,
}

impl Order {
    fn parse(mut arguments: impl Iterator<Item = OsString>) -> Option<Order> {
        let (digest, output) = (arguments.next()?, arguments.next()?);
        let mut number = || arguments.next()?.to_str()?.parse().ok();
        let (digest, output) = (digest.into_string().ok()?, PathBuf::from(output));
        Some(Order { digest, output, file_bytes: number()?, memory_bytes: number()?, compiled_bytes: number()? })
    }
}

/// The child's `main`: `arguments` are the plugin's digest, the path of the file to write, and the bytes that the plugin, this process and
/// the compiled code may have. It succeeds whenever it could answer.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(order) = Order::parse(arguments) else {
        eprintln!("`dropforge {SUBCOMMAND}` is run by Dropforge itself; see `dropforge plugin --help`");
        return ExitCode::from(2);
    };
    let answer = match restrain(order.memory_bytes) {
        Ok(()) => compile(&order),
        Err(error) => Answer::Failed(format!("cannot limit the process: {error}")),
    };
    let mut stdout = io::stdout().lock();
    match serde_json::to_writer(&mut stdout, &answer).map_err(io::Error::from).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn compile(order: &Order) -> Answer {
    let Order { digest, output, .. } = order;
    let mut bytes = Vec::new();
    if let Err(error) = io::stdin().lock().take(order.file_bytes.saturating_add(1)).read_to_end(&mut bytes) {
        return Answer::Failed(format!("cannot read the plugin: {error}"));
    }
    if sha256_hex(&bytes) != *digest {
        return Answer::Changed;
    }
    let examined = match examine(&bytes) {
        Ok(examined) => examined,
        Err(refusal) => return Answer::Refused(refusal),
    };
    drop(bytes);
    let code = match sandbox::compile(&examined.component) {
        Ok(code) => code,
        Err(error @ SandboxError::Compile(_)) => return Answer::Refused(error.to_string()),
        Err(error) => return Answer::Failed(error.to_string()),
    };
    if code.len() as u64 > order.compiled_bytes {
        return Answer::CodeTooLarge(code.len() as u64);
    }
    if let Err(error) = write_durably(output, &code) {
        return Answer::Failed(format!("cannot write the compiled code to {}: {error}", output.display()));
    }
    Answer::Compiled(Report { compiled_sha256: sha256_hex(&code), ..examined.report })
}

/// A plugin that satisfies the contract.
pub struct Examined {
    /// The component.
    pub component: Vec<u8>,
    /// What is known of it; not yet compiled.
    pub report: Report,
}

/// Wraps and checks a plugin without compiling it.
///
/// # Errors
/// Why it is refused, as one or more sentences.
pub fn examine(bytes: &[u8]) -> Result<Examined, String> {
    let wrapped = wrap::wrap(bytes).map_err(|error| error.to_string())?;
    let interfaces = contract::check(&wrapped.component).map_err(|error| error.to_string())?;
    let producers = wrap::producers(bytes).map_err(|error| error.to_string())?;
    let report = Report { wrapped: wrapped.wrapped, interfaces, producers, compiled_sha256: String::new() };
    Ok(Examined { component: wrapped.component.into_owned(), report })
}

fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = std::fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Bounds what this process can take: memory, priority, and its life by its parent's.
#[cfg(unix)]
fn restrain(memory_bytes: u64) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let inherited = getrlimit(Resource::As);
    let limit = inherited.maximum.map_or(memory_bytes, |maximum| maximum.min(memory_bytes));
    setrlimit(Resource::As, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    // A core file of a process that ran out of memory would help nobody.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    rustix::process::nice(10)?;
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    Ok(())
}

#[cfg(not(unix))]
fn restrain(_memory_bytes: u64) -> io::Result<()> {
    Ok(())
}
