//! The way of one file to a plugin: digest, size, compile in a child (or find it compiled), load, describe, check. It knows nothing of
//! folders that change or of what else is loaded.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::thread;

use crate::config::SignaturePolicy;
use crate::digest::{sha256_hex, sha256_reader};
use crate::sandbox::{ConversionError, Converter, Descriptor, ErrorType, Limits, Sandbox, SandboxError, THREAD_STACK};

use super::bundled::Bundled;
use super::compiled::{Compiled, CompiledFolder};
use super::compiler::{self, CompileError};
use super::descriptor::{self, DescriptorError};
use super::file::Stamp;
use super::plugin::Plugin;
use super::private::PrivateFolderError;
use super::settings::LoadSettings;
use super::signing::{self, Signature, SigningError};

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
    Compiled(#[from] PrivateFolderError),
    /// It is not signed as the configuration asks.
    #[error("{0}; the configuration asks for signatures (`signatures.policy`)")]
    Signature(SigningError),
    /// The key of what runs is not trusted any more.
    #[error("it does not run any more: {0}")]
    Distrusted(SigningError),
    /// What a plugin was rolled back to is not what it should be.
    #[error(
        "the version that `{name}` was rolled back to cannot be loaded ({reason}): roll back to another with `dropforge plugin rollback {name} DIGEST`"
    )]
    Rollback {
        /// The converter's name.
        name: String,
        /// What is wrong.
        reason: String,
    },
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
pub fn load_file(path: &Path, sandbox: &Sandbox, settings: impl Into<LoadSettings>) -> Result<Plugin, LoadError> {
    load_alone(path, sandbox, &settings.into(), |loader| loader.examine(path))
}

/// Loads one of the plugins inside this program.
///
/// # Errors
/// As [`load_file`].
pub fn load_bundled(bundled: Bundled, sandbox: &Sandbox, settings: impl Into<LoadSettings>) -> Result<Plugin, LoadError> {
    load_alone(Path::new(bundled.file), sandbox, &settings.into(), |loader| loader.examine_bundled(bundled))
}

fn load_alone(
    path: &Path,
    sandbox: &Sandbox,
    settings: &LoadSettings,
    examine: impl FnOnce(&Loader<'_>) -> Result<Examined, LoadCause>,
) -> Result<Plugin, LoadError> {
    let never = AtomicBool::new(false);
    let load = || {
        let cache = CompiledFolder::open(&settings.compiled_dir, &sandbox.compatibility())?;
        let loader = Loader { sandbox, cache: &cache, stop: &never, settings };
        loader.load(&examine(&loader)?)
    };
    load().map_err(|cause| LoadError { path: path.to_owned(), cause: Box::new(cause) })
}

/// Where the bytes of a plugin are.
pub enum Source {
    /// What was read: whatever comes to its path later is another file.
    File(File),
    /// Inside this program.
    Bundled(Bundled),
}

impl Source {
    /// A file of the bytes, at its start.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(&self) -> io::Result<File> {
        match self {
            Source::File(file) => file.try_clone().and_then(|mut file| file.rewind().map(|()| file)),
            Source::Bundled(bundled) => bundled.open(),
        }
    }
}

/// A plugin whose digest is known.
pub struct Examined {
    path: PathBuf,
    /// Its bytes.
    pub source: Source,
    /// In lower hex.
    pub digest: String,
    size: u64,
    /// What the signature's file holds, if signatures are asked for.
    pub signature: Option<Vec<u8>>,
}

