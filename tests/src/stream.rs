//! A stream of files of every kind, the same for the same seed, and what must become of each. It knows nothing of daemons.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::{files, run, without_id};

/// A file, and what must become of it.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its path below the inbox; no other source has its file name.
    pub path: String,
    /// What it holds.
    pub bytes: Vec<u8>,
    /// The documents that must come of it: name without id, and bytes.
    pub documents: Vec<(String, Vec<u8>)>,
    /// Whether it is settled as converted: it goes to `done/`, else to `failed/` with a sidecar.
    pub converted: bool,
}

/// What the converter `junit` makes of a file with two suites, with `000000` for its number.
pub struct Suites([(String, Vec<u8>); 2]);

const SUITES: &str = r#"<testsuites><testsuite name="first of 000000"><testcase classname="panel" name="voltage" time="0.5"/></testsuite>
<testsuite name="second of 000000"><testcase name="current" time="0.25"><failure message="no">too much</failure></testcase></testsuite></testsuites>
"#;

impl Suites {
    /// Converts one file with the real converter, beside every daemon.
    pub fn convert() -> Suites {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("source.xml"), SUITES).unwrap();
        let converter = crate::plugin("junit");
        let (code, _, errors) = run(folder.path(), &["convert", "source.xml", "--converter", converter.to_str().unwrap(), "-o", "out"]);
        assert_eq!(code, 0, "{errors}");
        let read = |which: &str| {
            let name = format!("source.{which} of 000000.json");
            let bytes = fs::read(folder.path().join("out").join(&name)).unwrap();
            (name, bytes)
        };
        Suites([read("first"), read("second")])
    }

    fn documents(&self, stem: &str, number: &str) -> Vec<(String, Vec<u8>)> {
        let numbered = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace("000000", number).into_bytes();
        self.0.iter().map(|(name, bytes)| (name.replace("source", stem).replace("000000", number), numbered(bytes))).collect()
    }
}

/// The given number of files, in the order in which they come.
pub fn mixed(count: usize, random: &mut fastrand::Rng, suites: &Suites) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::with_capacity(count);
    for n in 0..count {
        let number = format!("{n:06}");
        let folder = ["", "", "line 1/", "line 2/panels/"][random.usize(..4)];
        let source = |extension: &str, bytes: String, documents: Vec<(String, Vec<u8>)>, converted| Source {
            path: format!("{folder}{number}.{extension}"),
            bytes: bytes.into_bytes(),
            documents,
            converted,
        };
        let table = |rows: &str| vec![(format!("{number}.jsonl"), rows.as_bytes().to_vec())];
        let twin = sources.last().filter(|last| last.path.ends_with(".csv") && last.converted && !last.bytes.is_empty()).cloned();
        let next = match (random.u8(..20), twin) {
            (0..5, Some(twin)) => {
                let documents = vec![(format!("{number}.jsonl"), twin.documents[0].1.clone())];
                Source { path: format!("{folder}{number}.csv"), documents, ..twin }
            }
            (0..12, _) => {
                let value = random.u32(..1000);
                let rows = format!("{{\"serial\":{},\"value\":{value}}}\n", n + 1);
                source("csv", format!("serial,value\n{},{value}\n", n + 1), table(&rows), true)
            }
            (12..16, _) => source("xml", SUITES.replace("000000", &number), suites.documents(&number, &number), true),
            (16, _) => source("csv", String::new(), table(""), true),
            (17, _) => source("xml", String::new(), Vec::new(), false),
            (18, _) => source("xml", format!("<testsuites><testsuite name=\"{number}\"><testcase"), Vec::new(), false),
            // A quote that never closes: converted in part.
            (_, _) => {
                let rows = format!("{{\"serial\":{},\"value\":\"\\\"1\"}}\n{{\"serial\":2}}\n", n + 1);
                source("csv", format!("serial,value\n{},\"1\n2\n", n + 1), table(&rows), false)
            }
        };
        sources.push(next);
    }
    sources
}

