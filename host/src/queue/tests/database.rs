//! The file itself: its versions, damage, and copies.

use super::*;

#[test]
fn a_newer_database_is_refused_with_both_versions() {
    let (_folder, path, store) = store();
    drop(store);
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = Store::open(&path).err().unwrap().to_string();
    assert!(error.contains("version 99") && error.contains("up to 7"), "{error}");
}

#[test]
fn a_database_of_the_first_version_is_copied_and_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(schema::VERSION_1).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    old.execute_batch(
        "INSERT INTO jobs (id, route, path, location, device, inode, size, modified_ns, digest, priority, state, due_ms, created_ms, finished_ms,
             outcome, converter, plugin_version, plugin_digest, detail)
         VALUES ('q', 'r', 'q.csv', x'2f71', 1, 2, 3, 4, 'd', 5, 'queued', 0, 1000, NULL, NULL, NULL, NULL, NULL, NULL),
                ('c', 'r', 'c.csv', x'2f63', 1, 2, 3, 4, 'd', 5, 'committed', 0, 1000, 2000, 'converted', 'csv', '1', 'p', '{}');
         INSERT INTO documents VALUES ('c', 0, 'c.jsonl', 'text/plain', '[[\"serial\",\"SN7\"]]', NULL, 42);
         INSERT INTO deliveries VALUES ('c', 'folder:/a', 3000, 0, NULL), ('c', 'folder:/b', NULL, 2, 'full');",
    )
    .unwrap();
    drop(old);
    let store = Store::open(&path).unwrap().store;
    assert_eq!(claim(&store).unwrap().path, "q.csv");
    let found = store.jobs(&Filter { attribute: Some("serial=SN7".into()), ..Filter::default() }, 5).unwrap();
    assert_eq!(found.len(), 1);
    let record = store.job("c").unwrap().unwrap();
    let states: Vec<(&str, &str)> = record.deliveries.iter().map(|d| (d.destination.as_str(), d.state.as_str())).collect();
    assert_eq!(states, [("folder:/a", "delivered"), ("folder:/b", "pending")]);
    assert_eq!(store.sizes().unwrap().spool_bytes, 42);
    let copy = rusqlite::Connection::open(folder.path().join("queue.db.version-1")).unwrap();
    assert_eq!(copy.query_row("SELECT count(*) FROM jobs", [], |row| row.get::<_, i64>(0)).unwrap(), 2);
}

#[test]
fn a_damaged_database_is_set_aside_with_its_log() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 3] = [
        ("replaced by text", |bytes| *bytes = b"not a database at all, but long enough to be read as one".repeat(100)),
        ("overwritten in the middle", |bytes| {
            let length = bytes.len();
            bytes[4096..length].fill(0x5a);
        }),
        ("cut off", |bytes| bytes.truncate(5000)),
    ];
    for (what, damage) in damages {
        let (folder, path, store) = store();
        for n in 0..200 {
            store.enqueue(job(&n.to_string(), 5)).unwrap();
        }
        drop(store);
        let mut bytes = std::fs::read(&path).unwrap();
        damage(&mut bytes);
        std::fs::write(&path, &bytes).unwrap();
        let opened = Store::open(&path).unwrap();
        let aside = opened.set_aside.clone().expect(what);
        assert_eq!(std::fs::read(&aside).unwrap(), bytes, "{what}");
        assert_eq!(opened.store.sizes().unwrap().due, 0);
        assert_eq!(opened.store.enqueue(job("0", 5)).unwrap(), Enqueued::New);
        drop(opened);
        assert!(Store::open(&path).unwrap().set_aside.is_none());
        drop(folder);
    }
}

#[test]
fn a_copy_is_of_one_moment_and_opens() {
    let (folder, path, store) = store();
    store.enqueue(job("a", 5)).unwrap();
    let copy = folder.path().join("copy.db");
    store.copy_to(&copy, |_| Ok(())).unwrap();
    store.enqueue(job("b", 5)).unwrap();
    assert!(Store::beside(&path).unwrap().sizes().unwrap().due == 2);
    assert_eq!(Store::open(&copy).unwrap().store.sizes().unwrap().due, 1);
    assert!(store.copy_to(&copy, |_| Ok(())).is_err(), "what is there is not replaced");
    assert!(matches!(Store::beside(&folder.path().join("none.db")), Err(QueueError::Absent { .. })));
    #[cfg(unix)]
    assert!(matches!(Store::beside(&copy.join("none.db")), Err(QueueError::OutOfReach { .. })));
}
