//! Whether the converters of routes take the options that the routes have for them.

use super::Registry;
use crate::config::{Config, ConverterChoice};

/// Options that a route has for a converter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteOptions {
    /// The route's place in the configuration.
    pub route: usize,
    /// The converter's name.
    pub converter: String,
    /// What the converter says of them.
    pub verdict: OptionsVerdict,
}

/// What a converter says of options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OptionsVerdict {
    /// It takes them.
    Taken,
    /// It does not; why.
    Wrong(String),
    /// There is no such converter.
    Nobody,
}

/// Asks the plugins of a registry. A route without options is asked about too, where it names its converter: that may need some.
pub fn check_options(config: &Config, registry: &Registry) -> Vec<RouteOptions> {
    let routes = config.routes.iter().enumerate().flat_map(|(number, route)| {
        let names: Vec<&String> = match &route.converter {
            ConverterChoice::Named { name, .. } => vec![name],
            ConverterChoice::Auto => route.options.keys().collect(),
        };
        names.into_iter().map(move |name| (number, route, name))
    });
    let verdict = |(number, route, name): (usize, &crate::config::Route, &String)| {
        let verdict = match registry.get(name).map(|plugin| plugin.options(&route.options_for(name))) {
            None => OptionsVerdict::Nobody,
            Some(Ok(_)) => OptionsVerdict::Taken,
            Some(Err(error)) => OptionsVerdict::Wrong(error.to_string()),
        };
        RouteOptions { route: number, converter: name.clone(), verdict }
    };
    routes.map(verdict).collect()
}
