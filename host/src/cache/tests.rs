//! Every part of the key, and the cache as the workers use it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::config::OnInvalid;
use crate::metrics::Instance;
use crate::sandbox::{Document, DocumentWriter, Limits, Outcome, Usage};

fn members() -> Vec<(String, String)> {
    vec![("a.dat".into(), "1".into()), ("b.dat".into(), "2".into())]
}

/// Calls `with` with a question like every other, changed.
fn asking<T>(change: impl FnOnce(&mut Question<'_>), with: impl FnOnce(&Question<'_>) -> T) -> T {
    let (limits, attributes, members) = (Limits::default(), vec![("station".to_string(), "1".to_string())], members());
    let mut question = Question {
        plugin: "p",
        options: "{}",
        limits: &limits,
        on_invalid: OnInvalid::Fail,
        input: "i",
        id: "j",
        name: "a.csv",
        path: "line/a.csv",
        media_type: None,
        modified_ns: 7,
        attributes: &attributes,
        members: &members,
    };
    change(&mut question);
    with(&question)
}

#[test]
fn what_every_conversion_depends_on_is_in_every_key() {
    let key = |change: fn(&mut Question<'_>)| asking(change, |question| question.key(&Asked::default()).unwrap());
    let same = key(|_| {});
    let small: &'static Limits = Box::leak(Box::new(Limits { memory_bytes: 1 << 20, ..Limits::default() }));
    assert_ne!(same, key(|question| question.plugin = "q"));
    assert_ne!(same, key(|question| question.options = "{\"a\":1}"));
    assert_ne!(same, key(|question| question.input = "other"));
    assert_ne!(same, key(|question| question.on_invalid = OnInvalid::Warn));
    assert_ne!(same, asking(|question| question.limits = small, |question| question.key(&Asked::default()).unwrap()));
    for change in OTHERS {
        assert_eq!(same, key(change), "nobody asked for it");
    }
}

type Change = fn(&mut Question<'_>);
/// A change of each part that is in the key only where it was asked for.
const OTHERS: [Change; 7] = [
    |question| question.id = "other",
    |question| question.name = "other",
    |question| question.path = "other",
    |question| question.media_type = Some(""),
    |question| question.modified_ns = 8,
    |question| question.attributes = &[],
    |question| question.members = &[],
];

#[test]
fn what_was_asked_for_is_in_the_key_and_nothing_else() {
    let asked: [fn(&mut Asked); 7] = [
        |asked| asked.id = true,
        |asked| asked.name = true,
        |asked| asked.path = true,
        |asked| asked.media_type = true,
        |asked| asked.modified = true,
        |asked| asked.attributes = true,
        |asked| asked.members = true,
    ];
    for (number, ask) in asked.into_iter().enumerate() {
        let mut set = Asked::default();
        ask(&mut set);
        let same = asking(|_| {}, |question| question.key(&set).unwrap());
        for (other, change) in OTHERS.into_iter().enumerate() {
            let key = asking(change, |question| question.key(&set).unwrap());
            assert_eq!(key == same, other != number, "asked for {number}, changed {other}");
        }
    }
}

#[test]
fn opened_members_count_by_their_bytes() {
    let opened = Asked { members: true, opened: ["b.dat".to_string()].into(), ..Asked::default() };
    let with = |digests: [&str; 2]| {
        let members = vec![("a.dat".to_string(), digests[0].to_string()), ("b.dat".to_string(), digests[1].to_string())];
        asking(|question| question.key(&Asked::default()).map(drop).unwrap(), |_| ());
        let limits = Limits::default();
        asking(|_| {}, |question| Question { members: &members, limits: &limits, ..question.clone() }.key(&opened))
    };
    let same = with(["1", "2"]).unwrap();
    assert_eq!(with(["other", "2"]), Some(same), "a.dat was not opened");
    assert_ne!(with(["1", "other"]), Some(same));
    assert_eq!(asking(|question| question.members = &[], |question| question.key(&opened)), None);
}

fn conversion(asked: Asked, bytes: u64) -> Conversion {
    Conversion {
        result: Ok(Outcome::Converted),
        documents: vec![Document {
            number: 0,
            media_type: "text/plain".into(),
            name: "d".into(),
            attributes: vec![("serial".into(), "SN1".into())],
            key: Some("k".into()),
            bytes,
            digest: None,
        }],
        problems: Vec::new(),
        problems_dropped: 0,
        observations: Vec::new(),
        log_tail: Vec::new(),
        asked,
        usage: Usage::default(),
    }
}

/// A sink that keeps what it gets.
#[derive(Clone, Default)]
struct Taken(Arc<Mutex<Vec<u8>>>);

impl DocumentSink for Taken {
    fn create(&mut self, _number: u32, _media_type: &str, _name: &str) -> io::Result<Box<dyn DocumentWriter>> {
        Ok(Box::new(self.clone()))
    }
}

impl DocumentWriter for Taken {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<Option<String>> {
        Ok(Some("digest".into()))
    }
}

struct Fixture {
    folder: tempfile::TempDir,
    cache: ResultCache,
    metrics: Metrics,
}

fn fixture(config: &ResultCacheConfig) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let metrics = Metrics::new(&Instance { instance_id: "i".into(), station: String::new(), location: String::new() });
    let cache = ResultCache::new(config, folder.path().join("cache"), &metrics).unwrap().unwrap();
    Fixture { folder, cache, metrics }
}

impl Fixture {
    fn value(&self, metric: &str) -> f64 {
        self.cache.report();
        let series = format!("{metric}{{cache_name=\"conversion\"}} ");
        self.metrics.exposition().lines().find_map(|line| line.strip_prefix(&series)?.parse().ok()).unwrap()
    }

    /// Converts if need be: the document says by its size what was asked. Gives whether it was known.
    fn convert(&self, question: &Question<'_>, asked: &Asked, content: &[u8]) -> bool {
        match self.cache.ask(question) {
            Answer::Known(stored) => {
                let taken = Taken::default();
                let replayed = stored.replay(Box::new(taken.clone())).unwrap();
                assert_eq!(taken.0.lock().unwrap().as_slice(), content);
                assert_eq!((replayed.documents[0].key.as_deref(), replayed.documents[0].digest.as_deref()), (Some("k"), Some("digest")));
                true
            }
            Answer::Unknown(flight) => {
                let path = self.folder.path().join("document");
                let _ = fs::remove_file(&path);
                fs::write(&path, content).unwrap();
                let mut writer = flight.keep(Box::new(Taken::default())).create(0, "text/plain", "d").unwrap();
                content.chunks(50_000).for_each(|chunk| writer.write(chunk).unwrap());
                writer.finish().unwrap();
                flight.land(question, &conversion(asked.clone(), content.len() as u64), |_| path.clone());
                false
            }
        }
    }
}

#[test]
fn a_result_is_found_under_everything_that_was_not_asked_for() {
    for content in [b"small".to_vec(), vec![b'x'; 1 << 20]] {
        let fixture = fixture(&ResultCacheConfig::default());
        let by_name = Asked { name: true, ..Asked::default() };
        let convert = |change: Change| asking(change, |question| fixture.convert(question, &by_name, &content));
        assert!(!convert(|_| {}));
        assert!(convert(|_| {}));
        assert!(convert(|question| question.path = "elsewhere/a.csv"));
        assert!(!convert(|question| question.name = "b.csv"));
        assert!(!convert(|question| question.options = "[]"));
        assert_eq!((fixture.value("cache_hits_total"), fixture.value("cache_misses_total")), (2.0, 3.0));
        assert_eq!((fixture.value("cache_hit_rate"), fixture.value("cache_entries")), (0.4, 3.0));
        assert!(fixture.value("cache_size_bytes") >= 3.0 * content.len() as f64);
    }
}

#[test]
fn neither_bound_is_exceeded_and_what_goes_leaves_no_file() {
    let fixture = fixture(&ResultCacheConfig { max_entries: 4, max_bytes: 1 << 20, ..ResultCacheConfig::default() });
    let names: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    let convert = |input: &str, size: usize| {
        asking(|_| {}, |question| fixture.convert(&Question { input, ..question.clone() }, &Asked::default(), &vec![b'x'; size]))
    };
    for name in &names {
        convert(name, 10);
    }
    assert!(fixture.value("cache_entries") <= 4.0);
    assert_eq!(fixture.value("cache_evictions_total") + fixture.value("cache_entries"), 40.0);
    for name in &names {
        convert(&format!("large {name}"), 300 << 10);
    }
    assert!(fixture.value("cache_size_bytes") <= f64::from(1 << 20));
    let folders = fs::read_dir(fixture.folder.path().join("cache")).unwrap().count();
    assert!(folders <= 3, "{folders}");
}

#[test]
fn equal_conversions_at_the_same_time_run_once() {
    let fixture = fixture(&ResultCacheConfig::default());
    let ran = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                asking(
                    |_| {},
                    |question| match fixture.cache.ask(question) {
                        Answer::Known(_) => {}
                        Answer::Unknown(flight) => {
                            ran.fetch_add(1, Ordering::Relaxed);
                            std::thread::sleep(Duration::from_millis(50));
                            let path = fixture.folder.path().join("document");
                            fs::write(&path, "x").unwrap();
                            flight.land(question, &conversion(Asked::default(), 1), |_| path.clone());
                        }
                    },
                );
            });
        }
    });
    assert_eq!(ran.into_inner(), 1);
    assert_eq!((fixture.value("cache_hits_total"), fixture.value("cache_misses_total")), (3.0, 1.0));
}

#[test]
fn a_conversion_that_gives_nothing_to_keep_lets_the_next_one_run() {
    let fixture = fixture(&ResultCacheConfig::default());
    for _ in 0..2 {
        asking(|_| {}, |question| assert!(matches!(fixture.cache.ask(question), Answer::Unknown(_))));
    }
}

#[test]
fn a_kept_document_that_is_damaged_is_given_up() {
    let fixture = fixture(&ResultCacheConfig::default());
    let content = vec![b'x'; 1 << 20];
    let path = fixture.folder.path().join("document");
    fs::write(&path, &content).unwrap();
    let mut made = conversion(Asked::default(), content.len() as u64);
    made.documents[0].digest = Some("of what was written".into());
    asking(
        |_| {},
        |question| {
            let Answer::Unknown(flight) = fixture.cache.ask(question) else { panic!("the cache is empty") };
            flight.land(question, &made, |_| path.clone());
            let Answer::Known(damaged) = fixture.cache.ask(question) else { panic!("it was kept") };
            assert!(damaged.replay(Box::new(Taken::default())).is_err());
            drop(damaged);
            assert!(!fixture.convert(question, &Asked::default(), &content));
            assert!(fixture.convert(question, &Asked::default(), &content));
        },
    );
}
