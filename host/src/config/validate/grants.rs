//! What types cannot say of grants: one that leads nowhere, one that goes further than it looks.

use super::Report;
use crate::config::{Config, ConverterChoice, Route};
use crate::sandbox::{Capabilities, Capability};

impl Report {
    /// What is granted at `key`.
    pub(super) fn grants(&mut self, key: &str, allow: &Capabilities, config: &Config) {
        if !allow.contains(&Capability::Lookup) {
            return;
        }
        match &config.upstream {
            None => self.error(key, "`lookup` asks the server of `upstream`, and there is none; add an [upstream] table with its `url`"),
            Some(upstream) if upstream.lookup_paths.is_empty() => {
                self.warn(key, "no look-up will succeed: name the paths that may be asked for as `lookup_paths` below [upstream]");
            }
            Some(_) => {}
        }
    }

    /// What a route grants; `path` is the route's.
    pub(super) fn route_grants(&mut self, path: &str, route: &Route, config: &Config) {
        let key = format!("{path}.allow");
        self.grants(&key, &route.allow, config);
        if route.converter == ConverterChoice::Auto && !route.allow.is_empty() {
            let message = "this route chooses among all converters, so this is granted to every one in the plugins folder; name the route's \
                           `converter`, or grant it to one converter with `allow` below [plugins.NAME]";
            self.warn(key, message);
        }
    }
}
