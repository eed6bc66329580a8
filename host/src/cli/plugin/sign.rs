//! `dropforge plugin keygen`, `sign` and `verify`.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Args;

use crate::digest::sha256_reader;
use crate::files;
use crate::plugins::signing::{
    PUBLIC_KEY_EXTENSION, SIGNATURE_SUFFIX, SecretKey, Signature, SigningError, read_signature, signature_path, trusted_keys,
};

use super::super::print;

/// Make a key to sign plugins with
///
/// Writes NAME.key, which is secret, and NAME.pub, which goes to the folder of trusted keys (`signatures.trusted_keys`) of every daemon that
/// is to load what you sign.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  dropforge plugin keygen line-3")]
pub(super) struct KeygenArgs {
    /// The name of both files, which may have a folder before it
    name: PathBuf,
}

/// Sign a plugin
///
/// Writes FILE.sig beside the plugin. Put both into the plugins folder.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  dropforge plugin sign csv.wasm --key line-3.key")]
pub(super) struct SignArgs {
    /// The plugin
    file: PathBuf,
    /// The secret key, as `dropforge plugin keygen` makes it
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

/// Check a plugin's signature
///
/// Exits with 0 where a trusted key has signed the file as it is, else with 1.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  dropforge plugin verify csv.wasm --keys trusted-keys")]
pub(super) struct VerifyArgs {
    /// The plugin
    file: PathBuf,
    /// The folder of trusted keys [default: the configured one]
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// The configuration
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn keygen(args: &KeygenArgs) -> anyhow::Result<ExitCode> {
    let with = |extension: &str| {
        let mut path = args.name.clone().into_os_string();
        path.push(format!(".{extension}"));
        PathBuf::from(path)
    };
    let (secret, public) = (with("key"), with(PUBLIC_KEY_EXTENSION));
    for path in [&secret, &public] {
        ensure!(!path.exists(), "{} is there already: choose another name", path.display());
    }
    let (key, text) = SecretKey::generate()?;
    write_new(&secret, &text, true)?;
    write_new(&public, &key.public_pem(), false)?;
    let (id, secret, public) = (key.id(), secret.display(), public.display());
    print(&format!("{secret}: keep it secret\n{public}: put it into the folder of trusted keys\nkey id {id}\n"))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn sign(args: &SignArgs) -> anyhow::Result<ExitCode> {
    let key = SecretKey::read(&args.key)?;
    let digest = digest(&args.file)?;
    let path = signature_path(&args.file);
    files::write_whole(&path, key.sign(&digest).as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    print(&format!("{}: sha256 {digest}, signed with the key {}\n", path.display(), key.id()))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn verify(args: VerifyArgs) -> anyhow::Result<ExitCode> {
    let folder = match args.keys {
        Some(folder) => folder,
        None => {
            let config = super::configuration(args.config, None)?;
            config
                .signatures
                .trusted_keys
                .context("name the folder of trusted keys: with --keys DIR, or as `signatures.trusted_keys` in the configuration")?
        }
    };
    let digest = digest(&args.file)?;
    let path = signature_path(&args.file);
    let text = read_signature(&args.file)?.ok_or_else(|| SigningError::Missing(path.clone()))?;
    let keys = trusted_keys(&folder)?;
    let signature = Signature::parse(&text, &path)?;
    let key = signature.check(&digest, &keys, &folder).with_context(|| format!("{} is not to be trusted", args.file.display()))?;
    print(&format!("{}: sha256 {digest}, signed with the key `{}` ({})\n", args.file.display(), key.name, key.id()))?;
    Ok(ExitCode::SUCCESS)
}

fn digest(plugin: &Path) -> anyhow::Result<String> {
    ensure!(
        !plugin.to_string_lossy().ends_with(SIGNATURE_SUFFIX),
        "{} is a signature: name the plugin, without `{SIGNATURE_SUFFIX}`",
        plugin.display()
    );
    let read = File::open(plugin).and_then(|mut file| sha256_reader(&mut file));
    Ok(read.with_context(|| format!("cannot read {}", plugin.display()))?.0)
}

fn write_new(path: &Path, text: &str, secret: bool) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, if secret { 0o600 } else { 0o644 });
    #[cfg(not(unix))]
    let _ = secret;
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.with_context(|| format!("cannot write {}", path.display()))
}
