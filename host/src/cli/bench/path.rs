//! `dropforge bench path`: small files through the whole path, beside a bare loop that does the same by hand.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;

use super::super::print;
use crate::files;

/// What is measured.
#[derive(Debug, Args)]
pub(super) struct PathArgs {
    /// The csv plugin
    #[arg(long, value_name = "FILE.wasm")]
    converter: PathBuf,
    /// How many files
    #[arg(long, default_value_t = 10_000)]
    files: usize,
    /// How often each of the two runs, in turns; the best of each counts
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Where to make a folder for it: on the disk that counts
    #[arg(long, default_value = ".", value_name = "DIR")]
    folder: PathBuf,
    /// Leave the files where they are: some file systems (ext4) are slow for minutes after many files were removed, which spoils the next run
    #[arg(long)]
    keep: bool,
}

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(600);
/// The rows of a file: with these it has about 1 KB.
const ROWS: usize = 24;

pub(super) fn run(args: &PathArgs) -> anyhow::Result<()> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut folder = tempfile::Builder::new().prefix("dropforge-bench-").tempdir_in(&args.folder).context("cannot make a folder")?;
    folder.disable_cleanup(args.keep);
    let (mut bare, mut whole) = (Vec::new(), Vec::new());
    for run in 0..args.runs.max(1) {
        let here = folder.path().join(run.to_string());
        let (loop_folder, daemon_folder) = (here.join("loop"), here.join("daemon"));
        bare.push(bare_loop(&loop_folder, args.files, threads)?);
        whole.push(through_the_daemon(&daemon_folder, args, threads)?);
        // All of it is removed at the very end: file systems are slow to give the numbers of removed files to new ones.
        same_documents(&loop_folder.join("out"), &daemon_folder.join("out"), args.files)?;
        let speed = |times: &[Duration]| args.files as f64 / times.last().copied().unwrap_or_default().as_secs_f64();
        print(&format!("run {}: bare loop {:.0} files/s, Dropforge {:.0} files/s\n", run + 1, speed(&bare), speed(&whole)))?;
    }
    let best = |times: &[Duration]| args.files as f64 / times.iter().min().copied().unwrap_or_default().as_secs_f64();
    let (bare, whole) = (best(&bare), best(&whole));
    Ok(print(&format!(
        "{} files of 1 KB, {threads} threads, best of {}:\n  bare loop  {bare:>8.0} files/s   read, convert natively, write, sync, rename, move the source\n  Dropforge  \
         {whole:>8.0} files/s   inbox, queue, sandbox, spool, outbox, done\n  ratio      {:>8.2}\n",
        args.files,
        args.runs.max(1),
        whole / bare
    ))?)
}

/// A station's measurements, the same for the same number.
fn content(number: usize) -> String {
    let mut text = String::from("serial,step,value,unit,status\n");
    for row in 0..ROWS {
        let value = (number * 31 + row * 17) % 9973;
        text.push_str(&format!(
            "SN{number:07},step {row},{}.{:02},mV,{}\n",
            value / 100 + 1,
            value % 89 + 10,
            if value.is_multiple_of(50) { "FAIL" } else { "PASS" }
        ));
    }
    text
}

/// What the csv plugin makes of [`content`], by hand.
fn convert(text: &str) -> String {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let mut json = String::with_capacity(text.len() * 4);
    for line in lines {
        json.push('{');
        for (index, (name, cell)) in names.iter().zip(line.split(',')).enumerate() {
            let quote = if index == 2 { "" } else { "\"" };
            json.push_str(if index == 0 { "\"" } else { ",\"" });
            json.push_str(name);
            json.push_str("\":");
            json.push_str(quote);
            json.push_str(cell);
            json.push_str(quote);
        }
        json.push_str("}\n");
    }
    json
}

fn fill(folder: &Path, count: usize) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    for number in 0..count {
        fs::write(folder.join(format!("{number:07}.csv")), content(number))?;
    }
    // What was written before is not to be synced on somebody else's account.
    #[cfg(unix)]
    rustix::fs::syncfs(File::open(folder)?)?;
    Ok(())
}

