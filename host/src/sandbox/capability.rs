//! What a conversion may reach beyond its input, its output, its log and its metrics: what it asks for by its imports and was given, and
//! nothing else. Who gives it, and where that is configured, others know.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Something that a converter can reach beyond its input, its output, its log and its metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Capability {
    /// The real time, in place of clocks that stand still; and waiting for it.
    Clocks,
    /// Questions to the server that is configured as `upstream`.
    Lookup,
    /// Real random numbers, in place of a fixed stream.
    Random,
}

/// A set of them, in the order of their names.
pub type Capabilities = BTreeSet<Capability>;

impl Capability {
    /// Its name in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Capability::Clocks => "clocks",
            Capability::Lookup => "lookup",
            Capability::Random => "random",
        }
    }

    /// Whether a converter that asks for it cannot do without. The others have a stand-in that gives no access.
    pub fn is_required(self) -> bool {
        self == Capability::Lookup
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one conversion may reach. The default is nothing.
#[derive(Clone, Default)]
pub struct Access {
    /// Clocks show the real time.
    pub clocks: bool,
    /// Random numbers are real ones.
    pub random: bool,
    /// Who answers its look-ups.
    pub lookup: Option<Arc<dyn Lookup>>,
}

impl Access {
    /// What of it a converter can use that asks for `asked`.
    pub(super) fn of_asked(self, asked: &Capabilities) -> Access {
        Access {
            clocks: self.clocks && asked.contains(&Capability::Clocks),
            random: self.random && asked.contains(&Capability::Random),
            lookup: self.lookup.filter(|_| asked.contains(&Capability::Lookup)),
        }
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        let given = [(self.clocks, Capability::Clocks), (self.lookup.is_some(), Capability::Lookup), (self.random, Capability::Random)];
        given.into_iter().filter_map(|(given, capability)| given.then_some(capability)).collect()
    }
}

/// Who answers look-ups.
pub trait Lookup: Send + Sync {
    /// Gets `path` (absolute, without scheme and host) with query parameters. It returns by `until`, whatever the server does.
    ///
    /// # Errors
    /// Why there is no answer. A body of more than `most_bytes` is [`LookupError::Budget`].
    fn get(&self, path: &str, query: &[(String, String)], until: Instant, most_bytes: u64) -> Result<LookupResponse, LookupError>;
}

/// What the server answered: any status is an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupResponse {
    /// The HTTP status code.
    pub status: u16,
    /// Lower case, without parameters; empty where the server named none.
    pub media_type: String,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Why a look-up has no answer. The guest sees the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupError {
    /// The configuration does not allow it.
    Denied(String),
    /// The number of look-ups, their bytes or their time are used up.
    Budget(String),
    /// The server could not be reached.
    Unavailable(String),
    /// Anything else.
    Other(String),
}
