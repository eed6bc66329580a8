//! What the configuration lets converters reach.

use std::collections::BTreeMap;

use super::{Config, ConverterChoice, Route};
use crate::sandbox::Capabilities;

/// What converters are granted anywhere, on whichever route: what decides whether one may be loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// By `[plugins.NAME]`, and by routes that name their converter.
    by_name: BTreeMap<String, Capabilities>,
    /// By routes that choose among all converters.
    any: Capabilities,
}

impl Grants {
    /// What the converter of this name is granted somewhere.
    pub fn of(&self, converter: &str) -> Capabilities {
        self.by_name.get(converter).map_or_else(|| self.any.clone(), |own| own | &self.any)
    }
}

impl Config {
    /// What converters are granted anywhere.
    pub fn grants(&self) -> Grants {
        let mut grants = Grants::default();
        for (name, plugin) in &self.plugins {
            grants.by_name.entry(name.clone()).or_default().extend(&plugin.allow);
        }
        for route in &self.routes {
            match &route.converter {
                ConverterChoice::Named { name, .. } => grants.by_name.entry(name.clone()).or_default().extend(&route.allow),
                ConverterChoice::Auto => grants.any.extend(&route.allow),
            }
        }
        grants
    }

    /// What a converter may reach on a route, or where there is none. A route's grant is for the converter that it names, whoever else is
    /// asked to convert there.
    pub fn granted(&self, route: Option<&Route>, converter: &str) -> Capabilities {
        let own = self.plugins.get(converter).into_iter().flat_map(|plugin| &plugin.allow);
        let route = route.filter(|route| route.converter.admits(converter));
        own.chain(route.into_iter().flat_map(|route| &route.allow)).copied().collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::PluginConfig;
    use crate::sandbox::Capability::{Clocks, Lookup, Random};

    fn route(converter: &str, allow: Capabilities) -> Route {
        Route { converter: converter.parse().unwrap(), allow, ..Route::new("r", "in", "out") }
    }

    #[test]
    fn a_converter_has_what_its_table_and_its_route_grant() {
        let config = Config {
            plugins: BTreeMap::from([("a".into(), PluginConfig { allow: [Clocks].into(), ..PluginConfig::default() })]),
            routes: vec![route("a", [Lookup].into()), route("b", [Random].into()), route("auto", Capabilities::new())],
            ..Config::default()
        };
        let on = |route: usize, converter| config.granted(config.routes.get(route), converter);
        assert_eq!(on(0, "a"), [Clocks, Lookup].into());
        assert_eq!(on(1, "a"), [Clocks].into());
        assert_eq!(on(2, "b"), Capabilities::new());
        assert_eq!(on(9, "a"), [Clocks].into());
        let grants = config.grants();
        assert_eq!((grants.of("a"), grants.of("b"), grants.of("c")), ([Clocks, Lookup].into(), [Random].into(), Capabilities::new()));
    }

    #[test]
    fn a_route_that_asks_everybody_grants_to_everybody() {
        let config = Config { routes: vec![route("auto", [Lookup].into()), route("a", [Random].into())], ..Config::default() };
        assert_eq!((config.grants().of("a"), config.grants().of("b")), ([Lookup, Random].into(), [Lookup].into()));
        assert_eq!(config.granted(config.routes.first(), "b"), [Lookup].into());
    }
}