/// Reads, converts, writes, syncs and renames with the same guarantees: a document is durable before its source is moved.
fn bare_loop(folder: &Path, count: usize, threads: usize) -> anyhow::Result<Duration> {
    let (inbox, outbox, done) = (folder.join("in"), folder.join("out"), folder.join("done"));
    fill(&inbox, count)?;
    fs::create_dir_all(&outbox)?;
    fs::create_dir_all(&done)?;
    let next = AtomicUsize::new(0);
    let one = |number: usize| -> std::io::Result<()> {
        let name = format!("{number:07}");
        let source = inbox.join(format!("{name}.csv"));
        let json = convert(&fs::read_to_string(&source)?);
        let temporary = outbox.join(format!(".{name}"));
        let mut file = File::create(&temporary)?;
        file.write_all(json.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, outbox.join(format!("{name}.jsonl")))?;
        files::sync_folder(&outbox)?;
        fs::rename(&source, done.join(format!("{name}.csv")))?;
        files::sync_folder(&done)?;
        files::sync_folder(&inbox)
    };
    let start = Instant::now();
    let results: Vec<std::io::Result<()>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| -> std::io::Result<()> {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            return Ok(());
                        }
                        one(number)?;
                    }
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| Err(std::io::Error::other("a thread panicked")))).collect()
    });
    results.into_iter().collect::<std::io::Result<()>>().context("the bare loop failed")?;
    Ok(start.elapsed())
}

/// A daemon that ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Puts the files into the inbox of a daemon, all at once, and waits until the last is settled.
fn through_the_daemon(folder: &Path, args: &PathArgs, threads: usize) -> anyhow::Result<Duration> {
    fs::create_dir_all(folder.join("plugins"))?;
    fs::copy(&args.converter, folder.join("plugins/csv.wasm")).with_context(|| format!("cannot copy {}", args.converter.display()))?;
    fill(&folder.join("prepared"), args.files)?;
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let log = File::create(folder.join("log"))?;
    let child = Command::new(std::env::current_exe()?)
        .args(["run", "--inbox", "in", "--outbox", "out", "--plugins", "plugins", "--state", "state", "--metrics-port=0"])
        .arg(format!("--health-port={port}"))
        .env("DROPFORGE_WORKERS", threads.to_string())
        .env("DROPFORGE_LOG", "warn")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start the daemon")?;
    let _running = Running(child);
    let agent = ureq::Agent::new_with_config(ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).proxy(None).build());
    let ask = |path: &str| -> Option<String> {
        agent.get(format!("http://127.0.0.1:{port}{path}")).call().ok()?.body_mut().read_to_string().ok()
    };
    wait("the daemon to be ready", folder, || ask("/health/ready").is_some())?;
    wait("the inbox", folder, || folder.join("in").is_dir())?;
    let start = Instant::now();
    fs::rename(folder.join("prepared"), folder.join("in/batch"))?;
    let series = "queue_items_processed_total{queue_name=\"delivery_queue\"} ";
    let settled = || ask("/metrics")?.lines().find_map(|line| line.strip_prefix(series)?.parse::<usize>().ok());
    wait("the last file", folder, || settled().is_some_and(|settled| settled >= args.files))?;
    Ok(start.elapsed())
}

fn wait(what: &str, folder: &Path, condition: impl Fn() -> bool) -> anyhow::Result<()> {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > PATIENCE {
            bail!("waited {} s for {what}; the daemon said:\n{}", PATIENCE.as_secs(), fs::read_to_string(folder.join("log"))?);
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Both have done the same work: else their times cannot be compared.
fn same_documents(by_hand: &Path, by_daemon: &Path, count: usize) -> anyhow::Result<()> {
    let mut found = 0;
    for entry in fs::read_dir(by_daemon)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let stem = name.split('-').next().unwrap_or_default();
        if fs::read(entry.path())? != fs::read(by_hand.join(format!("{stem}.jsonl")))? {
            bail!("{name} is not what the loop made; is the converter the csv plugin?");
        }
        found += 1;
    }
    if found != count {
        bail!("{found} documents came out of {count} files");
    }
    Ok(())
}
