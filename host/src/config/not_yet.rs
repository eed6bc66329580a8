//! Settings that are understood and checked, and whose part of Dropforge is not built yet.

use std::collections::BTreeSet;

use super::{AfterAction, Config};

impl Config {
    /// One sentence for each setting that has no effect yet. `explicit` holds the paths of the keys that the user set (see
    /// [`Loaded::explicit`](super::Loaded)): nothing is said of a default.
    pub fn not_yet_effective(&self, explicit: &BTreeSet<String>) -> Vec<String> {
        let mut sentences = Vec::new();
        if self.upstream.is_some() {
            sentences.push("`upstream` has no effect yet: no server is asked or sent to".into());
        }
        for key in ["enable_cache", "cache_ttl_seconds", "cache_max_size"] {
            if explicit.contains(key) {
                sentences.push(format!("`{key}` has no effect yet: there are no answers of a server to cache"));
            }
        }
        for (index, route) in self.routes.iter().enumerate() {
            let path = format!("routes[{index}]");
            for (key, action) in [("success", route.after.success), ("error", route.after.error)] {
                if action == AfterAction::Archive {
                    sentences.push(format!("`{path}.after.{key} = \"archive\"` has no effect yet: files are moved and not compressed"));
                }
            }
        }
        sentences
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Route, Upstream};

    #[test]
    fn defaults_say_nothing() {
        let config = Config { routes: vec![Route::new("a", "in", "out")], ..Config::default() };
        assert_eq!(config.not_yet_effective(&BTreeSet::new()), [""; 0]);
    }

    #[test]
    fn each_setting_that_was_set_is_said() {
        let mut route = Route::new("a", "in", "out");
        route.after.success = AfterAction::Archive;
        let upstream = Some(Upstream { url: "https://server".into(), token_file: None });
        let config = Config { upstream, routes: vec![route], ..Config::default() };
        let explicit =
            ["enable_cache", "cache_ttl_seconds", "cache_max_size", "health_port", "routes[0].after.keep_days"].map(String::from).into();
        assert_eq!(
            config.not_yet_effective(&explicit),
            [
                "`upstream` has no effect yet: no server is asked or sent to",
                "`enable_cache` has no effect yet: there are no answers of a server to cache",
                "`cache_ttl_seconds` has no effect yet: there are no answers of a server to cache",
                "`cache_max_size` has no effect yet: there are no answers of a server to cache",
                "`routes[0].after.success = \"archive\"` has no effect yet: files are moved and not compressed",
            ]
        );
    }
}
