//! WSJF: passed on as it is, but for white space.

use dropforge_sdk::prelude::*;
use dropforge_sdk::report::{Facts, MEDIA_TYPE, transcode};

/// How much of a file is looked at.
const PROBED_BYTES: u64 = 64 << 10;

/// Whether a file is a report in WSJF, by the keys that every report has.
///
/// # Errors
/// What reading gives.
pub(crate) fn is_one(input: &mut Input) -> Result<bool> {
    let mut bytes = Vec::new();
    input.take(PROBED_BYTES).read_to_end(&mut bytes)?;
    let head = String::from_utf8_lossy(&bytes);
    let has = |keys: &[&str]| keys.iter().all(|key| head.contains(key));
    // The header may stand behind the steps.
    Ok(has(&["\"type\"", "\"machineName\"", "\"processCode\"", "\"startUTC\""]) || has(&["\"type\"", "\"root\"", "\"stepType\""]))
}

/// Checks the report and writes it.
///
/// # Errors
/// What is wrong with it, with its place.
pub(crate) fn pass_on(input: &mut Input, output: &mut Output) -> Result<()> {
    let name = input.name();
    let stem = name.strip_suffix(".json").or_else(|| name.rsplit_once('.').map(|(stem, _)| stem)).unwrap_or(&name);
    let stem = stem.strip_suffix(".wsjf").unwrap_or(stem);
    let mut document = output.document(MEDIA_TYPE, &format!("{}.wsjf.json", if stem.is_empty() { "report" } else { stem }))?;
    let facts = transcode(input, &mut document)?;
    // Serial number and start have at most 100 characters each.
    document.set_key(&format!("{}@{}", facts.serial, facts.start))?;
    set_attributes(&mut document, &facts)?;
    document.finish()
}

/// What a document says of the report in it.
///
/// # Errors
/// Where the host fails.
pub(crate) fn set_attributes(document: &mut Document, facts: &Facts) -> Result<()> {
    for (name, value) in [
        ("serial", &facts.serial),
        ("station", &facts.station),
        ("start", &facts.start),
        ("result", &facts.result),
        ("report_id", &facts.id),
    ] {
        document.set_attribute(name, value)?;
    }
    Ok(())
}
