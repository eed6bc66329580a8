//! Every sample file is read in the dialect that `dialects.json` names for it. (That its cells are what Python's `csv` reads in that
//! dialect is a test of the whole, against the real binary.)
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::path::Path;

use dropforge_plugin_csv::Csv;
use dropforge_sdk::testkit::{TestInput, convert, probe};
use serde_json::{Map, Value, json};

#[test]
fn every_file_is_read_in_its_dialect() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/csv");
    let dialects: Map<String, Value> = serde_json::from_slice(&std::fs::read(folder.join("dialects.json")).unwrap()).unwrap();
    assert!(dialects.len() > 40);
    for (name, dialect) in dialects {
        let bytes = std::fs::read(folder.join(&name)).unwrap();
        let used = bytes.contains(&b'"') || bytes.contains(&b'\'');
        let input = TestInput::new(name.clone(), bytes);
        let confidence = probe::<Csv>(input.clone()).confidence;
        assert!(confidence >= 50, "{name}: {confidence}");
        let run = convert::<Csv>(input, json!({}));
        let document = &run.documents[0];
        let attribute = |attribute: &str| document.attribute(attribute).unwrap();
        let delimiter = dialect["delimiter"].as_str().unwrap();
        assert_eq!(attribute("csv.delimiter"), if delimiter == "\t" { "tab" } else { delimiter }, "{name}");
        assert_eq!(attribute("csv.header"), dialect["header"].to_string(), "{name}");
        if used {
            assert_eq!(attribute("csv.quote"), dialect["quotechar"].as_str().unwrap_or("none"), "{name}");
            assert_eq!(attribute("csv.escape"), dialect["escapechar"].as_str().unwrap_or("none"), "{name}");
        }
        let encoding = dialect["encoding"].as_str().unwrap();
        let family = |name: &str| name.replace("cp", "windows-").replace("-le", "le").replace("-be", "be").replace("-sig", "");
        assert!(attribute("csv.encoding").starts_with(&family(encoding)), "{name}: {}", attribute("csv.encoding"));
        for line in document.text().lines() {
            assert!(serde_json::from_str::<Map<String, Value>>(line).is_ok(), "{name}: {line}");
        }
    }
}
