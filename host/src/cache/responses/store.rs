//! Where answers are kept: the most recently used ones, within a number and an amount of bytes, and found by their path too.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::{Kept, Key, Resource};

/// Not moka: what a write or an operator takes out is found by its path, the bounds hold exactly, and the metrics are true at once.
pub(super) struct Store {
    most_entries: u64,
    most_bytes: u64,
    bytes: u64,
    entries: HashMap<Key, Entry>,
    /// By the time of their last use.
    order: BTreeMap<u64, Key>,
    resources: HashMap<Resource, HashSet<Key>>,
    uses: u64,
}

struct Entry {
    kept: Arc<Kept>,
    used: u64,
}

impl Store {
    pub fn new(most_entries: u64, most_bytes: u64) -> Store {
        Store { most_entries, most_bytes, bytes: 0, entries: HashMap::new(), order: BTreeMap::new(), resources: HashMap::new(), uses: 0 }
    }

    pub fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// An entry, which has been used by that.
    pub fn get(&mut self, key: &Key) -> Option<Arc<Kept>> {
        let entry = self.entries.get_mut(key)?;
        self.uses += 1;
        self.order.remove(&entry.used);
        self.order.insert(self.uses, *key);
        entry.used = self.uses;
        Some(Arc::clone(&entry.kept))
    }

    /// Keeps an entry, in place of an earlier one; the number of those that gave way to it. One that is larger than everything may be is not
    /// kept.
    pub fn insert(&mut self, key: Key, kept: Arc<Kept>) -> u64 {
        self.remove(&key);
        if kept.size > self.most_bytes || self.most_entries == 0 {
            return 0;
        }
        let mut evicted = 0;
        while self.len() >= self.most_entries || self.bytes + kept.size > self.most_bytes {
            let Some((_, oldest)) = self.order.first_key_value() else { break };
            let oldest = *oldest;
            evicted += u64::from(self.remove(&oldest));
        }
        self.uses += 1;
        self.bytes += kept.size;
        self.order.insert(self.uses, key);
        self.resources.entry(kept.resource.clone()).or_default().insert(key);
        self.entries.insert(key, Entry { kept, used: self.uses });
        evicted
    }

    pub fn remove(&mut self, key: &Key) -> bool {
        let Some(entry) = self.entries.remove(key) else { return false };
        self.bytes -= entry.kept.size;
        self.order.remove(&entry.used);
        if let Some(keys) = self.resources.get_mut(&entry.kept.resource) {
            keys.remove(key);
            if keys.is_empty() {
                self.resources.remove(&entry.kept.resource);
            }
        }
        true
    }

    /// Removes what was answered for this path, whatever the query and the credential.
    pub fn remove_resource(&mut self, resource: &Resource) -> u64 {
        let keys: Vec<Key> = self.resources.get(resource).into_iter().flatten().copied().collect();
        keys.iter().map(|key| u64::from(self.remove(key))).sum()
    }

    /// Removes what `which` says; how many that were.
    pub fn remove_where(&mut self, which: impl Fn(&Kept) -> bool) -> u64 {
        let keys: Vec<Key> = self.entries.iter().filter(|(_, entry)| which(&entry.kept)).map(|(key, _)| *key).collect();
        keys.iter().map(|key| u64::from(self.remove(key))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> Key {
        Key([number; 32])
    }

    fn kept(path: &str, size: u64) -> Arc<Kept> {
        let resource = Resource { origin: "http://s".into(), path: path.into() };
        Arc::new(Kept { size, ..Kept::empty(resource) })
    }

    fn paths(store: &Store) -> Vec<&str> {
        store.order.values().filter_map(|key| store.entries.get(key)).map(|entry| &*entry.kept.resource.path).collect()
    }

    #[test]
    fn the_least_recently_used_give_way() {
        let mut store = Store::new(3, 100);
        for (number, path) in ["/a", "/b", "/c"].into_iter().enumerate() {
            assert_eq!(store.insert(key(number as u8), kept(path, 10)), 0);
        }
        assert!(store.get(&key(0)).is_some());
        assert_eq!(store.insert(key(3), kept("/d", 10)), 1);
        assert_eq!(paths(&store), ["/c", "/a", "/d"]);
        // The bytes are a bound too.
        assert_eq!(store.insert(key(4), kept("/e", 85)), 2);
        assert_eq!((paths(&store), store.bytes(), store.len()), (vec!["/d", "/e"], 95, 2));
        // What is larger than all may be is not kept, and takes the earlier one with it.
        assert_eq!(store.insert(key(4), kept("/e", 101)), 0);
        assert_eq!((paths(&store), store.bytes()), (vec!["/d"], 10));
        assert_eq!(store.insert(key(3), kept("/d", 20)), 0);
        assert_eq!((store.bytes(), store.len()), (20, 1));
    }

    #[test]
    fn what_goes_leaves_nothing_behind() {
        let mut store = Store::new(10, 1000);
        for (number, path) in ["/a", "/a", "/b", "/c"].into_iter().enumerate() {
            store.insert(key(number as u8), kept(path, 10));
        }
        assert_eq!(store.remove_resource(&kept("/a", 0).resource), 2);
        assert_eq!(store.remove_resource(&kept("/a", 0).resource), 0);
        assert_eq!(store.remove_where(|kept| &*kept.resource.path == "/b"), 1);
        assert!(store.remove(&key(3)) && !store.remove(&key(3)));
        assert_eq!((store.bytes(), store.len(), store.order.len(), store.resources.len()), (0, 0, 0, 0));
    }
}
