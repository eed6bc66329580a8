//! What the parts of an address mean for one document.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::folder::unique_file_name;
use super::settle::date_of;
use crate::config::{Config, Part, Route};
use crate::queue::{CommittedJob, DocumentId};
use crate::sandbox::Document;

/// The name space of report ids: a UUIDv5 of the text `dropforge:report` in the URL name space, written out.
const REPORTS: Uuid = Uuid::from_u128(0xb500_e6eb_9d84_5f5f_bdc5_2079_c102_b4c4);

/// The documents of one job, with what is known of their source.
pub(super) struct Parts<'a> {
    committed: &'a CommittedJob,
    context: BTreeMap<String, String>,
}

impl<'a> Parts<'a> {
    /// The parts of a job's documents.
    pub fn new(config: &Config, route: &Route, committed: &'a CommittedJob) -> Self {
        let mut context = route.context_for(&committed.job.path);
        for (name, value) in [("station", &config.station), ("location", &config.location)] {
            if !value.is_empty() {
                context.entry(name.into()).or_insert_with(|| value.clone());
            }
        }
        Parts { committed, context }
    }

    /// A document's id.
    pub fn id(&self, document: &Document) -> DocumentId {
        DocumentId::new(&self.committed.job.id, document.number)
    }

    /// The id that stays when the same source is converted again: where the converter gave the document a key, it is a function of station,
    /// path and key, else it is the document's own.
    pub fn report_id(&self, document: &Document) -> String {
        let Some(key) = document.key.as_deref().filter(|key| !key.is_empty()) else { return self.id(document).to_string() };
        let station = self.context.get("station").map(String::as_str).unwrap_or_default();
        let mut name = Vec::new();
        // Each part is preceded by its length, so that no two lists of parts give the same name.
        for part in [station, &self.committed.job.path, key] {
            name.extend((part.len() as u64).to_le_bytes());
            name.extend(part.as_bytes());
        }
        Uuid::new_v5(&REPORTS, &name).to_string()
    }

    /// What a part of an address is for a document.
    pub fn value(&self, document: &Document, part: &Part) -> Option<String> {
        let job = &self.committed.job;
        let (folders, file) = job.path.rsplit_once('/').unwrap_or(("", &job.path));
        Some(match part {
            Part::Route => job.route.clone(),
            Part::File => file.into(),
            Part::Stem => match file.rsplit_once('.') {
                Some((stem, _)) if !stem.is_empty() => stem.into(),
                _ => file.into(),
            },
            Part::Dir(depth) => folders.split('/').filter(|folder| !folder.is_empty()).nth(depth.saturating_sub(1))?.into(),
            Part::Date => date_of(self.committed.finished_ms),
            Part::Job => job.id.to_string(),
            Part::Id => self.id(document).to_string(),
            Part::ShortId => self.id(document).short(),
            Part::ReportId => self.report_id(document),
            Part::Key => document.key.clone()?,
            Part::Name => document.name.clone(),
            Part::UniqueName => unique_file_name(document, self.id(document)),
            Part::Number => document.number.to_string(),
            Part::Attribute(wanted) => document.attributes.iter().find(|(name, _)| name == wanted)?.1.clone(),
            Part::Context(wanted) => self.context.get(wanted)?.clone(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::super::testing::delivery;
    use super::*;

    #[test]
    fn a_report_keeps_its_id_when_its_source_is_converted_again() {
        let (config, mut route) = (Config { station: "ict-3".into(), ..Config::default() }, Route::new("r", "in", "out"));
        let mut first = delivery(1).committed;
        first.documents.iter_mut().for_each(|document| document.key = Some("SN7 2026-11-22".into()));
        let mut again = first.clone();
        again.job.id = crate::queue::JobId::from_stored("another".into());
        let id = |job: &CommittedJob, route: &Route| Parts::new(&config, route, job).report_id(&job.documents[0]);
        let base = id(&first, &route);
        assert_eq!(base, id(&again, &route));
        again.documents[0].key = Some("SN8".into());
        assert_ne!(base, id(&again, &route));
        again = first.clone();
        again.job.path = "other.csv".into();
        assert_ne!(base, id(&again, &route));
        route.context.insert("station".into(), "ict-4".into());
        assert_ne!(base, id(&first, &route));
        // Without a key it is the document's.
        again = first.clone();
        again.documents[0].key = None;
        assert_eq!(id(&again, &route), DocumentId::new(&again.job.id, 0).to_string());
    }

    #[test]
    fn parts_are_of_the_document_and_of_its_source() {
        let (config, mut route) = (Config::default(), Route::new("r", "in", "out"));
        route.context.insert("line".into(), "{dir2}".into());
        let mut job = delivery(1).committed;
        job.job.path = "st1/l2/panel.7.csv".into();
        job.documents[0].name = "panel.jsonl".into();
        job.documents[0].attributes = vec![("serial".into(), "SN7".into())];
        let parts = Parts::new(&config, &route, &job);
        let value = |text: &str| {
            let address = crate::config::Address::parse(text).unwrap();
            address.fill(|part| parts.value(&job.documents[0], part), str::to_string)
        };
        let short = DocumentId::new(&job.job.id, 0).short();
        for (text, expected) in [
            ("{route} {file} {stem} {dir1} {dir2} {number}", "r panel.7.csv panel.7 st1 l2 0".to_string()),
            ("{name} {unique_name} {short_id}", format!("panel.jsonl panel-{short}.jsonl {short}")),
            ("{attribute.serial} {context.line} {context.route} {date}", "SN7 l2 r 1970-01-01".into()),
        ] {
            assert_eq!(value(text).unwrap(), expected, "{text}");
        }
        for text in ["{dir3}", "{key}", "{attribute.other}", "{context.station}"] {
            assert!(value(text).is_err(), "{text}");
        }
    }
}
