//! What `docs/security.md` promises, it promises with tests that exist.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::fs;
use std::path::Path;

#[test]
fn every_promise_names_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/security.md")).unwrap();
    let (_, promises) = page.split_once("| promise | held by |").unwrap();
    let (promises, _) = promises.split_once("\n## ").unwrap();
    let mut named = 0;
    for row in promises.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---")) {
        let held_by = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let mut code = held_by.split('`').skip(1).step_by(2);
        let Some(file) = code.next() else {
            assert_eq!(held_by, "the same", "{row}");
            continue;
        };
        let source = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}, in: {row}"));
        let tests: Vec<&str> = code.collect();
        assert!(!tests.is_empty(), "no test is named in: {row}");
        for test in tests {
            assert!(
                source.contains(&format!("#[test]\nfn {test}()")) || source.contains(&format!("#[test]\n    fn {test}()")),
                "{file} has no test {test}"
            );
            named += 1;
        }
    }
    assert!(named > 20, "{named} tests");
}