/// What loading needs.
pub struct Loader<'a> {
    /// Loads compiled code.
    pub sandbox: &'a Sandbox,
    /// Where compiled code is kept.
    pub cache: &'a CompiledFolder,
    /// Set to end a running load early.
    pub stop: &'a AtomicBool,
    /// What is asked of plugins.
    pub settings: &'a LoadSettings,
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
        let limit = self.settings.limits.file_bytes;
        if before.len() > limit {
            return Err(LoadCause::TooLarge { size: before.len(), limit });
        }
        let (digest, size) = sha256_reader(&mut (&mut file).take(limit.saturating_add(1))).map_err(LoadCause::Io)?;
        if size != before.len() || Stamp::of(&file.metadata().map_err(LoadCause::Io)?) != Stamp::of(&before) {
            return Err(LoadCause::Changed);
        }
        let signature = match self.settings.signatures {
            SignaturePolicy::Off => None,
            SignaturePolicy::Warn | SignaturePolicy::Require => signing::read_signature(path).map_err(LoadCause::Signature)?,
        };
        Ok(Examined { path: path.to_owned(), source: Source::File(file), digest, size, signature })
    }

    /// The same of a plugin inside this program.
    pub fn examine_bundled(&self, bundled: Bundled) -> Result<Examined, LoadCause> {
        let (size, limit) = (bundled.bytes.len() as u64, self.settings.limits.file_bytes);
        if size > limit {
            return Err(LoadCause::TooLarge { size, limit });
        }
        let (path, digest) = (PathBuf::from(format!("{} (bundled)", bundled.file)), sha256_hex(bundled.bytes));
        Ok(Examined { path, source: Source::Bundled(bundled), digest, size, signature: None })
    }

    /// Makes a plugin of an examined file.
    pub fn load(&self, examined: &Examined) -> Result<Plugin, LoadCause> {
        // Before anything parses the bytes. The digest is that of the bytes which are compiled: the compiling process checks it again.
        let signed_by = self.check_signature(examined)?;
        let (converter, Compiled { report, .. }) = self.converter(examined)?;
        let descriptor = describe(&converter, &self.settings.limits.describe)?;
        let descriptor::Checked { options, patterns } = descriptor::check(&descriptor).map_err(LoadCause::Descriptor)?;
        let Examined { path, digest, size, .. } = examined;
        let (path, digest, size) = (path.clone(), digest.clone(), *size);
        Ok(Plugin { descriptor, digest, path, size, signed_by, loaded_at: jiff::Timestamp::now(), converter, report, options, patterns })
    }
}

impl Loader<'_> {
    /// The compiled code from the cache, or compiled now.
    fn converter(&self, examined: &Examined) -> Result<(Converter, Compiled), LoadCause> {
        let digest = examined.digest.as_str();
        let cached = || self.cache.find(digest).and_then(|compiled| Some((self.sandbox.load(&compiled.code).ok()?, compiled)));
        if let Some(found) = cached() {
            return Ok(found);
        }
        // Not there, damaged, or not what this engine takes; and another file with the same bytes may be compiled right now.
        let _turn = self.cache.turn(digest);
        if let Some(found) = cached() {
            return Ok(found);
        }
        let file = examined.source.open().map_err(LoadCause::Io)?;
        let code = self.cache.temporary()?;
        let report = compiler::compile(file, digest, &code, &self.settings.limits, self.stop)?;
        let compiled = self.cache.store(digest, code, report)?;
        Ok((self.sandbox.load(&compiled.code).map_err(LoadCause::Sandbox)?, compiled))
    }

    /// Who has signed an examined file, as far as the configuration wants to know.
    pub fn check_signature(&self, examined: &Examined) -> Result<Option<String>, LoadCause> {
        let Some(folder) = self.settings.trusted_keys.as_deref().filter(|_| self.settings.signatures != SignaturePolicy::Off) else {
            return Ok(None);
        };
        // Whoever trusts this program trusts what is inside it.
        if matches!(examined.source, Source::Bundled(_)) {
            return Ok(None);
        }
        let check = || {
            let path = signing::signature_path(&examined.path);
            let text = examined.signature.as_deref().ok_or_else(|| SigningError::Missing(path.clone()))?;
            let keys = signing::trusted_keys(folder)?;
            Signature::parse(text, &path)?.check(&examined.digest, &keys, folder).map(|key| key.name.clone())
        };
        match check() {
            Ok(key) => Ok(Some(key)),
            Err(error) if self.settings.signatures == SignaturePolicy::Require => Err(LoadCause::Signature(error)),
            Err(error) => {
                tracing::warn!(file = %examined.path.display(), "plugin loaded although {error} (`signatures.policy` is `warn`)");
                Ok(None)
            }
        }
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
