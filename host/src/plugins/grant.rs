//! What a plugin asks for, beside what it was granted: whether it may run, and what its conversions reach.

use std::fmt;
use std::sync::Arc;

use crate::sandbox::{Access, Capabilities, Capability, Converter, Lookup};

use super::plugin::Plugin;

/// A plugin cannot do without something that it was not granted. As text: one sentence with the line of configuration that grants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotGranted {
    converter: String,
    missing: Capabilities,
    /// What is granted already and what is missing: the value of `allow`.
    allow: Capabilities,
    /// Where it is missing, if not everywhere.
    route: Option<String>,
}

impl fmt::Display for NotGranted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |capabilities: &Capabilities, quote: char| {
            let names: Vec<String> = capabilities.iter().map(|capability| format!("{quote}{capability}{quote}")).collect();
            names.join(", ")
        };
        let (converter, missing, allow) = (&self.converter, join(&self.missing, '`'), join(&self.allow, '"'));
        write!(f, "the converter `{converter}` asks for {missing}, which is not granted")?;
        match &self.route {
            Some(route) => write!(f, " on the route `{route}`: add `allow = [{allow}]` to that route or below [plugins.{converter}]")?,
            None => write!(f, ": add `allow = [{allow}]` below [plugins.{converter}]")?,
        }
        f.write_str(" in the configuration")
    }
}

impl std::error::Error for NotGranted {}

impl Plugin {
    /// Whether `granted` is all that this plugin cannot do without. `route` says where that is, if not everywhere.
    ///
    /// # Errors
    /// What is missing.
    pub fn check_grants(&self, granted: &Capabilities, route: Option<&str>) -> Result<(), NotGranted> {
        let needed = self.converter.asked().iter().filter(|capability| capability.is_required());
        let missing: Capabilities = needed.filter(|capability| !granted.contains(capability)).copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let (converter, allow) = (self.descriptor.name.clone(), granted | &missing);
        Err(NotGranted { converter, missing, allow, route: route.map(str::to_owned) })
    }

    /// The converter for conversions that are granted `granted`; `lookup` answers their look-ups.
    ///
    /// # Errors
    /// What is missing, as [`Plugin::check_grants`] says.
    pub fn granted(&self, granted: &Capabilities, route: Option<&str>, lookup: Option<Arc<dyn Lookup>>) -> Result<Converter, NotGranted> {
        self.check_grants(granted, route)?;
        Ok(self.converter.with(Access {
            clocks: granted.contains(&Capability::Clocks),
            random: granted.contains(&Capability::Random),
            lookup: lookup.filter(|_| granted.contains(&Capability::Lookup)),
        }))
    }
}
