//! Settings that are understood and checked, and whose part of Dropforge is not built yet.

use std::collections::BTreeSet;

use super::Config;

impl Config {
    /// One sentence for each setting that has no effect yet. `explicit` holds the paths of the keys that the user set (see
    /// [`Loaded::explicit`](super::Loaded)): nothing is said of a default.
    pub fn not_yet_effective(&self, explicit: &BTreeSet<String>) -> Vec<String> {
        let mut sentences = Vec::new();
        for key in ["enable_cache", "cache_ttl_seconds", "cache_max_size"] {
            if explicit.contains(key) {
                sentences.push(format!("`{key}` has no effect yet: there are no answers of a server to cache"));
            }
        }
        sentences
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Route;

    #[test]
    fn defaults_say_nothing() {
        let config = Config { routes: vec![Route::new("a", "in", "out")], ..Config::default() };
        assert_eq!(config.not_yet_effective(&BTreeSet::new()), [""; 0]);
    }

    #[test]
    fn each_setting_that_was_set_is_said() {
        let config = Config { routes: vec![Route::new("a", "in", "out")], ..Config::default() };
        let explicit =
            ["enable_cache", "cache_ttl_seconds", "cache_max_size", "health_port", "routes[0].after.keep_days"].map(String::from).into();
        assert_eq!(
            config.not_yet_effective(&explicit),
            [
                "`enable_cache` has no effect yet: there are no answers of a server to cache",
                "`cache_ttl_seconds` has no effect yet: there are no answers of a server to cache",
                "`cache_max_size` has no effect yet: there are no answers of a server to cache",
            ]
        );
    }
}