/// Puts a file into an inbox in one of the ways of writers: under a temporary name and renamed, at once, or in two pieces.
pub fn put(inbox: &Path, source: &Source, random: &mut fastrand::Rng) {
    let path = inbox.join(&source.path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match random.u8(..4) {
        0..2 => {
            let temporary = path.with_extension("tmp");
            fs::write(&temporary, &source.bytes).unwrap();
            fs::rename(temporary, path).unwrap();
        }
        2 => fs::write(path, &source.bytes).unwrap(),
        _ => {
            let (first, second) = source.bytes.split_at(source.bytes.len() / 2);
            let mut file = File::create(path).unwrap();
            file.write_all(first).unwrap();
            thread::sleep(Duration::from_millis(random.u64(..5)));
            file.write_all(second).unwrap();
        }
    }
}

/// What an outbox holds that it must not, and lacks; empty where every source has exactly its documents there.
pub fn wrong_in_outbox(outbox: &Path, sources: &[Source]) -> Vec<String> {
    let is = files(outbox).into_iter().map(|(name, path)| {
        // What has no id is none of its documents, and is reported as it is.
        let plain = if name.starts_with('.') { name } else { without_id(&name) };
        (plain, fs::read(path).unwrap())
    });
    wrong_documents(is, sources)
}

/// The same for documents from anywhere: their names, as the converter gave them, and bytes.
pub fn wrong_documents(is: impl Iterator<Item = (String, Vec<u8>)>, sources: &[Source]) -> Vec<String> {
    let mut balance: BTreeMap<(String, Vec<u8>), i64> = BTreeMap::new();
    is.for_each(|document| *balance.entry(document).or_default() += 1);
    sources.iter().flat_map(|source| &source.documents).for_each(|document| *balance.entry(document.clone()).or_default() -= 1);
    let wrong = balance.into_iter().filter(|(_, balance)| *balance != 0);
    wrong.map(|((name, bytes), balance)| format!("{balance:+} {name} with {:?}", String::from_utf8_lossy(&bytes))).collect()
}

/// What is wrong with the settled sources below an inbox; empty where each is where it belongs, whole and once, and nothing else is anywhere.
pub fn wrong_in_inbox(inbox: &Path, sources: &[Source]) -> Vec<String> {
    let mut expected: BTreeMap<String, &[u8]> = BTreeMap::new();
    for source in sources {
        let folder = if source.converted { "done" } else { "failed" };
        expected.insert(format!("{folder}/{}", source.path), &source.bytes);
    }
    let mut wrong = Vec::new();
    let mut sidecars = Vec::new();
    for (name, path) in files(inbox) {
        // Without the date.
        let parts: Vec<&str> = name.splitn(3, '/').collect();
        let place = match parts[..] {
            [folder @ ("done" | "failed"), _, rest] => format!("{folder}/{rest}"),
            _ => name.clone(),
        };
        if let Some(failed) = place.strip_suffix(".dropforge.json") {
            if serde_json::from_slice::<serde_json::Value>(&fs::read(path).unwrap()).is_err() {
                wrong.push(format!("the sidecar {name} is not whole"));
            }
            sidecars.push(failed.to_owned());
        } else {
            match expected.remove(&place) {
                Some(bytes) if fs::read(&path).unwrap() == bytes => {}
                Some(_) => wrong.push(format!("{name} is not as it was")),
                None => wrong.push(format!("{name} does not belong there, or is there twice")),
            }
        }
    }
    wrong.extend(expected.keys().map(|place| format!("{place} is missing")));
    let mut failed: Vec<String> =
        sources.iter().filter(|source| !source.converted).map(|source| format!("failed/{}", source.path)).collect();
    failed.sort();
    sidecars.sort();
    if failed != sidecars {
        wrong.push(format!("there are sidecars for {sidecars:?}, and what failed is {failed:?}"));
    }
    wrong
}
