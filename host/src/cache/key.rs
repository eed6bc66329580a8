//! What a result depends on: everything that the guest could observe.

use std::fmt;

use crate::config::OnInvalid;
use crate::digest::Hasher;
use crate::sandbox::{Asked, Limits};

/// The version of the contract that a result was made under.
const CONTRACT: &str = "dropforge:converter@0.1.0";

/// A SHA-256, as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 64]);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{}", char::from(*byte)))
    }
}

/// A conversion that is about to run.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// The plugin's SHA-256.
    pub plugin: &'a str,
    /// Its options with defaults filled in, as JSON.
    pub options: &'a str,
    /// What it may use: a guest can notice where its memory ends.
    pub limits: &'a Limits,
    /// What becomes of documents that do not fit their schema: it may be the result.
    pub on_invalid: OnInvalid,
    /// SHA-256 of the input's bytes.
    pub input: &'a str,
    /// The job's id.
    pub id: &'a str,
    /// The file name.
    pub name: &'a str,
    /// The path below the intake.
    pub path: &'a str,
    /// The media type, if one came with the input.
    pub media_type: Option<&'a str>,
    /// The modified time, in nanoseconds since the epoch.
    pub modified_ns: i64,
    /// The attributes, sorted by name.
    pub attributes: &'a [(String, String)],
    /// The members' names with the SHA-256 of each.
    pub members: &'a [(String, String)],
}

/// Hashes parts so that no two lists of parts give the same text.
#[derive(Default)]
struct Parts(Hasher);

impl Parts {
    fn add(&mut self, part: &[u8]) {
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    fn finish(self) -> Key {
        let mut key = [b'0'; 64];
        for (place, byte) in key.iter_mut().zip(self.0.finish().bytes()) {
            *place = byte;
        }
        Key(key)
    }
}

impl Question<'_> {
    /// Of what every conversion depends on.
    pub(super) fn base(&self) -> Key {
        let mut parts = Parts::default();
        for part in [CONTRACT, self.plugin, self.options, &format!("{:?}", self.limits), &format!("{:?}", self.on_invalid), self.input] {
            parts.add(part.as_bytes());
        }
        parts.finish()
    }

    /// Of that and of what a conversion asked for; none where it opened a member that this job does not have.
    pub(super) fn key(&self, asked: &Asked) -> Option<Key> {
        let mut parts = Parts::default();
        parts.add(&self.base().0);
        // What was not asked for is said too: else a name could stand where a path is meant.
        let mut part = |wanted: bool, value: &[u8]| {
            parts.add(&[u8::from(wanted)]);
            if wanted {
                parts.add(value);
            }
        };
        part(asked.id, self.id.as_bytes());
        part(asked.name, self.name.as_bytes());
        part(asked.path, self.path.as_bytes());
        part(asked.media_type, self.media_type.map_or(Vec::new(), |text| [b"=", text.as_bytes()].concat()).as_slice());
        part(asked.modified, &self.modified_ns.to_le_bytes());
        part(asked.attributes, format!("{:?}", self.attributes).as_bytes());
        let names: Vec<&String> = self.members.iter().map(|(name, _)| name).collect();
        part(asked.members, format!("{names:?}").as_bytes());
        for name in &asked.opened {
            let (_, digest) = self.members.iter().find(|(member, _)| member == name)?;
            parts.add(name.as_bytes());
            parts.add(digest.as_bytes());
        }
        Some(parts.finish())
    }
}
