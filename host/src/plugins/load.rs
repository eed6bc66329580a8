//! The way of one file to a plugin: digest, size, compile in a child (or find it compiled), load, describe, check. It knows nothing of
//! folders that change or of what else is loaded.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::thread;

use crate::digest::sha256_reader;
use crate::sandbox::{ConversionError, Converter, Descriptor, ErrorType, Limits, Sandbox, SandboxError, THREAD_STACK};

use super::compiled::{Compiled, CompiledError, CompiledFolder};
use super::compiler::{self, CompileError};
use super::descriptor::{self, DescriptorError};
use super::file::Stamp;
use super::limits::LoadLimits;
use super::plugin::Plugin;

/// Why a file was not loaded. It says which file; [`LoadError::cause`] alone says why.
#[derive(Debug, thiserror::Error)]
#[error("cannot load the plugin {}: {cause}", path.display())]
pub struct LoadError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong, and what to do.
    pub cause: Box<LoadCause>,
}

/// What is wrong with a plugin's file.
#[derive(Debug, thiserror::Error)]
pub enum LoadCause {
    /// The file system said no.
    #[error("cannot read the file: {0}")]
    Io(io::Error),
    /// A folder, a device.
    #[error("it is not a file")]
    NotAFile,
    /// Larger than the limit.
    #[error("it has {size} bytes, and its limit `loading.file_bytes` is {limit}: build it in release mode, without debug information")]
    TooLarge {
        /// Bytes of the file.
        size: u64,
        /// Bytes that it may have.
        limit: u64,
    },
    /// It is being written.
    #[error("it changed while it was being read")]
    Changed,
    /// No compiled code.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// No place for compiled code.
    #[error(transparent)]
    Compiled(#[from] CompiledError),
    /// The engine does not take the compiled code.
    #[error("the sandbox does not take it: {0}")]
    Sandbox(SandboxError),
    /// `describe` did not answer.
    #[error("its `describe` failed: {0}")]
    Describe(ConversionError),
    /// `describe` answered against the rules.
    #[error("its descriptor breaks the contract: {0}")]
    Descriptor(DescriptorError),
}

/// Loads one file.
///
/// # Errors
/// Why it cannot be loaded, and what to do.
pub fn load_file(path: &Path, sandbox: &Sandbox, compiled_dir: &Path, limits: &LoadLimits) -> Result<Plugin, LoadError> {
    let never = AtomicBool::new(false);
    let load = || {
        let cache = CompiledFolder::open(compiled_dir, &sandbox.compatibility())?;
        let loader = Loader { sandbox, cache: &cache, limits, stop: &never };
        loader.load(loader.examine(path)?)
    };
    load().map_err(|cause| LoadError { path: path.to_owned(), cause: Box::new(cause) })
}

/// A file whose digest is known.
pub struct Examined {
    path: PathBuf,
    file: File,
    /// In lower hex.
    pub digest: String,
    size: u64,
}

/// What loading needs.
pub struct Loader<'a> {
    /// Loads compiled code.
    pub sandbox: &'a Sandbox,
    /// Where compiled code is kept.
    pub cache: &'a CompiledFolder,
    /// What it may use.
    pub limits: &'a LoadLimits,
    /// Set to end a running load early.
    pub stop: &'a AtomicBool,
}

impl Loader<'_> {
    /// Reads the file once, for its digest.
    pub fn examine(&self, path: &Path) -> Result<Examined, LoadCause> {
        // A FIFO would block in `open`.
        if !fs::metadata(path).map_err(LoadCause::Io)?.is_file() {
            return Err(LoadCause::NotAFile);
        }
        let mut file = File::open(path).map_err(LoadCause::Io)?;
        let before = file.metadata().map_err(LoadCause::Io)?;
        if !before.is_file() {
            return Err(LoadCause::NotAFile);
        }
        let limit = self.limits.file_bytes;
        if before.len() > limit {
            return Err(LoadCause::TooLarge { size: before.len(), limit });
        }
        let (digest, size) = sha256_reader(&mut (&mut file).take(limit.saturating_add(1))).map_err(LoadCause::Io)?;
        if size != before.len() || Stamp::of(&file.metadata().map_err(LoadCause::Io)?) != Stamp::of(&before) {
            return Err(LoadCause::Changed);
        }
        Ok(Examined { path: path.to_owned(), file, digest, size })
    }

    /// Makes a plugin of an examined file.
    pub fn load(&self, examined: Examined) -> Result<Plugin, LoadCause> {
        let Examined { path, mut file, digest, size } = examined;
        let found = self.cache.find(&digest).and_then(|compiled| Some((self.sandbox.load(&compiled.code).ok()?, compiled)));
        let (converter, Compiled { report, .. }) = match found {
            Some(found) => found,
            // Not there, damaged, or not what this engine takes.
            None => {
                file.rewind().map_err(LoadCause::Io)?;
                let code = self.cache.temporary()?;
                let report = compiler::compile(file, &digest, &code, self.limits, self.stop)?;
                let compiled = self.cache.store(&digest, code, report)?;
                (self.sandbox.load(&compiled.code).map_err(LoadCause::Sandbox)?, compiled)
            }
        };
        let descriptor = describe(&converter, &self.limits.describe)?;
        let descriptor::Checked { options, patterns } = descriptor::check(&descriptor).map_err(LoadCause::Descriptor)?;
        Ok(Plugin { descriptor, digest, path, size, loaded_at: jiff::Timestamp::now(), converter, report, options, patterns })
    }
}

/// Calls `describe` on a thread with the stack that a guest needs.
fn describe(converter: &Converter, limits: &Limits) -> Result<Descriptor, LoadCause> {
    let call = || converter.describe(limits);
    let answer = thread::scope(|scope| {
        let thread = thread::Builder::new().name("describe".to_owned()).stack_size(THREAD_STACK).spawn_scoped(scope, call)?;
        let panicked = || ConversionError {
            error_type: ErrorType::Trap,
            code: String::new(),
            message: "the host panicked in it, which is a defect of Dropforge: please report it with the plugin".to_owned(),
            at: None,
        };
        Ok::<_, io::Error>(thread.join().unwrap_or_else(|_| Err(panicked())))
    })
    .map_err(LoadCause::Io)?;
    answer.map_err(LoadCause::Describe)
}
