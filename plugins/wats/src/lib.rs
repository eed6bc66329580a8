//! The converter `wats`: reports that are in WATS Standard JSON already. It checks them, and changes nothing. `docs/converters/wats.md` says more.

use dropforge_sdk::prelude::*;
use dropforge_sdk::report::{MEDIA_TYPE, transcode};

/// The converter.
pub struct Wats;

/// How much of a file is looked at.
const PROBED_BYTES: u64 = 64 << 10;

impl Converter for Wats {
    type Options = NoOptions;

    fn describe() -> Descriptor {
        Descriptor::new("wats", env!("CARGO_PKG_VERSION"), "Reports in WATS Standard JSON, checked and passed on")
            .patterns(["*.wsjf", "*.wsjf.json", "*.json"])
            .reads([MEDIA_TYPE, "application/json"])
            .writes([MEDIA_TYPE])
    }

    fn probe(input: &mut Input) -> Probe {
        let mut bytes = Vec::new();
        if input.by_ref().take(PROBED_BYTES).read_to_end(&mut bytes).is_err() {
            return Probe::no("it cannot be read");
        }
        let head = String::from_utf8_lossy(&bytes);
        let has = |keys: &[&str]| keys.iter().all(|key| head.contains(key));
        if !head.trim_start_matches('\u{feff}').trim_start().starts_with('{') {
            return Probe::no("no JSON object");
        }
        // The header may stand behind the steps.
        if has(&["\"type\"", "\"machineName\"", "\"processCode\"", "\"startUTC\""]) || has(&["\"type\"", "\"root\"", "\"stepType\""]) {
            return Probe::new(92, "the keys of a report in WSJF");
        }
        Probe::no("not the keys of a report in WSJF")
    }

    fn convert(input: &mut Input, _: NoOptions, output: &mut Output) -> Result<Outcome> {
        let name = input.name();
        let stem = name.strip_suffix(".json").or_else(|| name.rsplit_once('.').map(|(stem, _)| stem)).unwrap_or(&name);
        let stem = stem.strip_suffix(".wsjf").unwrap_or(stem);
        let mut document = output.document(MEDIA_TYPE, &format!("{}.wsjf.json", if stem.is_empty() { "report" } else { stem }))?;
        let facts = transcode(input, &mut document)?;
        // Serial number and start have at most 100 characters each.
        document.set_key(&format!("{}@{}", facts.serial, facts.start))?;
        for (name, value) in [
            ("serial", &facts.serial),
            ("station", &facts.station),
            ("start", &facts.start),
            ("result", &facts.result),
            ("report_id", &facts.id),
        ] {
            document.set_attribute(name, value)?;
        }
        document.finish()?;
        Ok(Outcome::Converted)
    }
}

dropforge_sdk::export!(Wats);
