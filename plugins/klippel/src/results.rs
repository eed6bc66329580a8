//! How results were judged: the header names them, in a list for each judgement.

use dropforge_sdk::Result;
use dropforge_sdk::report::{Status, Step, Steps};

/// The lists, with what each means for a step.
pub(crate) const KINDS: [(&str, Status); 6] = [
    ("Pass", Status::Passed),
    ("Fail", Status::Failed),
    ("Warning", Status::Passed),
    ("Void", Status::Skipped),
    ("Noise", Status::Error),
    ("Invalid", Status::Error),
];

/// Results that were judged, in the order of the lists.
#[derive(Debug, Default)]
pub(crate) struct Results(Vec<(String, Status, bool)>);

impl Results {
    /// Takes the names of a list.
    pub fn add(&mut self, names: &str, status: Status) {
        let names = names.split('\t').map(str::trim).filter(|name| !name.is_empty());
        self.0.extend(names.map(|name| (name.to_owned(), status, false)));
    }

    /// Whether nothing was judged.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How a result was judged, which is then written; none where it was not.
    pub fn take(&mut self, name: &str) -> Option<Status> {
        let mut found: Option<Status> = None;
        for (_, status, written) in self.0.iter_mut().filter(|(known, ..)| known == name) {
            *written = true;
            found = Some(found.map_or(*status, |other| other.and(*status)));
        }
        found
    }

    /// Writes the results that no table has: they are judgements alone.
    ///
    /// # Errors
    /// What writing gives.
    pub fn write_rest(&self, steps: &mut Steps<'_>) -> Result<()> {
        for (name, status, _) in self.0.iter().filter(|(_, _, written)| !written) {
            let step = Step::named(name).status(*status);
            match status {
                Status::Passed | Status::Failed => steps.pass_fail(&step, *status)?,
                _ => steps.generic("Action", &step)?,
            };
        }
        Ok(())
    }
}
