//! Feeds a target with mutations of a kept corpus. It is no coverage-guided fuzzer, which needs a nightly compiler: it runs wherever the
//! tests run, for a fixed number of cases by default, the same ones every time.
//!
//! `DROPFORGE_FUZZ_SECONDS=600 cargo test -p dropforge-fuzz` looks for new cases instead, for as long. A case that makes a target panic is
//! put into `fuzz/corpus/TARGET/`, where every later run begins with it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this crate exists for tests")]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs};

use fastrand::Rng;

/// The longest case. Longer ones find little more and take longer.
const MAX_BYTES: usize = 64 << 10;

/// Bytes at the edges of what parsers tell apart.
const EDGES: [u8; 12] = [0, 1, 0x0a, 0x0d, 0x22, 0x27, 0x7f, 0x80, 0xc0, 0xfe, 0xff, 0x5c];

/// Runs `check` on the target's corpus, on `seeds`, and on `cases` mutations of both. `words` are inserted now and then: what the target's
/// format is made of. The check panics where something is wrong.
///
/// # Panics
/// Where the check does; the case is kept first.
pub fn fuzz(target: &str, seeds: Vec<Vec<u8>>, words: &[&str], cases: u64, check: impl Fn(&[u8])) {
    let corpus = corpus_folder(target);
    let mut seeds: Vec<Vec<u8>> = kept(&corpus).into_iter().chain(seeds).collect();
    assert!(!seeds.is_empty(), "there is nothing to begin with in {}", corpus.display());
    for seed in &mut seeds {
        seed.truncate(MAX_BYTES);
        run(&corpus, seed, &check);
    }
    let seconds: Option<u64> = env::var("DROPFORGE_FUZZ_SECONDS").ok().map(|seconds| seconds.parse().unwrap());
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut rng = if end.is_some() { Rng::new() } else { Rng::with_seed(1) };
    let mut done = 0;
    while end.map_or(done < cases, |end| Instant::now() < end) {
        run(&corpus, &mutated(&seeds, words, &mut rng), &check);
        done += 1;
    }
}

fn corpus_folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// The files of a folder, in the order of their names.
fn kept(folder: &Path) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn run(corpus: &Path, case: &[u8], check: &impl Fn(&[u8])) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(case))) {
        // FNV-1a: a name that the same case always gets.
        let hash = case.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        let file = corpus.join(format!("found-{hash:016x}"));
        fs::create_dir_all(corpus).unwrap();
        fs::write(&file, case).unwrap();
        eprintln!("this case is kept as {}", file.display());
        resume_unwind(panic);
    }
}

fn mutated(seeds: &[Vec<u8>], words: &[&str], rng: &mut Rng) -> Vec<u8> {
    let mut case = rng.choice(seeds).cloned().unwrap_or_default();
    for _ in 0..rng.usize(1..=6) {
        let at = rng.usize(0..=case.len());
        let end = (at + rng.usize(1..=16)).min(case.len());
        match rng.u8(0..9) {
            0 => flip(&mut case, at, rng),
            1 => {
                if let Some(byte) = case.get_mut(at) {
                    *byte = EDGES.get(rng.usize(0..EDGES.len())).copied().unwrap_or(rng.u8(..));
                }
            }
            2 => case.insert(at, rng.u8(..)),
            3 => drop(case.drain(at..end)),
            4 => case.truncate(at),
            5 => {
                let copy: Vec<u8> = case.get(at..end).unwrap_or_default().repeat(rng.usize(1..=64));
                case.splice(at..at, copy);
            }
            6 => {
                let word = rng.choice(words).copied().unwrap_or_default();
                case.splice(at..at, word.bytes());
            }
            7 => {
                // The end of another one.
                let other = rng.choice(seeds).map(Vec::as_slice).unwrap_or_default();
                let rest = other.get(rng.usize(0..=other.len())..).unwrap_or_default();
                case.splice(at.., rest.iter().copied());
            }
            _ => {
                let bytes: Vec<u8> = (0..end - at).map(|_| rng.u8(..)).collect();
                case.splice(at..end, bytes);
            }
        }
    }
    case.truncate(MAX_BYTES);
    case
}

fn flip(case: &mut [u8], at: usize, rng: &mut Rng) {
    if let Some(byte) = case.get_mut(at) {
        *byte ^= 1 << rng.u8(0..8);
    }
}
